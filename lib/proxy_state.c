/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's state: reports, ids, and how a request or the connection ends. */
#include <string.h>

#include "engine.h"

/* ---- Reports ------------------------------------------------------------------- */

void engine_count(struct vuser_counter *counters, const struct vuser_header *h,
		  size_t bytes)
{
	struct vuser_counter *c =
		&counters[h->command < VUSER_CMD_LIMIT ? h->command : 0];

	c->messages++;
	c->bytes += bytes;
	if (vuser_is_reply(h) && (h->flags & VUSER_FLAG_ERROR))
		c->errors++;
}

/* Keeps a report until the lock is let go of. */
void engine_event(struct proxy *p, enum vuser_event_kind kind,
		  const struct vuser_error *e, const void *msg, size_t len)
{
	struct vuser_event *ev;
	struct vuser_header h;

	if (p->nevents == VUSER_MAX_EVENTS && kind == VUSER_EVENT_LOST)
		p->nevents--; /* the last there will be: it takes another's place */
	if (!p->o.event || p->nevents == VUSER_MAX_EVENTS)
		return;
	ev = &p->events[p->nevents++];
	*ev = (struct vuser_event){ .kind = kind, .error = *e, .size = len };
	if (vuser_header_decode(msg, len, &h, NULL) == 0 && h.size > len)
		ev->size = h.size; /* not all of it was kept */
	ev->len = len < sizeof(ev->bytes) ? len : sizeof(ev->bytes);
	if (ev->len)
		memcpy(ev->bytes, msg, ev->len);
}

/* Called with the lock, which it lets go of while engine_event() runs. */
void engine_deliver(struct proxy *p)
{
	struct vuser_event ev[VUSER_MAX_EVENTS];
	size_t n;

	if (p->telling)
		return;
	p->telling = true;
	/* Where they come without end, another thread tells the next ones. */
	for (int round = 0; round < TELL_ROUNDS && (n = p->nevents); round++) {
		memcpy(ev, p->events, n * sizeof(ev[0]));
		p->nevents = 0;
		pthread_mutex_unlock(&p->lock);
		for (size_t i = 0; i < n; i++)
			p->o.event(p->o.arg, &ev[i]);
		pthread_mutex_lock(&p->lock);
	}
	p->telling = false;
}

static void wake(struct vuser_exchange *x)
{
	if (x->sleeping)
		pthread_cond_signal(&x->wake);
}

void engine_wake_all(struct proxy *p)
{
	struct vuser_exchange *x;

	TAILQ_FOREACH (x, &p->sleepers, sleeper)
		pthread_cond_signal(&x->wake);
}

/* ---- Ids ----------------------------------------------------------------------- */

void engine_id_mark(struct proxy *p, uint16_t id, bool busy)
{
	uint64_t bit = 1ull << (id % 64);

	if (busy)
		p->id_busy[id / 64] |= bit;
	else
		p->id_busy[id / 64] &= ~bit;
}

/* There are more ids than requests that can be pending or late. */
uint16_t engine_id_next(struct proxy *p)
{
	while (p->id_busy[p->next_id / 64] & (1ull << (p->next_id % 64)))
		p->next_id++;
	return p->next_id++;
}

static struct late *late_at(struct proxy *p, size_t i)
{
	return &p->late[(p->late_first + i) % VUSER_MAX_LATE];
}

bool engine_late_known(struct proxy *p, uint16_t id)
{
	for (size_t i = 0; i < p->nlate; i++)
		if (late_at(p, i)->id == id)
			return true;
	return false;
}

/* Remembers a request that was given up; the oldest is forgotten when there are too many.
 */
void engine_late_add(struct proxy *p, const struct vuser_header *h)
{
	if (p->nlate == VUSER_MAX_LATE) {
		engine_id_mark(p, late_at(p, 0)->id, false);
		p->late_first = (p->late_first + 1) % VUSER_MAX_LATE;
		p->nlate--;
	}
	engine_id_mark(p, h->id, true);
	*late_at(p, p->nlate++) = (struct late){ h->id, h->command };
}

/* Forgets a late request with this id; false if there is none. */
bool engine_late_take(struct proxy *p, uint16_t id)
{
	size_t i = 0;

	while (i < p->nlate && late_at(p, i)->id != id)
		i++;
	if (i == p->nlate)
		return false;
	for (p->nlate--; i < p->nlate; i++)
		*late_at(p, i) = *late_at(p, i + 1);
	engine_id_mark(p, id, false);
	return true;
}

/* ---- Ends of a request --------------------------------------------------------- */

/* x has been taken out of its place; what becomes of it depends on its kind. */
void engine_complete(struct proxy *p, struct vuser_exchange *x, int result)
{
	x->result = result;
	x->place = PLACE_DONE;
	if (p->raw == x)
		p->raw = NULL;
	if (x->kind == EXCHANGE_WAIT) {
		wake(x);
		return;
	}
	if (x->kind == EXCHANGE_NOWAIT) {
		if (--p->nnowait == 0)
			engine_wake_all(p);
		if (result && p->nfailed < MAX_FAILED) {
			TAILQ_INSERT_TAIL(&p->failed, x, link);
			p->nfailed++;
			return;
		}
	}
	exchange_put(&p->pool, x);
}

void engine_unpend(struct proxy *p, struct vuser_exchange *x)
{
	TAILQ_REMOVE(&p->pending, x, link);
	p->npending--;
	x->place = PLACE_OWNER;
	if (!x->raw)
		engine_id_mark(p, x->h.id, false);
}

static void fail(struct proxy *p, struct vuser_exchange *x, const struct vuser_error *e)
{
	x->error = *e;
	engine_complete(p, x, e->code);
}

/* The connection is over: everybody who waits hears why. */
void engine_lose(struct proxy *p, const struct vuser_error *e, const void *msg,
		 size_t len)
{
	struct vuser_exchange *x;

	if (p->lost.code)
		return;
	p->lost = *e;
	while ((x = TAILQ_FIRST(&p->out.queue))) {
		outbox_remove(&p->out, x);
		fail(p, x, e);
	}
	while ((x = TAILQ_FIRST(&p->pending))) {
		engine_unpend(p, x);
		fail(p, x, e);
	}
	while ((x = TAILQ_FIRST(&p->incoming))) {
		TAILQ_REMOVE(&p->incoming, x, link);
		exchange_put(&p->pool, x);
	}
	p->nincoming = p->incoming_bytes = p->incoming_fds = 0;
	p->nlate = 0;
	memset(p->id_busy, 0, sizeof(p->id_busy));
	engine_event(p, VUSER_EVENT_LOST, e, msg, len);
	engine_wake_all(p);
	engine_kick(p);
}
