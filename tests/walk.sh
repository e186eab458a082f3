#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A newcomer's walk: a fresh checkout, README, and its commands as they stand there, in its order, in one shell. tests/walk.table says which
# test runs the blocks that do not belong here; a block that nothing runs fails. What README promises in words is looked at where the words
# stand. Only what a person ends by Ctrl-C is ended here by what it waits for.
set -uo pipefail
. "$(dirname "$0")/../scripts/lib/common.sh"
cd "$ROOT" || exit 1
work=$(mktemp -d) || exit 1
here=$work/checkout
at_exit() {
	METERD_CACHE=$work/cache "$here/scripts/sandbox" down >/dev/null 2>&1
	for s in "$work"/tmux*; do tmux -S "$s" kill-server 2>/dev/null; done
	rm -rf "$work"
}
trap at_exit EXIT
trap 'exit 130' INT TERM
fail() { echo "FAILED: $*"; tail -n 30 "$work/screen" "$here/meterd.log" 2>/dev/null; exit 1; }
[[ -x build/bin/meterd ]] || fail "no binaries: scripts/test builds them"

# -- README itself: its order, the names in it, a row for each block
mkdir "$work/cache" "$work/readme" "$here"
"$PYTHON" tests/lib/readme_blocks.py . tests/walk.table "$work/readme" || exit 1
"$PYTHON" tests/lib/readme_blocks.py . --names build/bin || exit 1

# -- a fresh checkout, with the programs that were built from it
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [[ ! -e $f ]] || printf '%s\0' "$f"; done |
	tar --null -T - -c | tar -x -C "$here" || fail "no checkout"
ln -s "$ROOT/build" "$here/build"
for f in "$CACHE"/*; do [[ $(basename "$f") == sandbox ]] || ln -s "$f" "$work/cache/"; done # Kafka's jars are there; the sandbox is its own
cp "$work/readme/contract.json" "$here/"
find "$here" | sort >"$work/files"

# -- the walk
cat >"$work/prelude" <<'P'
set -m
# Told to end, a daemon ends; 1 is an answer (check-event rejects something, replay finds a difference). Nothing else may fail.
trap 'c=$?; case $c:$BASH_COMMAND in 1:*check-event* | 1:*replay\ --dry-run*) ;; *) echo "exit $c: $BASH_COMMAND"; exit 1 ;; esac' ERR
until_true() { local n=0; until eval "$1" 2>/dev/null; do ((++n < 600)) || { echo "never came: $1"; exit 1; }; read -rt 0.1 <> <(:) || :; done; }
screens=0 # each with a server of its own: one that is going away takes no new one in
tm() { tmux -S "$TMUX_AT$screens" "$@"; }
screen_shows() { tm capture-pane -p | grep -qE -e "$1"; }
on_screen() { # PATTERN, and the command on standard input: on a terminal, until it shows the pattern
	((++screens))
	tm -f /dev/null new-session -d -x 200 -y 50 "$(cat); cat"
	until_true "screen_shows '$1'"
	tm capture-pane -p | grep .
	tm kill-server
}
P
# A line of README is run as it stands. Beside it: what goes on until Ctrl-C is ended when it shows what README waits for; who starts the
# daemon, or asks for what was just sent, waits a moment as a person would; what was published, and what counted before all was lost, is kept.
follower() { printf 's/^(%s[^#]*).*/on_screen "%s" <<"C"\\n\\1\\nC/' "$1" "$2"; }
sed -E -e 's/^kill %1; wait\b/& || :/' \
	-e "$(follower 'meterctl settlements .*--follow' 2020-03)" -e "$(follower 'meterctl alerts --follow' '(free_quota|tier)[.]')" \
	-e "$(follower 'meterctl top' 'usage.calls.0 .*running')" -e "$(follower 'curl -sN' 'retry: 1000')" \
	-e '/^meterd --config .* &$/a until_true "meterctl status >/dev/null"' \
	-e '/^meterctl usage 100001234567/i until_true "meterctl audit | jq -es '\''map(.consumed) | add == 5'\'' >/dev/null"' \
	-e '/^meterctl explain 178900000000 2020-03 +#/i meterctl alerts >"$SEEN/alerts"; meterctl settlements >"$SEEN/settlements"' \
	-e '/^meterctl dlq requeue/a until_true "meterctl status | jq -e '\''[.partitions[].lag] | add == 0'\'' >/dev/null"' \
	-e '/redis-cli .* flushall/i meterctl counters >"$SEEN/before"' \
	-e '/^meterctl restore .* --yes/{n;s/$/\nuntil_true "meterctl counters | cmp -s - $SEEN\/before"/}' "$work/readme/commands" >"$work/commands"
cat "$work/prelude" "$work/commands" >"$work/walk"
(
	cd "$here" || exit 1
	exec env METERD_CACHE="$work/cache" TMUX_AT="$work/tmux" SEEN="$work" timeout 400 bash "$work/walk"
) >"$work/screen" 2>&1 </dev/null || fail "the walk ended with $?"

# -- what README promises beside the commands
shown() { grep -qE -e "$1" "$work/screen" || fail "the screen does not show $1"; }
for want in '\b10000\b' 'free_quota\.warning' 'free_quota\.exhausted' '__meterd\.errors\.code' '^READY ' 'rejected' 'Charge: 2178\.00 CNY' \
	'^code: field_null' '"id":"c-1"' '"state":"cancelled"' 'records? given back to the input' '应付|费用' 'generation 2 is in force' '"is":"was in force"' \
	'[1-9][0-9]* fields of generations 1 and 2 compared, 0 differences' '[1-9][0-9]* bills differ' 'checkpoint is whole, of this state' 'Nothing was done; add --yes' \
	'"next_tier"' 'retry: 1000' 'version 1 has these rules already'; do
	shown "$want"
done
(($(grep -cE '[1-9][0-9]* documents proved, byte for byte; 0 findings' "$work/screen") == 2)) || fail "the bills are not proved twice"
grep -qE -f "$work/readme/alert" "$work/alerts" || fail "README's alert is none that was published: $(cat "$work/readme/alert")"
grep -qE -f "$work/readme/settlement" "$work/settlements" || fail "README's settlement is none that was published: $(cat "$work/readme/settlement")"
rm "$here"/contract.json 2>/dev/null && fail "README's cleaning up leaves contract.json"
find "$here" | sort | diff <(grep -v '/contract\.json$' "$work/files") - || fail "README's cleaning up leaves files"
echo "walked $(grep -c . "$work/readme/commands") lines in $SECONDS s"
