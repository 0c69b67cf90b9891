/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads about device features and migration data. */
#include <string.h>
#include <strings.h>

#include "cursor.h"
#include "feature.h"
#include "msgtab.h"

static const struct named feature_names[] = {
	{ VUSER_FEATURE_MIGRATION, "migration" },
	{ VUSER_FEATURE_MIG_DEVICE_STATE, "device-state" },
	{ VUSER_FEATURE_DMA_LOGGING_START, "dma-logging-start" },
	{ VUSER_FEATURE_DMA_LOGGING_STOP, "dma-logging-stop" },
	{ VUSER_FEATURE_DMA_LOGGING_REPORT, "dma-logging-report" },
	{ VUSER_FEATURE_GET, "get" },
	{ VUSER_FEATURE_SET, "set" },
	{ VUSER_FEATURE_PROBE, "probe" },
	{ 0, NULL },
};

/* The feature's number is the low half of flags: shown by name where it has one. */
static const struct field feature_fields[] = {
	FIELD(feature.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(feature.flags, "flags", 4, VUSER_SHOW_FEATURE, true, feature_names),
};

static const struct named device_states[] = {
	{ 0, "error" },	    { 1, "stop" },	   { 2, "running" },
	{ 3, "stop-copy" }, { 4, "resuming" },	   { 5, "running-p2p" },
	{ 6, "pre-copy" },  { 7, "pre-copy-p2p" }, { 0, NULL },
};

static const struct named migration_flags[] = {
	{ 1, "stop-copy" },
	{ 2, "p2p" },
	{ 4, "pre-copy" },
	{ 0, NULL },
};

/* The parts of a feature's data, in order. */
struct part {
	const char *name;
	uint8_t width;
	enum vuser_show show;
	const struct named *names;
};

static const struct part parts_migration[] = {
	{ "migration_flags", 8, VUSER_SHOW_FLAGS, migration_flags },
	{ NULL, 0, 0, NULL },
};
static const struct part parts_state[] = {
	{ "device_state", 4, VUSER_SHOW_ENUM, device_states },
	{ "data_fd", 4, VUSER_SHOW_HEX, NULL },
	{ NULL, 0, 0, NULL },
};
static const struct part parts_start[] = {
	{ "page_size", 8, VUSER_SHOW_COUNT, NULL },
	{ "num_ranges", 4, VUSER_SHOW_COUNT, NULL },
	{ "reserved", 4, VUSER_SHOW_COUNT, NULL },
	{ NULL, 0, 0, NULL },
};
static const struct part parts_report[] = {
	{ "iova", 8, VUSER_SHOW_HEX, NULL },
	{ "length", 8, VUSER_SHOW_HEX, NULL },
	{ "page_size", 8, VUSER_SHOW_COUNT, NULL },
	{ NULL, 0, 0, NULL },
};
static const struct part *const feature_parts[] = {
	[VUSER_FEATURE_MIGRATION] = parts_migration,
	[VUSER_FEATURE_MIG_DEVICE_STATE] = parts_state,
	[VUSER_FEATURE_DMA_LOGGING_START] = parts_start,
	[VUSER_FEATURE_DMA_LOGGING_REPORT] = parts_report,
};

static void walk_feature(const struct vuser_payload *p, size_t at, vuser_field_fn *fn,
			 void *arg)
{
	size_t n = p->u.feature.flags & VUSER_FEATURE_MASK, off = 0;
	const struct part *part = n < sizeof(feature_parts) / sizeof(feature_parts[0])
					  ? feature_parts[n]
					  : NULL;
	struct vuser_field f = { .index = -1 };

	for (; part && part->name && part->width <= p->tail_len - off; part++) {
		f.name = part->name;
		f.show = part->show;
		f.names = part->names;
		f.key = true;
		tail_field(p, at, off, part->width, f, fn, arg);
		off += part->width;
	}
	f = (struct vuser_field){ .index = -1, .show = VUSER_SHOW_HEX };
	for (int i = 0; n == VUSER_FEATURE_DMA_LOGGING_START && p->tail_len - off >= 16;
	     i++) {
		f.index = i;
		f.name = "range.iova";
		tail_field(p, at, off, 8, f, fn, arg);
		f.name = "range.length";
		tail_field(p, at, off + 8, 8, f, fn, arg);
		off += 16;
	}
	f = (struct vuser_field){ .index = -1, .show = VUSER_SHOW_BYTES };
	f.name = n == VUSER_FEATURE_DMA_LOGGING_REPORT ? "bitmap" : "data";
	if (off < p->tail_len)
		tail_field(p, at, off, p->tail_len - off, f, fn, arg);
}

static const struct tail feature_data = { .name = "data",
					  .show = VUSER_SHOW_BYTES,
					  .walk = walk_feature };

const struct layout layout_feature = { feature_fields, 2, 8, &feature_data, NULL };

static const struct field mig_fields[] = {
	FIELD(mig.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(mig.size, "size", 4, VUSER_SHOW_COUNT, true, NULL),
};

static int check_mig(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	return tail_must_be(p, at, p->u.mig.size, "size", e);
}

static const struct tail mig_bytes = { .name = "data",
				       .show = VUSER_SHOW_BYTES,
				       .check = check_mig };

const struct layout layout_mig = { mig_fields, 2, 8, NULL, NULL };
const struct layout layout_mig_data = { mig_fields, 2, 8, &mig_bytes, NULL };

/* ---- Names of features and states -------------------------------------------------- */

const char *vuser_feature_name(uint32_t feature)
{
	for (const struct named *n = feature_names; n->name; n++)
		if (n->value == feature && n->value <= VUSER_FEATURE_MASK)
			return n->name;
	return NULL;
}

int vuser_feature_number(const char *name)
{
	for (const struct named *n = feature_names; n->name; n++)
		if (n->value <= VUSER_FEATURE_MASK &&
		    strncasecmp(n->name, name, strlen(n->name) + 1) == 0)
			return (int)n->value;
	return -1;
}

const char *vuser_device_state_name(uint32_t state)
{
	for (const struct named *n = device_states; n->name; n++)
		if (n->value == state)
			return n->name;
	return NULL;
}

int vuser_device_state_number(const char *name)
{
	for (const struct named *n = device_states; n->name; n++)
		if (strncasecmp(n->name, name, strlen(n->name) + 1) == 0)
			return (int)n->value;
	return -1;
}

/* ---- The data of a feature --------------------------------------------------------- */

bool feature_read_migration(const void *data, size_t len, uint64_t *flags)
{
	struct cursor c = cursor_at(data, len);

	*flags = cursor_u64(&c);
	return !c.failed && c.off == len;
}

bool feature_read_state(const void *data, size_t len, struct feature_state *out)
{
	struct cursor c = cursor_at(data, len);

	out->device_state = cursor_u32(&c);
	out->data_fd = cursor_u32(&c);
	return !c.failed && c.off == len;
}

bool feature_read_start(const void *data, size_t len, struct feature_start *out)
{
	struct cursor c = cursor_at(data, len);

	out->page_size = cursor_u64(&c);
	out->num_ranges = cursor_u32(&c);
	(void)cursor_u32(&c); /* reserved */
	return !c.failed && (len - c.off) % FEATURE_RANGE_SIZE == 0 &&
	       (len - c.off) / FEATURE_RANGE_SIZE == out->num_ranges;
}

bool feature_read_report(const void *data, size_t len, struct feature_report *out)
{
	struct cursor c = cursor_at(data, len);

	out->iova = cursor_u64(&c);
	out->length = cursor_u64(&c);
	out->page_size = cursor_u64(&c);
	return !c.failed;
}

struct vuser_area feature_range(const void *data, size_t n)
{
	struct cursor c = cursor_at((const uint8_t *)data + FEATURE_START_SIZE +
					    n * FEATURE_RANGE_SIZE,
				    FEATURE_RANGE_SIZE);
	struct vuser_area range;

	range.offset = cursor_u64(&c);
	range.size = cursor_u64(&c);
	return range;
}

uint64_t feature_word(const void *data, size_t len, size_t n)
{
	struct cursor c = cursor_at(data, len);

	if (!cursor_bytes(&c, FEATURE_REPORT_SIZE) ||
	    n >= (len - c.off) / FEATURE_WORD_SIZE)
		return 0;
	(void)cursor_bytes(&c, n * FEATURE_WORD_SIZE);
	return cursor_u64(&c);
}

size_t feature_write_migration(void *buf, uint64_t flags)
{
	put_uint(buf, 8, flags);
	return FEATURE_MIGRATION_SIZE;
}

size_t feature_write_state(void *buf, uint32_t device_state)
{
	put_uint(buf, 4, device_state);
	put_uint((uint8_t *)buf + 4, 4, UINT32_MAX);
	return FEATURE_STATE_SIZE;
}

size_t feature_write_start(void *buf, uint64_t page_size, uint32_t num_ranges)
{
	put_uint(buf, 8, page_size);
	put_uint((uint8_t *)buf + 8, 4, num_ranges);
	put_uint((uint8_t *)buf + 12, 4, 0);
	return FEATURE_START_SIZE;
}

size_t feature_write_range(void *buf, size_t n, struct vuser_area range)
{
	uint8_t *at = (uint8_t *)buf + FEATURE_START_SIZE + n * FEATURE_RANGE_SIZE;

	put_uint(at, 8, range.offset);
	put_uint(at + 8, 8, range.size);
	return FEATURE_RANGE_SIZE;
}

size_t feature_write_report(void *buf, const struct feature_report *r)
{
	put_uint(buf, 8, r->iova);
	put_uint((uint8_t *)buf + 8, 8, r->length);
	put_uint((uint8_t *)buf + 16, 8, r->page_size);
	return FEATURE_REPORT_SIZE;
}

size_t feature_write_word(void *buf, size_t n, uint64_t word)
{
	put_uint((uint8_t *)buf + FEATURE_REPORT_SIZE + n * FEATURE_WORD_SIZE,
		 FEATURE_WORD_SIZE, word);
	return FEATURE_WORD_SIZE;
}

size_t vuser_dirty_words(uint64_t length, uint64_t page_size)
{
	if (!length || !page_size)
		return 0;
	return (size_t)((length - 1) / page_size / 64 + 1);
}
