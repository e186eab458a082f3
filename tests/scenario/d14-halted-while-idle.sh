# SPDX-License-Identifier: Apache-2.0
# A shard that only a person can mend, met while there is nothing to count: that the worker halted is its state, for readiness and the
# log, and not only a line about one conflict. Mended, and started again, it goes on.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
port=$(free_ports 1)
config m http.listen="127.0.0.1:$port"
expect_code 0 ctl init
span() { ctl gen --events 2000 --accounts 40 --seed "$1" --from "2020-01-2${1}T00:00:00+08:00" --to "2020-01-2${1}T20:00:00+08:00" "${@:2}" >/dev/null || fail gen; }
ready() { curl -s -o "$DIR/ready.out" -w '%{http_code}' "http://127.0.0.1:$port/-/ready"; }
span 1 --no-ticks
start m
wait_for 60 drained
wait_for 30 '[[ $(ready) == 200 ]]' 'readiness'
off='meterd:{s03}:g1:off'
redis_do "$DIR" rename "$off" kept >/dev/null
redis_do "$DIR" set "$off" somebody-elses >/dev/null
wait_for 90 'grep -q "event=worker_state .*state=halted .*WRONGTYPE" "$DIR/m.log"' 'the halt to be said'
wait_for 30 '[[ $(ready) == 503 ]] && grep -q WRONGTYPE "$DIR/ready.out"' '503 of /-/ready'
running m || fail "meterd ended"
# The closer meets it too, at every step: one line says so.
wait_for 30 'grep -q "event=office_state .*state=halted .*WRONGTYPE" "$DIR/m.log"' 'the closer to halt'
lines() { grep -c 'event=office_state' "$DIR/m.log"; }
met() { redis_do "$DIR" info errorstats | tr -d '\r' | sed -n 's/^errorstat_WRONGTYPE:count=//p'; }
before=$(lines) met=$(met)
wait_for 60 '(($(met) >= met + 20))' 'the shard to be met twenty times more'
expect_equal "lines of the office" "$(lines)" "$before"
stop m

redis_do "$DIR" rename kept "$off" >/dev/null
start m
span 2
wait_for 60 drained
wait_for 60 'settled 2020-01' 'the end of January'
wait_for 30 outbox_empty
auditor_agrees
stop m
