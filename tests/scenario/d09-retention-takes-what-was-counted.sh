# SPDX-License-Identifier: Apache-2.0
# While meterd is down, retention takes the log up to the offset it stands at: the record whose fingerprint was kept is gone, nothing
# that was not counted is. It goes on, three days of record time later: before that it could not tell duplicates (d13). What is taken beyond that offset is lost calls: then the partition halts and says how many.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 1
config m
expect_code 0 ctl init
calls() { # from to: one call an account and record
	local i
	for ((i = $1; i < $2; i++)); do
		event id="$i" account=a service=image-tag time=1579046400000 |
			jq -c --argjson at $((1579046400000 + i + (i >= 100) * 4 * 86400000)) '{partition: 0, timestamp: $at, key: "a", value: .}'
	done | produce
}
delete_before() {
	printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":%d}]}\n' "$INPUT" "$1" >"$DIR/delete.json"
	kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(bootstrap)" --offset-json-file "$DIR/delete.json" \
		>"$DIR/delete.out" 2>&1 || fail "delete: $(cat "$DIR/delete.out")"
}
calls 0 100
start m
wait_for 60 drained
stop m
delete_before 100
calls 100 150
start m
wait_for 60 '[[ $(ledger consumed) == 150 ]]' 'what came after'
expect_equal "calls" "$(ctl_q counters --format ndjson | jq .calls)" 150
! grep -q partition_halted "$DIR/m.log" || fail "halted: $(grep partition_halted "$DIR/m.log")"
stop m

calls 150 170
delete_before 160
start m
wait_for 60 'grep -q partition_halted "$DIR/m.log"' 'the partition to halt'
expect_match "what it says" "$(grep partition_halted "$DIR/m.log")" \
	'partition=[^ ]*/0 .*the log begins at offset 160, counting stands at 150: 10 offsets are gone'
expect_equal "records taken in" "$(ledger consumed)" 150
stop m
