# SPDX-License-Identifier: Apache-2.0
# The counters made again from the topics beside those in force, while calls come in: no difference, put in force with kill -9 of both
# sides in between, back again, and what a hand changed in Redis is found. A change of free calls before makes alerts due without a call.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 4
cp "$ROOT/config/catalog.yaml" "$DIR/book.yaml"
config m workers=2 "catalog=$DIR/book.yaml"
expect_code 0 ctl init
ctl gen --events 60000 --accounts 60 --seed 21 --from 2020-01 --to 2020-04 >/dev/null || fail gen
start m
wait_for 120 'settled 2020-03' 'the end of March'
# Fewer free calls from April on: accounts with calls behind the change are looked at with them, the one that calls no more by the closer alone.
april=1586044800000 # the 5th
event id=still account=still service=image-tag time=$april calls=5000 | jq -c "{partition: 0, timestamp: $april, key: \"still\", value: .}" | produce
wait_for 60 drained
sed '/id: image-tag$/,/first_month/s/first_month: immediate}/&\n      - {from: 2020-04, calls: 2_000, warn: 0.8, first_month: immediate}/' "$ROOT/config/catalog.yaml" >"$DIR/book.yaml"
expect_code 0 ctl_q rules apply
ctl gen --events 5000 --accounts 60 --seed 2204 --from 2020-04 --to 2020-05 >/dev/null || fail gen
wait_for 120 '[[ $(ctl_q alerts --account still --format ndjson | grep -c "\"call\":null") == 2 ]]' 'the alerts that the change made due'
rebuild() { ctl rebuild --yes --workers 2 "$@" 2>"$DIR/words"; }
generations() { ctl_q generations --format ndjson | jq -r '"\(.generation) \(.is)"'; }

# -- nothing is done without being asked
expect_code 0 ctl_q rebuild
expect_equal "only planned" "$(generations)" '1 in force'
expect_code 64 ctl_q rebuild --promote
expect_code 78 ctl_q rebuild --rollback --yes

# -- killed in the middle, it goes on where it stood; a second one is refused meanwhile
"$METERCTL" rebuild --config "$DIR/m.yaml" --yes --rate 8000 2>"$DIR/first" & # the process itself: $! of a function is a shell around it
first=$!
wait_for 60 '[[ $(generations | grep -c "2 being made") == 1 ]]' 'the generation'
wait_for 60 '(($(redis_do "$DIR" hlen "meterd:{s00}:g2:off") > 0))' 'its first positions'
expect_code 75 rebuild
expect_match "one at a time" "$(cat "$DIR/words")" 'another rebuild works on this state: process [0-9]+ on'
kill -KILL "$first"; wait "$first" 2>/dev/null
wait_for 60 '[[ $(redis_do "$DIR" exists "meterd:{s00}:lease") == 0 ]]' 'the end of its claim'

# -- no difference, with calls coming in
months() { # calls of one month after the other, until there is none left
	local month
	for month in 05 06 07 08 09; do
		ctl gen --events 5000 --accounts 60 --seed "22$month" --from "2020-$month" --to "2020-$(printf %02d $((10#$month + 1)))" >/dev/null 2>&1 || return 1
	done
}
months &
traffic=$!
expect_code 0 rebuild --verify
expect_match "equal" "$(cat "$DIR/words")" '[1-9][0-9]+ fields of generations 1 and 2 compared, 0 differences'

# -- put in force under load, the daemon killed right then
expect_code 0 rebuild --verify --promote
expect_equal "in force" "$(generations)" '1 was in force
2 in force'
kill9 m
start m
wait "$traffic" || fail "gen"
wait_for 120 drained
wait_for 120 'settled 2020-09' 'the end of September'
wait_for 60 outbox_empty
auditor_agrees

# -- and back: it reads what came since
expect_code 0 ctl_q rebuild --rollback --yes
expect_equal "back" "$(generations)" '1 in force
2 was in force'
wait_for 30 'grep -q "another generation is in force" "$DIR/m.log"' 'idle workers to notice'
wait_for 120 drained
wait_for 60 outbox_empty
expect_code 0 ctl_q generations drop 2
expect_code 78 ctl_q generations drop 2
expect_code 78 ctl_q generations drop 1
expect_equal "dropped" "$(generations) $(redis_do "$DIR" --scan --pattern '*:g2:*' | wc -l)" '1 in force 0'

jq -nc '{partition: 0, timestamp: 1601900000000, key: "open", value: {id: "open-1", account: "open", service: "image-tag", time: 1601900000000, calls: 1}}' | produce
wait_for 60 '(($(redis_do "$DIR" --scan --pattern "*:g1:use:2020-10" | wc -l) > 0))' 'a call of October'
wait_for 60 drained

# -- a hand in Redis: a counter, an offset, a ledger field, an outbox entry, an alert that was neither published nor kept, a settlement
stop m
october=$(redis_do "$DIR" --scan --pattern '*:g1:use:2020-10')
shard=$(for s in $(seq -w 0 15); do (($(redis_do "$DIR" hlen "meterd:{s$s}:g1:use:2020-09") > 0)) && echo "$s" && break; done)
key="meterd:{s$shard}:g1"
field=$(redis_do "$DIR" hkeys "$key:use:2020-09" | sort | head -n 1)
redis_do "$DIR" hincrby "$key:use:2020-09" "$field" 1 >/dev/null
redis_do "$DIR" hincrby "$key:led" "${PREFIX}usage.calls/0/counted" -1 >/dev/null
redis_do "$DIR" hset "${october/use/fired}" $'alert\nnobody\nimage-tag\n2020-10\ntier.crossed\n5\n' 1 >/dev/null
settled=$(redis_do "$DIR" hkeys "$key:set:2020-02" | grep -v '#' | sort | head -n 1)
redis_do "$DIR" hset "$key:set:2020-02" "$settled" '{}' >/dev/null
redis_do "$DIR" hset "meterd:{s$shard}:meta" done:1:2020-02 2 >/dev/null
elsewhere=07 # not where the last call was counted: there its counter would differ, too
[[ $october != *'{s07}'* ]] || elsewhere=08
stands=$(redis_do "$DIR" hget "meterd:{s$elsewhere}:g1:off" "${PREFIX}usage.calls/0")
redis_do "$DIR" hset "meterd:{s$elsewhere}:g1:off" "${PREFIX}usage.calls/0" "$(awk '{ print $1 - 1, $2, $3 - 1, $4, $5 }' <<<"$stands")" >/dev/null
for s in $(seq -w 0 15); do # the outbox of some shard that raised an alert in September
	raised=meterd:{s$s}:g1
	alert=$(redis_do "$DIR" --json hgetall "$raised:fired:2020-09" | jq -j 'to_entries | map(select(.value == "1")) | sort_by(.key)[0].key // "" | . + "|"')
	alert=${alert%|} # it may end with a newline
	[[ -z $alert ]] || break
done
[[ $alert == alert* ]] || fail "no alert of September"
wrong=$(redis_do "$DIR" xadd "$raised:out" '*' t a k "$alert" v 1 b 0 a 1 w 1 s 1 o 0 c 1 p "${PREFIX}usage.calls/0" i nobody u 1)
expect_code 1 ctl_q rebuild --yes --verify --format ndjson >"$DIR/differences"
expect_equal "found" "$(jq -r '"\(.what) \(.period) \(.field)"' "$DIR/differences" | sort)" "$(sort <<-W
	counter 2020-09 $field
	position null ${PREFIX}usage.calls/0
	ledger null ${PREFIX}usage.calls/0/consumed
	outbox entry null ${alert//$'\n'/\/}
	ledger null ${PREFIX}usage.calls/0/counted
	alert 2020-10 alert/nobody/image-tag/2020-10/tier.crossed/5/
	alert not published 2020-10 alert/nobody/image-tag/2020-10/tier.crossed/5/
	settlement 2020-02 $settled
	month null done:2020-02
	W
)"
# -- the entry as it should be is no difference, whenever its call was read
redis_do "$DIR" hset "meterd:{s$elsewhere}:g1:off" "${PREFIX}usage.calls/0" "$stands" >/dev/null
redis_do "$DIR" xdel "$raised:out" "$wrong" >/dev/null
words=()
while IFS= read -r -d '' word; do words+=("$word"); done < <(redis_do "$DIR" --json xrange "${raised/:g1/:g3}:out" - + |
	jq -j --arg k "$alert" 'map(.[1]) | map(select(index("k") as $i | .[$i + 1] == $k))[0] | (.[index("u") + 1] = "77")[] + "\u0000"')
((${#words[@]} > 10)) || fail "the other generation does not hold the entry"
right=$(redis_do "$DIR" xadd "$raised:out" '*' "${words[@]}")
expect_code 1 ctl_q rebuild --yes --verify --format ndjson >"$DIR/differences"
expect_equal "found" "$(jq -r .what "$DIR/differences" | sort | paste -sd,)" 'alert,alert not published,counter,ledger,month,settlement'
redis_do "$DIR" xdel "$raised:out" "$right" >/dev/null

# -- what was made is right: it mends them
expect_code 1 rebuild --verify --promote --format table >"$DIR/table"
expect_match "its words" "$(cat "$DIR/words")" 'not put in force; --accept-differences does so all the same'
expect_match "for the eye" "$(cat "$DIR/table")" "counter +2020-09 +.*$field +[0-9]+ +[0-9]+"
expect_equal "not by itself" "$(generations | grep -c 'in force$')" 1
expect_equal "not yet" "$(generations | grep '^1 ')" '1 in force'
start m
expect_code 1 ctl_q rebuild --yes --verify --promote --accept-differences
wait_for 60 drained
auditor_agrees

# -- bills of a generation that was wrong differ from those that are out: closing halts, and the way back is open all the same
redis_do "$DIR" hset "$october" open/image-tag 20000 >/dev/null
ctl gen --events 3000 --accounts 60 --seed 31 --from 2020-10 --to 2020-11 >/dev/null || fail gen
wait_for 120 'settled 2020-10' 'the end of October'
wait_for 60 outbox_empty
expect_code 0 ctl_q rebuild --rollback --yes
expect_match "the wrong one" "$(generations)" '1 in force'
wait_for 120 'grep -q "closing stops until a person" "$DIR/m.log"' 'closing to halt'
expect_code 0 ctl_q rebuild --rollback --yes
expect_equal "the right one" "$(generations | grep 'in force$' | grep -v was)" '3 in force'
ctl gen --events 3000 --accounts 60 --seed 32 --from 2020-11 --to 2020-12 >/dev/null || fail gen
wait_for 120 'settled 2020-11' 'the end of November'
wait_for 60 outbox_empty
wait_for 60 drained
auditor_agrees

# -- a bill that is out and that the log does not give: no other generation comes into force, its adjustments would start from another one
december=1607184000000
jq -nc --argjson t $december '{partition: 0, timestamp: $t, key: "open", value: {id: "open-2", account: "open", service: "image-tag", time: $t, calls: 1}}' | produce
wait_for 60 '(($(redis_do "$DIR" --scan --pattern "*:g3:use:2020-12" | wc -l) > 0))' 'a call of December'
wait_for 60 drained
redis_do "$DIR" hset "$(redis_do "$DIR" --scan --pattern '*:g3:use:2020-12')" open/image-tag 20000 >/dev/null
ctl gen --events 3000 --accounts 60 --seed 33 --from 2020-12 --to 2021-01 >/dev/null || fail gen
wait_for 120 'settled 2020-12' 'the end of December'
expect_code 1 rebuild --verify --promote --accept-differences
expect_match "its words" "$(cat "$DIR/words")" 'not put in force: bills of finished months differ, and those that are out are not what the log gives'
expect_equal "nothing was put in force" "$(generations | grep 'in force$' | grep -v was)" '3 in force'
