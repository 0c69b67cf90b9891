/* SPDX-License-Identifier: BSD-3-Clause */
/* A client's connection: the handshake, and what all typed calls have in common. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"
#include "error.h"
#include "msgtab.h"

#define OWN_CAPS                                                                         \
	(VUSER_CAP_MAX_MSG_FDS | VUSER_CAP_MAX_DATA_XFER_SIZE | VUSER_CAP_MAX_DMA_MAPS | \
	 VUSER_CAP_PGSIZES | VUSER_CAP_MIG_PGSIZE | VUSER_CAP_MIG_MAX_BITMAP_SIZE |      \
	 VUSER_CAP_WRITE_MULTIPLE | VUSER_CAP_TWIN_SUPPORTED)

/* Room in a message beside the data of the largest transfer. */
#define MESSAGE_SLACK VUSER_MAX_REPLY_INFO

void vuser_options_default(struct vuser_options *o)
{
	*o = (struct vuser_options){ .timeout = 5000000000 };
	vuser_caps_default(&o->caps);
	o->caps.present = OWN_CAPS;
	o->caps.max_msg_fds = VUSER_LIMIT_MSG_FDS;
	o->caps.write_multiple = true;
	o->caps.twin_supported = true;
}

/* ---- Calls ------------------------------------------------------------------------- */

struct vuser_exchange *client_build(struct vuser_client *c, const struct vuser_payload *p,
				    struct vuser_error *e)
{
	uint8_t fixed[64];
	size_t len;

	if (payload_encode_fixed(p, fixed, sizeof(fixed), &len, e))
		return NULL;
	return proxy_build(c->proxy, p->command, fixed, len, p->tail, p->tail_len, e);
}

/* Tells of a reply that was taken but does not hold what it should. */
static void tell_bad_reply(struct vuser_client *c, const struct vuser_exchange *x,
			   const struct vuser_error *e)
{
	uint8_t msg[VUSER_HEADER_SIZE + EXCHANGE_HEAD];
	size_t len = VUSER_HEADER_SIZE + x->head_len;

	vuser_header_encode(&x->reply, msg);
	memcpy(msg + VUSER_HEADER_SIZE, x->head, x->head_len);
	if (x->head_len == 0 && x->tail_len) {
		size_t n = x->tail_len < EXCHANGE_HEAD ? x->tail_len : EXCHANGE_HEAD;

		memcpy(msg + VUSER_HEADER_SIZE, x->tail, n);
		len += n;
	}
	proxy_tell(c->proxy, VUSER_EVENT_REFUSED, e, msg, len);
}

int client_bad_reply(struct vuser_client *c, struct vuser_exchange *x, size_t offset,
		     const char *field, struct vuser_error *e, const char *fmt, ...)
{
	struct vuser_error local;
	va_list ap;
	char text[sizeof(local.text)];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error_at(&local, VUSER_E_PROTOCOL, offset, field, "%s", text);
	tell_bad_reply(c, x, &local);
	if (e)
		*e = local;
	return VUSER_E_PROTOCOL;
}

int client_decode(struct vuser_client *c, struct vuser_exchange *x,
		  struct vuser_payload *reply, struct vuser_error *e)
{
	struct vuser_error local;
	int r;

	if (x->split)
		r = payload_decode_split(x->h.command, true, x->head, x->head_len,
					 x->tail, x->tail_len, reply, &local);
	else
		r = vuser_payload_decode(x->h.command, true, x->tail, x->tail_len, reply,
					 &local);
	if (!r)
		return 0;
	tell_bad_reply(c, x, &local);
	if (e)
		*e = local;
	return r;
}

int client_check_empty(struct vuser_client *c, struct vuser_exchange *x,
		       struct vuser_error *e)
{
	struct vuser_payload reply;

	return client_decode(c, x, &reply, e);
}

void client_make_room(struct vuser_client *c, uint64_t payload)
{
	uint64_t need = VUSER_HEADER_SIZE + payload;

	pthread_mutex_lock(&c->lock);
	if (need > c->limit) {
		c->limit = need;
		proxy_set_limits(c->proxy, need, c->max_data + CLIENT_REQUEST_HEAD);
	}
	pthread_mutex_unlock(&c->lock);
}

int client_call(struct vuser_client *c, const struct vuser_payload *p, void *tail,
		size_t tail_cap, struct vuser_payload *reply, struct vuser_exchange **out,
		struct vuser_error *e)
{
	struct vuser_exchange *x = client_build(c, p, e);
	int r;

	if (!x)
		return client_not_built(e);
	if (tail) { /* the whole payload, in one piece */
		x->split = 0;
		x->tail = tail;
		x->tail_cap = tail_cap;
	}
	x->want_fds = message_find(p->command)->reply_fds;
	if (p->command == VUSER_CMD_VERSION && !c->o.caps.twin_supported)
		x->want_fds = 0;
	r = proxy_call(c->proxy, x, e);
	if (r)
		return r;
	r = client_decode(c, x, reply, e);
	if (!r && out)
		*out = x;
	else
		proxy_release(c->proxy, x);
	return r;
}

/* ---- Handshake: section "VERSION" -------------------------------------------------- */

/* Where the JSON starts in a message. */
#define CAPS_AT (VUSER_HEADER_SIZE + 4u)

static int check_version(struct vuser_client *c, struct vuser_exchange *x,
			 const struct vuser_payload *reply, struct vuser_error *e)
{
	const struct vuser_version *v = &reply->u.version;

	if (v->major != VUSER_PROTO_MAJOR)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE, "major", e,
					"the server speaks version %u.%u, we speak %u.%u",
					v->major, v->minor, VUSER_PROTO_MAJOR,
					VUSER_PROTO_MINOR);
	if (v->minor > VUSER_PROTO_MINOR)
		return client_bad_reply(
			c, x, VUSER_HEADER_SIZE + 2, "minor", e,
			"the server answers minor %u, above the %u proposed", v->minor,
			VUSER_PROTO_MINOR);
	c->version = *v;
	return 0;
}

static void tell_unknown(struct vuser_client *c, const struct vuser_caps_unknown *unknown)
{
	struct vuser_error e;

	error_set(&e, VUSER_E_PROTOCOL, 0, "capabilities not known here: %s",
		  unknown->names);
	proxy_tell(c->proxy, VUSER_EVENT_UNKNOWN, &e, NULL, 0);
}

static int check_caps(struct vuser_client *c, struct vuser_exchange *x,
		      const struct vuser_payload *reply, struct vuser_error *e)
{
	struct vuser_caps_unknown unknown;
	struct vuser_error local;
	int r = vuser_caps_decode((const char *)reply->tail, reply->tail_len,
				  VUSER_CAPS_OF_SERVER, &c->o.caps, &c->theirs, &unknown,
				  &local);

	if (r && local.offset != VUSER_NO_OFFSET)
		local.offset += CAPS_AT;
	if (r) {
		tell_bad_reply(c, x, &local);
		if (e)
			*e = local;
		return r;
	}
	if (unknown.count)
		tell_unknown(c, &unknown);
	/* What a server does not name it cannot raise above what we offered. */
	if (c->theirs.max_dma_maps > c->o.caps.max_dma_maps)
		c->theirs.max_dma_maps = c->o.caps.max_dma_maps;
	if (c->theirs.migration_max_bitmap_size > c->o.caps.migration_max_bitmap_size)
		c->theirs.migration_max_bitmap_size = c->o.caps.migration_max_bitmap_size;
	return 0;
}

static int handshake(struct vuser_client *c, struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_VERSION }, reply = { 0 };
	struct vuser_exchange *x = NULL;
	char json[512], *text;
	size_t len;
	int r;

	p.u.version.major = VUSER_PROTO_MAJOR;
	p.u.version.minor = VUSER_PROTO_MINOR;
	r = vuser_caps_encode(&c->o.caps, json, sizeof(json), &len, e);
	if (r)
		return r;
	p.tail = (const uint8_t *)json;
	p.tail_len = len;
	text = malloc(VUSER_MAX_CAPS_JSON + 4);
	if (!text)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM,
				 "no memory for the handshake");
	r = client_call(c, &p, text, VUSER_MAX_CAPS_JSON + 4, &reply, &x, e);
	if (!r && x) {
		r = check_version(c, x, &reply, e);
		if (!r)
			r = check_caps(c, x, &reply, e);
		if (!r)
			r = client_twin_take(c, x, e);
		proxy_release(c->proxy, x);
	}
	free(text);
	return r;
}

/* ---- Opening and closing ----------------------------------------------------------- */

/* What the server hears: a member that is left out has its default. */
static struct vuser_caps heard(const struct vuser_caps *o)
{
	unsigned there = o->present;
	struct vuser_caps caps;

	vuser_caps_default(&caps);
	caps.present = there;
	if (there & VUSER_CAP_MAX_MSG_FDS)
		caps.max_msg_fds = o->max_msg_fds;
	if (there & VUSER_CAP_MAX_DATA_XFER_SIZE)
		caps.max_data_xfer_size = o->max_data_xfer_size;
	if (there & VUSER_CAP_MAX_DMA_MAPS)
		caps.max_dma_maps = o->max_dma_maps;
	if (there & VUSER_CAP_PGSIZES)
		caps.pgsizes = o->pgsizes;
	if (there & VUSER_CAP_MIG_PGSIZE)
		caps.migration_pgsize = o->migration_pgsize;
	if (there & VUSER_CAP_MIG_MAX_BITMAP_SIZE)
		caps.migration_max_bitmap_size = o->migration_max_bitmap_size;
	if (there & VUSER_CAP_WRITE_MULTIPLE)
		caps.write_multiple = o->write_multiple;
	if (there & VUSER_CAP_TWIN_SUPPORTED)
		caps.twin_supported = o->twin_supported;
	if (there & VUSER_CAP_TWIN_FD_INDEX)
		caps.twin_fd_index = o->twin_fd_index;
	return caps;
}

/* How large the server's messages may be; an offer beyond any message's size is cut. */
static void set_limits(struct vuser_client *c, struct proxy_options *po)
{
	c->max_data = c->o.caps.max_data_xfer_size;
	if (c->max_data > UINT32_MAX - MESSAGE_SLACK)
		c->max_data = UINT32_MAX - MESSAGE_SLACK;
	c->limit = c->max_data + MESSAGE_SLACK;
	po->limit = c->limit;
	po->request_limit = c->max_data + CLIENT_REQUEST_HEAD;
}

static void update_coalescing(struct vuser_client *c)
{
	proxy_set_coalesce(c->proxy, !c->o.no_coalesce,
			   c->o.caps.write_multiple && c->theirs.write_multiple);
}

int vuser_client_attach(int fd, const struct vuser_options *o, struct vuser_client **out,
			struct vuser_error *e)
{
	struct vuser_client *c;
	struct proxy_options po = { .sends = VUSER_C2S,
				    .timeout = o->timeout,
				    .trace = o->trace,
				    .event = o->event,
				    .cancelled = o->cancelled,
				    .arg = o->arg,
				    .request = client_request,
				    .force_queue = o->force_queue };
	int r = channel_check(fd, e);

	if (r) {
		close(fd);
		return r;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a connection");
	}
	c->both = -1;
	c->o = *o;
	c->o.caps = heard(&o->caps);
	c->lax = o->lax;
	c->posting = !o->no_posting;
	pthread_mutex_init(&c->lock, NULL);
	set_limits(c, &po);
	po.request_arg = c;
	c->proxy = proxy_new(fd, &po);
	if (c->proxy)
		r = handshake(c, e);
	else
		r = error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a connection");
	if (r) {
		vuser_client_close(c);
		return r;
	}
	update_coalescing(c);
	*out = c;
	return 0;
}

int vuser_client_open(const char *path, const struct vuser_options *o,
		      struct vuser_client **out, struct vuser_error *e)
{
	int fd, r = channel_connect(path, &fd, e);

	return r ? r : vuser_client_attach(fd, o, out, e);
}

unsigned vuser_client_close(struct vuser_client *c)
{
	unsigned outstanding = 0;

	if (!c)
		return 0;
	if (c->proxy)
		outstanding = proxy_free(c->proxy);
	client_twin_free(c);
	iova_clear(&c->windows);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return outstanding;
}

/* ---- What may change, and what can be asked ---------------------------------------- */

void vuser_client_set_timeout(struct vuser_client *c, int64_t timeout)
{
	proxy_set_timeout(c->proxy, timeout);
}

void vuser_client_set_lax(struct vuser_client *c, bool lax)
{
	c->lax = lax;
}

void vuser_client_set_posting(struct vuser_client *c, bool posting, bool coalesce)
{
	c->posting = posting;
	c->o.no_coalesce = !coalesce;
	update_coalescing(c);
}

struct vuser_version vuser_client_version(const struct vuser_client *c)
{
	return c->version;
}

const struct vuser_caps *vuser_client_offered(const struct vuser_client *c)
{
	return &c->o.caps;
}

const struct vuser_caps *vuser_client_theirs(const struct vuser_client *c)
{
	return &c->theirs;
}

int vuser_client_lost(struct vuser_client *c, struct vuser_error *e)
{
	return proxy_lost(c->proxy, e);
}
