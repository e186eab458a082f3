#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The short form of every benchmark: that it runs to its end (it checks by itself that everything was counted, once, by the daemon and
# by its peers), and that its results are well-formed. Speeds are printed, and nothing is asked of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT

scripts/bench --short --json "$out"
# Of memory a counter: so few of them lie in one large page, whatever they take.
# shellcheck disable=SC2016
jq -e 'def number: type == "number" and . == . and . > 0 and . < 1e300;
	length > 20 and ([.[].name] | length == (unique | length)) and
	all(.[]; (.name | type == "string") and (.unit | type == "string" and . != "") and (.against_what | type == "string") and
		((.value | number) or (.name == "memory.counter" and .value == 0)) and (.against | number) and (.ratio | type == "number") and
		(((.value / .against) - .ratio) | fabs) <= 0.001 + .ratio * 0.01 and
		.rounds == (.values | length))' "$out" >/dev/null || { echo "results that are not well-formed:"; cat "$out"; exit 1; }
for bench in drain uniform alert-latency restart memory growth workers month-end; do
	jq -e --arg b "$bench." 'any(.[]; .name | startswith($b))' "$out" >/dev/null || { echo "no result of $bench"; exit 1; }
done
