# SPDX-License-Identifier: BSD-3-Clause
"""The demonstration device: BARs of all kinds, mapped memory, MSI-X, a ROM."""
import random

import bus
from checks_device import commands
from checks_irq import stays
from machine import Qemu, Server, user_device
from report import check, equal, true, until

SLOT, MSIX, VECTORS = 4, 0x11, 16
ID, SCRATCH, RAISE, ACKNOWLEDGE = 0x000, 0x010, 0x0c0, 0x0c8
PLACES = {0: 0xe0000000, 1: 0xe0100000, 2: 0xe0200000, 4: 0xe0300000}
ROM_AT = 0xe0400000
MEMORY = 1 << 20  # of BAR1
EDGES = [0, 0x40000, 0x80000, 0xa0000, MEMORY]
MESSAGES = 0x2000


def start(place, ram="fd"):
    server = Server(place, "demo")
    qemu = Qemu(place, [user_device(server, addr=str(SLOT))], ram=ram)
    function = bus.Function(qemu, SLOT)
    for n, address in PLACES.items():
        true(f"there is a BAR{n}", function.bar_size(n))
        function.place(n, address)
    return server, qemu, function


@check("demo", "it is realised, with its identity, its BARs and its ROM")
def identity(place):
    server, qemu, function = start(place)
    equal("vendor and device", function.config(0), 0x11e91234)
    equal("registers", function.read(ID), 0x4f4d4544)
    function.write(SCRATCH, 0x12345678)
    equal("scratch", function.read(SCRATCH), 0x12345678)
    equal("size of BAR1", function.bar_size(1), MEMORY)
    function.set_config(0x30, ROM_AT | 1)
    equal("signature of the ROM", qemu.read(ROM_AT, 2), 0xaa55)
    qemu.quit()
    server.stop()
    server.keep("demo-realise")


@check("demo", "BAR1 is one memory, whether an access is mapped or a message")
def memory(place):
    rng = random.Random(f"{place.seed} memory")
    server, qemu, function = start(place)
    written = {}
    for _ in range(1000):
        width = rng.choice([1, 2, 4, 8])
        # Anywhere, and around where what is mapped begins and ends.
        at = rng.choice([rng.randrange(MEMORY), rng.choice(EDGES) + rng.randrange(-64, 64)])
        at = min(max(at - at % width, 0), MEMORY - width)
        value = rng.getrandbits(8 * width)
        function.write(at, value, width, 1)
        for n in range(width):
            written[at + n] = value >> 8 * n & 0xff
        equal(f"BAR1 at {at:#x}", function.read(at, width, 1), value)
    for at, value in written.items():
        equal(f"BAR1 at {at:#x} in the end", function.read(at, 1, 1), value)
    qemu.quit()
    reads = [m for m in commands(server.stop(), "REGION_READ") if m["fields"]["region"] == 1]
    true("much of it needed no message, some did", 0 < len(reads) < 1000 + len(written))


@check("demo", "MSI-X: each vector writes its own message, a masked one waits")
def msix(place):
    server, qemu, function = start(place)
    at = function.capability(MSIX)
    true("there is the capability", at)
    equal("vectors", (function.config(at + 2, 2) & 0x7ff) + 1, VECTORS)
    table = function.config(at + 4)
    true("its table lies in a BAR that is there", table & 7 in PLACES)
    table = PLACES[table & 7] + (table & ~7)

    def entry(n, masked):
        qemu.write(table + 16 * n, MESSAGES + 4 * n)
        qemu.write(table + 16 * n + 4, 0)
        qemu.write(table + 16 * n + 8, 0x1000 + n)
        qemu.write(table + 16 * n + 12, masked)

    def came(n):
        qemu.idle()
        return qemu.read(MESSAGES + 4 * n) == 0x1000 + n

    for n in range(VECTORS):
        qemu.write(MESSAGES + 4 * n, 0)
        entry(n, 0)
    function.set_config(at + 2, 0x8000, 2)
    for n in range(VECTORS):
        function.write(RAISE, n)
        until(f"the message of vector {n}", lambda n=n: came(n))
        true("and no other yet", not any(came(m) for m in range(n + 1, VECTORS)))
    qemu.write(MESSAGES, 0)
    qemu.write(table + 12, 1)
    function.write(RAISE, 0)
    stays("masked, it waits", lambda: not came(0))
    qemu.write(table + 12, 0)
    until("unmasked, it comes", lambda: came(0))
    qemu.quit()
    server.stop()
    server.keep("demo-msix")
