/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_feature.c: features and DMA logging, honest and lying servers. */
#include <errno.h>

#define ROOM   (1u << 20) /* for a payload */
#define USAGE  VUSER_E_USAGE
#define REMOTE VUSER_E_REMOTE
#define LIE    VUSER_E_PROTOCOL

#include "scripted_server.h"

/* How a row ends: what the call makes of the reply. */
#define FINE		     0, 0, 0, NULL
#define REFUSED(err)	     err, REMOTE, 0, NULL
#define WRONG(offset, field) 0, LIE, offset, field

#define GET		     VUSER_FEATURE_GET
#define SET		     VUSER_FEATURE_SET
#define PROBE		     VUSER_FEATURE_PROBE
#define START		     VUSER_FEATURE_DMA_LOGGING_START
#define STOP		     VUSER_FEATURE_DMA_LOGGING_STOP
#define REPORT		     VUSER_FEATURE_DMA_LOGGING_REPORT

/* A payload that the client must send, and the one it is answered with. */
struct talk {
	const char *says;
	uint64_t said[12];
	const char *hears;
	uint64_t heard[12];
	uint32_t err; /* an error reply in its place */
	int result;
	size_t offset; /* of a lie */
	const char *field;
};

struct talks {
	const struct talk *v;
	size_t n;
};

static void play_talks(struct peer *p)
{
	const struct talks *all = p->arg;
	uint8_t payload[256];

	for (size_t i = 0; i < all->n; i++) {
		size_t len = pack(payload, all->v[i].says, all->v[i].said);

		take(p, VUSER_CMD_DEVICE_FEATURE);
		if (p->len != len || memcmp(p->payload, payload, len) != 0)
			go_wrong(p, "the command says something else");
		if (all->v[i].err)
			answer_error(p, all->v[i].err);
		else
			answer(p, all->v[i].hears, all->v[i].heard);
	}
}

static struct rig *begin(const struct talks *all, const char *json, bool lax)
{
	struct vuser_options o = patient_options();

	o.lax = lax;
	return begin_with(play_talks, json, all, o);
}

static void end(struct rig *r)
{
	assert_int_equal(vuser_client_lost(r->client, NULL), 0);
	end_with(r, 0);
}

static void assert_result(const struct rig *r, int result, const struct talk *t)
{
	assert_int_equal(result, t->result);
	if (!result)
		return;
	assert_int_equal(r->e.code, result);
	if (result == REMOTE)
		assert_int_equal(r->e.err, t->err);
	if (result != LIE)
		return;
	assert_int_equal(r->e.offset, t->offset);
	assert_string_equal(r->e.field, t->field);
}

/* ---- Any feature -------------------------------------------------------------- */

static void a_feature_is_got_with_all_its_data(void **state)
{
	static const struct talk talks[] = {
		/* argsz 24: the 8 before the data, 16 for it */
		{ "44", { 24, GET | 9 }, "4488", { 24, GET | 9, 1, 2 }, FINE },
		/* less than there is room for, and nothing */
		{ "44", { 24, GET | 9 }, "442", { 10, GET | 9, 0x1234 }, FINE },
		{ "44", { 24, GET | 9 }, "44", { 8, GET | 9 }, FINE },
		/* the operation need not be repeated, the feature must */
		{ "44", { 24, GET | 9 }, "448", { 16, 9, 5 }, FINE },
		/* data in the command, too */
		{ "448", { 24, GET | 9, 7 }, "4488", { 24, GET | 9, 7, 8 }, FINE },
	};
	static const size_t lengths[] = { 16, 2, 0, 8, 16 };
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);
	uint64_t in = 7, out[2];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		size_t n = i == 4 ? sizeof(in) : 0;

		assert_int_equal(vuser_feature(r->client, GET | 9, &in, n, out,
					       sizeof(out), &len, &r->e),
				 0);
		assert_int_equal(len, lengths[i]);
	}
	assert_int_equal(out[0], 7);
	assert_int_equal(out[1], 8);
	end(r);
}

static void a_feature_that_needs_more_room_says_how_much(void **state)
{
	static const struct talk talks[] = {
		/* the fixed part alone, and what the full answer needs */
		{ "44", { 16, GET | 9 }, "44", { 4104, GET | 9 }, FINE },
		{ "44", { 16, GET | 9 }, "44", { 0xffffffff, GET | 9 }, FINE },
		/* data in the command makes room for more than is wanted */
		{ "4488", { 24, GET | 9, 1, 2 }, "4488", { 24, GET | 9, 3, 4 }, FINE },
	};
	static const size_t needs[] = { 4096, 0xffffffff - 8, 16 };
	static const size_t given[] = { 0, 0, 16 };
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);
	const uint64_t in[2] = { 1, 2 };
	uint64_t out = 0;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		assert_failed(r,
			      vuser_feature(r->client, GET | 9, in, given[i], &out,
					    sizeof(out), &len, &r->e),
			      USAGE, ENOBUFS);
		assert_int_equal(len, needs[i]);
	}
	end(r);
}

static void what_is_set_or_probed_may_be_repeated(void **state)
{
	static const struct talk talks[] = {
		{ "448", { 16, SET | 9, 7 }, "448", { 16, SET | 9, 7 }, FINE },
		{ "448", { 16, SET | 9, 7 }, "44", { 8, SET | 9 }, FINE },
		{ "448",
		  { 16, PROBE | GET | 9, 7 },
		  "448",
		  { 16, PROBE | GET | 9, 7 },
		  FINE },
		{ "448", { 16, SET | 9, 7 }, "", { 0 }, REFUSED(ENOTTY) },
	};
	static const uint32_t flags[] = { SET, SET, PROBE | GET, SET };
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);
	uint64_t in = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++)
		assert_result(r,
			      vuser_feature(r->client, flags[i] | 9, &in, sizeof(in),
					    NULL, 0, NULL, &r->e),
			      &talks[i]);
	end(r);
}

static void lies_about_a_feature_are_told(void **state)
{
	static const struct talk talks[] = {
		{ "44", { 16, GET | 9 }, "", { 0 }, WRONG(16, "flags") },
		{ "44", { 16, GET | 9 }, "4", { 8 }, WRONG(20, "flags") },
		{ "44", { 16, GET | 9 }, "442", { 10, GET | 8, 0 }, WRONG(20, "flags") },
		/* more than there is room for */
		{ "44",
		  { 16, GET | 9 },
		  "4488",
		  { 24, GET | 9, 1, 2 },
		  WRONG(4, "size") },
	};
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);
	uint64_t out;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++)
		assert_result(r,
			      vuser_feature(r->client, GET | 9, NULL, 0, &out,
					    sizeof(out), &len, &r->e),
			      &talks[i]);
	assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], ARRAY_SIZE(talks));
	end(r);
}

static void data_beyond_any_message_is_not_sent(void **state)
{
	const struct talks all = { NULL, 0 };
	struct rig *r = begin(&all, NULL, true);
	uint8_t out;

	(void)state;
	assert_failed(
		r,
		vuser_feature(r->client, GET | 9, NULL, 0, &out, UINT32_MAX, NULL, &r->e),
		USAGE, EMSGSIZE);
	end(r);
}

/* ---- DMA logging -------------------------------------------------------------- */

static void logging_starts_for_ranges_or_all_and_stops(void **state)
{
	static const struct talk talks[] = {
		/* page_size, num_ranges, reserved */
		{ "44844",
		  { 24, SET | START, 4096, 0, 0 },
		  "44844",
		  { 24, SET | START, 4096, 0, 0 },
		  FINE },
		/* two ranges of iova and length */
		{ "448448888",
		  { 56, SET | START, 8192, 2, 0, 0x10000, 8192, 0xfffffffffffe0000,
		    0x20000 },
		  "44",
		  { 8, SET | START },
		  FINE },
		{ "44", { 8, SET | STOP }, "44", { 8, SET | STOP }, FINE },
		{ "44", { 8, SET | STOP }, "", { 0 }, REFUSED(EINVAL) },
	};
	static const struct vuser_area ranges[] = { { 0x10000, 8192 },
						    { 0xfffffffffffe0000, 0x20000 } };
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);

	(void)state;
	assert_int_equal(vuser_dirty_start(r->client, 4096, NULL, 0, &r->e), 0);
	assert_int_equal(vuser_dirty_start(r->client, 8192, ranges, 2, &r->e), 0);
	assert_int_equal(vuser_dirty_stop(r->client, &r->e), 0);
	assert_failed(r, vuser_dirty_stop(r->client, &r->e), REMOTE, EINVAL);
	end(r);
}

static void logging_that_cannot_be_is_not_started(void **state)
{
	static const struct {
		uint64_t page_size;
		struct vuser_area range;
	} bad[] = {
		{ 0, { 0, 4096 } },	     { 12288, { 0, 12288 } },
		{ 2048, { 0, 4096 } },	     { 4096, { 0, 0 } },
		{ 4096, { 1, 4096 } },	     { 4096, { 0, 4095 } },
		{ 8192, { 4096, 8192 } },    { 4096, { 0xfffffffffffff000, 8192 } },
		{ UINT64_MAX, { 0, 4096 } },
	};
	const struct talks all = { NULL, 0 };
	struct rig *r =
		begin(&all, "{\"capabilities\":{\"max_data_xfer_size\":4096}}", false);
	struct vuser_area many[256] = { { 0, 4096 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_failed(r,
			      vuser_dirty_start(r->client, bad[i].page_size,
						&bad[i].range, 1, &r->e),
			      USAGE, EINVAL);
	/* 16 bytes before the ranges, 16 a range */
	assert_failed(r, vuser_dirty_start(r->client, 4096, many, 256, &r->e), USAGE,
		      E2BIG);
	end(r);
}

static void the_smaller_page_size_of_both_sides_is_the_least(void **state)
{
	static const struct talk talks[] = {
		{ "44844",
		  { 24, SET | START, 4096, 0, 0 },
		  "44",
		  { 8, SET | START },
		  FINE },
	};
	const struct talks all = { talks, 1 };
	struct rig *r = begin(
		&all, "{\"capabilities\":{\"migration\":{\"pgsize\":65536}}}", false);

	(void)state;
	assert_int_equal(vuser_dirty_start(r->client, 4096, NULL, 0, &r->e), 0);
	assert_failed(r, vuser_dirty_start(r->client, 2048, NULL, 0, &r->e), USAGE,
		      EINVAL);
	end(r);
}

static void a_report_is_a_bitmap_of_its_pages(void **state)
{
	static const struct talk talks[] = {
		/* iova, length, page_size; 70 pages are two words */
		{ "44888",
		  { 48, GET | REPORT, 0x10000, 70 << 12, 4096 },
		  "4488888",
		  { 48, GET | REPORT, 0x10000, 70 << 12, 4096, 0x8000000000000001,
		    UINT64_MAX },
		  FINE },
		{ "44888",
		  { 40, GET | REPORT, 0, 64 << 12, 4096 },
		  "448888",
		  { 40, GET | REPORT, 0, 64 << 12, 4096, UINT64_MAX },
		  FINE },
		{ "44888",
		  { 40, GET | REPORT, 0xfffffffffffff000, 4096, 4096 },
		  "448888",
		  { 40, GET | REPORT, 0xfffffffffffff000, 4096, 4096, 1 },
		  FINE },
	};
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);
	uint64_t bitmap[2] = { 0 };

	(void)state;
	assert_int_equal(
		vuser_dirty_report(r->client, 0x10000, 70 << 12, 4096, bitmap, &r->e), 0);
	assert_true(bitmap[0] == 0x8000000000000001);
	assert_true(bitmap[1] == 0x3f); /* what is behind page 69 is no page */
	assert_int_equal(vuser_dirty_report(r->client, 0, 64 << 12, 4096, bitmap, &r->e),
			 0);
	assert_true(bitmap[0] == UINT64_MAX);
	assert_int_equal(vuser_dirty_report(r->client, 0xfffffffffffff000, 4096, 4096,
					    bitmap, &r->e),
			 0);
	assert_true(bitmap[0] == 1);
	end(r);
}

static void lies_about_a_report_are_told(void **state)
{
#define ASKED                                          \
	"44888",                                       \
	{                                              \
		40, GET | REPORT, 0x1000, 0x2000, 4096 \
	}
	static const struct talk talks[] = {
		{ ASKED, "44", { 40, GET | REPORT }, WRONG(24, "data") },
		{ ASKED,
		  "4488",
		  { 40, GET | REPORT, 0x1000, 0x2000 },
		  WRONG(40, "data") },
		{ ASKED,
		  "44888",
		  { 40, GET | REPORT, 0x1000, 0x2000, 4096 },
		  WRONG(48, "bitmap") },
		{ ASKED,
		  "448881",
		  { 33, GET | REPORT, 0x1000, 0x2000, 4096, 3 },
		  WRONG(49, "bitmap") },
		{ ASKED,
		  "4488888",
		  { 48, GET | REPORT, 0x1000, 0x2000, 4096, 3, 0 },
		  WRONG(4, "size") },
		{ ASKED,
		  "448888",
		  { 40, GET | REPORT, 0x2000, 0x2000, 4096, 3 },
		  WRONG(24, "iova") },
		{ ASKED,
		  "448888",
		  { 40, GET | REPORT, 0x1000, 0x3000, 4096, 3 },
		  WRONG(32, "length") },
		{ ASKED,
		  "448888",
		  { 40, GET | REPORT, 0x1000, 0x2000, 8192, 3 },
		  WRONG(40, "page_size") },
		{ ASKED,
		  "448888",
		  { 40, GET | START, 0x1000, 0x2000, 4096, 3 },
		  WRONG(20, "flags") },
		{ ASKED, "", { 0 }, REFUSED(EINVAL) },
	};
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, NULL, false);
	uint64_t bitmap[1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++)
		assert_result(r,
			      vuser_dirty_report(r->client, 0x1000, 0x2000, 4096, bitmap,
						 &r->e),
			      &talks[i]);
	end(r);
}

/* 8 bytes of bitmap are agreed: 64 pages. */
static const char little_bitmap[] =
	"{\"capabilities\":{\"migration\":{\"max_bitmap_size\":8}}}";

static void reports_that_cannot_be_are_not_asked_for(void **state)
{
	const struct talks all = { NULL, 0 };
	struct rig *r = begin(&all, little_bitmap, false);
	uint64_t none = 5;
	static const struct {
		uint64_t iova, length, page_size;
		int err;
	} bad[] = {
		{ 0, 0, 4096, EINVAL },
		{ 0, 4096, 0, EINVAL },
		{ 0, 4096, 1024, EINVAL },
		{ 0, 100, 4096, EINVAL },
		{ 100, 4096, 4096, EINVAL },
		{ 0xfffffffffffff000, 0x2000, 4096, EINVAL },
		{ 0, 65 << 12, 4096, EMSGSIZE },
		{ 0, 0xfffffffffffff000, 4096, EMSGSIZE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_failed(r,
			      vuser_dirty_report(r->client, bad[i].iova, bad[i].length,
						 bad[i].page_size, &none, &r->e),
			      USAGE, bad[i].err);
	assert_int_equal(none, 5);
	end(r);
}

static void lax_asks_for_them_all_the_same(void **state)
{
	static const struct talk talks[] = {
		{ "44844", { 24, SET | START, 3, 0, 0 }, "", { 0 }, REFUSED(EINVAL) },
		{ "4484488",
		  { 40, SET | START, 3, 1, 0, 1, 0 },
		  "",
		  { 0 },
		  REFUSED(EINVAL) },
		/* 65 pages */
		{ "44888",
		  { 48, GET | REPORT, 1, 65 << 12, 4096 },
		  "4488888",
		  { 48, GET | REPORT, 1, 65 << 12, 4096, 1, 2 },
		  FINE },
		/* no page at all */
		{ "44888",
		  { 32, GET | REPORT, 0, 0, 0 },
		  "44888",
		  { 32, GET | REPORT, 0, 0, 0 },
		  FINE },
	};
	static const struct vuser_area range = { 1, 0 };
	const struct talks all = { talks, ARRAY_SIZE(talks) };
	struct rig *r = begin(&all, little_bitmap, true);
	uint64_t bitmap[2];

	(void)state;
	assert_failed(r, vuser_dirty_start(r->client, 3, NULL, 0, &r->e), REMOTE, EINVAL);
	assert_failed(r, vuser_dirty_start(r->client, 3, &range, 1, &r->e), REMOTE,
		      EINVAL);
	assert_int_equal(vuser_dirty_report(r->client, 1, 65 << 12, 4096, bitmap, &r->e),
			 0);
	assert_true(bitmap[0] == 1 && bitmap[1] == 0); /* page 65 is behind the last */
	assert_int_equal(vuser_dirty_report(r->client, 0, 0, 0, bitmap, &r->e), 0);
	/* what no message holds is not */
	assert_failed(r, vuser_dirty_report(r->client, 0, UINT64_MAX, 1, bitmap, &r->e),
		      USAGE, EMSGSIZE);
	end(r);
}

/* A bitmap of 4 MiB, above the largest message that anything else makes. */
#define MANY_WORDS 0x80000u

static void say_large_report(struct peer *p)
{
	uint64_t *bitmap = calloc(MANY_WORDS, sizeof(*bitmap));

	take(p, VUSER_CMD_DEVICE_FEATURE);
	if (!bitmap) {
		go_wrong(p, "no memory");
		return;
	}
	bitmap[0] = 1;
	bitmap[MANY_WORDS - 1] = 2;
	answer_with(p, REPLY, 0, "44888",
		    VALUES(32 + MANY_WORDS * 8, GET | REPORT, 0,
			   (uint64_t)MANY_WORDS << 18, 4096),
		    bitmap, MANY_WORDS * 8, NULL, 0);
	free(bitmap);
}

static void a_report_may_be_larger_than_any_other_message(void **state)
{
	struct rig *r = begin_with(say_large_report, NULL, NULL, patient_options());
	uint64_t *bitmap = calloc(MANY_WORDS, sizeof(*bitmap));

	(void)state;
	assert_non_null(bitmap);
	assert_int_equal(vuser_dirty_report(r->client, 0, (uint64_t)MANY_WORDS << 18,
					    4096, bitmap, &r->e),
			 0);
	assert_int_equal(bitmap[0], 1);
	assert_int_equal(bitmap[MANY_WORDS - 1], 2);
	free(bitmap);
	end(r);
}

static void answer_too_late(struct peer *p)
{
	struct vuser_header first;

	take(p, VUSER_CMD_DEVICE_FEATURE);
	first = p->h;
	take(p, VUSER_CMD_DEVICE_FEATURE); /* by then the first was given up */
	put(p,
	    (struct vuser_header){ .id = first.id, .command = first.command, .flags = 1 },
	    "448888", VALUES(40, GET | REPORT, 0, 4096, 4096, 1), NULL, 0, NULL, 0);
	answer(p, "44", VALUES(8, SET | STOP));
}

static void a_late_report_touches_nothing(void **state)
{
	struct rig *r = begin_with(answer_too_late, NULL, NULL, patient_options());
	uint64_t bitmap = 0x55;

	(void)state;
	vuser_client_set_timeout(r->client, 20000000);
	assert_failed(r, vuser_dirty_report(r->client, 0, 4096, 4096, &bitmap, &r->e),
		      VUSER_E_TIMEOUT, ETIMEDOUT);
	vuser_client_set_timeout(r->client, 30000000000);
	assert_int_equal(vuser_dirty_stop(r->client, &r->e), 0);
	assert_int_equal(bitmap, 0x55);
	assert_int_equal(r->events.of[VUSER_EVENT_LATE], 1);
	end(r);
}

static void leave(struct peer *p)
{
	take(p, VUSER_CMD_DEVICE_FEATURE);
	shutdown(p->fd, SHUT_RDWR);
}

static void a_server_may_leave_without_answering(void **state)
{
	struct rig *r = begin_with(leave, NULL, NULL, patient_options());
	uint64_t bitmap;

	(void)state;
	assert_int_equal(vuser_dirty_report(r->client, 0, 4096, 4096, &bitmap, &r->e),
			 VUSER_E_CLOSED);
	end_with(r, 0);
}

static void features_have_names(void **state)
{
	(void)state;
	assert_string_equal(vuser_feature_name(1), "migration");
	assert_string_equal(vuser_feature_name(8), "dma-logging-report");
	assert_null(vuser_feature_name(3));
	assert_null(vuser_feature_name(GET));
	assert_int_equal(vuser_feature_number("device-state"), 2);
	assert_int_equal(vuser_feature_number("DMA-LOGGING-STOP"), 7);
	assert_int_equal(vuser_feature_number("get"), -1);
	assert_int_equal(vuser_feature_number(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_feature_is_got_with_all_its_data),
		cmocka_unit_test(a_feature_that_needs_more_room_says_how_much),
		cmocka_unit_test(what_is_set_or_probed_may_be_repeated),
		cmocka_unit_test(lies_about_a_feature_are_told),
		cmocka_unit_test(data_beyond_any_message_is_not_sent),
		cmocka_unit_test(logging_starts_for_ranges_or_all_and_stops),
		cmocka_unit_test(logging_that_cannot_be_is_not_started),
		cmocka_unit_test(the_smaller_page_size_of_both_sides_is_the_least),
		cmocka_unit_test(a_report_is_a_bitmap_of_its_pages),
		cmocka_unit_test(lies_about_a_report_are_told),
		cmocka_unit_test(reports_that_cannot_be_are_not_asked_for),
		cmocka_unit_test(lax_asks_for_them_all_the_same),
		cmocka_unit_test(a_report_may_be_larger_than_any_other_message),
		cmocka_unit_test(a_late_report_touches_nothing),
		cmocka_unit_test(a_server_may_leave_without_answering),
		cmocka_unit_test(features_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
