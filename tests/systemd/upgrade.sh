#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An upgrade of the package over a change of the schema: the release before is built from its commit, installed in a small Debian, counts and
# settles under its systemd; then the new package is installed over it while it runs. The service comes back by itself, the state is brought
# up, settings and units stay, the next month is settled, bills are proved and the counters are what the topics say.
#   tests/systemd/upgrade.sh [FILE.deb]     needs root, KAFKA_BOOTSTRAP, and the history of the source tree
set -uo pipefail
. "$(dirname "$0")/../../scripts/lib/common.sh"
. "$LIB/redis.sh"
. "$LIB/container.sh"
. "$ROOT/tests/systemd/deb.sh"
BEFORE=e1b1b4bfd27944448d92b740cee3856b89a03b15 # the newest commit whose state has schema 1
cd "$ROOT" || exit 1
((EUID == 0)) || die "a container needs root"
: "${KAFKA_BOOTSTRAP:?}"
deb=$(readlink -f "${1:-$(made_package)}") || exit 1

# The package of the release before, made once: an earlier version number, nothing else of it is changed.
old=$CACHE/release-${BEFORE:0:10}
if [[ ! -f $old/meterd.deb ]]; then
	say "building the release before (a minute, once)"
	rm -rf "$old"
	mkdir -p "$old/tree"
	git archive "$BEFORE" | tar -x -C "$old/tree" || die "the history does not reach back to ${BEFORE:0:10}"
	{
		build_from() { ROOT=$old/tree build_in "$old/build" "${MAIN_BUILD[@]}" -DCMAKE_SKIP_INSTALL_ALL_DEPENDENCY=ON -- meterd meterctl docs; }
		build_from && (cd "$old/build" && cpack -G DEB -R 0.0.9 -B "$old/packed") && mv "$old"/packed/meterd_0.0.9*.deb "$old/meterd.deb"
	} >"$old/log" 2>&1 || { tail -n 20 "$old/log"; die "the release before does not build"; }
	rm -rf "$old/tree" "$old/build" "$old/packed"
fi

DIR=$(mktemp -d) || exit 1
TREE=$DIR/tree
PREFIX=upgrade.$$.
at_exit() { local rc=$?; trap - EXIT; container_down; redis_down "$DIR"; rm -rf --one-file-system "$DIR"; exit "$rc"; }
trap at_exit EXIT
trap 'exit 130' INT TERM
. "$ROOT/tests/systemd/service.sh"
redis_up "$DIR"
port=$(free_ports 1)
"$PYTHON" "$LIB/topics.py" create "$KAFKA_BOOTSTRAP" --prefix "$PREFIX" --partitions 2 --stamps any || fail topics
container_copy "$TREE"
cp "$old/meterd.deb" "$TREE/before.deb"
cp "$deb" "$TREE/meterd.deb"
container_boot "$TREE" "$DIR/nspawn.log"
inst() { in_container dpkg --force-confold --install "$1" >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"; }
version() { in_container dpkg-query -W -f '${Version}' meterd; }
ctl() { in_container meterctl "$@" --config /etc/meterd/meterd.yaml; }
schemas() { local s; for s in 00 07 15; do redis_do "$DIR" hget "meterd:{s$s}:meta" schema; done | xargs; }
closed() { local to; to=$(http /api/v1/status | jq -r .closing.closed); [[ $to == 20* && ! $to < $1 ]]; }
calls() { ctl gen --events 3000 --accounts 20 --seed "$1" --from "2020-0$1" --to "2020-0$(($1 + 1))" >/dev/null || fail gen; }

inst /before.deb
expect_equal "the version before" "$(version)" 0.0.9
settings meterd "$port" "" | sed -e 's/, password_file: ""//' -e '$a clock: records' >"$TREE/etc/meterd/meterd.yaml"
mkdir -p "$TREE/etc/systemd/system/meterd.service.d"
printf '[Service]\nWatchdogSec=20s\n' >"$TREE/etc/systemd/system/meterd.service.d/mine.conf"
ctl init >/dev/null || fail init
sc enable --now meterd 2>/dev/null || fail "start"
calls 1
calls 2
wait_for 90 'closed 2020-01' 'January, settled by the release before'
expect_equal "schemas" "$(schemas)" "1 1 1"
step "the release before counts"

pid=$(show MainPID)
cp "$TREE/etc/meterd/meterd.yaml" "$DIR/mine.yaml"
inst /meterd.deb
[[ $(version) != 0.0.9 ]] || fail "the version is as before"
wait_for 90 'ready && [[ $(show MainPID) != "$pid" ]]' 'the new release in its place'
expect_equal "schemas" "$(schemas)" "3 3 3"
expect_equal "state of the unit" "$(show ActiveState) $(show UnitFileState) $(show WatchdogUSec)" "active enabled 20s"
cmp -s "$TREE/etc/meterd/meterd.yaml" "$DIR/mine.yaml" || fail "the configuration was changed"
step "upgraded while it ran"

calls 3
calls 4
wait_for 90 'closed 2020-03' 'March, settled by the new release'
wait_for 60 '[[ $(show StatusText) == "running, 2 partitions, lag 0" ]]' 'no lag'
for verb in audit prove "rebuild --verify --yes"; do
	# shellcheck disable=SC2086
	ctl $verb >"$DIR/said" 2>&1 || fail "$verb exits $?: $(tail -n 3 "$DIR/said")"
done
step "settled on, proved, and the same when counted again"
in_container dpkg --purge meterd >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"
expect_equal "what purge leaves" "$(find "$TREE"/etc/meterd "$TREE"/var/lib/meterd 2>/dev/null)" ""
echo "ok an upgrade from 0.0.9 (${BEFORE:0:10}) in $SECONDS s"
