/* SPDX-License-Identifier: BSD-3-Clause */
/* Transfers of any length: cut into pieces, several of them under way at a time. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

#define DEPTH	  4u	     /* pieces under way */
#define MAX_PIECE (1u << 20) /* more makes nothing faster */

struct target target_of(const struct args *a, uint64_t *offset)
{
	const char *iova = arg(a, "IOVA");

	*offset = arg_number(a, iova ? "IOVA" : "OFFSET", 0);
	return (struct target){ .dma = iova != NULL,
				.map = arg(a, "-m") != NULL,
				.region = iova ? 0 : arg_region(a, "REGION") };
}

/* ---- Ranges -------------------------------------------------------------------- */

static int check_region(struct app *app, uint32_t index, uint64_t offset, uint64_t count)
{
	const char *name = vuser_region_name(index);
	struct vuser_region *r;
	struct vuser_error e;
	uint64_t size;

	if (!app->set.strict)
		return FAIL_NONE;
	if (vuser_get_region(app->client, index, &r, &e))
		return fail_from(app, &e);
	size = r->info.size;
	vuser_region_free(r);
	if (offset <= size && count <= size - offset)
		return FAIL_NONE;
	return fail(app, FAIL_USAGE, 0,
		    "0x%" PRIx64 " bytes at 0x%" PRIx64
		    " reach beyond the end of region %" PRIu32
		    "%s%s%s, which has 0x%" PRIx64 " bytes",
		    count, offset, index, name ? " (" : "", name ? name : "",
		    name ? ")" : "", size);
}

static int check_windows(struct app *app, uint64_t iova, uint64_t count)
{
	struct vuser_window w;
	uint64_t at = iova, left = count;

	for (size_t i = 0; left && vuser_window_get(app->client, i, &w); i++) {
		if (at < w.iova || at - w.iova >= w.size)
			continue;
		if (left <= w.size - (at - w.iova))
			return FAIL_NONE;
		left -= w.size - (at - w.iova);
		at = w.iova + w.size;
	}
	if (!left)
		return FAIL_NONE;
	return fail(app, FAIL_USAGE, 0, "no window is mapped at 0x%" PRIx64, at);
}

int transfer_check(struct app *app, struct target t, uint64_t offset, uint64_t count)
{
	if (count > UINT64_MAX - offset)
		return fail(app, FAIL_USAGE, 0,
			    "0x%" PRIx64 " bytes at 0x%" PRIx64 " end beyond 64 bits",
			    count, offset);
	if (t.map)
		return mapping_check(app, t.region, offset, count);
	return t.dma ? check_windows(app, offset, count)
		     : check_region(app, t.region, offset, count);
}

/* ---- Pieces -------------------------------------------------------------------- */

struct piece {
	struct vuser_exchange *x; /* NULL: none is under way */
	size_t len;
};

struct transfer {
	struct app *app;
	struct target target;
	bool out;
	uint64_t offset, count; /* all of it */
	uint64_t started, done; /* of count */
	size_t piece;		/* the size of one */
	size_t depth;		/* how many may be under way */
	uint8_t *buf;		/* depth pieces */
	struct piece pieces[DEPTH];
	transfer_fn *fn;
	void *arg;
	struct progress progress;
};

static int setup(struct transfer *x)
{
	uint64_t ours, theirs, limit = MAX_PIECE;

	if (!x->target.dma && !x->target.map) {
		ours = vuser_client_offered(x->app->client)->max_data_xfer_size;
		theirs = vuser_client_theirs(x->app->client)->max_data_xfer_size;
		limit = ours && ours < limit ? ours : limit;
		limit = theirs && theirs < limit ? theirs : limit;
	}
	x->piece = (size_t)(x->count < limit ? x->count : limit);
	x->depth = x->piece ? (size_t)((x->count - 1) / x->piece + 1 < DEPTH
					       ? (x->count - 1) / x->piece + 1
					       : DEPTH)
			    : 1;
	x->buf = malloc(x->piece * x->depth + 1);
	if (!x->buf)
		return fail(x->app, FAIL_SYSTEM, ENOMEM, "no memory for the data");
	progress_begin(&x->progress, x->count);
	return FAIL_NONE;
}

/* Memory that is here: nothing to wait for. */
static int move_here(struct transfer *x, uint64_t at, void *data, size_t len)
{
	struct vuser_client *c = x->app->client;
	struct vuser_error e;

	if (x->target.map)
		return mapping_copy(x->app, x->target.region, at, data, len, x->out);
	if (x->out ? vuser_mem_write(c, at, data, len, &e)
		   : vuser_mem_read(c, at, data, len, &e))
		return fail_from(x->app, &e);
	return FAIL_NONE;
}

static int start(struct transfer *x, size_t slot)
{
	struct vuser_client *c = x->app->client;
	uint64_t left = x->count - x->started, at = x->offset + x->started;
	struct piece *p = &x->pieces[slot];
	void *data = x->buf + slot * x->piece;
	struct vuser_error e;
	int rc;

	p->len = (size_t)(left < x->piece ? left : x->piece);
	x->started += p->len;
	rc = x->out ? x->fn(x->arg, data, p->len) : FAIL_NONE;
	if (rc || x->target.dma || x->target.map)
		return rc ? rc : move_here(x, at, data, p->len);
	if (x->out)
		rc = vuser_start_write(c, x->target.region, at, data, p->len, &p->x, &e);
	else
		rc = vuser_start_read(c, x->target.region, at, data, p->len, &p->x, &e);
	if (rc)
		p->x = NULL;
	return rc ? fail_from(x->app, &e) : FAIL_NONE;
}

static int finish(struct transfer *x, size_t slot)
{
	struct piece *p = &x->pieces[slot];
	struct vuser_exchange *exchange = p->x;
	struct vuser_error e;
	int rc;

	p->x = NULL;
	if (exchange && vuser_finish(x->app->client, exchange, &e))
		return fail_from(x->app, &e);
	rc = x->out ? FAIL_NONE : x->fn(x->arg, x->buf + slot * x->piece, p->len);
	if (!rc)
		x->done += p->len;
	return rc;
}

/* After a failure: what is under way has to be waited for, whatever comes of it. */
static void abandon(struct transfer *x)
{
	for (size_t i = 0; i < x->depth; i++) {
		if (x->pieces[i].x)
			vuser_finish(x->app->client, x->pieces[i].x, NULL);
		x->pieces[i].x = NULL;
	}
}

static void say_how_far(struct transfer *x)
{
	struct failure *f = &x->app->fail;
	size_t len = strlen(f->text);

	if (x->done)
		snprintf(f->text + len, sizeof(f->text) - len,
			 " (after %" PRIu64 " of %" PRIu64 " bytes)", x->done, x->count);
}

static int run(struct transfer *x)
{
	size_t head = 0, tail = 0; /* pieces started, finished */
	int rc = setup(x);

	while (!rc && x->done < x->count) {
		while (!rc && x->started < x->count && head - tail < x->depth)
			rc = start(x, head++ % DEPTH);
		if (!rc)
			rc = finish(x, tail++ % DEPTH);
		if (!rc && signals_came())
			rc = fail(x->app, FAIL_CANCELLED, 0, "interrupted");
		progress_update(&x->progress, x->done);
	}
	abandon(x);
	progress_end(&x->progress);
	free(x->buf);
	if (rc)
		say_how_far(x);
	return rc;
}

int transfer_in(struct app *app, struct target t, uint64_t offset, uint64_t count,
		transfer_fn *take, void *arg)
{
	struct transfer x = { .app = app,
			      .target = t,
			      .offset = offset,
			      .count = count,
			      .fn = take,
			      .arg = arg };

	return run(&x);
}

int transfer_out(struct app *app, struct target t, uint64_t offset, uint64_t count,
		 transfer_fn *give, void *arg)
{
	struct transfer x = { .app = app,
			      .target = t,
			      .out = true,
			      .offset = offset,
			      .count = count,
			      .fn = give,
			      .arg = arg };

	return run(&x);
}
