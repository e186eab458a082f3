# SPDX-License-Identifier: Apache-2.0
# What the operator sees while something is away: /-/ready answers 503 with the reason, the service manager's STATUS and `meterctl status`
# say the same, the watchdog is fed, and the log has one line for the change and not one for every try. Then all of it is well again.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
own_kafka
topics --stamps any --partitions 2
port=$(free_ports 1)
config m http.listen="127.0.0.1:$port" redis.timeout=1s kafka.session_timeout=6s
expect_code 0 ctl init

service_manager

ready() { curl -s -o "$DIR/ready.out" -w '%{http_code}' "http://127.0.0.1:$port/-/ready"; }
is_ready() { [[ $(ready) == 200 ]]; }
not_ready() { [[ $(ready) == 503 ]] && grep -qE "$1" "$DIR/ready.out"; } # REASON
told() { # REASON: the newest STATUS
	[[ $(grep -a '^STATUS=' "$DIR/notified" | tail -n 1) =~ $1 ]]
}
fed() { grep -ac '^WATCHDOG=1' "$DIR/notified"; }
status_says() { # REASON, within the verdict of meterctl status
	local code
	ctl_q status --format table >"$DIR/status.out"
	code=$?
	((code == 1)) && head -n 1 "$DIR/status.out" | grep -q '^NOT READY' && grep -qE "^  - .*($1)" "$DIR/status.out"
}
lines() { grep -cE "$1" "$DIR/m.log" || :; }
# Everything says that it waits, and why; tried many times meanwhile, it is said once.
away() { # WHAT REASON
	wait_for 60 "not_ready '$2'" "503 of /-/ready: $1"
	wait_for 30 "told '$2'" "STATUS of the service manager: $1"
	wait_for 30 "status_says '$2'" "meterctl status: $1"
	local feeds before
	feeds=$(fed)
	before=$(cat "$DIR/m.log")
	wait_for 30 "((\$(fed) >= $feeds + 4))" "the watchdog to be fed: $1" # four seconds of tries
	expect_equal "more lines in the log: $1" "$(tail -n +$(($(wc -l <<<"$before") + 1)) "$DIR/m.log")" ''
	running m || fail "meterd ended: $1"
	not_ready "$2" || fail "ready again while it is not: $1"
}
back() { # WHAT
	wait_for 90 is_ready "200 of /-/ready after: $1"
	wait_for 30 "told 'running, 2 partitions'" "STATUS after: $1"
	expect_code 0 ctl status >/dev/null
	expect_match "verdict after: $1" "$(ctl status --format table)" '^READY '
}
n=0
some() { n=$((n + 1)); ctl gen --events 2000 --accounts 20 --seed $n --from "2020-01-2${n}T00:00:00+08:00" --to "2020-01-2$((n + 1))T00:00:00+08:00" --no-ticks >/dev/null || fail gen; }
# changes BEFORE WHAT: the workers' lines since then are one pair, waiting and running.
changes() {
	local w r
	w=$(($(lines 'worker_state .*state=waiting') - ${1% *}))
	r=$(($(lines 'worker_state .*state=running') - ${1#* }))
	((w == 1 && r == 1)) || fail "$2: $w lines of waiting and $r of running, one each was wanted"
}
counts() { echo "$(lines 'worker_state .*state=waiting') $(lines 'worker_state .*state=running')"; }

some
start m
back start
wait_for 60 drained

at=$(counts)
redis_do "$DIR" config set maxmemory 1mb >/dev/null
some
away "a full Redis" OOM
redis_do "$DIR" config set maxmemory 0 >/dev/null
back "a full Redis"
changes "$at" "a full Redis"

at=$(counts)
redis_do "$DIR" replicaof 127.0.0.1 1 >/dev/null
some
away "a read-only Redis" 'READONLY|MASTERDOWN'
redis_do "$DIR" replicaof no one >/dev/null
back "a read-only Redis"
changes "$at" "a read-only Redis"

at=$(counts)
kill9_redis
some
away "Redis gone" 'redis at .* is away'
restart_redis
back "Redis gone"
changes "$at" "Redis gone"

at=$(counts)
kill9_kafka
away "Kafka gone" 'Kafka is away|brokers? (are|is) (down|away)'
restart_kafka
back "Kafka gone"
changes "$at" "Kafka gone"
wait_for 60 drained
stop m

# One partition halts: shard 0 remembers another log than the other shards. The other partition goes on.
off='meterd:{s00}:g1:off'
kept=$(redis_do "$DIR" hget "$off" "$INPUT/1")
redis_do "$DIR" eval "
	local at = redis.call('HGET', KEYS[1], ARGV[1])
	local next, clock, last, print, token = string.match(at, '^(%S+) (%S+) (%S+) (%S+) (%S+)\$')
	return redis.call('HSET', KEYS[1], ARGV[1], table.concat({ next, clock, last, '0000000000000001', token }, ' '))" 1 "$off" "$INPUT/1" >/dev/null
start m
halt='the shards disagree about the record at offset'
wait_for 60 "not_ready '$INPUT/1 halted: .*$halt'" '503 of /-/ready: a halted partition'
wait_for 30 "told '1 of 2 partitions halted, see meterctl status'" 'STATUS: a halted partition'
wait_for 30 "status_says '$INPUT/1 halted: .*$halt'" 'meterctl status: a halted partition'
expect_equal "states" "$(ctl_q status --format csv | sed 1d | tr -d '\r' | cut -d, -f2,7 | xargs)" "0,running 1,halted"
some
goes_on() { # partition 0 is read to its end, partition 1 is not
	ctl_q status --format json >"$DIR/status.json" # exits 1: not ready
	jq -e '[.partitions[] | {key: "\(.partition)", value: .lag}] | from_entries | .["0"] == 0 and .["1"] > 1' "$DIR/status.json" >/dev/null
}
wait_for 60 goes_on 'partition 0 to go on'
expect_equal "lines about the halt" "$(lines "partition_halted|$halt")" 1
stop m
redis_do "$DIR" hset "$off" "$INPUT/1" "$kept" >/dev/null # only this one: partition 0 has gone on, its counts too
start m
back "a halted partition"
wait_for 60 drained
auditor_agrees
stop m
