#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The demonstration device, as a user meets it: regions, registers, doorbells, DMA.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	DEVICE=demo start_server
}

teardown() {
	stop_server
}

# Starts a transfer: kind source destination count; waits until it is done.
dma() {
	printf 'write bar0 0x80 %s 8\nwrite bar0 0x88 %s 8\nwrite bar0 0x90 %s 8\n' "$2" "$3" "$4"
	printf 'write bar0 0xa0 %s\npoll bar0 0xa4 3 2 10s\n' "$1"
}

COPY=0x01 IN=0x03 OUT=0x05 FILL=0x07

# Nothing is printed but what poll saw; then status, error and bytes done.
RESULT='read bar0 0xa4
read bar0 0xa8
read bar0 0x98 8'

# The last three lines of the output.
ended() {
	[ "$status" -eq 0 ] || explain "expected status 0" || return 1
	[ "$(tail -3 <<<"$output")" = "$1"$'\n'"$2"$'\n'"$3" ] || explain "expected at the end: $*"
}

DONE=0x00000002 FAILED=0x00000006

@test "info shows it with its areas, and the region beyond PCI's with its type" {
	vfu info
	[ "$status" -eq 0 ]
	contains "flags reset|pci, 10 regions, 5 interrupt types"
	contains "1234:11e9"
	contains "sparse mmap"
	contains "type 0x80001234, subtype 0x1"
	contains "MSI-X: Enable- Count=16"
}

@test "regions as JSON has areas and type as numbers" {
	vfu -j regions
	[ "$status" -eq 0 ]
	json '.regions | length == 10'
	json '.regions[1].capabilities[0].areas ==
		[{offset: "0x0", size: "0x40000"}, {offset: "0x80000", size: "0x20000"}]'
	json '.regions[1].flags | index("mmap")'
	json '.regions[1].fds == 1'
	json '.regions[9].capabilities[0] | .type == 2147488308 and .subtype == 1'
}

@test "registers: identification, scratch, counters" {
	vfu -c 'read bar0 0; read bar0 4; write bar0 0x10 0x1122334455667788 8
		read bar0 0x10 8; read bar0 0x13 2; read bar0 0x44'
	prints $'0x4f4d4544\n0x00010000\n0x1122334455667788\n0x4455\n0x00000002'
}

@test "a read that counts itself" {
	vfu -c 'read bar0 0x40; read bar0 0; read bar0 0x40'
	prints $'0x00000001\n0x4f4d4544\n0x00000003'
}

@test "BAR1 is memory, in its hole as well" {
	head -c 1M /dev/urandom >in
	vfu -c 'load bar1 0 in; save bar1 0 1M out; read bar1 0x40000 1'
	[ "$status" -eq 0 ]
	cmp in out
	vfu read bar1 1M 1
	fails 2 bar1
}

@test "doorbells count, and the last one wants its value" {
	vfu -c 'repeat 3 write bar2 8 1; read bar2 8; write bar2 60 1; read bar2 60
		write bar2 60 0xd00b; read bar2 60; read bar0 0x50'
	prints $'0x00000003\n0x00000000\n0x00000001\n0x00000004'
}

@test "doorbells with shadows, the log, and the ROM" {
	# the first event is the reset that it began with
	vfu -c 'write 9 0x1004 0x77; read 9 0x1004; read 9 0x10; read 9 0x14; read 9 0x18 8
		read rom 0 2'
	prints $'0x00000001\n0x00000002\n0x00000002\n0x0000000000000011\n0xaa55'
}

@test "the line stands until all is acknowledged" {
	vfu -c 'write bar0 0xc0 3; write bar0 0xc0 5; read bar0 0xc4; write bar0 0xc8 8
		read bar0 0xc4; read config 6 2; write bar0 0xc8 0xffff; read bar0 0xc4'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0x00000028 ]
	[ "${lines[1]}" = 0x00000020 ]
	[ $((lines[2] & 8)) -eq 8 ] # interrupt status, in configuration space
	[ "${lines[3]}" = 0x00000000 ]
}

@test "DMA through windows with and without a descriptor" {
	head -c 200000 /dev/urandom >in
	for how in '' --no-fd; do
		vfu -c "dma map 0x100000 256K $how; dma map 0x200000 256K $how
			dma load 0x100000 in
			$(dma $COPY 0x100000 0x200000 200000)
			dma save 0x200000 200000 out
			$RESULT"
		ended $DONE 0x00000000 0x0000000000030d40
		cmp in out
		rm out
	done
}

@test "DMA from one kind of window to the other, across windows that touch" {
	head -c 8192 /dev/urandom >in
	vfu -c "dma map 0x10000 4K; dma map 0x11000 4K --no-fd; dma load 0x10000 in
		$(dma $IN 0x10000 0x500 8192)
		save bar1 0x500 8192 bar
		$(dma $OUT 0x500 0x10000 8192)
		dma save 0x10000 8192 out
		$RESULT"
	ended $DONE 0x00000000 0x0000000000002000
	cmp in bar
	cmp in out
}

@test "the pattern fills memory, and the log tells of it" {
	vfu -c "dma map 0x10000 4K --no-fd; write bar0 0xac 0x15a
		$(dma $FILL 0 0x10010 32)
		dma read 0x10008 8; dma read 0x10010 8; dma read 0x10028 8; dma read 0x10030 8
		read 9 0x14; read 9 0x18 8; read 9 0x24; read 9 0x28 8"
	[ "$status" -eq 0 ]
	[ "$(tail -8 <<<"$output")" = $'0x0000000000000000\n0x5a5a5a5a5a5a5a5a
0x5a5a5a5a5a5a5a5a\n0x0000000000000000\n0x00000004\n0x0000000000000020\n0x00000005
0x0000000000000020' ]
}

@test "DMA by messages comes as DMA_READ and DMA_WRITE, the rest does not" {
	vfu -j -c "dma map 0x10000 4K --no-fd; dma map 0x20000 4K
		$(dma $COPY 0x10000 0x20000 4096)
		$(dma $COPY 0x20000 0x10000 1024)
		dma list; status"
	[ "$status" -eq 0 ]
	line=$(grep -c . <<<"$output")
	json "$line" '.messages.DMA_READ.received.messages == 1 and
		.messages.DMA_WRITE.received.messages == 1'
	json $((line - 1)) '.windows[0].read_bytes == 4096 and .windows[0].write_bytes == 1024 and
		.windows[1].read_bytes == 0 and .windows[1].write_bytes == 0'
}

@test "errors of DMA: outside any window, against its permissions, outside BAR1" {
	vfu -c "$(dma $FILL 0 0x10000 64)
		$RESULT"
	ended $FAILED 0x0000000e 0x0000000000000000 # EFAULT
	for how in '' --no-fd; do
		vfu -c "dma map 0x10000 4K r $how
			$(dma $FILL 0 0x10000 64)
			$RESULT"
		ended $FAILED 0x00000001 0x0000000000000000 # EPERM
		vfu -c "dma map 0x10000 4K w $how
			$(dma $IN 0x10000 0 64)
			$RESULT"
		ended $FAILED 0x00000001 0x0000000000000000
		vfu -c "dma map 0x10000 4K $how
			$(dma $OUT 0xfffff 0x10000 2)
			$RESULT"
		ended $FAILED 0x00000022 0x0000000000000000 # ERANGE
	done
}

@test "one transfer after another, and the error of the first is gone" {
	vfu -c "dma map 0x10000 4K
		$(dma $FILL 0 0x50000 64)
		$(dma $FILL 0 0x10000 64)
		$RESULT"
	ended $DONE 0x00000000 0x0000000000000040
}

@test "a transfer of nothing is done at once" {
	vfu -c "$(dma $FILL 0 0 0)
		$RESULT"
	ended $DONE 0x00000000 0x0000000000000000
}

@test "reset takes all back but the memory and the count of resets" {
	vfu -c 'write bar0 0x10 7; write bar1 0 0x55aa; write bar2 0 1; write bar0 0xc0 1
		reset; read bar0 0x10; read bar0 0x48; read bar0 0xc4; read bar2 0; read bar1 0'
	prints $'0x00000000\n0x00000001\n0x00000000\n0x00000000\n0x000055aa'
}

@test "the next client finds it as the last one left it" {
	vfu write bar0 0x10 7
	vfu -c 'read bar0 0x10; read bar0 0x54'
	prints $'0x00000007\n0x00000001'
}

@test "a client that leaves during a transfer does no harm" {
	vfu -c 'dma map 0 64M --no-fd; write bar0 0x90 64M 8; write bar0 0xa0 0x07'
	[ "$status" -eq 0 ]
	vfu -c 'read bar0 0xa4; read bar0 0xa8; read bar0 0x54'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = $FAILED ]
	[ "${lines[1]}" = 0x00000004 ] # EINTR
	[ "${lines[2]}" = 0x00000001 ]
}

@test "raw messages: io fds, interrupt types, the state" {
	# argsz 16, flags 0, region 2, count 0: what eight entries of 40 bytes would take
	vfu -j send DEVICE_GET_REGION_IO_FDS 10000000000000000200000000000000
	[ "$status" -eq 0 ]
	json '.reply.fields | .argsz == 336 and .count == 8'
	json '.reply | .size == 32 and .fds == 0'
	# the same with an argsz of 4096: the last one has a datamatch
	vfu -j send DEVICE_GET_REGION_IO_FDS 00100000000000000200000000000000
	[ "$status" -eq 0 ]
	json '.reply | .size == 352 and .fds == 8'
	json '.reply.fields | ."offset[7]" == "0x3c" and ."flags[7]" == "0x1" and
		."datamatch[7]" == "0xd00b" and ."flags[6]" == "0x0"'
	# argsz 16, flags 0, type 2, count 0: MSI-X
	vfu -j send DEVICE_GET_IRQ_INFO 10000000000000000200000000000000
	[ "$status" -eq 0 ]
	json '.reply.fields | .count == 16 and .flags == "0x9"'
	# argsz 16, get (0x10000) feature 2: running (2)
	vfu -j send DEVICE_FEATURE 1000000002000100
	[ "$status" -eq 0 ]
	json '.reply.fields.device_state == 2'
}
