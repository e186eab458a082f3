# SPDX-License-Identifier: Apache-2.0
# The watchdog is fed on progress. A Redis or a broker that does not answer is a known wait: named in STATUS, on /-/ready and in the
# metrics, fed, no restart, and over when it answers. A client library that hangs is none: it is named, counted in meterd_stuck, and not
# fed any more, so that the service manager restarts meterd; that helps, and nothing is lost by it.
. "$(dirname "$0")/../lib/scenario.sh"
[[ -f $BUILD/bin/deaf_client.so ]] || fail "deaf_client.so is not built: a Release build has it"
start_redis
own_kafka
topics --stamps any --partitions 2
port=$(free_ports 1)
config m http.listen="127.0.0.1:$port" redis.timeout=1s kafka.session_timeout=6s health.stuck_after=6s
expect_code 0 ctl init

service_manager
get() { curl -s --max-time 5 "http://127.0.0.1:$port$1"; }
is_ready() { [[ $(get /-/ready) == ready ]]; }
unready() { [[ $(get /-/ready) =~ $1 ]]; }
metric_unready() { [[ $(get /metrics | sed -n 's/^meterd_ready //p') == 0 ]]; }
told() { [[ $(grep -a '^STATUS=' "$DIR/notified" | tail -n 1) =~ $1 ]]; }
said() { grep -ac '^STATUS=' "$DIR/notified"; }
fed() { grep -ac '^WATCHDOG=1' "$DIR/notified"; }
stuck() { get /metrics | sed -n "s/^meterd_stuck{what=\"$1\"} //p"; }
days=0
some() { days=$((days + 1)); ctl gen --events 4000 --accounts 20 --seed $days --from "$(date -u -d "2020-01-01 +$days day" +%FT%TZ)" --to "$(date -u -d "2020-01-02 +$days day" +%FT%TZ)" --no-ticks >/dev/null || fail gen; }

# WHAT REASON: longer than what counts as stuck, and fed all the while
known() {
	wait_for 60 "told '$2'" "STATUS: $1"
	wait_for 60 "unready '$2'" "/-/ready with $1" # STATUS may have spoken of the office, which met it before the worker
	wait_for 20 metric_unready "meterd_ready with $1"
	local before
	before=$(fed)
	wait_for 40 "((\$(fed) >= $before + 9))" "the watchdog to be fed: $1"
	expect_equal "stuck: $1" "$(stuck worker) $(stuck outbox)" "0 0"
	running m || fail "meterd ended: $1"
}
# WHAT REASON METRIC: named, and not fed any more although STATUS lines go on
unknown() {
	wait_for 60 "told '$2'" "STATUS: $1"
	expect_equal "meterd_stuck{$3}: $1" "$(stuck "$3")" 1
	wait_for 20 "unready '$2'" "/-/ready with $1"
	local feeds lines
	feeds=$(fed) lines=$(said)
	wait_for 20 "((\$(said) >= $lines + 4))" "STATUS lines to go on: $1"
	expect_equal "feeds: $1" "$(fed)" "$feeds"
}
back() { wait_for 90 is_ready "ready after $1"; wait_for 60 drained; }

export DEAF_RECORDS=$DIR/deaf DEAF_COMMIT=$DIR/deaf_commit
start_deaf() { LD_PRELOAD=$BUILD/bin/deaf_client.so start m; }
start_deaf
back start
some
wait_for 60 drained

some
redis_do "$DIR" client pause 20000 all >/dev/null
known "a paused Redis" '[Rr]edis.* (is away|no answer in time)'
redis_do "$DIR" client unpause >/dev/null
back "a paused Redis"

redis_pid=$(process_pid "$DIR/redis.pid")
kill -STOP "$redis_pid"
some
known "a stopped Redis" '[Rr]edis.* (is away|no answer in time)'
kill -CONT "$redis_pid"
back "a stopped Redis"

kafka_pid=$(process_pid "$DIR/kafka-1.pid")
kill -STOP "$kafka_pid"
known "a blocked broker" 'Kafka|brokers|group|coordinator'
kill -CONT "$kafka_pid"
# Kafka's client may find that its own earlier request to join, which lay in the broker, has taken its place: nothing but a new start helps
# then, and it ends with 75 for that.
wait_for 90 'is_ready || not_running m' 'the end of the wait for a blocked broker'
if not_running m; then
	reaped m
	expect_equal "exit code after a blocked broker" "$CODE" 75
	start_deaf
fi
some
back "a blocked broker"

# librdkafka delivers nothing although records come
: >"$DEAF_RECORDS"
some
unknown "a client that delivers nothing" 'worker 0 (gets nothing of|makes no progress)' worker
kill9 m # what the service manager does when it is not fed
rm "$DEAF_RECORDS"
start_deaf
back "a restart by the watchdog"
wait_for 20 'told "running, 2 partitions"' 'STATUS after the restart'

# the relay hangs in a transaction
: >"$DEAF_COMMIT"
ctl gen --events 20000 --accounts 5 --seed 99 --from 2020-02 --to 2020-03 >/dev/null || fail gen
unknown "a relay that does not drain" 'the outbox does not drain' outbox
kill9 m
rm "$DEAF_COMMIT"
start m
back "a restart by the watchdog"
wait_for 60 'settled 2020-02'
wait_for 30 outbox_empty
auditor_agrees
stop m
