# SPDX-License-Identifier: Apache-2.0
# What a rebuild and its like refuse, with their words, and that nothing was begun or put in force then: orders that make no sense, another state's topics,
# another log, one that retention cut, counters that went back, a disk that is full. Stopped, dropped meanwhile, or with a Redis that is full, it says so
# and goes on where it stood. (Two at once: g01; files: g05.)
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m checkpoint.keep=0
expect_code 0 ctl init
ctl gen --events 30000 --accounts 40 --seed 81 --from 2020-01-02T00:00:00+08:00 --to 2020-01-20T00:00:00+08:00 --no-ticks >/dev/null || fail gen
start m
wait_for 60 drained
generations() { ctl_q generations --format ndjson | jq -r '"\(.generation) \(.is)"'; }
refused() { # CODE WHAT REGEX [OPTION…]
	expect_code "$1" ctl rebuild --yes "${@:4}" 2>"$DIR/words"
	expect_match "$2" "$(cat "$DIR/words")" "$3"
	expect_equal "after it: $2" "$(generations)" "${IS:-1 in force}"
}

# -- orders
refused 64 "unseen" '--promote without --verify: nobody would know what is put in force' --promote
refused 64 "what differs" '--accept-differences goes with --promote' --verify --accept-differences
refused 64 "back and on" '--rollback goes alone' --rollback --verify
refused 64 "back from where" '--from says where to begin, and --rollback counts nothing again' --rollback --from 0
refused 78 "back to nothing" 'there is no generation to go back to: none was kept' --rollback
other() { # CODE REGEX VERB OPTION…
	expect_code "$1" ctl "${@:3}" >/dev/null 2>"$DIR/other"
	expect_match "${*:3}" "$(cat "$DIR/other")" "$2"
}
other 64 'write `list`, or `drop` and the number of a generation' generations drop
other 78 'there is no generation 7' generations drop 7
other 78 '1 is in force; nothing was dropped' generations drop 1
other 64 'write `make`, `list`, or `verify` and a file' checkpoint verify

# -- a full disk: nothing is left of a checkpoint, here and in Redis
(
	trap '' XFSZ
	ulimit -f 1
	expect_code 75 ctl checkpoint 2>"$DIR/words"
) || exit 1
expect_match "a full disk" "$(cat "$DIR/words")" 'cannot be written \(File too large\); nothing was left of it. Make room in state_dir'
expect_equal "what is left" "$(ls "$DIR/state-m/checkpoints") $(redis_do "$DIR" --scan --pattern '*:g1000000000:*' | wc -l)" ' 0'
file=$(ctl_q checkpoint) || fail checkpoint # of generation 1
mv "$file" "$DIR/first.checkpoint"

# -- topics of another state
"$PYTHON" "$LIB/topics.py" create "$(bootstrap)" --prefix "${PREFIX}other." --stamps any --partitions 2 || fail topics
config other "topics.control=${PREFIX}other.meterd.control" 'redis.prefix="other:"'
expect_code 0 "$METERCTL" init --config "$DIR/other.yaml" >/dev/null
cp "$DIR/m.yaml" "$DIR/own.yaml"
config m checkpoint.keep=0 "topics.control=${PREFIX}other.meterd.control"
expect_code 78 ctl rebuild --yes 2>"$DIR/words"
expect_match "another state's decisions" "$(cat "$DIR/words")" 'shard 0 of Redis belongs to init [0-9a-f]+, the control topic to [0-9a-f]+: point redis.url, redis.prefix and topics.control'
cp "$DIR/own.yaml" "$DIR/m.yaml"
expect_equal "nothing was begun" "$(generations)" '1 in force'

# -- stopped, and a Redis that is full: each said, and nothing is lost of it
begun() { (($(redis_do "$DIR" hlen 'meterd:{s00}:g2:off') > 0)); }
"$METERCTL" rebuild --config "$DIR/m.yaml" --yes --rate 1500 2>"$DIR/words" &
rebuild=$!
wait_for 60 begun 'its first positions'
other 75 'a rebuild works on them \(process [0-9]+ on .*\); nothing was dropped' generations drop 2
kill -TERM "$rebuild"
wait "$rebuild"
expect_equal "stopped" "$?" 69
expect_match "stopped" "$(cat "$DIR/words")" 'stopped; run the same command again to go on from here'
expect_equal "kept" "$(generations)" $'1 in force\n2 being made'
redis_do "$DIR" config set maxmemory 1mb >/dev/null
expect_code 69 ctl rebuild --yes 2>"$DIR/words"
expect_match "no room to begin" "$(cat "$DIR/words")" 'redis refuses for now: OOM command not allowed'
redis_do "$DIR" config set maxmemory 0 >/dev/null
stands() { redis_do "$DIR" hvals 'meterd:{s00}:g2:off' | awk '{ n += $1 } END { print n }'; }
before=$(stands)
"$METERCTL" rebuild --config "$DIR/m.yaml" --yes --verify --rate 1500 2>"$DIR/words" &
rebuild=$!
wait_for 60 '(($(stands) > before))' 'it to go on'
redis_do "$DIR" config set maxmemory 1mb >/dev/null
wait_for 60 'grep -q "records counted again (waits: .*OOM" "$DIR/words"' 'a word about the full Redis'
kill -0 "$rebuild" || fail "it ended because Redis is full"
redis_do "$DIR" config set maxmemory 0 >/dev/null
wait "$rebuild"
expect_equal "with room again" "$?" 0
expect_match "all of it" "$(cat "$DIR/words")" '[1-9][0-9]+ fields of generations 1 and 2 compared, 0 differences'
expect_match "where partitions stood" "$(cat "$DIR/words")" "records counted again [^"$'\n'"]*; $INPUT/[01] [0-9,]+ of [0-9,]+, $INPUT/[01] [0-9,]+ of [0-9,]+"

# -- dropped while it was away; then counters that went back behind it, when its workers claim again and when it compares
stop m
expect_code 0 ctl_q generations drop 2
slowly() { # its words into $DIR/words
	"$METERCTL" rebuild --config "$DIR/m.yaml" --yes --rate 1500 2>"$DIR/words" &
	rebuild=$!
	wait_for 60 begun 'its first positions'
}
ended() { # CODE REGEX
	local got
	wait "$rebuild"
	got=$?
	expect_equal "its exit code: $(cat "$DIR/words")" "$got" "$1"
	expect_match "its words" "$(cat "$DIR/words")" "$2"
}
unclaimed() { [[ $(redis_do "$DIR" exists 'meterd:{s00}:lease') == 0 ]]; }
slowly
kill -STOP "$rebuild"
wait_for 60 unclaimed 'the end of its claim'
expect_code 0 ctl_q generations drop 2
wait_for 60 unclaimed 'the end of the claim of that' # a moment behind its end
kill -CONT "$rebuild"
ended 75 'generation 2 is not being made any more: it was put in force, or dropped'
off() { redis_do "$DIR" "$1" 'meterd:{s00}:g1:off' "$INPUT/0" "${@:2}"; }
live=$(off hget)
back() { off hset "$(awk -v n="$1" '{ print n, $2, n - 1, $4, $5 }' <<<"$live")" >/dev/null; }
slowly
back 1
redis_do "$DIR" client kill type normal >/dev/null
ended 69 'the generation in force went back behind what was to be counted; run the same command again'
off hset "$live" >/dev/null
wait_for 60 unclaimed 'the end of its claim, which it could not give back'
expect_code 0 ctl_q rebuild --yes
back "$(($(cut -d' ' -f1 <<<"$live") - 1))"
expect_code 69 ctl rebuild --yes --verify >/dev/null 2>"$DIR/words"
expect_match "back behind it" "$(cat "$DIR/words")" 'the generation in force went back behind the one that is made; run the same command again'
off hset "$live" >/dev/null

# -- put in force only by a running daemon: the request waits for it
"$METERCTL" rebuild --config "$DIR/m.yaml" --yes --verify --promote 2>"$DIR/words" &
rebuild=$!
wait_for 60 '[[ $(redis_do "$DIR" exists "meterd:{s00}:req") == 1 ]]' 'the request'
kill -TERM "$rebuild"
wait "$rebuild"
expect_equal "nobody is there" "$?" 75
expect_match "nobody is there" "$(cat "$DIR/words")" 'generation 2 was asked for, and no running daemon has put it in force yet; start meterd, it does so as soon as it runs'
start m
wait_for 60 '[[ $(generations) == $'\''1 was in force\n2 in force'\'' ]]' 'what was asked for'
wait_for 60 drained
auditor_agrees
expect_code 0 ctl_q generations drop 1

# -- a log that retention cut, without a checkpoint
IS='2 in force'
printf '{"version":1,"partitions":[{"topic":"%s","partition":1,"offset":1000}]}\n' "$INPUT" >"$DIR/delete.json"
kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(bootstrap)" --offset-json-file "$DIR/delete.json" \
	>"$DIR/delete.out" 2>&1 || fail "delete: $(cat "$DIR/delete.out")"
refused 78 "a gap" "$INPUT/1 begins at offset 1000, and counting from 0 on is needed: retention took 1000 offsets. Bring the older log back. .* holds no checkpoint to go on from" --verify

# -- another log under the same name: shorter, then longer than what was counted
stop m
again() {
	kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap)" --delete --topic "$INPUT" >"$DIR/delete.out" 2>&1 ||
		fail "delete: $(cat "$DIR/delete.out")"
	wait_for 30 '[[ $(ends "$INPUT" 2>/dev/null) == 0 ]]' 'the topic to be gone'
	topics --stamps any --partitions 2 --only usage.calls
}
again
refused 78 "a shorter log" "$INPUT/[01] ends at offset 0, and a shard says that it has counted it up to [1-9][0-9]*: the topic was made again or cut off" --verify
ctl gen --events 60000 --accounts 40 --seed 82 --from 2020-01-02T00:00:00+08:00 --to 2020-01-20T00:00:00+08:00 --no-ticks >/dev/null || fail gen
refused 78 "another log" "the records of $INPUT/[01] at offsets [0-9]+ to [0-9]+ are not those that were counted: the topic was made again" --verify

# -- a checkpoint of a generation that is not in force any more cannot take the place of what was lost
redis_do "$DIR" del 'meterd:{s05}:meta' >/dev/null
other 78 'the checkpoint is of generation 1, and generation 2 is in force: it cannot take its place' restore --yes "$DIR/first.checkpoint"
