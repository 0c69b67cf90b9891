/* SPDX-License-Identifier: BSD-3-Clause */
/* The last messages: a ring of records, and an arena for the bytes of the youngest. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "trace.h"

#define HEAD_BYTES    64u	 /* of every message: enough for its line */
#define ARENA_BYTES   (1u << 20) /* of whole messages above that */
#define ARENA_MESSAGE (1u << 16) /* of one message */

struct entry {
	uint64_t number, time, latency;
	uint64_t place; /* in the arena's stream of bytes; valid if kept > HEAD_BYTES */
	uint32_t size, kept;
	uint16_t nfds;
	uint8_t dir;
	uint8_t head[HEAD_BYTES];
};

struct vuser_trace {
	pthread_mutex_t lock;
	atomic_bool on, has_sink;
	struct entry *ring;
	size_t length;	  /* of the ring */
	uint64_t passed;  /* messages since the beginning, which numbers them */
	uint64_t entered; /* those of them that went into the ring */
	uint64_t first;	  /* how many of those do not count any more */
	uint8_t *arena;
	uint64_t written; /* bytes ever written to the arena, gaps included */
	int64_t epoch;	  /* real time less monotonic time */
	void (*sink)(void *arg, const struct vuser_record *r);
	void *sink_arg;
};

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

struct vuser_trace *vuser_trace_new(size_t messages)
{
	struct vuser_trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->on = true;
	t->epoch = (int64_t)(read_clock(CLOCK_REALTIME) - clock_now());
	t->arena = malloc(ARENA_BYTES);
	if (!t->arena || vuser_trace_resize(t, messages, NULL) != 0) {
		vuser_trace_free(t);
		return NULL;
	}
	return t;
}

void vuser_trace_free(struct vuser_trace *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->ring);
	free(t->arena);
	free(t);
}

int vuser_trace_resize(struct vuser_trace *t, size_t messages, struct vuser_error *e)
{
	size_t length = messages ? messages : VUSER_TRACE_DEFAULT;
	struct entry *ring = calloc(length, sizeof(*ring));

	if (!ring)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM,
				 "no memory for a trace of %zu messages", length);
	pthread_mutex_lock(&t->lock);
	free(t->ring);
	t->ring = ring;
	t->length = length;
	t->first = t->entered;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void vuser_trace_switch(struct vuser_trace *t, bool on)
{
	t->on = on;
}

bool vuser_trace_is_on(const struct vuser_trace *t)
{
	return t->on;
}

void vuser_trace_clear(struct vuser_trace *t)
{
	pthread_mutex_lock(&t->lock);
	t->first = t->entered;
	pthread_mutex_unlock(&t->lock);
}

void vuser_trace_sink(struct vuser_trace *t,
		      void (*fn)(void *arg, const struct vuser_record *r), void *arg)
{
	pthread_mutex_lock(&t->lock);
	t->sink = fn;
	t->sink_arg = arg;
	t->has_sink = fn != NULL;
	pthread_mutex_unlock(&t->lock);
}

bool trace_wants(const struct vuser_trace *t)
{
	return t && (t->on || t->has_sink);
}

/* The first n bytes of a message in two pieces. */
static void gather(uint8_t *dst, const struct trace_message *m, size_t n)
{
	size_t h = n < m->head_len ? n : m->head_len;

	memcpy(dst, m->head, h);
	if (n > h && m->data)
		memcpy(dst + h, m->data, n - h);
}

static void keep(struct vuser_trace *t, const struct trace_message *m)
{
	struct entry *en = &t->ring[t->entered % t->length];
	size_t there = m->head_len + m->data_len;

	t->entered++;
	en->number = t->passed;
	en->time = (uint64_t)((int64_t)m->now + t->epoch);
	en->latency = m->latency;
	en->size = (uint32_t)m->size;
	en->nfds = (uint16_t)m->nfds;
	en->dir = (uint8_t)m->dir;
	en->kept = (uint32_t)(there < ARENA_MESSAGE ? there : ARENA_MESSAGE);
	gather(en->head, m, there < HEAD_BYTES ? there : HEAD_BYTES);
	if (en->kept <= HEAD_BYTES)
		return;
	/* A message lies in one piece: one that would wrap begins at the start again. */
	if (en->kept > ARENA_BYTES - t->written % ARENA_BYTES)
		t->written += ARENA_BYTES - t->written % ARENA_BYTES;
	en->place = t->written;
	gather(t->arena + t->written % ARENA_BYTES, m, en->kept);
	t->written += en->kept;
}

static void tell(struct vuser_trace *t, const struct trace_message *m)
{
	struct vuser_record r = { .number = t->passed,
				  .time = (uint64_t)((int64_t)m->now + t->epoch),
				  .latency = m->latency,
				  .dir = m->dir,
				  .nfds = m->nfds,
				  .size = m->size,
				  .bytes = m->head,
				  .kept = m->head_len + m->data_len };
	uint8_t *whole = NULL;

	if (m->data_len) {
		whole = malloc(r.kept);
		if (whole) {
			gather(whole, m, r.kept);
			r.bytes = whole;
		} else {
			r.kept = m->head_len;
		}
	}
	t->sink(t->sink_arg, &r);
	free(whole);
}

void trace_message(struct vuser_trace *t, const struct trace_message *m)
{
	pthread_mutex_lock(&t->lock);
	t->passed++;
	if (t->on)
		keep(t, m);
	if (t->sink)
		tell(t, m);
	pthread_mutex_unlock(&t->lock);
}

void vuser_trace_add(struct vuser_trace *t, enum vuser_dir dir, const void *msg,
		     size_t len, unsigned nfds, uint64_t latency)
{
	struct trace_message m = { .dir = dir,
				   .head = msg,
				   .head_len = len,
				   .size = len,
				   .nfds = nfds,
				   .now = clock_now(),
				   .latency = latency };

	trace_message(t, &m);
}

static size_t kept(const struct vuser_trace *t)
{
	uint64_t n = t->entered - t->first;

	return n < t->length ? (size_t)n : t->length;
}

size_t vuser_trace_count(struct vuser_trace *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = kept(t);
	pthread_mutex_unlock(&t->lock);
	return n;
}

static void read_entry(const struct vuser_trace *t, const struct entry *en,
		       struct vuser_record *r)
{
	*r = (struct vuser_record){ .number = en->number,
				    .time = en->time,
				    .latency = en->latency,
				    .dir = en->dir,
				    .nfds = en->nfds,
				    .size = en->size,
				    .bytes = en->head,
				    .kept = en->kept };
	if (en->kept <= HEAD_BYTES)
		return;
	if (t->written - en->place <= ARENA_BYTES)
		r->bytes = t->arena + en->place % ARENA_BYTES;
	else
		r->kept = HEAD_BYTES;
}

bool vuser_trace_get(struct vuser_trace *t, size_t i, struct vuser_record *r)
{
	size_t count;

	pthread_mutex_lock(&t->lock);
	count = kept(t);
	if (i < count)
		read_entry(t, &t->ring[(t->entered - count + i) % t->length], r);
	pthread_mutex_unlock(&t->lock);
	return i < count;
}
