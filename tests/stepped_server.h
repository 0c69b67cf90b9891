/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of the server: it and its client take turns in one thread, so that what a
 * device does between commands can be done by the test. */
#ifndef VUSER_TESTS_STEPPED_SERVER_H
#define VUSER_TESTS_STEPPED_SERVER_H

#include <unistd.h>

#include "raw_client.h"

#define ANSWER_ROOM 8192
#define ANSWER_FDS  64

struct answer {
	struct vuser_header h;
	uint8_t payload[ANSWER_ROOM];
	size_t len;
	int fds[ANSWER_FDS];
	size_t nfds;
};

struct stepped {
	struct vuser_server *server;
	int fd; /* the client's end */
	struct events events;
};

static inline void stepped_new(struct stepped *t, const struct vuser_device *desc,
			       void *dev)
{
	struct vuser_server_options o;

	memset(t, 0, sizeof(*t));
	t->fd = -1;
	vuser_server_options_default(&o);
	o.event = note_event;
	o.arg = &t->events;
	assert_int_equal(vuser_server_new(desc, dev, &o, &t->server, NULL), 0);
}

static inline void stepped_step(struct stepped *t)
{
	assert_int_equal(vuser_server_step(t->server, NULL), 0);
}

/* One message and the descriptors that come with it. */
static inline void stepped_receive(struct stepped *t, struct answer *a)
{
	char control[CMSG_SPACE(ANSWER_FDS * sizeof(int))] __attribute__((aligned(8)));
	uint8_t head[VUSER_HEADER_SIZE];
	struct iovec iov = { .iov_base = head, .iov_len = sizeof(head) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	a->nfds = 0;
	assert_int_equal(recvmsg(t->fd, &msg, MSG_CMSG_CLOEXEC), sizeof(head));
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		a->nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(a->fds, CMSG_DATA(c), a->nfds * sizeof(int));
	}
	assert_int_equal(vuser_header_decode(head, sizeof(head), &a->h, NULL), 0);
	a->len = a->h.size - VUSER_HEADER_SIZE;
	assert_true(a->len <= sizeof(a->payload));
	if (a->len)
		assert_true(get_bytes(t->fd, a->payload, a->len));
}

/* Sends a command, lets the server have it, takes the reply. Returns its errno. */
static inline int stepped_call(struct stepped *t, struct answer *a, unsigned command,
			       const char *form, const uint64_t *v, const void *data,
			       size_t len, const int *fds, size_t nfds)
{
	struct vuser_header h = { .id = 0x77, .command = (uint16_t)command };

	memset(&t->events, 0, sizeof(t->events));
	assert_true(send_message(t->fd, h, form, v, data, len, fds, nfds));
	stepped_step(t);
	stepped_receive(t, a);
	assert_int_equal(a->h.id, 0x77);
	assert_int_equal(a->h.command, command);
	if (!(a->h.flags & VUSER_FLAG_ERROR))
		return 0;
	assert_int_equal(a->len, 0);
	assert_int_equal(a->nfds, 0);
	assert_int_equal(t->events.of[VUSER_EVENT_REQUEST], 1);
	return (int)a->h.error;
}

static inline void stepped_come(struct stepped *t, const char *json)
{
	struct answer a;

	t->fd = attach_client(t->server);
	assert_int_equal(stepped_call(t, &a, VUSER_CMD_VERSION, "22", VALUES(0, 2), json,
				      strlen(json) + 1, NULL, 0),
			 0);
}

static inline void stepped_leave(struct stepped *t)
{
	close(t->fd);
	t->fd = -1;
	assert_int_equal(vuser_server_step(t->server, NULL), VUSER_E_CLOSED);
}

#endif
