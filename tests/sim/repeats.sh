#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One seed, one run: seeds that are run one after another in a process, and each in a process of its own, at other places in memory, give the
# same bytes in Kafka, by the same chance, at the same times.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
digest() { build/bin/simulate --seeds 1..20 "$@" | grep '^digest'; }
one=$(digest --process 20) two=$(MALLOC_PERTURB_=85 digest --process 1)
echo "$one, $two"
[[ -n $one && $one == "$two" ]]
