/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/iova.c: the table of DMA windows, and copying to and from their memory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iova.h"
#include "traffic.h"

#define TOP UINT64_MAX

/* A window without memory; the caller's until it is in a table. */
static struct window *window(uint64_t iova, uint64_t size)
{
	struct window *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->w = (struct vuser_window){ .iova = iova, .size = size, .fd = -1 };
	return w;
}

/* Adds a window; if that fails it is freed. */
static int add(struct iova_table *t, uint64_t iova, uint64_t size)
{
	struct window *w = window(iova, size);
	int r = iova_add(t, w);

	if (r)
		window_free(w);
	return r;
}

/* What must hold of any table. */
static void assert_in_order(const struct iova_table *t)
{
	assert_true(t->n <= t->cap);
	for (size_t i = 0; i < t->n; i++) {
		const struct vuser_window *w = &t->v[i]->w;

		assert_true(w->size > 0);
		if (i)
			assert_true(t->v[i - 1]->w.iova + (t->v[i - 1]->w.size - 1) <
				    w->iova);
	}
}

/* ---- The table -------------------------------------------------------------------- */

static void a_window_that_is_empty_or_wraps_is_refused(void **state)
{
	static const struct {
		uint64_t iova, size;
		int want;
	} rows[] = {
		{ 0, 0, -EINVAL },
		{ 0x1000, 0, -EINVAL },
		{ TOP, 0, -EINVAL },
		{ TOP, 2, -EINVAL },
		{ TOP - 0xfff, 0x1001, -EINVAL },
		{ 1, TOP, 0 },
		{ 2, TOP, -EINVAL },
		{ 0, TOP, 0 },
		{ TOP, 1, 0 },
		{ TOP - 0xfff, 0x1000, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct iova_table t = { 0 };

		assert_int_equal(add(&t, rows[i].iova, rows[i].size), rows[i].want);
		assert_int_equal(t.n, rows[i].want == 0);
		iova_clear(&t);
	}
}

static void a_window_that_overlaps_another_is_refused(void **state)
{
	static const struct {
		uint64_t iova, size;
		int want;
	} rows[] = {
		{ 0x1000, 0x1000, -EEXIST }, /* the same */
		{ 0x1800, 0x100, -EEXIST },  /* within */
		{ 0x1000, 1, -EEXIST },	     /* its first byte */
		{ 0x1fff, 1, -EEXIST },	     /* its last */
		{ 0, 0x1001, -EEXIST },	     /* from below */
		{ 0x1fff, 0x1000, -EEXIST }, /* from its end */
		{ 0, 0x10000, -EEXIST },     /* around all three */
		{ 0, TOP, -EEXIST },
		{ 0x2000, 0x1001, -EEXIST }, /* from the hole into the second */
		{ 1, TOP, -EEXIST },
		{ TOP, 1, -EEXIST },
		{ 0x4000, TOP - 0x4000, -EEXIST },
		{ 0, 0x1000, 0 },		     /* up to the first */
		{ 0x2000, 0x1000, 0 },		     /* all of the hole */
		{ 0x2fff, 1, 0 },		     /* some of it */
		{ 0x4000, 0x1000, 0 },		     /* behind the second */
		{ 0x4000, TOP - 0xfff - 0x4000, 0 }, /* up to the one at the top */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct iova_table t = { 0 };

		assert_int_equal(add(&t, 0x3000, 0x1000), 0);
		assert_int_equal(add(&t, 0x1000, 0x1000), 0);
		assert_int_equal(add(&t, TOP - 0xfff, 0x1000), 0);
		assert_int_equal(add(&t, rows[i].iova, rows[i].size), rows[i].want);
		assert_int_equal(t.n, rows[i].want ? 3 : 4);
		assert_in_order(&t);
		iova_clear(&t);
	}
}

static void an_address_is_found_in_the_window_that_holds_it(void **state)
{
	static const struct {
		uint64_t addr;
		bool found;
		uint64_t iova;
	} rows[] = {
		{ 0, false, 0 },
		{ 0xfff, false, 0 },
		{ 0x1000, true, 0x1000 },
		{ 0x1001, true, 0x1000 },
		{ 0x1fff, true, 0x1000 },
		{ 0x2000, true, 0x2000 },
		{ 0x2fff, true, 0x2000 },
		{ 0x3000, false, 0 },
		{ TOP - 0x1000, false, 0 },
		{ TOP - 0xfff, true, TOP - 0xfff },
		{ TOP - 1, true, TOP - 0xfff },
		{ TOP, true, TOP - 0xfff },
	};
	struct iova_table t = { 0 };

	(void)state;
	assert_null(iova_find(&t, 0));
	assert_null(iova_find(&t, TOP));
	assert_int_equal(add(&t, 0x2000, 0x1000), 0);
	assert_int_equal(add(&t, TOP - 0xfff, 0x1000), 0);
	assert_int_equal(add(&t, 0x1000, 0x1000), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct window *w = iova_find(&t, rows[i].addr);

		assert_int_equal(w != NULL, rows[i].found);
		if (w)
			assert_int_equal(w->w.iova, rows[i].iova);
	}
	iova_clear(&t);
}

static void the_whole_address_space_but_a_byte_is_one_window(void **state)
{
	struct iova_table t = { 0 };

	(void)state;
	assert_int_equal(add(&t, 1, TOP), 0);
	assert_null(iova_find(&t, 0));
	assert_non_null(iova_find(&t, 1));
	assert_non_null(iova_find(&t, TOP));
	assert_int_equal(add(&t, 0, 1), 0);
	assert_int_equal(iova_find(&t, 0)->w.size, 1);
	iova_clear(&t);
}

static void only_exactly_the_range_of_a_window_is_that_window(void **state)
{
	struct iova_table t = { 0 };

	(void)state;
	assert_int_equal(add(&t, 0x1000, 0x1000), 0);
	assert_int_equal(add(&t, TOP - 0xfff, 0x1000), 0);
	assert_ptr_equal(iova_exact(&t, 0x1000, 0x1000), iova_find(&t, 0x1000));
	assert_ptr_equal(iova_exact(&t, TOP - 0xfff, 0x1000), iova_find(&t, TOP));
	assert_null(iova_exact(&t, 0x1000, 0xfff));
	assert_null(iova_exact(&t, 0x1000, 0x1001));
	assert_null(iova_exact(&t, 0x1001, 0x1000));
	assert_null(iova_exact(&t, 0x1001, 0xfff));
	assert_null(iova_exact(&t, 0x1000, 0));
	assert_null(iova_exact(&t, 0, 0));
	assert_null(iova_exact(&t, 0x8000, 0x1000));
	iova_clear(&t);
}

static void a_window_that_was_removed_leaves_its_place_to_another(void **state)
{
	struct iova_table t = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(add(&t, 0x1000 * i, 0x1000), 0);
	iova_remove(&t, iova_find(&t, 0x2000));
	assert_int_equal(t.n, 4);
	assert_null(iova_find(&t, 0x2000));
	assert_int_equal(iova_find(&t, 0x1fff)->w.iova, 0x1000);
	assert_int_equal(iova_find(&t, 0x3000)->w.iova, 0x3000);
	assert_int_equal(add(&t, 0x1800, 0x1000), -EEXIST);
	assert_int_equal(add(&t, 0x2000, 0x1000), 0);
	iova_remove(&t, iova_find(&t, 0));
	iova_remove(&t, iova_find(&t, 0x4000));
	assert_in_order(&t);
	assert_int_equal(t.n, 3);
	iova_clear(&t);
	assert_int_equal(t.n, 0);
	assert_int_equal(add(&t, 0, 1), 0); /* a cleared table is as good as a new one */
	iova_clear(&t);
}

static void thousands_of_windows_are_kept_in_order(void **state)
{
	enum { N = 4096 };
	struct iova_table t = { 0 };

	(void)state;
	/* 3001 has no factor in common with N: each place once, in no order. */
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(add(&t, i * 3001 % N * 0x1000, 0x1000), 0);
	assert_int_equal(t.n, N);
	assert_in_order(&t);
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(iova_find(&t, i * 0x1000 + 0xabc)->w.iova, i * 0x1000);
	iova_clear(&t);
}

/* The same over 64 pages, each with the address of the window it is in. */
static void whatever_chance_maps_is_what_a_simple_model_says(void **state)
{
	struct iova_table t = { 0 };
	uint64_t model[64], base = TOP - ARRAY_SIZE(model) + 1;

	(void)state;
	memset(model, 0, sizeof(model)); /* 0: none */
	for (size_t i = rounds(100000); i--;) {
		size_t at = draw_below(64), n = 1 + draw_below(8);
		bool wraps = at + n > 64, free_there = true;
		struct window *w = iova_find(&t, base + at);

		assert_int_equal(w ? w->w.iova : 0, model[at]);
		if (w && draw() % 2) {
			for (size_t k = 0; k < 64; k++)
				if (model[k] == w->w.iova)
					model[k] = 0;
			iova_remove(&t, w);
			continue;
		}
		for (size_t k = at; !wraps && k < at + n; k++)
			free_there = free_there && !model[k];
		assert_int_equal(add(&t, base + at, n), wraps	     ? -EINVAL
							: free_there ? 0
								     : -EEXIST);
		for (size_t k = at; !wraps && free_there && k < at + n; k++)
			model[k] = base + at;
	}
	assert_in_order(&t);
	iova_clear(&t);
}

/* ---- The memory ------------------------------------------------------------------- */

static int file_of(size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)i;

		assert_int_equal(write(fd, &byte, 1), 1);
	}
	return fd;
}

static void a_window_with_memory_is_copied_there(void **state)
{
	struct window *w = window(0x80000000, 0x1000);
	uint8_t buf[4] = { 0 };

	(void)state;
	w->map_len = 0x2000;
	w->map = mmap(NULL, w->map_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(w->map != MAP_FAILED);
	w->mem = (uint8_t *)w->map + 0x800; /* the window begins within its page */
	assert_int_equal(window_copy(w, 0x80000ffc, (void *)(uintptr_t) "last", 4, true),
			 0);
	assert_memory_equal(w->mem + 0xffc, "last", 4);
	assert_int_equal(window_copy(w, 0x80000ffc, buf, 4, false), 0);
	assert_memory_equal(buf, "last", 4);
	assert_int_equal(window_copy(w, 0x80000000, buf, 4, false), 0);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	window_free(w);
}

static void a_window_with_a_file_is_copied_there_at_its_offset(void **state)
{
	struct window *w = window(TOP - 0xf, 0x10);
	uint8_t buf[16];

	(void)state;
	w->w.fd = file_of(64); /* 00 01 02 ... */
	w->w.offset = 32;
	assert_int_equal(window_copy(w, TOP - 0xf, buf, 16, false), 0);
	assert_int_equal(buf[0], 32);
	assert_int_equal(buf[15], 47);
	assert_int_equal(window_copy(w, TOP, (void *)(uintptr_t) "x", 1, true), 0);
	assert_int_equal(pread(w->w.fd, buf, 3, 46), 3);
	assert_memory_equal(buf, "\x2ex\x30", 3); /* bytes 46, 47, 48 of the file */
	window_free(w);
}

static void a_file_that_ends_before_its_window_is_a_fault(void **state)
{
	struct window *w = window(0x1000, 0x1000);
	uint8_t buf[16];
	struct stat st;

	(void)state;
	w->w.fd = file_of(24);
	w->w.offset = 8;
	assert_int_equal(window_copy(w, 0x1000, buf, 16, false), 0);
	assert_int_equal(window_copy(w, 0x1001, buf, 16, false), -EFAULT);
	assert_int_equal(window_copy(w, 0x1800, buf, 1, false), -EFAULT);
	assert_int_equal(window_copy(w, 0x1000, buf, 16, true), 0);
	assert_int_equal(window_copy(w, 0x1001, buf, 16, true), -EFAULT);
	assert_int_equal(fstat(w->w.fd, &st), 0);
	assert_int_equal(st.st_size, 24); /* no longer than it was */
	window_free(w);
}

static void a_file_that_may_not_be_written_tells_its_errno(void **state)
{
	struct window *w = window(0x1000, 0x1000);
	uint8_t buf[16] = { 0 };

	(void)state;
	w->w.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_true(w->w.fd >= 0);
	assert_int_equal(window_copy(w, 0x1000, buf, 16, false), 0);
	assert_int_equal(window_copy(w, 0x1000, buf, 16, true), -EBADF);
	window_free(w);
}

static void a_window_without_memory_is_a_fault(void **state)
{
	struct window *w = window(0x1000, 0x1000);
	uint8_t buf[1] = { 0 };

	(void)state;
	assert_int_equal(window_copy(w, 0x1000, buf, 1, false), -EFAULT);
	assert_int_equal(window_copy(w, 0x1000, buf, 1, true), -EFAULT);
	window_free(w);
}

static void a_window_that_goes_takes_its_descriptor_with_it(void **state)
{
	struct iova_table t = { 0 };
	struct window *w = window(0x1000, 0x1000), *v = window(0x2000, 0x1000);
	int fd = file_of(1), other = file_of(1);

	(void)state;
	w->w.fd = fd;
	v->w.fd = other;
	assert_int_equal(iova_add(&t, w), 0);
	assert_int_equal(iova_add(&t, v), 0);
	iova_remove(&t, w);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_true(fcntl(other, F_GETFD) >= 0);
	iova_clear(&t);
	assert_int_equal(fcntl(other, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_that_is_empty_or_wraps_is_refused),
		cmocka_unit_test(a_window_that_overlaps_another_is_refused),
		cmocka_unit_test(an_address_is_found_in_the_window_that_holds_it),
		cmocka_unit_test(the_whole_address_space_but_a_byte_is_one_window),
		cmocka_unit_test(only_exactly_the_range_of_a_window_is_that_window),
		cmocka_unit_test(a_window_that_was_removed_leaves_its_place_to_another),
		cmocka_unit_test(thousands_of_windows_are_kept_in_order),
		cmocka_unit_test(whatever_chance_maps_is_what_a_simple_model_says),
		cmocka_unit_test(a_window_with_memory_is_copied_there),
		cmocka_unit_test(a_window_with_a_file_is_copied_there_at_its_offset),
		cmocka_unit_test(a_file_that_ends_before_its_window_is_a_fault),
		cmocka_unit_test(a_file_that_may_not_be_written_tells_its_errno),
		cmocka_unit_test(a_window_without_memory_is_a_fault),
		cmocka_unit_test(a_window_that_goes_takes_its_descriptor_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
