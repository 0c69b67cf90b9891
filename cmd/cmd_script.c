/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that make scripts: expect, repeat, time, sleep, echo, source. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"
#include "words.h"

/* ---- expect -------------------------------------------------------------------- */

#define OUTCOME "VALUE|ERRNO|timeout"

/* Whether the command prints one value, or runs one that does. */
static bool prints_value(char *const *v, size_t n)
{
	const struct command *row;
	struct failure why;
	struct args a = { 0 };
	size_t used;
	bool prints;

	row = command_find(v, n, true, &used, &why);
	if (!row || !(row->flags & CMD_NESTED))
		return row && row->flags & CMD_VALUE;
	prints = !args_read(row->name, row->synopsis, v + used, n - used, &a, &why) &&
		 prints_value(a.rest, a.nrest);
	args_free(&a);
	return prints;
}

static int check_expect(struct app *app, const struct args *a)
{
	const char *outcome = arg(a, OUTCOME);
	uint64_t value;

	if (word_number(outcome, &value) || prints_value(a->rest, a->nrest))
		return FAIL_NONE;
	return fail(app, FAIL_USAGE, 0, "%s prints no value that could be %s", a->rest[0],
		    outcome);
}

/* Whether what came is what was expected. */
static bool holds(struct app *app, const char *outcome, int rc)
{
	uint64_t value;

	if (!word_number(outcome, &value))
		return !rc && app->out->has_value && app->out->value == value;
	if (strcmp(outcome, "timeout") == 0)
		return rc == FAIL_TIMEOUT;
	return rc == FAIL_REMOTE && app->fail.err == vuser_errno_number(outcome);
}

static int run_expect(struct app *app, const struct args *a)
{
	const char *outcome = arg(a, OUTCOME);
	char came[sizeof(app->fail.text)] = "success";
	struct output *out = app->out;
	int rc;

	out->mutes = true;
	rc = command_run(app, a->rest, a->nrest);
	out->mutes = false;
	if (holds(app, outcome, rc)) {
		failure_clear(&app->fail);
		return FAIL_NONE;
	}
	if (rc && rc != FAIL_REMOTE && rc != FAIL_TIMEOUT && rc != FAIL_EXPECTATION)
		return rc;
	if (rc)
		failure_text(&app->fail, came, sizeof(came));
	else if (out->has_value)
		snprintf(came, sizeof(came), "0x%0*" PRIx64, (int)out->width * 2,
			 out->value);
	return fail(app, FAIL_EXPECTATION, 0, "expected %s, but %s: %s", outcome,
		    rc ? "it failed" : "there came", came);
}

/* ---- repeat, time -------------------------------------------------------------- */

static int run_repeat(struct app *app, const struct args *a)
{
	uint64_t n = arg_number(a, "N", 0), i;
	int rc = FAIL_NONE;

	for (i = 0; i < n && !rc && !app->quit; i++) {
		rc = command_run(app, a->rest, a->nrest);
		if (!rc && signals_came())
			rc = fail(app, FAIL_CANCELLED, 0, "interrupted");
	}
	json_count(json(app), "count", i);
	return rc;
}

static int run_time(struct app *app, const struct args *a)
{
	int64_t start = now_ns();
	int rc = command_run(app, a->rest, a->nrest);
	double seconds = (double)(now_ns() - start) / 1e9;

	if (rc)
		return rc;
	if (text(app))
		fprintf(text(app), "%.6f s\n", seconds);
	else
		cJSON_AddNumberToObject(json(app), "seconds", seconds);
	return FAIL_NONE;
}

/* ---- sleep, echo, source ------------------------------------------------------- */

static int run_sleep(struct app *app, const struct args *a)
{
	sink_flush(&app->sink);
	if (connection_wait(app, -1, arg_duration(a, "DURATION", 0)) < 0)
		return fail(app, FAIL_CANCELLED, 0, "interrupted");
	return FAIL_NONE;
}

static int run_echo(struct app *app, const struct args *a)
{
	char *line = NULL;
	size_t len = 0;
	FILE *out = json(app) ? open_memstream(&line, &len) : text(app);

	if (!out)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the text");
	for (size_t i = 0; i < a->nrest; i++)
		fprintf(out, "%s%s", i ? " " : "", a->rest[i]);
	if (!json(app)) {
		fputc('\n', out);
		return FAIL_NONE;
	}
	fclose(out);
	json_text(json(app), "text", line);
	free(line);
	return FAIL_NONE;
}

static int run_source(struct app *app, const struct args *a)
{
	const char *path = arg(a, "FILE");
	struct script s;
	int rc;

	json_text(json(app), "file", path);
	rc = script_file(app, &s, path);
	rc = rc ? rc : script_check(app, &s);
	rc = rc ? rc : script_run(app, &s);
	script_free(&s);
	return rc;
}

static const struct command rows[] = {
	{ .name = "expect",
	  .synopsis = OUTCOME " COMMAND...",
	  .summary = "fail unless that is the outcome of COMMAND",
	  .help = "The one value that COMMAND prints, the errno the server refuses it with, or that\n"
		  "no reply comes in time. COMMAND itself prints nothing.\n\n"
		  "    expect 0x010000ed read bar0 0\n"
		  "    expect EINVAL send 99\n",
	  .run = run_expect,
	  .check = check_expect,
	  .flags = CMD_NESTED },
	{ .name = "repeat",
	  .synopsis = "N COMMAND...",
	  .summary = "run COMMAND N times, until it fails",
	  .run = run_repeat,
	  .flags = CMD_NESTED },
	{ .name = "time",
	  .synopsis = "COMMAND...",
	  .summary = "run COMMAND and print how long it took",
	  .help = "    time repeat 1000 read bar0 0\n",
	  .run = run_time,
	  .flags = CMD_NESTED },
	{ .name = "sleep",
	  .synopsis = "DURATION",
	  .summary = "wait, and serve the connection meanwhile",
	  .help = "    sleep 250ms\n",
	  .run = run_sleep },
	{ .name = "echo",
	  .synopsis = "WORD...",
	  .summary = "print the words",
	  .run = run_echo },
	{ .name = "source",
	  .synopsis = "FILE",
	  .summary = "run the commands of FILE",
	  .help = "All of FILE is checked before its first command is run.\n",
	  .run = run_source },
	{ 0 },
};

const struct command_group script_commands = { "Scripts", rows };
