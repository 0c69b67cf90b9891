/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_feature.c and lib/codec_feature.c: DEVICE_FEATURE as a whole. */
#include "feature.h"
#include "feature_rig.h"

#define MIGRATION VUSER_FEATURE_MIGRATION
#define STATE	  VUSER_FEATURE_MIG_DEVICE_STATE
#define START	  VUSER_FEATURE_DMA_LOGGING_START
#define STOP	  VUSER_FEATURE_DMA_LOGGING_STOP
#define REPORT	  VUSER_FEATURE_DMA_LOGGING_REPORT

/* What each feature can do; none of the others is there. */
static const struct {
	uint32_t feature, methods;
} offered[] = {
	{ MIGRATION, GET }, { STATE, GET | SET }, { START, SET },
	{ STOP, SET },	    { REPORT, GET },
};

/* GET, SET, both, or -1 where there is no such feature. */
static int64_t methods_of(uint32_t feature)
{
	for (size_t i = 0; i < ARRAY_SIZE(offered); i++)
		if (offered[i].feature == feature)
			return offered[i].methods;
	return -1;
}

/* ---- Flags ---------------------------------------------------------------------- */

static void probing_tells_features_and_methods(void **state)
{
	static const uint32_t asked[] = { 0, GET, SET, GET | SET };
	struct rig *r = rig_begin();

	(void)state;
	for (uint32_t f = 0; f < 20; f++) {
		for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
			int64_t can = methods_of(f);
			int err = can < 0 ? ENOTTY : asked[i] & ~can ? EINVAL : 0;

			rig_feature(r, 8, PROBE | asked[i] | f, "", NULL, err);
			if (err)
				continue;
			assert_int_equal(r->len, 8);
			assert_int_equal(rig_value(r, 0, 4), 8);
		}
	}
	rig_feature(r, 8, PROBE | 0xffff, "", NULL, ENOTTY);
	rig_feature(r, 8, PROBE | 0x0101, "", NULL, ENOTTY);
	rig_end(r);
}

static void probing_does_nothing_else(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	/* What is asked comes back, also data that nobody needs. */
	rig_feature(r, 16, PROBE | SET | STATE, "44", VALUES(VUSER_STATE_STOP, 3), 0);
	assert_int_equal(r->len, 16);
	assert_int_equal(rig_value(r, 8, 4), VUSER_STATE_STOP);
	assert_int_equal(rig_value(r, 12, 4), 3);
	assert_int_equal(rig_get_state(r), VUSER_STATE_RUNNING);
	rig_feature(r, 24, PROBE | SET | START, "844", VALUES(4096, 0, 0), 0);
	rig_feature(r, 40, GET | REPORT, "888", VALUES(0, 4096, 4096), EINVAL); /* off */
	rig_end(r);
}

static void flags_that_say_nothing_or_too_much_are_refused(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(offered); i++) {
		uint32_t f = offered[i].feature;

		rig_feature(r, 64, f, "", NULL, EINVAL);
		rig_feature(r, 64, GET | SET | f, "", NULL, EINVAL);
		for (unsigned bit = 19; bit < 32; bit++) {
			rig_feature(r, 64, PROBE | f | 1u << bit, "", NULL, EINVAL);
			rig_feature(r, 64, offered[i].methods | f | 1u << bit, "", NULL,
				    EINVAL);
		}
		if (offered[i].methods != (GET | SET))
			rig_feature(r, 64, (offered[i].methods ^ (GET | SET)) | f, "",
				    NULL, EINVAL);
	}
	rig_feature(r, 64, GET | 3, "", NULL, ENOTTY);
	rig_feature(r, 64, SET | 0xffff, "", NULL, ENOTTY);
	rig_end(r);
}

/* ---- argsz ---------------------------------------------------------------------- */

static void argsz_below_the_fixed_part_is_refused(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	for (uint32_t argsz = 0; argsz < 8; argsz++) {
		rig_feature(r, argsz, PROBE | MIGRATION, "", NULL, EINVAL);
		rig_feature(r, argsz, GET | MIGRATION, "", NULL, EINVAL);
		rig_feature(r, argsz, SET | STOP, "", NULL, EINVAL);
	}
	rig_end(r);
}

static void an_answer_that_does_not_fit_says_what_it_takes(void **state)
{
	static const uint32_t features[] = { MIGRATION, STATE };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		for (uint32_t argsz = 8; argsz < 16; argsz++) {
			rig_feature(r, argsz, GET | features[i], "", NULL, 0);
			assert_int_equal(r->len, 8);
			assert_int_equal(rig_value(r, 0, 4), 16);
		}
		rig_feature(r, 16, GET | features[i], "", NULL, 0);
		assert_int_equal(r->len, 16);
		rig_feature(r, UINT32_MAX, GET | features[i], "", NULL, 0);
		assert_int_equal(r->len, 16);
		assert_int_equal(rig_value(r, 0, 4), 16);
	}
	rig_end(r);
}

static void a_set_that_could_not_be_repeated_is_not_done(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	rig_feature(r, 15, SET | STATE, "44", VALUES(VUSER_STATE_STOP, 0), EINVAL);
	rig_feature(r, 15, PROBE | SET | STATE, "44", VALUES(VUSER_STATE_STOP, 0),
		    EINVAL);
	assert_int_equal(rig_get_state(r), VUSER_STATE_RUNNING);
	rig_feature(r, 23, SET | START, "844", VALUES(4096, 0, 0), EINVAL);
	rig_feature(r, 24, SET | START, "844", VALUES(4096, 0, 0), 0);
	rig_end(r);
}

/* ---- Data ----------------------------------------------------------------------- */

static void migration_says_what_the_device_can(void **state)
{
	static const uint64_t flags[] = { VUSER_MIGRATION_STOP_COPY,
					  VUSER_MIGRATION_STOP_COPY |
						  VUSER_MIGRATION_PRE_COPY };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct rig *r = rig_new();

		r->ops.flags = flags[i];
		rig_greet(r, NULL);
		rig_feature(r, 16, GET | MIGRATION, "", NULL, 0);
		assert_int_equal(rig_value(r, 8, 8), flags[i]);
		rig_set_state(r, VUSER_STATE_PRE_COPY, i ? 0 : EINVAL);
		rig_end(r);
	}
}

static void data_of_the_wrong_length_is_refused(void **state)
{
	static const struct {
		uint32_t flags;
		const char *form;
		uint64_t v[6];
	} rows[] = {
		{ GET | MIGRATION, "8", { 0 } },
		{ GET | STATE, "44", { 0, 0 } },
		{ SET | STATE, "", { 0 } },
		{ SET | STATE, "4", { VUSER_STATE_STOP } },
		{ SET | STATE, "4421", { VUSER_STATE_STOP, 0, 0, 0 } },
		{ SET | START, "", { 0 } },
		{ SET | START, "84", { 4096, 0 } },
		{ SET | START, "8421", { 4096, 0, 0, 0 } },
		{ SET | START, "844", { 4096, 1, 0 } },
		{ SET | START, "8448", { 4096, 1, 0, 0x1000 } },
		{ SET | START, "84488", { 4096, 0, 0, 0x1000, 0x1000 } },
		{ SET | START, "84488", { 4096, 2, 0, 0x1000, 0x1000 } },
		{ SET | START, "84488", { 4096, UINT32_MAX, 0, 0x1000, 0x1000 } },
		{ SET | START, "844881", { 4096, 1, 0, 0x1000, 0x1000 } },
		{ SET | STOP, "1", { 0 } },
		{ SET | STOP, "8", { 4096 } },
		{ SET | STOP, "844", { 4096, 1, 0 } },
	};
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		rig_feature(r, 4096, rows[i].flags, rows[i].form, rows[i].v, EINVAL);
	rig_feature(r, 24, SET | START, "844", VALUES(4096, 0, 0), 0);
	rig_feature(r, 4096, GET | REPORT, "", NULL, EINVAL);
	rig_feature(r, 4096, GET | REPORT, "88", VALUES(0, 4096), EINVAL);
	rig_feature(r, 4096, GET | REPORT, "8884", VALUES(0, 4096, 4096, 0), EINVAL);
	rig_feature(r, 4096, GET | REPORT, "8888", VALUES(0, 4096, 4096, 0), EINVAL);
	rig_feature(r, 4096, GET | REPORT, "888", VALUES(0, 4096, 4096), 0);
	rig_end(r);
}

static void features_are_cut_anywhere_without_harm(void **state)
{
	struct rig *r = rig_begin();
	uint8_t payload[8 + 16 + 16];
	size_t n = pack(payload, "4484488",
			VALUES(4096, SET | START, 4096, 1, 0, 0x1000, 0x1000));

	(void)state;
	for (size_t len = 0; len < n; len++) {
		rig_send(r, VUSER_CMD_DEVICE_FEATURE, COMMAND, -1, "", NULL, payload,
			 len);
		rig_result(r, VUSER_CMD_DEVICE_FEATURE, EINVAL);
	}
	rig_send(r, VUSER_CMD_DEVICE_FEATURE, COMMAND, -1, "", NULL, payload, n);
	rig_result(r, VUSER_CMD_DEVICE_FEATURE, 0);
	rig_end(r);
}

static void features_come_without_descriptors(void **state)
{
	struct rig *r = rig_begin();
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	rig_send(r, VUSER_CMD_DEVICE_FEATURE, COMMAND, fds[0], "44",
		 VALUES(16, GET | MIGRATION), NULL, 0);
	rig_result(r, VUSER_CMD_DEVICE_FEATURE, EINVAL);
	rig_send(r, VUSER_CMD_MIG_DATA_READ, COMMAND, fds[0], "44", VALUES(16, 8), NULL,
		 0);
	rig_result(r, VUSER_CMD_MIG_DATA_READ, EINVAL);
	close(fds[0]);
	close(fds[1]);
	rig_end(r);
}

/* ---- The codec ------------------------------------------------------------------ */

static void what_is_written_is_read_again(void **state)
{
	static const struct feature_report report = { 0x1122334455667788, 0x99aabbcc,
						      1u << 21 };
	uint8_t buf[64];
	struct feature_state s;
	struct feature_start start;
	struct feature_report back;
	struct vuser_area range;
	uint64_t flags;
	size_t n;

	(void)state;
	n = feature_write_migration(buf, 5);
	assert_true(feature_read_migration(buf, n, &flags));
	assert_int_equal(flags, 5);
	assert_false(feature_read_migration(buf, n - 1, &flags));
	assert_false(feature_read_migration(buf, n + 1, &flags));

	n = feature_write_state(buf, VUSER_STATE_RESUMING);
	assert_true(feature_read_state(buf, n, &s));
	assert_int_equal(s.device_state, VUSER_STATE_RESUMING);
	assert_int_equal(s.data_fd, UINT32_MAX);
	assert_false(feature_read_state(buf, n - 1, &s));
	assert_false(feature_read_state(buf, n + 1, &s));

	n = feature_write_start(buf, 4096, 2);
	for (size_t i = 0; i < 2; i++)
		n += feature_write_range(buf, i,
					 (struct vuser_area){ 0x1000 * (i + 1), 7 + i });
	assert_int_equal(n, 48);
	assert_true(feature_read_start(buf, n, &start));
	assert_int_equal(start.page_size, 4096);
	assert_int_equal(start.num_ranges, 2);
	for (size_t i = 0; i < 2; i++) {
		range = feature_range(buf, i);
		assert_int_equal(range.offset, 0x1000 * (i + 1));
		assert_int_equal(range.size, 7 + i);
	}
	for (size_t len = 0; len < sizeof(buf); len++)
		assert_int_equal(feature_read_start(buf, len, &start), len == n);

	n = feature_write_report(buf, &report);
	n += feature_write_word(buf, 0, 1);
	n += feature_write_word(buf, 1, UINT64_MAX);
	assert_int_equal(n, 40);
	assert_true(feature_read_report(buf, n, &back));
	assert_memory_equal(&back, &report, sizeof(back));
	assert_int_equal(feature_word(buf, n, 0), 1);
	assert_true(feature_word(buf, n, 1) == UINT64_MAX);
	assert_int_equal(feature_word(buf, n, 2), 0);
	assert_int_equal(feature_word(buf, n - 1, 1), 0);
	assert_int_equal(feature_word(buf, n, SIZE_MAX), 0);
	assert_int_equal(feature_word(buf, 23, 0), 0);
	assert_false(feature_read_report(buf, 23, &back));
}

static void words_of_a_bitmap_are_counted_without_overflow(void **state)
{
	static const struct {
		uint64_t length, page_size, words;
	} rows[] = {
		{ 0, 4096, 0 },
		{ 4096, 0, 0 },
		{ 1, 4096, 1 },
		{ 4096, 4096, 1 },
		{ 64 * 4096, 4096, 1 },
		{ 64 * 4096 + 1, 4096, 2 },
		{ 65 * 4096, 4096, 2 },
		{ UINT64_MAX, 4096, 1ull << 46 },
		{ UINT64_MAX, 1, 1ull << 58 },
		{ UINT64_MAX, 1ull << 63, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(vuser_dirty_words(rows[i].length, rows[i].page_size),
				 rows[i].words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probing_tells_features_and_methods),
		cmocka_unit_test(probing_does_nothing_else),
		cmocka_unit_test(flags_that_say_nothing_or_too_much_are_refused),
		cmocka_unit_test(argsz_below_the_fixed_part_is_refused),
		cmocka_unit_test(an_answer_that_does_not_fit_says_what_it_takes),
		cmocka_unit_test(a_set_that_could_not_be_repeated_is_not_done),
		cmocka_unit_test(migration_says_what_the_device_can),
		cmocka_unit_test(data_of_the_wrong_length_is_refused),
		cmocka_unit_test(features_are_cut_anywhere_without_harm),
		cmocka_unit_test(features_come_without_descriptors),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(words_of_a_bitmap_are_counted_without_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
