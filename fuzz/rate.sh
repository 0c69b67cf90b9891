#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Executions a second of an empty harness and of each harness, one after the other, under the
# same sanitizers. fuzz/rate.sh SECONDS
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
empty=0
# libFuzzer puts what is new into the first folder it is given.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for h in empty $FUZZ_SELECTED; do
	# shellcheck disable=SC2046
	rate=$("$FUZZ_O/libfuzzer/fuzz_$h" -max_total_time="$1" -max_len="$(max_len "$h")" \
		-print_final_stats=1 "$tmp" $(stored "$h") 2>&1 |
		sed -n 's/^stat::number_of_executed_units: *//p')
	rate=$((rate / $1))
	rm -f "$tmp"/*
	[ "$h" != empty ] || empty=$rate
	printf '%-10s %9d/s %4d %% of an empty harness\n' "$h" "$rate" $((100 * rate / (empty + 1)))
done
