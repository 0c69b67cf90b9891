/* SPDX-License-Identifier: BSD-3-Clause */
/* What a word at the prompt may become, by the table of commands. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "session.h"
#include "shell.h"
#include "words.h"

/* What is asked for: words that begin with the len characters at typed. */
struct asked {
	const char *typed;
	size_t len;
	void (*fn)(void *arg, const char *word);
	void *arg;
	char *const *words; /* that stand before */
	size_t n;
};

static void offer(const struct asked *q, const char *word)
{
	if (strncmp(word, q->typed, q->len) == 0)
		q->fn(q->arg, word);
}

static void offer_all(const struct asked *q, const char *(*name_at)(size_t))
{
	const char *name;

	for (size_t i = 0; (name = name_at(i)); i++)
		offer(q, name);
}

static const char *message_name_at(size_t i)
{
	for (unsigned number = 0; number < VUSER_CMD_LIMIT; number++) {
		const char *name = vuser_command_name(number);

		if (name && i-- == 0)
			return name;
	}
	return NULL;
}

/* ---- Files --------------------------------------------------------------------- */

static void offer_file(const struct asked *q, const char *folder, size_t folder_len,
		       const char *name)
{
	char path[4096], *slash = path;
	struct stat st;
	int len;

	len = snprintf(path, sizeof(path), "%.*s%s", (int)folder_len, folder, name);
	if (len < 0 || (size_t)len >= sizeof(path) - 1)
		return;
	slash += len;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		memcpy(slash, "/", 2);
	offer(q, path);
}

static void offer_files(const struct asked *q)
{
	char folder[4096];
	size_t len = q->len;
	const struct dirent *entry;
	DIR *dir;

	while (len && q->typed[len - 1] != '/')
		len--;
	if (len >= sizeof(folder))
		return;
	snprintf(folder, sizeof(folder), "%.*s", (int)len, q->typed);
	dir = opendir(len ? folder : ".");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		/* Hidden ones only for who begins with a dot. */
		if (entry->d_name[0] == '.' && (len == q->len || q->typed[len] != '.'))
			continue;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			offer_file(q, folder, len, entry->d_name);
	}
	closedir(dir);
}

/* ---- Commands ------------------------------------------------------------------ */

/* The next word of a name whose first words stand there already. */
static bool offer_command(void *arg, const struct command *c)
{
	const struct asked *q = arg;
	const char *name = c->name;
	char word[40];
	size_t len;

	for (size_t i = 0; i < q->n; i++) {
		len = strcspn(name, " ");
		if (!name_is(name, len, q->words[i]))
			return true;
		name += len;
		if (!*name++)
			return true;
	}
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, " "), name);
	offer(q, word);
	return true;
}

static void offer_literals(const struct asked *q, const char *name, size_t len)
{
	char word[40];
	size_t part;

	for (; len; len -= part + (part < len), name += part + 1) {
		const char *bar = memchr(name, '|', len);

		part = bar ? (size_t)(bar - name) : len;
		if (*name >= 'a' && *name <= 'z' && part < sizeof(word)) {
			snprintf(word, sizeof(word), "%.*s", (int)part, name);
			offer(q, word);
		}
	}
}

static void offer_kind(const struct asked *q, const struct command *c, const char *name,
		       size_t len)
{
	switch (complete_kind(c->name, name, len)) {
	case COMPLETE_REGION:
		offer_all(q, region_name_at);
		break;
	case COMPLETE_IRQ:
		offer_all(q, irq_name_at);
		break;
	case COMPLETE_MESSAGE:
		offer_all(q, message_name_at);
		break;
	case COMPLETE_SETTING:
		offer_all(q, setting_name_at);
		break;
	case COMPLETE_DEVICE:
		offer_all(q, device_name_at);
		break;
	case COMPLETE_FEATURE:
		offer_all(q, feature_name_at);
		break;
	case COMPLETE_STATE:
		offer_all(q, state_name_at);
		break;
	case COMPLETE_FILE:
		offer_files(q);
		break;
	case COMPLETE_COMMAND:
		command_each(offer_command, (void *)(uintptr_t)q);
		break;
	case COMPLETE_LITERALS:
		offer_literals(q, name, len);
		break;
	default:
		break;
	}
}

static void offer_options(const struct asked *q, const struct synopsis *s)
{
	char word[40];

	for (size_t i = 0; i < s->n; i++) {
		if (!s->items[i].option)
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)s->items[i].len,
			 s->items[i].name);
		offer(q, word);
	}
}

static const struct item *option_of(const struct synopsis *s, const char *word)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].option && s->items[i].value &&
		    name_is(s->items[i].name, s->items[i].len, word))
			return &s->items[i];
	return NULL;
}

static void offer_next(const struct asked *q, unsigned depth);

/* The argument that the word would be, n arguments standing before it. */
static void offer_argument(const struct asked *q, const struct command *c, unsigned depth)
{
	const struct item *item = NULL, *option = NULL;
	struct synopsis s;
	struct asked within = *q;
	size_t next = 0, n = q->words ? q->n : 0;

	if (!synopsis_parse(c->synopsis, &s))
		return;
	for (size_t i = 0; i <= n; i++) {
		while (next < s.n && s.items[next].option)
			next++;
		if (next == s.n && s.again)
			next = 0;
		item = next < s.n ? &s.items[next] : NULL;
		if (i == n || (item && item->many && !option)) {
			within.words = q->words + i;
			within.n = n - i;
			break;
		}
		if (option) {
			option = NULL;
			continue;
		}
		option = option_of(&s, q->words[i]);
		next += !option && q->words[i][0] != '-' && next < s.n;
	}
	if (option)
		offer_kind(q, c, option->value, option->value_len);
	else if (q->len && *q->typed == '-' && within.n == 0)
		offer_options(q, &s);
	else if (item && c->flags & CMD_NESTED && item->many)
		offer_next(&within, depth + 1);
	else if (item)
		offer_kind(&within, c, item->name, item->len);
}

/* A command, or an argument of one. */
static void offer_next(const struct asked *q, unsigned depth)
{
	struct asked arguments = *q;
	const struct command *c;
	struct failure why;
	size_t used;

	command_each(offer_command, (void *)(uintptr_t)q);
	c = q->n && depth < 8 ? command_find(q->words, q->n, true, &used, &why) : NULL;
	if (!c)
		return;
	arguments.words += used;
	arguments.n -= used;
	offer_argument(&arguments, c, depth);
}

/* ---- The line ------------------------------------------------------------------ */

void shell_complete(struct app *app, const char *line, size_t len, size_t *start,
		    void (*fn)(void *arg, const char *word), void *arg)
{
	struct splitter sp = { line, 0, 0, 1, 0, NULL };
	struct asked q = { .fn = fn, .arg = arg };
	struct words w = { 0 };
	size_t begin = len;

	(void)app;
	while (begin && !strchr(" \t;", line[begin - 1]))
		begin--;
	*start = begin;
	q.typed = line + begin;
	q.len = len - begin;
	/* The words of the last command before it. */
	sp.len = begin;
	while (sp.at < begin) {
		if (split_next(&sp, &w) != SPLIT_COMMAND) {
			w.n = 0;
			break;
		}
		if (sp.at < begin || (begin && line[begin - 1] == ';'))
			w.n = 0;
	}
	q.words = w.v;
	q.n = w.v ? w.n : 0;
	offer_next(&q, 0);
	words_free(&w);
}
