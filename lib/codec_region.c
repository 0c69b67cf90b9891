/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads about regions: what they are, their io fds, reading and writing them. */
#include "cursor.h"
#include "error.h"
#include "msgtab.h"

static const struct named region_flags[] = {
	{ VUSER_REGION_READ, "read" },
	{ VUSER_REGION_WRITE, "write" },
	{ VUSER_REGION_MMAP, "mmap" },
	{ VUSER_REGION_CAPS, "caps" },
	{ 0, NULL },
};

/* ---- DEVICE_GET_REGION_INFO ------------------------------------------------------ */

static const struct field region_info_fields[] = {
	FIELD(region_info.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(region_info.flags, "flags", 4, VUSER_SHOW_FLAGS, true, region_flags),
	FIELD(region_info.index, "index", 8, VUSER_SHOW_REGION, true, NULL),
	FIELD(region_info.cap_offset, "cap_offset", 12, VUSER_SHOW_HEX, false, NULL),
	FIELD(region_info.size, "size", 16, VUSER_SHOW_HEX, true, NULL),
	FIELD(region_info.offset, "offset", 24, VUSER_SHOW_HEX, false, NULL),
};

/* Some clients send all the room they have for the reply. */
static const struct tail region_info_room = { .name = "room", .show = VUSER_SHOW_NONE };

#define REGION_INFO_SIZE 32u

/* Shows one capability at off of the tail. Returns where it ends. */
static size_t show_cap(const struct vuser_payload *p, size_t at, size_t off,
		       const struct vuser_regioncap *cap, struct vuser_field f, int *area,
		       vuser_field_fn *fn, void *arg)
{
	static const struct {
		const char *name;
		uint8_t off, width;
		enum vuser_show show;
		uint16_t of; /* this capability, 0 for any */
	} parts[] = {
		{ "id", 0, 2, VUSER_SHOW_COUNT, 0 },
		{ "version", 2, 2, VUSER_SHOW_COUNT, 0 },
		{ "next", 4, 4, VUSER_SHOW_HEX, 0 },
		{ "type", 8, 4, VUSER_SHOW_HEX, VUSER_REGIONCAP_TYPE },
		{ "subtype", 12, 4, VUSER_SHOW_HEX, VUSER_REGIONCAP_TYPE },
		{ "nr_areas", 8, 4, VUSER_SHOW_COUNT, VUSER_REGIONCAP_SPARSE_MMAP },
		{ "reserved", 12, 4, VUSER_SHOW_COUNT, VUSER_REGIONCAP_SPARSE_MMAP },
	};
	size_t end = off;

	for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
		if (parts[k].of && parts[k].of != cap->id)
			continue;
		f.name = parts[k].name;
		f.show = parts[k].show;
		end = off + parts[k].off + parts[k].width;
		tail_field(p, at, off + parts[k].off, parts[k].width, f, fn, arg);
	}
	f.show = VUSER_SHOW_HEX;
	for (uint32_t a = 0; a < cap->nr_areas; a++, end += 16) {
		f.index = (*area)++;
		f.name = "area.offset";
		tail_field(p, at, end, 8, f, fn, arg);
		f.name = "area.size";
		tail_field(p, at, end + 8, 8, f, fn, arg);
	}
	return end;
}

/* The chain counts from the payload's start, so it is walked as if that were there. */
static void walk_chain(const struct vuser_payload *p, size_t at, vuser_field_fn *fn,
		       void *arg)
{
	struct vuser_regioncap caps[VUSER_MAX_REGION_CAPS];
	const uint8_t *payload = p->tail - REGION_INFO_SIZE;
	size_t n, shown = 0;
	int area = 0, broken;
	struct vuser_field rest = { .name = "unexplained", .show = VUSER_SHOW_NONE };

	broken = vuser_regioncap_walk(payload, p->tail_len + REGION_INFO_SIZE, caps,
				      VUSER_MAX_REGION_CAPS, &n, NULL);
	for (size_t i = 0; i < n; i++) {
		size_t off = caps[i].offset - REGION_INFO_SIZE;
		struct vuser_field f = { .index = (int)i };

		if (off < shown)
			continue; /* overlaps one that was shown */
		rest.index = (int)i;
		if (off > shown)
			tail_field(p, at, shown, off - shown, rest, fn, arg);
		shown = show_cap(p, at, off, &caps[i], f, &area, fn, arg);
	}
	rest.index = -1;
	if (broken)
		rest.name = "broken_chain";
	if (shown < p->tail_len)
		tail_field(p, at, shown, p->tail_len - shown, rest, fn, arg);
}

static const struct tail region_info_chain = { .name = "chain",
					       .show = VUSER_SHOW_BYTES,
					       .walk = walk_chain };

const struct layout layout_region_info_command = { region_info_fields, 6,
						   REGION_INFO_SIZE, &region_info_room,
						   NULL };
const struct layout layout_region_info_reply = { region_info_fields, 6, REGION_INFO_SIZE,
						 &region_info_chain, NULL };

/* ---- DEVICE_GET_REGION_IO_FDS ---------------------------------------------------- */

static const struct field io_fds_fields[] = {
	FIELD(region_io_fds.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(region_io_fds.flags, "flags", 4, VUSER_SHOW_HEX, false, NULL),
	FIELD(region_io_fds.index, "index", 8, VUSER_SHOW_REGION, true, NULL),
	FIELD(region_io_fds.count, "count", 12, VUSER_SHOW_COUNT, true, NULL),
};

/* 40 bytes an entry by the text; 48 where an entry can name a shadow. */
#define IO_FD	     40u
#define IO_FD_SHADOW 48u

static size_t io_fd_entry(const struct vuser_payload *p)
{
	uint32_t count = p->u.region_io_fds.count;

	return count && p->tail_len % count == 0 ? p->tail_len / count : 0;
}

/* An answer that does not fit the client's argsz comes without entries. */
static int check_io_fds(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	size_t entry = io_fd_entry(p);

	if (p->tail_len == 0 || entry == IO_FD || entry == IO_FD_SHADOW)
		return 0;
	return error_at(e, VUSER_E_PROTOCOL, at, "count",
			"%zu bytes follow for %u entries of 40 or 48 bytes", p->tail_len,
			p->u.region_io_fds.count);
}

void vuser_io_fd_get(const struct vuser_payload *p, size_t n, struct vuser_io_fd *out)
{
	size_t entry = io_fd_entry(p);
	struct cursor c = cursor_at(p->tail + n * entry, entry);

	out->offset = cursor_u64(&c);
	out->size = cursor_u64(&c);
	out->fd_index = cursor_u32(&c);
	out->type = cursor_u32(&c);
	out->flags = cursor_u32(&c);
	out->shadow_index = cursor_u32(&c);
	out->shadow_offset = entry == IO_FD_SHADOW ? cursor_u64(&c) : 0;
	out->datamatch = cursor_u64(&c);
}

size_t io_fd_size(const struct vuser_io_fd *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (entries[i].type == VUSER_IO_FD_SHADOW)
			return IO_FD_SHADOW;
	return IO_FD;
}

void io_fd_put(void *buf, size_t entry, size_t n, const struct vuser_io_fd *in)
{
	uint8_t *at = (uint8_t *)buf + n * entry;
	bool shadow = in->type == VUSER_IO_FD_SHADOW;

	put_uint(at, 8, in->offset);
	put_uint(at + 8, 8, in->size);
	put_uint(at + 16, 4, in->fd_index);
	put_uint(at + 20, 4, in->type);
	put_uint(at + 24, 4, in->flags);
	put_uint(at + 28, 4, shadow ? in->shadow_index : 0);
	if (entry == IO_FD_SHADOW)
		put_uint(at + 32, 8, shadow ? in->shadow_offset : 0);
	put_uint(at + entry - 8, 8, in->datamatch);
}

static void walk_io_fds(const struct vuser_payload *p, size_t at, vuser_field_fn *fn,
			void *arg)
{
	static const struct named types[] = {
		{ VUSER_IO_FD_IOEVENTFD, "ioeventfd" },
		{ VUSER_IO_FD_IOREGIONFD, "ioregionfd" },
		{ VUSER_IO_FD_SHADOW, "ioeventfd+shadow" },
		{ 0, NULL },
	};
	static const struct {
		const char *name;
		uint8_t off, width;
		enum vuser_show show;
	} parts[] = {
		{ "offset", 0, 8, VUSER_SHOW_HEX },
		{ "size", 8, 8, VUSER_SHOW_COUNT },
		{ "fd_index", 16, 4, VUSER_SHOW_COUNT },
		{ "type", 20, 4, VUSER_SHOW_ENUM },
		{ "flags", 24, 4, VUSER_SHOW_HEX },
		{ "padding", 28, 4, VUSER_SHOW_COUNT },
	};
	size_t entry = io_fd_entry(p);

	for (size_t off = 0, n = 0; entry && off < p->tail_len; off += entry, n++) {
		struct vuser_field f = { .index = (int)n };

		for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
			f.name = parts[k].name;
			f.show = parts[k].show;
			f.names = parts[k].show == VUSER_SHOW_ENUM ? types : NULL;
			tail_field(p, at, off + parts[k].off, parts[k].width, f, fn, arg);
		}
		f.show = VUSER_SHOW_HEX;
		if (entry == IO_FD_SHADOW) {
			f.name = "shadow_offset";
			tail_field(p, at, off + 32, 8, f, fn, arg);
		}
		f.name = "datamatch";
		tail_field(p, at, off + entry - 8, 8, f, fn, arg);
	}
}

static const struct tail io_fds_entries = { .name = "entries",
					    .show = VUSER_SHOW_BYTES,
					    .check = check_io_fds,
					    .walk = walk_io_fds };

const struct layout layout_io_fds_command = { io_fds_fields, 4, 16, NULL, NULL };
const struct layout layout_io_fds_reply = { io_fds_fields, 4, 16, &io_fds_entries, NULL };

/* ---- REGION_READ, REGION_WRITE --------------------------------------------------- */

static const struct field access_fields[] = {
	FIELD(access.offset, "offset", 0, VUSER_SHOW_HEX, true, NULL),
	FIELD(access.region, "region", 8, VUSER_SHOW_REGION, true, NULL),
	FIELD(access.count, "count", 12, VUSER_SHOW_COUNT, true, NULL),
};

static int check_access(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	return tail_must_be(p, at, p->u.access.count, "count", e);
}

static const struct tail access_data = { .name = "data",
					 .show = VUSER_SHOW_BYTES,
					 .check = check_access };

const struct layout layout_access = { access_fields, 3, 16, NULL, NULL };
const struct layout layout_access_data = { access_fields, 3, 16, &access_data, NULL };

/* ---- REGION_WRITE_MULTI ---------------------------------------------------------- */

#define MULTI_ENTRY 24u

static const struct field multi_fields[] = {
	FIELD(multi.wr_cnt, "wr_cnt", 0, VUSER_SHOW_COUNT, true, NULL),
};

void vuser_multi_get(const struct vuser_payload *p, size_t n,
		     struct vuser_multi_entry *out)
{
	struct cursor c = cursor_at(p->tail + n * MULTI_ENTRY, MULTI_ENTRY);

	out->offset = cursor_u64(&c);
	out->region = cursor_u32(&c);
	out->count = cursor_u32(&c);
	memcpy(out->data, cursor_bytes(&c, VUSER_MULTI_BYTES), VUSER_MULTI_BYTES);
}

void vuser_multi_put(void *buf, size_t n, const struct vuser_multi_entry *in)
{
	uint8_t *at = (uint8_t *)buf + n * MULTI_ENTRY;

	put_uint(at, 8, in->offset);
	put_uint(at + 8, 4, in->region);
	put_uint(at + 12, 4, in->count);
	memcpy(at + 16, in->data, VUSER_MULTI_BYTES);
}

static int check_multi(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	struct vuser_multi_entry entry;

	if (p->tail_len % MULTI_ENTRY || p->tail_len / MULTI_ENTRY != p->u.multi.wr_cnt)
		return error_at(e, VUSER_E_PROTOCOL, at, "wr_cnt",
				"%zu bytes follow for %llu writes of %u bytes",
				p->tail_len, (unsigned long long)p->u.multi.wr_cnt,
				MULTI_ENTRY);
	for (size_t i = 0; i < p->tail_len / MULTI_ENTRY; i++) {
		vuser_multi_get(p, i, &entry);
		if (entry.count > VUSER_MULTI_BYTES)
			return error_at(e, VUSER_E_PROTOCOL, at + i * MULTI_ENTRY + 12,
					"count",
					"write %zu has %u bytes, above the %u there is "
					"room for",
					i, entry.count, VUSER_MULTI_BYTES);
	}
	return 0;
}

static void walk_multi(const struct vuser_payload *p, size_t at, vuser_field_fn *fn,
		       void *arg)
{
	for (size_t off = 0, n = 0; off < p->tail_len; off += MULTI_ENTRY, n++) {
		struct vuser_field f = { .index = (int)n };

		f.name = "offset";
		f.show = VUSER_SHOW_HEX;
		tail_field(p, at, off, 8, f, fn, arg);
		f.name = "region";
		f.show = VUSER_SHOW_REGION;
		tail_field(p, at, off + 8, 4, f, fn, arg);
		f.name = "count";
		f.show = VUSER_SHOW_COUNT;
		tail_field(p, at, off + 12, 4, f, fn, arg);
		f.name = "data";
		f.show = VUSER_SHOW_BYTES;
		tail_field(p, at, off + 16, VUSER_MULTI_BYTES, f, fn, arg);
	}
}

static const struct tail multi_entries = { .name = "writes",
					   .show = VUSER_SHOW_BYTES,
					   .check = check_multi,
					   .walk = walk_multi };

const struct layout layout_multi_command = { multi_fields, 1, 8, &multi_entries, NULL };
const struct layout layout_multi_reply = { multi_fields, 1, 8, NULL, NULL };
