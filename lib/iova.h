/* SPDX-License-Identifier: BSD-3-Clause */
/* DMA windows: ranges of I/O virtual addresses and the memory behind them. */
#ifndef VUSER_IOVA_H
#define VUSER_IOVA_H

#include "vuser.h"

struct window {
	struct vuser_window w; /* w.fd is the window's own */
	void *map; /* all of it, page-aligned; NULL if it is reached otherwise */
	size_t map_len;
	uint8_t *mem;	 /* of the window in map */
	uint64_t number; /* the owner's */
};

/* In order of address, none overlapping another. */
struct iova_table {
	struct window **v;
	size_t n, cap;
};

/*
 * Adds w, which belongs to the table if 0 is returned. EINVAL for an empty range or one
 * that wraps, EEXIST when it overlaps another, ENOMEM: as negative errnos.
 */
int iova_add(struct iova_table *t, struct window *w);
/* The window that holds addr, NULL if none does. */
struct window *iova_find(const struct iova_table *t, uint64_t addr);
/* The window of exactly that range, NULL if there is none. */
struct window *iova_exact(const struct iova_table *t, uint64_t addr, uint64_t size);
/* Takes w out and frees it. */
void iova_remove(struct iova_table *t, struct window *w);
void iova_clear(struct iova_table *t);

/* Unmaps, closes, frees; for one that is in no table. */
void window_free(struct window *w);
/*
 * Copies between buf and the window's memory at addr, within the window. Negative errno:
 * EFAULT if there is no memory on this side.
 */
int window_copy(const struct window *w, uint64_t addr, void *buf, size_t len, bool write);

#endif
