# SPDX-License-Identifier: BSD-3-Clause
"""A random sequence of accesses to the educational device, from a seed."""
import random

import bus
import edu

# The engine of QEMU's device ends QEMU when a transfer leaves its buffer, and prints when an
# address is above 28 bits: such transfers are tested with our device alone.
MEMORY_AT, MEMORY_SIZE = 0x100000, 0x10000

# Behind the last capability, MSI, QEMU's own devices have bytes that keep what is written;
# ours has none, as the specification has it of what a function does not implement.
CONFIG_END = 0x4e

REGISTERS = [edu.IDENTIFICATION, edu.LIVENESS, edu.FACTORIAL, edu.STATUS, edu.INTERRUPTS,
             edu.RAISE, edu.ACKNOWLEDGE]
DMA_REGISTERS = [edu.DMA_SOURCE, edu.DMA_DESTINATION, edu.DMA_COUNT, edu.DMA_COMMAND]
INTERESTING = [0, 1, 2, 3, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x101, 0x7fffffff, 0x80000000,
               0xffffffff, 0x100000000, 0xffffffffffffffff]


def number(rng, width):
    value = rng.choice(INTERESTING) if rng.random() < 0.5 else rng.getrandbits(8 * width)
    return value & ((1 << 8 * width) - 1)


def liveness(rng):
    yield "write", edu.LIVENESS, 4, number(rng, 4)
    yield "read", edu.LIVENESS, 4


# The interrupt of a factorial is not pending before it, so that it can be waited for: QEMU's
# device raises it a little after it says that it is done.
QUIET = ("write", edu.ACKNOWLEDGE, 4, 1)


def factorial(rng):
    yield QUIET
    yield "write", edu.FACTORIAL, 4, rng.choice([rng.randint(0, 40), number(rng, 4) & 0xffff])
    yield ("settle",)
    yield "read", edu.FACTORIAL, 4
    yield "read", edu.STATUS, 4
    yield "read", edu.INTERRUPTS, 4


def interrupts(rng):
    yield "write", rng.choice([edu.RAISE, edu.ACKNOWLEDGE]), 4, number(rng, 4)
    yield "read", edu.INTERRUPTS, 4
    yield "config read", bus.STATUS, 2


def status(rng):
    yield "write", edu.STATUS, 4, number(rng, 4)
    yield "read", edu.STATUS, 4


def any_read(rng):
    """Any width anywhere, aligned or not, registers and their neighbours most."""
    at = rng.choice(REGISTERS + DMA_REGISTERS + [rng.randrange(0xc0),
                                                 rng.randrange(edu.BAR_SIZE - 8)])
    if rng.random() < 0.3:
        at += rng.randint(0, 7)
    yield "read", at, rng.choice([1, 2, 4, 8])


def any_write(rng):
    """The same, but the command register, which a transfer of its own writes below."""
    width = rng.choice([1, 2, 4, 8])
    at = rng.choice(REGISTERS + DMA_REGISTERS[:3] + [rng.randrange(0x98),
                                                     rng.randrange(0xa0, edu.BAR_SIZE - 8)])
    if at < edu.DMA_COMMAND < at + width + 8:
        at = edu.DMA_COUNT
    value = number(rng, width)
    if at <= edu.FACTORIAL:  # QEMU's device takes as many rounds as the number says
        value &= ~(0xffff0000 << 8 * (edu.FACTORIAL - at))
        yield QUIET
    yield "write", at, width, value
    yield ("settle",)  # it may have been the factorial's
    yield "read", at, 4
    yield "read", edu.LIVENESS, 4
    yield "read", edu.INTERRUPTS, 4


def dma_registers(rng):
    width = rng.choice([4, 8])
    yield "write", rng.choice(DMA_REGISTERS[:3]), width, number(rng, width)
    yield "write", edu.DMA_COMMAND, width, number(rng, width) & ~edu.START
    for at in DMA_REGISTERS:
        yield "read", at, rng.choice([4, 8])


def transfer(rng):
    count = rng.choice([1, 4, 255, 4095, 4096, rng.randint(1, 4096)])
    inside = edu.BUFFER + rng.randint(0, edu.BUFFER_SIZE - count)
    outside = MEMORY_AT + rng.randint(0, MEMORY_SIZE - count)
    out = rng.random() < 0.5
    source, destination = (inside, outside) if out else (outside, inside)
    command = edu.START | (edu.OUT if out else 0) | (edu.DMA_INTERRUPT & rng.getrandbits(3))
    width = rng.choice([4, 8])
    if not out:
        yield "fill", outside, count, rng.getrandbits(32)
    yield "write", edu.DMA_SOURCE, width, source
    yield "write", edu.DMA_DESTINATION, width, destination
    yield "write", edu.DMA_COUNT, width, count
    yield "write", edu.DMA_COMMAND, width, command
    yield ("settle",)
    yield "read", edu.DMA_COMMAND, 8
    yield "read", edu.INTERRUPTS, 4
    if out:
        yield "memory", outside, count


def config_read(rng):
    width = rng.choice([1, 2, 4])
    yield "config read", rng.randrange(0, 256, width), width


def config_write(rng):
    """Any register, but that which moves or hides the device is put back after."""
    width = rng.choice([1, 2, 4])
    at = rng.choice([0x00, 0x04, 0x06, 0x08, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x14, 0x24, 0x28,
                     0x2c, 0x30, 0x34, 0x3c, 0x3d, 0x3e, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4c,
                     rng.randrange(CONFIG_END)])
    at -= at % width
    if at + width > CONFIG_END:
        at, width = CONFIG_END - 2, 2
    yield "config write", at, width, number(rng, width)
    yield "config read", at & ~3, 4
    yield "config write", bus.COMMAND, 2, bus.COMMAND_MEMORY | bus.COMMAND_MASTER
    yield "config write", bus.BAR0, 4, edu.BAR
    yield "config write", 0x42, 2, 0  # messages would go to wherever the test has memory
    yield "config read", bus.BAR0, 4
    yield "config read", bus.COMMAND, 4


KINDS = [(liveness, 3), (factorial, 3), (interrupts, 4), (status, 2), (any_read, 6),
         (any_write, 5), (dma_registers, 3), (transfer, 3), (config_read, 4),
         (config_write, 4)]


def sequence(seed, length):
    """About length accesses: tuples of what to do and its arguments."""
    rng = random.Random(seed)
    kinds, weights = zip(*KINDS)
    count = 0
    while count < length:
        for step in rng.choices(kinds, weights)[0](rng):
            count += 1
            yield step
