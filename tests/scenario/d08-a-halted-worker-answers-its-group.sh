# SPDX-License-Identifier: Apache-2.0
# One instance meets a shard that a person must look at, and halts. It stays a member of its group and answers it: another one that
# joins gets its share of the partitions, and once the shard is mended and the first is gone, all of them. Nothing is lost.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m kafka.session_timeout=2s flush.max_interval=20ms flush.max_events=600
config n kafka.session_timeout=2s flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 100000 --accounts 80 --seed 12 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
# Counters of January that are no hash: no commit into this shard succeeds, and none may be tried again blindly.
redis_do "$DIR" set 'meterd:{s05}:g1:use:2020-01' somebody-elses >/dev/null
start m
wait_for 60 'grep -q "state=halted" "$DIR/m.log"' 'the first instance to halt'
expect_match "why it halted" "$(grep 'state=halted' "$DIR/m.log")" 'WRONGTYPE'
before=$(ledger consumed)
start n
wait_for 60 'grep -q "event=partition_assigned" "$DIR/n.log"' 'the second instance to get partitions'
wait_for 60 'grep -q "state=halted" "$DIR/n.log"' 'the second instance to meet the same shard'
running m || fail "the halted instance ended"
running n || fail "the second instance ended"
((before < 100000)) || fail "all was counted although a shard refuses"

redis_do "$DIR" del 'meterd:{s05}:g1:use:2020-01' >/dev/null
stop m
stop n
start n
wait_for 120 drained
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
auditor_agrees
stop n
