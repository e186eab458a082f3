# SPDX-License-Identifier: Apache-2.0
# The catalogue of bad events through the real daemon: each lies in the dead-letter topic once, byte for byte, with its exact code and
# message, and check-event says the same beforehand.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2 --out-partitions 1
most_bytes() {
	kafka_tool kafka.admin.ConfigCommand --bootstrap-server "$(bootstrap)" --alter --entity-type topics --entity-name "$1" \
		--add-config "max.message.bytes=$2" >"$DIR/alter" 2>&1 || fail "alter: $(cat "$DIR/alter")"
}
most_bytes "$INPUT" 20000000 # some bad events are large
most_bytes "$DLQ" 20000000
bad() { "$PYTHON" "$ROOT/tests/lib/bad_events.py" "$@"; }
sed 's/^  - id: image-tag-legacy$/  - id: image-dehaze\n    name: 图像去雾\n    begin: 2020-06\n    aliases: [Dehaze]\n&/' \
	"$ROOT/config/catalog.yaml" >"$DIR/book.yaml"
config m catalog="$DIR/book.yaml"
expect_code 0 ctl init
bad records >"$DIR/records" || fail "records"
produce <"$DIR/records"
start m
wait_for 60 drained
letters() { kcat -C -q -e -b "$(bootstrap)" -t "$DLQ" -X isolation.level=read_committed -f '%S %T\n%s\n%h\x1e'; }
letters >"$DIR/letters"
bad letters <"$DIR/letters" || fail "dead letters"
bad check "$METERCTL" "$DIR/book.yaml" "$DIR/values" || fail "check-event"
n=$(wc -l <"$DIR/records")
expect_equal "records taken in" "$(ledger consumed)" "$n"
expect_equal "those not rejected" "$(($(ledger counted) + $(ledger late)))" "$((n - $(ledger rejected)))"
stop m
