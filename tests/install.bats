#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What make install puts down is complete and can be used.

setup() {
	cd "$BATS_TEST_DIRNAME/.." || return 1
	dest=$BATS_TEST_TMPDIR/dest
	make --no-print-directory install DESTDIR="$dest" PREFIX=/usr SAN= >/dev/null
}

@test "install obeys DESTDIR and PREFIX, and uninstall removes all of it" {
	[ -x "$dest/usr/bin/vfuctl" ]
	[ -f "$dest/usr/lib/libvuser.a" ]
	[ -f "$dest/usr/lib/libvuser.so.0" ]
	[ -L "$dest/usr/lib/libvuser.so" ]
	[ -f "$dest/usr/include/vuser/vuser.h" ]
	[ -f "$dest/usr/lib/pkgconfig/libvuser.pc" ]
	[ -f "$dest/usr/share/man/man1/vfuctl.1" ]
	[ -f "$dest/usr/share/man/man3/libvuser.3" ]
	[ -f "$dest/usr/share/man/man7/vfio-user.7" ]
	make --no-print-directory uninstall DESTDIR="$dest" PREFIX=/usr SAN= >/dev/null
	run find "$dest" -type f -o -type l
	[ -z "$output" ]
}

@test "a program can be built against the installed library, shared and static" {
	cat >"$BATS_TEST_TMPDIR/user.c" <<-'C'
		#include <vuser.h>

		int main(void)
		{
			struct vuser_options o;
			struct vuser_client *c;
			struct vuser_error e;

			vuser_options_default(&o);
			if (vuser_client_open("/nonexistent", &o, &c, &e) != VUSER_E_CLOSED)
				return 1;
			puts(e.text);
			return 0;
		}
	C
	export PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
	# shellcheck disable=SC2046
	cc -o "$BATS_TEST_TMPDIR/shared" "$BATS_TEST_TMPDIR/user.c" \
		$(pkg-config --cflags --libs libvuser)
	run env LD_LIBRARY_PATH="$dest/usr/lib" "$BATS_TEST_TMPDIR/shared"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "cannot connect to /nonexistent: No such file or directory" ]
	cc -o "$BATS_TEST_TMPDIR/static" -I"$dest/usr/include/vuser" \
		"$BATS_TEST_TMPDIR/user.c" "$dest/usr/lib/libvuser.a" -lcjson -pthread
	run "$BATS_TEST_TMPDIR/static"
	[ "$status" -eq 0 ]
}
