#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# DMA logging, with servers that follow a script.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	SOCK=$PWD/peer
}

teardown() {
	stop_peers
}

# A script that greets, and does what is given then.
script() {
	start_script <<<"version
$1
drain"
}

# What was set is repeated: set FEATURE DATA-HEX.
set_reply() {
	echo "recv"
	echo "reply $(le 4 $((8 + ${#2} / 2))) $(le 4 $((0x20000 | $1))) $2"
}

# report IOVA LENGTH PAGESIZE BITMAP-HEX
report() {
	echo "recv"
	echo "reply $(le 4 $((32 + ${#4} / 2))) 08000100 $(le 8 "$1")$(le 8 "$2")$(le 8 "$3") $4"
}

@test "start, of everything or of ranges, and stop" {
	all=$(le 8 4096)$(le 4 0)$(le 4 0)
	two=$(le 8 4096)$(le 4 2)$(le 4 0)$(le 8 0x10000)$(le 8 0x2000)$(le 8 0x40000)$(le 8 4096)
	script "$(set_reply 6 "$all"; set_reply 6 "$two"; set_reply 7 '')"
	vfu -c 'dirty start 4K; dirty start 4K 64K 8K 0x40000 4096; dirty stop'
	prints ""
	end_script
	[[ $(sed -n 2p heard) == *"06000200$all" ]]
	[[ $(sed -n 3p heard) == *"06000200$two" ]]
	[[ $(sed -n 4p heard) == *07000200 ]]
}

@test "report has a line a range of pages" {
	# Pages 0 to 3, 63 to 64, and 69 of 70.
	script "$(report 0x10000 $((70 * 4096)) 4096 "0f00000000000080$(le 8 0x21)")"
	vfu dirty report 0x10000 280K 4K
	prints "\
first              last                    pages
0x0000000000010000 0x0000000000013fff          4
0x000000000004f000 0x0000000000050fff          2
0x0000000000055000 0x0000000000055fff          1"
}

@test "report of nothing, and of everything" {
	script "$(report 0 0x200000 4096 "00*64")
		$(report 0 0x200000 4096 "ff*64")"
	vfu -c 'dirty report 0 2M 4K; dirty report 0 2M 4K'
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
	[ "${lines[2]}" = "0x0000000000000000 0x00000000001fffff        512" ]
}

@test "report in JSON has the bitmap and its ranges" {
	script "$(report 0x1000 0x3000 4096 "$(le 8 5)")"
	vfu -j dirty report 4K 12K 4K
	json '.iova == "0x1000" and .length == "0x3000" and .page_size == 4096'
	json '.bitmap == "0500000000000000" and .pages == 2'
	json '.ranges == [{"iova":"0x1000","length":"0x1000","pages":1},
		{"iova":"0x3000","length":"0x1000","pages":1}]'
}

@test "start in JSON says of what" {
	script "$(set_reply 6 '')"
	vfu -j dirty start 4K 0 8K
	json '.page_size == 4096 and .ranges == [{"iova":"0x0","length":"0x2000"}]'
}

@test "a bitmap that is cut, or about something else" {
	script "$(report 0x1000 0x3000 4096 05)"
	vfu dirty report 4K 12K 4K
	fails 3 "the bitmap has 1 bytes where there must be 8"
	end_script
	script "$(report 0x2000 0x3000 4096 "$(le 8 5)")"
	vfu dirty report 4K 12K 4K
	fails 3 "the reply is about address 0x2000, asked was for 0x1000"
}

@test "what cannot be logged is not asked for" {
	script ''
	vfu -k -c 'dirty start 3K; dirty start 1K; dirty start 4K 0 100; dirty start 4K 1 4K
		dirty report 0 0 4K; dirty report 0 4K 0; dirty report 0 0xfffffffffffff000 4K
		dirty report 0xfffffffffffff000 8K 4K'
	fails 2 "no power of two"
	[[ $stderr == *"below migration.pgsize"* ]]
	[[ $stderr == *"no whole pages"* ]]
	[[ $stderr == *"wraps around"* ]]
	[[ $stderr == *"does not fit into a message"* ]]
	end_script
	[ "$(wc -l <heard)" -eq 1 ]
}

@test "set strict off asks for it all the same" {
	script $'recv\nreply-error EINVAL\nrecv\nreply-error EINVAL'
	vfu -c 'set strict off; expect EINVAL dirty start 3K; expect EINVAL dirty report 1 2 3'
	prints ""
	end_script
}

@test "words that are no ranges" {
	alone dirty start
	fails 2 "PAGESIZE is missing"
	alone dirty start 4K 0
	fails 2 "SIZE of the last range is missing"
	alone dirty start 4K 0 4K x 4K
	fails 2 '"x" is not a number'
	alone dirty start 4K x 4K
	fails 2 '"x" is not a number'
	alone dirty report 0 4K
	fails 2 "PAGESIZE is missing"
	alone dirty stop 1
	fails 2 "a word too many"
}
