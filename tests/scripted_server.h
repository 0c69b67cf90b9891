/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the client: a server that follows a script, and a client connected to it.
 * The test defines ROOM, the bytes of the largest payload the client sends, beforehand.
 */
#ifndef VUSER_TESTS_SCRIPTED_SERVER_H
#define VUSER_TESTS_SCRIPTED_SERVER_H

#include <pthread.h>
#include <unistd.h>

#include "wire.h"

/* ---- The server --------------------------------------------------------------- */

/*
 * The script runs in a thread; once something went wrong in it the rest of it does
 * nothing. Afterwards what the client still sends is counted.
 */
struct peer {
	void (*script)(struct peer *p);
	const void *arg;
	bool greets;	  /* the handshake is done before the script begins */
	const char *json; /* of that handshake; may be NULL */
	int fd;
	pthread_t thread;
	const char *wrong;
	unsigned surplus;      /* messages the script did not ask for */
	struct vuser_header h; /* of the last message taken */
	unsigned nfds;	       /* that came with it */
	int passed;	       /* the last of them, -1 if none came */
	size_t len;
	uint8_t payload[ROOM];
};

static inline void go_wrong(struct peer *p, const char *what)
{
	if (!p->wrong)
		p->wrong = what;
}

static inline void drop_passed(struct peer *p)
{
	if (p->passed >= 0)
		close(p->passed);
	p->passed = -1;
}

/* Bytes of one message, and the descriptors that come with them. */
static inline bool get_bytes(struct peer *p, void *buf, size_t len)
{
	char control[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(8)));

	for (size_t got = 0; got < len;) {
		struct iovec iov = { .iov_base = (uint8_t *)buf + got,
				     .iov_len = len - got };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(p->fd, &msg, 0);
		struct cmsghdr *c;

		if (n <= 0)
			return false;
		got += (size_t)n;
		c = CMSG_FIRSTHDR(&msg);
		for (size_t at = CMSG_LEN(0); c && at < c->cmsg_len; at += sizeof(int)) {
			drop_passed(p);
			memcpy(&p->passed, (uint8_t *)c + at, sizeof(int));
			p->nfds++;
		}
	}
	return true;
}

static inline bool get_message(struct peer *p)
{
	uint8_t head[VUSER_HEADER_SIZE];

	drop_passed(p);
	p->nfds = 0;
	if (!get_bytes(p, head, sizeof(head)))
		return false;
	(void)vuser_header_decode(head, sizeof(head), &p->h, NULL);
	p->len = p->h.size - VUSER_HEADER_SIZE;
	return p->len <= ROOM && get_bytes(p, p->payload, p->len);
}

static inline void take(struct peer *p, unsigned command)
{
	if (p->wrong)
		return;
	if (!get_message(p))
		go_wrong(p, "nothing came");
	else if (p->h.command != command)
		go_wrong(p, "another command came");
}

static inline void put_bytes(struct peer *p, const void *bytes, size_t len)
{
	if (!p->wrong && !send_bytes(p->fd, bytes, len, NULL, 0))
		go_wrong(p, "the client takes no more");
}

/* Integers as form says, then len bytes of data; h's size is filled in. */
static inline void put(struct peer *p, struct vuser_header h, const char *form,
		       const uint64_t *v, const void *data, size_t len, const int *fds,
		       size_t nfds)
{
	if (!p->wrong && !send_message(p->fd, h, form, v, data, len, fds, nfds))
		go_wrong(p, "the client takes no more");
}

/* The header of an answer to the last message. */
static inline struct vuser_header answer_head(const struct peer *p, uint32_t flags,
					      uint32_t err)
{
	return (struct vuser_header){
		.id = p->h.id, .command = p->h.command, .flags = flags, .error = err
	};
}

/* Answers the last message; data follows what form says. */
static inline void answer_with(struct peer *p, uint32_t flags, uint32_t err,
			       const char *form, const uint64_t *v, const void *data,
			       size_t len, const int *fds, size_t nfds)
{
	put(p, answer_head(p, flags, err), form, v, data, len, fds, nfds);
}

static inline void answer(struct peer *p, const char *form, const uint64_t *v)
{
	answer_with(p, REPLY, 0, form, v, NULL, 0, NULL, 0);
}

static inline void answer_error(struct peer *p, uint32_t err)
{
	answer_with(p, REPLY | VUSER_FLAG_ERROR, err, "", NULL, NULL, 0, NULL, 0);
}

/* json may be NULL; passed is a descriptor or -1. */
static inline void answer_version(struct peer *p, unsigned major, unsigned minor,
				  const char *json, int passed)
{
	take(p, VUSER_CMD_VERSION);
	answer_with(p, REPLY, 0, "22", VALUES(major, minor), json,
		    json ? strlen(json) + 1 : 0, &passed, passed >= 0);
}

static inline void *play(void *arg)
{
	struct peer *p = arg;

	if (p->greets)
		answer_version(p, 0, 1, p->json, -1);
	p->script(p);
	while (!p->wrong && get_message(p))
		p->surplus++;
	drop_passed(p);
	close(p->fd);
	return NULL;
}

/* ---- A client connected to it ------------------------------------------------- */

struct rig {
	struct peer peer;
	struct vuser_client *client; /* NULL if the handshake failed */
	int result;		     /* of the handshake */
	struct vuser_error e;
	struct events events;
};

static inline struct vuser_options patient_options(void)
{
	struct vuser_options o;

	vuser_options_default(&o);
	o.timeout = 30000000000;
	return o;
}

/* To be connected once it is said how the peer greets. */
static inline struct rig *new_rig(void (*script)(struct peer *p), const void *arg)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->peer.script = script;
	r->peer.arg = arg;
	r->peer.passed = -1;
	return r;
}

static inline void connect_rig(struct rig *r, struct vuser_options o)
{
	int pair[2];

	o.event = note_event;
	o.arg = &r->events;
	socket_pair(pair);
	r->peer.fd = pair[1];
	assert_int_equal(pthread_create(&r->peer.thread, NULL, play, &r->peer), 0);
	r->result = vuser_client_attach(pair[0], &o, &r->client, &r->e);
	if (r->result)
		assert_int_equal(r->e.code, r->result);
}

/* The script begins with the handshake, which may fail. */
static inline struct rig *begin_ungreeted(void (*script)(struct peer *p), const void *arg,
					  struct vuser_options o)
{
	struct rig *r = new_rig(script, arg);

	connect_rig(r, o);
	return r;
}

/* The script begins after a handshake with json, which may be NULL. */
static inline struct rig *begin_with(void (*script)(struct peer *p), const char *json,
				     const void *arg, struct vuser_options o)
{
	struct rig *r = new_rig(script, arg);

	r->peer.greets = true;
	r->peer.json = json;
	connect_rig(r, o);
	assert_int_equal(r->result, 0);
	return r;
}

/* Closing must find so many requests outstanding, and the script must have gone well. */
static inline void end_with(struct rig *r, unsigned outstanding)
{
	if (r->client)
		assert_int_equal(vuser_client_close(r->client), outstanding);
	pthread_join(r->peer.thread, NULL);
	if (r->peer.wrong)
		fail_msg("in the script: %s", r->peer.wrong);
	assert_int_equal(r->peer.surplus, 0);
	free(r);
}

static inline void assert_failed(const struct rig *r, int result, int code, int err)
{
	assert_int_equal(result, code);
	assert_int_equal(r->e.code, code);
	assert_int_equal(r->e.err, err);
}

#endif
