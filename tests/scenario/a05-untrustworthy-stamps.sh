# SPDX-License-Identifier: Apache-2.0
# `clock: wall` with stamps that producers may set to any future would close months at their will: refused, with the command.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any
config m clock=wall
expect_code 0 ctl init
ends_with m 78
expect_equal "words" "$(last_words m)" "topic $INPUT: \`clock: wall\` needs record time stamps that cannot run ahead by more than \
close.grace; run \`kafka-configs --alter --entity-type topics --entity-name $INPUT --add-config \
message.timestamp.after.max.ms=3600000\` (or message.timestamp.type=LogAppendTime)"
