# SPDX-License-Identifier: Apache-2.0
# One allocation fails, anywhere in start, batches and shutdown: the daemon carries on, or ends with 75, never with "mend your files"
# (78) nor by a crash of its own. Where memory is lacking inside librdkafka, which aborts, or in hiredis 0.14, which uses a buffer that
# it did not get, it may die as they have it die. A normal start afterwards has every number right.
# In CI some of the allocations, spread over all of them; NO_MEMORY_RUNS=N for more, NO_MEMORY_RUNS=all for every one.
. "$(dirname "$0")/../lib/scenario.sh"
[[ -f $BUILD/bin/no_memory.so ]] || fail "no_memory.so is not built: a Release build has it"
start_redis
topics --stamps any --partitions 2
config m flush.max_interval=20ms
expect_code 0 ctl init
day=0
more() { # a day's events for every run
	local from to
	from=$(date -u -d "2020-01-02 +$day day" +%F) to=$(date -u -d "2020-01-03 +$day day" +%F)
	day=$((day + 1))
	ctl gen --events 400 --accounts 20 --seed "$day" --from "${from}T00:00:00+08:00" --to "${to}T00:00:00+08:00" --no-ticks >/dev/null || fail gen
}
# faulty AT [WORD…]: one run in which allocation AT fails; exit code in $CODE.
faulty() {
	local at=$1
	shift
	printf '#!/bin/sh\nexec env LD_PRELOAD=%q NO_MEMORY_AT=%s NO_MEMORY_COUNT=%q %s %q "$@"\n' \
		"$BUILD/bin/no_memory.so" "$at" "$DIR/count" "$*" "$BUILD/bin/meterd" >"$DIR/meterd"
	chmod +x "$DIR/meterd"
	more
	METERD=$DIR/meterd start m
	wait_for 60 'not_running m || drained' "the end of the run in which allocation $at fails, or of its work"
	running m && kill -TERM "${PIDS[m]}"
	wait_until 60 not_running m || fail "allocation $at fails, and meterd hangs"
	reaped m
}
count_of() { # allocations of an orderly run
	rm -f "$DIR/count"
	faulty 0 "$@"
	expect_equal "exit code" "$CODE" 0
	tail -n 1 "$DIR/count"
}
# Is it such a library that lacks the memory? From what the shim wrote of its frames last.
in_a_library() { awk '/no_memory: this allocation fails/ { n = 0 } /librdkafka|libhiredis.*redisBufferWrite/ { n++ } END { exit n == 0 }' "$DIR/m.log"; }
sweep() { # allocations spread over all of an orderly run
	local n runs i at
	n=$(count_of "$@") || fail "no count"
	((n > 200)) || fail "only $n allocations are seen: the shim does not work"
	runs=${NO_MEMORY_RUNS:-$SOME}
	[[ $runs != all ]] || runs=$n
	for ((i = 0; i < runs; i++)); do
		at=$((1 + i * n / runs))
		faulty "$at" "$@"
		codes_seen[$CODE]=$((${codes_seen[$CODE]:-0} + 1))
		[[ $CODE == 0 || $CODE == 75 ]] || { [[ $CODE == 134 || $CODE == 139 ]] && in_a_library; } ||
			fail "allocation $at of $n fails, and meterd ends with $CODE"
	done
	echo "$runs of $n allocations failed ($*)"
}
declare -A codes_seen=()
SOME=10 sweep NO_MEMORY_OURS=1
((${codes_seen[75]:-0} > 0)) || fail "no allocation that failed ended the daemon: nothing was tested"
grep -q 'event=out_of_memory' "$DIR/m.log" || fail "no word about the memory"
! grep -q 'event=defect' "$DIR/m.log" || fail "a lack of memory is taken for a defect"
SOME=3 sweep
for code in "${!codes_seen[@]}"; do echo "exit $code: ${codes_seen[$code]} times"; done
METERD=$BUILD/bin/meterd
more
start m
wait_for 60 drained
wait_for 30 outbox_empty
stop m
expect_equal "imbalance" "$(ledger difference)" 0
auditor_agrees --only counters,ledger,alerts,dlq
