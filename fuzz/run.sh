#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Fuzzes the harnesses of FUZZ_SELECTED one after the other. fuzz/run.sh libfuzzer|afl SECONDS
# What is new goes to WORK/HARNESS/libfuzzer or .../afl, findings to WORK/HARNESS/found.
# Prints a line a harness; fails if anything was found.
set -u
cd "$(dirname "$0")/.." || exit 1
. fuzz/common.sh
engine=$1
seconds=$2
status=0

run_libfuzzer() {
	# shellcheck disable=SC2046
	"$FUZZ_O/libfuzzer/fuzz_$h" -max_total_time="$seconds" -max_len="$(max_len "$h")" \
		-timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$found/" $(dictionary "$h") "$WORK/$h/libfuzzer" $(stored "$h") \
		>"$log" 2>&1
	code=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ $code -ne 0 ]; then
		status=1
		printf '%-10s %-10s FOUND %s\n' "$h" libFuzzer "$(finding "$log")"
		sed -n '/==ORACLE==\|ERROR:\|runtime error:\|^    #[0-9]\|Test unit written/p' "$log" |
			head -n 20
	else
		cov=$(sed -n 's/.*DONE.*cov: \([0-9]*\).*/\1/p' "$log")
		printf '%-10s %-10s %10s runs %8s/s %6s edges\n' "$h" libFuzzer "$runs" \
			$((runs / seconds)) "$cov"
	fi
}

run_afl() {
	in=$WORK/$h/seeds
	mkdir -p "$in"
	for dir in $(stored "$h") "$WORK/$h/libfuzzer"; do
		find "$dir" -type f -size -2k -exec cp -n {} "$in/" \; 2>/dev/null
	done
	resume=$in
	[ ! -f "$WORK/$h/afl/default/fuzzer_stats" ] || resume=-
	AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
		AFL_TRY_AFFINITY=1 AFL_CUSTOM_MUTATOR_ONLY=1 FUZZ_HARNESS=$h \
		AFL_CUSTOM_MUTATOR_LIBRARY=$(realpath "$FUZZ_O")/mutator.so \
		timeout -k 10 $((seconds + 120)) afl-fuzz -V "$seconds" -t 2000+ -m none \
		-G "$(max_len "$h")" -i "$resume" -o "$WORK/$h/afl" -- "$FUZZ_O/afl/fuzz_$h" \
		>"$log" 2>&1
	code=$?
	stats=$WORK/$h/afl/default/fuzzer_stats
	runs=$(sed -n 's/^execs_done *: *//p' "$stats" 2>/dev/null)
	rate=$(sed -n 's/^execs_per_sec *: *//p' "$stats" 2>/dev/null)
	# It ends with 0 though it found something: look.
	bad=$(find "$WORK/$h/afl" -path '*/crashes/id*' -o -path '*/hangs/id*' 2>/dev/null)
	# It skips a stored input that crashes, too.
	skipped=$(grep -c 'results in a crash\|results in a timeout' "$log")
	if [ $code -ne 0 ] || [ -z "$runs" ] || [ -n "$bad" ] || [ "$skipped" -ne 0 ]; then
		status=1
		printf '%-10s %-10s FOUND (exit %s, %s stored inputs)\n' "$h" AFL++ "$code" "$skipped"
		if [ -n "$bad" ]; then
			echo "$bad" | while read -r file; do
				cp "$file" "$found/afl-$(sha1sum <"$file" | cut -c1-16)"
			done
			echo "$bad" | head -n 3
			# shellcheck disable=SC2046
			"$FUZZ_O/libfuzzer/fuzz_$h" $(echo "$bad" | head -n 1) >"$log.one" 2>&1
			echo "	$(finding "$log.one")"
			rm -f "$log.one"
		else
			grep 'results in a' "$log" || tail -n 20 "$log"
		fi
	else
		printf '%-10s %-10s %10s runs %8s/s\n' "$h" AFL++ "$runs" "$rate"
	fi
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for h in $FUZZ_SELECTED; do
	found=$WORK/$h/found
	mkdir -p "$found" "$WORK/$h/libfuzzer"
	runs=0
	case $engine in
	libfuzzer) run_libfuzzer ;;
	afl) run_afl ;;
	*) echo "no engine $engine" >&2 && exit 2 ;;
	esac
	if [ -n "${FUZZ_LEAST-}" ] && [ "${runs:-0}" -lt "$FUZZ_LEAST" ]; then
		echo "$h: only ${runs:-0} runs in $seconds s, $FUZZ_LEAST are the least"
		tail -n 5 "$log"
		status=1
	fi
done
exit $status
