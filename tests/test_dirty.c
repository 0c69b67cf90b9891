/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/dirty.c: the log of what a device wrote, against a model of it. */
#include "dirty.h"
#include "wire.h"

#define PAGE 4096u

static bool bit(const uint8_t *bitmap, uint64_t n)
{
	struct cursor c = cursor_at(bitmap + n / 64 * 8, 8);

	return cursor_u64(&c) >> n % 64 & 1;
}

/* ---- The log against a simple model of it ----------------------------------------- */

#define PAGES 9000u		      /* more than two chunks */
#define BASE  ((uint64_t)4095 * PAGE) /* the last page of a chunk */

struct model {
	struct dirty_log log;
	bool dirty[PAGES];
	uint32_t seed;
};

static uint32_t pick(struct model *m, uint32_t below)
{
	m->seed = m->seed * 1664525 + 1013904223;
	return (m->seed >> 8) % below;
}

static void mark(struct model *m, uint64_t from, uint64_t len)
{
	dirty_mark(&m->log, BASE + from, len);
	for (uint64_t p = from / PAGE; p <= (from + len - 1) / PAGE; p++)
		m->dirty[p] = true;
}

/* Each bit of a report, then what it leaves. */
static void assert_reports(struct model *m, uint64_t from, uint64_t len, uint64_t size)
{
	size_t bytes = vuser_dirty_words(len, size) * 8;
	uint8_t *bitmap = malloc(bytes + 1);

	assert_non_null(bitmap);
	memset(bitmap, 0x55, bytes + 1);
	dirty_report(&m->log, BASE + from, len, size, bitmap + 1); /* at any alignment */
	for (uint64_t i = 0; i < bytes * 8; i++) {
		uint64_t first = from + i * size, last = first + size - 1;
		bool want = false;

		if (last > from + len - 1)
			last = from + len - 1;
		for (uint64_t p = first / PAGE; i * size < len && p <= last / PAGE; p++)
			want |= m->dirty[p];
		if (bit(bitmap + 1, i) != want)
			fail_msg("bit %u of %u pages", (unsigned)i, (unsigned)size);
	}
	for (uint64_t p = 0; p < PAGES; p++)
		if (p * PAGE >= from && p * PAGE + PAGE <= from + len)
			m->dirty[p] = false;
	free(bitmap);
}

static void reports_are_what_was_written_bit_by_bit(void **state)
{
	static const uint64_t sizes[] = { 1024,	 PAGE,	   PAGE,     PAGE,
					  16384, 1u << 21, 1u << 30, 512 };
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	dirty_start(&m->log, PAGE, 1u << 20);
	for (unsigned round = 0; round < 60; round++) {
		uint64_t from, len;

		for (unsigned i = 0; i < 20; i++) {
			from = pick(m, PAGES * PAGE - 1);
			len = 1 + pick(m, i % 4 ? PAGE : 64 * PAGE);
			if (len > (uint64_t)PAGES * PAGE - from)
				len = 1;
			mark(m, from, len);
		}
		from = pick(m, PAGES);
		len = 1 + pick(m, PAGES - (uint32_t)from);
		if (round % 3) /* else at no page's border */
			assert_reports(m, from * PAGE, len * PAGE,
				       sizes[round % ARRAY_SIZE(sizes)]);
		else
			assert_reports(m, from * PAGE + pick(m, PAGE - 1), len, PAGE);
	}
	assert_reports(m, 0, (uint64_t)PAGES * PAGE, PAGE);
	assert_reports(m, 0, (uint64_t)PAGES * PAGE, PAGE); /* all is forgotten */
	assert_int_equal(m->log.n, 0);
	dirty_stop(&m->log);
	free(m);
}

static void writes_are_logged_in_their_ranges_only(void **state)
{
	struct dirty_log d = { 0 };
	uint8_t bitmap[8];

	(void)state;
	dirty_start(&d, PAGE, 0);
	assert_true(dirty_add_range(&d, (struct vuser_area){ 2 * PAGE, 3 * PAGE }));
	assert_true(dirty_add_range(&d, (struct vuser_area){ 10 * PAGE + 5, 1 }));
	dirty_mark(&d, 0, 2 * PAGE);
	dirty_mark(&d, 5 * PAGE, 5 * PAGE);
	dirty_mark(&d, 10 * PAGE, 5);
	dirty_report(&d, 0, 64 * PAGE, PAGE, bitmap);
	for (unsigned i = 0; i < 64; i++)
		assert_false(bit(bitmap, i));
	dirty_mark(&d, PAGE, 2 * PAGE);	 /* the first page of the range */
	dirty_mark(&d, 5 * PAGE - 1, 1); /* its last byte */
	dirty_mark(&d, 0, 64 * PAGE);
	dirty_report(&d, 0, 64 * PAGE, PAGE, bitmap);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(bit(bitmap, i), (i >= 2 && i < 5) || i == 10);
	dirty_stop(&d);
}

static void ranges_that_cannot_be_are_refused(void **state)
{
	struct dirty_log d = { 0 };

	(void)state;
	dirty_start(&d, PAGE, 0);
	assert_false(dirty_add_range(&d, (struct vuser_area){ 0, 0 }));
	assert_false(dirty_add_range(&d, (struct vuser_area){ UINT64_MAX, 2 }));
	assert_false(dirty_add_range(&d, (struct vuser_area){ 2, UINT64_MAX }));
	assert_true(dirty_add_range(&d, (struct vuser_area){ 1, UINT64_MAX }));
	assert_true(dirty_add_range(&d, (struct vuser_area){ UINT64_MAX, 1 }));
	while (d.nranges < VUSER_MAX_LOG_RANGES)
		assert_true(dirty_add_range(&d, (struct vuser_area){ 0, 1 }));
	assert_false(dirty_add_range(&d, (struct vuser_area){ 0, 1 }));
	dirty_stop(&d);
}

static void the_ends_of_all_addresses_are_logged(void **state)
{
	static const uint64_t pages[] = { PAGE, 1ull << 62, 1ull << 63 };
	uint8_t bitmap[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		struct dirty_log d = { 0 };

		dirty_start(&d, pages[i], 0);
		dirty_mark(&d, UINT64_MAX, 1);
		dirty_report(&d, UINT64_MAX - PAGE + 1, PAGE, 64, bitmap);
		for (unsigned k = 0; k < 64; k++)
			assert_true(bit(bitmap, k));
		dirty_mark(&d, 0, 1);
		dirty_mark(&d, UINT64_MAX, 1);
		dirty_report(&d, 0, UINT64_MAX, 1ull << 63, bitmap);
		assert_true(bit(bitmap, 0));
		assert_true(bit(bitmap, 1));
		assert_false(bit(bitmap, 2));
		dirty_stop(&d);
	}
}

/* A report of nearly all addresses looks at what is in the log, not at all of them. */
static void wide_reports_of_a_sparse_log_are_quick(void **state)
{
	struct dirty_log d = { 0 };
	uint8_t bitmap[128 * 8];

	(void)state;
	dirty_start(&d, PAGE, 1u << 20);
	for (unsigned i = 0; i < 64; i += 3)
		dirty_mark(&d, 1ull << i, 1);
	dirty_report(&d, 0, UINT64_MAX, 1ull << 51, bitmap);
	for (unsigned i = 0; i < 8192; i++)
		assert_int_equal(bit(bitmap, i), i < 2 || i == 1 << 3 || i == 1 << 6 ||
							 i == 1 << 9 || i == 1 << 12);
	dirty_stop(&d);
}

static void a_log_that_ran_out_of_memory_says_so(void **state)
{
	struct dirty_log d = { 0 };
	unsigned n = 0;

	(void)state;
	dirty_start(&d, PAGE, 1); /* it has more all the same */
	for (; !d.lost; n++)
		dirty_mark(&d, (uint64_t)n << 40, 1);
	assert_in_range(n, 64, 1024);
	assert_true(d.n * 8 * 64 <= DIRTY_LEAST);
	dirty_mark(&d, 0, 1); /* in vain */
	dirty_stop(&d);
	assert_false(d.lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_are_what_was_written_bit_by_bit),
		cmocka_unit_test(writes_are_logged_in_their_ranges_only),
		cmocka_unit_test(ranges_that_cannot_be_are_refused),
		cmocka_unit_test(the_ends_of_all_addresses_are_logged),
		cmocka_unit_test(wide_reports_of_a_sparse_log_are_quick),
		cmocka_unit_test(a_log_that_ran_out_of_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
