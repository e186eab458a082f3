# SPDX-License-Identifier: Apache-2.0
# Redis has no connection left for a while (maxclients): meterd waits and says why, and goes on by itself.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any --partitions 1
config m
expect_code 0 ctl init
put() { event id="$1" account=a service=image-tag time=1579046400000 calls=5 | jq -c --argjson t "$2" '{partition: 0, timestamp: $t, key: "x", value: .}' | produce; }
start m
put 1 1579046400000
wait_for 60 drained
# One connection for this program, none for anybody else, until both threads of meterd were refused several times.
"$PYTHON" - "$(cat "$DIR/redis.port")" <<-'P' || fail 'the lack of connections'
import sys, time
import redis
r = redis.Redis(port=int(sys.argv[1]), single_connection_client=True)
r.config_set("maxclients", 1)
r.client_kill_filter(_type="normal", skipme=True)
deadline = time.monotonic() + 60
refused = r.info("stats")["rejected_connections"]
while r.info("stats")["rejected_connections"] < refused + 20:
    if time.monotonic() > deadline:
        sys.exit("nobody tries to connect")
    time.sleep(0.1)
r.config_set("maxclients", 10000)
P
put 2 1579046401000
wait_for 60 drained
expect_equal "calls" "$(ctl_q counters --format ndjson | jq .calls)" 10
! grep -q 'state=halted' "$DIR/m.log" || fail "$(grep state=halted "$DIR/m.log")"
stop m
