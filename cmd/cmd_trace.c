/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on the last messages: trace on, off, clear, show, dump, save. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"

static int run_on(struct app *app, const struct args *a)
{
	(void)a;
	vuser_trace_switch(app->trace, true);
	return FAIL_NONE;
}

static int run_off(struct app *app, const struct args *a)
{
	(void)a;
	vuser_trace_switch(app->trace, false);
	return FAIL_NONE;
}

static int run_clear(struct app *app, const struct args *a)
{
	(void)a;
	vuser_trace_clear(app->trace);
	return FAIL_NONE;
}

typedef void record_fn(FILE *out, const struct vuser_record *r, uint64_t start);

/* Where the last n messages begin, all of them if n is not given. */
static size_t first_of(struct app *app, const struct args *a)
{
	size_t count = vuser_trace_count(app->trace);
	uint64_t n = arg_number(a, "N", count);

	return n < count ? count - (size_t)n : 0;
}

/* Times count from the oldest message that is kept. */
static uint64_t time_zero(struct app *app)
{
	struct vuser_record r;

	return vuser_trace_get(app->trace, 0, &r) ? r.time : 0;
}

void json_record(cJSON *object, const char *name, const struct vuser_record *r)
{
	char *line = NULL;
	size_t len = 0;
	FILE *out = object ? open_memstream(&line, &len) : NULL;

	if (!out)
		return;
	vuser_record_json(out, r);
	fclose(out);
	line[strcspn(line, "\n")] = '\0';
	if (name)
		cJSON_AddRawToObject(object, name, line);
	else
		cJSON_AddItemToArray(object, cJSON_CreateRaw(line));
	free(line);
}

static int show(struct app *app, const struct args *a, record_fn *print)
{
	cJSON *array = json_array(json(app), "messages");
	uint64_t start = time_zero(app);
	struct vuser_record r;

	for (size_t i = first_of(app, a); vuser_trace_get(app->trace, i, &r); i++) {
		if (array)
			json_record(array, NULL, &r);
		else
			print(text(app), &r, start);
	}
	return FAIL_NONE;
}

static int run_show(struct app *app, const struct args *a)
{
	return show(app, a, vuser_record_line);
}

static int run_dump_trace(struct app *app, const struct args *a)
{
	return show(app, a, vuser_record_dump);
}

static int run_save_trace(struct app *app, const struct args *a)
{
	const char *path = arg(a, "FILE");
	uint64_t start = time_zero(app), n = 0;
	bool lines = tracing_is_json(path);
	struct vuser_record r;
	FILE *out = fopen(path, "we");
	int err = 0;

	if (!out)
		return fail(app, FAIL_SYSTEM, errno, "%s", path);
	for (; vuser_trace_get(app->trace, n, &r) && !err; n++) {
		if (lines)
			vuser_record_json(out, &r);
		else
			vuser_record_dump(out, &r, start);
		err = ferror(out) ? errno : 0;
	}
	if (!err && fflush(out) != 0)
		err = errno;
	if (fclose(out) != 0 && !err)
		err = errno;
	if (err)
		return fail(app, FAIL_SYSTEM, err, "%s", path);
	json_text(json(app), "file", path);
	json_count(json(app), "messages", n);
	return FAIL_NONE;
}

static const struct command rows[] = {
	{ .name = "send",
	  .synopsis = SEND_SYNOPSIS,
	  .summary = "send any message, however wrong, and show what comes back",
	  .help = "COMMAND is a message's name or number, HEX its payload. The header is right\n"
		  "unless told otherwise; --fd opens FILE and passes it along. An error reply and\n"
		  "a reply that does not come are failures, for expect to look at.\n\n"
		  "    send REGION_READ 10000000000000000000000004000000\n"
		  "    expect EINVAL send REGION_READ 00\n"
		  "    expect timeout send VERSION --size 4K\n",
	  .run = run_send,
	  .check = check_send,
	  .flags = CMD_CONNECTED },
	{ .name = "trace on",
	  .synopsis = "",
	  .summary = "keep the last messages",
	  .run = run_on },
	{ .name = "trace off",
	  .synopsis = "",
	  .summary = "keep no more",
	  .run = run_off },
	{ .name = "trace clear",
	  .synopsis = "",
	  .summary = "forget them",
	  .run = run_clear },
	{ .name = "trace show",
	  .synopsis = "[N]",
	  .summary = "the last N messages, a line each",
	  .help = "See set trace for how many are kept.\n",
	  .run = run_show },
	{ .name = "trace dump",
	  .synopsis = "[N]",
	  .summary = "the same with their bytes and fields",
	  .run = run_dump_trace },
	{ .name = "trace save",
	  .synopsis = "FILE",
	  .summary = "write them to a file",
	  .help = "JSON Lines if FILE ends in .jsonl or .json, else what trace dump prints.\n",
	  .run = run_save_trace },
	{ 0 },
};

const struct command_group message_commands = { "Messages", rows };
