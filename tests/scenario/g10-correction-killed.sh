# SPDX-License-Identifier: Apache-2.0
# Corrections of closed months, killed -9 while they are written: before the transaction, in it, at its end, and when all of it was written and nothing said
# yet; and two at a time. Nobody sees half of them; asking again finishes it, or says that it is known. The next close makes each once.
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/tests/lib/corrections.sh"
[[ -f $BUILD/bin/killed_client.so ]] || fail "killed_client.so is not built: a Release build has it"
start_redis
topics --stamps any --partitions 3
config m "catalog=$ROOT/tests/table/settlement.yaml"
expect_code 0 ctl init
"$PYTHON" "$ROOT/tests/lib/replay_log.py" 900 | produce
start m
wait_for 60 'settled 2020-03' 'the end of March'
wait_for 60 drained
wait_for 30 outbox_empty
question=(--exclude-producer /gate/b --from 2020-03-05T10:00:00+08:00 --to 2020-03-05T11:00:00+08:00)
apply() { # CODE OPTION…: words into $DIR/words
	local code=$1 got
	shift
	ctl replay --apply-as-adjustment --format ndjson "${question[@]}" "$@" </dev/null >"$DIR/rows" 2>"$DIR/words"
	got=$?
	expect_equal "exit code: $(cat "$DIR/words")" "$got" "$code"
}
killed() { # AT: while it writes what $text confirms
	LD_PRELOAD=$BUILD/bin/killed_client.so KILLED_AT=$1 apply 137 --confirm "$text"
	! grep -q written "$DIR/words" || fail "killed at $1, and it said: $(cat "$DIR/words")"
}
wanted() {
	apply 1
	text=$(grep -oE "confirm '[^']*'" "$DIR/words" | cut -d"'" -f2)
	accounts=$(jq -r 'select(.finding == "bill") | .account' "$DIR/rows" | sort -u)
	[[ $(wc -l <<<"$accounts") -gt 1 ]] || fail "one account alone cannot come in halves"
}
uncommitted() { timeout 60 kcat -b "$(bootstrap)" -C -t "$ACCOUNTS" -X isolation.level=read_uncommitted -e -q -o beginning 2>/dev/null | grep -c '"correction"'; }

# -- killed before anything was agreed: nothing is there, not even from the same question again
wanted
first=$text
for at in 22- 22+ 24+ 0- 0+ 26-; do
	before=$(uncommitted)
	killed "$at"
	[[ $at != 26- ]] || expect_equal "in the log when it was killed before the end" "$(uncommitted)" $((before + $(wc -l <<<"$accounts")))
	expect_equal "to be read after $at" "$(records)" ''
	apply 1
	says "nothing was written. Where all of that is meant: --confirm '$first'" " after $at"
done
killed 26-
apply 0 --confirm "$text"
says 'written: [0-9]+ records, in one transaction' " after a transaction that was left open"
expect_equal "each once" "$(records | jq -r .account | sort)" "$accounts"
apply 0 --confirm "$text"
says 'known already'
revisions() { ctl_q settlements --format ndjson | jq -r "select(.data.correction == \"$1\") | .data.account" | sort -u; }
id=$(records | jq -r .id | sort -u)
expect_equal "one correction" "$(wc -l <<<"$id")" 1
passes 2020-04 1588400000000
expect_equal "each became a revision" "$(revisions "$id")" "$accounts"
auditor_agrees

# -- killed when the end was asked for, and when it was answered: it is known, and nothing is written a second time
question=(--exclude-partition "$INPUT/1" --to 2020-04 --undo) # of what was corrected before, nothing is said again
for at in 26+ 26!; do
	[[ $at == 26+ ]] || question=(--exclude-partition "$INPUT/2" --to 2020-04 --undo)
	wanted
	before=$(records | wc -l)
	killed "$at"
	[[ $at == 26+ ]] || wait_for 30 '(($(records | wc -l) > before))' 'what was answered to be readable'
	apply 0 --confirm "$text"
	[[ $at == 26+ ]] || says 'known already' " after $at"
	says 'known already|written: ' " after $at"
	apply 0 --confirm "$text"
	says 'known already'
	expect_equal "all after $at" "$(records | tail -n +$((before + 1)) | jq -r .account | sort -u)" "$accounts" # twice under one id is once
	records | tail -n 1 | jq -r .id >"$DIR/id"
	if [[ $at == 26+ ]]; then passes 2020-05 1591080000000; else passes 2020-06 1593700000000; fi
	expect_equal "each became a revision after $at" "$(revisions "$(cat "$DIR/id")")" "$accounts"
done

# -- stopped in it, until the brokers gave the transaction up, and until somebody else corrected: asking again tells
stopped() { # AT: words into $DIR/first once it goes on
	LD_PRELOAD=$BUILD/bin/killed_client.so KILLED_AT=$1 KILLED_BY=STOP "$METERCTL" replay --config "$DIR/m.yaml" --apply-as-adjustment --format ndjson \
		"${question[@]}" --confirm "$text" </dev/null >/dev/null 2>"$DIR/first" &
	PIDS[first]=$!
	wait_for 60 'grep -q "^State:.T" "/proc/${PIDS[first]}/status"' "it to be stopped at $1"
}
goes_on() { # it cannot know what became of it
	resume first
	wait_for 60 'not_running first' 'its end'
	reaped first
	expect_equal "its exit code: $(cat "$DIR/first")" "$CODE" 75
	expect_match "its words" "$(cat "$DIR/first")" 'All of it was written, or nothing: run the same command again, it says which'
}
question=(--exclude-partition "$INPUT/0" --to 2020-04 --undo)
wanted
before=$(records | wc -l)
stable() { ends "$ACCOUNTS"; } # the last stable offset
standing=$(stable)
stopped 26-
wait_for 60 '(($(stable) > standing))' 'the brokers to give the transaction up'
goes_on
stopped 0-
apply 0 --confirm "$text"
says 'written: '
goes_on
apply 0 --confirm "$text"
says 'known already'
expect_equal "each once after all" "$(records | tail -n +$((before + 1)) | jq -r .account | sort)" "$accounts"
passes 2020-07 1596400000000
auditor_agrees
stop m
