# SPDX-License-Identifier: Apache-2.0
# A topic that is missing may come: init and meterd end with 75, name the topic, and do their work once it is there.
. "$(dirname "$0")/../lib/scenario.sh"
start_redis
topics --without usage.calls.dlq
config m
absent() { echo "topic $1 does not exist: create it (kafka-topics --create --topic $1 …), then start again; README says with which settings"; }
expect_equal "words of init" "$(expect_code 75 ctl init 2>&1)" "meterctl init: topic $DLQ does not exist; create it"
topics --only usage.calls.dlq
expect_code 0 ctl init

for setting in topics.input='["'"${PREFIX}"'nowhere"]' topics.alerts="${PREFIX}nowhere" topics.settlements="${PREFIX}nowhere" \
	topics.dlq="${PREFIX}nowhere" topics.control="${PREFIX}nowhere"; do
	config n "$setting"
	ends_with n 75
	expect_equal "words with $setting" "$(last_words n)" "$(absent "${PREFIX}nowhere")"
done
