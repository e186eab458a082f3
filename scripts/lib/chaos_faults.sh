# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/chaos, behind tests/lib/scenario.sh: the schedule, the faults, the traffic, and the verdict's words. A fault ends
# with everything running again. Time is waited for in two places only: how long a fault is held, and how far apart faults are.

# -- chance

# draw LOW HIGH: into $D. Never in a subshell, which would draw the same again.
draw() { D=$(($1 + (RANDOM * 32768 + RANDOM) % ($2 - $1 + 1))); }
lull() { read -rt "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))" <> <(:) || :; } # milliseconds

# One hand: kinds as often as they are to come, four kills of a daemon to one of everything else.
HAND=(kill_daemon kill_daemon kill_daemon kill_daemon stall_daemon kill_redis stall_redis kill_broker aof_cut older_copy client_kill
	client_pause redis_full redis_read_only few_clients function_flush function_delete everything_flushed)
SCHEDULE=()
# schedule HANDS: lines `fault milliseconds held, a number for the fault to use, daemon, extra, gap`, all of them from the seed.
schedule() {
	local hands=$1 i j hand kind held number daemon extra
	RANDOM=$((SEED % 32768))
	for ((i = 0; i < SEED / 32768 % 1000; i++)); do draw 0 1; done
	while ((hands-- > 0)); do
		hand=("${HAND[@]}")
		for ((i = ${#hand[@]} - 1; i > 0; i--)); do
			draw 0 $i
			j=$D kind=${hand[i]}
			hand[i]=${hand[j]} hand[j]=$kind
		done
		for kind in "${hand[@]}"; do
			draw 100 4500; held=$D
			draw 0 9999; number=$D
			draw 0 1; daemon=$D
			draw 0 3; extra=-
			((D > 0)) || extra=kill
			draw 0 2
			if ((D == 0)); then D=on; else draw 0 2500; fi
			[[ $daemon == 0 ]] && daemon=a || daemon=b
			SCHEDULE+=("$kind $held $number $daemon $extra $D")
		done
	done
}

# -- daemons

declare -A COUNT=()
count() { COUNT[$1]=$((${COUNT[$1]:-0} + 1)); }
other() { [[ $1 == a ]] && echo b || echo a; }
kill_one() { ! running "$1" || { kill9 "$1"; count daemon_kills; }; }

# As the service manager would: who ended with "try again later" is started again. Any other end of its own is a failure, and so is a
# halt: every fault here is one that meterd promises to heal from.
tend() {
	local d words
	for d in a b; do
		[[ -n ${PIDS[$d]:-} ]] || { start $d; continue; }
		running $d && continue
		reaped $d
		[[ $CODE == 75 || $CODE == 69 ]] || fail "$d ended with $CODE: $(last_words $d)"
		count ended_to_be_started_again
		start $d
	done
	words=$(grep -hE 'state=halted|event=partition_halted|event=defect|event=settlement_conflict' "$DIR/a.log" "$DIR/b.log") || return 0
	fail "meterd halted: $words"
}

# -- faults: MILLISECONDS NUMBER DAEMON EXTRA

# Holds a fault for a while; with EXTRA, a daemon dies in the middle of it.
hold() { # ms daemon extra
	lull $(($1 / 2))
	[[ $3 != kill ]] || kill_one "$2"
	lull $(($1 / 2))
}
fault_kill_daemon() {
	kill_one "$3"
	[[ $4 != kill ]] || kill_one "$(other "$3")"
	lull $(($1 / 8))
}
# Beyond the session time-out of 2 s, so that the other takes over.
fault_stall_daemon() {
	pause "$3"
	hold $((2200 + $1)) "$(other "$3")" "$4"
	[[ $4 != kill ]] || start "$(other "$3")" # somebody must take over
	resume "$3"
}
fault_kill_redis() { kill9_redis; hold $(($1 / 2)) "$3" "$4"; restart_redis; }
fault_stall_redis() { # beyond its time-out of 1 s
	local pid
	pid=$(process_pid "$DIR/redis.pid")
	kill -STOP "$pid"
	hold $((1200 + $1)) "$3" "$4"
	kill -CONT "$pid"
}
fault_kill_broker() {
	local n=$((1 + $2 % brokers))
	kafka_kill9 "$DIR" $n
	hold "$1" "$3" "$4"
	kafka_restart "$DIR" $n
}
# Between a hundredth and a half of what was written since `init` is gone.
fault_aof_cut() {
	local size
	kill9_redis
	size=$(redis_aof_size "$DIR")
	redis_aof_cut "$DIR" $((size - (size - AOF_FLOOR) * (1 + $2 % 50) / 100))
	hold $(($1 / 4)) "$3" "$4"
	restart_redis
}
# The copy is from behind the last time, when one was put back. Taken while Redis wrote, its last command may be torn.
fault_older_copy() {
	kill9_redis
	redis_restore "$DIR"
	redis_aof_cut "$DIR" "$(redis_aof_size "$DIR")"
	hold $(($1 / 4)) "$3" "$4"
	restart_redis
	redis_save "$DIR"
}
fault_client_kill() {
	local i
	for ((i = 0; i < 1 + $2 % 4; i++)); do
		redis_do "$DIR" client kill type normal skipme yes >/dev/null
		lull $(($1 / 16))
	done
	[[ $4 != kill ]] || kill_one "$3"
}
fault_client_pause() {
	local how=all
	(($2 % 2)) && how=write
	redis_do "$DIR" client pause "$((500 + $1))" $how >/dev/null
	hold $((500 + $1)) "$3" "$4"
	redis_do "$DIR" client unpause >/dev/null
}
fault_redis_full() {
	redis_do "$DIR" config set maxmemory 1mb >/dev/null
	hold "$1" "$3" "$4"
	redis_do "$DIR" config set maxmemory 0 >/dev/null
}
fault_redis_read_only() { # nobody listens on port 1: the data stay, writes are refused
	redis_do "$DIR" replicaof 127.0.0.1 1 >/dev/null
	hold "$1" "$3" "$4"
	redis_do "$DIR" replicaof no one >/dev/null
}
# One client at the most: the one that says so and keeps its connection; everybody else is thrown out and meets the limit.
fault_few_clients() {
	local fd
	exec {fd}<>"/dev/tcp/127.0.0.1/$(cat "$DIR/redis.port")" || fail "Redis takes no connection"
	told() { printf '%s\r\n' "$1" >&"$fd"; read -rt 20 <&"$fd" || fail "no answer to $1"; }
	told 'CONFIG SET maxclients 1'
	told 'CLIENT KILL TYPE normal SKIPME yes'
	hold "$1" "$3" "$4"
	told 'CONFIG SET maxclients 10000'
	exec {fd}>&-
}
fault_function_flush() { redis_do "$DIR" function flush >/dev/null; [[ $4 != kill ]] || kill_one "$3"; }
fault_function_delete() { # that of this version: the one of the first versions' name is only there to keep them out
	local library
	library=$(redis_do "$DIR" function list libraryname 'meterd_????????????' | awk 'before == "library_name" { print; exit } { before = $0 }')
	[[ -z $library ]] || redis_do "$DIR" function delete "$library" >/dev/null # deleted already, and nobody has missed it yet
	[[ $4 != kill ]] || kill_one "$3"
}

# Nothing is left: who meets it ends with 75, and its next start puts the newest checkpoint back, or counts everything again. Half the time one is
# written just before. What Redis kept of the time before, its copy and its log of commands, is of another course of events: nobody goes back to it.
fault_everything_flushed() {
	(($2 % 2)) || "$METERCTL" checkpoint --config "$DIR/a.yaml" >>"$DIR/meterctl.log" 2>&1 || :
	redis_do "$DIR" flushall >/dev/null
	hold "$1" "$3" "$4"
	wait_for 240 'tend && "$METERCTL" counters --config "$DIR/a.yaml" >/dev/null 2>&1' 'the counters to be made again'
	redis_save "$DIR"
	AOF_FLOOR=$(redis_aof_size "$DIR")
}

# GAP: milliseconds to the next fault, or `on`: until records are taken in again.
gap() {
	local at
	[[ $1 == on ]] || { lull "$1"; return; }
	wait_for 60 'at=$(progress)' 'Redis to say where counting stands'
	wait_for 120 "tend && (( \$(progress) > $at + 1000 ))" 'records to be taken in again'
}

# faults SECONDS: until the time is over, but every kind at least once.
faults() {
	local until=$((SECONDS + $1)) kind held number daemon extra gap n=0
	schedule $(($1 / 10 + 1))
	for line in "${SCHEDULE[@]}"; do
		((SECONDS < until || n < ${#HAND[@]})) || return 0
		read -r kind held number daemon extra gap <<<"$line"
		NOW=$n n=$((n + 1))
		printf '%4ds %3d %s\n' $SECONDS $n "$line"
		"fault_$kind" "$held" "$number" "$daemon" "$extra"
		count "$kind"
		tend
		traffic_lives || fail "the traffic ended: $(tail -n 3 "$DIR/gen.log")"
		gap "$gap"
	done
}

# -- traffic

# Two days of calls a piece, over and over: duplicates, invalid, late and not billable ones; months pass. Goes on while no more than a
# few thousand wait. A piece that was not acknowledged (the broker died) goes again, as producers do: duplicates.
DAY=86400 TRAFFIC_BEGIN=1577808000 # 2020-01-01 in the price book's zone
piece() { # number option…
	local from=$((TRAFFIC_BEGIN + $1 * 2 * DAY)) n=$1
	shift
	"$METERCTL" gen --config "$DIR/a.yaml" --events 2000 --accounts 60 --seed $((SEED * 10000 + n + 1)) --duplicates 10 --invalid 10 --late 5 \
		--not-billable 30 --from "$(date -u -d "@$from" +%FT%TZ)" --to "$(date -u -d "@$((from + 2 * DAY))" +%FT%TZ)" "$@" \
		>>"$DIR/gen.log" 2>&1 &
	echo "$! $(started_at $!)" >"$DIR/gen.pid"
	wait $! && late_ones "$n" "$from"
}
# Calls that come 40 days after their time, to accounts with calls in every month: adjustments. The first of each piece comes in the
# next one again: a duplicate of a late call.
late_ones() { # number from
	local n=$1 ms=$(($2 * 1000)) i
	for i in 0 1 2 3 4 5; do
		jq -nc --arg id "late-$((i == 5 ? n - 1 : n))-$((i % 5))" --arg account "late-$((i % 5))" --argjson stamp $((ms + 3600000 + i)) \
			--argjson time $((ms - 40 * DAY * 1000)) --argjson calls $((1 + n % 3000)) \
			'{timestamp: $stamp, key: $account} as $r |
			 ($r + {value: {id: $id, account: $account, service: "image-tag", time: $time, calls: $calls}}),
			 ($r + {value: {id: ("now-" + $id), account: $account, service: "image-tag", time: $stamp, calls: 700}})'
	done | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "$INPUT" >>"$DIR/gen.log" 2>&1
}
delivered() { # number option…
	local tries=0
	until piece "$@"; do
		((++tries < 20)) || return 1
		lull 200
	done
}
few_wait() {
	local at
	[[ -f $DIR/traffic.stop ]] && return
	at=$(progress 2>/dev/null) && ((N * 2000 - at < 8000))
}
traffic() {
	RANDOM=$((SEED % 32768))
	N=0
	until [[ -f $DIR/traffic.stop ]]; do
		delivered $N --no-ticks || return 1
		N=$((N + 1))
		echo $N >"$DIR/traffic.n"
		draw 100 1200
		lull "$D"
		wait_until 600 few_wait || return 1
	done
}
traffic_start() {
	traffic &
	PIDS[traffic]=$!
}
traffic_lives() { running traffic; }
# The last piece ends with a tick in each partition, so that its month closes too.
traffic_end() {
	: >"$DIR/traffic.stop"
	wait_for 600 'tend && not_running traffic' 'the traffic to end'
	wait "${PIDS[traffic]}" || fail "the traffic failed: $(tail -n 3 "$DIR/gen.log")"
	unset 'PIDS[traffic]'
	PIECES=$(($(cat "$DIR/traffic.n") + 1))
	delivered $((PIECES - 1)) || fail "the last piece: $(tail -n 3 "$DIR/gen.log")"
	TRAFFIC_END=$((TRAFFIC_BEGIN + PIECES * 2 * DAY))
}
# Cheap first: what is far away need not be counted.
tended_and_drained() {
	local end at
	tend
	end=$(ends "$INPUT") && at=$(progress) && ((end - at < 2000)) || return 1
	DRAINED_OPTIONS=--whole drained
}

# -- verdict

counts() {
	local k out=
	for k in $(printf '%s\n' "${!COUNT[@]}" | sort); do out+=${out:+, }"$k ${COUNT[$k]}"; done
	echo "$out"
}
summary() { OVER=1; echo "chaos: seed $SEED, $brokers brokers, $PIECES pieces of traffic, all equal: $(counts)"; }

OVER=
chaos_exit() {
	local rc=$? f line i=0
	[[ ! -f $DIR/gen.pid ]] || process_kill9 "$DIR/gen.pid"
	if [[ -n $OVER && $rc == 0 ]]; then
		(at_exit)
		rm -rf "$DIR"
		trap - EXIT
		exit 0
	fi
	for f in "$DIR"/a.log "$DIR"/b.log "$DIR"/meterctl.log; do
		[[ -s $f ]] || continue
		echo "--- end of $f"
		tail -n 15 "$f" | cut -c 1-400
	done
	echo "schedule of seed $SEED:"
	for line in "${SCHEDULE[@]}"; do
		((i++ <= ${NOW:--1})) || break
		echo "  $line"
	done
	echo "chaos: failed, $(counts); what is left lies in $DIR; again: $AGAIN"
	((rc != 0)) || rc=1
	(exit $rc)
	at_exit
}
