/* SPDX-License-Identifier: BSD-3-Clause */
/* Eventfds of somebody else's, who may do with them meanwhile what he likes. */
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "notify.h"

void notify_free(struct notify *n)
{
	if (n->aio)
		syscall(SYS_io_destroy, n->aio);
	*n = (struct notify){ 0 };
}

/*
 * Only the name that /proc gives it says so for certain: whatever else could be tried on
 * an eventfd would change some other file. Where there is no /proc it must at least be a
 * file of no type, as these are, so that no pipe, socket or disk is ever written to.
 */
bool notify_is_eventfd(int fd)
{
	static const char name[] = "anon_inode:[eventfd]";
	char path[40], is[sizeof(name)];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, is, sizeof(is));
	if (n >= 0)
		return n == sizeof(name) - 1 && memcmp(is, name, sizeof(name) - 1) == 0;
	return fstat(fd, &st) == 0 && !(st.st_mode & S_IFMT);
}

/*
 * A write blocks where the counter is full and the description, which is the client's as
 * well, is not O_NONBLOCK; to look first leaves it the time to fill it, and the flag is
 * not ours to set. There are no writes to eventfds with RWF_NOWAIT. But the completion of
 * an asynchronous operation is told to an eventfd without ever blocking, and reading
 * nothing from the eventfd itself is one that completes at once, with an error.
 */
static bool add_by_aio(struct notify *n, int fd)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREAD,
			   .aio_fildes = (uint32_t)fd,
			   .aio_flags = IOCB_FLAG_RESFD,
			   .aio_resfd = (uint32_t)fd };
	struct iocb *list = &cb;
	struct timespec none = { 0 };
	struct io_event done;

	if (!n->tried) {
		n->tried = true;
		if (syscall(SYS_io_setup, 1, &n->aio) != 0)
			n->aio = 0;
	}
	if (!n->aio || syscall(SYS_io_submit, n->aio, 1, &list) != 1)
		return false;
	/* What has completed makes room for the next. */
	syscall(SYS_io_getevents, n->aio, 0, 1, &done, &none);
	return true;
}

static bool is_ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) == 1 && (p.revents & events);
}

void notify_add(struct notify *n, int fd)
{
	uint64_t one = 1;

	if (add_by_aio(n, fd) || !is_ready(fd, POLLOUT))
		return;
	/* Where the kernel or a sandbox has no asynchronous I/O this is all there is. */
	if (write(fd, &one, sizeof(one)) < 0)
		return; /* it is full by now */
}

int notify_take(int fd)
{
	uint64_t count;
	struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		n = is_ready(fd, POLLIN) ? read(fd, &count, sizeof(count)) : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n == sizeof(count);
}
