# SPDX-License-Identifier: BSD-3-Clause
"""The educational device as its driver sees it."""
from bus import Function
from report import until

IDENTIFICATION, LIVENESS, FACTORIAL, STATUS = 0x00, 0x04, 0x08, 0x20
INTERRUPTS, RAISE, ACKNOWLEDGE = 0x24, 0x60, 0x64
DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98
COMPUTING, WANT_INTERRUPT = 0x01, 0x80
START, OUT, DMA_INTERRUPT = 0x1, 0x2, 0x4
BUFFER, BUFFER_SIZE = 0x40000, 4096

SLOT = 4
BAR = 0xe0000000
BAR_SIZE = 1 << 20
MSI = 5  # the capability's id


class Edu(Function):
    """In slot 4, BAR0 placed."""

    def __init__(self, qemu, slot=SLOT, bar=BAR):
        super().__init__(qemu, slot)
        self.place(0, bar)

    def factorial(self, n):
        self.write(FACTORIAL, n)
        until("the factorial", lambda: not self.read(STATUS) & COMPUTING)
        return self.read(FACTORIAL)

    def start(self, source, destination, count, command):
        self.write(DMA_SOURCE, source, 8)
        self.write(DMA_DESTINATION, destination, 8)
        self.write(DMA_COUNT, count, 8)
        self.write(DMA_COMMAND, command | START, 8)

    def transfer(self, source, destination, count, command=0):
        self.start(source, destination, count, command)
        until("the transfer", lambda: not self.read(DMA_COMMAND, 8) & START)

    def fetch(self, address, count, at=0, command=0):
        self.transfer(address, BUFFER + at, count, command)

    def store(self, address, count, at=0, command=0):
        self.transfer(BUFFER + at, address, count, command | OUT)
