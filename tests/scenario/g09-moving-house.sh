# SPDX-License-Identifier: Apache-2.0
# README's recipes for moving house, taken out of it and run: another number of shards, other partitions, another cluster. Every bill that is out
# stays the bytes it was, counters are equal, and months that were open close over all of it. What cannot be moved is refused, and why.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
own_kafka
PREFIX=''
topics --stamps any --partitions 4
INPUT=usage.calls ALERTS=meterd.alerts SETTLEMENTS=meterd.settlements CONTROL=meterd.control DLQ=usage.calls.dlq
KAFKA=$(bootstrap)
everywhere=(instance=meterd "state_dir=$DIR/state-meterd" workers=2 "http.listen=127.0.0.1:$(free_ports 1)")
config meterd "${everywhere[@]}"
expect_code 0 ctl init
gen() { ctl gen --accounts 40 "$@" >/dev/null 2>>"$DIR/gen.log" || fail "gen $*"; }
gen --events 6000 --seed 71 --from 2020-01 --to 2020-03
gen --events 3000 --seed 72 --from 2020-03-01T00:00:00+08:00 --to 2020-03-10T00:00:00+08:00 --no-ticks
start meterd
wait_for 120 'settled 2020-02' 'the end of February'
wait_for 60 drained
wait_for 60 outbox_empty

# -- the recipes' commands, as README has them; only what has no like here stands for something else
meterctl() { "$METERCTL" "$@"; }
systemctl() {
	expect_equal "unit" "$2" meterd
	[[ $1 == start ]] || stop meterd
	[[ $1 == stop ]] || start meterd
}
kafka-topics.sh() { kafka_tool org.apache.kafka.tools.TopicCommand "$@" >>"$DIR/tool.log" 2>&1; }
editor() { config "${1%.yaml}" "${everywhere[@]}" "${EDITS[@]}"; }
cd() { expect_equal "folder" "$1" /etc/meterd; }
recipe() { # how the block begins, [setting=value]…: what the editor is for
	local EDITS=("${@:2}") line
	"$PYTHON" "$ROOT/tests/lib/readme_blocks.py" "$ROOT" --block "$1" >"$DIR/commands" || fail "README has no recipe that begins with $1"
	while IFS= read -r line; do
		eval "$line" || fail "README's $line ends with $?"
	done <"$DIR/commands"
}
builtin cd "$DIR" || exit 1
bills() { ctl_q settlements --format ndjson | jq -cS . | sort; }

# -- another number of shards: 24 for 16; nothing comes a second time, each twin was the same
bills >bills.before
ctl_q alerts --format ndjson | sort >alerts.before
(($(wc -l <bills.before) > 100 && $(wc -l <alerts.before) > 10)) || fail "there is little to move: $(wc -l <bills.before) bills"
shards=(redis.shards=24 'redis.prefix="meterd24:"' topics.control=meterd.control.24)
recipe "cd /etc/meterd" "${shards[@]}"
wait_for 120 drained
months_done() { [[ $(redis_do "$DIR" hkeys 'meterd24:{s23}:meta' | grep -c '^done:1:') == 2 ]]; }
wait_for 120 months_done 'the months to be settled again'
wait_for 60 outbox_empty
recipe "meterctl counters"
expect_equal "shards in use" "$(redis_do "$DIR" --scan --pattern 'meterd24:*:g1:use:2020-01' | wc -l)" "$(redis_do "$DIR" --scan --pattern 'meterd24:*:g1:use:2020-02' | wc -l)"
bills | cmp - bills.before || fail "bills differ"
ctl_q alerts --format ndjson | sort | cmp - alerts.before || fail "alerts differ"
auditor_agrees
expect_code 78 ctl init --moved-from "$DIR/old.yaml"

# -- what cannot be moved
refused() { # WHAT REGEX [setting=value]…
	config other instance=meterd workers=2 topics.control=meterd.control.24 'redis.prefix="other:"' "${@:3}"
	expect_code 78 "$METERCTL" init --moved-from "$DIR/old.yaml" --config "$DIR/other.yaml" 2>"$DIR/words"
	expect_match "$1" "$(cat "$DIR/words")" "$2"
}
refused "another group" 'kafka.group is g09-moving-house there and other here: its name stands in every bill' kafka.group=other
refused "another topic of alerts" 'topics.alerts is meterd.alerts there and x here: decisions name offsets' topics.alerts=x
refused "another cluster" 'kafka.bootstrap is .* here: decisions name offsets' kafka.bootstrap=127.0.0.1:1
refused "the same decisions" 'topics.control is meterd.control there and the same here' topics.control=meterd.control
refused "an input less" 'usage.calls/0 is counted there and not in topics.input here' 'topics.input=[usage.calls.2]'
expect_code 64 "$METERCTL" init --moved-from "$DIR/old.yaml" --from-end --config "$DIR/other.yaml"

# -- other partitions: a topic of three beside that of four; March goes on there, late calls too
recipe kafka-topics.sh "${shards[@]}" 'topics.input=[usage.calls, usage.calls.2]'
wait_for 120 '[[ $(ctl_q status --format ndjson | jq 2>/dev/null "[.partitions[] | select(.topic == \"usage.calls.2\" and .halted == null)] | length") == 3 ]]' 'the new partitions'
both() { INPUT=usage.calls drained && INPUT=usage.calls.2 drained; }
sed 's/^\( *\)input: .*/\1input: ["usage.calls.2"]/' meterd.yaml >producer.yaml
"$METERCTL" gen --config "$DIR/producer.yaml" --accounts 40 --events 4000 --seed 73 --from 2020-03-10T00:00:00+08:00 --to 2020-04-05T00:00:00+08:00 --no-ticks \
	>/dev/null 2>>"$DIR/gen.log" || fail "gen into the new topic"
wait_for 180 'settled 2020-03' 'the end of March'
wait_for 120 both
wait_for 60 outbox_empty
auditor_agrees

# -- another cluster: the brokers' disks on others
bills >bills.before
ctl_q counters >before
moved_brokers() {
	local ports old
	kafka_kill9 "$DIR"
	wait_for 30 '[[ -z $(process_pid "$DIR/kafka-1.pid") ]]' 'the old broker to be gone'
	mkdir "$DIR/elsewhere"
	cp -r "$DIR/kafka-1" "$DIR/elsewhere/"
	mv "$DIR/kafka-1" "$DIR/was-here"
	read -ra ports <<<"$(free_ports 2)"
	old=$(sed -E 's/^.*:([0-9]+)$/\1/' "$DIR/kafka.bootstrap")
	sed -i -E "s/:$old\b/:${ports[0]}/g; s#(CONTROLLER://|1@)127\.0\.0\.1:[0-9]+#\1127.0.0.1:${ports[1]}#g; s#^log.dirs=.*#log.dirs=$DIR/elsewhere/kafka-1/data#" \
		"$DIR/elsewhere/kafka-1/server.properties"
	echo "127.0.0.1:${ports[0]}" >"$DIR/elsewhere/kafka.bootstrap"
	cp "$DIR/elsewhere/kafka.bootstrap" "$DIR/kafka.bootstrap"
	ln -s "$DIR/elsewhere/kafka-1" "$DIR/kafka-1"
	kafka_restart "$DIR"
}
editor() { moved_brokers; config "${1%.yaml}" "${everywhere[@]}" "${EDITS[@]}"; }
recipe "systemctl stop meterd" "${shards[@]}" 'topics.input=[usage.calls, usage.calls.2]'
bills >bills.after
cmp bills.after bills.before || fail "bills differ: $(diff bills.before bills.after | head -n 6 | cut -c 1-600)"
ctl_q counters | cmp - before || fail "counters differ"
! grep -q "$(grep bootstrap: old.yaml | sed 's/.*: //')" meterd.yaml || fail "the address is the old one"
"$METERCTL" gen --config "$DIR/producer.yaml" --help >/dev/null
sed -i "s/bootstrap: .*/bootstrap: $(bootstrap)/" producer.yaml
"$METERCTL" gen --config "$DIR/producer.yaml" --accounts 40 --events 3000 --seed 74 --from 2020-04-05T00:00:00+08:00 --to 2020-05-05T00:00:00+08:00 --no-ticks \
	>/dev/null 2>>"$DIR/gen.log" || fail "gen in the new cluster"
wait_for 180 'settled 2020-04' 'the end of April'
wait_for 120 both
wait_for 60 outbox_empty
auditor_agrees
