#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Fetches the source of cJSON that belongs to the installed package. fuzz/cjson.sh FOLDER
# Uses the machine's own package lists with "source" in place of "binary"; changes nothing in
# /etc. Where there is no source, the shared library serves, not instrumented.
set -u
out=$1
[ ! -f "$out/cJSON.c" ] || exit 0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out" "$tmp/parts" "$tmp/lists/partial" "$tmp/cache/archives/partial"

# A list that has no sources fails and does no harm.
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ ! -f "$list" ] ||
		sed -n 's/^deb /deb-src /p' "$list" >"$tmp/parts/$(basename "$list" .list).list"
done
for list in /etc/apt/sources.list.d/*.sources; do
	[ ! -f "$list" ] ||
		sed 's/^Types:.*/Types: deb-src/' "$list" >"$tmp/parts/$(basename "$list")"
done

apt() {
	apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$tmp/parts" \
		-o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp/cache" \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

version=$(dpkg-query -W -f='${Version}' libcjson-dev)
apt update >"$tmp/log" 2>&1 || true
if (cd "$tmp" && { apt source "cjson=$version" || apt source cjson; }) >>"$tmp/log" 2>&1 &&
	cp "$tmp"/cjson-*/cJSON.[ch] "$out/" 2>>"$tmp/log"; then
	echo "cJSON: compiled in from its source package, instrumented"
else
	tail -n 3 "$tmp/log"
	echo "cJSON: no source package to be had, the shared library serves: not instrumented"
fi
