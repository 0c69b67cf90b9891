/* SPDX-License-Identifier: BSD-3-Clause */
/* The 16 bytes before every message: reading, checking, writing. */
#include "cursor.h"
#include "error.h"

int vuser_header_decode(const void *buf, size_t len, struct vuser_header *h,
			struct vuser_error *e)
{
	struct cursor c = cursor_at(buf, len);

	if (len < VUSER_HEADER_SIZE)
		return 1;
	h->id = cursor_u16(&c);
	h->command = cursor_u16(&c);
	h->size = cursor_u32(&c);
	h->flags = cursor_u32(&c);
	h->error = cursor_u32(&c);
	if (h->size < VUSER_HEADER_SIZE)
		return error_at(e, VUSER_E_PROTOCOL, 4, "size",
				"the header's size is %u, below the %u bytes of a header",
				h->size, VUSER_HEADER_SIZE);
	if ((h->flags & VUSER_TYPE_MASK) > VUSER_TYPE_REPLY)
		return error_at(e, VUSER_E_PROTOCOL, 8, "flags",
				"message type %u is neither command nor reply",
				h->flags & VUSER_TYPE_MASK);
	return 0;
}

void vuser_header_encode(const struct vuser_header *h, void *buf)
{
	uint8_t *p = buf;

	put_uint(p, 2, h->id);
	put_uint(p + 2, 2, h->command);
	put_uint(p + 4, 4, h->size);
	put_uint(p + 8, 4, h->flags);
	put_uint(p + 12, 4, h->error);
}
