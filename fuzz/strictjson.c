// SPDX-License-Identifier: BSD-3-Clause
/* A strict reader of JSON for the oracles: one loop over states, no recursion. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "strictjson.h"

struct reader {
	const uint8_t *s;
	size_t n, i;
	struct strict_text *out;
	struct strict_node *open; /* the innermost container */
};

/* ---- Numbers: a machine of states ---------------------------------------------- */

enum number_state {
	START,
	MINUS,
	ZERO,
	DIGITS,
	POINT,
	FRACTION,
	E,
	SIGN,
	EXPONENT,
	STOP
};

static enum number_state number_step(enum number_state at, int c)
{
	bool digit = c >= '0' && c <= '9';

	switch (at) {
	case START:
		if (c == '-')
			return MINUS;
		/* fall through */
	case MINUS:
		return !digit ? STOP : c == '0' ? ZERO : DIGITS;
	case DIGITS:
		if (digit)
			return DIGITS;
		/* fall through */
	case ZERO:
		return c == '.' ? POINT : c == 'e' || c == 'E' ? E : STOP;
	case POINT:
		return digit ? FRACTION : STOP;
	case FRACTION:
		if (digit)
			return FRACTION;
		return c == 'e' || c == 'E' ? E : STOP;
	case E:
		if (c == '+' || c == '-')
			return SIGN;
		/* fall through */
	case SIGN:
	case EXPONENT:
		return digit ? EXPONENT : STOP;
	default:
		return STOP;
	}
}

static bool read_number(struct reader *r)
{
	enum number_state at = START, next;
	size_t from = r->i;

	for (;; r->i++, at = next) {
		next = number_step(at, r->i < r->n ? r->s[r->i] : -1);
		if (next == STOP)
			break;
	}
	if (r->i - from > r->out->longest_number)
		r->out->longest_number = r->i - from;
	return at == ZERO || at == DIGITS || at == FRACTION || at == EXPONENT;
}

/* ---- Strings ------------------------------------------------------------------- */

/* The well-formed byte sequences of UTF-8: the ranges of the first and the second byte.
 */
static const struct utf8 {
	uint8_t first, last, low, high, more;
} sequences[] = {
	{ 0x20, 0x7f, 0x00, 0x00, 0 }, { 0xc2, 0xdf, 0x80, 0xbf, 0 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 1 }, { 0xe1, 0xec, 0x80, 0xbf, 1 },
	{ 0xed, 0xed, 0x80, 0x9f, 1 }, { 0xee, 0xef, 0x80, 0xbf, 1 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 2 }, { 0xf1, 0xf3, 0x80, 0xbf, 2 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 2 },
};

/* Bytes of the character at p, 0 if it is none. */
static size_t character(const uint8_t *p, size_t n)
{
	for (size_t k = 0; k < sizeof(sequences) / sizeof(sequences[0]); k++) {
		const struct utf8 *u = &sequences[k];

		if (p[0] < u->first || p[0] > u->last)
			continue;
		if (!u->high)
			return 1;
		if (n < 2u + u->more || p[1] < u->low || p[1] > u->high)
			return 0;
		for (size_t i = 0; i < u->more; i++)
			if (p[2 + i] < 0x80 || p[2 + i] > 0xbf)
				return 0;
		return 2u + u->more;
	}
	return 0;
}

static bool unit(const uint8_t *p, size_t n, uint32_t *out)
{
	static const char hex[] = "0123456789abcdef0123456789ABCDEF";

	*out = 0;
	if (n < 6 || p[0] != '\\' || p[1] != 'u')
		return false;
	for (size_t i = 2; i < 6; i++) {
		const char *at = p[i] ? strchr(hex, p[i]) : NULL;

		if (!at)
			return false;
		*out = *out * 16 + (uint32_t)(at - hex) % 16;
	}
	return true;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* An escape's character; returns how long it is as written, 0 if it is none. */
static size_t escape(const uint8_t *p, size_t n, uint32_t *c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = n > 1 && p[1] ? strchr(from, p[1]) : NULL;
	uint32_t low;

	if (at) {
		*c = (uint8_t)to[at - from];
		return 2;
	}
	if (!unit(p, n, c))
		return 0;
	if (*c < 0xd800 || *c > 0xdfff)
		return 6;
	if (*c > 0xdbff || n < 12 || !unit(p + 6, n - 6, &low) || low < 0xdc00 ||
	    low > 0xdfff)
		return 0;
	*c = 0x10000 + ((*c & 0x3ff) << 10) + (low & 0x3ff);
	return 12;
}

/* With text, the string without its escapes goes there: never longer than as written. */
static bool read_string(struct reader *r, char *text, size_t *len)
{
	size_t o = 0, step;
	uint32_t c;

	for (r->i++; r->i < r->n && r->s[r->i] != '"'; r->i += step) {
		const uint8_t *p = r->s + r->i;

		if (*p == '\\') {
			step = escape(p, r->n - r->i, &c);
			r->out->nul |= step && !c;
			if (step && text)
				o += put_utf8(text + o, c);
		} else {
			step = character(p, r->n - r->i);
			if (text && step)
				memcpy(text + o, p, step);
			o += step;
		}
		if (!step)
			return false;
	}
	if (r->i == r->n)
		return false;
	r->i++;
	if (len)
		*len = o;
	return true;
}

/* ---- Values -------------------------------------------------------------------- */

static void blanks(struct reader *r)
{
	while (r->i < r->n && r->s[r->i] && strchr(" \t\r\n", r->s[r->i]))
		r->i++;
}

static bool word(struct reader *r, const char *w)
{
	size_t n = strlen(w);

	if (r->n - r->i < n || memcmp(r->s + r->i, w, n) != 0)
		return false;
	r->i += n;
	return true;
}

static bool read_name(struct reader *r, struct strict_node *node)
{
	struct reader ahead = *r;

	if (r->i == r->n || r->s[r->i] != '"' || !read_string(&ahead, NULL, NULL))
		return false;
	node->name_at = r->i;
	node->name_len = ahead.i - r->i;
	node->name = fuzz_block(node->name_len);
	read_string(r, node->name, &node->name_bytes);
	blanks(r);
	if (!word(r, ":"))
		return false;
	blanks(r);
	return true;
}

static struct strict_node *add_node(struct reader *r)
{
	struct strict_node *node = fuzz_block(sizeof(*node));

	*node = (struct strict_node){ .parent = r->open };
	if (!r->open) {
		r->out->root = node;
		return node;
	}
	node->depth = r->open->depth + 1;
	r->open->children++;
	if (r->open->last)
		r->open->last->next = node;
	else
		r->open->child = node;
	r->open->last = node;
	return node;
}

/* A value that is no container, or the beginning of one, which becomes the open one. */
static bool begin_value(struct reader *r)
{
	static const struct {
		const char *text;
		enum strict_kind kind;
	} words[] = { { "null", STRICT_NULL },
		      { "false", STRICT_FALSE },
		      { "true", STRICT_TRUE } };
	struct strict_node *node = add_node(r);

	if (node->parent && node->parent->kind == STRICT_OBJECT && !read_name(r, node))
		return false;
	node->at = r->i;
	if (r->i == r->n)
		return false;
	if (word(r, "{") || word(r, "[")) {
		node->kind = r->s[node->at] == '{' ? STRICT_OBJECT : STRICT_ARRAY;
		r->open = node;
		if (node->depth + 1 > r->out->depth)
			r->out->depth = node->depth + 1;
		return true;
	}
	for (size_t k = 0; k < 3; k++)
		if (word(r, words[k].text)) {
			node->kind = words[k].kind;
			node->len = r->i - node->at;
			return true;
		}
	node->kind = r->s[r->i] == '"' ? STRICT_STRING : STRICT_NUMBER;
	if (!(node->kind == STRICT_STRING ? read_string(r, NULL, NULL) : read_number(r)))
		return false;
	node->len = r->i - node->at;
	return true;
}

static bool close_open(struct reader *r)
{
	if (!word(r, r->open->kind == STRICT_OBJECT ? "}" : "]"))
		return false;
	r->open->len = r->i - r->open->at;
	r->open = r->open->parent;
	return true;
}

static bool read_all(struct reader *r)
{
	bool fresh; /* the container was opened by the last token */

	blanks(r);
	if (!begin_value(r))
		return false;
	for (fresh = r->open; r->open;) {
		struct strict_node *before = r->open;

		blanks(r);
		if (close_open(r)) {
			fresh = false;
			continue;
		}
		if (!fresh && !word(r, ","))
			return false;
		blanks(r);
		if (!begin_value(r))
			return false;
		fresh = r->open != before;
	}
	blanks(r);
	return r->i == r->n;
}

bool strict_read(const char *text, size_t len, struct strict_text *out)
{
	struct reader r = { .s = (const uint8_t *)text, .n = len, .out = out };

	*out = (struct strict_text){ 0 };
	if (read_all(&r))
		return true;
	out->wrong = r.i;
	return false;
}

void strict_free(struct strict_text *t)
{
	struct strict_node *n = t->root, *up;

	while (n) {
		if (n->child) {
			up = n->child;
			n->child = NULL;
			n = up;
			continue;
		}
		up = n->next ? n->next : n->parent;
		free(n->name);
		free(n);
		n = up;
	}
	t->root = NULL;
}

const struct strict_node *strict_member(const struct strict_node *object,
					const char *name)
{
	size_t len = strlen(name);

	for (const struct strict_node *m = object->child; m; m = m->next)
		if (m->name && m->name_bytes == len && memcmp(m->name, name, len) == 0)
			return m;
	return NULL;
}

bool strict_has_duplicates(const struct strict_node *object)
{
	for (const struct strict_node *a = object->child; a; a = a->next)
		for (const struct strict_node *b = a->next; b; b = b->next)
			if (a->name_bytes == b->name_bytes &&
			    memcmp(a->name, b->name, a->name_bytes) == 0)
				return true;
	return false;
}
