#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What the documentation says is what the program does.

setup() {
	cd "$BATS_TEST_DIRNAME/.." || return 1
	VFUCTL=${VFUCTL:-$PWD/build/san/vfuctl}
}

# Every command with its synopsis, as the table has it.
commands() {
	"$VFUCTL" -j help | jq -r '.commands[] | .name + " " + .synopsis' | sed 's/ *$//'
}

manual() {
	mandoc -Tascii -O width=250 man/vfuctl.1 | col -b | sed 's/^ *//'
}

# The options as --help lists them: "-s, --socket=PATH".
options() {
	"$VFUCTL" --help | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'
}

@test "every command of the table is in the manual with its synopsis" {
	manual >"$BATS_TEST_TMPDIR/manual"
	commands >"$BATS_TEST_TMPDIR/commands"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/commands")" -gt 40 ]
	while read -r line; do
		# A short name shares its line with what is said of it.
		grep -Fxq -- "$line" "$BATS_TEST_TMPDIR/manual" ||
			grep -Eq "^$line  *[A-Z]" "$BATS_TEST_TMPDIR/manual" || {
			echo "not in the manual: $line"
			return 1
		}
	done <"$BATS_TEST_TMPDIR/commands"
}

@test "every command of the manual is in the table" {
	commands >"$BATS_TEST_TMPDIR/commands"
	sed -n '/^\.Sh COMMANDS/,/^\.Sh SETTINGS/s/^\.It Cm //p' man/vfuctl.1 |
		sed 's/ No / /' >"$BATS_TEST_TMPDIR/items"
	run diff <(sort "$BATS_TEST_TMPDIR/commands") <(sort "$BATS_TEST_TMPDIR/items")
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "every option of --help is in the manual, and the other way round" {
	sed -n '/^The options are/,/^\.Sh WORDS/s/^\.It .*Fl -\([a-z-]*\).*/--\1/p' man/vfuctl.1 |
		sort >"$BATS_TEST_TMPDIR/manual"
	run diff <(options | sort) "$BATS_TEST_TMPDIR/manual"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "help lists every command, and explains each with its synopsis" {
	"$VFUCTL" help >"$BATS_TEST_TMPDIR/help"
	"$VFUCTL" -j help | jq -r '.commands[].name' | while read -r name; do
		grep -Eq "^  $name( |$)" "$BATS_TEST_TMPDIR/help" || {
			echo "not in help: $name"
			return 1
		}
		# shellcheck disable=SC2086
		synopsis=$(commands | grep -E "^$name( |$)" | head -n 1)
		# shellcheck disable=SC2086
		"$VFUCTL" help $name </dev/null | grep -Fq -- "$synopsis" || {
			echo "help does not explain: $name"
			return 1
		}
	done
}

@test "every setting is in the manual" {
	"$VFUCTL" -j set | jq -r '.settings // . | keys[]' | grep -vE '^(command|ok)$' \
		>"$BATS_TEST_TMPDIR/settings"
	[ -s "$BATS_TEST_TMPDIR/settings" ]
	while read -r name; do
		sed -n '/^\.Sh SETTINGS/,/^\.Sh THE PROMPT/p' man/vfuctl.1 |
			grep -Eq "^\.It Cm (.* , )?$name( |,|$)" || {
			echo "not in the manual: $name"
			return 1
		}
	done <"$BATS_TEST_TMPDIR/settings"
}

@test "the packages that the Makefile installs are named in the README" {
	for package in $(sed -e ':a' -e '/\\$/N; s/\\\n//; ta' Makefile fuzz/fuzz.mk |
		sed -n 's/^DEPS_[A-Z]* *:= //p' | tr -s '[:space:]' '\n' | grep -v '^\$'); do
		grep -Fq "\`$package\`" README.md || {
			echo "not in the README: $package"
			return 1
		}
	done
}

# The rows of the table of messages in HACKING.md, cells separated by tabs.
message_rows() {
	sed -n '/^## Every message/,/^## Building/s/^| \([A-Z_]*\) | \(.*\) |$/\1 | \2/p' HACKING.md |
		sed 's/ | /\t/g; s/`//g'
}

@test "HACKING.md has a row for each message, and what it names is there" {
	run diff <(message_rows | cut -f 1 | sort) \
		<(sed -n 's/.*\[VUSER_CMD_[A-Z_]*\] = { "\([A-Z_]*\)".*/\1/p' lib/msgtab.c | sort)
	echo "$output"
	[ "$status" -eq 0 ]
	message_rows >"$BATS_TEST_TMPDIR/rows"
	commands | sed 's/ [^a-z].*//' >"$BATS_TEST_TMPDIR/commands"
	while IFS=$'\t' read -r name client server prompt fuzzed tested; do
		echo "$name"
		grep -q "\b$client(" lib/vuser_client.h lib/client.h
		grep -q "\b$server(" lib/server*.c
		grep -Eq "^$prompt( |$)" "$BATS_TEST_TMPDIR/commands"
		for harness in ${fuzzed//,/ }; do
			[ -n "$(ls "corpus/$harness")" ]
		done
		# Some test names the message, or the call or command that makes it.
		for file in ${tested//,/ }; do
			grep -Eqi "$name|${name#DEVICE_}|$client|$server|$prompt" "tests/$file"
		done
	done <"$BATS_TEST_TMPDIR/rows"
}
