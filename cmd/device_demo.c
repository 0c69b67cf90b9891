/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device made to exercise every message: registers, memory that can be mapped in parts,
 * doorbells, vectors, a copy engine, a region beyond those of PCI, migration. Its
 * programmer's view is in vfuctl-devices(7).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device_demo.h"

#define ID	      UINT32_C(0x4f4d4544) /* "DEMO" */
#define VERSION	      UINT32_C(0x00010000)

#define ALL_BELLS     (DEMO_BELLS + DEMO_SHADOWS)
#define MATCHED_BELL  (DEMO_BELLS - 1) /* rung by one value only */
#define MATCH	      UINT64_C(0xd00b)

/* The region beyond PCI's: the log, the last doorbells, what is said with them. */
#define EXTRA_LOG     0x000u
#define EXTRA_BELLS   0x1000u
#define EXTRA_SHADOW  0x1800u

#define VENDOR_REGION (UINT32_C(1) << 31) /* of a PCI vendor: its id in the low half */

static void put_le(uint8_t *at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

void demo_log(struct demo *d, enum demo_event kind, uint64_t value)
{
	unsigned i = d->state.events++ % DEMO_EVENTS;

	d->state.log[i].number = d->state.events;
	d->state.log[i].kind = kind;
	d->state.log[i].value = value;
}

/* ---- Interrupts ------------------------------------------------------------------ */

/* Whoever attached an eventfd to a vector uses MSI-X, whatever configuration space says:
 * a client without a guest behind it has no reason to write there. */
static bool uses_msix(const struct demo *d, unsigned vector)
{
	return pcicfg_msix_enabled(&d->cfg) ||
	       (d->server &&
		vuser_server_irq_attached(d->server, VUSER_IRQ_MSIX, vector));
}

void demo_line(struct demo *d)
{
	pcicfg_set_intx(&d->cfg,
			d->state.reg[REG_PENDING] != 0 && !pcicfg_msix_enabled(&d->cfg));
	if (d->server)
		vuser_server_irq_level(d->server, VUSER_IRQ_INTX, 0,
				       pcicfg_intx(&d->cfg));
}

void demo_raise(struct demo *d, unsigned vector)
{
	d->state.reg[REG_INTERRUPTS]++;
	demo_log(d, EVENT_RAISE, vector);
	if (uses_msix(d, vector)) {
		if (d->server)
			vuser_server_irq(d->server, VUSER_IRQ_MSIX, vector);
		return;
	}
	d->state.reg[REG_PENDING] |= UINT32_C(1) << vector;
	demo_line(d);
}

/* ---- BAR0 ------------------------------------------------------------------------ */

static void write_raise(struct demo *d, uint32_t value)
{
	if (value < DEMO_VECTORS)
		demo_raise(d, value);
}

static void write_acknowledge(struct demo *d, uint32_t value)
{
	d->state.reg[REG_PENDING] &= ~value;
	demo_line(d);
}

static void write_signal(struct demo *d, uint32_t value)
{
	if (!d->server)
		return;
	if (value & SIGNAL_ERR)
		vuser_server_irq(d->server, VUSER_IRQ_ERR, 0);
	if (value & SIGNAL_REQ)
		vuser_server_irq(d->server, VUSER_IRQ_REQ, 0);
}

/* Registers that do something when written; they act on writes of all 4 bytes. */
static const struct {
	unsigned reg;
	void (*write)(struct demo *d, uint32_t value);
} actions[] = {
	{ REG_COMMAND, demo_dma_start },
	{ REG_RAISE, write_raise },
	{ REG_ACKNOWLEDGE, write_acknowledge },
	{ REG_SIGNAL, write_signal },
};

/* Registers that keep what is written, any bytes of them. */
static bool keeps(const struct demo *d, unsigned reg)
{
	if (reg >= REG_SCRATCH && reg < REG_SCRATCH + DEMO_SCRATCH)
		return true;
	return ((reg >= REG_SOURCE && reg < REG_DONE) || reg == REG_PATTERN) &&
	       !(d->state.reg[REG_STATUS] & DMA_STATUS_BUSY);
}

static void write_register(struct demo *d, unsigned reg, uint32_t value, uint32_t mask)
{
	d->state.reg[REG_WRITES]++;
	if (keeps(d, reg))
		d->state.reg[reg] = (d->state.reg[reg] & ~mask) | (value & mask);
	if (mask != UINT32_MAX)
		return;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (actions[i].reg == reg)
			actions[i].write(d, value);
}

/* An access of any width is one to each register it touches, from the lowest on. */
static void read_bar0(struct demo *d, uint64_t offset, uint8_t *buf, uint32_t count)
{
	for (uint32_t i = 0, n; i < count; i += n) {
		unsigned reg = (unsigned)((offset + i) / 4), skip = (offset + i) % 4;
		uint8_t word[4] = { 0 };

		n = 4 - skip < count - i ? 4 - skip : count - i;
		if (reg < DEMO_REGS) {
			d->state.reg[REG_READS]++;
			put_le(word, 4, d->state.reg[reg]);
		}
		memcpy(buf + i, word + skip, n);
	}
}

static void write_bar0(struct demo *d, uint64_t offset, const uint8_t *buf,
		       uint32_t count)
{
	for (uint32_t i = 0, n; i < count; i += n) {
		unsigned reg = (unsigned)((offset + i) / 4), skip = (offset + i) % 4;
		uint8_t word[4] = { 0 }, mask[4] = { 0 };

		n = 4 - skip < count - i ? 4 - skip : count - i;
		memcpy(word + skip, buf + i, n);
		memset(mask + skip, 0xff, n);
		if (reg < DEMO_REGS)
			write_register(d, reg, (uint32_t)get_le(word, 4),
				       (uint32_t)get_le(mask, 4));
	}
}

/* ---- Doorbells ------------------------------------------------------------------- */

static void ring(struct demo *d, unsigned bell, uint32_t times)
{
	d->state.bell[bell] += times;
	d->state.reg[REG_BELLS] += times;
	demo_log(d, EVENT_BELL, bell);
}

/* Rung by its eventfd: as often as was added to it. */
static void rung(void *dev, int fd)
{
	struct demo *d = dev;
	uint64_t times;

	if (read(fd, &times, sizeof(times)) != sizeof(times))
		return;
	for (unsigned i = 0; i < ALL_BELLS; i++)
		if (d->bells[i] == fd)
			ring(d, i, (uint32_t)times);
}

/* Where doorbells lie in a region, 4 bytes each. */
struct bells {
	unsigned first, count;
	uint64_t at;
};

static const struct bells bells_of_bar2 = { 0, DEMO_BELLS, 0 };
static const struct bells bells_of_extra = { DEMO_BELLS, DEMO_SHADOWS, EXTRA_BELLS };

/* How often each was rung is what is read there. */
static void read_bells(const struct demo *d, const struct bells *b, uint64_t offset,
		       uint8_t *buf, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t at = offset + i - b->at;

		buf[i] = 0;
		if (offset + i >= b->at && at / 4 < b->count)
			buf[i] = (uint8_t)(d->state.bell[b->first + at / 4] >>
					   (8 * (at % 4)));
	}
}

/* Rung by a message: a write of 4 bytes. */
static void write_bells(struct demo *d, const struct bells *b, uint64_t offset,
			const uint8_t *buf, uint32_t count)
{
	unsigned bell;

	if (count != 4 || offset < b->at || offset % 4 ||
	    (offset - b->at) / 4 >= b->count)
		return;
	bell = b->first + (unsigned)((offset - b->at) / 4);
	if (bell != MATCHED_BELL || get_le(buf, 4) == MATCH)
		ring(d, bell, 1);
}

static int demo_io_fds(void *dev, uint32_t region, struct vuser_io_fd *entries,
		       size_t max, size_t *n, int *fds, size_t *nfds)
{
	const struct bells *b = region == DEMO_EXTRA ? &bells_of_extra : &bells_of_bar2;
	struct demo *d = dev;

	*n = *nfds = 0;
	if (region != VUSER_REGION_BAR0 + 2 && region != DEMO_EXTRA)
		return 0;
	/* As many as a client can take in one message; the rest are rung by messages. */
	for (unsigned i = 0; i < b->count && *n < max && *nfds < 8; i++) {
		unsigned bell = b->count > 8 && i == 7 ? MATCHED_BELL : b->first + i;
		struct vuser_io_fd *entry = &entries[(*n)++];

		*entry = (struct vuser_io_fd){ .offset = b->at + 4 * (bell - b->first),
					       .size = 4,
					       .fd_index = (uint32_t)(*nfds),
					       .type = VUSER_IO_FD_IOEVENTFD };
		if (bell == MATCHED_BELL) {
			entry->flags = 1; /* datamatch holds */
			entry->datamatch = MATCH;
		}
		fds[(*nfds)++] = d->bells[bell];
	}
	if (region != DEMO_EXTRA)
		return 0;
	for (size_t i = 0; i < *n; i++) {
		entries[i].type = VUSER_IO_FD_SHADOW;
		entries[i].shadow_index = (uint32_t)*nfds;
		entries[i].shadow_offset = 8 * i;
	}
	fds[(*nfds)++] = d->shadow_fd;
	return 0;
}

/* ---- Other regions --------------------------------------------------------------- */

/* Bytes of a piece of memory that begins at base of a region; zeroes around it. */
static void read_piece(const uint8_t *piece, uint64_t base, uint64_t size,
		       uint64_t offset, uint8_t *buf, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (offset + i >= base && offset + i - base < size)
			buf[i] = piece[offset + i - base];
}

static void read_extra(const struct demo *d, uint64_t offset, uint8_t *buf,
		       uint32_t count)
{
	uint8_t log[DEMO_EVENTS * DEMO_EVENT_SIZE];

	for (unsigned i = 0; i < DEMO_EVENTS; i++) {
		put_le(log + i * DEMO_EVENT_SIZE, 4, d->state.log[i].number);
		put_le(log + i * DEMO_EVENT_SIZE + 4, 4, d->state.log[i].kind);
		put_le(log + i * DEMO_EVENT_SIZE + 8, 8, d->state.log[i].value);
	}
	read_bells(d, &bells_of_extra, offset, buf, count);
	read_piece(log, EXTRA_LOG, sizeof(log), offset, buf, count);
	read_piece(d->shadow, EXTRA_SHADOW, 8 * DEMO_SHADOWS, offset, buf, count);
}

/* A vector is pending while the line says so. */
static void read_bar4(const struct demo *d, uint64_t offset, uint8_t *buf, uint32_t count)
{
	uint8_t pending[8];

	put_le(pending, 8, d->state.reg[REG_PENDING]);
	memset(buf, 0, count);
	read_piece(d->state.table, DEMO_TABLE, DEMO_TABLE_SIZE, offset, buf, count);
	read_piece(pending, DEMO_PENDING, sizeof(pending), offset, buf, count);
}

/* The table is kept for those who read it; which vectors fire SET_IRQS says. */
static void write_bar4(struct demo *d, uint64_t offset, const uint8_t *buf,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (offset + i < DEMO_TABLE_SIZE)
			d->state.table[offset + i] = buf[i];
}

static const struct pcicfg_ids ids = {
	.vendor = 0x1234,
	.device = 0x11e9,
	.subvendor = 0x1af4,
	.subdevice = 0x1100,
	.class_code = 0x00ff00, /* unclassified, other */
	.revision = 0x01,
	.pin = 1,
};

/* An image for no processor: its header, its data structure, and a text. */
static void read_rom(uint64_t offset, uint8_t *buf, uint32_t count)
{
	static const char text[] = "the expansion ROM of vfuctl's demo device\n";
	uint8_t image[0x80] = { 0x55, 0xaa, DEMO_ROM_SIZE / 512 };
	uint8_t *pcir = image + 0x20;

	put_le(image + 0x18, 2, 0x20);
	memcpy(pcir, "PCIR", 4);
	put_le(pcir + 4, 2, ids.vendor);
	put_le(pcir + 6, 2, ids.device);
	put_le(pcir + 0x0a, 2, 0x18); /* length of this structure */
	put_le(pcir + 0x0d, 3, ids.class_code);
	put_le(pcir + 0x10, 2, DEMO_ROM_SIZE / 512);
	pcir[0x14] = 0xff; /* code type: none that is known */
	pcir[0x15] = 0x80; /* the last image */
	memcpy(image + 0x40, text, sizeof(text));
	memset(buf, 0xff, count);
	read_piece(image, 0, sizeof(image), offset, buf, count);
}

static int demo_read(void *dev, uint32_t region, uint64_t offset, void *buf,
		     uint32_t count)
{
	struct demo *d = dev;

	switch (region) {
	case VUSER_REGION_BAR0:
		read_bar0(d, offset, buf, count);
		return 0;
	case VUSER_REGION_BAR0 + 1:
		memcpy(buf, d->memory + offset, count);
		return 0;
	case VUSER_REGION_BAR0 + 2:
		read_bells(d, &bells_of_bar2, offset, buf, count);
		return 0;
	case VUSER_REGION_BAR0 + 4:
		read_bar4(d, offset, buf, count);
		return 0;
	case VUSER_REGION_ROM:
		read_rom(offset, buf, count);
		return 0;
	case VUSER_REGION_CONFIG:
		pcicfg_read(&d->cfg, offset, buf, count);
		return 0;
	case DEMO_EXTRA:
		read_extra(d, offset, buf, count);
		return 0;
	default:
		return -EINVAL;
	}
}

static int demo_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
		      uint32_t count)
{
	struct demo *d = dev;

	switch (region) {
	case VUSER_REGION_BAR0:
		write_bar0(d, offset, buf, count);
		return 0;
	case VUSER_REGION_BAR0 + 1:
		memcpy(d->memory + offset, buf, count);
		return 0;
	case VUSER_REGION_BAR0 + 2:
		write_bells(d, &bells_of_bar2, offset, buf, count);
		return 0;
	case VUSER_REGION_BAR0 + 4:
		write_bar4(d, offset, buf, count);
		return 0;
	case VUSER_REGION_CONFIG:
		pcicfg_write(&d->cfg, offset, buf, count);
		demo_line(d);
		return 0;
	case DEMO_EXTRA:
		write_bells(d, &bells_of_extra, offset, buf, count);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- Callbacks ------------------------------------------------------------------- */

/* Memory keeps its contents through a reset, as memory does; registers do not. */
static int demo_reset(void *dev)
{
	struct demo *d = dev;
	uint32_t resets = d->state.reg[REG_RESETS], clients = d->state.reg[REG_CLIENTS];

	demo_migration_end(d);
	d->stopped = false;
	d->resets++;
	memset(d->state.reg, 0, sizeof(d->state.reg));
	memset(d->state.table, 0, sizeof(d->state.table));
	memset(d->state.bell, 0, sizeof(d->state.bell));
	for (unsigned i = 0; i < DEMO_VECTORS; i++)
		d->state.table[16 * i + 12] = 1; /* vector control: masked */
	d->state.reg[REG_ID] = ID;
	d->state.reg[REG_VERSION] = VERSION;
	d->state.reg[REG_RESETS] = resets + 1;
	d->state.reg[REG_CLIENTS] = clients;
	pcicfg_reset(&d->cfg);
	demo_line(d);
	demo_log(d, EVENT_RESET, resets + 1);
	return 0;
}

/* A transfer that one client started must not reach into the memory of the next. */
static void demo_left(void *dev)
{
	struct demo *d = dev;

	d->state.reg[REG_CLIENTS]++;
	demo_dma_abort(d, -EINTR);
	demo_log(d, EVENT_LEFT, d->state.reg[REG_CLIENTS]);
}

static bool demo_work(void *dev)
{
	return demo_dma_work(dev);
}

static int demo_region_fd(void *dev, uint32_t region, uint64_t *offset)
{
	struct demo *d = dev;

	if (region != VUSER_REGION_BAR0 + 1)
		return -EINVAL;
	*offset = DEMO_MEMORY_AT;
	return d->memory_fd;
}

/* ---- Descriptor ------------------------------------------------------------------ */

#define RW (VUSER_REGION_READ | VUSER_REGION_WRITE)

/* Between the areas, and after the last, memory is reached by messages alone. */
static const struct vuser_area areas[] = { { 0x00000, 0x40000 }, { 0x80000, 0x20000 } };

static const struct vuser_region_desc regions[DEMO_REGIONS] = {
	[VUSER_REGION_BAR0] = { .flags = RW, .size = DEMO_BAR0_SIZE },
	[VUSER_REGION_BAR0 + 1] = { .flags = RW | VUSER_REGION_MMAP,
				    .size = DEMO_BAR1_SIZE,
				    .areas = areas,
				    .nr_areas = sizeof(areas) / sizeof(areas[0]) },
	[VUSER_REGION_BAR0 + 2] = { .flags = RW, .size = DEMO_BAR2_SIZE },
	[VUSER_REGION_BAR0 +
		4] = { .flags = RW, .size = DEMO_BAR4_SIZE, .msix_mappable = true },
	[VUSER_REGION_ROM] = { .flags = VUSER_REGION_READ, .size = DEMO_ROM_SIZE },
	[VUSER_REGION_CONFIG] = { .flags = RW, .size = PCICFG_SIZE },
	[DEMO_EXTRA] = { .flags = RW,
			 .size = DEMO_EXTRA_SIZE,
			 .type = VENDOR_REGION | 0x1234,
			 .subtype = 1 },
};

static const struct vuser_irq_desc irqs[VUSER_PCI_IRQS] = {
	[VUSER_IRQ_INTX] = { .flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE |
				      VUSER_IRQ_AUTOMASKED,
			     .count = 1 },
	[VUSER_IRQ_MSIX] = { .flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE,
			     .count = DEMO_VECTORS },
	[VUSER_IRQ_ERR] = { .flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE, .count = 1 },
	[VUSER_IRQ_REQ] = { .flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE, .count = 1 },
};

static const struct vuser_device demo_desc = {
	.name = "demo",
	.flags = VUSER_DEVICE_RESET | VUSER_DEVICE_PCI,
	.regions = regions,
	.num_regions = DEMO_REGIONS,
	.irqs = irqs,
	.num_irqs = VUSER_PCI_IRQS,
	.read = demo_read,
	.write = demo_write,
	.reset = demo_reset,
	.left = demo_left,
	.work = demo_work,
	.overlaps = true, /* a transfer keeps its registers, and knows of resets */
	.region_fd = demo_region_fd,
	.io_fds = demo_io_fds,
	.migration = &demo_migration,
};

static void demo_destroy(void *dev)
{
	struct demo *d = dev;

	if (!d)
		return;
	demo_migration_end(d);
	if (d->memory)
		munmap(d->memory - DEMO_MEMORY_AT, DEMO_MEMORY_AT + DEMO_BAR1_SIZE);
	if (d->shadow)
		munmap(d->shadow, DEMO_PAGE);
	if (d->memory_fd >= 0)
		close(d->memory_fd);
	if (d->shadow_fd >= 0)
		close(d->shadow_fd);
	for (unsigned i = 0; i < ALL_BELLS; i++)
		if (d->bells[i] >= 0)
			close(d->bells[i]);
	free(d);
}

/* Memory of a client's and ours: sealed, so that nobody takes it away. NULL with errno.
 */
static void *shared_memory(const char *name, size_t size, int *fd)
{
	void *p;

	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0 || ftruncate(*fd, (off_t)size) != 0 ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static bool make_files(struct demo *d)
{
	uint8_t *p = shared_memory("vfuctl-demo-bar1", DEMO_MEMORY_AT + DEMO_BAR1_SIZE,
				   &d->memory_fd);

	if (!p)
		return false;
	d->memory = p + DEMO_MEMORY_AT;
	d->shadow = shared_memory("vfuctl-demo-shadow", DEMO_PAGE, &d->shadow_fd);
	if (!d->shadow)
		return false;
	for (unsigned i = 0; i < ALL_BELLS; i++) {
		d->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (d->bells[i] < 0)
			return false;
	}
	return true;
}

static int demo_create(void **dev, const struct vuser_device **desc)
{
	struct demo *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->memory_fd = d->shadow_fd = -1;
	for (unsigned i = 0; i < ALL_BELLS; i++)
		d->bells[i] = -1;
	if (!make_files(d)) {
		err = errno;
		demo_destroy(d);
		return -err;
	}
	pcicfg_init(&d->cfg, PCICFG_SIZE, &ids);
	pcicfg_bar(&d->cfg, 0, DEMO_BAR0_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_bar(&d->cfg, 1, DEMO_BAR1_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_bar(&d->cfg, 2, DEMO_BAR2_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_bar(&d->cfg, 4, DEMO_BAR4_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_rom(&d->cfg, DEMO_ROM_SIZE);
	pcicfg_msix(&d->cfg, 0x40, DEMO_VECTORS, (struct pcicfg_place){ 4, DEMO_TABLE },
		    (struct pcicfg_place){ 4, DEMO_PENDING });
	demo_reset(d);
	d->state.reg[REG_RESETS] = 0;
	*dev = d;
	*desc = &demo_desc;
	return 0;
}

/* A doorbell that cannot be watched is still rung by messages. */
static void demo_attach(void *dev, struct vuser_server *s)
{
	struct demo *d = dev;

	d->server = s;
	for (unsigned i = 0; i < ALL_BELLS; i++)
		if (vuser_server_watch(s, d->bells[i], rung, NULL))
			break;
}

const struct device_type device_demo = {
	.name = "demo",
	.summary = "every message has something to do here, 1234:11e9",
	.create = demo_create,
	.attach = demo_attach,
	.destroy = demo_destroy,
};
