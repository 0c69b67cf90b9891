/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a server, shared by its files. */
#ifndef VUSER_SERVER_H
#define VUSER_SERVER_H

#include <stdatomic.h>

#include "iova.h"
#include "msgtab.h"
#include "proxy.h"

struct vuser_server {
	const struct vuser_device *desc;
	void *dev;
	struct vuser_server_options o;
	uint64_t max_data; /* largest count of a transfer, as we tell it */
	char *path;	   /* of the socket it made */
	int listener;
	atomic_int client; /* its socket, for vuser_server_stop() */
	atomic_bool stopped;

	/* The client's, gone when it leaves. */
	struct proxy *proxy;
	bool versioned;
	bool dropping; /* what it sent first ends the connection */
	struct vuser_caps theirs;
	bool write_multiple; /* agreed */
	uint64_t max_maps;   /* as we told it */
	bool handled;	     /* a command, since it was last cleared */
	struct iova_table windows;
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
/* A device's negative errno as it goes to the wire. */
int request_device_errno(int r);
/*
 * Looks at the reply to a DMA_READ or DMA_WRITE of ours, whose forms differ between
 * peers; the data of a read ends up in buf. 0 or a negative errno.
 */
int server_check_dma_reply(struct vuser_server *s, struct vuser_exchange *x, size_t len,
			   bool write, uint8_t *buf);

#endif
