#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Migration to a file and back, with servers that follow a script.

load helpers

STOP=1
RUNNING=2
STOP_COPY=3
RESUMING=4
PRE_COPY=6

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	SOCK=$PWD/peer
}

teardown() {
	stop_peers
}

# A script that greets, with transfers of 8 bytes, and does what is given then.
script() {
	local json='{"capabilities":{"max_data_xfer_size":8}}'

	start_script <<<"recv
reply 00000100 $(printf '%s\0' "$json" | xxd -p | tr -d '\n')
$1
drain"
}

# Each is one exchange. What the device can do: can FLAGS; where it is: is STATE.
can() {
	printf 'recv\nreply 10000000 01000100 %s\n' "$(le 8 "$1")"
}

is() {
	printf 'recv\nreply 10000000 02000100 %s ffffffff\n' "$(le 4 "$1")"
}

# It must be asked to go to STATE, as the client sees by what is repeated.
goes() {
	printf 'recv\nreply 10000000 02000200 %s ffffffff\n' "$(le 4 "$1")"
}

# Data that is read: gives TEXT; and written: takes.
gives() {
	printf 'recv\nreply %s %s %s\n' "$(le 4 $((8 + ${#1})))" "$(le 4 ${#1})" \
		"$(printf %s "$1" | xxd -p)"
}

takes() {
	printf 'recv\nreply\n'
}

refuses() {
	printf 'recv\nreply-error %s\n' "$1"
}

@test "state shows where the device is, and sends it elsewhere" {
	script "$(is $RUNNING; goes $STOP; is $STOP; is 9)"
	vfu -c 'migration state; migration state stop; migration state; migration state'
	prints $'running\nstop\n9'
	end_script
	script "$(is $RUNNING; goes $PRE_COPY)"
	vfu -j -c 'migration state; migration state pre-copy'
	json 1 '.device_state == "running"'
	json 2 '.device_state == "pre-copy"'
}

@test "states that are none, or that nobody can ask for" {
	alone migration state walking
	fails 2 "stop, running, stop-copy, resuming, pre-copy"
	script "$(refuses EINVAL)"
	vfu -k -c 'migration state error; set strict off; migration state running-p2p'
	fails 2 "set strict off sends it"
	[[ $stderr == *EINVAL* ]]
	end_script
}

@test "a way that the server rules out" {
	script "$(refuses EINVAL)"
	vfu -c 'expect EINVAL migration state pre-copy'
	prints ""
}

@test "save stops the device and keeps all it has" {
	script "$(can 1; is $RUNNING; goes $STOP; goes $STOP_COPY; gives 01234567
		gives 89abcdef; gives XYZ; goes $STOP)"
	vfu migration save file
	prints ""
	[ "$(cat file)" = 0123456789abcdefXYZ ]
	[ ! -e file.part ]
	end_script
}

@test "save begins while the device runs, if it can" {
	script "$(can 5; is $RUNNING; goes $PRE_COPY; gives 01234567; gives ab
		goes $STOP_COPY; gives 'the rest'; gives ''; goes $STOP)"
	vfu -j migration save file
	json '.bytes == 18 and .precopy_bytes == 10 and .device_state == "stop"'
	json '.file == "file" and (.seconds | type == "number")'
	[ "$(cat file)" = "01234567abthe rest" ]
	end_script
}

@test "save --precopy 0 stops it at once, and any other time it goes on" {
	script "$(can 5; is $RUNNING; goes $STOP; goes $STOP_COPY; gives a; goes $STOP)"
	vfu migration save --precopy 0 file
	prints ""
	[ "$(cat file)" = a ]
	end_script
	# More than one look for more fits into the time; a peer that is not asked fails.
	script "$(can 5; is $RUNNING; goes $PRE_COPY; gives a; gives b)
recv
sleep 100
reply $(le 4 9) $(le 4 1) 63
$(goes $STOP_COPY; gives d; goes $STOP)"
	vfu migration save --precopy 100ms file
	prints ""
	[ "$(cat file)" = abcd ]
	end_script
	script "$(can 1; is $RUNNING)"
	vfu migration save --precopy 1s file
	fails 1 "has no pre-copy"
}

@test "save of a device that stands still, or is saving already" {
	script "$(can 5; is $STOP; goes $STOP_COPY; gives a; goes $STOP)"
	vfu -v migration save file
	[ "$status" -eq 0 ]
	[[ $stderr == *"file: 1 bytes in "*"; the device is in stop"* ]]
	end_script
	script "$(can 5; is $STOP_COPY; gives b; goes $STOP)"
	vfu migration save file
	prints ""
	[ "$(cat file)" = b ]
	end_script
}

@test "save to a pipe" {
	script "$(can 1; is $STOP; goes $STOP_COPY; gives 01234567; gives a; goes $STOP)"
	"$VFUCTL" -s "$SOCK" migration save >(cat >out)
	until_true grep -q 01234567a out
}

@test "a save that fails brings the device back, and leaves the file as it was" {
	echo precious >file
	script "$(can 5; is $RUNNING; goes $PRE_COPY; gives 01234567; refuses EIO
		is $PRE_COPY; goes $RUNNING)"
	vfu migration save file
	fails 1 "EIO"
	[[ $stderr == *"back in the state running"* ]]
	end_script
	script "$(can 1; is $RUNNING; goes $STOP; goes $STOP_COPY; gives 01234567; refuses EIO
		is $STOP_COPY; goes $STOP; goes $RUNNING)"
	vfu migration save file
	fails 1 "back in the state running"
	end_script
	script "$(can 1; is $STOP; goes $STOP_COPY; refuses EIO; is $STOP_COPY; goes $STOP)"
	vfu migration save file
	fails 1 "back in the state stop"
	end_script
	script "$(can 1; is $RUNNING; refuses EBUSY; is 0)"
	vfu migration save file
	fails 1 "EBUSY"
	[[ $stderr == *"cannot be brought back"* ]]
	[ "$(cat file)" = precious ]
	[ ! -e file.part ]
}

@test "a save that cannot be written does not stop the device for good" {
	script "$(can 1; is $RUNNING; goes $STOP; goes $STOP_COPY; gives 01234567
		is $STOP_COPY; goes $STOP; goes $RUNNING)"
	vfu migration save /dev/full
	fails 1 "ENOSPC"
	end_script
	script "$(can 1; is $RUNNING)"
	vfu migration save /nonexistent/file
	fails 1 "ENOENT"
	end_script
}

@test "a save that is interrupted brings the device back" {
	script "$(can 5; is $RUNNING; goes $PRE_COPY; gives a)
recv
sleep 300
reply $(le 4 9) $(le 4 1) 62
$(is $PRE_COPY; goes $RUNNING)"
	"$VFUCTL" -s "$SOCK" migration save --precopy 1m file 2>why 3>&- &
	pid=$!
	until_true eval '[ "$(wc -l <heard)" -ge 6 ]'
	kill -INT "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 130 ]
	grep -q "interrupted; the device is back in the state running" why
	[ ! -e file ] && [ ! -e file.part ]
	end_script
}

@test "a save whose server leaves, lies, or is silent" {
	script "$(can 1; is $STOP; goes $STOP_COPY)
recv
close"
	vfu migration save file
	fails 3 "closed the connection"
	script "$(can 1; is $STOP; goes $STOP_COPY)
recv
reply 10000000 08000000 00
$(is $STOP_COPY; goes $STOP)"
	vfu migration save file
	fails 3 "at offset"
	end_script
	script "$(can 1; is $STOP; goes $STOP_COPY)
recv
sleep 100
$(is $STOP_COPY; goes $STOP)"
	vfu -t 50ms migration save file
	fails 4 "no reply"
	[ ! -e file ] && [ ! -e file.part ]
}

@test "a device that does not migrate, or is broken" {
	script "$(refuses ENOTTY; can 4; is $RUNNING)"
	vfu -k -c 'migration save file; migration save file'
	fails 1 "ENOTTY"
	[[ $stderr == *"stop-copy is not among"* ]]
	end_script
	script "$(can 1; is 0; is 0)"
	vfu migration save file
	fails 1 "reset it"
	[ ! -e file ] && [ ! -e file.part ]
}

@test "load stops the device, and writes all there is" {
	printf 0123456789abcdefXYZ >file
	script "$(can 1; is $RUNNING; goes $STOP; goes $RESUMING; takes; takes; takes
		goes $STOP)"
	vfu -j migration load file
	json '.bytes == 19 and .device_state == "stop" and .file == "file"'
	end_script
	# size 8, argsz 16 and the data; the last one has 3 bytes
	[[ $(sed -n 6p heard) == *1000000008000000"$(printf 01234567 | xxd -p)" ]]
	[[ $(sed -n 8p heard) == *0b00000003000000"$(printf XYZ | xxd -p)" ]]
}

@test "load has several pieces under way" {
	head -c 32 /dev/zero >file
	script "$(can 1; is $STOP; goes $RESUMING)
recv
recv 32
recv 32
recv 32
recv 32
recv"
	"$VFUCTL" -t 1s -s "$SOCK" migration load file 2>why 3>&- &
	pid=$!
	# Four come though none is answered.
	until_true eval '[ "$(wc -l <heard)" -ge 8 ]'
	kill "$pid"
	wait "$pid" || :
}

@test "load from a pipe, and of nothing" {
	script "$(can 1; is $STOP; goes $RESUMING; takes; takes; goes $STOP)"
	run --separate-stderr "$VFUCTL" -s "$SOCK" migration load <(printf 0123456789)
	prints ""
	end_script
	: >file
	script "$(can 1; is $STOP; goes $RESUMING; goes $STOP)"
	vfu migration load file
	prints ""
	end_script
}

@test "a load that fails says where it leaves the device" {
	printf 0123456789 >file
	script "$(can 1; is $STOP; goes $RESUMING; refuses ENOSPC; refuses ENOSPC)"
	vfu migration load file
	fails 1 ENOSPC
	[[ $stderr == *"left in the state resuming until a reset"* ]]
	end_script
	script "$(can 1; is $STOP; goes $RESUMING; takes; takes; refuses EINVAL)"
	vfu migration load file
	fails 1 EINVAL
	[[ $stderr == *"left in the state resuming"* ]]
}

@test "load of what cannot be read sends nothing" {
	script ''
	vfu migration load none
	fails 2 "none: ENOENT"
	end_script
	script ''
	vfu migration load .
	fails 2 "EISDIR"
	end_script
	[ "$(wc -l <heard)" -eq 1 ]
}
