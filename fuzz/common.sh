# SPDX-License-Identifier: BSD-3-Clause
# What the scripts here share. To be sourced from the top folder.
# shellcheck shell=sh disable=SC2034

FUZZ_O=${FUZZ_O:-build/fuzz}
FUZZ_HARNESSES=${FUZZ_HARNESSES:-header caps stream payload}
FUZZ_SELECTED=${FUZZ_SELECTED:-$FUZZ_HARNESSES}
FUZZ_CC=${FUZZ_CC:-clang}
FUZZ_LLVM=${FUZZ_LLVM--14}
# What a campaign grows and finds; outside git.
WORK=${FUZZ_WORK:-$FUZZ_O/campaign}

# Inputs are small: what is large finds nothing more and is slow.
max_len() {
	case $1 in
	header) echo 24 ;;
	caps) echo 600 ;;
	*) echo 1200 ;;
	esac
}

dictionary() {
	[ ! -f "fuzz/$1.dict" ] || echo "-dict=fuzz/$1.dict"
}

# The folders with stored inputs of a harness, those that exist.
stored() {
	for dir in "corpus/$1" "corpus/regress/$1" "build/san/fuzz/bad/$1"; do
		[ ! -d "$dir" ] || echo "$dir"
	done
}

# Which harness an input is of: H= says it, else a folder of its path.
harness_of() {
	if [ -n "${H-}" ]; then
		echo "$H"
		return
	fi
	for h in $FUZZ_HARNESSES; do
		case $1 in
		*/"$h"/*) echo "$h" && return ;;
		esac
	done
	echo "which harness is $1 for? Say H=..." >&2
	return 1
}

# What a log of an engine says the finding is, in a few words.
finding() {
	sed -n -e 's/^==ORACLE== [a-z]*: \([^:]*\):.*/oracle: \1/p' \
		-e 's/.*ERROR: AddressSanitizer: \([A-Za-z-]*\).*/ASan: \1/p' \
		-e 's/.*ERROR: LeakSanitizer.*/leak/p' \
		-e 's/.*runtime error: \(.*\)/UBSan: \1/p' \
		-e 's/.*ERROR: libFuzzer: \(timeout\|out-of-memory\).*/\1/p' "$1" |
		grep -v 'ASan: ABRT' | head -n 1
}
