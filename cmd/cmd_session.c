/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on the session itself: set, help, history, quit, serve. */
#include <string.h>

#include "session.h"
#include "shell.h"

/* ---- help ---------------------------------------------------------------------- */

struct listing {
	struct app *app;
	cJSON *array;
	char *const *words; /* only rows whose names begin with these */
	size_t n;
	size_t count;
};

static bool begins_with(const char *name, char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(name, " ");

		if (!name_is(name, len, words[i]))
			return false;
		name += len + (name[len] == ' ');
	}
	return true;
}

static void show_row(struct app *app, cJSON *array, const struct command *c)
{
	cJSON *entry = json_entry(array);

	json_text(entry, "name", c->name);
	json_text(entry, "synopsis", c->synopsis);
	json_text(entry, "summary", c->summary);
	if (text(app))
		fprintf(text(app), "  %-16s %s\n", c->name, c->summary);
}

static void show_all(struct app *app)
{
	cJSON *array = json_array(json(app), "commands");

	for (size_t g = 0; command_groups[g]; g++) {
		if (text(app))
			fprintf(text(app), "%s%s%s%s\n", g ? "\n" : "", bold(app),
				command_groups[g]->title, plain(app));
		for (const struct command *c = command_groups[g]->rows; c->name; c++)
			show_row(app, array, c);
	}
	if (text(app))
		fputs("\n\"help COMMAND\" explains one.\n", text(app));
}

static void show_help(struct app *app, const struct command *c)
{
	json_text(json(app), "name", c->name);
	json_text(json(app), "synopsis", c->synopsis);
	json_text(json(app), "summary", c->summary);
	if (c->help)
		json_text(json(app), "help", c->help);
	if (!text(app))
		return;
	fprintf(text(app), "%s%s%s%s%s\n%s\n", bold(app), c->name, plain(app),
		*c->synopsis ? " " : "", c->synopsis, c->summary);
	if (c->help)
		fprintf(text(app), "\n%s", c->help);
}

static bool count_row(void *arg, const struct command *c)
{
	struct listing *l = arg;

	if (begins_with(c->name, l->words, l->n))
		l->count++;
	return true;
}

static bool list_row(void *arg, const struct command *c)
{
	struct listing *l = arg;

	if (begins_with(c->name, l->words, l->n))
		show_row(l->app, l->array, c);
	return true;
}

static int unknown(struct app *app, char *const *words, size_t n)
{
	char name[200] = "";
	size_t len = 0;

	for (size_t i = 0; i < n && len < sizeof(name); i++)
		len += (size_t)snprintf(name + len, sizeof(name) - len, "%s%.60s",
					i ? " " : "", words[i]);
	return fail(app, FAIL_USAGE, 0, "\"%s\" is no command", name);
}

static int run_help(struct app *app, const struct args *a)
{
	struct listing l = { .app = app, .words = a->rest, .n = a->nrest };
	const struct command *c;
	size_t used = 0;

	if (!l.n) {
		show_all(app);
		return FAIL_NONE;
	}
	command_each(count_row, &l);
	c = command_find(l.words, l.n, app->shell != NULL, &used, &app->fail);
	if (c && used == l.n) {
		show_help(app, c);
		return FAIL_NONE;
	}
	if (l.count) {
		l.array = json_array(json(app), "commands");
		command_each(list_row, &l);
		failure_clear(&app->fail);
		return FAIL_NONE;
	}
	return unknown(app, l.words, l.n);
}

/* ---- history, quit ------------------------------------------------------------- */

struct lines {
	struct app *app;
	cJSON *array;
};

static bool show_line(void *arg, int number, const char *line)
{
	struct lines *l = arg;
	size_t len = strcspn(line, "\n");
	cJSON *entry = json_entry(l->array);
	char shown[400];

	snprintf(shown, sizeof(shown), "%.*s", (int)(len < 399 ? len : 399), line);
	json_count(entry, "number", (uint64_t)number);
	json_text(entry, "line", shown);
	if (text(l->app))
		fprintf(text(l->app), "%5d  %s\n", number, shown);
	return true;
}

static int run_history(struct app *app, const struct args *a)
{
	struct lines l = { app, json_array(json(app), "lines") };

	(void)a;
	shell_history(app->shell, show_line, &l);
	return FAIL_NONE;
}

static int run_quit(struct app *app, const struct args *a)
{
	(void)a;
	app->quit = true;
	return FAIL_NONE;
}

static const struct command rows[] = {
	{ .name = "set",
	  .synopsis = "[NAME [VALUE]]",
	  .summary = "show the settings, one of them, or change it",
	  .help = "    set timeout 250ms\n"
		  "    set strict off\n",
	  .run = run_set,
	  .check = check_set },
	{ .name = "help",
	  .synopsis = "[COMMAND...]",
	  .summary = "list the commands, or explain one",
	  .run = run_help },
	{ .name = "history",
	  .synopsis = "",
	  .summary = "the lines typed before",
	  .run = run_history,
	  .flags = CMD_PROMPT },
	{ .name = "quit", .synopsis = "", .summary = "leave", .run = run_quit },
	{ .name = "serve",
	  .synopsis = "--socket-path=PATH|--fd=N [--device=NAME] [--once]",
	  .summary = "be a server: an emulated device",
	  .help = "Serves one client after the other until SIGTERM or SIGINT, with --once the\n"
		  "first one only; a single one on the connected socket N with --fd.\n\n"
		  "    vfuctl serve --socket-path=/tmp/edu.sock --device=edu\n",
	  .run = run_serve,
	  .check = check_serve,
	  .flags = CMD_NOT_PROMPT },
	{ 0 },
};

const struct command_group session_commands = { "Session", rows };
