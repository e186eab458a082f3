# SPDX-License-Identifier: Apache-2.0
# Prices, quotas, packs and contracts that change while calls come: by `rules apply`, by SIGHUP, with the daemon killed between proposal
# and decision; what may not follow is refused, and nothing is written. Alerts as of the record clock, bills worked out by hand with tests/table/settlement.yaml.
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
requests() { redis_do "$DIR" llen 'meterd:{s00}:req'; }
alerts() { ctl_q alerts --account "${1:-acme}" --format ndjson | jq -c '[(.type | ltrimstr("meterd.") | rtrimstr(".v1")), .data.service, .data.threshold, .data.calls_before, .data.calls_after, .data.call.id, .data.cause, .data.pack]'; }
t=1579046400000 lead=60000 # 2020-01-15T00:00:00Z, rules.lead
start m
call acme tag 9000 $t
wait_for 60 drained

# -- a price corrected in the open month: the second tier begins at 5,000. What it makes due is raised without a call.
expect_code 0 ctl_q rules diff
sed 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 2.2}/' "$DIR/book.yaml" >"$DIR/other.yaml"
expect_equal "what would change" "$(ctl_q rules diff "$DIR/other.yaml" --format ndjson | jq -c '[.what, .service, .from, .until, .effective, .before, .after, .accounts, .calls, .sample]')" \
	'["price","tag","2020-01",null,null,"volume per 1000: 2.5, 2.2 from 1000000","volume per 1000: 2.5, 2.2 from 5000",1,9000,"acme"]
["alert due","tag","2020-01",null,"2020-01-15T00:01:00.000Z",null,"tier.crossed at 5000",1,null,"acme"]'
expect_match "and when" "$(words ctl rules diff "$DIR/other.yaml")" 'at record clock 2020-01-15T00:01:00.000Z \(2020-01-15T08:01:00.000\+08:00\) at the earliest'
expect_code 1 ctl_q rules diff "$DIR/other.yaml"
expect_code 0 ctl_q rules diff # the configuration's own are in force
expect_equal "applied" "$(ctl rules apply "$DIR/other.yaml" 2>"$DIR/words")" "version 2 is decided: what an event is, from record clock 2020-01-15T00:01:00.000Z on; prices, until their month is settled"
expect_equal "the configuration says something else" "$(cat "$DIR/words")" "meterctl rules: the configuration names $DIR/book.yaml, which says something else: the next start or reload of meterd proposes that. Put $DIR/other.yaml there"
mv "$DIR/other.yaml" "$DIR/book.yaml"
expect_equal "once" "$(ctl rules apply)" "version 2 has these rules already: what an event is, from record clock 2020-01-15T00:01:00.000Z on; prices, until their month is settled"
expect_equal "versions" "$(versions)" '[1,"in force",null]
[2,"coming","2020-01-15T00:01:00.000Z"]'
expect_equal "its clocks" "$(ctl_q rules list --format ndjson | jq -c 'select(.version == 2) | [.local, (.written | test("^20[0-9-]+T.*Z$"))]')" '["2020-01-15T08:01:00.000+08:00",true]'
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

# -- killed between proposal and decision: decided at the next start, once, though it was proposed three times (by that start too)
pause m
book -e 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 2.0}/' -e '0,/calls: 10_000/s//calls: 9_500/'
expect_match "nobody decides" "$(words ctl rules apply --timeout 1)" 'proposed, and not decided after 1 s: is meterd running'
expect_code 75 ctl_q rules apply --timeout 1
kill9 m
expect_equal "kept" "$(requests) $(versions | wc -l)" "2 3"
start m
wait_for 60 '[[ $(versions | wc -l) == 4 && $(requests) == 0 ]]' 'version 4'

# -- a pack and a contract that come in February, while their services are used
feb=1580572800000 # close of January
call other crop 1 $feb
wait_for 60 'settled 2020-01' 'the end of January'
call deal crop 6000 $((feb + 1))
cat >"$DIR/facts" <<-J
{"type":"contract","account":"deal","id":"c-1","version":1,"from":"2020-02","services":[{"service":"crop","free":{"calls":7000}}]}
{"type":"pack","account":"acme","id":"p-1","version":1,"services":["tag"],"calls":1000,"price":"9.00","start":"2020-02-01T00:00:00+08:00","expiry":"2020-04-01T00:00:00+08:00"}
J
jq -c --argjson t "$feb" '{timestamp: $t, key: .account, value: .}' <"$DIR/facts" | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "${PREFIX}meterd.accounts" || fail accounts
facts() { curl -fsS "http://127.0.0.1:$(sed -n 's/.*http_port=//p' "$DIR/m.log" | tail -n 1)/metrics" | sed -n 's/^meterd_accounts_records_total //p'; }
wait_for 30 '[[ $(facts) == 2 ]]' 'pack and contract are known'
call acme tag 10299 $((feb + lead + 60000))
call acme tag 2 $((feb + lead + 60001))
call acme tag 198 $((feb + lead + 60002))
call acme tag 1 $((feb + lead + 60003))
call deal crop 999 $((feb + lead + 60004))
call deal crop 1 $((feb + lead + 60005))
call deal crop 500 $((feb + lead + 60006))
wait_for 60 drained
wait_for 60 '[[ $(alerts | grep -c pack) == 2 ]]' 'both alerts of the pack'
expect_equal "alerts" "$(alerts)" '["free_quota.warning","tag",8000,0,9000,"1",null,null]
["tier.crossed","tag",5000,9000,9000,null,"price book small-1, rules version 2",null]
["free_quota.warning","tag",7600,9550,9550,null,"price book small-1, rules version 3",null]
["free_quota.exhausted","tag",9500,9550,9550,null,"price book small-1, rules version 3",null]
["tier.crossed","tag",5000,0,10299,"8",null,null]
["free_quota.warning","tag",7600,0,10299,"8",null,null]
["free_quota.exhausted","tag",9500,0,10299,"8",null,null]
["pack.warning","tag",800,10299,10301,"9",null,"p-1"]
["pack.exhausted","tag",1000,10499,10500,"11",null,"p-1"]'

# The contract's 7,000 free calls: 80 % of them were behind already when it took effect, the last one is a call.
wait_for 60 '[[ $(alerts deal | wc -l) == 2 ]]' 'both alerts of the contract'
expect_equal "alerts" "$(alerts deal)" '["free_quota.warning","crop",5600,6000,6000,null,"contract c-1, version 1",null]
["free_quota.exhausted","crop",7000,6999,7000,"13",null,null]'

# -- whose contract decides instead of the price list; what an event is changes with the record clock
sed -i '/id: crop/,/id: pool-a/s/name: crop/&\n    aliases: [CropImage]/; /id: crop/,/id: pool-a/s/immediate}\]/immediate}, {from: 2020-02, calls: 500, warn: none, first_month: immediate}]/' "$DIR/book.yaml"
expect_equal "what would change" "$(ctl_q rules diff --format ndjson | jq -c '[.what, .service, .from, .effective, .accounts, .calls, .sample, .by_contract, .contracts]')" \
	'["alias","crop",null,"2020-02-01T16:03:00.006Z",null,null,null,null,null]
["free calls","crop","2020-02",null,1,1,"other",1,"deal (c-1/1)"]'

# -- January is settled: its price stays
book -e 's/{from: 1_000_000, price: 2.2}/{from: 5_000, price: 1.0}/' -e '0,/calls: 10_000/s//calls: 9_500/'
control=$(ends "$CONTROL")
refusal='meterctl rules: refused: service `tag` has another price or quota in 2020-01, which is settled: leave that month as it was and let the change begin with a later month'
expect_equal "refused" "$(words ctl rules apply)" "$refusal"
expect_code 78 ctl_q rules apply
expect_equal "so says the difference" "$(words ctl rules diff)" "$refusal"
expect_code 78 ctl_q rules diff
expect_equal "also to programs" "$(ctl_q rules diff --format ndjson | jq -r 'select(.what == "refused") | .after')" "${refusal#*refused: }"
kill -HUP "${PIDS[m]}"
wait_for 30 'grep -qF "event=rules_refused why=\"${refusal#*refused: }\"" "$DIR/m.log"' 'the refusal of a reload'
wait_for 30 'curl -fsS "http://127.0.0.1:$(sed -n "s/.*http_port=//p" "$DIR/m.log" | tail -n 1)/api/v1/status" | jq -e ".reload | startswith(\"other rules refused: service \`tag\`\")" >/dev/null' 'the reason in the status'
expect_equal "nothing is written" "$(requests) $(ends "$CONTROL")" "0 $control"
expect_equal "versions" "$(versions | jq -c '.[0:2]' | tr '\n' ' ')" '[1,"replaced"] [2,"replaced"] [3,"replaced"] [4,"in force"] '
expect_equal "no more than these" "$(versions | wc -l)" 4
expect_equal "a version's price book" "$(ctl rules show 1)" "$(cat "$ROOT/tests/table/settlement.yaml")"

# -- two proposals at once, of which the first makes the second impossible: that one lacks the new service
ctl rules show 4 >"$DIR/book.yaml"
sed 's/^shared_free:/  - id: extra\n    name: extra\n    prices:\n      - {from: 2020-04, model: flat, per: 1, price: 1}\n&/' "$DIR/book.yaml" >"$DIR/first.yaml"
sed 's/^version: .*/version: second/' "$DIR/book.yaml" >"$DIR/second.yaml"
pause m
ctl rules apply "$DIR/first.yaml" --timeout 60 >/dev/null 2>&1 &
first=$!
wait_for 30 '(( $(requests) == 1 ))' 'the first proposal'
ctl rules apply "$DIR/second.yaml" --timeout 60 >/dev/null 2>"$DIR/words" &
second=$!
wait_for 30 '(( $(requests) == 2 ))' 'the second proposal'
resume m
wait "$first"
expect_equal "the first" $? 0
wait "$second"
expect_equal "the second" "$? $(cat "$DIR/words")" '78 meterctl rules: refused: service `extra` is gone: services never vanish; put it back and give it an `end`'
wait_for 30 '(( $(requests) == 0 ))' 'both are taken'
expect_equal "versions" "$(versions | wc -l)" 5

# -- the bills
# acme, tag, January: 9,000 + 550 + 50 = 9,600 calls, by version 4 (the newest when the month was settled): tier 2 from 5,000 on, 2.0 per
#   1,000; 9,500 free, 100 billable: 0.20. Freeze: 9,600 x 2.0 / 1,000 = 19.20.
# acme, tag, February: 10,299 + 2 + 198 + 1 = 10,500 calls; 9,500 free, 1,000 from the pack, none billable. Unfreeze 19.20; freeze
#   10,500 x 2.0 / 1,000 = 21.00.
# deal, crop, February: 6,000 + 999 + 1 + 500 = 7,500 calls; 7,000 free by contract, 500 x 2 / 1,000 = 1.00. Freeze by the price list:
#   7,500 x 2 / 1,000 = 15.00.
call other crop 1 1583078400000
wait_for 60 'settled 2020-02' 'the end of February'
stop m
bills() { ctl_q settlements --account "$1" --kind settlement --format ndjson | jq -c '.data | [.period, .calls, .free, (.packs | map("\(.id):\(.calls)") | join(",")), .billable, .unit_price, .charge, .unfreeze, .freeze]'; }
expect_equal "bills of acme" "$(bills acme)" '["2020-01",9600,9500,"",100,"2","0.20","0.00","19.20"]
["2020-02",10500,9500,"p-1:1000",0,"2","0.00","19.20","21.00"]'
expect_equal "bills of deal" "$(bills deal)" '["2020-02",7500,7000,"",500,"2","1.00","0.00","15.00"]'
proved
