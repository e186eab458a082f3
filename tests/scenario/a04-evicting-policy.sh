# SPDX-License-Identifier: Apache-2.0
# A Redis that may throw counters away is refused.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis maxmemory 200mb maxmemory-policy allkeys-lru
topics
config m
redis_do "$DIR" config set maxmemory-policy noeviction >/dev/null
expect_code 0 ctl init
redis_do "$DIR" config set maxmemory-policy allkeys-lru >/dev/null
ends_with m 78 'noeviction'
