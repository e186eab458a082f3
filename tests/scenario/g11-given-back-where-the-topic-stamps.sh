# SPDX-License-Identifier: Apache-2.0
# A producer whose clock is fast, on a topic with LogAppendTime: its event came too early and is put aside. Given back once its time has come it counts.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps append --partitions 1
config m
expect_code 0 ctl init
start m
now() { date +%s%3N; }
time=$(($(now) + 300000 + 3000)) # three seconds more than event.max_future allows
event id=1 account=acme service=image-tag calls=7 time=$time | jq -c '{partition: 0, key: "acme", value: .}' | produce
wait_for 60 '[[ $(ledger rejected) == 1 ]]' 'the event to be put aside'
wait_for 60 '(($(now) > time - 300000))' 'its time'
expect_code 0 ctl_q dlq requeue --code time_future --yes
wait_for 60 '[[ $(ledger consumed) == 2 ]]' 'the record that was given back'
expect_equal "it counts" "$(ledger counted) $(ledger duplicate) $(ledger rejected)" "1 0 1"
