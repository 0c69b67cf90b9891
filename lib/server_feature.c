/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server answers to DEVICE_FEATURE, and the log of its device's writes. */
#include <errno.h>
#include <string.h>

#include "cursor.h"
#include "feature.h"
#include "server.h"

/* ---- Answers --------------------------------------------------------------------- */

/* A reply with room for len bytes of data at *data; NULL when none is to be sent. */
static struct vuser_exchange *begin_answer(struct request *q, size_t len, uint8_t **data)
{
	struct vuser_payload p = request_answer(q);
	struct vuser_exchange *reply;
	size_t fixed;
	void *out;

	reply = proxy_reply(q->s->proxy, q->x, FEATURE_HEAD + len, &out);
	if (!reply)
		return NULL;
	p.u.feature.argsz = (uint32_t)(FEATURE_HEAD + len);
	(void)payload_encode_fixed(&p, out, FEATURE_HEAD, &fixed, NULL);
	*data = (uint8_t *)out + FEATURE_HEAD;
	return reply;
}

/* Whether argsz has no room for len bytes of data. */
static bool is_short(const struct request *q, size_t len)
{
	return q->p->u.feature.argsz < FEATURE_HEAD + len;
}

/* The first of the two steps: the fixed part, with the argsz that it takes. */
static int answer_size(struct request *q, size_t len)
{
	struct vuser_payload p = request_answer(q);

	p.u.feature.argsz = (uint32_t)(FEATURE_HEAD + len);
	return request_reply(q, &p);
}

int feature_answer(struct request *q, const void *data, size_t len)
{
	struct vuser_exchange *reply;
	uint8_t *out;

	if (q->p->tail_len)
		return request_refuse(q, EINVAL, "data comes with what takes none");
	if (is_short(q, len))
		return answer_size(q, len);
	reply = begin_answer(q, len, &out);
	if (!reply)
		return 0;
	memcpy(out, data, len);
	proxy_reply_send(q->s->proxy, reply);
	return 0;
}

int feature_repeat(struct request *q)
{
	struct vuser_payload p = request_answer(q);

	p.tail = q->p->tail;
	p.tail_len = q->p->tail_len;
	return request_reply(q, &p);
}

static int get_migration(struct request *q)
{
	uint8_t data[FEATURE_MIGRATION_SIZE];

	return feature_answer(
		q, data, feature_write_migration(data, q->s->desc->migration->flags));
}

/* ---- DMA logging ----------------------------------------------------------------- */

/* Only what the client's answer, or the system's, says was not done at all is left out.
 */
void server_log_write(struct vuser_server *s, uint64_t iova, size_t len, int r)
{
	static const int in_part[] = { 0, -ETIMEDOUT, -EPROTO, -EIO, -ENOSPC };

	for (size_t i = 0; i < sizeof(in_part) / sizeof(in_part[0]); i++)
		if (r == in_part[i])
			dirty_mark(&s->log, iova, len);
}

/*
 * The page size is a hint: one below the smallest page is raised, and the reply says so.
 */
static int start_logging(struct request *q)
{
	struct dirty_log *log = &q->s->log;
	struct vuser_exchange *reply;
	struct feature_start start;
	uint8_t *out;

	if (!feature_read_start(q->p->tail, q->p->tail_len, &start))
		return request_refuse(q, EINVAL,
				      "its data is not 16 bytes and num_ranges ranges");
	if (log->on)
		return request_refuse(q, EBUSY, "DMA is being logged already");
	if (!dirty_is_power(start.page_size))
		return request_refuse(q, EINVAL, "page_size is no power of two");
	if (start.num_ranges > VUSER_MAX_LOG_RANGES)
		return request_refuse(q, E2BIG, "it has more ranges than can be logged");
	if (start.page_size < VUSER_PAGE_SIZE)
		start.page_size = VUSER_PAGE_SIZE;
	dirty_start(log, start.page_size, q->s->o.caps.migration_max_bitmap_size);
	for (size_t i = 0; i < start.num_ranges; i++) {
		if (dirty_add_range(log, feature_range(q->p->tail, i)))
			continue;
		dirty_stop(log);
		return request_refuse(q, EINVAL, "a range is empty or wraps around");
	}
	reply = begin_answer(q, q->p->tail_len, &out);
	if (!reply) {
		if (!q->x->replied) /* the client will hear that it failed */
			dirty_stop(log);
		return 0;
	}
	memcpy(out, q->p->tail, q->p->tail_len);
	(void)feature_write_start(out, start.page_size, start.num_ranges);
	proxy_reply_send(q->s->proxy, reply);
	return 0;
}

/* Some clients send what started it along. */
static int stop_logging(struct request *q)
{
	struct feature_start start;

	if (q->p->tail_len && !feature_read_start(q->p->tail, q->p->tail_len, &start))
		return request_refuse(q, EINVAL, "its data is not that of a start");
	dirty_stop(&q->s->log);
	return feature_repeat(q);
}

static int check_report(struct request *q, const struct feature_report *r)
{
	if (!q->s->log.on)
		return request_refuse(q, EINVAL, "DMA is not being logged");
	if (!dirty_is_power(r->page_size))
		return request_refuse(q, EINVAL, "page_size is no power of two");
	if (!r->length || r->length - 1 > UINT64_MAX - r->iova)
		return request_refuse(q, EINVAL, "the range is empty or wraps around");
	if (vuser_dirty_words(r->length, r->page_size) >
	    q->s->max_bitmap / FEATURE_WORD_SIZE)
		return request_refuse(q, EINVAL,
				      "the bitmap is above migration.max_bitmap_size");
	if (q->s->log.lost)
		return request_refuse(q, ENOMEM,
				      "the log ran out of memory: any page may be dirty");
	return 0;
}

static int get_report(struct request *q)
{
	struct vuser_exchange *reply;
	struct feature_report r;
	size_t bytes;
	uint8_t *out;
	int err;

	if (q->p->tail_len != FEATURE_REPORT_SIZE ||
	    !feature_read_report(q->p->tail, q->p->tail_len, &r))
		return request_refuse(q, EINVAL, "a report is asked for with 24 bytes");
	err = check_report(q, &r);
	if (err)
		return err;
	bytes = vuser_dirty_words(r.length, r.page_size) * FEATURE_WORD_SIZE;
	if (is_short(q, FEATURE_REPORT_SIZE + bytes))
		return answer_size(q, FEATURE_REPORT_SIZE + bytes);
	reply = begin_answer(q, FEATURE_REPORT_SIZE + bytes, &out);
	if (!reply)
		return 0;
	out += feature_write_report(out, &r);
	dirty_report(&q->s->log, r.iova, r.length, r.page_size, out);
	proxy_reply_send(q->s->proxy, reply);
	return 0;
}

#define UNMAP_SIZE  24u
#define BITMAP_HEAD 16u /* u64 page size, u64 size in bytes */

/* In one step: what is asked for a second time is not mapped any more. */
int feature_unmap(struct request *q, struct window *w)
{
	const struct vuser_dma_unmap *u = &q->p->u.dma_unmap;
	struct cursor c = cursor_at(q->p->tail, q->p->tail_len);
	struct feature_report r = { .iova = u->address, .length = u->size };
	struct vuser_payload p = request_answer(q);
	struct vuser_exchange *reply;
	size_t bytes, fixed;
	uint64_t room;
	uint8_t *out;
	void *payload;
	int err;

	r.page_size = cursor_u64(&c);
	room = cursor_u64(&c);
	err = check_report(q, &r);
	if (err)
		return err;
	bytes = vuser_dirty_words(r.length, r.page_size) * FEATURE_WORD_SIZE;
	p.tail_len = BITMAP_HEAD + bytes;
	if (room < bytes || u->argsz < UNMAP_SIZE + p.tail_len)
		return request_refuse(q, EINVAL, "size or argsz is below the bitmap's");
	reply = proxy_reply(q->s->proxy, q->x, UNMAP_SIZE + p.tail_len, &payload);
	if (!reply && !q->x->replied)
		return request_refuse(q, ENOMEM, "no memory for the bitmap");
	iova_remove(&q->s->windows, w);
	if (!reply)
		return 0;
	p.u.dma_unmap.argsz = (uint32_t)(UNMAP_SIZE + p.tail_len);
	(void)payload_encode_fixed(&p, payload, UNMAP_SIZE, &fixed, NULL);
	out = (uint8_t *)payload + UNMAP_SIZE;
	put_uint(out, 8, r.page_size);
	put_uint(out + 8, 8, bytes);
	dirty_report(&q->s->log, r.iova, r.length, r.page_size, out + BITMAP_HEAD);
	proxy_reply_send(q->s->proxy, reply);
	return 0;
}

/* ---- All of them ----------------------------------------------------------------- */

/* DMA is logged here and not by the device: every device can be asked for that. */
static const struct feature {
	uint32_t number;
	bool migrates; /* of a device that does alone */
	int (*get)(struct request *q);
	int (*set)(struct request *q);
} features[] = {
	{ VUSER_FEATURE_MIGRATION, true, get_migration, NULL },
	{ VUSER_FEATURE_MIG_DEVICE_STATE, true, migration_get_state,
	  migration_set_state },
	{ VUSER_FEATURE_DMA_LOGGING_START, false, NULL, start_logging },
	{ VUSER_FEATURE_DMA_LOGGING_STOP, false, NULL, stop_logging },
	{ VUSER_FEATURE_DMA_LOGGING_REPORT, false, get_report, NULL },
};

static const struct feature *find(const struct vuser_server *s, uint32_t number)
{
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].number == number &&
		    (s->desc->migration || !features[i].migrates))
			return &features[i];
	return NULL;
}

#define METHODS (VUSER_FEATURE_GET | VUSER_FEATURE_SET)

/* ENOTTY is what clients take for "not supported", as from the kernel. */
int request_device_feature(struct request *q)
{
	uint32_t flags = q->p->u.feature.flags, methods = flags & METHODS;
	const struct feature *f = find(q->s, flags & VUSER_FEATURE_MASK);
	bool probe = flags & VUSER_FEATURE_PROBE;

	if (q->p->u.feature.argsz < FEATURE_HEAD)
		return request_refuse(q, EINVAL, "argsz is below the fixed part's size");
	if (flags & ~(VUSER_FEATURE_MASK | METHODS | VUSER_FEATURE_PROBE))
		return request_refuse(q, EINVAL, "it has unknown flags");
	if (!methods && !probe)
		return request_refuse(q, EINVAL, "it neither gets nor sets nor probes");
	if (methods == METHODS && !probe)
		return request_refuse(q, EINVAL, "it both gets and sets");
	if (!f)
		return request_refuse(q, ENOTTY, "there is no such feature");
	if ((methods & VUSER_FEATURE_GET) && !f->get)
		return request_refuse(q, EINVAL, "that feature cannot be got");
	if ((methods & VUSER_FEATURE_SET) && !f->set)
		return request_refuse(q, EINVAL, "that feature cannot be set");
	if (methods == VUSER_FEATURE_GET && !probe)
		return f->get(q);
	if (is_short(q, q->p->tail_len))
		return request_refuse(q, EINVAL, "argsz is below the payload's size");
	return probe ? feature_repeat(q) : f->set(q);
}
