/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/trace.c and lib/record.c: the last messages, and how they are shown. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "trace.h"
#include "traffic.h"

/* Bytes of every message that outlive the arena of whole ones. */
#define HEAD 64

/* ---- The ring --------------------------------------------------------------------- */

/* Adds a message of size bytes that holds n, for later recognition. */
static void add(struct vuser_trace *t, uint64_t n, size_t size)
{
	struct bytes b = bytes_room(size);
	struct vuser_header h = { .id = (uint16_t)n,
				  .command = VUSER_CMD_REGION_WRITE,
				  .size = (uint32_t)size };

	assert_true(size >= VUSER_HEADER_SIZE);
	memset(b.p, (int)(n & 0xff), size);
	vuser_header_encode(&h, b.p);
	vuser_trace_add(t, VUSER_C2S, b.p, b.len, 0, 0);
	bytes_free(b);
}

static void assert_holds(const struct vuser_record *r, uint64_t n, size_t size)
{
	struct vuser_header h;

	assert_int_equal(r->size, size);
	assert_int_equal(vuser_header_decode(r->bytes, r->kept, &h, NULL), 0);
	assert_int_equal(h.id, (uint16_t)n);
	for (size_t i = VUSER_HEADER_SIZE; i < r->kept; i++)
		assert_int_equal(r->bytes[i], n & 0xff);
}

static void what_was_added_is_kept_as_it_was(void **state)
{
	struct bytes b = message_hex(VUSER_CMD_DEVICE_GET_INFO, 1,
				     "10000000 03000000 09000000 05000000");
	struct vuser_trace *t = vuser_trace_new(0);
	struct timespec before, after;
	struct vuser_record r;

	(void)state;
	assert_non_null(t);
	assert_int_equal(vuser_trace_count(t), 0);
	assert_false(vuser_trace_get(t, 0, &r));
	clock_gettime(CLOCK_REALTIME, &before);
	vuser_trace_add(t, VUSER_S2C, b.p, b.len, 3, 1234);
	clock_gettime(CLOCK_REALTIME, &after);
	assert_int_equal(vuser_trace_count(t), 1);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_int_equal(r.number, 1);
	assert_in_range(r.time / 1000000000, before.tv_sec - 1, after.tv_sec + 1);
	assert_int_equal(r.latency, 1234);
	assert_int_equal(r.dir, VUSER_S2C);
	assert_int_equal(r.nfds, 3);
	assert_int_equal(r.size, b.len);
	assert_int_equal(r.kept, b.len);
	assert_memory_equal(r.bytes, b.p, b.len);
	assert_false(vuser_trace_get(t, 1, &r));
	assert_false(vuser_trace_get(t, SIZE_MAX, &r));
	vuser_trace_free(t);
	bytes_free(b);
}

static void the_ring_keeps_the_youngest_in_order(void **state)
{
	struct vuser_trace *t = vuser_trace_new(4);
	struct vuser_record r;

	(void)state;
	for (uint64_t n = 1; n <= 11; n++) {
		add(t, n, 20);
		assert_int_equal(vuser_trace_count(t), n < 4 ? n : 4);
		for (size_t i = 0; i < vuser_trace_count(t); i++) {
			uint64_t want = n - vuser_trace_count(t) + 1 + i;

			assert_true(vuser_trace_get(t, i, &r));
			assert_int_equal(r.number, want);
			assert_holds(&r, want, 20);
		}
		assert_false(vuser_trace_get(t, vuser_trace_count(t), &r));
	}
	vuser_trace_free(t);
}

static void a_ring_of_no_length_has_the_default_one(void **state)
{
	struct vuser_trace *t = vuser_trace_new(0);

	(void)state;
	for (uint64_t n = 1; n <= VUSER_TRACE_DEFAULT + 5; n++)
		add(t, n, 16);
	assert_int_equal(vuser_trace_count(t), VUSER_TRACE_DEFAULT);
	vuser_trace_free(t);
	vuser_trace_free(NULL);
}

static void a_cleared_trace_is_empty_and_counts_on(void **state)
{
	struct vuser_trace *t = vuser_trace_new(4);
	struct vuser_record r;

	(void)state;
	for (uint64_t n = 1; n <= 6; n++)
		add(t, n, 20);
	vuser_trace_clear(t);
	assert_int_equal(vuser_trace_count(t), 0);
	assert_false(vuser_trace_get(t, 0, &r));
	add(t, 7, 20);
	assert_int_equal(vuser_trace_count(t), 1);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_int_equal(r.number, 7);
	assert_holds(&r, 7, 20);
	vuser_trace_free(t);
}

static void a_resized_trace_is_empty_and_has_the_new_length(void **state)
{
	struct vuser_trace *t = vuser_trace_new(4);
	struct vuser_record r;

	(void)state;
	for (uint64_t n = 1; n <= 6; n++)
		add(t, n, 20);
	assert_int_equal(vuser_trace_resize(t, 2, NULL), 0);
	assert_int_equal(vuser_trace_count(t), 0);
	for (uint64_t n = 7; n <= 9; n++)
		add(t, n, 20);
	assert_int_equal(vuser_trace_count(t), 2);
	assert_true(vuser_trace_get(t, 1, &r));
	assert_int_equal(r.number, 9);
	assert_int_equal(vuser_trace_resize(t, 100, NULL), 0);
	for (uint64_t n = 10; n <= 40; n++)
		add(t, n, 200);
	assert_int_equal(vuser_trace_count(t), 31);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_holds(&r, 10, 200);
	vuser_trace_free(t);
}

#if HAS_ASAN
/* An allocation that is too large fails, as it does without a sanitizer. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}
#endif

static void a_length_beyond_all_memory_is_refused_and_changes_nothing(void **state)
{
	struct vuser_trace *t;
	struct vuser_error e;
	struct vuser_record r;

	(void)state;
	if (!HAS_ASAN) /* valgrind takes offence at the size asked for */
		skip();
	t = vuser_trace_new(4);
	add(t, 1, 20);
	assert_int_equal(vuser_trace_resize(t, SIZE_MAX, &e), VUSER_E_SYSTEM);
	assert_int_equal(e.code, VUSER_E_SYSTEM);
	assert_int_equal(vuser_trace_count(t), 1);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_holds(&r, 1, 20);
	assert_null(vuser_trace_new(SIZE_MAX));
	vuser_trace_free(t);
}

static void a_trace_that_is_off_keeps_nothing_and_forgets_nothing(void **state)
{
	struct vuser_trace *t = vuser_trace_new(4);
	struct vuser_record r;

	(void)state;
	assert_true(vuser_trace_is_on(t));
	assert_true(trace_wants(t));
	add(t, 1, 20);
	vuser_trace_switch(t, false);
	assert_false(vuser_trace_is_on(t));
	assert_false(trace_wants(t));
	assert_false(trace_wants(NULL));
	add(t, 2, 20);
	assert_int_equal(vuser_trace_count(t), 1);
	vuser_trace_switch(t, true);
	add(t, 3, 20);
	assert_int_equal(vuser_trace_count(t), 2);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_holds(&r, 1, 20);
	assert_true(vuser_trace_get(t, 1, &r));
	assert_holds(&r, 3, 20);
	vuser_trace_free(t);
}

/* ---- Bytes ------------------------------------------------------------------------ */

static void whole_messages_are_kept_while_there_is_room(void **state)
{
	static const size_t sizes[] = { 16, 63, 64, 65, 66, 1000, 65536 };
	struct vuser_trace *t = vuser_trace_new(0);
	struct vuser_record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		add(t, i, sizes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_true(vuser_trace_get(t, i, &r));
		assert_int_equal(r.kept, sizes[i]);
		assert_holds(&r, i, sizes[i]);
	}
	vuser_trace_free(t);
}

static void a_very_long_message_is_kept_up_to_64_kib(void **state)
{
	struct vuser_trace *t = vuser_trace_new(0);
	struct vuser_record r;

	(void)state;
	add(t, 1, 65537);
	add(t, 2, 3 << 20);
	for (size_t i = 0; i < 2; i++) {
		assert_true(vuser_trace_get(t, i, &r));
		assert_int_equal(r.kept, 65536);
		assert_holds(&r, i + 1, i ? 3 << 20 : 65537);
	}
	vuser_trace_free(t);
}

static void the_bytes_of_old_messages_go_and_their_heads_stay(void **state)
{
	enum { N = 3000 };
	struct vuser_trace *t = vuser_trace_new(N);
	struct vuser_record r;
	size_t whole = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) /* some 3 MiB */
		add(t, i, 65 + i * 7 % 2000);
	for (size_t i = 0; i < N; i++) {
		assert_true(vuser_trace_get(t, i, &r));
		assert_holds(&r, i, 65 + i * 7 % 2000);
		if (r.kept == HEAD) {
			assert_int_equal(whole, 0); /* the old ones go first */
			continue;
		}
		assert_int_equal(r.kept, r.size);
		whole++;
	}
	assert_in_range(whole, 500, N - 500);
	vuser_trace_free(t);
}

static void short_messages_are_kept_whatever_passes(void **state)
{
	struct vuser_trace *t = vuser_trace_new(0);
	struct vuser_record r;

	(void)state;
	add(t, 1, HEAD);
	for (size_t i = 0; i < 40; i++)
		add(t, 2, 65536);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_int_equal(r.kept, HEAD);
	assert_holds(&r, 1, HEAD);
	vuser_trace_free(t);
}

static void a_message_in_two_pieces_is_kept_in_one(void **state)
{
	static const size_t heads[] = { 16, 24, 63, 64, 65, 100 };
	struct vuser_trace *t = vuser_trace_new(0);
	struct bytes b = bytes_room(100);
	struct vuser_record r;

	(void)state;
	draw_bytes(b.p, b.len);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct trace_message m = { .dir = VUSER_C2S,
					   .head = b.p,
					   .head_len = heads[i],
					   .data = b.p + heads[i],
					   .data_len = b.len - heads[i],
					   .size = b.len,
					   .now = clock_now() };

		trace_message(t, &m);
		assert_true(vuser_trace_get(t, i, &r));
		assert_int_equal(r.kept, b.len);
		assert_memory_equal(r.bytes, b.p, b.len);
	}
	vuser_trace_free(t);
	bytes_free(b);
}

static void of_a_message_whose_bytes_were_dropped_the_size_is_kept(void **state)
{
	struct bytes b = message_hex(VUSER_CMD_REGION_WRITE, 0, "0000000000000000");
	struct vuser_trace *t = vuser_trace_new(0);
	struct trace_message m = { .head = b.p, .head_len = b.len, .size = 5000000 };
	struct vuser_record r;

	(void)state;
	trace_message(t, &m);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_int_equal(r.size, 5000000);
	assert_int_equal(r.kept, b.len);
	vuser_trace_free(t);
	bytes_free(b);
}

static void less_than_a_header_is_kept_too(void **state)
{
	struct vuser_trace *t = vuser_trace_new(0);
	struct vuser_record r;

	(void)state;
	vuser_trace_add(t, VUSER_C2S, "", 0, 0, 0);
	vuser_trace_add(t, VUSER_C2S, "abc", 3, 1, 0);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_int_equal(r.kept, 0);
	assert_true(vuser_trace_get(t, 1, &r));
	assert_int_equal(r.kept, 3);
	assert_memory_equal(r.bytes, "abc", 3);
	vuser_trace_free(t);
}

/* ---- The sink --------------------------------------------------------------------- */

struct heard {
	size_t n, bytes;
	uint64_t last;
	bool in_order, damaged;
};

static void hear(void *arg, const struct vuser_record *r)
{
	struct heard *h = arg;

	h->in_order = (!h->n || r->number == h->last + 1) && (h->in_order || !h->n);
	h->last = r->number;
	h->n++;
	h->bytes += r->kept;
	h->damaged = h->damaged || r->kept != r->size;
	for (size_t i = VUSER_HEADER_SIZE; i < r->kept; i++)
		h->damaged = h->damaged || r->bytes[i] != r->bytes[0];
}

static void the_sink_sees_each_message_whole(void **state)
{
	struct vuser_trace *t = vuser_trace_new(2);
	struct heard h = { 0 };

	(void)state;
	add(t, 1, 100);
	vuser_trace_sink(t, hear, &h);
	for (uint64_t n = 2; n <= 5; n++)
		add(t, n, n == 4 ? 1 << 20 : 100); /* above what the ring keeps of one */
	assert_int_equal(h.n, 4);
	assert_int_equal(h.bytes, 300 + (1 << 20));
	assert_false(h.damaged);
	assert_int_equal(h.last, 5);
	assert_true(h.in_order);
	vuser_trace_sink(t, NULL, NULL);
	add(t, 6, 100);
	assert_int_equal(h.n, 4);
	vuser_trace_free(t);
}

static void the_sink_sees_all_while_the_ring_is_off(void **state)
{
	struct vuser_trace *t = vuser_trace_new(2);
	struct heard h = { 0 };
	struct vuser_record r;

	(void)state;
	vuser_trace_sink(t, hear, &h);
	vuser_trace_switch(t, false);
	assert_true(trace_wants(t));
	for (uint64_t n = 1; n <= 3; n++)
		add(t, n, 100);
	vuser_trace_switch(t, true);
	add(t, 4, 100);
	assert_int_equal(h.n, 4);
	assert_true(h.in_order); /* each has a number of its own */
	assert_int_equal(h.last, 4);
	assert_int_equal(vuser_trace_count(t), 1);
	assert_true(vuser_trace_get(t, 0, &r));
	assert_int_equal(r.number, 4); /* the same in both */
	vuser_trace_free(t);
}

static void the_sink_sees_two_pieces_as_one(void **state)
{
	struct vuser_trace *t = vuser_trace_new(2);
	struct bytes b = bytes_room(300);
	struct trace_message m = { .head = b.p,
				   .head_len = 20,
				   .data = b.p + 20,
				   .data_len = 280,
				   .size = 300 };
	struct heard h = { 0 };

	(void)state;
	memset(b.p, 7, b.len);
	vuser_trace_sink(t, hear, &h);
	trace_message(t, &m);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.bytes, 300);
	assert_false(h.damaged);
	vuser_trace_free(t);
	bytes_free(b);
}

/* ---- Threads ---------------------------------------------------------------------- */

#define ADDERS 4

struct crowd {
	struct vuser_trace *t;
	size_t each, failed;
	atomic_bool stop;
};

static void *add_many(void *arg)
{
	struct crowd *c = arg;
	uint8_t msg[100] = { 0 };

	for (size_t i = 0; i < c->each; i++)
		vuser_trace_add(c->t, VUSER_C2S, msg, sizeof(msg), 0, 0);
	return NULL;
}

static void *disturb(void *arg)
{
	struct crowd *c = arg;

	for (size_t i = 1; !c->stop; i++) {
		c->failed += vuser_trace_resize(c->t, 1 + i % 50, NULL) != 0;
		vuser_trace_switch(c->t, i % 4 != 0);
		(void)vuser_trace_is_on(c->t);
		vuser_trace_clear(c->t);
	}
	return NULL;
}

static void run_crowd(struct crowd *c, bool disturbed)
{
	pthread_t adders[ADDERS], other;

	for (size_t i = 0; i < ADDERS; i++)
		assert_int_equal(pthread_create(&adders[i], NULL, add_many, c), 0);
	if (disturbed)
		assert_int_equal(pthread_create(&other, NULL, disturb, c), 0);
	for (size_t i = 0; i < ADDERS; i++)
		pthread_join(adders[i], NULL);
	c->stop = true;
	if (disturbed)
		pthread_join(other, NULL);
	assert_int_equal(c->failed, 0);
}

static void threads_lose_no_message(void **state)
{
	struct crowd c = { .t = vuser_trace_new(100), .each = 2000 };
	struct vuser_record r;
	struct heard h = { 0 };

	(void)state;
	vuser_trace_sink(c.t, hear, &h);
	run_crowd(&c, false);
	assert_int_equal(h.n, ADDERS * c.each);
	assert_true(h.in_order && !h.damaged);
	assert_int_equal(vuser_trace_count(c.t), 100);
	for (size_t i = 0; i < 100; i++) {
		assert_true(vuser_trace_get(c.t, i, &r));
		assert_int_equal(r.number, h.n - 100 + 1 + i);
		assert_int_equal(r.kept, 100);
	}
	vuser_trace_free(c.t);
}

static void threads_may_resize_clear_and_switch_meanwhile(void **state)
{
	struct crowd c = { .t = vuser_trace_new(100), .each = 2000 };
	struct heard h = { 0 };
	struct vuser_record r;

	(void)state;
	vuser_trace_sink(c.t, hear, &h);
	run_crowd(&c, true);
	assert_int_equal(h.n, ADDERS * c.each);
	assert_true(h.in_order && !h.damaged);
	vuser_trace_switch(c.t, true);
	assert_int_equal(vuser_trace_resize(c.t, 3, NULL), 0);
	for (uint64_t n = 0; n < 5; n++)
		add(c.t, n, 80);
	assert_int_equal(vuser_trace_count(c.t), 3);
	assert_true(vuser_trace_get(c.t, 2, &r));
	assert_holds(&r, 4, 80);
	vuser_trace_free(c.t);
}

/* ---- How a record is shown -------------------------------------------------------- */

enum face { LINE, DUMP, JSON };

/* What is written of a record; free() it. */
static char *shown(const struct vuser_record *r, enum face face)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	if (face == LINE)
		vuser_record_line(out, r, 1000000000);
	else if (face == DUMP)
		vuser_record_dump(out, r, 1000000000);
	else
		vuser_record_json(out, r);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(len, strlen(text));
	return text;
}

/* The record of a message 1.5 s after the start, with all of its bytes. */
static struct vuser_record record_of(struct bytes b, enum vuser_dir dir)
{
	return (struct vuser_record){ .number = 7,
				      .time = 2500000000,
				      .dir = dir,
				      .size = b.len,
				      .bytes = b.p,
				      .kept = b.len };
}

static void assert_shown(const struct vuser_record *r, enum face face, const char *want)
{
	char *text = shown(r, face);

	assert_string_equal(text, want);
	free(text);
}

static void a_line_tells_what_matters_of_a_message(void **state)
{
	static const struct {
		unsigned command;
		uint32_t flags;
		enum vuser_dir dir;
		const char *payload, *line;
	} rows[] = {
		{ VUSER_CMD_VERSION, 0, VUSER_C2S, "0000 0200 7b7d00",
		  "    1.500000  c2s  VERSION                        #1        23"
		  " major=0 minor=2\n" },
		{ VUSER_CMD_DMA_MAP, 0, VUSER_C2S,
		  "20000000 03000000 0010000000000000 0000008000000000 0000200000000000",
		  "    1.500000  c2s  DMA_MAP                        #1        48"
		  " flags=read|write address=0x80000000 size=0x200000\n" },
		{ VUSER_CMD_DEVICE_RESET, 1, VUSER_S2C, "",
		  "    1.500000  s2c  DEVICE_RESET reply             #1        16\n" },
		/* Few bytes are shown, many are not. */
		{ VUSER_CMD_REGION_READ, 1, VUSER_S2C,
		  "0400000000000000 07000000 04000000 11223344",
		  "    1.500000  s2c  REGION_READ reply              #1        36"
		  " offset=0x4 region=config count=4 data=11223344\n" },
		{ VUSER_CMD_REGION_READ, 1, VUSER_S2C,
		  "0400000000000000 07000000 09000000 112233445566778899",
		  "    1.500000  s2c  REGION_READ reply              #1        41"
		  " offset=0x4 region=config count=9\n" },
		{ VUSER_CMD_REGION_WRITE, 0x10, VUSER_C2S,
		  "0400000000000000 00000000 01000000 5a",
		  "    1.500000  c2s  REGION_WRITE (no reply)        #1        33"
		  " offset=0x4 region=bar0 count=1 data=5a\n" },
		/* Of an array the first entry's few bytes. */
		{ VUSER_CMD_REGION_WRITE_MULTI, 0, VUSER_C2S,
		  "0200000000000000 1000000000000000 00000000 04000000 1122334400000000"
		  "2000000000000000 06000000 08000000 0102030405060708",
		  "    1.500000  c2s  REGION_WRITE_MULTI             #1        72"
		  " wr_cnt=2 data=1122334400000000\n" },
		{ 14, 0, VUSER_C2S, "11223344",
		  "    1.500000  c2s  command 14                     #1        20\n" },
		{ VUSER_CMD_DEVICE_RESET, 2, VUSER_C2S, "",
		  "    1.500000  c2s  DEVICE_RESET (bad type)        #1        16\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b =
			message_hex(rows[i].command, rows[i].flags, rows[i].payload);
		struct vuser_record r = record_of(b, rows[i].dir);

		assert_shown(&r, LINE, rows[i].line);
		bytes_free(b);
	}
}

static void a_line_names_the_error_of_a_reply(void **state)
{
	static const struct {
		uint8_t err;
		const char *line;
	} rows[] = {
		{ 22, "    1.500000  s2c  DMA_MAP error                  #1        16"
		      "  EINVAL (Invalid argument)\n" },
		{ 0, "    1.500000  s2c  DMA_MAP error                  #1        16"
		     "  errno 0 (none given)\n" },
		{ 255, "    1.500000  s2c  DMA_MAP error                  #1        16"
		       "  E? (unknown error)\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b = message_hex(VUSER_CMD_DMA_MAP, 0x21, "");
		struct vuser_record r = record_of(b, VUSER_S2C);

		b.p[12] = rows[i].err;
		assert_shown(&r, LINE, rows[i].line);
		bytes_free(b);
	}
}

static void a_line_tells_latency_and_descriptors(void **state)
{
	static const struct {
		uint64_t latency;
		unsigned nfds;
		const char *end;
	} rows[] = {
		{ 0, 0, "16\n" },
		{ 1, 0, "16  0.0 us\n" },
		{ 12345, 1, "16 +1 fd  12.3 us\n" },
		{ 999900, 2, "16 +2 fds  999.9 us\n" },
		{ 1500000, 0, "16  1.500 ms\n" },
		{ 999999000, 16, "16 +16 fds  999.999 ms\n" },
		{ 61250000000, 0, "16  61.250 s\n" },
	};
	struct bytes b = message_hex(VUSER_CMD_DEVICE_RESET, 1, "");
	struct vuser_record r = record_of(b, VUSER_S2C);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text;

		r.latency = rows[i].latency;
		r.nfds = rows[i].nfds;
		text = shown(&r, LINE);
		assert_true(strlen(text) > strlen(rows[i].end));
		assert_string_equal(text + strlen(text) - strlen(rows[i].end),
				    rows[i].end);
		free(text);
	}
	bytes_free(b);
}

static void a_line_says_when_there_is_no_whole_header(void **state)
{
	struct bytes b = bytes_hex("0700 0d00 100000");
	struct vuser_record r = record_of(b, VUSER_C2S);

	(void)state;
	assert_shown(&r, LINE,
		     "    1.500000  c2s  command 0                      #0         7"
		     "  (no whole header)\n");
	bytes_free(b);
}

static void a_time_before_the_start_is_negative(void **state)
{
	struct bytes b = message_hex(VUSER_CMD_DEVICE_RESET, 0, "");
	struct vuser_record r = record_of(b, VUSER_C2S);
	char *text;

	(void)state;
	r.time = 500000000;
	text = shown(&r, LINE);
	assert_memory_equal(text, "   -0.500000  c2s", 17);
	free(text);
	bytes_free(b);
}

static void a_dump_has_each_field_beside_its_bytes(void **state)
{
	struct bytes b =
		message_hex(VUSER_CMD_VERSION, 1, "0000 0100 7b0a 1b5b 32 7f e9 7d00");
	struct vuser_record r = record_of(b, VUSER_S2C);

	(void)state;
	assert_shown(&r, DUMP,
		     "    1.500000  s2c  VERSION reply                  #1        29"
		     " major=0 minor=1\n"
		     "    000000  01 00                    id               1\n"
		     "    000002  01 00                    command          VERSION\n"
		     "    000004  1d 00 00 00              size             29\n"
		     "    000008  01 00 00 00              flags            reply\n"
		     "    00000c  00 00 00 00              error            0\n"
		     "    000010  00 00                    major            0\n"
		     "    000012  01 00                    minor            1\n"
		     "    000014                           capabilities: 9 bytes\n"
		     "    000014  7b 0a 1b 5b 32 7f e9 7d 00                       "
		     "|{..[2..}.|\n");
	bytes_free(b);
}

static void a_dump_says_what_is_not_kept_and_not_explained(void **state)
{
	struct bytes b = message_hex(VUSER_CMD_REGION_WRITE, 0,
				     "0400000000000000 07000000 40000000"
				     "000102030405060708090a0b0c0d0e0f 1011");
	struct vuser_record r = record_of(b, VUSER_C2S);
	struct bytes unknown = message_hex(14, 0, "112233445566778899");
	char *text;

	(void)state;
	b.p[4] = 96; /* size */
	r.size = 96;
	text = shown(&r, DUMP);
	assert_non_null(
		strstr(text, "data: 64 bytes\n"
			     "    000020  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
			     "  |................|\n"
			     "    000030  10 11                                          "
			     "  |..|\n"
			     "            (46 more are not kept)\n"));
	free(text);
	r = record_of(unknown, VUSER_C2S);
	text = shown(&r, DUMP);
	assert_non_null(strstr(text, "payload: 9 bytes, not explained\n"));
	free(text);
	bytes_free(b);
	bytes_free(unknown);
}

static void json_is_one_object_on_one_line(void **state)
{
	static const struct {
		unsigned command;
		uint32_t flags;
		uint8_t err;
		const char *payload, *json;
	} rows[] = {
		{ VUSER_CMD_REGION_READ, 1, 0,
		  "0400000000000000 07000000 04000000 11223344",
		  "{\"number\":7,\"time\":2.500000000,\"direction\":\"c2s\",\"type\":\"reply\","
		  "\"id\":1,\"command\":\"REGION_READ\",\"flags\":\"0x1\",\"size\":36,\"fds\":2,"
		  "\"latency_ns\":1500,\"fields\":{\"offset\":\"0x4\",\"region\":7,\"count\":4,"
		  "\"data\":\"11223344\"},\"bytes\":\"0100090024000000010000000000000004000000"
		  "00000000070000000400000011223344\"}\n" },
		{ VUSER_CMD_DMA_MAP, 0x21, 22, "",
		  "{\"number\":7,\"time\":2.500000000,\"direction\":\"c2s\",\"type\":\"reply\","
		  "\"id\":1,\"command\":\"DMA_MAP\",\"flags\":\"0x21\",\"errno\":\"EINVAL\","
		  "\"error\":22,\"size\":16,\"fds\":2,\"latency_ns\":1500,\"fields\":{},"
		  "\"bytes\":\"01000200100000002100000016000000\"}\n" },
		{ VUSER_CMD_VERSION, 0, 0, "0000 0200 7b225c0a1bc37d00",
		  "{\"number\":7,\"time\":2.500000000,\"direction\":\"c2s\",\"type\":\"command\","
		  "\"id\":1,\"command\":\"VERSION\",\"flags\":\"0x0\",\"size\":28,\"fds\":2,"
		  "\"latency_ns\":1500,\"fields\":{\"major\":0,\"minor\":2,\"capabilities\":"
		  "\"{\\\"\\\\\\u000a\\u001b\\u00c3}\"},"
		  "\"bytes\":\"010001001c0000000000000000000000000002007b225c0a1bc37d00\"}\n" },
		{ 14, 2, 0, "11",
		  "{\"number\":7,\"time\":2.500000000,\"direction\":\"c2s\",\"type\":\"bad\","
		  "\"id\":1,\"command\":14,\"flags\":\"0x2\",\"size\":17,\"fds\":2,"
		  "\"latency_ns\":1500,\"fields\":{\"payload\":\"11\"},"
		  "\"bytes\":\"01000e0011000000020000000000000011\"}\n" },
		/* A number no double holds. */
		{ VUSER_CMD_REGION_WRITE_MULTI, 1, 0, "0100000000002000",
		  "{\"number\":7,\"time\":2.500000000,\"direction\":\"c2s\",\"type\":\"reply\","
		  "\"id\":1,\"command\":\"REGION_WRITE_MULTI\",\"flags\":\"0x1\",\"size\":24,"
		  "\"fds\":2,\"latency_ns\":1500,\"fields\":{\"wr_cnt\":\"0x20000000000001\"},"
		  "\"bytes\":\"01000f0018000000010000000000000001000000"
		  "00002000\"}\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b =
			message_hex(rows[i].command, rows[i].flags, rows[i].payload);
		struct vuser_record r = record_of(b, VUSER_C2S);

		r.latency = 1500;
		r.nfds = 2;
		b.p[12] = rows[i].err;
		assert_shown(&r, JSON, rows[i].json);
		bytes_free(b);
	}
}

/* Printable characters and newlines, one at the end. */
static void assert_lines(const char *text)
{
	size_t len = strlen(text);

	assert_true(len > 0 && text[len - 1] == '\n');
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\n')
			assert_in_range((unsigned char)text[i], 0x20, 0x7e);
}

static void assert_good_json(const char *text, const struct vuser_record *r)
{
	cJSON *root = cJSON_ParseWithOpts(text, NULL, false), *fields, *bytes;
	struct bytes b;

	if (!root)
		fail_msg("not JSON: %s", text);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_int_equal(cJSON_GetObjectItem(root, "size")->valuedouble, r->size);
	bytes = cJSON_GetObjectItem(root, "bytes");
	assert_true(cJSON_IsString(bytes));
	b = bytes_hex(bytes->valuestring);
	assert_int_equal(b.len, r->kept);
	if (b.len)
		assert_memory_equal(b.p, r->bytes, b.len);
	bytes_free(b);
	fields = cJSON_GetObjectItem(root, "fields");
	assert_true(cJSON_IsObject(fields));
	/* A name that came twice would hide a value. */
	for (cJSON *one = fields->child; one; one = one->next)
		for (cJSON *other = one->next; other; other = other->next)
			if (strcmp(one->string, other->string) == 0)
				fail_msg("%s is there twice: %s", one->string, text);
	cJSON_Delete(root);
}

static void assert_shown_well(const struct vuser_record *r)
{
	char *text = shown(r, LINE);

	assert_lines(text);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
	text = shown(r, DUMP);
	assert_lines(text);
	free(text);
	text = shown(r, JSON);
	assert_lines(text);
	assert_good_json(text, r);
	free(text);
}

static void whatever_chance_makes_is_shown_without_control_characters(void **state)
{
	(void)state;
	for (size_t i = rounds(50000); i--;) {
		struct bytes b = draw_message();
		struct vuser_record r = { .number = draw(),
					  .time = draw(),
					  .latency = draw_below(2) ? draw() : 0,
					  .dir = draw_below(2) ? VUSER_C2S : VUSER_S2C,
					  .nfds = draw_word(),
					  .size = b.len +
						  draw_below(2) * draw_below(1 << 20),
					  .bytes = b.p,
					  .kept = b.len };

		assert_shown_well(&r);
		bytes_free(b);
	}
}

static void captured_messages_are_shown_whole_and_cut(void **state)
{
	size_t n;

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(capture_files); f++) {
		struct captured *all = capture_read(capture_files[f], &n);

		for (size_t i = 0; i < n; i++) {
			size_t step = HAS_ASAN ? 1 + all[i].msg.len / 40 : 50;

			for (size_t kept = all[i].msg.len % step; kept <= all[i].msg.len;
			     kept += step) {
				struct bytes b = bytes_copy(all[i].msg.p, kept);
				struct vuser_record r = record_of(b, all[i].dir);

				r.size = all[i].msg.len;
				assert_shown_well(&r);
				bytes_free(b);
			}
		}
		capture_free(all, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_kept_as_it_was),
		cmocka_unit_test(the_ring_keeps_the_youngest_in_order),
		cmocka_unit_test(a_ring_of_no_length_has_the_default_one),
		cmocka_unit_test(a_cleared_trace_is_empty_and_counts_on),
		cmocka_unit_test(a_resized_trace_is_empty_and_has_the_new_length),
		cmocka_unit_test(
			a_length_beyond_all_memory_is_refused_and_changes_nothing),
		cmocka_unit_test(a_trace_that_is_off_keeps_nothing_and_forgets_nothing),
		cmocka_unit_test(whole_messages_are_kept_while_there_is_room),
		cmocka_unit_test(a_very_long_message_is_kept_up_to_64_kib),
		cmocka_unit_test(the_bytes_of_old_messages_go_and_their_heads_stay),
		cmocka_unit_test(short_messages_are_kept_whatever_passes),
		cmocka_unit_test(a_message_in_two_pieces_is_kept_in_one),
		cmocka_unit_test(of_a_message_whose_bytes_were_dropped_the_size_is_kept),
		cmocka_unit_test(less_than_a_header_is_kept_too),
		cmocka_unit_test(the_sink_sees_each_message_whole),
		cmocka_unit_test(the_sink_sees_all_while_the_ring_is_off),
		cmocka_unit_test(the_sink_sees_two_pieces_as_one),
		cmocka_unit_test(threads_lose_no_message),
		cmocka_unit_test(threads_may_resize_clear_and_switch_meanwhile),
		cmocka_unit_test(a_line_tells_what_matters_of_a_message),
		cmocka_unit_test(a_line_names_the_error_of_a_reply),
		cmocka_unit_test(a_line_tells_latency_and_descriptors),
		cmocka_unit_test(a_line_says_when_there_is_no_whole_header),
		cmocka_unit_test(a_time_before_the_start_is_negative),
		cmocka_unit_test(a_dump_has_each_field_beside_its_bytes),
		cmocka_unit_test(a_dump_says_what_is_not_kept_and_not_explained),
		cmocka_unit_test(json_is_one_object_on_one_line),
		cmocka_unit_test(
			whatever_chance_makes_is_shown_without_control_characters),
		cmocka_unit_test(captured_messages_are_shown_whole_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
