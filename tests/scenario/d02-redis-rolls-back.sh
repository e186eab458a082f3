# SPDX-License-Identifier: Apache-2.0
# Redis comes back with its past: first the tail of the AOF is cut off, then a copy from before is put back. Offsets go back with
# the counters, so the events are read again: the same result, and no alert a second time.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m redis.timeout=1s flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 200000 --accounts 80 --seed 6 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
start m
wait_for 60 '(( $(ledger consumed) > 30000 ))' 'some records taken in'
redis_save "$DIR"
wait_for 60 '(( $(ledger consumed) > 80000 ))' 'more records taken in'
kill9_redis
redis_aof_cut "$DIR" $(($(redis_aof_size "$DIR") * 8 / 10))
restart_redis
back=$(ledger consumed)
wait_for 60 "(( \$(ledger consumed) > $back + 20000 ))" 'going on after the cut'
kill9_redis
cp -a "$DIR/redis.saved" "$DIR/redis.torn"
redis_restore "$DIR"
# the copy was taken while Redis wrote: its last command may be torn, like a copy of a backup
redis_aof_cut "$DIR" "$(redis_aof_size "$DIR")"
restart_redis
(($(ledger consumed) < 80000)) || fail "Redis did not roll back"
wait_for 120 drained
wait_for 60 'settled 2020-01' 'the end of January'
wait_for 30 outbox_empty
auditor_agrees
stop m
