/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of the server: a client that is no more than a socket. */
#ifndef VUSER_TESTS_RAW_CLIENT_H
#define VUSER_TESTS_RAW_CLIENT_H

#include <errno.h>

#include "wire.h"

/* The client's end of a connection to server. */
static inline int attach_client(struct vuser_server *server)
{
	int pair[2];

	socket_pair(pair);
	assert_int_equal(vuser_server_attach(server, pair[0], NULL), 0);
	return pair[1];
}

static inline void put_bytes(int fd, const void *bytes, size_t len, const int *fds,
			     size_t nfds)
{
	assert_true(send_bytes(fd, bytes, len, fds, nfds));
}

/* len bytes, or false at the end of the stream. */
static inline bool get_bytes(int fd, void *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len, MSG_WAITALL);

	if (n < 0 && errno == ECONNRESET)
		return false; /* it left with bytes of ours unread */
	if (n < 0)
		fail_msg("nothing came: %s", strerror(errno));
	return (size_t)n == len;
}

/* The next message, whose payload is at most room bytes; false at the stream's end. */
static inline bool get_message(int fd, struct vuser_header *h, void *payload, size_t room,
			       size_t *len)
{
	uint8_t head[VUSER_HEADER_SIZE];

	if (!get_bytes(fd, head, sizeof(head)))
		return false;
	assert_int_equal(vuser_header_decode(head, sizeof(head), h, NULL), 0);
	*len = h->size - VUSER_HEADER_SIZE;
	assert_true(*len <= room);
	return !*len || get_bytes(fd, payload, *len);
}

#endif
