# SPDX-License-Identifier: Apache-2.0
# SIGHUP: a good file is taken over without a stop, what needs a restart is named; a faulty one is refused whole, with the reason, while
# the settings before go on, and that shows in the metrics.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
port=$(free_ports 1)
cp "$ROOT/config/catalog.yaml" "$DIR/book.yaml"
settings=(http.listen="127.0.0.1:$port" catalog="$DIR/book.yaml")
config m "${settings[@]}"
expect_code 0 ctl init
good() { curl -fsS "http://127.0.0.1:$port/metrics" | sed -n 's/^meterd_config_last_reload_successful //p'; }
open_ends() { curl -fsS "http://127.0.0.1:$port/api/v1/status" | jq -r '.reload // ""'; }
reloads() { grep -c -e 'event=reloaded' -e 'event=reload_refused' "$DIR/m.log"; }
hup() { # until it is done
	local before
	before=$(reloads)
	kill -HUP "${PIDS[m]}"
	wait_for 20 "(( \$(reloads) > $before ))" 'the outcome of a reload'
}
service_manager
told() { grep -aoE '^(RELOADING|READY)=1' "$DIR/notified" | paste -sd ' '; }
start m
wait_for 60 '[[ $(curl -fsS "http://127.0.0.1:'"$port"'/-/ready" 2>/dev/null) == ready ]]' 'ready'
expect_equal "after the start" "$(good) $(open_ends)" "1 "

# Taken over: debug lines appear; what needs a restart is named.
config m "${settings[@]}" log.level=debug flush.max_interval=20ms workers=2
hup
expect_match "the log" "$(grep event=reloaded "$DIR/m.log" | tail -n 1)" 'taken="flush.max_interval, log.level" restart="workers"'
expect_equal "left open" "$(good) $(open_ends)" "1 waits for a restart: workers"

wait_for 10 '[[ $(told) == "READY=1 RELOADING=1 READY=1" ]]' 'the service manager to hear of the reload and of its end'
grep -aqE '^MONOTONIC_USEC=[0-9]+$' "$DIR/notified" || fail "RELOADING=1 without its time"

# Refused whole: the level of the faulty file is not taken over either.
config m "${settings[@]}" log.level=error flush.max_interval=0ms colour=red
hup
expect_match "the log" "$(grep event=reload_refused "$DIR/m.log" | tail -n 1)" 'errors=2 why="[^"]*m.yaml:[0-9]+:[0-9]+: '
expect_match "all faults are told" "$(cat "$DIR/m.log")" 'unknown key \\?"colour'
expect_match "left open" "$(good) $(open_ends)" '^0 reload refused: .*m.yaml:[0-9]+:'

wait_for 10 '[[ $(told) == "READY=1 RELOADING=1 READY=1 RELOADING=1 READY=1" ]]' 'the end of a refused reload: nobody waits for ever'

# So is a faulty price book, and a file that is gone.
config m "${settings[@]}"
echo 'colour: red' >>"$DIR/book.yaml"
hup
expect_match "left open" "$(good) $(open_ends)" '^0 reload refused: .*book.yaml:[0-9]+:.*colour'
rm "$DIR/book.yaml"
hup
expect_match "left open" "$(good) $(open_ends)" '^0 reload refused: .*book.yaml.* cannot be read'

# The price book is part of the rules: another one is proposed, and so is the way back. One that may not follow is refused with all its
# reasons, and nothing changes.
version() { ctl_q rules list --format ndjson | jq -s 'map(.version) | max'; }
sed 's/^version: .*/version: another/' "$ROOT/config/catalog.yaml" >"$DIR/book.yaml"
hup
expect_equal "left open" "$(good) $(open_ends)" "1 other rules proposed: \`meterctl rules list\` shows when they take effect"
wait_for 30 '(( $(version) == 2 ))' 'version 2'
hup
expect_equal "the newest already" "$(good) $(open_ends)" "1 "
cp "$ROOT/config/catalog.yaml" "$DIR/book.yaml"
hup
wait_for 30 '(( $(version) == 3 ))' 'version 3'
sed 's/^currency: .*/currency: EUR/' "$ROOT/config/catalog.yaml" >"$DIR/book.yaml"
config m "${settings[@]}" close.grace=2d
hup
expect_match "left open" "$(good) $(open_ends)" '^0 other rules refused: `close.grace` cannot change'
expect_match "all reasons are told" "$(grep -c event=rules_refused "$DIR/m.log")" '^2$'
cp "$ROOT/config/catalog.yaml" "$DIR/book.yaml"
config m "${settings[@]}"
hup
expect_equal "as before" "$(good) $(open_ends) $(version)" "1  3"

# It has counted all the while, and does.
event id=1 account=a service=image-tag time=2020-01-15T08:00:00+08:00 calls=5 |
	jq -c '{partition: 0, timestamp: 1579046400000, key: "a", value: .}' | produce
wait_for 60 drained
expect_equal "calls" "$(ctl_q counters --format ndjson | jq .calls)" 5
stop m
