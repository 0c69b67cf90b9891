/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the demonstration device: its callbacks called as a server would call them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device.h"

/*
 * The device is compiled here once more, against a server that is only memory: the real
 * one is linked as well, so its functions cannot just be defined again.
 */
static int fake_dma_read(struct vuser_server *s, uint64_t iova, void *buf, size_t len);
static int fake_dma_write(struct vuser_server *s, uint64_t iova, const void *buf,
			  size_t len);
static void fake_irq(struct vuser_server *s, uint32_t index, uint32_t vector);
static void fake_level(struct vuser_server *s, uint32_t index, uint32_t vector,
		       bool raised);
static bool fake_attached(const struct vuser_server *s, uint32_t index, uint32_t vector);
static int fake_watch(struct vuser_server *s, int fd, void (*ready)(void *dev, int fd),
		      struct vuser_error *e);
#define vuser_server_dma_read	  fake_dma_read
#define vuser_server_dma_write	  fake_dma_write
#define vuser_server_irq	  fake_irq
#define vuser_server_irq_level	  fake_level
#define vuser_server_irq_attached fake_attached
#define vuser_server_watch	  fake_watch
#define device_demo		  demo_under_test
#define demo_log		  tested_log
#define demo_raise		  tested_raise
#define demo_line		  tested_line
#define demo_dma_work		  tested_dma_work
#define demo_dma_start		  tested_dma_start
#define demo_dma_abort		  tested_dma_abort
#define demo_migration		  tested_migration
#define demo_migration_end	  tested_migration_end
extern const struct device_type demo_under_test;
#include "device_demo.c"

#include "device_demo_dma.c"
#include "device_demo_migration.c"

/* ---- A client ---------------------------------------------------------------------- */

#define MEMORY_BASE UINT64_C(0x100000)
#define MEMORY_SIZE (3u * SLICE)

struct vuser_server {
	uint8_t memory[MEMORY_SIZE];
	int error;
	void (*meanwhile)(void); /* what the client does before it answers */
	bool attached, line;
	unsigned fired[VUSER_PCI_IRQS][DEMO_VECTORS];
	unsigned watched;
	void (*ready)(void *dev, int fd);
	int bell; /* the first descriptor that is watched */
};

static struct vuser_server server;

static int reach(struct vuser_server *s, uint64_t iova, size_t len)
{
	void (*meanwhile)(void) = s->meanwhile;

	s->meanwhile = NULL;
	if (meanwhile)
		meanwhile();
	if (s->error)
		return s->error;
	if (iova < MEMORY_BASE || iova - MEMORY_BASE > MEMORY_SIZE ||
	    len > MEMORY_SIZE - (iova - MEMORY_BASE))
		return -EFAULT;
	return 0;
}

static int fake_dma_read(struct vuser_server *s, uint64_t iova, void *buf, size_t len)
{
	int r = reach(s, iova, len);

	if (!r)
		memcpy(buf, s->memory + (iova - MEMORY_BASE), len);
	return r;
}

static int fake_dma_write(struct vuser_server *s, uint64_t iova, const void *buf,
			  size_t len)
{
	int r = reach(s, iova, len);

	if (!r)
		memcpy(s->memory + (iova - MEMORY_BASE), buf, len);
	return r;
}

static void fake_irq(struct vuser_server *s, uint32_t index, uint32_t vector)
{
	s->fired[index][vector]++;
}

static void fake_level(struct vuser_server *s, uint32_t index, uint32_t vector,
		       bool raised)
{
	assert_int_equal(index, VUSER_IRQ_INTX);
	assert_int_equal(vector, 0);
	s->line = raised;
}

static bool fake_attached(const struct vuser_server *s, uint32_t index, uint32_t vector)
{
	(void)vector;
	return index == VUSER_IRQ_MSIX && s->attached;
}

static int fake_watch(struct vuser_server *s, int fd, void (*ready)(void *dev, int fd),
		      struct vuser_error *e)
{
	(void)e;
	if (!s->watched++)
		s->bell = fd;
	s->ready = ready;
	return 0;
}

/* ---- The device as a client uses it ---------------------------------------------- */

static void *dev;
static const struct vuser_device *desc;

static int power_on(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	if (demo_under_test.create(&dev, &desc) != 0)
		return -1;
	demo_under_test.attach(dev, &server);
	return 0;
}

static int power_off(void **state)
{
	(void)state;
	demo_under_test.destroy(dev);
	dev = NULL;
	return 0;
}

static uint64_t get_at(uint32_t region, uint64_t offset, unsigned width)
{
	uint8_t b[8] = { 0 };

	assert_int_equal(desc->read(dev, region, offset, b, width), 0);
	return get_le(b, width);
}

static void put_at(uint32_t region, uint64_t offset, unsigned width, uint64_t value)
{
	uint8_t b[8];

	put_le(b, width, value);
	assert_int_equal(desc->write(dev, region, offset, b, width), 0);
}

static uint32_t reg(unsigned which)
{
	return (uint32_t)get_at(0, 4 * which, 4);
}

static void set(unsigned which, uint32_t value)
{
	put_at(0, 4 * which, 4, value);
}

static void set_wide(unsigned which, uint64_t value)
{
	put_at(0, 4 * which, 8, value);
}

static void transfer(uint32_t kind, uint64_t from, uint64_t to, uint64_t count)
{
	set_wide(REG_SOURCE, from);
	set_wide(REG_DESTINATION, to);
	set_wide(REG_COUNT, count);
	set(REG_COMMAND, DMA_START | kind);
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_BUSY);
	while (desc->work(dev))
		;
}

/* ---- Registers ------------------------------------------------------------------- */

static void it_says_who_it_is(void **state)
{
	(void)state;
	assert_int_equal(get_at(VUSER_REGION_CONFIG, 0, 4), 0x11e91234);
	assert_int_equal(reg(REG_ID), 0x4f4d4544);
	set(REG_ID, 0);
	assert_int_equal(reg(REG_ID), 0x4f4d4544);
	assert_int_equal(get_at(VUSER_REGION_ROM, 0, 2), 0xaa55);
	assert_int_equal(get_at(VUSER_REGION_ROM, 0x20, 4), 0x52494350); /* "PCIR" */
	assert_int_equal(get_at(VUSER_REGION_ROM, DEMO_ROM_SIZE - 1, 1), 0xff);
}

static void scratch_registers_keep_any_bytes(void **state)
{
	(void)state;
	set(REG_SCRATCH, 0x11223344);
	put_at(0, 4 * REG_SCRATCH + 1, 2, 0xabcd);
	assert_int_equal(reg(REG_SCRATCH), 0x11abcd44);
	put_at(0, 4 * REG_SCRATCH + 3, 2, 0xeeff); /* across two of them */
	assert_int_equal(reg(REG_SCRATCH), 0xffabcd44);
	assert_int_equal(reg(REG_SCRATCH + 1), 0xee);
}

static void accesses_are_counted(void **state)
{
	uint32_t reads, writes;

	(void)state;
	reads = reg(REG_READS);
	assert_int_equal(reg(REG_READS), reads + 1);
	writes = reg(REG_WRITES);
	set_wide(REG_SCRATCH, 0);
	assert_int_equal(reg(REG_WRITES), writes + 2);
}

static void beyond_the_registers_all_is_zero(void **state)
{
	(void)state;
	put_at(0, DEMO_BAR0_SIZE - 8, 8, UINT64_MAX);
	assert_int_equal(get_at(0, DEMO_BAR0_SIZE - 8, 8), 0);
}

/* ---- Transfers ------------------------------------------------------------------- */

static void memory_is_copied(void **state)
{
	size_t len = SLICE + 100;

	(void)state;
	for (size_t i = 0; i < len; i++)
		server.memory[i] = (uint8_t)(i * 7);
	transfer(DMA_KIND_COPY, MEMORY_BASE, MEMORY_BASE + len, len);
	assert_memory_equal(server.memory, server.memory + len, len);
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_DONE);
	assert_int_equal(get_at(0, 4 * REG_DONE, 8), len);
	assert_int_equal(reg(REG_ERROR), 0);
}

static void memory_and_bar1_exchange_bytes(void **state)
{
	(void)state;
	memcpy(server.memory, "twelve bytes", 12);
	transfer(DMA_KIND_IN, MEMORY_BASE, DEMO_BAR1_SIZE - 12, 12);
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_DONE);
	assert_int_equal(get_at(1, DEMO_BAR1_SIZE - 12, 4), 0x6c657774);
	transfer(DMA_KIND_OUT, DEMO_BAR1_SIZE - 12, MEMORY_BASE + 100, 12);
	assert_memory_equal(server.memory + 100, "twelve bytes", 12);
	set(REG_PATTERN, 0x5a);
	transfer(DMA_KIND_FILL, 0, MEMORY_BASE, 3);
	assert_memory_equal(server.memory, "ZZZlve", 6);
}

static void an_error_says_how_far_it_came(void **state)
{
	(void)state;
	transfer(DMA_KIND_IN, MEMORY_BASE, 0, MEMORY_SIZE + 1);
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_DONE | DMA_STATUS_ERROR);
	assert_int_equal(get_at(0, 4 * REG_DONE, 8), MEMORY_SIZE);
	assert_int_equal(reg(REG_ERROR), EFAULT);
	transfer(DMA_KIND_OUT, DEMO_BAR1_SIZE - 1, MEMORY_BASE, 2);
	assert_int_equal(reg(REG_ERROR), ERANGE);
	transfer(DMA_KIND_OUT, UINT64_MAX, MEMORY_BASE, 2);
	assert_int_equal(reg(REG_ERROR), ERANGE);
	server.error = -EPERM;
	transfer(DMA_KIND_FILL, 0, MEMORY_BASE, UINT64_MAX);
	assert_int_equal(reg(REG_ERROR), EPERM);
}

static void registers_are_kept_while_it_runs(void **state)
{
	(void)state;
	set_wide(REG_COUNT, 1);
	set_wide(REG_DESTINATION, MEMORY_BASE);
	set(REG_COMMAND, DMA_START | DMA_KIND_FILL);
	set(REG_COUNT, 5);
	set(REG_COMMAND, DMA_START | DMA_KIND_OUT);
	assert_int_equal(reg(REG_COUNT), 1);
	assert_int_equal(reg(REG_COMMAND), DMA_START | DMA_KIND_FILL);
	assert_false(desc->work(dev));
	assert_false(desc->work(dev));
	set(REG_COUNT, 5);
	assert_int_equal(reg(REG_COUNT), 5);
}

static void its_end_raises_the_vector_asked_for(void **state)
{
	(void)state;
	server.attached = true;
	set(REG_COMMAND, DMA_START | DMA_INTERRUPT | 3u << 8);
	assert_false(desc->work(dev));
	assert_int_equal(server.fired[VUSER_IRQ_MSIX][3], 1);
	assert_int_equal(reg(REG_INTERRUPTS), 1);
}

static void a_client_that_leaves_takes_its_transfer_along(void **state)
{
	(void)state;
	set_wide(REG_COUNT, 1);
	set(REG_COMMAND, DMA_START | DMA_KIND_FILL);
	desc->left(dev);
	assert_false(desc->work(dev));
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_DONE | DMA_STATUS_ERROR);
	assert_int_equal(reg(REG_ERROR), EINTR);
	assert_int_equal(reg(REG_CLIENTS), 1);
}

static void reset_and_start_another(void)
{
	assert_int_equal(desc->reset(dev), 0);
	set_wide(REG_COUNT, 3);
	set_wide(REG_DESTINATION, MEMORY_BASE + 100);
	set(REG_PATTERN, 0x33);
	set(REG_COMMAND, DMA_START | DMA_KIND_FILL);
}

static void a_reset_meanwhile_ends_a_transfer_and_not_the_next(void **state)
{
	(void)state;
	server.meanwhile = reset_and_start_another;
	transfer(DMA_KIND_COPY, MEMORY_BASE, MEMORY_BASE + 50, 2 * SLICE);
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_DONE);
	assert_int_equal(get_at(0, 4 * REG_DONE, 8), 3);
	assert_int_equal(server.memory[102], 0x33);
	assert_int_equal(server.memory[103], 0);
}

static void stop_meanwhile(void)
{
	assert_int_equal(
		desc->migration->state(dev, VUSER_STATE_RUNNING, VUSER_STATE_STOP), 0);
	server.error = -EBUSY;
}

static void a_transfer_that_was_stopped_goes_on(void **state)
{
	(void)state;
	server.meanwhile = stop_meanwhile;
	memcpy(server.memory, "abc", 3);
	transfer(DMA_KIND_COPY, MEMORY_BASE, MEMORY_BASE + 50, 3);
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_BUSY);
	server.error = 0;
	assert_int_equal(
		desc->migration->state(dev, VUSER_STATE_STOP, VUSER_STATE_RUNNING), 0);
	assert_false(desc->work(dev));
	assert_int_equal(reg(REG_STATUS), DMA_STATUS_DONE);
	assert_memory_equal(server.memory + 50, "abc", 3);
}

/* ---- Interrupts ------------------------------------------------------------------ */

static void without_vectors_the_line_is_raised_until_acknowledged(void **state)
{
	(void)state;
	set(REG_RAISE, 2);
	set(REG_RAISE, 5);
	set(REG_RAISE, DEMO_VECTORS);
	assert_true(server.line);
	assert_int_equal(reg(REG_PENDING), 0x24);
	assert_int_equal(get_at(4, DEMO_PENDING, 8), 0x24);
	assert_int_equal(get_at(VUSER_REGION_CONFIG, 6, 2) & 8, 8); /* interrupt status */
	set(REG_ACKNOWLEDGE, 0x20);
	assert_true(server.line);
	set(REG_ACKNOWLEDGE, 0x04);
	assert_false(server.line);
}

static void enabled_vectors_leave_the_line_alone(void **state)
{
	(void)state;
	set(REG_RAISE, 0);
	put_at(VUSER_REGION_CONFIG, 0x42, 2, 0x8000); /* MSI-X enable */
	assert_false(server.line);
	set(REG_RAISE, 15);
	assert_int_equal(server.fired[VUSER_IRQ_MSIX][15], 1);
	assert_int_equal(reg(REG_PENDING), 1);
}

static void errors_and_requests_are_signalled(void **state)
{
	(void)state;
	set(REG_SIGNAL, SIGNAL_ERR | SIGNAL_REQ);
	set(REG_SIGNAL, SIGNAL_REQ);
	assert_int_equal(server.fired[VUSER_IRQ_ERR][0], 1);
	assert_int_equal(server.fired[VUSER_IRQ_REQ][0], 2);
}

static void the_table_is_kept(void **state)
{
	(void)state;
	assert_int_equal(get_at(4, 16 * 15 + 12, 4), 1); /* masked, as after power-on */
	put_at(4, 16 * 15 + 8, 8, 0xdeadbeef);
	assert_int_equal(get_at(4, 16 * 15 + 8, 8), 0xdeadbeef);
	put_at(4, DEMO_TABLE_SIZE, 8, 1);
	assert_int_equal(get_at(4, DEMO_TABLE_SIZE, 8), 0);
}

/* ---- Doorbells ------------------------------------------------------------------- */

static void doorbells_are_counted(void **state)
{
	(void)state;
	put_at(2, 4, 4, 1);
	put_at(2, 4, 4, 0);
	put_at(2, 4, 2, 1);		   /* too narrow */
	put_at(2, 4 * MATCHED_BELL, 4, 1); /* not its value */
	put_at(2, 4 * MATCHED_BELL, 4, MATCH);
	put_at(2, 4 * DEMO_BELLS, 4, 1); /* there is none */
	put_at(DEMO_EXTRA, EXTRA_BELLS + 4, 4, 1);
	put_at(DEMO_EXTRA, EXTRA_BELLS - 4, 4, 1);
	assert_int_equal(get_at(2, 4, 4), 2);
	assert_int_equal(get_at(2, 4 * MATCHED_BELL, 4), 1);
	assert_int_equal(get_at(DEMO_EXTRA, EXTRA_BELLS + 4, 4), 1);
	assert_int_equal(reg(REG_BELLS), 4);
}

static void doorbells_are_rung_by_their_eventfds(void **state)
{
	uint64_t times = 3;

	(void)state;
	assert_int_equal(server.watched, DEMO_BELLS + DEMO_SHADOWS);
	assert_int_equal(write(server.bell, &times, 8), 8);
	server.ready(dev, server.bell);
	server.ready(dev, server.bell); /* nothing is left to read */
	assert_int_equal(get_at(2, 0, 4), 3);
}

static void io_fds_name_their_places(void **state)
{
	struct vuser_io_fd v[16];
	int fds[VUSER_LIMIT_MSG_FDS];
	size_t n, nfds;

	(void)state;
	assert_int_equal(desc->io_fds(dev, 2, v, 16, &n, fds, &nfds), 0);
	assert_int_equal(n, 8);
	assert_int_equal(nfds, 8);
	assert_int_equal(v[7].offset, 4 * MATCHED_BELL);
	assert_int_equal(v[7].datamatch, MATCH);
	assert_int_equal(desc->io_fds(dev, DEMO_EXTRA, v, 16, &n, fds, &nfds), 0);
	assert_int_equal(n, DEMO_SHADOWS);
	assert_int_equal(nfds, DEMO_SHADOWS + 1);
	assert_int_equal(v[3].type, VUSER_IO_FD_SHADOW);
	assert_int_equal(v[3].shadow_index, DEMO_SHADOWS);
	assert_int_equal(v[3].shadow_offset, 24);
	assert_int_equal(v[3].offset, EXTRA_BELLS + 12);
	assert_int_equal(desc->io_fds(dev, 0, v, 16, &n, fds, &nfds), 0);
	assert_int_equal(n, 0);
}

static void the_log_tells_what_happened(void **state)
{
	(void)state;
	set(REG_RAISE, 7);
	/* number 1 is the reset at power-on */
	assert_int_equal(get_at(DEMO_EXTRA, 16, 4), 2);
	assert_int_equal(get_at(DEMO_EXTRA, 20, 4), EVENT_RAISE);
	assert_int_equal(get_at(DEMO_EXTRA, 24, 8), 7);
}

static void reset_keeps_memory_and_counters_of_itself(void **state)
{
	(void)state;
	set(REG_RAISE, 1);
	set(REG_SCRATCH, 1);
	put_at(1, 0, 8, 42);
	put_at(2, 0, 4, 1);
	assert_int_equal(desc->reset(dev), 0);
	assert_false(server.line);
	assert_int_equal(reg(REG_SCRATCH), 0);
	assert_int_equal(reg(REG_RESETS), 1);
	assert_int_equal(get_at(2, 0, 4), 0);
	assert_int_equal(get_at(1, 0, 8), 42);
}

/* ---- Migration ------------------------------------------------------------------- */

static int arc(uint32_t from, uint32_t to)
{
	return desc->migration->state(dev, from, to);
}

static uint8_t blob[3 << 20];

/* All there is for now, by so many bytes at a time. */
static size_t drain(size_t at, uint32_t piece)
{
	int64_t n;

	do {
		assert_true(at + piece <= sizeof(blob));
		n = desc->migration->read(dev, blob + at, piece);
		assert_true(n >= 0);
		at += (size_t)n;
	} while (n == piece);
	return at;
}

static int feed(size_t len, uint32_t piece)
{
	int r = 0;

	for (size_t at = 0; at < len && !r; at += piece)
		r = desc->migration->write(
			dev, blob + at, piece < len - at ? piece : (uint32_t)(len - at));
	return r;
}

/* A device with something in every part, saved with pre-copy. */
static size_t save_one(uint32_t piece)
{
	size_t len;

	set(REG_SCRATCH, 0xcafe);
	put_at(1, 0x3000, 8, 0x1111);
	put_at(1, DEMO_BAR1_SIZE - 8, 8, 0x2222);
	put_at(2, 4, 4, 1);
	put_at(4, 0, 8, 0x3333);
	put_at(VUSER_REGION_CONFIG, 0x10, 4, 0xfebf0000);
	set(REG_RAISE, 4);
	assert_int_equal(arc(VUSER_STATE_RUNNING, VUSER_STATE_PRE_COPY), 0);
	len = drain(0, piece);
	put_at(1, 0x3000, 8, 0x4444); /* it runs on */
	len = drain(len, piece);
	set(REG_SCRATCH + 1, 0xbeef);
	assert_int_equal(arc(VUSER_STATE_PRE_COPY, VUSER_STATE_STOP_COPY), 0);
	len = drain(len, piece);
	assert_int_equal(arc(VUSER_STATE_STOP_COPY, VUSER_STATE_STOP), 0);
	return len;
}

static void another_device_goes_on_where_one_stopped(void **state)
{
	static const uint32_t pieces[] = { 1, 7, 4096, 4104, 65536 };
	size_t first = 0;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t len = save_one(pieces[i]);

		assert_true(!first || len == first);
		first = len;
		power_off(state);
		power_on(state);
		assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_RESUMING), 0);
		assert_int_equal(feed(len, pieces[i]), 0);
		assert_int_equal(get_at(1, 0x3000, 8), 0); /* not before it is whole */
		assert_int_equal(arc(VUSER_STATE_RESUMING, VUSER_STATE_STOP), 0);
		assert_int_equal(reg(REG_SCRATCH), 0xcafe);
		assert_int_equal(reg(REG_SCRATCH + 1), 0xbeef);
		assert_int_equal(get_at(1, 0x3000, 8), 0x4444);
		assert_int_equal(get_at(1, DEMO_BAR1_SIZE - 8, 8), 0x2222);
		assert_int_equal(get_at(2, 4, 4), 1);
		assert_int_equal(get_at(4, 0, 8), 0x3333);
		assert_int_equal(get_at(VUSER_REGION_CONFIG, 0x10, 4), 0xfebf0000);
		assert_int_equal(get_at(VUSER_REGION_CONFIG, 0, 4), 0x11e91234);
		assert_int_equal(reg(REG_PENDING), 0x10);
		assert_true(server.line);
		power_off(state);
		power_on(state);
	}
}

static void pages_of_zeroes_are_not_sent(void **state)
{
	(void)state;
	assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_STOP_COPY), 0);
	assert_int_equal(drain(0, 65536), 16 + 8 + STATE_SIZE + 8 + PCICFG_SIZE + 8);
}

static void a_stream_that_is_cut_is_not_taken(void **state)
{
	size_t len = save_one(65536);

	assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_RESUMING), 0);
	assert_int_equal(feed(len - 1, 65536), 0);
	assert_int_equal(arc(VUSER_STATE_RESUMING, VUSER_STATE_STOP), -EINVAL);
	assert_int_equal(desc->migration->write(dev, blob + len - 1, 1), 0);
	assert_int_equal(arc(VUSER_STATE_RESUMING, VUSER_STATE_STOP), 0);
	(void)state;
}

static void what_follows_the_end_is_refused(void **state)
{
	size_t len = save_one(65536);

	(void)state;
	assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_RESUMING), 0);
	assert_int_equal(feed(len, 65536), 0);
	assert_int_equal(desc->migration->write(dev, "", 1), -EINVAL);
	assert_int_equal(arc(VUSER_STATE_RESUMING, VUSER_STATE_STOP), -ENOTRECOVERABLE);
}

static void loading_nothing_changes_nothing(void **state)
{
	(void)state;
	set(REG_SCRATCH, 5);
	assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_RESUMING), 0);
	assert_int_equal(arc(VUSER_STATE_RESUMING, VUSER_STATE_STOP), 0);
	assert_int_equal(reg(REG_SCRATCH), 5);
}

static void no_changed_byte_breaks_it(void **state)
{
	size_t len = save_one(65536), at;
	uint32_t before;

	(void)state;
	before = reg(REG_SCRATCH);
	for (at = 0; at < len; at += at < 600 ? 1 : 97) {
		int r;

		blob[at] ^= 0xff;
		assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_RESUMING), 0);
		r = feed(len, 5000);
		r = arc(VUSER_STATE_RESUMING, VUSER_STATE_STOP) | r;
		blob[at] ^= 0xff;
		if (r)
			demo_migration_end(dev); /* as a reset does */
		while (desc->work(dev))
			;
	}
	assert_int_equal(feed(1, 1), -EINVAL);
	assert_int_equal(before, 0xcafe);
}

static void data_goes_the_way_of_the_state_only(void **state)
{
	(void)state;
	assert_int_equal(desc->migration->read(dev, blob, 1), -EINVAL);
	assert_int_equal(desc->migration->write(dev, blob, 1), -EINVAL);
	assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_STOP_COPY), 0);
	assert_int_equal(desc->migration->write(dev, blob, 1), -EINVAL);
	assert_int_equal(arc(VUSER_STATE_STOP_COPY, VUSER_STATE_STOP), 0);
	assert_int_equal(arc(VUSER_STATE_STOP, VUSER_STATE_RESUMING), 0);
	assert_int_equal(desc->migration->read(dev, blob, 1), -EINVAL);
}

static void without_a_server_it_does_no_harm(void **state)
{
	(void)state;
	demo_under_test.attach(dev, &server);
	((struct demo *)dev)->server = NULL;
	set(REG_RAISE, 1);
	set(REG_SIGNAL, SIGNAL_ERR);
	transfer(DMA_KIND_COPY, 0, 0, 1);
	assert_int_equal(reg(REG_ERROR), EFAULT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, power_on, power_off)
	const struct CMUnitTest tests[] = {
		TEST(it_says_who_it_is),
		TEST(scratch_registers_keep_any_bytes),
		TEST(accesses_are_counted),
		TEST(beyond_the_registers_all_is_zero),
		TEST(memory_is_copied),
		TEST(memory_and_bar1_exchange_bytes),
		TEST(an_error_says_how_far_it_came),
		TEST(registers_are_kept_while_it_runs),
		TEST(its_end_raises_the_vector_asked_for),
		TEST(a_client_that_leaves_takes_its_transfer_along),
		TEST(a_reset_meanwhile_ends_a_transfer_and_not_the_next),
		TEST(a_transfer_that_was_stopped_goes_on),
		TEST(without_vectors_the_line_is_raised_until_acknowledged),
		TEST(enabled_vectors_leave_the_line_alone),
		TEST(errors_and_requests_are_signalled),
		TEST(the_table_is_kept),
		TEST(doorbells_are_counted),
		TEST(doorbells_are_rung_by_their_eventfds),
		TEST(io_fds_name_their_places),
		TEST(the_log_tells_what_happened),
		TEST(reset_keeps_memory_and_counters_of_itself),
		TEST(another_device_goes_on_where_one_stopped),
		TEST(pages_of_zeroes_are_not_sent),
		TEST(a_stream_that_is_cut_is_not_taken),
		TEST(what_follows_the_end_is_refused),
		TEST(loading_nothing_changes_nothing),
		TEST(no_changed_byte_breaks_it),
		TEST(data_goes_the_way_of_the_state_only),
		TEST(without_a_server_it_does_no_harm),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
