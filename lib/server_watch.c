/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that a server looks at between commands: a device's, and its own. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "error.h"
#include "server.h"

#define BATCH 16 /* calls before the next command has its turn */

struct watch {
	TAILQ_ENTRY(watch) link;
	uint64_t number; /* no pointer: it may outlive the watch in the kernel's list */
	int fd;
	void (*ready)(void *arg, int fd);
	void *arg;
};

void watches_init(struct watches *w)
{
	TAILQ_INIT(&w->list);
	w->epoll = -1;
}

void watches_free(struct watches *w)
{
	struct watch *watch;

	while ((watch = TAILQ_FIRST(&w->list))) {
		TAILQ_REMOVE(&w->list, watch, link);
		free(watch);
	}
	if (w->epoll >= 0)
		close(w->epoll);
	w->epoll = -1;
}

/* Many a device watches nothing: the descriptor is made for the first that does. */
static int need_epoll(struct vuser_server *s, struct vuser_error *e)
{
	if (s->watches.epoll >= 0)
		return 0;
	s->watches.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->watches.epoll < 0)
		return error_errno(e, "epoll_create1");
	if (s->proxy)
		proxy_also(s->proxy, s->watches.epoll);
	return 0;
}

static struct watch *find_fd(struct watches *w, int fd)
{
	struct watch *watch;

	TAILQ_FOREACH (watch, &w->list, link)
		if (watch->fd == fd)
			return watch;
	return NULL;
}

static struct watch *find_number(struct watches *w, uint64_t number)
{
	struct watch *watch;

	TAILQ_FOREACH (watch, &w->list, link)
		if (watch->number == number)
			return watch;
	return NULL;
}

int watch_add(struct vuser_server *s, int fd, void (*ready)(void *arg, int fd), void *arg,
	      struct vuser_error *e)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct watches *w = &s->watches;
	struct watch *watch;
	int r;

	if (find_fd(w, fd))
		return error_set(e, VUSER_E_USAGE, EEXIST,
				 "descriptor %d is watched already", fd);
	r = need_epoll(s, e);
	if (r)
		return r;
	watch = malloc(sizeof(*watch));
	if (!watch)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for a watch");
	*watch = (struct watch){
		.number = w->next++, .fd = fd, .ready = ready, .arg = arg
	};
	ev.data.u64 = watch->number;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
		r = errno;
		free(watch);
		return error_set(e, VUSER_E_SYSTEM, r,
				 "descriptor %d cannot be watched: %s", fd,
				 vuser_errno_text(r));
	}
	TAILQ_INSERT_TAIL(&w->list, watch, link);
	return 0;
}

void watch_remove(struct vuser_server *s, int fd)
{
	struct watches *w = &s->watches;
	struct watch *watch = find_fd(w, fd);

	if (!watch)
		return;
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
	TAILQ_REMOVE(&w->list, watch, link);
	free(watch);
}

/* One event at a time: what it calls may end other watches. The kernel takes turns. */
void watches_call(struct watches *w)
{
	struct epoll_event ev;
	struct watch *watch;

	for (int i = 0; i < BATCH && !TAILQ_EMPTY(&w->list); i++) {
		if (epoll_wait(w->epoll, &ev, 1, 0) != 1)
			return;
		watch = find_number(w, ev.data.u64);
		if (watch)
			watch->ready(watch->arg, watch->fd);
	}
}

int vuser_server_watch(struct vuser_server *s, int fd, void (*ready)(void *dev, int fd),
		       struct vuser_error *e)
{
	return watch_add(s, fd, ready, s->dev, e);
}

void vuser_server_unwatch(struct vuser_server *s, int fd)
{
	watch_remove(s, fd);
}
