#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# serve: being a server.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_server
	stop_peers
}

@test "it ends cleanly on SIGTERM, and on SIGINT, and removes its socket" {
	start_server
	kill -TERM "$SERVER"
	wait "$SERVER"
	SERVER=
	[ ! -e "$SOCK" ]
	[ ! -s server.log ]
	# A shell without job control lets what it starts in the background ignore SIGINT.
	bash -c "trap - INT; exec '$VFUCTL' serve --socket-path='$SOCK'" 3>&- &
	until_true test -S "$SOCK"
	kill -TERM $!
	wait $!
}

@test "it serves one client after the other" {
	start_server
	vfu write bar0 4 7
	vfu read bar0 4
	prints 0xfffffff8
	vfu send REGION_READ --size 8
	vfu read bar0 4
	prints 0xfffffff8
}

@test "--once ends with its first client" {
	"$VFUCTL" serve --socket-path="$SOCK" --once 3>&- &
	until_true test -S "$SOCK"
	vfu read bar0 0
	prints 0x010000ed
	wait $!
	[ ! -e "$SOCK" ]
}

@test "--fd serves a socket that is connected already" {
	socat "UNIX-LISTEN:$SOCK" "EXEC:'$VFUCTL serve --fd=0'" 3>&- &
	pid=$!
	until_true test -S "$SOCK"
	# socat passes no descriptors
	alone -c "set twin off; connect $SOCK; read bar0 0"
	prints 0x010000ed
	wait "$pid"
}

@test "a path that is taken" {
	start_server
	alone serve --socket-path="$SOCK"
	fails 1 "serve: cannot listen at $SOCK"
	touch file
	alone serve --socket-path=file
	fails 1 "file: EADDRINUSE (Address already in use)"
	[ -f file ]
	alone serve --socket-path=/nonexistent/s
	fails 1 ENOENT
}

@test "a socket whose server is gone is replaced" {
	start_server
	kill -KILL "$SERVER"
	wait "$SERVER" 2>/dev/null || :
	[ -S "$SOCK" ]
	"$VFUCTL" serve --socket-path="$SOCK" 3>&- &
	SERVER=$!
	until_true "$VFUCTL" -s "$SOCK" read bar0 0
}

@test "wrong arguments" {
	alone serve
	fails 2 "--socket-path or --fd is missing"
	alone serve --socket-path=a --fd=3
	fails 2 "not both"
	alone serve --socket-path=a --device=frob
	fails 2 'there is no device "frob"; there is edu'
	alone serve --fd=99
	fails 2 "EBADF"
	run --separate-stderr "$VFUCTL" serve --fd=0 </dev/null
	fails 2 "ENOTSOCK"
	alone serve --fd=4G
	fails 2 "not the number of a descriptor"
	alone serve --socket-path=a b
	fails 2 "a word too many"
}

@test "-v and --trace show what passes on its side" {
	"$VFUCTL" -v --trace=t.jsonl serve --socket-path="$SOCK" 2>server.log 3>&- &
	SERVER=$!
	until_true test -S "$SOCK"
	vfu read bar0 0
	prints 0x010000ed
	kill "$SERVER"
	wait "$SERVER"
	SERVER=
	grep -q REGION_READ server.log
	[ "$(jq -r .command t.jsonl | tail -1)" = REGION_READ ]
}
