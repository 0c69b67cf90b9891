/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages not yet sent: their order, sending many at once, gathering posted writes. */
#ifndef VUSER_OUTBOX_H
#define VUSER_OUTBOX_H

#include "exchange.h"

struct outbox {
	struct exchange_list queue;
	size_t count;
	size_t bytes;	 /* still to be sent */
	size_t requests; /* messages that want a reply */
	size_t answers;	 /* bytes of memory that replies of ours take */
};

void outbox_init(struct outbox *o);
/* x must own its bytes and fds (exchange_settle_in). */
void outbox_add(struct outbox *o, struct vuser_exchange *x);
/* Takes out one of which nothing was sent. */
void outbox_remove(struct outbox *o, struct vuser_exchange *x);
/* The rest of x, of which a part was sent, goes out as rest, which has the same bytes. */
void outbox_replace(struct outbox *o, struct vuser_exchange *x,
		    struct vuser_exchange *rest);
/*
 * Sends x alone, from where its parts lie. Returns 0 when it is gone whole, EAGAIN
 * (x->sent says how far it got), or the errno that ended the stream.
 */
int outbox_send_now(int fd, struct vuser_exchange *x);
/*
 * Sends as much as the socket takes. sent() is called for each message that is gone
 * whole, after it was taken out. Returns 0 when nothing is left, EAGAIN, or an errno.
 */
int outbox_flush(struct outbox *o, int fd,
		 void (*sent)(void *arg, struct vuser_exchange *x), void *arg);
/*
 * Adds a posted write of at most VUSER_MULTI_BYTES to the youngest message, if that is a
 * posted write, or several gathered, of which nothing was sent. false: it cannot be.
 */
bool outbox_gather(struct outbox *o, const struct vuser_exchange *write);

#endif
