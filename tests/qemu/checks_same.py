# SPDX-License-Identifier: BSD-3-Clause
"""Our device and QEMU's own "edu" answer the same accesses with the same values."""
import hashlib
import random

import edu
from accesses import sequence
from edu import Edu
from machine import Qemu, Server, user_device
from report import Failed, check, true, until

LENGTH = 6000
DELAY = 100_000_000  # ns of virtual time that a transfer of QEMU's own device takes


class Player:
    """Makes the accesses with one device."""

    def __init__(self, place, argument, ours):
        self.qemu = Qemu(place, [argument], ram="fd" if ours else "plain")
        self.device = Edu(self.qemu)
        self.ours = ours

    def settle(self):
        """Both devices compute in their own time; software waits."""
        if not self.ours:
            self.qemu.step(DELAY + 1)
        until("the factorial", lambda: not self.device.read(edu.STATUS) & edu.COMPUTING)
        until("the transfer", lambda: not self.device.read(edu.DMA_COMMAND, 8) & edu.START)

    def play(self, step):
        what, *rest = step
        if what == "settle":
            return self.settle()
        if what == "read":
            return self.device.read(*rest)
        if what == "write":
            return self.device.write(rest[0], rest[2], rest[1])
        if what == "config read":
            return self.device.config(*rest)
        if what == "config write":
            return self.device.set_config(rest[0], rest[2], rest[1])
        if what == "fill":
            return self.qemu.fill(rest[0], random.Random(rest[2]).randbytes(rest[1]))
        return hashlib.sha256(self.qemu.memory(*rest)).hexdigest()


def show(step):
    return " ".join(f"{x:#x}" if isinstance(x, int) else x for x in step)


def compare(place, seed):
    server = Server(place)
    ours = Player(place, user_device(server, addr=str(edu.SLOT)), True)
    theirs = Player(place, f"edu,addr={edu.SLOT}", False)
    past, checked = [], 0
    for step in sequence(seed, LENGTH):
        past = past[-12:] + [show(step)]
        wanted, got = theirs.play(step), ours.play(step)
        checked += wanted is not None
        if step == ("settle",):
            until("QEMU's interrupt status to be ours", lambda: theirs.device.read(
                edu.INTERRUPTS) == ours.device.read(edu.INTERRUPTS))
        if wanted != got:
            raise Failed(f"seed {seed}: after " + "; ".join(past[:-1]) + "\n" +
                         f"{past[-1]}: QEMU's own {wanted!r}, ours {got!r}")
    true("thousands of values were compared", checked > LENGTH // 3)
    ours.qemu.quit()
    theirs.qemu.quit()
    server.stop()


@check("same", "thousands of random accesses give what QEMU's own edu gives")
def same(place):
    compare(place, place.seed)


@check("same", "the accesses of a seed that is always the same")
def same_again(place):
    compare(place, "vfuctl")
