# SPDX-License-Identifier: Apache-2.0
# Another owner's token in one shard only, in the middle of a drain: its commit is refused, those of the other shards are not. What was
# gathered is dropped and read again; nothing of it may be committed as an empty step, which no ledger would show.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 200000 --accounts 5000 --seed 9 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
start m
past 30000 200000
redis_do "$DIR" eval "
	local off = redis.call('HGETALL', KEYS[1])
	for i = 1, #off, 2 do
		redis.call('HSET', KEYS[1], off[i], (string.gsub(off[i + 1], '%S+\$', 'somebody-else')))
	end" 1 'meterd:{s03}:g1:off' >/dev/null
wait_for 30 'grep -q "then=start_over" "$DIR/m.log"' 'meterd to notice'
wait_for 120 drained
wait_for 240 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
auditor_agrees
stop m
