#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Commands on regions: read, write, multi, poll, dump, fill, save, load.

load helpers

setup() {
	start_server
}

teardown() {
	stop_server
}

@test "read prints the value alone, two digits a byte" {
	vfu read bar0 0
	prints 0x010000ed
	vfu read 0 0 4
	prints 0x010000ed
	vfu read config 0 2
	prints 0x1234
	vfu read config 0 1
	prints 0x34
	vfu read config 0 8
	prints 0x0010000011e81234
}

@test "write says nothing, and arrives" {
	vfu write bar0 4 0x12345678
	prints ""
	vfu read bar0 4
	prints 0xedcba987
}

@test "write -p arrives before the next read" {
	vfu -c 'write -p bar0 4 7; read bar0 4'
	prints 0xfffffff8
	vfu -c 'set posting off; write bar0 4 8 -p; read bar0 4'
	prints 0xfffffff7
}

@test "posted writes are gathered, unless they should not be" {
	vfu -c 'repeat 3 write -p bar0 4 7; read bar0 4; set coalesce off
		repeat 3 write -p bar0 4 9; read bar0 4'
	prints $'0xfffffff8\n0xfffffff6'
}

# A peer with a bar0 of 256 bytes, its capabilities, and its standard input.
play_bar0() {
	stop_server
	play "${2-/dev/null}" <<-END
		$(greets "$1")
		recv
		reply $(u32 32 3 0 0)$(u64 256 0)
		$(cat)
	END
}

@test "an error that comes for a posted write is told, and counted" {
	play_bar0 "" <<-END
		recv
		reply-error EINVAL
		recv
		reply $(u64 4)$(u32 0 4 0x12345678)
		drain
	END
	vfu -c 'write -p bar0 0 1; read bar0 4; status'
	[ "$status" -eq 3 ]
	[[ $stderr == *"posted write: a reply to REGION_WRITE, id "*"EINVAL (Invalid argument)"* ]]
	contains 0x12345678
	grep -Eq '^errors of posted writes +1$' <<<"$output"
	played
}

@test "posted writes that cannot go at once are gathered if that was agreed" {
	cd "$BATS_TEST_TMPDIR"
	mkfifo go commands
	exec 7<>go 8<>commands
	play_bar0 '"write_multiple":true' go <<<$'await\ndrain'
	"$VFUCTL" -s "$SOCK" <commands >out 2>err 3>&- 7>&- 8>&- &
	local pid=$!
	multi_sent() {
		echo status >&8
		grep -q REGION_WRITE_MULTI out
	}
	echo 'repeat 3000 write -p bar0 4 7; echo all queued' >&8
	until_true grep -q "all queued" out
	echo >&7
	until_true multi_sent
	echo quit >&8
	wait "$pid"
	[ ! -s err ]
	played
	exec 7>&- 8>&-
}

@test "multi writes several values with one message" {
	vfu -c 'multi bar0 4 1 4 bar0 4 2 4; read bar0 4; trace show 4'
	[ "$status" -eq 0 ]
	contains 0xfffffffd
	contains "REGION_WRITE_MULTI"
	lacks "REGION_WRITE  "
}

@test "poll waits for bits" {
	vfu -c 'write bar0 8 10; poll bar0 0x20 1 0; read bar0 8'
	prints 0x00375f00
}

@test "poll gives up in time" {
	vfu poll bar0 0 1 0 100ms
	fails 4 "poll: not within the time: 0x010000ed"
	vfu -t 100ms poll bar0 0 1 0
	fails 4 "not within the time"
}

@test "poll for what can never hold is refused" {
	vfu poll bar0 0 1 2
	fails 2 "it can never hold"
	vfu poll bar0 0 0x100000000 0
	fails 2 "does not fit into 4 bytes"
}

@test "dump prints offsets, bytes and characters" {
	vfu dump config 0 20
	prints "\
00000000  34 12 e8 11 00 00 10 00  10 00 ff 00 00 00 00 00  |4...............|
00000010  00 00 00 00                                       |....|
00000014"
}

@test "dump leaves repeated lines out" {
	vfu -c 'dma map 0 4K; dma write 0 0x41; dma dump 0 64'
	prints "\
00000000  41 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |A...............|
00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00000040"
}

@test "dump of nothing prints nothing" {
	vfu dump config 0 0
	prints ""
	vfu dump config 0x100 0
	prints ""
}

@test "set width changes the lines of a dump" {
	vfu -c 'set width 4; dump config 0 8'
	prints "\
00000000  34 12 e8 11  |4...|
00000004  00 00 10 00  |....|
00000008"
}

@test "save and load carry a region through a file" {
	vfu save config 0 256 "$BATS_TEST_TMPDIR/config"
	prints ""
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/config")" -eq 256 ]
	[ "$(xxd -p -l 4 "$BATS_TEST_TMPDIR/config")" = 3412e811 ]
	vfu load config 0 "$BATS_TEST_TMPDIR/config"
	prints ""
}

@test "save writes over what a file held" {
	head -c 1000 /dev/zero >"$BATS_TEST_TMPDIR/f"
	vfu save config 0 4 "$BATS_TEST_TMPDIR/f"
	prints ""
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/f")" -eq 4 ]
	vfu save config 0 0 "$BATS_TEST_TMPDIR/f"
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/f")" -eq 0 ]
}

@test "a save that is refused leaves the file as it was" {
	echo precious >"$BATS_TEST_TMPDIR/f"
	vfu save config 0 257 "$BATS_TEST_TMPDIR/f"
	fails 2 "beyond the end of region 7 (config)"
	vfu -c 'set strict off; save config 300 4 '"$BATS_TEST_TMPDIR/f"
	fails 1 EINVAL
	[ "$(cat "$BATS_TEST_TMPDIR/f")" = precious ]
}

@test "a save that fails on its way leaves the file as it was, and no other" {
	cd "$BATS_TEST_TMPDIR" || return 1
	echo precious >f
	vfu -c 'set strict off; save bar0 0 3M f'
	fails 1 EINVAL
	[ "$(cat f)" = precious ]
	vfu -c 'set strict off; save bar0 0 3M new'
	fails 1 EINVAL
	[ ! -e f.part ] && [ ! -e new ] && [ ! -e new.part ]
}

@test "save keeps the mode of the file it replaces, and follows links" {
	cd "$BATS_TEST_TMPDIR" || return 1
	echo old >f
	chmod 640 f
	ln -s f link
	vfu save config 0 4 link
	prints ""
	[ "$(xxd -p f)" = 3412e811 ]
	[ -L link ]
	[ "$(stat -c %a f)" = 640 ]
	[ ! -e f.part ] && [ ! -e link.part ]
}

@test "save to our own output goes there" {
	"$VFUCTL" -s "$SOCK" -c 'save config 0 2 /dev/stdout; echo after' >"$BATS_TEST_TMPDIR/f"
	[ "$(xxd -p "$BATS_TEST_TMPDIR/f")" = 3412"$(printf 'after\n' | xxd -p)" ]
}

@test "save to a pipe, load from one" {
	"$VFUCTL" -s "$SOCK" save config 0 4 >(xxd -p >"$BATS_TEST_TMPDIR/out")
	until_true grep -q 3412e811 "$BATS_TEST_TMPDIR/out"
	vfu -c "load bar0 4 $BATS_TEST_TMPDIR/none"
	fails 2 ENOENT
	run --separate-stderr "$VFUCTL" -s "$SOCK" load bar0 4 <(printf '\1\0\0\0')
	prints ""
	vfu read bar0 4
	prints 0xfffffffe
}

@test "load of more than the region holds sends nothing" {
	head -c 257 /dev/zero >"$BATS_TEST_TMPDIR/f"
	vfu -v load config 0 "$BATS_TEST_TMPDIR/f"
	fails 2 "beyond the end of region 7 (config)"
	[[ $stderr != *REGION_WRITE* ]]
	vfu load config 0 /dev/zero
	fails 2 "/dev/zero"
}

@test "load of what cannot be read" {
	vfu load bar0 0 "$BATS_TEST_TMPDIR/none"
	fails 2 "load: $BATS_TEST_TMPDIR/none: ENOENT (No such file or directory)"
	vfu load bar0 0 "$BATS_TEST_TMPDIR"
	fails 2 EISDIR
}

@test "large transfers are split, and whole" {
	vfu -v save bar0 0 1M "$BATS_TEST_TMPDIR/f"
	[ "$status" -eq 0 ]
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/f")" -eq 1048576 ]
	head -c 3M /dev/urandom >"$BATS_TEST_TMPDIR/in"
	vfu -c "dma map 0 3M; dma load 0 $BATS_TEST_TMPDIR/in
		dma save 0 3M $BATS_TEST_TMPDIR/out; dma fill 0 3M 0x5a; dma read 0x2ffffc"
	prints 0x5a5a5a5a
	cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
}

@test "a full disk while saving" {
	vfu save bar0 0 64K /dev/full
	fails 1 "save: /dev/full: ENOSPC (No space left on device)"
	vfu save bar0 0 64K /nonexistent/f
	fails 1 "save: /nonexistent/f: ENOENT"
}

@test "no progress is shown but on a terminal" {
	vfu -c 'repeat 5 save bar0 0 1M /dev/null'
	prints ""
}

@test "an offset beyond the region is refused before anything is sent" {
	vfu -v read bar0 1M
	fails 2 "bar0"
	[[ $stderr != *REGION_READ* ]]
	vfu write bar0 0xfffff 0
	fails 2 "bar0"
	vfu read bar1 0
	fails 2 "bar1"
	vfu read bar0 0xffffffffffffffff 8
	fails 2 "bar0"
	vfu dump bar0 0xffffffffffffffff 8
	fails 2 "beyond"
	vfu dump bar0 1M 1
	fails 2 "beyond the end of region 0 (bar0), which has 0x100000 bytes"
	vfu fill bar0 0xfffff 2 0
	fails 2 "beyond the end"
}

@test "set strict off sends it all the same" {
	vfu -c 'set strict off; read bar0 1M'
	fails 1 "read: the server refused"
	[[ $stderr == *"EINVAL (Invalid argument)"* ]]
}

@test "a region that does not exist" {
	vfu read bar6 0
	fails 2 '"bar6" is not a region'
	vfu read 9 0
	fails 1 EINVAL
	vfu read 4294967296 0
	fails 2 "is not a region"
}

@test "values that do not fit are refused" {
	vfu write bar0 4 0x100 1
	fails 2 "0x100 does not fit into 1 byte"
	vfu write bar0 4 0x100000000
	fails 2 "does not fit into 4 bytes"
	vfu multi bar0 4 0x100 1
	fails 2 "does not fit into 1 byte"
	vfu fill bar0 4 4 256
	fails 2 "more than a byte holds"
}

@test "numbers are never guessed" {
	for word in 0x 1x 010 -1 18446744073709551616 16777216T 1k ''; do
		vfu read bar0 "$word"
		fails 2 "\"$word\" "
	done
	vfu read bar0 0K 4
	prints 0x010000ed
}

@test "a dump that nobody could read is refused" {
	vfu dump bar0 0 1G
	fails 2 "use save"
}

@test "multi takes no more writes than a message holds" {
	words=
	for ((i = 0; i < 201; i++)); do words+=" bar0 4 1 4"; done
	vfu -c "multi $words"
	fails 2 "201 writes; a message holds 200"
	vfu -c "multi ${words# bar0 4 1 4}"
	prints ""
}
