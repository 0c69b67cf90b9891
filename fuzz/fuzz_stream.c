// SPDX-License-Identifier: BSD-3-Clause
/* The reader: the same bytes and descriptors, cut in several ways, against a plain model.
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "inputs.h"
#include "reader_small.h"

const char fuzz_harness[] = "stream";

/* ---- The model: the stream looked at as a whole -------------------------------- */

#define HEADER	 16u
#define FIRST_FD 1000 /* the descriptors are numbers only: the reader does no I/O */

struct message {
	size_t at, size;
	bool dropped;
	int first_fd; /* and those that follow: they come in order */
	size_t nfds;
};

struct model {
	const struct stream_input *in;
	struct message *messages;
	size_t n, room;
	bool bad;	/* it ends with a header that cannot be trusted */
	size_t rest_at; /* where the last, incomplete or bad message begins */
};

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Gives each descriptor to the message that holds the last byte of its piece. */
static void model_fds(struct model *m)
{
	size_t end = 0, k = 0;
	int fd = FIRST_FD;

	for (size_t i = 0; i < m->in->npieces; i++) {
		const struct stream_piece *piece = &m->in->pieces[i];

		end += piece->len;
		while (k < m->n && m->messages[k].at + m->messages[k].size < end)
			k++;
		if (k < m->n && !m->messages[k].nfds)
			m->messages[k].first_fd = fd;
		if (k < m->n)
			m->messages[k].nfds += piece->nfds;
		fd += (int)piece->nfds;
	}
}

static void add_message(struct model *m, struct message message)
{
	if (m->n == m->room) {
		m->room = m->room ? 2 * m->room : 16;
		m->messages = realloc(m->messages, m->room * sizeof(*m->messages));
		if (!m->messages)
			exit(1);
	}
	m->messages[m->n++] = message;
}

static void model_run(struct model *m, const struct stream_input *in)
{
	size_t at = 0;

	*m = (struct model){ .in = in };
	while (in->len - at >= HEADER) {
		uint32_t size = u32_at(in->bytes + at + 4),
			 type = u32_at(in->bytes + at + 8) & 15;

		m->bad = size < HEADER || type > 1;
		if (m->bad || size > in->len - at)
			break;
		add_message(m, (struct message){ at, size, size > in->limit, 0, 0 });
		at += size;
	}
	m->rest_at = at;
	model_fds(m);
}

/* ---- One way of cutting -------------------------------------------------------- */

enum cut { AS_SENT, JOINED, BYTES, RANDOM, CUTS };

static const char *const cut_names[CUTS] = { "as sent", "joined", "bytes", "random" };

struct run {
	const struct model *m;
	enum cut cut;
	struct reader r;
	size_t fed, seen; /* bytes given, messages got */
	int next_fd;	  /* the next to be sent */
	size_t fds_back;  /* given back by the reader, in whatever way */
	unsigned seed;
	bool dead;
	/* More came than are held: what was refused depends on how the stream was cut. */
	bool lost;
	size_t lost_at[STREAM_MAX_PIECES + 1]; /* the last byte of those reads */
	size_t nlost;
};

/* How many bytes the next read may have: left of them up to where it must end. */
static size_t cut_of(struct run *run, size_t left)
{
	bool large = run->m->in->len > 2048;
	size_t n = left;

	run->seed = run->seed * 1103515245u + 12345u;
	if (run->cut == BYTES)
		n = large ? 1009 : 1;
	else if (run->cut == RANDOM)
		n = 1 + (run->seed >> 16) % (large ? 9000 : 40);
	return n < left ? n : left;
}

/* Were descriptors refused that came with a read which ended in that message? */
static bool lost_within(const struct run *run, const struct message *m)
{
	for (size_t i = 0; i < run->nlost; i++)
		if (run->lost_at[i] >= m->at && run->lost_at[i] < m->at + m->size)
			return true;
	return false;
}

static void check_message(struct run *run, const struct reader_message *got)
{
	const struct message *want = &run->m->messages[run->seen];
	const uint8_t *bytes = run->m->in->bytes + want->at;
	const char *cut = cut_names[run->cut];
	size_t kept =
		want->dropped && want->size > READER_HEAD ? READER_HEAD : want->size;

	FUZZ_REQUIRE(run->seen < run->m->n, "messages", "%s: one too many", cut);
	FUZZ_REQUIRE(want->at + want->size <= run->fed, "messages",
		     "%s: message %zu is there before its last byte", cut, run->seen);
	FUZZ_REQUIRE(got->h.size == want->size && got->dropped == want->dropped,
		     "messages", "%s: message %zu of %zu bytes%s came as %u%s", cut,
		     run->seen, want->size, want->dropped ? " (to be dropped)" : "",
		     got->h.size, got->dropped ? " (dropped)" : "");
	FUZZ_REQUIRE(got->len == kept && memcmp(got->bytes, bytes, kept) == 0, "bytes",
		     "%s: message %zu has other bytes", cut, run->seen);
	FUZZ_REQUIRE(got->fds_lost == lost_within(run, want), "owners",
		     "%s: message %zu says that descriptors are %slost", cut, run->seen,
		     got->fds_lost ? "" : "not ");
	FUZZ_REQUIRE(run->lost || got->nfds == want->nfds, "owners",
		     "%s: message %zu has %zu descriptors, not %zu", cut, run->seen,
		     got->nfds, want->nfds);
	for (size_t i = 0; i < got->nfds && !run->lost; i++)
		FUZZ_REQUIRE(got->fds[i] == want->first_fd + (int)i, "owners",
			     "%s: message %zu has descriptor %d", cut, run->seen,
			     got->fds[i]);
	run->fds_back += got->nfds;
	run->seen++;
}

static void check_end(struct run *run, int ret, const struct reader_message *got,
		      const struct vuser_error *e)
{
	const struct model *m = run->m;
	const char *cut = cut_names[run->cut];
	uint32_t size = u32_at(m->in->bytes + m->rest_at + 4);
	size_t at = size < HEADER ? 4 : 8;
	struct reader_message more = { 0 };

	FUZZ_REQUIRE(m->bad && run->seen == m->n, "messages",
		     "%s: %d after message %zu: %s", cut, ret, run->seen, e->text);
	FUZZ_REQUIRE(ret == VUSER_E_PROTOCOL, "errors", "%s: a bad header gave %d", cut,
		     ret);
	fuzz_check_error(e, ret, HEADER);
	FUZZ_REQUIRE(e->offset == at, "offsets",
		     "%s: the fault is at %zu, said to be at %zu", cut, at, e->offset);
	FUZZ_REQUIRE(got->len >= HEADER &&
			     memcmp(got->bytes, m->in->bytes + m->rest_at, HEADER) == 0,
		     "bytes", "%s: the bad header has other bytes", cut);
	ret = reader_next(&run->r, &more, NULL);
	FUZZ_REQUIRE(ret == VUSER_E_PROTOCOL, "errors",
		     "%s: it goes on after a bad header: %d", cut, ret);
	run->dead = true;
}

/* Memory: within the limit and one read, and with what came, not with what was promised.
 */
static void check_memory(const struct run *run)
{
	FUZZ_REQUIRE(run->r.cap <= run->m->in->limit + READER_ROOM &&
			     run->r.cap <= 2 * run->fed + 2 * READER_ROOM,
		     "memory", "%zu bytes are held, %zu came, the limit is %llu",
		     run->r.cap, run->fed, (unsigned long long)run->m->in->limit);
}

static void feed(struct run *run, size_t n, unsigned nfds)
{
	int fds[STREAM_FDS + 1];
	void *space;
	size_t room, taken;
	int ret = reader_space(&run->r, &space, &room, NULL);

	FUZZ_REQUIRE(run->r.end || run->r.cap <= READER_IDLE, "memory",
		     "%zu bytes are kept for nothing", run->r.cap);
	FUZZ_REQUIRE(ret == 0 && room >= n, "memory", "no room for %zu bytes: %d, %zu", n,
		     ret, room);
	memcpy(space, run->m->in->bytes + run->fed, n);
	/* What lies behind must not matter. */
	memset((uint8_t *)space + n, 0xa5, room - n < 64 ? room - n : 64);
	run->fed += n;
	for (unsigned i = 0; i < nfds; i++)
		fds[i] = run->next_fd++;
	taken = reader_filled(&run->r, 0, fds, nfds);
	FUZZ_REQUIRE(taken == 0, "owners", "%zu descriptors came with no byte", taken);
	taken = reader_filled(&run->r, n, fds, nfds);
	FUZZ_REQUIRE(taken <= nfds, "owners", "%zu of %u descriptors were taken", taken,
		     nfds);
	FUZZ_REQUIRE(taken == nfds || run->r.nfds == VUSER_MAX_FDS_HELD, "owners",
		     "%zu of %u descriptors were taken, %zu are held", taken, nfds,
		     run->r.nfds);
	if (taken < nfds) {
		run->lost = true;
		run->lost_at[run->nlost++] = run->fed - 1;
	}
	run->fds_back += nfds - taken;
	check_memory(run);
}

static void drain(struct run *run)
{
	struct reader_message m;
	struct vuser_error e;
	int ret;

	for (;;) {
		memset(&m, 0, sizeof(m));
		ret = reader_next(&run->r, &m, &e);
		if (ret != 1)
			break;
		check_message(run, &m);
	}
	if (ret)
		check_end(run, ret, &m, &e);
}

/* Reads up to a place where the kernel ends a read, its descriptors with the last of
 * them. */
static void read_up_to(struct run *run, size_t end, unsigned nfds)
{
	while (run->fed < end && !run->dead) {
		size_t n = cut_of(run, end - run->fed);

		if (n > READER_ROOM / 2)
			n = READER_ROOM / 2;
		feed(run, n, run->fed + n == end ? nfds : 0);
		drain(run);
	}
}

static void check_rest(struct run *run)
{
	const struct model *m = run->m;
	size_t have = m->in->len - m->rest_at, partial;
	uint64_t size;

	FUZZ_REQUIRE(run->seen == m->n, "messages", "%s: %zu messages, not %zu",
		     cut_names[run->cut], run->seen, m->n);
	FUZZ_REQUIRE(run->dead == m->bad, "errors", "%s: a bad header was not seen",
		     cut_names[run->cut]);
	if (run->dead)
		return;
	partial = reader_partial(&run->r, &size);
	FUZZ_REQUIRE(partial == have, "rest", "%s: %zu bytes are left over, not %zu",
		     cut_names[run->cut], partial, have);
	FUZZ_REQUIRE(size == (have < HEADER ? 0 : u32_at(m->in->bytes + m->rest_at + 4)),
		     "rest", "%s: the message begun has %llu bytes", cut_names[run->cut],
		     (unsigned long long)size);
}

static void run_cut(const struct model *m, enum cut cut)
{
	struct run run = {
		.m = m, .cut = cut, .next_fd = FIRST_FD, .seed = (unsigned)m->n
	};
	int left[VUSER_MAX_FDS_HELD];
	size_t nleft, end = 0;

	reader_init(&run.r, m->in->limit);
	for (size_t i = 0; i < m->in->npieces && !run.dead; i++) {
		const struct stream_piece *piece = &m->in->pieces[i];

		end += piece->len;
		if (cut != JOINED || piece->nfds || i + 1 == m->in->npieces)
			read_up_to(&run, end, piece->nfds);
	}
	check_rest(&run);
	reader_free(&run.r, left, &nleft);
	run.fds_back += nleft;
	FUZZ_REQUIRE((int)run.fds_back == run.next_fd - FIRST_FD, "descriptors",
		     "%s: %d came in, %zu came out", cut_names[cut],
		     run.next_fd - FIRST_FD, run.fds_back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream_input in;
	struct model m;

	stream_input_read(data, size, &in);
	model_run(&m, &in);
	for (int cut = 0; cut < CUTS; cut++)
		run_cut(&m, (enum cut)cut);
	free(m.messages);
	free(in.bytes);
	return 0;
}

void fuzz_describe(FILE *out, const uint8_t *data, size_t size)
{
	struct stream_input in;
	struct model m;

	stream_input_read(data, size, &in);
	model_run(&m, &in);
	fprintf(out, "a stream of %zu bytes, limit %llu\npieces:", in.len,
		(unsigned long long)in.limit);
	for (size_t i = 0; i < in.npieces; i++) {
		fprintf(out, " %zu", in.pieces[i].len);
		if (in.pieces[i].nfds)
			fprintf(out, "+%u fds", in.pieces[i].nfds);
	}
	fputc('\n', out);
	for (size_t i = 0; i < m.n; i++) {
		struct vuser_record r = { .number = i + 1,
					  .nfds = (unsigned)m.messages[i].nfds,
					  .size = m.messages[i].size,
					  .bytes = in.bytes + m.messages[i].at,
					  .kept = m.messages[i].size };

		if (r.kept > 256)
			r.kept = 256;
		vuser_record_dump(out, &r, 0);
	}
	if (m.rest_at < in.len)
		fprintf(out, "then %zu bytes of %s\n", in.len - m.rest_at,
			m.bad ? "a message with a bad header" : "an incomplete message");
	free(m.messages);
	free(in.bytes);
}
