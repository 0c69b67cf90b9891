/* SPDX-License-Identifier: BSD-3-Clause */
/* A strict check of JSON text (RFC 8259), and the places of members in text that passed.
 */
#ifndef VUSER_JSONTEXT_H
#define VUSER_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * cJSON forgives much and keeps numbers as doubles only. This check stands before it, so
 * that what it is given is JSON beyond doubt, and the walk beside it gives back what it
 * loses: where a member stands and how its value is written.
 */

#define JSON_MAX_DEPTH	16u /* arrays and objects within each other */
#define JSON_MAX_NUMBER 63u /* characters of a number: cJSON takes no more */

struct json_span {
	size_t at, len;
};

struct json_fault {
	size_t offset;	  /* of the first byte that is wrong */
	const char *what; /* "a number with a leading zero" */
	/* Names of the members it lies in, outermost first, as written between the
	 * quotes. */
	struct json_span names[JSON_MAX_DEPTH];
	size_t depth;
};

/*
 * Whether the len bytes at text are one JSON value with nothing but blanks around it:
 * valid UTF-8, no \u0000, no half of a surrogate pair, not nested deeper than
 * JSON_MAX_DEPTH, no number longer than JSON_MAX_NUMBER. If not, fault says where and
 * why.
 */
bool json_check(const char *text, size_t len, struct json_fault *fault);

struct json_member {
	struct json_span name;	/* between the quotes, escapes as written */
	struct json_span value; /* without blanks around it */
};

/* Steps through an object's members in the order of the text, duplicates included. */
struct json_walk {
	const char *text;
	size_t len, off;
};

/* object is the offset of a { in a text that json_check() passed. */
struct json_walk json_walk_begin(const char *text, size_t len, size_t object);
bool json_walk_next(struct json_walk *w, struct json_member *m);

#endif
