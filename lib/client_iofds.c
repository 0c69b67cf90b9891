/* SPDX-License-Identifier: BSD-3-Clause */
/* The typed call that asks for the descriptors which stand for writes to a region. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "client.h"
#include "error.h"

#define FDS_SIZE 16u /* of the fixed part */

/* What is made of one answer. */
struct ask {
	struct vuser_io_fds *f;
	uint8_t *payload; /* VUSER_MAX_REPLY_INFO bytes */
	uint32_t argsz;	  /* that the full answer needs */
	bool whole;	  /* it was this one */
};

/* The place of entry n in the message. */
static size_t entry_at(const struct vuser_payload *reply, size_t n)
{
	return VUSER_HEADER_SIZE + FDS_SIZE +
	       n * (reply->tail_len / reply->u.region_io_fds.count);
}

static int check_entry(struct vuser_client *c, struct vuser_exchange *x,
		       const struct vuser_payload *reply, size_t n,
		       const struct vuser_io_fd *entry, struct vuser_error *e)
{
	size_t at = entry_at(reply, n);

	if (entry->fd_index >= x->nreply_fds)
		return client_bad_reply(c, x, at + 16, "fd_index", e,
					"entry %zu names descriptor %u, %zu came", n,
					entry->fd_index, x->nreply_fds);
	if (entry->type == VUSER_IO_FD_SHADOW && entry->shadow_index >= x->nreply_fds)
		return client_bad_reply(c, x, at + 28, "padding", e,
					"entry %zu has its shadow in descriptor %u, "
					"%zu came",
					n, entry->shadow_index, x->nreply_fds);
	return 0;
}

/* All entries, and then their descriptors. */
static int take_entries(struct vuser_client *c, struct vuser_exchange *x,
			const struct vuser_payload *reply, struct vuser_io_fds *f,
			struct vuser_error *e)
{
	size_t n = reply->u.region_io_fds.count;
	int r;

	f->entries = calloc(n + 1, sizeof(*f->entries));
	if (!f->entries)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for the io fds");
	for (size_t i = 0; i < n; i++) {
		vuser_io_fd_get(reply, i, &f->entries[i]);
		r = check_entry(c, x, reply, i, &f->entries[i], e);
		if (r)
			return r;
	}
	f->n = n;
	f->nfds = x->nreply_fds;
	memcpy(f->fds, x->reply_fds, f->nfds * sizeof(int));
	x->nreply_fds = 0;
	return 0;
}

static int check_head(struct vuser_client *c, struct vuser_exchange *x,
		      const struct vuser_region_io_fds *got, uint32_t region,
		      struct vuser_error *e)
{
	if (got->index != region)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE + 8, "index", e,
					"the reply is about region %u, asked was for %u",
					got->index, region);
	if (got->argsz > VUSER_MAX_REPLY_INFO)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE, "argsz", e,
					"the full answer needs %u bytes, above the %u "
					"there may be",
					got->argsz, VUSER_MAX_REPLY_INFO);
	return 0;
}

/* One question with room for argsz bytes. */
static int ask(struct vuser_client *c, struct ask *a, uint32_t argsz,
	       struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_GET_REGION_IO_FDS }, reply;
	struct vuser_exchange *x;
	int r;

	p.u.region_io_fds.argsz = argsz;
	p.u.region_io_fds.index = a->f->region;
	r = client_call(c, &p, a->payload, argsz, &reply, &x, e);
	if (r)
		return r;
	r = check_head(c, x, &reply.u.region_io_fds, a->f->region, e);
	a->argsz = reply.u.region_io_fds.argsz;
	a->whole = !reply.u.region_io_fds.count || reply.tail_len;
	if (!r && reply.tail_len)
		r = take_entries(c, x, &reply, a->f, e);
	else if (!r && !a->whole && a->argsz <= argsz)
		r = client_bad_reply(c, x, VUSER_HEADER_SIZE + 12, "count", e,
				     "%u entries are announced and none comes",
				     reply.u.region_io_fds.count);
	proxy_release(c->proxy, x);
	return r;
}

int vuser_get_io_fds(struct vuser_client *c, uint32_t region, struct vuser_io_fds **out,
		     struct vuser_error *e)
{
	struct ask a = { .f = calloc(1, sizeof(*a.f)),
			 .payload = malloc(VUSER_MAX_REPLY_INFO) };
	int r;

	if (!a.f || !a.payload) {
		free(a.f);
		free(a.payload);
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for the io fds");
	}
	a.f->region = region;
	r = ask(c, &a, FDS_SIZE, e);
	if (!r && !a.whole)
		r = ask(c, &a, a.argsz, e);
	if (!r && !a.whole)
		r = error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE, "argsz",
			     "the answer needs %u bytes now, more than a moment ago",
			     a.argsz);
	free(a.payload);
	if (r)
		vuser_io_fds_free(a.f);
	else
		*out = a.f;
	return r;
}

void vuser_io_fds_free(struct vuser_io_fds *f)
{
	if (!f)
		return;
	channel_close_fds(f->fds, f->nfds);
	free(f->entries);
	free(f);
}
