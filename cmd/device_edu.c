/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The educational PCI device 1234:11e8 of the QEMU documentation, "EDU device": a
 * liveness check, factorials, interrupts on request, and DMA to and from a buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "pcicfg.h"

#define BAR_SIZE	    (UINT64_C(1) << 20)

#define IDENTIFICATION	    UINT64_C(0x010000ed) /* version 1.0 */

/* Status register. */
#define STATUS_COMPUTING    UINT64_C(0x01)
#define STATUS_INTERRUPT    UINT64_C(0x80) /* when the factorial is done */

/* Interrupt status: what the device itself raises; software may raise any bit. */
#define INTERRUPT_FACTORIAL UINT32_C(0x001)
#define INTERRUPT_DMA	    UINT32_C(0x100)

/* DMA command register. */
#define DMA_START	    UINT64_C(0x01) /* stays set while the transfer runs */
#define DMA_OUT		    UINT64_C(0x02) /* from the buffer to memory */
#define DMA_INTERRUPT	    UINT64_C(0x04)

#define DMA_MASK	    ((UINT64_C(1) << 28) - 1) /* the device drives 28 address lines */
#define BUFFER_BASE	    UINT64_C(0x40000)	      /* seen by DMA, not in BAR0 */
#define BUFFER_SIZE	    UINT64_C(4096)

enum edu_register {
	REG_IDENTIFICATION,
	REG_LIVENESS,
	REG_FACTORIAL,
	REG_STATUS,
	REG_INTERRUPTS,
	REG_RAISE,
	REG_ACKNOWLEDGE,
	REG_DMA_SOURCE,
	REG_DMA_DESTINATION,
	REG_DMA_COUNT,
	REG_DMA_COMMAND,
	REGS,
};

struct edu {
	struct vuser_server *server; /* for DMA and interrupts; not owned */
	struct pcicfg cfg;
	uint64_t reg[REGS];
	uint8_t buffer[BUFFER_SIZE];
	unsigned resets; /* so that a transfer knows that one came meanwhile */
};

/* ---- Interrupts ------------------------------------------------------------------ */

/* The line as configuration space has it now, which may have disabled it. */
static void drive_line(struct edu *edu)
{
	if (edu->server)
		vuser_server_irq_level(edu->server, VUSER_IRQ_INTX, 0,
				       pcicfg_intx(&edu->cfg));
}

static void send_message(struct edu *edu)
{
	if (edu->server)
		vuser_server_irq(edu->server, VUSER_IRQ_MSI, 0);
}

/*
 * Adds bits to the interrupt status. Any that stands interrupts: by a message, which is
 * an event and leaves no state, or by the line, until all are acknowledged.
 */
static void edu_raise(struct edu *edu, uint32_t bits)
{
	edu->reg[REG_INTERRUPTS] |= bits;
	if (!edu->reg[REG_INTERRUPTS])
		return;
	if (pcicfg_msi_enabled(&edu->cfg)) {
		send_message(edu);
	} else {
		pcicfg_set_intx(&edu->cfg, true);
		drive_line(edu);
	}
}

static void edu_lower(struct edu *edu, uint32_t bits)
{
	edu->reg[REG_INTERRUPTS] &= ~(uint64_t)bits;
	if (!edu->reg[REG_INTERRUPTS])
		pcicfg_set_intx(&edu->cfg, false);
	drive_line(edu);
}

/* ---- Registers ------------------------------------------------------------------- */

static void write_liveness(struct edu *edu, unsigned reg, uint64_t value)
{
	edu->reg[reg] = (uint32_t)~value;
}

static void write_factorial(struct edu *edu, unsigned reg, uint64_t value)
{
	if (edu->reg[REG_STATUS] & STATUS_COMPUTING)
		return;
	edu->reg[reg] = value;
	edu->reg[REG_STATUS] |= STATUS_COMPUTING;
}

static void write_status(struct edu *edu, unsigned reg, uint64_t value)
{
	edu->reg[reg] &= ~STATUS_INTERRUPT;
	edu->reg[reg] |= value & STATUS_INTERRUPT;
}

static void write_raise(struct edu *edu, unsigned reg, uint64_t value)
{
	(void)reg;
	edu_raise(edu, (uint32_t)value);
}

static void write_acknowledge(struct edu *edu, unsigned reg, uint64_t value)
{
	(void)reg;
	edu_lower(edu, (uint32_t)value);
}

/* The transfer that runs keeps its registers. */
static void write_dma(struct edu *edu, unsigned reg, uint64_t value)
{
	if (!(edu->reg[REG_DMA_COMMAND] & DMA_START))
		edu->reg[reg] = value;
}

/* A command that starts nothing leaves the one before to be read. */
static void write_dma_command(struct edu *edu, unsigned reg, uint64_t value)
{
	if (value & DMA_START)
		write_dma(edu, reg, value);
}

/*
 * Writing 4 of the 8 bytes of a wide register sets all of it, the upper half to zero; the
 * upper half is no register of its own.
 */
static const struct edu_reg_desc {
	uint16_t offset;
	uint8_t widest; /* 4: 4 bytes only, 8: 4 or 8 */
	bool readable;
	uint64_t initial;
	void (*write)(struct edu *edu, unsigned reg, uint64_t value);
} registers[REGS] = {
	[REG_IDENTIFICATION] = { 0x00, 4, true, IDENTIFICATION, NULL },
	[REG_LIVENESS] = { 0x04, 4, true, 0, write_liveness },
	[REG_FACTORIAL] = { 0x08, 4, true, 0, write_factorial },
	[REG_STATUS] = { 0x20, 4, true, 0, write_status },
	[REG_INTERRUPTS] = { 0x24, 4, true, 0, NULL },
	[REG_RAISE] = { 0x60, 4, false, 0, write_raise },
	[REG_ACKNOWLEDGE] = { 0x64, 4, false, 0, write_acknowledge },
	[REG_DMA_SOURCE] = { 0x80, 8, true, 0, write_dma },
	[REG_DMA_DESTINATION] = { 0x88, 8, true, 0, write_dma },
	[REG_DMA_COUNT] = { 0x90, 8, true, 0, write_dma },
	[REG_DMA_COMMAND] = { 0x98, 8, true, 0, write_dma_command },
};

/* The register an access means, REGS if it means none. */
static unsigned find_register(uint64_t offset, unsigned width)
{
	unsigned reg = 0;

	while (reg < REGS &&
	       (registers[reg].offset != offset || width > registers[reg].widest))
		reg++;
	return reg;
}

/* ---- BAR0 ------------------------------------------------------------------------ */

/*
 * A bus moves naturally aligned pieces of at most 8 bytes; so an access that is none is
 * split: 8 bytes at 0x04 are the registers at 0x04 and at 0x08. Pieces below 4 bytes the
 * BAR does not decode at all: they read as zero. A piece that it does decode and that
 * means no register reads as ones. Neither has any effect when written. What is longer
 * than any access of a processor, a dump, goes by 4 bytes, which most registers want.
 */
#define NARROWEST 4u
#define WIDEST	  8u

static unsigned widest_of(uint32_t count)
{
	return count > WIDEST ? NARROWEST : WIDEST;
}

static unsigned piece(uint64_t offset, uint32_t count, unsigned widest)
{
	unsigned width = widest;

	while (width > count || offset % width)
		width /= 2;
	return width;
}

static uint64_t read_piece(const struct edu *edu, uint64_t offset, unsigned width)
{
	unsigned reg = find_register(offset, width);

	if (width < NARROWEST)
		return 0;
	if (reg == REGS || !registers[reg].readable)
		return UINT64_MAX;
	return edu->reg[reg];
}

static void write_piece(struct edu *edu, uint64_t offset, unsigned width, uint64_t value)
{
	unsigned reg = find_register(offset, width);

	if (width >= NARROWEST && reg < REGS && registers[reg].write)
		registers[reg].write(edu, reg, value);
}

/* Registers are little-endian, as everything on the bus. */
static void read_bar(const struct edu *edu, uint64_t offset, uint8_t *buf, uint32_t count)
{
	unsigned widest = widest_of(count);

	while (count) {
		unsigned width = piece(offset, count, widest);
		uint64_t value = read_piece(edu, offset, width);

		for (unsigned i = 0; i < width; i++)
			buf[i] = (uint8_t)(value >> (8 * i));
		offset += width;
		buf += width;
		count -= width;
	}
}

static void write_bar(struct edu *edu, uint64_t offset, const uint8_t *buf,
		      uint32_t count)
{
	unsigned widest = widest_of(count);

	while (count) {
		unsigned width = piece(offset, count, widest);
		uint64_t value = 0;

		for (unsigned i = 0; i < width; i++)
			value |= (uint64_t)buf[i] << (8 * i);
		write_piece(edu, offset, width, value);
		offset += width;
		buf += width;
		count -= width;
	}
}

/* ---- Work ------------------------------------------------------------------------ */

/*
 * n! modulo 2^32. Among any 34 numbers in a row there are 32 factors of two, so the
 * product is zero, and stays so, after as many rounds at most.
 */
static uint32_t factorial(uint32_t n)
{
	uint32_t product = 1;

	while (n > 1 && product)
		product *= n--;
	return product;
}

static void finish_factorial(struct edu *edu)
{
	edu->reg[REG_FACTORIAL] = factorial((uint32_t)edu->reg[REG_FACTORIAL]);
	edu->reg[REG_STATUS] &= ~STATUS_COMPUTING;
	if (edu->reg[REG_STATUS] & STATUS_INTERRUPT)
		edu_raise(edu, INTERRUPT_FACTORIAL);
}

/* Between the buffer and memory. A read that fails leaves the buffer as it was. */
static int move(struct edu *edu, uint64_t at, uint64_t iova, size_t count, bool out)
{
	unsigned resets = edu->resets;
	uint8_t data[BUFFER_SIZE];
	int err;

	if (!edu->server)
		return -EFAULT;
	if (out)
		return vuser_server_dma_write(edu->server, iova, edu->buffer + at, count);
	err = vuser_server_dma_read(edu->server, iova, data, count);
	if (!err && resets == edu->resets)
		memcpy(edu->buffer + at, data, count);
	return err;
}

/*
 * The bus master bit is not asked: which memory there is to reach is for the client to
 * say. What goes wrong out there shows in the status register of configuration space.
 */
static void transfer(struct edu *edu)
{
	bool out = edu->reg[REG_DMA_COMMAND] & DMA_OUT;
	uint64_t at = edu->reg[out ? REG_DMA_SOURCE : REG_DMA_DESTINATION];
	uint64_t iova = edu->reg[out ? REG_DMA_DESTINATION : REG_DMA_SOURCE] & DMA_MASK;
	uint64_t count = edu->reg[REG_DMA_COUNT];
	unsigned resets = edu->resets;
	int err;

	if (at < BUFFER_BASE || at - BUFFER_BASE > BUFFER_SIZE)
		return;
	at -= BUFFER_BASE;
	if (!count || count > BUFFER_SIZE - at)
		return;
	err = move(edu, at, iova, (size_t)count, out);
	if (resets != edu->resets)
		return;
	if (err == -EFAULT)
		pcicfg_set_status(&edu->cfg, PCI_STATUS_REC_MASTER_ABORT);
	else if (err)
		pcicfg_set_status(&edu->cfg, PCI_STATUS_REC_TARGET_ABORT);
}

/*
 * A transfer that could not be made ends like any other, so that nobody waits for it. One
 * that was reset is over already, and the next may have been started.
 */
static void finish_dma(struct edu *edu)
{
	unsigned resets = edu->resets;

	transfer(edu);
	if (resets != edu->resets)
		return;
	edu->reg[REG_DMA_COMMAND] &= ~DMA_START;
	if (edu->reg[REG_DMA_COMMAND] & DMA_INTERRUPT)
		edu_raise(edu, INTERRUPT_DMA);
}

static bool edu_busy(const struct edu *edu)
{
	return (edu->reg[REG_STATUS] & STATUS_COMPUTING) ||
	       (edu->reg[REG_DMA_COMMAND] & DMA_START);
}

static bool edu_work(void *dev)
{
	struct edu *edu = dev;

	if (edu->reg[REG_STATUS] & STATUS_COMPUTING)
		finish_factorial(edu);
	else if (edu->reg[REG_DMA_COMMAND] & DMA_START)
		finish_dma(edu);
	return edu_busy(edu); /* something may have been started meanwhile */
}

/* ---- Callbacks ------------------------------------------------------------------- */

static int edu_read(void *dev, uint32_t region, uint64_t offset, void *buf,
		    uint32_t count)
{
	struct edu *edu = dev;

	switch (region) {
	case VUSER_REGION_BAR0:
		read_bar(edu, offset, buf, count);
		return 0;
	case VUSER_REGION_CONFIG:
		pcicfg_read(&edu->cfg, offset, buf, count);
		return 0;
	default:
		return -EINVAL;
	}
}

static int edu_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
		     uint32_t count)
{
	struct edu *edu = dev;

	switch (region) {
	case VUSER_REGION_BAR0:
		write_bar(edu, offset, buf, count);
		return 0;
	case VUSER_REGION_CONFIG:
		pcicfg_write(&edu->cfg, offset, buf, count);
		/* A function that may send messages must not assert the line. */
		if (pcicfg_msi_enabled(&edu->cfg))
			pcicfg_set_intx(&edu->cfg, false);
		drive_line(edu);
		return 0;
	default:
		return -EINVAL;
	}
}

static int edu_reset(void *dev)
{
	struct edu *edu = dev;

	edu->resets++;
	pcicfg_reset(&edu->cfg);
	for (unsigned i = 0; i < REGS; i++)
		edu->reg[i] = registers[i].initial;
	memset(edu->buffer, 0, sizeof(edu->buffer));
	drive_line(edu);
	return 0;
}

/* A transfer that one client started must not reach into the memory of the next. */
static void edu_left(void *dev)
{
	struct edu *edu = dev;

	edu->reg[REG_DMA_COMMAND] &= ~DMA_START;
}

/* ---- Descriptor ------------------------------------------------------------------ */

static const struct vuser_region_desc regions[VUSER_PCI_REGIONS] = {
	[VUSER_REGION_BAR0] = { .flags = VUSER_REGION_READ | VUSER_REGION_WRITE,
				.size = BAR_SIZE },
	[VUSER_REGION_CONFIG] = { .flags = VUSER_REGION_READ | VUSER_REGION_WRITE,
				  .size = PCICFG_SIZE },
};

/* It reports no bus errors and never asks to be given back: neither ERR nor REQ. */
static const struct vuser_irq_desc irqs[VUSER_PCI_IRQS] = {
	[VUSER_IRQ_INTX] = {
		.flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE | VUSER_IRQ_AUTOMASKED,
		.count = 1,
	},
	[VUSER_IRQ_MSI] = {
		.flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE,
		.count = 1,
	},
};

static const struct vuser_device edu_desc = {
	.name = "edu",
	.flags = VUSER_DEVICE_RESET | VUSER_DEVICE_PCI,
	.regions = regions,
	.num_regions = VUSER_PCI_REGIONS,
	.irqs = irqs,
	.num_irqs = VUSER_PCI_IRQS,
	.read = edu_read,
	.write = edu_write,
	.reset = edu_reset,
	.left = edu_left,
	.work = edu_work,
	.overlaps = true, /* a transfer keeps its registers, and knows of resets */
};

/* The subsystem is the one QEMU gives its devices that have none of their own. */
static const struct pcicfg_ids ids = {
	.vendor = 0x1234,
	.device = 0x11e8,
	.subvendor = 0x1af4,
	.subdevice = 0x1100,
	.class_code = 0x00ff00, /* unclassified, other */
	.revision = 0x10,
	.pin = 1,
};

static int edu_create(void **dev, const struct vuser_device **desc)
{
	struct edu *edu = calloc(1, sizeof(*edu));

	if (!edu)
		return -ENOMEM;
	pcicfg_init(&edu->cfg, PCICFG_SIZE, &ids);
	pcicfg_bar(&edu->cfg, 0, BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_msi(&edu->cfg, 0x40, 1, true, false);
	edu_reset(edu);
	*dev = edu;
	*desc = &edu_desc;
	return 0;
}

static void edu_attach(void *dev, struct vuser_server *s)
{
	struct edu *edu = dev;

	edu->server = s;
}

static void edu_destroy(void *dev)
{
	free(dev);
}

const struct device_type device_edu = {
	.name = "edu",
	.summary = "QEMU's educational device, 1234:11e8",
	.create = edu_create,
	.attach = edu_attach,
	.destroy = edu_destroy,
};
