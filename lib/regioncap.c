/* SPDX-License-Identifier: BSD-3-Clause */
/* The chain of capabilities behind a region's description: reading it, loops and lies
 * included, and writing it. */
#include "cursor.h"
#include "error.h"
#include "msgtab.h"

#define INFO_SIZE	32u /* the fixed part, where no capability may lie */
#define INFO_CAP_OFFSET 12u /* the field that starts the chain */
#define CAP_SIZE	8u

static int refuse(struct vuser_error *e, size_t payload_offset, const char *field,
		  const char *what, uint32_t value)
{
	return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + payload_offset, field,
			"%s 0x%x %s", field, value, what);
}

/* Is off a place where a capability can start? from is the field that says so. */
static int check_offset(uint32_t off, size_t len, size_t from, const char *field,
			const struct vuser_regioncap *seen, size_t nseen,
			struct vuser_error *e)
{
	if (off < INFO_SIZE)
		return refuse(e, from, field, "lies within the region's description",
			      off);
	if (off % 8)
		return refuse(e, from, field, "is not a multiple of 8", off);
	if (len < CAP_SIZE || off > len - CAP_SIZE)
		return refuse(e, from, field, "lies beyond the end of the payload", off);
	for (size_t i = 0; i < nseen; i++)
		if (seen[i].offset == off)
			return refuse(e, from, field, "leads back: the chain is a loop",
				      off);
	return 0;
}

static int read_body(struct cursor *c, struct vuser_regioncap *cap, struct vuser_error *e)
{
	size_t at = c->off, room;

	if (cap->id == VUSER_REGIONCAP_TYPE) {
		cap->type = cursor_u32(c);
		cap->subtype = cursor_u32(c);
	} else if (cap->id == VUSER_REGIONCAP_SPARSE_MMAP) {
		cap->nr_areas = cursor_u32(c);
		(void)cursor_u32(c);
		room = c->failed ? 0 : (c->len - c->off) / 16;
		if (!c->failed &&
		    (cap->nr_areas > room || cap->nr_areas > VUSER_MAX_SPARSE_AREAS)) {
			uint32_t n = cap->nr_areas;

			cap->nr_areas = 0;
			return error_at(
				e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + at, "nr_areas",
				"nr_areas is %u where %zu fit and %u are believed", n,
				room, VUSER_MAX_SPARSE_AREAS);
		}
		cap->areas = cursor_bytes(c, (size_t)cap->nr_areas * 16);
	}
	if (!c->failed)
		return 0;
	return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + c->off, "id",
			"the payload ends within capability %u at 0x%x", cap->id,
			cap->offset);
}

int vuser_regioncap_walk(const void *payload, size_t len, struct vuser_regioncap *out,
			 size_t max, size_t *n, struct vuser_error *e)
{
	struct cursor c = cursor_at(payload, len);
	const char *field = "cap_offset";
	size_t from = INFO_CAP_OFFSET;
	uint32_t off;
	int r;

	*n = 0;
	if (len < INFO_SIZE)
		return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + len,
				"cap_offset",
				"the message ends before the region's description does");
	c.off = INFO_CAP_OFFSET;
	off = cursor_u32(&c);
	while (off) {
		struct vuser_regioncap *cap = &out[*n];

		if (*n == max)
			return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + from,
					field, "the chain has more than %zu capabilities",
					max);
		r = check_offset(off, len, from, field, out, *n, e);
		if (r)
			return r;
		c.off = off;
		*cap = (struct vuser_regioncap){ .offset = off };
		cap->id = cursor_u16(&c);
		cap->version = cursor_u16(&c);
		off = cursor_u32(&c);
		from = cap->offset + 4;
		field = "next";
		r = read_body(&c, cap, e);
		if (r)
			return r;
		++*n;
	}
	return 0;
}

struct vuser_area vuser_regioncap_area(const struct vuser_regioncap *cap, uint32_t n)
{
	struct cursor c = cursor_at(cap->areas + (size_t)n * 16, 16);
	struct vuser_area area = { .offset = cursor_u64(&c) };

	area.size = cursor_u64(&c);
	return area;
}

/* ---- Writing ---------------------------------------------------------------------- */

/* A capability's header at at of the chain; the next one follows body bytes behind it. */
static size_t put_header(uint8_t *buf, size_t at, uint16_t id, size_t body)
{
	put_uint(buf + at, 2, id);
	put_uint(buf + at + 2, 2, 1);
	put_uint(buf + at + 4, 4, INFO_SIZE + at + CAP_SIZE + body);
	return at + CAP_SIZE;
}

static size_t put_areas(uint8_t *buf, size_t at, const struct vuser_region_desc *d)
{
	at = put_header(buf, at, VUSER_REGIONCAP_SPARSE_MMAP,
			8 + (size_t)d->nr_areas * 16);
	put_uint(buf + at, 4, d->nr_areas);
	put_uint(buf + at + 4, 4, 0);
	at += 8;
	for (uint32_t i = 0; i < d->nr_areas; i++, at += 16) {
		put_uint(buf + at, 8, d->areas[i].offset);
		put_uint(buf + at + 8, 8, d->areas[i].size);
	}
	return at;
}

size_t regioncap_write(uint8_t *buf, const struct vuser_region_desc *d, bool mapped)
{
	size_t len = 0, last = 0;

	if (mapped && d->areas)
		len = put_areas(buf, len, d);
	if (d->type) {
		last = len;
		len = put_header(buf, len, VUSER_REGIONCAP_TYPE, 8);
		put_uint(buf + len, 4, d->type);
		put_uint(buf + len + 4, 4, d->subtype);
		len += 8;
	}
	if (mapped && d->msix_mappable) {
		last = len;
		len = put_header(buf, len, VUSER_REGIONCAP_MSIX_MAPPABLE, 0);
	}
	if (len)
		put_uint(buf + last + 4, 4, 0); /* the chain ends */
	return len;
}
