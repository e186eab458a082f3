# SPDX-License-Identifier: Apache-2.0
# What a person sees on a terminal, captured from tmux at 80 and 200 columns: `top` (verdict, rates, alerts as they come, sort, filter, help,
# another size, NO_COLOR, the daemon away and back) and `alerts --follow` (aligned, coloured, patient while the broker is away).
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
own_kafka
topics --stamps any --partitions 3
port=$(free_ports 1)
config m http.listen="127.0.0.1:$port"
expect_code 0 ctl init
export METERD_CONFIG=$DIR/m.yaml
TMUX_AT=$DIR/tmux
tm() { tmux -S "$TMUX_AT" "$@"; }
also_at_exit() {
	local w
	((rc == 0)) || for w in $(tm list-sessions -F '#S'); do echo "--- $w"; screen "$w" | grep . | tail -n 8; done
	tm kill-server 2>/dev/null
}
screen() { tm capture-pane -p -J -t "$1"; } # -J: a line that is broken at the edge is one line
shows() { screen "$1" | grep -qE -e "$2"; }
colours() { tm capture-pane -p -e -t "$1" | grep -cE $'\x1b\\[[0-9;]*(3[0-7]|9[0-7])m'; }
wide() { screen "$1" | LC_ALL=C.UTF-8 wc -L; }
window() { # NAME COLUMNS ROWS COMMAND: it stays when the command ends, and shows its exit code
	tm -f /dev/null new-session -d -s "$1" -x "$2" -y "$3" "$4; echo exit=\$?; cat" || fail "tmux $1"
	tm set-option -t "$1" status off >/dev/null
	tm resize-window -t "$1" -x "$2" -y "$3"
}
export TERM=screen-256color
window narrow 80 24 "$METERCTL top"
window wide 200 50 "$METERCTL top"
window plain 80 24 "env NO_COLOR=1 $METERCTL top"
window follow 200 50 "$METERCTL alerts --follow"
window thin 80 24 "$METERCTL alerts --follow"

# Nobody there yet: it says so and asks on.
wait_for 20 'shows narrow "^NO ANSWER  http://127.0.0.1:$port: Connection refused"' 'top to say that nobody answers'
start m
for w in narrow wide plain; do wait_for 60 "shows $w '^READY  instance m, running, up'" "top at $w"; done
ctl gen --events 20000 --accounts 20 --seed 5 --from 2020-01 --to 2020-03 >/dev/null || fail gen
for w in narrow wide plain; do
	wait_for 60 "shows $w '^2020-0[12]-[0-9][0-9] [0-9:]{5} (tier.crossed|free_quota.(warning|exhausted))'" "alerts in $w"
	wait_for 60 "shows $w 'lag 0  '" "the lag of $w to be 0"
	# A rate needs two looks: what was counted before the first one shows only with the second.
	wait_for 60 "shows $w 'usage.calls/0 .*running'" "partitions in $w"
	wait_for 60 "shows $w '^s[01][0-9] +[0-9]'" "rates of shards in $w"
	wait_for 60 "shows $w '^(image|face|product)[a-z-]+ '" "services in $w"
done
(($(wide narrow) <= 80)) || fail "top writes $(wide narrow) columns of 80"
shows narrow COUNTED && fail "columns of wide screens at 80"
shows wide 'COUNTED/S .* NEXT +END' || fail "wide screens show more: $(screen wide)"
(($(colours narrow) > 0)) || fail "no colour on a terminal"
expect_equal "coloured lines with NO_COLOR" "$(colours plain)" 0

# A table wider than the window goes on in a line below, columns under their names; what is no terminal gets one line a row.
window folded 80 40 "$METERCTL audit"
wait_for 30 'shows folded exit=0' 'the ledger at 80 columns'
(($(wide folded) <= 80)) || fail "audit writes $(wide folded) columns of 80: $(screen folded)"
shows folded '^topic +partition +offset +consumed ' || fail "no head: $(screen folded)"
shows folded '^    .*control  difference$' || fail "the head does not go on: $(screen folded)"
expect_equal "the lines of rows" "$(screen folded | grep -cE "^$INPUT +[0-2] ") $(screen folded | grep -cE '^    .*[0-9]  +0$')" "3 3"
expect_match "the ledger in a pipe" "$(ctl audit --format table | head -n 1)" '^topic.*difference$'

# Keys: order, filter, help, the other way round, back.
tm send-keys -t narrow s s
wait_for 10 'shows narrow "s sort: lag"' 'another order'
tm send-keys -t narrow r
wait_for 10 'shows narrow "s sort: lag .reversed"' 'the other way round'
tm send-keys -t narrow / image-tag Enter
wait_for 10 'shows narrow "filter .image-tag." && ! shows narrow "usage.calls/"' 'the filter'
tm send-keys -t narrow Escape '?'
wait_for 10 'shows narrow "records that wait to be read"' 'the help'
tm send-keys -t narrow '?' / s15 Enter
wait_for 10 'shows narrow "^s15 .*" && ! shows narrow "^s00 "' 'the filter of a shard'
tm send-keys -t narrow Escape Tab
wait_for 10 'shows narrow "^SHARD \* +COMMITS/S +MEAN +COUNTERS/S +BEHIND" && (($(screen narrow | grep -c "^s[01][0-9] ") > 3))' 'shards, chosen'
tm send-keys -t narrow Tab Tab
wait_for 10 'shows narrow "^ALERT AT .UTC. ?\*? " && shows narrow "usage.calls/0 "' 'the way back'
tm resize-window -t narrow -x 200 -y 40
wait_for 10 'shows narrow "COUNTED/S"' 'a larger window'
tm resize-window -t narrow -x 80 -y 12
wait_for 10 '! shows narrow COUNTED/S && shows narrow "^READY" && shows narrow "^q quit"' 'a smaller window'

# The daemon goes, and comes back.
kill9 m
wait_for 20 'shows wide "^AWAY  for [0-9]+s: http://127.0.0.1:$port: Connection refused"' 'top to say that it is away'
shows wide "^$INPUT/0 " || fail "what it said last is gone"
start m
wait_for 60 'shows wide "^READY  instance m"' 'top to be back'

# The follower: one alert a line, in columns, the kinds coloured; nothing wider than the screen.
all=$(ctl_q alerts --format ndjson | wc -l)
((all > 0)) || fail "no alerts"
for w in follow thin; do
	wait_for 20 "shows $w '^20[0-9-]{8}T[0-9:]{8}  (tier.crossed|free_quota.warning|free_quota.exhausted) +[0-9]{12}'" "alerts in $w"
	(($(colours $w) > 0)) || fail "no colour in $w"
done
(($(wide thin) <= 80)) || fail "the follower writes $(wide thin) columns of 80"
expect_equal "columns where accounts begin" "$(screen follow | grep -E '^2020' | awk '{ print index($0, $3) }' | sort -u)" 44
kill9_kafka
wait_for 30 'shows follow "^meterctl alerts: Kafka is away: .*waiting, this goes on by itself"' 'the notice of an absent broker'
restart_kafka
wait_for 60 'shows follow "^meterctl alerts: Kafka is back"' 'the notice of its return'
tm clear-history -t follow
ctl gen --events 20000 --accounts 20 --seed 6 --from 2020-04 --to 2020-05 >/dev/null || fail gen
wait_for 90 'shows follow "^2020-04-[0-9T:]+  (tier|free)"' 'alerts after the absence'
tm send-keys -t follow C-c
wait_for 10 'shows follow exit=0' 'the end by Ctrl-C'

# One that begins while the broker is away waits for it. What `status` says of it breaks between words.
kill9_kafka
reason() { "$METERCTL" status --format table 2>/dev/null >"$DIR/words"; grep -E '^  - .{50}' "$DIR/words"; } # status ends with 1 where it is not ready
wait_for 30 '[[ -n $(reason) ]]' 'a reason longer than a line'
window status 48 40 "$METERCTL status"
wait_for 30 'shows status "exit="' 'the status at 48 columns'
sentence=$(reason | head -n 1)
[[ "$(tm capture-pane -p -t status | tr -s ' \n' ' ')" == *"${sentence#  - }"* ]] || fail "a word is broken: $(screen status)"
window late 200 50 "$METERCTL alerts --follow --kind tier.crossed --from 2020-01"
wait_for 30 'shows late "Kafka is away"' 'the notice at the start'
restart_kafka
wait_for 60 'shows late "^2020-0[1-4][0-9T:-]+  tier.crossed"' 'its alerts'
shows late 'free_quota' && fail "--kind lets others through"

# What takes longer than two seconds shows how far it is, in one line that goes when it ends: Redis answers late here.
slow=$(free_ports 1)
"$PYTHON" "$ROOT/tests/lib/slow_proxy.py" "$slow" "$(cat "$DIR/redis.port")" 200 2>"$DIR/proxy.log" &
PIDS[proxy]=$!
wait_for 20 '(exec 3<>"/dev/tcp/127.0.0.1/$slow") 2>/dev/null' 'the slow way to Redis'
config slow redis.url="redis://127.0.0.1:$slow/0" redis.timeout=20s
positions() { screen "$1" | grep -cE "^  $INPUT/[0-2]  [0-9,]+ of [0-9,]+, [0-9,]+ left$"; }
for w in 80 200; do
	for verb in counters usage; do
		window $verb$w $w 20 "$METERCTL $verb --config $DIR/slow.yaml --format table"
		wait_for 60 "shows $verb$w '^shards read  \[#+-*\] +[0-9]+ %  [0-9]+ of 16  [0-9]+/s'" "the progress of $verb at $w columns"
		(($(wide $verb$w) <= w)) || fail "$verb writes $(wide $verb$w) columns of $w"
	done
	window rebuild$w $w 20 "$METERCTL rebuild --yes --rate 4000 --config $DIR/m.yaml"
	wait_for 60 "shows rebuild$w '^records counted again +\[#+-*\] +[0-9]+ %  [0-9,]+ of [0-9,]+  [0-9,]+/s  .* left'" "the progress of rebuild at $w columns"
	wait_for 30 '(($(positions rebuild$w) == 3))' "where partitions stand at $w columns"
	(($(screen rebuild$w | grep 'counted again' | LC_ALL=C.UTF-8 wc -L) <= w)) || fail "rebuild's progress is wider than $w columns" # sentences may wrap
	wait_for 120 "shows rebuild$w exit=0" "the end of rebuild at $w columns"
	shows rebuild$w '%| left$' && fail "a line of progress stays: $(screen rebuild$w)"
	ctl generations drop 2 >/dev/null 2>&1 || fail "drop"
done
for w in 80 200; do wait_for 60 "shows counters$w exit=0 && ! shows counters$w '%'" "the end of counters at $w"; done
"$METERCTL" counters --config "$DIR/slow.yaml" >"$DIR/counters" 2>"$DIR/words" || fail counters
expect_match "without a terminal, whole lines" "$(head -n 1 "$DIR/words")" '^meterctl counters: shards read after [0-9]+ s: [0-9]+ %'
cmp -s "$DIR/counters" <(ctl_q counters) || fail "progress is among the data"
kill "${PIDS[proxy]}"; wait "${PIDS[proxy]}" 2>/dev/null; unset 'PIDS[proxy]'

# A word that is nearly one.
nearly() { # words that are meant; what is typed
	expect_code 64 ctl "${@:2}" >/dev/null 2>"$DIR/words"
	expect_match "$*" "$(cat "$DIR/words")" "did you mean \`?\"?(--)?$1"
}
nearly alerts alrts
nearly follow alerts --folow
nearly tier.crossed alerts --kind tier.crosed
nearly image-tag usage "$(jq -r .account "$DIR/counters" | head -n 1)" image-tga
nearly ndjson counters --format ndjosn
nearly requeue dlq requeu
nearly service_unknown dlq list --code service_unkown
nearly drop generations dorp 1
nearly apply rules aply
nearly pack account pak
sed 's/^clock:/clok:/' "$DIR/m.yaml" >"$DIR/nearly.yaml"
expect_code 78 "$METERD" --config "$DIR/nearly.yaml" --check-config >"$DIR/words" 2>&1
expect_match "a setting" "$(cat "$DIR/words")" 'did you mean "clock"'

tm send-keys -t wide q
wait_for 10 'shows wide exit=0' 'the end of top'
expect_code 64 ctl top
stop m
