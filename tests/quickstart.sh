#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/quickstart keeps its word: what is on screen is right and complete, nothing is left running, and nothing is written outside
# build/ and the cache. Says how many seconds it took; how fast the machine is, is nothing to assert.
set -uo pipefail
. "$(dirname "$0")/../scripts/lib/common.sh"
cd "$ROOT" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 30 "$work/screen"; exit 1; }

mkdir "$work/home" "$work/tmp"
mark=METERD_QUICKSTART_TEST=$$-$RANDOM$RANDOM
before=$(ls -d build/quickstart-*/ 2>/dev/null)
touch "$work/begun"
wait_until 5 test "$(date +%s)" -gt "$(stat -c %Y "$work/begun")" # files are compared by the second at worst
began=$SECONDS
# HOME and TMPDIR are its own: what it would leave there is seen.
env "$mark" HOME="$work/home" TMPDIR="$work/tmp" METERD_CACHE="$CACHE" NO_COLOR=1 scripts/quickstart >"$work/screen" 2>&1 ||
	fail "scripts/quickstart ended with $?"
echo "quickstart took $((SECONDS - began)) s"

left=$(grep -lzsx -- "$mark" /proc/[0-9]*/environ | cut -d/ -f3)
[[ -z $left ]] || fail "left running: $(ps -o pid=,args= -p "$(echo $left | tr ' ' ,)")"
[[ -z $(find "$work/home" "$work/tmp" -mindepth 1) ]] || fail "written outside: $(find "$work/home" "$work/tmp" -mindepth 1)"
changed=$(find . -path ./build -prune -o -path ./.git -prune -o -newer "$work/begun" -type f -print)
[[ -z $changed ]] || fail "written into the source tree: $changed"
[[ $(ls -d build/quickstart-*/ 2>/dev/null) == "$before" ]] || fail "a directory is left in build/"

for kind in free_quota.warning free_quota.exhausted tier.crossed; do
	grep -qE "^ +[1-9][0-9]* $kind\$" "$work/screen" || fail "no number of alerts $kind"
	grep -qE "^  $kind: [0-9]+ [a-z-]+ 2020-[01][0-9]: " "$work/screen" || fail "no alert $kind shown"
done
"$PYTHON" - "$work/screen" build/bin/meterctl config/catalog.yaml <<'PY' || fail "what is on screen does not agree with itself"
import json, re, subprocess, sys
from decimal import Decimal
screen = open(sys.argv[1], encoding="utf-8").read()
def need(what, ok):
    if not ok:
        sys.exit(f"not so: {what}")
months = re.findall(r"^  (2020-\d\d) +(\d+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) CNY$", screen, re.M)
need("twelve months in order", [m[0] for m in months] == [f"2020-{m:02}" for m in range(1, 13)])
need("a few hundred accounts", all(int(m[1]) >= 200 for m in months))
need("what one month freezes the next one releases", all(a[5] == b[4] for a, b in zip(months, months[1:])))
ledger = [list(map(int, r.split())) for r in re.findall(r"^usage\.calls +(.*)$", screen, re.M) if len(r.split()) == 10]
need("a ledger of eight partitions", len(ledger) == 8)
need("no difference in it", all(r[9] == 0 and r[2] == sum(r[3:9]) for r in ledger))
need("every outcome in it", all(sum(r[i] for r in ledger) > 0 for i in range(3, 9)))
data = json.loads(re.search(r"^\{.*\}$", screen, re.M)[0])
charge = re.search(r"^Charge: ([\d.]+) CNY$", screen, re.M)[1]
need("the explained charge is the settlement's", charge == data["charge"])
quote = json.loads(subprocess.run([sys.argv[2], "quote", "--catalog", sys.argv[3], "--service", data["service"], "--calls",
                                   str(data["calls"]), "--period", data["period"], "--format", "json"],
                                  check=True, capture_output=True).stdout)
need("a quote of as many calls costs the same", quote["charge"] == charge and Decimal(charge) > 0 and data["tier"] > 1)
PY
echo "1 passed, 0 failed"
