/* SPDX-License-Identifier: BSD-3-Clause */
/* A server's regions: what they are, the descriptors behind them, reading and writing. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "server.h"

int regions_check(const struct vuser_device *desc, struct vuser_error *e)
{
	for (uint32_t i = 0; i < desc->num_regions; i++) {
		const struct vuser_region_desc *d = &desc->regions[i];

		if ((d->flags & VUSER_REGION_MMAP) && !desc->region_fd)
			return error_set(e, VUSER_E_USAGE, EINVAL,
					 "region %u can be mapped, but there is no "
					 "region_fd()",
					 i);
		if (d->areas && d->nr_areas > VUSER_MAX_SPARSE_AREAS)
			return error_set(e, VUSER_E_USAGE, EINVAL,
					 "a region has at most %u areas",
					 VUSER_MAX_SPARSE_AREAS);
		for (uint32_t k = 0; d->areas && k < d->nr_areas; k++)
			if (d->areas[k].offset > d->size ||
			    d->areas[k].size > d->size - d->areas[k].offset)
				return error_set(e, VUSER_E_USAGE, EINVAL,
						 "area %u is not within region %u", k, i);
	}
	return 0;
}

/* ---- DEVICE_GET_REGION_INFO ------------------------------------------------------- */

/* The descriptor to map the region by, -1 if it cannot be mapped, or not by this client.
 */
static int find_fd(struct request *q, uint32_t index, uint64_t *offset)
{
	const struct vuser_device *desc = q->s->desc;
	int fd = -1;

	*offset = 0;
	if ((desc->regions[index].flags & VUSER_REGION_MMAP) &&
	    desc->regions[index].size && q->s->theirs.max_msg_fds)
		fd = desc->region_fd(q->s->dev, index, offset);
	if (fd >= 0)
		return fd;
	*offset = 0;
	return -1;
}

/* Where the whole answer does not fit, its size and the fixed part alone: no descriptor.
 */
int request_region_info(struct request *q)
{
	struct vuser_payload p = request_answer(q);
	struct vuser_region_info *info = &p.u.region_info;
	const struct vuser_region_desc *d;
	uint8_t chain[REGIONCAP_ROOM];
	uint32_t argsz = info->argsz;
	size_t len;
	int fd;

	if (argsz < sizeof(*info))
		return request_refuse(q, EINVAL, "argsz is below the answer's size");
	if (info->index >= q->s->desc->num_regions)
		return request_refuse(q, EINVAL, "there is no such region");
	d = &q->s->desc->regions[info->index];
	*info = (struct vuser_region_info){ .index = info->index, .size = d->size };
	fd = find_fd(q, info->index, &info->offset);
	len = regioncap_write(chain, d, fd >= 0);
	info->argsz = (uint32_t)(sizeof(*info) + len);
	info->flags = d->flags & (VUSER_REGION_READ | VUSER_REGION_WRITE);
	if (fd >= 0)
		info->flags |= VUSER_REGION_MMAP;
	if (len)
		info->flags |= VUSER_REGION_CAPS;
	/* Even where the chain does not follow: QEMU does not ask again without it. */
	if (len)
		info->cap_offset = sizeof(*info);
	if (argsz < info->argsz)
		return request_reply(q, &p);
	p.tail = chain;
	p.tail_len = len;
	return request_reply_fds(q, &p, &fd, fd >= 0);
}

/* ---- REGION_READ, REGION_WRITE, REGION_WRITE_MULTI -------------------------------- */

static int check_access(struct request *q, uint32_t region, uint64_t offset,
			uint32_t count, uint32_t flag)
{
	const struct vuser_region_desc *d;

	if (region >= q->s->desc->num_regions)
		return request_refuse(q, EINVAL, "there is no such region");
	d = &q->s->desc->regions[region];
	if (count > q->s->max_data)
		return request_refuse(q, EINVAL, "count is above max_data_xfer_size");
	if (offset > d->size || count > d->size - offset)
		return request_refuse(q, EINVAL, "it reaches beyond the region's end");
	if (!(d->flags & flag))
		return request_refuse(q, EPERM,
				      flag == VUSER_REGION_READ
					      ? "the region is not readable"
					      : "the region is not writable");
	return 0;
}

int request_read(struct request *q)
{
	const struct vuser_region_access *a = &q->p->u.access;
	struct vuser_exchange *reply;
	uint8_t *out;
	void *payload;
	int r = check_access(q, a->region, a->offset, a->count, VUSER_REGION_READ);

	if (r)
		return r;
	if (!q->s->desc->read)
		return request_refuse(q, ENOTSUP, "the device cannot be read");
	reply = proxy_reply(q->s->proxy, q->x, sizeof(*a) + a->count, &payload);
	if (!reply)
		return 0;
	out = payload;
	memcpy(out, q->x->bytes + VUSER_HEADER_SIZE, sizeof(*a));
	memset(out + sizeof(*a), 0, a->count); /* nothing of ours must get out */
	r = a->count ? q->s->desc->read(q->s->dev, a->region, a->offset, out + sizeof(*a),
					a->count)
		     : 0;
	if (!r) {
		proxy_reply_send(q->s->proxy, reply);
		return 0;
	}
	proxy_release(q->s->proxy, reply);
	return request_refuse(q, request_device_errno(r), "the device failed");
}

static int write_region(struct request *q, uint32_t region, uint64_t offset,
			const void *data, uint32_t count)
{
	int r = check_access(q, region, offset, count, VUSER_REGION_WRITE);

	if (r)
		return r;
	if (!q->s->desc->write)
		return request_refuse(q, ENOTSUP, "the device cannot be written");
	r = count ? q->s->desc->write(q->s->dev, region, offset, data, count) : 0;
	return r ? request_refuse(q, request_device_errno(r), "the device failed") : 0;
}

int request_write(struct request *q)
{
	const struct vuser_region_access *a = &q->p->u.access;
	struct vuser_payload p = request_answer(q);
	int r = write_region(q, a->region, a->offset, q->p->tail, a->count);

	return r ? r : request_reply(q, &p);
}

/* The writes are done in order up to the first that fails; the reply says how many. */
int request_write_multi(struct request *q)
{
	struct vuser_payload p = request_answer(q);
	struct vuser_multi_entry entry;
	uint64_t done = 0;
	int r = 0;

	if (!q->s->write_multiple)
		return request_refuse(q, ENOTSUP, "write_multiple was not agreed");
	while (done < q->p->u.multi.wr_cnt && !r) {
		vuser_multi_get(q->p, (size_t)done, &entry);
		r = write_region(q, entry.region, entry.offset, entry.data, entry.count);
		done += !r;
	}
	if (r && !done)
		return r;
	p.u.multi.wr_cnt = done;
	return request_reply(q, &p);
}
