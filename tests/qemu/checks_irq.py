# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts: the INTx line at the I/O APIC, messages where they are written."""
import time

import bus
import edu
from edu import MSI, Edu
from machine import Qemu, Server, user_device
from report import check, equal, true, until

LINE = 11
MESSAGE_AT, MESSAGE = 0x2000, 0x4321


def start(place, ram="fd", device=None):
    """The firmware does not run: what it does for interrupts is done here."""
    server = Server(place) if device is None else None
    qemu = Qemu(place, [device or user_device(server, addr=str(edu.SLOT))], ram=ram)
    bridge = bus.Function(qemu, 1)
    for pirq in range(4):
        bridge.set_config(0x60 + pirq, LINE, 1)
    qemu.ask("irq_intercept_in ioapic")
    return server, qemu, Edu(qemu)


def asserted(qemu):
    """The line's level now; interrupts come from the main loop between our commands."""
    qemu.idle()
    return qemu.irqs.get(LINE, False)


def stays(what, holds, seconds=0.1):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        true(what, holds())
        time.sleep(0.005)


@check("irq", "INTx: raised by software, asserted, lowered when acknowledged")
def intx(place):
    server, qemu, device = start(place)
    true("it is low", not asserted(qemu))
    for bits in (1, 0x80000000, 0x101):
        device.write(edu.RAISE, bits)
        until("the line is asserted", lambda: asserted(qemu))
        equal("interrupt status", device.read(edu.INTERRUPTS), bits)
        true("the status register of configuration space tells",
             device.config(bus.STATUS, 2) & bus.STATUS_INTX)
        device.write(edu.ACKNOWLEDGE, bits)
        equal("acknowledged", device.read(edu.INTERRUPTS), 0)
        until("the line is lowered", lambda: not asserted(qemu))
        stays("it stays low", lambda: not asserted(qemu))
        true("the status register, too",
             not device.config(bus.STATUS, 2) & bus.STATUS_INTX)
    qemu.quit()
    server.stop()
    server.keep("edu-intx")


@check("irq", "INTx: a line that is not acknowledged comes back after the end of interrupt")
def intx_again(place):
    server, qemu, device = start(place)
    device.write(edu.RAISE, 3)
    until("the line is asserted", lambda: asserted(qemu))
    for _ in range(5):
        # QEMU takes any access to a BAR as the end of the interrupt, and unmasks it.
        device.write(edu.ACKNOWLEDGE, 1)
        before = len(qemu.edges)
        until("it is asserted again", lambda: asserted(qemu))
        true("after it was low", before <= len(qemu.edges))
    device.write(edu.ACKNOWLEDGE, 2)
    device.read(edu.INTERRUPTS)
    until("it is lowered for good", lambda: not asserted(qemu))
    stays("it stays low", lambda: not asserted(qemu))
    qemu.quit()
    server.stop()


@check("irq", "INTx: disabled in the command register it is not asserted until enabled")
def intx_disabled(place):
    server, qemu, device = start(place)
    command = device.config(bus.COMMAND, 2)
    device.set_config(bus.COMMAND, command | bus.COMMAND_NO_INTX, 2)
    device.write(edu.RAISE, 1)
    equal("interrupt status", device.read(edu.INTERRUPTS), 1)
    stays("it stays low", lambda: not asserted(qemu))
    device.set_config(bus.COMMAND, command, 2)
    until("it is asserted", lambda: asserted(qemu))
    device.write(edu.ACKNOWLEDGE, 1)
    device.read(edu.INTERRUPTS)
    until("it is lowered", lambda: not asserted(qemu))
    qemu.quit()
    server.stop()


def enable_msi(device, address=MESSAGE_AT, data=MESSAGE):
    at = device.capability(MSI)
    equal("the capability", at, 0x40)
    device.set_config(at + 4, address)
    device.set_config(at + 8, 0)
    device.set_config(at + 12, data, 2)
    device.set_config(at + 2, device.config(at + 2, 2) | 1, 2)
    equal("MSI is enabled", device.config(at + 2, 2) & 1, 1)
    return at


def message_came(qemu):
    """Whether a message was written since it was last asked."""
    qemu.idle()
    if qemu.read(MESSAGE_AT) != MESSAGE:
        return False
    qemu.write(MESSAGE_AT, 0)
    return True


@check("irq", "MSI: the message is written where software said, the line stays low")
def msi(place):
    for ram in ("fd", "plain"):
        server, qemu, device = start(place, ram)
        qemu.write(MESSAGE_AT, 0)
        enable_msi(device)
        for n in range(1, 20):
            device.write(edu.RAISE, 1)
            until(f"message {n}", lambda: message_came(qemu))
            device.write(edu.ACKNOWLEDGE, 1)
        stays("no more come", lambda: not message_came(qemu))
        true("the line is low", not any(raised for line, raised in qemu.edges if line == LINE))
        qemu.quit()
        server.stop()
        server.keep("edu-msi-" + ram)


@check("irq", "MSI: when a factorial and when a transfer is done")
def msi_of_work(place):
    server, qemu, device = start(place)
    qemu.write(MESSAGE_AT, 0)
    enable_msi(device)
    device.write(edu.STATUS, edu.WANT_INTERRUPT)
    device.write(edu.FACTORIAL, 6)
    until("the factorial's", lambda: message_came(qemu))
    equal("interrupt status", device.read(edu.INTERRUPTS), 1)
    equal("6!", device.read(edu.FACTORIAL), 720)
    device.write(edu.ACKNOWLEDGE, 1)
    device.start(0x100000, edu.BUFFER, 256, edu.DMA_INTERRUPT)
    until("the transfer's", lambda: message_came(qemu))
    equal("interrupt status", device.read(edu.INTERRUPTS), 0x100)
    device.write(edu.ACKNOWLEDGE, 0x100)
    qemu.quit()
    server.stop()


@check("irq", "MSI switched off: the line takes over, and back")
def msi_off(place):
    server, qemu, device = start(place)
    qemu.write(MESSAGE_AT, 0)
    for _ in range(3):
        at = enable_msi(device)
        device.write(edu.RAISE, 1)
        until("the message", lambda: message_came(qemu))
        device.write(edu.ACKNOWLEDGE, 1)
        device.set_config(at + 2, device.config(at + 2, 2) & ~1, 2)
        device.write(edu.RAISE, 1)
        until("the line is asserted", lambda: asserted(qemu))
        device.write(edu.ACKNOWLEDGE, 1)
        device.read(edu.INTERRUPTS)
        until("the line is lowered", lambda: not asserted(qemu))
        true("no message came", not message_came(qemu))
    qemu.quit()
    server.stop()


@check("irq", "after a reset no interrupt is left over")
def after_reset(place):
    server, qemu, device = start(place)
    device.write(edu.RAISE, 1)
    until("the line is asserted", lambda: asserted(qemu))
    qemu.qmp("system_reset")
    until("BAR0 forgets its place", lambda: device.config(bus.BAR0) == 0)
    until("the line is lowered", lambda: not asserted(qemu))
    stays("it stays low", lambda: not asserted(qemu))
    qemu.quit()
    server.stop()
