#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Batch: -c, -f, standard input; commands that run commands; what errors do there.

load helpers

setup() {
	start_server
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_server
}

@test "-c runs commands separated by semicolons and newlines" {
	vfu -c 'read bar0 0; echo "a  b" c # nothing
echo d'
	prints $'0x010000ed\na  b c\nd'
}

@test "-c and -f may repeat, and keep their order" {
	echo 'echo 2' >two
	echo 'echo 4' >four
	alone -c 'echo 1' -f two -c 'echo 3' -f four
	prints $'1\n2\n3\n4'
}

@test "-f - and no command at all read standard input" {
	run --separate-stderr "$VFUCTL" -s "$SOCK" -f - <<<'read bar0 0'
	prints 0x010000ed
	run --separate-stderr "$VFUCTL" -s "$SOCK" < <(printf 'read bar0 0\necho last, no newline')
	prints $'0x010000ed\nlast, no newline'
	echo 'echo 2' >two
	run --separate-stderr "$VFUCTL" -c 'echo 1' -f - -c 'echo 3' <two
	prints $'1\n2\n3'
	run --separate-stderr "$VFUCTL" </dev/null
	prints ""
}

@test "a program can write a command and wait for its result" {
	coproc "$VFUCTL" -s "$SOCK" 3>&-
	pid=$COPROC_PID
	echo 'read bar0 0' >&"${COPROC[1]}"
	read -r -t 10 line <&"${COPROC[0]}"
	[ "$line" = 0x010000ed ]
	printf 'echo "two\nlines"\n' >&"${COPROC[1]}"
	read -r -t 10 line <&"${COPROC[0]}"
	[ "$line" = two ]
	echo quit >&"${COPROC[1]}"
	wait "$pid"
}

@test "an error on line 3 shows before line 1 is run" {
	printf 'read bar0 0\nread bar0 0\nreed bar0 0\nread bar0 0\n' >script
	vfu -f script
	fails 2 'vfuctl: script:3: "reed" is no command'
	printf 'read bar0 0\n\nread bar0\n' >script
	vfu -f script
	fails 2 "vfuctl: script:3: read: OFFSET is missing"
	printf 'read bar0 0\n# x\necho "abc\n\n' >script
	vfu -f script
	fails 2 'vfuctl: script:3: a " is not closed'
	printf 'read bar0 0\n\nrepeat 3 time read bar9 0\n' >script
	vfu -f script
	fails 2 'vfuctl: script:3: repeat: "bar9" is not a region'
	vfu -c 'read bar0 0' -f script
	fails 2 'vfuctl: script:3: '
	run --separate-stderr "$VFUCTL" -s "$SOCK" <script
	fails 2 'vfuctl: stdin:3: '
}

@test "what comes through a pipe is run line by line" {
	run --separate-stderr "$VFUCTL" -s "$SOCK" < <(printf 'read bar0 0\n\nreed bar0 0\nread bar0 0\n')
	fails_after 2 'vfuctl: stdin:3: "reed" is no command' 0x010000ed
	run --separate-stderr "$VFUCTL" -s "$SOCK" < <(printf 'echo 1\necho "two')
	fails_after 2 'vfuctl: stdin:2: a " is not closed' 1
}

@test "the first command that fails ends a script" {
	printf 'echo 1\nread bar0 1M\necho 2\n' >script
	vfu -f script -c 'echo 3'
	fails_after 2 "vfuctl: script:2: read: " 1
	vfu -c 'set strict off' -f script
	fails_after 1 "script:2: read: the server refused REGION_READ: EINVAL (Invalid argument)" 1
}

@test "-k goes on, and the exit status is that of the first failure" {
	printf 'echo 1\nread bar0 1M\necho 2\nexpect 1 read bar0 0\necho 3\n' >script
	vfu -k -f script -c 'echo 4'
	fails_after 2 "script:2: read" $'1\n2\n3\n4'
	[[ $stderr == *"script:4: expect: expected 1, but there came: 0x010000ed"* ]]
	vfu -k -c 'expect 1 read bar0 0; read bar0 1M'
	[ "$status" -eq 1 ]
}

@test "a script that cannot be read" {
	alone -f missing
	fails 2 "vfuctl: missing: ENOENT (No such file or directory)"
	alone -f .
	fails 2 "vfuctl: .: EISDIR (Is a directory)"
	printf 'a\0b' >binary
	alone -f binary
	fails 2 "binary:1: a NUL character"
	run --separate-stderr bash -c '"$VFUCTL" <&-'
	fails 2 "stdin: cannot read: EBADF"
	alone -c 'echo 1' -f missing
	fails 2 missing
}

@test "source runs a file, which may source others" {
	printf 'echo inner $x\n' >inner
	printf 'echo outer\nsource inner\necho outer again\n' >outer
	alone source outer
	prints $'outer\ninner $x\nouter again'
}

@test "a script that sources itself is refused" {
	printf 'echo 1\nsource self\n' >self
	alone -f self
	fails_after 2 "self:2: source: self is running already: it sources itself" 1
	printf 'source b\n' >a
	printf 'echo b\nsource ./a\n' >b
	alone source a
	fails_after 2 "b:2: source: ./a is running already" b
}

@test "scripts that source others do not go on without end" {
	for ((i = 0; i < 30; i++)); do echo "source s$((i + 1))" >"s$i"; done
	alone -f s0
	fails 2 "go too deep"
}

@test "an error in a sourced file names that file" {
	printf '\nread bar0 1M\n' >inner
	printf 'source inner\n' >outer
	vfu -f outer
	fails 2 "vfuctl: inner:2: read: "
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	printf 'echo not run\nreed\n' >inner
	vfu -f outer
	fails 2 'vfuctl: inner:2: "reed" is no command'
	vfu -c 'source missing'
	fails 2 "source: missing: ENOENT"
}

@test "quit ends it all" {
	printf 'echo 2\nquit\necho 3\n' >inner
	alone -c 'echo 1; source inner; echo 4' -c 'echo 5'
	prints $'1\n2'
	alone -c 'repeat 5 quit; echo 1'
	prints ""
}

@test "expect compares the one value" {
	vfu -c 'expect 0x010000ed read bar0 0; expect 16777453 read bar0 0'
	prints ""
	vfu expect 0 read bar0 0
	fails 1 "expect: expected 0, but there came: 0x010000ed"
	vfu expect 1 read bar0 1M
	fails 2 "read: "
	vfu expect 1 write bar0 4 1
	fails 2 "write prints no value"
	vfu expect 0x1234 repeat 2 read config 0 2
	prints ""
}

@test "expect compares the error" {
	vfu -c 'set strict off; expect EINVAL read bar0 1M'
	prints ""
	vfu -c 'set strict off; expect ENOENT read bar0 1M'
	fails 1 "expected ENOENT, but it failed"
	vfu expect EINVAL read bar0 0
	fails 1 "expected EINVAL, but there came: 0x010000ed"
	vfu expect EINVAL write bar0 4 1
	fails 1 "expected EINVAL, but there came: success"
	vfu expect EFROB read bar0 0
	fails 2 '"EFROB" is none of'
}

@test "expect timeout wants one" {
	vfu expect timeout poll bar0 0 1 0 50ms
	prints ""
	vfu expect timeout read bar0 0
	fails 1 "expected timeout"
}

@test "expect does not hide a lost connection" {
	vfu expect EINVAL send REGION_READ --size 8
	fails_after 3 "closed the connection" ""
}

@test "repeat and time" {
	vfu repeat 3 read bar0 0
	prints $'0x010000ed\n0x010000ed\n0x010000ed'
	vfu repeat 0 read bar0 0
	prints ""
	vfu time read bar0 0
	[ "$status" -eq 0 ]
	[[ $output =~ ^0x010000ed$'\n'[0-9]+\.[0-9]{6}\ s$ ]]
	vfu repeat 3 read bar0 1M
	fails 2 "read: "
	vfu repeat x read bar0 0
	fails 2 '"x" is not a number'
	vfu repeat 3
	fails 2 "COMMAND is missing"
}

@test "commands within commands do not go on without end" {
	alone -c "$(printf 'repeat 1 %.0s' {1..20}) echo x"
	fails 2 "go too deep"
	{ printf 'time %.0s' {1..100000}; echo echo x; } >deep
	alone -f deep
	fails 2 "go too deep"
}

@test "sleep takes its time" {
	alone sleep 0
	prints ""
	start=$(date +%s%N)
	alone sleep 200ms
	prints ""
	[ $(($(date +%s%N) - start)) -ge 200000000 ]
	alone sleep 5
	fails 2 "not a duration"
}

@test "starts of names will not do in a script" {
	vfu rea bar0 0
	fails 2 '"rea" is no command; did you mean: read?'
}

@test "what only the prompt has is refused elsewhere" {
	alone history
	fails 2 "history: at the prompt only"
}

@test "words come to the command as a POSIX shell would give them" {
	alone -c "echo 'it''s' \"a \\\"b\\\"\" c\\ d \\
e;echo '#' a#b # c"
	prints $'its a "b" c d e\n# a#b'
}

@test "a script without end is refused" {
	alone -f /dev/zero
	fails 2 "/dev/zero: EFBIG"
	alone -c 'source /dev/zero'
	fails 2 "/dev/zero"
	run bash -c 'head -c 70000000 /dev/zero | "$VFUCTL" 2>&1'
	[ "$status" -eq 2 ]
	[[ $output == *"a command is too long"* ]]
}
