#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Options, the ways of use, and where the connection comes from.

load helpers

setup() {
	start_server
}

teardown() {
	stop_server
}

@test "--version prints the version" {
	alone --version
	[[ $output =~ ^vfuctl\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ "$status" -eq 0 ]
	alone -V
	[[ $output == vfuctl* ]]
}

@test "--help names every option and points to help" {
	alone --help
	[ "$status" -eq 0 ]
	for option in --socket=PATH --fd=N --command=TEXT --file=FILE --keep-going --json \
		--timeout=DURATION --trace=FILE --verbose --help --version; do
		contains "$option"
	done
	contains "help COMMAND"
}

@test "a wrong option is refused" {
	alone --bogus
	fails 2 "vfuctl: unrecognized option '--bogus'"
	alone -x
	fails 2 "vfuctl: invalid option -- 'x'"
	alone --socket
	fails 2 "requires an argument"
	alone --json=1
	fails 2 "doesn't allow an argument"
}

@test "a wrong timeout is refused" {
	for word in 5 x -1s 1h ''; do
		vfu -t "$word" read bar0 0
		fails 2 "\"$word\" is not a duration"
	done
}

@test "--fd must be a connected socket" {
	alone --fd=x read bar0 0
	fails 2 '"x" is not the number of a descriptor'
	alone --fd=77 read bar0 0
	fails 2 "Bad file descriptor"
	run --separate-stderr "$VFUCTL" --fd=0 status </dev/null
	fails 2 "non-socket"
}

@test "--socket and --fd exclude each other" {
	vfu --fd=0 status
	fails 2 "exclude each other"
}

@test "a COMMAND does not go with -c or -f" {
	vfu -c 'read bar0 0' read bar0 0
	fails 2 "does not go with"
}

@test "options after the command belong to the command" {
	vfu echo -j --help
	prints "-j --help"
	vfu read -j bar0 0
	fails 2 '"-j" is no option of it'
}

@test "-- ends the options" {
	vfu -- read bar0 0
	prints 0x010000ed
}

@test "the socket's path may come from the environment" {
	VFUCTL_SOCKET=$SOCK alone read bar0 0
	prints 0x010000ed
	VFUCTL_SOCKET=/nonexistent vfu read bar0 0
	prints 0x010000ed
	VFUCTL_SOCKET=/nonexistent alone read bar0 0
	fails 3 "/nonexistent"
}

@test "what needs no server does not connect to that of the environment" {
	VFUCTL_SOCKET=/nonexistent alone echo hello
	prints hello
	VFUCTL_SOCKET=/nonexistent alone help
	[ "$status" -eq 0 ]
	vfu -s /nonexistent echo hello
	fails 3 "/nonexistent"
}

@test "a command that needs a connection says so" {
	alone read bar0 0
	fails 3 "read: not connected; use connect PATH or --socket=PATH"
	VFUCTL_SOCKET="" alone read bar0 0
	fails 3 "not connected"
}

@test "a socket that does not exist" {
	alone -s "$BATS_TEST_TMPDIR/none" read bar0 0
	fails 3 "$BATS_TEST_TMPDIR/none"
	[[ $stderr == *ENOENT* ]]
}

@test "a file that is no socket" {
	touch "$BATS_TEST_TMPDIR/file"
	alone -s "$BATS_TEST_TMPDIR/file" read bar0 0
	fails 3 "$BATS_TEST_TMPDIR/file"
}

@test "a socket nobody listens on" {
	socat -u "UNIX-LISTEN:$BATS_TEST_TMPDIR/dead,unlink-close=0" /dev/null 3>&- &
	until_true test -S "$BATS_TEST_TMPDIR/dead"
	kill $!
	wait $! || :
	alone -s "$BATS_TEST_TMPDIR/dead" read bar0 0
	fails 3 ECONNREFUSED
}

@test "a path that is too long for a socket" {
	alone -s "/tmp/$(printf '%0200d' 0)" read bar0 0
	fails 2 "vfuctl:"
}

@test "a syntax error shows before anything is connected to" {
	alone -s /nonexistent read bar0
	fails 2 "OFFSET is missing"
	alone -s /nonexistent -c 'read bar0 0; reed'
	fails 2 '"reed" is no command'
}

@test "-v prints every message on standard error" {
	vfu -v read bar0 0
	[ "$status" -eq 0 ]
	[ "$output" = 0x010000ed ]
	[[ $stderr == *VERSION* ]]
	[[ $stderr == *REGION_READ*"data=ed000001"* ]]
}

@test "--trace records all messages, as text or as JSON Lines" {
	vfu --trace="$BATS_TEST_TMPDIR/t.txt" read bar0 0
	prints 0x010000ed
	grep -q 'REGION_READ reply' "$BATS_TEST_TMPDIR/t.txt"
	vfu --trace="$BATS_TEST_TMPDIR/t.jsonl" read bar0 0
	prints 0x010000ed
	[ "$(jq -r .command "$BATS_TEST_TMPDIR/t.jsonl" | tail -1)" = REGION_READ ]
}

@test "--trace to where nothing can be written" {
	vfu --trace=/nonexistent/t read bar0 0
	fails 2 "/nonexistent/t: ENOENT (No such file or directory)"
	vfu --trace=/dev/full read bar0 0
	fails_after 1 "/dev/full: ENOSPC (No space left on device)" 0x010000ed
}
