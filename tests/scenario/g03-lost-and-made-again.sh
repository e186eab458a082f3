# SPDX-License-Identifier: Apache-2.0
# FLUSHALL under on_state_loss: rebuild, once while calls come in and once when months are settled: the process ends with 75, the next start counts all of it
# again; alerts and settlements that are out do not come a second time. That another instance has made them again, before the one that met the loss has ended,
# is no reason for that one to stay down. Where the topics do not hold all of it any more it stops.
. "$(dirname "$0")/../lib/scenario.sh"
[[ -f $BUILD/bin/deaf_client.so ]] || fail "deaf_client.so is not built: a Release build has it"
start_redis
topics --stamps any --partitions 4
for d in m n; do
	config $d redis.timeout=1s flush.max_interval=20ms flush.max_events=600 on_state_loss=rebuild checkpoint.keep=0 # which g05 is about
done
expect_code 0 ctl init
ctl gen --events 100000 --accounts 60 --seed 33 --from 2020-01 --to 2020-03 >/dev/null || fail gen
ended() {
	wait_for 60 'not_running m' 'meterd to end'
	reaped m
	expect_equal "exit code" "$CODE" 75
	expect_match "its words" "$(last_words m)" '^the counters are lost; on_state_loss: rebuild has the next start make them again'
}
lose() { redis_do "$DIR" flushall >/dev/null; ended; }
start m
past 20000 100000
lose
start m
wait_for 120 'settled 2020-02' 'the end of February'
wait_for 60 drained
wait_for 60 outbox_empty
auditor_agrees

lose
start m
wait_for 30 'grep -q event=state_made_again "$DIR/m.log"' 'a word about it'
wait_for 120 drained
months_done() { [[ $(redis_do "$DIR" hkeys 'meterd:{s00}:meta' | grep -c '^done:1:') == "$1" ]]; }
wait_for 120 'months_done 2' 'the months to be settled again'
wait_for 60 outbox_empty
auditor_agrees
stop m

# -- while the one that met the loss hangs in its end, another one has made them again: whole counters are no reason to end for good
export DEAF_COMMIT=$DIR/deaf_commit
service_manager
LD_PRELOAD=$BUILD/bin/deaf_client.so start m
wait_for 60 drained
: >"$DEAF_COMMIT"
ctl gen --events 20000 --accounts 5 --seed 34 --from 2020-03 --to 2020-04 --no-ticks >/dev/null || fail gen
wait_for 60 '[[ -f $DEAF_COMMIT.met ]]' 'a transaction that does not end'
wait_for 60 drained
redis_do "$DIR" flushall >/dev/null
ctl gen --events 1000 --accounts 5 --seed 35 --from 2020-03 --to 2020-04 --no-ticks >/dev/null || fail gen
wait_for 60 '[[ $(grep -a "^STATUS=" "$DIR/notified" | tail -n 1) == STATUS=stopping* ]]' 'meterd to be stopping'
start n
wait_for 60 'grep -q event=state_made_again "$DIR/n.log"' 'the other one to make them again'
wait_for 60 'grep -q "event=running" "$DIR/n.log"' 'the other one to run'
running m || fail "m ended before its transaction did"
rm "$DEAF_COMMIT"
ended
MAIN=n
wait_for 120 drained
wait_for 60 outbox_empty
auditor_agrees
stop n
MAIN=m

# -- what was published is not all there any more: nobody could tell what came already
printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":-1}]}\n' "${PREFIX}meterd.alerts" >"$DIR/delete.json"
kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(bootstrap)" --offset-json-file "$DIR/delete.json" \
	>"$DIR/delete.out" 2>&1 || fail "delete: $(cat "$DIR/delete.out")"
redis_do "$DIR" flushall >/dev/null
ends_with m 78 "the counters are lost, and ${PREFIX}meterd.alerts/0 begins at offset [1-9][0-9]*, not at 0: they cannot be made again from the topics alone"
expect_equal "keys in Redis" "$(redis_do "$DIR" dbsize)" 0
