/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as they pass: to a file, or to standard error. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "shell.h"

bool tracing_is_json(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && (strcmp(dot, ".jsonl") == 0 || strcmp(dot, ".json") == 0);
}

static void on_message(void *arg, const struct vuser_record *r)
{
	struct app *app = arg;

	if (!app->trace_start)
		app->trace_start = r->time;
	if (app->trace_file && app->trace_json)
		vuser_record_json(app->trace_file, r);
	else if (app->trace_file)
		vuser_record_dump(app->trace_file, r, app->trace_start);
	if (!app->set.verbose)
		return;
	shell_make_room(app->shell);
	vuser_record_line(stderr, r, app->trace_start);
	shell_redraw(app->shell);
}

void tracing_update(struct app *app)
{
	bool wanted = app->set.verbose || app->trace_file;

	vuser_trace_sink(app->trace, wanted ? on_message : NULL, app);
}

int tracing_open(struct app *app, const char *path)
{
	app->trace_file = fopen(path, "we");
	if (!app->trace_file)
		return fail(app, FAIL_USAGE, errno, "%s", path);
	app->trace_name = strdup(path);
	app->trace_json = tracing_is_json(path);
	tracing_update(app);
	return FAIL_NONE;
}

int tracing_close(struct app *app)
{
	FILE *file = app->trace_file;
	int rc = FAIL_NONE, bad;

	if (!file)
		return FAIL_NONE;
	app->trace_file = NULL;
	tracing_update(app);
	bad = ferror(file);
	errno = 0;
	if (fclose(file) != 0 || bad)
		rc = fail(app, FAIL_SYSTEM, errno ? errno : EIO, "%s",
			  app->trace_name ? app->trace_name : "trace");
	free(app->trace_name);
	app->trace_name = NULL;
	return rc;
}
