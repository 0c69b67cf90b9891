/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server does with each command of its client. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cursor.h"
#include "error.h"
#include "server.h"

int request_refuse(struct request *q, int err, const char *why)
{
	q->why = why;
	return err;
}

/* The reply with copies of the descriptors, NULL if none is wanted or *err says why. */
static struct vuser_exchange *make_reply(struct request *q, const struct vuser_payload *p,
					 const int *fds, size_t nfds, int *err)
{
	struct vuser_exchange *reply;
	uint8_t fixed[64];
	size_t len;
	void *out;

	*err = EINVAL;
	if (payload_encode_fixed(p, fixed, sizeof(fixed), &len, NULL))
		return NULL;
	*err = 0;
	reply = proxy_reply(q->s->proxy, q->x, len + p->tail_len, &out);
	if (!reply)
		return NULL;
	memcpy(out, fixed, len);
	if (p->tail_len)
		memcpy((uint8_t *)out + len, p->tail, p->tail_len);
	if (nfds)
		memcpy(reply->fds, fds, nfds * sizeof(fds[0]));
	reply->nfds = nfds;
	*err = exchange_settle_in(reply); /* the device keeps its own */
	if (!*err)
		return reply;
	reply->nfds = 0;
	proxy_release(q->s->proxy, reply);
	return NULL;
}

int request_check_fds(struct request *q, size_t nfds)
{
	if (nfds <= VUSER_MAX_FDS_HELD && nfds <= q->s->theirs.max_msg_fds)
		return 0;
	return request_refuse(q, ENOSPC,
			      "the answer has more descriptors than its max_msg_fds");
}

int request_reply_fds(struct request *q, const struct vuser_payload *p, const int *fds,
		      size_t nfds)
{
	struct vuser_exchange *reply;
	int err = request_check_fds(q, nfds);

	if (err)
		return err;
	reply = make_reply(q, p, fds, nfds, &err);
	if (err)
		return request_refuse(q, err,
				      nfds ? "the reply's descriptors cannot be sent"
					   : "the reply cannot be written");
	if (reply)
		proxy_reply_send(q->s->proxy, reply);
	return 0;
}

int request_reply(struct request *q, const struct vuser_payload *p)
{
	return request_reply_fds(q, p, NULL, 0);
}

int request_reply_empty(struct request *q)
{
	void *out;
	struct vuser_exchange *reply = proxy_reply(q->s->proxy, q->x, 0, &out);

	if (reply)
		proxy_reply_send(q->s->proxy, reply);
	return 0;
}

struct vuser_payload request_answer(const struct request *q)
{
	return (struct vuser_payload){ .command = q->p->command,
				       .reply = true,
				       .u = q->p->u };
}

int request_device_errno(int r)
{
	return r < 0 && r > -4096 ? -r : EIO;
}

/* ---- VERSION --------------------------------------------------------------------- */

/* Where all of them do not fit, those that say nothing new are left out. */
static int write_caps(const struct vuser_caps *caps, char *json, size_t cap, size_t *len)
{
	struct vuser_caps short_caps = *caps, usual;
	int r = vuser_caps_encode(caps, json, cap, len, NULL);

	if (!r)
		return 0;
	vuser_caps_default(&usual);
	if (caps->pgsizes == usual.pgsizes)
		short_caps.present &= ~(unsigned)VUSER_CAP_PGSIZES;
	if (caps->max_dma_maps == usual.max_dma_maps)
		short_caps.present &= ~(unsigned)VUSER_CAP_MAX_DMA_MAPS;
	if (caps->max_data_xfer_size == usual.max_data_xfer_size)
		short_caps.present &= ~(unsigned)VUSER_CAP_MAX_DATA_XFER_SIZE;
	return vuser_caps_encode(&short_caps, json, cap, len, NULL);
}

static void without_twin(struct vuser_caps *ours)
{
	ours->present &= ~(unsigned)(VUSER_CAP_TWIN_SUPPORTED | VUSER_CAP_TWIN_FD_INDEX);
}

/* The client's end of a twin socket, -1 if there will be none. */
static int agree_on_twin(struct request *q, struct vuser_caps *ours)
{
	struct vuser_server *s = q->s;
	bool offered = (ours->present & VUSER_CAP_TWIN_SUPPORTED) && ours->twin_supported;
	int fd = -1;

	without_twin(ours);
	if (!offered || !s->theirs.twin_supported || s->theirs.max_msg_fds < 1 ||
	    (q->x->h.flags & VUSER_FLAG_NO_REPLY) || server_twin(s, &fd))
		return -1; /* for want of descriptors one socket does */
	ours->present |= VUSER_CAP_TWIN_SUPPORTED | VUSER_CAP_TWIN_FD_INDEX;
	ours->twin_fd_index = 0;
	return fd;
}

/* Clients that know of a twin socket have room for what is said of it. */
static int answer_version(struct request *q, struct vuser_payload p,
			  const struct vuser_caps *ours, int twin)
{
	char json[2 * VUSER_MAX_VERSION_REPLY];
	size_t room = VUSER_MAX_VERSION_REPLY - VUSER_HEADER_SIZE - 4;

	if (write_caps(ours, json, twin >= 0 ? sizeof(json) : room, &p.tail_len))
		return request_refuse(q, EINVAL, "our capabilities do not fit");
	p.tail = (const uint8_t *)json;
	return request_reply_fds(q, &p, &twin, twin >= 0);
}

static int do_version(struct request *q)
{
	struct vuser_server *s = q->s;
	struct vuser_payload p = request_answer(q);
	struct vuser_caps ours = s->o.caps;
	struct vuser_error e;
	int twin, r;

	if (s->versioned)
		return request_refuse(q, EINVAL, "the version was negotiated already");
	s->dropping = true;
	if (p.u.version.major != VUSER_PROTO_MAJOR)
		return request_refuse(q, EINVAL, "its major version is not ours");
	if (vuser_caps_decode((const char *)q->p->tail, q->p->tail_len,
			      VUSER_CAPS_OF_CLIENT, NULL, &s->theirs, NULL, &e)) {
		proxy_refuse(s->proxy, q->x, EINVAL, e.text);
		return 0;
	}
	if (p.u.version.minor > VUSER_PROTO_MINOR)
		p.u.version.minor = VUSER_PROTO_MINOR;
	s->write_multiple = (ours.present & VUSER_CAP_WRITE_MULTIPLE) &&
			    ours.write_multiple && s->theirs.write_multiple;
	if (!s->write_multiple)
		ours.present &= ~(unsigned)VUSER_CAP_WRITE_MULTIPLE;
	if (ours.max_dma_maps > s->theirs.max_dma_maps)
		ours.max_dma_maps = s->theirs.max_dma_maps;
	s->max_maps = ours.max_dma_maps;
	if (ours.migration_max_bitmap_size > s->theirs.migration_max_bitmap_size)
		ours.migration_max_bitmap_size = s->theirs.migration_max_bitmap_size;
	s->max_bitmap = ours.migration_max_bitmap_size;
	twin = agree_on_twin(q, &ours);
	r = answer_version(q, p, &ours, twin);
	if (twin >= 0)
		close(twin);
	if (r && twin >= 0) { /* it could not be sent */
		server_twin_free(s);
		without_twin(&ours);
		r = answer_version(q, p, &ours, -1);
	}
	s->dropping = r;
	s->versioned = !r;
	return r;
}

/* ---- DMA windows ----------------------------------------------------------------- */

/* What the descriptor behind a window must be able to do. 0 or an errno. */
static int check_file(const struct vuser_window *w, struct stat *st, const char **why)
{
	int mode = fcntl(w->fd, F_GETFL) & O_ACCMODE;

	if (fstat(w->fd, st) != 0 || !S_ISREG(st->st_mode)) {
		*why = "its descriptor is no memory";
		return EINVAL;
	}
	if (((w->prot & VUSER_DMA_WRITABLE) && mode == O_RDONLY) ||
	    ((w->prot & VUSER_DMA_READABLE) && mode == O_WRONLY) ||
	    (fcntl(w->fd, F_GETFL) & O_PATH)) {
		*why = "its descriptor does not allow that access";
		return EACCES;
	}
	return 0;
}

/*
 * Maps the window's memory if nobody can take it away under us: a file that may shrink is
 * read and written by system calls, which fail where a mapping would kill.
 */
static void map_sealed(struct window *w, const struct stat *st)
{
	uint64_t shift = w->w.offset % VUSER_PAGE_SIZE;
	int seals = fcntl(w->w.fd, F_GET_SEALS);
	int prot = (w->w.prot & VUSER_DMA_READABLE ? PROT_READ : 0) |
		   (w->w.prot & VUSER_DMA_WRITABLE ? PROT_READ | PROT_WRITE : 0);
	void *p;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    w->w.offset > (uint64_t)st->st_size ||
	    w->w.size > (uint64_t)st->st_size - w->w.offset)
		return;
	p = mmap(NULL, (size_t)(w->w.size + shift), prot, MAP_SHARED, w->w.fd,
		 (off_t)(w->w.offset - shift));
	if (p == MAP_FAILED)
		return;
	w->map = p;
	w->map_len = (size_t)(w->w.size + shift);
	w->mem = (uint8_t *)p + shift;
}

static struct window *make_window(struct request *q, int *err)
{
	const struct vuser_dma_map *m = &q->p->u.dma_map;
	struct window *w = calloc(1, sizeof(*w));
	struct stat st;

	*err = ENOMEM;
	if (!w)
		return NULL;
	w->w = (struct vuser_window){ .iova = m->address,
				      .size = m->size,
				      .prot = m->flags,
				      .fd = -1,
				      .offset = m->offset };
	if (!q->x->nfds)
		return w;
	w->w.fd = q->x->fds[0];
	*err = check_file(&w->w, &st, &q->why);
	if (*err) {
		free(w); /* the descriptor is still the request's */
		return NULL;
	}
	q->x->nfds = 0;
	map_sealed(w, &st);
	return w;
}

#define MAP_FLAGS \
	(VUSER_DMA_READABLE | VUSER_DMA_WRITABLE | VUSER_DMA_MMAP | VUSER_DMA_FILE_IO)

static int do_dma_map(struct request *q)
{
	const struct vuser_dma_map *m = &q->p->u.dma_map;
	struct window *w;
	int err, r;

	if (m->argsz < sizeof(*m))
		return request_refuse(q, EINVAL, "argsz is below the payload's size");
	if (m->flags & ~MAP_FLAGS)
		return request_refuse(q, EINVAL, "it has unknown flags");
	if (!m->size || m->address + (m->size - 1) < m->address)
		return request_refuse(q, EINVAL, "the window is empty or wraps around");
	if (m->offset > INT64_MAX || m->size > INT64_MAX - m->offset)
		return request_refuse(q, EINVAL, "offset and size are beyond any file");
	if (q->s->windows.n >= q->s->max_maps)
		return request_refuse(q, ENOSPC,
				      "max_dma_maps windows are mapped already");
	w = make_window(q, &err);
	if (!w)
		return err;
	r = iova_add(&q->s->windows, w);
	if (!r)
		return request_reply_empty(q);
	window_free(w);
	return request_refuse(
		q, -r, r == -EEXIST ? "it overlaps a window" : "it cannot be kept");
}

static int do_dma_unmap(struct request *q)
{
	const struct vuser_dma_unmap *u = &q->p->u.dma_unmap;
	struct vuser_payload p = request_answer(q);
	struct window *w;

	if (u->argsz < sizeof(*u))
		return request_refuse(q, EINVAL, "argsz is below the payload's size");
	if (u->flags & ~(VUSER_DMA_UNMAP_ALL | VUSER_DMA_UNMAP_DIRTY))
		return request_refuse(q, EINVAL, "it has unknown flags");
	if ((u->flags & VUSER_DMA_UNMAP_DIRTY) && !q->s->log.on)
		return request_refuse(q, ENOTSUP,
				      "there is a dirty bitmap while DMA is logged only");
	if (u->flags & VUSER_DMA_UNMAP_ALL) {
		if (u->address || u->size || (u->flags & VUSER_DMA_UNMAP_DIRTY))
			return request_refuse(q, EINVAL, "unmapping all takes no range");
		iova_clear(&q->s->windows);
		return request_reply(q, &p);
	}
	w = iova_exact(&q->s->windows, u->address, u->size);
	if (!w)
		return request_refuse(q, ENOENT, "exactly that range is not mapped");
	if (u->flags & VUSER_DMA_UNMAP_DIRTY)
		return feature_unmap(q, w);
	iova_remove(&q->s->windows, w);
	return request_reply(q, &p);
}

/* ---- The device and its parts ---------------------------------------------------- */

static int do_info(struct request *q)
{
	struct vuser_payload p = request_answer(q);

	if (p.u.device_info.argsz < sizeof(p.u.device_info))
		return request_refuse(q, EINVAL, "argsz is below the answer's size");
	p.u.device_info =
		(struct vuser_device_info){ .argsz = sizeof(p.u.device_info),
					    .flags = q->s->desc->flags,
					    .num_regions = q->s->desc->num_regions,
					    .num_irqs = q->s->desc->num_irqs };
	return request_reply(q, &p);
}

static int do_reset(struct request *q)
{
	int r;

	if (!(q->s->desc->flags & VUSER_DEVICE_RESET) || !q->s->desc->reset)
		return request_refuse(q, ENOTSUP, "the device has no reset");
	r = q->s->desc->reset(q->s->dev);
	if (r)
		return request_refuse(q, request_device_errno(r), "the device failed");
	server_was_reset(q->s);
	return request_reply_empty(q);
}

/* ---- All of them ----------------------------------------------------------------- */

static int (*const handlers[VUSER_CMD_LIMIT])(struct request *q) = {
	[VUSER_CMD_VERSION] = do_version,
	[VUSER_CMD_DMA_MAP] = do_dma_map,
	[VUSER_CMD_DMA_UNMAP] = do_dma_unmap,
	[VUSER_CMD_DEVICE_GET_INFO] = do_info,
	[VUSER_CMD_DEVICE_GET_REGION_INFO] = request_region_info,
	[VUSER_CMD_DEVICE_GET_REGION_IO_FDS] = request_io_fds,
	[VUSER_CMD_DEVICE_GET_IRQ_INFO] = request_irq_info,
	[VUSER_CMD_DEVICE_SET_IRQS] = request_set_irqs,
	[VUSER_CMD_REGION_READ] = request_read,
	[VUSER_CMD_REGION_WRITE] = request_write,
	[VUSER_CMD_DEVICE_RESET] = do_reset,
	[VUSER_CMD_REGION_WRITE_MULTI] = request_write_multi,
	[VUSER_CMD_DEVICE_FEATURE] = request_device_feature,
	[VUSER_CMD_MIG_DATA_READ] = request_mig_read,
	[VUSER_CMD_MIG_DATA_WRITE] = request_mig_write,
};

/* What holds for every command, before any is looked at. 0 or an errno. */
static int admit(struct request *q, struct vuser_payload *p, struct vuser_error *e)
{
	const struct message_row *row = message_find(q->x->h.command);

	if (!q->s->versioned && q->x->h.command != VUSER_CMD_VERSION) {
		q->s->dropping = true;
		return request_refuse(q, EINVAL, "the first command must be VERSION");
	}
	if (!row)
		return request_refuse(q, EINVAL, "there is no such command");
	if (row->dir != VUSER_C2S)
		return request_refuse(q, EINVAL, "a client cannot send that");
	if (!handlers[q->x->h.command])
		return request_refuse(q, ENOTSUP, "it is not offered");
	if (q->x->nfds > row->command_fds)
		return request_refuse(q, EINVAL, "it comes with too many descriptors");
	if (vuser_payload_decode(q->x->h.command, false, q->x->bytes + VUSER_HEADER_SIZE,
				 q->x->size - VUSER_HEADER_SIZE, p, e))
		return request_refuse(q, EINVAL, e->text);
	return 0;
}

void server_request(void *arg, struct vuser_exchange *x)
{
	struct vuser_server *s = arg;
	struct vuser_payload p;
	struct vuser_error e;
	struct request q = { .s = s, .x = x, .p = &p };
	int err;

	s->handled = true;
	if (s->dropping) {
		proxy_refuse(s->proxy, x, EINVAL, "the handshake failed");
		return;
	}
	err = admit(&q, &p, &e);
	if (err && !s->versioned)
		s->dropping = true;
	if (!err)
		err = handlers[x->h.command](&q);
	if (err)
		proxy_refuse(s->proxy, x, err, q.why ? q.why : vuser_errno_text(err));
}

/* ---- Replies to our own requests ------------------------------------------------- */

static int bad_dma_reply(struct vuser_server *s, const struct vuser_exchange *x,
			 size_t len)
{
	uint8_t msg[VUSER_HEADER_SIZE + EXCHANGE_HEAD];
	struct vuser_error e;

	vuser_header_encode(&x->reply, msg);
	memcpy(msg + VUSER_HEADER_SIZE, x->head, x->head_len);
	error_at(
		&e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE, "count",
		"the reply to %s, %zu bytes after its header, is not about the %zu asked for",
		vuser_command_name(x->h.command), x->head_len + x->tail_len, len);
	proxy_tell(s->proxy, VUSER_EVENT_REFUSED, &e, msg,
		   VUSER_HEADER_SIZE + x->head_len);
	return -EPROTO;
}

/*
 * The count of a reply and where its data begins: behind 8 bytes of address it has 8
 * bytes, or 4 with peers of older text. The two cannot be mistaken for each other: a
 * count of 8 bytes that begins with data is larger than what came.
 */
static bool find_count(const struct vuser_exchange *x, bool write, uint64_t *count,
		       size_t *data_at)
{
	size_t got = x->head_len + x->tail_len;
	struct cursor wide = cursor_at(x->head, x->head_len), narrow = wide;

	(void)cursor_u64(&wide);
	(void)cursor_u64(&narrow);
	*count = cursor_u64(&wide);
	*data_at = 16;
	if (!wide.failed && got - 16 == (write ? 0 : *count))
		return true;
	*count = cursor_u32(&narrow);
	*data_at = 12;
	return !narrow.failed && got - 12 == (write ? 0 : *count);
}

int server_check_dma_reply(struct vuser_server *s, struct vuser_exchange *x, size_t *len,
			   bool write, uint8_t *buf)
{
	uint64_t count;
	size_t data_at;

	if (write && x->head_len + x->tail_len == 0)
		return 0; /* the header alone says that all was written */
	if (!find_count(x, write, &count, &data_at) || count > *len || (!count && *len))
		return bad_dma_reply(s, x, *len);
	*len = (size_t)count;
	if (!write && data_at == 12) {
		/* The data began four bytes before where it was looked for. */
		size_t early = x->head_len - 12;

		memmove(buf + early, buf, *len - early);
		memcpy(buf, x->head + 12, early);
	}
	return 0;
}
