#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian 13 beside this machine's Debian 12 (gcc 14, librdkafka 2.8, hiredis 1.2, Redis 8, systemd 257): the tree is built there, every unit
# test passes, scenarios run with its Redis, and its package is installed and run under its systemd, by the same test as Debian 12's. In trees
# made once by mmdebstrap in the cache directory, under systemd-nspawn; sources are read-only there, and what is made lies in build/debian13.
# Apache Kafka runs outside, but for scenarios with a broker of their own: of those a11 (librdkafka's SCRAM and TLS) and d05 (its way through a
# broker's death) run, since they show what the newer library does; the others show what meterd does, which is the same code. Too long for each
# run of scripts/test: `scripts/test debian13`, some minutes. Needs root.
#   tests/systemd/debian13.sh [SCENARIO…]     those scenarios instead (parts of names)
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib/common.sh"
. "$LIB/kafka.sh"
cd "$ROOT"
((EUID == 0)) || die "a container needs root"
scenarios=(a06 a08 a11 a12 b01 c01 c05 d01 d03 d05 f01 f03 f04 g01)
(($# == 0)) || scenarios=("$@")
# shellcheck disable=SC2046
need_packages $(all_packages)
work=$(mktemp -d)
at_exit() { local rc=$?; trap - EXIT; [[ ! -d $work/kafka ]] || kafka_down "$work/kafka"; rm -rf "$work"; exit "$rc"; }
trap at_exit EXIT
trap 'exit 130' INT TERM
if [[ -z ${KAFKA_DIR:-} ]]; then
	kafka_up "$work/kafka"
	KAFKA_DIR=$work/kafka KAFKA_BOOTSTRAP=$(cat "$work/kafka/kafka.bootstrap")
	export KAFKA_BOOTSTRAP
fi

# packages.txt says what building and testing need; what only the checks, the broker, the package and the peers need is left out.
here_only='^(clang|clang-tidy|cppcheck|libclang-rt-.*|prometheus|universal-ctags|maven|openjdk-.*|fish|zsh|lintian|man-db|mmdebstrap|systemd-container|tmux|valgrind)$'
export CONTAINER_SUITE=trixie
. "$LIB/container.sh"
tree=$(CONTAINER_PACKAGES=$(all_packages | grep -vE "$here_only" | paste -sd ,),systemd-sysv,librdkafka1,openjdk-21-jre-headless container_tree)
made=$ROOT/build/debian13
jars=$made/cache/$(basename "$KAFKA_JARS")
kafka_jars
mkdir -p "$jars" "$CACHE/ccache-trixie"
inside() {
	systemd-nspawn --quiet --directory="$tree" --register=no --keep-unit --volatile=overlay --as-pid2 --bind-ro="$ROOT:/src" --bind="$made:/src/build" \
		--bind="$CACHE/ccache-trixie:/ccache" --bind-ro="$KAFKA_DIR:/kafka" --bind-ro="$KAFKA_JARS:/src/build/cache/$(basename "$KAFKA_JARS")" --setenv=CCACHE_DIR=/ccache --setenv=LC_ALL=C.UTF-8 --setenv=KAFKA_DIR=/kafka \
		--setenv=BUILD=/src/build/all --setenv=METERD_CACHE=/src/build/cache --chdir=/src --pipe bash -euo pipefail -c "$@"
}
inside '
	. /etc/os-release
	echo "$PRETTY_NAME: $(gcc --version | head -n 1), librdkafka $(pkg-config --modversion rdkafka), hiredis $(pkg-config --modversion hiredis), $(redis-server --version)"
	cmake -S . -B build/all -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER_LAUNCHER=ccache >build/cmake.log 2>&1 || { tail -n 20 build/cmake.log; exit 1; }
	ninja -C build/all >build/ninja.log 2>&1 || { tail -n 40 build/ninja.log; exit 1; }
	failed=0
	n=0
	for t in tests/unit/test_*.c; do
		t=$(basename "$t" .c)
		n=$((n + 1))
		timeout 300 "build/all/bin/$t" >"build/$t.log" 2>&1 || { echo "FAILED $t"; tail -n 20 "build/$t.log"; failed=1; }
	done
	echo "$n unit programs"
	cd build/all && rm -f meterd_*.deb && cpack -G DEB >../cpack.log 2>&1 || { tail -n 20 ../cpack.log; exit 1; }
	exit $failed' -
echo "built, unit tests passed, packed after $SECONDS s"
inside 'tests/scenario/run "$@"' - "${scenarios[@]}"
echo "scenarios after $SECONDS s"
deb=("$made"/all/meterd_*.deb)
said=$(tests/systemd/boot.sh "${deb[0]}") || { echo "$said"; exit 1; }
echo "$said"
[[ $said == *"ok systemd 257 "* ]] || die "that was not Debian 13's systemd"
echo "ok Debian 13 in $SECONDS s"
