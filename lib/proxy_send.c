/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's sending: at once, or through the queue, in order always. */
#include <errno.h>
#include <string.h>

#include "channel.h"
#include "engine.h"
#include "error.h"
#include "trace.h"

static void note_sent(struct proxy *p, const struct vuser_exchange *x)
{
	struct trace_message m = { .dir = p->o.sends,
				   .head = x->bytes,
				   .data = x->data,
				   .head_len = x->size,
				   .data_len = x->data_len,
				   .size = x->size + x->data_len,
				   .nfds = (unsigned)x->nfds,
				   .now = x->sent_at };

	engine_count(p->stats.sent, &x->h, m.size);
	if (x->since && x->sent_at > x->since)
		m.latency = x->sent_at - x->since;
	if (trace_wants(p->o.trace))
		trace_message(p->o.trace, &m);
}

/* x is gone whole. */
static void sent_whole(void *arg, struct vuser_exchange *x)
{
	struct proxy *p = arg;

	note_sent(p, x);
	x->data = NULL; /* the caller's, who may go on */
	x->data_len = 0;
	if (x->kind == EXCHANGE_ASYNC || x->kind == EXCHANGE_REQUEST) {
		x->place = PLACE_DONE;
		exchange_put(&p->pool, x);
		return;
	}
	if (x->own_fds) { /* the peer has them */
		channel_close_fds(x->fds, x->nfds);
		x->nfds = 0;
	}
	TAILQ_INSERT_TAIL(&p->pending, x, link);
	p->npending++;
	x->place = PLACE_PENDING;
}

static bool is_gone(int err)
{
	return err == EPIPE || err == ECONNRESET;
}

/* A peer that takes no more may have said why before: that is still to be read. */
static void send_failed(struct proxy *p, int err)
{
	struct vuser_error e;

	if (is_gone(err)) {
		p->mute = true;
		return;
	}
	error_set(&e, VUSER_E_CLOSED, err, "sending failed: %s", vuser_errno_text(err));
	engine_lose(p, &e, NULL, 0);
}

bool engine_has_room(const struct proxy *p)
{
	return p->out.bytes <= VUSER_MAX_OUTGOING_BYTES || p->mute;
}

void engine_flush(struct proxy *p)
{
	int err;

	if (p->lost.code || p->mute)
		return;
	err = outbox_flush(&p->out, p->fd, sent_whole, p);
	p->stuck = err == EAGAIN;
	if (err && err != EAGAIN)
		send_failed(p, err);
	if (p->roomless && engine_has_room(p))
		engine_wake_all(p);
	engine_kick(p); /* whoever reads sees to the rest */
}

bool engine_leave_rest(struct proxy *p, struct vuser_exchange *x)
{
	struct vuser_exchange *rest = exchange_get(&p->pool);
	struct vuser_error e;

	if (!rest || !exchange_reserve(rest, x->size)) {
		if (rest)
			exchange_put(&p->pool, rest);
		error_set(&e, VUSER_E_SYSTEM, ENOMEM, "no memory to finish a message");
		engine_lose(p, &e, NULL, 0);
		return false;
	}
	rest->h = x->h;
	rest->kind = EXCHANGE_ASYNC;
	rest->size = x->size;
	rest->sent = x->sent;
	rest->sent_at = x->sent_at;
	memcpy(rest->bytes, x->bytes, x->size);
	outbox_replace(&p->out, x, rest);
	return true;
}

static int enqueue(struct proxy *p, struct vuser_exchange *x, struct vuser_error *e)
{
	int err = exchange_settle_in(x);

	if (err)
		return error_set(e, VUSER_E_SYSTEM, err, "cannot queue a message: %s",
				 vuser_errno_text(err));
	outbox_add(&p->out, x);
	if (p->corks && p->out.bytes >= PROXY_CORK_BYTES)
		engine_flush(p);
	else
		engine_kick(p);
	return 0;
}

static int send_or_queue(struct proxy *p, struct vuser_exchange *x, struct vuser_error *e)
{
	int err, r;

	if (p->out.count || p->corks || p->o.force_queue || p->mute)
		return enqueue(p, x, e);
	err = outbox_send_now(p->fd, x);
	if (!err) {
		sent_whole(p, x);
		return 0;
	}
	if (err != EAGAIN && !is_gone(err)) /* it is this message: a bad descriptor */
		return error_set(e, VUSER_E_SYSTEM, err, "cannot send a message: %s",
				 vuser_errno_text(err));
	/* Once a part is out, the rest must follow or the stream is lost. */
	p->stuck = err == EAGAIN;
	r = enqueue(p, x, e);
	if (r && x->sent) {
		struct vuser_error lost;

		error_set(&lost, VUSER_E_CLOSED, ENOMEM,
			  "no memory to send the rest of a message");
		engine_lose(p, &lost, NULL, 0);
	}
	if (is_gone(err))
		send_failed(p, err);
	return r;
}

static int check_kind(const struct vuser_exchange *x, enum exchange_kind kind,
		      struct vuser_error *e)
{
	bool no_reply = x->h.flags & VUSER_FLAG_NO_REPLY;

	if (x->raw || vuser_is_reply(&x->h))
		return 0;
	if (no_reply && kind != EXCHANGE_ASYNC)
		return error_set(e, VUSER_E_USAGE, 0,
				 "waiting for a message that wants no reply");
	if (!no_reply && kind == EXCHANGE_ASYNC)
		return error_set(e, VUSER_E_USAGE, 0,
				 "not waiting for a message that wants a reply");
	return 0;
}

/* Called with the lock. On failure x is gone. */
int engine_start(struct proxy *p, struct vuser_exchange *x, enum exchange_kind kind,
		 struct vuser_error *e)
{
	int r = check_kind(x, kind, e);

	if (p->out.count && !p->corks && !p->o.force_queue)
		engine_flush(p); /* there may be room by now */
	if (!r && p->lost.code) {
		if (e)
			*e = p->lost;
		r = p->lost.code;
	}
	if (!r && p->mute && kind == EXCHANGE_ASYNC)
		r = error_set(e, VUSER_E_CLOSED, EPIPE, "the peer closed the connection");
	if (!r && p->npending + p->out.requests >= VUSER_MAX_PENDING &&
	    kind != EXCHANGE_ASYNC)
		r = error_set(e, VUSER_E_USAGE, EAGAIN,
			      "%u requests are outstanding already", VUSER_MAX_PENDING);
	if (r) {
		exchange_put(&p->pool, x);
		return r;
	}
	if (p->coalesce && x->gathered && p->out.count >= PROXY_COALESCE_AT &&
	    outbox_gather(&p->out, x)) {
		exchange_put(&p->pool, x);
		return 0;
	}
	x->kind = kind;
	x->sent_at = clock_now();
	if (!x->raw) {
		if (!vuser_is_reply(&x->h))
			x->h.id = engine_id_next(p);
		vuser_header_encode(&x->h, x->bytes);
		if (kind != EXCHANGE_ASYNC)
			engine_id_mark(p, x->h.id, true);
		else if (!vuser_is_reply(&x->h))
			p->posted[p->nposted++ % POSTED_IDS] = x->h.id;
	}
	if (kind == EXCHANGE_NOWAIT)
		p->nnowait++;
	if (x->raw)
		p->raw = x;
	r = send_or_queue(p, x, e);
	if (r) {
		if (kind == EXCHANGE_NOWAIT)
			p->nnowait--;
		if (p->raw == x)
			p->raw = NULL;
		if (!x->raw && kind != EXCHANGE_ASYNC)
			engine_id_mark(p, x->h.id, false);
		exchange_put(&p->pool, x);
	}
	return r;
}
