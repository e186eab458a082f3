# SPDX-License-Identifier: Apache-2.0
# 2,000,000 calls in 8 partitions with duplicates, invalid ones, late ones and the end of a month, while meterd is killed ten times at
# random points, and Redis twice, once losing the tail of its AOF: counters, ledger, every alert with its call and totals, every settlement as computed from the log alone.
. "$(dirname "$0")/../lib/scenario.sh"
SEED=${SEED:-$RANDOM}
echo "SEED=$SEED"
RANDOM=$SEED
start_redis
topics --stamps any --partitions 8
config m flush.max_interval=100ms
expect_code 0 ctl init
events=${EVENTS:-2000000}
ctl gen --events "$events" --accounts 300 --seed "$SEED" --duplicates 10 --invalid 5 --late 2 \
	--from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
start m
for k in 1 2 3 4 5 6 7 8 9 10; do
	at=$((events * k / 12 + RANDOM % (events / 13)))
	past $at "$events"
	case $k in
	4) kill9_redis; restart_redis ;;
	8) kill9_redis; redis_aof_cut "$DIR" $(($(redis_aof_size "$DIR") * 9 / 10)); restart_redis ;;
	esac
	kill9 m
	start m
done
wait_for 300 drained
wait_for 120 'settled 2020-02' 'the end of February'
wait_for 60 outbox_empty
expect_equal "imbalance" "$(ledger difference)" 0
auditor_agrees
stop m
