/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs one command: the way that the prompt, scripts and the OS shell share. */
#include <string.h>

#include "app.h"

/* Whether the command has the connection it needs. */
static int connect_first(struct app *app, const struct command *c)
{
	if (c->flags & CMD_CONNECTED)
		return connection_need(app);
	if (c->flags & CMD_PENDING && !app->client && app->pending)
		return connection_open(app, app->pending);
	return FAIL_NONE;
}

static void mark_trace(struct app *app)
{
	struct vuser_record last;
	size_t count = vuser_trace_count(app->trace);

	app->refused.len = 0;
	app->mark =
		count && vuser_trace_get(app->trace, count - 1, &last) ? last.number : 0;
}

static void name_failure(struct app *app, const char *name)
{
	struct failure *f = &app->fail;

	if (!f->command[0])
		printable(f->command, sizeof(f->command), name);
	if (f->kind == FAIL_PROTOCOL && f->has_offset && !f->len)
		connection_show_bytes(app);
}

static int run_row(struct app *app, const struct command *row, const struct args *a)
{
	int rc = connect_first(app, row);

	return rc ? rc : row->run(app, a);
}

int command_run(struct app *app, char *const *v, size_t n)
{
	const struct command *row = NULL;
	struct output *up = app->out, out;
	struct args a = { 0 };
	const char *name;
	int rc, ended;

	failure_clear(&app->fail);
	mark_trace(app);
	rc = command_parse(app, v, n, &row, &a);
	name = row ? row->name : v[0];
	ended = output_begin(&out, up, app->set.json, name, &app->fail);
	if (ended) {
		args_free(&a);
		return ended;
	}
	app->out = &out;
	if (!rc && row)
		rc = run_row(app, row, &a);
	if (rc)
		name_failure(app, row ? name : "");
	ended = output_end(&out, &app->sink, name, rc != FAIL_NONE, &app->fail);
	if (ended && !rc) {
		rc = ended;
		name_failure(app, name);
	}
	app->out = up;
	args_free(&a);
	return rc;
}

void command_failed(struct app *app, const char *name)
{
	struct failure why = app->fail;
	struct output out;

	if (app->set.json && !output_begin(&out, app->out, true, name, &app->fail))
		output_end(&out, &app->sink, name, true, &why);
	app->fail = why;
}

int command_check(struct app *app, char *const *v, size_t n)
{
	const struct command *row = NULL;
	struct args a = { 0 };
	const char *name;
	int rc;

	failure_clear(&app->fail);
	rc = command_parse(app, v, n, &row, &a);
	args_free(&a);
	if (!rc)
		return FAIL_NONE;
	name = row ? row->name : v[0];
	name_failure(app, row ? name : "");
	command_failed(app, name);
	return rc;
}
