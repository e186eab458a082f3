# SPDX-License-Identifier: Apache-2.0
# Who reads what is published: --follow from before the first alert, filters, formats; and gen's promise of the same bytes.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m
expect_code 0 ctl init

expect_code 75 ctl gen --topic no.such.topic --events 10
expect_code 64 ctl gen --events 0
expect_code 64 ctl gen --from 2020-03 --to 2020-01
gen=(gen --events 20000 --accounts 20 --seed 5 --from 2020-01 --to 2020-03)
expect_equal "bytes of a seed" "$(ctl_q "${gen[@]}" --stdout | sha256sum)" "$(ctl_q "${gen[@]}" --stdout | sha256sum)"
[[ $(ctl_q gen --events 100 --seed 5 --stdout) != $(ctl_q gen --events 100 --seed 6 --stdout) ]] || fail "another seed, the same bytes"

"$METERCTL" alerts --config "$DIR/m.yaml" --follow --format ndjson >"$DIR/follow.out" 2>"$DIR/follow.err" &
PIDS[follow]=$!
ctl "${gen[@]}" >/dev/null || fail gen
start m
wait_for 90 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
ctl_q alerts --format ndjson | sort >"$DIR/all.out"
[[ -s $DIR/all.out ]] || fail "no alerts"
wait_for 20 'sort "$DIR/follow.out" | cmp -s - "$DIR/all.out"' "the follower to have read each alert once"
kill -INT "${PIDS[follow]}"
wait "${PIDS[follow]}"
expect_equal "the follower's exit code" $? 0
unset 'PIDS[follow]'

# filters, against jq over the whole
kind=$(jq -r .data.kind "$DIR/all.out" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
account=$(jq -r .data.account "$DIR/all.out" | head -n 1)
for f in alerts:kind:"$kind" alerts:account:"$account" alerts:period:2020-01 alerts:period:2020-02; do
	IFS=: read -r verb option value <<<"$f"
	expect_equal "--$option $value" "$(ctl_q "$verb" --"$option" "$value" --format ndjson | sort | sha256sum)" \
		"$(jq -c --arg v "$value" "select(.data.$option == \$v)" "$DIR/all.out" | sort | sha256sum)"
done
expect_equal "alerts of a far future" "$(ctl_q alerts --from 2190-01 --format ndjson)" ""
expect_equal "lines of csv" "$(ctl_q alerts --format csv | wc -l)" $(($(wc -l <"$DIR/all.out") + 1))
expect_equal "an array" "$(ctl_q alerts --format json | jq length)" "$(wc -l <"$DIR/all.out")"
expect_equal "ends of run" "$(ctl_q settlements --kind period.closed --format ndjson | jq -r .data.period | sort | xargs)" "2020-01 2020-02"
for month in 2020-01 2020-02; do
	expect_equal "settlements of $month" "$(ctl_q settlements --period $month --format ndjson | sort | sha256sum)" \
		"$(ctl_q settlements --format ndjson | jq -c --arg p $month 'select(.data.period == $p)' | sort | sha256sum)"
done
expect_equal "a month without alerts" "$(ctl_q alerts --period 2021-01 --format ndjson)" ""
expect_code 64 ctl alerts --from yesterday
stop m

# the stand-in of the demo: a gen's log is in it, and it goes when told
"$METERCTL" broker --topic demo:3 >"$DIR/broker.out" 2>"$DIR/broker.err" &
PIDS[broker]=$!
wait_for 10 '[[ -s $DIR/broker.out ]]' 'the broker to say where it is'
. "$DIR/broker.out"
"$METERCTL" gen --bootstrap "$KAFKA_BOOTSTRAP" --topic demo --events 5000 2>/dev/null || fail "gen into the stand-in"
expect_equal "records in it" "$(kcat -C -b "$KAFKA_BOOTSTRAP" -t demo -e -q -f '%o\n' | wc -l)" 5003
kill "${PIDS[broker]}"
wait "${PIDS[broker]}"
expect_equal "the broker's exit code" $? 0
unset 'PIDS[broker]'
