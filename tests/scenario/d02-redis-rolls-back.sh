# SPDX-License-Identifier: Apache-2.0
# Redis comes back with its past: first the tail of the AOF is cut off, then a copy from before is put back. Offsets go back with
# the counters, so the events are read again, also when no new one comes: the same result, and no alert a second time.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m redis.timeout=1s flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 400000 --accounts 80 --seed 6 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
start m
past 20000 400000
redis_save "$DIR"
past 80000 400000
# Whether it is the offsets or already the owner's token that is older: meterd starts over from where the shards stand.
starts_over() { grep -c 'then=start_over' "$DIR/m.log" || :; }
before=$(starts_over)
kill9_redis
redis_aof_cut "$DIR" $(($(redis_aof_size "$DIR") * 8 / 10))
restart_redis
wait_for 60 '(($(starts_over) > before))' 'meterd to notice that Redis went back'
wait_for 120 drained
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
auditor_agrees

before=$(starts_over)
kill9_redis
redis_restore "$DIR"
# the copy was taken while Redis wrote: its last command may be torn, as in any copy
redis_aof_cut "$DIR" "$(redis_aof_size "$DIR")"
restart_redis
wait_for 60 '(($(starts_over) > before))' 'meterd to notice that Redis went back again'
wait_for 120 drained
wait_for 60 outbox_empty
# Settled again from the log, and nothing of it published a second time.
wait_for 60 '[[ -n $(redis_do "$DIR" --scan --pattern "*:set:2020-02") ]]' 'February settled again'
wait_for 30 outbox_empty
auditor_agrees
stop m
