# SPDX-License-Identifier: Apache-2.0
# A state that the release before left, killed in the middle: with a month settled and one being settled, and alerts in the outbox. It is read,
# brought to the form of today and counted on; every figure is the auditor's, bills are proved, and all of it made again from the topics is the
# same. The release's own programs wrote it, by this file on its build (schema 1: commit e1b1b4b):
#   KEEP=$PWD/tests/upgrade/schema-1.ndjson BUILD=<its build directory> tests/scenario/run h01
. "$(dirname "$0")/../lib/scenario.sh"
kept() { "$PYTHON" "$ROOT/tests/lib/kept_state.py" "$@"; }
calls() { ctl gen --events 160 --accounts 5 --seed "$1" --from "2020-0$2" --to "2020-0$(($2 + 1))" >/dev/null 2>>"$DIR/gen.log" || fail gen; }
start_redis
topics --stamps any --partitions 2
config m redis.shards=4

if [[ -n ${KEEP:-} ]]; then
	expect_code 0 ctl init
	calls 71 1
	start m
	wait_for 60 'settled 2020-01' 'the end of January'
	wait_for 30 outbox_empty
	kept save "$(bootstrap)" "$PREFIX" meterd.alerts >"$DIR/kept" || fail save
	"$PYTHON" - "$(bootstrap)" "$ALERTS" <<-PY || fail "deleting the alerts topic"
	import sys
	from confluent_kafka.admin import AdminClient
	admin = AdminClient({"bootstrap.servers": sys.argv[1]})
	admin.delete_topics([sys.argv[2]], operation_timeout=20)[sys.argv[2]].result()
	PY
	calls 72 2
	wait_for 60 drained
	! outbox_empty || fail "nothing waits in the outbox"
	kill9 m
	{
		kept save "$(bootstrap)" "$PREFIX" usage.calls usage.calls.dlq meterd.accounts meterd.control meterd.settlements
		kept save-redis "$(redis_url "$DIR")"
	} >>"$DIR/kept" || fail save
	cp "$DIR/kept" "$KEEP"
	exit
fi

kept restore "$(bootstrap)" "$PREFIX" "$(redis_url "$DIR")" <"$ROOT/tests/upgrade/schema-1.ndjson" || fail restore
schemas() { for s in 00 01 02 03; do redis_do "$DIR" hget "meterd:{s$s}:meta" schema; done | xargs; }
expect_equal "what was kept" "$(schemas)" '1 1 1 1'
expect_equal "it was counted to the end" "$(($(progress) > 160))" 1
! outbox_empty || fail "nothing waits in the outbox"

# -- who only reads says what is to be done, and changes nothing
ctl counters >/dev/null 2>"$DIR/words"
expect_equal "a reader's exit code" $? 75
expect_match "a reader's words" "$(cat "$DIR/words")" 'has schema 1, this version works on 4: start the daemon of this version once'
expect_code 75 ctl init
expect_equal "after the readers" "$(schemas)" '1 1 1 1'

# -- the daemon brings it up, publishes what waited, and goes on
start m
wait_for 60 'settled 2020-02' 'the end of February'
expect_equal "after the start" "$(schemas)" '4 4 4 4'
calls 73 3
wait_for 60 'settled 2020-03' 'the end of March'
wait_for 30 drained
wait_for 30 outbox_empty
auditor_agrees
expect_equal "partitions that it begins anew" "$(grep -c 'event=partition_assigned .* next=0 ' "$DIR/m.log")" 0
expect_code 0 ctl rebuild --verify --yes

# -- Redis goes back to before the upgrade while this one runs: it ends, and brings the state up when the service manager starts it again
redis_do "$DIR" hset 'meterd:{s01}:meta' schema 3 >/dev/null
calls 74 1
wait_until 60 not_running m || fail "it runs on, although the state is an older one"
reaped m
expect_equal "its exit code" "$CODE" 75
start m
calls 75 1
wait_for 30 drained
expect_equal "after that start" "$(schemas)" '4 4 4 4'

# -- a newer version takes a shard over while this one runs: it stops, and the service manager does not start it again
before=$(redis_do "$DIR" hgetall 'meterd:{s02}:g1:off')
redis_do "$DIR" hset 'meterd:{s02}:meta' schema 9 >/dev/null
calls 76 4
wait_until 60 not_running m || fail "it runs on, although a newer version has taken over"
reaped m
expect_equal "its exit code" "$CODE" 78
expect_match "its last words" "$(last_words m)" 'the state in Redis has schema 9, this version works on 4: a newer version has taken the state over'
expect_equal "the shard that was taken" "$(redis_do "$DIR" hgetall 'meterd:{s02}:g1:off')" "$before"
