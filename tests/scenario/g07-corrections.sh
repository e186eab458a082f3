# SPDX-License-Identifier: Apache-2.0
# Bills of closed months are corrected by what a replay works out: a producer's faulty hour, then March at other prices as well. Nothing is written
# without the typed text. An independent computation makes the same records (tests/lib/replayed.py) and, once the next month is closed, the same
# revisions (the auditor); late calls leave them as they are, `prove` and a rebuild make them again, and the same question finds nothing more.
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/tests/lib/corrections.sh"
start_redis
topics --stamps any --partitions 3
config m "catalog=$ROOT/tests/table/settlement.yaml"
expect_code 0 ctl init
jq -c '{timestamp: 1577000000000, key: .account, value: .}' <<-J | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "$ACCOUNTS" || fail accounts
{"type":"pack","account":"a-1","id":"p-1","version":1,"services":["tag"],"calls":20000,"price":"9.00","start":"2020-02-01T00:00:00+08:00","expiry":"2020-06-01T00:00:00+08:00"}
{"type":"pack","account":"a-4","id":"p-2","version":1,"services":["tag","crop"],"calls":60000,"price":"9.00","start":"2020-03-01T00:00:00+08:00","expiry":"2020-08-01T00:00:00+08:00"}
{"type":"contract","account":"a-2","id":"c-1","version":1,"from":"2020-02","services":[{"service":"crop","free":{"calls":7000}}]}
J
"$PYTHON" "$ROOT/tests/lib/replay_log.py" 900 | produce
hour=(--exclude-producer /gate/b --from 2020-03-05T10:00:00+08:00 --to 2020-03-05T11:00:00+08:00)
apply() { # words into $DIR/words
	local code=$1 got
	shift
	ctl replay --apply-as-adjustment --format ndjson "$@" </dev/null >"$DIR/rows" 2>"$DIR/words"
	got=$?
	expect_equal "exit code of $*: $(cat "$DIR/words")" "$got" "$code"
}
typed() { # CODE TEXT QUESTION…: where it is asked for, on a terminal
	"$PYTHON" - "$2" "$METERCTL" replay --config "$DIR/m.yaml" --apply-as-adjustment "${@:3}" >"$DIR/words" <<-'P'
		import os, pty, sys
		pid, fd = pty.fork()
		if pid == 0:
		    os.execv(sys.argv[2], sys.argv[2:])
		seen, asked = b"", False
		while True:
		    try:
		        part = os.read(fd, 4096)
		    except OSError:
		        break
		    if not part:
		        break
		    seen += part
		    if not asked and b"to correct these bills: " in seen:
		        asked = os.write(fd, b"\x03" if sys.argv[1] == "^C" else sys.argv[1].encode() + b"\n") > 0
		print(seen.decode())
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	P
	expect_equal "exit code where '$2' is typed" $? "$1"
}
apply 75 "${hour[@]}"
says 'the log holds no record yet|no month is closed yet'
start m
wait_for 60 'settled 2020-03' 'the end of March'
wait_for 60 drained
wait_for 30 outbox_empty

# -- nothing without the words
before=$(ends "$ACCOUNTS")
apply 1 "${hour[@]}" --reason "gate b sent tests"
text=$(grep -oE "confirm '[^']*'" "$DIR/words" | cut -d"'" -f2)
expect_match "what is to be typed" "$text" '^2020-0[1-3](..2020-03)? [0-9]+ -[0-9]+\.[0-9]{2} [0-9a-f]{16}$'
says 'comes with the close of 2020-04'
expect_equal "lines" "$(wc -l <"$DIR/rows")" "$(cut -d' ' -f2 <<<"$text")"
apply 64 "${hour[@]}" --confirm "2020-03 1 0.00"
says 'nothing was written: what was confirmed is not what was worked out, which is .2020-0'
apply 64 "${hour[@]}" --confirm "$text" # without the reason it is another one
says 'nothing was written'
expect_equal "nothing was written" "$(ends "$ACCOUNTS")" "$before"

# -- with them, and once
apply 0 "${hour[@]}" --confirm "$text" --reason "gate b sent tests"
says 'written: [0-9]+ records, in one transaction. With the close of 2020-04'
records >"$DIR/records"
expect_equal "the reason" "$(jq -r .reason "$DIR/records" | sort -u)" "gate b sent tests"
compare() { "$PYTHON" "$ROOT/tests/lib/replayed.py" --config "$DIR/m.yaml" --corrections "$@" >"$DIR/said" || fail "corrections: $(cat "$DIR/said")"; cat "$DIR/said"; }
compare --exclude-producer /gate/b --from-ms 1583373600000 --to-ms 1583377200000 <"$DIR/records"
expect_match "the difference" "$(cat "$DIR/said")" "difference $(cut -d' ' -f3 <<<"$text"),"
expect_equal "the id" "$(jq -r .id "$DIR/records" | sort -u)" "${text##* }"
question='{"from":"2020-03-05T02:00:00.000Z","to":"2020-03-05T03:00:00.000Z","exclude_producers":["/gate/b"]}'
expect_equal "what was asked" "$(jq -c .question "$DIR/records" | sort -u)" "$question"
expect_equal "as it is listed" "$(ctl_q account list --format ndjson | jq -c 'select(.kind == "correction") | [.detail, .question]' | sort -u)" "[\"gate b sent tests\",$question]"
after=$(ends "$ACCOUNTS")
apply 0 "${hour[@]}" --confirm "$text" --reason "gate b sent tests"
says 'known already'
apply 75 "${hour[@]}" --confirm "$text" --reason "another reason"
says 'has a correction already that comes with the next close'
expect_equal "written once" "$(ends "$ACCOUNTS")" "$after"

listed() { ctl_q account list --format ndjson | jq -c 'select(.kind == "correction") | [.state, .close, .why]' | sort -u; }
expect_equal "the list" "$(listed)" '["waits","2020-04",null]'

# -- the next close makes them, and late calls leave them as they are
late() { # ID ACCOUNT SERVICE CALLS: of March, after its close
	event id="$1" account="$2" service="$3" time=1583330000000 calls="$4" | jq -c --argjson p "${2#a-}" '{partition: ($p % 3), timestamp: 1588000000000, key: .account, value: .}'
}
account=$(jq -rs 'map(select(any(.lines[]; .service == "tag"))) | .[0].account' "$DIR/records")
{ late l1 "$account" tag 1500; late l2 "$account" crop 900; late l3 a-1 tag 5000; late l4 a-4 tag 3000; } | produce
passes 2020-04 1588400000000
auditor_agrees
revisions() { ctl_q settlements --format ndjson | jq -c "select(.data.correction == \"$1\") | [.data.account, .data.period, .data.service, .data.prices]"; }
id=$(jq -r .id "$DIR/records" | sort -u)
expect_equal "the list" "$(listed)" '["made","2020-04",null]'
expect_equal "each line became a revision" "$(revisions "$id" | wc -l)" "$(cut -d' ' -f2 <<<"$text")"
expect_equal "at its own prices" "$(revisions "$id" | jq -c '.[3]' | sort -u)" null
newest() { ctl_q settlements --format ndjson | jq -c --arg a "$account" 'select(.data.account == $a and .data.period == "2020-03" and .data.service == "tag") | .data' |
	jq -sc "max_by(.revision) | $1"; }
expect_equal "late calls on top" "$(newest '[.correction, .corrected, .prices]')" "[null,\"$id\",null]"
expect_match "a statement" "$(ctl_q statement "$account" 2020-03 --format csv | head -n 1 | tr -d '\r')" ',freeze,corrected,correction$'
paper=$(ctl_q explain "$account" 2020-03 --lang en) || fail "it does not add up: $paper"
expect_match "why, and what was asked" "$paper" 'because: gate b sent tests.*What was asked of the log: \{"from":"2020-03-05T02:00:00.000Z"'
expect_match "what late calls rest on" "$paper" "on top of what correction $id made"
expect_code 0 ctl_q rebuild --yes --verify
apply 0 "${hour[@]}" --reason "gate b sent tests"
says 'corrections? of closed months said before: what they made'
says 'nothing to correct'
apply 0
says 'left as an earlier correction made'
says 'nothing to correct'
apply 1 --undo
says 'confirm .2020-0[1-3](..2020-03)? [0-9]+ [0-9]'

# -- March at other prices as well: the question has the first one in it, since the other side knows of no correction
sed -e 's/version: small-1/version: dearer/' -e 's/from: 0, price: 2.5/from: 0, price: 3/' -e 's/from: 0, price: 2}\]/from: 0, price: 1.5}]/' \
	-e '0,/calls: 10_000, warn/s//calls: 4_000, warn/' "$ROOT/tests/table/settlement.yaml" >"$DIR/dearer.yaml"
apply 64 "${hour[@]}" --catalog "$DIR/dearer.yaml"
says 'nothing was written: an earlier correction has to do with [0-9]+ of these lines'
set -- "${hour[@]}" --catalog "$DIR/dearer.yaml" --undo
apply 1 "$@"
text=$(grep -oE "confirm '[^']*'" "$DIR/words" | cut -d"'" -f2)
typed 75 '^C' "$@"
says 'stopped; nothing was changed'
typed 64 "$text " "$@"
expect_equal "nothing of it was written" "$(records | wc -l)" "$(wc -l <"$DIR/records")"
typed 0 "$text" "$@"
says 'written: [0-9]+ records'
records | tail -n +$(($(wc -l <"$DIR/records") + 1)) >"$DIR/second"
expect_equal "the price book that was asked about" "$(jq -c '[.question.catalog, .question.undo]' "$DIR/second" | sort -u)" \
	"[{\"version\":\"dearer\",\"sha256\":\"$(sha256sum <"$DIR/dearer.yaml" | cut -d' ' -f1)\"},true]"
expect_match "the reason" "$(jq -r .reason "$DIR/second" | sort -u)" '^meterctl replay --from .* --catalog .* --exclude-producer /gate/b$'
compare --exclude-producer /gate/b --from-ms 1583373600000 --to-ms 1583377200000 --catalog "$DIR/dearer.yaml" --first 2020-03 --last 2020-03 <"$DIR/second"
late l5 "$account" tag 2500 | produce
# One that was worked out before April was closed comes too late.
jq -c '{timestamp: 1588500000000, key: .account, value: .}' <<-J | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "$ACCOUNTS" || fail correction
{"type":"correction","account":"a-1","id":"old","version":1,"after":"2020-03","reason":"by hand","question":{},"lines":[{"period":"2020-03","service":"crop","becomes":{"calls":1,"free":1,"packs":[],"billable":0,"charge":"0.00"}}]}
J
passes 2020-05 1591080000000
auditor_agrees
expect_equal "the list" "$(listed)" '["made","2020-04",null]
["made","2020-05",null]
["passed over","2020-05","it was not worked out from the close just before"]'
expect_match "the log" "$(grep -h correction_passed_over "$DIR/m.log")" 'account=a-1 correction=old .*why="it was not worked out from the close just before"'
id=$(jq -r .id "$DIR/second" | sort -u)
expect_equal "at other prices" "$(revisions "$id" | jq -c 'select(.[1] == "2020-03" and .[2] == "tag") | .[3].tiers[0].price' | sort -u)" '"3"'
expect_equal "late calls at them too" "$(newest '[.correction, .corrected, .unit_price]')" "[null,\"$id\",\"3\"]"
paper=$(ctl_q explain "$account" 2020-03 --lang en) || fail "it does not add up: $paper"
expect_match "on paper" "$paper" "priced as correction $id says"
expect_code 0 ctl_q prove
# Also of the late calls it is what the question says.
apply 0 "$@"
says 'nothing to correct'
stop m

# -- refused, with what to do
apply 64 --dry-run
says 'exclude each other'
expect_match "words" "$(ctl replay --dry-run --billable ok --confirm x 2>&1)" '.--reason, --confirm and --undo belong to --apply-as-adjustment'
apply 64 --billable ok --reason ''
says '.--reason takes 1 to [0-9]+ bytes'
for option in --billable --exclude-producer --exclude-partition --account --reason --from; do
	apply 64 --billable ok "$option" "$(printf '\377')"
	says ".$option is not UTF-8"
done
