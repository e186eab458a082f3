# SPDX-License-Identifier: Apache-2.0
# FLUSHALL while calls come in, twice (FLUSHES=N: more often): meterd ends with 78 and says what to do, counts nothing from zero, and goes on from a copy
# that somebody puts back. What came since is read again.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m redis.timeout=1s flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
redis_save "$DIR"
ctl gen --events 200000 --accounts 80 --seed 15 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
for ((i = 1; i <= ${FLUSHES:-2}; i++)); do
	kill9_redis
	redis_restore "$DIR"
	redis_aof_cut "$DIR" "$(redis_aof_size "$DIR")" # a copy of a Redis that wrote may end in the middle of a command
	restart_redis
	start m
	past $((i * 20000)) 200000
	redis_save "$DIR"
	past $((i * 20000 + 5000)) 200000
	redis_do "$DIR" flushall >/dev/null
	wait_for 60 'not_running m' 'meterd to end'
	reaped m
	expect_equal "exit code" "$CODE" 78
	expect_match "its words" "$(last_words m)" 'holds no state\)?\. Nothing was changed\. Restore Redis from its backup, .*, or set on_state_loss: rebuild, by which the next start does so itself, or counts everything again from the first offsets$'
	expect_equal "keys in Redis" "$(redis_do "$DIR" dbsize)" 0
done
kill9_redis
redis_restore "$DIR"
redis_aof_cut "$DIR" "$(redis_aof_size "$DIR")"
restart_redis
start m
wait_for 120 drained
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
auditor_agrees
stop m
