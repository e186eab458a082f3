# SPDX-License-Identifier: Apache-2.0
# /metrics of a running daemon: every metric that is promised is there and says what is true; the ledger's imbalance is what Redis holds.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
port=$(free_ports 1)
config m http.listen="127.0.0.1:$port"
expect_code 0 ctl init
metrics() { curl -fsS "http://127.0.0.1:$port/metrics" 2>/dev/null; }
# Sum over all series of a name, labels left out.
value() { metrics | awk -v name="$1" '{ n = $1; sub(/\{.*/, "", n) } n == name { sum += $2; found = 1 } END { if (found) printf "%.6f\n", sum; else print "none" }'; }
is() { awk -v a="$(value "$1")" -v op="$2" -v b="$3" 'BEGIN { if (a == "none") exit 1; a += 0; b += 0; exit !(op == "==" ? a == b : op == ">" ? a > b : a < b) }'; }

before=$(date +%s)
ctl gen --events 20000 --accounts 20 --seed 5 --invalid 10 --from 2020-01 --to 2020-03 >/dev/null || fail gen
start m
wait_for 90 'settled 2020-02' 'the end of February'
wait_for 30 drained
wait_for 30 outbox_empty
wait_for 40 'is meterd_ledger_imbalance_events == 0' 'the ledger to be looked at'
metrics | promtool check metrics >"$DIR/promtool.out" 2>&1 || fail "promtool: $(cat "$DIR/promtool.out")"
for name in meterd_events_total meterd_calls_total meterd_consumer_lag_messages meterd_last_event_timestamp_seconds \
	meterd_commit_duration_seconds_count meterd_commit_conflicts_total meterd_alert_delay_seconds_count meterd_outbox_pending \
	meterd_ledger_imbalance_events meterd_ledger_checked_timestamp_seconds meterd_period_closed_timestamp_seconds \
	meterd_settlement_due_timestamp_seconds meterd_dedupe_window_seconds meterd_build_info process_start_time_seconds; do
	[[ $(value $name) != none ]] || fail "$name is missing"
done
expect_equal "an account in a label" "$(metrics | grep -c 'account=')" 0

# against what the topics and the ledger hold
alerts=$(ctl_q alerts --format ndjson | wc -l)
((alerts > 0)) || fail "no alerts"
elapsed=$(($(date +%s) - before + 1))
is meterd_events_total == "$(ledger consumed)" || fail "events: $(value meterd_events_total)"
is meterd_calls_total == "$(ctl_q counters --format ndjson | jq -s 'map(.calls) | add')" || fail "calls: $(value meterd_calls_total)"
is meterd_alert_delay_seconds_count == "$alerts" || fail "$(value meterd_alert_delay_seconds_count) delays of $alerts alerts"
is meterd_alert_delay_seconds_sum '>' 0 || fail "alerts without any delay"
is meterd_alert_delay_seconds_sum '<' $((elapsed * alerts)) || fail "delays of $(value meterd_alert_delay_seconds_sum) s in $elapsed s"
is meterd_commit_duration_seconds_count '>' 0 || fail "no commits"
is meterd_consumer_lag_messages == 0 || fail "lag: $(value meterd_consumer_lag_messages)"
is meterd_outbox_pending == 0 || fail "pending: $(value meterd_outbox_pending)"
is meterd_ready == 1 || fail "not ready"
is meterd_period_closed_timestamp_seconds == "$(date -d 2020-03-01T00:00:00+08:00 +%s)" || fail "closed: $(value meterd_period_closed_timestamp_seconds)"
is meterd_settlement_due_timestamp_seconds == "$(date -d 2020-04-04T00:00:00+08:00 +%s)" || fail "due: $(value meterd_settlement_due_timestamp_seconds)"
is meterd_ledger_checked_timestamp_seconds '>' "$before" || fail "checked: $(value meterd_ledger_checked_timestamp_seconds)"

# shard by shard: what all of them committed, and nothing that one of them does not hold yet
shards() { curl -fsS "http://127.0.0.1:$port/api/v1/status" | jq -c '.shards | [length, (map(.counters) | add), (map(.behind + .under_way + .refused) | add), (map(select(.commits > 0)) | length)]'; }
wait_for 30 '[[ $(shards) == "[16,$(value meterd_counters_committed_total | cut -d . -f 1),0,16]" ]]' 'every shard to hold all that was read'

# What others see: Kafka's own tool shows the group's offsets, and the lag of what comes while nobody reads.
group() { # partition, current offset, end, lag: a line each
	kafka_tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$(bootstrap)" --describe --group "$SCENARIO" 2>>"$DIR/group.log" |
		awk -v t="$INPUT" '$2 == t { print $3, $4, $5, $6 }' | sort
}
group >"$DIR/group" || fail "ConsumerGroupCommand"
expect_equal "the group's committed offsets" "$(awk '{ print $1, $2 }' "$DIR/group")" "$(ctl_q audit --format ndjson | jq -r '"\(.partition) \(.offset)"' | sort)"
expect_equal "the group's lag" "$(awk '{ n += $4 } END { print NR, n }' "$DIR/group")" "2 0"
stop m
ctl gen --events 1000 --accounts 20 --seed 6 --from 2020-03 --to 2020-04 >/dev/null || fail gen
group >"$DIR/group" || fail "ConsumerGroupCommand"
expect_equal "the group's lag while nobody reads" "$(awk '{ n += $4 } END { print NR, n }' "$DIR/group")" "2 1002"
start m
wait_for 60 drained
wait_for 40 'is meterd_ledger_imbalance_events == 0' 'the ledger to be looked at again'

# Somebody changes the ledger behind meterd's back: three calls too many, then one too few elsewhere. Both show, added up.
redis_do "$DIR" hincrby 'meterd:{s05}:g1:led' "$INPUT/0/counted" 3 >/dev/null
redis_do "$DIR" hincrby 'meterd:{s02}:g1:led' "$INPUT/1/late" -1 >/dev/null
wait_for 40 'is meterd_ledger_imbalance_events == 4' 'the imbalance to show'
ctl audit >/dev/null
expect_equal "audit's exit code" $? 1
redis_do "$DIR" hincrby 'meterd:{s05}:g1:led' "$INPUT/0/counted" -3 >/dev/null
redis_do "$DIR" hincrby 'meterd:{s02}:g1:led' "$INPUT/1/late" 1 >/dev/null
wait_for 40 'is meterd_ledger_imbalance_events == 0' 'the imbalance to go'
stop m
