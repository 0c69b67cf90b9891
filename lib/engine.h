/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of the engine, shared by its files; nobody else looks in here. */
#ifndef VUSER_ENGINE_H
#define VUSER_ENGINE_H

#include "outbox.h"
#include "proxy.h"
#include "reader.h"

#define IDS	    65536u
#define POSTED_IDS  64u	   /* ids of posted writes remembered, to know a reply to one */
#define SPIN_NS	    25000u /* to look for a message before blocking for it */
#define SPIN_MISSES 4u	   /* in vain, then it is tried */
#define SPIN_RETRY  64u	   /* once in so many times */
#define MAX_FAILED  1024u  /* failed NOWAITs kept for proxy_settle() */

/* A request that was given up: what is left of it. */
struct late {
	uint16_t id, command;
};

struct proxy {
	pthread_mutex_t lock;
	int fd;
	struct proxy_options o;
	int64_t socket_timeout; /* SO_RCVTIMEO as it is set */
	bool coalesce;
	struct exchange_pool pool;

	/* The four places; free ones are in the pool. */
	struct outbox out;
	struct exchange_list pending, incoming, failed;
	size_t npending, nincoming, nfailed, nnowait;
	size_t incoming_bytes;
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
	bool reading, writing, handling;
	unsigned corks; /* above 0: what is started is queued */
	bool leftover;	/* the reader holds whole messages there was no room for */
	bool mute;	/* the peer takes no more; what it sent may still be read */

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
/* As proxy_start(), without waiting for room. On failure x is gone. */
int engine_start(struct proxy *p, struct vuser_exchange *x, enum exchange_kind kind,
		 struct vuser_error *e);

/* How engine_receive() may wait. */
enum patience {
	PATIENCE_NONE,	/* not at all */
	PATIENCE_FRESH, /* as long as SO_RCVTIMEO says: the deadline is that far away */
	PATIENCE_POLL,	/* until the deadline, 0 for ever */
};

/* proxy_receive.c: one read by the thread that has the turn, and all that follows from it
 * but the handling of requests. 0, or EAGAIN or EINTR (positive), or the VUSER_E_* of a
 * connection lost. Lets go of the lock while it waits. */
int engine_receive(struct proxy *p, enum patience patience, uint64_t deadline,
		   struct vuser_error *e);
/*
 * Takes the messages that are there. Those for which there is no room stay, unless a
 * handler waits for one behind them (must): then the connection is lost.
 */
int engine_dispatch(struct proxy *p, bool must, struct vuser_error *e);
/* Waits for something to read or room to write. 0, or a negative errno. No lock needed.
 */
int engine_wait_ready(struct proxy *p, bool in, bool out, uint64_t deadline);
/* Nanoseconds until deadline, 0 when it has passed. */
int64_t engine_left(uint64_t deadline);

/* proxy_request.c: handles what has come, one at a time; lets go of the lock meanwhile.
 */
void engine_handle(struct proxy *p);

#endif
