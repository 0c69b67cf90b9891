/* SPDX-License-Identifier: BSD-3-Clause */
/* A server's io fds: descriptors that a client may signal instead of writing to a region.
 */
#include <errno.h>
#include <stdlib.h>

#include "server.h"

struct io_fds {
	struct vuser_io_fd entry[VUSER_MAX_IO_FDS];
	int fds[VUSER_MAX_IO_FDS];
	size_t n, nfds;
	uint8_t bytes[]; /* the entries on the wire */
};

#define LARGEST_ENTRY 48u

/* What a device says goes to the client, so it must make sense. */
static bool is_sound(const struct io_fds *io, uint64_t region_size)
{
	if (io->n > VUSER_MAX_IO_FDS || io->nfds > VUSER_MAX_IO_FDS)
		return false;
	for (size_t i = 0; i < io->n; i++) {
		const struct vuser_io_fd *f = &io->entry[i];

		if (f->fd_index >= io->nfds || f->offset > region_size ||
		    f->size > region_size - f->offset ||
		    (f->type == VUSER_IO_FD_SHADOW && f->shadow_index >= io->nfds))
			return false;
	}
	return true;
}

/* 0 or an errno. */
static int ask_device(struct request *q, uint32_t index, struct io_fds *io)
{
	const struct vuser_device *desc = q->s->desc;
	int r;

	io->n = io->nfds = 0;
	if (!desc->io_fds)
		return 0;
	r = desc->io_fds(q->s->dev, index, io->entry, VUSER_MAX_IO_FDS, &io->n, io->fds,
			 &io->nfds);
	if (r)
		return request_refuse(q, request_device_errno(r), "the device failed");
	if (!is_sound(io, desc->regions[index].size))
		return request_refuse(q, EIO, "the device's io fds make no sense");
	if (!io->n)
		io->nfds = 0;
	return 0;
}

static int answer(struct request *q, struct io_fds *io)
{
	struct vuser_payload p = request_answer(q);
	struct vuser_region_io_fds *head = &p.u.region_io_fds;
	size_t entry = io_fd_size(io->entry, io->n);
	uint32_t argsz = head->argsz;

	*head = (struct vuser_region_io_fds){
		.argsz = (uint32_t)(sizeof(*head) + io->n * entry),
		.index = head->index,
		.count = (uint32_t)io->n,
	};
	if (argsz < head->argsz)
		return request_reply(q, &p);
	for (size_t i = 0; i < io->n; i++)
		io_fd_put(io->bytes, entry, i, &io->entry[i]);
	p.tail = io->bytes;
	p.tail_len = io->n * entry;
	return request_reply_fds(q, &p, io->fds, io->nfds);
}

/*
 * As with GET_REGION_INFO an answer that does not fit comes without entries and
 * descriptors. The protocol has no way to send the descriptors of one answer in parts, so
 * a client that takes fewer than there are is told at once, by the first question
 * already, that there is no room (ENOSPC): nothing in its command is wrong.
 */
int request_io_fds(struct request *q)
{
	const struct vuser_region_io_fds *c = &q->p->u.region_io_fds;
	struct io_fds *io;
	int r;

	if (c->argsz < sizeof(*c))
		return request_refuse(q, EINVAL, "argsz is below the answer's size");
	if (c->flags)
		return request_refuse(q, EINVAL, "flags is not 0");
	if (c->index >= q->s->desc->num_regions)
		return request_refuse(q, EINVAL, "index: there is no such region");
	io = malloc(sizeof(*io) + VUSER_MAX_IO_FDS * LARGEST_ENTRY);
	if (!io)
		return ENOMEM;
	r = ask_device(q, c->index, io);
	if (!r)
		r = request_check_fds(q, io->nfds);
	if (!r)
		r = answer(q, io);
	free(io);
	return r;
}
