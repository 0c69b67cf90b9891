#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library once for each patch of fuzz/planted/ and sees that the harness it names
# finds the bug within some seconds, from the committed corpus. fuzz/selftest.sh SECONDS
# ONLY=NAME tries one of them.
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
seconds=$1
out=$FUZZ_O/planted
missed=0
tried=0

field() {
	sed -n "s/^$1: //p" "$patch"
}

# What its harness is made of; the Makefile says it in PARTS_*.
parts_of() {
	eval "echo \$PARTS_$h"
}

# Compiles what the patch touches and links it before the library, whose place it takes.
build() {
	rm -rf "${out:?}/$name"
	mkdir -p "$out/$name"
	cp -r lib "$out/$name/lib"
	patch -d "$out/$name" -p1 -s --no-backup-if-mismatch <"$patch" || return 1
	objects=
	# shellcheck disable=SC2013 # no blanks in names of sources
	for source in $(sed -n 's,^+++ b/\(lib/[^	 ]*\.c\).*,\1,p' "$patch"); do
		compile "$out/$name/$source" "$(basename "$source" .c)" || return 1
	done
	[ ! -f "$out/$name/reader.o" ] || compile fuzz/reader_small.c reader_small || return 1
	parts=
	for part in $(parts_of); do
		object=$FUZZ_O/libfuzzer/${part%.c}.o
		[ ! -f "$out/$name/$(basename "$object")" ] || continue
		parts="$parts $object"
	done
	# shellcheck disable=SC2086
	$FUZZ_CC -fsanitize=fuzzer,address,undefined -o "$out/$name/fuzz" $parts $objects \
		"$FUZZ_O/libfuzzer/libvuser.a" $FUZZ_CJSON_LIBS -pthread
}

compile() {
	eval "$FUZZ_CC -I$out/$name/lib $FUZZ_COMPILE_FLAGS -c -o $out/$name/$2.o $1" || return 1
	# The stream has its own reader, of the same source.
	[ "$2 $h" = "reader stream" ] || objects="$objects $out/$name/$2.o"
}

try() {
	mkdir -p "$out/$name/new"
	started=$(date +%s%N)
	# shellcheck disable=SC2046
	"$out/$name/fuzz" -max_total_time="$seconds" -max_len="$(max_len "$h")" -timeout=10 \
		-artifact_prefix="$out/$name/" $(dictionary "$h") "$out/$name/new" $(stored "$h") \
		>"$out/$name/log" 2>&1
	code=$?
	spent=$((($(date +%s%N) - started) / 10000000))
	[ $code -ne 0 ]
}

printf '%-28s %-8s %-38s %-32s %s\n' bug harness kind oracle seconds
for patch in fuzz/planted/${ONLY-*}.patch; do
	[ -f "$patch" ] || continue
	name=$(basename "$patch" .patch)
	h=$(field Harness)
	case " $FUZZ_SELECTED " in
	*" $h "*) ;;
	*) continue ;;
	esac
	tried=$((tried + 1))
	if ! build; then
		printf '%-28s %-8s %-38s it does not build\n' "$name" "$h" "$(field Kind)"
		missed=$((missed + 1))
	elif try; then
		printf '%-28s %-8s %-38s %-32s %d.%02d\n' "$name" "$h" "$(field Kind)" \
			"$(finding "$out/$name/log" | cut -c1-32)" $((spent / 100)) $((spent % 100))
	else
		printf '%-28s %-8s %-38s NOT FOUND in %s s\n' "$name" "$h" "$(field Kind)" "$seconds"
		missed=$((missed + 1))
	fi
done
echo "$((tried - missed)) of $tried planted bugs were found"
[ "$missed" -eq 0 ] && [ "$tried" -gt 0 ]
