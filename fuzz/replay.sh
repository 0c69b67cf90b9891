#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs all of corpus/ through the replayers of a build and prints TAP. fuzz/replay.sh BUILD
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
build=$1
bad=$build/fuzz/bad
log=$(mktemp)
trap 'rm -f "$log"' EXIT

rm -rf "$bad"
status=0
"$build/fuzz/assemble" "$bad" corpus/bad/*.txt >"$log" || status=1
for h in $FUZZ_HARNESSES; do
	"$build/fuzz/replay-$h" "corpus/$h" "corpus/regress/$h" "$bad/$h" >>"$log" 2>&1 ||
		status=1
done
awk '/^(not )?ok / { sub(/ok [0-9]+/, "ok " ++n) } { print } END { print "1.." n }' "$log"
exit $status
