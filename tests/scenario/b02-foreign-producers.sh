# SPDX-License-Identifier: Apache-2.0
# Producers that are not ours: Kafka's own console producer, kcat with the headers of binary CloudEvents, Python with its own
# time stamps, flat and structured. All of an account's events lie in one partition; everything agrees with the auditor.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --partitions 4
config m clock=wall
expect_code 0 ctl init
start m
now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }

# Java, key and value split by a tab; 41 is sent twice, 43 names no service
{
	for i in $(seq 1 40) 41 41; do printf 'java\t%s\n' "$(event id="$i" account=java service=CropImage time="$(now)" calls=250)"; done
	printf 'java\t%s\n' "$(event id=43 account=java time="$(now)")"
} | kafka_tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$(bootstrap)" --topic "$INPUT" \
	--reader-property parse.key=true >>"$DIR/java.log" 2>&1 || fail "ConsoleProducer"

# kcat: binary CloudEvents; the same id from two sources is two events
for source in /cam/1 /cam/2; do
	for id in 1 2 3; do
		printf '{"account":"kcat","service":"face-not-known","calls":1}' | sed "s/face-not-known/DetectCelebrity/" |
			kcat -P -b "$(bootstrap)" -t "$INPUT" -k kcat -X partitioner=murmur2_random -H ce_specversion=1.0 -H ce_id="$id" \
				-H ce_source="$source" -H ce_type=call -H ce_time="$(now)" -H content-type=application/json || fail kcat
	done
done
printf '{"account":"kcat","service":"DetectCelebrity"}' | kcat -P -b "$(bootstrap)" -t "$INPUT" -k kcat -X partitioner=murmur2_random \
	-H ce_specversion=0.3 -H ce_id=9 -H ce_source=/cam/1 -H ce_type=call -H ce_time="$(now)"

# Python: stamps of its own, an hour back and rising; flat, structured, several services, a failed call, a late night
"$PYTHON" - <<'PY' | produce
import json, time
base = int(time.time() * 1000) - 3600000
def put(i, value, headers=()):
    print(json.dumps({"key": "py", "timestamp": base + i * 1000, "value": value, "headers": list(headers)}))
for i in range(100):
    put(i, {"id": f"f{i}", "account": "py", "service": "image-quality", "time": base + i * 1000, "calls": 100})
put(100, {"specversion": "1.0", "id": "c1", "source": "/py", "type": "call", "time": "2020-02-01T00:00:00+08:00",
          "data": {"account": "py", "service": "AssessQuality", "calls": 7}}, [["content-type", "application/cloudevents+json; charset=utf-8"]])
put(101, {"id": "m1", "account": "py", "time": base, "items": [{"service": "DetectLabel"}, {"service": "image-crop", "calls": 2},
                                                               {"service": "image-tag", "calls": 4}]})
put(102, {"id": "s1", "account": "py", "service": "image-tag", "time": base, "status": "InternalError"})
put(103, {"id": "x", "account": "py", "service": "image-tag", "time": base + 86400000})
put(104, '{"id":"x","account":"py","service":"image-tag","time":%d' % base)
PY

wait_for 60 drained
wait_for 30 outbox_empty
expect_equal "java's calls" "$(ctl_q counters --format ndjson | jq 'select(.account == "java") | .calls')" 10250
expect_equal "kcat's calls" "$(ctl_q counters --format ndjson | jq 'select(.account == "kcat") | .calls')" 6
expect_equal "rejected" "$(ledger rejected)" 4
expect_equal "duplicates" "$(ledger duplicate)" 1
expect_equal "not billable" "$(ledger not_billable)" 1
expect_equal "alerts of java" "$(ctl_q alerts --format ndjson | jq -c 'select(.data.account == "java") | [.data.kind, .data.call.id, .data.calls_after]')" \
	'["free_quota.warning","32",8000]
["free_quota.exhausted","40",10000]'
auditor_agrees
stop m
