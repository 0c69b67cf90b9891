/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's handling of the peer's requests, and the replies to them. */
#include <errno.h>

#include "engine.h"
#include "error.h"

/* It is too large, or else it lost descriptors that could not be held. */
static void refuse_unread(struct proxy *p, struct vuser_exchange *x)
{
	unsigned long long limit;
	char why[80];

	pthread_mutex_lock(&p->lock);
	limit = p->o.request_limit;
	pthread_mutex_unlock(&p->lock);
	if (x->h.size > limit)
		snprintf(why, sizeof(why), "it has %u bytes where at most %llu may come",
			 x->h.size, limit);
	else
		snprintf(why, sizeof(why),
			 "it comes with more descriptors than are held");
	proxy_refuse(p, x, EINVAL, why);
}

bool engine_overdue(const struct proxy *p)
{
	return p->out.answers > VUSER_MAX_OUTGOING_BYTES && !p->mute;
}

/* Called with the lock, let go of meanwhile. */
static void handle_one(struct proxy *p, struct vuser_exchange *x)
{
	struct vuser_error e;

	TAILQ_REMOVE(&p->incoming, x, link);
	p->nincoming--;
	p->incoming_bytes -= x->size;
	p->incoming_fds -= x->nfds;
	x->place = PLACE_OWNER;
	pthread_mutex_unlock(&p->lock);
	if (x->result)
		refuse_unread(p, x);
	else
		p->o.request(p->o.request_arg, x);
	if (!x->replied)
		proxy_refuse(p, x, EINVAL, "it was not answered");
	pthread_mutex_lock(&p->lock);
	exchange_put(&p->pool, x);
	if (!p->nincoming && p->leftover && !p->reading)
		(void)engine_dispatch(p, &e);
	engine_kick(p); /* there is room for more requests */
}

bool engine_may_handle(const struct proxy *p)
{
	return !p->handling && p->nincoming && !engine_overdue(p);
}

/*
 * A peer that does not read our replies gets no more of them, and one that asks without
 * end does not keep one thread for ever, while another one reads.
 */
void engine_handle(struct proxy *p)
{
	unsigned n = 0;

	while (engine_may_handle(p) && !(n >= HANDLE_BATCH && p->reading)) {
		p->handling = true;
		p->handler = pthread_self();
		p->corks++; /* the replies to a batch leave together */
		do
			handle_one(p, TAILQ_FIRST(&p->incoming));
		while (++n % HANDLE_BATCH && p->nincoming && !engine_overdue(p));
		p->corks--;
		p->handling = false;
		engine_flush(p);
		engine_kick(p); /* whoever reads handles what is left */
	}
}

struct vuser_exchange *proxy_reply(struct proxy *p, struct vuser_exchange *x, size_t len,
				   void **payload)
{
	struct vuser_exchange *reply;

	x->replied = x->h.flags & VUSER_FLAG_NO_REPLY;
	if (x->replied)
		return NULL;
	pthread_mutex_lock(&p->lock);
	reply = exchange_get(&p->pool);
	pthread_mutex_unlock(&p->lock);
	if (!reply)
		return NULL;
	if (!exchange_reserve(reply, VUSER_HEADER_SIZE + len)) {
		proxy_release(p, reply);
		return NULL;
	}
	reply->h = (struct vuser_header){ .id = x->h.id,
					  .command = x->h.command,
					  .size = (uint32_t)(VUSER_HEADER_SIZE + len),
					  .flags = VUSER_TYPE_REPLY };
	reply->answer = true;
	reply->size = VUSER_HEADER_SIZE + len;
	reply->since = x->sent_at;
	x->replied = true;
	*payload = reply->bytes + VUSER_HEADER_SIZE;
	return reply;
}

void proxy_reply_cut(struct vuser_exchange *reply, size_t len)
{
	reply->size = VUSER_HEADER_SIZE + len;
	reply->h.size = (uint32_t)reply->size;
}

void proxy_reply_send(struct proxy *p, struct vuser_exchange *reply)
{
	pthread_mutex_lock(&p->lock);
	/* It fails when the connection is lost: nobody is left to be told. */
	(void)engine_start(p, reply, EXCHANGE_ASYNC, NULL);
	pthread_mutex_unlock(&p->lock);
}

void proxy_refuse(struct proxy *p, struct vuser_exchange *x, int err, const char *why)
{
	const char *name = vuser_command_name(x->h.command);
	struct vuser_exchange *reply;
	struct vuser_error e;
	void *payload;

	error_set(&e, VUSER_E_PROTOCOL, err, "%s, id %u, was refused with %s: %s",
		  name ? name : "an unknown command", x->h.id, vuser_errno_name(err),
		  why);
	pthread_mutex_lock(&p->lock);
	engine_event(p, VUSER_EVENT_REQUEST, &e, x->bytes, x->size);
	pthread_mutex_unlock(&p->lock);
	reply = proxy_reply(p, x, 0, &payload);
	if (!reply)
		return;
	reply->h.flags |= VUSER_FLAG_ERROR;
	reply->h.error = (uint32_t)err;
	proxy_reply_send(p, reply);
}
