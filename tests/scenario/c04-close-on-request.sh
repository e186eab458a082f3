# SPDX-License-Identifier: Apache-2.0
# meterctl close where the log is the clock: 75 and a date while the month cannot close, 0 where there is nothing to do. (How it asks:
# c03.)
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 2
config m
expect_code 0 ctl init
close() { # CODE ARGUMENT…: what it says, both streams
	local want=$1
	shift
	ctl close "$@" >"$DIR/close.out" 2>"$DIR/close.err"
	expect_equal "exit code of close $*" $? "$want"
	SAID=$(cat "$DIR/close.out" "$DIR/close.err")
}
one() { # ID PARTITION TIME ACCOUNT
	event "id=$1" "account=$4" service=image-tag "time=$3" calls=5 |
		jq -c --arg p "$2" --arg t "$(date -d "$3" +%s)" '{partition: ($p | tonumber), timestamp: ($t | tonumber * 1000), key: "a", value: .}' | produce
}

close 75 2020-01
expect_match "no record yet" "$SAID" '2020-01 closes at 2020-02-01T16:00:00.000Z by the record clock.*of never'
close 64 January
one 1 0 2020-01-15T08:00:00+08:00 a
start m
wait_for 60 drained
close 75 2020-01
expect_match "its end is not reached" "$SAID" 'newest record read is of 2020-01-15T00:00:00.000Z'
close 75 2020-01 --dry-run
close 0 2019-12
expect_match "before the first call" "$SAID" '2019-12 has nothing to close: the first month with calls is 2020-01'
one 2 0 2020-02-01T12:00:00+08:00 a # its end is over, its grace is not
wait_for 60 drained
close 75 2020-01
expect_match "its grace is not over" "$SAID" 'newest record read is of 2020-02-01T04:00:00.000Z'
stop m

one 3 0 2020-02-02T00:00:00+08:00 a # partition 1 is silent, and gets its tick
start m
wait_for 60 'settled 2020-01' 'the end of January'
close 0 2020-01
expect_equal "closed" "$SAID" '2020-01 is closed'
close 75 2020-02
stop m
