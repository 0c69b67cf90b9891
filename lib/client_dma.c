/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory a client gives its server: DMA windows, and the server's requests for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "cursor.h"
#include "error.h"

#define MAP_ADDRESS (VUSER_HEADER_SIZE + 16u) /* in a DMA_MAP message */

/* ---- The memory -------------------------------------------------------------------- */

/* A memfd that nobody can shrink: a server that did could kill us by it. */
static int make_memfd(struct window *w, struct vuser_error *e)
{
	w->w.fd = memfd_create("vfio-user-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (w->w.fd < 0)
		return error_errno(e, "memfd_create");
	if (w->w.size > INT64_MAX || ftruncate(w->w.fd, (off_t)w->w.size) != 0)
		return error_set(e, VUSER_E_SYSTEM, EFBIG,
				 "no memory file of 0x%llx bytes",
				 (unsigned long long)w->w.size);
	(void)fcntl(w->w.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return 0;
}

static int map_memory(struct window *w, struct vuser_error *e)
{
	int flags =
		w->w.fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p = MAP_FAILED;

	errno = ENOMEM;
	if (w->w.size <= SIZE_MAX / 2)
		p = mmap(NULL, (size_t)w->w.size, PROT_READ | PROT_WRITE, flags, w->w.fd,
			 0);
	if (p == MAP_FAILED)
		return error_set(e, VUSER_E_SYSTEM, errno, "cannot map 0x%llx bytes: %s",
				 (unsigned long long)w->w.size, vuser_errno_text(errno));
	w->map = w->mem = p;
	w->map_len = (size_t)w->w.size;
	return 0;
}

static int back(struct window *w, enum vuser_backing backing, int fd, uint64_t offset,
		struct vuser_error *e)
{
	int r = 0;

	if (backing == VUSER_BACK_FILE) {
		/* Read and written by system calls: the file may shrink under us. */
		w->w.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		w->w.offset = offset;
		return w->w.fd < 0 ? error_errno(e, "cannot keep the file open") : 0;
	}
	if (backing == VUSER_BACK_MEMFD)
		r = make_memfd(w, e);
	return r ? r : map_memory(w, e);
}

/* ---- Mapping and unmapping --------------------------------------------------------- */

static int check_map(struct vuser_client *c, uint64_t iova, uint64_t size,
		     enum vuser_backing backing, struct vuser_error *e)
{
	uint64_t sizes = c->theirs.pgsizes, page = sizes & (~sizes + 1); /* lowest bit */
	size_t n;

	if (!size || iova + (size - 1) < iova)
		return error_set(
			e, VUSER_E_USAGE, EINVAL,
			"a window of 0x%llx bytes at 0x%llx is empty or wraps around",
			(unsigned long long)size, (unsigned long long)iova);
	if (c->lax)
		return 0;
	if (page && (iova % page || size % page))
		return error_set(
			e, VUSER_E_USAGE, EINVAL,
			"0x%llx bytes at 0x%llx are no whole pages: the server's smallest "
			"(pgsizes) has 0x%llx bytes",
			(unsigned long long)size, (unsigned long long)iova,
			(unsigned long long)page);
	if (backing != VUSER_BACK_NONE && !c->theirs.max_msg_fds)
		return error_set(e, VUSER_E_USAGE, ENOTSUP,
				 "the server takes no descriptors (max_msg_fds is 0)");
	pthread_mutex_lock(&c->lock);
	n = c->windows.n;
	pthread_mutex_unlock(&c->lock);
	if (n >= c->theirs.max_dma_maps)
		return error_set(e, VUSER_E_USAGE, ENOSPC,
				 "%zu windows are mapped, max_dma_maps is %llu", n,
				 (unsigned long long)c->theirs.max_dma_maps);
	return 0;
}

/* Adds w, which is freed if that fails, and says its number. */
static int add_window(struct vuser_client *c, struct window *w, uint64_t *number,
		      struct vuser_error *e)
{
	int r;

	pthread_mutex_lock(&c->lock);
	w->number = ++c->last_window;
	r = iova_add(&c->windows, w);
	if (!r)
		*number = w->number;
	pthread_mutex_unlock(&c->lock);
	if (!r)
		return 0;
	error_set(e, r == -ENOMEM ? VUSER_E_SYSTEM : VUSER_E_USAGE, -r,
		  r == -EEXIST ? "0x%llx bytes at 0x%llx overlap a window that is mapped"
			       : "no window of 0x%llx bytes at 0x%llx can be kept",
		  (unsigned long long)w->w.size, (unsigned long long)w->w.iova);
	window_free(w);
	return r == -ENOMEM ? VUSER_E_SYSTEM : VUSER_E_USAGE;
}

/* Not the one that may have taken its place meanwhile; number 0: there was none. */
static void drop_window(struct vuser_client *c, uint64_t iova, uint64_t number)
{
	struct window *w;

	pthread_mutex_lock(&c->lock);
	w = iova_find(&c->windows, iova);
	if (w && w->w.iova == iova && w->number == number)
		iova_remove(&c->windows, w);
	pthread_mutex_unlock(&c->lock);
}

/* Drops the window of a DMA_MAP that failed. */
static void drop_refused(struct vuser_client *c, const struct vuser_exchange *x)
{
	struct cursor sent = cursor_at(x->bytes + MAP_ADDRESS, sizeof(uint64_t));

	drop_window(c, cursor_u64(&sent), x->tag);
}

static struct vuser_exchange *build_map(struct vuser_client *c,
					const struct vuser_window *w,
					struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DMA_MAP };
	struct vuser_exchange *x;

	p.u.dma_map = (struct vuser_dma_map){ .argsz = sizeof(p.u.dma_map),
					      .flags = w->prot,
					      .offset = w->offset,
					      .address = w->iova,
					      .size = w->size };
	x = client_build(c, &p, e);
	if (!x)
		return NULL;
	x->split = 0; /* the reply has no payload */
	if (w->fd >= 0) {
		x->fds[0] = w->fd;
		x->nfds = 1;
	}
	return x;
}

static int send_map(struct vuser_client *c, const struct vuser_window *w, uint64_t number,
		    bool nowait, struct vuser_error *e)
{
	struct vuser_exchange *x = build_map(c, w, e);
	int r;

	if (!x)
		return client_not_built(e);
	x->tag = number;
	if (nowait)
		return proxy_start(c->proxy, x, EXCHANGE_NOWAIT, e);
	r = proxy_call(c->proxy, x, e);
	if (!r)
		proxy_release(c->proxy, x);
	return r;
}

/* What is sent, with its own descriptor: the window may go before its message does. */
static int own_copy(const struct vuser_window *w, struct vuser_window *out,
		    struct vuser_error *e)
{
	*out = *w;
	if (w->fd < 0)
		return 0;
	out->fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
	return out->fd < 0 ? error_errno(e, "cannot pass the memory's descriptor") : 0;
}

/*
 * Unless lax, our side keeps the window from before the server knows of it. A lax map
 * that overlaps one of ours is sent all the same, and if the server takes it nobody
 * answers for it.
 */
int vuser_map(struct vuser_client *c, uint64_t iova, uint64_t size, uint32_t prot,
	      enum vuser_backing backing, int fd, uint64_t offset, bool nowait,
	      struct vuser_error *e)
{
	struct vuser_window sent;
	struct window *w;
	uint64_t number = 0;
	int r = check_map(c, iova, size, backing, e);

	if (r)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a window");
	w->w = (struct vuser_window){
		.iova = iova, .size = size, .prot = prot, .fd = -1
	};
	r = back(w, backing, fd, offset, e);
	if (r) {
		window_free(w);
		return r;
	}
	r = own_copy(&w->w, &sent, e);
	if (r) {
		window_free(w);
		return r;
	}
	r = add_window(c, w, &number, e);
	if (!r || (c->lax && r == VUSER_E_USAGE))
		r = send_map(c, &sent, number, nowait, e);
	if (sent.fd >= 0)
		close(sent.fd);
	if (r)
		drop_window(c, iova, number);
	return r;
}

int vuser_settle(struct vuser_client *c, struct vuser_error *e)
{
	struct vuser_exchange *x;
	int r = proxy_settle(c->proxy, e), first = 0;

	while ((x = proxy_next_failed(c->proxy))) {
		drop_refused(c, x);
		if (!r && !first) {
			first = x->result;
			if (e)
				*e = x->error;
		}
		proxy_release(c->proxy, x);
	}
	return r ? r : first;
}

static int send_unmap(struct vuser_client *c, uint64_t iova, uint64_t size,
		      uint32_t flags, struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DMA_UNMAP }, reply;
	struct vuser_dma_unmap *got = &reply.u.dma_unmap;
	struct vuser_exchange *x;
	int r;

	p.u.dma_unmap = (struct vuser_dma_unmap){ .argsz = sizeof(p.u.dma_unmap),
						  .flags = flags,
						  .address = iova,
						  .size = size };
	r = client_call(c, &p, NULL, 0, &reply, &x, e);
	if (r)
		return r;
	if (got->address != iova || got->size != size)
		r = client_bad_reply(
			c, x, VUSER_HEADER_SIZE + 8, "address", e,
			"the reply is about 0x%llx bytes at 0x%llx, asked was "
			"for 0x%llx at 0x%llx",
			(unsigned long long)got->size, (unsigned long long)got->address,
			(unsigned long long)size, (unsigned long long)iova);
	proxy_release(c->proxy, x);
	return r;
}

int vuser_unmap(struct vuser_client *c, uint64_t iova, uint64_t size,
		struct vuser_error *e)
{
	const struct window *w;
	uint64_t number;
	int r;

	pthread_mutex_lock(&c->lock);
	w = iova_exact(&c->windows, iova, size);
	number = w ? w->number : 0;
	pthread_mutex_unlock(&c->lock);
	if (!number && !c->lax)
		return error_set(e, VUSER_E_USAGE, ENOENT,
				 "no window of 0x%llx bytes at 0x%llx is mapped",
				 (unsigned long long)size, (unsigned long long)iova);
	r = send_unmap(c, iova, size, 0, e);
	if (!r)
		drop_window(c, iova, number);
	return r;
}

int vuser_unmap_all(struct vuser_client *c, struct vuser_error *e)
{
	int r = send_unmap(c, 0, 0, VUSER_DMA_UNMAP_ALL, e);

	if (r)
		return r;
	pthread_mutex_lock(&c->lock);
	iova_clear(&c->windows);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

bool vuser_window_get(struct vuser_client *c, size_t i, struct vuser_window *out)
{
	bool there;

	pthread_mutex_lock(&c->lock);
	there = i < c->windows.n;
	if (there)
		*out = c->windows.v[i]->w;
	pthread_mutex_unlock(&c->lock);
	return there;
}

/* ---- Copying ----------------------------------------------------------------------- */

/* Are len bytes at iova within windows that touch, all of them with prot? 0, EFAULT,
 * EPERM. */
static int check_span(const struct iova_table *t, uint64_t iova, uint64_t len,
		      uint32_t prot)
{
	while (len) {
		const struct window *w = iova_find(t, iova);
		uint64_t room;

		if (!w)
			return EFAULT;
		if ((w->w.prot & prot) != prot)
			return EPERM;
		room = w->w.size - (iova - w->w.iova);
		if (len <= room)
			return 0;
		iova += room;
		len -= room;
		if (!iova)
			return EFAULT; /* the end of all addresses */
	}
	return 0;
}

/* Copies across windows; check_span() said that they are there. by_server counts. */
static int copy_span(struct iova_table *t, uint64_t iova, uint8_t *buf, size_t len,
		     bool write, bool by_server)
{
	while (len) {
		struct window *w = iova_find(t, iova);
		uint64_t room = w->w.size - (iova - w->w.iova);
		size_t n = len < room ? len : (size_t)room;
		int r = window_copy(w, iova, buf, n, write);

		if (r)
			return -r;
		if (by_server) {
			w->w.reads += !write;
			w->w.read_bytes += write ? 0 : n;
			w->w.writes += write;
			w->w.write_bytes += write ? n : 0;
		}
		buf += n;
		iova += n;
		len -= n;
	}
	return 0;
}

/* Our own access: permissions are the server's limits, not ours. */
static int own_access(struct vuser_client *c, uint64_t iova, void *buf, size_t len,
		      bool write, struct vuser_error *e)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = check_span(&c->windows, iova, len, 0);
	if (err) {
		pthread_mutex_unlock(&c->lock);
		return error_set(e, VUSER_E_USAGE, err,
				 "not all of 0x%zx bytes at 0x%llx are mapped", len,
				 (unsigned long long)iova);
	}
	err = copy_span(&c->windows, iova, buf, len, write, false);
	pthread_mutex_unlock(&c->lock);
	if (err == EBADF && write)
		err = EACCES; /* the file was opened for reading */
	if (err)
		return error_set(e, VUSER_E_SYSTEM, err, "the memory at 0x%llx: %s",
				 (unsigned long long)iova, vuser_errno_text(err));
	return 0;
}

int vuser_mem_read(struct vuser_client *c, uint64_t iova, void *buf, size_t len,
		   struct vuser_error *e)
{
	return own_access(c, iova, buf, len, false, e);
}

int vuser_mem_write(struct vuser_client *c, uint64_t iova, const void *buf, size_t len,
		    struct vuser_error *e)
{
	return own_access(c, iova, (void *)(uintptr_t)buf, len, true, e);
}

/* ---- The server's requests: sections "DMA_READ" and "DMA_WRITE" -------------------- */

static const char *why_not(int err, const char *how)
{
	return err == EPERM    ? how
	       : err == EFAULT ? "no window is there"
			       : "the memory fails";
}

/* A reply has the form of its command: head is 12 bytes where the peer's counts have 32
 * bits. */
static void dma_read(struct vuser_client *c, struct proxy *p, struct vuser_exchange *x,
		     const struct vuser_dma_access *dma, size_t head)
{
	struct vuser_exchange *reply;
	void *payload;
	int err;

	reply = proxy_reply(p, x, head + (size_t)dma->count, &payload);
	if (!reply)
		return;
	memcpy(payload, x->bytes + VUSER_HEADER_SIZE, head);
	pthread_mutex_lock(&c->lock);
	err = check_span(&c->windows, dma->address, dma->count, VUSER_DMA_READABLE);
	if (!err)
		err = copy_span(&c->windows, dma->address, (uint8_t *)payload + head,
				(size_t)dma->count, false, true);
	pthread_mutex_unlock(&c->lock);
	if (!err) {
		proxy_reply_send(p, reply);
		return;
	}
	proxy_release(p, reply);
	proxy_refuse(p, x, err, why_not(err, "the window is not readable"));
}

static void dma_write(struct vuser_client *c, struct proxy *p, struct vuser_exchange *x,
		      const struct vuser_payload *command, size_t head)
{
	const struct vuser_dma_access *dma = &command->u.dma;
	struct vuser_exchange *reply;
	void *payload;
	int err;

	pthread_mutex_lock(&c->lock);
	err = check_span(&c->windows, dma->address, dma->count, VUSER_DMA_WRITABLE);
	if (!err)
		err = copy_span(&c->windows, dma->address,
				(uint8_t *)(uintptr_t)command->tail, (size_t)dma->count,
				true, true);
	pthread_mutex_unlock(&c->lock);
	if (err) {
		proxy_refuse(p, x, err, why_not(err, "the window is not writable"));
		return;
	}
	reply = proxy_reply(p, x, head, &payload);
	if (!reply)
		return;
	memcpy(payload, x->bytes + VUSER_HEADER_SIZE, head);
	proxy_reply_send(p, reply);
}

/* On the connection it came over. */
static void answer(struct vuser_client *c, struct proxy *p, struct vuser_exchange *x)
{
	struct vuser_payload command;
	struct vuser_error e;
	size_t head;

	if (x->h.command != VUSER_CMD_DMA_READ && x->h.command != VUSER_CMD_DMA_WRITE) {
		proxy_refuse(p, x, EINVAL, "a server cannot send that");
		return;
	}
	if (x->nfds) {
		proxy_refuse(p, x, EINVAL, "it comes with descriptors");
		return;
	}
	if (vuser_payload_decode(x->h.command, false, x->bytes + VUSER_HEADER_SIZE,
				 x->size - VUSER_HEADER_SIZE, &command, &e)) {
		proxy_refuse(p, x, EINVAL, e.text);
		return;
	}
	if (command.u.dma.count > c->max_data) {
		proxy_refuse(p, x, EINVAL, "count is above our max_data_xfer_size");
		return;
	}
	head = x->size - VUSER_HEADER_SIZE - command.tail_len;
	if (x->h.command == VUSER_CMD_DMA_READ)
		dma_read(c, p, x, &command.u.dma, head);
	else
		dma_write(c, p, x, &command, head);
}

void client_request(void *arg, struct vuser_exchange *x)
{
	struct vuser_client *c = arg;

	answer(c, c->proxy, x);
}

void client_twin_request(void *arg, struct vuser_exchange *x)
{
	struct vuser_client *c = arg;

	answer(c, c->twin, x);
}
