#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Shows what an input is, decoded for a person, and what it does. fuzz/repro.sh FILE
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
file=${1:?which file? F=...}
h=$(harness_of "$file") || exit 1

exec "build/san/fuzz/replay-$h" --describe "$file"
