/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's handling of the peer's requests, and the replies to them. */
#include <errno.h>

#include "engine.h"
#include "error.h"

static void refuse_large(struct proxy *p, struct vuser_exchange *x)
{
	char why[80];

	snprintf(why, sizeof(why), "it has %u bytes where at most %llu may come",
		 x->h.size, (unsigned long long)p->o.request_limit);
	proxy_refuse(p, x, EINVAL, why);
}

/* Replies that a peer does not read must not pile up: then its next request waits. */
static bool may_reply(struct proxy *p)
{
	if (p->out.bytes > VUSER_MAX_OUTGOING_BYTES)
		engine_flush(p);
	return p->out.bytes <= VUSER_MAX_OUTGOING_BYTES || p->mute;
}

/* Handles what has come, one at a time. Called with the lock, let go of meanwhile. */
void engine_handle(struct proxy *p)
{
	struct vuser_exchange *x;
	struct vuser_error e;

	if (p->handling)
		return;
	p->handling = true;
	p->corks++; /* the replies to a batch leave together */
	while ((x = TAILQ_FIRST(&p->incoming)) && may_reply(p)) {
		TAILQ_REMOVE(&p->incoming, x, link);
		p->nincoming--;
		p->incoming_bytes -= x->size;
		x->place = PLACE_OWNER;
		pthread_mutex_unlock(&p->lock);
		if (x->result)
			refuse_large(p, x);
		else
			p->o.request(p->o.request_arg, x);
		if (!x->replied)
			proxy_refuse(p, x, EINVAL, "it was not answered");
		pthread_mutex_lock(&p->lock);
		exchange_put(&p->pool, x);
		if (!p->nincoming && p->leftover && !p->reading)
			(void)engine_dispatch(p, false, &e);
	}
	p->corks--;
	engine_flush(p);
	p->handling = false;
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
	reply->size = VUSER_HEADER_SIZE + len;
	reply->since = x->sent_at;
	x->replied = true;
	*payload = reply->bytes + VUSER_HEADER_SIZE;
	return reply;
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
