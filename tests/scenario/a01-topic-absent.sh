# SPDX-License-Identifier: Apache-2.0
# A topic that is missing may come: init and meterd end with 75, name the topic, and do their work once it is there.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --without usage.calls.dlq
config m
expect_match "words of init" "$(expect_code 75 ctl init 2>&1)" "$DLQ does not exist"
topics --only usage.calls.dlq
expect_code 0 ctl init

config n topics.input="[\"${PREFIX}nowhere\"]"
ends_with n 75 'nowhere does not exist'
config n topics.alerts="${PREFIX}nowhere"
ends_with n 75 'nowhere does not exist'
