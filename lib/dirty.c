/* SPDX-License-Identifier: BSD-3-Clause */
/* The log of what a device wrote to its client's memory, page by page. */
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "dirty.h"

/*
 * A piece of the bitmap, made when a page in it is first written: addresses are sparse,
 * and a client must not make us allocate for those it only talks about.
 */
#define CHUNK_SHIFT 12u
#define CHUNK_PAGES (1u << CHUNK_SHIFT)
#define CHUNK_WORDS (CHUNK_PAGES / 64)

struct dirty_chunk {
	uint64_t number; /* of its first page, >> CHUNK_SHIFT */
	uint64_t bits[CHUNK_WORDS];
};

bool dirty_is_power(uint64_t v)
{
	return v && !(v & (v - 1));
}

static unsigned shift_of(uint64_t page_size)
{
	return (unsigned)__builtin_ctzll(page_size);
}

void dirty_start(struct dirty_log *d, uint64_t page_size, uint64_t limit)
{
	if (limit < DIRTY_LEAST)
		limit = DIRTY_LEAST;
	*d = (struct dirty_log){ .on = true,
				 .shift = shift_of(page_size),
				 .most = (size_t)(limit / sizeof(struct dirty_chunk)) };
}

bool dirty_add_range(struct dirty_log *d, struct vuser_area range)
{
	if (d->nranges == VUSER_MAX_LOG_RANGES || !range.size ||
	    range.size - 1 > UINT64_MAX - range.offset)
		return false;
	d->ranges[d->nranges++] = range;
	return true;
}

void dirty_stop(struct dirty_log *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->chunks[i]);
	free(d->chunks);
	*d = (struct dirty_log){ 0 };
}

/* ---- Bits ------------------------------------------------------------------------ */

/* Sets those of one word that are in mask. */
static void set_word(uint8_t *words, uint64_t n, uint64_t mask)
{
	struct cursor c = cursor_at(words + n * 8, 8);

	put_uint(words + n * 8, 8, cursor_u64(&c) | mask);
}

/* Sets bits first to last. */
static void set_bits(uint8_t *words, uint64_t first, uint64_t last)
{
	uint64_t head = UINT64_MAX << first % 64, tail = UINT64_MAX >> (63 - last % 64);
	uint64_t from = first / 64, to = last / 64;

	if (from == to) {
		set_word(words, from, head & tail);
		return;
	}
	set_word(words, from, head);
	memset(words + (from + 1) * 8, 0xff, (size_t)(to - from - 1) * 8);
	set_word(words, to, tail);
}

/* ---- Writing to it --------------------------------------------------------------- */

/* Where the chunk of that number stands, or would stand. */
static size_t position(const struct dirty_log *d, uint64_t number)
{
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->chunks[mid]->number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The chunk of that number, made if it was not there; NULL when there is no memory. */
static struct dirty_chunk *chunk_of(struct dirty_log *d, uint64_t number)
{
	size_t at = position(d, number);
	struct dirty_chunk *chunk;

	if (at < d->n && d->chunks[at]->number == number)
		return d->chunks[at];
	if (d->n == d->most)
		return NULL;
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 16;
		struct dirty_chunk **v =
			realloc(d->chunks, cap * sizeof(struct dirty_chunk *));

		if (!v)
			return NULL;
		d->chunks = v;
		d->cap = cap;
	}
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->number = number;
	memmove(d->chunks + at + 1, d->chunks + at,
		(d->n - at) * sizeof(struct dirty_chunk *));
	d->chunks[at] = chunk;
	d->n++;
	return chunk;
}

/* Addresses first to last, which is not below it. */
static void mark(struct dirty_log *d, uint64_t first, uint64_t last)
{
	uint64_t page = first >> d->shift, end = last >> d->shift;

	for (;;) {
		uint64_t number = page >> CHUNK_SHIFT, in = page % CHUNK_PAGES;
		uint64_t left = end - page, room = CHUNK_PAGES - 1 - in;
		uint64_t n = left < room ? left : room; /* pages besides this one */
		struct dirty_chunk *chunk = chunk_of(d, number);

		if (!chunk) {
			d->lost = true;
			return;
		}
		set_bits((uint8_t *)chunk->bits, in, in + n);
		if (n == left)
			return;
		page += n + 1;
	}
}

void dirty_mark(struct dirty_log *d, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + (len - 1);

	if (!d->on || d->lost)
		return;
	if (!d->nranges)
		mark(d, iova, last);
	for (size_t i = 0; i < d->nranges; i++) {
		uint64_t from = d->ranges[i].offset, to = from + (d->ranges[i].size - 1);

		if (from <= last && iova <= to)
			mark(d, iova > from ? iova : from, last < to ? last : to);
	}
}

/* ---- Reporting ------------------------------------------------------------------- */

struct report {
	uint64_t first, last; /* addresses */
	unsigned shift;	      /* of its pages */
	uint8_t *bitmap;
};

/* One page of the log that was written to. Returns whether it is done with. */
static bool report_page(const struct dirty_log *d, const struct report *r, uint64_t page)
{
	uint64_t first = page << d->shift;
	uint64_t last = first + ((UINT64_C(1) << d->shift) - 1);
	bool whole = first >= r->first && last <= r->last;

	if (last < r->first || first > r->last)
		return false;
	if (first < r->first)
		first = r->first;
	if (last > r->last)
		last = r->last;
	set_bits(r->bitmap, (first - r->first) >> r->shift,
		 (last - r->first) >> r->shift);
	return whole;
}

/* Returns whether there is a page left in it. */
static bool report_chunk(const struct dirty_log *d, const struct report *r,
			 struct dirty_chunk *chunk)
{
	bool left = false;

	for (unsigned i = 0; i < CHUNK_WORDS; i++) {
		uint64_t base = (chunk->number << CHUNK_SHIFT) + i * 64;

		for (uint64_t rest = chunk->bits[i]; rest; rest &= rest - 1) {
			unsigned bit = shift_of(rest & -rest);

			if (report_page(d, r, base + bit))
				chunk->bits[i] &= ~(UINT64_C(1) << bit);
		}
		left |= chunk->bits[i] != 0;
	}
	return left;
}

void dirty_report(struct dirty_log *d, uint64_t iova, uint64_t length, uint64_t page_size,
		  uint8_t *bitmap)
{
	struct report r = { .first = iova,
			    .last = iova + (length - 1),
			    .shift = shift_of(page_size),
			    .bitmap = bitmap };
	uint64_t end = r.last >> d->shift >> CHUNK_SHIFT;
	size_t at = position(d, iova >> d->shift >> CHUNK_SHIFT), kept = at;

	memset(bitmap, 0, vuser_dirty_words(length, page_size) * 8);
	if (at == d->n)
		return;
	for (; at < d->n && d->chunks[at]->number <= end; at++) {
		if (report_chunk(d, &r, d->chunks[at]))
			d->chunks[kept++] = d->chunks[at];
		else
			free(d->chunks[at]);
	}
	memmove(d->chunks + kept, d->chunks + at,
		(d->n - at) * sizeof(struct dirty_chunk *));
	d->n -= at - kept;
}
