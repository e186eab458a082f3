# SPDX-License-Identifier: Apache-2.0
# meterctl account against Kafka: versions follow on from the topic, what the topic would refuse is not produced, and the list says
# what holds and what was refused.
. "$(dirname "$0")/../lib/scenario.sh"
topics
config m
ACCOUNTS=${PREFIX}meterd.accounts
fields() { jq -c "$1"; }
account() { ctl account "$@" --format ndjson; }
pack() { account pack 100 p-1 --services image-tag --price 2000.00 --start 2020-03-15T00:00:00+08:00 --expiry 2021-03-15T00:00:00+08:00 "$@"; }

expect_equal 'an empty topic' "$(account list)" ''
expect_equal 'a cancellation without a pack' "$(account cancel 100 p-1 --from 2020-06 2>&1 | head -1)" \
	'meterctl account: not produced: pack_unknown: a pack that is not known cannot be cancelled (`p-1` version 1)'
expect_equal 'a dry run' "$(pack --calls 5 --dry-run | fields '[.offset, .version]')" '[null,1]'
expect_equal 'bought' "$(pack --calls 1000000 | fields '[.topic, .partition, .offset, .version]')" "[\"$ACCOUNTS\",0,0,1]"
expect_equal 'cancelled' "$(account cancel 100 p-1 --from 2020-06 | fields '[.offset, .version]')" '[1,2]'
expect_equal 'the same again' "$(account cancel 100 p-1 --from 2020-06 --version 2 2>&1)" 'meterctl account: known already, the same: nothing to produce'
expect_equal 'an old version' "$(pack --calls 7 --version 1 2>&1 | head -1)" \
	'meterctl account: not produced: version_stale: a newer version of the same thing is known (`p-1` version 1; known is version 2 of partition 0, offset 1)'
expect_code 1 ctl account cancel 100 p-9 --from 2020-06
expect_equal 'bought anew, larger' "$(pack --calls 2000000 | fields '[.offset, .version, .event.calls]')" '[2,3,2000000]'
echo '{"account":"100","id":"c-1","from":"2020-04","services":[{"service":"image-tag","free":{"calls":20000}}]}' >"$DIR/contract.json"
expect_equal 'a contract' "$(account contract "$DIR/contract.json" | fields '[.offset, .version]')" '[3,1]'
expect_equal 'a contract on standard input' "$(sed 's/20000/30000/' "$DIR/contract.json" | account contract | fields '[.offset, .version]')" '[4,2]'
expect_equal 'an activation' "$(account activate 200 --time 2019-12-03T08:00:00+08:00 | fields '[.offset, .event.time]')" '[5,"2019-12-03T08:00:00+08:00"]'

# keyed by account; and what others write
expect_equal keys "$(kcat -C -e -q -b "$(bootstrap)" -t "$ACCOUNTS" -f '%k ')" '100 100 100 100 100 200 '
printf '%s\n' 'no JSON' '{"type":"pack.cancelled","account":"200","id":"p","version":1,"from":"2020-06"}' | kcat -P -b "$(bootstrap)" -t "$ACCOUNTS" -k x
expect_equal 'what holds' "$(account list | fields '[.account, .state, .kind, .id, .version, .calls, .code]')" "$(
	cat <<-'E'
	["100","holds","pack","p-1",3,2000000,null]
	["100","holds","contract","c-1",2,null,null]
	["200","holds","activation","activation",1,null,null]
	[null,"refused",null,null,null,null,"json_syntax"]
	["200","refused",null,null,null,null,"pack_unknown"]
	E
)"
expect_equal 'of one account' "$(account list 100 | fields '[.account, .state, .offset, .services]')" "$(
	cat <<-'E'
	["100","holds",2,["image-tag"]]
	["100","holds",4,["image-tag"]]
	[null,"refused",6,null]
	E
)"
expect_equal 'with Kafka alone' "$("$METERCTL" account list 300 --bootstrap "$(bootstrap)" --format ndjson 2>&1)" \
	"meterctl account: topic meterd.accounts (or a partition of it) does not exist; create it, then start again"
