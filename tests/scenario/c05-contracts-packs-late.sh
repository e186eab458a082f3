# SPDX-License-Identifier: Apache-2.0
# Three months of one account with a contract, two packs, free calls that two services share, and late calls; the daemon is killed in
# between. Every figure is worked out by hand, with the price book of tests/table/settlement.yaml, and once more by the auditor. Then
# all of it is proved from Kafka alone, and what was changed afterwards is found.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m "catalog=$ROOT/tests/table/settlement.yaml"
expect_code 0 ctl init
said() { jq -c '{timestamp: 1577700000000, key: .account, value: .}' | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "${PREFIX}meterd.accounts"; }
said <<-J || fail accounts
{"type":"pack","account":"acme","id":"p-2","version":1,"services":["tag","crop"],"calls":4000,"price":"9.00","start":"2020-01-01T00:00:00+08:00","expiry":"2021-01-01T00:00:00+08:00"}
{"type":"pack","account":"acme","id":"p-1","version":1,"services":["tag"],"calls":5000,"price":"9.00","start":"2020-01-15T00:00:00+08:00","expiry":"2020-04-01T00:00:00+08:00"}
{"type":"contract","account":"acme","id":"c-1","version":1,"from":"2020-02","services":[{"service":"crop","prices":{"model":"volume","per":1000,"tiers":[{"from":0,"price":"1"}]},"free":{"calls":5000}}]}
J
n=0
call() { # account service calls stamp [time]: the event's own time, where it is late
	n=$((n + 1))
	event id=$n account="$1" service="$2" time="${5:-$4}" calls="$3" | jq -c --argjson t "$4" --arg a "$1" '{partition: 0, timestamp: $t, key: $a, value: .}' | produce
}
jan=1579046400000 feb_close=1580572800000 mar_close=1583078400000 apr_close=1585756800000 # closes of January, February, March
call acme tag 17000 $jan
call acme crop 11500 $((jan + 1))
call acme pool-a 6000 $((jan + 2))
call acme pool-b 7000 $((jan + 3))
call later crop 1 $feb_close
start m
wait_for 60 'settled 2020-01' 'the end of January'
kill9 m
call acme tag 1000 $((feb_close + 1)) $jan
call acme pool-a 500 $((feb_close + 2)) $jan
call acme crop 8000 $((feb_close + 3))
call later crop 1 $mar_close
start m
wait_for 60 'settled 2020-02' 'the end of February'
call acme crop 1000 $((mar_close + 1)) $((feb_close + 3))
call later crop 1 $apr_close
wait_for 60 'settled 2020-03' 'the end of March'
stop m
auditor_agrees

lines=$(ctl_q settlements --format ndjson | jq -c 'select(.type == "meterd.settlement.v1" and .data.account == "acme") | .data |
	[.period, .service, .revision, .calls, .free, (.packs | map("\(.id):\(.calls)") | join(",")), .billable, .charge, .unfreeze, .freeze, .difference]' | sort)
expect_equal "lines" "$lines" '["2020-01","crop",0,11500,10000,"p-2:1500",0,"0.00","0.00","23.00",null]
["2020-01","pool-a",0,6000,6000,"",0,"0.00","0.00","15.00",null]
["2020-01","pool-a",1,6500,6000,"",500,"1.25","0.00","0.00","1.25"]
["2020-01","pool-b",0,7000,4000,"",3000,"7.50","0.00","17.50",null]
["2020-01","tag",0,17000,10000,"p-1:5000,p-2:2000",0,"0.00","0.00","42.50",null]
["2020-01","tag",1,18000,10000,"p-1:5000,p-2:2500",500,"1.25","0.00","0.00","1.25"]
["2020-02","crop",0,8000,5000,"",3000,"3.00","23.00","16.00",null]
["2020-02","crop",1,9000,5000,"",4000,"4.00","0.00","0.00","1.00"]
["2020-02","pool-a",0,0,0,"",0,"0.00","15.00","0.00",null]
["2020-02","pool-b",0,0,0,"",0,"0.00","17.50","0.00",null]
["2020-02","tag",0,0,0,"",0,"0.00","42.50","0.00",null]
["2020-03","crop",0,0,0,"",0,"0.00","16.00","0.00",null]'
bills=$(ctl_q settlements --format ndjson | jq -c 'select(.type == "meterd.statement.v1" and .data.account == "acme") | .data |
	[.period, .revision, (.lines | length), .charge, .unfreeze, .freeze]' | sort)
expect_equal "statements" "$bills" '["2020-01",0,4,"7.50","0.00","98.00"]
["2020-01",1,4,"10.00","0.00","40.50"]
["2020-02",0,4,"3.00","98.00","16.00"]
["2020-02",1,4,"4.00","75.00","0.00"]
["2020-03",0,1,"0.00","16.00","0.00"]'
ends=$(ctl_q settlements --format ndjson | jq -c 'select(.type == "meterd.period.closed.v1") | .data | [.period, .charge, .adjustments, .difference]' | sort)
expect_equal "ends of run" "$ends" '["2020-01","7.50",0,"0.00"]
["2020-02","3.00",2,"2.50"]
["2020-03","0.00",1,"1.00"]'

# -- the account's month as one paper
expect_equal "a statement" "$(ctl_q statement acme 2020-01 --format csv | tr -d '\r')" 'service,revision,calls,free,packs,billable,tier,unit_price,per,charge,before,difference,unfreeze,freeze
tag,1,18000,10000,7500,500,1,2.5,1000,1.25,0.00,1.25,0.00,0.00
crop,0,11500,10000,1500,0,1,2,1000,0.00,,,0.00,23.00
pool-a,1,6500,6000,0,500,1,2.5,1000,1.25,0.00,1.25,0.00,0.00
pool-b,0,7000,4000,0,3000,1,2.5,1000,7.50,,,0.00,17.50
total,1,,,,,,,,10.00,7.50,2.50,0.00,40.50'
expect_equal "as it was first" "$(ctl_q statement acme 2020-01 --revision 0 --json | jq -c '[.revision, .charge, .freeze, (.lines | map(.service)), (.revisions | length)]')" \
	'[0,"7.50","98.00",["tag","crop","pool-a","pool-b"],1]'
expect_code 75 ctl_q statement acme 2020-04

# -- explained, as a person would
last() { tail -n 1 <<<"$1"; }
paper=$(ctl_q explain acme 2020-01 --lang en) || fail "the month does not add up: $paper"
expect_equal "the month explained" "$(last "$paper")" 'Charge: 10.00 CNY'
expect_match "shared free calls" "$paper" 'Services before this one took 6,000 of them: 10,000 - 6,000 = 4,000 are left for it'
expect_match "an adjustment" "$paper" 'Adjustment 1: revision 0 charged 0\.00 for 17,000 calls: 1\.25 - 0\.00 = 1\.25 is the difference'
expect_match "two packs" "$paper" 'pack p-2 \(of 4,000 calls, 2020-01 to 2020-12\): 3,000 - 2,500 = 500'
paper=$(ctl_q explain acme 2020-02 crop --lang zh) || fail "crop in February does not add up: $paper"
expect_equal "a service explained" "$(last "$paper")" '应收：4.00 CNY，差额 1.00'
expect_match "the list price" "$paper" '同样的调用按刊例价为 6；按合同收取 3'
expect_match "what was frozen" "$paper" '解冻：23\.00，由 2020-01 的结算冻结'
id=$(ctl_q settlements --format ndjson | jq -r 'select(.data.account == "acme" and .data.service == "pool-b" and .data.revision == 0 and .data.period == "2020-01") | .id')
expect_equal "a document explained" "$(last "$(ctl_q explain "$id" --lang en)")" 'Charge: 7.50 CNY'
expect_equal "the same order of words" "$(ctl_q explain acme pool-b 2020-01 --lang en)" "$(ctl_q explain "$id" --lang en)"
expect_code 78 ctl_q explain 00000000000000000000000000000000
expect_code 75 ctl_q explain acme 2020-04
expect_code 78 ctl_q explain acme 2020-01 nothing

# -- quoted by what holds for the account: of p-1 nothing is left in March, of p-2 the 4,000 - 1,500 - 2,500 that are gone
expect_equal "a quote in March" "$(ctl_q quote --account acme --service tag --calls 12000 --period 2020-03 --format ndjson | jq -c '[.free, .packs, .charge, .contract]')" \
	'[10000,[],"5.00",null]'
expect_equal "a quote in January" "$(ctl_q quote --account acme --service tag --calls 12000 --period 2020-01 --format ndjson | jq -c '[.free, .packs, .charge]')" \
	'[10000,[{"id":"p-1","calls":2000}],"0.00"]'
expect_equal "a quote under the contract" "$(ctl_q quote --account acme --service crop --calls 6000 --period 2020-03 --format ndjson | jq -c '[.free, .charge, .contract, .list_charge]')" \
	'[5000,"1.00","c-1/1","2.00"]'
expect_code 78 ctl_q statement nobody 2020-01

# -- proved, without Redis
kill9_redis
words() { "$@" 2>&1 >/dev/null | head -n 1; }
expect_match "proof" "$(words ctl prove --format ndjson)" '^meterctl prove: 24 documents proved, byte for byte; 0 findings\. Read 12 records of 2 partitions, 10 of them with calls; settled 2020-01 to 2020-03 again$'
id_of() { ctl_q settlements --format ndjson | jq -r "select(.data.account == \"acme\" and $1) | .id"; }
tag=$(id_of '.data.service == "tag" and .data.revision == 1')
proved "$tag"
proved --period 2020-02
proved --account later
expect_equal "an id that is none" "$(words ctl prove nonsense)" 'meterctl prove: nonsense is no id of a settlement or statement: 32 hexadecimal digits, as `meterctl settlements --format ndjson` shows them'
expect_code 78 ctl_q prove 00000000000000000000000000000000
expect_code 78 ctl_q prove --period 2020-07
expect_code 64 ctl_q prove "$tag" --period 2020-01

# -- a document that was changed, and one that nobody made
findings() { ctl_q prove --format ndjson "$@" | jq -c '[.finding, .period, .account, .service, .field, .published, .derived]'; }
republish() { jq -c '{key: .data.account, value: .}' | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "$SETTLEMENTS" || fail republish; }
ctl_q settlements --format ndjson | jq -c "select(.id == \"$tag\")" >"$DIR/tag.json"
jq -c '.data.charge = "1.20"' "$DIR/tag.json" | republish
expect_equal "published twice" "$(findings "$tag")" '["published twice","2020-01","acme","tag",null,null,null]'
expect_code 1 ctl_q prove
jq -c '.id = "00000000000000000000000000000001"' "$DIR/tag.json" | republish
expect_equal "of nobody" "$(findings 00000000000000000000000000000001)" '["not derived","2020-01","acme","tag",null,null,null]'

# -- another log: the topic made again, with a call less. The closer's ticks in partition 1 had an end marker behind each.
read_log() { timeout 60 kcat -b "$(bootstrap)" -C -t "$INPUT" -p "$1" -e -q -o beginning -f "$2" 2>/dev/null; }
read_log 0 '{"partition":0,"timestamp":%T,"key":"%k","value":%s}\n' >"$DIR/log.ndjson"
read_log 1 '{"partition":1,"timestamp":%T,"headers":[["__meterd.tick","1"]]}\n' | sed p >>"$DIR/log.ndjson"
expect_equal "records of the log" "$(wc -l <"$DIR/log.ndjson")" 17
again() { # the log by a filter
	"$PYTHON" "$LIB/topics.py" delete "$(bootstrap)" --prefix "$INPUT" || fail delete
	topics --stamps any --partitions 2 --only usage.calls
	jq -c "$1" "$DIR/log.ndjson" | produce
}
again .
expect_equal "the same log" "$(findings --period 2020-01)" ''
again 'if .value.service == "tag" and .value.calls == 17000 then .value.calls = 16999 else . end'
expect_equal "a call less" "$(findings --period 2020-01 | sort)" '["differs","2020-01","acme","tag","data.calls","17000","16999"]
["differs","2020-01","acme","tag","data.packs","[{\"id\":\"p-1\",\"calls\":5000},{\"id\":\"p-2\",\"calls\":2000}]","[{\"id\":\"p-1\",\"calls\":5000},{\"id\":\"p-2\",\"calls\":1999}]"]
["manifest","2020-01",null,null,"calls","41500","41499"]'
