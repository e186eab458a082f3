# SPDX-License-Identifier: Apache-2.0
# A small Debian with systemd, booted in a container on this machine's own kernel: a tree made once by mmdebstrap in the cache directory,
# of which every test takes a copy. The network is the host's, so what listens on the loopback here is reached from inside. Needs root,
# and common.sh. The mirror is the one in this machine's own apt sources.

# What the package depends on is there already, so that dpkg alone installs it, without a mirror.
container_suite() { if [[ -n ${CONTAINER_SUITE:-} ]]; then echo "$CONTAINER_SUITE"; else (. /etc/os-release && echo "$VERSION_CODENAME"); fi; }
CONTAINER_PACKAGES=systemd,systemd-sysv,dbus,init-system-helpers,tzdata,curl,man-db,librdkafka1,libjansson4,libncursesw6,libxxhash0,libyaml-0-2,libzstd1
case $(container_suite) in # names that carry a version
bookworm) CONTAINER_PACKAGES+=,libhiredis0.14,libmicrohttpd12,libssl3 ;;
*) CONTAINER_PACKAGES+=,libhiredis1.1.0,libmicrohttpd12t64,libssl3t64 ;;
esac
container_tree() { # prints the path of the tree, made where it is missing; another list of packages makes another tree
	local suite tree mirror
	suite=$(container_suite)
	tree=$CACHE/tree-$suite-$(cksum <<<"$CONTAINER_PACKAGES" | cut -d ' ' -f 1)
	if [[ ! -d $tree ]]; then
		# The mirror of this machine's own release has the others too.
		mirror=$(apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(REPO_URI)' | awk -v s="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$1 == "Packages" && $2 == s { print $3; exit }')
		[[ -n $mirror ]] || die "this machine's apt sources name no mirror of its own release"
		say "making a small $suite in $tree (half a minute, once)"
		rm -rf "$tree.new"
		mkdir -p "$CACHE"
		if ! mmdebstrap --quiet --variant=essential --include="$CONTAINER_PACKAGES" "$suite" "$tree.new" "$mirror" >"$CACHE/tree.log" 2>&1; then
			tail -n 20 "$CACHE/tree.log" >&2
			rm -rf "$tree.new"
			die "mmdebstrap could not make the tree"
		fi
		mv -T "$tree.new" "$tree"
	fi
	echo "$tree"
}
# container_copy DIR: a copy of the tree to work on.
container_copy() { cp -a --reflink=auto "$(container_tree)" "$1"; }

# container_boot ROOT LOG: starts it and waits until its systemd is up; the leader's pid is in CONTAINER.
container_boot() {
	systemd-nspawn --quiet --directory="$1" --register=no --keep-unit --boot --machine="meterd-$$" >"$2" 2>&1 </dev/null &
	NSPAWN=$!
	wait_until 30 container_leader || die "the container does not start: $(tail -n 5 "$2")"
	wait_until 60 container_up || die "systemd does not come up: $(tail -n 5 "$2")"
}
container_leader() { CONTAINER=$(pgrep -P "$NSPAWN" | head -n 1); [[ -n $CONTAINER ]]; }
container_up() { [[ $(in_container systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]; }
in_container() { nsenter --target "$CONTAINER" --all "$@"; }
container_down() {
	[[ -n ${NSPAWN:-} ]] || return 0
	# SIGTERM to nspawn powers the container off in order; what is left after that is killed by its own pid.
	kill -TERM "$NSPAWN" 2>/dev/null
	wait_until 20 container_gone || kill -KILL "${CONTAINER:-$NSPAWN}" "$NSPAWN" 2>/dev/null
	wait "$NSPAWN" 2>/dev/null
	NSPAWN=
}
container_gone() { [[ -z $(started_at "$NSPAWN") ]]; }
