# SPDX-License-Identifier: Apache-2.0
# Somebody else has the port: try again later (75), with the address in the message.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics
taken=$(cat "$DIR/redis.port")
config m http.listen="127.0.0.1:$taken"
expect_code 0 ctl init
ends_with m 75
expect_equal "words" "$(last_words m)" "http.listen: 127.0.0.1:$taken is in use; see who has it with \`ss -ltnp 'sport = :$taken'\`, or set \
http.listen to another port"
