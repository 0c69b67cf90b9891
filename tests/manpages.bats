#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154,SC2030,SC2031
# shellcheck disable=SC2034
# The manual pages hold water: their programs run, their examples do what they say.

load helpers

setup() {
	cd "$BATS_TEST_DIRNAME/.." || return 1
}

teardown() {
	stop_server
}

# The program under a heading of libvuser(3), compiled against the installed library.
build() {
	local dest=$BATS_TEST_TMPDIR/dest

	[ -d "$dest" ] ||
		make --no-print-directory install DESTDIR="$dest" PREFIX=/usr SAN= >/dev/null
	sed -n "/^\.Ss $1\$/,/^\.Ed/p" man/libvuser.3 |
		sed -n '/^\.Bd -literal/,/^\.Ed/{/^\./d;s/\\e/\\/g;p}' >"$BATS_TEST_TMPDIR/$2.c"
	cc -Wall -Wextra -Werror -g -fsanitize=address,undefined -I"$dest/usr/include/vuser" \
		-o "$BATS_TEST_TMPDIR/$2" "$BATS_TEST_TMPDIR/$2.c" "$dest/usr/lib/libvuser.a" \
		-lcjson -pthread
}

@test "pages are clean" {
	run mandoc -Tlint -Wwarning man/*.[1-9]
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "the client of libvuser(3) talks to a server" {
	build "A client" client
	start_server
	run "$BATS_TEST_TMPDIR/client" "$SOCK"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "1234:11e8 0x010000ed" ]
	run "$BATS_TEST_TMPDIR/client" /nonexistent
	[ "$status" -eq 1 ]
}

@test "the device of libvuser(3) adds a page up and interrupts" {
	build "A device" device
	"$BATS_TEST_TMPDIR/device" "$SOCK" 3>&- &
	SERVER=$!
	until_true test -S "$SOCK"
	run "$VFUCTL" -s "$SOCK" -c 'dma map 0x1000 4096
		dma fill 0x1000 4096 2
		irq enable msi
		write bar0 0 0x1000 8
		irq wait msi 5s
		dma read 0x1000 8
		read bar0 8 8
		expect EINVAL write bar0 4 1
		expect EFAULT write bar0 0 0x5000 8
		read config 0'
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *0x0000000000002000*0x0000000000000001*0xdead1234 ]]
}

@test "the example of vfuctl-devices(7) does what it says" {
	DEVICE=demo start_server
	sed -n '/^\.Sh EXAMPLES/,/^\.Ed/p' man/vfuctl-devices.7 |
		sed -n '/^\.Bd/,/^\.Ed/{/^\./d;p}' >"$BATS_TEST_TMPDIR/script"
	run "$VFUCTL" -s "$SOCK" -f "$BATS_TEST_TMPDIR/script"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *0x00000002* ]]
	[[ $output == *"5a 5a 5a 5a"* ]]
}

@test "both devices have at offset 0 of BAR0 what vfuctl-devices(7) says" {
	for DEVICE in edu demo; do
		SOCK=$BATS_TEST_TMPDIR/$DEVICE.sock
		start_server
		id=$(sed -n "/^\.Sh ${DEVICE^^}/,/^\.Sh/s/^\.It 0x00 Ta ro Ta identification, \(0x[0-9a-f]*\).*/\1/p" \
			man/vfuctl-devices.7)
		run "$VFUCTL" -s "$SOCK" read bar0 0
		[ "$output" = "$id" ]
		stop_server
	done
}
