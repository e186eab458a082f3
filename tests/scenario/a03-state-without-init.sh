# SPDX-License-Identifier: Apache-2.0
# Only init makes state. Before it, after a lost Redis, and with the Redis of somebody else, meterd stops with 78 and counts nothing.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics
config m
ends_with m 78
expect_equal "words without init" "$(last_words m)" "topic $CONTROL holds no init: run \`meterctl init\` once, then start again"
expect_code 0 ctl init
expect_code 78 ctl init

redis_do "$DIR" flushall >/dev/null
ends_with m 78
expect_match "words without the state" "$(last_words m)" '^the counters are lost: the control topic knows init [0-9a-f]{32}, but shard 0 of Redis holds no state\. Nothing was changed\. Restore Redis from its backup, or put a checkpoint back with `meterctl restore` \(what came since is counted again from Kafka\), or set on_state_loss: rebuild, by which the next start does so itself, or counts everything again from the first offsets$'
expect_equal "keys in Redis" "$(redis_do "$DIR" dbsize)" 0
