/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on single values of a region: read, write, multi, poll. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"
#include "words.h"

/* ---- Values and bytes ---------------------------------------------------------- */

void value_to_bytes(uint8_t *bytes, uint64_t value, unsigned width)
{
	const uint8_t *at = (const uint8_t *)&value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += sizeof(value) - width;
#endif
	memcpy(bytes, at, width);
}

static uint64_t from_bytes(const uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;
	uint8_t *at = (uint8_t *)&value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += sizeof(value) - width;
#endif
	memcpy(at, bytes, width);
	return value;
}

int check_fits(struct app *app, uint64_t value, unsigned width)
{
	if (width >= 8 || value >> (width * 8) == 0)
		return FAIL_NONE;
	return fail(app, FAIL_USAGE, 0, "0x%" PRIx64 " does not fit into %u byte%s",
		    value, width, width == 1 ? "" : "s");
}

int target_read(struct app *app, struct target t, uint64_t offset, unsigned width,
		uint64_t *value)
{
	struct vuser_error e;
	uint8_t bytes[8] = { 0 };
	int rc;

	if (t.map)
		rc = mapping_copy(app, t.region, offset, bytes, width, false);
	else if (t.dma)
		rc = vuser_mem_read(app->client, offset, bytes, width, &e);
	else
		rc = vuser_read(app->client, t.region, offset, bytes, width, &e);
	*value = from_bytes(bytes, width);
	return rc && !t.map ? fail_from(app, &e) : rc;
}

int target_write(struct app *app, struct target t, uint64_t offset, unsigned width,
		 uint64_t value, bool posted)
{
	struct vuser_error e;
	uint8_t bytes[8];
	int rc;

	value_to_bytes(bytes, value, width);
	if (t.map)
		return mapping_copy(app, t.region, offset, bytes, width, true);
	if (t.dma)
		rc = vuser_mem_write(app->client, offset, bytes, width, &e);
	else
		rc = vuser_write(app->client, t.region, offset, bytes, width, posted, &e);
	return rc ? fail_from(app, &e) : FAIL_NONE;
}

void target_json(struct app *app, struct target t, uint64_t offset, uint64_t count)
{
	if (!t.dma)
		json_count(json(app), "region", t.region);
	json_hex(json(app), t.dma ? "address" : "offset", offset);
	json_count(json(app), "count", count);
	if (t.map)
		json_bool(json(app), "mmap", true);
}

/* ---- read, write --------------------------------------------------------------- */

int run_read(struct app *app, const struct args *a)
{
	unsigned width = arg_width(a, "WIDTH");
	uint64_t offset, value;
	struct target t = target_of(a, &offset);
	uint8_t bytes[8];
	int rc = target_read(app, t, offset, width, &value);

	if (rc)
		return rc;
	app->out->has_value = true;
	app->out->value = value;
	app->out->width = width;
	if (text(app)) {
		fprintf(text(app), "0x%0*" PRIx64 "\n", (int)width * 2, value);
		return FAIL_NONE;
	}
	value_to_bytes(bytes, value, width);
	target_json(app, t, offset, width);
	json_data(json(app), "data", bytes, width);
	json_value(json(app), "value", value, width);
	return FAIL_NONE;
}

int check_write(struct app *app, const struct args *a)
{
	if (arg(a, "-m") && arg(a, "-p"))
		return fail(app, FAIL_USAGE, 0,
			    "-m sends no message that could be posted with -p");
	return check_fits(app, arg_number(a, "VALUE", 0), arg_width(a, "WIDTH"));
}

int run_write(struct app *app, const struct args *a)
{
	unsigned width = arg_width(a, "WIDTH");
	uint64_t offset, value = arg_number(a, "VALUE", 0);
	struct target t = target_of(a, &offset);

	return target_write(app, t, offset, width, value, arg(a, "-p") != NULL);
}

/* ---- multi --------------------------------------------------------------------- */

static size_t multi_entries(const struct args *a, struct vuser_multi_entry *entries,
			    size_t max)
{
	struct vuser_multi_entry *e;
	uint64_t value = 0;
	unsigned width = 4;
	size_t n;

	/* Four words make an entry; the synopsis has seen to that. */
	for (n = 0; n < max && n < a->n / 4; n++) {
		e = &entries[n];
		*e = (struct vuser_multi_entry){ 0 };
		word_region(a->v[4 * n].word, &e->region);
		word_number(a->v[4 * n + 1].word, &e->offset);
		word_number(a->v[4 * n + 2].word, &value);
		word_width(a->v[4 * n + 3].word, &width);
		e->count = width;
		value_to_bytes(e->data, value, width);
	}
	return n;
}

static int check_multi(struct app *app, const struct args *a)
{
	uint64_t value = 0;
	unsigned width = 4;
	int rc = FAIL_NONE;

	if (a->n / 4 > VUSER_MULTI_WRITES)
		return fail(app, FAIL_USAGE, 0, "%zu writes; a message holds %u",
			    a->n / 4, VUSER_MULTI_WRITES);
	for (size_t i = 0; i + 3 < a->n && !rc; i += 4) {
		word_number(a->v[i + 2].word, &value);
		word_width(a->v[i + 3].word, &width);
		rc = check_fits(app, value, width);
	}
	return rc;
}

static int run_multi(struct app *app, const struct args *a)
{
	struct vuser_multi_entry entries[VUSER_MULTI_WRITES];
	size_t n = multi_entries(a, entries, VUSER_MULTI_WRITES);
	struct vuser_error e;
	uint64_t done = 0;

	if (vuser_write_multi(app->client, entries, n, &done, &e))
		return fail_from(app, &e);
	if (done < n)
		return fail(app, FAIL_REMOTE, 0,
			    "the server did %" PRIu64 " of %zu writes", done, n);
	json_count(json(app), "wr_cnt", done);
	return FAIL_NONE;
}

/* ---- poll ---------------------------------------------------------------------- */

#define POLL_WIDTH	 4
#define POLL_SLEEP_LEAST 50000 /* ns between two reads; doubled each time */
#define POLL_SLEEP_MOST	 10000000
#define POLL_READ_LEAST	 INT64_C(100000000) /* nanoseconds for the reply to one read */

static int check_poll(struct app *app, const struct args *a)
{
	uint64_t mask = arg_number(a, "MASK", 0), value = arg_number(a, "VALUE", 0);
	int rc = check_fits(app, mask, POLL_WIDTH);

	rc = rc ? rc : check_fits(app, value, POLL_WIDTH);
	if (!rc && value & ~mask)
		return fail(app, FAIL_USAGE, 0,
			    "0x%" PRIx64 " has bits that the mask 0x%" PRIx64
			    " does not: it can never hold",
			    value, mask);
	return rc;
}

/* One read, whose reply has to come within what is left. */
static int poll_read(struct app *app, struct target t, uint64_t offset, int64_t left,
		     uint64_t *value)
{
	int64_t timeout = app->set.timeout;
	int rc;

	if (left > 0 && (!timeout || left < timeout))
		vuser_client_set_timeout(app->client, left);
	rc = target_read(app, t, offset, POLL_WIDTH, value);
	vuser_client_set_timeout(app->client, timeout);
	return rc;
}

static int run_poll(struct app *app, const struct args *a)
{
	uint64_t mask = arg_number(a, "MASK", 0), wanted = arg_number(a, "VALUE", 0);
	int64_t timeout = arg_duration(a, "TIMEOUT", app->set.timeout), left = timeout;
	int64_t pause = POLL_SLEEP_LEAST, end = now_ns() + timeout;
	uint64_t offset, value = 0, tries = 0;
	struct target t = target_of(a, &offset);
	int rc;

	for (;;) {
		rc = poll_read(app, t, offset, left, &value);
		if (rc)
			return rc;
		tries++;
		if ((value & mask) == wanted)
			break;
		left = timeout ? end - now_ns() : pause;
		if (left <= 0)
			return fail(app, FAIL_TIMEOUT, 0,
				    "not within the time: 0x%08" PRIx64 " after %" PRIu64
				    " reads",
				    value, tries);
		if (connection_wait(app, -1, pause < left ? pause : left) < 0)
			return fail(app, FAIL_CANCELLED, 0, "interrupted");
		pause = pause * 2 < POLL_SLEEP_MOST ? pause * 2 : POLL_SLEEP_MOST;
		/* The last read, too, gets the time that an answer takes. */
		left = timeout ? end - now_ns() : 0;
		left = timeout && left < POLL_READ_LEAST ? POLL_READ_LEAST : left;
	}
	target_json(app, t, offset, POLL_WIDTH);
	json_value(json(app), "value", value, POLL_WIDTH);
	json_count(json(app), "tries", tries);
	return FAIL_NONE;
}

#define MAPPED                                                                            \
	"With -m it goes by mmap of the region's descriptor instead of a message, as a\n" \
	"guest would do it; see regions for the areas of a region that allow that.\n"

static const struct command rows[] = {
	{ .name = "read",
	  .synopsis = "[-m] REGION OFFSET [WIDTH]",
	  .summary = "read one value",
	  .help = "Prints it as hex, two digits for each of its 1, 2, 4 (unless told otherwise) or\n"
		  "8 bytes.\n\n" MAPPED "\n"
		  "    read bar0 0x10\n"
		  "    read config 0 2\n",
	  .run = run_read,
	  .flags = CMD_CONNECTED | CMD_VALUE },
	{ .name = "write",
	  .synopsis = "[-m] [-p] REGION OFFSET VALUE [WIDTH]",
	  .summary = "write one value",
	  .help = "-p posts it: no reply is asked for. That the server did it, or refused it, is\n"
		  "not known: all there is to know is that posted writes were handled before the\n"
		  "next command that has a reply. An error that a server sends all the same, against\n"
		  "the protocol, is told when it comes, and status counts it. Posted writes may be\n"
		  "gathered into REGION_WRITE_MULTI (see set coalesce).\n\n" MAPPED "\n"
		  "    write bar0 0x08 5\n",
	  .run = run_write,
	  .check = check_write,
	  .flags = CMD_CONNECTED },
	{ .name = "multi",
	  .synopsis = "REGION OFFSET VALUE WIDTH [...]",
	  .summary = "many writes in one REGION_WRITE_MULTI",
	  .help = "Four words for each write, 200 writes at most.\n\n"
		  "    multi bar0 4 1 4 bar0 8 2 4\n",
	  .run = run_multi,
	  .check = check_multi,
	  .flags = CMD_CONNECTED },
	{ .name = "dump",
	  .synopsis = "[-m] REGION OFFSET COUNT",
	  .summary = "hex dump",
	  .help = "A line that repeats the one before is left out, and a * stands there. See\n"
		  "set width.\n\n" MAPPED,
	  .run = run_dump,
	  .check = check_dump,
	  .flags = CMD_CONNECTED },
	{ .name = "fill",
	  .synopsis = "[-m] REGION OFFSET COUNT BYTE",
	  .summary = "write the same byte everywhere",
	  .help = MAPPED,
	  .run = run_fill,
	  .flags = CMD_CONNECTED },
	{ .name = "save",
	  .synopsis = "[-m] REGION OFFSET COUNT FILE",
	  .summary = "copy from the region to a file",
	  .help = "FILE is written over. What was read before a failure stays in it.\n\n" MAPPED,
	  .run = run_save,
	  .flags = CMD_CONNECTED },
	{ .name = "load",
	  .synopsis = "[-m] REGION OFFSET FILE",
	  .summary = "copy a file to the region",
	  .help = MAPPED,
	  .run = run_load,
	  .flags = CMD_CONNECTED },
	{ .name = "poll",
	  .synopsis = "REGION OFFSET MASK VALUE [TIMEOUT]",
	  .summary = "read until (value & MASK) == VALUE",
	  .help = "Reads 4 bytes at a time. TIMEOUT is how long to go on; the reply timeout unless\n"
		  "given, 0 for ever.\n\n"
		  "    poll bar0 0x20 1 0 2s\n",
	  .run = run_poll,
	  .check = check_poll,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group region_commands = { "Regions", rows };
