# SPDX-License-Identifier: Apache-2.0
# What would have been: April's price book on March's log, a producer's faulty hour left out, other billable codes, parts of partitions. Each answer is
# that of an independent computation (tests/lib/replayed.py); Redis is gone by then, and no topic has a record more afterwards. Then what is refused.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 3
config m
sed -i 's/^catalog: .*//' "$DIR/m.yaml" && echo "catalog: $ROOT/tests/table/settlement.yaml" >>"$DIR/m.yaml"
expect_code 0 ctl init
cat >"$DIR/facts" <<-J
{"type":"pack","account":"a-1","id":"p-1","version":1,"services":["tag"],"calls":20000,"price":"9.00","start":"2020-02-01T00:00:00+08:00","expiry":"2020-04-01T00:00:00+08:00"}
{"type":"contract","account":"a-2","id":"c-1","version":1,"from":"2020-02","services":[{"service":"crop","free":{"calls":7000}}]}
J
jq -c '{timestamp: 1577000000000, key: .account, value: .}' <"$DIR/facts" | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "${PREFIX}meterd.accounts" || fail accounts
"$PYTHON" "$ROOT/tests/lib/replay_log.py" 2200 | produce
start m
wait_for 60 'settled 2020-03' 'the end of March'
wait_for 60 drained
wait_for 30 outbox_empty
auditor_agrees
stop m
kill9_redis
before=$(ends "$INPUT" "$CONTROL" "$ALERTS" "$SETTLEMENTS" "$DLQ")

# April's: other prices, fewer free calls and a name that was not known, all from April on
"$PYTHON" - "$ROOT/tests/table/settlement.yaml" "$DIR/april.yaml" <<-'P'
	import sys
	text = open(sys.argv[1]).read()
	def put(old, new):
	    global text
	    assert text.count(old) >= 1, old
	    text = text.replace(old, new, 1)
	row = "      - {from: 2020-04, model: %s, per: 1000, bounds: lower-inclusive, tier_basis: %s, tiers: [%s]}\n"
	put("version: small-1", "version: april")
	put("    name: tag\n", "    name: tag\n    aliases: [Tagging]\n")
	put("price: 2.2}]}\n", "price: 2.2}]}\n" + row % ("volume", "billable", "{from: 0, price: 2.7}, {from: 20_000, price: 1.1}"))
	put("first_month: immediate}]\n  - id: crop", "first_month: immediate}, {from: 2020-04, calls: 4_000, warn: 0.5}]\n  - id: crop")
	put("{from: 10_000, price: 1}]}\n", "{from: 10_000, price: 1}]}\n" + row % ("graduated", "total", "{from: 0, price: 3}, {from: 5_000, price: 0.5}"))
	put("    free: [{from: 2020-01, calls: 10_000, warn: 0.8, first_month: immediate}]\n" if text.rstrip().endswith("immediate}]") else "never",
	    "    free: [{from: 2020-01, calls: 10_000, warn: 0.8, first_month: immediate}]\n")
	at = text.rindex("first_month: immediate}]")
	text = text[:at] + "first_month: immediate}, {from: 2020-04, calls: 6_000}]" + text[at + len("first_month: immediate}]"):]
	open(sys.argv[2], "w").write(text)
P
march=1582992000000 april=1585670400000 # 2020-03-01 and 2020-04-01, 00:00 in Shanghai

# asks QUESTION... -- OPTIONS of the other computation
asks() {
	local question=()
	while [[ $1 != -- ]]; do question+=("$1"); shift; done
	shift
	expect_code 1 ctl_q replay --dry-run --format ndjson "${question[@]}" >"$DIR/got"
	"$PYTHON" "$ROOT/tests/lib/replayed.py" --config "$DIR/m.yaml" --kept "$DIR/kept" "$@" <"$DIR/got" >"$DIR/said" || fail "replay ${question[*]}: $(cat "$DIR/said")"
	echo "${question[*]}: $(cat "$DIR/said")"
}
asks --catalog "$DIR/april.yaml" --prices-of 2020-04 @2020-03:2020-04 -- --catalog "$DIR/april.yaml" --prices-of 2020-04 --first 2020-03 --last 2020-03 \
	--from-ms $march --to-ms $april
expect_equal "both ways, and in tier alerts too" "$(jq -s '[any(.[]; .finding == "bill" and (.difference // "" | startswith("-"))), any(.[]; .finding == "bill" and (.difference // "0.00" | test("^[1-9]"))),
	any(.[]; .finding == "alert raised" and .kind == "tier.crossed"), any(.[]; .finding == "alert not raised")] | all' "$DIR/got")" true
asks --prices-of 2020-04 --catalog "$DIR/april.yaml" -- --prices-of 2020-04 --catalog "$DIR/april.yaml"
asks --exclude-producer /gate/b --from 2020-03-05T10:00:00+08:00 --to 2020-03-05T11:00:00+08:00 -- --exclude-producer /gate/b --from-ms 1583373600000 --to-ms 1583377200000
expect_equal "it was left out" "$(grep -oE '[0-9]+ left out' "$DIR/said")" "$(ctl replay --dry-run --format ndjson --exclude-producer /gate/b @2020-03-05T10:00:00+08:00:2020-03-05T11:00:00+08:00 2>&1 >/dev/null | grep -oE '[0-9]+ were left out' | sed 's/ were//')"
asks --exclude-producer '' --exclude-producer /gate/a --from 2020-02 -- --exclude-producer '' --exclude-producer /gate/a --from-ms 1580486400000
asks --billable ok --billable partial -- --billable ok --billable partial
asks --billable failed --to 2020-02-15 -- --billable failed --to-ms 1581696000000
asks --exclude-partition "$INPUT/1" --from 2020-03-05 -- --exclude-partition "$INPUT/1" --from-ms 1583337600000
asks --billable partial --from 0=200,2=300 --to "0=900,$INPUT/2=1000" -- --billable partial --offsets '{"0":[200,900],"2":[300,1000]}'
expect_equal "nothing was written" "$(ends "$INPUT" "$CONTROL" "$ALERTS" "$SETTLEMENTS" "$DLQ")" "$before"

# -- the same in every form
march() { ctl replay --dry-run --catalog "$DIR/april.yaml" --prices-of 2020-04 @2020-03:2020-04 --account a-1 "$@" 2>"$DIR/words"; }
expect_equal "rows" "$(march --format json | jq length) $(($(march --format csv | wc -l) - 1))" "$(march --format ndjson | wc -l) $(march --format ndjson | wc -l)"
expect_match "a table" "$(march --format table)" '^period +account +service +state +calls_before.*finding +period +account +service +kind +threshold'
expect_match "and in words" "$(cat "$DIR/words")" 'priced otherwise: 2020-03 to 2020-03.*bills? differ.*charges of all months [0-9.]+ CNY instead of [0-9.]+, difference -?[0-9.]+'
expect_code 0 ctl_q replay --dry-run --catalog "$ROOT/tests/table/settlement.yaml" --format ndjson
expect_code 1 ctl_q replay --dry-run --billable partial --from -1d --format ndjson >/dev/null # where the log is the clock: before its newest record

# -- refused, with what to do
refused() { # CODE REGEX OPTION…
	local code=$1 words=$2 got
	shift 2
	got=$(ctl replay --format ndjson "$@" 2>&1)
	expect_equal "exit code of replay $*" $? "$code"
	expect_match "replay $*" "$got" "$words"
}
refused 64 'nothing is asked: say what would be otherwise' --dry-run
refused 64 'add --dry-run' --billable ok
refused 64 'did you mean --exclude-producer\?' --dry-run --exclude-produce /gate/a
refused 64 'is neither a time nor an offset: write a month' --dry-run --billable ok --from yesterday
refused 64 'is no range' --dry-run --billable ok @2020-03
refused 64 'exclude each other' --dry-run --billable ok @2020-03: --from 2020-03
refused 64 'is no month' --dry-run --prices-of april
refused 64 'takes a status code of 1 to [0-9]+ bytes' --dry-run --billable ''
refused 64 'ends at .*, where or before it begins' --dry-run --billable ok @2020-04:2020-03
refused 64 'no record lies in the range .* the newest is 2020-04-05T16:00:00' --dry-run --billable ok --from 2021-01
refused 64 "did you mean $INPUT/1\\?" --dry-run --exclude-partition "${INPUT%s}/1"
refused 64 'did you mean /gate/a\?' --dry-run --exclude-producer /gate/aa
refused 78 'nowhere.yaml: ' --dry-run --catalog "$DIR/nowhere.yaml"
sed 's/model: volume/model: volum/' "$DIR/april.yaml" >"$DIR/bad.yaml"
refused 78 'bad.yaml:[0-9]+:[0-9]+: error: .*bad.yaml is no price book: nothing was worked out' --dry-run --catalog "$DIR/bad.yaml"
sed 's/id: beta/id: gamma/' "$DIR/april.yaml" >"$DIR/bad.yaml"
refused 78 'refused: service `beta` is gone.*bad.yaml cannot stand in for the price book in force: nothing was worked out' --dry-run --catalog "$DIR/bad.yaml"

# -- a signal ends it, also while it waits for a broker that is away
config away kafka.bootstrap=127.0.0.1:1
"$METERCTL" replay --config "$DIR/away.yaml" --dry-run --billable ok 2>"$DIR/words" &
away=$!
wait_for 10 '(((0x$(sed -n "s/^SigBlk:\t//p" "/proc/$away/status") & 0x4000) != 0))' 'it to watch for signals'
SECONDS_BEFORE=$SECONDS
kill -TERM "$away"
wait "$away"
expect_equal "exit code" $? 75
expect_match "words" "$(cat "$DIR/words")" 'stopped; nothing was changed'
((SECONDS - SECONDS_BEFORE < 20)) || fail "it waited for the broker"

printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":5}]}\n' "$INPUT" >"$DIR/delete.json"
kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(bootstrap)" --offset-json-file "$DIR/delete.json" >"$DIR/delete.out" 2>&1 || fail "delete"
refused 78 'was counted from offset 0 on, and holds 5 to ' --dry-run --billable ok
