/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/mapped.c: areas, true and false, and memory that goes away under us. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define ROOM 4096u /* for a payload */

#include "scripted_server.h"

#define PAGE 4096u
#define BASE 0x3000u /* where the region begins in its file */

static const uint32_t all_flags =
	VUSER_REGION_READ | VUSER_REGION_WRITE | VUSER_REGION_MMAP | VUSER_REGION_CAPS;

/* A region as a server may describe it; fds stay the test's. */
struct made {
	struct vuser_region r;
	uint8_t areas[8 * 16];
};

static struct made *make_region(uint64_t size, const uint64_t *areas, uint32_t n)
{
	struct made *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->r.info = (struct vuser_region_info){
		.flags = all_flags, .index = 1, .size = size, .offset = BASE
	};
	for (uint32_t i = 0; areas && i < n * 2; i++)
		put_uint(m->areas + i * 8, 8, areas[i]);
	if (areas) {
		m->r.caps[0].id = VUSER_REGIONCAP_SPARSE_MMAP;
		m->r.caps[0].nr_areas = n;
		m->r.caps[0].areas = m->areas;
		m->r.ncaps = 1;
	}
	return m;
}

/* A memory file whose bytes tell where they are, sealed against shrinking or not. */
static int make_file(size_t size, bool sealed)
{
	int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	for (size_t i = 0; i < size; i += 8) {
		uint64_t at = i;

		assert_int_equal(pwrite(fd, &at, 8, (off_t)i), 8);
	}
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static struct vuser_mapped *map_with(struct made *made, const int *fds, size_t nfds)
{
	struct vuser_mapped *m = NULL;
	struct vuser_error e;

	memcpy(made->r.fds, fds, nfds * sizeof(int));
	made->r.nfds = nfds;
	if (vuser_region_map(&made->r, &m, &e))
		fail_msg("%s", e.text);
	free(made);
	return m;
}

static uint64_t read_at(struct vuser_mapped *m, uint64_t offset, size_t width)
{
	struct vuser_error e;
	uint64_t value = 0;

	if (vuser_mapped_read(m, offset, &value, width, &e))
		fail_msg("%s", e.text);
	return value;
}

static void assert_refused(struct vuser_mapped *m, uint64_t offset, size_t count,
			   int code, int err, const char *text)
{
	uint8_t buf[4 * PAGE] = { 0 };
	struct vuser_error e;

	assert_int_equal(vuser_mapped_read(m, offset, buf, count, &e), code);
	assert_int_equal(e.code, code);
	assert_int_equal(e.err, err);
	if (!strstr(e.text, text))
		fail_msg("no \"%s\" in: %s", text, e.text);
	assert_int_equal(vuser_mapped_write(m, offset, buf, count, &e), code);
	assert_int_equal(e.err, err);
}

/* ---- Areas -------------------------------------------------------------------- */

static void a_region_without_areas_is_mapped_whole(void **state)
{
	int fd = make_file(BASE + 2 * PAGE, true);
	struct vuser_mapped *m = map_with(make_region(2 * PAGE, NULL, 0), &fd, 1);
	struct vuser_area area;

	(void)state;
	assert_true(vuser_mapped_area(m, 0, &area));
	assert_int_equal(area.offset, 0);
	assert_int_equal(area.size, 2 * PAGE);
	assert_false(vuser_mapped_area(m, 1, &area));
	assert_int_equal(read_at(m, 0, 8), BASE);
	assert_int_equal(read_at(m, 2 * PAGE - 8, 8), BASE + 2 * PAGE - 8);
	assert_refused(m, 2 * PAGE - 4, 8, VUSER_E_USAGE, EFAULT, "0x2000 of bar1");
	vuser_mapped_free(m);
	close(fd);
}

static void holes_between_areas_are_refused_by_their_first_offset(void **state)
{
	int fd = make_file(BASE + 4 * PAGE, true);
	/* Given out of order; that they touch is no hole. */
	struct vuser_mapped *m =
		map_with(make_region(8 * PAGE,
				     VALUES(2 * PAGE, PAGE, 0, PAGE, 3 * PAGE, 0x800), 3),
			 &fd, 1);
	uint8_t buf[2 * PAGE];
	struct vuser_area area;
	struct vuser_error e;

	(void)state;
	assert_true(vuser_mapped_area(m, 1, &area));
	assert_int_equal(area.offset, 2 * PAGE);
	assert_refused(m, PAGE - 8, 16, VUSER_E_USAGE, EFAULT, "0x1000 of bar1");
	assert_refused(m, PAGE, 1, VUSER_E_USAGE, EFAULT, "0x1000 of bar1");
	assert_refused(m, 3 * PAGE + 0x800, 1, VUSER_E_USAGE, EFAULT, "0x3800 of bar1");
	assert_refused(m, UINT64_MAX, 1, VUSER_E_USAGE, EFAULT, "0xffffffffffffffff");
	assert_int_equal(vuser_mapped_read(m, 2 * PAGE, buf, PAGE + 0x800, &e), 0);
	assert_int_equal(buf[PAGE + 1], (BASE + 3 * PAGE) >> 8);
	vuser_mapped_free(m);
	close(fd);
}

static void nothing_can_be_read_anywhere(void **state)
{
	int fd = make_file(BASE + PAGE, true);
	struct vuser_mapped *m = map_with(make_region(PAGE, NULL, 0), &fd, 1);
	struct vuser_error e;

	(void)state;
	assert_int_equal(vuser_mapped_read(m, 0, NULL, 0, &e), 0);
	assert_int_equal(vuser_mapped_write(m, 7 * PAGE, NULL, 0, &e), 0);
	vuser_mapped_free(m);
	close(fd);
}

static void each_area_may_have_its_own_descriptor(void **state)
{
	int fds[3] = { make_file(BASE + 4 * PAGE, true), make_file(PAGE, true),
		       make_file(BASE + 4 * PAGE, false) };
	struct vuser_mapped *m;

	(void)state;
	/* The second area is empty, and its descriptor goes unused. */
	m = map_with(make_region(4 * PAGE, VALUES(2 * PAGE, PAGE, PAGE, 0, 0, PAGE), 3),
		     fds, 3);
	assert_int_equal(pwrite(fds[0], "first", 5, BASE + 2 * PAGE), 5);
	assert_int_equal(pwrite(fds[2], "third", 5, BASE), 5);
	assert_int_equal(read_at(m, 0, 1), 't');
	assert_int_equal(read_at(m, 2 * PAGE, 1), 'f');
	vuser_mapped_free(m);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
}

struct wrong {
	const char *what;
	uint64_t size, offset, areas[6];
	uint32_t n; /* areas; UINT32_MAX: no such capability */
	size_t nfds;
	uint32_t flags;
	int code, err;
};

static void areas_that_cannot_be_are_refused(void **state)
{
	static const struct wrong table[] = {
		{ "beyond the end", 0x2000, 0, { 0x1000, 0x1001 }, 1, 1, 15, -3, 0 },
		{ "begins beyond it", 0x2000, 0, { 0x2001, 0 }, 1, 1, 15, -3, 0 },
		{ "wraps", 0x2000, 0, { 0x1000, UINT64_MAX }, 1, 1, 15, -3, 0 },
		{ "the file wraps", 0x2000, UINT64_MAX, { 0, 0x1000 }, 1, 1, 15, -3, 0 },
		{ "the file ends before", 0x2000, INT64_MAX, { 0, 1 }, 1, 1, 15, -3, 0 },
		{ "overlap", 0x4000, 0, { 0, 0x1000, 0xfff, 1 }, 2, 1, 15, -3, 0 },
		{ "same place", 0x4000, 0, { 0, 1, 2, 1, 0, 1 }, 3, 1, 15, -3, 0 },
		{ "2 fds, 3 areas", 0x4000, 0, { 0, 1, 2, 1, 4, 1 }, 3, 2, 15, -3, 0 },
		{ "2 fds, all of it", 0x4000, 0, { 0 }, UINT32_MAX, 2, 15, -3, 0 },
		{ "no descriptor", 0x2000, 0, { 0, 0x1000 }, 1, 0, 15, -1, ENOTSUP },
		{ "no area", 0x2000, 0, { 0 }, 0, 1, 15, -1, ENOTSUP },
		{ "no flag", 0x2000, 0, { 0, 0x1000 }, 1, 1, 3, -1, ENOTSUP },
		{ "empty", 0, 0, { 0 }, UINT32_MAX, 1, 15, -1, ENOTSUP },
	};
	unsigned before = open_fds();
	int fd = make_file(PAGE, true);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct wrong *w = &table[i];
		struct made *made = make_region(
			w->size, w->n == UINT32_MAX ? NULL : w->areas, w->n % 4);
		struct vuser_mapped *m;
		struct vuser_error e;
		int result;

		made->r.info.offset = w->offset;
		made->r.info.flags = w->flags;
		made->r.fds[0] = made->r.fds[1] = fd;
		made->r.nfds = w->nfds;
		result = vuser_region_map(&made->r, &m, &e);
		if (result != w->code || e.code != w->code || e.err != w->err)
			fail_msg("%s: %d, %s", w->what, result, e.text);
		free(made);
	}
	close(fd);
	assert_int_equal(open_fds(), before);
}

static void more_areas_than_believed_are_refused(void **state)
{
	struct made *made = make_region(PAGE, VALUES(0, 1), 1);
	struct vuser_mapped *m;
	struct vuser_error e;

	(void)state;
	made->r.nfds = 1;
	made->r.caps[1] = made->r.caps[0];
	made->r.caps[1].nr_areas = VUSER_MAX_SPARSE_AREAS;
	made->r.ncaps = 2;
	assert_int_equal(vuser_region_map(&made->r, &m, &e), VUSER_E_PROTOCOL);
	free(made);
}

static void a_broken_chain_of_capabilities_is_no_map(void **state)
{
	struct made *made = make_region(PAGE, NULL, 0);
	struct vuser_mapped *m;
	struct vuser_error e;

	(void)state;
	made->r.nfds = 1;
	made->r.chain = (struct vuser_error){ .code = VUSER_E_PROTOCOL,
					      .offset = 28,
					      .field = "cap_offset" };
	assert_int_equal(vuser_region_map(&made->r, &m, &e), VUSER_E_PROTOCOL);
	assert_int_equal(e.offset, 28);
	assert_int_equal(vuser_region_map(&made->r, &m, NULL), VUSER_E_PROTOCOL);
	free(made);
}

/* ---- Memory ------------------------------------------------------------------- */

/* Both ways of access: a file that cannot shrink, and one that can. */
static void values_of_every_width_go_both_ways(void **state)
{
	(void)state;
	for (int sealed = 0; sealed <= 1; sealed++) {
		int fd = make_file(BASE + PAGE, sealed);
		struct vuser_mapped *m = map_with(make_region(PAGE, NULL, 0), &fd, 1);
		uint64_t in_file = 0;
		struct vuser_error e;

		for (size_t width = 1; width <= 8; width++) {
			uint64_t offset = 64 * width + (width == 3), got = 0;
			uint64_t value = 0x8877665544332211;

			assert_int_equal(vuser_mapped_write(m, offset, &value, width, &e),
					 0);
			assert_int_equal(vuser_mapped_read(m, offset, &got, width, &e),
					 0);
			assert_memory_equal(&got, &value, width);
			assert_int_equal(
				pread(fd, &in_file, width, (off_t)(BASE + offset)),
				(ssize_t)width);
			assert_memory_equal(&in_file, &value, width);
		}
		/* A width at an offset that is not its multiple. */
		assert_int_equal(read_at(m, 0x306, 4), (BASE + 0x308) << 16);
		vuser_mapped_free(m);
		close(fd);
	}
}

static void an_offset_need_not_begin_a_page(void **state)
{
	(void)state;
	for (int sealed = 0; sealed <= 1; sealed++) {
		int fd = make_file(3 * PAGE, sealed);
		struct made *made =
			make_region(2 * PAGE, VALUES(8, 0x20, PAGE - 0x10, 0x40), 2);
		struct vuser_mapped *m;

		made->r.info.offset = 0x108;
		m = map_with(made, &fd, 1);
		assert_int_equal(read_at(m, 8, 8), 0x110);
		assert_int_equal(read_at(m, 0x20, 8), 0x128);
		assert_int_equal(read_at(m, PAGE - 0x10, 8), PAGE + 0xf8);
		assert_int_equal(read_at(m, PAGE + 0x28, 8), PAGE + 0x130);
		assert_refused(m, 0x24, 8, VUSER_E_USAGE, EFAULT, "0x28 of bar1");
		vuser_mapped_free(m);
		close(fd);
	}
}

static void a_file_that_ends_early_is_an_error_and_no_signal(void **state)
{
	(void)state;
	/* Even a sealed one may have been too short from the start. */
	for (int sealed = 0; sealed <= 1; sealed++) {
		int fd = make_file(BASE + PAGE, sealed);
		struct vuser_mapped *m = map_with(make_region(3 * PAGE, NULL, 0), &fd, 1);

		assert_int_equal(read_at(m, PAGE - 8, 8), BASE + PAGE - 8);
		assert_refused(m, PAGE, 4, VUSER_E_SYSTEM, EFAULT, "0x1000 of bar1");
		assert_refused(m, PAGE - 8, 2 * PAGE, VUSER_E_SYSTEM, EFAULT,
			       "0x1000 of bar1");
		assert_int_equal(lseek(fd, 0, SEEK_END), BASE + PAGE);
		vuser_mapped_free(m);
		close(fd);
	}
}

static void a_file_that_shrinks_is_an_error_and_no_signal(void **state)
{
	int fd = make_file(BASE + 3 * PAGE, false);
	struct vuser_mapped *m = map_with(make_region(3 * PAGE, NULL, 0), &fd, 1);

	(void)state;
	assert_int_equal(read_at(m, 2 * PAGE, 8), BASE + 2 * PAGE);
	assert_int_equal(ftruncate(fd, BASE + PAGE), 0);
	assert_refused(m, 2 * PAGE, 8, VUSER_E_SYSTEM, EFAULT, "0x2000 of bar1");
	assert_int_equal(read_at(m, 0, 8), BASE);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_refused(m, 0, 8, VUSER_E_SYSTEM, EFAULT, "there is no memory behind 0x0");
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	vuser_mapped_free(m);
	close(fd);
}

static void what_cannot_be_mapped_says_so_when_it_is_used(void **state)
{
	int fds[2] = { eventfd(0, EFD_CLOEXEC), open("/", O_RDONLY | O_CLOEXEC) };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct vuser_mapped *m = map_with(make_region(PAGE, NULL, 0), &fds[i], 1);

		assert_refused(m, 0, 4, VUSER_E_SYSTEM, ENODEV, "cannot be mapped");
		vuser_mapped_free(m);
		close(fds[i]);
	}
}

static void an_area_larger_than_memory_is_an_error(void **state)
{
	int fd = make_file(PAGE, false);
	struct made *made = make_region(INT64_MAX - 7, NULL, 0);
	struct vuser_mapped *m;

	(void)state;
	made->r.info.offset = 0;
	m = map_with(made, &fd, 1);
	assert_refused(m, 0, 4, VUSER_E_SYSTEM, ENOMEM, "cannot be mapped");
	vuser_mapped_free(m);
	close(fd);
}

static void what_can_only_be_read_can_be_read(void **state)
{
	int fd = make_file(BASE + PAGE, true), readonly;
	struct vuser_mapped *m;
	struct vuser_error e;
	char path[40];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(readonly >= 0);
	m = map_with(make_region(PAGE, NULL, 0), &readonly, 1);
	assert_int_equal(read_at(m, 0, 8), BASE);
	assert_int_equal(vuser_mapped_write(m, 0, "x", 1, &e), VUSER_E_SYSTEM);
	assert_int_equal(e.err, EACCES);
	vuser_mapped_free(m);
	close(readonly);
	close(fd);
}

static void the_flags_of_the_region_are_kept(void **state)
{
	int fd = make_file(BASE + PAGE, true);
	struct made *made = make_region(PAGE, NULL, 0);
	struct vuser_mapped *m;
	struct vuser_error e;
	uint8_t byte;

	(void)state;
	made->r.info.flags = VUSER_REGION_READ | VUSER_REGION_MMAP;
	m = map_with(made, &fd, 1);
	assert_int_equal(read_at(m, 0, 8), BASE);
	assert_int_equal(vuser_mapped_write(m, 0, "x", 1, &e), VUSER_E_USAGE);
	assert_int_equal(e.err, EACCES);
	vuser_mapped_free(m);
	made = make_region(PAGE, NULL, 0);
	made->r.info.flags = VUSER_REGION_WRITE | VUSER_REGION_MMAP;
	m = map_with(made, &fd, 1);
	assert_int_equal(vuser_mapped_write(m, 1, "x", 1, &e), 0);
	assert_int_equal(vuser_mapped_read(m, 1, &byte, 1, &e), VUSER_E_USAGE);
	vuser_mapped_free(m);
	assert_int_equal(pread(fd, &byte, 1, BASE + 1), 1);
	assert_int_equal(byte, 'x');
	close(fd);
}

/* ---- From a server ------------------------------------------------------------ */

static void say_mappable(struct peer *p)
{
	static const uint64_t chain[] = { 1, 1, 0, 1, 0, PAGE, PAGE };

	take(p, VUSER_CMD_DEVICE_GET_REGION_INFO);
	answer(p, "444488", VALUES(64, 15, 1, 32, 2 * PAGE, BASE));
	take(p, VUSER_CMD_DEVICE_GET_REGION_INFO);
	{
		uint8_t tail[32];

		pack(tail, "2244488", chain);
		answer_with(p, REPLY, 0, "444488", VALUES(64, 15, 1, 32, 2 * PAGE, BASE),
			    tail, sizeof(tail), p->arg, 1);
	}
}

static void the_region_may_go_once_it_is_mapped(void **state)
{
	int fd = make_file(BASE + 2 * PAGE, true);
	unsigned before = open_fds();
	struct rig *r = begin_with(say_mappable, NULL, &fd, patient_options());
	struct vuser_mapped *m;
	struct vuser_region *region;

	(void)state;
	assert_int_equal(vuser_get_region(r->client, 1, &region, &r->e), 0);
	assert_int_equal(vuser_region_map(region, &m, &r->e), 0);
	vuser_region_free(region);
	assert_int_equal(read_at(m, PAGE, 8), BASE + PAGE);
	assert_refused(m, 0, 4, VUSER_E_USAGE, EFAULT, "0x0 of bar1");
	vuser_mapped_free(m);
	vuser_mapped_free(NULL);
	end_with(r, 0);
	assert_int_equal(open_fds(), before);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_region_without_areas_is_mapped_whole),
		cmocka_unit_test(holes_between_areas_are_refused_by_their_first_offset),
		cmocka_unit_test(nothing_can_be_read_anywhere),
		cmocka_unit_test(each_area_may_have_its_own_descriptor),
		cmocka_unit_test(areas_that_cannot_be_are_refused),
		cmocka_unit_test(more_areas_than_believed_are_refused),
		cmocka_unit_test(a_broken_chain_of_capabilities_is_no_map),
		cmocka_unit_test(values_of_every_width_go_both_ways),
		cmocka_unit_test(an_offset_need_not_begin_a_page),
		cmocka_unit_test(a_file_that_ends_early_is_an_error_and_no_signal),
		cmocka_unit_test(a_file_that_shrinks_is_an_error_and_no_signal),
		cmocka_unit_test(what_cannot_be_mapped_says_so_when_it_is_used),
		cmocka_unit_test(an_area_larger_than_memory_is_an_error),
		cmocka_unit_test(what_can_only_be_read_can_be_read),
		cmocka_unit_test(the_flags_of_the_region_are_kept),
		cmocka_unit_test(the_region_may_go_once_it_is_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
