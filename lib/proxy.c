/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine: waiting, and what the rest of the library calls. */
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

/* ---- Waiting ------------------------------------------------------------------------
 */

/* Somebody else may read now. */
static void pass_turn(struct proxy *p)
{
	struct vuser_exchange *x;

	TAILQ_FOREACH (x, &p->sleepers, sleeper) {
		if (x->place == PLACE_DONE)
			continue; /* was woken for that */
		pthread_cond_signal(&x->wake);
		return;
	}
}

static int take_turn(struct proxy *p, enum patience patience, uint64_t deadline,
		     struct vuser_error *e)
{
	int r;

	p->reading = true;
	r = engine_receive(p, patience, deadline, e);
	p->reading = false;
	pass_turn(p);
	engine_handle(p);
	engine_deliver(p);
	return r;
}

/* Another thread reads: sleep until it has our reply, or has done. */
static void sleep_until(struct proxy *p, struct vuser_exchange *x, uint64_t deadline)
{
	struct timespec ts = { .tv_sec = (time_t)(deadline / 1000000000),
			       .tv_nsec = (long)(deadline % 1000000000) };

	x->sleeping = true;
	TAILQ_INSERT_TAIL(&p->sleepers, x, sleeper);
	if (deadline)
		pthread_cond_timedwait(&x->wake, &p->lock, &ts);
	else
		pthread_cond_wait(&x->wake, &p->lock);
	TAILQ_REMOVE(&p->sleepers, x, sleeper);
	x->sleeping = false;
}

/* Another thread is in a read that does not look for room: see to it ourselves. */
static void make_room(struct proxy *p, uint64_t deadline)
{
	p->writing = true;
	pthread_mutex_unlock(&p->lock);
	(void)engine_wait_ready(p, false, true, deadline);
	pthread_mutex_lock(&p->lock);
	p->writing = false;
	engine_flush(p);
}

static bool is_done(const struct proxy *p, const struct vuser_exchange *x)
{
	(void)p;
	return x->place == PLACE_DONE;
}

static bool is_settled(const struct proxy *p, const struct vuser_exchange *x)
{
	(void)x;
	return p->nnowait == 0;
}

static bool has_room(const struct proxy *p, const struct vuser_exchange *x)
{
	(void)x;
	return p->out.bytes <= VUSER_MAX_OUTGOING_BYTES;
}

/* 0 once done() says so, TIMEOUT, CANCELLED, or why the connection is lost. */
static int drive(struct proxy *p, struct vuser_exchange *x,
		 bool (*done)(const struct proxy *p, const struct vuser_exchange *x),
		 uint64_t since, int64_t timeout, struct vuser_error *e)
{
	uint64_t deadline = timeout ? since + (uint64_t)timeout : 0;
	enum patience patience =
		timeout == p->socket_timeout ? PATIENCE_FRESH : PATIENCE_POLL;
	struct vuser_error local;
	int r = 0;

	while (!done(p, x)) {
		if (p->lost.code) {
			if (e)
				*e = p->lost;
			return p->lost.code;
		}
		if (r == EINTR && p->o.cancelled && p->o.cancelled(p->o.arg))
			return error_set(e, VUSER_E_CANCELLED, EINTR, "given up");
		if (r && deadline && engine_left(deadline) == 0)
			return error_set(e, VUSER_E_TIMEOUT, ETIMEDOUT,
					 "no reply within %g s", (double)timeout / 1e9);
		if (!p->reading)
			r = take_turn(p, patience, deadline, &local);
		else if (p->out.count && !p->mute && !p->writing)
			make_room(p, deadline);
		else
			sleep_until(p, x, deadline);
		if (r == 0)
			r = EAGAIN; /* something came, but time has passed as well */
		if (patience == PATIENCE_FRESH && timeout)
			patience = PATIENCE_POLL;
	}
	return 0;
}

/* The rest of a message must go out, or the stream is lost: a ghost takes its place. */
static bool leave_ghost(struct proxy *p, struct vuser_exchange *x)
{
	struct vuser_exchange *ghost = exchange_get(&p->pool);
	struct vuser_error e;

	if (!ghost || !exchange_reserve(ghost, x->size)) {
		if (ghost)
			exchange_put(&p->pool, ghost);
		error_set(&e, VUSER_E_SYSTEM, ENOMEM, "no memory to finish a message");
		engine_lose(p, &e, NULL, 0);
		return false;
	}
	ghost->h = x->h;
	ghost->kind = EXCHANGE_ASYNC;
	ghost->place = PLACE_OUTGOING;
	ghost->size = x->size;
	ghost->sent = x->sent;
	memcpy(ghost->bytes, x->bytes, x->size);
	TAILQ_INSERT_BEFORE(x, ghost, link);
	TAILQ_REMOVE(&p->out.queue, x, link);
	return true;
}

/*
 * Takes x out of the queues after a wait that ended without a reply. false: that cost the
 * connection, and x was completed with it.
 */
static bool give_up(struct proxy *p, struct vuser_exchange *x)
{
	if (p->raw == x)
		p->raw = NULL;
	if (x->place == PLACE_PENDING) {
		engine_unpend(p, x);
		engine_late_add(p, &x->h);
	} else if (x->place == PLACE_OUTGOING && !x->sent) {
		outbox_remove(&p->out, x);
		if (!x->raw)
			engine_id_mark(p, x->h.id, false);
	} else if (x->place == PLACE_OUTGOING) {
		if (!leave_ghost(p, x))
			return false;
		engine_late_add(p, &x->h);
	}
	x->place = PLACE_DONE;
	return true;
}

static int wait_done(struct proxy *p, struct vuser_exchange *x, int64_t timeout,
		     struct vuser_error *e)
{
	int r = drive(p, x, is_done, x->sent_at, timeout, e);

	if (x->place != PLACE_DONE) {
		if (r == VUSER_E_TIMEOUT) {
			const char *name = vuser_command_name(x->h.command);

			p->stats.timeouts++;
			error_set(e, r, ETIMEDOUT, "no reply to %s within %g s%s",
				  name ? name : "the command", (double)timeout / 1e9,
				  x->place == PLACE_OUTGOING ? ", it could not be sent"
							     : "");
		}
		(void)give_up(p, x);
		return r;
	}
	if (x->result && e)
		*e = x->error;
	return x->result;
}

/* ---- What others call ---------------------------------------------------------------
 */

struct proxy *proxy_new(int fd, const struct proxy_options *o)
{
	struct proxy *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	p->fd = fd;
	p->o = *o;
	p->can_spin = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	exchange_pool_init(&p->pool);
	outbox_init(&p->out);
	TAILQ_INIT(&p->pending);
	TAILQ_INIT(&p->incoming);
	TAILQ_INIT(&p->failed);
	TAILQ_INIT(&p->sleepers);
	reader_init(&p->reader, o->limit);
	p->socket_timeout = o->timeout;
	channel_set_timeout(fd, o->timeout);
	return p;
}

unsigned proxy_free(struct proxy *p)
{
	struct vuser_error e;
	struct vuser_exchange *x;
	int fds[VUSER_MAX_FDS_HELD];
	unsigned outstanding;
	size_t nfds;

	outstanding = (unsigned)p->npending;
	TAILQ_FOREACH (x, &p->out.queue, link)
		outstanding += x->kind != EXCHANGE_ASYNC;
	p->o.event = NULL;
	error_set(&e, VUSER_E_CLOSED, 0, "the connection was closed");
	engine_lose(p, &e, NULL, 0);
	while ((x = proxy_next_failed(p)))
		exchange_put(&p->pool, x);
	reader_free(&p->reader, fds, &nfds);
	channel_close_fds(fds, nfds);
	exchange_pool_free(&p->pool);
	close(p->fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return outstanding;
}

struct vuser_exchange *proxy_build(struct proxy *p, unsigned command, const void *payload,
				   size_t len, const void *data, size_t data_len,
				   struct vuser_error *e)
{
	struct vuser_exchange *x;

	if (data_len > UINT32_MAX - VUSER_HEADER_SIZE - len) {
		error_set(e, VUSER_E_USAGE, EMSGSIZE,
			  "%zu bytes do not fit into a message", data_len);
		return NULL;
	}
	pthread_mutex_lock(&p->lock);
	x = exchange_get(&p->pool);
	pthread_mutex_unlock(&p->lock);
	if (!x || !exchange_reserve(x, VUSER_HEADER_SIZE + len)) {
		if (x)
			proxy_release(p, x);
		error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a message");
		return NULL;
	}
	x->h = (struct vuser_header){ .command = (uint16_t)command,
				      .size = (uint32_t)(VUSER_HEADER_SIZE + len +
							 data_len) };
	if (len)
		memcpy(x->bytes + VUSER_HEADER_SIZE, payload, len);
	x->size = VUSER_HEADER_SIZE + len;
	x->data = data;
	x->data_len = data_len;
	return x;
}

/* Our own sending must not outrun a peer that does not read. */
static int wait_for_room(struct proxy *p, struct vuser_exchange *x, struct vuser_error *e)
{
	if (has_room(p, x) || p->lost.code || p->mute)
		return 0;
	return drive(p, x, has_room, clock_now(), p->o.timeout, e);
}

int proxy_start(struct proxy *p, struct vuser_exchange *x, enum exchange_kind kind,
		struct vuser_error *e)
{
	int r;

	pthread_mutex_lock(&p->lock);
	r = wait_for_room(p, x, e);
	if (r)
		exchange_put(&p->pool, x);
	else
		r = engine_start(p, x, kind, e);
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

int proxy_wait(struct proxy *p, struct vuser_exchange *x, int64_t timeout,
	       struct vuser_error *e)
{
	int r;

	pthread_mutex_lock(&p->lock);
	r = wait_done(p, x, timeout, e);
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

int proxy_call(struct proxy *p, struct vuser_exchange *x, struct vuser_error *e)
{
	int r;

	pthread_mutex_lock(&p->lock);
	r = wait_for_room(p, x, e);
	if (r)
		exchange_put(&p->pool, x);
	else
		r = engine_start(p, x, EXCHANGE_WAIT, e);
	if (!r) {
		r = wait_done(p, x, p->o.timeout, e);
		if (r)
			exchange_put(&p->pool, x);
	}
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

void proxy_release(struct proxy *p, struct vuser_exchange *x)
{
	pthread_mutex_lock(&p->lock);
	exchange_put(&p->pool, x);
	pthread_mutex_unlock(&p->lock);
}

static void give_up_nowait(struct proxy *p, struct exchange_list *list, int result,
			   const struct vuser_error *why)
{
	struct vuser_exchange *x = TAILQ_FIRST(list), *next;

	for (; x && p->nnowait; x = next) {
		next = TAILQ_NEXT(x, link);
		if (x->kind != EXCHANGE_NOWAIT)
			continue;
		if (!give_up(p, x))
			return;
		if (why)
			x->error = *why;
		p->stats.timeouts++;
		engine_complete(p, x, result);
	}
}

int proxy_settle(struct proxy *p, struct vuser_error *e)
{
	struct vuser_exchange *x;
	int r;

	pthread_mutex_lock(&p->lock);
	x = exchange_get(&p->pool); /* what this thread sleeps on */
	if (!x) {
		pthread_mutex_unlock(&p->lock);
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory to wait");
	}
	r = drive(p, x, is_settled, clock_now(), p->o.timeout, e);
	exchange_put(&p->pool, x);
	if (r == VUSER_E_TIMEOUT || r == VUSER_E_CANCELLED) {
		give_up_nowait(p, &p->out.queue, r, e);
		give_up_nowait(p, &p->pending, r, e);
	}
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

struct vuser_exchange *proxy_next_failed(struct proxy *p)
{
	struct vuser_exchange *x;

	pthread_mutex_lock(&p->lock);
	x = TAILQ_FIRST(&p->failed);
	if (x) {
		TAILQ_REMOVE(&p->failed, x, link);
		p->nfailed--;
	}
	pthread_mutex_unlock(&p->lock);
	return x;
}

int proxy_fd(const struct proxy *p)
{
	return p->fd;
}

short proxy_events(struct proxy *p)
{
	short events = POLLIN;

	pthread_mutex_lock(&p->lock);
	if (p->out.count && !p->mute)
		events |= POLLOUT;
	pthread_mutex_unlock(&p->lock);
	return events;
}

#define PROCESS_READS 64 /* in one call: others want their turn, too */

int proxy_process(struct proxy *p, struct vuser_error *e)
{
	struct vuser_error local;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < PROCESS_READS && r == 0 && !p->reading && !p->lost.code; i++)
		r = take_turn(p, PATIENCE_NONE, 0, &local);
	r = p->lost.code;
	if (r && e)
		*e = p->lost;
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

int proxy_serve(struct proxy *p, struct vuser_error *e)
{
	struct vuser_error local;
	int r;

	pthread_mutex_lock(&p->lock);
	if (!p->lost.code && !p->reading)
		(void)take_turn(p, PATIENCE_FRESH, 0, &local);
	r = p->lost.code;
	if (r && e)
		*e = p->lost;
	pthread_mutex_unlock(&p->lock);
	return r;
}

void proxy_hold(struct proxy *p, bool on)
{
	pthread_mutex_lock(&p->lock);
	p->handling = on;
	if (!on)
		engine_handle(p);
	pthread_mutex_unlock(&p->lock);
}

void proxy_cork(struct proxy *p, bool on)
{
	pthread_mutex_lock(&p->lock);
	if (on) {
		p->corks++;
	} else if (p->corks) {
		p->corks--;
		engine_flush(p);
	}
	pthread_mutex_unlock(&p->lock);
}

void proxy_set_timeout(struct proxy *p, int64_t timeout)
{
	pthread_mutex_lock(&p->lock);
	p->o.timeout = p->socket_timeout = timeout;
	channel_set_timeout(p->fd, timeout);
	pthread_mutex_unlock(&p->lock);
}

int64_t proxy_timeout(const struct proxy *p)
{
	return p->o.timeout;
}

void proxy_set_coalesce(struct proxy *p, bool allowed, bool agreed)
{
	pthread_mutex_lock(&p->lock);
	p->coalesce = allowed && agreed;
	pthread_mutex_unlock(&p->lock);
}

void proxy_set_limits(struct proxy *p, uint64_t limit, uint64_t request_limit)
{
	pthread_mutex_lock(&p->lock);
	p->reader.limit = limit;
	p->o.request_limit = request_limit;
	pthread_mutex_unlock(&p->lock);
}

int proxy_lost(struct proxy *p, struct vuser_error *e)
{
	int code;

	pthread_mutex_lock(&p->lock);
	code = p->lost.code;
	if (code && e)
		*e = p->lost;
	pthread_mutex_unlock(&p->lock);
	return code;
}

void proxy_stats(struct proxy *p, struct vuser_stats *s)
{
	struct vuser_exchange *x;

	pthread_mutex_lock(&p->lock);
	*s = p->stats;
	s->outstanding = (unsigned)p->npending;
	s->queued = (unsigned)p->out.count;
	TAILQ_FOREACH (x, &p->out.queue, link)
		s->outstanding += x->kind != EXCHANGE_ASYNC;
	pthread_mutex_unlock(&p->lock);
}

void proxy_tell(struct proxy *p, enum vuser_event_kind kind, const struct vuser_error *e,
		const void *msg, size_t len)
{
	pthread_mutex_lock(&p->lock);
	engine_event(p, kind, e, msg, len);
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
}
