/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of the engine, shared by its files; nobody else looks in here. */
#ifndef VUSER_ENGINE_H
#define VUSER_ENGINE_H

#include <poll.h>

#include "outbox.h"
#include "proxy.h"
#include "reader.h"

#define IDS		 65536u
#define POSTED_IDS	 64u /* ids of posted writes remembered, to know a reply to one */
#define SPIN_NS		 25000u /* to look for a message before blocking for it */
#define SPIN_MISSES	 4u	/* in vain, then it is tried */
#define SPIN_RETRY	 64u	/* once in so many times */
#define SPIN_TWIN	 4u	/* looks for it, then one at the twin */
#define MAX_FAILED	 1024u	/* failed NOWAITs kept for proxy_settle() */
#define TELL_ROUNDS	 8	/* of reports, told by one thread before it goes on */
#define HANDLE_BATCH	 128u	/* requests handled by one thread while another reads */
#define MAX_INCOMING_FDS 512u	/* held by requests not yet handled */

/* A request that was given up: what is left of it. */
struct late {
	uint16_t id, command;
};

struct proxy {
	pthread_mutex_t lock;
	int fd;
	struct proxy_options o;
	bool coalesce;
	struct exchange_pool pool;

	/* The four places; free ones are in the pool. */
	struct outbox out;
	struct exchange_list pending, incoming, failed;
	size_t npending, nincoming, nfailed, nnowait;
	size_t incoming_bytes, incoming_fds;
	struct vuser_exchange *raw; /* waits for any reply */

	uint16_t next_id;
	uint64_t id_busy[IDS / 64];
	struct late late[VUSER_MAX_LATE]; /* a ring; oldest at late_first */
	size_t late_first, nlate;
	uint16_t posted[POSTED_IDS];
	size_t nposted;

	struct exchange_list sleepers; /* threads that wait while another one reads */
	bool can_spin;
	unsigned spin_misses, spin_skips; /* of the thread that reads */
	bool reading, handling;
	pthread_t handler;    /* the thread that handles, or holds */
	unsigned nested;      /* of its waits: those that go on while it handles */
	unsigned roomless;    /* threads that wait for room to send */
	int kick;	      /* eventfd: the thread that reads shall look again */
	bool waiting, kicked; /* that thread waits; was told */
	short watched;	      /* the poll events it waits for */
	int also;	      /* proxy_also(), -1 for none */
	struct proxy *twin;   /* proxy_twin(); its lock is taken without ours only */
	bool twin_ready;      /* something came there; of the thread that reads */
	bool serving;	      /* the next wait is proxy_serve()'s own */
	int also_watched;     /* by the thread that waits */
	unsigned corks;	      /* above 0: what is started is queued */
	bool stuck;	      /* the socket had no room for what is queued */
	bool leftover;	      /* the reader may hold messages there was no room for */
	bool mute;	      /* the peer takes no more; what it sent may still be read */

	struct reader reader;
	struct vuser_error lost; /* code not 0: why there is no connection any more */
	struct vuser_stats stats;
	struct vuser_event events[VUSER_MAX_EVENTS];
	size_t nevents;
	bool telling;
};

/* All of these are called with the lock. */

/* proxy_state.c: reports, ids, the ends of a request. */
void engine_event(struct proxy *p, enum vuser_event_kind kind,
		  const struct vuser_error *e, const void *msg, size_t len);
void engine_deliver(struct proxy *p); /* lets go of the lock meanwhile */
void engine_wake_all(struct proxy *p);
void engine_count(struct vuser_counter *counters, const struct vuser_header *h,
		  size_t bytes);
void engine_id_mark(struct proxy *p, uint16_t id, bool busy);
uint16_t engine_id_next(struct proxy *p);
bool engine_late_known(struct proxy *p, uint16_t id);
void engine_late_add(struct proxy *p, const struct vuser_header *h);
bool engine_late_take(struct proxy *p, uint16_t id);
void engine_unpend(struct proxy *p, struct vuser_exchange *x);
/* x was taken out of its place: what becomes of it depends on its kind. */
void engine_complete(struct proxy *p, struct vuser_exchange *x, int result);
/* The connection is over: everybody who waits hears why. */
void engine_lose(struct proxy *p, const struct vuser_error *e, const void *msg,
		 size_t len);

/* proxy_send.c */
void engine_flush(struct proxy *p);
bool engine_has_room(const struct proxy *p);
/*
 * Takes x, of which a part is out, from the queue: the rest must follow, or the stream is
 * lost. false: it was, and x was completed with it.
 */
bool engine_leave_rest(struct proxy *p, struct vuser_exchange *x);
/* As proxy_start(), without waiting for room. On failure x is gone. */
int engine_start(struct proxy *p, struct vuser_exchange *x, enum exchange_kind kind,
		 struct vuser_error *e);

/*
 * proxy_receive.c: one read by the thread that has the turn, and all that follows from it
 * but the handling of requests. It may wait until the deadline, 0 for ever. Returns 0, or
 * EAGAIN or EINTR (positive), or the VUSER_E_* of a connection lost. Lets go of the lock.
 */
int engine_receive(struct proxy *p, bool wait, uint64_t deadline, struct vuser_error *e);
/*
 * Takes the messages that are there. Where there is no room for requests they stay,
 * unless a handler waits for what may be behind them: then the connection is lost.
 */
int engine_dispatch(struct proxy *p, struct vuser_error *e);
/* The poll events that the thread that reads should wait for. */
short engine_wanted(const struct proxy *p);
/* Wakes the thread that reads if what it waits for is not all it should wait for. */
void engine_kick(struct proxy *p);
/* That thread waits for nothing any more. */
void engine_stop_waiting(struct proxy *p);
/* Nanoseconds until deadline, 0 when it has passed. */
int64_t engine_left(uint64_t deadline);

/*
 * proxy_twin.c: the twin of a connection is looked at by the thread that reads the first
 * socket, which holds neither lock: whether there is something, at once; then what to
 * poll for, and that the wait is over.
 */
bool engine_twin_look(struct proxy *twin);
#define TWIN_POLLS 2 /* its socket, and its kick */
void engine_twin_watch(struct proxy *twin, struct pollfd *fds);
void engine_twin_leave(struct proxy *twin, const struct pollfd *fds);
/* Called with the lock of the first, let go of meanwhile: handles what has come. */
void engine_twin_serve(struct proxy *p);

/* proxy_request.c: handles what has come, one at a time; lets go of the lock. */
void engine_handle(struct proxy *p);
/* Are there so many replies of ours queued that no more may be added? */
bool engine_overdue(const struct proxy *p);
/* Are there requests, and nobody who handles them? */
bool engine_may_handle(const struct proxy *p);

#endif
