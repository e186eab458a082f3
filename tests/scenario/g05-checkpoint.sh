# SPDX-License-Identifier: Apache-2.0
# Retention has taken the first part of the log: counters that Redis lost come from a checkpoint, by hand and by on_state_loss, and a rebuild
# begins with it; alerts and settlements come once. A file that is damaged, of another state or of another form is refused.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
config m workers=2 checkpoint.keep=3 checkpoint.pause=0s dedupe.generation_bits=8 dedupe.max_age=1h close.grace=1h
expect_code 0 ctl init
ctl gen --events 60000 --accounts 60 --seed 51 --from 2020-01 --to 2020-04 >/dev/null || fail gen
checkpoints() { ctl_q checkpoint list --format ndjson; }
newest() { checkpoints | head -n 1 | jq -r .file; }
of_month() { [[ $(checkpoints | head -n 1 | jq -r .settled) == "$1" ]]; }
words() { cat "$DIR/words"; }
start m
wait_for 120 'settled 2020-03' 'the end of March'
wait_for 60 'of_month 2020-03' 'its checkpoint'
expect_equal "copies left in Redis" "$(redis_do "$DIR" --scan --pattern '*:g1000000000:*' | wc -l)" 0

# -- one by hand, in the middle of a month and of traffic: when every shard has come well beyond where the one before needs the log
old=$(newest)
cp "$old" "$DIR/old.checkpoint" # others may push it out
windows() { head -c 1000000 "$1" | sed -n 2p | jq -r '.partitions[] | "\(.partition | split("/")[1]) \(.window)"' | sort; }
least() {
	local s
	for s in {00..15}; do redis_do "$DIR" hgetall "meterd:{s$s}:g1:off"; done | paste - - |
		awk '{ p = $1; sub(".*/", "", p); if (!(p in next_of) || $2 < next_of[p]) next_of[p] = $2 } END { for (p in next_of) print p, next_of[p] }' | sort
}
beyond() { join <(least) <(windows "$1") | awk '{ n += $2 > $3 + 2048 } END { exit n != 4 }'; }
april() { ctl gen --accounts 60 --from "2020-04-${2}T00:00:00+08:00" --to "2020-0${3}T00:00:00+08:00" --seed "$1" --events "${@:4}" >/dev/null 2>>"$DIR/gen.log"; }
april 52 02 4-20 25000 --no-ticks || fail gen
wait_for 60 'beyond "$old"' 'calls of April in all shards'
april 54 20 4-28 10000 --no-ticks &
traffic=$!
file=$(ctl_q checkpoint) || fail "checkpoint"
wait "$traffic" && april 55 28 5-01 5000 || fail gen
wait_for 60 'of_month 2020-04' 'the checkpoint of April'
expect_equal "all" "$(checkpoints | jq -r .file)" "$(newest)"$'\n'"$file"$'\n'"$old"
expect_code 0 ctl checkpoint verify "$file" 2>"$DIR/words"
expect_match "verified" "$(words)" 'is whole, of this state, and the log goes on from it: [1-9][0-9]+ fields'
wait_for 60 drained
auditor_agrees --kept "$DIR/log"

# -- begun by hand with one of them: by its name, or as the newest that stands before a time or an offset; not without what lies before
generations() { ctl_q generations --format ndjson | jq -r '"\(.generation) \(.is)"'; }
from() { # CODE WHERE REGEX [OPTION…]
	expect_code "$1" ctl rebuild --yes --from "$2" "${@:4}" 2>"$DIR/words"
	expect_match "from $2" "$(words)" "$3"
}
from 0 "$old" "generation 2 begins with $old" --verify
expect_match "no difference" "$(words)" '[1-9][0-9]+ fields of generations 1 and 2 compared, 0 differences'
from 78 "$old" 'generation 2 is being made already, and --from says where one begins'
expect_code 0 ctl_q generations drop 2
from 0 2020-04-29T00:00:00+08:00 "generation 2 begins with $file" --verify
expect_match "no difference" "$(words)" '[1-9][0-9]+ fields of generations 1 and 2 compared, 0 differences'
expect_code 0 ctl_q generations drop 2
from 78 2020-03-20T00:00:00+08:00 'would leave out what was counted before, unless a checkpoint holds it: .* is to stand at [1-9][0-9]* at the most'
from 78 "$INPUT/2=5000" 'would leave out what was counted before'
from 78 "$DIR/m.yaml" 'is no checkpoint of meterd'
from 64 nowhere/0=5 'names no partition that is counted'
from 64 "$INPUT/2=x" '.x. is no offset; write an offset that holds for every partition'
from 64 March 'takes a checkpoint'
expect_equal "nothing was begun" "$(generations)" '1 in force'

# -- retention takes what lies before its windows
head -c 1000000 "$file" | sed -n 2p | jq -c --arg t "$INPUT" '{version: 1, partitions: [.partitions[] | {topic: $t,
	partition: (.partition | split("/")[1] | tonumber), offset: ((.window / 256 | floor) * 256 - 256)}]}' >"$DIR/delete.json"
jq -e 'all(.partitions[]; .offset > 1000)' "$DIR/delete.json" >/dev/null || fail "nothing to delete: $(cat "$DIR/delete.json")"
kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(bootstrap)" --offset-json-file "$DIR/delete.json" \
	>"$DIR/delete.out" 2>&1 || fail "delete: $(cat "$DIR/delete.out")"

DRAINED_OPTIONS=--cut

from 78 0 'begins at offset [1-9][0-9]*, and counting from 0 on is needed: retention took'
# -- a rebuild beside the live counters begins with it, and finds no difference
expect_code 0 ctl rebuild --yes --verify --promote 2>"$DIR/words"
expect_match "from the checkpoint" "$(words)" "the log does not reach back to the first offsets; generation 2 begins with $(newest)"
expect_match "no difference" "$(words)" '[1-9][0-9]+ fields of generations 1 and 2 compared, 0 differences'
auditor_agrees --kept "$DIR/log"
expect_code 0 ctl_q rebuild --yes --rollback
wait_for 60 drained

# -- what is refused, and that nothing is done then
refused() { # WHAT FILE REGEX
	expect_code 78 ctl restore --yes "$2" 2>"$DIR/words"
	expect_match "$1" "$(words)" "$3"
}
expect_code 0 ctl_q generations drop 2
bad=$DIR/state-m/checkpoints/bad.checkpoint
head -c -1 "$file" >"$bad"
refused "cut off" "$bad" 'is damaged \(its checksum is wrong\): nothing was taken from it'
{ head -c 20000 "$file" && printf x && tail -c +20002 "$file"; } >"$bad"
refused "one byte" "$bad" 'is damaged \(its checksum is wrong\): nothing was taken from it'
sed '1s/1$/2/' "$file" >"$bad"
refused "newer" "$bad" 'has form 2, this program reads form 1: it was written by a newer version of meterd'
refused "the configuration" "$DIR/m.yaml" 'is no checkpoint of meterd'
refused "none" "$DIR/nothing" 'cannot be opened \(No such file or directory\)'
"$PYTHON" - "$file" "$bad" <<-'PY'
	import hashlib, sys
	whole = open(sys.argv[1], "rb").read()[:-32]
	first, head, rest = whole.split(b"\n", 2)
	other = b"\n".join([first, head.replace(b'"init":"', b'"init":"0000', 1)[:head.index(b'","schema')] + head[head.index(b'","schema'):], rest])
	open(sys.argv[2], "wb").write(other + hashlib.sha256(other).digest())
PY
refused "foreign" "$bad" 'the checkpoint is of init id 0000[0-9a-f]+, the control topic of [0-9a-f]+: it is another state.s'
expect_equal "nothing was begun" "$(generations)" '1 in force'
expect_match "listed with what is wrong" "$(printf x >"$bad"; checkpoints | jq -r '.wrong // empty')" 'is no checkpoint of meterd'
rm "$bad"

# -- put back by hand beside what is in force: a rebuild goes on from it; not while somebody else works on generations
redis_do "$DIR" set 'meterd:{s00}:lease' 'process 7 on elsewhere' >/dev/null
expect_code 75 ctl restore --yes "$file" 2>"$DIR/words"
expect_match "one at a time" "$(words)" 'the generations of this state are worked on: process 7 on elsewhere'
redis_do "$DIR" del 'meterd:{s00}:lease' >/dev/null
expect_equal "nothing was begun" "$(generations)" '1 in force'
expect_code 0 ctl_q restore --yes "$file"
expect_equal "beside" "$(generations)" $'1 in force\n3 being made'
expect_code 78 ctl restore --yes "$file" 2>"$DIR/words"
expect_match "not twice" "$(words)" 'generation 3 is being made already'

# -- half of a checkpoint is not put in force, whoever asks; what somebody asked for is not dropped before the answer
decided=$(timeout 60 kcat -C -q -e -b "$(bootstrap)" -t "$CONTROL" -o beginning -f '%o %s\n' | grep '"type":"generation"' | tail -n 1 | cut -d ' ' -f 1)
ask="{\"kind\":\"generation\",\"generation\":3,\"after\":$decided}"
redis_do "$DIR" hset 'meterd:{s15}:meta' g:3 restoring >/dev/null
redis_do "$DIR" rpush 'meterd:{s00}:req' "$ask" >/dev/null
wait_for 60 'grep -q "event=generation_refused generation=3 in_force=1" "$DIR/m.log"' 'the answer of meterd'
wait_for 60 '[[ $(redis_do "$DIR" llen "meterd:{s00}:req") == 0 ]]' 'the request to go'
redis_do "$DIR" hset 'meterd:{s15}:meta' g:3 building >/dev/null
stop m
redis_do "$DIR" rpush 'meterd:{s00}:req' "$ask" >/dev/null
expect_code 75 ctl generations drop 3 2>"$DIR/words"
expect_match "asked for" "$(words)" 'meterd was asked to put 3 in force; nothing was dropped'
expect_equal "still there" "$(generations)" $'1 in force\n3 being made'
redis_do "$DIR" del 'meterd:{s00}:req' >/dev/null
start m
expect_code 0 ctl_q rebuild --yes --verify
expect_code 0 ctl_q generations drop 3

# -- Redis loses everything; the oldest checkpoint is too old for the log. It says so, and changes nothing
lose() {
	redis_do "$DIR" flushall >/dev/null
	wait_for 60 'not_running m' 'meterd to end'
	reaped m
	expect_equal "exit code" "$CODE" "$1"
}
lose 78
expect_match "its words" "$(last_words m)" 'put a checkpoint back with `meterctl restore`'
refused "too old" "$DIR/old.checkpoint" 'the window of duplicates before the checkpoint, from [0-9]+ on, is needed: retention took [1-9][0-9]* offsets'
expect_equal "keys in Redis" "$(redis_do "$DIR" dbsize)" 0

# -- by hand; a shard of which only half came is of no use, and the same command makes it whole
expect_code 0 ctl_q restore --yes "$file"
redis_do "$DIR" hset 'meterd:{s15}:meta' g:1 restoring >/dev/null
redis_do "$DIR" hset 'meterd:{s15}:g1:use:2020-03' nobody/image-tag 7 >/dev/null
ends_with m 78 'shard 15 of Redis holds half of a checkpoint: putting it back was interrupted, or goes on'
expect_code 0 ctl_q restore --yes "$file"
start m
wait_for 120 drained
ctl gen --events 5000 --accounts 60 --seed 53 --from 2020-05 --to 2020-06 >/dev/null || fail gen
wait_for 120 'settled 2020-05' 'the end of May'
wait_for 60 'of_month 2020-05' 'its checkpoint'
expect_equal "so many are kept" "$(checkpoints | wc -l) $(checkpoints | grep -c "$old")" '3 0'
wait_for 60 outbox_empty
auditor_agrees --kept "$DIR/log"

# -- by itself: after a loss, and after one of a single shard's meta, whose counters are left over
begin() { # and publishes
	local before
	before=$(grep -c 'event=office_state state=running' "$DIR/m.log")
	start m
	wait_for 60 "((\$(grep -c 'event=office_state state=running' '$DIR/m.log') > $before))" 'meterd to be in charge'
}
stop m
config m workers=2 checkpoint.keep=3 checkpoint.pause=0s dedupe.generation_bits=8 dedupe.max_age=1h close.grace=1h on_state_loss=rebuild
begin
lose 75
begin
wait_for 30 'grep -q event=state_put_back "$DIR/m.log"' 'a word about it'
wait_for 120 drained
redis_do "$DIR" del 'meterd:{s05}:meta' >/dev/null
wait_for 60 'not_running m' 'meterd to end'
reaped m
expect_equal "exit code" "$CODE" 75
start m
wait_for 120 drained
ctl gen --events 5000 --accounts 60 --seed 54 --from 2020-06 --to 2020-07 >/dev/null || fail gen
wait_for 120 'settled 2020-06' 'the end of June'
wait_for 60 outbox_empty
auditor_agrees --kept "$DIR/log"
