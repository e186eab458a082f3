# SPDX-License-Identifier: Apache-2.0
# Windows of duplicates in state_dir: after kill -9 only the log behind the newest slice is read back (a metric shows it), and repetitions of
# what lies in the slices are found; a corrupt slice is refused; a state directory that is full or deleted costs a longer start and a warning,
# and no decision. At the end everything as the auditor computes it from the log.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
port=$(free_ports 1) || fail "no port"
config m http.listen="127.0.0.1:$port" dedupe.snapshot_bits=10 dedupe.max_age=30d # of record time, which the months below pass quickly
expect_code 0 ctl init
status() { curl -fsS 2>/dev/null "http://127.0.0.1:$port/api/v1/status"; }
sum() { status | jq "[.partitions[] | $1] | add"; }
calm() { [[ $(status | jq '(.partitions | length) == 2 and ([.partitions[] | .lag == 0 and (.reading_back | not)] | all)') == true ]]; }
written() { calm && (($(sum '.next - .snapshot_offset') < 2048)); }
# Copies of those of COUNT records of partition 0 from offset FROM on that have no headers, at the end of the log.
repeat() {
	timeout 60 kcat -C -q -e -b "$(bootstrap)" -t "$INPUT" -p 0 -o "$1" -c "$2" -f '%T\t%k\t%h\t%s\n' | awk -F '\t' '$3 == ""' >"$DIR/again" || fail "kcat"
	(($(wc -l <"$DIR/again") > $2 / 2)) || fail "few records to repeat: $(head -n 3 "$DIR/again")"
	jq -Rc 'split("\t") | {partition: 0, timestamp: (.[0] | tonumber), key: .[1], value: .[3]}' "$DIR/again" | produce
}
lines() { grep -c "event=$1 " "$DIR/m.log"; }
repeated() { # FROM COUNT: all of them are found
	local before
	before=$(ledger duplicate)
	repeat "$1" "$2"
	wait_for 60 drained
	expect_equal "duplicates" "$(ledger duplicate)" $((before + $(wc -l <"$DIR/again")))
}

ctl gen --events 30000 --accounts 50 --seed 5 --duplicates 10 --invalid 0 --from 2020-01-20T00:00:00+08:00 --to 2020-02-01T00:00:00+08:00 >/dev/null || fail gen
start m
wait_for 60 '(( $(progress) > 0 ))' 'something to be taken in'
kill9 m # in the middle, or not
start m
wait_for 60 drained
wait_for 60 written 'the slices to be on disk'

# Only the log behind them is read back.
behind=$(sum '.next - .snapshot_offset')
kill9 m
start m
wait_for 60 "calm && (( \$(sum .read_back) == $behind ))" "$behind records to be read back, no more"
expect_match "what it says" "$(grep snapshot_loaded "$DIR/m.log" | tail -n 1)" 'position=[0-9]+ next=[0-9]+ slices=[0-9]+ ids=[0-9]+ ms='
repeated 100 200
repeated 12000 200

# One byte of a slice; and a disk that takes no more (a limit on the size of files stands for it: the log goes through a pipe).
kill9 m
slice=$(ls "$DIR"/state-m/dedupe/*-0/* | tail -n 3 | head -n 1)
printf X | dd of="$slice" bs=1 seek=5000 conv=notrunc status=none || fail dd
(ulimit -f 4; exec "$METERD" --config "$DIR/m.yaml") > >(cat >>"$DIR/m.log") 2>&1 &
PIDS[m]=$!
ctl gen --events 30000 --accounts 50 --seed 6 --duplicates 10 --invalid 0 --from 2020-02-02T00:00:00+08:00 --to 2020-02-10T00:00:00+08:00 >/dev/null || fail gen
wait_for 90 drained
expect_match "a corrupt slice" "$(grep snapshot_refused "$DIR/m.log")" 'corrupt: block 0 does not match its checksum'
wait_for 30 '(( $(lines snapshot_failed) == 1 ))' 'the warning'
expect_match "the warning" "$(grep snapshot_failed "$DIR/m.log")" 'level=warning .*File too large.* do="make room'
(($(status | jq .snapshots.failed) > 0)) || fail "failed: $(status | jq .snapshots)"
expect_match "status" "$(ctl status --format table)" 'snapshots  cannot be written'
expect_match "ready all the same" "$(ctl status --format table)" '^READY'
repeated 20000 200
kill9 m

# Nothing is left: the window is read back whole.
rm -rf "$DIR/state-m"
start m
wait_for 60 "calm && (( \$(sum .read_back) == $(progress) ))" 'all to be read back'
repeated 20500 200
wait_for 60 written 'the slices to be on disk again'
wait_for 60 'settled 2020-02' 'the end of February'
wait_for 60 outbox_empty
expect_equal "imbalance" "$(ledger difference)" 0
auditor_agrees
stop m
