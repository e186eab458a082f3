# SPDX-License-Identifier: Apache-2.0
# usage with a contract, packs, shared free calls and late calls: an open month with its forecast, and the same months when they are settled.
# The HTTP interface says the same, field by field, and says why where it cannot. Every figure is worked out by hand, with the price book of tests/table/settlement.yaml and the facts of tests/table/facts.ndjson.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
port=$(free_ports 1)
config m "catalog=$ROOT/tests/table/settlement.yaml" http.listen="127.0.0.1:$port"
expect_code 0 ctl init
jq -c '{timestamp: 1577700000000, key: .account, value: .}' "$ROOT/tests/table/facts.ndjson" |
	"$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "${PREFIX}meterd.accounts" || fail accounts
n=0
call() { # account service calls stamp [time]
	n=$((n + 1))
	event id=$n account="$1" service="$2" time="${5:-$4}" calls="$3" | jq -c --argjson t "$4" --arg a "$1" '{partition: 0, timestamp: $t, key: $a, value: .}' | produce
}
usage() { ctl_q usage acme "$@" --format ndjson; }
api() { curl -sS "http://127.0.0.1:$port/api/v1/usage?$1" 2>>"$DIR/curl.log"; }
code() { curl -sS -o "$DIR/body" -w '%{http_code} %{content_type}' "http://127.0.0.1:$port/api/v1/usage?$1" 2>>"$DIR/curl.log"; }
detail() { jq -r .detail "$DIR/body"; }
# What the topics say may be a second old, so the same is waited for.
says_the_same() { # words of meterctl; parameters
	local words="$1" parameters="$2"
	wait_for 30 "diff <(api '$parameters' | jq -S .) <(ctl_q usage $words --format json | jq -S .) >'$DIR/diff'" "the same of '$words' over HTTP"
	(($(api "$parameters" | jq length) > 0)) || fail "nothing is said of '$words' over HTTP: $(api "$parameters")"
}
day=86400000 jan=1579046400000 feb=1580486400000 mar_close=1583078400000 # February begins; the close of February

# -- February, ten days in: 800 calls of crop a day, 500 of tag, 400 that share free calls
call acme tag 17000 $jan
call acme tag 3000 $((feb + 5 * day)) $jan # late: January was closed on the 2nd
call acme tag 5000 $((feb + 6 * day))
call acme pool-a 3000 $((feb + 7 * day))
call acme pool-b 1000 $((feb + 8 * day))
call acme crop 8000 $((feb + 10 * day))
start m
wait_for 60 'settled 2020-01' 'the end of January'
wait_for 30 '[[ $(usage crop | jq .calls) == 8000 ]]' 'the last call'
pick='[.service, .calls, .late, .free, (.packs | map("\(.id) \(.calls) \(.left) \(.ends // "-")") | join(", ")), .billable, .free_left, .charge, .contract, .shared, .revision, .adjusted]'
expect_equal "February so far" "$(usage | jq -c "$pick")" '["crop",8000,0,5000,"p-2 2000 0 reached",1000,0,"1.00","c-1/1",null,null,null]
["pool-a",3000,0,3000,"",0,6000,"0.00",null,"pool",null,null]
["pool-b",1000,0,1000,"",0,6000,"0.00",null,"pool",null,null]
["tag",5000,0,5000,"p-1 0 0 reached, p-2 0 0 reached",0,5000,"0.00",null,null,null,null]'
# At the end tag takes the 2,000 that are left of p-2 before crop does: 14,500 - 10,000 - 2,000 = 2,500; 23,200 - 5,000 = 18,200.
expect_equal "its forecast" "$(usage | jq -c '[.service, .clock, .free_ends, .next_tier, .month_calls, .month_charge]')" \
	'["crop","2020-02-10T16:00:00.000Z","reached",null,23200,"18.20"]
["pool-a","2020-02-10T16:00:00.000Z","2020-02-25T16:00:00.000Z",null,8700,"0.00"]
["pool-b","2020-02-10T16:00:00.000Z","2020-02-25T16:00:00.000Z",null,2900,"4.00"]
["tag","2020-02-10T16:00:00.000Z","2020-02-20T16:00:00.000Z","not at this rate",14500,"6.25"]'
says_the_same acme 'account=acme'
says_the_same 'acme tag' 'account=acme&service=tag'
says_the_same 'acme --period 2020-01' 'account=acme&period=2020-01'
words=$(ctl_q usage acme --format table)
expect_equal "in words" "$(sed '1,/^$/d' <<<"$words")" 'At the rate of 2020-02 up to 2020-02-10T16:00:00.000Z:
acme crop: 23,200 calls and 18.20 CNY at the month'\''s end; contract c-1/1; free calls end: reached
acme pool-a: 8,700 calls and 0.00 CNY at the month'\''s end; shares free calls (pool): 6,000 left; free calls end: 2020-02-25T16:00:00.000Z
acme pool-b: 2,900 calls and 4.00 CNY at the month'\''s end; shares free calls (pool): 6,000 left; free calls end: 2020-02-25T16:00:00.000Z
acme tag: 14,500 calls and 6.25 CNY at the month'\''s end; free calls end: 2020-02-20T16:00:00.000Z; tier 2: not at this rate
acme pack p-1: 0 of 5,000 calls left; ends: reached
acme pack p-2: 0 of 4,000 calls left; ends: reached'
expect_equal "January, before its late calls are adjusted" "$(usage --period 2020-01 | jq -c "$pick")" \
	'["tag",17000,3000,10000,"p-1 5000 0 -, p-2 2000 2000 -",0,0,"0.00",null,null,0,"0.00"]'

# -- February is settled: the late calls take the rest of p-2 first, 1,000 of them are charged; nothing of it is left for crop
call later crop 1 $mar_close
wait_for 60 'settled 2020-02' 'the end of February'
says_the_same 'acme --period 2020-01' 'account=acme&period=2020-01'
says_the_same 'acme --period 2020-02' 'account=acme&period=2020-02'
says_the_same 'later' 'account=later'
stop m
expect_equal "January, adjusted" "$(usage --period 2020-01 | jq -c "$pick")" \
	'["tag",17000,3000,10000,"p-1 5000 null -, p-2 4000 null -",1000,0,"2.50",null,null,1,"2.50"]'
expect_equal "February, settled" "$(usage --period 2020-02 | jq -c "$pick")" '["crop",8000,0,5000,"p-2 0 0 -",3000,0,"3.00","c-1/1",null,0,"0.00"]
["pool-a",3000,0,3000,"",0,6000,"0.00",null,"pool",0,"0.00"]
["pool-b",1000,0,1000,"",0,6000,"0.00",null,"pool",0,"0.00"]
["tag",5000,0,5000,"p-1 0 0 -, p-2 0 0 -",0,5000,"0.00",null,null,0,"0.00"]'
expect_equal "no forecast of what is over" "$(usage --period 2020-02 | jq -r '.month_charge' | sort -u)" null
expect_match "an adjustment in words" "$(ctl_q usage acme --period 2020-01 --format table)" 'acme tag: settled, adjusted 1 time by 2\.50 together'
expect_equal "the statement agrees" "$(ctl_q statement acme 2020-02 --json | jq -c '[.charge, (.lines | map(.charge))]')" '["3.00",["0.00","3.00","0.00","0.00"]]'
expect_equal "an account without calls" "$(ctl_q usage nobody --format ndjson)" ''

# -- over HTTP: what is wrong, what is not there, and what is away
problem='application/problem+json'
start m
wait_for 30 '[[ $(code account=acme) == "200 application/json" ]]' 'the interface to be there again'
expect_equal "no account" "$(code service=tag)" "400 $problem"
expect_match "which is said" "$(detail)" '^the parameter account is missing'
expect_equal "a bad month" "$(code 'account=acme&period=2020-1')" "400 $problem"
expect_equal "which is said" "$(detail)" 'period=2020-1 is no month: write it as 2020-01'
expect_equal "an account without calls" "$(code account=nobody)" "404 $problem"
expect_equal "which is said" "$(detail)" 'account nobody has no calls'
expect_equal "a service without calls" "$(code 'account=later&service=tag&period=2020-03')" "404 $problem"
expect_equal "which is said" "$(detail)" 'account later has no calls of service tag in 2020-03'
kill9_redis
wait_for 30 '[[ $(code account=acme) == "503 $problem" ]]' '503 while Redis is away'
expect_match "it says what is away" "$(detail)" '[Rr]edis'
expect_equal "the process is healthy" "$(curl -sS "http://127.0.0.1:$port/-/healthy")" healthy
restart_redis
says_the_same 'acme --period 2020-02' 'account=acme&period=2020-02'
stop m
