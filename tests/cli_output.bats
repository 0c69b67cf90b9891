#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Standard output that is closed, full or not read; signals.

load helpers

setup() {
	start_server
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_server
	stop_peers
}

# Runs the program in the background, sends it a signal after a while, waits for it.
interrupted() {
	local signal=$1 pid

	shift
	"$VFUCTL" "$@" >out 2>err 3>&- &
	pid=$!
	sleep 0.5
	kill "-$signal" "$pid"
	status=0
	wait "$pid" || status=$?
	output=$(cat out)
	stderr=$(cat err)
}

@test "closed standard output" {
	"$VFUCTL" -s "$SOCK" read bar0 0 >&- 2>err || status=$?
	[ "$status" -eq 1 ]
	grep -q 'vfuctl: read: standard output: EBADF (Bad file descriptor)' err
}

@test "the connection does not take the place of closed standard output" {
	"$VFUCTL" -s "$SOCK" -c 'write bar0 4 7; read bar0 4' >&- 2>err || status=$?
	[ "$status" -eq 1 ]
	grep -q 'EBADF' err
	"$VFUCTL" -s "$SOCK" write bar0 4 7 >&- 2>&- <&-
}

@test "full standard output" {
	"$VFUCTL" -s "$SOCK" read bar0 0 >/dev/full 2>err || status=$?
	[ "$status" -eq 1 ]
	grep -q 'vfuctl: read: standard output: ENOSPC (No space left on device)' err
	"$VFUCTL" help >/dev/full 2>err || status=$?
	[ "$status" -eq 1 ]
	"$VFUCTL" --help >/dev/full 2>err || status=$?
	[ "$status" -eq 1 ]
	grep -q ENOSPC err
}

@test "a pipe that nobody reads any more ends it quietly, as any program" {
	set -o pipefail
	status=0
	"$VFUCTL" -k -s "$SOCK" repeat 100000 read bar0 0 2>err | head -1 >out || status=$?
	[ "$status" -eq 141 ]
	[ "$(cat out)" = 0x010000ed ]
	[ ! -s err ]
}

@test "results go to a file whole" {
	"$VFUCTL" -s "$SOCK" repeat 5000 read bar0 0 >out
	[ "$(sort -u out)" = 0x010000ed ]
	[ "$(wc -l <out)" -eq 5000 ]
}

@test "results and errors in one file keep their order" {
	"$VFUCTL" -k -s "$SOCK" -c 'echo 1; read bar0 1M; echo 2' >out 2>&1 || :
	[ "$(sed -n 1p out)" = 1 ]
	[[ "$(sed -n 2p out)" == vfuctl* ]]
	[ "$(sed -n 3p out)" = 2 ]
}

@test "SIGINT gives up a wait for a reply" {
	start_peer "$BATS_TEST_TMPDIR/silent" 'sleep 100'
	interrupted INT -s "$BATS_TEST_TMPDIR/silent" read bar0 0
	fails 130 interrupted
}

@test "SIGINT gives up poll, sleep, repeat and a script" {
	interrupted INT -s "$SOCK" -t 0 poll bar0 0 1 0
	fails 130 "poll: interrupted"
	interrupted INT sleep 100s
	fails 130 "sleep: interrupted"
	interrupted INT -s "$SOCK" -c 'repeat 100000000 write bar0 4 1; echo not reached'
	fails 130 interrupted
	interrupted INT -s "$SOCK" -k -c 'sleep 100s; echo not reached'
	fails 130 interrupted
}

@test "SIGTERM ends it the same way" {
	interrupted TERM sleep 100s
	fails 143 "sleep: interrupted"
}

@test "SIGINT while it waits for standard input" {
	mkfifo fifo
	sleep 100 >fifo 3>&- &
	PIDS+=($!)
	"$VFUCTL" <fifo >out 2>err 3>&- &
	pid=$!
	sleep 0.5
	kill -INT "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 130 ]
}

@test "a trace file is whole after an interrupt" {
	interrupted INT --trace=t.jsonl -s "$SOCK" -c 'read bar0 0; sleep 100s'
	[ "$status" -eq 130 ]
	[ "$(jq -r .command t.jsonl | tail -1)" = REGION_READ ]
}
