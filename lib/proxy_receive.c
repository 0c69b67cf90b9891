/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's receiving: each reply to who waits for it, each request into its queue. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "engine.h"
#include "error.h"
#include "trace.h"

static enum vuser_dir other(enum vuser_dir d)
{
	return d == VUSER_C2S ? VUSER_S2C : VUSER_C2S;
}

/* A reply that nobody takes. */
static void stray_reply(struct proxy *p, const struct reader_message *m)
{
	const char *name = vuser_command_name(m->h.command);
	enum vuser_event_kind kind = VUSER_EVENT_UNEXPECTED;
	const char *what = "nobody waits for";
	struct vuser_error e;

	if (engine_late_take(p, m->h.id)) {
		kind = VUSER_EVENT_LATE;
		what = "came too late: the request was given up";
		p->stats.late++;
	} else {
		p->stats.unexpected++;
		for (size_t i = 0; i < POSTED_IDS && i < p->nposted; i++) {
			if (p->posted[i] != m->h.id)
				continue;
			kind = VUSER_EVENT_POSTED;
			what = "answers a message that wanted no reply";
			if (m->h.flags & VUSER_FLAG_ERROR)
				p->stats.posted_errors++;
			break;
		}
	}
	error_at(&e, VUSER_E_PROTOCOL, 0, "id", "a reply to %s, id %u, %s%s",
		 name ? name : "an unknown command", m->h.id, what,
		 m->h.flags & VUSER_FLAG_ERROR ? " (an error)" : "");
	e.err = m->h.flags & VUSER_FLAG_ERROR ? (int)m->h.error : 0;
	engine_event(p, kind, &e, m->bytes, m->len);
}

/* A reply to x that x cannot take. */
static void refuse_reply(struct proxy *p, struct vuser_exchange *x,
			 const struct reader_message *m)
{
	p->stats.refused++;
	engine_event(p, VUSER_EVENT_REFUSED, &x->error, m->bytes, m->len);
	engine_complete(p, x, VUSER_E_PROTOCOL);
}

/* Copies the reply to where x wants it. false: it does not fit, x->error says why. */
static bool take_reply(struct vuser_exchange *x, const struct reader_message *m)
{
	size_t len = m->len - VUSER_HEADER_SIZE, room = x->split + x->tail_cap;
	const char *name = vuser_command_name(m->h.command);

	if (!name)
		name = "the command";
	if (m->h.command != x->h.command) {
		error_at(&x->error, VUSER_E_PROTOCOL, 2, "command",
			 "the reply to command %u names command %u", x->h.command,
			 m->h.command);
		return false;
	}
	if (m->dropped || len > room) {
		error_at(&x->error, VUSER_E_PROTOCOL, 4, "size",
			 "the reply to %s has %u bytes where at most %zu are expected",
			 name, m->h.size, room + VUSER_HEADER_SIZE);
		return false;
	}
	if (m->nfds > x->want_fds || m->fds_lost) {
		error_at(
			&x->error, VUSER_E_PROTOCOL, 0, "fds",
			"the reply to %s comes with %zu descriptors where at most %zu are "
			"expected",
			name, m->nfds, x->want_fds);
		return false;
	}
	x->head_len = len < x->split ? len : x->split;
	x->tail_len = len - x->head_len;
	memcpy(x->head, m->bytes + VUSER_HEADER_SIZE, x->head_len);
	if (x->tail_len)
		memcpy(x->tail, m->bytes + VUSER_HEADER_SIZE + x->head_len, x->tail_len);
	return true;
}

/* A raw exchange takes what came as it is: all bytes, malloc'ed, up to what was kept. */
static void take_raw(struct proxy *p, struct vuser_exchange *x, struct reader_message *m)
{
	size_t n = m->nfds < VUSER_LIMIT_MSG_FDS ? m->nfds : VUSER_LIMIT_MSG_FDS;

	x->tail = malloc(m->len);
	if (!x->tail) {
		error_set(&x->error, VUSER_E_SYSTEM, ENOMEM, "no memory for the reply");
		engine_complete(p, x, VUSER_E_SYSTEM);
		return;
	}
	memcpy(x->tail, m->bytes, m->len);
	x->tail_len = m->len;
	memcpy(x->reply_fds, m->fds, n * sizeof(int));
	x->nreply_fds = n;
	channel_close_fds(m->fds + n, m->nfds - n);
	m->nfds = 0;
	engine_complete(p, x, 0);
}

/* A server may refuse a message from its header, before the rest was sent. */
static bool can_be_answered(const struct vuser_exchange *x)
{
	return x->place == PLACE_PENDING ||
	       (x->place == PLACE_OUTGOING && x->sent && x->kind != EXCHANGE_ASYNC);
}

/* Who waits for this reply; a raw exchange takes what nobody else does. */
static struct vuser_exchange *find_pending(struct proxy *p, const struct vuser_header *h)
{
	struct vuser_exchange *x;

	TAILQ_FOREACH (x, &p->pending, link)
		if (x->h.id == h->id)
			return x;
	x = TAILQ_FIRST(&p->out.queue);
	if (x && can_be_answered(x) && x->h.id == h->id)
		return x;
	x = p->raw;
	return x && can_be_answered(x) && !engine_late_known(p, h->id) ? x : NULL;
}

/* false: it cost the connection. */
static bool take_out(struct proxy *p, struct vuser_exchange *x)
{
	if (x->place == PLACE_PENDING) {
		engine_unpend(p, x);
		return true;
	}
	if (!engine_leave_rest(p, x))
		return false;
	if (!x->raw)
		engine_id_mark(p, x->h.id, false);
	return true;
}

static void got_reply(struct proxy *p, struct reader_message *m, struct vuser_exchange *x)
{
	if (!x) {
		stray_reply(p, m);
		channel_close_fds(m->fds, m->nfds);
		return;
	}
	if (!take_out(p, x)) {
		channel_close_fds(m->fds, m->nfds);
		return;
	}
	x->reply = m->h;
	if (x->raw) {
		take_raw(p, x, m);
		return;
	}
	if ((m->h.flags & VUSER_FLAG_ERROR) && m->h.command == x->h.command) {
		const char *name = vuser_command_name(m->h.command);

		channel_close_fds(m->fds, m->nfds);
		error_set(&x->error, VUSER_E_REMOTE, (int)m->h.error, "the %s refused %s",
			  p->o.sends == VUSER_C2S ? "server" : "client",
			  name ? name : "the command");
		engine_complete(p, x, VUSER_E_REMOTE);
		return;
	}
	if (!take_reply(x, m)) {
		channel_close_fds(m->fds, m->nfds);
		refuse_reply(p, x, m);
		return;
	}
	memcpy(x->reply_fds, m->fds, m->nfds * sizeof(int));
	x->nreply_fds = m->nfds;
	engine_complete(p, x, 0);
}

static int no_memory(struct vuser_error *e)
{
	return error_set(e, VUSER_E_SYSTEM, ENOMEM,
			 "no memory for a request of the peer's");
}

/* Queues a request of the peer's; handlers may wait, so its bytes are copied. */
static int got_request(struct proxy *p, struct reader_message *m, uint64_t now,
		       struct vuser_error *e)
{
	struct vuser_exchange *x = exchange_get(&p->pool);

	if (!x || !exchange_reserve(x, m->len)) {
		if (x)
			exchange_put(&p->pool, x);
		channel_close_fds(m->fds, m->nfds);
		return no_memory(e);
	}
	x->kind = EXCHANGE_REQUEST;
	x->place = PLACE_INCOMING;
	x->sent_at = now;
	x->h = m->h;
	memcpy(x->bytes, m->bytes, m->len);
	x->size = m->len;
	memcpy(x->fds, m->fds, m->nfds * sizeof(int));
	x->nfds = m->nfds;
	x->own_fds = true;
	if (m->dropped || m->h.size > p->o.request_limit || m->fds_lost)
		x->result = VUSER_E_PROTOCOL; /* refused when its turn comes */
	TAILQ_INSERT_TAIL(&p->incoming, x, link);
	p->nincoming++;
	p->incoming_bytes += x->size;
	p->incoming_fds += x->nfds;
	return 0;
}

static void note_received(struct proxy *p, const struct reader_message *m, uint64_t now,
			  const struct vuser_exchange *x)
{
	struct trace_message t = { .dir = other(p->o.sends),
				   .head = m->bytes,
				   .head_len = m->len,
				   .size = m->h.size,
				   .nfds = (unsigned)m->nfds,
				   .now = now };

	engine_count(p->stats.received, &m->h, m->h.size);
	if (x && now > x->sent_at)
		t.latency = now - x->sent_at;
	if (trace_wants(p->o.trace))
		trace_message(p->o.trace, &t);
}

/* parts 2: is it half of that already? */
static bool crowded(const struct proxy *p, unsigned parts)
{
	return p->nincoming >= VUSER_MAX_INCOMING / parts ||
	       p->incoming_bytes >= VUSER_MAX_INCOMING_BYTES / parts ||
	       p->incoming_fds >= MAX_INCOMING_FDS / parts;
}

/* Requests that there is no room for stay where they are, and what is behind them. */
static bool may_read(const struct proxy *p)
{
	if (engine_overdue(p))
		return false;
	return p->nested || !p->leftover || !crowded(p, 2);
}

short engine_wanted(const struct proxy *p)
{
	bool corked = p->corks && !p->stuck && !p->nested;
	bool out = p->out.count && !p->mute && !corked;

	return (short)((may_read(p) ? POLLIN : 0) | (out ? POLLOUT : 0));
}

static int too_many(struct proxy *p, struct reader_message *m, struct vuser_error *e)
{
	channel_close_fds(m->fds, m->nfds);
	return error_set(e, VUSER_E_PROTOCOL, 0,
			 "more than %zu requests came while one was handled",
			 p->nincoming);
}

int engine_dispatch(struct proxy *p, struct vuser_error *e)
{
	struct reader_message m;
	uint64_t now = 0;
	int r = 0;

	p->leftover = false;
	while (!p->lost.code) {
		struct vuser_exchange *x = NULL;

		if (crowded(p, 1) && !p->nested) {
			p->leftover = true;
			return 0;
		}
		r = reader_next(&p->reader, &m, e);
		if (r == 0)
			return 0;
		if (r < 0) {
			engine_lose(p, e, m.bytes, m.len);
			return r;
		}
		if (!now)
			now = clock_now();
		if (vuser_is_reply(&m.h))
			x = find_pending(p, &m.h);
		note_received(p, &m, now, x);
		if (vuser_is_reply(&m.h)) {
			got_reply(p, &m, x);
			continue;
		}
		r = crowded(p, 1) ? too_many(p, &m, e) : got_request(p, &m, now, e);
		if (r) {
			engine_lose(p, e, NULL, 0);
			return r;
		}
	}
	return 0;
}

static int end_of_stream(struct proxy *p, int err, struct vuser_error *e)
{
	const char *peer = p->o.sends == VUSER_C2S ? "server" : "client";
	char where[80] = "";
	uint64_t size;
	size_t part = reader_partial(&p->reader, &size);

	if (part && size)
		snprintf(where, sizeof(where), " %zu bytes into a message of %llu", part,
			 (unsigned long long)size);
	else if (part)
		snprintf(where, sizeof(where), " %zu bytes into a header", part);
	if (err && err != ECONNRESET)
		error_set(e, VUSER_E_CLOSED, err, "the connection was lost%s: %s", where,
			  vuser_errno_text(err));
	else
		error_set(e, VUSER_E_CLOSED, err, "the %s closed the connection%s%s",
			  peer, where, err ? ", not having read all it was sent" : "");
	engine_lose(p, e, NULL, 0);
	return VUSER_E_CLOSED;
}

/* Nanoseconds left until deadline, 0 when it has passed. */
int64_t engine_left(uint64_t deadline)
{
	uint64_t now = clock_now();

	return deadline > now ? (int64_t)(deadline - now) : 0;
}

/* ---- Reading ------------------------------------------------------------------- */

void engine_kick(struct proxy *p)
{
	uint64_t one = 1;

	if (!p->waiting || p->kicked)
		return;
	if (!p->lost.code && !(engine_wanted(p) & ~p->watched) && !engine_may_handle(p))
		return;
	p->kicked = write(p->kick, &one, sizeof(one)) == sizeof(one);
}

void engine_stop_waiting(struct proxy *p)
{
	uint64_t count;

	p->waiting = false;
	if (p->kicked)
		p->kicked = read(p->kick, &count, sizeof(count)) < 0;
}

/* Waits for the events, to be kicked, for the owner's descriptor, or for the twin. 0, or
 * a negative errno. Called without the lock. */
static int wait_ready(struct proxy *p, short events, uint64_t deadline)
{
	struct pollfd fds[3 + TWIN_POLLS] = {
		{ .fd = p->kick, .events = POLLIN },
		{ .fd = events ? p->fd : -1, .events = events },
		{ .fd = p->also_watched, .events = POLLIN },
	};
	struct timespec ts, *tsp = NULL;
	nfds_t n = 3;
	int r;

	if (deadline) {
		int64_t left = engine_left(deadline);

		ts.tv_sec = left / 1000000000;
		ts.tv_nsec = left % 1000000000;
		tsp = &ts;
	}
	if (p->twin) {
		engine_twin_watch(p->twin, &fds[n]);
		n += TWIN_POLLS;
	}
	r = ppoll(fds, n, tsp, NULL);
	r = r < 0 ? -errno : r ? 0 : -EAGAIN;
	if (p->twin) {
		engine_twin_leave(p->twin, &fds[3]);
		p->twin_ready = r == 0 && (fds[3].revents || fds[4].revents);
	}
	return r;
}

/*
 * A reply often comes sooner than a thread falls asleep and wakes again, so look for it a
 * while before blocking; where that does not help, seldom. One processor has nothing to
 * gain.
 */
static ssize_t look_for_it(struct proxy *p, void *buf, size_t room, int *fds,
			   size_t *nfds)
{
	unsigned tries = 0;
	uint64_t end;
	ssize_t n;

	if (!p->can_spin ||
	    (p->spin_misses >= SPIN_MISSES && ++p->spin_skips % SPIN_RETRY != 0))
		return -EAGAIN;
	end = clock_now() + SPIN_NS;
	do {
		n = channel_recv(p->fd, buf, room, fds, nfds);
		if (n == -EAGAIN && p->twin && ++tries % SPIN_TWIN == 0)
			p->twin_ready = engine_twin_look(p->twin);
		if (n != -EAGAIN || p->twin_ready) {
			p->spin_misses = 0;
			return n;
		}
	} while (clock_now() < end);
	p->spin_misses++;
	return -EAGAIN;
}

/* Called without the lock, by the one thread that reads. */
static ssize_t receive(struct proxy *p, bool wait, short events, uint64_t deadline,
		       void *buf, size_t room, int *fds, size_t *nfds)
{
	ssize_t n = -EAGAIN;

	if (events & POLLIN)
		n = channel_recv(p->fd, buf, room, fds, nfds);
	if (n != -EAGAIN || !wait)
		return n;
	if (events == POLLIN)
		n = look_for_it(p, buf, room, fds, nfds);
	if (n != -EAGAIN || p->twin_ready)
		return n;
	n = wait_ready(p, events, deadline);
	if (n)
		return n;
	return events & POLLIN ? channel_recv(p->fd, buf, room, fds, nfds) : -EAGAIN;
}

int engine_receive(struct proxy *p, bool wait, uint64_t deadline, struct vuser_error *e)
{
	int fds[CHANNEL_MAX_FDS];
	size_t nfds = 0, room = 0, taken;
	void *buf = NULL;
	short events;
	ssize_t n;
	int r;

	p->also_watched = p->serving ? p->also : -1;
	p->serving = false; /* handlers that wait do not serve */
	engine_flush(p);
	if (p->lost.code)
		return p->lost.code;
	if (p->leftover && may_read(p))
		return engine_dispatch(p, e);
	events = engine_wanted(p);
	if (events & POLLIN) {
		r = reader_space(&p->reader, &buf, &room, e);
		if (r) {
			engine_lose(p, e, NULL, 0);
			return r;
		}
	}
	if (wait) { /* without, it may be that another thread does, for its twin */
		p->watched = events;
		p->waiting = true;
	}
	pthread_mutex_unlock(&p->lock);
	n = receive(p, wait, events, deadline, buf, room, fds, &nfds);
	pthread_mutex_lock(&p->lock);
	if (wait)
		engine_stop_waiting(p);
	if (p->lost.code) {
		channel_close_fds(fds, nfds);
		return p->lost.code;
	}
	if (n == -EAGAIN || n == -EINTR) {
		engine_flush(p);
		return (int)-n;
	}
	if (n <= 0)
		return end_of_stream(p, (int)-n, e);
	taken = reader_filled(&p->reader, (size_t)n, fds, nfds);
	channel_close_fds(fds + taken, nfds - taken);
	return engine_dispatch(p, e);
}
