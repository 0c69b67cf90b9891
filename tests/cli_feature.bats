#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Device features as they are, with servers that follow a script.

load helpers

GET=0x10000
SET=0x20000
PROBE=0x40000

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	SOCK=$PWD/peer
}

teardown() {
	stop_peers
}

# A reply: feature FLAGS DATA-HEX [ARGSZ].
feature() {
	echo "recv"
	echo "reply $(le 4 "${3-$((8 + ${#2} / 2))}") $(le 4 "$1") $2"
}

# A script that greets, and does what is given then.
script() {
	start_script <<<"version
$1
drain"
}

@test "get shows the data as hex and decoded" {
	script "$(feature $((GET | 1)) "$(le 8 5)")
		$(feature $((GET | 2)) "$(le 4 3)ffffffff")"
	vfu -c 'feature get migration; feature get 2'
	prints "\
data             0500000000000000
migration_flags  stop-copy|pre-copy
data             03000000ffffffff
device_state     stop-copy
data_fd          0xffffffff"
	end_script
	# argsz 4104, get and 1
	[[ $(sed -n 2p heard) == *0810000001000100 ]]
}

@test "get of a feature nobody knows shows its bytes" {
	script "$(feature $((GET | 77)) 010203)
		$(feature $((GET | 78)) '')"
	vfu -c 'feature get 77 a0b0; feature get 0x4e'
	prints $'data             010203\ndata             '
	end_script
	[[ $(sed -n 2p heard) == *4d000100a0b0 ]]
}

@test "get asks again when the data needs more room" {
	data=$(printf '5a%.0s' {1..5000})
	script "$(feature $((GET | 9)) '' 5008)
		$(feature $((GET | 9)) "$data")"
	vfu -j feature get 9
	json ".data == \"$data\" and .feature == 9 and (has(\"name\") | not)"
	end_script
}

@test "a server that never has room enough is not asked for ever" {
	script "$(feature $((GET | 9)) '' 5008)
		$(feature $((GET | 9)) '' 6008)"
	vfu feature get 9
	fails 3 "asks for more room again"
	end_script
	script "$(feature $((GET | 9)) '' 0xffffffff)"
	vfu feature get 9
	fails 3 "are believed"
}

@test "get in JSON has the fields under their names" {
	script "$(feature $((GET | 1)) "$(le 8 1)")
		$(feature $((GET | 2)) "$(le 4 2)ffffffff")
		$(feature $((GET | 8)) "$(le 8 4096)$(le 8 8192)$(le 8 4096)$(le 8 3)")"
	vfu -j -c 'feature get 1; feature get device-state; feature get dma-logging-report'
	[ "$status" -eq 0 ]
	json 1 '.name == "migration" and .migration_flags == ["stop-copy"]'
	json 2 '.device_state == "running" and .data == "02000000ffffffff"'
	json 3 '.iova == "0x1000" and .length == "0x2000" and .page_size == 4096'
}

@test "set says nothing and sends what it was given" {
	script "$(feature $((SET | 2)) 01000000ffffffff)"
	vfu feature set device-state '01 00 00 00 ff ff ff ff'
	prints ""
	end_script
	[[ $(sed -n 2p heard) == *100000000200020001000000ffffffff ]]
}

@test "probe says which operations there are" {
	script "$(feature $((PROBE | SET | 2)) '')
		$(feature $((PROBE | GET | 2)) '')
		recv
		reply-error ENOTTY
		$(feature $((PROBE | GET | 1)) '')"
	vfu -c 'feature probe device-state; feature probe 1'
	prints $'get|set\nget'
	end_script
	[ "$(cut -c 43- heard | tail -n 4 | tr '\n' ' ')" = \
		"02000600 02000500 01000600 01000500 " ]
}

@test "a feature that is refused" {
	refuse=$'recv\nreply-error ENOTTY\n'
	script "$refuse$refuse$refuse$refuse"
	vfu -k -c 'feature probe 99; feature get 99; feature set 99'
	fails 1 "feature probe: the server refused DEVICE_FEATURE: ENOTTY"
	[[ $stderr == *"feature set: "* ]]
	script "$refuse"
	vfu -j feature get 99
	json '.error.kind == "remote" and .error.errno == "ENOTTY"'
}

@test "a reply about another feature" {
	script "$(feature $((GET | 3)) 00)"
	vfu feature get 2
	fails 3 "the reply is about feature 3, asked was for 2"
}

@test "words that are no feature and no data" {
	alone feature get 65536
	fails 2 "neither a feature's name nor a number of 16 bits"
	alone feature get running
	fails 2 "feature get"
	alone feature get 1 abc
	fails 2 "is not hex"
	alone feature get
	fails 2 "NUMBER is missing"
	alone feature frob 1
	fails 2 "there are: feature probe, feature get, feature set"
}
