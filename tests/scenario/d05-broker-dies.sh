# SPDX-License-Identifier: Apache-2.0
# kill -9 of the only broker in the middle of a drain, twice: dead letters and transactions under way have unknown ends; meterd waits,
# says so once, and goes on; every alert and settlement once.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
own_kafka
topics --stamps any --partitions 3
port=$(free_ports 1)
config m http.listen="127.0.0.1:$port" flush.max_interval=20ms flush.max_events=600
expect_code 0 ctl init
ctl gen --events 120000 --accounts 60 --seed 8 --invalid 20 --from 2020-01-20T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null ||
	fail gen
start m
usage() { curl -sS --max-time 30 -o "$DIR/body" -w '%{http_code} %{content_type}' "http://127.0.0.1:$port/api/v1/usage?account=nobody" 2>>"$DIR/curl.log"; }
wait_for 60 '[[ $(usage) == "404 application/problem+json" ]]' 'usage to be told'
for at in 15000 60000; do
	wait_for 60 "(( \$(ledger consumed) > $at ))" "$at records taken in"
	kill9_kafka
	wait_for 60 'grep -q "Kafka is away" "$DIR/m.log"' 'a word about Kafka in the log'
	running m || fail "meterd ended because the broker went away"
	wait_for 60 '[[ $(usage) == "503 application/problem+json" ]]' 'usage not to be told while Kafka is away'
	[[ $(jq -r .detail "$DIR/body") == *afka* ]] || fail "usage does not say what is away: $(cat "$DIR/body")"
	restart_kafka
done
wait_for 60 '[[ $(usage) == "404 application/problem+json" ]]' 'usage to be told again'
wait_for 180 drained
wait_for 120 'settled 2020-02' 'the end of February'
wait_for 60 outbox_empty
auditor_agrees
running m || fail "meterd ended"
stop m
