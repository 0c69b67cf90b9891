/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounds-checked reading and writing of wire data. A cursor that fails stays failed, at
 * the offset where it did; integers are in the host's byte order, at any alignment.
 */
#ifndef VUSER_CURSOR_H
#define VUSER_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const uint8_t *p;
	size_t len, off;
	bool failed;
};

static inline struct cursor cursor_at(const void *buf, size_t len)
{
	return (struct cursor){ .p = buf, .len = len };
}

/* The next n bytes, NULL if they are not all there. */
static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *at;

	if (c->failed || n > c->len - c->off) {
		c->failed = true;
		return NULL;
	}
	at = c->p + c->off;
	c->off += n;
	return at;
}

/* An integer of 1, 2, 4 or 8 bytes; 0 once failed. */
static inline uint64_t cursor_uint(struct cursor *c, size_t width)
{
	const uint8_t *at = cursor_bytes(c, width);
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	if (!at)
		return 0;
	switch (width) {
	case 8:
		memcpy(&v64, at, 8);
		return v64;
	case 4:
		memcpy(&v32, at, 4);
		return v32;
	case 2:
		memcpy(&v16, at, 2);
		return v16;
	default:
		return *at;
	}
}

static inline uint16_t cursor_u16(struct cursor *c)
{
	return (uint16_t)cursor_uint(c, 2);
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	return (uint32_t)cursor_uint(c, 4);
}

static inline uint64_t cursor_u64(struct cursor *c)
{
	return cursor_uint(c, 8);
}

/* Stores the low width bytes of v at p, which has room for them. */
static inline void put_uint(void *p, size_t width, uint64_t v)
{
	uint32_t v32 = (uint32_t)v;
	uint16_t v16 = (uint16_t)v;
	uint8_t v8 = (uint8_t)v;

	switch (width) {
	case 8:
		memcpy(p, &v, 8);
		break;
	case 4:
		memcpy(p, &v32, 4);
		break;
	case 2:
		memcpy(p, &v16, 2);
		break;
	default:
		memcpy(p, &v8, 1);
	}
}

#endif
