# SPDX-License-Identifier: Apache-2.0
# One call through kcat: counted, shown by usage and counters, and the ledger balances.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics
config m clock=wall
expect_code 0 ctl init
start m
now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
event id=1 account=100001234567 service=DetectLabel time="$now" calls=3 | kcat -P -b "$(bootstrap)" -t "$INPUT" -k 100001234567
wait_for 120 drained # also under valgrind
got=$(ctl counters --format ndjson)
expect_equal calls "$(jq -c '[.account, .service, .calls, .late]' <<<"$got")" '["100001234567","image-tag",3,0]'
expect_code 0 ctl audit
expect_match usage "$(ctl usage 100001234567 --format ndjson)" '"calls": ?3'
stop m
