# SPDX-License-Identifier: Apache-2.0
# Kafka is not there yet: meterd waits, says so once, and begins when it comes, with what its files say by then; away again later: it
# resumes.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
own_kafka
topics --stamps any --partitions 2
cp "$ROOT/config/catalog.yaml" "$DIR/book.yaml"
config m "catalog=$DIR/book.yaml"
expect_code 0 ctl init
event id=1 account=a service=image-tag time=2020-01-15T08:00:00+08:00 calls=5 |
	jq -c '{partition: 0, timestamp: 1579046400000, key: "a", value: .}' | produce
kill9_kafka
sed -i 's/^version: .*/version: at-the-start/' "$DIR/book.yaml"
start m
wait_for 30 'grep -qi kafka "$DIR/m.log"' 'a word about Kafka in the log'
running m || fail "meterd ended although it should wait for Kafka"
sed -i 's/^version: .*/version: read-again/' "$DIR/book.yaml"
kill -HUP "${PIDS[m]}"
wait_for 20 'grep -q event=reloaded "$DIR/m.log"' 'the reload'
restart_kafka
wait_for 120 drained
wait_for 60 '[[ $(ctl_q rules list --format ndjson | jq -r .catalog | paste -sd " ") == "tiia-2020-01 read-again" ]]' 'what the files say by now'

kill9_kafka
restart_kafka
event id=2 account=a service=image-tag time=2020-01-15T09:00:00+08:00 calls=2 |
	jq -c '{partition: 0, timestamp: 1579050000000, key: "a", value: .}' | produce
wait_for 120 drained
expect_equal "calls" "$(ctl_q counters --format ndjson | jq .calls)" 7
running m || fail "meterd ended"
stop m
