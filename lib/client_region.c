/* SPDX-License-Identifier: BSD-3-Clause */
/* Typed calls that read and write regions, one at a time or many in flight. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "cursor.h"
#include "error.h"

#define ACCESS_SIZE 16u

/* Learns the region's size, once. */
static int region_size(struct vuser_client *c, uint32_t region, uint64_t *size,
		       struct vuser_error *e)
{
	struct vuser_region *info;
	bool known;
	int r;

	if (region >= VUSER_MAX_REGIONS)
		return error_set(e, VUSER_E_USAGE, ERANGE,
				 "region %u, above the %u there may be", region,
				 VUSER_MAX_REGIONS - 1);
	pthread_mutex_lock(&c->lock);
	known = c->regions[region].known;
	*size = c->regions[region].size;
	pthread_mutex_unlock(&c->lock);
	if (known)
		return 0;
	r = vuser_get_region(c, region, &info, e);
	if (r)
		return r;
	*size = info->info.size;
	vuser_region_free(info);
	return 0;
}

static const char *region_text(uint32_t region, char *buf, size_t cap)
{
	const char *name = vuser_region_name(region);

	if (name)
		return name;
	snprintf(buf, cap, "region %u", region);
	return buf;
}

/* Refuses what the negotiated limits or the region's size forbid, unless lax. */
static int check_range(struct vuser_client *c, uint32_t region, uint64_t offset,
		       size_t count, struct vuser_error *e)
{
	uint64_t size = 0;
	char buf[24];
	int r;

	if (count > UINT32_MAX)
		return error_set(e, VUSER_E_USAGE, EMSGSIZE, "count %zu does not fit",
				 count);
	if (c->lax)
		return 0;
	if (count > c->theirs.max_data_xfer_size)
		return error_set(
			e, VUSER_E_USAGE, EMSGSIZE,
			"count %zu is above the server's max_data_xfer_size of %llu",
			count, (unsigned long long)c->theirs.max_data_xfer_size);
	r = region_size(c, region, &size, e);
	if (r)
		return r;
	if (offset <= size && count <= size - offset)
		return 0;
	return error_set(e, VUSER_E_USAGE, ERANGE,
			 "offset 0x%llx, count %zu: %s ends at 0x%llx",
			 (unsigned long long)offset, count,
			 region_text(region, buf, sizeof(buf)), (unsigned long long)size);
}

static struct vuser_exchange *build_access(struct vuser_client *c, unsigned command,
					   uint32_t region, uint64_t offset, size_t count,
					   const void *data, struct vuser_error *e)
{
	struct vuser_payload p = { .command = (uint16_t)command };

	p.u.access = (struct vuser_region_access){ .offset = offset,
						   .region = region,
						   .count = (uint32_t)count };
	if (command == VUSER_CMD_REGION_WRITE) {
		p.tail = data;
		p.tail_len = count;
	}
	return client_build(c, &p, e);
}

static struct vuser_exchange *build_read(struct vuser_client *c, uint32_t region,
					 uint64_t offset, void *buf, size_t count,
					 struct vuser_error *e)
{
	struct vuser_exchange *x =
		build_access(c, VUSER_CMD_REGION_READ, region, offset, count, NULL, e);

	if (!x)
		return NULL;
	x->split = ACCESS_SIZE;
	x->tail = buf;
	x->tail_cap = count;
	client_make_room(c, ACCESS_SIZE + (uint64_t)count);
	return x;
}

/* What was asked for must be what the reply is about. */
static int check_reply(struct vuser_client *c, struct vuser_exchange *x,
		       struct vuser_error *e)
{
	struct cursor sent = cursor_at(x->bytes + VUSER_HEADER_SIZE, ACCESS_SIZE);
	struct vuser_region_access asked = { .offset = cursor_u64(&sent) }, got;
	struct vuser_payload p;
	int r = client_decode(c, x, &p, e);

	if (r)
		return r;
	asked.region = cursor_u32(&sent);
	asked.count = cursor_u32(&sent);
	got = p.u.access;
	if (got.count != asked.count)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE + 12, "count", e,
					"the reply is about %u bytes, asked was for %u",
					got.count, asked.count);
	if (got.offset != asked.offset)
		return client_bad_reply(
			c, x, VUSER_HEADER_SIZE, "offset", e,
			"the reply is about offset 0x%llx, asked was for 0x%llx",
			(unsigned long long)got.offset, (unsigned long long)asked.offset);
	if (got.region != asked.region)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE + 8, "region", e,
					"the reply is about region %u, asked was for %u",
					got.region, asked.region);
	return 0;
}

/* ---- One at a time ----------------------------------------------------------------- */

static int call_and_check(struct vuser_client *c, struct vuser_exchange *x,
			  struct vuser_error *e)
{
	int r = proxy_call(c->proxy, x, e);

	if (r)
		return r;
	r = check_reply(c, x, e);
	proxy_release(c->proxy, x);
	return r;
}

int vuser_read(struct vuser_client *c, uint32_t region, uint64_t offset, void *buf,
	       size_t count, struct vuser_error *e)
{
	struct vuser_exchange *x;
	int r = check_range(c, region, offset, count, e);

	if (r)
		return r;
	x = build_read(c, region, offset, buf, count, e);
	return x ? call_and_check(c, x, e) : client_not_built(e);
}

int vuser_write(struct vuser_client *c, uint32_t region, uint64_t offset, const void *buf,
		size_t count, bool posted, struct vuser_error *e)
{
	struct vuser_exchange *x;
	int r = check_range(c, region, offset, count, e);

	if (r)
		return r;
	x = build_access(c, VUSER_CMD_REGION_WRITE, region, offset, count, buf, e);
	if (!x)
		return client_not_built(e);
	if (!posted || !c->posting)
		return call_and_check(c, x, e);
	x->h.flags |= VUSER_FLAG_NO_REPLY;
	x->gathered = count <= VUSER_MULTI_BYTES;
	return proxy_start(c->proxy, x, EXCHANGE_ASYNC, e);
}

int vuser_write_multi(struct vuser_client *c, const struct vuser_multi_entry *entries,
		      size_t n, uint64_t *done, struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_REGION_WRITE_MULTI }, reply;
	uint8_t tail[VUSER_MULTI_WRITES * 24];
	struct vuser_exchange *x;
	int r;

	if (n > VUSER_MULTI_WRITES)
		return error_set(e, VUSER_E_USAGE, E2BIG,
				 "%zu writes, above the %u that one message takes", n,
				 VUSER_MULTI_WRITES);
	if (!c->lax && !(c->o.caps.write_multiple && c->theirs.write_multiple))
		return error_set(e, VUSER_E_USAGE, ENOTSUP,
				 "write_multiple was not agreed with the server");
	for (size_t i = 0; i < n; i++) {
		r = check_range(c, entries[i].region, entries[i].offset, entries[i].count,
				e);
		if (r)
			return r;
		vuser_multi_put(tail, i, &entries[i]);
	}
	p.u.multi.wr_cnt = n;
	p.tail = tail;
	p.tail_len = n * 24;
	r = client_call(c, &p, NULL, 0, &reply, &x, e);
	if (r)
		return r;
	*done = reply.u.multi.wr_cnt;
	if (*done > n)
		r = client_bad_reply(c, x, VUSER_HEADER_SIZE, "wr_cnt", e,
				     "the server claims %llu writes done of %zu",
				     (unsigned long long)*done, n);
	proxy_release(c->proxy, x);
	return r;
}

/* ---- Many in flight ---------------------------------------------------------------- */

static int start(struct vuser_client *c, struct vuser_exchange **x, struct vuser_error *e)
{
	int r = *x ? proxy_start(c->proxy, *x, EXCHANGE_WAIT, e) : client_not_built(e);

	if (r)
		*x = NULL;
	return r;
}

int vuser_start_read(struct vuser_client *c, uint32_t region, uint64_t offset, void *buf,
		     size_t count, struct vuser_exchange **out, struct vuser_error *e)
{
	int r = check_range(c, region, offset, count, e);

	if (r)
		return r;
	*out = build_read(c, region, offset, buf, count, e);
	return start(c, out, e);
}

int vuser_start_write(struct vuser_client *c, uint32_t region, uint64_t offset,
		      const void *buf, size_t count, struct vuser_exchange **out,
		      struct vuser_error *e)
{
	int r = check_range(c, region, offset, count, e);

	if (r)
		return r;
	*out = build_access(c, VUSER_CMD_REGION_WRITE, region, offset, count, buf, e);
	return start(c, out, e);
}

int vuser_finish(struct vuser_client *c, struct vuser_exchange *x, struct vuser_error *e)
{
	int r = proxy_wait(c->proxy, x, proxy_timeout(c->proxy), e);

	if (!r && x->h.command == VUSER_CMD_MIG_DATA_WRITE)
		r = client_check_empty(c, x, e);
	else if (!r)
		r = check_reply(c, x, e);
	proxy_release(c->proxy, x);
	return r;
}

void vuser_cork(struct vuser_client *c, bool on)
{
	proxy_cork(c->proxy, on);
}
