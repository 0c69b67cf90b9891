#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes an input that breaks something smaller, as long as it breaks. fuzz/min.sh FILE
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
file=${1:?which file? F=...}
h=$(harness_of "$file") || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if "$FUZZ_O/libfuzzer/fuzz_$h" "$file" >"$log" 2>&1; then
	echo "$file breaks nothing in fuzz_$h"
	exit 1
fi
what=$(finding "$log")
"$FUZZ_O/libfuzzer/fuzz_$h" -minimize_crash=1 -exact_artifact_path="$file.min" \
	-max_total_time="${T:-60}" "$file" >"$log" 2>&1
[ -f "$file.min" ] || cp "$file" "$file.min"
"$FUZZ_O/libfuzzer/fuzz_$h" "$file.min" >"$log" 2>&1
echo "$file.min: $(wc -c <"$file.min") bytes of $(wc -c <"$file")"
echo "before: $what; now: $(finding "$log")"
