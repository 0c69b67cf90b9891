#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Servers that misbehave: at each step of the handshake, and after it.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	SOCK=$PWD/peer
}

teardown() {
	stop_peers
}

# A message in hex: message ID COMMAND FLAGS PAYLOAD-HEX [SIZE].
message() {
	le 2 "$1"
	le 2 "$2"
	le 4 "${5-$((16 + ${#4} / 2))}"
	le 4 "$3"
	le 4 0
	printf %s "$4"
}

# The reply to VERSION: version JSON [MAJOR [MINOR]]. Text and its NUL.
version() {
	message 0 1 1 "$(le 2 "${2-0}")$(le 2 "${3-2}")$(printf '%s\0' "$1" | xxd -p | tr -d '\n')"
}

# A server that answers the Nth message with the Nth argument (hex), then waits.
serve() {
	local script='' n=0 hex

	for hex; do
		n=$((n + 1))
		xxd -r -p <<<"$hex" >"reply$n"
		script+="dd bs=64K count=1 of=/dev/null status=none; cat reply$n; "
	done
	start_peer "$SOCK" "${script}sleep 20"
}

# The same, but it closes the connection after its last answer.
serve_and_close() {
	serve "$@"
	stop_peers
	rm -f "$SOCK"
	start_peer "$SOCK" "${script-}$(
		for ((i = 1; i <= $#; i++)); do
			printf 'dd bs=64K count=1 of=/dev/null status=none; cat reply%d; ' "$i"
		done
	)"
}

@test "silence" {
	serve ''
	vfu -t 200ms read bar0 0
	fails 4 "$SOCK: no reply"
}

@test "it closes at once" {
	start_peer "$SOCK" true
	vfu read bar0 0
	fails 3 "$SOCK: "
}

@test "it closes after the request" {
	serve_and_close ''
	vfu read bar0 0
	fails 3 "closed the connection"
}

@test "it closes in the middle of the reply" {
	hex=$(version '{}')
	for len in 2 16 30 34; do
		stop_peers
		rm -f "$SOCK"
		serve_and_close "${hex:0:len}"
		vfu read bar0 0
		fails 3 "closed the connection"
	done
}

@test "nonsense instead of a header" {
	serve "$(printf 'hello world, this is nonsense' | xxd -p | tr -d '\n')"
	vfu read bar0 0
	fails 3 "offset 8, flags"
	[[ $stderr == *"68 65 6c 6c 6f"* ]]
	vfu -j read bar0 0
	json '.error.kind == "protocol" and .error.field == "flags" and .error.offset == 8'
}

@test "a size below the header's" {
	serve "$(message 0 1 1 '' 15)"
	vfu read bar0 0
	fails 3 "offset 4, size"
}

@test "a size beyond all reason" {
	serve "$(message 0 1 1 00000200 4294967295)"
	vfu -t 500ms read bar0 0
	[ "$status" -ge 3 ]
	[ -z "$output" ]
}

@test "an error reply" {
	serve "000001001000000021000000160000"00
	vfu read bar0 0
	fails 1 "EINVAL (Invalid argument)"
}

@test "another major, a minor above ours" {
	serve "$(version '{}' 1 0)"
	vfu read bar0 0
	fails 3 major
	stop_peers
	rm -f "$SOCK"
	serve "$(version '{}' 0 3)"
	vfu read bar0 0
	fails 3 minor
}

@test "a reply to something else" {
	serve "$(message 0 9 1 00000200)"
	vfu -t 500ms read bar0 0
	[ "$status" -ge 3 ]
	[ -z "$output" ]
}

@test "a payload that is cut" {
	serve "$(message 0 1 1 0000)"
	vfu read bar0 0
	fails 3 "$SOCK: "
}

@test "capabilities that are no JSON" {
	serve "$(version '{"capabilities":')"
	vfu read bar0 0
	fails 3 "$SOCK: "
}

@test "capabilities beyond their limits name the member and the value" {
	serve "$(version '{"capabilities":{"max_msg_fds":17}}')"
	vfu read bar0 0
	fails 3 max_msg_fds
	[[ $stderr == *17* ]]
	stop_peers
	rm -f "$SOCK"
	serve "$(version '{"capabilities":{"migration":{"pgsize":4097}}}')"
	vfu read bar0 0
	fails 3 pgsize
	[[ $stderr == *4097* ]]
}

@test "unknown capabilities are reported, and nothing more" {
	serve "$(version '{"capabilities":{"teleport":true}}')"
	vfu caps
	[ "$status" -eq 0 ]
	[[ $stderr == *teleport* ]]
}

@test "a reply without capabilities will do" {
	serve "$(message 0 1 1 00000000)"
	vfu status
	[ "$status" -eq 0 ]
	[[ $output =~ version\ +0\.0 ]]
}

@test "it closes after the handshake" {
	serve_and_close "$(version '{}')"
	vfu info
	fails 3 "closed the connection"
	vfu -k -c 'info; read bar0 0'
	fails 3 "lost before"
}

@test "it goes silent after the handshake" {
	serve "$(version '{}')" ''
	vfu -t 200ms info
	fails 4 "info: no reply to DEVICE_GET_INFO"
}

@test "it answers nonsense after the handshake" {
	serve "$(version '{}')" "$(printf 'hello world, this is nonsense' | xxd -p | tr -d '\n')"
	vfu info
	fails 3 "info: "
	[[ $stderr == *"offset 8, flags"*"68 65 6c 6c 6f"* ]]
}

@test "absurd counts of regions and interrupts" {
	serve "$(version '{}')" "$(message 1 4 1 "$(le 4 16)$(le 4 2)$(le 4 101)$(le 4 5)")"
	vfu info
	fails 3 num_regions
	stop_peers
	rm -f "$SOCK"
	serve "$(version '{}')" "$(message 1 4 1 "$(le 4 16)$(le 4 2)$(le 4 9)$(le 4 51)")"
	vfu info
	fails 3 num_irqs
}

@test "a reply nobody waits for is reported, and the exit status tells" {
	hex=$(message 1 4 1 "$(le 4 16)$(le 4 0)$(le 4 0)$(le 4 0)")
	serve "$(version '{}')" "$(message 77 9 1 '')$hex"
	vfu regions
	[ "$status" -eq 3 ]
	[[ $stderr == *"protocol: "* ]]
	contains region
}

@test "a region's capabilities that lead astray are shown, not followed" {
	# flags 8 (caps), cap_offset 32: id 1, version 1, next 32 again
	info=$(le 4 16)$(le 4 0)$(le 4 1)$(le 4 0)
	region=$(le 4 48)$(le 4 9)$(le 4 0)$(le 4 32)$(le 8 4096)$(le 8 0)
	cap=$(le 2 3)$(le 2 1)$(le 4 32)$(le 8 0)
	serve "$(version '{}')" "$(message 1 4 1 "$info")" "$(message 2 5 1 "$region")" \
		"$(message 3 5 1 "$region$cap")"
	vfu regions
	[ "$status" -eq 0 ]
	contains "MSI-X mappable"
	contains "capabilities: "
}

@test "a connection lost during a sleep is said at once" {
	version '{}' | xxd -r -p >reply1
	# Without fork: when it is killed, nobody holds the connection.
	socat "UNIX-LISTEN:$SOCK" 'SYSTEM:dd bs=64K count=1 of=/dev/null status=none; cat reply1; cat' \
		3>&- &
	peer=$!
	until_true test -S "$SOCK"
	"$VFUCTL" -s "$SOCK" -c 'echo ready; sleep 20s' >out 2>err 3>&- &
	pid=$!
	until_true grep -q ready out
	kill "$peer"
	until_true grep -q "$SOCK: " err
	kill -INT "$pid"
	wait "$pid" || status=$?
	[ "$status" -eq 3 ]
}

@test "a request that comes along with a reply is answered" {
	read=$(message 5 11 0 "$(le 8 0)$(le 8 4)")
	version '{}' | xxd -r -p >reply1
	xxd -r -p <<<"$(message 1 13 1 '')$read" >reply2
	start_peer "$SOCK" 'dd bs=64K count=1 of=/dev/null status=none; cat reply1;
		dd bs=64K count=1 of=/dev/null status=none; cat reply2; head -c 16 | tee got; sleep 5'
	vfu -c 'reset; sleep 300ms'
	[[ "$(xxd -p got)" == 05000b001000000021000000* ]]
}
