# SPDX-License-Identifier: Apache-2.0
# 10 MB, and a dead-letter topic that takes no more than Kafka does by default: the letter says how much is missing. Nothing holds up
# what comes behind it, however large or strangely stamped.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2 --out-partitions 1
most_bytes() {
	kafka_tool kafka.admin.ConfigCommand --bootstrap-server "$(bootstrap)" --alter --entity-type topics --entity-name "$1" \
		--add-config "max.message.bytes=$2" >"$DIR/alter" 2>&1 || fail "alter: $(cat "$DIR/alter")"
}
most_bytes "$INPUT" 20000000
most_bytes "$DLQ" 1048588
config m
expect_code 0 ctl init
start m
letters() { kcat -C -q -e -b "$(bootstrap)" -t "$DLQ" -X isolation.level=read_committed -f '%S %T\n%s\n%h\x1e'; }
"$PYTHON" - >"$DIR/large" <<'PY'
import json, random
at = 1579048200123
noise = random.Random(4).randbytes(5000000).hex() # which no compression makes fit
def say(**r):
    print(json.dumps({"partition": 1, "timestamp": at, **r}))
good = '{"id":"%s","account":"a","service":"image-tag","time":1579048200123%s}'
say(value="[" * 65 + noise)                                    # 0: rejected, too large for the dead-letter topic
say(value=good % ("ten-megabytes", ',"note":"' + "x" * 10000000 + '"'))  # 1: a good one of 10 MB
say(key=noise[:3000000], value="{")                            # 2: the key alone fills a letter
say(value="{", headers=[["h", noise[:3000000]]])               # 3: so does a header
say(value=good % ("beyond", ""), timestamp=9999999999999)      # 4: stamped in 2286: every month is over
say(value=good % ("behind", ""))                               # 5
PY
produce <"$DIR/large"
# The ledger is not asked: partition 0 gets a tick for every month that is over by the strange stamp, and is never at rest.
wait_for 60 '[[ $(redis_do "$DIR" hget "meterd:{s00}:g1:off" "$INPUT/1") == "6 "* ]]' 'what came behind the large ones'
letters >"$DIR/letters"
"$PYTHON" - "$ROOT/tests/lib" "$DIR/letters" <<'PY' || fail "large letters"
import sys
sys.path.insert(0, sys.argv[1])
from bad_events import frames
got = {int(own[3]): (value, own[6], own[8], own[9]) for value, own in frames(open(sys.argv[2], "rb").read()) if own[2] == b"1"}
want = {0: (b"", b"json_depth", b"10000065", None), 2: (b"", b"json_truncated", b"1", b"key and headers"),
        3: (b"", b"json_truncated", b"1", b"key and headers")}
if got != want:
    sys.exit(f"got    {got}\nwanted {want}")
PY
# Whoever writes such an event is told the same before he sends it.
head -c 10000000 /dev/zero | tr '\0' '[' >"$DIR/ten-megabytes"
expect_match "10 MB" "$("$METERCTL" check-event --format table --whole --catalog "$ROOT/config/catalog.yaml" "$DIR/ten-megabytes")" \
	'json_depth at byte 64: objects and arrays are nested more than 64 deep'
stop m
