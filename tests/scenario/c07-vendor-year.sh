# SPDX-License-Identifier: Apache-2.0
# A vendor's year: new prices in April, the older image-tag retired in April, another quota, packs bought in the middle of the year,
# contracts, late calls in every month. Settled three times from the same log, the last time with other batches and another number of
# shards: the same documents and alerts byte for byte, those that a change made due too, and what the auditor computes. About two minutes.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 3
for n in b c; do
	"$PYTHON" "$LIB/topics.py" create "$(bootstrap)" --prefix "$PREFIX$n." --only meterd.alerts --only meterd.settlements --only meterd.control \
		--only usage.calls.dlq || fail topics
done
others() { echo "topics.alerts=$PREFIX$1.meterd.alerts topics.settlements=$PREFIX$1.meterd.settlements topics.control=$PREFIX$1.meterd.control topics.dlq=$PREFIX$1.usage.calls.dlq redis.prefix=$1."; }
book=catalog=$ROOT/tests/lib/vendor_year.yaml
config a "$book"
# shellcheck disable=SC2046
config b "$book" $(others b)
# shellcheck disable=SC2046
config c "$book" $(others c) redis.shards=5 flush.max_interval=3ms flush.max_events=20 flush.max_deltas=4
"$PYTHON" "$ROOT/tests/lib/vendor_year.py" accounts | "$PYTHON" "$ROOT/tests/lib/produce.py" "$(bootstrap)" "${PREFIX}meterd.accounts" || fail accounts
"$PYTHON" "$ROOT/tests/lib/vendor_year.py" usage 3 | produce

for n in a b c; do
	MAIN=$n
	expect_code 0 ctl init
	start "$n"
	wait_for 120 'settled 2020-12' "the end of the year, $n"
	wait_for 60 drained
	wait_for 30 outbox_empty
	auditor_agrees
	stop "$n"
	ctl_q settlements --format ndjson | sort >"$DIR/settlements.$n"
	ctl_q alerts --format ndjson | sort >"$DIR/alerts.$n"
done
(($(grep -c '"call":null' "$DIR/alerts.a") > 5)) || fail "hardly an alert without a call"
(($(grep -c '"revision":[1-9]' "$DIR/settlements.a") > 50)) || fail "hardly an adjustment"
(($(grep -c '"packs":\[{' "$DIR/settlements.a") > 10)) || fail "hardly a pack gave anything"
cmp "$DIR/settlements.a" "$DIR/settlements.b" || fail "the same log was settled otherwise the second time"
cmp "$DIR/settlements.a" "$DIR/settlements.c" || fail "the same log was settled otherwise with other batches and shards"
cmp "$DIR/alerts.a" "$DIR/alerts.b" || fail "the same log raised other alerts the second time"
cmp "$DIR/alerts.a" "$DIR/alerts.c" || fail "the same log raised other alerts with other batches and shards"
