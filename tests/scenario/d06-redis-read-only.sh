# SPDX-License-Identifier: Apache-2.0
# Redis becomes a replica and refuses writes, then a master again (a fail-over and back): the same as a full one, nothing is lost.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m
expect_code 0 ctl init
span() { ctl gen --events 20000 --accounts 40 --seed "$1" --from "$2" --to "$3" "${@:4}" >/dev/null || fail gen; }
span 4 2020-01-20T00:00:00+08:00 2020-01-28T00:00:00+08:00 --no-ticks
start m
wait_for 60 drained
redis_do "$DIR" replicaof 127.0.0.1 1 >/dev/null # nobody listens there: the data stay, writes are refused
span 5 2020-01-28T00:00:00+08:00 2020-02-10T00:00:00+08:00
wait_for 60 'grep -qE "READONLY|MASTERDOWN" "$DIR/m.log"' 'a word about the read-only Redis'
running m || fail "meterd ended because Redis is read-only"
redis_do "$DIR" replicaof no one >/dev/null
wait_for 60 drained
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
auditor_agrees
stop m
