# SPDX-License-Identifier: Apache-2.0
# Redis refuses to write (full), then there is room again: consuming stops meanwhile, nothing is lost, the service stays up.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m
expect_code 0 ctl init
span() { ctl gen --events 20000 --accounts 40 --seed "$1" --from "$2" --to "$3" "${@:4}" >/dev/null || fail gen; }
span 4 2020-01-20T00:00:00+08:00 2020-01-28T00:00:00+08:00 --no-ticks
start m
wait_for 60 drained
redis_do "$DIR" config set maxmemory 1mb >/dev/null
span 5 2020-01-28T00:00:00+08:00 2020-02-10T00:00:00+08:00
wait_for 60 'grep -q OOM "$DIR/m.log"' 'a word about the full Redis'
running m || fail "meterd ended because Redis is full"
expect_equal "records taken in while Redis is full" "$(ledger consumed)" 20000
redis_do "$DIR" config set maxmemory 0 >/dev/null
wait_for 60 drained
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
auditor_agrees
stop m
