/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of either end: messages from values, a socket pair, descriptors and events.
 */
#ifndef VUSER_TESTS_WIRE_H
#define VUSER_TESTS_WIRE_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cmocka.h>

#include "cursor.h"
#include "vuser.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define REPLY	      VUSER_TYPE_REPLY
#define VALUES(...)   ((const uint64_t[]){ __VA_ARGS__ })

/* ---- Messages ----------------------------------------------------------------- */

/* The bytes that pack() will write. */
static inline size_t packed_size(const char *form, const uint64_t *v)
{
	size_t n = 0;

	for (; *form; form++, v++)
		n += *form == 'z' ? *v : (size_t)(*form - '0');
	return n;
}

/*
 * Writes values as form says: '1', '2', '4' and '8' are integers of that many bytes, 'z'
 * is that many zero bytes. Returns the bytes written.
 */
static inline size_t pack(uint8_t *out, const char *form, const uint64_t *v)
{
	size_t n = 0;

	for (; *form; form++, v++) {
		if (*form == 'z') {
			memset(out + n, 0, *v);
			n += *v;
		} else {
			put_uint(out + n, (size_t)(*form - '0'), *v);
			n += (size_t)(*form - '0');
		}
	}
	return n;
}

/* A header, whose size is filled in, and values behind it. Returns the bytes written. */
static inline size_t pack_message(uint8_t *out, struct vuser_header h, const char *form,
				  const uint64_t *v)
{
	h.size = (uint32_t)(VUSER_HEADER_SIZE + pack(out + VUSER_HEADER_SIZE, form, v));
	vuser_header_encode(&h, out);
	return h.size;
}

/* ---- A socket ----------------------------------------------------------------- */

/* Whoever waits at fd for bytes is told after half a minute that none came. */
static inline void be_patient(int fd)
{
	struct timeval patience = { .tv_sec = 30 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* The library gets the first of the two, the test has the patient second. */
static inline void socket_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	be_patient(pair[1]);
}

/*
 * Sends all of it, the descriptors with the first byte; false if the other end takes no
 * more. As what follows it asserts nothing: not only cmocka's thread may call it.
 */
static inline bool send_bytes(int fd, const void *bytes, size_t len, const int *fds,
			      size_t nfds)
{
	char control[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		*CMSG_FIRSTHDR(&msg) =
			(struct cmsghdr){ .cmsg_len = CMSG_LEN(nfds * sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, nfds * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return true;
}

/* Values as form says, then len bytes of data; h's size is filled in. */
static inline bool send_message(int fd, struct vuser_header h, const char *form,
				const uint64_t *v, const void *data, size_t len,
				const int *fds, size_t nfds)
{
	size_t n = VUSER_HEADER_SIZE + packed_size(form, v);
	uint8_t *msg = malloc(n + len);
	bool sent;

	if (!msg)
		return false;
	(void)pack_message(msg, h, form, v);
	put_uint(msg + 4, 4, n + len);
	if (len)
		memcpy(msg + n, data, len);
	sent = send_bytes(fd, msg, n + len, fds, nfds);
	free(msg);
	return sent;
}

/* ---- Descriptors and events --------------------------------------------------- */

/* How many are open, and the one that is open for counting. */
static inline unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct events {
	unsigned n, of[VUSER_EVENT_LOST + 1]; /* all, and those of each kind */
	struct vuser_event first;
};

/* An event callback whose arg is a struct events. */
static inline void note_event(void *arg, const struct vuser_event *ev)
{
	struct events *events = arg;

	if (!events->n++)
		events->first = *ev;
	events->of[ev->kind]++;
}

#endif
