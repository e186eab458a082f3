#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The package and the service as they are: the .deb in a small Debian whose own systemd boots in a container, Apache Kafka and Redis outside
# on this machine's loopback. Shown: installation, start, STATUS, credentials, journal fields and their catalogue, alerts by kind, reload, a refused
# reload, socket activation, watchdog, crash and restart, exit 78 without restart, stop within the time-out, a second instance by the
# template, upgrade to itself, also over a faulty configuration, removal, purge.
#   tests/systemd/boot.sh [FILE.deb]     KAFKA_BOOTSTRAP names a broker; without a file the package is made first
set -uo pipefail
. "$(dirname "$0")/../../scripts/lib/common.sh"
. "$LIB/redis.sh"
. "$LIB/container.sh"
. "$ROOT/tests/systemd/deb.sh"
deb=$(readlink -f "${1:-$(made_package)}") || exit 1
: "${KAFKA_BOOTSTRAP:?}"
((EUID == 0)) || die "a container needs root"
DIR=$(mktemp -d) || exit 1
TREE=$DIR/tree
PREFIX=systemd.$$.
at_exit() { local rc=$?; trap - EXIT; container_down; redis_down "$DIR"; rm -rf --one-file-system "$DIR"; exit "$rc"; }
trap at_exit EXIT
trap 'exit 130' INT TERM

. "$ROOT/tests/systemd/service.sh"

export REDISCLI_AUTH=secret-of-redis
redis_up "$DIR" requirepass secret-of-redis
read -r port other_port <<<"$(free_ports 2)"
"$PYTHON" "$LIB/topics.py" create "$KAFKA_BOOTSTRAP" --prefix "$PREFIX" --partitions 2 || fail topics

# -- installation
container_copy "$TREE"
cp "$deb" "$TREE/meterd.deb"
# The watchdog of 30 s is shortened, nothing else of the unit.
mkdir -p "$TREE/etc/systemd/system/meterd.service.d"
printf '[Service]\nWatchdogSec=4s\n' >"$TREE/etc/systemd/system/meterd.service.d/watchdog.conf"
container_boot "$TREE" "$DIR/nspawn.log"
step "$(in_container systemctl --version | head -n 1) is up"
in_container dpkg --install /meterd.deb >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"
expect_equal "the state after installation" "$(show ActiveState) $(show UnitFileState)" "inactive disabled"
expect_equal "who reads the configuration" "$(in_container stat -c '%U:%G %a' /etc/meterd /etc/meterd/meterd.yaml | paste -sd ' ')" "root:meterd 750 root:meterd 640"
said=$(in_container systemd-analyze verify meterd.service meterd.socket meterd@x.service 2>&1)
expect_equal "what systemd says about the units" "$said" ""
in_container man -w meterd meterd.yaml meterd-catalog meterd-events meterctl >/dev/null || fail "a man page is missing"
conffile=$(in_container dpkg-query -W -f '${Conffiles}' meterd | grep -c /etc/meterd/)
expect_equal "conffiles" "$conffile" 2
step "installed"

# -- exit 78 without restart: no such credential
settings meterd "$port" /run/credentials/meterd.service/redis-password >"$TREE/etc/meterd/meterd.yaml"
sc start meterd 2>/dev/null && fail "it starts without its password"
wait_for 20 '[[ $(show ActiveState) == failed ]]'
expect_equal "exit code" "$(show ExecMainStatus) $(show NRestarts)" "78 0"
expect_match "the reason in the journal" "$(journal -u meterd -o cat)" 'redis.password_file /run/credentials/meterd.service/redis-password'
install -m 0600 /dev/stdin "$TREE/etc/credstore/meterd.redis-password" <<<secret-of-redis 2>/dev/null ||
	{ mkdir -p "$TREE/etc/credstore" && install -m 0600 /dev/stdin "$TREE/etc/credstore/meterd.redis-password" <<<secret-of-redis; }
# Before init there is no state: 78 again, from the checks behind READY.
sc start meterd || fail "start"
wait_for 30 '[[ $(show ActiveState) == failed ]]' 'the end without init'
expect_equal "exit code" "$(show ExecMainStatus) $(show NRestarts)" "78 0"
expect_match "the reason in the journal" "$(journal -u meterd -o cat METERD_EVENT=stopped | tail -n 1)" 'meterctl init'
step "exit 78 twice, no restart"

# -- README's commands as they stand, by root, who reads the password where the credential comes from: meterd(8); STATUS, credentials, journal
"$PYTHON" "$ROOT/tests/lib/readme_blocks.py" "$ROOT" --block editor >"$TREE/opt/commands" || fail "README has no such block"
sed -n 's/^\(sed .*\) >.*/\1/p' "$ROOT/systemd/man/meterd.8.scd" >"$TREE/opt/by_hand"
in_container bash -euc '. /opt/by_hand >/etc/meterd/by-hand.yaml' || fail "meterd(8)'s file for meterctl"
said=$(in_container env METERD_CONFIG=/etc/meterd/by-hand.yaml bash -euc 'editor() { :; }; . /opt/commands' 2>&1) || fail "README's commands: $said"
for want in 'init id [0-9a-f]{32}, 16 shards' 'Active: active \(running\)' '░ Subject: '; do expect_match "README's commands" "$said" "$want"; done
rm "$TREE/etc/meterd/by-hand.yaml"
wait_for 60 ready
wait_for 20 '[[ $(show StatusText) =~ ^running,\ 2\ partitions,\ lag\ 0$ ]]' 'the STATUS line'
expect_equal "user" "$(in_container stat -c %U "/proc/$(show MainPID)")" meterd
id=$(message_id running)
expect_equal "the line by its message id" "$(journal "MESSAGE_ID=$id" -o json | jq -r '[.METERD_EVENT, .METERD_WORKERS, .PRIORITY, ._SYSTEMD_UNIT] | join(" ")')" \
	"running 1 6 meterd.service"
expect_match "journalctl -x" "$(journal -x "MESSAGE_ID=$id")" "Subject: meterd counts"
expect_match "fields in the catalogue" "$(journal -x "MESSAGE_ID=$id")" "░ .*group $PREFIX"
expect_equal "the password in the journal" "$(journal -o export | grep -c secret-of-redis)" 0
step "running"

# -- an alert: a line of its own kind, found by its id and explained
call() { # id, calls
	"$PYTHON" - "$KAFKA_BOOTSTRAP" "${PREFIX}usage.calls" "$@" <<-'PY' || fail produce
	import datetime, json, sys
	from confluent_kafka import Producer
	bootstrap, topic, number, calls = sys.argv[1:]
	p = Producer({"bootstrap.servers": bootstrap})
	now = datetime.datetime.now(datetime.timezone.utc).isoformat()
	p.produce(topic, json.dumps({"id": number, "account": "100001234567", "service": "image-tag", "time": now, "calls": int(calls)}), "100001234567")
	sys.exit(p.flush(30))
	PY
}
call one 7999
call two 2002000
for kind in free_quota_warning free_quota_exhausted tier_crossed; do
	id=$(message_id "alert_$kind")
	[[ -n $id ]] || fail "no message id of $kind"
	wait_for 30 '[[ -n $(journal "MESSAGE_ID=$id" -o cat) ]]' "the line of $kind"
done
expect_equal "fields of an alert" "$(journal "MESSAGE_ID=$id" -o json | jq -r '[.METERD_EVENT, .METERD_SERVICE, .METERD_THRESHOLD, ._SYSTEMD_UNIT] | join(" ")' | head -n 1)" \
	"alert_tier_crossed image-tag 1000000 meterd.service"
expect_match "journalctl -x of an alert" "$(journal -x "MESSAGE_ID=$id")" "Subject: An account reached the next price tier.*image-tag in [0-9-]+ reached 1000000 calls"
step "alerts in the journal"

# -- reload, a refused one, a file that is refused although somebody sends the signal
pid=$(show MainPID)
settings meterd "$port" /run/credentials/meterd.service/redis-password | sed '$a log: {level: debug}' | sed '$a workers: 2' >"$TREE/etc/meterd/meterd.yaml"
sc reload meterd || fail reload
wait_for 20 '(( $(logged reloaded) == 1 ))'
wait_for 20 '[[ $(show StatusText) == *"; waits for a restart: workers" && $(show SubState) == running ]]' 'STATUS after a reload'
echo 'colour: red' >>"$TREE/etc/meterd/meterd.yaml"
sc reload meterd 2>/dev/null && fail "a faulty file is reloaded"
expect_match "its errors in the journal" "$(journal -u meterd -o cat)" 'meterd.yaml:[0-9]+:1: error: unknown key "colour"'
expect_equal "refused reloads that reached the process" "$(logged reload_refused)" 0
signal HUP "$pid"
wait_for 20 '(( $(logged reload_refused) == 1 ))'
wait_for 20 '[[ $(show StatusText) == *"; reload refused: "*colour* ]]' 'STATUS after a refused reload'
expect_equal "the process" "$(show MainPID) $(show ActiveState)" "$pid active"
sed -i '/^colour/d' "$TREE/etc/meterd/meterd.yaml"
sc reload meterd || fail reload
wait_for 20 '(( $(logged reloaded) == 2 ))'
step "reloaded, refused, reloaded"

# -- crash, watchdog
signal SEGV "$pid"
wait_for 30 '[[ $(show MainPID) != "$pid" ]] && ready' 'the restart after a crash'
expect_equal "restarts" "$(show NRestarts)" 1
pid=$(show MainPID)
signal STOP "$pid"
wait_for 60 '[[ $(show MainPID) != "$pid" ]] && ready' 'the restart by the watchdog'
expect_equal "restarts" "$(show NRestarts)" 2
expect_match "the reason" "$(journal -u meterd -o cat)" 'Watchdog timeout'
step "crash and watchdog: restarted"

# -- stop: in order, within the time-out
began=$SECONDS
sc stop meterd
((SECONDS - began < 45)) || fail "stopped only after $((SECONDS - began)) s"
expect_equal "how it stopped" "$(show Result) $(show ExecMainStatus)" "success 0"
expect_match "the last line" "$(journal -u meterd -o cat METERD_EVENT=stopped | tail -n 1)" 'exit=0'
step "stopped in $((SECONDS - began)) s"

# -- socket activation: the first request starts it, the port survives a restart
mkdir -p "$TREE/etc/systemd/system/meterd.socket.d"
printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:%s\n' "$other_port" >"$TREE/etc/systemd/system/meterd.socket.d/port.conf"
sc daemon-reload
sc start meterd.socket || fail "the socket"
expect_equal "before the first request" "$(show ActiveState)" inactive
port=$other_port
expect_equal "the first request" "$(http /-/healthy)" healthy
wait_for 60 ready
pid=$(show MainPID)
sc restart meterd 2>/dev/null & restarting=$!
n=0
while kill -0 "$restarting" 2>/dev/null; do # nobody is refused, before, during and after (7: could not connect; 28: no answer in time)
	in_container curl -fsS --max-time 30 -o /dev/null "http://127.0.0.1:$port/-/healthy" 2>/dev/null
	rc=$?
	((rc != 7 && rc != 28)) || fail "curl says $rc during a restart"
	((++n))
done
wait "$restarting" # a request that comes while it stops makes systemd replace the job, which systemctl calls canceled; the start comes all the same
wait_for 60 '[[ $(show MainPID) != "$pid" && $(show ActiveState) == active ]]' 'the restart under requests'
wait_for 60 ready
sc stop meterd.socket meterd
step "socket activation, $n requests over a restart"

# -- a second instance by the template
settings second 0 /run/credentials/meterd@second.service/redis-password | sed 's|/var/lib/meterd$|/var/lib/meterd/second|' >"$TREE/etc/meterd/second.yaml"
cp -p "$TREE/etc/credstore/meterd.redis-password" "$TREE/etc/credstore/meterd-second.redis-password"
in_container systemd-tmpfiles --create meterd.conf
sc start meterd@second || fail "meterd@second"
wait_for 60 '[[ $(show StatusText meterd@second.service) =~ ^running,\ 2 ]]' 'the second instance'

# -- upgrade (to itself): what runs is restarted, what does not is left alone
pid=$(show MainPID meterd@second.service)
in_container dpkg --install /meterd.deb >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"
[[ $(show MainPID meterd@second.service) != "$pid" ]] || fail "an upgrade does not restart what runs"
expect_equal "states after an upgrade" "$(show ActiveState meterd@second.service) $(show ActiveState)" "active inactive"
expect_match "the edited configuration" "$(cat "$TREE/etc/meterd/meterd.yaml")" "$PREFIX"
pid=$(show MainPID meterd@second.service)
echo 'colour: red' >>"$TREE/etc/meterd/second.yaml"
in_container dpkg --install /meterd.deb >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"
expect_equal "what runs, where the new version would refuse its configuration" "$(show MainPID meterd@second.service) $(show ActiveState meterd@second.service)" "$pid active"
expect_match "what dpkg says of it" "$(cat "$DIR/dpkg.log")" 'unknown key "colour".*meterd@second.service goes on in the version before: mend /etc/meterd/second.yaml'
step "a second instance, an upgrade, an upgrade over a faulty configuration"

# -- removal and purge
in_container dpkg --remove meterd >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"
expect_equal "after removal" "$(show ActiveState meterd@second.service)" inactive
[[ -f $TREE/etc/meterd/meterd.yaml && -d $TREE/var/lib/meterd && ! -e $TREE/usr/bin/meterd ]] || fail "removal keeps configuration and state, and nothing else"
rm "$TREE/etc/meterd/second.yaml"
in_container dpkg --purge meterd >"$DIR/dpkg.log" 2>&1 || fail "dpkg: $(cat "$DIR/dpkg.log")"
left=$(find "$TREE"/etc/meterd "$TREE"/etc/systemd/system/*.wants/meterd* "$TREE"/var/lib/meterd "$TREE"/usr/share/doc/meterd "$TREE"/usr/lib/systemd/system/meterd* 2>/dev/null)
expect_equal "what purge leaves" "$left" ""
step "removed, purged"
echo "ok systemd $(in_container systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p') in ${SECONDS} s"
