/* SPDX-License-Identifier: BSD-3-Clause */
/* A server: its sockets, one client after the other, and the device's access to memory.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "error.h"
#include "server.h"

/* Room in a message beside the data of the largest transfer: some clients send 4064
 * bytes. */
#define MESSAGE_SLACK 8192u

void vuser_server_options_default(struct vuser_server_options *o)
{
	*o = (struct vuser_server_options){ .timeout = 5000000000 };
	vuser_caps_default(&o->caps);
	o->caps.present = VUSER_CAP_MAX_MSG_FDS | VUSER_CAP_MAX_DATA_XFER_SIZE |
			  VUSER_CAP_MAX_DMA_MAPS | VUSER_CAP_PGSIZES |
			  VUSER_CAP_WRITE_MULTIPLE | VUSER_CAP_TWIN_SUPPORTED;
	o->caps.max_msg_fds = VUSER_LIMIT_MSG_FDS;
	o->caps.write_multiple = true;
	o->caps.twin_supported = true;
}

static int check_migration(const struct vuser_migration_ops *ops, struct vuser_error *e)
{
	const uint64_t known = VUSER_MIGRATION_STOP_COPY | VUSER_MIGRATION_PRE_COPY;

	if (!(ops->flags & VUSER_MIGRATION_STOP_COPY) || (ops->flags & ~known))
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "a device that migrates has stop-copy, and at most "
				 "pre-copy beside it");
	if (!ops->state || !ops->read || !ops->write)
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "a device that migrates changes its state, reads and "
				 "writes it");
	return 0;
}

int vuser_server_new(const struct vuser_device *desc, void *dev,
		     const struct vuser_server_options *o, struct vuser_server **out,
		     struct vuser_error *e)
{
	struct vuser_server *s;
	int r;

	if (desc->num_regions > VUSER_MAX_REGIONS || desc->num_irqs > VUSER_MAX_IRQS)
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "a device has at most %u regions and %u interrupt types",
				 VUSER_MAX_REGIONS, VUSER_MAX_IRQS);
	if (desc->migration && check_migration(desc->migration, e))
		return VUSER_E_USAGE;
	if ((o->caps.present & VUSER_CAP_MAX_DATA_XFER_SIZE) &&
	    (!o->caps.max_data_xfer_size ||
	     o->caps.max_data_xfer_size > VUSER_LIMIT_DATA_XFER))
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "max_data_xfer_size is at least 1 and at most %u",
				 VUSER_LIMIT_DATA_XFER);
	r = regions_check(desc, e);
	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a server");
	s->desc = desc;
	s->dev = dev;
	s->o = *o;
	if (desc->migration)
		s->o.caps.present |= VUSER_CAP_MIG_PGSIZE | VUSER_CAP_MIG_MAX_BITMAP_SIZE;
	if (s->o.caps.migration_max_bitmap_size > VUSER_DEFAULT_MIG_BITMAP)
		s->o.caps.migration_max_bitmap_size = VUSER_DEFAULT_MIG_BITMAP;
	s->state = VUSER_STATE_RUNNING;
	s->max_data = o->caps.max_data_xfer_size;
	if (!(o->caps.present & VUSER_CAP_MAX_DATA_XFER_SIZE))
		s->max_data = VUSER_DEFAULT_DATA_XFER;
	s->listener = -1;
	atomic_init(&s->client, -1);
	atomic_init(&s->twin_fd, -1);
	atomic_init(&s->stopped, false);
	watches_init(&s->watches);
	r = irqs_new(s, e);
	if (r) {
		free(s);
		return r;
	}
	*out = s;
	return 0;
}

/* ---- Sockets ------------------------------------------------------------------ */

int vuser_server_listen(struct vuser_server *s, const char *path, struct vuser_error *e)
{
	char *own;
	int r;

	if (s->listener >= 0)
		return error_set(e, VUSER_E_USAGE, EBUSY, "the server listens already");
	own = strdup(path);
	if (!own)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a path");
	r = channel_listen(path, &s->listener, e);
	if (r)
		free(own);
	else
		s->path = own;
	return r;
}

/* Both of its sockets know the same limits. */
static struct proxy *connection(struct vuser_server *s, int fd,
				void (*event)(void *arg, const struct vuser_event *ev),
				void *arg,
				void (*request)(void *arg, struct vuser_exchange *x))
{
	struct proxy_options po = { .sends = VUSER_S2C,
				    .limit = s->max_data + MESSAGE_SLACK,
				    .request_limit = s->max_data + MESSAGE_SLACK,
				    .timeout = s->o.timeout,
				    .trace = s->o.trace,
				    .event = event,
				    .arg = arg,
				    .request = request,
				    .request_arg = s };

	return proxy_new(fd, &po);
}

static void twin_request(void *arg, struct vuser_exchange *x)
{
	struct vuser_server *s = arg;

	proxy_refuse(s->twin, x, EINVAL,
		     "commands of the client do not go over the twin socket");
}

static void twin_event(void *arg, const struct vuser_event *ev)
{
	struct vuser_server *s = arg;

	proxy_twin_event(s->proxy, ev);
}

int server_twin(struct vuser_server *s, int *fd)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return errno;
	s->twin = connection(s, pair[0], twin_event, s, twin_request);
	if (!s->twin) {
		close(pair[1]);
		return ENOMEM;
	}
	atomic_store(&s->twin_fd, pair[0]);
	if (atomic_load(&s->stopped))
		shutdown(pair[0], SHUT_RDWR);
	proxy_twin(s->proxy, s->twin); /* what is sent there is refused at once */
	*fd = pair[1];
	return 0;
}

void server_twin_free(struct vuser_server *s)
{
	if (!s->twin)
		return;
	atomic_store(&s->twin_fd, -1);
	proxy_twin(s->proxy, NULL);
	proxy_free(s->twin);
	s->twin = NULL;
}

int vuser_server_attach(struct vuser_server *s, int fd, struct vuser_error *e)
{
	int r = channel_check(fd, e);

	if (!r && s->proxy)
		r = error_set(e, VUSER_E_USAGE, EBUSY, "there is a client already");
	if (r) {
		close(fd);
		return r;
	}
	s->proxy = connection(s, fd, s->o.event, s->o.arg, server_request);
	if (!s->proxy)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a connection");
	proxy_also(s->proxy, s->watches.epoll);
	s->versioned = s->dropping = false;
	vuser_caps_default(&s->theirs);
	atomic_store(&s->client, fd);
	if (atomic_load(&s->stopped))
		shutdown(fd, SHUT_RDWR); /* stop() came before it could know of fd */
	return 0;
}

/* Lets go of everything that was the client's. */
static void detach(struct vuser_server *s)
{
	if (!s->proxy)
		return;
	atomic_store(&s->client, -1);
	server_twin_free(s);
	proxy_free(s->proxy);
	s->proxy = NULL;
	dirty_stop(&s->log);
	iova_clear(&s->windows);
	irqs_clear(s);
	if (s->desc->left)
		s->desc->left(s->dev);
}

void vuser_server_free(struct vuser_server *s)
{
	if (!s)
		return;
	detach(s);
	if (s->listener >= 0)
		close(s->listener);
	if (s->path)
		unlink(s->path);
	free(s->path);
	watches_free(&s->watches);
	notify_free(&s->notify);
	free(s->irqs);
	free(s);
}

/* ---- Running ------------------------------------------------------------------ */

/* Commands that came meanwhile are handled at its end, and may give the device more. */
static bool work(struct vuser_server *s)
{
	bool more = false;

	if (!s->desc->work && TAILQ_EMPTY(&s->watches.list))
		return false;
	proxy_hold(s->proxy, true);
	s->handled = false;
	watches_call(&s->watches);
	s->working = true;
	if (s->desc->work && server_is_running(s))
		more = s->desc->work(s->dev);
	s->working = false;
	proxy_hold(s->proxy, false);
	return more || s->handled;
}

/* What has come, then what is watched and the device's own work. block waits for either
 * of the first two. */
static int step(struct vuser_server *s, bool block, bool *more, struct vuser_error *e)
{
	int r = block ? proxy_serve(s->proxy, e) : proxy_process(s->proxy, e);

	*more = work(s);
	if (!r && s->dropping)
		r = error_set(e, VUSER_E_CLOSED, 0, "the client's handshake failed");
	return r;
}

int vuser_server_step(struct vuser_server *s, struct vuser_error *e)
{
	bool more;
	int r;

	if (!s->proxy)
		return error_set(e, VUSER_E_CLOSED, 0, "no client is attached");
	r = step(s, false, &more, e);
	while (!r && more)
		more = work(s);
	if (r)
		detach(s);
	return r;
}

static void serve_client(struct vuser_server *s)
{
	bool more = false;

	while (!atomic_load(&s->stopped))
		if (step(s, !more, &more, NULL))
			break;
	detach(s);
}

static int next_client(struct vuser_server *s, struct vuser_error *e)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		return vuser_server_attach(s, fd, e);
	if (errno == EINTR || errno == ECONNABORTED || atomic_load(&s->stopped))
		return 0;
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		usleep(10000); /* the next one may have more luck */
	else
		return error_errno(e, "accept");
	return 0;
}

int vuser_server_run(struct vuser_server *s, bool once, struct vuser_error *e)
{
	int r = 0;

	while (!r && !atomic_load(&s->stopped)) {
		if (s->proxy) {
			serve_client(s);
			if (once || s->listener < 0)
				break;
		} else if (s->listener >= 0) {
			r = next_client(s, e);
		} else {
			return error_set(e, VUSER_E_USAGE, EINVAL,
					 "the server neither listens nor has a client");
		}
	}
	return r;
}

void vuser_server_stop(struct vuser_server *s)
{
	int fd;

	/* shutdown() is safe in a signal handler, and wakes whoever reads or accepts. */
	atomic_store(&s->stopped, true);
	fd = atomic_load(&s->client);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	fd = atomic_load(&s->twin_fd);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	if (s->listener >= 0)
		shutdown(s->listener, SHUT_RDWR);
}

/* ---- The client's memory: sections "DMA_READ" and "DMA_WRITE" ----------------- */

/*
 * Meanwhile commands are handled if the device has said that it can bear that. On a
 * socket of its own nothing crosses.
 */
static int call(struct vuser_server *s, struct proxy *p, struct vuser_exchange *x,
		struct vuser_error *e)
{
	int r;

	if (!s->working || !s->desc->overlaps || p != s->proxy)
		return proxy_call(p, x, e);
	s->working = false;
	proxy_hold(p, false);
	r = proxy_call(p, x, e);
	proxy_hold(p, true);
	s->working = true;
	return r;
}

/* One message's worth, within one window; *len becomes what was moved. 0 or a negative
 * errno. */
static int by_message(struct vuser_server *s, uint64_t iova, uint8_t *buf, size_t *len,
		      bool write)
{
	struct vuser_payload p = { .command = write ? VUSER_CMD_DMA_WRITE
						    : VUSER_CMD_DMA_READ };
	struct proxy *proxy = s->twin ? s->twin : s->proxy;
	struct vuser_exchange *x;
	struct vuser_error e;
	uint8_t fixed[16];
	size_t fixed_len;
	int r;

	p.u.dma = (struct vuser_dma_access){ .address = iova, .count = *len };
	p.tail = write ? buf : NULL;
	p.tail_len = write ? *len : 0;
	if (payload_encode_fixed(&p, fixed, sizeof(fixed), &fixed_len, &e))
		return -EINVAL;
	x = proxy_build(proxy, p.command, fixed, fixed_len, p.tail, p.tail_len, &e);
	if (!x)
		return -ENOMEM;
	x->split = sizeof(fixed);
	x->tail = write ? NULL : buf;
	x->tail_cap = write ? 0 : *len;
	r = call(s, proxy, x, &e);
	if (r == VUSER_E_REMOTE)
		return e.err > 0 && e.err < 4096 ? -e.err : -EIO;
	if (r)
		return r == VUSER_E_TIMEOUT  ? -ETIMEDOUT
		       : r == VUSER_E_CLOSED ? -EINTR
					     : -EIO;
	r = server_check_dma_reply(s, x, len, write, buf);
	proxy_release(proxy, x);
	return r;
}

static int access_memory(struct vuser_server *s, uint64_t iova, uint8_t *buf, size_t len,
			 bool write)
{
	uint32_t prot = write ? VUSER_DMA_WRITABLE : VUSER_DMA_READABLE;
	int r = 0;

	while (len && !r) {
		const struct window *w = iova_find(&s->windows, iova);
		uint64_t room;
		size_t n;

		if (!s->proxy)
			return -EINTR;
		if (!server_is_running(s))
			return -EBUSY;
		if (!w)
			return -EFAULT;
		if (!(w->w.prot & prot))
			return -EPERM;
		room = w->w.size - (iova - w->w.iova);
		n = len < room ? len : (size_t)room;
		if (w->w.fd >= 0) {
			r = window_copy(w, iova, buf, n, write);
		} else {
			if (n > s->theirs.max_data_xfer_size)
				n = (size_t)s->theirs.max_data_xfer_size;
			if (n > s->max_data) /* more would not be taken as a reply */
				n = (size_t)s->max_data;
			r = by_message(s, iova, buf, &n, write);
		}
		if (write)
			server_log_write(s, iova, n, r);
		iova += n;
		buf += n;
		len -= n;
		if (!iova && len)
			return -EFAULT; /* the end of all addresses */
	}
	return r;
}

int vuser_server_dma_read(struct vuser_server *s, uint64_t iova, void *buf, size_t len)
{
	return access_memory(s, iova, buf, len, false);
}

int vuser_server_dma_write(struct vuser_server *s, uint64_t iova, const void *buf,
			   size_t len)
{
	return access_memory(s, iova, (uint8_t *)(uintptr_t)buf, len, true);
}
