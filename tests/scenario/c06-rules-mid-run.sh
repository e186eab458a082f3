# SPDX-License-Identifier: Apache-2.0
# Prices, quotas and packs that change while calls come: by `rules apply`, by SIGHUP, with the daemon killed between proposal and
# decision; what may not follow is refused. Alerts as of the record clock, bills worked out by hand with tests/table/settlement.yaml.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 1
book() { sed "$@" "$ROOT/tests/table/settlement.yaml" >"$DIR/book.yaml"; }
book ''
config m "catalog=$DIR/book.yaml" rules.lead=1m
expect_code 0 ctl init
n=0
call() { # account service calls stamp
	n=$((n + 1))
	event id=$n account="$1" service="$2" time="$4" calls="$3" | jq -c --argjson t "$4" --arg a "$1" '{partition: 0, timestamp: $t, key: $a, value: .}' | produce
}
versions() { ctl_q rules list --format ndjson | jq -c '[.version, .state, .effective]'; }
words() { "$@" 2>&1 >/dev/null; }
alerts() { ctl_q alerts --account acme --format ndjson | jq -c '[(.type | ltrimstr("meterd.") | rtrimstr(".v1")), .data.service, .data.threshold, .data.calls_before, .data.calls_after, .data.call.id, .data.cause, .data.pack]'; }
t=1579046400000 lead=60000 # 2020-01-15T00:00:00Z, rules.lead
start m
call acme tag 9000 $t
wait_for 60 drained

# -- a price corrected in the open month: the second tier begins at 5,000. What it makes due is raised without a call.
expect_code 0 ctl_q rules diff
book 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 2.2}/'
expect_equal "what would change" "$(ctl_q rules diff --format ndjson | jq -c '[.what, .service, .from, .until, .before, .after, .accounts, .sample]')" \
	'["price","tag","2020-01",null,"volume per 1000: 2.5, 2.2 from 1000000","volume per 1000: 2.5, 2.2 from 5000",1,"acme"]'
expect_code 1 ctl_q rules diff
expect_equal "applied" "$(ctl rules apply)" "version 2 is decided: what an event is, from record clock 2020-01-15T00:01:00.000Z on; prices, until their month is settled"
expect_equal "once" "$(ctl rules apply)" "version 2 has these rules already: what an event is, from record clock 2020-01-15T00:01:00.000Z on; prices, until their month is settled"
expect_equal "versions" "$(versions)" '[1,"in force",null]
[2,"coming","2020-01-15T00:01:00.000Z"]'
call other crop 1 $((t + lead))
wait_for 60 '[[ $(alerts | grep -c tier.crossed) == 1 ]]' 'the alert that the change made due'
expect_equal "alerts" "$(alerts)" '["free_quota.warning","tag",8000,0,9000,"1",null,null]
["tier.crossed","tag",5000,9000,9000,null,"price book small-1, rules version 2",null]'

# -- SIGHUP: a smaller quota, which holds from its effect on
book -e 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 2.2}/' -e '0,/calls: 10_000/s//calls: 9_500/'
kill -HUP "${PIDS[m]}"
wait_for 30 '[[ $(versions | wc -l) == 3 ]]' 'version 3'
call acme tag 550 $((t + lead + 1))         # before its effect: 9,550
call other crop 1 $((t + 2 * lead + 1))     # its effect: 9,500 are behind already
wait_for 60 '[[ $(alerts | grep -c exhausted) == 1 ]]' 'the quota that is behind already'
call acme tag 50 $((t + 2 * lead + 2))
wait_for 60 drained

# -- killed between proposal and decision: decided at the next start, once
kill9 m
book -e 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 2.0}/' -e '0,/calls: 10_000/s//calls: 9_500/'
expect_match "nobody decides" "$(words ctl rules apply --timeout 1)" 'proposed, and not decided after 1 s: is meterd running'
expect_code 75 ctl_q rules apply --timeout 1
start m
wait_for 60 '[[ $(versions | wc -l) == 4 ]]' 'version 4'

# -- a pack that comes in February, while its services are used
feb=1580572800000 # close of January
call other crop 1 $feb
wait_for 60 'settled 2020-01' 'the end of January'
echo '{"type":"pack","account":"acme","id":"p-1","version":1,"services":["tag"],"calls":1000,"price":"9.00","start":"2020-02-01T00:00:00+08:00","expiry":"2020-04-01T00:00:00+08:00"}' |
	jq -c --argjson t "$feb" '{timestamp: $t, key: .account, value: .}' | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "${PREFIX}meterd.accounts" || fail accounts
facts() { curl -fsS "http://127.0.0.1:$(sed -n 's/.*http_port=//p' "$DIR/m.log" | tail -n 1)/metrics" | sed -n 's/^meterd_accounts_records_total //p'; }
wait_for 30 '[[ $(facts) == 1 ]]' 'the pack is known'
call acme tag 10299 $((feb + lead + 60000))
call acme tag 2 $((feb + lead + 60001))
call acme tag 198 $((feb + lead + 60002))
call acme tag 1 $((feb + lead + 60003))
wait_for 60 drained
wait_for 60 '[[ $(alerts | grep -c pack) == 2 ]]' 'both alerts of the pack'
expect_equal "alerts" "$(alerts)" '["free_quota.warning","tag",8000,0,9000,"1",null,null]
["tier.crossed","tag",5000,9000,9000,null,"price book small-1, rules version 2",null]
["free_quota.warning","tag",7600,9550,9550,null,"price book small-1, rules version 3",null]
["free_quota.exhausted","tag",9500,9550,9550,null,"price book small-1, rules version 3",null]
["tier.crossed","tag",5000,0,10299,"7",null,null]
["free_quota.warning","tag",7600,0,10299,"7",null,null]
["free_quota.exhausted","tag",9500,0,10299,"7",null,null]
["pack.warning","tag",800,10299,10301,"8",null,"p-1"]
["pack.exhausted","tag",1000,10499,10500,"10",null,"p-1"]'

# -- January is settled: its price stays
book -e 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 1.0}/' -e '0,/calls: 10_000/s//calls: 9_500/'
refusal='meterctl rules: refused: service `tag` has another price or quota in 2020-01, which is settled: leave that month as it was and let the change begin with a later month'
expect_equal "refused" "$(words ctl rules apply)" "$refusal"
expect_code 78 ctl_q rules apply
expect_equal "so says the difference" "$(words ctl rules diff)" "$refusal"
expect_code 78 ctl_q rules diff
expect_equal "versions" "$(versions | jq -c '.[0:2]' | tr '\n' ' ')" '[1,"replaced"] [2,"replaced"] [3,"replaced"] [4,"in force"] '
expect_equal "a version's price book" "$(ctl rules show 1)" "$(cat "$ROOT/tests/table/settlement.yaml")"
# -- the bills: January by version 4, 9,600 x 2.0 per 1,000 on the list, 100 of them billable; February's free calls, then the pack
call other crop 1 1583078400000
wait_for 60 'settled 2020-02' 'the end of February'
stop m
expect_equal "bills" "$(ctl_q settlements --account acme --kind settlement --format ndjson | jq -c '.data | [.period, .calls, .free, (.packs | map("\(.id):\(.calls)") | join(",")), .billable, .unit_price, .charge, .unfreeze, .freeze]')" '["2020-01",9600,9500,"",100,"2","0.20","0.00","19.20"]
["2020-02",10500,9500,"p-1:1000",0,"2","0.00","19.20","21.00"]'
proved
