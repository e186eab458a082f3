# SPDX-License-Identifier: Apache-2.0
# `clock: wall` with stamps that producers may set to any future would close months at their will: refused, with the command.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --stamps any
config m clock=wall
expect_code 0 ctl init
ends_with m 78 'message.timestamp.after.max.ms'
