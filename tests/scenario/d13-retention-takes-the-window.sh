# SPDX-License-Identifier: Apache-2.0
# Retention took records that the window of duplicates needs. A restart cannot know them any more: it halts at the first event that may
# repeat one of them, and says so; events beyond dedupe.max_age are decided all the same; a person may have it count.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 1
config m
expect_code 0 ctl init
at=1579046400000 # 2020-01-15T00:00:00Z
put() { event id="$1" account=a service=image-tag time=$at calls=5 | jq -c --argjson t "$2" '{partition: 0, timestamp: $t, key: "x", value: .}' | produce; }
taken() { wait_for 60 "[[ \$(ledger consumed) == $1 ]]" "record $1"; }
for i in 1 2 3 4; do put $i $((at + i)); done
start m
taken 4
put 1 $((at + 1000)) # a repetition
taken 5
stop m
printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":3}]}\n' "$INPUT" >"$DIR/delete.json"
kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(bootstrap)" --offset-json-file "$DIR/delete.json" \
	>"$DIR/delete.out" 2>&1 || fail "delete: $(cat "$DIR/delete.out")"
put 2 $((at + 2000)) # a repetition that nobody can know
start m
wait_for 60 'grep -q partition_halted "$DIR/m.log"' 'the partition to halt'
expect_match "what it says" "$(grep partition_halted "$DIR/m.log")" \
	'the log begins at offset 3, and the event at offset 5 may repeat an earlier one: records up to clock 2020-01-15T00:00:01.000Z are gone, those from 2020-01-12T00:00:02.000Z on are needed\. Set a longer retention; to count without them, set dedupe.short_log: count and restart'
expect_equal "records taken in" "$(ledger consumed)" 5
stop m

# A person decides. Then three days of record time later the question does not arise any more.
config m dedupe.short_log=count
start m
taken 6
expect_equal "duplicates" "$(ledger duplicate)" 1
stop m
put 9 $((at + 2001 + 3 * 86400000))
config m
start m
taken 7
! tail -n 5 "$DIR/m.log" | grep -q partition_halted || fail "halted again: $(grep partition_halted "$DIR/m.log" | tail -n 1)"
stop m
