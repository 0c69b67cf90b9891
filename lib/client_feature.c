/* SPDX-License-Identifier: BSD-3-Clause */
/* Typed calls about device features: any of them, and the logging of DMA writes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cursor.h"
#include "error.h"
#include "feature.h"

/* Where a feature's data begins in a message. */
#define DATA_AT (VUSER_HEADER_SIZE + FEATURE_HEAD)

/* A command's data, and where the reply's goes. */
struct question {
	uint32_t flags;
	const void *data;
	size_t len;
	void *head; /* the first head_len bytes of the reply's data */
	size_t head_len;
	void *out; /* what follows them */
	size_t cap;
	size_t got; /* of the reply's data, head and all */
	uint32_t argsz;
};

static uint32_t argsz_of(const struct question *q)
{
	size_t room = q->head_len + q->cap;

	return FEATURE_HEAD + (uint32_t)(q->len > room ? q->len : room);
}

/* The reply must be about the feature that was asked for. */
static int check_head(struct vuser_client *c, struct vuser_exchange *x,
		      struct question *q, struct vuser_error *e)
{
	struct cursor head = cursor_at(x->head, x->head_len);
	uint32_t flags;

	q->argsz = cursor_u32(&head);
	flags = cursor_u32(&head);
	if (head.failed)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE + x->head_len, "flags", e,
					"the reply ends after %zu bytes",
					VUSER_HEADER_SIZE + x->head_len);
	if ((flags ^ q->flags) & VUSER_FEATURE_MASK)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE + 4, "flags", e,
					"the reply is about feature %u, asked was for %u",
					flags & VUSER_FEATURE_MASK,
					q->flags & VUSER_FEATURE_MASK);
	q->got = x->head_len - FEATURE_HEAD + x->tail_len;
	memcpy(q->head, x->head + FEATURE_HEAD, x->head_len - FEATURE_HEAD);
	return 0;
}

/*
 * Asks. The exchange is returned for what is to be said about its reply, and must be
 * released when 0 is returned.
 */
static int ask(struct vuser_client *c, struct question *q, struct vuser_exchange **out,
	       struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_FEATURE };
	struct vuser_exchange *x;
	int r;

	if (q->len > UINT32_MAX - DATA_AT || q->cap > UINT32_MAX - DATA_AT - q->head_len)
		return error_set(e, VUSER_E_USAGE, EMSGSIZE,
				 "a feature's data does not fit into a message");
	p.u.feature.argsz = argsz_of(q);
	p.u.feature.flags = q->flags;
	p.tail = q->data;
	p.tail_len = q->len;
	x = client_build(c, &p, e);
	if (!x)
		return client_not_built(e);
	x->split = FEATURE_HEAD + q->head_len;
	x->tail = q->out;
	x->tail_cap = q->cap;
	client_make_room(c, p.u.feature.argsz);
	r = proxy_call(c->proxy, x, e);
	if (r)
		return r;
	r = check_head(c, x, q, e);
	if (r)
		proxy_release(c->proxy, x);
	else
		*out = x;
	return r;
}

int vuser_feature(struct vuser_client *c, uint32_t flags, const void *data, size_t len,
		  void *out, size_t cap, size_t *out_len, struct vuser_error *e)
{
	struct question q = { .flags = flags, .data = data, .len = len, .cap = cap };
	struct vuser_exchange *x = NULL;
	uint8_t nothing[1], *echo = NULL;
	size_t n;
	int r;

	if (len > cap) {
		/* A server repeats what it was given, whether we want it or not. */
		echo = malloc(len);
		if (!echo)
			return error_set(e, VUSER_E_SYSTEM, ENOMEM,
					 "no memory for %zu bytes", len);
		q.cap = len;
	}
	q.head = nothing;
	q.out = echo ? echo : out;
	r = ask(c, &q, &x, e);
	if (r) {
		free(echo);
		return r;
	}
	n = q.got < cap ? q.got : cap;
	if (echo && n)
		memcpy(out, echo, n);
	if (q.argsz > argsz_of(&q))
		n = q.argsz - FEATURE_HEAD;
	else if (flags & VUSER_FEATURE_GET && !(flags & VUSER_FEATURE_PROBE))
		n = q.got;
	if (n > cap)
		r = error_set(e, VUSER_E_USAGE, ENOBUFS,
			      "the feature's data has %zu bytes, there is room for %zu",
			      n, cap);
	if (out_len)
		*out_len = n;
	proxy_release(c->proxy, x);
	free(echo);
	return r;
}

int client_feature(struct vuser_client *c, uint32_t flags, const void *data, size_t len,
		   void *out, size_t want, struct vuser_error *e)
{
	struct question q = {
		.flags = flags, .data = data, .len = len, .head = out, .head_len = want
	};
	bool set = flags & VUSER_FEATURE_SET;
	struct vuser_exchange *x = NULL;
	int r;

	r = ask(c, &q, &x, e);
	if (r)
		return r;
	/* Of what was set nothing is learned: a server may leave it out. */
	if (q.got != want && !(set && q.got == 0))
		r = client_bad_reply(c, x, DATA_AT + q.got, "data", e,
				     "the reply has %zu bytes of the feature's data, "
				     "which has %zu",
				     q.got, want);
	else if (set && q.got && memcmp(out, data, want) != 0)
		r = client_bad_reply(c, x, DATA_AT, "data", e,
				     "the reply does not repeat what was set");
	proxy_release(c->proxy, x);
	return r;
}

/* ---- DMA logging ------------------------------------------------------------------- */

static unsigned long long ull(uint64_t v)
{
	return v;
}

/* Both sides must manage it: the smaller of their page sizes is the smallest there is. */
static int check_page_size(struct vuser_client *c, uint64_t page_size,
			   struct vuser_error *e)
{
	uint64_t least = c->theirs.migration_pgsize;

	if (c->lax)
		return 0;
	if (c->o.caps.migration_pgsize < least)
		least = c->o.caps.migration_pgsize;
	if (!page_size || page_size & (page_size - 1))
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "page size %llu is no power of two", ull(page_size));
	if (page_size < least)
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "page size %llu is below migration.pgsize of %llu",
				 ull(page_size), ull(least));
	return 0;
}

static int check_area(struct vuser_client *c, struct vuser_area a, uint64_t page_size,
		      struct vuser_error *e)
{
	if (c->lax)
		return 0;
	if (!a.size || a.offset + (a.size - 1) < a.offset)
		return error_set(
			e, VUSER_E_USAGE, EINVAL,
			"a range of 0x%llx bytes at 0x%llx is empty or wraps around",
			ull(a.size), ull(a.offset));
	if (a.offset % page_size || a.size % page_size)
		return error_set(
			e, VUSER_E_USAGE, EINVAL,
			"0x%llx bytes at 0x%llx are no whole pages of %llu bytes",
			ull(a.size), ull(a.offset), ull(page_size));
	return 0;
}

static int check_ranges(struct vuser_client *c, uint64_t page_size,
			const struct vuser_area *ranges, size_t n, struct vuser_error *e)
{
	uint64_t most = UINT32_MAX - DATA_AT;
	int r = check_page_size(c, page_size, e);

	if (!c->lax && c->theirs.max_data_xfer_size < most)
		most = c->theirs.max_data_xfer_size;
	if (!r && n &&
	    (most < FEATURE_START_SIZE ||
	     n > (most - FEATURE_START_SIZE) / FEATURE_RANGE_SIZE))
		r = error_set(e, VUSER_E_USAGE, E2BIG,
			      "%zu ranges are more than one message takes", n);
	for (size_t i = 0; !r && i < n; i++)
		r = check_area(c, ranges[i], page_size, e);
	return r;
}

int vuser_dirty_start(struct vuser_client *c, uint64_t page_size,
		      const struct vuser_area *ranges, size_t n, struct vuser_error *e)
{
	int r = check_ranges(c, page_size, ranges, n, e);
	uint8_t *data;
	size_t len;

	if (r)
		return r;
	data = malloc(FEATURE_START_SIZE + n * FEATURE_RANGE_SIZE);
	if (!data)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for %zu ranges",
				 n);
	len = feature_write_start(data, page_size, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		len += feature_write_range(data, i, ranges[i]);
	r = vuser_feature(c, VUSER_FEATURE_DMA_LOGGING_START | VUSER_FEATURE_SET, data,
			  len, NULL, 0, NULL, e);
	free(data);
	return r;
}

int vuser_dirty_stop(struct vuser_client *c, struct vuser_error *e)
{
	return vuser_feature(c, VUSER_FEATURE_DMA_LOGGING_STOP | VUSER_FEATURE_SET, NULL,
			     0, NULL, 0, NULL, e);
}

static int check_report(struct vuser_client *c, const struct feature_report *asked,
			struct vuser_error *e)
{
	size_t most = (UINT32_MAX - DATA_AT - FEATURE_REPORT_SIZE) / FEATURE_WORD_SIZE;
	struct vuser_area a = { asked->iova, asked->length };
	size_t words = vuser_dirty_words(asked->length, asked->page_size);
	int r = check_page_size(c, asked->page_size, e);

	r = r ? r : check_area(c, a, asked->page_size, e);
	if (r)
		return r;
	if (words > most)
		return error_set(e, VUSER_E_USAGE, EMSGSIZE,
				 "a bitmap of %zu words does not fit into a message",
				 words);
	if (!c->lax && words * FEATURE_WORD_SIZE > c->theirs.migration_max_bitmap_size)
		return error_set(
			e, VUSER_E_USAGE, EMSGSIZE,
			"a bitmap of %zu bytes is above migration.max_bitmap_size of "
			"%llu",
			words * FEATURE_WORD_SIZE,
			ull(c->theirs.migration_max_bitmap_size));
	return 0;
}

/* The reply is about what was asked for, its bitmap no word shorter or longer. */
static int check_echo(struct vuser_client *c, struct vuser_exchange *x,
		      const struct question *q, const struct feature_report *asked,
		      struct vuser_error *e)
{
	struct feature_report got;

	if (!feature_read_report(q->head, q->got < q->head_len ? q->got : q->head_len,
				 &got))
		return client_bad_reply(c, x, DATA_AT + q->got, "data", e,
					"the reply ends after %zu bytes of the report",
					q->got);
	if (got.iova != asked->iova)
		return client_bad_reply(
			c, x, DATA_AT, "iova", e,
			"the reply is about address 0x%llx, asked was for 0x%llx",
			ull(got.iova), ull(asked->iova));
	if (got.length != asked->length)
		return client_bad_reply(
			c, x, DATA_AT + 8, "length", e,
			"the reply is about 0x%llx bytes, asked was for 0x%llx",
			ull(got.length), ull(asked->length));
	if (got.page_size != asked->page_size)
		return client_bad_reply(
			c, x, DATA_AT + 16, "page_size", e,
			"the reply is about pages of %llu bytes, asked was for %llu",
			ull(got.page_size), ull(asked->page_size));
	if (q->got != q->head_len + q->cap)
		return client_bad_reply(
			c, x, DATA_AT + q->got, "bitmap", e,
			"the bitmap has %zu bytes where there must be %zu",
			q->got - q->head_len, q->cap);
	return 0;
}

/* Bits behind the last page mean nothing, whatever the server put there. */
static void clear_rest(const struct feature_report *r, uint64_t *bitmap, size_t words)
{
	uint64_t last = r->length && r->page_size ? (r->length - 1) / r->page_size : 0;

	if (words && last % 64 != 63)
		bitmap[words - 1] &= ((uint64_t)1 << (last % 64 + 1)) - 1;
}

int vuser_dirty_report(struct vuser_client *c, uint64_t iova, uint64_t length,
		       uint64_t page_size, uint64_t *bitmap, struct vuser_error *e)
{
	struct feature_report asked = { iova, length, page_size };
	uint8_t data[FEATURE_REPORT_SIZE], head[FEATURE_REPORT_SIZE];
	size_t words = vuser_dirty_words(length, page_size);
	struct question q = { .flags = VUSER_FEATURE_DMA_LOGGING_REPORT |
				       VUSER_FEATURE_GET,
			      .data = data,
			      .head = head,
			      .head_len = sizeof(head),
			      .out = bitmap };
	struct vuser_exchange *x = NULL;
	int r = check_report(c, &asked, e);

	if (r)
		return r;
	q.len = feature_write_report(data, &asked);
	q.cap = words * FEATURE_WORD_SIZE;
	r = ask(c, &q, &x, e);
	if (r)
		return r;
	r = check_echo(c, x, &q, &asked, e);
	if (!r)
		clear_rest(&asked, bitmap, words);
	proxy_release(c->proxy, x);
	return r;
}
