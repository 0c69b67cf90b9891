#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# JSON Lines: one object a line a command, results and failures alike.

load helpers

setup() {
	start_server
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_server
}

@test "read has the fields of the protocol" {
	vfu -j read bar0 0
	[ "$status" -eq 0 ]
	[ "$output" = '{"command":"read","ok":true,"region":0,"offset":"0x0","count":4,"data":"ed000001","value":"0x010000ed"}' ]
}

@test "commands that only act say that they did" {
	vfu -j -c 'write bar0 4 1; fill bar0 4 4 0; reset; sleep 1ms; dma map 0 4K; quit'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = '{"command":"write","ok":true}' ]
	[ "${#lines[@]}" -eq 6 ]
	jq -e .ok <<<"$output" >/dev/null
}

@test "info has everything in one object" {
	vfu -j info
	json '.device.num_regions == 9 and .device.num_irqs == 5'
	json '.device.flags == ["reset", "pci"]'
	json '.regions[0].size == "0x100000" and .regions[0].name == "bar0"'
	json '.irqs[1].count == 1'
	json '.config | type == "object"'
}

@test "caps, status, regions, irqs, config, dump, dma list, set, help" {
	vfu -j -c 'caps; status; regions; irqs; config; dump config 0 4; dma map 4K 4K
		dma list; set; help read; trace show 1; poll bar0 0x20 1 0; multi bar0 4 1 4'
	[ "$status" -eq 0 ]
	json 1 '.ours.max_data_xfer_size == 1048576 and .theirs.migration.pgsize == 4096'
	json 1 '.in_force.pgsizes == "0x1000"'
	json 2 '.connected and .minor >= 0 and .messages.VERSION.sent.messages == 1'
	json 3 '.regions | length == 9'
	json 4 '.irqs | length == 5'
	json 5 '.config | type == "object"'
	json 6 '.data == "3412e811"'
	json 8 '.windows[0].address == "0x1000" and .windows[0].reads == 0'
	json 9 '.timeout == "5s" and .strict == true and .width == 16'
	json 10 '.synopsis == "[-m] REGION OFFSET [WIDTH]"'
	json 11 '.messages[0].command == "DMA_MAP"'
	json 12 '.tries == 1 and .value == "0x00000000"'
	json 13 '.wr_cnt == 1'
}

@test "a script that cannot be read or split is an object, too" {
	alone -j -f "$BATS_TEST_TMPDIR/none"
	[ "$status" -eq 2 ]
	json '.command == "source" and .ok == false and .error.errno == "ENOENT"'
	alone -j -c 'read "bar0'
	[ "$status" -eq 2 ]
	json '.command == "source" and .error.kind == "usage"'
	run --separate-stderr "$VFUCTL" -j <<<'echo "x'
	[ "$status" -eq 2 ]
	json '.error.kind == "usage"'
	run --separate-stderr "$VFUCTL" -j < <(printf 'echo a\necho "x\n')
	[ "$status" -eq 2 ]
	json 1 '.text == "a"'
	json 2 '.ok == false and .error.kind == "usage"'
}

@test "a usage error is an object, too" {
	vfu -j read bar0
	[ "$status" -eq 2 ]
	json '.command == "read" and .ok == false and .error.kind == "usage"'
	[[ $stderr == *"OFFSET is missing"* ]]
	alone -j frob
	json '.command == "frob" and .error.kind == "usage"'
	alone -j -c 'echo 1; frob x'
	json '.command == "frob" and .error.kind == "usage"'
	vfu -j read bar0 1M
	json '.error.kind == "usage"'
}

@test "each kind of failure has its name" {
	vfu -j -c 'set strict off; read bar0 1M'
	json 2 '.error.kind == "remote" and .error.errno == "EINVAL"'
	vfu -j poll bar0 0 1 0 10ms
	[ "$status" -eq 4 ]
	json '.error.kind == "timeout"'
	vfu -j expect 0 read bar0 0
	json '.error.kind == "expectation" and .result.value == "0x010000ed"'
	alone -j -s /nonexistent read bar0 0
	[ "$status" -eq 3 ]
	json '.command == "connect" and .error.kind == "connection" and .error.errno == "ENOENT"'
	alone -j read bar0 0
	json '.error.kind == "connection"'
	vfu -j save bar0 0 4K /dev/full
	json '.error.kind == "system" and .error.errno == "ENOSPC"'
}

@test "commands that run commands have a line each" {
	vfu -j -c 'repeat 2 read bar0 0; time read bar0 0; expect 0x34 read config 0 1'
	[ "$status" -eq 0 ]
	[ "$(jq -r .command <<<"$output" | tr '\n' ' ')" = "read read repeat read time expect " ]
	json 3 '.count == 2'
	json 5 '.seconds > 0'
	json 6 '.result.value == "0x34"'
}

@test "a failure within a sourced file" {
	printf 'echo 1\nexpect 0 read bar0 0\n' >script
	vfu -j source script
	[ "$status" -eq 1 ]
	[ "$(jq -r '.command + " " + (.ok | tostring)' <<<"$output" | tr '\n' ' ')" = \
		"echo true expect false source false " ]
}

@test "text of any bytes becomes valid JSON" {
	alone -j -c $'echo \'a\xff\xc3\xa4"\\\x01\xed\xa0\x80\''
	[ "$status" -eq 0 ]
	iconv -f UTF-8 -t UTF-8 <<<"$output" >/dev/null
	json '.text | test("^a.ä\"")'
}

@test "numbers of 64 bits are exact" {
	vfu -j -c 'dma map 0xfffffffffffff000 4K --no-fd
		dma write 0xfffffffffffff000 0xfffffffffffffffe 8
		dma read 0xfffffffffffff000 8'
	json 3 '.address == "0xfffffffffffff000" and .value == "0xfffffffffffffffe"'
}

@test "set json on and off" {
	alone -c 'set json on; echo 1; set json off; echo 2'
	[ "${lines[0]}" = '{"command":"echo","ok":true,"text":"1"}' ]
	[ "${lines[2]}" = 2 ]
}

@test "send has the reply as an object" {
	vfu -j send REGION_READ 00000000000000000000000004000000
	json '.reply.command == "REGION_READ"'
	vfu -j send 99
	json '.error.errno == "EINVAL" and (.error.bytes | startswith("00f0"))'
}
