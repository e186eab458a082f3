# SPDX-License-Identifier: Apache-2.0
# The input topic is deleted and made again, which looks like the same topic with other records. Whether it has fewer or more of them
# than were counted, and whether meterd runs meanwhile or not: the partition halts and says so, and nothing of it is counted.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 1
config m
expect_code 0 ctl init
calls() { # from to
	local i
	for ((i = $1; i < $2; i++)); do
		event id="$3$i" account=a service=image-tag time=1579046400000 |
			jq -c --argjson at $((1579046400000 + i)) '{partition: 0, timestamp: $at, key: "a", value: .}'
	done | produce
}
again() {
	kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap)" --delete --topic "$INPUT" >"$DIR/delete.out" 2>&1 ||
		fail "delete: $(cat "$DIR/delete.out")"
	wait_for 30 '[[ $(ends "$INPUT" 2>/dev/null) == 0 ]]' 'the topic to be gone'
	topics --stamps any --partitions 1 --only usage.calls
}
halts() { # what
	wait_for 90 'grep -q "event=partition_halted" "$DIR/m.log" || not_running m' "the partition to halt ($1)"
	expect_match "its words ($1)" "$(cat "$DIR/m.log")" "$2"
	expect_equal "calls ($1)" "$(ctl_q counters --format ndjson | jq .calls)" 100
}
calls 0 100 old
start m
wait_for 60 drained
stop m

again
calls 0 30 new
: >"$DIR/m.log"
start m
halts "fewer records, met at the start" 'event=partition_halted .*the log ends at offset 30, counting stands at 100: the topic was made again or cut off\. Nothing was counted'
stop m

calls 30 150 new
: >"$DIR/m.log"
start m
halts "more records, met at the start" 'event=partition_halted .*the record at offset 99 is not the one'
calls 150 160 new
stop m
expect_equal "calls in the end" "$(ctl_q counters --format ndjson | jq .calls)" 100
