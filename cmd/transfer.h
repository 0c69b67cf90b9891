/* SPDX-License-Identifier: BSD-3-Clause */
/* Transfers of any length, to and from a region or our side of the DMA memory. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include "app.h"

struct target {
	bool dma; /* offset is an address of DMA memory */
	bool map; /* the region by its mapping instead of messages */
	uint32_t region;
};

/* What the arguments mean: REGION and OFFSET, perhaps -m, or IOVA. */
struct target target_of(const struct args *a, uint64_t *offset);

/*
 * Whether count bytes at offset are there; nothing is transferred otherwise. A region's
 * size is not looked at when strict is off.
 */
int transfer_check(struct app *app, struct target t, uint64_t offset, uint64_t count);

/* Called with the pieces in order; returns FAIL_NONE or fail(). */
typedef int transfer_fn(void *arg, void *data, size_t len);
/*
 * Reads and hands each piece to take, or fills each piece by give and writes it. Pieces
 * are as large as the server takes them, and several are under way at a time.
 */
int transfer_in(struct app *app, struct target t, uint64_t offset, uint64_t count,
		transfer_fn *take, void *arg);
int transfer_out(struct app *app, struct target t, uint64_t offset, uint64_t count,
		 transfer_fn *give, void *arg);

/* One value of width bytes. */
int target_read(struct app *app, struct target t, uint64_t offset, unsigned width,
		uint64_t *value);
int target_write(struct app *app, struct target t, uint64_t offset, unsigned width,
		 uint64_t value, bool posted);
/* The members that say what was transferred. */
void target_json(struct app *app, struct target t, uint64_t offset, uint64_t count);
/* The width bytes of a value, in the host's order. */
void value_to_bytes(uint8_t *bytes, uint64_t value, unsigned width);
/* Fails if value needs more than width bytes. */
int check_fits(struct app *app, uint64_t value, unsigned width);

/* The commands that regions and DMA memory share; rows name REGION OFFSET or IOVA. */
int run_read(struct app *app, const struct args *a);
int run_write(struct app *app, const struct args *a);
int check_write(struct app *app, const struct args *a);
int run_dump(struct app *app, const struct args *a);
int check_dump(struct app *app, const struct args *a);
int run_fill(struct app *app, const struct args *a);
int run_save(struct app *app, const struct args *a);
int run_load(struct app *app, const struct args *a);

/* ---- mapping.c: -m --------------------------------------------------------------- */

/* Whether count bytes at offset are in areas that are mapped. */
int mapping_check(struct app *app, uint32_t region, uint64_t offset, uint64_t count);
/* Copies them out of the region, or into it. */
int mapping_copy(struct app *app, uint32_t region, uint64_t offset, void *data,
		 size_t len, bool write);

/* A bar on a terminal for what takes longer than half a second. */
struct progress {
	bool on, shown;
	uint64_t total;
	int64_t start, last;
};
/* total 0: nobody knows. */
void progress_begin(struct progress *p, uint64_t total);
void progress_update(struct progress *p, uint64_t done);
/* Removes it. */
void progress_end(struct progress *p);

#endif
