# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts and by the scenario runner: where things lie, words to stderr, packages, free ports, waiting for
# conditions, processes by pid file. Refuses to kill a pid that is not the process it started (pids come round again).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${METERD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/meterd}
LIB=$ROOT/scripts/lib
PYTHON=/usr/bin/python3 # Debian's, since python3-confluent-kafka belongs to it
export PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "$*" >&2; }
# For a script that defines `usage`: --help prints it on stdout and ends with 0; a mistake in the command line ends with 64.
help_asked() { local a; for a; do [[ $a == -- ]] && return 1; [[ $a == --help || $a == -h ]] && return 0; done; return 1; }
usage_error() { say "$(basename "$0"): $*"; usage >&2; exit 64; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Installs those of packages.txt (beside the names given, nothing else) that dpkg does not know as installed.
need_packages() {
	local missing=() p
	for p in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	say "installing ${missing[*]}"
	local sudo=()
	((EUID == 0)) || sudo=(sudo)
	# Debian's redis-server starts a service of its own where there is a systemd: not wanted here.
	local log
	log=$(mktemp) || return 1
	if ! { "${sudo[@]}" apt-get -qq update && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get -qq -y --no-install-recommends install "${missing[@]}"; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: ${missing[*]}"
	fi
	rm -f "$log"
}
all_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$LIB/packages.txt"; }

# build_main [TARGET…]: the build that people use and most tests run, in build/. One place, so that scripts/quickstart and scripts/test
# do not make each other's programs anew. build_in DIR OPTION… [-- TARGET…]: any other.
MAIN_BUILD=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Release)
build_in() {
	local dir=$1 options=()
	shift
	while (($#)) && [[ $1 != -- ]]; do options+=("$1"); shift; done
	if command -v ccache >/dev/null; then options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache); fi
	cmake -S "$ROOT" -B "$dir" -G Ninja "${options[@]}" && ninja -C "$dir" "${@:2}"
}
build_main() { build_in "$ROOT/build" "${MAIN_BUILD[@]}" -- "$@"; }
export CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache} CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-1G}

# N distinct loopback ports nobody listens on, below the range that outgoing connections draw from.
free_ports() {
	"$PYTHON" - "$1" <<-'PY'
	import random, socket, sys
	held = []
	while len(held) < int(sys.argv[1]):
	    s = socket.socket()
	    try:
	        s.bind(("127.0.0.1", random.randrange(15000, 32000)))
	    except OSError:
	        continue
	    held.append(s)
	print(*(s.getsockname()[1] for s in held))
	PY
}

# wait_until SECONDS COMMAND…: until the command succeeds; 1 when it never did.
wait_until() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < deadline)) || return 1
		read -rt 0.05 <> <(:) || :
	done
}

# Processes. DIR/NAME.pid holds pid and start time, which together never repeat.
started_at() { # pid -> clock ticks since boot, empty when there is no such process (or only its zombie)
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	[[ $1 == Z || $1 == X ]] || echo "${20}"
}
# process_start PIDFILE LOG COMMAND…: in a session of its own, so that a Ctrl-C at the terminal does not take it away half-way.
process_start() {
	local file=$1 log=$2
	shift 2
	setsid "$@" >>"$log" 2>&1 </dev/null &
	local pid=$!
	echo "$pid $(started_at "$pid")" >"$file"
	disown "$pid" 2>/dev/null || :
}
process_pid() { # pid where it still runs, else empty
	local pid at
	[[ -f $1 ]] || return 0
	read -r pid at <"$1" || return 0
	[[ -n $at && $(started_at "$pid") == "$at" ]] && echo "$pid"
	return 0
}
process_gone() { [[ -z $(process_pid "$1") ]]; }
process_kill9() {
	local pid
	pid=$(process_pid "$1")
	[[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || :
	wait_until 10 process_gone "$1"
}
# TERM, and KILL where it does not go within SECONDS.
process_stop() {
	local pid
	pid=$(process_pid "$1")
	[[ -n $pid ]] || return 0
	kill -CONT "$pid" 2>/dev/null || :
	kill -TERM "$pid" 2>/dev/null || :
	wait_until "${2:-10}" process_gone "$1" || process_kill9 "$1"
}
