# SPDX-License-Identifier: Apache-2.0
# A year of calls over all services, two partitions idle at times: twelve months settled one after the other, freezes carried on.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m
expect_code 0 ctl init
ctl gen --events 60000 --accounts 60 --seed 11 --from 2020-01 --to 2021-01 >/dev/null || fail gen
start m
wait_for 120 'settled 2020-12' 'the end of the year'
wait_for 60 drained
wait_for 30 outbox_empty
expect_equal "months closed" "$(ctl_q settlements --format ndjson | jq -r 'select(.type == "meterd.period.closed.v1") | .data.period' | sort | wc -l)" 12
auditor_agrees

# Each month of the account with the most lines: explained, stated and shown as usage, the same charge three times.
ctl_q settlements --format ndjson >"$DIR/settlements.ndjson"
account=$(jq -r 'select(.type == "meterd.settlement.v1") | .data.account' "$DIR/settlements.ndjson" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
for month in $(jq -r --arg a "$account" 'select(.type == "meterd.statement.v1" and .data.account == $a) | .data.period' "$DIR/settlements.ndjson" | sort -u); do
	charge=$(ctl_q statement "$account" "$month" --json | jq -r .charge) || fail "the statement of $account for $month does not add up"
	paper=$(ctl_q explain "$account" "$month" --lang en) || fail "$account $month does not add up: $paper"
	expect_equal "$month explained" "$(tail -n 1 <<<"$paper")" "Charge: $charge CNY"
	expect_equal "$month as usage" "$(ctl_q usage "$account" --period "$month" --format ndjson | jq -s 'map(.charge | tonumber * 100 | round) | add')" \
		"$(jq -n --arg c "$charge" '$c | tonumber * 100 | round')"
done
stop m

# Twice the same bytes: what is published is a function of the log.
ctl_q counters --format ndjson >"$DIR/counters.1"
start m
wait_for 30 drained
ctl_q counters --format ndjson >"$DIR/counters.2"
cmp "$DIR/counters.1" "$DIR/counters.2" || fail "counters changed by a restart"
stop m

# The auditor must be able to find fault: with another price it does.
sed 's/price: 2.5}/price: 2.51}/' "$ROOT/config/catalog.yaml" >"$DIR/other.yaml"
sed "s|catalog: .*|catalog: $DIR/other.yaml|" "$DIR/m.yaml" >"$DIR/other-m.yaml"
"$PYTHON" "$ROOT/tests/lib/auditor.py" --config "$DIR/other-m.yaml" --meterctl "$METERCTL" --only settlements >"$DIR/other.out" && fail "the auditor found nothing"
expect_match "the auditor's words" "$(cat "$DIR/other.out")" 'unit_price'
