# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest with the device: what its kernel and its drivers make of it."""
import os
import shutil
import subprocess

from checks_device import commands
from machine import Qemu, Server, user_device
from place import HERE
from report import CouldNot, Failed, check, equal, true, until

RAM = 256 << 20
BOOT_SECONDS = 150  # how long a boot without a hypervisor may take on a slow machine
NEEDED = 60  # a boot is not begun with less time than this

# Behind a bridge, because only the bus of a bridge can be reset by software.
LINE = {"machine": "pc", "words": "vfuctl=again", "boots": 2, "both": True,
        "more": ["-device", "pci-bridge,id=behind,chassis_nr=1,addr=5"],
        "properties": {"bus": "behind", "addr": "3"}}
MESSAGES = {"machine": "q35", "words": "vfuctl=msi intel_iommu=on", "boots": 1, "both": False,
            "more": ["-device", "intel-iommu,caching-mode=on"],
            "properties": {"addr": "4"}}


class Guest:
    """What a guest printed, boot by boot, and what it asked of the server."""

    def __init__(self, boots, trace):
        self.boots = boots
        self.trace = trace

    def value(self, name, boot=0):
        """The rest of the only line that begins with name."""
        found = [line[len(name) + 1:] for line in self.boots[boot]
                 if line.startswith(name + " ")]
        if len(found) != 1:
            raise Failed(f"{len(found)} lines about {name}; the guest said:\n" +
                         "\n".join(self.boots[boot]))
        return found[0]


def make_guest(place):
    """Kernel and root, where QEMU sees them."""
    if place.left() < NEEDED:
        raise CouldNot("there is not enough time to boot a guest")
    made = subprocess.run(["sh", os.path.join(HERE, "guest.sh"), place.top],
                          stderr=subprocess.PIPE, text=True, check=False)
    if made.returncode != 0:
        raise CouldNot((made.stderr.strip().splitlines() or ["guest.sh failed"])[-1])
    for name in ("vmlinuz", "initrd"):
        shutil.copy(os.path.join(place.top, "guest", name), place.path(name))


def console(path):
    """The lines of the guest, a list for each boot that has come to its end."""
    with open(path, errors="replace") as f:
        lines = [line.strip() for line in f]
    boots = [[]]
    for line in lines:
        if line == "GUEST done":
            boots.append([])
        elif line.startswith("GUEST "):
            boots[-1].append(line[6:])
    return boots[:-1], lines


def boot(place, how, end):
    make_guest(place)
    server = Server(place)
    devices = [user_device(server, **how["properties"])]
    other = Server(place, "demo", "demo") if how["both"] else None
    if other:
        devices.append(user_device(other, addr="6"))
    path = place.path("console")
    open(path, "w").close()
    qemu = Qemu(place, devices, accel="tcg",
                machine=how["machine"], size=RAM, more=how["more"] + [
                    "-kernel", place.seen(place.path("vmlinuz")),
                    "-initrd", place.seen(place.path("initrd")),
                    "-append", "console=ttyS0 quiet panic=-1 " + how["words"],
                    "-serial", "file:" + place.seen(path)])
    limit = min(BOOT_SECONDS * how["boots"], max(place.left(), NEEDED))
    try:
        until("the guest is done", lambda: len(console(path)[0]) >= how["boots"] or
              qemu.process.poll() is not None, limit)
    except Failed as e:
        raise Failed(f"{e}; its console ends with:\n" + "\n".join(console(path)[1][-15:])) from e
    end(qemu)
    # The next client finds a server that is ready for it.
    after = subprocess.run([place.vfuctl, "-s", server.path, "read", "bar0", "0"],
                           capture_output=True, text=True, timeout=30, check=False)
    equal("what the next client reads", after.stdout.strip(), "0x010000ed")
    if other:
        other.stop()
    trace = server.stop()
    server.keep("edu-linux-" + how["machine"])
    return Guest(console(path)[0], trace)


def kill(qemu):
    qemu.process.kill()
    qemu.wait()


def guest(place, how, end):
    """The guest of an earlier check, if there was one: booting takes its time."""
    key = "guest " + how["machine"]
    if key not in place.kept:
        place.kept[key] = CouldNot("the guest did not boot; see above")
        try:
            place.kept[key] = boot(place, how, end)
        except CouldNot as e:
            place.kept[key] = e
    if isinstance(place.kept[key], Exception):
        raise place.kept[key]
    return place.kept[key]


@check("guest", "Linux boots twice and lists the device with its BAR; kill -9 leaves the server")
def listed(place):
    g = guest(place, LINE, kill)
    for lines in g.boots[:2]:
        found = [line.split() for line in lines if "0x1234 0x11e8" in line]
        equal("devices found", len(found), 1)
        equal("class", found[0][4], "0x00ff00")
        equal("resources", len(found[0]), 6)
        start, end = (int(x, 16) for x in found[0][5].split(":")[1].split("-"))
        true("it is BAR0", found[0][5].startswith("0:"))
        equal("its size", end - start + 1, 1 << 20)
        true("it is aligned", start and start % (1 << 20) == 0)


@check("guest", "Linux lists demo, too, with all its BARs and its ROM, and reaches them")
def demo(place):
    g = guest(place, LINE, kill)
    for n, lines in enumerate(g.boots[:2]):
        found = [line.split() for line in lines if "0x1234 0x11e9" in line]
        equal("devices found", len(found), 1)
        sizes = {}
        for resource in found[0][5:]:
            bar, place_of_it = resource.split(":")
            start, end = (int(x, 16) for x in place_of_it.split("-"))
            sizes[int(bar)] = end - start + 1
        equal("sizes of BARs and ROM", sizes,
              {0: 0x1000, 1: 1 << 20, 2: 0x1000, 4: 0x1000, 6: 0x1000})
        equal("identification", int(g.value("demo-identification", n), 16), 0x4f4d4544)
        equal("memory, mapped and by message",
              [int(x, 16) for x in g.value("demo-memory", n).split()],
              [0x600df00d, 0x0ddba11])


@check("guest", "Linux reaches BAR0 with devmem, after a reboot, too")
def devmem(place):
    g = guest(place, LINE, kill)
    for n in range(2):
        equal("identification", int(g.value("identification", n), 16), 0x010000ed)
        equal("liveness", int(g.value("liveness", n), 16), 0xedcba987)
        equal("10!", int(g.value("factorial", n), 16), 3628800)


@check("guest", "Linux takes an interrupt of the line (INTx)")
def line(place):
    g = guest(place, LINE, kill)
    for n in range(2):
        words = g.value("intx", n).split()
        equal("interrupts the driver saw", words[0], "1")
        true("and /proc/interrupts", words[1:2] == ["counted"] and int(words[2]) >= 1)
        equal("interrupt status", int(g.value("pending", n), 16), 0)


@check("guest", "Linux resets the device by its file in /sys")
def reset(place):
    g = guest(place, LINE, kill)
    for n in range(2):
        equal("liveness before", int(g.value("before-reset", n), 16), 0xffffffff)
        equal("liveness and identification after",
              [int(x, 16) for x in g.value("after-reset", n).split()], [0, 0x010000ed])
    true("DEVICE_RESET was sent for both, and the reboot",
         len(commands(g.trace, "DEVICE_RESET")) >= 3)


@check("guest", "a driver takes MSIs, and DMA goes through an IOMMU; quit leaves the server")
def messages(place):
    g = guest(place, MESSAGES, lambda qemu: qemu.quit())
    equal("messages of ten", g.value("msi"), "10")
    equal("transfers", g.value("dma"), "2 same")
    equal("interrupt status", int(g.value("pending"), 16), 0)
