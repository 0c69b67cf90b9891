/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine of one connection, on either side of it.
 *
 * It keeps messages in four places: outgoing (not yet sent whole), pending (sent, a reply
 * is due), incoming (requests of the peer, not yet handled) and free. What it promises:
 *
 * - messages leave in the order of their proxy_start(), at once if nothing is queued;
 * - a reply finds its request by id, oldest first, in any order; one that nobody waits
 * for, that its waiter cannot take, or that comes late is told to event() and dropped,
 * and the stream stays in step; only a header that cannot be trusted ends the connection;
 * - requests of the peer are handled one at a time, in order, also while somebody waits;
 *   a handler may itself start and wait;
 * - a waiter that gives up leaves no trace in the queues;
 * - losing the connection fails every waiter with the reason;
 * - all of it from any number of threads: whoever waits receives, for all.
 */
#ifndef VUSER_PROXY_H
#define VUSER_PROXY_H

#include "exchange.h"

/* Posted writes are gathered once this many messages are queued. */
#define PROXY_COALESCE_AT 8u
/* Corked messages are sent when this many bytes have gathered. */
#define PROXY_CORK_BYTES  65536u

struct proxy;

struct proxy_options {
	enum vuser_dir sends;	/* which way our commands go */
	uint64_t limit;		/* largest message of the peer's, bytes */
	uint64_t request_limit; /* largest request of the peer's, bytes */
	int64_t timeout;	/* for each reply, ns, 0 for ever */
	struct vuser_trace *trace;
	void (*event)(void *arg, const struct vuser_event *ev);
	bool (*cancelled)(void *arg);
	void *arg; /* of the two above */
	/*
	 * Handles a request; called without locks. It answers with proxy_reply() or
	 * proxy_refuse(); what it leaves unanswered is answered with EINVAL. The
	 * request's fds are closed afterwards unless it takes them (sets nfds to 0).
	 */
	void (*request)(void *arg, struct vuser_exchange *x);
	void *request_arg;
	bool force_queue, no_coalesce;
};

/* fd is the proxy's from then on, even when it is NULL for want of memory or descriptors.
 */
struct proxy *proxy_new(int fd, const struct proxy_options *o);
/* Frees everything. Returns how many requests were outstanding. */
unsigned proxy_free(struct proxy *p);

/* A command with payload, and data to follow it that must live until it is sent. */
struct vuser_exchange *proxy_build(struct proxy *p, unsigned command, const void *payload,
				   size_t len, const void *data, size_t data_len,
				   struct vuser_error *e);
/*
 * Sends or queues. A WAIT stays the caller's, who must proxy_wait() for it; the others
 * are the engine's. USAGE when the kind and the no-reply bit contradict each other. On
 * failure x is gone, whatever its kind.
 */
int proxy_start(struct proxy *p, struct vuser_exchange *x, enum exchange_kind kind,
		struct vuser_error *e) VUSER_CHECKED;
/* Waits for the reply of a WAIT; x stays the caller's, to be given to proxy_release(). */
int proxy_wait(struct proxy *p, struct vuser_exchange *x, int64_t timeout,
	       struct vuser_error *e) VUSER_CHECKED;
/* Start and wait with the connection's timeout. x is gone when it fails. */
int proxy_call(struct proxy *p, struct vuser_exchange *x,
	       struct vuser_error *e) VUSER_CHECKED;
void proxy_release(struct proxy *p, struct vuser_exchange *x);
/*
 * Waits until no NOWAIT is outstanding. Then proxy_next_failed() gives those that failed,
 * oldest first, to be released.
 */
int proxy_settle(struct proxy *p, struct vuser_error *e) VUSER_CHECKED;
struct vuser_exchange *proxy_next_failed(struct proxy *p);

/*
 * A reply to request x: the caller fills *payload, len bytes, and calls
 * proxy_reply_send() or proxy_release(). NULL when memory is out or no reply is wanted.
 */
struct vuser_exchange *proxy_reply(struct proxy *p, struct vuser_exchange *x, size_t len,
				   void **payload);
/* Makes its payload shorter: len bytes of it are left. */
void proxy_reply_cut(struct vuser_exchange *reply, size_t len);
void proxy_reply_send(struct proxy *p, struct vuser_exchange *reply);
/* An error reply of 16 bytes, unless none is wanted; told to event() with why. */
void proxy_refuse(struct proxy *p, struct vuser_exchange *x, int err, const char *why);

/* For owners that poll. */
int proxy_fd(const struct proxy *p);
short proxy_events(struct proxy *p);
/* Handles what has come, also to its twin, and does not wait. */
int proxy_process(struct proxy *p, struct vuser_error *e) VUSER_CHECKED;
/*
 * Waits for something to come, for ever, and handles it. CLOSED or PROTOCOL at the end.
 * It returns as well when the descriptor of proxy_also() can be read, which is the
 * owner's to do; no other wait looks at that.
 */
int proxy_serve(struct proxy *p, struct vuser_error *e) VUSER_CHECKED;
/* fd is not the proxy's; called before anything waits. -1 for none. */
void proxy_also(struct proxy *p, int fd);
/*
 * Whoever waits on p waits on twin, too, and handles what comes there. Called before
 * anything waits; twin must outlive all waits. While somebody waits on p nobody may wait
 * on twin itself, but from a handler of p's.
 */
void proxy_twin(struct proxy *p, struct proxy *twin);
/*
 * For event() of the twin: p's event() hears of it, in its turn. That the twin ends is no
 * news, as the peer ends both; what broke the protocol there is VUSER_EVENT_TWIN, and p
 * stands all the same.
 */
void proxy_twin_event(struct proxy *p, const struct vuser_event *ev);
/* While held no request is handled: between two of them the owner may do as a handler
 * may. */
void proxy_hold(struct proxy *p, bool on);

void proxy_cork(struct proxy *p, bool on);
void proxy_set_timeout(struct proxy *p, int64_t timeout);
int64_t proxy_timeout(struct proxy *p);
void proxy_set_coalesce(struct proxy *p, bool allowed, bool agreed);
void proxy_set_limits(struct proxy *p, uint64_t limit, uint64_t request_limit);
int proxy_lost(struct proxy *p, struct vuser_error *e);
void proxy_stats(struct proxy *p, struct vuser_stats *s);
/* Tells event() something that did not come from a message. */
void proxy_tell(struct proxy *p, enum vuser_event_kind kind, const struct vuser_error *e,
		const void *msg, size_t len);

#endif
