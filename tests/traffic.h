/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: bytes from hex, in memory that ends with them; captured messages; chance. */
#ifndef VUSER_TESTS_TRAFFIC_H
#define VUSER_TESTS_TRAFFIC_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vuser.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Integers on the wire are the host's; the bytes in the tests are written for this one.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the tests' bytes are little-endian");

/* ---- Bytes ------------------------------------------------------------------------ */

/*
 * At an odd address, with nothing of the block behind the last byte, so that a sanitizer
 * sees any read beyond it.
 */
struct bytes {
	uint8_t *p;
	size_t len;
};

static inline struct bytes bytes_room(size_t len)
{
	uint8_t *block = malloc(len + 1);

	assert_non_null(block);
	block[0] = 0xee;
	return (struct bytes){ block + 1, len };
}

static inline struct bytes bytes_copy(const void *from, size_t len)
{
	struct bytes b = bytes_room(len);

	if (len)
		memcpy(b.p, from, len);
	return b;
}

static inline void bytes_free(struct bytes b)
{
	assert_int_equal(b.p[-1], 0xee);
	free(b.p - 1);
}

static inline unsigned hex_digit(char c)
{
	assert_true(isxdigit((unsigned char)c));
	return (unsigned)(isdigit((unsigned char)c)
				  ? c - '0'
				  : tolower((unsigned char)c) - 'a' + 10);
}

/* Two digits a byte, blanks where they help the reader. */
static inline struct bytes bytes_hex(const char *hex)
{
	struct bytes b;
	size_t digits = 0, n = 0;

	for (const char *c = hex; *c; c++)
		digits += !isspace((unsigned char)*c);
	assert_int_equal(digits % 2, 0);
	b = bytes_room(digits / 2);
	memset(b.p, 0, b.len);
	for (const char *c = hex; *c; c++) {
		if (isspace((unsigned char)*c))
			continue;
		b.p[n / 2] = (uint8_t)(b.p[n / 2] << 4 | hex_digit(*c));
		n++;
	}
	return b;
}

/* Puts a header before a payload that is given in hex. */
static inline struct bytes message_hex(unsigned command, uint32_t flags,
				       const char *payload)
{
	struct bytes body = bytes_hex(payload);
	struct bytes b = bytes_room(VUSER_HEADER_SIZE + body.len);
	struct vuser_header h = { .id = 1,
				  .command = (uint16_t)command,
				  .size = (uint32_t)b.len,
				  .flags = flags };

	vuser_header_encode(&h, b.p);
	if (body.len)
		memcpy(b.p + VUSER_HEADER_SIZE, body.p, body.len);
	bytes_free(body);
	return b;
}

static inline void assert_printable(const char *s)
{
	for (; *s; s++)
		assert_in_range((unsigned char)*s, 0x20, 0x7e);
}

/* ---- Chance, the same each time --------------------------------------------------- */

static inline uint64_t draw(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static inline size_t draw_below(size_t n)
{
	return (size_t)(draw() >> 16) % n;
}

static inline void draw_bytes(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(draw() >> 24);
}

#if defined(__has_feature)
#define HAS_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif

/* Rounds of chance: all where a sanitizer watches, a few where valgrind may. */
static inline size_t rounds(size_t all)
{
	return HAS_ASAN ? all : all / 50;
}

/* Numbers that counts, offsets and flags are made of, more often than chance has them. */
static inline uint32_t draw_word(void)
{
	static const uint32_t likely[] = {
		0,  0,	0,  1,	1,  2,	  3,	   4,	    8,	  12,	      16,
		24, 32, 40, 48, 64, 0x24, 0x10000, 0x20006, 4096, 0x7fffffff, 0xffffffff
	};
	size_t pick = draw_below(ARRAY_SIZE(likely) + 2);

	return pick < ARRAY_SIZE(likely) ? likely[pick] : (uint32_t)draw();
}

/* A message that is nearly right: its header's size mostly true, its numbers plausible.
 */
static inline struct bytes draw_message(void)
{
	struct bytes b = bytes_room(
		draw_below(16) ? VUSER_HEADER_SIZE + 4 * draw_below(48) : draw_below(80));
	struct vuser_header h = { .id = (uint16_t)draw(),
				  .command = (uint16_t)draw_below(VUSER_CMD_LIMIT + 1),
				  .size = (uint32_t)b.len,
				  .flags = (uint32_t)draw_below(2) };
	uint8_t raw[VUSER_HEADER_SIZE];

	draw_bytes(b.p, b.len);
	for (size_t at = VUSER_HEADER_SIZE; draw_below(64) && at + 4 <= b.len; at += 4) {
		uint32_t word = draw_word();

		memcpy(b.p + at, &word, 4);
	}
	if (!draw_below(8))
		h.size = draw_word();
	if (!draw_below(8))
		h.flags |= draw_word();
	h.error = draw_word();
	vuser_header_encode(&h, raw);
	memcpy(b.p, raw, b.len < sizeof(raw) ? b.len : sizeof(raw));
	if (draw_below(16) == 0) { /* one byte of a long tail too many or missing */
		struct bytes cut = bytes_copy(b.p, b.len - draw_below(b.len + 1));

		bytes_free(b);
		return cut;
	}
	return b;
}

/* ---- Captures --------------------------------------------------------------------- */

struct captured {
	enum vuser_dir dir;
	unsigned nfds;
	struct bytes msg;
};

static const char *const capture_files[] = {
	"tests/data/libvfio-user-sample-client_and_server.txt",
	"tests/data/qemu-11.1-client_libvfio-user-gpio-server.txt",
	"tests/data/qemu-11.1-client_vfuctl-edu-dma-messages.txt",
	"tests/data/qemu-11.1-client_vfuctl-edu-intx.txt",
	"tests/data/qemu-11.1-client_vfuctl-edu-linux-q35.txt",
};

/* The messages of a file: "seconds direction fds hex" a line. Run from the top directory.
 */
static inline struct captured *capture_read(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	struct captured *all = NULL;
	char *line = NULL, dir[4], *hex;
	size_t cap = 0;
	int at;

	if (!f)
		fail_msg("cannot open %s", path);
	*n = 0;
	while (getline(&line, &cap, f) > 0) {
		struct captured c;

		assert_int_equal(sscanf(line, "%*f %3s %u %n", dir, &c.nfds, &at), 2);
		hex = line + at;
		c.dir = strcmp(dir, "c2s") == 0 ? VUSER_C2S : VUSER_S2C;
		c.msg = bytes_hex(hex);
		all = realloc(all, (*n + 1) * sizeof(*all));
		assert_non_null(all);
		all[(*n)++] = c;
	}
	free(line);
	fclose(f);
	assert_true(*n > 100);
	return all;
}

static inline void capture_free(struct captured *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes_free(all[i].msg);
	free(all);
}

#endif
