#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian 13 beside this machine's Debian 12 (gcc 14, librdkafka 2.8, hiredis 1.2, Redis 8): the tree is built there, every unit test passes, and
# its package installs and runs. In a tree made once by mmdebstrap in the cache directory, under systemd-nspawn; sources are read-only there,
# and what is made lies in build/debian13. Too long for each run of scripts/test: `scripts/test debian13`, some minutes. Needs root.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib/common.sh"
. "$LIB/container.sh"
cd "$ROOT"
# shellcheck disable=SC2046
need_packages $(all_packages)

# packages.txt says what building and unit tests need; what only the checks, the real parts and the peers need is left out, and what has
# another name there is named.
here_only='^(clang|clang-tidy|cppcheck|libclang-rt-.*|prometheus|universal-ctags|kcat|maven|openjdk-.*|python3-confluent-kafka|fish|zsh|lintian|man-db|mmdebstrap|systemd-container|tmux|curl|jq)$'
packages=$(all_packages | grep -vE "$here_only" | paste -sd ,)
CONTAINER_SUITE=trixie CONTAINER_PACKAGES=$packages,systemd-sysv,librdkafka1
tree=$(container_tree)
made=$ROOT/build/debian13
mkdir -p "$made" "$CACHE/ccache-trixie"
inside() {
	systemd-nspawn --quiet --directory="$tree" --register=no --keep-unit --volatile=overlay --as-pid2 --bind-ro="$ROOT:/src" --bind="$made:/src/build" \
		--bind="$CACHE/ccache-trixie:/ccache" --setenv=CCACHE_DIR=/ccache --setenv=LC_ALL=C.UTF-8 --chdir=/src --pipe bash -euo pipefail -c "$1"
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
	dpkg -i meterd_*.deb
	[[ $(meterd --version) == "meterd "* && $(meterctl quote --catalog /etc/meterd/catalog.yaml --service image-tag --calls 1010000 --period 2020-01 --format json) == *2200.00* ]]
	systemd-analyze verify --man=no /usr/lib/systemd/system/meterd.service
	systemd-analyze security --offline=true /usr/lib/systemd/system/meterd.service | grep Overall
	dpkg --purge meterd
	[[ ! -e /usr/bin/meterd && ! -e /etc/meterd ]]
	exit $failed'
echo "ok Debian 13 in $SECONDS s"
