/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a server, shared by its files. */
#ifndef VUSER_SERVER_H
#define VUSER_SERVER_H

#include <stdatomic.h>

#include "dirty.h"
#include "iova.h"
#include "msgtab.h"
#include "notify.h"
#include "proxy.h"

struct irq_state;

/* Descriptors looked at between commands. */
struct watches {
	int epoll;     /* -1 before the first */
	uint64_t next; /* number of a watch */
	TAILQ_HEAD(, watch) list;
};

struct vuser_server {
	const struct vuser_device *desc;
	void *dev;
	struct vuser_server_options o;
	uint64_t max_data; /* largest count of a transfer, as we tell it */
	char *path;	   /* of the socket it made */
	uint32_t state;	   /* of a device that migrates, enum vuser_device_state */
	int listener;
	atomic_int client;  /* its socket, for vuser_server_stop() */
	atomic_int twin_fd; /* the same of the twin's */
	atomic_bool stopped;
	struct watches watches;
	struct notify notify;
	struct irq_state *irqs;

	/* The client's, gone when it leaves. */
	struct proxy *proxy;
	struct proxy *twin; /* our own commands go over it; NULL: over proxy */
	bool versioned;
	bool dropping; /* what it sent first ends the connection */
	struct vuser_caps theirs;
	bool write_multiple; /* agreed */
	uint64_t max_maps;   /* as we told it */
	uint64_t max_bitmap; /* bytes of a dirty bitmap */
	bool handled;	     /* a command, since it was last cleared */
	bool working;	     /* the device is, and no command is being handled */
	struct iova_table windows;
	struct dirty_log log;
};

/* server_request.c: handles the client's commands. */
void server_request(void *arg, struct vuser_exchange *x);

/*
 * A handler of one command. It replies and returns 0, or returns a positive errno for the
 * engine to refuse with, and may say why.
 */
struct request {
	struct vuser_server *s;
	struct vuser_exchange *x;
	const struct vuser_payload *p;
	const char *why;
};

/* err, with why. */
int request_refuse(struct request *q, int err, const char *why);
/* The command's own payload as a reply. */
struct vuser_payload request_answer(const struct request *q);
/* A reply with payload p (its tail included), or the header alone; 0 or an errno. */
int request_reply(struct request *q, const struct vuser_payload *p);
int request_reply_empty(struct request *q);
/*
 * The same with the descriptors, which stay the caller's; they go with the answer only.
 * At most what the client takes: ENOSPC, as request_check_fds() says beforehand.
 */
int request_reply_fds(struct request *q, const struct vuser_payload *p, const int *fds,
		      size_t nfds);
int request_check_fds(struct request *q, size_t nfds);
/*
 * server.c: makes the twin socket, section "VERSION". The client's end goes to *fd, which
 * the caller closes once it is sent. 0 or an errno.
 */
int server_twin(struct vuser_server *s, int *fd);
void server_twin_free(struct vuser_server *s);
/* A device's negative errno as it goes to the wire. */
int request_device_errno(int r);

/* Handlers of families of commands. server_region.c: */
int request_region_info(struct request *q);
int request_read(struct request *q);
int request_write(struct request *q);
int request_write_multi(struct request *q);
/* Whether a device's regions are as their description must be. */
int regions_check(const struct vuser_device *desc, struct vuser_error *e);
/* server_iofds.c */
int request_io_fds(struct request *q);
/* server_irq.c: */
int request_irq_info(struct request *q);
int request_set_irqs(struct request *q);
/* Room for the state of all vectors, to be freed with free(). */
int irqs_new(struct vuser_server *s, struct vuser_error *e);
/* The client has left: of what it set up nothing stays. */
void irqs_clear(struct vuser_server *s);
/* The device runs again: what it raised meanwhile fires. */
void irqs_let_out(struct vuser_server *s);

/*
 * server_watch.c: calls ready(arg, fd) when the owner says so and fd can be read. fd
 * stays the caller's, who must end the watch before closing it. USAGE for an fd that is
 * watched.
 */
void watches_init(struct watches *w);
void watches_free(struct watches *w);
int watch_add(struct vuser_server *s, int fd, void (*ready)(void *arg, int fd), void *arg,
	      struct vuser_error *e);
void watch_remove(struct vuser_server *s, int fd);
void watches_call(struct watches *w);

/*
 * Looks at the reply to a DMA_READ or DMA_WRITE of *len bytes, whose forms differ between
 * peers; the data of a read ends up in buf. *len becomes what was moved: a client may
 * move less than it was asked to, but not nothing. 0 or a negative errno.
 */
int server_check_dma_reply(struct vuser_server *s, struct vuser_exchange *x, size_t *len,
			   bool write, uint8_t *buf);

/* server_feature.c, server_migration.c: handlers. */
int request_device_feature(struct request *q);
int request_mig_read(struct request *q);
int request_mig_write(struct request *q);
/* Getting and setting feature 2; get answers with feature_answer(). */
int migration_get_state(struct request *q);
int migration_set_state(struct request *q);
/* The answer to a get with len bytes of data, or what it would take. */
int feature_answer(struct request *q, const void *data, size_t len);
/* The answer to a set or a probe: what was asked. */
int feature_repeat(struct request *q);
/* DMA_UNMAP of a window, whose dirty bitmap goes with the reply. */
int feature_unmap(struct request *q, struct window *w);

/* Whether the device may work, reach memory and interrupt: not while it is stopped. */
bool server_is_running(const struct vuser_server *s);
/* The device was reset. */
void server_was_reset(struct vuser_server *s);
/* A device's write to memory ended with r, 0 or a negative errno. */
void server_log_write(struct vuser_server *s, uint64_t iova, size_t len, int r);

#endif
