#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154,SC2030,SC2031
# The client's commands against our own server and its devices: both sides of each message.

load helpers

setup() {
	DEVICE=demo start_server
}

teardown() {
	stop_server
}

vfu() {
	run --separate-stderr "$VFUCTL" -s "$SOCK" "$@"
	echo "$output"
	echo "$stderr"
}

@test "vectors fire, are counted, and are detached" {
	vfu -c 'irq enable msix 4
		write bar0 0xc0 3; write bar0 0xc0 3; write bar0 0xc0 0
		irq wait msix 5s
		irq disable msix
		write bar0 0xc0 3
		read bar0 0xc4'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "msix:0 1" ]
	[ "${lines[1]}" = "msix:3 2" ]
	[ "${lines[2]}" = 0x00000008 ] # nobody takes messages any more: it stands on the line
}

@test "more vectors than one message carries descriptors are attached" {
	vfu -c 'irq enable msix 16
		irq trigger msix 16
		irq wait msix:15 5s
		irq list'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "msix:15 1" ]
	[ "$(grep -c 'yes .* 1$' <<<"$output")" -eq 16 ]
}

@test "the line masks itself, and fires again when unmasked while it stands" {
	vfu -c 'irq enable intx
		write bar0 0xc0 1
		irq wait intx 5s
		write bar0 0xc0 2
		expect timeout irq wait intx 100ms
		irq unmask intx
		irq wait intx 5s
		write bar0 0xc8 6
		irq unmask intx
		expect timeout irq wait intx 100ms'
	[ "$status" -eq 0 ]
	[ "$output" = $'intx 1\nintx 1' ]
}

@test "errors and requests to be given back are heard of" {
	vfu -c 'irq enable err; irq enable req; write bar0 0xcc 3; irq wait err 5s; irq wait req 5s'
	[ "$status" -eq 0 ]
	[ "$output" = $'err 1\nreq 1' ]
}

@test "SET_IRQS that no interrupt allows is refused" {
	vfu -c 'expect EINVAL send DEVICE_SET_IRQS 140000002400000002000000000000000100000000
		expect EINVAL send DEVICE_SET_IRQS 1400000021000000020000000f00000002000000
		expect EINVAL send DEVICE_SET_IRQS 1400000009000000020000000000000001000000
		expect EINVAL send DEVICE_SET_IRQS 1400000021000000090000000000000001000000
		read bar0 0'
	[ "$status" -eq 0 ]
	[ "$output" = 0x4f4d4544 ]
}

@test "what is written by message is read through the mapping, and the other way round" {
	vfu -c 'write bar1 0x3fffc 0x11223344
		read -m bar1 0x3fffc
		write -m bar1 0x80000 0x5566778899aabbcc 8
		read bar1 0x80000 8'
	[ "$status" -eq 0 ]
	[ "$output" = $'0x11223344\n0x5566778899aabbcc' ]
}

@test "a hole is named, and reached by message" {
	vfu -k -c 'read -m bar1 0x40000; read -m bar1 0x3fffe; read -m bar0 0; read bar1 0x40000'
	[ "$status" -eq 2 ]
	[ "$output" = 0x00000000 ]
	[[ $stderr == *0x40000* ]]
	[[ $stderr == *bar0* ]]
}

@test "mapped parts are dumped, filled, saved and loaded" {
	local file=$BATS_TEST_TMPDIR/part

	vfu -c "fill -m bar1 0x80000 128K 0xab
		save -m bar1 0x80000 128K $file
		load -m bar1 0 $file
		read bar1 0x1fffc
		dump -m bar1 0x1fff0 32"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0xabababab ]
	[ "$(stat -c %s "$file")" -eq 131072 ]
	[[ $output == *"|................|"* ]]
}

@test "doorbells are rung by their eventfds, with what lies in their shadows" {
	vfu -c 'iofds bar2 ring 1 3
		iofds 9 ring 2 0x63
		poll bar2 4 0xffffffff 3 5s
		poll 9 0x1008 0xffffffff 1 5s
		read 9 0x1810 8
		read bar0 0x50'
	[ "$status" -eq 0 ]
	[ "$output" = $'0x0000000000000063\n0x00000004' ]
}

@test "a device goes on in another server where it stopped in the first" {
	local state=$BATS_TEST_TMPDIR/state first=$SERVER other=$BATS_TEST_TMPDIR/other.sock

	vfu -c "write bar0 0x10 0xcafe
		fill bar1 0x40ff0 32 0x77
		write bar2 8 1
		irq enable intx; write bar0 0xc0 5
		migration save $state
		migration state"
	[ "$status" -eq 0 ]
	[ "$output" = stop ]
	SOCK=$other
	DEVICE=demo start_server
	vfu -c "irq enable intx
		migration load $state
		migration state running
		irq wait intx 5s
		read bar0 0x10; read bar1 0x40ffe 4; read bar2 8; read bar0 0xc4"
	[ "$status" -eq 0 ]
	[ "$output" = $'intx 1\n0x0000cafe\n0x77777777\n0x00000001\n0x00000020' ]
	kill "$first"
	wait "$first"
}

@test "a saved state that is cut, damaged or too long is refused, and reset helps" {
	local state=$BATS_TEST_TMPDIR/state

	vfu -c "migration save $state"
	[ "$status" -eq 0 ]
	head -c -1 "$state" >"$state.cut"
	{ cat "$state"; printf x; } >"$state.long"
	{ printf X; tail -c +2 "$state"; } >"$state.bad"
	for file in "$state.cut" "$state.long" "$state.bad"; do
		vfu -c "migration load $file"
		[ "$status" -eq 1 ]
		[[ $stderr == *EINVAL* || $stderr == *ENOTRECOVERABLE* ]]
		vfu -c 'reset; migration state; read bar0 0'
		[ "$output" = $'running\n0x4f4d4544' ]
	done
}

@test "the log has just the pages that the device wrote, in all kinds of windows" {
	dd if=/dev/zero of="$BATS_TEST_TMPDIR/memory" bs=1M count=1 status=none
	vfu -c "dma map 0x100000 1M
		dma map 0x200000 1M --no-fd
		dma map 0x300000 1M --file $BATS_TEST_TMPDIR/memory
		dirty start 4096
		echo nothing; dirty report 0x100000 3M 4096"
	[ "$status" -eq 0 ]
	[[ $output == nothing* ]]
	for at in 0x1ffffc 0x2ffffc 0x305800; do # across windows twice, within a page
		vfu -c "dma map 0x100000 1M
			dma map 0x200000 1M --no-fd
			dma map 0x300000 1M --file $BATS_TEST_TMPDIR/memory
			dirty start 4096
			write bar0 0x88 $at 8; write bar0 0x90 8 8; write bar0 0xa0 7
			poll bar0 0xa4 2 2 5s
			dirty report 0x100000 3M 4096
			echo again
			dirty report 0x100000 3M 4096
			dirty stop
			expect EINVAL dirty report 0x100000 3M 4096" -j
		[ "$status" -eq 0 ]
		ranges=$(jq -c 'select(.command == "dirty report" and .ok) | [.ranges[] | .iova]' <<<"$output")
		case $at in
		0x1ffffc) [ "$ranges" = $'["0x1ff000"]\n[]' ] ;;
		0x2ffffc) [ "$ranges" = $'["0x2ff000"]\n[]' ] ;;
		*) [ "$ranges" = $'["0x305000"]\n[]' ] ;;
		esac
	done
}
