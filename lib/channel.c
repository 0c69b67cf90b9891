/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket: sendmsg and recvmsg with descriptors, connecting and listening. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "error.h"

void channel_close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static int make_address(const char *path, struct sockaddr_un *sun, struct vuser_error *e)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path)
		return error_set(e, VUSER_E_USAGE, EINVAL, "the socket's path is empty");
	if (strlen(path) >= sizeof(sun->sun_path))
		return error_set(
			e, VUSER_E_USAGE, ENAMETOOLONG,
			"the socket's path has %zu bytes, above the %zu there may be",
			strlen(path), sizeof(sun->sun_path) - 1);
	memcpy(sun->sun_path, path, strlen(path) + 1);
	return 0;
}

int channel_connect(const char *path, int *fd, struct vuser_error *e)
{
	struct sockaddr_un sun;
	struct stat st;
	int r = make_address(path, &sun, e), s;

	if (r)
		return r;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return error_errno(e, "socket");
	if (connect(s, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
		*fd = s;
		return 0;
	}
	r = errno;
	close(s);
	if (r == ECONNREFUSED && stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return error_set(e, VUSER_E_CLOSED, ENOTSOCK, "%s is not a socket", path);
	if (r == ECONNREFUSED)
		return error_set(e, VUSER_E_CLOSED, r, "nobody listens at %s", path);
	return error_set(e, VUSER_E_CLOSED, r, "cannot connect to %s: %s", path,
			 vuser_errno_text(r));
}

/* A socket file that refuses connections was left behind by a server that is gone. */
static void remove_stale(const char *path, const struct sockaddr_un *sun)
{
	struct stat st;
	int s;

	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return;
	if (connect(s, (const struct sockaddr *)sun, sizeof(*sun)) != 0 &&
	    errno == ECONNREFUSED)
		unlink(path);
	close(s);
}

int channel_listen(const char *path, int *fd, struct vuser_error *e)
{
	struct sockaddr_un sun;
	int r = make_address(path, &sun, e), s;

	if (r)
		return r;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return error_errno(e, "socket");
	remove_stale(path, &sun);
	if (bind(s, (struct sockaddr *)&sun, sizeof(sun)) != 0 || listen(s, 16) != 0) {
		r = errno;
		close(s);
		return error_set(e, VUSER_E_SYSTEM, r, "cannot listen at %s: %s", path,
				 vuser_errno_text(r));
	}
	*fd = s;
	return 0;
}

int channel_check(int fd, struct vuser_error *e)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int type = 0, listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
		return error_set(e, VUSER_E_USAGE, errno, "descriptor %d: %s", fd,
				 vuser_errno_text(errno));
	if (type != SOCK_STREAM)
		return error_set(e, VUSER_E_USAGE, EPROTOTYPE,
				 "descriptor %d is not a stream socket", fd);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
		return error_set(e, VUSER_E_CLOSED, ENOTCONN,
				 "descriptor %d is not connected: it listens", fd);
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0 &&
	    errno == ENOTCONN)
		return error_set(e, VUSER_E_CLOSED, ENOTCONN,
				 "descriptor %d is not connected", fd);
	return 0;
}

ssize_t channel_send(int fd, const struct iovec *iov, size_t n, const int *fds,
		     size_t nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(CHANNEL_MAX_FDS * sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov,
			      .msg_iovlen = n };
	struct cmsghdr *cmsg;
	ssize_t r;

	if (nfds) {
		memset(control.buf, 0, CMSG_SPACE(nfds * sizeof(int)));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	do
		r = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void take_fds(struct msghdr *msg, int *fds, size_t *nfds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > CHANNEL_MAX_FDS - *nfds)
			n = CHANNEL_MAX_FDS - *nfds;
		memcpy(fds + *nfds, CMSG_DATA(c), n * sizeof(int));
		*nfds += n;
	}
}

ssize_t channel_recv(int fd, void *buf, size_t cap, int *fds, size_t *nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(CHANNEL_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t r = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*nfds = 0;
	if (r < 0)
		return -errno;
	if (msg.msg_controllen)
		take_fds(&msg, fds, nfds);
	return r;
}
