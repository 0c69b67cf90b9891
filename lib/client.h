/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a client, shared by the files of its typed calls. */
#ifndef VUSER_CLIENT_H
#define VUSER_CLIENT_H

#include <pthread.h>

#include "iova.h"
#include "proxy.h"

struct known_region {
	bool known;
	uint64_t size;
};

struct vuser_client {
	struct proxy *proxy;
	struct proxy *twin; /* the server's commands come over it; NULL if not agreed */
	int both;	    /* epoll descriptor of the two sockets, -1 without a twin */
	struct vuser_options o;
	struct vuser_version version;
	struct vuser_caps theirs;
	uint64_t max_data; /* of one DMA request of the server's */
	bool lax;
	bool posting;
	pthread_mutex_t lock; /* of what follows */
	uint64_t limit;	      /* of a message of the server's */
	struct known_region regions[VUSER_MAX_REGIONS];
	struct iova_table windows;
	uint64_t last_window;	       /* number of the last one made */
	uint32_t irqs[VUSER_MAX_IRQS]; /* of each type: the vectors below are enabled */
};

/*
 * Sends command with p's payload, waits, and reads the reply into reply; its tail must
 * fit into tail (tail_cap bytes) and is then there. x is returned for what else it holds,
 * to be released, unless NULL is passed.
 */
int client_call(struct vuser_client *c, const struct vuser_payload *p, void *tail,
		size_t tail_cap, struct vuser_payload *reply, struct vuser_exchange **x,
		struct vuser_error *e) VUSER_CHECKED;
/* The command, not sent yet; its tail, if any, is borrowed until it is. */
struct vuser_exchange *client_build(struct vuser_client *c, const struct vuser_payload *p,
				    struct vuser_error *e);
/* What a call returns when it could not be built, e having been told why. */
static inline int client_not_built(const struct vuser_error *e)
{
	return e ? e->code : VUSER_E_SYSTEM;
}
/* Reads x's reply; one that does not decode is told with its bytes. */
int client_decode(struct vuser_client *c, struct vuser_exchange *x,
		  struct vuser_payload *reply, struct vuser_error *e) VUSER_CHECKED;
/* x's reply has no payload, or does not decode. */
int client_check_empty(struct vuser_client *c, struct vuser_exchange *x,
		       struct vuser_error *e) VUSER_CHECKED;
/* What we ask for we must take: a reply with a payload of so many bytes. */
void client_make_room(struct vuser_client *c, uint64_t payload);
/* VUSER_E_PROTOCOL about x's reply, told with its bytes. */
int client_bad_reply(struct vuser_client *c, struct vuser_exchange *x, size_t offset,
		     const char *field, struct vuser_error *e, const char *fmt, ...)
	VUSER_PRINTF(6, 7);

/*
 * client_feature.c: a feature whose data has want bytes, which go to out, at most 56. Any
 * other length, and an echo of other data than was set, is told with the reply's bytes.
 */
int client_feature(struct vuser_client *c, uint32_t flags, const void *data, size_t len,
		   void *out, size_t want, struct vuser_error *e) VUSER_CHECKED;

/* Room in a request of the server's beside its data: the header and the longer head. */
#define CLIENT_REQUEST_HEAD 32u

/* client_dma.c: handles the server's requests, on the one socket or the other. */
void client_request(void *arg, struct vuser_exchange *x);
void client_twin_request(void *arg, struct vuser_exchange *x);

/*
 * client_twin.c: the second socket, section "VERSION". The reply to VERSION is in x, what
 * it agrees to in c->theirs: takes the descriptor that is the socket.
 */
int client_twin_take(struct vuser_client *c, struct vuser_exchange *x,
		     struct vuser_error *e) VUSER_CHECKED;
void client_twin_free(struct vuser_client *c);

#endif
