/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of the demonstration device, shared by its files. */
#ifndef DEVICE_DEMO_H
#define DEVICE_DEMO_H

#include "device.h"
#include "pcicfg.h"

#define DEMO_VECTORS	16u
#define DEMO_SCRATCH	8u
#define DEMO_BELLS	16u /* of BAR2 */
#define DEMO_SHADOWS	4u  /* more of them, with shadows, in the region beyond PCI's */
#define DEMO_EVENTS	32u /* that the log keeps */
#define DEMO_EVENT_SIZE 16u

#define DEMO_BAR0_SIZE	UINT64_C(0x1000)
#define DEMO_BAR1_SIZE	(UINT64_C(1) << 20)
#define DEMO_BAR2_SIZE	UINT64_C(0x1000)
#define DEMO_BAR4_SIZE	UINT64_C(0x1000)
#define DEMO_ROM_SIZE	UINT64_C(0x1000)
#define DEMO_EXTRA	VUSER_PCI_REGIONS /* index of the region beyond PCI's */
#define DEMO_EXTRA_SIZE UINT64_C(0x2000)
#define DEMO_REGIONS	(VUSER_PCI_REGIONS + 1)

#define DEMO_TABLE	0x000u /* of MSI-X, in BAR4 */
#define DEMO_TABLE_SIZE (16u * DEMO_VECTORS)
#define DEMO_PENDING	0x800u

#define DEMO_PAGE	4096u
#define DEMO_PAGES	(DEMO_BAR1_SIZE / DEMO_PAGE)
#define DEMO_MEMORY_AT                                                 \
	DEMO_PAGE /* of BAR1 in its file: not at the start, so that an \
			 offset that is forgotten shows */

/* BAR0, by words of 4 bytes. */
enum demo_register {
	REG_ID = 0x000 / 4,
	REG_VERSION = 0x004 / 4,
	REG_SCRATCH = 0x010 / 4,
	REG_READS = 0x040 / 4,
	REG_WRITES = 0x044 / 4,
	REG_RESETS = 0x048 / 4,
	REG_INTERRUPTS = 0x04c / 4,
	REG_BELLS = 0x050 / 4,
	REG_CLIENTS = 0x054 / 4,
	REG_SOURCE = 0x080 / 4, /* this and the next three have 64 bits */
	REG_DESTINATION = 0x088 / 4,
	REG_COUNT = 0x090 / 4,
	REG_DONE = 0x098 / 4,
	REG_COMMAND = 0x0a0 / 4,
	REG_STATUS = 0x0a4 / 4,
	REG_ERROR = 0x0a8 / 4,
	REG_PATTERN = 0x0ac / 4,
	REG_RAISE = 0x0c0 / 4,
	REG_PENDING = 0x0c4 / 4,
	REG_ACKNOWLEDGE = 0x0c8 / 4,
	REG_SIGNAL = 0x0cc / 4,
	DEMO_REGS = 0x100 / 4,
};

/* REG_COMMAND: what to copy, and how its end is told. */
#define DMA_START	 UINT32_C(0x01)
#define DMA_KIND	 UINT32_C(0x06)
#define DMA_KIND_COPY	 UINT32_C(0x00) /* memory to memory */
#define DMA_KIND_IN	 UINT32_C(0x02) /* memory to BAR1 */
#define DMA_KIND_OUT	 UINT32_C(0x04) /* BAR1 to memory */
#define DMA_KIND_FILL	 UINT32_C(0x06) /* REG_PATTERN to memory */
#define DMA_INTERRUPT	 UINT32_C(0x10)
#define DMA_VECTOR(cmd)	 (((cmd) >> 8) % DEMO_VECTORS)

/* REG_STATUS. */
#define DMA_STATUS_BUSY	 UINT32_C(0x1)
#define DMA_STATUS_DONE	 UINT32_C(0x2)
#define DMA_STATUS_ERROR UINT32_C(0x4)

/* REG_SIGNAL. */
#define SIGNAL_ERR	 UINT32_C(0x1)
#define SIGNAL_REQ	 UINT32_C(0x2)

/* An entry of the log, 16 bytes in the region beyond PCI's, little-endian. */
enum demo_event {
	EVENT_RESET = 1,
	EVENT_BELL,	 /* value: number of the doorbell */
	EVENT_RAISE,	 /* value: the vector */
	EVENT_DMA_START, /* value: bytes asked for */
	EVENT_DMA_END,	 /* value: bytes done */
	EVENT_STATE,	 /* value: enum vuser_device_state */
	EVENT_LEFT,
};

/* All that a reset, migration and the next client find. */
struct demo_state {
	uint32_t reg[DEMO_REGS];
	uint8_t table[DEMO_TABLE_SIZE];
	uint32_t bell[DEMO_BELLS + DEMO_SHADOWS]; /* how often each was rung */
	uint32_t events;			  /* ever logged */
	struct {
		uint32_t number, kind;
		uint64_t value;
	} log[DEMO_EVENTS];
};

struct demo {
	struct vuser_server *server; /* not owned */
	struct pcicfg cfg;
	struct demo_state state;
	uint8_t *memory; /* BAR1: mapped, its file sealed */
	int memory_fd;
	uint8_t *shadow; /* values that come with the last doorbells */
	int shadow_fd;
	int bells[DEMO_BELLS + DEMO_SHADOWS]; /* eventfds */
	struct demo_stream *stream;	      /* of a migration under way */
	bool stopped;			      /* by migration */
	unsigned resets; /* so that a transfer knows that one came meanwhile */
};

extern const struct vuser_migration_ops demo_migration;

void demo_log(struct demo *d, enum demo_event kind, uint64_t value);
/* Raises a vector by MSI-X if the client uses that, else by the line. */
void demo_raise(struct demo *d, unsigned vector);
/* The line again, after what it depends on has changed. */
void demo_line(struct demo *d);

/* device_demo_dma.c: a slice of a transfer; true while there is more of it. */
bool demo_dma_work(struct demo *d);
void demo_dma_start(struct demo *d, uint32_t command);
/* Ends one under way with err. */
void demo_dma_abort(struct demo *d, int err);

/* device_demo_migration.c */
void demo_migration_end(struct demo *d);

static inline uint64_t demo_get64(const struct demo *d, unsigned reg)
{
	return d->state.reg[reg] | (uint64_t)d->state.reg[reg + 1] << 32;
}

static inline void demo_set64(struct demo *d, unsigned reg, uint64_t value)
{
	d->state.reg[reg] = (uint32_t)value;
	d->state.reg[reg + 1] = (uint32_t)(value >> 32);
}

#endif
