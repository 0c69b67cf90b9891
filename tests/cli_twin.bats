#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The twin socket: offered or not, and what comes over it.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	DEVICE=demo start_server
}

teardown() {
	stop_server
	stop_peers
}

# The device fills 16 bytes of memory at 0x10000.
FILL='dma map 0x10000 4096 --no-fd
write bar0 0x88 0x10000 8
write bar0 0x90 16 8
write bar0 0xac 0x5a
write bar0 0xa0 0x07
poll bar0 0xa4 2 2 5s'

@test "it is offered unless set twin off says otherwise" {
	vfu -j -c 'caps; set twin off; connect '"$SOCK"'; caps; set twin on; connect '"$SOCK"'; caps'
	[ "$status" -eq 0 ]
	json 1 '.ours.twin_socket.supported and .theirs.twin_socket.supported and
		.in_force.twin_socket.supported'
	json 4 '(.ours.twin_socket.supported or .theirs.twin_socket.supported) | not'
	json 7 '.in_force.twin_socket.supported'
}

# A server that says JSON at the handshake and keeps what it was told.
start_greeter() {
	local text=$1 size

	size=$(printf %02x $((16 + 4 + ${#text} + 1)))
	{
		printf '\0\0\1\0'
		printf '%b' "\\x$size"
		printf '\0\0\0\1\0\0\0\0\0\0\0\0\0\2\0%s\0' "$text"
	} >reply
	start_peer peer.sock 'dd bs=64K count=1 of=got status=none; cat reply; cat >/dev/null'
}

@test "set twin off does not name it at all" {
	start_greeter '{}'
	alone -c 'set twin off; connect peer.sock'
	[ "$status" -eq 0 ]
	run ! grep -q twin got
	alone connect peer.sock
	[ "$status" -eq 0 ]
	grep -q '"twin_socket":{"supported":true}' got
}

@test "set twin is for the next connect, on or off" {
	vfu -c 'caps; set twin off; status; set twin'
	[ "$status" -eq 0 ]
	contains 'over a twin socket'
	contains 'twin       off'
	vfu set twin maybe
	fails 2 twin
}

@test "status says which socket the server's commands come over" {
	vfu status
	[ "$status" -eq 0 ]
	contains "the server's commands      over a twin socket"
	alone -c "set twin off; connect $SOCK; status"
	contains "the server's commands      over the same socket"
	vfu -j -c 'status; set twin off; connect '"$SOCK"'; status'
	[ "$status" -eq 0 ]
	json 1 '.twin_socket == {used: true}'
	json 4 '.twin_socket == {used: false}'
}

@test "the server reaches memory over it, and over the first without it" {
	for twin in on off; do
		alone -c "set twin $twin; connect $SOCK; $FILL; dma read 0x10000 8"
		[ "$status" -eq 0 ]
		[ "${lines[-1]}" = 0x5a5a5a5a5a5a5a5a ]
		[ -z "$stderr" ]
	done
}

@test "the trace and the counters hold what came over it" {
	vfu -j -c "$FILL; status; trace show"
	[ "$status" -eq 0 ]
	line=$(grep -c . <<<"$output")
	json $((line - 1)) '.messages.DMA_WRITE.received == {messages: 1, bytes: 48, errors: 0} and
		.messages.DMA_WRITE.sent.messages == 1'
	[[ $(tail -1 <<<"$output") == *DMA_WRITE*DMA_WRITE* ]]
}

@test "what the device asks in vain is told as ever" {
	vfu -c "dma map 0x10000 4096 r --no-fd; ${FILL#*$'\n'}; read bar0 0xa8; read bar0 0"
	[ "$status" -eq 0 ]
	contains 0x00000001 # EPERM
	contains 0x4f4d4544
}

@test "an agreed twin that does not come is an error" {
	start_greeter '{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}'
	alone -s peer.sock read bar0 0
	fails 3 'the server agrees to a twin socket, but of the 0 descriptors that came none is it'
}
