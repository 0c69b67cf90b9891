#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What the corpora reach, without fuzzing: a summary of lib/, HTML, and what of floor 1 is not
# reached, with the reason where fuzz/unreached.txt has one.
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
out=$FUZZ_O/coverage
profdata=llvm-profdata$FUZZ_LLVM
cov=llvm-cov$FUZZ_LLVM
rm -rf "$out"
mkdir -p "$out"
build/san/fuzz/assemble build/san/fuzz/bad corpus/bad/*.txt >/dev/null

objects=
for h in $FUZZ_HARNESSES; do
	# shellcheck disable=SC2046
	LLVM_PROFILE_FILE="$out/$h-%p.profraw" "$FUZZ_O/cov/fuzz_$h" $(stored "$h") |
		grep '^not ok'
	objects="$objects ${objects:+-object} $FUZZ_O/cov/fuzz_$h"
done
"$profdata" merge -o "$out/all.profdata" "$out"/*.profraw || exit 1
# shellcheck disable=SC2086
set -- $objects
sources=$(ls lib/header.c lib/caps.c lib/jsontext.c lib/msgtab.c lib/codec_*.c lib/regioncap.c \
	lib/fieldtext.c lib/reader.c lib/record.c lib/error.c lib/cursor.h)

# shellcheck disable=SC2086
"$cov" report -instr-profile="$out/all.profdata" "$@" $sources | tee "$out/summary.txt" |
	awk '/^Filename/ || /^TOTAL/ || /\.[ch] / {
		printf "%-18s lines %8s  branches %8s\n", $1, $10, $13
	}' | sed '1d'
# shellcheck disable=SC2086
"$cov" show -format=html -output-dir="$out/html" -instr-profile="$out/all.profdata" "$@" \
	$sources >/dev/null && echo "HTML: $out/html/index.html"

# Lines that were never run, one a row: file:line: text, then the reason if there is one.
echo "not reached in floor 1:"
for source in $sources; do
	# shellcheck disable=SC2086
	"$cov" show -instr-profile="$out/all.profdata" "$@" "$source" |
		sed -n "s,^ *\([0-9]*\)| *0|\(.*\),$source:\1:\2,p"
done | awk -F: '!seen[$1 ":" $2]++' >"$out/unreached.txt"
while IFS= read -r line; do
	text=$(echo "$line" | cut -d: -f3- | sed 's/^[	 ]*//')
	file=${line%%:*}
	reason=$(awk -F'	' -v f="$file" -v t="$text" '$1 == f && $2 == t { print $3 }' \
		fuzz/unreached.txt | head -n 1)
	echo "  $line"
	echo "      ${reason:-NO REASON IS KNOWN}"
done <"$out/unreached.txt"
