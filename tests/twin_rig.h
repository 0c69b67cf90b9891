/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of a client whose server has two sockets: that server, by script. */
#ifndef VUSER_TESTS_TWIN_RIG_H
#define VUSER_TESTS_TWIN_RIG_H

#include <poll.h>
#include <stdatomic.h>

#define ROOM (1u << 16) /* for a payload */

#include "scripted_server.h"

#define MEMORY 0x1000u
#define PAGE   4096u
#define AGREES "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}"

/* ---- A server with two sockets ---------------------------------------------------- */

struct ends {
	int first, twin;
};

static atomic_bool filled; /* the client's window */

static inline void answer_map(struct peer *p)
{
	take(p, VUSER_CMD_DMA_MAP);
	atomic_store(&filled, p->wrong);
	answer(p, "", NULL);
	while (!atomic_load(&filled))
		usleep(100);
}

/* The handshake, and the client's window. */
static inline struct ends agree(struct peer *p)
{
	struct ends e = { .first = p->fd, .twin = -1 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		go_wrong(p, "no sockets");
		return e;
	}
	be_patient(pair[1]);
	e.twin = pair[1];
	answer_version(p, 0, 2, AGREES, pair[0]);
	close(pair[0]);
	answer_map(p);
	return e;
}

static inline void part(struct peer *p, struct ends *e)
{
	p->fd = e->first;
	close(e->twin);
}

static inline void put_dma_read(struct peer *p, uint16_t id, uint64_t count)
{
	put(p, (struct vuser_header){ .id = id, .command = VUSER_CMD_DMA_READ }, "88",
	    VALUES(MEMORY, count), NULL, 0, NULL, 0);
}

static inline void take_dma_reply(struct peer *p, uint16_t id, uint64_t count)
{
	take(p, VUSER_CMD_DMA_READ);
	if (!p->wrong && (p->h.id != id || p->h.flags != REPLY || p->len != 16 + count))
		go_wrong(p, "it is no reply to DMA_READ");
}

/* One DMA_READ, over the socket that p->fd is now. */
static inline void dma_read(struct peer *p, uint16_t id, const char *bytes)
{
	put_dma_read(p, id, strlen(bytes));
	take_dma_reply(p, id, strlen(bytes));
	if (!p->wrong && memcmp(p->payload + 16, bytes, strlen(bytes)) != 0)
		go_wrong(p, "it is not what is in memory");
}

static inline void dma_write(struct peer *p, uint16_t id, uint64_t at, const char *bytes)
{
	put(p, (struct vuser_header){ .id = id, .command = VUSER_CMD_DMA_WRITE }, "88",
	    VALUES(MEMORY + at, strlen(bytes)), bytes, strlen(bytes), NULL, 0);
	take(p, VUSER_CMD_DMA_WRITE);
	if (!p->wrong && (p->h.id != id || p->h.flags != REPLY))
		go_wrong(p, "it is no reply to DMA_WRITE");
}

/* A command of the client's that waits to be answered. */
static inline struct vuser_header take_read(struct peer *p, const struct ends *e)
{
	p->fd = e->first;
	take(p, VUSER_CMD_REGION_READ);
	return p->h;
}

static inline void answer_read(struct peer *p, const struct ends *e,
			       struct vuser_header h)
{
	p->fd = e->first;
	h.flags = REPLY;
	put(p, h, "8444", VALUES(0, 0, 4, 0x12345678), NULL, 0, NULL, 0);
}

/* ---- Its client ------------------------------------------------------------------- */

static inline void map(struct rig *r)
{
	static const char bytes[] = "memory";

	if (r->result)
		fail_msg("not opened: %s", r->e.text);
	assert_int_equal(vuser_map(r->client, MEMORY, PAGE,
				   VUSER_DMA_READABLE | VUSER_DMA_WRITABLE,
				   VUSER_BACK_NONE, -1, 0, false, &r->e),
			 0);
	assert_int_equal(vuser_mem_write(r->client, MEMORY, bytes, sizeof(bytes), &r->e),
			 0);
	atomic_store(&filled, true);
}

static inline struct vuser_options lax_options(void)
{
	struct vuser_options o = patient_options();

	o.lax = true; /* region 0 was not asked about */
	return o;
}

static inline struct rig *begin(void (*script)(struct peer *p))
{
	struct rig *r = begin_ungreeted(script, NULL, lax_options());

	map(r);
	assert_true(vuser_client_twin(r->client));
	return r;
}

static inline void end(struct rig *r)
{
	end_with(r, 0);
}

static inline void read_it(struct rig *r)
{
	uint32_t value = 0;

	if (vuser_read(r->client, 0, 0, &value, sizeof(value), &r->e))
		fail_msg("not read: %s", r->e.text);
	assert_int_equal(value, 0x12345678);
}

#endif
