# SPDX-License-Identifier: Apache-2.0
# clock: wall. The month before last is over and past its grace: partitions in which nothing is written any more get a tick each from
# the closer, the month is settled, and the one behind it too as far as the real date allows.
. "$(dirname "$0")/../lib/scenario.sh"
month=$(TZ=Asia/Shanghai date -d "$(TZ=Asia/Shanghai date +%Y-%m-15) -2 months" +%Y-%m)
open=$(TZ=Asia/Shanghai date +%Y-%m)
start_redis
topics --stamps create --partitions 4
config m clock=wall
expect_code 0 ctl init
ctl gen --events 5000 --accounts 20 --seed 4 --from "$month-01T00:00:00+08:00" --to "$month-25T00:00:00+08:00" --no-ticks >/dev/null || fail gen
requests() { redis_do "$DIR" llen 'meterd:{s00}:req'; }
expect_match "before" "$(expect_code 0 ctl close "$month" --dry-run 2>&1)" "$month waits for .*would ask the running daemon to close $month"
expect_equal "requests of a dry run" "$(requests)" 0
expect_match "asked" "$(expect_code 0 ctl close "$month" 2>&1)" "asked the running daemon to close $month"
expect_equal "requests" "$(requests)" 1
ctl close "$open" 2>"$DIR/words"
expect_equal "a month that is not over" $? 75
ctl close "$open" --dry-run 2>/dev/null
expect_equal "the same, dry" $? 75
expect_match "words" "$(cat "$DIR/words")" "$open closes at "
expect_code 64 ctl close 2020-13
start m
wait_for 60 "settled $month" "the end of $month"
expect_equal "requests, taken" "$(requests)" 0
expect_code 0 ctl close "$month" >"$DIR/close.out"
expect_equal "after" "$(cat "$DIR/close.out")" "$month is closed"
wait_for 30 outbox_empty
wait_for 30 drained
ticks=$(ledger control)
((ticks >= 4 && ticks <= 12)) || fail "$ticks ticks for 4 partitions"
auditor_agrees
stop m
