/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the words of a command by its synopsis. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "words.h"

struct reader {
	const char *command, *text;
	const struct synopsis *s;
	struct args *a;
	struct failure *f;
	size_t next; /* the item that takes the next word */
};

static int VUSER_PRINTF(2, 3) usage(const struct reader *r, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return failure_set(r->f, FAIL_USAGE, 0, "%s; usage: %s%s%s", what, r->command,
			   *r->text ? " " : "", r->text);
}

static int take(struct reader *r, const char *name, size_t len, const char *kind,
		size_t kind_len, const char *word)
{
	const char *problem = kind_check(r->command, kind, kind_len, word);
	char choice[80];

	if (problem && !*problem) {
		snprintf(choice, sizeof(choice), "is %s %.*s",
			 memchr(kind, '|', kind_len) ? "none of" : "not", (int)kind_len,
			 kind);
		problem = choice;
	}
	if (problem)
		return usage(r, "\"%.100s\" %s", word, problem);
	r->a->v[r->a->n++] = (struct arg){ name, len, word };
	return FAIL_NONE;
}

static const struct item *find_option(const struct synopsis *s, const char *word)
{
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].option && s->items[i].len == len &&
		    memcmp(s->items[i].name, word, len) == 0)
			return &s->items[i];
	return NULL;
}

static bool given(const struct args *a, const struct item *item)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].name == item->name)
			return true;
	return false;
}

/* An option and, if it takes one, its value, which may be the word after it. */
static int read_option(struct reader *r, char *const *words, size_t n, size_t *taken)
{
	const char *word = words[0], *equals = strchr(word, '=');
	const struct item *item = find_option(r->s, word);

	*taken = 1;
	if (!item)
		return usage(r, "\"%.100s\" is no option of it", word);
	if (given(r->a, item) && !item->many)
		return usage(r, "%.*s is there twice", (int)item->len, item->name);
	if (!item->value && equals)
		return usage(r, "%.*s takes no value", (int)item->len, item->name);
	if (!item->value) {
		r->a->v[r->a->n++] = (struct arg){ item->name, item->len, "" };
		return FAIL_NONE;
	}
	if (!equals && n < 2)
		return usage(r, "%.*s needs a value", (int)item->len, item->name);
	*taken = equals ? 1 : 2;
	return take(r, item->name, item->len, item->value, item->value_len,
		    equals ? equals + 1 : words[1]);
}

/* The next item that is no option, NULL if there is none. */
static const struct item *next_item(struct reader *r)
{
	const struct synopsis *s = r->s;

	while (r->next < s->n && s->items[r->next].option)
		r->next++;
	if (r->next == s->n && s->again) {
		r->next = 0;
		return s->n && !s->items[0].option ? &s->items[0] : NULL;
	}
	return r->next < s->n ? &s->items[r->next] : NULL;
}

static int read_words(struct reader *r, char *const *words, size_t n)
{
	bool options = r->s->options;
	const struct item *item;
	size_t taken;
	int rc;

	for (size_t i = 0; i < n; i += taken) {
		const char *word = words[i];

		item = next_item(r);
		taken = 1;
		if (strcmp(word, "--") == 0 && !(item && item->many)) {
			options = false;
			continue;
		}
		if (options && word[0] == '-' && word[1]) {
			rc = read_option(r, words + i, n - i, &taken);
			if (rc)
				return rc;
			continue;
		}
		if (!item)
			return usage(r, "\"%.100s\" is a word too many", word);
		if (item->many) {
			r->a->rest = words + i;
			r->a->nrest = n - i;
			r->next++;
			return FAIL_NONE;
		}
		rc = take(r, item->name, item->len, item->name, item->len, word);
		if (rc)
			return rc;
		r->next++;
	}
	return FAIL_NONE;
}

/* Words that had to come; options of which one had to. */
static int missing(struct reader *r)
{
	const struct synopsis *s = r->s;
	char names[100] = "";
	size_t found = 0, len = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->items[i].option || s->items[i].optional || len >= sizeof(names))
			continue;
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s",
					len ? " or " : "", (int)s->items[i].len,
					s->items[i].name);
		found += given(r->a, &s->items[i]);
	}
	if (len && found != 1)
		return usage(r, found ? "either %s, not both" : "%s is missing", names);
	if (s->again && r->next == s->n)
		return FAIL_NONE;
	for (size_t i = r->next; i < s->n; i++) {
		if (s->items[i].option || s->items[i].optional)
			continue;
		return usage(r, "%.*s is missing", (int)s->items[i].len,
			     s->items[i].name);
	}
	return FAIL_NONE;
}

int args_read(const char *command, const char *synopsis, char *const *words, size_t n,
	      struct args *a, struct failure *f)
{
	struct synopsis s;
	struct reader r = { command, synopsis, &s, a, f, 0 };
	int rc;

	*a = (struct args){ 0 };
	if (!synopsis_parse(synopsis, &s))
		return failure_set(f, FAIL_SYSTEM, 0, "its synopsis is wrong");
	a->v = calloc(n ? n : 1, sizeof(*a->v));
	if (!a->v)
		return failure_set(f, FAIL_SYSTEM, ENOMEM, "too many words");
	rc = read_words(&r, words, n);
	return rc ? rc : missing(&r);
}

void args_free(struct args *a)
{
	free(a->v);
	*a = (struct args){ 0 };
}

const char *arg_nth(const struct args *a, const char *name, size_t i)
{
	for (size_t k = 0; k < a->n; k++)
		if (name_is(a->v[k].name, a->v[k].len, name) && i-- == 0)
			return a->v[k].word;
	return NULL;
}

const char *arg(const struct args *a, const char *name)
{
	return arg_nth(a, name, 0);
}

uint64_t arg_number(const struct args *a, const char *name, uint64_t fallback)
{
	const char *word = arg(a, name);
	uint64_t value = fallback;

	return !word || word_number(word, &value) ? fallback : value;
}

uint32_t arg_region(const struct args *a, const char *name)
{
	const char *word = arg(a, name);
	uint32_t index = 0;

	return !word || word_region(word, &index) ? UINT32_MAX : index;
}

unsigned arg_width(const struct args *a, const char *name)
{
	const char *word = arg(a, name);
	unsigned width = 4;

	return !word || word_width(word, &width) ? 4 : width;
}

int64_t arg_duration(const struct args *a, const char *name, int64_t fallback)
{
	const char *word = arg(a, name);
	int64_t ns = fallback;

	return !word || word_duration(word, &ns) ? fallback : ns;
}
