#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Regions reached by mmap: -m of read, write, dump, fill, save and load.

load helpers

teardown() {
	stop_server
}

# What the server says of bar1, 0x3000 bytes at 0x100 of its memory file of $1 bytes: two areas
# can be mapped, 0x1000 bytes at 0x1000 and 0x80 at 0x2000.
bar1() {
	local info

	info="$(u32 80 15 1 32)$(u64 0x3000 0x100)"
	echo recv
	echo "reply $info"
	echo recv
	echo "memfd $1"
	echo "reply $info $(le 2 1)$(le 2 1)$(u32 0 2 0)$(u64 0x1000 0x1000 0x2000 0x80)"
}

@test "read -m and write -m go by the mapping, which is asked for once" {
	play <<-END
		version
		$(bar1 0x2180)
		drain
		bytes 0
	END
	vfu -c 'read -m bar1 0x1000; read -m bar1 0x1004 1; write -m bar1 0x1ffe 0xabcd 2
		read -m bar1 0x1ffc 8; read bar1 0x2078 -m 8; trace show'
	[ "$status" -eq 0 ]
	contains $'0x03020100\n0x04\n0x03020100abcdfdfc\n0x7f7e7d7c7b7a7978'
	lacks REGION_READ
	lacks REGION_WRITE
	[ "$(grep -c GET_REGION_INFO <<<"$output")" -eq 4 ]
	played
}

@test "the server sees what was written, and JSON says how" {
	play <<-END
		version
		$(bar1 0x2180)
		drain
	END
	vfu -j -c 'write -m bar1 0x1000 0x11223344; read -m bar1 0x1000'
	[ "$status" -eq 0 ]
	json 2 '.region == 1 and .offset == "0x1000" and .mmap and .value == "0x11223344"'
	played
}

@test "a hole is refused by its first offset, before anything is done" {
	cd "$BATS_TEST_TMPDIR"
	head -c 8192 /dev/zero >zeros
	echo kept >out
	play <<-END
		version
		$(bar1 0x2180)
		drain
	END
	vfu -k -c 'read -m bar1 0; read -m bar1 0xffe; read -m bar1 0x207e
		dump -m bar1 0x1000 0x1081; fill -m bar1 0x1ff0 0x100 1; save -m bar1 0x800 1 out
		load -m bar1 0x1080 zeros; read -m bar1 0x1080'
	fails_after 2 "read: 0x0 of bar1 is in no area that can be mapped" 0x83828180
	[[ $stderr == *"read: 0xffe of bar1 is in no area"* ]]
	[[ $stderr == *"read: 0x2080 of bar1 is in no area"* ]]
	[[ $stderr == *"dump: 0x2080 of region 1 (bar1) is in no area"* ]]
	[[ $stderr == *"fill: 0x2080 of region 1 (bar1) is in no area"* ]]
	[[ $stderr == *"save: 0x800 of region 1 (bar1) is in no area"* ]]
	[[ $stderr == *"load: 0x2080 of region 1 (bar1) is in no area"* ]]
	[ "$(cat out)" = kept ]
	played
}

@test "dump, fill, save and load go by the mapping" {
	cd "$BATS_TEST_TMPDIR"
	play <<-END
		version
		$(bar1 0x2180)
		drain
	END
	printf 'over the edge' >text
	vfu -c 'fill -m bar1 0x1000 0x1080 0x5a; load -m bar1 0x1ffa text; save -m bar1 0x1000 0x1080 out
		dump -m bar1 0x1ff0 32'
	prints "\
00001ff0  5a 5a 5a 5a 5a 5a 5a 5a  5a 5a 6f 76 65 72 20 74  |ZZZZZZZZZZover t|
00002000  68 65 20 65 64 67 65 5a  5a 5a 5a 5a 5a 5a 5a 5a  |he edgeZZZZZZZZZ|
00002010"
	[ "$(stat -c %s out)" -eq 4224 ]
	[ "$(tr -d Z <out)" = "over the edge" ]
	played
}

@test "a file that is too short, or shrinks, is an error and no signal" {
	play <<-END
		version
		$(bar1 0x1800)
		recv
		shrink 0
		reply
		drain
	END
	vfu -k -c 'read -m bar1 0x1000; read -m bar1 0x1f00; read -m bar1 0x2000; reset
		read -m bar1 0x1000; write -m bar1 0x1000 1'
	fails_after 1 "there is no memory behind 0x1f00 of bar1" 0x03020100
	[[ $stderr == *"there is no memory behind 0x2000 of bar1"* ]]
	[ "$(grep -c "memory behind 0x1000 of bar1" <<<"$stderr")" -eq 2 ]
	played
}

@test "what cannot be mapped says why" {
	start_server
	vfu read -m bar0 0
	fails 2 "read: bar0 cannot be mapped: its flags do not have mmap"
	vfu write -m bar0 0 1
	fails 2 "write: bar0 cannot be mapped"
	vfu dump -m 100 0 4
	fails 2 "region 100, above the 99 there may be"
	vfu write -m -p bar0 0 1
	fails 2 "-m sends no message that could be posted"
}

@test "a server that forgets the descriptor, or sends too many" {
	local info

	info="$(u32 32 7 1 0)$(u64 0x1000 0)"
	play <<-END
		version
		recv
		reply $info
		recv
		fd 2
		reply $info
		recv
		fd 1
		reply $info
		drain
	END
	vfu -k -c 'read -m bar1 0; read -m bar1 0; read -m bar1 0'
	fails 2 "bar1 cannot be mapped: the server gave no descriptor"
	[[ $stderr == *"read: 2 descriptors came for 1 areas"* ]]
	[[ $stderr == *"0x1000 bytes at 0x0 cannot be mapped: ENODEV (No such device)"* ]]
	played
}

@test "another connection maps anew" {
	play <<-END
		version
		$(bar1 0x2180)
		drain
	END
	vfu -c "read -m bar1 0x1000; disconnect; read -m bar1 0x1000"
	fails_after 3 "not connected" 0x03020100
	played
}

@test "regions shows the areas" {
	play <<-END
		version
		recv
		reply $(u32 16 2 2 0)
		recv
		reply $(u32 32 3 0 0)$(u64 0x100 0)
		$(bar1 0x2180)
		drain
	END
	vfu regions
	[ "$status" -eq 0 ]
	contains "area 0: 0x1000 bytes at 0x1000"
	contains "area 1: 0x80 bytes at 0x2000"
	played
}
