# SPDX-License-Identifier: BSD-3-Clause
"""The device's DMA engine in guest memory, by descriptor and by messages."""
import random

import bus
import edu
from checks_device import commands
from edu import Edu
from machine import RAM, Qemu, Server, user_device
from report import check, equal, true

HOLE = 0x8000000  # within the engine's 28 bits, above the guest's memory


def start(place, ram):
    server = Server(place)
    qemu = Qemu(place, [user_device(server, addr=str(edu.SLOT))], ram=ram)
    return server, qemu, Edu(qemu)


def there_and_back(place, ram):
    """Pieces of all sizes at all alignments, with guards around them."""
    rng = random.Random(f"{place.seed} {ram}")
    server, qemu, device = start(place, ram)
    for count in [1, 2, 3, 4, 7, 8, 64, 511, 4095, 4096] + [rng.randint(1, 4096)
                                                           for _ in range(20)]:
        at = rng.randint(0, edu.BUFFER_SIZE - count)
        source = rng.randint(0x100000, RAM // 2 - 4096)
        target = rng.randint(RAM // 2, RAM - 3 * 4096)
        data = rng.randbytes(count)
        qemu.fill(source, data)
        qemu.fill(target - 16, b"\xa5" * (count + 32))
        device.fetch(source, count, at)
        device.store(target, count, at)
        equal(f"{count} bytes from {source:#x} over {at:#x} to {target:#x}",
              qemu.memory(target - 16, count + 32), b"\xa5" * 16 + data + b"\xa5" * 16)
    qemu.quit()
    return server.stop(), server


@check("dma", "guest memory with a descriptor (memfd, share=on) is reached without messages")
def by_descriptor(place):
    trace, server = there_and_back(place, "fd")
    windows = commands(trace, "DMA_MAP")
    true("windows came with descriptors", any(m["fds"] == 1 for m in windows))
    true("no DMA_READ, no DMA_WRITE",
         not commands(trace, "DMA_READ") and not commands(trace, "DMA_WRITE"))
    server.keep("edu-dma-fd")


@check("dma", "guest memory without a descriptor is reached by DMA_READ and DMA_WRITE")
def by_messages(place):
    trace, server = there_and_back(place, "plain")
    true("no descriptor came", not any(m["fds"] for m in commands(trace, "DMA_MAP")))
    true("DMA_READ and DMA_WRITE were sent",
         commands(trace, "DMA_READ") and commands(trace, "DMA_WRITE"))
    true("none was refused", not any("errno" in m for m in trace if m["command"] in
                                     ("DMA_READ", "DMA_WRITE")))


def into_nothing(place, ram):
    server, qemu, device = start(place, ram)
    qemu.fill(0x100000, b"\x11" * 4096)
    device.fetch(0x100000, 4096)
    device.fetch(HOLE, 64)
    true("the status register tells", device.config(bus.STATUS, 2) & bus.STATUS_MASTER_ABORT)
    device.set_config(bus.STATUS, bus.STATUS_MASTER_ABORT, 2)
    true("and forgets when told to",
         not device.config(bus.STATUS, 2) & bus.STATUS_MASTER_ABORT)
    device.store(HOLE, 64)
    true("writes, too", device.config(bus.STATUS, 2) & bus.STATUS_MASTER_ABORT)
    device.store(0x200000, 4096)
    equal("the buffer is as it was", qemu.memory(0x200000, 4096), b"\x11" * 4096)
    qemu.quit()
    server.stop()


@check("dma", "where there is no memory the transfer ends and the status register tells")
def hole(place):
    for ram in ("fd", "plain"):
        into_nothing(place, ram)


@check("dma", "a transfer over the edge of two windows")
def edges(place):
    # The shadows of ROMs in the first MiB are windows of their own, some of them read-only.
    for ram in ("fd", "plain"):
        server, qemu, device = start(place, ram)
        for address in (0xc0000 - 32, 0xe0000 - 32, 0x100000 - 32):
            qemu.fill(address, bytes(range(64)))
            device.fetch(address, 64)
            device.store(0x300000, 64)
            equal(f"64 bytes at {address:#x}, {ram}", qemu.memory(0x300000, 64),
                  qemu.memory(address, 64))
        qemu.quit()
        server.stop()
    server.keep("edu-dma-messages")
