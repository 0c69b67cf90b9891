/* SPDX-License-Identifier: BSD-3-Clause */
/* A strict reader of JSON for the oracles, which shares nothing with the library's. */
#ifndef FUZZ_STRICTJSON_H
#define FUZZ_STRICTJSON_H

#include <stdbool.h>
#include <stddef.h>

/*
 * RFC 8259 to the letter: UTF-8 without overlong forms, surrogates in pairs, numbers
 * without leading zeros, no control characters in strings, nothing but the four blanks
 * between tokens. Nesting is bounded by memory alone: no recursion.
 */

enum strict_kind {
	STRICT_NULL,
	STRICT_FALSE,
	STRICT_TRUE,
	STRICT_NUMBER,
	STRICT_STRING,
	STRICT_ARRAY,
	STRICT_OBJECT,
};

struct strict_node {
	enum strict_kind kind;
	size_t at, len;		  /* as written, containers with their brackets */
	size_t name_at, name_len; /* of a member: as written, with the quotes */
	char *name; /* without escapes, name_bytes of them; may hold a NUL */
	size_t name_bytes;
	unsigned depth;	 /* of containers around it */
	size_t children; /* members or elements */
	struct strict_node *parent, *child, *last, *next;
};

struct strict_text {
	struct strict_node *root;
	unsigned depth;	       /* of the deepest container, from 1 */
	size_t longest_number; /* in characters */
	bool nul;	       /* a \u0000 in a string or a name */
	size_t wrong;	       /* where it stopped being JSON */
};

/* False if text is no JSON; then only wrong is filled. strict_free() either way. */
bool strict_read(const char *text, size_t len, struct strict_text *out);
void strict_free(struct strict_text *t);

/* The member with that name of an object, the first if there are several; NULL if none.
 */
const struct strict_node *strict_member(const struct strict_node *object,
					const char *name);
bool strict_has_duplicates(const struct strict_node *object);

#endif
