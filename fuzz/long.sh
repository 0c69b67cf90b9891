#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A campaign: each harness in turn, with both engines on one working corpus. It can be ended
# and started again at any time. fuzz/long.sh SECONDS JOBS
# JOBS processes run at once, half of them AFL++ (a main and secondary instances, which read
# what libFuzzer finds), half libFuzzer in fork mode (which reads AFL++'s queue).
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
seconds=$1
jobs=$2
status=0
children=

# shellcheck disable=SC2317 # it is called by the trap
stop() {
	for pid in $children; do
		kill "$pid" 2>/dev/null
	done
	wait
	exit 130
}
trap stop INT TERM

# One AFL++ instance: afl NAME FLAGS...
afl() {
	instance=$1
	shift
	from=$WORK/$h/seeds
	[ ! -f "$WORK/$h/afl/$instance/fuzzer_stats" ] || from=-
	AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
		AFL_TRY_AFFINITY=1 AFL_IMPORT_FIRST=1 FUZZ_HARNESS=$h AFL_CUSTOM_MUTATOR_ONLY=1 \
		AFL_CUSTOM_MUTATOR_LIBRARY=$(realpath "$FUZZ_O")/mutator.so \
		afl-fuzz "$@" -V "$share" -t 2000+ -m none -G "$(max_len "$h")" -i "$from" \
		-o "$WORK/$h/afl" -- "$FUZZ_O/afl/fuzz_$h" \
		>"$WORK/$h/afl-$instance.log" 2>&1 &
	children="$children $!"
}

# The main instance reads libFuzzer's corpus, too; instances read each other by themselves.
start_afl() {
	n=$((jobs - libfuzzer_jobs))
	[ "$n" -gt 0 ] || return
	afl main -M main -F "$WORK/$h/libfuzzer"
	i=1
	while [ "$i" -lt "$n" ]; do
		afl "second$i" -S "second$i"
		i=$((i + 1))
	done
}

start_libfuzzer() {
	others=
	for dir in "$WORK/$h/afl"/*/queue; do
		[ ! -d "$dir" ] || others="$others $dir"
	done
	# shellcheck disable=SC2046,SC2086
	"$FUZZ_O/libfuzzer/fuzz_$h" -fork="$libfuzzer_jobs" -ignore_crashes=1 \
		-ignore_timeouts=1 -ignore_ooms=1 -max_total_time="$share" -timeout=10 \
		-rss_limit_mb=1024 -max_len="$(max_len "$h")" -artifact_prefix="$WORK/$h/found/" \
		$(dictionary "$h") "$WORK/$h/libfuzzer" $(stored "$h") $others \
		>"$WORK/$h/libfuzzer.log" 2>&1 &
	children="$children $!"
}

report() {
	find "$WORK/$h/afl" -path '*/crashes/id*' -o -path '*/hangs/id*' 2>/dev/null |
		while read -r file; do
			cp -n "$file" "$WORK/$h/found/afl-$(sha1sum <"$file" | cut -c1-16)"
		done
	runs=$(sed -n 's/^#\([0-9]*\):.*/\1/p' "$WORK/$h/libfuzzer.log" | tail -n 1)
	afl_runs=$(cat "$WORK/$h"/afl/*/fuzzer_stats 2>/dev/null |
		awk '/^execs_done/ { n += $3 } END { print n + 0 }')
	found=$(find "$WORK/$h/found" -type f | wc -l)
	printf '%-10s libFuzzer %12s runs, AFL++ %12s runs (all campaigns), found %s\n' "$h" \
		"${runs:-0}" "$afl_runs" "$found"
	[ "$found" -eq 0 ] || status=1
}

libfuzzer_jobs=$(((jobs + 1) / 2))
n=0
for h in $FUZZ_SELECTED; do
	n=$((n + 1))
done
share=$((seconds / n))
[ "$share" -ge 10 ] || share=10
for h in $FUZZ_SELECTED; do
	mkdir -p "$WORK/$h/found" "$WORK/$h/libfuzzer" "$WORK/$h/seeds"
	for dir in $(stored "$h"); do
		find "$dir" -type f -exec cp -n {} "$WORK/$h/seeds/" \;
	done
	children=
	start_libfuzzer
	start_afl
	for pid in $children; do
		wait "$pid"
	done
	report
done
[ $status -eq 0 ] || echo "see what was found with: make fuzz-repro F=$WORK/HARNESS/found/FILE"
exit $status
