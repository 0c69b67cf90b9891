/* SPDX-License-Identifier: BSD-3-Clause */
/* Gathers the rows of all commands, and finds the one that is meant. */
#include <stdlib.h>
#include <string.h>

#include "app.h"

const struct command_group *const command_groups[] = {
	&connection_commands,
	&device_commands,
	&region_commands,
	&iofd_commands,
	&dma_commands,
	&irq_commands,
	&feature_commands,
	&migration_commands,
	&dirty_commands,
	&message_commands,
	&script_commands,
	&session_commands,
	NULL,
};

/* Commands within commands, "repeat 3 time read ...". */
#define MAX_NESTED 16u

void command_each(bool (*fn)(void *arg, const struct command *c), void *arg)
{
	for (size_t g = 0; command_groups[g]; g++)
		for (const struct command *c = command_groups[g]->rows; c->name; c++)
			if (!fn(arg, c))
				return;
}

/* ---- Lookup -------------------------------------------------------------------- */

/* How many words of a name the words begin with, 0 unless it is all of them. */
static size_t matches(const char *name, char *const *v, size_t n, bool prefix)
{
	size_t used = 0, len;

	for (; *name; name += len + (name[len] == ' ')) {
		len = strcspn(name, " ");
		if (used == n || strncmp(v[used], name, strlen(v[used])) != 0)
			return 0;
		if (!prefix && strlen(v[used]) != len)
			return 0;
		if (!*v[used] || strlen(v[used]) > len)
			return 0;
		used++;
	}
	return used;
}

struct search {
	char *const *v;
	size_t n;
	bool prefix;
	const struct command *found;
	size_t used;
	bool ambiguous;
	char names[200]; /* of rows that might be meant */
};

static void add_name(struct search *s, const char *name)
{
	size_t len = strlen(s->names);

	if (len + strlen(name) + 8 < sizeof(s->names))
		snprintf(s->names + len, sizeof(s->names) - len, "%s%s", len ? ", " : "",
			 name);
	else if (len + 5 < sizeof(s->names) && strcmp(s->names + len - 3, "...") != 0)
		snprintf(s->names + len, sizeof(s->names) - len, ", ...");
}

static bool exact_row(void *arg, const struct command *c)
{
	struct search *s = arg;
	size_t used = matches(c->name, s->v, s->n, false);

	if (used > s->used) {
		s->found = c;
		s->used = used;
	}
	return true;
}

/* "dma unmap" and "dma unmap all" are no two meanings of "dma un". */
static bool prefix_row(void *arg, const struct command *c)
{
	struct search *s = arg;
	size_t used = matches(c->name, s->v, s->n, true);

	if (!used)
		return true;
	if (!s->found || used > s->used) {
		s->ambiguous = false;
		s->names[0] = '\0';
		s->found = c;
		s->used = used;
	} else if (used == s->used) {
		s->ambiguous = true;
	}
	if (used == s->used)
		add_name(s, c->name);
	return true;
}

/* Rows that the first word may begin, for the message only. */
static bool near_row(void *arg, const struct command *c)
{
	struct search *s = arg;
	size_t len = strlen(s->v[0]);

	if (len && strncmp(c->name, s->v[0], len) == 0)
		add_name(s, c->name);
	return true;
}

static bool same_family(void *arg, const struct command *c)
{
	struct search *s = arg;
	size_t len = strcspn(c->name, " ");

	if (c->name[len] && name_is(c->name, len, s->v[0]))
		add_name(s, c->name);
	return true;
}

static const struct command *not_found(struct search *s, struct failure *f)
{
	command_each(same_family, s);
	if (s->names[0]) {
		failure_set(f, FAIL_USAGE, 0,
			    "\"%.60s%s%.60s\" is no command; there are: %s", s->v[0],
			    s->n > 1 ? " " : "", s->n > 1 ? s->v[1] : "", s->names);
		return NULL;
	}
	command_each(near_row, s);
	if (s->names[0])
		failure_set(f, FAIL_USAGE, 0,
			    "\"%.60s\" is no command; did you mean: %s?", s->v[0],
			    s->names);
	else
		failure_set(f, FAIL_USAGE, 0, "\"%.60s\" is no command; help lists them",
			    s->v[0]);
	return NULL;
}

const struct command *command_find(char *const *v, size_t n, bool prefix, size_t *used,
				   struct failure *f)
{
	struct search s = { .v = v, .n = n };

	*used = 0;
	command_each(exact_row, &s);
	if (!s.found && prefix) {
		command_each(prefix_row, &s);
		if (s.ambiguous) {
			failure_set(f, FAIL_USAGE, 0, "\"%.60s\" may be: %s", v[0],
				    s.names);
			return NULL;
		}
	}
	if (!s.found)
		return not_found(&s, f);
	*used = s.used;
	return s.found;
}

/* ---- Reading ------------------------------------------------------------------- */

/* Whether the command may run here. */
static int allowed(struct app *app, const struct command *c)
{
	if (c->flags & CMD_NOT_PROMPT && app->shell)
		return fail(app, FAIL_USAGE, 0,
			    "not from the prompt: start it on its own");
	if (c->flags & CMD_PROMPT && !app->shell)
		return fail(app, FAIL_USAGE, 0, "at the prompt only");
	return FAIL_NONE;
}

static int parse(struct app *app, char *const *v, size_t n, unsigned depth,
		 const struct command **row, struct args *a)
{
	bool prefix = app->shell && !app->place;
	const struct command *inner;
	struct args within;
	size_t used;
	int rc;

	*a = (struct args){ 0 };
	*row = command_find(v, n, prefix, &used, &app->fail);
	if (!*row)
		return app->fail.kind;
	rc = allowed(app, *row);
	if (rc)
		return rc;
	rc = args_read((*row)->name, (*row)->synopsis, v + used, n - used, a, &app->fail);
	if (!rc && (*row)->flags & CMD_NESTED) {
		if (depth == MAX_NESTED)
			return fail(app, FAIL_USAGE, 0,
				    "commands within commands go too deep");
		rc = parse(app, a->rest, a->nrest, depth + 1, &inner, &within);
		args_free(&within);
	}
	if (!rc && (*row)->check)
		rc = (*row)->check(app, a);
	return rc;
}

int command_parse(struct app *app, char *const *v, size_t n, const struct command **row,
		  struct args *a)
{
	return parse(app, v, n, 0, row, a);
}
