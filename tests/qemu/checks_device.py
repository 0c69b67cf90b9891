# SPDX-License-Identifier: BSD-3-Clause
"""The device as QEMU presents it: identity, BARs, registers, reset, leaving."""
import signal

import bus
import edu
from edu import Edu
from machine import Qemu, Server, user_device
from report import check, equal, true, until


def start(place, **properties):
    server = Server(place)
    qemu = Qemu(place, [user_device(server, addr=str(edu.SLOT), **properties)])
    return server, qemu


def commands(trace, name):
    return [m for m in trace if m["type"] == "command" and m["command"] == name]


@check("device", "edu is realised, its identity is right on the bus and for QEMU")
def identity(place):
    server, qemu = start(place)
    function = bus.Function(qemu, edu.SLOT)
    equal("vendor and device", function.config(0), 0x11e81234)
    equal("class and revision", function.config(8), 0x00ff0010)
    equal("subsystem", function.config(0x2c), 0x11001af4)
    equal("header type", function.config(0x0e, 1), 0)
    equal("interrupt pin", function.config(0x3d, 1), 1)
    seen = qemu.pci(edu.SLOT)
    equal("id of query-pci", (seen["id"]["vendor"], seen["id"]["device"]), (0x1234, 0x11e8))
    equal("class of query-pci", seen["class_info"]["class"], 0x00ff)
    equal("subsystem of query-pci", (seen["id"]["subsystem-vendor"], seen["id"]["subsystem"]),
          (0x1af4, 0x1100))
    true("info pci shows 1234:11e8", "1234:11e8" in qemu.hmp("info pci"))
    qemu.quit()
    server.stop()
    server.keep("edu-realise")


@check("device", "BAR0 has its size, moves where it is put, and there are no others")
def bars(place):
    server, qemu = start(place)
    function = bus.Function(qemu, edu.SLOT)
    equal("size of BAR0", function.bar_size(0), edu.BAR_SIZE)
    for n in range(1, 6):
        equal(f"size of BAR{n}", function.bar_size(n), 0)
    for address in (0xe0000000, 0xfe000000 - edu.BAR_SIZE):
        function.place(0, address)
        equal("BAR0", function.config(bus.BAR0), address)
        equal("identification", function.read(edu.IDENTIFICATION), 0x010000ed)
        regions = qemu.pci(edu.SLOT)["regions"]
        equal("regions of query-pci", len(regions), 1)
        equal("their kind", (regions[0]["bar"], regions[0]["type"], regions[0]["size"]),
              (0, "memory", edu.BAR_SIZE))
        equal("where BAR0 is", regions[0]["address"], address)
    function.set_config(bus.COMMAND, 0, 2)
    equal("memory switched off", function.read(edu.IDENTIFICATION), 0)
    qemu.quit()
    server.stop()


def walk_registers(qemu):
    device = Edu(qemu)
    equal("identification", device.read(edu.IDENTIFICATION), 0x010000ed)
    device.write(edu.LIVENESS, 0x12345678)
    equal("liveness", device.read(edu.LIVENESS), 0xedcba987)
    equal("10!", device.factorial(10), 3628800)
    device.write(edu.DMA_SOURCE, 0x123456789abcdef0, 8)
    equal("8 bytes", device.read(edu.DMA_SOURCE, 8), 0x123456789abcdef0)
    device.write(edu.LIVENESS, 0xff, 1)
    equal("a byte writes nothing", device.read(edu.LIVENESS), 0xedcba987)
    equal("the end of the BAR", device.read(edu.BAR_SIZE - 4), 0xffffffff)


@check("device", "registers read and write through BAR0, writes are posted")
def registers(place):
    server, qemu = start(place)
    walk_registers(qemu)
    qemu.quit()
    trace = server.stop()
    writes = [m for m in commands(trace, "REGION_WRITE") if m["fields"]["region"] == 0]
    true("there are writes to BAR0", writes)
    true("they are posted", all(int(m["flags"], 0) & 0x10 for m in writes))


@check("device", "registers with x-no-posted-writes=on: every write is answered")
def not_posted(place):
    server, qemu = start(place, **{"x-no-posted-writes": True})
    walk_registers(qemu)
    qemu.quit()
    trace = server.stop()
    writes = commands(trace, "REGION_WRITE")
    true("no write is posted", not any(int(m["flags"], 0) & 0x10 for m in writes))
    replies = [m for m in trace if m["type"] == "reply" and m["command"] == "REGION_WRITE"]
    equal("replies to them", len(replies), len(writes))


@check("device", "registers with x-send-queued=on: as before, whatever QEMU gathers")
def queued(place):
    server, qemu = start(place, **{"x-send-queued": True})
    device = Edu(qemu)
    for n in range(2000):
        device.write(edu.LIVENESS, n)
    equal("liveness", device.read(edu.LIVENESS), 0xffffffff - 1999)
    walk_registers(qemu)
    qemu.quit()
    server.stop()


@check("device", "a reset of the machine resets the device")
def reset(place):
    server, qemu = start(place)
    device = Edu(qemu)
    device.write(edu.LIVENESS, 7)
    device.write(edu.STATUS, edu.WANT_INTERRUPT)
    device.write(edu.DMA_COUNT, 99, 8)
    qemu.qmp("system_reset")
    # The reset is done by the main loop, between two of our commands.
    until("BAR0 forgets its place", lambda: device.config(bus.BAR0) == 0)
    device.place(0, edu.BAR)
    for offset in (edu.LIVENESS, edu.STATUS, edu.DMA_COUNT, edu.INTERRUPTS):
        equal(f"register {offset:#x}", device.read(offset), 0)
    qemu.quit()
    trace = server.stop()
    true("DEVICE_RESET was sent", commands(trace, "DEVICE_RESET"))


@check("device", "two devices in one machine are two devices")
def two(place):
    servers = [Server(place, name="one"), Server(place, name="other")]
    qemu = Qemu(place, [user_device(s, addr=str(n)) for n, s in zip((4, 5), servers)])
    devices = [Edu(qemu, 4, 0xe0000000), Edu(qemu, 5, 0xe0100000)]
    for n, device in enumerate(devices):
        device.write(edu.LIVENESS, n)
    equal("liveness of both", [d.read(edu.LIVENESS) for d in devices], [0xffffffff, 0xfffffffe])
    equal("factorials of both", [d.factorial(5 + n) for n, d in enumerate(devices)], [120, 720])
    qemu.quit()
    for server in servers:
        server.stop()


@check("device", "it can be plugged in and pulled out while the machine runs")
def hotplug(place):
    server = Server(place)
    qemu = Qemu(place, [])
    for round_ in range(3):
        qemu.qmp("device_add", driver="vfio-user-pci", id="plugged", addr=str(edu.SLOT),
                 socket={"type": "unix", "path": server.seen})
        device = Edu(qemu)
        # A server keeps its device's state, but QEMU resets what it plugs in.
        equal("liveness", device.read(edu.LIVENESS), 0)
        device.write(edu.LIVENESS, round_)
        equal("9!", device.factorial(9), 362880)
        qemu.qmp("device_del", id="plugged")
        qemu.ask(f"outl 0xae08 {1 << edu.SLOT:#x}")  # software's consent: the ACPI eject
        until("the device is gone", lambda: not qemu.pci(edu.SLOT))
        # QEMU hangs up a little later, and must have done so before it comes again.
        until("QEMU hung up", lambda: not server.clients() or qemu.idle())
    qemu.quit()
    trace = server.stop()
    equal("handshakes", len(commands(trace, "VERSION")), 3)
    true("its memory was taken back", commands(trace, "DMA_UNMAP"))


def next_client(place, server):
    qemu = Qemu(place, [user_device(server, addr=str(edu.SLOT))])
    walk_registers(qemu)
    return qemu


@check("device", "after quit the server takes the next client")
def quits(place):
    server = Server(place)
    for _ in range(3):
        next_client(place, server).quit()
    trace = server.stop()
    equal("handshakes", len(commands(trace, "VERSION")), 3)


@check("device", "after kill -9, amidst a transfer, the server takes the next client")
def killed(place):
    server = Server(place)
    for _ in range(3):
        qemu = next_client(place, server)
        device = Edu(qemu)
        device.start(0x1000, edu.BUFFER, 4096, 0)
        qemu.process.send_signal(signal.SIGKILL)
        qemu.wait()
    next_client(place, server).quit()
    server.stop()
