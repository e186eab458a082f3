# SPDX-License-Identifier: Apache-2.0
# Two instances share the partitions. One is stopped with SIGSTOP beyond the session time-out, the other takes over; continued, the
# first is refused: nothing doubled, nothing lost.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 8
config m kafka.session_timeout=2s flush.max_interval=20ms flush.max_events=600
config n kafka.session_timeout=2s flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 400000 --accounts 80 --seed 8 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 --no-ticks >/dev/null || fail gen
start m
start n
past 20000 400000
pause m
wait_for 90 drained 'the other instance to take over all partitions'
before=$(ctl_q counters --format ndjson | sha256sum)
resume m
ctl gen --events 30000 --accounts 80 --seed 9 --from 2020-02-10T00:00:00+08:00 --to 2020-02-20T00:00:00+08:00 >/dev/null || fail gen
wait_for 90 drained
wait_for 60 'settled 2020-01' 'the end of January'
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 30 outbox_empty
[[ $before != "$(ctl_q counters --format ndjson | sha256sum)" ]] || fail "nothing was counted afterwards"
auditor_agrees
# Thrown out of the group, m either joined again or ended to be started again (75); n runs on.
if not_running m; then reaped m; expect_equal "exit code of m" "$CODE" 75; else stop m 40; fi
stop n 40
