/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine: waiting, and what the rest of the library calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "engine.h"
#include "error.h"
#include "trace.h"

/* ---- Waiting ------------------------------------------------------------------- */

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

static int take_turn(struct proxy *p, bool wait, uint64_t deadline, struct vuser_error *e)
{
	bool twin;
	int r;

	p->reading = true;
	r = engine_receive(p, wait, deadline, e);
	p->reading = false;
	twin = p->twin_ready;
	p->twin_ready = false;
	if (p->nincoming || p->nevents || twin)
		pass_turn(p); /* this one is busy for a while */
	engine_handle(p);
	if (twin)
		engine_twin_serve(p);
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
	return engine_has_room(p);
}

static bool is_cancelled(struct proxy *p)
{
	bool cancelled;

	if (!p->o.cancelled)
		return false;
	if (!p->reading)
		pass_turn(p);
	pthread_mutex_unlock(&p->lock);
	cancelled = p->o.cancelled(p->o.arg);
	pthread_mutex_lock(&p->lock);
	return cancelled;
}

typedef bool done_fn(const struct proxy *p, const struct vuser_exchange *x);

static int drive_until(struct proxy *p, struct vuser_exchange *x, done_fn *done,
		       uint64_t since, int64_t timeout, struct vuser_error *e)
{
	uint64_t deadline = timeout ? since + (uint64_t)timeout : 0;
	struct vuser_error local;
	int r = 0;

	while (!done(p, x)) {
		if (p->lost.code) {
			if (e)
				*e = p->lost;
			return p->lost.code;
		}
		if (r == EINTR) {
			if (is_cancelled(p))
				return error_set(e, VUSER_E_CANCELLED, EINTR, "given up");
			r = EAGAIN;
			continue; /* the lock was let go of */
		}
		if (r && deadline && engine_left(deadline) == 0)
			return error_set(e, VUSER_E_TIMEOUT, ETIMEDOUT,
					 "no reply within %g s", (double)timeout / 1e9);
		if (!p->reading) {
			r = take_turn(p, true, deadline, &local);
		} else {
			engine_flush(p); /* corked or not: somebody waits */
			if (!done(p, x) && !p->lost.code)
				sleep_until(p, x, deadline);
		}
		if (r == 0)
			r = EAGAIN; /* something came, but time has passed as well */
	}
	return 0;
}

/* 0 once done() says so, TIMEOUT, CANCELLED, or why the connection is lost. */
static int drive(struct proxy *p, struct vuser_exchange *x, done_fn *done, uint64_t since,
		 int64_t timeout, struct vuser_error *e)
{
	bool nested = p->handling && pthread_equal(p->handler, pthread_self());
	int r;

	p->nested += nested;
	engine_kick(p);
	r = drive_until(p, x, done, since, timeout, e);
	p->nested -= nested;
	if (!p->reading)
		pass_turn(p); /* it may have been ours, when there was no need of it any
				 more */
	return r;
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
		if (!engine_leave_rest(p, x))
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

/* ---- What others call ---------------------------------------------------------- */

struct proxy *proxy_new(int fd, const struct proxy_options *o)
{
	struct proxy *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return NULL;
	}
	p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->kick < 0) {
		free(p);
		close(fd);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	p->fd = fd;
	p->also = p->also_watched = -1;
	p->o = *o;
	p->can_spin = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	exchange_pool_init(&p->pool);
	outbox_init(&p->out);
	TAILQ_INIT(&p->pending);
	TAILQ_INIT(&p->incoming);
	TAILQ_INIT(&p->failed);
	TAILQ_INIT(&p->sleepers);
	reader_init(&p->reader, o->limit);
	return p;
}

unsigned proxy_free(struct proxy *p)
{
	unsigned outstanding = (unsigned)(p->npending + p->out.requests);
	struct vuser_error e;
	int fds[VUSER_MAX_FDS_HELD];
	size_t nfds;

	p->o.event = NULL;
	error_set(&e, VUSER_E_CLOSED, 0, "the connection was closed");
	engine_lose(p, &e, NULL, 0);
	reader_free(&p->reader, fds, &nfds);
	channel_close_fds(fds, nfds);
	exchange_pool_free(&p->pool);
	close(p->kick);
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
	int64_t timeout = p->o.timeout;
	int r;

	if (engine_has_room(p) || p->lost.code)
		return 0;
	p->roomless++;
	r = drive(p, x, has_room, clock_now(), timeout, e);
	p->roomless--;
	if (r == VUSER_E_TIMEOUT)
		error_set(e, r, ETIMEDOUT,
			  "the peer took nothing within %g s, %zu bytes wait",
			  (double)timeout / 1e9, p->out.bytes);
	return r;
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

static void give_up_nowait(struct proxy *p, struct exchange_list *list,
			   const struct vuser_error *why)
{
	struct vuser_exchange *x = TAILQ_FIRST(list), *next;

	for (; x && p->nnowait; x = next) {
		next = TAILQ_NEXT(x, link);
		if (x->kind != EXCHANGE_NOWAIT)
			continue;
		if (!give_up(p, x))
			return;
		x->error = *why;
		p->stats.timeouts += why->code == VUSER_E_TIMEOUT;
		engine_complete(p, x, why->code);
	}
}

int proxy_settle(struct proxy *p, struct vuser_error *e)
{
	struct vuser_exchange *x;
	struct vuser_error why;
	int r;

	pthread_mutex_lock(&p->lock);
	x = exchange_get(&p->pool); /* what this thread sleeps on */
	if (!x) {
		pthread_mutex_unlock(&p->lock);
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory to wait");
	}
	r = drive(p, x, is_settled, clock_now(), p->o.timeout, &why);
	exchange_put(&p->pool, x);
	if (r == VUSER_E_TIMEOUT || r == VUSER_E_CANCELLED) {
		give_up_nowait(p, &p->out.queue, &why);
		give_up_nowait(p, &p->pending, &why);
	}
	if (r && e)
		*e = why;
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
	short events;

	pthread_mutex_lock(&p->lock);
	events = engine_wanted(p);
	pthread_mutex_unlock(&p->lock);
	return events;
}

#define PROCESS_READS 64 /* in one call: others want their turn, too */

int proxy_process(struct proxy *p, struct vuser_error *e)
{
	struct vuser_error local;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	if (p->twin)
		engine_twin_serve(p);
	for (int i = 0; i < PROCESS_READS && r == 0 && !p->reading && !p->lost.code; i++)
		r = take_turn(p, false, 0, &local);
	if (!p->reading)
		pass_turn(p);
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
	if (!p->lost.code && !p->reading) {
		p->serving = true;
		(void)take_turn(p, true, 0, &local);
	}
	if (!p->reading)
		pass_turn(p);
	r = p->lost.code;
	if (r && e)
		*e = p->lost;
	pthread_mutex_unlock(&p->lock);
	return r;
}

void proxy_also(struct proxy *p, int fd)
{
	pthread_mutex_lock(&p->lock);
	p->also = fd;
	pthread_mutex_unlock(&p->lock);
}

void proxy_hold(struct proxy *p, bool on)
{
	pthread_mutex_lock(&p->lock);
	p->handling = on;
	p->handler = pthread_self();
	if (!on)
		engine_handle(p);
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
}

void proxy_cork(struct proxy *p, bool on)
{
	pthread_mutex_lock(&p->lock);
	if (on) {
		p->corks++;
	} else if (p->corks && --p->corks == 0) {
		engine_flush(p);
	}
	engine_deliver(p);
	pthread_mutex_unlock(&p->lock);
}

void proxy_set_timeout(struct proxy *p, int64_t timeout)
{
	pthread_mutex_lock(&p->lock);
	p->o.timeout = timeout;
	pthread_mutex_unlock(&p->lock);
}

int64_t proxy_timeout(struct proxy *p)
{
	int64_t timeout;

	pthread_mutex_lock(&p->lock);
	timeout = p->o.timeout;
	pthread_mutex_unlock(&p->lock);
	return timeout;
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
	pthread_mutex_lock(&p->lock);
	*s = p->stats;
	s->outstanding = (unsigned)(p->npending + p->out.requests);
	s->queued = (unsigned)p->out.count;
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
