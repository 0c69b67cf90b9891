/* SPDX-License-Identifier: BSD-3-Clause */
/* What the whole program shares, and what it says on standard error. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app.h"
#include "shell.h"

int app_init(struct app *app)
{
	struct vuser_options o;

	vuser_options_default(&o);
	*app = (struct app){
		.set = { .timeout = o.timeout,
			 .strict = true,
			 .posting = true,
			 .coalesce = true,
			 .twin = true,
			 .width = 16,
			 .trace = VUSER_TRACE_DEFAULT },
		.send_id = 0xf000, /* far from where the library counts */
	};
	sink_init(&app->sink);
	app->trace = vuser_trace_new(0);
	if (!app->trace)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the trace");
	return FAIL_NONE;
}

void app_free(struct app *app)
{
	unsigned outstanding = connection_close(app);

	if (outstanding)
		app_say(app, "%u requests were outstanding", outstanding);
	if (tracing_close(app)) {
		app_tell_failure(app);
		app_note_status(app, fail_status(app->fail.kind, 0));
	}
	vuser_trace_free(app->trace);
	app->trace = NULL;
}

int fail_from(struct app *app, const struct vuser_error *e)
{
	return failure_from(&app->fail, e);
}

int fail_about(struct app *app, const struct vuser_error *e, const char *subject)
{
	struct failure *f = &app->fail;
	char text[sizeof(f->text)], name[200];

	failure_from(f, e);
	printable(name, sizeof(name), subject);
	if (strstr(f->text, name))
		return f->kind;
	memcpy(text, f->text, sizeof(text));
	snprintf(f->text, sizeof(f->text), "%s: %.380s", name, text);
	return f->kind;
}

void app_note_status(struct app *app, int status)
{
	if (!app->status)
		app->status = status;
}

void app_say(struct app *app, const char *fmt, ...)
{
	va_list ap;

	sink_flush(&app->sink);
	shell_make_room(app->shell);
	va_start(ap, fmt);
	fputs("vfuctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	shell_redraw(app->shell);
}

void app_tell_failure(struct app *app)
{
	struct failure *f = &app->fail;
	char what[sizeof(f->text) + 400], name[200] = "", line[16] = "";

	if (f->told || (f->kind == FAIL_SYSTEM && app->sink.err == EPIPE))
		return;
	f->told = true;
	failure_text(f, what, sizeof(what));
	if (app->place)
		printable(name, sizeof(name), app->place->name);
	if (app->place && app->place->line)
		snprintf(line, sizeof(line), ":%u", app->place->line);
	app_say(app, "%s%s%s%s%s%s", name, line, app->place ? ": " : "", f->command,
		f->command[0] ? ": " : "", what);
}

const char *bold(struct app *app)
{
	return app->sink.colour ? "\033[1m" : "";
}

const char *plain(struct app *app)
{
	return app->sink.colour ? "\033[0m" : "";
}

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}
