/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on DMA logging: start, stop, and which pages the device has written. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "words.h"

/* ---- start, stop --------------------------------------------------------------- */

/* The words of [IOVA SIZE]...: the first one was read by itself. */
static const char *range_word(const struct args *a, size_t i)
{
	return i == 0 ? arg(a, "IOVA") : i - 1 < a->nrest ? a->rest[i - 1] : NULL;
}

static size_t range_count(const struct args *a)
{
	return (a->nrest + 1) / 2;
}

static int check_start(struct app *app, const struct args *a)
{
	const char *word, *problem;
	uint64_t value;
	size_t n = 0;

	while ((word = range_word(a, n))) {
		problem = word_number(word, &value);
		if (problem)
			return fail(app, FAIL_USAGE, 0, "\"%.100s\" %s", word, problem);
		n++;
	}
	if (n % 2)
		return fail(app, FAIL_USAGE, 0, "the SIZE of the last range is missing");
	return FAIL_NONE;
}

static int run_start(struct app *app, const struct args *a)
{
	uint64_t page_size = arg_number(a, "PAGESIZE", 0);
	size_t n = range_count(a);
	struct vuser_area *ranges = calloc(n + 1, sizeof(*ranges));
	cJSON *array, *entry;
	struct vuser_error e;
	int rc = FAIL_NONE;

	if (!ranges)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the ranges");
	json_count(json(app), "page_size", page_size);
	array = json_array(json(app), "ranges");
	for (size_t i = 0; i < n; i++) {
		(void)word_number(range_word(a, 2 * i), &ranges[i].offset);
		(void)word_number(range_word(a, 2 * i + 1), &ranges[i].size);
		entry = json_entry(array);
		json_hex(entry, "iova", ranges[i].offset);
		json_hex(entry, "length", ranges[i].size);
	}
	if (vuser_dirty_start(app->client, page_size, ranges, n, &e))
		rc = fail_from(app, &e);
	free(ranges);
	return rc;
}

static int run_stop(struct app *app, const struct args *a)
{
	struct vuser_error e;

	(void)a;
	return vuser_dirty_stop(app->client, &e) ? fail_from(app, &e) : FAIL_NONE;
}

/* ---- report -------------------------------------------------------------------- */

struct report {
	uint64_t iova, length, page_size;
	uint64_t *bitmap;
	size_t words;
	uint64_t pages; /* that were written */
};

static bool is_dirty(const struct report *r, uint64_t page)
{
	return r->bitmap[page / 64] >> (page % 64) & 1;
}

/* The first page from there on that is or is not dirty, end if there is none. */
static uint64_t find_page(const struct report *r, uint64_t page, uint64_t end, bool dirty)
{
	uint64_t none = dirty ? 0 : UINT64_MAX;

	while (page < end && is_dirty(r, page) != dirty)
		page += page % 64 == 0 && r->bitmap[page / 64] == none ? 64 : 1;
	return page < end ? page : end;
}

static void show_range(struct app *app, cJSON *array, struct report *r, uint64_t first,
		       uint64_t end)
{
	uint64_t iova = r->iova + first * r->page_size;
	uint64_t length = (end - first) * r->page_size;
	cJSON *entry = json_entry(array);

	r->pages += end - first;
	json_hex(entry, "iova", iova);
	json_hex(entry, "length", length);
	json_count(entry, "pages", end - first);
	if (text(app))
		fprintf(text(app), "0x%016" PRIx64 " 0x%016" PRIx64 " %10" PRIu64 "\n",
			iova, iova + (length - 1), end - first);
}

static void show_report(struct app *app, struct report *r)
{
	uint64_t end = r->words ? (r->length - 1) / r->page_size + 1 : 0, at = 0;
	cJSON *array;

	json_hex(json(app), "iova", r->iova);
	json_hex(json(app), "length", r->length);
	json_count(json(app), "page_size", r->page_size);
	array = json_array(json(app), "ranges");
	if (text(app))
		fprintf(text(app), "%s%-18s %-18s %10s%s\n", bold(app), "first", "last",
			"pages", plain(app));
	while ((at = find_page(r, at, end, true)) < end) {
		uint64_t behind = find_page(r, at, end, false);

		show_range(app, array, r, at, behind);
		at = behind;
	}
	json_count(json(app), "pages", r->pages);
	json_data(json(app), "bitmap", r->bitmap, r->words * sizeof(*r->bitmap));
}

static int run_report(struct app *app, const struct args *a)
{
	struct report r = { .iova = arg_number(a, "IOVA", 0),
			    .length = arg_number(a, "SIZE", 0),
			    .page_size = arg_number(a, "PAGESIZE", 0) };
	struct vuser_error e;
	int rc = FAIL_NONE;

	r.words = vuser_dirty_words(r.length, r.page_size);
	/* What no message holds is refused before anything is put there. */
	if (r.words > UINT32_MAX / sizeof(*r.bitmap))
		r.words = 0;
	r.bitmap = calloc(r.words + 1, sizeof(*r.bitmap));
	if (!r.bitmap)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the bitmap");
	if (vuser_dirty_report(app->client, r.iova, r.length, r.page_size, r.bitmap, &e))
		rc = fail_from(app, &e);
	else
		show_report(app, &r);
	free(r.bitmap);
	return rc;
}

static const struct command rows[] = {
	{ .name = "dirty start",
	  .synopsis = "PAGESIZE [IOVA SIZE]...",
	  .summary = "begin to log which pages the device writes",
	  .help = "Of the ranges given, or of all its DMA memory.\n\n"
		  "    dirty start 4K\n"
		  "    dirty start 4K 0x100000 64K 0x200000 64K\n",
	  .run = run_start,
	  .check = check_start,
	  .flags = CMD_CONNECTED },
	{ .name = "dirty stop",
	  .synopsis = "",
	  .summary = "end that",
	  .run = run_stop,
	  .flags = CMD_CONNECTED },
	{ .name = "dirty report",
	  .synopsis = "IOVA SIZE PAGESIZE",
	  .summary = "the pages that were written since the last report of them",
	  .help = "    dirty report 0x100000 64K 4K\n",
	  .run = run_report,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group dirty_commands = { "DMA logging", rows };
