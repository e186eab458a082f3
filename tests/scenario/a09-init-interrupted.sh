# SPDX-License-Identifier: Apache-2.0
# init writes its decision first and makes the shards afterwards. What lies between is seen, and only --finish completes it; it also
# brings back a Redis that lost everything before its first month was closed: all is counted again, and no alert comes twice.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 3
config m
ctl init --all >/dev/null 2>&1
expect_equal "an unknown option" $? 64
expect_code 0 ctl init >"$DIR/init.out"
expect_match "what init says" "$(cat "$DIR/init.out")" 'init id [0-9a-f]{32}, 16 shards, rules version 1'

redis_do "$DIR" del 'meterd:{s03}:meta' 'meterd:{s15}:meta' >/dev/null
ctl init 2>"$DIR/words"
expect_equal "init over a half done one" $? 78
expect_match "words" "$(cat "$DIR/words")" '2 of 16 shards .*init --finish'
expect_code 0 ctl init --finish >"$DIR/finish.out"
cmp "$DIR/init.out" "$DIR/finish.out" || fail "finish made something else"
expect_code 78 ctl init --finish

ctl gen --events 20000 --accounts 5 --seed 3 --from 2020-01 --to 2020-01-20T00:00:00+08:00 --no-ticks >/dev/null || fail gen
start m
wait_for 60 drained
wait_for 30 outbox_empty
stop m
ctl_q alerts --format ndjson | jq -r .id | sort >"$DIR/alerts.1"
[[ -s $DIR/alerts.1 ]] || fail "no alert"
redis_do "$DIR" flushall >/dev/null
ends_with m 78 'counters are lost'
expect_code 78 ctl init
expect_code 0 ctl init --finish >"$DIR/finish.out"
start m
wait_for 60 drained
wait_for 30 outbox_empty
auditor_agrees
stop m
ctl_q alerts --format ndjson | jq -r .id | sort >"$DIR/alerts.2"
cmp "$DIR/alerts.1" "$DIR/alerts.2" || fail "alerts changed"

# With another init id in Redis than in the control topic, nothing is touched.
redis_do "$DIR" hset 'meterd:{s00}:meta' init 00000000000000000000000000000000 >/dev/null
ctl init 2>"$DIR/words"
expect_equal "a foreign shard" $? 78
expect_match "words" "$(cat "$DIR/words")" 'different init ids|choose another'
