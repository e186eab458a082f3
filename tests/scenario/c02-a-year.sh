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
