/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages not yet sent. */
#include <errno.h>
#include <string.h>

#include "channel.h"
#include "cursor.h"
#include "outbox.h"

#define BATCH 128u /* messages in one system call */

void outbox_init(struct outbox *o)
{
	*o = (struct outbox){ 0 };
	TAILQ_INIT(&o->queue);
}

/* What a reply of ours costs: small ones are mostly the structure around them. */
static size_t answer_cost(const struct vuser_exchange *x)
{
	return x->answer ? sizeof(*x) + x->size : 0;
}

/* x is in the queue; its bytes are counted elsewhere. */
static void enters(struct outbox *o, struct vuser_exchange *x)
{
	x->place = PLACE_OUTGOING;
	o->count++;
	o->requests += x->kind != EXCHANGE_ASYNC;
	o->answers += answer_cost(x);
}

static void leaves(struct outbox *o, struct vuser_exchange *x)
{
	TAILQ_REMOVE(&o->queue, x, link);
	x->place = PLACE_OWNER;
	o->count--;
	o->requests -= x->kind != EXCHANGE_ASYNC;
	o->answers -= answer_cost(x);
}

void outbox_add(struct outbox *o, struct vuser_exchange *x)
{
	TAILQ_INSERT_TAIL(&o->queue, x, link);
	enters(o, x);
	o->bytes += x->size - x->sent;
}

void outbox_remove(struct outbox *o, struct vuser_exchange *x)
{
	leaves(o, x);
	o->bytes -= x->size - x->sent;
}

void outbox_replace(struct outbox *o, struct vuser_exchange *x,
		    struct vuser_exchange *rest)
{
	TAILQ_INSERT_BEFORE(x, rest, link);
	enters(o, rest);
	leaves(o, x);
}

int outbox_send_now(int fd, struct vuser_exchange *x)
{
	struct iovec iov[2] = { { .iov_base = x->bytes, .iov_len = x->size },
				{ .iov_base = (void *)(uintptr_t)x->data,
				  .iov_len = x->data_len } };
	ssize_t r = channel_send(fd, iov, x->data_len ? 2 : 1, x->fds, x->nfds);

	if (r < 0)
		return (int)-r;
	x->sent = (size_t)r;
	return x->sent == x->size + x->data_len ? 0 : EAGAIN;
}

/*
 * The messages of one system call. One with fds goes first and alone: on the other side
 * they belong to the message that ends the piece they came with.
 */
static size_t fill_iov(const struct outbox *o, struct iovec *iov)
{
	struct vuser_exchange *x;
	size_t n = 0;

	TAILQ_FOREACH (x, &o->queue, link) {
		if (n && x->nfds)
			break;
		iov[n++] = (struct iovec){ .iov_base = x->bytes + x->sent,
					   .iov_len = x->size - x->sent };
		if (n == BATCH || x->nfds)
			break;
	}
	return n;
}

int outbox_flush(struct outbox *o, int fd,
		 void (*sent)(void *arg, struct vuser_exchange *x), void *arg)
{
	struct iovec iov[BATCH];
	struct vuser_exchange *x;

	while ((x = TAILQ_FIRST(&o->queue))) {
		size_t n = fill_iov(o, iov), left;
		ssize_t r = channel_send(fd, iov, n, x->fds, x->sent ? 0 : x->nfds);

		if (r < 0)
			return (int)-r;
		left = (size_t)r;
		o->bytes -= left;
		while (left && (x = TAILQ_FIRST(&o->queue))) {
			size_t part = x->size - x->sent < left ? x->size - x->sent : left;

			x->sent += part;
			left -= part;
			if (x->sent < x->size)
				break;
			leaves(o, x);
			sent(arg, x);
		}
	}
	return 0;
}

/* ---- Gathering ----------------------------------------------------------------- */

#define WRITE_HEAD  (VUSER_HEADER_SIZE + 16u) /* of REGION_WRITE, data follows */
#define MULTI_HEAD  (VUSER_HEADER_SIZE + 8u)  /* of REGION_WRITE_MULTI, entries follow */
#define MULTI_ENTRY 24u

/* The entry that says what a REGION_WRITE with its data in the bytes says. */
static struct vuser_multi_entry entry_of(const uint8_t *bytes, const uint8_t *data)
{
	struct cursor c = cursor_at(bytes + VUSER_HEADER_SIZE, 16);
	struct vuser_multi_entry entry = { .offset = cursor_u64(&c) };

	entry.region = cursor_u32(&c);
	entry.count = cursor_u32(&c);
	memcpy(entry.data, data, entry.count);
	return entry;
}

/* Turns a single posted write into a REGION_WRITE_MULTI of one. */
static bool become_multi(struct outbox *o, struct vuser_exchange *x)
{
	struct vuser_multi_entry entry = entry_of(x->bytes, x->bytes + WRITE_HEAD);

	if (!exchange_reserve(x, MULTI_HEAD + VUSER_MULTI_WRITES * MULTI_ENTRY))
		return false;
	o->bytes -= x->size;
	x->size = MULTI_HEAD + MULTI_ENTRY;
	o->bytes += x->size;
	x->h.command = VUSER_CMD_REGION_WRITE_MULTI;
	vuser_multi_put(x->bytes + MULTI_HEAD, 0, &entry);
	return true;
}

bool outbox_gather(struct outbox *o, const struct vuser_exchange *write)
{
	struct vuser_exchange *x = TAILQ_LAST(&o->queue, exchange_list);
	const uint8_t *data = write->data_len ? write->data : write->bytes + WRITE_HEAD;
	struct vuser_multi_entry entry;

	if (!x || !x->gathered || x->sent || x->gathered == VUSER_MULTI_WRITES)
		return false;
	if (x->gathered == 1 && !become_multi(o, x))
		return false;
	entry = entry_of(write->bytes, data);
	vuser_multi_put(x->bytes + MULTI_HEAD, x->gathered, &entry);
	x->gathered++;
	x->size += MULTI_ENTRY;
	o->bytes += MULTI_ENTRY;
	x->h.size = (uint32_t)x->size;
	vuser_header_encode(&x->h, x->bytes);
	put_uint(x->bytes + VUSER_HEADER_SIZE, 8, x->gathered);
	return true;
}
