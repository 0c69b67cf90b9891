#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2094,SC2154
# Commands on DMA memory, with a device that reaches into it.

load helpers

setup() {
	start_server
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_server
}

# Lets the device move 8 bytes: device FROM TO DIRECTION (1 to its buffer, 3 from it).
device() {
	echo "write config 4 6 2; write bar0 0x80 $1 8; write bar0 0x88 $2 8
		write bar0 0x90 8 8; write bar0 0x98 $3 8; poll bar0 0x98 1 0 2s;"
}

@test "the device copies between two windows of ours" {
	vfu -c "dma map 0x10000 8K; dma write 0x10000 0x6f6c6c6568 8
		$(device 0x10000 0x40000 1) $(device 0x40000 0x11000 3)
		dma read 0x11000 8; dma list"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0x0000006f6c6c6568 ]
	[[ ${lines[2]} =~ 0x10000\ +0x2000\ +read\|write\ +0\ +0\ +0\ +0\ +memfd ]]
}

@test "without a descriptor it goes by messages, which are counted" {
	vfu -c "dma map 0x10000 8K --no-fd; dma write 0x10000 0x1122334455667788 8
		$(device 0x10000 0x40000 1) $(device 0x40000 0x11000 3)
		dma read 0x11000 8; dma list"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0x1122334455667788 ]
	[[ ${lines[2]} =~ 0x10000\ +0x2000\ +read\|write\ +1\ +8\ +1\ +8\ +messages ]]
}

@test "the memory may be a file, from an offset on" {
	head -c 8192 /dev/zero >file
	vfu -c "dma map 0x10000 4K rw --file file --offset 4K; dma write 0x10000 0x41424344
		$(device 0x10000 0x40000 1) $(device 0x40000 0x10008 3) dma list"
	[ "$status" -eq 0 ]
	contains "$PWD/file"
	[ "$(xxd -p -s 4096 -l 16 file)" = 44434241000000004443424100000000 ]
}

@test "a window that can only be read is not written by the device" {
	vfu -c "dma map 0x10000 4K r --no-fd; dma write 0x10000 1 8
		$(device 0x10000 0x40000 1) $(device 0x40000 0x10008 3) dma read 0x10008 8"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0x0000000000000000 ]
}

@test "read, write, dump, fill, save and load work on our side" {
	printf abcdefgh >file
	vfu -c "dma map 0x1000 4K; dma write 0x1000 0x1234 2; dma read 0x1000 2
		dma fill 0x1010 4 0x41; dma load 0x1014 file; dma save 0x1010 12 out
		dma dump 0x1010 16"
	prints "\
0x1234
00001010  41 41 41 41 61 62 63 64  65 66 67 68 00 00 00 00  |AAAAabcdefgh....|
00001020"
	[ "$(cat out)" = AAAAabcdefgh ]
}

@test "ranges run across windows that touch" {
	vfu -c 'dma map 0 4K; dma map 4K 4K --no-fd; dma write 4094 0x11223344; dma read 4094
		dma fill 0 8K 0x77; dma read 0x1ffc'
	prints $'0x11223344\n0x77777777'
}

@test "unmapping takes the memory back" {
	vfu -c 'dma map 0 4K; dma map 4K 4K; dma unmap 0 4K; dma read 4K; dma unmap all
		dma list; dma read 4K'
	[ "$status" -eq 2 ]
	[ "${lines[0]}" = 0x00000000 ]
	[ "${#lines[@]}" -eq 2 ]
}

@test "what is not mapped cannot be reached" {
	vfu dma read 0
	fails 2 "dma read: "
	vfu -c 'dma map 0 4K; dma dump 0 8K'
	fails 2 "no window is mapped at 0x1000"
	vfu dma unmap 0 4K
	fails 2 "dma unmap: "
}

@test "windows that overlap are refused, by us and by the server" {
	vfu -c 'dma map 0 8K; dma map 4K 8K'
	fails 2 "overlap"
	vfu -c 'dma map 0 8K; set strict off; dma map 4K 8K'
	fails 1 "EEXIST (File exists)"
	vfu -c 'dma map 0 8K; set strict off; expect EEXIST dma map 4K 8K'
	prints ""
}

@test "windows that cannot be are refused" {
	vfu dma map 0 0
	fails 2 "dma map: "
	vfu dma map 0xffffffffffffffff 4K
	fails 2 "ends beyond 64 bits"
	vfu dma map 0 4K x
	fails 2 '"x" is none of r|w|rw'
	vfu dma map 0 4K --no-fd --file f
	fails 2 "exclude each other"
	vfu dma map 0 4K --offset 4K
	fails 2 "--offset goes with --file only"
	vfu dma map 0 4K --bogus
	fails 2 '"--bogus" is no option'
	vfu dma map 0 4K --file
	fails 2 "--file needs a value"
}

@test "a file that is too short, missing or read-only is refused" {
	printf x >short
	vfu dma map 0 4K --file short
	fails 2 "short has 0x1 bytes"
	vfu dma map 0 4K --file missing
	fails 2 "missing: ENOENT"
	vfu dma map 0 4K --file .
	fails 2 ".: EISDIR"
	vfu dma map 0 4K r --file .
	fails 2 ".: EISDIR"
}

@test "a file that the server may only read is opened for that alone" {
	head -c 4096 /dev/zero >file
	vfu -c 'dma map 0x10000 4K r --file file; dma read 0x10000; dma write 0x10000 1'
	fails_after 1 "EACCES" 0x00000000
	vfu -c "dma map 0x10000 4K r --file file; $(device 0x10000 0x40000 1)"
	prints ""
	[ "$(xxd -p file | tr -d '0\n')" = "" ]
}

@test "a window is whole pages of the server's" {
	vfu dma map 0x800 4K
	fails 2 "no whole pages"
	vfu dma map 4K 100
	fails 2 "pgsizes"
	vfu -c 'set strict off; dma map 0x800 4K; dma map 0x4000 100; dma list'
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
}

@test "dma dump says what to do with more than a person reads" {
	vfu dma dump 0 17M
	fails 2 "more than 16 MiB: use dma save"
}

@test "dma save that fails leaves the file as it was" {
	echo precious >out
	vfu -c 'dma map 0 4K; dma save 0 8K out'
	fails 2 "no window is mapped"
	head -c 4096 /dev/zero >file
	{
		echo 'dma map 0 4M; dma map 4M 4K r --file file; echo mapped'
		until_true grep -q mapped said
		truncate -s 0 file
		echo 'dma save 0 4100K out'
	} | "$VFUCTL" -s "$SOCK" >said 2>why && return 1
	grep -q "dma save: the memory" why
	[ "$(cat out)" = precious ]
	[ ! -e out.part ]
}

@test "dma alone tells what there is" {
	vfu dma
	fails 2 "dma map, dma unmap"
	vfu dma frob
	fails 2 '"dma frob" is no command'
}
