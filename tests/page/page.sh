#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page in a real headless Chromium (tests/page/page.mjs) beside a daemon that counts the quick start's kind of traffic, over the
# embedded broker and a private Redis: this script makes the traffic, and kills and starts the daemon, when the browser says so.
#   tests/page/page.sh [BUILD] [PICTURES]     the build directory; where pictures go (default: none are taken)
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib/common.sh"
. "$LIB/redis.sh"
cd "$ROOT"
need_packages chromium fonts-wqy-microhei
command -v node >/dev/null && command -v npm >/dev/null || need_packages nodejs npm # whoever packaged them: 18 is enough
BIN=$(readlink -f "${1:-build}")/bin
if [[ -n ${2:-} ]]; then mkdir -p "$2" && PICTURES=$(readlink -f "$2") && export PICTURES; fi
# Chromium is Debian's; what drives it comes from npm, in the versions that the lock names, into the cache.
tree=$CACHE/page-$(sha256sum <tests/page/package-lock.json | cut -c 1-16)
if [[ ! -d $tree/node_modules ]]; then
	mkdir -p "$tree.new"
	cp tests/page/package.json tests/page/package-lock.json "$tree.new"
	(cd "$tree.new" && npm ci --no-audit --no-fund --ignore-scripts >npm.log 2>&1) || { tail "$tree.new/npm.log"; die "npm could not install what tests/page/package-lock.json names"; }
	rm -rf "$tree" && mv "$tree.new" "$tree"
fi

work=$(mktemp -d)
browser=
finish() {
	[[ -z $browser ]] || kill "$browser" 2>/dev/null || :
	process_stop "$work/meterd.pid" 10
	process_stop "$work/broker.pid" 5
	redis_down "$work"
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
redis_up "$work"
process_start "$work/broker.pid" "$work/broker.out" "$BIN/meterctl" broker --topic usage.calls:8 --topic meterd.alerts:4 \
	--topic meterd.settlements:8 --topic meterd.control:1 --topic meterd.accounts:1 --topic usage.calls.dlq:1
broker_up() { grep -q '^KAFKA_BOOTSTRAP=' "$work/broker.out"; }
wait_until 20 broker_up || die "the embedded broker did not start"
port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/meterd.yaml" <<Y
instance: page
catalog: $ROOT/config/catalog.yaml
clock: records
kafka: {bootstrap: "$(sed -n 's/^KAFKA_BOOTSTRAP=//p' "$work/broker.out" | head -n 1)", embedded: true}
redis: {url: "$(redis_url "$work")"}
flush: {idle_advance: 100ms}
http: {listen: "127.0.0.1:$port"}
Y
export METERD_CONFIG=$work/meterd.yaml NODE_TREE=$tree
start() { process_start "$work/meterd.pid" "$work/meterd.log" "$BIN/meterd" --config "$work/meterd.yaml"; }
traffic() { "$BIN/meterctl" gen --events "$1" --accounts 60 --seed 7 --from "$2" --to "$3" >/dev/null 2>>"$work/gen.log"; }
"$BIN/meterctl" init >/dev/null 2>&1
start
traffic 20000 2020-01 2020-03

mkfifo "$work/out"
node tests/page/page.mjs "$port" "$work" >"$work/out" 2>&1 &
browser=$!
while read -r line; do
	echo "$line"
	case $line in
	"do traffic") traffic 8000 2020-03 2020-04 ;;
	"do kill") process_kill9 "$work/meterd.pid" ;;
	"do start") start ;;
	"do again") traffic 8000 2020-04 2020-05 ;;
	*) continue ;;
	esac
	touch "$work/${line#do }.done"
done <"$work/out"
rc=0
wait "$browser" || rc=$?
browser=
((rc == 0)) || tail -n 5 "$work/meterd.log"
exit "$rc"
