/* SPDX-License-Identifier: BSD-3-Clause */
/* One row a command, and what every row has in common: decoding, encoding, naming fields.
 */
#include <strings.h>

#include "cursor.h"
#include "error.h"
#include "msgtab.h"

const struct message_row message_table[VUSER_CMD_LIMIT] = {
	[VUSER_CMD_VERSION] = { "VERSION", VUSER_C2S, &layout_version, &layout_version, 0,
				1 },
	[VUSER_CMD_DMA_MAP] = { "DMA_MAP", VUSER_C2S, &layout_dma_map, &layout_empty, 1,
				0 },
	[VUSER_CMD_DMA_UNMAP] = { "DMA_UNMAP", VUSER_C2S, &layout_dma_unmap_command,
				  &layout_dma_unmap_reply, 0, 0 },
	[VUSER_CMD_DEVICE_GET_INFO] = { "DEVICE_GET_INFO", VUSER_C2S, &layout_device_info,
					&layout_device_info, 0, 0 },
	[VUSER_CMD_DEVICE_GET_REGION_INFO] = { "DEVICE_GET_REGION_INFO", VUSER_C2S,
					       &layout_region_info_command,
					       &layout_region_info_reply, 0, FDS_MANY },
	[VUSER_CMD_DEVICE_GET_REGION_IO_FDS] = { "DEVICE_GET_REGION_IO_FDS", VUSER_C2S,
						 &layout_io_fds_command,
						 &layout_io_fds_reply, 0, FDS_MANY },
	[VUSER_CMD_DEVICE_GET_IRQ_INFO] = { "DEVICE_GET_IRQ_INFO", VUSER_C2S,
					    &layout_irq_info, &layout_irq_info, 0, 0 },
	[VUSER_CMD_DEVICE_SET_IRQS] = { "DEVICE_SET_IRQS", VUSER_C2S, &layout_irq_set,
					&layout_empty, FDS_MANY, 0 },
	[VUSER_CMD_REGION_READ] = { "REGION_READ", VUSER_C2S, &layout_access,
				    &layout_access_data, 0, 0 },
	[VUSER_CMD_REGION_WRITE] = { "REGION_WRITE", VUSER_C2S, &layout_access_data,
				     &layout_access, 0, 0 },
	[VUSER_CMD_DMA_READ] = { "DMA_READ", VUSER_S2C, &layout_dma_access,
				 &layout_dma_data, 0, 0 },
	[VUSER_CMD_DMA_WRITE] = { "DMA_WRITE", VUSER_S2C, &layout_dma_data,
				  &layout_dma_done, 0, 0 },
	[VUSER_CMD_DEVICE_RESET] = { "DEVICE_RESET", VUSER_C2S, &layout_empty,
				     &layout_empty, 0, 0 },
	[VUSER_CMD_REGION_WRITE_MULTI] = { "REGION_WRITE_MULTI", VUSER_C2S,
					   &layout_multi_command, &layout_multi_reply, 0,
					   0 },
	[VUSER_CMD_DEVICE_FEATURE] = { "DEVICE_FEATURE", VUSER_C2S, &layout_feature,
				       &layout_feature, 0, 0 },
	[VUSER_CMD_MIG_DATA_READ] = { "MIG_DATA_READ", VUSER_C2S, &layout_mig,
				      &layout_mig_data, 0, 0 },
	[VUSER_CMD_MIG_DATA_WRITE] = { "MIG_DATA_WRITE", VUSER_C2S, &layout_mig_data,
				       &layout_empty, 0, 0 },
};

const struct message_row *message_find(unsigned command)
{
	if (command >= VUSER_CMD_LIMIT || !message_table[command].name)
		return NULL;
	return &message_table[command];
}

const char *vuser_command_name(unsigned command)
{
	const struct message_row *row = message_find(command);

	return row ? row->name : NULL;
}

static bool same_name(const char *known, const char *given)
{
	for (; *known && *given; known++, given++)
		if (strncasecmp(known, *given == '-' ? "_" : given, 1) != 0)
			return false;
	return *known == *given;
}

unsigned vuser_command_number(const char *name)
{
	for (unsigned i = 0; i < VUSER_CMD_LIMIT; i++)
		if (message_table[i].name && same_name(message_table[i].name, name))
			return i;
	return 0;
}

/* ---- Decoding and encoding -------------------------------------------------------- */

static uint64_t member_get(const struct vuser_payload *p, const struct field *f)
{
	struct cursor c = cursor_at((const uint8_t *)p + f->member, f->stored);

	return cursor_uint(&c, f->stored);
}

static int decode_layout(const struct layout *l, const void *head, size_t head_len,
			 const void *tail, size_t tail_len, struct vuser_payload *p,
			 struct vuser_error *e)
{
	const uint8_t *bytes = head;

	memset(&p->u, 0, sizeof(p->u));
	p->tail = NULL;
	p->tail_len = 0;
	for (unsigned i = 0; i < l->nfields; i++) {
		const struct field *f = &l->fields[i];
		struct cursor c;

		if (head_len < f->offset || f->width > head_len - f->offset)
			return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + head_len,
					f->name, "the message ends before %s", f->name);
		c = cursor_at(bytes + f->offset, f->width);
		put_uint((uint8_t *)p + f->member, f->stored, cursor_uint(&c, f->width));
	}
	p->tail = tail;
	p->tail_len = tail_len;
	if (head_len > l->fixed) { /* head holds more than the fixed part: one piece */
		if (tail_len)
			return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + l->fixed,
					"size", "the data is in two pieces");
		p->tail = bytes + l->fixed;
		p->tail_len = head_len - l->fixed;
	}
	if (!l->tail && p->tail_len)
		return error_at(e, VUSER_E_PROTOCOL, VUSER_HEADER_SIZE + l->fixed, "size",
				"%zu bytes follow the %zu of the payload", p->tail_len,
				l->fixed);
	if (l->tail && l->tail->check)
		return l->tail->check(p, VUSER_HEADER_SIZE + l->fixed, e);
	return 0;
}

int payload_decode_split(unsigned command, bool reply, const void *head, size_t head_len,
			 const void *tail, size_t tail_len, struct vuser_payload *p,
			 struct vuser_error *e)
{
	const struct message_row *row = message_find(command);
	const struct layout *l;
	int r;

	*p = (struct vuser_payload){ .command = (uint16_t)command, .reply = reply };
	if (!row)
		return error_at(e, VUSER_E_PROTOCOL, 2, "command",
				"there is no command %u", command);
	l = reply ? row->reply : row->command;
	r = decode_layout(l, head, head_len, tail, tail_len, p, e);
	for (l = l->alternative; r && l; l = l->alternative)
		if (decode_layout(l, head, head_len, tail, tail_len, p, NULL) == 0)
			return 0;
	return r;
}

int vuser_payload_decode(unsigned command, bool reply, const void *buf, size_t len,
			 struct vuser_payload *p, struct vuser_error *e)
{
	return payload_decode_split(command, reply, buf, len, NULL, 0, p, e);
}

int payload_encode_fixed(const struct vuser_payload *p, void *buf, size_t cap,
			 size_t *len, struct vuser_error *e)
{
	const struct message_row *row = message_find(p->command);
	const struct layout *l;
	uint8_t *out = buf;

	if (!row)
		return error_set(e, VUSER_E_USAGE, 0, "there is no command %u",
				 p->command);
	l = p->reply ? row->reply : row->command;
	if (l->fixed > cap)
		return error_set(e, VUSER_E_USAGE, 0, "%s does not fit into %zu bytes",
				 row->name, cap);
	if ((!l->tail && p->tail_len) ||
	    (l->tail && l->tail->check && l->tail->check(p, 0, NULL)))
		return error_set(e, VUSER_E_USAGE, 0,
				 "%s cannot have %zu bytes after %zu", row->name,
				 p->tail_len, l->fixed);
	for (unsigned i = 0; i < l->nfields; i++)
		put_uint(out + l->fields[i].offset, l->fields[i].width,
			 member_get(p, &l->fields[i]));
	*len = l->fixed;
	return 0;
}

int vuser_payload_encode(const struct vuser_payload *p, void *buf, size_t cap,
			 size_t *len, struct vuser_error *e)
{
	int r = payload_encode_fixed(p, buf, cap, len, e);

	if (r)
		return r;
	if (p->tail_len > cap - *len)
		return error_set(e, VUSER_E_USAGE, 0, "%s does not fit into %zu bytes",
				 vuser_command_name(p->command), cap);
	if (p->tail_len)
		memcpy((uint8_t *)buf + *len, p->tail, p->tail_len);
	*len += p->tail_len;
	return 0;
}

int tail_must_be(const struct vuser_payload *p, size_t at, uint64_t want,
		 const char *field, struct vuser_error *e)
{
	if (p->tail_len == want)
		return 0;
	return error_at(e, VUSER_E_PROTOCOL, at, field,
			"%zu bytes of data follow where %s asks for %llu", p->tail_len,
			field, (unsigned long long)want);
}

/* ---- Naming fields ---------------------------------------------------------------- */

void tail_field(const struct vuser_payload *p, size_t at, size_t off, size_t size,
		struct vuser_field f, vuser_field_fn *fn, void *arg)
{
	struct cursor c;

	if (off >= p->tail_len)
		return;
	f.offset = at + off;
	f.size = size;
	f.bytes = p->tail + off;
	f.len = size < p->tail_len - off ? size : p->tail_len - off;
	if (f.show < VUSER_SHOW_BYTES) {
		c = cursor_at(f.bytes, f.len);
		f.value = cursor_uint(&c, size);
		if (c.failed)
			f.show = VUSER_SHOW_NONE;
	}
	fn(arg, &f);
}

/* The fixed part, as far as the bytes go. Returns false where they ended. */
static bool fixed_fields(const struct field *fields, unsigned n, size_t at,
			 const uint8_t *buf, size_t len, vuser_field_fn *fn, void *arg)
{
	for (unsigned i = 0; i < n; i++) {
		const struct field *row = &fields[i];
		struct vuser_field f = { .name = row->name,
					 .index = -1,
					 .offset = at + row->offset,
					 .size = row->width,
					 .show = row->show,
					 .key = row->key,
					 .names = row->names };
		struct cursor c;

		if (row->offset >= len)
			return false;
		f.bytes = buf + row->offset;
		f.len = row->width < len - row->offset ? row->width : len - row->offset;
		c = cursor_at(f.bytes, f.len);
		f.value = cursor_uint(&c, row->width);
		if (c.failed)
			f.show = VUSER_SHOW_NONE;
		fn(arg, &f);
		if (c.failed)
			return false;
	}
	return true;
}

static const struct named header_flags[] = {
	{ VUSER_TYPE_REPLY, "reply" },
	{ VUSER_FLAG_NO_REPLY, "no-reply" },
	{ VUSER_FLAG_ERROR, "error" },
	{ 0, NULL },
};

static const struct field header_fields[] = {
	{ "id", 0, 2, 0, false, VUSER_SHOW_COUNT, 0, NULL },
	{ "command", 2, 2, 0, false, VUSER_SHOW_COMMAND, 0, NULL },
	{ "size", 4, 4, 0, false, VUSER_SHOW_COUNT, 0, NULL },
	{ "flags", 8, 4, 0, false, VUSER_SHOW_FLAGS, 0, header_flags },
	{ "error", 12, 4, 0, false, VUSER_SHOW_ERRNO, 0, NULL },
};

/* The form a payload has, judged by its length alone where bytes are missing. */
static const struct layout *pick_layout(const struct layout *first, size_t payload)
{
	for (const struct layout *l = first; l; l = l->alternative)
		if (l->tail ? payload >= l->fixed : payload == l->fixed)
			return l;
	return first;
}

static const struct layout *layout_of(const struct message_row *row, const uint8_t *buf,
				      size_t len, const struct vuser_header *h,
				      bool *whole, struct vuser_payload *p)
{
	const struct layout *first = vuser_is_reply(h) ? row->reply : row->command;

	*p = (struct vuser_payload){ .command = h->command, .reply = vuser_is_reply(h) };
	*whole = h->size == len;
	for (const struct layout *l = first; *whole && l; l = l->alternative)
		if (decode_layout(l, buf, len - VUSER_HEADER_SIZE, NULL, 0, p, NULL) == 0)
			return l;
	*whole = false;
	return pick_layout(
		first, h->size >= VUSER_HEADER_SIZE ? h->size - VUSER_HEADER_SIZE : 0);
}

static void payload_fields(const struct message_row *row, const uint8_t *msg, size_t len,
			   const struct vuser_header *h, vuser_field_fn *fn, void *arg)
{
	const uint8_t *buf = msg + VUSER_HEADER_SIZE;
	size_t there = len - VUSER_HEADER_SIZE, at;
	struct vuser_field rest = { .name = "data",
				    .index = -1,
				    .show = VUSER_SHOW_NONE };
	struct vuser_payload p;
	const struct layout *l;
	bool whole;

	l = layout_of(row, buf, len, h, &whole, &p);
	at = VUSER_HEADER_SIZE + l->fixed;
	if (!fixed_fields(l->fields, l->nfields, VUSER_HEADER_SIZE, buf, there, fn,
			  arg) ||
	    there <= l->fixed)
		return;
	if (whole && l->tail && l->tail->walk) {
		l->tail->walk(&p, at, fn, arg);
		return;
	}
	if (l->tail) {
		rest.name = l->tail->name;
		rest.show = l->tail->show;
	}
	rest.offset = at;
	rest.size = (h->size > len ? h->size : len) - at;
	rest.bytes = buf + l->fixed;
	rest.len = there - l->fixed;
	fn(arg, &rest);
}

void vuser_fields(const void *msg, size_t len, vuser_field_fn *fn, void *arg)
{
	const struct message_row *row;
	struct vuser_header h;
	struct vuser_field rest = { .name = "payload",
				    .index = -1,
				    .offset = VUSER_HEADER_SIZE,
				    .show = VUSER_SHOW_NONE };

	if (!fixed_fields(header_fields, sizeof(header_fields) / sizeof(header_fields[0]),
			  0, msg, len, fn, arg) ||
	    len <= VUSER_HEADER_SIZE)
		return;
	(void)vuser_header_decode(msg, len, &h, NULL);
	row = message_find(h.command);
	if (row && !(vuser_is_reply(&h) && (h.flags & VUSER_FLAG_ERROR))) {
		payload_fields(row, msg, len, &h, fn, arg);
		return;
	}
	rest.bytes = (const uint8_t *)msg + VUSER_HEADER_SIZE;
	rest.len = rest.size = len - VUSER_HEADER_SIZE;
	fn(arg, &rest);
}
