#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copies at most MOST inputs of a folder to another: all of them if there are so few, else
# first those that are needed to reach every edge, then the smallest of the rest.
# fuzz/pick.sh HARNESS MOST FROM TO
set -u
. fuzz/common.sh
h=$1 most=$2 from=$3 to=$4

if [ "$(find "$from" -type f | wc -l)" -le "$most" ]; then
	cp "$from"/* "$to/"
	exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$FUZZ_O/libfuzzer/fuzz_$h" -merge=1 -use_counters=0 -max_len="$(max_len "$h")" "$to" "$from" \
	>"$log" 2>&1 || {
	tail -n 20 "$log"
	exit 1
}
left=$((most - $(find "$to" -type f | wc -l)))
if [ "$left" -lt 0 ]; then
	echo "$h: more than $most inputs are needed for the edges alone" >&2
	find "$to" -type f -printf '%s %p\n' | sort -n | tail -n +$((most + 1)) | cut -d' ' -f2 |
		xargs rm -f
	exit 0
fi
find "$from" -type f -printf '%s %p\n' | sort -n | cut -d' ' -f2 | while read -r file; do
	[ "$left" -gt 0 ] || break
	[ -e "$to/$(basename "$file")" ] && continue
	cp "$file" "$to/"
	left=$((left - 1))
done
