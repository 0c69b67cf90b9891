/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes and fds in, whole messages out; any split. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "reader.h"

void reader_init(struct reader *r, uint64_t limit)
{
	*r = (struct reader){ .limit = limit };
}

void reader_free(struct reader *r, int *fds, size_t *nfds)
{
	*nfds = r->nfds;
	for (size_t i = 0; i < r->nfds; i++)
		fds[i] = r->fds[i].fd;
	free(r->buf);
	*r = (struct reader){ .dead = true };
}

static int resize(struct reader *r, size_t cap, struct vuser_error *e)
{
	uint8_t *p = realloc(r->buf, cap);

	if (!p)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM,
				 "no memory for a message of %zu bytes", cap);
	r->buf = p;
	r->cap = cap;
	return 0;
}

/*
 * Room to grow by: with what has come, never with what a header promises, and not beyond
 * the largest message and one read.
 */
static size_t growth(const struct reader *r, size_t have)
{
	size_t more = have < READER_ROOM ? 2 * READER_ROOM - have : have + READER_ROOM;
	uint64_t lack = r->limit > have ? r->limit - have : 0;

	return more - READER_ROOM > lack ? (size_t)lack + READER_ROOM : more;
}

int reader_space(struct reader *r, void **p, size_t *n, struct vuser_error *e)
{
	size_t have = r->end - r->start;
	int ret;

	if (have && r->start) {
		memmove(r->buf, r->buf + r->start, have);
	} else if (!have && r->cap > READER_IDLE) {
		free(r->buf);
		r->buf = NULL;
		r->cap = 0;
	}
	r->start = 0;
	r->end = have;
	if (r->cap - have < READER_ROOM / 2) {
		ret = resize(r, have + growth(r, have), e);
		if (ret)
			return ret;
	}
	*p = r->buf + have;
	*n = r->cap - have;
	return 0;
}

size_t reader_filled(struct reader *r, size_t n, const int *fds, size_t nfds)
{
	uint64_t last = r->pos + (r->end - r->start) + n - 1;
	size_t taken = 0;

	if (!n)
		return 0;
	r->end += n;
	while (taken < nfds && r->nfds < VUSER_MAX_FDS_HELD)
		r->fds[r->nfds++] = (struct reader_fd){ fds[taken++], last };
	if (taken < nfds) {
		if (!r->fds_lost)
			r->lost_first = last;
		r->lost_last = last;
		r->fds_lost = true;
	}
	return taken;
}

/* Hands the fds that came with bytes before the current position to m. */
static void give_fds(struct reader *r, struct reader_message *m)
{
	size_t n = 0;

	while (n < r->nfds && r->fds[n].last < r->pos) {
		m->fds[n] = r->fds[n].fd;
		n++;
	}
	m->nfds = n;
	r->nfds -= n;
	if (n)
		memmove(r->fds, r->fds + n, r->nfds * sizeof(r->fds[0]));
	m->fds_lost = r->fds_lost && r->lost_first < r->pos;
	if (m->fds_lost) {
		r->lost_first = r->lost_last;
		r->fds_lost = r->lost_last >= r->pos;
	}
}

static void advance(struct reader *r, size_t n)
{
	r->start += n;
	r->pos += n;
}

/* Takes what has come of a message that is too large. Returns 1 once that is all. */
static int drop(struct reader *r, struct reader_message *m)
{
	size_t have = r->end - r->start;
	size_t n = have < r->dropping ? have : (size_t)r->dropping;
	size_t keep = n < READER_HEAD - r->head_len ? n : READER_HEAD - r->head_len;

	memcpy(r->head + r->head_len, r->buf + r->start, keep);
	r->head_len += keep;
	advance(r, n);
	r->dropping -= n;
	if (r->dropping)
		return 0;
	(void)vuser_header_decode(r->head, r->head_len, &m->h, NULL);
	m->bytes = r->head;
	m->len = r->head_len;
	m->dropped = true;
	give_fds(r, m);
	return 1;
}

int reader_next(struct reader *r, struct reader_message *m, struct vuser_error *e)
{
	size_t have = r->end - r->start;
	int ret;

	if (r->dead)
		return error_set(e, VUSER_E_PROTOCOL, 0,
				 "the stream cannot be trusted any more");
	if (r->dropping)
		return have ? drop(r, m) : 0;
	if (have < VUSER_HEADER_SIZE)
		return 0;
	ret = vuser_header_decode(r->buf + r->start, have, &m->h, e);
	if (ret) {
		r->dead = true;
		m->bytes = r->buf + r->start;
		m->len = have < READER_HEAD ? have : READER_HEAD;
		return ret;
	}
	if (m->h.size > r->limit) {
		r->dropping = m->h.size;
		r->head_len = 0;
		return drop(r, m);
	}
	if (have < m->h.size)
		return 0;
	m->bytes = r->buf + r->start;
	m->len = m->h.size;
	m->dropped = false;
	advance(r, m->h.size);
	give_fds(r, m);
	return 1;
}

size_t reader_partial(const struct reader *r, uint64_t *size)
{
	struct vuser_header h;
	size_t have = r->end - r->start;

	*size = 0;
	if (r->dropping) {
		(void)vuser_header_decode(r->head, r->head_len, &h, NULL);
		*size = h.size;
		return h.size - r->dropping;
	}
	if (have >= VUSER_HEADER_SIZE) {
		(void)vuser_header_decode(r->buf + r->start, have, &h, NULL);
		*size = h.size;
	}
	return have;
}
