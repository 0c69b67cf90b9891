#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A few seconds of each harness with each engine. fuzz/smoke.sh SECONDS
# Fails on a crash, a hang, a leak, or too few executions. Nothing is kept.
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
FUZZ_WORK=$(mktemp -d "$PWD/$FUZZ_O/smoke.XXXXXX")
export FUZZ_WORK
# So few that only a harness that does nothing falls below, on a busy machine too.
FUZZ_LEAST=$(($1 * 50))
export FUZZ_LEAST
status=0
fuzz/run.sh libfuzzer "$1" || status=1
fuzz/run.sh afl "$1" || status=1
if [ $status -eq 0 ]; then
	rm -rf "$FUZZ_WORK"
else
	echo "what was found is in $FUZZ_WORK"
fi
exit $status
