/* SPDX-License-Identifier: BSD-3-Clause */
/* Words of a command: splitting a text into them. */
#include <stdlib.h>
#include <string.h>

#include "words.h"

void words_free(struct words *w)
{
	free(w->v);
	free(w->text);
	*w = (struct words){ 0 };
}

/*
 * Words are gathered one after the other in text. As it may move while it grows, v holds
 * offsets until the command is whole.
 */
static bool put_char(struct words *w, char c)
{
	char *grown;
	size_t cap;

	if (w->used < w->cap) {
		w->text[w->used++] = c;
		return true;
	}
	cap = w->cap ? w->cap * 2 : 256;
	grown = realloc(w->text, cap);
	if (!grown)
		return false;
	w->text = grown;
	w->cap = cap;
	w->text[w->used++] = c;
	return true;
}

static bool put_word(struct words *w, size_t start)
{
	char **grown;
	size_t cap;

	if (w->n + 1 >= w->vcap) {
		cap = w->vcap ? w->vcap * 2 : 16;
		grown = realloc(w->v, cap * sizeof(*grown));
		if (!grown)
			return false;
		w->v = grown;
		w->vcap = cap;
	}
	w->v[w->n++] = (char *)(uintptr_t)start;
	return true;
}

static void settle(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		w->v[i] = w->text + (uintptr_t)w->v[i];
	if (w->v)
		w->v[w->n] = NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Where a word stands while it is read. */
struct cursor {
	const char *p, *end;
	unsigned line;
};

static enum split more(struct splitter *s, unsigned line, const char *problem)
{
	s->bad_line = line;
	s->problem = problem;
	return SPLIT_MORE;
}

/* After the opening ', up to and with the closing one. */
static enum split single_quoted(struct splitter *s, struct cursor *c, struct words *w)
{
	unsigned opened = c->line;

	for (; c->p < c->end && *c->p != '\''; c->p++) {
		if (*c->p == '\n')
			c->line++;
		if (!put_char(w, *c->p))
			return SPLIT_MEMORY;
	}
	if (c->p == c->end)
		return more(s, opened, "a ' is not closed");
	c->p++;
	return SPLIT_COMMAND;
}

/* After the opening ", where \ is special before $ ` " \ and newline only. */
static enum split double_quoted(struct splitter *s, struct cursor *c, struct words *w)
{
	unsigned opened = c->line;
	bool escaped;

	for (; c->p < c->end && *c->p != '"'; c->p++) {
		escaped =
			*c->p == '\\' && c->p + 1 < c->end && strchr("$`\"\\\n", c->p[1]);
		if (escaped)
			c->p++;
		if (*c->p == '\n')
			c->line++;
		if (escaped && *c->p == '\n')
			continue;
		if (!put_char(w, *c->p))
			return SPLIT_MEMORY;
	}
	if (c->p == c->end)
		return more(s, opened, "a \" is not closed");
	c->p++;
	return SPLIT_COMMAND;
}

/* The word at c; *joined is set if it was nothing but an escaped newline. */
static enum split one_word(struct splitter *s, struct cursor *c, struct words *w,
			   bool *joined)
{
	enum split r = SPLIT_COMMAND;

	*joined = true;
	while (c->p < c->end && !is_blank(*c->p) && *c->p != '\n' && *c->p != ';') {
		char ch = *c->p++;

		if (ch == '\\') {
			if (c->p == c->end)
				return more(s, c->line, "nothing follows the \\");
			ch = *c->p++;
			if (ch == '\n') {
				c->line++;
				continue;
			}
			r = put_char(w, ch) ? SPLIT_COMMAND : SPLIT_MEMORY;
		} else if (ch == '\'') {
			r = single_quoted(s, c, w);
		} else if (ch == '"') {
			r = double_quoted(s, c, w);
		} else if (!put_char(w, ch)) {
			r = SPLIT_MEMORY;
		}
		*joined = false;
		if (r != SPLIT_COMMAND)
			return r;
	}
	return put_char(w, '\0') ? SPLIT_COMMAND : SPLIT_MEMORY;
}

/* Reads to the command's end. True at the end of a command or of the text. */
static bool skip_between(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
	if (c->p < c->end && *c->p == '#')
		while (c->p < c->end && *c->p != '\n')
			c->p++;
	if (c->p == c->end)
		return true;
	if (*c->p != '\n' && *c->p != ';')
		return false;
	if (*c->p++ == '\n')
		c->line++;
	return true;
}

/* A text with NUL characters is something else: a program, a picture. */
static enum split refuse_nul(struct splitter *s, const char *nul)
{
	s->bad_line = 1;
	for (const char *p = s->text; p < nul; p++)
		s->bad_line += *p == '\n';
	s->problem = "a NUL character: this is no text";
	s->at = s->len;
	return SPLIT_BAD;
}

enum split split_next(struct splitter *s, struct words *w)
{
	struct cursor c = { s->text + s->at, s->text + s->len, s->line };
	enum split r;
	size_t start;
	bool joined;

	if (s->at == 0 && s->len) {
		const char *nul = memchr(s->text, '\0', s->len);

		if (nul)
			return refuse_nul(s, nul);
	}
	w->n = 0;
	w->used = 0;
	while (c.p < c.end) {
		if (skip_between(&c)) {
			if (w->n)
				break;
			continue;
		}
		if (!w->n)
			w->line = c.line;
		start = w->used;
		r = one_word(s, &c, w, &joined);
		if (r != SPLIT_COMMAND)
			return r;
		if (joined)
			w->used = start;
		else if (!put_word(w, start))
			return SPLIT_MEMORY;
	}
	s->at = (size_t)(c.p - s->text);
	s->line = c.line;
	settle(w);
	return w->n ? SPLIT_COMMAND : SPLIT_END;
}
