# SPDX-License-Identifier: BSD-3-Clause
# What the tests of the command line share: a server of their own, and what to look at.
# shellcheck shell=bash disable=SC2154,SC2317

bats_require_minimum_version 1.5.0

VFUCTL=$(realpath "${VFUCTL:-$BATS_TEST_DIRNAME/../build/san/vfuctl}")
PEER=$(realpath "${PEER:-$BATS_TEST_DIRNAME/../build/san/tests/peer}")
export VFUCTL
PEER=$(realpath "${PEER:-$BATS_TEST_DIRNAME/../build/san/tests/peer}")
# Sanitizers must not look like a failure that was expected.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:exitcode=99}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1:exitcode=99}"
export LC_ALL=C.UTF-8
unset VFUCTL_SOCKET XDG_STATE_HOME NO_COLOR

SOCK=$BATS_TEST_TMPDIR/edu.sock
SERVER=
PIDS=()

# Waits until the command holds, at most 10 seconds.
until_true() {
	local i

	for ((i = 0; i < 500; i++)); do
		"$@" 2>/dev/null && return 0
		sleep 0.02
	done
	echo "waited in vain for: $*"
	return 1
}

# Starts the embedded device at $SOCK.
start_server() {
	"$VFUCTL" serve --socket-path="$SOCK" --device="${DEVICE:-edu}" "$@" \
		2>"$BATS_TEST_TMPDIR/server.log" 3>&- &
	SERVER=$!
	until_true test -S "$SOCK"
}

# Ends it; it must end well, as it must not leak.
stop_server() {
	local status=0

	[ -n "$SERVER" ] || return 0
	kill "$SERVER" 2>/dev/null || :
	wait "$SERVER" || status=$?
	SERVER=
	if [ "$status" -ne 0 ]; then
		echo "the server ended with $status:"
		cat "$BATS_TEST_TMPDIR/server.log"
		return 1
	fi
}

# The scripted peer plays a server at $SOCK; its script comes from standard input. What it
# receives stands in "heard", a line a message. end_script waits until it has been played.
start_script() {
	"$PEER" --listen="$SOCK" - >"$BATS_TEST_TMPDIR/heard" 2>"$BATS_TEST_TMPDIR/peer.log" \
		3>&- <<<"$(cat)" &
	PIDS+=($!)
	until_true test -S "$SOCK"
}

end_script() {
	local pid=${PIDS[-1]} status=0

	unset 'PIDS[-1]'
	wait "$pid" || status=$?
	[ "$status" -eq 0 ] || { cat "$BATS_TEST_TMPDIR/peer.log"; return 1; }
}

# Little-endian bytes of a number: le BYTES NUMBER.
le() {
	local i

	for ((i = 0; i < $1; i++)); do printf '%02x' $((($2 >> 8 * i) & 255)); done
}

# Something else that listens: peer SOCKET SHELL-COMMAND, its standard input and output the
# connection.
start_peer() {
	socat "UNIX-LISTEN:$1,fork" "SYSTEM:$2" 2>/dev/null 3>&- &
	PIDS+=($!)
	until_true test -S "$1"
}

stop_peers() {
	local pid

	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	PIDS=()
}

# The program with the server, and without one: $status, $output, $stderr.
vfu() {
	run --separate-stderr "$VFUCTL" -s "$SOCK" "$@"
}

alone() {
	run --separate-stderr "$VFUCTL" "$@"
}

# Plays a server at $SOCK from the script on standard input, see peer.c. What it hears is in
# peer.log. Its own standard input is what follows, if anything does.
play() {
	cat >"$BATS_TEST_TMPDIR/peer.script"
	"$PEER" --listen="$SOCK" "$BATS_TEST_TMPDIR/peer.script" \
		<"${1-/dev/null}" >"$BATS_TEST_TMPDIR/peer.log" 2>&1 3>&- &
	SERVER=$!
	until_true test -S "$SOCK"
}

# The script was played to its end.
played() {
	local status=0

	wait "$SERVER" || status=$?
	SERVER=
	[ "$status" -eq 0 ] || {
		echo "the peer ended with $status:"
		cat "$BATS_TEST_TMPDIR/peer.log"
		return 1
	}
}

# Little-endian bytes of a number: le BYTES NUMBER; of numbers of 32 and 64 bits.
le() {
	local i

	for ((i = 0; i < $1; i++)); do printf '%02x' $((($2 >> 8 * i) & 255)); done
}
u32() {
	local n

	for n; do le 4 "$n"; done
}
u64() {
	local n

	for n; do le 8 "$n"; done
}

# For such a script: the handshake with capabilities, "max_msg_fds":8.
greets() {
	echo recv
	echo "reply 00000200 $(printf '{"capabilities":{%s}}\0' "$1" | xxd -p | tr -d '\n')"
}

explain() {
	echo "$1"
	echo "status: $status"
	echo "stdout: $output"
	echo "stderr: $stderr"
	return 1
}

# It went well, and printed exactly this.
prints() {
	[ "$status" -eq 0 ] || explain "expected status 0" || return 1
	[ "$output" = "$1" ] || explain "expected on stdout: $1" || return 1
	[ -z "$stderr" ] || explain "expected nothing on stderr" || return 1
}

# It failed with this status, said this on standard error, and nothing on standard output.
fails() {
	[ "$status" -eq "$1" ] || explain "expected status $1" || return 1
	[[ $stderr == *"$2"* ]] || explain "expected on stderr: $2" || return 1
	[ -z "$output" ] || explain "expected nothing on stdout" || return 1
}

# The same, when commands before the failing one had results.
fails_after() {
	[ "$status" -eq "$1" ] || explain "expected status $1" || return 1
	[[ $stderr == *"$2"* ]] || explain "expected on stderr: $2" || return 1
	[ "$output" = "$3" ] || explain "expected on stdout: $3" || return 1
}

contains() {
	[[ $output == *"$1"* ]] || explain "expected on stdout: $1"
}

lacks() {
	[[ $output != *"$1"* ]] || explain "not expected on stdout: $1"
}

# A filter of jq that is true for the only line, or for line N of the output.
json() {
	local line=$output

	[ $# -eq 1 ] || { line=$(sed -n "$1p" <<<"$output"); shift; }
	jq -e "$1" <<<"$line" >/dev/null || explain "expected: $1"
}
