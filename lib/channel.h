/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket: bytes and descriptors out and in, nothing of the protocol. */
#ifndef VUSER_CHANNEL_H
#define VUSER_CHANNEL_H

#include <sys/types.h>
#include <sys/uio.h>

#include "vuser.h"

#define CHANNEL_MAX_FDS 253u /* what the kernel passes at once */

/* A connected stream socket to path. VUSER_E_USAGE, VUSER_E_CLOSED with errno. */
int channel_connect(const char *path, int *fd, struct vuser_error *e) VUSER_CHECKED;
/* A socket that listens at path; one that nobody serves any more is replaced. */
int channel_listen(const char *path, int *fd, struct vuser_error *e) VUSER_CHECKED;
/* 0 if fd is a stream socket that is connected, else VUSER_E_USAGE, VUSER_E_CLOSED. */
int channel_check(int fd, struct vuser_error *e) VUSER_CHECKED;

/*
 * Sends without blocking; the fds go with the first byte. Returns the bytes that were
 * taken, or a negative errno: EAGAIN when there is no room.
 */
ssize_t channel_send(int fd, const struct iovec *iov, size_t n, const int *fds,
		     size_t nfds);
/*
 * Receives without blocking. Returns the bytes that came, 0 at the end of the stream, or
 * a negative errno: EAGAIN when there is nothing. fds has room for CHANNEL_MAX_FDS.
 */
ssize_t channel_recv(int fd, void *buf, size_t cap, int *fds, size_t *nfds);

void channel_close_fds(const int *fds, size_t n);

#endif
