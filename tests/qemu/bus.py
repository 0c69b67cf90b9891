# SPDX-License-Identifier: BSD-3-Clause
"""A PCI function reached over qtest as software would: ports 0xcf8 and 0xcfc, BARs."""

COMMAND, STATUS, BAR0 = 0x04, 0x06, 0x10
COMMAND_MEMORY, COMMAND_MASTER, COMMAND_NO_INTX = 0x2, 0x4, 0x400
STATUS_INTX, STATUS_MASTER_ABORT = 0x8, 0x2000
LETTER = {1: "b", 2: "w", 4: "l"}


class Function:
    def __init__(self, qemu, slot, function=0):
        self.qemu = qemu
        self.slot = slot
        self.where = 0x80000000 | slot << 11 | function << 8
        self.bar = {}

    def config(self, offset, width=4):
        self.qemu.ask(f"outl 0xcf8 {self.where | (offset & ~3):#x}")
        return self.qemu.number(f"in{LETTER[width]} {0xcfc + (offset & 3):#x}")

    def set_config(self, offset, value, width=4):
        self.qemu.ask(f"outl 0xcf8 {self.where | (offset & ~3):#x}")
        self.qemu.ask(f"out{LETTER[width]} {0xcfc + (offset & 3):#x} {value:#x}")

    def bar_size(self, n):
        """As software learns it: by writing ones."""
        at = BAR0 + 4 * n
        before = self.config(at)
        self.set_config(at, 0xffffffff)
        mask = self.config(at) & ~0xf
        self.set_config(at, before)
        return (~mask & 0xffffffff) + 1 if mask else 0

    def place(self, n, address):
        """Puts a memory BAR where address says, and switches memory and DMA on."""
        self.set_config(BAR0 + 4 * n, address)
        self.bar[n] = address
        self.set_config(COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2)

    def read(self, offset, width=4, bar=0):
        return self.qemu.read(self.bar[bar] + offset, width)

    def write(self, offset, value, width=4, bar=0):
        self.qemu.write(self.bar[bar] + offset, value, width)

    def capability(self, wanted):
        """The offset of a capability, 0 without it."""
        at = self.config(0x34, 1) if self.config(STATUS, 2) & 0x10 else 0
        for _ in range(48):
            if at < 0x40:
                return 0
            if self.config(at, 1) == wanted:
                return at
            at = self.config(at + 1, 1) & ~3
        return 0
