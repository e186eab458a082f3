# SPDX-License-Identifier: Apache-2.0
# For scenarios about corrections of closed months; behind scenario.sh. Words of the last command lie in $DIR/words.
ACCOUNTS=${PREFIX}meterd.accounts
says() { expect_match "words${2:-}" "$(cat "$DIR/words")" "$1"; }
records() { timeout 60 kcat -b "$(bootstrap)" -C -t "$ACCOUNTS" -X isolation.level=read_committed -e -q -o beginning 2>/dev/null | jq -c 'select(.type == "correction")'; }
passes() { # MONTH STAMP: the record clock reaches it in every partition
	for p in 0 1 2; do
		event id="pass-$1-$p" account="a-$p" service=crop time="$2" calls=1 | jq -c --argjson p $p --argjson t "$2" '{partition: $p, timestamp: $t, key: .account, value: .}'
	done | produce
	wait_for 60 "settled $1" "the end of $1"
	wait_for 60 drained
	wait_for 30 outbox_empty
}
