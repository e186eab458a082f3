# SPDX-License-Identifier: Apache-2.0
# Redis refuses to write (full), then there is room again: consuming stops meanwhile, nothing is lost, the service stays up.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m flush.max_interval=20ms flush.max_events=500
expect_code 0 ctl init
ctl gen --events 20000 --accounts 40 --seed 4 --no-ticks >/dev/null || fail gen
redis_do "$DIR" config set maxmemory 1mb >/dev/null
start m
wait_for 60 'grep -qiE "OOM|memory" "$DIR/m.log"' 'a word about the full Redis'
running m || fail "meterd ended because Redis is full"
redis_do "$DIR" config set maxmemory 0 >/dev/null
wait_for 60 drained
wait_for 30 outbox_empty
auditor_agrees
stop m
