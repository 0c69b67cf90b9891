/* SPDX-License-Identifier: BSD-3-Clause */
/* The twin socket of a client: what the server asks comes over a connection of its own.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"
#include "error.h"

/*
 * That it ends is no news: the server ends both. What breaks the protocol is, and the
 * first socket stands all the same.
 */
static void on_event(void *arg, const struct vuser_event *ev)
{
	struct vuser_client *c = arg;
	struct vuser_event told = *ev;

	if (ev->kind == VUSER_EVENT_LOST) {
		if (ev->error.code == VUSER_E_CLOSED)
			return;
		told.kind = VUSER_EVENT_REFUSED;
		snprintf(told.error.text, sizeof(told.error.text), "twin socket: %.200s",
			 ev->error.text);
	}
	if (c->o.event)
		c->o.event(c->o.arg, &told);
}

/* One descriptor for an owner that polls. */
static int join(struct vuser_client *c, struct vuser_error *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = 0 };

	c->both = epoll_create1(EPOLL_CLOEXEC);
	if (c->both < 0)
		return error_errno(e, "epoll_create1");
	if (epoll_ctl(c->both, EPOLL_CTL_ADD, proxy_fd(c->proxy), &ev) != 0 ||
	    epoll_ctl(c->both, EPOLL_CTL_ADD, proxy_fd(c->twin), &ev) != 0)
		return error_errno(e, "epoll_ctl");
	return 0;
}

int client_twin_take(struct vuser_client *c, struct vuser_exchange *x,
		     struct vuser_error *e)
{
	struct proxy_options po = { .sends = VUSER_C2S,
				    .limit = c->limit,
				    .request_limit = c->max_data + CLIENT_REQUEST_HEAD,
				    .timeout = c->o.timeout,
				    .trace = c->o.trace,
				    .event = on_event,
				    .arg = c,
				    .request = client_twin_request,
				    .request_arg = c,
				    .force_queue = c->o.force_queue };
	uint64_t index = c->theirs.twin_fd_index;
	int fd, r;

	if (!c->theirs.twin_supported)
		return 0;
	if (!(c->theirs.present & VUSER_CAP_TWIN_FD_INDEX) || index >= x->nreply_fds)
		return client_bad_reply(c, x, VUSER_NO_OFFSET, "twin_socket.fd_index", e,
					"the server agrees to a twin socket, but of the "
					"%zu descriptors that came none is it",
					x->nreply_fds);
	fd = x->reply_fds[index];
	x->reply_fds[index] = x->reply_fds[--x->nreply_fds];
	r = channel_check(fd, NULL);
	if (r) {
		close(fd);
		return client_bad_reply(c, x, VUSER_NO_OFFSET, "twin_socket.fd_index", e,
					"the descriptor that should be the twin socket "
					"is no connected stream socket");
	}
	c->twin = proxy_new(fd, &po);
	if (!c->twin)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a connection");
	r = join(c, e);
	if (!r)
		proxy_twin(c->proxy, c->twin);
	return r;
}

/* After the last wait on the first socket. */
void client_twin_free(struct vuser_client *c)
{
	if (c->twin)
		proxy_free(c->twin);
	if (c->both >= 0)
		close(c->both);
}

/* ---- For an owner that polls ------------------------------------------------------- */

/* What to wait for changes; a socket that is lost would wake us for ever. */
static void watch(struct vuser_client *c, struct proxy *p)
{
	short events = proxy_events(p);
	struct epoll_event ev = { .events = (events & POLLIN ? EPOLLIN : 0u) |
					    (events & POLLOUT ? EPOLLOUT : 0u) };

	if (proxy_lost(p, NULL))
		(void)epoll_ctl(c->both, EPOLL_CTL_DEL, proxy_fd(p), NULL);
	else
		(void)epoll_ctl(c->both, EPOLL_CTL_MOD, proxy_fd(p), &ev);
}

int vuser_client_fd(const struct vuser_client *c)
{
	return c->twin ? c->both : proxy_fd(c->proxy);
}

short vuser_client_events(struct vuser_client *c)
{
	if (!c->twin)
		return proxy_events(c->proxy);
	watch(c, c->proxy);
	watch(c, c->twin);
	return POLLIN;
}

/* The end of the twin is told to event(), and is not the end of the client. */
int vuser_client_process(struct vuser_client *c, struct vuser_error *e)
{
	int r = c->twin ? proxy_process(c->twin, NULL) : 0;

	(void)r;
	return proxy_process(c->proxy, e);
}

bool vuser_client_twin(const struct vuser_client *c)
{
	return c->twin != NULL;
}

static void add(struct vuser_counter *to, const struct vuser_counter *from)
{
	to->messages += from->messages;
	to->bytes += from->bytes;
	to->errors += from->errors;
}

void vuser_client_stats(struct vuser_client *c, struct vuser_stats *s)
{
	struct vuser_stats twin;

	proxy_stats(c->proxy, s);
	if (!c->twin)
		return;
	proxy_stats(c->twin, &twin);
	for (unsigned i = 0; i < VUSER_CMD_LIMIT; i++) {
		add(&s->sent[i], &twin.sent[i]);
		add(&s->received[i], &twin.received[i]);
	}
	s->unexpected += twin.unexpected;
	s->refused += twin.refused;
	s->queued += twin.queued;
}
