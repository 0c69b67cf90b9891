#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Puts seeds, recorded traffic and what campaigns found into corpus/, minimised.
# Keeps the smallest inputs that reach all that all of them reach, at most FUZZ_MOST of them.
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
most=${FUZZ_MOST:-300}
tmp=$(mktemp -d "$PWD/$FUZZ_O/merge.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

build/san/fuzz/mkseeds "$tmp/seeds" tests/data/*.txt
for h in $FUZZ_SELECTED; do
	mkdir -p "$tmp/$h" "$tmp/afl/$h" "corpus/$h" "$WORK/$h/libfuzzer"
	find "$WORK/$h/afl" -path '*/queue/id*' -exec cp {} "$tmp/afl/$h/" \; 2>/dev/null
	# What is committed comes first, so that it stays unless something smaller replaces it.
	"$FUZZ_O/libfuzzer/fuzz_$h" -merge=1 -max_len="$(max_len "$h")" "$tmp/$h" "corpus/$h" \
		"$tmp/seeds/$h" "$WORK/$h/libfuzzer" "$tmp/afl/$h" >"$tmp/log" 2>&1 || {
		tail -n 20 "$tmp/log"
		exit 1
	}
	found=$(find "$tmp/$h" -type f | wc -l)
	rm -f "corpus/$h"/*
	# libFuzzer counts how often an edge is passed, too; the smallest inputs are kept, then
	# those that reach an edge none of the others does.
	fuzz/pick.sh "$h" "$most" "$tmp/$h" "corpus/$h" || exit 1
	echo "$h: $found inputs reach all there is, $(find "corpus/$h" -type f | wc -l) are kept"
done
