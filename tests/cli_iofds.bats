#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The io fds of a region: iofds lists them and rings their bells.

load helpers

teardown() {
	stop_server
}

# Entries: offset, size; fd_index, type, flags, padding; shadow offset; datamatch.
three_entries() {
	printf %s "$(u64 0x100 4)$(u32 0 0 1 0)$(u64 0 0x5a)"
	printf %s "$(u64 0x104 4)$(u32 0 2 0 1)$(u64 0x10 0)"
	printf %s "$(u64 0x200 0x100)$(u32 2 1 1 0)$(u64 0 0xfeed)"
}

# What the server says of bar0: an eventfd, memory of 24 bytes, and something else.
bar0() {
	echo recv
	echo "reply $(u32 160 0 0 3)"
	echo recv
	printf 'eventfd\nmemfd 24\nfd 1\n'
	echo "reply $(u32 160 0 0 3)$(three_entries)"
}

@test "iofds lists them as a table" {
	play <<-END
		version
		$(bar0)
		drain
	END
	vfu iofds bar0
	prints "\
      type              offset         size   fd  flags          match/data         shadow
   0  ioeventfd         0x100             4    0  datamatch      0x5a               -
   1  ioeventfd+shadow  0x104             4    0  -              -                  fd 1 at 0x10
   2  ioregionfd        0x200           256    2  posted-writes  0xfeed             -"
	played
}

@test "in JSON they have the names of the protocol" {
	play <<-END
		version
		$(bar0)
		drain
	END
	vfu -j iofds 0
	json '.region == 0 and .count == 3 and .fds == 3 and .entries[0] == {"offset": "0x100",
		"size": 4, "fd_index": 0, "type": 0, "name": "ioeventfd", "flags": ["datamatch"],
		"datamatch": "0x5a"}'
	json '.entries[1].shadow_fd_index == 1 and .entries[1].shadow_offset == "0x10"'
	json '.entries[2].user_data == "0xfeed"'
	played
}

@test "a region without any has none" {
	play <<-END
		version
		recv
		reply $(u32 16 0 1 0)
		drain
	END
	vfu -j iofds bar1
	json '.count == 0 and .entries == []'
	played
}

@test "ring writes 1 to the eventfd, or the value" {
	play <<-END
		version
		$(bar0)
		drain
		count
	END
	vfu -j iofds bar0 ring 0
	json '.ok and .region == 0 and .ring == 0'
	played
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/peer.log")" = 1 ]
	play <<-END
		version
		$(bar0)
		drain
		count
	END
	vfu iofds bar0 ring 0 41
	prints ""
	played
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/peer.log")" = 41 ]
}

@test "a shadow gets the value, and the eventfd is rung once" {
	play <<-END
		version
		$(bar0)
		drain
		count
		bytes 24
	END
	vfu iofds bar0 ring 1 0xcafe0042
	prints ""
	played
	[ "$(tail -n 2 "$BATS_TEST_TMPDIR/peer.log")" = "1
000102030405060708090a0b0c0d0e0f4200feca14151617" ]
}

@test "what cannot be rung is refused" {
	play <<-END
		version
		$(bar0)
		$(bar0)
		$(bar0)
		drain
	END
	vfu -k -c 'iofds bar0 ring 2; iofds bar0 ring 3; iofds bar0 ring 1 0x100000000'
	fails 2 "io fd 2 is no ioeventfd that could be rung"
	[[ $stderr == *"there is no io fd 3, the region has 3"* ]]
	[[ $stderr == *"0x100000000 does not fit into 4 bytes"* ]]
	played
	alone iofds bar0 ring
	fails 2 "ring which? N is missing"
	alone iofds bar0 wring 1
	fails 2 '"wring" is not ring'
}

@test "a bell that is full, and a shadow without memory, hold nobody up" {
	play <<-END
		version
		$(bar0)
		recv
		reply $(u32 64 0 0 1)
		recv
		eventfd
		memfd 8
		reply $(u32 64 0 0 1)$(u64 0 8)$(u32 0 2 0 1)$(u64 8 0)
		drain
	END
	vfu -k -c 'iofds bar0 ring 0 0xffffffffffffffff; iofds bar0 ring 0'
	fails 1 "the eventfd cannot be written: EINVAL (Invalid argument)"
	[[ $stderr == *"the shadow at 0x8 lies beyond the end of its memory"* ]]
	played
}

@test "a server may have no io fds at all" {
	play <<-END
		version
		recv
		reply-error EOPNOTSUPP
		drain
	END
	vfu iofds bar0
	fails 1 "the server refused DEVICE_GET_REGION_IO_FDS"
	played
}
