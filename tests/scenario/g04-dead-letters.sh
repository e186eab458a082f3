# SPDX-License-Identifier: Apache-2.0
# A service that the price book forgot: its calls are put aside, listed, shown; with the service in the rules they are given back, each once, in their
# month where it is open and as late calls where it is not. A second time, and a second hand at the same time, give nothing back twice.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
cp "$ROOT/tests/table/settlement.yaml" "$DIR/book.yaml"
port=$(free_ports 1)
config m "catalog=$DIR/book.yaml" rules.lead=1m http.listen="127.0.0.1:$port"
expect_code 0 ctl init
call() { # id account service calls stamp partition
	event id="$1" account="$2" service="$3" time="$5" calls="$4" | jq -c --argjson t "$5" --arg a "$2" --argjson p "$6" '{partition: $p, timestamp: $t, key: $a, value: ., headers: [["trace", "t-1"]]}' | produce
}
jan=1579046400000 feb=1580572800000 # 2020-01-15, and the close of January
start m
call 1 acme tag 10 $jan 0
call 2 acme brandnew 7 $((jan + 1)) 0
call 3 bolt brandnew 5 $((jan + 2)) 1
call 4 bolt nowhere 3 $((jan + 3)) 1
wait_for 60 '[[ $(ledger rejected) == 3 ]]' 'three rejected'
letters() { ctl_q dlq list --format ndjson "$@" | jq -c '[.position, .code, .account, .requeued]'; }
expect_equal "listed" "$(letters | sort)" "[\"$INPUT/0/1\",\"service_unknown\",\"acme\",false]
[\"$INPUT/1/0\",\"service_unknown\",\"bolt\",false]
[\"$INPUT/1/1\",\"service_unknown\",\"bolt\",false]"
expect_equal "of one account" "$(letters --account acme | wc -l) $(letters --code json_syntax | wc -l) $(letters --since 2020-01-15T00:00:00.002Z | wc -l)" "1 0 2"
expect_equal "shown" "$(ctl_q dlq show "$INPUT/0/1" | jq -r .id)" 2
expect_code 1 ctl_q dlq show "$INPUT/0/0"
expect_code 64 ctl_q dlq show
expect_code 64 ctl_q dlq requeue --all

left() { curl -fsS "http://127.0.0.1:$port/metrics" | sed -n 's/^meterd_dead_letters{code="service_unknown"} //p'; }
wait_for 30 '[[ $(left) == 3 ]]' 'the number left'
expect_match "status" "$(ctl_q status --format table)" 'rejected  3 records wait in the dead-letter topic: 3 service_unknown;'

# -- not before the rules know it: it comes back, once
expect_code 0 ctl_q dlq requeue
expect_equal "only told" "$(ledger consumed)" 4
expect_code 0 ctl_q dlq requeue "$INPUT/1/1" --yes
wait_for 60 '[[ $(ledger rejected) == 4 ]]' 'the one that is still wrong'
expect_equal "a letter of its own" "$(letters --all | grep -c '"nowhere"\|/1/2\|true')" 2

# -- the rules learn it
"$PYTHON" - "$DIR/book.yaml" <<'P'
import sys
text = open(sys.argv[1]).read()
i = text.index("services:") + len("services:\n")
row = "model: volume, per: 1000, bounds: lower-inclusive, tier_basis: total, tiers: [{from: 0, price: 1}]"
open(sys.argv[1], "w").write(text[:i] + "  - id: brandnew\n    name: brandnew\n    prices:\n      - {from: 2020-01, " + row + "}\n" + text[i:])
P
expect_code 0 ctl_q rules apply
call 5 acme tag 1 $((jan + 120000)) 0
call 6 bolt tag 1 $((jan + 120000)) 1
wait_for 60 '[[ $(ledger counted) == 3 ]]' 'both partitions to be past the lead'
expect_code 0 ctl_q dlq requeue --account acme --yes
wait_for 60 '[[ $(ledger counted) == 4 ]]' 'the one of the open month'
call 7 bolt tag 1 $((feb + 120000)) 1
wait_for 60 'settled 2020-01' 'the end of January'

# -- two hands at the same time: one is fenced, or finds nothing left
ctl dlq requeue --code service_unknown --yes 2>"$DIR/one" &
one=$!
ctl dlq requeue --code service_unknown --yes 2>"$DIR/two"
wait "$one"
wait_for 60 '[[ $(ledger late) == 1 ]]' 'what was given back'
wait_for 30 '[[ $(left) == 1 ]]' 'the number left' # not the two of nowhere that are marked: theirs came again
expect_equal "no letter is left but the one of a service that nobody knows" "$(letters | wc -l)" 1
expect_equal "counted once" "$(ctl_q counters --format ndjson | jq -c 'select(.service == "brandnew") | [.account, .period, .calls, .late]' | sort)" '["acme","2020-01",7,0]
["bolt","2020-01",0,5]'
expect_equal "nothing came twice" "$(ledger duplicate)" 0
