/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a synopsis, the one description of the words that a command takes. */
#include <ctype.h>
#include <string.h>

#include "args.h"

static bool capital(char c)
{
	return isupper((unsigned char)c);
}

static size_t token_length(const char *p)
{
	return strcspn(p, " []");
}

/* --file=PATH, or --file PATH if that is in the same brackets; returns what was read. */
static size_t parse_option(const char *p, size_t len, struct item *item)
{
	const char *equals = memchr(p, '=', len);

	item->option = true;
	item->name = p;
	item->len = len;
	if (equals) {
		item->len = (size_t)(equals - p);
		item->value = equals + 1;
		item->value_len = len - item->len - 1;
		return len;
	}
	if (p[len] != ' ' || !capital(p[len + 1]))
		return len;
	item->value = p + len + 1;
	item->value_len = token_length(item->value);
	return len + 1 + item->value_len;
}

/* One token, which may be several options; returns how much of p it took, 0 if it is
 * none. */
static size_t parse_token(const char *p, unsigned depth, struct synopsis *s)
{
	size_t len = token_length(p), part, taken;
	struct item *item;

	if (len == 3 && memcmp(p, "...", 3) == 0) {
		if (p[-1] == '[')
			s->again = true;
		else if (s->n)
			s->items[s->n - 1].many = true;
		return len;
	}
	for (taken = 0; taken < len; taken += part + 1) {
		if (s->n == ARGS_ITEMS)
			return 0;
		item = &s->items[s->n++];
		*item = (struct item){ .optional = depth > 0 };
		part = *p == '-' ? strcspn(p + taken, " []|") : len;
		if (*p == '-') {
			part = parse_option(p + taken, part, item);
			s->options = true;
			continue;
		}
		item->name = p;
		item->len = len;
		if (len > 3 && memcmp(p + len - 3, "...", 3) == 0) {
			item->many = true;
			item->len -= 3;
		}
	}
	return taken - 1;
}

bool synopsis_parse(const char *text, struct synopsis *s)
{
	unsigned depth = 0;
	size_t taken;

	s->n = 0;
	s->again = s->options = false;
	for (const char *p = text; *p;) {
		if (*p == ' ' || *p == '[' || *p == ']') {
			depth += *p == '[';
			if (*p == ']' && depth-- == 0)
				return false;
			p++;
			continue;
		}
		taken = parse_token(p, depth, s);
		if (!taken)
			return false;
		p += taken;
	}
	return depth == 0;
}
