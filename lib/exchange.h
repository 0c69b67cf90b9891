/* SPDX-License-Identifier: BSD-3-Clause */
/* A message on its way: what the engine's queues hold, from the pool and back to it. */
#ifndef VUSER_EXCHANGE_H
#define VUSER_EXCHANGE_H

#include <pthread.h>
#include <sys/queue.h>

#include "vuser.h"

#define EXCHANGE_SMALL 256u /* bytes kept within the structure */
#define EXCHANGE_HEAD  64u  /* of a reply's payload */
#define EXCHANGE_POOL  256u /* free ones kept */

enum exchange_kind {
	EXCHANGE_WAIT,	 /* the caller blocks for the reply */
	EXCHANGE_NOWAIT, /* the caller goes on; proxy_settle() hears of errors */
	EXCHANGE_ASYNC,	 /* no reply will come; freed once sent */
	EXCHANGE_REQUEST /* came from the peer */
};

enum exchange_place {
	PLACE_OWNER, /* being built, or done: whoever made it has it */
	PLACE_OUTGOING,
	PLACE_PENDING,
	PLACE_INCOMING,
	PLACE_DONE,
};

struct vuser_exchange {
	TAILQ_ENTRY(vuser_exchange) link;
	TAILQ_ENTRY(vuser_exchange) sleeper;
	TAILQ_ENTRY(vuser_exchange) all;
	enum exchange_kind kind;
	enum exchange_place place;
	bool raw;      /* bytes of the user's: any reply will do, none is wrong */
	bool replied;  /* REQUEST: an answer was given */
	bool answer;   /* a reply of ours */
	bool own_fds;  /* to be closed with it */
	bool sleeping; /* in the list of sleepers */
	struct vuser_header h;

	/* The message: size bytes, header included; data is borrowed and follows them. */
	uint8_t *bytes;
	size_t size, cap, sent;
	const void *data;
	size_t data_len;
	int fds[VUSER_MAX_FDS_HELD];
	size_t nfds;
	unsigned gathered; /* posted writes in it that may grow in number; 0: not one of
			      them */
	uint64_t sent_at;  /* monotonic; of a request of the peer's: when it came */
	uint64_t since;	   /* of a reply of ours: when its request came */

	/* The reply: split bytes of its payload go to head, the rest to tail. */
	uint8_t head[EXCHANGE_HEAD];
	size_t split, head_len;
	void *tail;
	size_t tail_cap, tail_len;
	size_t want_fds; /* at most so many may come */
	int reply_fds[VUSER_LIMIT_MSG_FDS];
	size_t nreply_fds;
	struct vuser_header reply;
	int result;
	struct vuser_error error; /* valid if result is not 0 */

	uint64_t tag; /* the owner's */
	pthread_cond_t wake;
	uint8_t small[EXCHANGE_SMALL];
};

TAILQ_HEAD(exchange_list, vuser_exchange);

struct exchange_pool {
	struct exchange_list all, free;
	size_t count; /* of those that are free */
};

void exchange_pool_init(struct exchange_pool *pool);
/* Those that are out somewhere are freed with it. */
void exchange_pool_free(struct exchange_pool *pool);
/* An empty one, NULL when memory is out. */
struct vuser_exchange *exchange_get(struct exchange_pool *pool);
/* Closes the fds it owns and those of a reply that nobody took. */
void exchange_put(struct exchange_pool *pool, struct vuser_exchange *x);
/* Room for cap bytes; what was there stays. */
bool exchange_reserve(struct vuser_exchange *x, size_t cap);
/* Takes borrowed data into the bytes, and duplicates borrowed fds. 0 or an errno. */
int exchange_settle_in(struct vuser_exchange *x);

#endif
