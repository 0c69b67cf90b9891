/* SPDX-License-Identifier: BSD-3-Clause */
/* The twin socket of a client: what the server asks comes over a connection of its own.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"
#include "error.h"

static void on_event(void *arg, const struct vuser_event *ev)
{
	struct vuser_client *c = arg;

	proxy_twin_event(c->proxy, ev);
}

/* What to wait for changes; epoll tells of the end of what is waited for in any way. */
static void watch(struct vuser_client *c, struct proxy *p, bool at_all)
{
	short events = proxy_events(p);
	struct epoll_event ev = { .events = (events & POLLIN ? EPOLLIN : 0u) |
					    (events & POLLOUT ? EPOLLOUT : 0u) };
	int fd = proxy_fd(p);

	if (!at_all)
		(void)epoll_ctl(c->both, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(c->both, EPOLL_CTL_MOD, fd, &ev) != 0 && errno == ENOENT)
		(void)epoll_ctl(c->both, EPOLL_CTL_ADD, fd, &ev);
}

/* The first socket always is: its end is for the owner to see. */
static void watch_both(struct vuser_client *c)
{
	watch(c, c->proxy, true);
	watch(c, c->twin, proxy_events(c->twin) && !proxy_lost(c->twin, NULL));
}

/* One descriptor for an owner that polls. */
static int join(struct vuser_client *c, struct vuser_error *e)
{
	struct epoll_event ev = { .events = EPOLLIN };

	c->both = epoll_create1(EPOLL_CLOEXEC);
	if (c->both < 0)
		return error_errno(e, "epoll_create1");
	if (epoll_ctl(c->both, EPOLL_CTL_ADD, proxy_fd(c->proxy), &ev) != 0 ||
	    epoll_ctl(c->both, EPOLL_CTL_ADD, proxy_fd(c->twin), &ev) != 0)
		return error_errno(e, "epoll_ctl");
	return 0;
}

/* Only of a socket that is connected does it make sense to wait for its end. */
static bool is_connection(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return channel_check(fd, NULL) == 0 &&
	       getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
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

	if (!c->theirs.twin_supported && x->nreply_fds)
		return client_bad_reply(c, x, 0, "fds", e,
					"the reply to VERSION comes with a descriptor, "
					"but agrees to no twin socket");
	if (!c->theirs.twin_supported)
		return 0;
	if (!(c->theirs.present & VUSER_CAP_TWIN_FD_INDEX) || index >= x->nreply_fds)
		return client_bad_reply(c, x, VUSER_NO_OFFSET, "twin_socket.fd_index", e,
					"the server agrees to a twin socket, but of the "
					"%zu descriptors that came none is it",
					x->nreply_fds);
	fd = x->reply_fds[index];
	x->reply_fds[index] = x->reply_fds[--x->nreply_fds];
	if (!is_connection(fd)) {
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

int vuser_client_fd(const struct vuser_client *c)
{
	return c->twin ? c->both : proxy_fd(c->proxy);
}

short vuser_client_events(struct vuser_client *c)
{
	if (!c->twin)
		return proxy_events(c->proxy);
	watch_both(c);
	return POLLIN;
}

int vuser_client_process(struct vuser_client *c, struct vuser_error *e)
{
	int r = proxy_process(c->proxy, e);

	if (c->twin) /* an owner that asks for the events only once shall not poll in vain
		      */
		watch_both(c);
	return r;
}

bool vuser_client_twin(const struct vuser_client *c)
{
	return c->twin != NULL;
}

int vuser_client_twin_lost(struct vuser_client *c, struct vuser_error *e)
{
	return c->twin ? proxy_lost(c->twin, e) : 0;
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
