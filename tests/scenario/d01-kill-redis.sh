# SPDX-License-Identifier: Apache-2.0
# kill -9 of Redis in the middle, twice; AOF brings back all that it answered for.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m redis.timeout=1s flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 400000 --accounts 80 --seed 5 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
start m
for at in 20000 150000; do
	past $at 400000
	kill9_redis
	wait_for 30 'grep -qi redis "$DIR/m.log"' 'a word about Redis in the log'
	running m || fail "meterd ended because Redis went away"
	restart_redis
done
wait_for 120 drained
wait_for 60 'settled 2020-01' 'the end of January'
wait_for 30 outbox_empty
auditor_agrees
stop m
