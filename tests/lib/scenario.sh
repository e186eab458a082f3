# SPDX-License-Identifier: Apache-2.0
# The words that scenarios are written in. A scenario is a bash file which sources this one; tests/scenario/run gives it DIR (its
# own directory), SCENARIO (its name), BUILD and KAFKA_DIR (the broker that all share). Everything waits on conditions.
#
#   topics […]                  fresh topics of this scenario: options of `topics.py create`
#   start_redis [OPTION VALUE]  a Redis of its own; kill9_redis, restart_redis
#   own_kafka                   a broker of its own, where the scenario kills it: kill9_kafka, restart_kafka
#   config NAME [key=value]…    writes NAME.yaml: settings of meterd by their paths; a later call for the same NAME replaces it
#   ctl VERB …                  meterctl with --config of the instance written first ($MAIN)
#   start NAME, stop NAME, kill9 NAME, pause NAME, resume NAME      meterd instances; stop expects exit 0
#   service_manager             its side of sd_notify: what instances tell it from here on is appended to $DIR/notified, a line a variable
#   ends_with NAME CODE [TEXT]  runs meterd until it ends by itself; expects the exit code, and TEXT among its words
#   last_words NAME             the reason it gave for its end, whole, for expect_equal
#   event key=value…            one flat event as JSON; numbers unquoted
#   wait_for SECONDS 'condition' [what]
#   expect_equal WHAT GOT WANTED, expect_match WHAT TEXT REGEX, expect_code CODE COMMAND…, fail WHY
#   past N MOST                 waits until more than N records are taken in; MOST of them would be too late
#   drained                     true when meterd has taken in every record of the input topic (DRAINED_OPTIONS=--whole: many ticks)
#   settled MONTH               true when the end of the run of MONTH is published
#   auditor_agrees […]          the independent computation over the log equals counters, ledger, alerts, settlements; whole: and proved
#   proved […]                  meterctl prove derives the same bytes from Kafka alone; options and id are its own
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$LIB/kafka.sh"
. "$LIB/redis.sh"
: "${DIR:?run me by tests/scenario/run}" "${SCENARIO:?}" "${BUILD:?}" "${KAFKA_DIR:?}"
METERD=$BUILD/bin/meterd METERCTL=$BUILD/bin/meterctl
PREFIX=$SCENARIO. # of topics
MAIN=
declare -A PIDS=()
printf 0 >"$DIR/seconds"

also_at_exit() { :; } # a scenario's own, beside what follows; the exit code stays what it was
at_exit() {
	local rc=$? n
	trap - EXIT
	also_at_exit
	for n in "${!PIDS[@]}"; do kill -CONT "${PIDS[$n]}" 2>/dev/null; kill -KILL "${PIDS[$n]}" 2>/dev/null; wait "${PIDS[$n]}" 2>/dev/null; done
	redis_down "$DIR"
	kafka_down "$DIR"
	echo "$SECONDS" >"$DIR/seconds"
	exit "$rc"
}
trap at_exit EXIT
trap 'exit 130' INT TERM

fail() {
	local i
	echo "FAILED: $*"
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		[[ ${FUNCNAME[i]} == main ]] && echo "  at line ${BASH_LINENO[i - 1]} of $SCENARIO"
	done
	exit 1
}
expect_equal() { [[ $2 == "$3" ]] || fail "$1: got '$2', wanted '$3'"; }
expect_match() { [[ $2 =~ $3 ]] || fail "$1: '$2' does not match '$3'"; }
expect_code() {
	local want=$1 got
	shift
	"$@"
	got=$?
	((got == want)) || fail "exit $got instead of $want: $*"
}
condition() { eval "$1"; }
wait_for() { wait_until "$1" condition "$2" || fail "waited $1 s for: ${3:-$2}"; }

# -- parts
bootstrap() { if [[ -f $DIR/kafka.bootstrap ]]; then cat "$DIR/kafka.bootstrap"; else cat "$KAFKA_DIR/kafka.bootstrap"; fi; }
topics() { "$PYTHON" "$LIB/topics.py" create "$(bootstrap)" --prefix "$PREFIX" "$@" || fail "topics"; }
ends() { "$PYTHON" "$LIB/topics.py" ends "$(bootstrap)" "$@"; }
start_redis() { redis_up "$DIR" "$@"; }
kill9_redis() { redis_kill9 "$DIR"; }
restart_redis() { redis_restart "$DIR"; }
own_kafka() { kafka_up "$DIR" "$@"; }
kill9_kafka() { kafka_kill9 "$DIR"; }
restart_kafka() { kafka_restart "$DIR"; }
INPUT=${PREFIX}usage.calls ALERTS=${PREFIX}meterd.alerts SETTLEMENTS=${PREFIX}meterd.settlements
CONTROL=${PREFIX}meterd.control DLQ=${PREFIX}usage.calls.dlq

config() {
	local name=$1
	shift
	[[ -n $MAIN ]] || MAIN=$name
	mkdir -p "$DIR/state-$name"
	"$PYTHON" - "$@" >"$DIR/$name.yaml" <<-PY || fail "config $name"
	import json, os, sys
	p = "$PREFIX"
	pairs = {
	    "instance": "$name", "catalog": "$ROOT/config/catalog.yaml", "state_dir": "$DIR/state-$name",
	    "kafka.bootstrap": "$(bootstrap)", "kafka.group": "$SCENARIO", "topics.input": [p + "usage.calls"],
	    "topics.alerts": p + "meterd.alerts", "topics.settlements": p + "meterd.settlements",
	    "topics.control": p + "meterd.control", "topics.accounts": p + "meterd.accounts", "topics.dlq": p + "usage.calls.dlq",
	    "redis.url": "$([[ -f $DIR/redis.port ]] && redis_url "$DIR" || echo redis://127.0.0.1:1/0)",
	    "http.listen": "127.0.0.1:0", "clock": "records",
	}
	pairs.update(a.split("=", 1) for a in sys.argv[1:])
	tree = {}
	for path, value in pairs.items():
	    *up, leaf = path.split(".")
	    node = tree
	    for u in up:
	        node = node.setdefault(u, {})
	    node[leaf] = value
	def write(node, indent):
	    for k, v in node.items():
	        if isinstance(v, dict):
	            print(f"{indent}{k}:")
	            write(v, indent + "  ")
	        else:
	            print(f"{indent}{k}: {json.dumps(v) if isinstance(v, list) else v}")
	write(tree, "")
	PY
}
ctl() {
	local verb=$1
	shift
	"$METERCTL" "$verb" --config "$DIR/$MAIN.yaml" "$@"
}
ctl_q() { ctl "$@" 2>>"$DIR/meterctl.log"; } # its words into a log: for use in conditions

# -- meterd
start() {
	local name=$1
	shift
	"$METERD" --config "$DIR/$name.yaml" "$@" >>"$DIR/$name.log" 2>&1 &
	PIDS[$name]=$!
	echo "$! $(started_at $!)" >"$DIR/$name.pid"
}
running() { kill -0 "${PIDS[$1]}" 2>/dev/null && [[ -n $(started_at "${PIDS[$1]}") ]]; }
not_running() { ! running "$1"; }
reaped() { # exit code in $CODE
	wait "${PIDS[$1]}"
	CODE=$?
	unset "PIDS[$1]"
	rm -f "$DIR/$1.pid"
}
stop() {
	kill -TERM "${PIDS[$1]}" || fail "$1 does not run any more"
	wait_until "${2:-30}" not_running "$1" || fail "$1 does not stop on SIGTERM"
	reaped "$1"
	((CODE == 0)) || fail "$1 ended with $CODE on SIGTERM"
}
kill9() { kill -KILL "${PIDS[$1]}" || fail "$1 does not run any more"; reaped "$1" 2>/dev/null; }
pause() { kill -STOP "${PIDS[$1]}" || fail "$1 does not run any more"; }
resume() { kill -CONT "${PIDS[$1]}" || fail "$1 does not run any more"; }
service_manager() {
	export NOTIFY_SOCKET=$DIR/notify
	"$PYTHON" - "$NOTIFY_SOCKET" >"$DIR/notified" <<-'PY' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		while True:
		    print(s.recv(65536).decode(), flush=True)
	PY
	PIDS[notify]=$!
	wait_for 10 '[[ -S $NOTIFY_SOCKET ]]' 'the notify socket'
}
ends_with() {
	local name=$1 want=$2 text=${3:-}
	start "$name"
	wait_until 60 not_running "$name" || fail "$name runs on, although it should end with $want"
	reaped "$name"
	expect_equal "exit code of $name" "$CODE" "$want"
	[[ -z $text ]] || expect_match "words of $name" "$(tail -n 20 "$DIR/$name.log")" "$text"
}

last_words() { tail -n 1 "$DIR/$1.log" | sed -E 's/^[^ ]+ level=error event=stopped exit=[0-9]+ why="(.*)"$/\1/; s/^meterd: //'; }

# -- events
event() {
	local pair out=
	for pair; do
		local k=${pair%%=*} v=${pair#*=}
		[[ $v =~ ^-?[0-9]+$ && $k != id && $k != account ]] || v="\"$v\""
		out+=${out:+,}\"$k\":$v
	done
	echo "{$out}"
}
# Records from standard input, one JSON object a line: {"partition":0,"timestamp":…,"key":…,"value":…,"headers":[["name","value"],…]}
produce() { "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "$INPUT" "$@" || fail "produce"; }

# -- what meterd says
ledger() { ctl_q audit --format ndjson | jq -s "map(.$1) | add // 0"; }
# Offsets that shard 0 has taken in, of all partitions. For the moment of a fault only: quick, and true while there is traffic,
# where `audit` would wait for a quiet moment.
progress() {
	local key
	key=$(redis_do "$DIR" --scan --pattern '*{s00}*:off' 2>/dev/null) || return 1
	[[ -n $key ]] || { echo 0; return; }
	redis_do "$DIR" hvals "$key" | awk '{ n += $1 } END { print n + 0 }'
}
# past N MOST: more than N taken in; fails where MOST is reached, since a fault must come in the middle.
past() {
	local at
	wait_until 60 condition "(( \$(progress) > $1 ))" || fail "waited 60 s for $1 records to be taken in"
	at=$(progress)
	((at < $2)) || fail "too late for a fault in the middle: $at of $2 records are taken in"
	echo "at $at records"
}
drained() {
	local got
	got=$(ctl_q audit --format ndjson) || return 1
	# shellcheck disable=SC2086
	"$PYTHON" "$ROOT/tests/lib/drained.py" ${DRAINED_OPTIONS:-} "$(bootstrap)" "$INPUT" <<<"$got"
}
settled() {
	ctl_q settlements --format ndjson | jq -es --arg p "$1" \
		'any(.[]; .type == "meterd.period.closed.v1" and .data.period == $p)' >/dev/null
}
outbox_empty() {
	local key n
	for key in $(redis_do "$DIR" --scan --pattern '*:out'); do
		n=$(redis_do "$DIR" xlen "$key")
		((n == 0)) || return 1
	done
}
proved() {
	local out
	out=$(ctl prove --format ndjson "$@" 2>&1) || fail "prove ends with $?: $out"
}
auditor_agrees() {
	"$PYTHON" "$ROOT/tests/lib/auditor.py" --config "$DIR/$MAIN.yaml" --meterctl "$METERCTL" "$@" || fail "the auditor disagrees"
	(($# > 0)) || ! ctl_q settlements --kind period.closed --format ndjson | grep -q . || proved
}
