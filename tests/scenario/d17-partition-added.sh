# SPDX-License-Identifier: Apache-2.0
# Partitions are added while calls come in: the closer admits them, from their first record on, and what lies in them is counted; the
# month closes over all of them.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m
expect_code 0 ctl init
calls() { # partition account number first-stamp
	local i
	for ((i = 0; i < $3; i++)); do
		event id="$2-$4-$i" account="$2" service=image-tag time=$(($4 + i)) |
			jq -c --argjson at $(($4 + i)) --argjson p "$1" --arg key "$2" '{partition: $p, timestamp: $at, key: $key, value: .}'
	done | produce
}
calls 0 a 50 1579046400000
calls 1 b 50 1579046400000
start m
wait_for 60 drained
kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap)" --alter --partitions 4 --topic "$INPUT" >"$DIR/alter.out" 2>&1 ||
	fail "alter: $(cat "$DIR/alter.out")"
calls 2 c 50 1579046500000
calls 3 d 50 1579046500000
wait_for 360 '[[ $(ledger counted) == 200 ]]' 'the new partitions to be counted'
# A month later the first partition alone has a call: ticks close January everywhere.
calls 0 a 1 1581724800000
wait_for 120 'settled 2020-01' 'the end of January'
wait_for 120 drained
wait_for 30 outbox_empty
auditor_agrees
stop m
