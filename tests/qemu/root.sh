#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes a Debian with a QEMU new enough to be a client in ROOT/sid, if it is not there yet.
# tests/qemu/root.sh ROOT; the last line on standard error says why it could not.
set -u
top=$1
sid=$top/sid
done=$top/sid.done
left=${SECONDS_LEFT:-900}
ends=$(($(date +%s) + left))

could_not() {
	echo "$*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || could_not "QEMU 10.1 is not installed, and only root can use another Debian's"
[ -e "$done" ] && [ -x "$sid/usr/bin/qemu-system-x86_64" ] && exit 0
command -v debootstrap >/dev/null || could_not "debootstrap is not installed"
[ "$left" -ge 240 ] || could_not "there is not enough time to fetch a Debian with QEMU"
mkdir -p "$top" || could_not "$top cannot be made"
# Thousands of files that no "git add" should ever see.
echo '*' >"$top/.gitignore"
log=$top/root.log

# The mirror that this system itself uses; without one debootstrap takes its own default.
mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\([a-z]*:[^ ]*\/debian\)\/\{0,1\} .*/\2/p'
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -n 's/^URIs: *\([a-z]*:[^ ]*\/debian\)\/\{0,1\}\( .*\)\{0,1\}$/\1/p'
}

# What was begun and not ended is of no use.
rm -rf "$sid" "$done"
from=$(mirror | head -n 1)
echo "Making a Debian with QEMU in $sid; it is kept for later runs."
# shellcheck disable=SC2086
if ! timeout "$left" debootstrap --variant=minbase sid "$sid" $from >"$log" 2>&1; then
	tail -n 5 "$log"
	could_not "debootstrap failed (no network?): $(grep '^E: ' "$log" | tail -n 1)"
fi
# A mirror may lag behind so far that its lists count as expired.
if ! timeout $((ends - $(date +%s) + 1)) chroot "$sid" sh -c 'export DEBIAN_FRONTEND=noninteractive
	apt-get -o Acquire::Check-Valid-Until=false update -q &&
	apt-get install -q -y --no-install-recommends qemu-system-x86 &&
	apt-get clean' >>"$log" 2>&1; then
	tail -n 5 "$log"
	could_not "QEMU could not be installed in $sid: $(grep '^E: ' "$log" | tail -n 1)"
fi
: >"$done"
