/* SPDX-License-Identifier: BSD-3-Clause */
/* The form of each harness's input, for the harnesses and for all that makes inputs. */
#ifndef FUZZ_INPUTS_H
#define FUZZ_INPUTS_H

#include "harness.h"
#include "vuser.h"

/*
 * header: the bytes of a header, and any that follow.
 *
 * caps: one byte of CAPS_*, then the text. CAPS_RAW leaves the text as it is, else a NUL
 * is added.
 */
#define CAPS_REPLY 0x01u /* a server's reply, else a client's proposal */
#define CAPS_OFFER 0x02u /* there was an offer, else the defaults */
#define CAPS_LOW   0x04u /* the offer names low limits, else high ones */
#define CAPS_TWIN  0x08u /* the offer names a twin socket */
#define CAPS_RAW   0x10u

struct caps_input {
	bool reply, has_offer;
	struct vuser_caps offer;
};

/* The text of an input: len bytes and no more, free() it. */
char *caps_input_read(const uint8_t *data, size_t size, struct caps_input *in,
		      size_t *len);

/*
 * stream: a byte that chooses the limit, a byte with the number of pieces, two bytes for
 * each piece, then the bytes of the stream. A piece is what one sendmsg() carried: its
 * first byte is its length; STREAM_FDS of the second is how many descriptors came with
 * it, and if its other bits are STREAM_FILL, the length is in units of filler. What no
 * piece covers is one more piece. A unit is STREAM_LARGE bytes if the same bits of the
 * first byte of all are STREAM_FAR, else STREAM_SMALL: large streams are slow, so they
 * are to be rare.
 */
#define STREAM_KIND	  0xe0u
#define STREAM_FILL	  0x60u
#define STREAM_FAR	  0xa0u
#define STREAM_FDS	  0x1fu
#define STREAM_SMALL	  16u
#define STREAM_LARGE	  512u
#define STREAM_MAX_PIECES 32u
#define STREAM_MAX_FILLER (128u << 10)

struct stream_piece {
	size_t len;
	unsigned nfds;
	bool filler;
};

struct stream_input {
	uint64_t limit;
	struct stream_piece pieces[STREAM_MAX_PIECES + 1];
	size_t npieces;
	uint8_t *bytes; /* the whole stream; free() it */
	size_t len;
};

void stream_input_read(const uint8_t *data, size_t size, struct stream_input *in);
/* Where the stream's bytes begin in an input. */
size_t stream_input_bytes(const uint8_t *data, size_t size);

/*
 * payload: the command's number, a byte of PAYLOAD_*, a byte for the limits, the payload.
 * The limits: how many bytes of the message a trace kept (PAYLOAD_KEEP_ALL: all), and a
 * slip in the header's size.
 */
#define PAYLOAD_REPLY	 0x01u
#define PAYLOAD_ERROR	 0x02u
#define PAYLOAD_SLIP	 0x0cu /* the header's size: right, one less, one more, far more */
#define PAYLOAD_ERRNO	 0x70u /* of the header */
#define PAYLOAD_BAD_TYPE 0x80u /* neither command nor reply, as a trace may have it */
#define PAYLOAD_KEEP_ALL 0xffu
#define PAYLOAD_PREFIX	 3u

struct payload_input {
	unsigned command;
	bool reply;
	const uint8_t *payload; /* in data */
	size_t len;
	struct vuser_header h; /* as it would stand before that payload */
	size_t kept;	       /* of the message with its header */
};

void payload_input_read(const uint8_t *data, size_t size, struct payload_input *in);

/*
 * What a whole message is as an input of a harness: *len bytes to be freed, NULL if that
 * harness has no use for it.
 */
uint8_t *input_of_message(const char *harness, const uint8_t *msg, size_t size,
			  unsigned nfds, size_t *len);

#endif
