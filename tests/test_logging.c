/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_feature.c: DMA logging, as a client asks for it. */
#include <fcntl.h>
#include <sys/mman.h>

#include "feature_rig.h"

#define PAGE   4096u
#define RW     (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)
#define START  (SET | VUSER_FEATURE_DMA_LOGGING_START)
#define STOP   (SET | VUSER_FEATURE_DMA_LOGGING_STOP)
#define REPORT (GET | VUSER_FEATURE_DMA_LOGGING_REPORT)

static bool bit(const uint8_t *bitmap, uint64_t n)
{
	struct cursor c = cursor_at(bitmap + n / 64 * 8, 8);

	return cursor_u64(&c) >> n % 64 & 1;
}

static void start(struct rig *r, uint64_t page_size)
{
	rig_feature(r, 24, START, "844", VALUES(page_size, 0, 0), 0);
	assert_int_equal(r->len, 24);
}

static void stop(struct rig *r)
{
	rig_feature(r, 8, STOP, "", NULL, 0);
	assert_int_equal(r->len, 8);
}

/* The bitmap of a report is left in the payload, from here on. */
static const uint8_t *report(struct rig *r, uint64_t iova, uint64_t length,
			     uint64_t page_size)
{
	uint32_t need = 8 + 24 + (uint32_t)vuser_dirty_words(length, page_size) * 8;

	rig_feature(r, need, REPORT, "888", VALUES(iova, length, page_size), 0);
	assert_int_equal(r->len, need);
	assert_int_equal(rig_value(r, 0, 4), need);
	assert_int_equal(rig_value(r, 8, 8), iova);
	assert_int_equal(rig_value(r, 16, 8), length);
	assert_int_equal(rig_value(r, 24, 8), page_size);
	return r->payload + 32;
}

/* 64 pages at iova: those whose bits are in want, and no others. */
static void assert_dirty(struct rig *r, uint64_t iova, uint64_t want)
{
	struct cursor c = cursor_at(report(r, iova, 64 * PAGE, PAGE), 8);

	assert_int_equal(cursor_u64(&c), want);
}

static int memory(bool sealed)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 64 * PAGE), 0);
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

/* 64 pages at iova: mapped, by a file's descriptor, or by messages. */
enum way { MAPPED, FILED, SENT };

static void map(struct rig *r, uint64_t iova, enum way way)
{
	int fd = way == SENT ? -1 : memory(way == MAPPED);

	rig_map(r, iova, 64 * PAGE, RW, fd);
	if (fd >= 0)
		close(fd);
}

/* The device writes by message: the client answers that it did, or with an error. */
static void store_sent(struct rig *r, uint64_t iova, uint64_t len, uint32_t err)
{
	struct vuser_header h = { .command = VUSER_CMD_DMA_WRITE,
				  .flags = err ? REPLY | VUSER_FLAG_ERROR : REPLY,
				  .error = err };

	rig_ask(r, 0, iova, len);
	rig_expect(r, VUSER_CMD_DMA_WRITE, COMMAND);
	h.id = r->h.id;
	assert_true(send_message(r->fd, h, "", NULL, NULL, 0, NULL, 0));
	rig_result(r, VUSER_CMD_REGION_WRITE, (int)err);
}

static void store(struct rig *r, enum way way, uint64_t iova, uint64_t len)
{
	if (way == SENT)
		store_sent(r, iova, len, 0);
	else
		rig_store(r, iova, len, 0);
}

static void writes_of_all_three_ways_are_reported_once(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	for (enum way way = MAPPED; way <= SENT; way++) {
		uint64_t at = 0x100000000 * (way + 1);

		map(r, at, way);
		store(r, way, at, 64); /* before it is logged */
		start(r, PAGE);
		assert_dirty(r, at, 0);
		store(r, way, at + 3 * PAGE, 1);
		store(r, way, at + 6 * PAGE - 1, 2);
		store(r, way, at + 10 * PAGE, 2 * PAGE);
		store(r, way, at + 63 * PAGE, PAGE);
		assert_dirty(r, at, 1ull << 3 | 3ull << 5 | 3ull << 10 | 1ull << 63);
		assert_dirty(r, at, 0);
		store(r, way, at, 64 * PAGE);
		assert_dirty(r, at, UINT64_MAX);
		assert_dirty(r, at - 64 * PAGE, 0);
		assert_dirty(r, at + 64 * PAGE, 0);
		store(r, way, at, 1);
		stop(r);
		start(r, PAGE);
		assert_dirty(r, at, 0); /* a new log is empty */
		stop(r);
	}
	rig_end(r);
}

static void reads_are_not_logged(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	map(r, 0x100000, MAPPED);
	start(r, PAGE);
	rig_ask(r, 16, 0x100000, 64 * PAGE);
	rig_result(r, VUSER_CMD_REGION_WRITE, 0);
	assert_dirty(r, 0x100000, 0);
	rig_end(r);
}

static void what_was_not_written_is_not_logged(void **state)
{
	struct rig *r = rig_begin();
	int fd = memory(true);

	(void)state;
	start(r, PAGE);
	rig_store(r, 0x100000, 8, EFAULT); /* no window */
	rig_map(r, 0x100000, 64 * PAGE, VUSER_DMA_READABLE, fd);
	rig_store(r, 0x100000, 8, EPERM);
	assert_dirty(r, 0x100000, 0);
	rig_unmap(r, 0x100000, 64 * PAGE);

	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	rig_map(r, 0x100000, 64 * PAGE, RW, fd);
	rig_store(r, 0x100000, 8, EPERM);
	assert_dirty(r, 0x100000, 0);
	rig_unmap(r, 0x100000, 64 * PAGE);
	close(fd);

	map(r, 0x100000, SENT);
	store_sent(r, 0x100000, 8, EACCES);
	assert_dirty(r, 0x100000, 0);

	/* Beyond a window's end: as far as it went. */
	map(r, 0x100000 + 64 * PAGE, FILED);
	rig_store(r, 0x100000 + 127 * PAGE, 2 * PAGE, EFAULT);
	assert_dirty(r, 0x100000 + 64 * PAGE, 1ull << 63);
	assert_dirty(r, 0x100000 + 128 * PAGE, 0);
	rig_end(r);
}

static void a_write_of_which_nobody_knows_is_logged(void **state)
{
	struct rig *r = rig_begin();
	struct vuser_header h = { .command = VUSER_CMD_DMA_WRITE, .flags = REPLY };

	(void)state;
	map(r, 0x100000, SENT);
	start(r, PAGE);
	rig_ask(r, 0, 0x100000, 8);
	rig_expect(r, VUSER_CMD_DMA_WRITE, COMMAND);
	h.id = r->h.id;
	assert_true(send_message(r->fd, h, "88", VALUES(0x100000, 9), NULL, 0, NULL, 0));
	rig_result(r, VUSER_CMD_REGION_WRITE, EPROTO);
	assert_dirty(r, 0x100000, 1);
	rig_end(r);
}

static void windows_come_and_go_while_it_is_logged(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	start(r, PAGE);
	map(r, 0x100000, MAPPED);
	rig_store(r, 0x100000 + PAGE, 1, 0);
	rig_unmap(r, 0x100000, 64 * PAGE);
	assert_dirty(r, 0x100000, 2); /* a client asks after it has unmapped, too */
	map(r, 0x100000, FILED);
	rig_store(r, 0x100000, 1, 0);
	rig_unmap(r, 0x100000, 64 * PAGE);
	map(r, 0x100000, MAPPED);
	rig_store(r, 0x100000 + 2 * PAGE, 1, 0);
	assert_dirty(r, 0x100000, 5);
	rig_end(r);
}

static void a_report_in_other_pages_than_the_log(void **state)
{
	struct rig *r = rig_begin();
	const uint8_t *b;

	(void)state;
	map(r, 0x100000, MAPPED);
	start(r, PAGE);
	rig_store(r, 0x100000 + 5 * PAGE, 1, 0);
	b = report(r, 0x100000, 64 * PAGE, 4 * PAGE);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(bit(b, i), i == 1);
	rig_store(r, 0x100000 + PAGE, 1, 0);
	b = report(r, 0x100000, 4 * PAGE, 1024);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(bit(b, i), i >= 4 && i < 8);
	stop(r);

	start(r, 4 * PAGE); /* what is reported in part stays */
	rig_store(r, 0x100000, 1, 0);
	assert_true(bit(report(r, 0x100000, 2 * PAGE, PAGE), 1));
	assert_dirty(r, 0x100000, 0xf);
	assert_dirty(r, 0x100000, 0);
	rig_end(r);
}

static void a_page_size_below_the_smallest_is_raised(void **state)
{
	static const struct {
		uint64_t asked, got;
	} rows[] = { { 1, PAGE },
		     { 2048, PAGE },
		     { PAGE, PAGE },
		     { 2 * PAGE, 2 * PAGE },
		     { 1ull << 63, 1ull << 63 } };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(r, rows[i].asked);
		assert_int_equal(rig_value(r, 8, 8), rows[i].got);
		assert_int_equal(rig_value(r, 16, 4), 0);
		stop(r);
	}
	rig_feature(r, 24, START, "844", VALUES(0, 0, 0), EINVAL);
	rig_feature(r, 24, START, "844", VALUES(PAGE + 1, 0, 0), EINVAL);
	rig_feature(r, 24, START, "844", VALUES(3 * PAGE, 0, 0), EINVAL);
	rig_feature(r, 24, START, "844", VALUES(UINT64_MAX, 0, 0), EINVAL);
	rig_end(r);
}

static void ranges_of_a_client_are_held_to(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	map(r, 0x100000, MAPPED);
	rig_feature(r, 64, START, "8448888",
		    VALUES(PAGE, 2, 0, 0x101000, PAGE, 0x110000, 2 * PAGE), 0);
	assert_int_equal(r->len, 56);
	assert_int_equal(rig_value(r, 48, 8), 2 * PAGE);
	rig_store(r, 0x100000, 64 * PAGE, 0);
	assert_dirty(r, 0x100000, 1ull << 1 | 3ull << 16);
	stop(r);
	rig_feature(r, 40, START, "84488", VALUES(PAGE, 1, 0, 0x1000, 0), EINVAL);
	rig_feature(r, 40, START, "84488", VALUES(PAGE, 1, 0, UINT64_MAX, PAGE), EINVAL);
	rig_feature(r, 40, REPORT, "888", VALUES(0, PAGE, PAGE), EINVAL); /* still off */
	rig_end(r);
}

static void ranges_are_bounded_in_number(void **state)
{
	const unsigned most = VUSER_MAX_LOG_RANGES;
	struct rig *r = rig_begin();
	uint8_t payload[8 + 16 + 16 * (VUSER_MAX_LOG_RANGES + 1)];

	(void)state;
	for (unsigned n = most; n <= most + 1; n++) {
		size_t len = pack(payload, "44844",
				  VALUES(sizeof(payload), START, PAGE, n, 0));

		for (unsigned i = 0; i < n; i++)
			len += pack(payload + len, "88", VALUES(i * 8192, 4096));
		rig_send(r, VUSER_CMD_DEVICE_FEATURE, COMMAND, -1, "", NULL, payload,
			 len);
		rig_result(r, VUSER_CMD_DEVICE_FEATURE, n > most ? E2BIG : 0);
		stop(r);
	}
	rig_end(r);
}

static void logging_is_started_once_and_stopped_any_time(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	stop(r);
	rig_feature(r, 40, REPORT, "888", VALUES(0, PAGE, PAGE), EINVAL);
	start(r, PAGE);
	map(r, 0x100000, MAPPED);
	rig_store(r, 0x100000, 1, 0);
	rig_feature(r, 24, START, "844", VALUES(PAGE, 0, 0), EBUSY);
	assert_dirty(r, 0x100000, 1); /* and goes on */
	/* Some clients stop with what they started with. */
	rig_feature(r, 24, STOP, "844", VALUES(PAGE, 0, 0), 0);
	assert_int_equal(r->len, 24);
	rig_feature(r, 40, REPORT, "888", VALUES(0, PAGE, PAGE), EINVAL);
	stop(r);
	rig_end(r);
}

static void a_report_in_two_steps_is_cleared_with_the_second(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	map(r, 0x100000, MAPPED);
	start(r, PAGE);
	rig_store(r, 0x100000, PAGE + 1, 0);
	for (uint32_t argsz = 8; argsz < 40; argsz++) {
		rig_feature(r, argsz, REPORT, "888", VALUES(0x100000, 64 * PAGE, PAGE),
			    0);
		assert_int_equal(r->len, 8);
		assert_int_equal(rig_value(r, 0, 4), 40);
	}
	/* Nor does one that wants no reply. */
	rig_send(r, VUSER_CMD_DEVICE_FEATURE, VUSER_FLAG_NO_REPLY, -1, "44888",
		 VALUES(40, REPORT, 0x100000, 64 * PAGE, PAGE), NULL, 0);
	assert_dirty(r, 0x100000, 3);
	assert_dirty(r, 0x100000, 0);
	rig_end(r);
}

static void reports_of_impossible_ranges_are_refused(void **state)
{
	static const struct {
		uint64_t iova, length, page_size;
	} rows[] = {
		{ 0, 0, PAGE },
		{ 1, UINT64_MAX, 1ull << 63 }, /* fits: see below */
		{ 2, UINT64_MAX, 1ull << 63 },
		{ UINT64_MAX, 2, PAGE },
		{ 0, PAGE, 0 },
		{ 0, PAGE, 3 },
		{ 0, PAGE, PAGE + 1 },
		{ 0, PAGE, UINT64_MAX },
		{ 0, UINT64_MAX, 1 },
		{ 0, UINT64_MAX, PAGE },
		{ 0, (VUSER_DEFAULT_MIG_BITMAP * 8ull + 1) * PAGE, PAGE },
	};
	struct rig *r = rig_begin();

	(void)state;
	start(r, PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		rig_feature(r, 4096, REPORT, "888",
			    VALUES(rows[i].iova, rows[i].length, rows[i].page_size),
			    i == 1 ? 0 : EINVAL);
	/* The largest that may be asked for says what it takes. */
	rig_feature(r, 4096, REPORT, "888",
		    VALUES(0, VUSER_DEFAULT_MIG_BITMAP * 8ull * PAGE, PAGE), 0);
	assert_int_equal(rig_value(r, 0, 4), 32 + VUSER_DEFAULT_MIG_BITMAP);
	rig_end(r);
}

static void bitmaps_are_held_to_the_smaller_limit(void **state)
{
	static const char json[] =
		"{\"capabilities\":{\"migration\":{\"max_bitmap_size\":%u}}}";
	static const struct {
		uint64_t ours, theirs, limit;
	} rows[] = {
		{ 8, 4096, 8 }, { 4096, 8, 8 }, { 23, 24, 16 }, { 4096, 4096, 4096 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = rig_new();
		char text[128];

		snprintf(text, sizeof(text), json, (unsigned)rows[i].theirs);
		r->options.caps.migration_max_bitmap_size = rows[i].ours;
		rig_greet(r, text);
		start(r, PAGE);
		(void)report(r, 0, rows[i].limit * 8 * PAGE, PAGE);
		(void)report(r, 0, rows[i].limit * 8 * PAGE - 1, PAGE);
		rig_feature(r, 8192, REPORT, "888",
			    VALUES(0, rows[i].limit * 8 * PAGE + 1, PAGE), EINVAL);
		rig_end(r);
	}
}

static void a_log_without_memory_is_an_error_until_it_starts_anew(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	r->options.caps.migration_max_bitmap_size = 8;
	rig_greet(r, NULL);
	start(r, PAGE);
	for (uint64_t i = 0; i < 200; i++) {
		map(r, i << 32, MAPPED);
		rig_store(r, i << 32, 1, 0); /* the device never notices */
	}
	rig_feature(r, 40, REPORT, "888", VALUES(0, 64 * PAGE, PAGE), ENOMEM);
	stop(r);
	start(r, PAGE);
	assert_dirty(r, 0, 0);
	rig_store(r, 0, 1, 0);
	assert_dirty(r, 0, 1);
	rig_end(r);
}

/* DMA_UNMAP with flag 1: u64 page size, u64 bytes for the bitmap. */
static void unmap_dirty(struct rig *r, uint32_t argsz, uint64_t page_size, uint64_t room,
			int err)
{
	rig_send(r, VUSER_CMD_DMA_UNMAP, COMMAND, -1, "448888",
		 VALUES(argsz, VUSER_DMA_UNMAP_DIRTY, 0x100000, 64 * PAGE, page_size,
			room),
		 NULL, 0);
	rig_result(r, VUSER_CMD_DMA_UNMAP, err);
}

static void a_window_goes_with_its_bitmap(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	map(r, 0x100000, MAPPED);
	unmap_dirty(r, 48, PAGE, 8, ENOTSUP); /* nothing is logged */
	start(r, PAGE);
	rig_store(r, 0x100000 + 9 * PAGE, 1, 0);
	unmap_dirty(r, 47, PAGE, 8, EINVAL);
	unmap_dirty(r, 48, PAGE, 7, EINVAL);
	unmap_dirty(r, 48, PAGE + 1, 8, EINVAL);
	unmap_dirty(r, 48, 0, 8, EINVAL);
	unmap_dirty(r, UINT32_MAX, 1, UINT64_MAX, 0); /* 32768 bytes */
	assert_int_equal(r->len, 24 + 16 + 32768);
	unmap_dirty(r, 48, PAGE, 8, ENOENT);

	map(r, 0x100000, MAPPED);
	rig_store(r, 0x100000 + 9 * PAGE, 1, 0);
	unmap_dirty(r, 4096, PAGE, 4096, 0);
	assert_int_equal(r->len, 48);
	assert_int_equal(rig_value(r, 0, 4), 48);
	assert_int_equal(rig_value(r, 8, 8), 0x100000);
	assert_int_equal(rig_value(r, 16, 8), 64 * PAGE);
	assert_int_equal(rig_value(r, 24, 8), PAGE);
	assert_int_equal(rig_value(r, 32, 8), 8);
	assert_int_equal(rig_value(r, 40, 8), 1ull << 9);
	unmap_dirty(r, 48, PAGE, 8, ENOENT);
	rig_store(r, 0x100000, 1, EFAULT);
	assert_dirty(r, 0x100000, 0); /* it was reported */

	rig_send(r, VUSER_CMD_DMA_UNMAP, COMMAND, -1, "448888",
		 VALUES(48, VUSER_DMA_UNMAP_DIRTY | VUSER_DMA_UNMAP_ALL, 0, 0, PAGE, 8),
		 NULL, 0);
	rig_result(r, VUSER_CMD_DMA_UNMAP, EINVAL);
	rig_end(r);
}

static void a_log_ends_with_its_client(void **state)
{
	struct rig *r = rig_begin();
	unsigned fds = open_fds();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		map(r, 0x100000, MAPPED);
		start(r, PAGE); /* it was off */
		rig_store(r, 0x100000, 64 * PAGE, 0);
		rig_leave(r);
		rig_greet(r, NULL);
		rig_feature(r, 40, REPORT, "888", VALUES(0, PAGE, PAGE), EINVAL);
	}
	assert_int_equal(open_fds(), fds);
	rig_end(r);
}

static void the_log_is_read_while_the_device_is_stopped(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	map(r, 0x100000, MAPPED);
	start(r, PAGE);
	rig_store(r, 0x100000, 1, 0);
	rig_set_state(r, VUSER_STATE_STOP_COPY, 0);
	rig_store(r, 0x101000, 1, EBUSY);
	assert_dirty(r, 0x100000, 1);
	rig_reset_device(r, 0); /* is not about the log */
	rig_store(r, 0x101000, 1, 0);
	assert_dirty(r, 0x100000, 2);
	rig_end(r);
}

static void a_device_that_does_not_migrate_is_logged_too(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	r->desc.migration = NULL;
	rig_greet(r, NULL);
	map(r, 0x100000, MAPPED);
	start(r, PAGE);
	rig_store(r, 0x100000, 1, 0);
	assert_dirty(r, 0x100000, 1);
	rig_end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_of_all_three_ways_are_reported_once),
		cmocka_unit_test(reads_are_not_logged),
		cmocka_unit_test(what_was_not_written_is_not_logged),
		cmocka_unit_test(a_write_of_which_nobody_knows_is_logged),
		cmocka_unit_test(windows_come_and_go_while_it_is_logged),
		cmocka_unit_test(a_report_in_other_pages_than_the_log),
		cmocka_unit_test(a_page_size_below_the_smallest_is_raised),
		cmocka_unit_test(ranges_of_a_client_are_held_to),
		cmocka_unit_test(ranges_are_bounded_in_number),
		cmocka_unit_test(logging_is_started_once_and_stopped_any_time),
		cmocka_unit_test(a_report_in_two_steps_is_cleared_with_the_second),
		cmocka_unit_test(reports_of_impossible_ranges_are_refused),
		cmocka_unit_test(bitmaps_are_held_to_the_smaller_limit),
		cmocka_unit_test(a_log_without_memory_is_an_error_until_it_starts_anew),
		cmocka_unit_test(a_window_goes_with_its_bitmap),
		cmocka_unit_test(a_log_ends_with_its_client),
		cmocka_unit_test(the_log_is_read_while_the_device_is_stopped),
		cmocka_unit_test(a_device_that_does_not_migrate_is_logged_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
