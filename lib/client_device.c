/* SPDX-License-Identifier: BSD-3-Clause */
/* Typed calls about the device: what it is, its regions and interrupts, reset; raw
 * messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"
#include "error.h"

int vuser_get_info(struct vuser_client *c, struct vuser_device_info *out,
		   struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_GET_INFO }, reply;
	struct vuser_exchange *x;
	int r;

	p.u.device_info.argsz = sizeof(p.u.device_info);
	r = client_call(c, &p, NULL, 0, &reply, &x, e);
	if (r)
		return r;
	*out = reply.u.device_info;
	if (out->num_regions > VUSER_MAX_REGIONS)
		r = client_bad_reply(
			c, x, VUSER_HEADER_SIZE + 8, "num_regions", e,
			"the server claims %u regions, above the %u believed",
			out->num_regions, VUSER_MAX_REGIONS);
	else if (out->num_irqs > VUSER_MAX_IRQS)
		r = client_bad_reply(c, x, VUSER_HEADER_SIZE + 12, "num_irqs", e,
				     "the server claims %u interrupt types, above the %u "
				     "believed",
				     out->num_irqs, VUSER_MAX_IRQS);
	proxy_release(c->proxy, x);
	return r;
}

int vuser_get_irq(struct vuser_client *c, uint32_t index, struct vuser_irq_info *out,
		  struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_GET_IRQ_INFO }, reply;
	struct vuser_exchange *x;
	int r;

	p.u.irq_info.argsz = sizeof(p.u.irq_info);
	p.u.irq_info.index = index;
	r = client_call(c, &p, NULL, 0, &reply, &x, e);
	if (r)
		return r;
	*out = reply.u.irq_info;
	if (out->index != index)
		r = client_bad_reply(c, x, VUSER_HEADER_SIZE + 8, "index", e,
				     "the reply is about interrupt %u, asked was for %u",
				     out->index, index);
	proxy_release(c->proxy, x);
	return r;
}

int vuser_reset(struct vuser_client *c, struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_RESET }, reply;

	return client_call(c, &p, NULL, 0, &reply, NULL, e);
}

/* ---- DEVICE_GET_REGION_INFO, in its two steps -------------------------------------- */

#define INFO_SIZE 32u

/* One question with room for argsz bytes; r->payload has at least so many. */
static int ask_region(struct vuser_client *c, uint32_t index, uint32_t argsz,
		      struct vuser_region *r, struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_GET_REGION_INFO }, reply;
	struct vuser_exchange *x;
	int ret;

	p.u.region_info.argsz = argsz;
	p.u.region_info.index = index;
	ret = client_call(c, &p, r->payload, argsz, &reply, &x, e);
	if (ret)
		return ret;
	r->info = reply.u.region_info;
	r->payload_len = INFO_SIZE + reply.tail_len;
	r->nfds = x->nreply_fds;
	memcpy(r->fds, x->reply_fds, r->nfds * sizeof(int));
	x->nreply_fds = 0;
	if (r->info.index != index)
		ret = client_bad_reply(c, x, VUSER_HEADER_SIZE + 8, "index", e,
				       "the reply is about region %u, asked was for %u",
				       r->info.index, index);
	else if (r->info.argsz > VUSER_MAX_REPLY_INFO)
		ret = client_bad_reply(
			c, x, VUSER_HEADER_SIZE, "argsz", e,
			"the full answer needs %u bytes, above the %u there "
			"may be",
			r->info.argsz, VUSER_MAX_REPLY_INFO);
	proxy_release(c->proxy, x);
	return ret;
}

static void remember(struct vuser_client *c, uint32_t index, uint64_t size)
{
	if (index >= VUSER_MAX_REGIONS)
		return;
	pthread_mutex_lock(&c->lock);
	c->regions[index] = (struct known_region){ .known = true, .size = size };
	pthread_mutex_unlock(&c->lock);
}

/* The chain, if there is one; where it lies is told in r->chain, not an error. */
static void read_chain(struct vuser_region *r)
{
	error_clear(&r->chain);
	if (!(r->info.flags & VUSER_REGION_CAPS))
		return;
	r->chain.code = vuser_regioncap_walk(r->payload, r->payload_len, r->caps,
					     VUSER_MAX_REGION_CAPS, &r->ncaps, &r->chain);
}

int vuser_get_region(struct vuser_client *c, uint32_t index, struct vuser_region **out,
		     struct vuser_error *e)
{
	struct vuser_region *r = calloc(1, sizeof(*r));
	int ret;

	if (r)
		r->payload = malloc(VUSER_MAX_REPLY_INFO);
	if (!r || !r->payload) {
		free(r);
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a region");
	}
	ret = ask_region(c, index, INFO_SIZE, r, e);
	if (!ret && r->info.argsz > INFO_SIZE) {
		channel_close_fds(r->fds, r->nfds);
		r->nfds = 0;
		ret = ask_region(c, index, r->info.argsz, r, e);
	}
	if (ret) {
		vuser_region_free(r);
		return ret;
	}
	read_chain(r);
	remember(c, index, r->info.size);
	*out = r;
	return 0;
}

void vuser_region_free(struct vuser_region *r)
{
	if (!r)
		return;
	channel_close_fds(r->fds, r->nfds);
	free(r->payload);
	free(r);
}

/* ---- Any message ------------------------------------------------------------------- */

int vuser_raw(struct vuser_client *c, const void *msg, size_t len, const int *fds,
	      size_t nfds, int64_t timeout, struct vuser_raw_reply *out,
	      struct vuser_error *e)
{
	struct vuser_exchange *x;
	int r;

	if (!len)
		return error_set(e, VUSER_E_USAGE, EINVAL, "there are no bytes to send");
	if (nfds > VUSER_MAX_FDS_HELD)
		return error_set(e, VUSER_E_USAGE, E2BIG,
				 "%zu descriptors, above the %u that one message takes",
				 nfds, VUSER_MAX_FDS_HELD);
	x = proxy_build(c->proxy, 0, NULL, 0, NULL, 0, e);
	if (!x)
		return client_not_built(e);
	x->raw = true;
	x->h = (struct vuser_header){ 0 };
	if (!exchange_reserve(x, len)) {
		proxy_release(c->proxy, x);
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for %zu bytes",
				 len);
	}
	memcpy(x->bytes, msg, len);
	x->size = len;
	(void)vuser_header_decode(msg, len, &x->h, NULL);
	if (nfds)
		memcpy(x->fds, fds, nfds * sizeof(int));
	x->nfds = nfds;
	r = proxy_start(c->proxy, x, EXCHANGE_WAIT, e);
	if (r)
		return r;
	r = proxy_wait(c->proxy, x, timeout, e);
	if (!r) {
		out->header = x->reply;
		out->bytes = x->tail;
		out->len = x->tail_len;
		out->nfds = x->nreply_fds;
		memcpy(out->fds, x->reply_fds, x->nreply_fds * sizeof(int));
		x->nreply_fds = 0;
	}
	proxy_release(c->proxy, x);
	return r;
}
