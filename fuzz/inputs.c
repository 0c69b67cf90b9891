// SPDX-License-Identifier: BSD-3-Clause
/* The form of each harness's input: reading it, and making it of a message. */
#include <stdlib.h>
#include <string.h>

#include "inputs.h"

/* ---- caps ---------------------------------------------------------------------- */

static void make_offer(unsigned how, struct vuser_caps *caps)
{
	*caps = (struct vuser_caps){ 0 }; /* what is not present is not looked at */
	caps->present = VUSER_CAP_MAX_DMA_MAPS | VUSER_CAP_MIG_MAX_BITMAP_SIZE;
	caps->max_dma_maps = how & CAPS_LOW ? 2 : UINT64_MAX;
	caps->migration_max_bitmap_size = how & CAPS_LOW ? 4096 : UINT64_MAX - 1;
	caps->twin_supported = how & CAPS_TWIN;
	if (how & CAPS_TWIN)
		caps->present |= VUSER_CAP_TWIN_SUPPORTED;
}

char *caps_input_read(const uint8_t *data, size_t size, struct caps_input *in,
		      size_t *len)
{
	struct fuzz_input rest = { data, size };
	unsigned how = fuzz_u8(&rest);
	char *text;

	in->reply = how & CAPS_REPLY;
	in->has_offer = how & CAPS_OFFER;
	make_offer(how, &in->offer);
	*len = rest.len + !(how & CAPS_RAW);
	text = fuzz_block(*len);
	if (rest.len)
		memcpy(text, rest.p, rest.len);
	if (!(how & CAPS_RAW))
		text[rest.len] = '\0';
	return text;
}

/* ---- stream -------------------------------------------------------------------- */

static const uint64_t limits[] = { 16, 17, 32, 64, 128, 4096, 16384, 65552 };

size_t stream_input_bytes(const uint8_t *data, size_t size)
{
	size_t n = size > 1 ? 2 + 2 * (size_t)(data[1] % (STREAM_MAX_PIECES + 1)) : size;

	return n < size ? n : size;
}

/* The pieces as the plan has them, filler cut to what there may be of it. Returns its
 * sum. */
static size_t read_plan(struct fuzz_input *plan, struct stream_input *in)
{
	unsigned how = fuzz_u8(plan);
	size_t unit = (how & STREAM_KIND) == STREAM_FAR ? STREAM_LARGE : STREAM_SMALL,
	       sum = 0;

	in->limit = limits[how % (sizeof(limits) / sizeof(limits[0]))];
	fuzz_u8(plan);
	for (in->npieces = 0; plan->len; in->npieces++) {
		struct stream_piece *piece = &in->pieces[in->npieces];

		piece->len = fuzz_u8(plan);
		how = fuzz_u8(plan);
		piece->nfds = how & STREAM_FDS;
		piece->filler = (how & STREAM_KIND) == STREAM_FILL;
		if (!piece->filler)
			continue;
		piece->len *= unit;
		if (piece->len > STREAM_MAX_FILLER - sum)
			piece->len = STREAM_MAX_FILLER - sum;
		sum += piece->len;
	}
	return sum;
}

/* Puts a piece's bytes where they belong; one of none is left out, for no read has none.
 */
static void lay_out(struct stream_input *in, struct stream_piece piece,
		    struct fuzz_input *bytes)
{
	if (!piece.filler && piece.len > bytes->len)
		piece.len = bytes->len;
	if (!piece.len)
		return;
	if (piece.filler) {
		memset(in->bytes + in->len, 0x5a, piece.len);
	} else {
		memcpy(in->bytes + in->len, bytes->p, piece.len);
		bytes->p += piece.len;
		bytes->len -= piece.len;
	}
	in->len += piece.len;
	in->pieces[in->npieces++] = piece;
}

void stream_input_read(const uint8_t *data, size_t size, struct stream_input *in)
{
	size_t at = stream_input_bytes(data, size), n;
	struct fuzz_input plan = { data, at }, bytes = { data + at, size - at };

	in->bytes = fuzz_block(size - at + read_plan(&plan, in));
	in->len = 0;
	n = in->npieces;
	in->npieces = 0;
	for (size_t i = 0; i < n; i++)
		lay_out(in, in->pieces[i], &bytes);
	lay_out(in, (struct stream_piece){ .len = bytes.len }, &bytes);
}

/* ---- payload ------------------------------------------------------------------- */

void payload_input_read(const uint8_t *data, size_t size, struct payload_input *in)
{
	static const uint32_t slips[] = { 0, UINT32_MAX, 1, 0x10000 };
	struct fuzz_input rest = { data, size };
	unsigned how, keep;

	*in = (struct payload_input){ .command = fuzz_u8(&rest) };
	how = fuzz_u8(&rest);
	keep = fuzz_u8(&rest);
	in->reply = how & PAYLOAD_REPLY;
	in->payload = rest.p;
	in->len = rest.len;
	in->h = (struct vuser_header){
		.id = 1,
		.command = (uint16_t)in->command,
		.size = (uint32_t)(VUSER_HEADER_SIZE + rest.len) +
			slips[(how & PAYLOAD_SLIP) >> 2],
		.flags = (in->reply ? VUSER_TYPE_REPLY : VUSER_TYPE_COMMAND) |
			 (how & PAYLOAD_ERROR ? VUSER_FLAG_ERROR : 0) |
			 (how & PAYLOAD_BAD_TYPE ? 0xe : 0),
		.error = (how & PAYLOAD_ERRNO) >> 4,
	};
	in->kept = VUSER_HEADER_SIZE + rest.len;
	if (keep != PAYLOAD_KEEP_ALL && keep < in->kept)
		in->kept = keep;
}

/* ---- Messages as inputs -------------------------------------------------------- */

static uint8_t *prefixed(const void *prefix, size_t n, const uint8_t *rest, size_t size,
			 size_t *len)
{
	uint8_t *p = fuzz_block(n + size);

	memcpy(p, prefix, n);
	if (size)
		memcpy(p + n, rest, size);
	*len = n + size;
	return p;
}

static uint8_t *caps_of_message(const uint8_t *msg, size_t size,
				const struct vuser_header *h, size_t *len)
{
	uint8_t how = (uint8_t)(CAPS_RAW | (vuser_is_reply(h) ? CAPS_REPLY : 0));
	const size_t text = VUSER_HEADER_SIZE + 4;

	if (h->command != VUSER_CMD_VERSION || size < text)
		return NULL;
	if (size > text && msg[size - 1] == '\0') {
		how &= (uint8_t)~CAPS_RAW;
		size--;
	}
	return prefixed(&how, 1, msg + text, size - text, len);
}

static uint8_t *payload_of_message(const uint8_t *msg, size_t size,
				   const struct vuser_header *h, size_t *len)
{
	uint8_t prefix[PAYLOAD_PREFIX] = { (uint8_t)h->command,
					   vuser_is_reply(h) ? PAYLOAD_REPLY : 0,
					   PAYLOAD_KEEP_ALL };

	if (size < VUSER_HEADER_SIZE || h->command > UINT8_MAX)
		return NULL;
	return prefixed(prefix, sizeof(prefix), msg + VUSER_HEADER_SIZE,
			size - VUSER_HEADER_SIZE, len);
}

/* The message comes in two pieces where it is long enough, its descriptors with the last.
 */
static uint8_t *stream_of_message(const uint8_t *msg, size_t size, unsigned nfds,
				  size_t *len)
{
	uint8_t prefix[] = { 5, 2, 16, 0, 0xff, (uint8_t)(nfds & STREAM_FDS) };

	return prefixed(prefix, sizeof(prefix), msg, size, len);
}

uint8_t *input_of_message(const char *harness, const uint8_t *msg, size_t size,
			  unsigned nfds, size_t *len)
{
	struct vuser_header h = { 0 };

	(void)vuser_header_decode(msg, size, &h, NULL);
	if (strcmp(harness, "header") == 0)
		return prefixed("", 0, msg, size < 20 ? size : 20, len);
	if (strcmp(harness, "caps") == 0)
		return caps_of_message(msg, size, &h, len);
	if (strcmp(harness, "payload") == 0)
		return payload_of_message(msg, size, &h, len);
	if (strcmp(harness, "stream") == 0)
		return stream_of_message(msg, size, nfds, len);
	return NULL;
}
