/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the PCI configuration space that emulated devices build theirs with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pcicfg.h"

static const struct pcicfg_ids ids = {
	.vendor = 0x1234,
	.device = 0x5678,
	.subvendor = 0x9abc,
	.subdevice = 0xdef0,
	.class_code = 0x010802,
	.revision = 0x21,
	.pin = 1,
};

static struct pcicfg cfg;

static int build(void **state)
{
	(void)state;
	pcicfg_init(&cfg, PCICFG_SIZE, &ids);
	pcicfg_reset(&cfg);
	return 0;
}

static uint32_t get(unsigned offset, unsigned width)
{
	uint8_t b[4] = { 0 };
	uint32_t v = 0;

	pcicfg_read(&cfg, offset, b, width);
	for (unsigned i = 0; i < width; i++)
		v |= (uint32_t)b[i] << (8 * i);
	return v;
}

static void put(unsigned offset, unsigned width, uint32_t v)
{
	uint8_t b[4];

	for (unsigned i = 0; i < width; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	pcicfg_write(&cfg, offset, b, width);
}

static void identity_is_where_software_looks_for_it(void **state)
{
	static const uint8_t expected[16] = {
		0x34, 0x12, 0x78, 0x56, /* vendor 1234, device 5678 */
		0x00, 0x00, 0x00, 0x00, /* command, status */
		0x21, 0x02, 0x08, 0x01, /* revision 21, class 010802 */
		0x00, 0x00, 0x00, 0x00, /* cache line, latency, header type 0, BIST */
	};
	uint8_t found[sizeof(expected)];

	(void)state;
	pcicfg_read(&cfg, 0, found, sizeof(found));
	assert_memory_equal(found, expected, sizeof(expected));
	assert_int_equal(get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
}

static void identity_cannot_be_written(void **state)
{
	(void)state;
	put(PCI_VENDOR_ID, 4, UINT32_MAX);
	put(PCI_CLASS_REVISION, 4, 0);
	put(PCI_SUBSYSTEM_VENDOR_ID, 4, 0);
	put(PCI_INTERRUPT_PIN, 1, 3);
	assert_int_equal(get(PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(get(PCI_CLASS_REVISION, 4), 0x01080221);
	assert_int_equal(get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
}

static void command_has_the_bits_a_function_implements(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, 0xffff);
	/* I/O, memory, bus master, SERR, INTx disable */
	assert_int_equal(get(PCI_COMMAND, 2), 0x0507);
	put(PCI_COMMAND, 1, 0);
	assert_int_equal(get(PCI_COMMAND, 2), 0x0500);
}

static void interrupt_line_and_cache_line_size_are_scratch(void **state)
{
	(void)state;
	put(PCI_INTERRUPT_LINE, 1, 0x0b);
	put(PCI_CACHE_LINE_SIZE, 1, 0x10);
	assert_int_equal(get(PCI_INTERRUPT_LINE, 1), 0x0b);
	assert_int_equal(get(PCI_CACHE_LINE_SIZE, 1), 0x10);
}

static void status_bits_are_cleared_by_writing_ones(void **state)
{
	(void)state;
	pcicfg_set_status(&cfg,
			  PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_REC_TARGET_ABORT);
	assert_int_equal(get(PCI_STATUS, 2), 0x3000);
	put(PCI_STATUS, 2, 0);
	assert_int_equal(get(PCI_STATUS, 2), 0x3000);
	put(PCI_STATUS, 2, PCI_STATUS_REC_MASTER_ABORT);
	assert_int_equal(get(PCI_STATUS, 2), 0x1000);
	put(PCI_STATUS, 2, 0xffff);
	assert_int_equal(get(PCI_STATUS, 2), 0);
}

static void status_bits_that_are_not_software_s_to_clear_are_not_set(void **state)
{
	(void)state;
	pcicfg_set_status(&cfg, 0xffff);
	assert_int_equal(get(PCI_STATUS, 2), 0xf900);
}

static void a_write_of_the_command_does_not_clear_status(void **state)
{
	(void)state;
	pcicfg_set_status(&cfg, PCI_STATUS_REC_MASTER_ABORT);
	put(PCI_COMMAND, 2, 0xffff);
	assert_int_equal(get(PCI_STATUS, 2), 0x2000);
}

static void a_bar_of_32_bits_tells_its_size(void **state)
{
	(void)state;
	pcicfg_bar(&cfg, 0, 1 << 20, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_reset(&cfg);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), 0);
	put(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), 0xfff00000);
	put(PCI_BASE_ADDRESS_0, 4, 0xfebd1234);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), 0xfeb00000);
	assert_int_equal(get(PCI_BASE_ADDRESS_1, 4), 0);
}

static void a_bar_of_64_bits_takes_the_next_one_too(void **state)
{
	(void)state;
	pcicfg_bar(&cfg, 4, UINT64_C(1) << 33,
		   PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	pcicfg_reset(&cfg);
	assert_int_equal(get(PCI_BASE_ADDRESS_4, 4), 0xc);
	put(PCI_BASE_ADDRESS_4, 4, UINT32_MAX);
	put(PCI_BASE_ADDRESS_5, 4, UINT32_MAX);
	/* 8 GiB: no bit of the low half, all but one of the high half */
	assert_int_equal(get(PCI_BASE_ADDRESS_4, 4), 0xc);
	assert_int_equal(get(PCI_BASE_ADDRESS_5, 4), 0xfffffffe);
}

static void an_io_bar_keeps_its_space_bit(void **state)
{
	(void)state;
	pcicfg_bar(&cfg, 5, 32, PCI_BASE_ADDRESS_SPACE_IO);
	pcicfg_reset(&cfg);
	put(PCI_BASE_ADDRESS_5, 4, UINT32_MAX);
	assert_int_equal(get(PCI_BASE_ADDRESS_5, 4), 0xffffffe1);
	put(PCI_BASE_ADDRESS_5, 4, 0);
	assert_int_equal(get(PCI_BASE_ADDRESS_5, 4), 0x1);
}

static void the_smallest_and_the_largest_bars_work(void **state)
{
	(void)state;
	pcicfg_bar(&cfg, 0, 16, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_bar(&cfg, 1, UINT32_C(1) << 31, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_bar(&cfg, 2, 4, PCI_BASE_ADDRESS_SPACE_IO);
	pcicfg_reset(&cfg);
	for (unsigned n = 0; n < 4; n++)
		put(PCI_BASE_ADDRESS_0 + 4 * n, 4, UINT32_MAX);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), 0xfffffff0);
	assert_int_equal(get(PCI_BASE_ADDRESS_1, 4), 0x80000000);
	assert_int_equal(get(PCI_BASE_ADDRESS_2, 4), 0xfffffffd);
	assert_int_equal(get(PCI_BASE_ADDRESS_3, 4), 0);
}

static void a_rom_has_an_enable_bit_below_its_size(void **state)
{
	(void)state;
	put(PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0);
	pcicfg_rom(&cfg, 65536);
	pcicfg_reset(&cfg);
	put(PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0xffff0001);
}

static void capabilities_form_a_list_in_order_of_building(void **state)
{
	static const uint8_t body[2] = { 0x03, 0x00 };

	(void)state;
	assert_int_equal(get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0);
	pcicfg_msi(&cfg, 0x60, 1, true, false);
	pcicfg_cap(&cfg, 0x40, PCI_CAP_ID_PM, body, NULL, sizeof(body));
	pcicfg_reset(&cfg);
	assert_int_equal(get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_CAPABILITY_LIST, 1), 0x60);
	assert_int_equal(get(0x60, 2), 0x4005);	    /* MSI, next at 40 */
	assert_int_equal(get(0x40, 4), 0x00030001); /* power management 3, the last */
}

static void a_capability_takes_writes_by_its_mask(void **state)
{
	static const uint8_t body[6] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66 };
	static const uint8_t mask[6] = { 0x00, 0xff, 0x0f, 0x00, 0x00, 0x80 };

	(void)state;
	pcicfg_cap(&cfg, 0xf8, PCI_CAP_ID_VNDR, body, mask, sizeof(body));
	pcicfg_reset(&cfg);
	put(0xf8, 4, 0);
	put(0xfc, 4, UINT32_MAX);
	assert_int_equal(get(0xf8, 4), 0x00110009);
	assert_int_equal(get(0xfc, 4), 0xe655443f);
}

static void msi_with_one_vector_of_64_bits(void **state)
{
	(void)state;
	pcicfg_msi(&cfg, 0x40, 1, true, false);
	pcicfg_reset(&cfg);
	assert_int_equal(get(0x42, 2), 0x0080); /* 64 bit, off */
	for (unsigned at = 0x40; at < 0x60; at += 4)
		put(at, 4, UINT32_MAX);
	assert_int_equal(get(0x42, 2), 0x0081); /* no more messages to choose */
	assert_int_equal(get(0x44, 4), 0xfffffffc);
	assert_int_equal(get(0x48, 4), 0xffffffff);
	assert_int_equal(get(0x4c, 4), 0x0000ffff);
	assert_int_equal(get(0x50, 4), 0);
}

static void msi_with_masks_and_32_bits(void **state)
{
	(void)state;
	pcicfg_msi(&cfg, 0x40, 8, false, true);
	pcicfg_reset(&cfg);
	assert_int_equal(get(0x42, 2), 0x0106); /* maskable, 2^3 messages */
	for (unsigned at = 0x40; at < 0x60; at += 4)
		put(at, 4, UINT32_MAX);
	assert_int_equal(get(0x42, 2), 0x0137);
	assert_int_equal(get(0x44, 4), 0xfffffffc);
	assert_int_equal(get(0x48, 4), 0x0000ffff);
	assert_int_equal(get(0x4c, 4), 0x000000ff); /* a mask bit a message */
	assert_int_equal(get(0x50, 4), 0);	    /* pending bits are read-only */
}

static void msi_with_all_the_messages_there_can_be(void **state)
{
	(void)state;
	pcicfg_msi(&cfg, 0xe8, 32, true, true);
	pcicfg_reset(&cfg);
	assert_int_equal(get(0xea, 2), 0x018a); /* 64 bit, maskable, 2^5 messages */
	put(0xf8, 4, UINT32_MAX);
	assert_int_equal(get(0xf8, 4), 0xffffffff);
	assert_int_equal(get(0xfc, 4), 0);
}

static void msi_is_enabled_by_its_bit(void **state)
{
	(void)state;
	assert_false(pcicfg_msi_enabled(&cfg));
	pcicfg_msi(&cfg, 0x40, 1, true, false);
	pcicfg_reset(&cfg);
	assert_false(pcicfg_msi_enabled(&cfg));
	put(0x42, 1, PCI_MSI_FLAGS_ENABLE);
	assert_true(pcicfg_msi_enabled(&cfg));
	assert_false(pcicfg_msix_enabled(&cfg));
	put(0x42, 1, 0);
	assert_false(pcicfg_msi_enabled(&cfg));
}

static void msix_tells_its_tables_and_takes_two_bits(void **state)
{
	(void)state;
	pcicfg_msix(&cfg, 0xb0, 2048, (struct pcicfg_place){ 1, 0x2000 },
		    (struct pcicfg_place){ 4, 0x18 });
	pcicfg_reset(&cfg);
	assert_int_equal(get(0xb0, 4), 0x07ff0011);
	assert_int_equal(get(0xb4, 4), 0x2001);
	assert_int_equal(get(0xb8, 4), 0x1c);
	put(0xb4, 4, 0);
	put(0xb8, 4, 0);
	put(0xb2, 2, 0xffff);
	assert_int_equal(get(0xb2, 2), 0xc7ff);
	assert_int_equal(get(0xb4, 4), 0x2001);
	assert_int_equal(get(0xb8, 4), 0x1c);
	assert_true(pcicfg_msix_enabled(&cfg));
	assert_false(pcicfg_msi_enabled(&cfg));
}

static void intx_shows_in_status_even_when_it_is_disabled(void **state)
{
	(void)state;
	assert_false(pcicfg_intx(&cfg));
	pcicfg_set_intx(&cfg, true);
	assert_true(pcicfg_intx(&cfg));
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
	put(PCI_STATUS, 2, 0xffff);
	assert_true(pcicfg_intx(&cfg));
	put(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(pcicfg_intx(&cfg));
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
	put(PCI_COMMAND, 2, 0);
	assert_true(pcicfg_intx(&cfg));
	pcicfg_set_intx(&cfg, false);
	assert_false(pcicfg_intx(&cfg));
	assert_int_equal(get(PCI_STATUS, 2), 0);
}

static void reset_restores_every_byte(void **state)
{
	uint8_t before[PCICFG_SIZE], after[PCICFG_SIZE], ones[PCICFG_SIZE];

	(void)state;
	pcicfg_bar(&cfg, 0, 4096, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pcicfg_msi(&cfg, 0x40, 4, true, true);
	pcicfg_reset(&cfg);
	pcicfg_read(&cfg, 0, before, sizeof(before));
	memset(ones, 0xff, sizeof(ones));
	pcicfg_write(&cfg, 0, ones, sizeof(ones));
	pcicfg_set_intx(&cfg, true);
	pcicfg_set_status(&cfg, PCI_STATUS_DETECTED_PARITY);
	pcicfg_read(&cfg, 0, after, sizeof(after));
	assert_memory_not_equal(before, after, sizeof(after));
	pcicfg_reset(&cfg);
	pcicfg_read(&cfg, 0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(after));
}

static void an_access_may_have_any_width_and_offset(void **state)
{
	uint8_t whole[PCICFG_SIZE];

	(void)state;
	pcicfg_msi(&cfg, 0x40, 1, true, false);
	pcicfg_reset(&cfg);
	pcicfg_read(&cfg, 0, whole, sizeof(whole));
	for (size_t at = 0; at <= sizeof(whole); at++) {
		for (size_t n = 0; n <= sizeof(whole) - at; n++) {
			uint8_t *part = malloc(n ? n : 1);

			assert_non_null(part);
			pcicfg_read(&cfg, at, part, n);
			assert_memory_equal(part, whole + at, n);
			/* Writing what is there changes nothing: no status bit is set. */
			pcicfg_write(&cfg, at, part, n);
			free(part);
		}
	}
	assert_memory_equal(cfg.value, whole, sizeof(whole));
}

static void beyond_the_end_there_are_ones_and_nothing_to_write(void **state)
{
	static const uint64_t offsets[] = { 253, 256, 257, 4095, UINT64_MAX };
	const uint8_t zeroes[8] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint8_t b[8] = { 0 };

		pcicfg_write(&cfg, offsets[i], zeroes, sizeof(zeroes));
		pcicfg_read(&cfg, offsets[i], b, sizeof(b));
		for (size_t n = 0; n < sizeof(b); n++)
			assert_int_equal(b[n], offsets[i] == 253 && n < 3 ? 0 : 0xff);
	}
}

static void an_express_function_has_4096_bytes(void **state)
{
	uint8_t b[2] = { 1, 1 };

	(void)state;
	pcicfg_init(&cfg, PCICFG_EXPRESS_SIZE, &ids);
	pcicfg_reset(&cfg);
	pcicfg_read(&cfg, 4095, b, sizeof(b));
	assert_int_equal(b[0], 0);
	assert_int_equal(b[1], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, build)
		TEST(identity_is_where_software_looks_for_it),
		TEST(identity_cannot_be_written),
		TEST(command_has_the_bits_a_function_implements),
		TEST(interrupt_line_and_cache_line_size_are_scratch),
		TEST(status_bits_are_cleared_by_writing_ones),
		TEST(status_bits_that_are_not_software_s_to_clear_are_not_set),
		TEST(a_write_of_the_command_does_not_clear_status),
		TEST(a_bar_of_32_bits_tells_its_size),
		TEST(a_bar_of_64_bits_takes_the_next_one_too),
		TEST(an_io_bar_keeps_its_space_bit),
		TEST(the_smallest_and_the_largest_bars_work),
		TEST(a_rom_has_an_enable_bit_below_its_size),
		TEST(capabilities_form_a_list_in_order_of_building),
		TEST(a_capability_takes_writes_by_its_mask),
		TEST(msi_with_one_vector_of_64_bits),
		TEST(msi_with_masks_and_32_bits),
		TEST(msi_with_all_the_messages_there_can_be),
		TEST(msi_is_enabled_by_its_bit),
		TEST(msix_tells_its_tables_and_takes_two_bits),
		TEST(intx_shows_in_status_even_when_it_is_disabled),
		TEST(reset_restores_every_byte),
		TEST(an_access_may_have_any_width_and_offset),
		TEST(beyond_the_end_there_are_ones_and_nothing_to_write),
		TEST(an_express_function_has_4096_bytes),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
