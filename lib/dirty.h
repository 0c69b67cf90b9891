/* SPDX-License-Identifier: BSD-3-Clause */
/* The log of what a device wrote to its client's memory, page by page. */
#ifndef VUSER_DIRTY_H
#define VUSER_DIRTY_H

#include "vuser.h"

/* It may take at least so many bytes, whatever limit it is given. */
#define DIRTY_LEAST 65536u

struct dirty_chunk;

/* All zero is a log that is off. It goes by addresses and knows of no windows. */
struct dirty_log {
	bool on;
	bool lost;	/* memory ran out: it does not know all that was written */
	unsigned shift; /* a page is 1 << shift bytes */
	struct vuser_area ranges[VUSER_MAX_LOG_RANGES];
	size_t nranges;
	struct dirty_chunk **chunks; /* in order of address; those with a page in them */
	size_t n, cap, most;
};

/* Whether v is a power of two. */
bool dirty_is_power(uint64_t v);
/* Switches it on; page_size is a power of two. It takes at most limit bytes. */
void dirty_start(struct dirty_log *d, uint64_t page_size, uint64_t limit);
/* Logs this range, too: without any, all addresses. false: it is empty, wraps, or is one
 * too many. */
bool dirty_add_range(struct dirty_log *d, struct vuser_area range);
/* Switches it off and forgets everything. */
void dirty_stop(struct dirty_log *d);

/* len bytes, at least 1, were written at iova, without wrapping around. */
void dirty_mark(struct dirty_log *d, uint64_t iova, uint64_t len);
/*
 * Sets a bit for each page of page_size (a power of two) bytes from iova on that was
 * written to. bitmap has room for vuser_dirty_words() words of 8 bytes, at any alignment.
 * The range is not empty and does not wrap. Pages of the log are forgotten that lie
 * whole in the range; one that is reported in part stays.
 */
void dirty_report(struct dirty_log *d, uint64_t iova, uint64_t length, uint64_t page_size,
		  uint8_t *bitmap);

#endif
