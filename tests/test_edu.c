/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the educational device: its callbacks called as a server would call them. */
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
static void fake_irq_level(struct vuser_server *s, uint32_t index, uint32_t vector,
			   bool raised);
#define vuser_server_dma_read  fake_dma_read
#define vuser_server_dma_write fake_dma_write
#define vuser_server_irq       fake_irq
#define vuser_server_irq_level fake_irq_level
#define device_edu	       edu_under_test
extern const struct device_type edu_under_test;
#include "device_edu.c"

/* ---- The memory of a client ------------------------------------------------------ */

#define MEMORY_BASE UINT64_C(0x100000)

struct vuser_server {
	uint8_t memory[16384];
	unsigned transfers;
	uint64_t iova; /* of the last transfer */
	size_t len;
	int error; /* what the next transfers fail with, after spoiling what they can */
	bool line; /* as the device drives it */
	unsigned messages;
	void (*meanwhile)(void); /* what the client does while a transfer waits for it */
};

static struct vuser_server server;

/* Where [iova, iova + len) is in memory, NULL if it is not all there. */
static uint8_t *reach(struct vuser_server *s, uint64_t iova, size_t len)
{
	s->transfers++;
	s->iova = iova;
	s->len = len;
	if (iova < MEMORY_BASE || iova - MEMORY_BASE > sizeof(s->memory) ||
	    len > sizeof(s->memory) - (iova - MEMORY_BASE))
		return NULL;
	return s->memory + (iova - MEMORY_BASE);
}

static int fake_dma_read(struct vuser_server *s, uint64_t iova, void *buf, size_t len)
{
	const uint8_t *at = reach(s, iova, len);

	if (s->meanwhile)
		s->meanwhile();
	if (s->error) {
		memset(buf, 0xee, len);
		return s->error;
	}
	if (!at)
		return -EFAULT;
	memcpy(buf, at, len);
	return 0;
}

static int fake_dma_write(struct vuser_server *s, uint64_t iova, const void *buf,
			  size_t len)
{
	uint8_t *at = reach(s, iova, len);

	if (s->meanwhile)
		s->meanwhile();
	if (s->error)
		return s->error;
	if (!at)
		return -EFAULT;
	memcpy(at, buf, len);
	return 0;
}

static void fake_irq(struct vuser_server *s, uint32_t index, uint32_t vector)
{
	assert_int_equal(index, VUSER_IRQ_MSI);
	assert_int_equal(vector, 0);
	s->messages++;
}

static void fake_irq_level(struct vuser_server *s, uint32_t index, uint32_t vector,
			   bool raised)
{
	assert_int_equal(index, VUSER_IRQ_INTX);
	assert_int_equal(vector, 0);
	s->line = raised;
}

/* ---- The device as a client uses it ---------------------------------------------- */

static void *dev;
static const struct vuser_device *desc;

static int power_on(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	if (edu_under_test.create(&dev, &desc) != 0)
		return -1;
	edu_under_test.attach(dev, &server);
	return 0;
}

static int power_off(void **state)
{
	(void)state;
	edu_under_test.destroy(dev);
	dev = NULL;
	return 0;
}

static uint64_t get(uint32_t region, uint64_t offset, unsigned width)
{
	uint8_t b[8] = { 0 };
	uint64_t v = 0;

	assert_int_equal(desc->read(dev, region, offset, b, width), 0);
	for (unsigned i = 0; i < width; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

static void put(uint32_t region, uint64_t offset, unsigned width, uint64_t v)
{
	uint8_t b[8];

	for (unsigned i = 0; i < width; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	assert_int_equal(desc->write(dev, region, offset, b, width), 0);
}

static uint64_t bar(uint64_t offset, unsigned width)
{
	return get(VUSER_REGION_BAR0, offset, width);
}

static void bar_put(uint64_t offset, unsigned width, uint64_t v)
{
	put(VUSER_REGION_BAR0, offset, width, v);
}

static uint64_t config(uint64_t offset, unsigned width)
{
	return get(VUSER_REGION_CONFIG, offset, width);
}

static void config_put(uint64_t offset, unsigned width, uint64_t v)
{
	put(VUSER_REGION_CONFIG, offset, width, v);
}

static void finish(void)
{
	unsigned slices = 0;

	while (desc->work(dev))
		assert_true(++slices < 10);
}

static bool intx(void)
{
	return config(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static void start_dma(uint64_t source, uint64_t destination, uint64_t count,
		      uint64_t command)
{
	bar_put(0x80, 8, source);
	bar_put(0x88, 8, destination);
	bar_put(0x90, 8, count);
	bar_put(0x98, 8, command);
}

static void dma(uint64_t source, uint64_t destination, uint64_t count, uint64_t command)
{
	start_dma(source, destination, count, command);
	finish();
	assert_int_equal(bar(0x98, 8), command & ~UINT64_C(1));
}

/* ---- What it is ------------------------------------------------------------------ */

static void it_is_described_as_a_pci_device(void **state)
{
	static const uint64_t sizes[VUSER_PCI_REGIONS] = {
		[VUSER_REGION_BAR0] = 1 << 20,
		[VUSER_REGION_CONFIG] = 256,
	};

	(void)state;
	assert_string_equal(edu_under_test.name, "edu");
	assert_int_equal(desc->flags, VUSER_DEVICE_RESET | VUSER_DEVICE_PCI);
	assert_int_equal(desc->num_regions, VUSER_PCI_REGIONS);
	for (unsigned i = 0; i < desc->num_regions; i++) {
		bool there = sizes[i] > 0;

		assert_int_equal(desc->regions[i].size, sizes[i]);
		assert_int_equal(desc->regions[i].flags,
				 there ? VUSER_REGION_READ | VUSER_REGION_WRITE : 0);
	}
}

static void it_has_intx_and_one_message(void **state)
{
	static const struct vuser_irq_desc expected[VUSER_PCI_IRQS] = {
		{ 0x7, 1 }, /* INTx: eventfd, maskable, automasked */
		{ 0x9, 1 }, /* MSI: eventfd, noresize */
	};

	(void)state;
	assert_int_equal(desc->num_irqs, VUSER_PCI_IRQS);
	assert_memory_equal(desc->irqs, expected, sizeof(expected));
}

static void config_space_identifies_it(void **state)
{
	(void)state;
	assert_int_equal(config(0x00, 4), 0x11e81234);
	assert_int_equal(config(0x04, 4), 0x00100000); /* capabilities, all disabled */
	assert_int_equal(config(0x08, 4), 0x00ff0010); /* class 00ff, revision 10 */
	assert_int_equal(config(0x2c, 4), 0x11001af4);
	assert_int_equal(config(0x34, 1), 0x40);
	assert_int_equal(config(0x3d, 1), 1);	       /* INTA */
	assert_int_equal(config(0x40, 4), 0x00800005); /* MSI, the last, 64 bit */
	config_put(0x10, 4, UINT32_MAX);
	assert_int_equal(config(0x10, 4), 0xfff00000); /* 1 MiB of memory */
}

/* ---- Registers ------------------------------------------------------------------- */

static void identification_is_read_only(void **state)
{
	(void)state;
	assert_int_equal(bar(0x00, 4), 0x010000ed);
	bar_put(0x00, 4, 0);
	assert_int_equal(bar(0x00, 4), 0x010000ed);
}

static void liveness_check_inverts(void **state)
{
	(void)state;
	assert_int_equal(bar(0x04, 4), 0);
	bar_put(0x04, 4, 0x12345678);
	assert_int_equal(bar(0x04, 4), 0xedcba987);
	bar_put(0x04, 4, UINT32_MAX);
	assert_int_equal(bar(0x04, 4), 0);
}

static void registers_that_cannot_be_read_are_ones(void **state)
{
	(void)state;
	bar_put(0x60, 4, 3);
	assert_int_equal(bar(0x60, 4), UINT32_MAX);
	assert_int_equal(bar(0x64, 4), UINT32_MAX);
}

static void where_no_register_is_there_are_ones(void **state)
{
	static const uint64_t offsets[] = { 0x0c, 0x10, 0x1c, 0x28,    0x5c,	0x68,
					    0x7c, 0xa0, 0xa8, 0x40000, 0xffff8, 0xffffc };

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		bar_put(offsets[i], 4, 0);
		assert_int_equal(bar(offsets[i], 4), UINT32_MAX);
	}
	assert_int_equal(bar(0xa0, 8), UINT64_MAX);
	assert_int_equal(bar(0xffff8, 8), UINT64_MAX);
}

static void narrow_registers_take_4_bytes_only(void **state)
{
	(void)state;
	bar_put(0x00, 8, 0);
	bar_put(0x08, 8, 5);
	bar_put(0x20, 8, 0x80);
	bar_put(0x60, 8, 1);
	assert_int_equal(bar(0x00, 8), UINT64_MAX);
	assert_int_equal(bar(0x08, 8), UINT64_MAX);
	assert_int_equal(bar(0x20, 8), UINT64_MAX);
	assert_int_equal(bar(0x60, 8), UINT64_MAX);
	assert_int_equal(bar(0x08, 4), 0);
	assert_int_equal(bar(0x20, 4), 0);
	assert_int_equal(bar(0x24, 4), 0);
}

static void pieces_below_4_bytes_read_as_zero_and_write_nothing(void **state)
{
	(void)state;
	bar_put(0x80, 8, UINT64_MAX);
	for (uint64_t offset = 0; offset < 0xa0; offset++) {
		assert_int_equal(bar(offset, 1), 0);
		assert_int_equal(bar(offset & ~UINT64_C(1), 2), 0);
		bar_put(offset, 1, 0xff);
		bar_put(offset & ~UINT64_C(1), 2, 0xffff);
	}
	assert_int_equal(bar(0x04, 4), 0);
	assert_int_equal(bar(0x20, 4), 0);
	assert_int_equal(bar(0x24, 4), 0);
	assert_int_equal(bar(0x80, 8), UINT64_MAX);
	assert_int_equal(bar(0x98, 8), 0);
}

static void an_unaligned_access_is_split(void **state)
{
	(void)state;
	bar_put(0x04, 8, UINT64_C(0x0000000500000000)); /* 0 to 04, 5 to 08 */
	assert_int_equal(bar(0x04, 8), UINT64_C(0x00000005ffffffff));
	/* 0x84 is no register, 0x88 is one. */
	bar_put(0x84, 8, UINT64_C(0x1234567800000000));
	assert_int_equal(bar(0x84, 8), UINT64_C(0x12345678ffffffff));
	assert_int_equal(bar(0x80, 8), 0);
	/* 1, 2 and 1 bytes: none of them decoded */
	assert_int_equal(bar(0x01, 4), 0);
	/* 2 at 0x02, 4 at 0x04, 2 at 0x08 */
	assert_int_equal(bar(0x02, 8), UINT64_C(0x0000ffffffff0000));
}

static void wide_registers_take_both_widths(void **state)
{
	static const uint64_t offsets[] = { 0x80, 0x88, 0x90 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		bar_put(offsets[i], 8, UINT64_C(0x1122334455667788));
		assert_int_equal(bar(offsets[i], 8), UINT64_C(0x1122334455667788));
		assert_int_equal(bar(offsets[i], 4), 0x55667788);
	}
}

static void a_narrow_write_sets_all_of_a_wide_register(void **state)
{
	(void)state;
	bar_put(0x88, 8, UINT64_MAX);
	bar_put(0x88, 4, 0x40000);
	assert_int_equal(bar(0x88, 8), 0x40000);
}

static void the_upper_half_of_a_wide_register_is_no_register(void **state)
{
	(void)state;
	bar_put(0x80, 8, UINT64_C(0x1122334455667788));
	assert_int_equal(bar(0x84, 4), UINT32_MAX);
	bar_put(0x84, 4, 0);
	assert_int_equal(bar(0x80, 8), UINT64_C(0x1122334455667788));
}

static void a_dump_goes_by_4_bytes(void **state)
{
	uint8_t *all = calloc(1, BAR_SIZE);
	static const struct {
		uint32_t offset, value;
	} rows[] = {
		{ 0x00, 0x010000ed },
		{ 0x04, ~0x11223344u },
		{ 0x0c, UINT32_MAX },
		{ 0x20, 0 },
		{ 0x24, 0 },
		{ 0x60, UINT32_MAX },
		{ 0x80, 0 },
		{ 0x84, UINT32_MAX },
		{ 0x98, 0 },
		{ 0x9c, UINT32_MAX },
		{ 0xa0, UINT32_MAX },
		{ 0x40000, UINT32_MAX },
		{ BAR_SIZE - 4, UINT32_MAX },
	};

	(void)state;
	assert_non_null(all);
	bar_put(0x04, 4, 0x11223344);
	assert_int_equal(desc->read(dev, VUSER_REGION_BAR0, 0, all, BAR_SIZE), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t value;

		memcpy(&value, all + rows[i].offset, sizeof(value));
		assert_int_equal(value, rows[i].value);
	}
	memset(all, 0xa5, BAR_SIZE);
	assert_int_equal(desc->write(dev, VUSER_REGION_BAR0, 0, all, BAR_SIZE), 0);
	assert_int_equal(bar(0x04, 4), (uint32_t)~0xa5a5a5a5u);
	free(all);
}

static void other_regions_are_refused(void **state)
{
	uint8_t b[4] = { 0 };

	(void)state;
	for (uint32_t region = 1; region < 12; region++) {
		if (region == VUSER_REGION_CONFIG)
			continue;
		assert_int_equal(desc->read(dev, region, 0, b, sizeof(b)), -EINVAL);
		assert_int_equal(desc->write(dev, region, 0, b, sizeof(b)), -EINVAL);
	}
}

/* ---- Factorial ------------------------------------------------------------------- */

static void factorials_are_right_modulo_2_to_32(void **state)
{
	static const struct {
		uint32_t n, product;
	} rows[] = {
		{ 0, 1 },	    { 1, 1 },		{ 2, 2 },
		{ 5, 120 },	    { 12, 479001600 },	{ 13, 1932053504 },
		{ 20, 2192834560 }, { 33, 0x80000000 }, { 34, 0 },
		{ 1000, 0 },	    { UINT32_MAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bar_put(0x08, 4, rows[i].n);
		finish();
		assert_int_equal(bar(0x08, 4), rows[i].product);
	}
}

static void the_status_says_computing_until_it_is_done(void **state)
{
	(void)state;
	bar_put(0x08, 4, 6);
	assert_int_equal(bar(0x20, 4), 0x01);
	assert_int_equal(bar(0x08, 4), 6);
	finish();
	assert_int_equal(bar(0x20, 4), 0);
	assert_int_equal(bar(0x08, 4), 720);
}

static void a_factorial_that_is_computed_cannot_be_replaced(void **state)
{
	(void)state;
	bar_put(0x08, 4, 6);
	bar_put(0x08, 4, 3);
	assert_int_equal(bar(0x08, 4), 6);
	finish();
	assert_int_equal(bar(0x08, 4), 720);
	bar_put(0x08, 4, 3);
	finish();
	assert_int_equal(bar(0x08, 4), 6);
}

static void of_the_status_only_the_interrupt_bit_can_be_written(void **state)
{
	(void)state;
	bar_put(0x20, 4, UINT32_MAX);
	assert_int_equal(bar(0x20, 4), 0x80);
	assert_false(desc->work(dev));
	bar_put(0x08, 4, 3);
	bar_put(0x20, 4, 0);
	assert_int_equal(bar(0x20, 4), 0x01);
	bar_put(0x20, 4, 0x80);
	assert_int_equal(bar(0x20, 4), 0x81);
}

static void a_factorial_interrupts_only_when_asked_to(void **state)
{
	(void)state;
	bar_put(0x08, 4, 3);
	finish();
	assert_int_equal(bar(0x24, 4), 0);
	assert_false(intx());
	bar_put(0x08, 4, 3);
	bar_put(0x20, 4, 0x80); /* while it computes is soon enough */
	finish();
	assert_int_equal(bar(0x24, 4), 0x1);
	assert_true(intx());
}

static void there_is_no_work_when_nothing_was_started(void **state)
{
	(void)state;
	assert_false(desc->work(dev));
	bar_put(0x24, 4, 1);
	assert_false(desc->work(dev));
	assert_int_equal(bar(0x24, 4), 0);
}

static void factorial_and_transfer_are_two_slices_of_work(void **state)
{
	(void)state;
	start_dma(MEMORY_BASE, 0x40000, 4, 1);
	bar_put(0x08, 4, 4);
	assert_true(desc->work(dev));
	assert_int_equal(bar(0x20, 4), 0);
	assert_int_equal(bar(0x98, 4), 1);
	assert_false(desc->work(dev));
	assert_int_equal(bar(0x98, 4), 0);
}

/* ---- Interrupts ------------------------------------------------------------------ */

static void the_line_stays_until_all_is_acknowledged(void **state)
{
	(void)state;
	bar_put(0x60, 4, 0x0f);
	assert_true(intx());
	bar_put(0x60, 4, 0x80000000);
	assert_int_equal(bar(0x24, 4), 0x8000000f);
	bar_put(0x64, 4, 0xff);
	assert_int_equal(bar(0x24, 4), 0x80000000);
	assert_true(intx());
	bar_put(0x64, 4, UINT32_MAX);
	assert_int_equal(bar(0x24, 4), 0);
	assert_false(intx());
}

static void raising_nothing_raises_nothing(void **state)
{
	(void)state;
	bar_put(0x60, 4, 0);
	assert_int_equal(bar(0x24, 4), 0);
	assert_false(intx());
}

static void a_disabled_line_still_shows_in_the_status(void **state)
{
	(void)state;
	config_put(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	bar_put(0x60, 4, 1);
	assert_true(intx());
}

static void messages_leave_the_line_alone(void **state)
{
	(void)state;
	config_put(0x42, 2, PCI_MSI_FLAGS_ENABLE);
	bar_put(0x60, 4, 1);
	assert_int_equal(bar(0x24, 4), 1);
	assert_false(intx());
	bar_put(0x64, 4, 1);
	assert_int_equal(bar(0x24, 4), 0);
}

static void enabling_messages_takes_the_line_down(void **state)
{
	(void)state;
	bar_put(0x60, 4, 1);
	assert_true(intx());
	config_put(0x42, 2, PCI_MSI_FLAGS_ENABLE);
	assert_false(intx());
	assert_int_equal(bar(0x24, 4), 1);
	config_put(0x42, 2, 0);
	assert_false(intx());
	bar_put(0x60, 4, 2);
	assert_true(intx());
}

static void the_line_is_driven_while_a_bit_stands(void **state)
{
	(void)state;
	bar_put(0x60, 4, 0);
	assert_false(server.line);
	bar_put(0x60, 4, 3);
	assert_true(server.line);
	bar_put(0x64, 4, 1);
	assert_true(server.line);
	bar_put(0x64, 4, 2);
	assert_false(server.line);
	bar_put(0x20, 4, 0x80);
	bar_put(0x08, 4, 5);
	finish();
	assert_true(server.line);
	assert_int_equal(server.messages, 0);
}

static void the_command_register_takes_the_line_down_and_gives_it_back(void **state)
{
	(void)state;
	config_put(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	bar_put(0x60, 4, 1);
	assert_false(server.line);
	config_put(PCI_COMMAND, 2, 0);
	assert_true(server.line);
	config_put(PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	assert_false(server.line);
	bar_put(0x64, 4, 1);
	config_put(PCI_COMMAND, 2, 0);
	assert_false(server.line);
}

static void each_raise_is_a_message_once_they_are_enabled(void **state)
{
	(void)state;
	bar_put(0x60, 4, 1);
	assert_true(server.line);
	config_put(0x42, 2, PCI_MSI_FLAGS_ENABLE);
	assert_false(server.line);
	assert_int_equal(server.messages, 0);
	bar_put(0x60, 4, 1);
	bar_put(0x60, 4, 2);
	assert_int_equal(server.messages, 2);
	bar_put(0x64, 4, 3);
	bar_put(0x60, 4, 0); /* nothing stands */
	assert_int_equal(server.messages, 2);
	start_dma(0x40000, MEMORY_BASE, 8, 0x7);
	finish();
	assert_int_equal(server.messages, 3);
	assert_false(server.line);
}

static void a_reset_takes_the_line_down(void **state)
{
	(void)state;
	bar_put(0x60, 4, 1);
	assert_true(server.line);
	assert_int_equal(desc->reset(dev), 0);
	assert_false(server.line);
}

static void without_a_server_nothing_is_driven(void **state)
{
	(void)state;
	edu_under_test.attach(dev, NULL);
	bar_put(0x60, 4, 1);
	config_put(0x42, 2, PCI_MSI_FLAGS_ENABLE);
	bar_put(0x60, 4, 2);
	assert_false(server.line);
	assert_int_equal(server.messages, 0);
}

/* ---- DMA ------------------------------------------------------------------------- */

static void fill(uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

static void a_transfer_goes_in_and_out_again(void **state)
{
	(void)state;
	fill(server.memory, 4096, 1);
	dma(MEMORY_BASE, 0x40000, 4096, 0x1);
	assert_int_equal(server.len, 4096);
	dma(0x40000, MEMORY_BASE + 8192, 4096, 0x3);
	assert_memory_equal(server.memory + 8192, server.memory, 4096);
	assert_int_equal(server.transfers, 2);
}

static void a_transfer_reaches_only_its_part_of_the_buffer(void **state)
{
	uint8_t expected[16] = { 0 };

	(void)state;
	fill(server.memory, 4, 9);
	memcpy(expected + 6, server.memory, 4);
	dma(MEMORY_BASE, 0x40006, 4, 0x1);
	dma(0x40000, MEMORY_BASE + 4096, sizeof(expected), 0x3);
	assert_memory_equal(server.memory + 4096, expected, sizeof(expected));
	assert_int_equal(server.memory[4096 + 16], 0);
}

static void the_last_byte_of_the_buffer_can_be_reached(void **state)
{
	(void)state;
	server.memory[0] = 0x5a;
	dma(MEMORY_BASE, 0x40fff, 1, 0x1);
	dma(0x40fff, MEMORY_BASE + 1, 1, 0x3);
	assert_int_equal(server.memory[1], 0x5a);
}

static void the_command_is_kept_without_its_start_bit(void **state)
{
	(void)state;
	dma(0x40000, MEMORY_BASE, 8, UINT64_C(0xffffffff000000fb));
	assert_int_equal(bar(0x98, 8), UINT64_C(0xffffffff000000fa));
	assert_int_equal(server.transfers, 1);
}

static void a_command_without_start_is_ignored(void **state)
{
	(void)state;
	dma(0x40000, MEMORY_BASE, 8, 0x3);
	bar_put(0x98, 8, 0x4);
	bar_put(0x98, 8, 0);
	assert_false(desc->work(dev));
	assert_int_equal(bar(0x98, 8), 0x2);
	assert_int_equal(server.transfers, 1);
}

static void registers_are_kept_while_a_transfer_runs(void **state)
{
	(void)state;
	start_dma(MEMORY_BASE, 0x40000, 16, 0x1);
	assert_int_equal(bar(0x98, 8), 0x1);
	bar_put(0x80, 8, 0);
	bar_put(0x88, 4, 0);
	bar_put(0x90, 8, 0);
	bar_put(0x98, 8, 0x7);
	assert_int_equal(bar(0x80, 8), MEMORY_BASE);
	assert_int_equal(bar(0x88, 8), 0x40000);
	assert_int_equal(bar(0x90, 8), 16);
	finish();
	assert_int_equal(bar(0x98, 8), 0);
	assert_int_equal(server.iova, MEMORY_BASE);
	assert_int_equal(server.len, 16);
	assert_int_equal(bar(0x24, 4), 0);
}

static void a_transfer_interrupts_only_when_asked_to(void **state)
{
	(void)state;
	dma(MEMORY_BASE, 0x40000, 16, 0x1);
	assert_int_equal(bar(0x24, 4), 0);
	dma(MEMORY_BASE, 0x40000, 16, 0x5);
	assert_int_equal(bar(0x24, 4), 0x100);
	assert_true(intx());
}

static void addresses_have_28_bits(void **state)
{
	(void)state;
	fill(server.memory, 64, 3);
	dma(MEMORY_BASE | UINT64_C(0xdeadbeef10000000), 0x40000, 64, 0x1);
	assert_int_equal(server.iova, MEMORY_BASE);
	dma(0x40000, (MEMORY_BASE + 64) | UINT64_C(0xf000000000000000), 64, 0x3);
	assert_int_equal(server.iova, MEMORY_BASE + 64);
	assert_memory_equal(server.memory + 64, server.memory, 64);
}

static void a_count_of_zero_moves_nothing(void **state)
{
	(void)state;
	dma(MEMORY_BASE, 0x40000, 0, 0x5);
	dma(MEMORY_BASE, 0x41000, 0, 0x5);
	assert_int_equal(server.transfers, 0);
	assert_int_equal(bar(0x24, 4), 0x100);
}

static void a_transfer_out_of_the_buffer_is_not_made(void **state)
{
	static const struct {
		uint64_t at, count;
	} rows[] = {
		{ 0x40000, 4097 },
		{ 0x40001, 4096 },
		{ 0x40fff, 2 },
		{ 0x41000, 1 },
		{ 0x41001, 0 },
		{ 0x3ffff, 1 },
		{ 0x3ffff, 2 },
		{ 0, 1 },
		{ 0x40000, UINT64_MAX },
		{ 0x40001, UINT64_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, UINT64_MAX },
		{ UINT64_MAX - 0x3ffff, 0x80000 },
		{ UINT64_C(0x0000000100040000), 16 }, /* the buffer has no mask */
		{ 0x40000, UINT64_C(0x0000000100000010) },
		{ UINT64_C(0x8000000000040000), UINT64_C(0x8000000000000000) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dma(MEMORY_BASE, rows[i].at, rows[i].count, 0x1);
		dma(rows[i].at, MEMORY_BASE, rows[i].count, 0x3);
	}
	assert_int_equal(server.transfers, 0);
	assert_int_equal(config(PCI_STATUS, 2) & PCI_STATUS_REC_MASTER_ABORT, 0);
	/* It ends as any other does, so that nobody waits for its interrupt. */
	dma(MEMORY_BASE, 0, 1, 0x5);
	assert_int_equal(bar(0x24, 4), 0x100);
}

static void a_transfer_to_nowhere_is_a_master_abort(void **state)
{
	(void)state;
	dma(0, 0x40000, 16, 0x5);
	assert_int_equal(server.transfers, 1);
	assert_int_equal(bar(0x24, 4), 0x100);
	assert_int_equal(config(PCI_STATUS, 2) & 0xf900, PCI_STATUS_REC_MASTER_ABORT);
	config_put(PCI_STATUS, 2, PCI_STATUS_REC_MASTER_ABORT);
	dma(0x40000, 0, 16, 0x3);
	assert_int_equal(config(PCI_STATUS, 2) & 0xf900, PCI_STATUS_REC_MASTER_ABORT);
}

static void a_transfer_that_is_refused_is_a_target_abort(void **state)
{
	(void)state;
	server.error = -EPERM;
	dma(0x40000, MEMORY_BASE, 16, 0x3);
	assert_int_equal(config(PCI_STATUS, 2) & 0xf900, PCI_STATUS_REC_TARGET_ABORT);
}

static void a_read_that_fails_leaves_the_buffer(void **state)
{
	(void)state;
	fill(server.memory, 32, 5);
	dma(MEMORY_BASE, 0x40000, 32, 0x1);
	server.error = -EIO;
	dma(MEMORY_BASE, 0x40000, 32, 0x1);
	server.error = 0;
	dma(0x40000, MEMORY_BASE + 32, 32, 0x3);
	assert_memory_equal(server.memory + 32, server.memory, 32);
}

static void without_a_server_a_transfer_goes_nowhere(void **state)
{
	(void)state;
	edu_under_test.attach(dev, NULL);
	dma(0x40000, MEMORY_BASE, 16, 0x3);
	assert_int_equal(config(PCI_STATUS, 2) & 0xf900, PCI_STATUS_REC_MASTER_ABORT);
}

static void a_client_that_leaves_takes_its_transfer_along(void **state)
{
	(void)state;
	bar_put(0x04, 4, 0);
	start_dma(0x40000, MEMORY_BASE, 16, 0x7);
	desc->left(dev);
	finish();
	assert_int_equal(server.transfers, 0);
	assert_int_equal(bar(0x98, 8), 0x6);
	assert_int_equal(bar(0x24, 4), 0);
	/* The rest of its state waits for the next client. */
	assert_int_equal(bar(0x04, 4), UINT32_MAX);
	assert_int_equal(bar(0x90, 8), 16);
}

/* ---- Reset, and anything at all -------------------------------------------------- */

static void snapshot(uint8_t *bytes, uint8_t *space)
{
	for (unsigned offset = 0; offset < 0xa0; offset += 4)
		assert_int_equal(
			desc->read(dev, VUSER_REGION_BAR0, offset, bytes + offset, 4), 0);
	assert_int_equal(desc->read(dev, VUSER_REGION_CONFIG, 0, space, 256), 0);
}

static void look_and_compute(void)
{
	assert_int_equal(bar(0x98, 8), 0x5);
	bar_put(0x80, 8, 0); /* kept by the transfer that runs */
	bar_put(0x98, 8, 0x3);
	bar_put(0x08, 4, 5);
}

static void transfer_is_seen_to_run_and_keeps_its_registers(void **state)
{
	(void)state;
	assert_true(desc->overlaps);
	fill(server.memory, 64, 3);
	server.meanwhile = look_and_compute;
	bar_put(0x80, 8, MEMORY_BASE);
	bar_put(0x88, 8, 0x40000);
	bar_put(0x90, 8, 64);
	bar_put(0x98, 8, 0x5);
	assert_true(desc->work(dev)); /* the factorial is left to do */
	server.meanwhile = NULL;
	assert_int_equal(bar(0x98, 8), 0x4);
	assert_int_equal(bar(0x80, 8), MEMORY_BASE);
	assert_false(desc->work(dev));
	assert_int_equal(bar(0x08, 4), 120);
	assert_int_equal(bar(0x24, 4), 0x100);
}

static void reset_and_restart(void)
{
	server.meanwhile = NULL;
	assert_int_equal(desc->reset(dev), 0);
	bar_put(0x80, 8, 0x40000);
	bar_put(0x88, 8, MEMORY_BASE + 4096);
	bar_put(0x90, 8, 64);
	bar_put(0x98, 8, 0x3);
}

static void transfer_that_was_reset_leaves_nothing(void **state)
{
	(void)state;
	for (int failing = 0; failing < 2; failing++) {
		fill(server.memory, 64, 3);
		fill(server.memory + 4096, 64, 5);
		server.meanwhile = reset_and_restart;
		bar_put(0x80, 8, failing ? 0 : MEMORY_BASE);
		bar_put(0x88, 8, 0x40000);
		bar_put(0x90, 8, 64);
		bar_put(0x98, 8, 0x5);
		assert_true(desc->work(dev)); /* the one started since */
		assert_int_equal(bar(0x98, 8), 0x3);
		assert_int_equal(bar(0x24, 4), 0);
		assert_int_equal(config(0x06, 2) & 0x2000, 0);
		assert_false(desc->work(dev));
		for (size_t i = 0; i < 64; i++)
			assert_int_equal(server.memory[4096 + i], 0);
	}
}

static void reset_restores_the_power_on_state(void **state)
{
	uint8_t before[0xa0], after[0xa0], config_before[256], config_after[256];

	(void)state;
	snapshot(before, config_before);
	fill(server.memory, 4096, 7);
	dma(MEMORY_BASE, 0x40000, 4096, 0x5);
	bar_put(0x04, 4, 1);
	bar_put(0x20, 4, 0x80);
	bar_put(0x60, 4, UINT32_MAX);
	bar_put(0x08, 4, 10);
	bar_put(0x98, 4, 0x7);
	config_put(0x04, 4, 0x7);
	config_put(0x10, 4, 0xfe000000);
	config_put(0x42, 2, 1);
	config_put(0x44, 8, UINT64_MAX);
	assert_int_equal(desc->reset(dev), 0);
	assert_false(desc->work(dev));
	snapshot(after, config_after);
	assert_memory_equal(after, before, sizeof(before));
	assert_memory_equal(config_after, config_before, sizeof(config_before));
	dma(0x40000, MEMORY_BASE, 4096, 0x3);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(server.memory[i], 0);
}

static void two_devices_share_nothing(void **state)
{
	const struct vuser_device *other_desc;
	void *first = dev, *second;

	(void)state;
	assert_int_equal(edu_under_test.create(&second, &other_desc), 0);
	bar_put(0x04, 4, 0);
	dev = second;
	assert_int_equal(bar(0x04, 4), 0);
	dev = first;
	edu_under_test.destroy(second);
	edu_under_test.destroy(NULL);
	assert_int_equal(bar(0x04, 4), UINT32_MAX);
}

static uint32_t rng = 0x2545f491;

static uint32_t random32(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

static uint64_t random_value(void)
{
	static const uint64_t values[] = { 0,	    1,	     3,		  0x10,
					   0x40000, 0x40ff0, MEMORY_BASE, UINT64_MAX };

	return values[random32() % 8];
}

/* A command for the DMA engine that may make sense, or any access at all. */
static void random_access(void)
{
	uint32_t region = random32() % 4 ? VUSER_REGION_BAR0 : VUSER_REGION_CONFIG;
	uint64_t size = random32() % 8 ? 0x100 : desc->regions[region].size;
	uint32_t count = random32() % 33;
	uint64_t offset = random32() % (size - count + 1);
	uint8_t *buf;

	if (random32() % 4 == 0) {
		start_dma(random_value(), random_value(), random_value(), random_value());
		return;
	}
	buf = malloc(count ? count : 1);
	assert_non_null(buf);
	for (uint32_t i = 0; i < count; i++)
		buf[i] = (uint8_t)(random_value() >> (8 * (i % 8)));
	if (random32() % 2)
		assert_int_equal(desc->write(dev, region, offset, buf, count), 0);
	else
		assert_int_equal(desc->read(dev, region, offset, buf, count), 0);
	free(buf);
}

static void no_access_whatsoever_breaks_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		random_access();
		server.error = random32() % 16 ? 0 : -EIO;
		if (random32() % 2)
			finish();
		if (random32() % 4096 == 0)
			desc->left(dev);
		if (random32() % 4096 == 0)
			assert_int_equal(desc->reset(dev), 0);
		assert_int_equal(bar(0x00, 4), 0x010000ed);
		assert_int_equal(config(0, 4), 0x11e81234);
		/* The line is up only where something is to be acknowledged. */
		assert_true(!intx() || bar(0x24, 4));
	}
	assert_true(server.transfers > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, power_on, power_off)
		TEST(it_is_described_as_a_pci_device),
		TEST(it_has_intx_and_one_message),
		TEST(config_space_identifies_it),
		TEST(identification_is_read_only),
		TEST(liveness_check_inverts),
		TEST(registers_that_cannot_be_read_are_ones),
		TEST(where_no_register_is_there_are_ones),
		TEST(narrow_registers_take_4_bytes_only),
		TEST(pieces_below_4_bytes_read_as_zero_and_write_nothing),
		TEST(an_unaligned_access_is_split),
		TEST(wide_registers_take_both_widths),
		TEST(a_narrow_write_sets_all_of_a_wide_register),
		TEST(the_upper_half_of_a_wide_register_is_no_register),
		TEST(a_dump_goes_by_4_bytes),
		TEST(other_regions_are_refused),
		TEST(factorials_are_right_modulo_2_to_32),
		TEST(the_status_says_computing_until_it_is_done),
		TEST(a_factorial_that_is_computed_cannot_be_replaced),
		TEST(of_the_status_only_the_interrupt_bit_can_be_written),
		TEST(a_factorial_interrupts_only_when_asked_to),
		TEST(there_is_no_work_when_nothing_was_started),
		TEST(factorial_and_transfer_are_two_slices_of_work),
		TEST(the_line_stays_until_all_is_acknowledged),
		TEST(raising_nothing_raises_nothing),
		TEST(the_line_is_driven_while_a_bit_stands),
		TEST(the_command_register_takes_the_line_down_and_gives_it_back),
		TEST(each_raise_is_a_message_once_they_are_enabled),
		TEST(a_reset_takes_the_line_down),
		TEST(without_a_server_nothing_is_driven),
		TEST(a_disabled_line_still_shows_in_the_status),
		TEST(messages_leave_the_line_alone),
		TEST(enabling_messages_takes_the_line_down),
		TEST(a_transfer_goes_in_and_out_again),
		TEST(a_transfer_reaches_only_its_part_of_the_buffer),
		TEST(the_last_byte_of_the_buffer_can_be_reached),
		TEST(the_command_is_kept_without_its_start_bit),
		TEST(a_command_without_start_is_ignored),
		TEST(registers_are_kept_while_a_transfer_runs),
		TEST(a_transfer_interrupts_only_when_asked_to),
		TEST(addresses_have_28_bits),
		TEST(a_count_of_zero_moves_nothing),
		TEST(a_transfer_out_of_the_buffer_is_not_made),
		TEST(a_transfer_to_nowhere_is_a_master_abort),
		TEST(a_transfer_that_is_refused_is_a_target_abort),
		TEST(a_read_that_fails_leaves_the_buffer),
		TEST(without_a_server_a_transfer_goes_nowhere),
		TEST(a_client_that_leaves_takes_its_transfer_along),
		TEST(transfer_is_seen_to_run_and_keeps_its_registers),
		TEST(transfer_that_was_reset_leaves_nothing),
		TEST(reset_restores_the_power_on_state),
		TEST(two_devices_share_nothing),
		TEST(no_access_whatsoever_breaks_it),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
