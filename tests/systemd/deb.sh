# SPDX-License-Identifier: Apache-2.0
# Sourced after common.sh. made_package: makes the .deb of the main build in a directory below build/, and prints its path.
made_package() {
	local out=$ROOT/build/package
	rm -rf "$out"
	mkdir -p "$out"
	build_main all >"$out.log" 2>&1 && (cd "$ROOT/build" && cpack -G DEB -B "$out") >>"$out.log" 2>&1 || { tail -n 20 "$out.log" >&2; return 1; }
	ls "$out"/meterd_*.deb
}
