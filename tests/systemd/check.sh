#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The unit file: `systemd-analyze verify` must be silent (it exits 0 on an unknown key, so any output is a fault), the sandbox must
# keep its figure, and what operators rely on must stand in it. Prints what it found; exit 0 or 1.
#   tests/systemd/check.sh [path of the meterd binary]
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
unit=$here/systemd/meterd.service
most=10 # tenths: a full sandbox that may only talk to this machine gives 0.9 with systemd 252

command -v systemd-analyze >/dev/null || { echo "systemd-analyze is missing: install the package systemd"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
failed=0
fault() { echo "FAIL $*"; failed=1; }

# The installed paths need not exist here: the copy names a program that does, nothing else is changed.
binary=${1:-/bin/true}
sed "s|=/usr/bin/meterd|=$binary|" "$unit" >"$work/meterd.service"
said=$(systemd-analyze verify --man=no --recursive-errors=one "$work/meterd.service" 2>&1) || fault "verify exits $?"
[ -z "$said" ] || fault "verify says: $said"

# The check itself must be able to fail.
sed 's/^ProtectClock=/ProtectClok=/' "$work/meterd.service" >"$work/wrong.service"
said=$(systemd-analyze verify --man=no --recursive-errors=one "$work/wrong.service" 2>&1) || true
[ -n "$said" ] || fault "verify does not see an unknown key"

line=$(systemd-analyze security --offline=true "$work/meterd.service" 2>&1 | grep 'Overall exposure level') || fault "no security figure"
figure=$(printf '%s\n' "$line" | sed 's/.*: \([0-9]*\)\.\([0-9]*\).*/\1\2/')
[ "$figure" -le "$most" ] || fault "exposure $line, at most 1.0 is wanted"

for want in Type=notify 'WatchdogSec=[1-9]' 'ExecReload=/bin/sh -c "kill -HUP $MAINPID"' 'RestartPreventExitStatus=64 78' StateDirectory=meterd 'Restart=always'; do
	grep -q "^$want" "$unit" || fault "the unit has no $want"
done

# A page that is named must be there: `systemctl status` shows it to the operator.
for page in $(sed -n 's/^Documentation=//p' "$unit" | tr ' ' '\n' | sed -n 's/^man:\([^(]*\)(\([0-9]\))$/\1.\2/p'); do
	[ -f "$here/systemd/man/$page.scd" ] || fault "Documentation= names man page $page, which is not in systemd/man"
done

[ "$failed" = 0 ] && echo "ok systemd unit: verify silent, ${line#*→ }"
exit "$failed"
