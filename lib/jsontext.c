/* SPDX-License-Identifier: BSD-3-Clause */
/* A strict check of JSON text (RFC 8259), and the places of members in text that passed.
 */
#include <stdint.h>
#include <string.h>

#include "jsontext.h"

struct scan {
	const unsigned char *text;
	size_t len, off;
	struct json_fault fault;
};

static struct scan scan_at(const char *text, size_t len, size_t off)
{
	return (struct scan){ .text = (const unsigned char *)text,
			      .len = len,
			      .off = off };
}

static bool fail(struct scan *s, size_t offset, const char *what)
{
	s->fault.offset = offset;
	s->fault.what = what;
	return false;
}

/* The next byte, -1 at the end. */
static int peek(const struct scan *s)
{
	return s->off < s->len ? s->text[s->off] : -1;
}

static bool take(struct scan *s, char c)
{
	if (peek(s) != c)
		return false;
	s->off++;
	return true;
}

static void skip_blanks(struct scan *s)
{
	while (take(s, ' ') || take(s, '\t') || take(s, '\n') || take(s, '\r'))
		;
}

static size_t skip_digits(struct scan *s)
{
	size_t start = s->off;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->off++;
	return s->off - start;
}

static bool scan_number(struct scan *s)
{
	size_t start = s->off, first, digits;

	take(s, '-');
	first = s->off;
	digits = skip_digits(s);
	if (!digits)
		return fail(s, start, "a number without digits");
	if (s->text[first] == '0' && digits > 1)
		return fail(s, start, "a number with a leading zero");
	if (take(s, '.') && !skip_digits(s))
		return fail(s, start, "a number without digits after its point");
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!skip_digits(s))
			return fail(s, start, "a number without digits in its exponent");
	}
	if (s->off - start > JSON_MAX_NUMBER)
		return fail(s, start, "a number that is too long");
	return true;
}

/* Four hexadecimal digits of a \u escape, -1 if they are not there. */
static int take_hex4(struct scan *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++, s->off++) {
		int c = peek(s);

		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (c - 'A' + 10);
		else
			return -1;
	}
	return v;
}

static bool scan_escape(struct scan *s)
{
	size_t start = s->off++;
	int c = peek(s), unit;

	if (c > 0 && strchr("\"\\/bfnrt", c)) {
		s->off++;
		return true;
	}
	if (!take(s, 'u'))
		return fail(s, start, "an unknown escape");
	unit = take_hex4(s);
	if (unit < 0)
		return fail(s, start, "\\u without four hexadecimal digits");
	/* A C string would end here, so that a name or text could pass for a shorter one.
	 */
	if (unit == 0)
		return fail(s, start, "\\u0000, which is not taken");
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	if (unit < 0xdc00 && take(s, '\\') && take(s, 'u')) {
		unit = take_hex4(s);
		if (unit >= 0xdc00 && unit <= 0xdfff)
			return true;
	}
	return fail(s, start, "half of a surrogate pair");
}

/* Takes one character beyond ASCII; overlong forms and surrogates are none. */
static bool scan_utf8(struct scan *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = s->text[s->off];
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

	if (c < 0xc0 || c > 0xf7 || n > s->len - s->off)
		return fail(s, s->off, "bytes that are not UTF-8");
	c &= 0xffu >> (n + 1);
	for (size_t i = 1; i < n; i++) {
		unsigned char next = s->text[s->off + i];

		if ((next & 0xc0) != 0x80)
			return fail(s, s->off, "bytes that are not UTF-8");
		c = c << 6 | (next & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return fail(s, s->off, "bytes that are not UTF-8");
	s->off += n;
	return true;
}

static bool scan_string(struct scan *s)
{
	s->off++;
	while (!take(s, '"')) {
		int c = peek(s);

		if (c < 0)
			return fail(s, s->off, "the text ends inside a string");
		if (c < 0x20)
			return fail(s, s->off, "a control character inside a string");
		if (c == '\\') {
			if (!scan_escape(s))
				return false;
		} else if (c < 0x80) {
			s->off++;
		} else if (!scan_utf8(s)) {
			return false;
		}
	}
	return true;
}

/* A member's name and colon; name is what stands between the quotes. */
static bool scan_name(struct scan *s, struct json_span *name)
{
	size_t start;

	skip_blanks(s);
	start = s->off + 1;
	if (peek(s) != '"')
		return fail(s, s->off, "the name of a member is missing");
	if (!scan_string(s))
		return false;
	*name = (struct json_span){ .at = start, .len = s->off - 1 - start };
	skip_blanks(s);
	if (!take(s, ':'))
		return fail(s, s->off, "the colon after a name is missing");
	return true;
}

static bool scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);

		if (n <= s->len - s->off && memcmp(s->text + s->off, words[i], n) == 0) {
			s->off += n;
			return true;
		}
	}
	return fail(s, s->off, "a value that is not JSON");
}

static bool scan_value(struct scan *s);

/* An array or an object. Recursion ends at JSON_MAX_DEPTH. */
static bool scan_container(struct scan *s)
{
	bool object = peek(s) == '{';
	char close = object ? '}' : ']';
	struct json_span *name;

	if (s->fault.depth == JSON_MAX_DEPTH)
		return fail(s, s->off, "too many arrays and objects within each other");
	name = &s->fault.names[s->fault.depth++];
	*name = (struct json_span){ 0 };
	s->off++;
	skip_blanks(s);
	if (peek(s) != close) {
		do {
			*name = (struct json_span){ 0 };
			if (object && !scan_name(s, name))
				return false;
			if (!scan_value(s))
				return false;
			skip_blanks(s);
		} while (take(s, ','));
	}
	if (!take(s, close))
		return fail(s, s->off,
			    object ? "a comma or } is missing"
				   : "a comma or ] is missing");
	s->fault.depth--;
	return true;
}

static bool scan_value(struct scan *s)
{
	int c;

	skip_blanks(s);
	c = peek(s);
	if (c < 0)
		return fail(s, s->off, "the text ends where a value is due");
	if (c == '{' || c == '[')
		return scan_container(s);
	if (c == '"')
		return scan_string(s);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s);
	return scan_word(s);
}

bool json_check(const char *text, size_t len, struct json_fault *fault)
{
	struct scan s = scan_at(text, len, 0);
	bool good = scan_value(&s);

	if (good) {
		skip_blanks(&s);
		if (s.off < len)
			good = fail(&s, s.off, "text after the JSON value");
	}
	if (!good)
		*fault = s.fault;
	return good;
}

struct json_walk json_walk_begin(const char *text, size_t len, size_t object)
{
	return (struct json_walk){ .text = text, .len = len, .off = object };
}

bool json_walk_next(struct json_walk *w, struct json_member *m)
{
	struct scan s = scan_at(w->text, w->len, w->off);

	/* Between two calls the walk stands on what comes before the next member. */
	if (!take(&s, '{') && !take(&s, ','))
		return false;
	if (!scan_name(&s, &m->name))
		return false;
	skip_blanks(&s);
	m->value.at = s.off;
	if (!scan_value(&s))
		return false;
	m->value.len = s.off - m->value.at;
	skip_blanks(&s);
	w->off = s.off;
	return true;
}
