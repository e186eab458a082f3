# SPDX-License-Identifier: Apache-2.0
# The programs and their configuration before anything is contacted: every faulty file of the catalogue ends meterd with 78 and
# the exact text, a good one is printed so that it reads the same again, and wrong command lines end with 64.
. "$(dirname "$0")/../lib/scenario.sh"
cd "$DIR" || exit 1
quiet() { "$@" >out 2>words; }
ln -s "$ROOT/config/catalog.yaml" catalog.yaml

cases=0
for file in "$ROOT"/tests/table/config_faults/*.yaml; do
	name=$(basename "$file")
	cp "$file" "$name"
	expect_code 78 quiet "$METERD" --config "$name" --check-config
	wanted=$(cat "${file%.yaml}.expected")
	got=$(cat words)
	[[ $got == "$wanted"* ]] || fail "$name: $got"
	((++cases))
done
((cases >= 100)) || fail "only $cases cases"
expect_code 78 quiet "$METERD" --config unknown-key.yaml
expect_match "a start with a faulty file" "$(cat words)" 'unknown key "colour"'
expect_code 78 quiet "$METERD" --config unknown-key.yaml --print-config
expect_code 78 quiet "$METERCTL" init --config unknown-key.yaml

printf 'workers: 2\nkafka: {group: billing}\n' >good.yaml
expect_code 0 quiet "$METERD" --config good.yaml --check-config
expect_equal "words of a good file" "$(cat words)" ""
mkdir elsewhere
expect_code 0 quiet "$METERD" --config good.yaml --print-config
mv out elsewhere/again.yaml
expect_code 0 quiet "$METERD" --config elsewhere/again.yaml --print-config
mv out twice
# The comments differ: paths are absolute the second time, which is not the default.
expect_equal "settings printed and read again" "$(sed 's/ *#.*//' twice)" "$(sed 's/ *#.*//' elsewhere/again.yaml)"
expect_code 0 quiet "$METERD" --config elsewhere/again.yaml --check-config

printf 'redis: {password_file: nowhere}\n' >password.yaml
expect_code 78 quiet "$METERD" --config password.yaml --check-config
expect_match "a password that is not there" "$(cat words)" 'redis.password_file nowhere: cannot be read|password_file .*/nowhere: cannot be read'
printf 'redis: {password_file: /run/credentials/meterd.service/redis-password}\n' >password.yaml
expect_code 0 quiet "$METERD" --config password.yaml --check-config
expect_match "a credential, which only the service can read" "$(cat out)" 'is a credential of the service'

printf 'catalog: other.yaml\n' >book.yaml
expect_code 78 quiet "$METERD" --config book.yaml --check-config
expect_match "a price book that is missing" "$(cat words)" "other.yaml: error: the price book cannot be read"
printf 'colour: red\n' >other.yaml
expect_code 78 quiet "$METERD" --config book.yaml --check-config
expect_match "a price book with faults" "$(cat words)" 'other.yaml:1:1: error: .*colour'
expect_code 78 quiet "$METERD" --config missing.yaml
expect_match "a missing file" "$(cat words)" "missing.yaml: error: cannot be read"

expect_code 64 quiet "$METERD" --colour
expect_code 64 quiet "$METERCTL"
expect_code 64 quiet "$METERCTL" qoute
expect_equal "a verb mistyped" "$(cat words)" 'meterctl: unknown verb "qoute": did you mean "quote"?'
expect_code 64 quiet "$METERCTL" help qoute
expect_code 0 quiet "$METERCTL" help
mv out verbs
for verb in $(sed -n 's/^COMMAND([a-z_]*, "\([^"]*\)".*/\1/p' "$ROOT/daemon/tbl/command.def"); do
	expect_match "the list of verbs" "$(cat verbs)" $'\n  '"$verb "
	expect_code 0 quiet "$METERCTL" help "$verb"
	expect_code 0 quiet "$METERCTL" "$verb" --help
	expect_code 64 quiet "$METERCTL" "$verb" --colour=red
done
expect_match "version" "$("$METERCTL" --version)" '^meterctl [0-9]+\.[0-9]+\.[0-9]+$'
