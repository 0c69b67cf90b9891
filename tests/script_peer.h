/* SPDX-License-Identifier: BSD-3-Clause */
/* A proxy over a socket pair whose other end is played by the test, or by a thread of it.
 */
#ifndef VUSER_SCRIPT_PEER_H
#define VUSER_SCRIPT_PEER_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MS	      1000000ll
#define LONG	      (60000 * MS) /* nothing takes so long unless it hangs */
#define MESSAGE_ROOM  (1u << 18)
#define PEER_FDS      100u /* at most, in one message */
#define EVENT_KINDS   (VUSER_EVENT_LOST + 1)

/* As an assertion, but from any thread: those of cmocka work in one. */
#define must(cond)    ((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__))

_Noreturn static inline void must_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: must hold: %s\n", file, line, what);
	abort();
}

struct rig {
	struct proxy_options o; /* to be changed between rig_init() and rig_start() */
	int type, sndbuf;	/* of the socket; sndbuf 0: as it is */
	struct proxy *p;
	int fd; /* the peer's end */
	size_t fds_before;
	struct vuser_error e;

	pthread_mutex_t lock; /* of what follows */
	unsigned nevents, events[EVENT_KINDS];
	struct vuser_event last[EVENT_KINDS]; /* of each kind */
	unsigned nrequests;
	uint16_t requests[8192]; /* ids in the order they were handled */
	void *arg;		 /* the test's */
};

static inline size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	must(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void rig_event(void *arg, const struct vuser_event *ev)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->lock);
	r->nevents++;
	r->events[ev->kind]++;
	r->last[ev->kind] = *ev;
	pthread_mutex_unlock(&r->lock);
}

static inline void rig_note_request(struct rig *r, const struct vuser_exchange *x)
{
	pthread_mutex_lock(&r->lock);
	if (r->nrequests < ARRAY_SIZE(r->requests))
		r->requests[r->nrequests] = x->h.id;
	r->nrequests++;
	pthread_mutex_unlock(&r->lock);
}

/* Answers a request with the payload it came with. */
static inline void rig_echo(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;
	size_t len = x->size - VUSER_HEADER_SIZE;
	struct vuser_exchange *reply;
	void *payload;

	rig_note_request(r, x);
	reply = proxy_reply(r->p, x, len, &payload);
	if (!reply)
		return;
	memcpy(payload, x->bytes + VUSER_HEADER_SIZE, len);
	proxy_reply_send(r->p, reply);
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->type = SOCK_STREAM;
	r->o = (struct proxy_options){ .sends = VUSER_C2S,
				       .limit = 65536,
				       .request_limit = 4096,
				       .timeout = LONG,
				       .event = rig_event,
				       .arg = r,
				       .request = rig_echo,
				       .request_arg = r };
	r->fds_before = count_fds();
}

static inline void rig_start(struct rig *r)
{
	struct timeval patience = { .tv_sec = 60 };
	int sv[2];

	must(socketpair(AF_UNIX, r->type | SOCK_CLOEXEC, 0, sv) == 0);
	if (r->sndbuf)
		must(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &r->sndbuf,
				sizeof(r->sndbuf)) == 0);
	must(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ==
	     0);
	must(setsockopt(sv[1], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ==
	     0);
	r->fd = sv[1];
	r->p = proxy_new(sv[0], &r->o);
	must(r->p);
}

/* A rig as most tests want it. */
static inline void rig_open(struct rig *r)
{
	rig_init(r);
	rig_start(r);
}

static inline void peer_close(struct rig *r)
{
	close(r->fd);
	r->fd = -1;
}

/* Frees all and sees that no descriptor was lost. Returns what proxy_free() does. */
static inline unsigned rig_close(struct rig *r)
{
	unsigned outstanding = proxy_free(r->p);

	if (r->fd >= 0)
		close(r->fd);
	must(count_fds() == r->fds_before);
	pthread_mutex_destroy(&r->lock);
	return outstanding;
}

static inline struct vuser_stats rig_stats(struct rig *r)
{
	struct vuser_stats s;

	proxy_stats(r->p, &s);
	return s;
}

/* ---- The peer's messages ------------------------------------------------------ */

struct message {
	struct vuser_header h;
	uint8_t bytes[MESSAGE_ROOM];
	size_t len;
	int fds[PEER_FDS];
	size_t nfds;
};

/* Writes a message whose payload is the bytes given, or zeros. */
static inline size_t message_put(uint8_t *at, unsigned id, unsigned command,
				 uint32_t flags, uint32_t error, const void *payload,
				 size_t len)
{
	struct vuser_header h = { .id = (uint16_t)id,
				  .command = (uint16_t)command,
				  .size = (uint32_t)(VUSER_HEADER_SIZE + len),
				  .flags = flags,
				  .error = error };

	vuser_header_encode(&h, at);
	if (payload)
		memcpy(at + VUSER_HEADER_SIZE, payload, len);
	else
		memset(at + VUSER_HEADER_SIZE, 0, len);
	return h.size;
}

static inline void peer_send(struct rig *r, const void *buf, size_t len)
{
	const uint8_t *at = buf;

	while (len) {
		ssize_t n = send(r->fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		must(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(PEER_FDS * sizeof(int))];
};

/* n copies of fd go with the first byte. */
static inline void peer_send_fds(struct rig *r, const void *buf, size_t len, int fd,
				 size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	union control control = { .buf = { 0 } };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	must(n && n <= PEER_FDS);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	must(sendmsg(r->fd, &msg, MSG_NOSIGNAL) == (ssize_t)len);
}

/* A message with a payload of len bytes: those at payload, or zeros. */
static inline void peer_put(struct rig *r, unsigned id, unsigned command, uint32_t flags,
			    uint32_t error, const void *payload, size_t len)
{
	uint8_t *buf = malloc(VUSER_HEADER_SIZE + len);

	must(buf);
	peer_send(r, buf, message_put(buf, id, command, flags, error, payload, len));
	free(buf);
}

static inline void peer_reply(struct rig *r, unsigned id, unsigned command,
			      const void *payload, size_t len)
{
	peer_put(r, id, command, VUSER_TYPE_REPLY, 0, payload, len);
}

static inline void peer_error(struct rig *r, unsigned id, unsigned command, uint32_t err)
{
	peer_put(r, id, command, VUSER_TYPE_REPLY | VUSER_FLAG_ERROR, err, NULL, 0);
}

static inline void peer_request(struct rig *r, unsigned id, unsigned command,
				const void *payload, size_t len)
{
	peer_put(r, id, command, VUSER_TYPE_COMMAND, 0, payload, len);
}

/* Reads n bytes; false at the end of the stream. */
static inline bool peer_read(struct rig *r, void *buf, size_t n)
{
	uint8_t *at = buf;

	while (n) {
		ssize_t got = recv(r->fd, at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return false;
		must(got > 0);
		at += got;
		n -= (size_t)got;
	}
	return true;
}

/* At most len bytes, and what descriptors come with them. 0: the end of the stream. */
static inline size_t peer_read_fds(struct rig *r, void *buf, size_t len, int *fds,
				   size_t *nfds)
{
	struct iovec iov = { buf, len };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(r->fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	must(n >= 0 || errno == ECONNRESET);
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	*nfds = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
	if (*nfds)
		memcpy(fds, CMSG_DATA(c), *nfds * sizeof(int));
	return n > 0 ? (size_t)n : 0;
}

/* The header of the next message of the proxy's; false at the end of the stream. */
static inline bool peer_get_header(struct rig *r, struct vuser_header *h, uint8_t *bytes,
				   int *fds, size_t *nfds)
{
	size_t n = peer_read_fds(r, bytes, VUSER_HEADER_SIZE, fds, nfds);

	if (!n || !peer_read(r, bytes + n, VUSER_HEADER_SIZE - n))
		return false;
	must(vuser_header_decode(bytes, VUSER_HEADER_SIZE, h, NULL) == 0);
	return true;
}

/* The next message; false at the end of the stream. */
static inline bool peer_get(struct rig *r, struct message *m)
{
	if (!peer_get_header(r, &m->h, m->bytes, m->fds, &m->nfds))
		return false;
	must(m->h.size <= MESSAGE_ROOM);
	m->len = m->h.size;
	return peer_read(r, m->bytes + VUSER_HEADER_SIZE, m->len - VUSER_HEADER_SIZE);
}

/* The next message must be this one, whatever its payload. */
static inline struct vuser_header peer_expect(struct rig *r, unsigned command,
					      uint32_t flags)
{
	uint8_t bytes[1024];
	struct vuser_header h;
	int fds[PEER_FDS];
	size_t nfds;

	must(peer_get_header(r, &h, bytes, fds, &nfds));
	must(h.command == command && h.flags == flags && nfds == 0);
	for (size_t left = h.size - VUSER_HEADER_SIZE, n; left; left -= n) {
		n = left < sizeof(bytes) ? left : sizeof(bytes);
		must(peer_read(r, bytes, n));
	}
	return h;
}

/* Nothing is there to be read. */
static inline bool peer_idle(struct rig *r)
{
	uint8_t byte;

	return recv(r->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* ---- The proxy's side --------------------------------------------------------- */

static inline struct vuser_exchange *build(struct rig *r, unsigned command, size_t len)
{
	static const uint8_t zeros[EXCHANGE_SMALL];
	struct vuser_exchange *x = proxy_build(r->p, command, zeros, len, NULL, 0, &r->e);

	must(x);
	return x;
}

static inline struct vuser_exchange *build_posted(struct rig *r, unsigned command,
						  size_t len)
{
	struct vuser_exchange *x = build(r, command, len);

	x->h.flags |= VUSER_FLAG_NO_REPLY;
	return x;
}

/* Starts a WAIT. Its id is that of the count of those before, if nothing else was sent.
 */
static inline struct vuser_exchange *start(struct rig *r, unsigned command)
{
	struct vuser_exchange *x = build(r, command, 0);

	must(proxy_start(r->p, x, EXCHANGE_WAIT, &r->e) == 0);
	return x;
}

static inline int finish(struct rig *r, struct vuser_exchange *x, int64_t timeout)
{
	int ret = proxy_wait(r->p, x, timeout, &r->e);

	must(!ret || r->e.code == ret);
	proxy_release(r->p, x);
	return ret;
}

static inline void post(struct rig *r, unsigned command, size_t len)
{
	must(proxy_start(r->p, build_posted(r, command, len), EXCHANGE_ASYNC, &r->e) ==
	     0);
}

static inline void process(struct rig *r)
{
	must(proxy_process(r->p, &r->e) == 0);
}

/* One exchange from start to end, which shows that the two ends are in step. */
static inline void check_in_step(struct rig *r)
{
	static const uint8_t answer[4] = { 0xca, 0xfe, 0xf0, 0x0d };
	struct vuser_exchange *x = start(r, VUSER_CMD_DEVICE_GET_INFO);
	struct vuser_header h;

	process(r); /* with a queue that is forced it goes out now */
	h = peer_expect(r, VUSER_CMD_DEVICE_GET_INFO, 0);
	peer_reply(r, h.id, h.command, answer, sizeof(answer));
	must(proxy_wait(r->p, x, LONG, &r->e) == 0);
	must(x->head_len == 4 && memcmp(x->head, answer, 4) == 0);
	proxy_release(r->p, x);
	must(rig_stats(r).outstanding == 0 && rig_stats(r).queued == 0);
}

/* ---- Threads ------------------------------------------------------------------ */

static inline pthread_t go(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	must(pthread_create(&t, NULL, fn, arg) == 0);
	return t;
}

static inline void join(pthread_t t)
{
	must(pthread_join(t, NULL) == 0);
}

/* A wait of one exchange in a thread of its own. */
struct waiter {
	struct rig *r;
	unsigned command;
	int64_t timeout;
	int ret;
	struct vuser_error e;
	pthread_t thread;
};

static inline void *wait_once(void *arg)
{
	struct waiter *w = arg;
	struct vuser_exchange *x = build(w->r, w->command, 0);

	w->ret = proxy_start(w->r->p, x, EXCHANGE_WAIT, &w->e);
	must(w->ret == 0);
	w->ret = proxy_wait(w->r->p, x, w->timeout, &w->e);
	proxy_release(w->r->p, x);
	return NULL;
}

static inline void begin(struct waiter *w, struct rig *r, unsigned command,
			 int64_t timeout)
{
	*w = (struct waiter){ .r = r, .command = command, .timeout = timeout };
	w->thread = go(wait_once, w);
}

/* One thread reads, with nothing to be sent. */
static inline unsigned begin_to_read(struct waiter *w, struct rig *r)
{
	unsigned id;

	begin(w, r, VUSER_CMD_REGION_READ, LONG);
	id = peer_expect(r, VUSER_CMD_REGION_READ, 0).id;
	usleep(20000); /* until it sleeps; sooner does not harm */
	return id;
}

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

#endif
