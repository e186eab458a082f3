# SPDX-License-Identifier: Apache-2.0
# Bounds to the call: quota used up at exactly 10,000, the next tier at exactly 1,000,000 (not at 999,999); a call that jumps over
# two bounds alerts for each; the bill falls at the boundary. Then the month closes and is settled.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 3
config m
expect_code 0 ctl init
start m
day=1579046400000 # 2020-01-15T08:00+08:00
call() { # id calls
	event id="$1" account=acme service=image-tag time=$day calls="$2" |
		jq -c --argjson t $day '{partition: 1, timestamp: $t, key: "acme", value: .}' | produce
	day=$((day + 1000))
}
alerts() { ctl_q alerts --format ndjson | jq -c 'select(.data.account == "acme") | [.data.kind, .data.threshold, .data.call.id, .data.calls_before, .data.calls_after, .data.bill_before, .data.bill_after]'; }
call a 9999
call b 1
call c 989999
wait_for 60 drained
wait_for 30 '[[ $(alerts | wc -l) == 2 ]]' 'two alerts'
expect_equal "alerts below the bound" "$(alerts)" '["free_quota.warning",8000,"a",0,9999,null,null]
["free_quota.exhausted",10000,"b",9999,10000,null,null]'
call d 1
wait_for 30 '[[ $(alerts | wc -l) == 3 ]]' 'the alert at the bound'
expect_equal "alert at the bound" "$(alerts | tail -n 1)" '["tier.crossed",1000000,"d",999999,1000000,"2474.9975","2178"]'
call e 14500000
wait_for 30 '[[ $(alerts | wc -l) == 5 ]]' 'two more alerts'
expect_equal "jump over two bounds" "$(alerts | tail -n 2)" '["tier.crossed",3000000,"e",1000000,15500000,"2178","23235"]
["tier.crossed",15000000,"e",1000000,15500000,"2178","23235"]'

# February 2nd, 00:00+08:00 in one partition: the others are idle and get ticks
call_at() { jq -nc '{partition: 1, timestamp: 1580572800000, key: "acme", value: {id: "f", account: "acme", service: "image-tag", time: 1580572700000}}' | produce; }
call_at
wait_for 60 'settled 2020-01' 'the end of January'
line=$(ctl_q settlements --format ndjson | jq -c 'select(.type == "meterd.settlement.v1") | .data | [.calls, .free, .billable, .tier, .unit_price, .exact, .charge, .unfreeze, .freeze]')
expect_equal "settlement" "$line" '[15500000,10000,15490000,4,"1.5","23235","23235.00","0.00","23250.00"]'
wait_for 30 drained
auditor_agrees
stop m
