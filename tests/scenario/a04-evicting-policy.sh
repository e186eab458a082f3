# SPDX-License-Identifier: Apache-2.0
# A Redis that may throw counters away is refused.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis maxmemory 200mb maxmemory-policy allkeys-lru
topics
config m
redis_do "$DIR" config set maxmemory-policy noeviction >/dev/null
expect_code 0 ctl init
for policy in allkeys-lru allkeys-lfu allkeys-random volatile-lru volatile-lfu volatile-random volatile-ttl; do
	redis_do "$DIR" config set maxmemory-policy $policy >/dev/null
	ends_with m 78
	expect_equal "words" "$(last_words m)" "redis at $(redis_url "$DIR"): maxmemory-policy is $policy, which may throw counters away; run \
\`redis-cli CONFIG SET maxmemory-policy noeviction\` and put it into redis.conf"
done
