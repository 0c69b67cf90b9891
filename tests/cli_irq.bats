#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Interrupts: irq enable, disable, mask, unmask, trigger, wait, list.

load helpers

teardown() {
	stop_server
}

# What the server says of an interrupt type: irq_info INDEX FLAGS COUNT. Flags: 1 eventfd,
# 2 maskable, 4 automasked.
irq_info() {
	echo recv
	echo "reply $(u32 16 "$2" "$1" "$3")"
}

# A command that is heard and done.
heard() {
	echo recv
	echo reply
}

# The payload of the Nth message the server heard, in hex.
payload() {
	sed -n "$1p" "$BATS_TEST_TMPDIR/peer.log" | cut -d ' ' -f 2 | cut -c 33-
}

@test "enabled interrupts are counted, and waited for" {
	play <<-END
		$(greets '"max_msg_fds":8')
		$(irq_info 2 1 4)
		$(irq_info 2 1 4)
		recv
		fire 1
		fire 1
		fire 3
		reply
		drain
	END
	vfu -c 'irq enable msix; irq wait msix:1; irq wait msix; irq list'
	prints "\
msix:1 2
msix:3 1
interrupt    attached  masked                 fired
msix:0       yes       no                         0
msix:1       yes       no                         2
msix:2       yes       no                         0
msix:3       yes       no                         1"
	played
	# argsz, eventfd|trigger, index, start, count
	[ "$(payload 4)" = "$(u32 20 0x24 2 0 4)" ]
	[[ $(sed -n 4p "$BATS_TEST_TMPDIR/peer.log") == "4 "* ]]
}

@test "what fires again is waited for again" {
	play <<-END
		version
		$(irq_info 0 1 1)
		$(irq_info 0 1 1)
		$(heard)
		$(irq_info 0 1 1)
		$(irq_info 0 1 1)
		recv
		reply
		fire 0
		drain
	END
	vfu -c 'irq enable intx; irq trigger intx; expect 1 irq wait intx 5s; irq wait intx 10ms'
	fails 4 "irq wait: intx did not fire in time"
	played
	# argsz, none|trigger, index, start, count
	[ "$(payload 7)" = "$(u32 20 0x21 0 0 1)" ]
}

@test "waiting without end ends when the connection does" {
	play <<-END
		version
		$(irq_info 0 1 1)
		$(irq_info 0 1 1)
		$(heard)
		close
	END
	vfu -c 'irq enable intx; irq wait intx 0'
	[ "$status" -eq 3 ]
	played
}

@test "Ctrl-C gives up waiting" {
	play <<-END
		version
		$(irq_info 0 1 1)
		$(irq_info 0 1 1)
		$(heard)
		drain
	END
	"$VFUCTL" -v -s "$SOCK" -c 'irq enable intx; irq wait intx 0' 2>err 3>&- &
	local pid=$! status=0
	until_true grep -q 'DEVICE_SET_IRQS reply' err
	kill -INT "$pid"
	wait "$pid" || status=$?
	[ "$status" -eq 130 ]
	grep -q "irq wait: interrupted" err
	played
}

@test "more vectors than max_msg_fds go in several commands" {
	play <<-END
		$(greets '"max_msg_fds":2')
		$(irq_info 2 1 8)
		$(irq_info 2 1 8)
		$(heard)
		$(heard)
		drain
	END
	vfu -j irq enable msix:4 3
	[ "$status" -eq 0 ]
	json '.ok and .index == 2 and .start == 4 and .count == 3'
	played
	[ "$(payload 4)" = "$(u32 20 0x24 2 4 2)" ]
	[ "$(payload 5)" = "$(u32 20 0x24 2 6 1)" ]
}

@test "irq disable detaches a vector, or all of them" {
	play <<-END
		$(greets '"max_msg_fds":8')
		$(irq_info 1 1 2)
		$(irq_info 1 1 2)
		$(heard)
		$(irq_info 1 1 2)
		$(heard)
		$(irq_info 1 1 2)
		$(heard)
		drain
	END
	vfu -c 'irq enable msi; irq disable msi:1; irq list; irq disable msi; irq wait msi'
	fails_after 2 "msi is not attached: irq enable msi" "\
interrupt    attached  masked                 fired
msi:0        yes       no                         0
msi:1        no        no                         0"
	played
	[ "$(payload 6)" = "$(u32 20 0x24 1 1 1)" ]
	[ "$(payload 8)" = "$(u32 20 0x21 1 0 0)" ]
}

@test "an interrupt that masks itself is shown as masked until it is unmasked" {
	play <<-END
		version
		$(irq_info 0 7 1)
		$(irq_info 0 7 1)
		recv
		fire 0
		reply
		$(irq_info 0 7 1)
		$(irq_info 0 7 1)
		$(heard)
		$(irq_info 0 7 1)
		$(irq_info 0 7 1)
		$(heard)
		drain
	END
	vfu -j -c 'irq enable intx; irq list; irq unmask intx; irq list; irq mask intx; irq list'
	[ "$status" -eq 0 ]
	json 2 '.vectors == [{"index": 0, "name": "intx", "vector": 0, "attached": true,
		"masked": true, "fired": 1}]'
	json 4 '.vectors[0].masked == false'
	json 6 '.vectors[0].masked'
	played
	[ "$(payload 7)" = "$(u32 20 0x11 0 0 1)" ]
	[ "$(payload 10)" = "$(u32 20 0x09 0 0 1)" ]
}

@test "what the device cannot do is refused, unless strict is off" {
	play <<-END
		version
		$(irq_info 2 1 4)
		$(irq_info 2 1 4)
		$(irq_info 2 1 4)
		$(irq_info 2 1 4)
		$(irq_info 1 0 0)
		$(irq_info 2 1 4)
		recv
		reply-error EINVAL
		drain
	END
	vfu -k -c 'irq enable msix:4; irq mask msix:0; irq enable msi;
		set strict off; irq mask msix:9'
	fails 2 "irq enable: vector 4, count 1: msix has 4"
	[[ $stderr == *"irq mask: msix cannot be masked or unmasked"* ]]
	[[ $stderr == *"irq enable: the device has no vectors of msi"* ]]
	[[ $stderr == *"irq mask: the server refused DEVICE_SET_IRQS: EINVAL"* ]]
	played
	[ "$(payload 8)" = "$(u32 20 0x09 2 9 1)" ]
}

@test "a server that claims a billion vectors gets none" {
	play <<-END
		version
		$(irq_info 2 1 1000000000)
		drain
	END
	vfu irq enable msix
	fails 2 "1000000000 vectors are more than the 4096 that can be waited for"
	played
}

@test "interrupts are forgotten with the connection" {
	play <<-END
		version
		$(irq_info 0 1 1)
		$(irq_info 0 1 1)
		recv
		fire 0
		reply
		drain
	END
	vfu -c "irq enable intx; irq wait intx; disconnect; irq list"
	fails_after 3 "not connected" "intx 1"
	played
}

@test "what is no interrupt is refused" {
	alone irq wait bar0
	fails 2 '"bar0" is not an interrupt'
	alone irq enable msix: 1
	fails 2 "is not an interrupt"
	alone irq enable msix 0x100000000
	fails 2 "COUNT does not fit into 32 bits"
	alone irq
	fails 2 "there are: irq enable, irq disable, irq mask"
}
