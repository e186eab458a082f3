# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of the installed service, after common.sh, redis.sh and container.sh: how they fail and wait, and what they ask of the
# service manager in the container. DIR, PREFIX and port are the caller's.

fail() {
	echo "FAILED: $*"
	[[ -z ${CONTAINER:-} ]] || { in_container systemctl --no-pager status meterd; in_container journalctl --no-pager -n 40 -o short-monotonic; } 2>&1 | cut -c 1-300
	exit 1
}
step() { printf "%4d s  %s\n" "$SECONDS" "$*"; }
expect_equal() { [[ $2 == "$3" ]] || fail "$1: got '$2', wanted '$3'"; }
expect_match() { [[ $2 =~ $3 ]] || fail "$1: '$2' does not match '$3'"; }
condition() { eval "$1"; }
wait_for() { wait_until "$1" condition "$2" || fail "waited $1 s for: ${3:-$2}"; }
signal() { in_container sh -c "kill -$1 $2"; }
sc() { in_container systemctl "$@"; }
show() { sc show --value -p "$1" "${2:-meterd.service}"; }
journal() { in_container journalctl --no-pager -q "$@"; }
logged() { journal -u "${2:-meterd}" -o cat "METERD_EVENT=$1" | wc -l; }
message_id() { sed -n "s/^LOG(\"$1\", \"\([0-9a-f]*\)\".*/\1/p" "$ROOT/daemon/tbl/log.def"; }
http() { in_container curl -fsS --max-time 5 "http://127.0.0.1:$port$1" 2>/dev/null; }
ready() { [[ $(http /-/ready) == ready ]]; }
settings() { # instance, port, credential
	cat <<-C
	instance: $1
	state_dir: /var/lib/meterd
	kafka: {bootstrap: "$KAFKA_BOOTSTRAP", group: $PREFIX}
	topics: {input: [${PREFIX}usage.calls], alerts: ${PREFIX}meterd.alerts, settlements: ${PREFIX}meterd.settlements,
	         control: ${PREFIX}meterd.control, accounts: ${PREFIX}meterd.accounts, dlq: ${PREFIX}usage.calls.dlq}
	redis: {url: "$(redis_url "$DIR")", password_file: "$3"}
	http: {listen: "127.0.0.1:$2"}
	C
}
