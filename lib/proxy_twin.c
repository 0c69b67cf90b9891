/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's twin: a second connection that whoever waits on the first one serves. */
#include <poll.h>
#include <stdio.h>

#include "engine.h"

void proxy_twin(struct proxy *p, struct proxy *twin)
{
	pthread_mutex_lock(&p->lock);
	p->twin = twin;
	pthread_mutex_unlock(&p->lock);
}

/* One system call, as it is done over and over; what it misses is polled for later. */
bool engine_twin_look(struct proxy *twin)
{
	struct pollfd fd = { .fd = twin->fd, .events = POLLIN };

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN) &&
	       proxy_lost(twin, NULL) == 0 && (proxy_events(twin) & POLLIN);
}

/*
 * Other threads may serve it meanwhile: its own kick tells when there is more to wait for
 * than there was. A descriptor that is polled for nothing would still tell of its end,
 * over and over.
 */
void engine_twin_watch(struct proxy *twin, struct pollfd *fds)
{
	fds[0] = fds[1] = (struct pollfd){ .fd = -1 };
	pthread_mutex_lock(&twin->lock);
	if (!twin->lost.code) {
		twin->watched = engine_wanted(twin);
		twin->waiting = true;
		fds[0].fd = twin->watched ? twin->fd : -1;
		fds[0].events = twin->watched;
		fds[1].fd = twin->kick;
		fds[1].events = POLLIN;
	}
	pthread_mutex_unlock(&twin->lock);
}

void engine_twin_leave(struct proxy *twin, const struct pollfd *fds)
{
	if (fds[1].fd < 0)
		return;
	pthread_mutex_lock(&twin->lock);
	engine_stop_waiting(twin);
	pthread_mutex_unlock(&twin->lock);
}

/* Its end is told to event(), and nobody's failure. */
void engine_twin_serve(struct proxy *p)
{
	struct proxy *twin = p->twin;
	int r;

	if (!twin)
		return;
	pthread_mutex_unlock(&p->lock);
	r = proxy_process(twin, NULL);
	(void)r;
	pthread_mutex_lock(&p->lock);
}

void proxy_twin_event(struct proxy *p, const struct vuser_event *ev)
{
	enum vuser_event_kind kind = ev->kind;
	struct vuser_error e = ev->error;

	if (kind == VUSER_EVENT_LOST && e.code == VUSER_E_CLOSED)
		return;
	if (kind == VUSER_EVENT_LOST) {
		kind = VUSER_EVENT_TWIN;
		snprintf(e.text, sizeof(e.text), "the twin socket is given up: %.180s",
			 ev->error.text);
	}
	proxy_tell(p, kind, &e, ev->bytes, ev->len);
}
