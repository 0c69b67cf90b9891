#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Commands on the device and the connection: info and its parts, reset, status, caps.

load helpers

setup() {
	start_server
}

teardown() {
	stop_server
}

@test "info shows identity, flags, regions, interrupts and config space" {
	vfu info
	[ "$status" -eq 0 ]
	contains "[1234:11e8]"
	contains "flags reset|pci, 9 regions, 5 interrupt types"
	[[ $output =~ 0\ +bar0\ +0x100000\ +1\ MiB\ +read\|write ]]
	[[ $output =~ 1\ +msi\ +1\ +eventfd ]]
	contains "Capabilities: [40] MSI"
	[ -z "$stderr" ]
}

@test "regions, irqs and config are the parts of info" {
	vfu regions
	[[ $output =~ 7\ +config\ +0x100 ]]
	lacks msi
	vfu irqs
	[[ $output =~ 0\ +intx\ +1\ +eventfd\|maskable\|automasked ]]
	lacks bar0
	vfu config
	contains "[1234:11e8]"
	contains "Region 0: Memory"
}

@test "there is no colour where there is no terminal" {
	vfu info
	lacks $'\033'
}

@test "reset brings the device to its first state" {
	vfu -c 'write config 4 6 2; read config 4 2; reset; read config 4 2'
	prints $'0x0006\n0x0000'
}

@test "status says what was negotiated and counts messages" {
	vfu -c 'read bar0 0; status'
	[ "$status" -eq 0 ]
	contains "connected to"
	contains "$SOCK"
	[[ $output =~ version\ +0\.[0-9] ]]
	[[ $output =~ REGION_READ\ +1\ +32\ +1\ +36\ +0 ]]
	[[ $output =~ timeouts\ +0 ]]
}

@test "status without a connection says so" {
	alone status
	prints "not connected"
	vfu -c 'disconnect; status'
	prints "not connected"
}

@test "caps has a column for each side, and what is in force" {
	vfu caps
	[ "$status" -eq 0 ]
	contains "in force"
	[[ $output =~ max_data_xfer_size\ +1048576\ +1048576\ +1048576 ]]
	[[ $output =~ migration\.pgsize\ +4096\ +4096\ \(default\)\ +4096 ]]
}

@test "connect, disconnect and connect again" {
	alone -c "connect '$SOCK'; read bar0 0; disconnect
		connect '$SOCK'; connect '$SOCK'; read bar0 0"
	prints $'0x010000ed\n0x010000ed'
	vfu -c 'disconnect; read bar0 0'
	fails 3 "not connected"
	alone disconnect
	fails 3 "disconnect: not connected"
	alone connect "$BATS_TEST_TMPDIR/none"
	fails 3 "connect: "
}

@test "help lists every command, and explains one" {
	alone help
	[ "$status" -eq 0 ]
	for name in connect info read "dma map" send "trace show" expect set serve; do
		contains "  $name "
	done
	alone help read
	contains "read [-m] REGION OFFSET [WIDTH]"
	alone help dma
	contains "dma unmap all"
	lacks "trace"
	alone help dma map
	contains "dma map IOVA SIZE [r|w|rw] [--no-fd] [--file PATH [--offset N]]"
	alone help frob
	fails 2 '"frob" is no command'
	alone help dma map x
	fails 2 '"dma map x" is no command'
}

@test "every command has help" {
	alone -j help
	while read -r name; do
		# shellcheck disable=SC2086
		alone help $name
		[ "$status" -eq 0 ]
		contains "$name"
	done < <(jq -r '.commands[].name' <<<"$output")
}

@test "set shows and changes" {
	alone set
	[[ $output =~ timeout\ +5s ]]
	alone -c 'set timeout 250ms; set timeout'
	[[ $output =~ timeout\ +250ms ]]
	alone set frob
	fails 2 '"frob" is no setting'
	alone set strict maybe
	fails 2 'strict: "maybe" is neither on nor off'
	alone set width 0
	fails 2 'width: "0" is too small'
	alone set width 257
	fails 2 "too large"
	alone set timeout 5
	fails 2 "not a duration"
	alone set trace 2M
	fails 2 "too large"
}
