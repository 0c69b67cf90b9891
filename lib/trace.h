/* SPDX-License-Identifier: BSD-3-Clause */
/* What the engine needs of the trace: adding a message whose bytes lie in two pieces. */
#ifndef VUSER_TRACE_H
#define VUSER_TRACE_H

#include "vuser.h"

struct trace_message {
	enum vuser_dir dir;
	const void *head, *data; /* data follows head; may be NULL with data_len 0 */
	size_t head_len, data_len;
	size_t size; /* of the message, above head_len + data_len when bytes were dropped
		      */
	unsigned nfds;
	uint64_t now;	  /* CLOCK_MONOTONIC, nanoseconds */
	uint64_t latency; /* nanoseconds, 0 if unknown */
};

/* Is there anybody to tell? */
bool trace_wants(const struct vuser_trace *t);
void trace_message(struct vuser_trace *t, const struct trace_message *m);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_now(void);

#endif
