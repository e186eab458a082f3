# SPDX-License-Identifier: Apache-2.0
# Free calls that begin in the month after the activation (first_month: next), and a call of an earlier month that comes while both months
# are open: it moves the activation. A rung that was passed before is not raised afterwards, however the calls are batched and whether or
# not meterd is restarted in between; the next one is raised by its call.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 1
config m
expect_code 0 ctl init
hour=3600000 feb=1580486400000 # 2020-02-01T00:00:00+08:00
n=0
put() { # account time calls stamp
	n=$((n + 1))
	event id=$n account="$1" service=image-tag-legacy time="$2" calls="$3" | jq -c --argjson t "$4" '{partition: 0, timestamp: $t, key: "x", value: .}' | produce
}
february() { put "$1" $((feb + 10 * hour)) 9000 $((feb + 10 * hour)); } # its activation: no free calls, so no warning at 8,000
january() { put "$1" $((feb - hour)) 1 $((feb + 11 * hour)); }          # moves it
later() { put "$1" $((feb + 12 * hour)) "${2:-1}" $((feb + 12 * hour)); }
step() { "$@"; wait_for 60 drained; }

february batch; january batch; later batch
start m
wait_for 60 drained
step february alone; step january alone; step later alone
step february again; step january again
stop m
start m
step later again
step later again 999 # 10,000 of 10,000
wait_for 60 outbox_empty
expect_equal "alerts" "$(ctl_q alerts --format ndjson | jq -c '[.type, .data.account, .data.calls_before, .data.calls_after]')" \
	'["meterd.free_quota.exhausted.v1","again",9001,10000]'
auditor_agrees
stop m
