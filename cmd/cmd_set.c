/* SPDX-License-Identifier: BSD-3-Clause */
/* The command set: what can be changed while the program runs. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "session.h"
#include "words.h"

#define WIDTH_MOST 256u
#define TRACE_MOST (1u << 20)

/* ---- What follows from a change ------------------------------------------------ */

static int apply_timeout(struct app *app)
{
	if (app->client)
		vuser_client_set_timeout(app->client, app->set.timeout);
	return FAIL_NONE;
}

static int apply_strict(struct app *app)
{
	if (app->client)
		vuser_client_set_lax(app->client, !app->set.strict);
	return FAIL_NONE;
}

static int apply_posting(struct app *app)
{
	if (app->client)
		vuser_client_set_posting(app->client, app->set.posting,
					 app->set.coalesce);
	return FAIL_NONE;
}

static int apply_verbose(struct app *app)
{
	tracing_update(app);
	return FAIL_NONE;
}

static int apply_trace(struct app *app)
{
	struct vuser_error e;

	if (vuser_trace_resize(app->trace, (size_t)app->set.trace, &e))
		return fail_from(app, &e);
	app->mark = 0;
	return FAIL_NONE;
}

/* ---- The settings -------------------------------------------------------------- */

enum setting_kind { SETTING_DURATION, SETTING_SWITCH, SETTING_NUMBER };

static const struct setting {
	const char *name, *help;
	enum setting_kind kind;
	size_t place; /* in struct settings */
	int (*apply)(struct app *app);
	uint64_t most; /* of a number; the least is 1 */
} settings[] = {
#define SETTING(name, kind, apply, most, help)                                  \
	{                                                                       \
#name, help, kind, offsetof(struct settings, name), apply, most \
	}
	SETTING(timeout, SETTING_DURATION, apply_timeout, 0,
		"how long to wait for each reply; 0 waits for ever"),
	SETTING(json, SETTING_SWITCH, NULL, 0, "results as JSON Lines"),
	SETTING(verbose, SETTING_SWITCH, apply_verbose, 0,
		"print every message as it goes"),
	SETTING(width, SETTING_NUMBER, NULL, WIDTH_MOST, "bytes on a line of a dump"),
	SETTING(strict, SETTING_SWITCH, apply_strict, 0,
		"refuse what limits and sizes forbid, before sending"),
	SETTING(trace, SETTING_NUMBER, apply_trace, TRACE_MOST,
		"messages kept; a change forgets those there are"),
	SETTING(posting, SETTING_SWITCH, apply_posting, 0,
		"write -p asks for no reply; off: waits for it"),
	SETTING(coalesce, SETTING_SWITCH, apply_posting, 0,
		"posted writes may be gathered into one message"),
	SETTING(twin, SETTING_SWITCH, NULL, 0,
		"the next connect offers a socket for the server's commands"),
#undef SETTING
};
#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

const char *setting_name_at(size_t i)
{
	return i < NSETTINGS ? settings[i].name : NULL;
}

static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < NSETTINGS; i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

/* In the largest unit that leaves no rest. */
static void duration_text(char *buf, size_t cap, int64_t ns)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = { { "m", 60000000000 }, { "s", 1000000000 }, { "ms", 1000000 } };

	for (size_t i = 0; ns && i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns % units[i].ns)
			continue;
		snprintf(buf, cap, "%" PRId64 "%s", ns / units[i].ns, units[i].unit);
		return;
	}
	snprintf(buf, cap, "%" PRId64, ns);
}

static void show(struct app *app, const struct setting *s)
{
	const char *at = (const char *)&app->set + s->place;
	char value[40];
	int64_t ns;
	uint64_t number;
	bool on;

	if (s->kind == SETTING_DURATION) {
		memcpy(&ns, at, sizeof(ns));
		duration_text(value, sizeof(value), ns);
		json_text(json(app), s->name, value);
	} else if (s->kind == SETTING_SWITCH) {
		memcpy(&on, at, sizeof(on));
		snprintf(value, sizeof(value), "%s", on ? "on" : "off");
		json_bool(json(app), s->name, on);
	} else {
		memcpy(&number, at, sizeof(number));
		snprintf(value, sizeof(value), "%" PRIu64, number);
		json_count(json(app), s->name, number);
	}
	if (text(app))
		fprintf(text(app), "%-10s %-6s  %s\n", s->name, value, s->help);
}

/* Reads word as the setting's value into to; NULL, or what is wrong with it. */
static const char *read_value(const struct setting *s, const char *word, char *to)
{
	const char *problem;
	uint64_t number;
	int64_t ns;
	bool on;

	if (s->kind == SETTING_DURATION) {
		problem = word_duration(word, &ns);
		if (!problem)
			memcpy(to, &ns, sizeof(ns));
		return problem;
	}
	if (s->kind == SETTING_SWITCH) {
		problem = word_switch(word, &on);
		if (!problem)
			memcpy(to, &on, sizeof(on));
		return problem;
	}
	problem = word_number(word, &number);
	if (!problem && !number)
		return "is too small";
	if (!problem && number > s->most)
		return "is too large";
	if (!problem)
		memcpy(to, &number, sizeof(number));
	return problem;
}

int check_set(struct app *app, const struct args *a)
{
	const char *name = arg(a, "NAME"), *word = arg(a, "VALUE"), *problem;
	const struct setting *s = name ? find_setting(name) : NULL;
	char scratch[8];

	if (!name)
		return FAIL_NONE;
	if (!s)
		return fail(app, FAIL_USAGE, 0, "\"%.60s\" is no setting; set lists them",
			    name);
	problem = word ? read_value(s, word, scratch) : NULL;
	if (problem)
		return fail(app, FAIL_USAGE, 0, "%s: \"%.60s\" %s", name, word, problem);
	return FAIL_NONE;
}

int run_set(struct app *app, const struct args *a)
{
	const char *name = arg(a, "NAME"), *word = arg(a, "VALUE");
	const struct setting *s = name ? find_setting(name) : NULL;

	if (s && word) {
		read_value(s, word, (char *)&app->set + s->place);
		return s->apply ? s->apply(app) : FAIL_NONE;
	}
	for (size_t i = 0; i < NSETTINGS; i++)
		if (!s || s == &settings[i])
			show(app, &settings[i]);
	return FAIL_NONE;
}
