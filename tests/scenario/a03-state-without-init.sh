# SPDX-License-Identifier: Apache-2.0
# Only init makes state. Before it, after a lost Redis, and with the Redis of somebody else, meterd stops with 78 and counts nothing.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics
config m
ends_with m 78 'meterctl init'
expect_code 0 ctl init
expect_code 78 ctl init

redis_do "$DIR" flushall >/dev/null
ends_with m 78 'counters are lost'
expect_equal "keys in Redis" "$(redis_do "$DIR" dbsize)" 0
