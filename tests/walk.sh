#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A newcomer's walk: the commands of README's "Five minutes by hand" in its order, in one shell, as they stand there. What it promises in
# words is looked at where the words stand. Only what a person ends by Ctrl-C is ended here by what it waits for.
set -uo pipefail
. "$(dirname "$0")/../scripts/lib/common.sh"
cd "$ROOT" || exit 1
work=$(mktemp -d) || exit 1
at_exit() { METERD_CACHE=$work/cache scripts/sandbox down >/dev/null 2>&1; rm -rf "$work"; }
trap at_exit EXIT
fail() { echo "FAILED: $*"; tail -n 30 "$work/screen" "$ROOT/meterd.log" 2>/dev/null; rm -f "$ROOT/meterd.log" "$ROOT/settlement.json"; exit 1; }
[[ -x build/bin/meterd ]] || fail "no binaries: scripts/test builds them"
mkdir "$work/cache"
for f in "$CACHE"/*; do [[ $(basename "$f") == sandbox ]] || ln -s "$f" "$work/cache/"; done # Kafka's jars are there; the sandbox is its own
awk '/^## /{ in_it = $0 == "## Five minutes by hand" } in_it && /^    / { print substr($0, 5) } in_it && !/^    / { print "" }' README.md >"$work/commands"
(($(grep -c . "$work/commands") > 25)) || fail "README has no walk"
{
	# 1 is an answer (check-event rejects one); a command that is not there, is used wrongly, or finds nothing to talk to is none.
	echo 'set -m'
	echo 'trap '\''c=$?; case $c in 64 | 69 | 70 | 75 | 78 | 126 | 127) echo "exit $c: $BASH_COMMAND"; exit 1 ;; esac'\'' ERR'
	# A daemon that was told to end is waited for; a follower is ended when it has said what README waits for.
	sed -E -e 's/^kill %1; wait$/kill %1; wait || :/' \
		-e 's/^(meterctl settlements .*--follow) .*/until meterctl settlements --kind period.closed --format ndjson | grep -q 2020-03; do :; done/' \
		-e 's/^(meterd --config .*)$/\1\nuntil meterctl status >status.json 2>status.err; do :; done/' \
		"$work/commands"
} >"$work/walk"
# Between sending and asking, the daemon takes a moment.
sed -i 's/^meterctl usage 100001234567.*/until [[ $(meterctl audit --format ndjson | jq -s "map(.consumed) | add") == 5 ]]; do :; done\n&/' "$work/walk"
env METERD_CACHE="$work/cache" timeout 300 bash "$work/walk" >"$work/screen" 2>&1 </dev/null || fail "the walk ended with $?"
for want in '\b10000\b' 'free_quota\.warning' 'free_quota\.exhausted' '__meterd\.errors\.code' '^READY ' 'rejected' 'Charge: 2178\.00 CNY'; do
	grep -qE -e "$want" "$work/screen" || fail "the screen does not show $want"
done
[[ ! -e meterd.log && ! -e settlement.json ]] || fail "README's cleaning up leaves files"
rm -f status.json status.err
echo "walked $(grep -c . "$work/commands") lines in $SECONDS s"
