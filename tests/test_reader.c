/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/reader.c: bytes and descriptors in, whole messages out, however they were
 * cut. */
#include "reader.h"
#include "traffic.h"

#define LIMIT 4096

/* ---- A stream, and what comes out of it ------------------------------------------- */

/*
 * A stream and the descriptors in it: those of a batch come with the read whose last byte
 * is at last. The reader never touches a descriptor, so that any numbers do.
 */
struct batch {
	size_t last, nfds;
	int first;
};

struct stream {
	struct bytes b;
	struct batch batches[16];
	size_t nbatches;
};

struct seen {
	struct vuser_header h;
	uint8_t bytes[300];
	size_t len, nfds;
	bool dropped, fds_lost;
	int fds[VUSER_MAX_FDS_HELD];
};

/* All that a reader said of a stream. */
struct outcome {
	size_t n;
	int ended; /* what reader_next() returned last: 0 or VUSER_E_PROTOCOL */
	struct vuser_error e;
	size_t partial;
	uint64_t partial_size;
	int left[VUSER_MAX_FDS_HELD]; /* fds that belonged to no message yet */
	size_t nleft, refused;	      /* fds not taken */
	size_t most;		      /* memory at any time */
	struct seen messages[160];    /* n of them */
};

static void drain(struct reader *r, struct outcome *o)
{
	struct reader_message m;

	while (!o->ended) {
		struct seen *s = &o->messages[o->n];
		int ret;

		memset(&m, 0xa5, sizeof(m));
		ret = reader_next(r, &m, &o->e);
		if (ret <= 0) {
			o->ended = ret;
			return;
		}
		assert_true(o->n++ < ARRAY_SIZE(o->messages));
		assert_true(m.len <= sizeof(s->bytes));
		s->h = m.h;
		s->len = m.len;
		s->nfds = m.nfds;
		s->dropped = m.dropped;
		s->fds_lost = m.fds_lost;
		memcpy(s->bytes, m.bytes, m.len);
		memcpy(s->fds, m.fds, m.nfds * sizeof(int));
	}
}

/* One read of n bytes, in as many as the reader has room for; fds come with the last. */
static void read_bytes(struct reader *r, const uint8_t *p, size_t n,
		       const struct batch *batch, struct outcome *o)
{
	int fds[128];
	size_t nfds = batch ? batch->nfds : 0;

	for (size_t i = 0; i < nfds; i++)
		fds[i] = batch->first + (int)i;
	while (n) {
		size_t room, part, taken;
		void *at;

		assert_int_equal(reader_space(r, &at, &room, &o->e), 0);
		assert_true(room > 0);
		part = n < room ? n : room;
		memcpy(at, p, part);
		p += part;
		n -= part;
		taken = reader_filled(r, part, fds, n ? 0 : nfds);
		if (!n)
			o->refused += nfds - taken;
		if (r->cap > o->most)
			o->most = r->cap;
		drain(r, o);
	}
}

/* Reads the stream in pieces that end at cuts (in order) and wherever descriptors are. */
static void run(const struct stream *s, uint64_t limit, const size_t *cuts, size_t ncuts,
		struct outcome *o)
{
	struct reader r;
	size_t at = 0, batch = 0, cut = 0;

	memset(o, 0, offsetof(struct outcome, messages));
	reader_init(&r, limit);
	while (at < s->b.len) {
		const struct batch *b = batch < s->nbatches ? &s->batches[batch] : NULL;
		size_t end = s->b.len;

		while (cut < ncuts && cuts[cut] <= at)
			cut++;
		if (cut < ncuts)
			end = cuts[cut];
		if (b && b->last + 1 <= end) {
			end = b->last + 1;
			batch++;
		} else {
			b = NULL;
		}
		read_bytes(&r, s->b.p + at, end - at, b, o);
		at = end;
	}
	o->partial = reader_partial(&r, &o->partial_size);
	reader_free(&r, o->left, &o->nleft);
}

static void assert_same_seen(const struct seen *a, const struct seen *b)
{
	assert_memory_equal(&a->h, &b->h, sizeof(a->h));
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->bytes, b->bytes, a->len);
	assert_int_equal(a->dropped, b->dropped);
	assert_int_equal(a->fds_lost, b->fds_lost);
	assert_int_equal(a->nfds, b->nfds);
	assert_memory_equal(a->fds, b->fds, a->nfds * sizeof(int));
}

static void assert_same_outcome(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_same_seen(&a->messages[i], &b->messages[i]);
	assert_int_equal(a->ended, b->ended);
	if (a->ended) {
		assert_string_equal(a->e.text, b->e.text);
		assert_int_equal(a->e.offset, b->e.offset);
	} else {
		assert_int_equal(a->partial, b->partial);
		assert_int_equal(a->partial_size, b->partial_size);
		assert_int_equal(a->nleft, b->nleft);
		assert_memory_equal(a->left, b->left, a->nleft * sizeof(int));
	}
}

static struct outcome whole, pieces; /* too large for the stack */

/* Cut once at every place, twice at every two places, at every byte: always the same. */
static void assert_any_split_is_the_same(const struct stream *s, uint64_t limit)
{
	size_t *every = calloc(s->b.len, sizeof(*every)), cuts[2];

	assert_non_null(every);
	run(s, limit, NULL, 0, &whole);
	for (cuts[0] = 1; cuts[0] < s->b.len; cuts[0]++) {
		run(s, limit, cuts, 1, &pieces);
		assert_same_outcome(&whole, &pieces);
		every[cuts[0] - 1] = cuts[0];
		for (cuts[1] = cuts[0] + 1; cuts[1] < s->b.len; cuts[1] += 3) {
			run(s, limit, cuts, 2, &pieces);
			assert_same_outcome(&whole, &pieces);
		}
	}
	run(s, limit, every, s->b.len - 1, &pieces);
	assert_same_outcome(&whole, &pieces);
	free(every);
}

static struct stream stream_hex(const char *hex)
{
	return (struct stream){ .b = bytes_hex(hex) };
}

/* DEVICE_RESET, DEVICE_GET_INFO's reply, REGION_READ's reply of 2 bytes: 16, 32, 34
 * bytes. */
#define RESET "0100 0d00 10000000 00000000 00000000 "
#define INFO  "0200 0400 20000000 01000000 00000000 10000000 03000000 09000000 05000000 "
#define READ_TWO \
	"0300 0900 22000000 01000000 00000000 0400000000000000 07000000 02000000 1122 "
#define BAD_SIZE "0400 0400 0f000000 01000000 00000000 "
#define BAD_TYPE "0400 0400 10000000 02000000 00000000 "
#define SIZE_100 "0500 0a00 64000000 00000000 00000000 " /* and 84 more */
#define EIGHTY_FOUR                                                        \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f" \
	"404142434445464748494a4b4c4d4e4f50515253 "

/* ---- Messages --------------------------------------------------------------------- */

static void messages_come_out_whole_and_in_order(void **state)
{
	struct stream s = stream_hex(RESET INFO READ_TWO);

	(void)state;
	run(&s, LIMIT, NULL, 0, &whole);
	assert_int_equal(whole.n, 3);
	assert_int_equal(whole.messages[0].h.command, VUSER_CMD_DEVICE_RESET);
	assert_int_equal(whole.messages[0].len, 16);
	assert_int_equal(whole.messages[1].h.id, 2);
	assert_int_equal(whole.messages[1].len, 32);
	assert_memory_equal(whole.messages[1].bytes, s.b.p + 16, 32);
	assert_int_equal(whole.messages[2].h.size, 34);
	assert_memory_equal(whole.messages[2].bytes, s.b.p + 48, 34);
	for (size_t i = 0; i < whole.n; i++) {
		assert_false(whole.messages[i].dropped);
		assert_false(whole.messages[i].fds_lost);
		assert_int_equal(whole.messages[i].nfds, 0);
	}
	assert_int_equal(whole.ended, 0);
	assert_int_equal(whole.partial, 0);
	bytes_free(s.b);
}

static void any_split_gives_the_same_messages(void **state)
{
	struct stream s = stream_hex(RESET INFO READ_TWO RESET);

	(void)state;
	assert_any_split_is_the_same(&s, LIMIT);
	assert_int_equal(whole.n, 4);
	bytes_free(s.b);
}

static void a_message_of_exactly_the_limit_is_kept(void **state)
{
	struct stream s = stream_hex(RESET SIZE_100 EIGHTY_FOUR RESET);

	(void)state;
	run(&s, 100, NULL, 0, &whole);
	assert_int_equal(whole.n, 3);
	assert_false(whole.messages[1].dropped);
	assert_int_equal(whole.messages[1].len, 100);
	bytes_free(s.b);
}

static void what_has_begun_is_told_with_the_size_it_will_have(void **state)
{
	static const struct {
		size_t bytes;
		uint64_t limit;
		size_t partial;
		uint64_t size;
	} rows[] = {
		{ 0, LIMIT, 0, 0 },
		{ 1, LIMIT, 1, 0 },
		{ 15, LIMIT, 15, 0 },
		{ 16, LIMIT, 16, 100 },
		{ 99, LIMIT, 99, 100 },
		{ 100, LIMIT, 0, 0 },
		{ 101, LIMIT, 1, 0 },
		{ 116, LIMIT, 0, 0 },
		/* Above the limit: the same, though the bytes are dropped. */
		{ 15, 99, 15, 0 },
		{ 16, 99, 16, 100 },
		{ 70, 99, 70, 100 },
		{ 99, 99, 99, 100 },
		{ 100, 99, 0, 0 },
		{ 105, 99, 5, 0 },
	};
	struct stream s = stream_hex(SIZE_100 EIGHTY_FOUR RESET), part;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		part = (struct stream){ .b = bytes_copy(s.b.p, rows[i].bytes) };
		run(&part, rows[i].limit, NULL, 0, &whole);
		assert_int_equal(whole.partial, rows[i].partial);
		assert_int_equal(whole.partial_size, rows[i].size);
		bytes_free(part.b);
	}
	bytes_free(s.b);
}

/* ---- Messages above the limit ----------------------------------------------------- */

static void a_message_above_the_limit_is_dropped_and_the_next_one_found(void **state)
{
	struct stream s = stream_hex(RESET SIZE_100 EIGHTY_FOUR READ_TWO);

	(void)state;
	run(&s, 99, NULL, 0, &whole);
	assert_int_equal(whole.n, 3);
	assert_true(whole.messages[1].dropped);
	assert_int_equal(whole.messages[1].h.id, 5);
	assert_int_equal(whole.messages[1].h.size, 100);
	assert_int_equal(whole.messages[1].len, READER_HEAD);
	assert_memory_equal(whole.messages[1].bytes, s.b.p + 16, READER_HEAD);
	assert_false(whole.messages[2].dropped);
	assert_memory_equal(whole.messages[2].bytes, s.b.p + 116, 34);
	assert_any_split_is_the_same(&s, 99);
	bytes_free(s.b);
}

static void a_dropped_message_of_few_bytes_is_kept_as_it_is(void **state)
{
	struct stream s = stream_hex(INFO RESET);

	(void)state;
	run(&s, 31, NULL, 0, &whole);
	assert_int_equal(whole.n, 2);
	assert_true(whole.messages[0].dropped);
	assert_int_equal(whole.messages[0].len, 32);
	assert_memory_equal(whole.messages[0].bytes, s.b.p, 32);
	assert_false(whole.messages[1].dropped);
	assert_any_split_is_the_same(&s, 31);
	bytes_free(s.b);
}

static void two_dropped_messages_do_not_mix(void **state)
{
	struct stream s = stream_hex(SIZE_100 EIGHTY_FOUR INFO RESET);

	(void)state;
	run(&s, 20, NULL, 0, &whole);
	assert_int_equal(whole.n, 3);
	assert_memory_equal(whole.messages[0].bytes, s.b.p, READER_HEAD);
	assert_int_equal(whole.messages[1].len, 32);
	assert_memory_equal(whole.messages[1].bytes, s.b.p + 100, 32);
	assert_any_split_is_the_same(&s, 20);
	bytes_free(s.b);
}

static void a_message_of_4_gigabytes_is_dropped_without_room_for_it(void **state)
{
	/* size 2^32-1, of which a megabyte comes */
	struct bytes head = bytes_hex("0100 0a00 ffffffff 00000000 00000000");
	struct stream s = { .b = bytes_room(1 << 20) };

	(void)state;
	memset(s.b.p, 0x11, s.b.len);
	memcpy(s.b.p, head.p, head.len);
	run(&s, LIMIT, NULL, 0, &whole);
	assert_int_equal(whole.n, 0);
	assert_int_equal(whole.partial, 1 << 20);
	assert_int_equal(whole.partial_size, UINT32_MAX);
	assert_true(whole.most <= 2 * READER_ROOM);
	bytes_free(head);
	bytes_free(s.b);
}

/* ---- A header that cannot be trusted ---------------------------------------------- */

static void after_a_bad_header_nothing_is_believed(void **state)
{
	static const struct {
		const char *hex;
		size_t offset;
		const char *field;
	} rows[] = {
		{ RESET INFO BAD_SIZE READ_TWO, 4, "size" },
		{ RESET INFO BAD_TYPE READ_TWO, 8, "flags" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream s = stream_hex(rows[i].hex);

		run(&s, LIMIT, NULL, 0, &whole);
		assert_int_equal(whole.n, 2); /* what came before is good */
		assert_int_equal(whole.ended, VUSER_E_PROTOCOL);
		assert_int_equal(whole.e.offset, rows[i].offset);
		assert_string_equal(whole.e.field, rows[i].field);
		assert_any_split_is_the_same(&s, LIMIT);
		bytes_free(s.b);
	}
}

static void the_bad_header_is_shown_and_the_reader_stays_dead(void **state)
{
	struct bytes b = bytes_hex(BAD_TYPE EIGHTY_FOUR);
	struct reader_message m;
	struct vuser_error e;
	struct reader r;
	size_t room, nfds;
	int fds[VUSER_MAX_FDS_HELD];
	void *at;

	(void)state;
	reader_init(&r, LIMIT);
	assert_int_equal(reader_space(&r, &at, &room, &e), 0);
	memcpy(at, b.p, b.len);
	assert_int_equal(reader_filled(&r, b.len, NULL, 0), 0);
	assert_int_equal(reader_next(&r, &m, &e), VUSER_E_PROTOCOL);
	assert_string_equal(e.field, "flags");
	assert_int_equal(m.h.flags, 2);
	assert_int_equal(m.len, READER_HEAD);
	assert_memory_equal(m.bytes, b.p, m.len);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(reader_next(&r, &m, &e), VUSER_E_PROTOCOL);
		assert_string_equal(e.text, "the stream cannot be trusted any more");
	}
	reader_free(&r, fds, &nfds);
	assert_int_equal(nfds, 0);
	bytes_free(b);
}

/* ---- Descriptors ------------------------------------------------------------------ */

static void a_descriptor_belongs_to_the_message_of_the_last_byte_it_came_with(
	void **state)
{
	/* The stream is messages of 16, 32 and 34 bytes: 0-15, 16-47, 48-81. */
	static const struct {
		size_t last;
		size_t owner; /* index of the message */
	} rows[] = {
		{ 0, 0 },  { 7, 0 },  { 15, 0 }, { 16, 1 }, { 30, 1 },
		{ 47, 1 }, { 48, 2 }, { 63, 2 }, { 81, 2 },
	};
	struct stream s = stream_hex(RESET INFO READ_TWO);

	(void)state;
	s.nbatches = 1;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		s.batches[0] = (struct batch){ rows[i].last, 2, 100 };
		run(&s, LIMIT, NULL, 0, &whole);
		assert_int_equal(whole.n, 3);
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(whole.messages[k].nfds,
					 k == rows[i].owner ? 2 : 0);
		assert_int_equal(whole.messages[rows[i].owner].fds[0], 100);
		assert_int_equal(whole.messages[rows[i].owner].fds[1], 101);
		assert_any_split_is_the_same(&s, LIMIT);
	}
	bytes_free(s.b);
}

static void descriptors_of_one_message_keep_their_order(void **state)
{
	struct stream s = stream_hex(RESET INFO READ_TWO);

	(void)state;
	s.nbatches = 5;
	s.batches[0] = (struct batch){ 3, 1, 10 };
	s.batches[1] = (struct batch){ 20, 1, 20 };
	s.batches[2] = (struct batch){ 21, 2, 30 };
	s.batches[3] = (struct batch){ 47, 1, 40 };
	s.batches[4] = (struct batch){ 81, 1, 50 };
	run(&s, LIMIT, NULL, 0, &whole);
	assert_int_equal(whole.messages[0].nfds, 1);
	assert_int_equal(whole.messages[0].fds[0], 10);
	assert_int_equal(whole.messages[1].nfds, 4);
	assert_int_equal(whole.messages[1].fds[0], 20);
	assert_int_equal(whole.messages[1].fds[1], 30);
	assert_int_equal(whole.messages[1].fds[2], 31);
	assert_int_equal(whole.messages[1].fds[3], 40);
	assert_int_equal(whole.messages[2].fds[0], 50);
	assert_int_equal(whole.nleft, 0);
	assert_any_split_is_the_same(&s, LIMIT);
	bytes_free(s.b);
}

static void descriptors_of_a_dropped_message_are_handed_out_with_it(void **state)
{
	struct stream s = stream_hex(RESET SIZE_100 EIGHTY_FOUR RESET);

	(void)state;
	s.nbatches = 3;
	s.batches[0] = (struct batch){ 40, 1, 10 };
	s.batches[1] = (struct batch){ 115, 2, 20 };
	s.batches[2] = (struct batch){ 116, 1, 30 };
	run(&s, 99, NULL, 0, &whole);
	assert_int_equal(whole.messages[0].nfds, 0);
	assert_true(whole.messages[1].dropped);
	assert_int_equal(whole.messages[1].nfds, 3);
	assert_int_equal(whole.messages[1].fds[2], 21);
	assert_int_equal(whole.messages[2].nfds, 1);
	assert_any_split_is_the_same(&s, 99);
	bytes_free(s.b);
}

static void descriptors_of_a_message_that_never_ended_are_left(void **state)
{
	static const char *const rows[] = {
		RESET SIZE_100 "1122",	   /* its end is missing */
		RESET BAD_SIZE "11223344", /* it cannot be trusted */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream s = stream_hex(rows[i]);

		s.nbatches = 2;
		s.batches[0] = (struct batch){ 15, 1, 10 };
		s.batches[1] = (struct batch){ 33, 2, 20 };
		run(&s, LIMIT, NULL, 0, &whole);
		assert_int_equal(whole.n, 1);
		assert_int_equal(whole.messages[0].nfds, 1);
		assert_int_equal(whole.nleft, 2);
		assert_int_equal(whole.left[0], 20);
		assert_int_equal(whole.left[1], 21);
		bytes_free(s.b);
	}
}

static void no_more_descriptors_are_held_than_the_limit(void **state)
{
	struct stream s = stream_hex(RESET INFO READ_TWO);

	(void)state;
	s.nbatches = 2;
	s.batches[0] = (struct batch){ 20, VUSER_MAX_FDS_HELD - 1, 100 };
	s.batches[1] = (struct batch){ 47, 3, 500 };
	run(&s, LIMIT, NULL, 0, &whole);
	assert_int_equal(whole.n, 3);
	assert_int_equal(whole.refused, 2);
	assert_false(whole.messages[0].fds_lost);
	assert_true(whole.messages[1].fds_lost);
	assert_int_equal(whole.messages[1].nfds, VUSER_MAX_FDS_HELD);
	assert_int_equal(whole.messages[1].fds[VUSER_MAX_FDS_HELD - 1], 500);
	assert_false(whole.messages[2].fds_lost); /* said once */
	assert_any_split_is_the_same(&s, LIMIT);
	bytes_free(s.b);
}

static void the_loss_is_told_of_the_message_that_had_the_descriptors(void **state)
{
	struct stream s = stream_hex(RESET INFO READ_TWO);

	(void)state;
	/* One read holds the end of the second message, too: it lost none. */
	s.nbatches = 1;
	s.batches[0] = (struct batch){ 81, VUSER_MAX_FDS_HELD + 1, 100 };
	run(&s, LIMIT, NULL, 0, &whole);
	assert_int_equal(whole.refused, 1);
	assert_false(whole.messages[0].fds_lost);
	assert_false(whole.messages[1].fds_lost);
	assert_true(whole.messages[2].fds_lost);
	assert_any_split_is_the_same(&s, LIMIT);
	/* The read ends with the first byte of the second message. */
	s.batches[0].last = 16;
	run(&s, LIMIT, NULL, 0, &whole);
	assert_false(whole.messages[0].fds_lost);
	assert_true(whole.messages[1].fds_lost);
	assert_false(whole.messages[2].fds_lost);
	/* Two messages lose some. */
	s.nbatches = 3;
	s.batches[0] = (struct batch){ 20, VUSER_MAX_FDS_HELD, 100 };
	s.batches[1] = (struct batch){ 40, 1, 500 };
	s.batches[2] = (struct batch){ 60, 1, 600 };
	run(&s, LIMIT, NULL, 0, &whole);
	assert_int_equal(whole.refused, 2);
	assert_false(whole.messages[0].fds_lost);
	assert_true(whole.messages[1].fds_lost);
	assert_true(whole.messages[2].fds_lost);
	bytes_free(s.b);
}

static void descriptors_without_bytes_are_not_taken(void **state)
{
	int fds[2] = { 7, 8 }, left[VUSER_MAX_FDS_HELD];
	struct vuser_error e;
	struct reader r;
	size_t room, nleft;
	void *at;

	(void)state;
	reader_init(&r, LIMIT);
	assert_int_equal(reader_space(&r, &at, &room, &e), 0);
	assert_int_equal(reader_filled(&r, 0, fds, 2), 0);
	reader_free(&r, left, &nleft);
	assert_int_equal(nleft, 0);
}

/* ---- Memory ----------------------------------------------------------------------- */

static void a_reader_that_read_nothing_holds_nothing(void **state)
{
	struct reader_message m;
	struct vuser_error e;
	struct reader r;
	uint64_t size;
	size_t nfds;
	int fds[VUSER_MAX_FDS_HELD];

	(void)state;
	reader_init(&r, LIMIT);
	assert_int_equal(reader_next(&r, &m, &e), 0);
	assert_int_equal(reader_partial(&r, &size), 0);
	assert_int_equal(size, 0);
	reader_free(&r, fds, &nfds);
	assert_int_equal(nfds, 0);
	reader_free(&r, fds, &nfds); /* again is fine */
	assert_int_equal(nfds, 0);
}

/* A message of size bytes by itself. */
static struct stream one_message(uint32_t size)
{
	struct stream s = { .b = bytes_room(size) };
	struct vuser_header h = { .command = VUSER_CMD_REGION_WRITE, .size = size };

	memset(s.b.p, 0, size);
	vuser_header_encode(&h, s.b.p);
	return s;
}

static void memory_stays_within_the_limit_and_one_read(void **state)
{
	static const uint32_t sizes[] = { 16, 65536, 200000, 1048576 + 80, 5000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stream s = one_message(sizes[i]);
		struct bytes last = bytes_copy(s.b.p + s.b.len - 1, 1);

		s.b.len--; /* all but the last byte, so that drain() need not keep it */
		run(&s, sizes[i], NULL, 0, &whole);
		assert_int_equal(whole.partial, sizes[i] - 1);
		assert_true(whole.most <= sizes[i] + READER_ROOM);
		/* One byte less is allowed: the same bytes are dropped as they come. */
		run(&s, sizes[i] - 1, NULL, 0, &whole);
		assert_int_equal(whole.partial, sizes[i] - 1);
		assert_true(whole.most <= 2 * READER_ROOM);
		bytes_free(last);
		bytes_free(s.b);
	}
}

static void room_grows_with_what_has_come_not_with_what_is_promised(void **state)
{
	struct stream s = one_message(60000000);

	(void)state;
	s.b.len = 70000;
	run(&s, 64 << 20, NULL, 0, &whole);
	assert_int_equal(whole.partial, 70000);
	assert_true(whole.most <= 4 * READER_ROOM);
	bytes_free(s.b);
}

static void a_large_buffer_is_given_back_when_it_is_empty(void **state)
{
	struct stream s = one_message(3 << 20);
	int fds[VUSER_MAX_FDS_HELD];
	struct reader_message m;
	struct vuser_error e;
	struct reader r;
	size_t room, nfds, at = 0;
	void *p;

	(void)state;
	reader_init(&r, s.b.len);
	while (at < s.b.len) {
		assert_int_equal(reader_space(&r, &p, &room, &e), 0);
		room = room < s.b.len - at ? room : s.b.len - at;
		memcpy(p, s.b.p + at, room);
		at += room;
		assert_int_equal(reader_filled(&r, room, NULL, 0), 0);
		assert_int_equal(reader_next(&r, &m, &e), at == s.b.len);
	}
	assert_int_equal(m.len, s.b.len);
	assert_memory_equal(m.bytes, s.b.p, s.b.len); /* until the next reader_space() */
	assert_true(r.cap > READER_IDLE);
	assert_int_equal(reader_space(&r, &p, &room, &e), 0);
	assert_true(r.cap <= READER_IDLE);
	assert_true(room >= READER_ROOM / 2);
	reader_free(&r, fds, &nfds);
	bytes_free(s.b);
}

/* ---- Chance, and real traffic ----------------------------------------------------- */

/* Some messages, some above the limit, at times a bad header; descriptors anywhere. */
static struct stream draw_stream(uint64_t limit)
{
	struct stream s = { .b = bytes_room(0) };
	size_t n = 1 + draw_below(8), at;

	for (size_t i = 0; i < n; i++) {
		struct vuser_header h = { .id = (uint16_t)i,
					  .command = (uint16_t)draw_below(20),
					  .flags = (uint32_t)draw_below(2),
					  .size = (uint32_t)(16 + draw_below(80)) };
		struct bytes more;

		if (!draw_below(6))
			h.size = (uint32_t)(limit + 1 + draw_below(120));
		if (!draw_below(20))
			h.flags = 2;
		more = bytes_room(s.b.len + (h.size < 250 ? h.size : 250));
		memset(more.p, (int)i, more.len);
		memcpy(more.p, s.b.p, s.b.len);
		vuser_header_encode(&h, more.p + s.b.len);
		bytes_free(s.b);
		s.b = more;
	}
	for (at = draw_below(100); at < s.b.len && s.nbatches < ARRAY_SIZE(s.batches);
	     at += 1 + draw_below(60))
		s.batches[s.nbatches++] =
			(struct batch){ at, 1 + draw_below(3), 100 * (int)s.nbatches };
	return s;
}

static size_t draw_cuts(size_t len, size_t *cuts, size_t most)
{
	size_t n = 0, step = 1 + draw_below(len + 1);

	for (size_t at = 1 + draw_below(step); at < len && n < most;
	     at += 1 + draw_below(step))
		cuts[n++] = at;
	return n;
}

static void whatever_chance_cuts_is_the_same(void **state)
{
	size_t cuts[200];

	(void)state;
	for (size_t i = rounds(5000); i--;) {
		uint64_t limit = 60 + draw_below(60);
		struct stream s = draw_stream(limit);

		run(&s, limit, NULL, 0, &whole);
		for (int k = 0; k < 8; k++) {
			run(&s, limit, cuts, draw_cuts(s.b.len, cuts, ARRAY_SIZE(cuts)),
			    &pieces);
			assert_same_outcome(&whole, &pieces);
		}
		bytes_free(s.b);
	}
}

static void noise_never_gets_past_the_header(void **state)
{
	(void)state;
	for (size_t i = rounds(20000); i--;) {
		struct stream s = { .b = bytes_room(draw_below(200)) };
		size_t cuts[8];

		draw_bytes(s.b.p, s.b.len);
		if (s.b.len > 8 && draw() % 2)
			s.b.p[8] = 0;
		run(&s, LIMIT, cuts, draw_cuts(s.b.len, cuts, ARRAY_SIZE(cuts)), &whole);
		assert_true(whole.n < 2 || whole.ended == 0);
		bytes_free(s.b);
	}
}

/* One direction of a capture as a stream; descriptors come with their message's last
 * byte. */
static struct stream captured_stream(const struct captured *all, size_t n,
				     enum vuser_dir dir, size_t first, size_t *messages)
{
	struct stream s = { .b = bytes_room(0) };

	*messages = 0;
	for (size_t i = first; i < n && *messages < 120; i++) {
		struct bytes more;

		if (all[i].dir != dir || all[i].msg.len > 290)
			continue;
		if (all[i].nfds && s.nbatches == ARRAY_SIZE(s.batches))
			break;
		more = bytes_room(s.b.len + all[i].msg.len);
		memcpy(more.p, s.b.p, s.b.len);
		memcpy(more.p + s.b.len, all[i].msg.p, all[i].msg.len);
		bytes_free(s.b);
		s.b = more;
		if (all[i].nfds)
			s.batches[s.nbatches++] =
				(struct batch){ s.b.len - 1, all[i].nfds,
						100 * (int)s.nbatches };
		++*messages;
	}
	return s;
}

static void captured_streams_come_out_as_they_went_in(void **state)
{
	size_t n, messages, cuts[200];

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(capture_files); f++) {
		struct captured *all = capture_read(capture_files[f], &n);

		for (int dir = VUSER_C2S; dir <= VUSER_S2C; dir++) {
			struct stream s = captured_stream(all, n, dir, 0, &messages);
			size_t at = 0, nfds = 0;

			run(&s, LIMIT, NULL, 0, &whole);
			assert_int_equal(whole.n, messages);
			for (size_t i = 0; i < whole.n; i++) {
				assert_memory_equal(whole.messages[i].bytes, s.b.p + at,
						    whole.messages[i].len);
				at += whole.messages[i].len;
				nfds += whole.messages[i].nfds;
			}
			assert_int_equal(at, s.b.len);
			assert_int_equal(nfds,
					 s.nbatches); /* one each, in these captures */
			for (cuts[0] = 1; cuts[0] < s.b.len;
			     cuts[0] += HAS_ASAN ? 1 : 97) {
				run(&s, LIMIT, cuts, 1, &pieces);
				assert_same_outcome(&whole, &pieces);
			}
			for (size_t k = rounds(500); k--;) {
				run(&s, LIMIT, cuts,
				    draw_cuts(s.b.len, cuts, ARRAY_SIZE(cuts)), &pieces);
				assert_same_outcome(&whole, &pieces);
			}
			bytes_free(s.b);
		}
		capture_free(all, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_out_whole_and_in_order),
		cmocka_unit_test(any_split_gives_the_same_messages),
		cmocka_unit_test(a_message_of_exactly_the_limit_is_kept),
		cmocka_unit_test(what_has_begun_is_told_with_the_size_it_will_have),
		cmocka_unit_test(
			a_message_above_the_limit_is_dropped_and_the_next_one_found),
		cmocka_unit_test(a_dropped_message_of_few_bytes_is_kept_as_it_is),
		cmocka_unit_test(two_dropped_messages_do_not_mix),
		cmocka_unit_test(a_message_of_4_gigabytes_is_dropped_without_room_for_it),
		cmocka_unit_test(after_a_bad_header_nothing_is_believed),
		cmocka_unit_test(the_bad_header_is_shown_and_the_reader_stays_dead),
		cmocka_unit_test(
			a_descriptor_belongs_to_the_message_of_the_last_byte_it_came_with),
		cmocka_unit_test(descriptors_of_one_message_keep_their_order),
		cmocka_unit_test(descriptors_of_a_dropped_message_are_handed_out_with_it),
		cmocka_unit_test(descriptors_of_a_message_that_never_ended_are_left),
		cmocka_unit_test(no_more_descriptors_are_held_than_the_limit),
		cmocka_unit_test(
			the_loss_is_told_of_the_message_that_had_the_descriptors),
		cmocka_unit_test(descriptors_without_bytes_are_not_taken),
		cmocka_unit_test(a_reader_that_read_nothing_holds_nothing),
		cmocka_unit_test(memory_stays_within_the_limit_and_one_read),
		cmocka_unit_test(room_grows_with_what_has_come_not_with_what_is_promised),
		cmocka_unit_test(a_large_buffer_is_given_back_when_it_is_empty),
		cmocka_unit_test(whatever_chance_cuts_is_the_same),
		cmocka_unit_test(noise_never_gets_past_the_header),
		cmocka_unit_test(captured_streams_come_out_as_they_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
