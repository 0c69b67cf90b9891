#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# send: any message, however wrong; and the trace of what passed.

load helpers

setup() {
	start_server
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_server
}

# offset 0, region 0, count 4
READ=00000000000000000000000004000000

@test "send shows the reply with its fields" {
	vfu send REGION_READ $READ
	[ "$status" -eq 0 ]
	contains "REGION_READ reply"
	[[ $output =~ ed\ 00\ 00\ 01\ +data\ +ed000001 ]]
	vfu send region-read $READ
	[ "$status" -eq 0 ]
	vfu send 9 "$READ"
	[ "$status" -eq 0 ]
}

@test "an error reply is a failure of the server's, and shown" {
	vfu send 99
	fails 1 "send: the server refused it: EINVAL (Invalid argument)"
	[[ $stderr == *"21 00 00 00"*"reply|error"* ]]
	vfu -c 'expect EINVAL send 99; expect EINVAL send VERSION 00000200
		expect EINVAL send REGION_READ 00; expect EINVAL send 14; read bar0 0'
	prints 0x010000ed
}

@test "a message with the no-reply bit gets none" {
	vfu send --flags 0x10 DEVICE_RESET
	prints "nothing came back, as asked"
	vfu send --flags 0x10 REGION_READ 00
	prints "nothing came back, as asked"
}

@test "a size that is too large leaves the server waiting" {
	vfu -t 200ms send REGION_READ --size 4K
	fails 4 "no reply"
	[[ $stderr == *"the header says 4096 bytes, 16 were sent"* ]]
	vfu -t 200ms -c "expect timeout send REGION_READ --size 64
		connect '$SOCK'; read bar0 0"
	fails_after 0 "out of step" 0x010000ed
}

@test "a header that cannot be trusted ends the connection" {
	vfu send REGION_READ --size 8
	fails 3 "closed the connection"
	vfu send REGION_READ --flags 2
	fails 3 "closed the connection"
	vfu -k -c "send REGION_READ --size 8; read bar0 0; connect '$SOCK'; read bar0 0"
	fails_after 3 "lost before" 0x010000ed
}

@test "descriptors may be passed" {
	printf '%04096d' 0 >file
	# argsz 32, flags 3, offset 0, address 0, size 4096
	map=20000000030000000000000000000000000000000000000000100000000000
	vfu send DMA_MAP --fd file ${map}00
	[ "$status" -eq 0 ]
	contains "DMA_MAP reply"
	vfu send DMA_MAP --fd missing ${map}00
	fails 2 "missing: ENOENT"
}

@test "all fields of the header can be chosen" {
	vfu -v send REGION_READ --id 0x1234 --error 7 $READ
	[ "$status" -eq 0 ]
	[[ $stderr == *"#4660"* ]]
	[[ $output =~ 34\ 12\ +id\ +4660 ]]
}

@test "what no header holds is refused" {
	vfu send REGION_READ --id 65536
	fails 2 "--id has 16 bits"
	vfu send REGION_READ --flags 4G
	fails 2 "--flags has 32 bits"
	vfu send FROB
	fails 2 "neither a message's name nor a number"
	vfu send 65536
	fails 2 "neither a message's name nor a number"
	vfu send REGION_READ 0
	fails 2 "is not hex"
	vfu send REGION_READ 0g
	fails 2 "is not hex"
	vfu send
	fails 2 "COMMAND is missing"
	vfu send REGION_READ 00 00
	fails 2 "a word too many"
}

@test "trace show has a line a message, with latency" {
	vfu -c 'read bar0 0; trace show 2'
	[ "$status" -eq 0 ]
	[[ ${lines[1]} =~ c2s\ +REGION_READ\ .*offset=0x0\ region=bar0\ count=4 ]]
	[[ ${lines[2]} =~ s2c\ +REGION_READ\ reply\ .*data=ed000001.*(us|ms)$ ]]
	[ "${#lines[@]}" -eq 3 ]
}

@test "trace dump adds the bytes and the fields beside them" {
	vfu -c 'read bar0 0; trace dump 1'
	[[ $output =~ ed\ 00\ 00\ 01\ +data ]]
}

@test "trace off, on, clear and a new length" {
	vfu -c 'trace off; read bar0 0; trace show'
	[[ $output != *REGION_READ* ]]
	vfu -c 'trace clear; trace show'
	prints ""
	vfu -c 'set trace 3; repeat 5 read bar0 0 1; trace show'
	[ "${#lines[@]}" -eq 8 ]
	vfu -c 'trace off; trace on; trace clear; read bar0 0; trace show 1'
	[ "${#lines[@]}" -eq 2 ]
}

@test "trace save writes text or JSON Lines" {
	vfu -c 'read bar0 0; trace save t.txt; trace save t.json; trace save t.jsonl'
	prints 0x010000ed
	grep -q 'REGION_READ reply' t.txt
	jq -e . t.json >/dev/null
	[ "$(jq -r .command t.jsonl | head -1)" = VERSION ]
	vfu -c 'trace save /dev/full'
	fails 1 "trace save: /dev/full: ENOSPC (No space left on device)"
	vfu -c 'trace save /nonexistent/t'
	fails 1 "trace save: /nonexistent/t: ENOENT"
}
