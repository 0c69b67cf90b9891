#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the harnesses for an engine of somebody else's, as ClusterFuzzLite and OSS-Fuzz want
# it: CC, CFLAGS and LIB_FUZZING_ENGINE from the environment, binaries, corpora and dictionaries
# to OUT. Without that environment it builds with clang and libFuzzer into build/fuzz/oss.
set -eu
cd "$(dirname "$0")/.."
. fuzz/common.sh
OUT=${OUT:-$PWD/$FUZZ_O/oss}
CC=${CC:-clang}
LINK=${CXX:-$CC}
CFLAGS=${CFLAGS:--O1 -g -fsanitize=fuzzer-no-link,address}
ENGINE=${LIB_FUZZING_ENGINE:--fsanitize=fuzzer,address}
work=$FUZZ_O/oss-objects
mkdir -p "$OUT" "$work"
fuzz/cjson.sh "$FUZZ_O/cjson"

compile() {
	# shellcheck disable=SC2086
	$CC $CFLAGS -std=gnu11 -D_GNU_SOURCE -Ilib -Ifuzz -I"$FUZZ_O" -c -o "$work/$2.o" "$1"
}

rm -rf "${work:?}"/*
for source in lib/*.c; do
	compile "$source" "lib-$(basename "$source" .c)"
done
cjson=-lcjson
if [ -f "$FUZZ_O/cjson/cJSON.c" ]; then
	compile "$FUZZ_O/cjson/cJSON.c" lib-cJSON
	cjson=
fi
rm -f "$work/libvuser.a"
ar rcs "$work/libvuser.a" "$work"/lib-*.o

for h in $FUZZ_SELECTED; do
	objects=
	parts=$(${MAKE:-make} -s fuzz-parts H="$h")
	for part in $parts; do
		name=$(basename "$part" .c)
		[ -f "$work/$name.o" ] || compile "$part" "$name"
		objects="$objects $work/$name.o"
	done
	# shellcheck disable=SC2086
	$LINK ${CXXFLAGS:-} $objects "$work/libvuser.a" $ENGINE $cjson -pthread -o "$OUT/fuzz_$h"
	# One folder of inputs, as a zip file.
	rm -rf "$work/seed" "$OUT/fuzz_${h}_seed_corpus.zip"
	mkdir -p "$work/seed"
	for dir in "corpus/$h" "corpus/regress/$h"; do
		[ ! -d "$dir" ] || find "$dir" -type f -exec cp {} "$work/seed/" \;
	done
	(cd "$work/seed" && zip -q -r "$OUT/fuzz_${h}_seed_corpus.zip" .)
	[ ! -f "fuzz/$h.dict" ] || cp "fuzz/$h.dict" "$OUT/fuzz_$h.dict"
done
ls "$OUT"
