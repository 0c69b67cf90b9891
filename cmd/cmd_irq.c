/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about interrupts: irq enable, disable, mask, unmask, trigger, wait, list. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "irqs.h"
#include "words.h"

/* The vectors that IRQ and COUNT mean. */
struct range {
	struct vuser_irq_info info;
	uint32_t start, count;
};

static int check_count(struct app *app, const struct args *a)
{
	if (arg_number(a, "COUNT", 0) > UINT32_MAX)
		return fail(app, FAIL_USAGE, 0, "COUNT does not fit into 32 bits");
	return FAIL_NONE;
}

/* IRQ alone means all vectors of its type, which only the server knows. */
static int range_of(struct app *app, const struct args *a, struct range *r)
{
	const char *word = arg(a, "IRQ");
	bool one = strchr(word, ':'), counted = arg(a, "COUNT");
	struct vuser_error e;
	uint32_t index = 0;
	int code;

	r->start = 0;
	word_irq(word, &index, &r->start);
	code = vuser_get_irq(app->client, index, &r->info, &e);
	/* Who is not strict may ask for what the server does not know. */
	if (code && (app->set.strict || code != VUSER_E_REMOTE || !(one || counted)))
		return fail_from(app, &e);
	if (code)
		r->info = (struct vuser_irq_info){ .index = index };
	r->count = one ? 1 : r->info.count;
	r->count = (uint32_t)arg_number(a, "COUNT", r->count);
	if (!one && !counted && !r->count)
		return fail(app, FAIL_USAGE, 0, "the device has no vectors of %s", word);
	return FAIL_NONE;
}

static void range_json(struct app *app, const struct range *r)
{
	json_count(json(app), "index", r->info.index);
	json_count(json(app), "start", r->start);
	json_count(json(app), "count", r->count);
}

/* ---- enable, disable ----------------------------------------------------------- */

static int run_enable(struct app *app, const struct args *a)
{
	struct vuser_error e;
	struct range r;
	int *fds, rc = range_of(app, a, &r);

	if (rc)
		return rc;
	if (r.count > IRQS_MAX)
		return fail(app, FAIL_USAGE, 0,
			    "%" PRIu32 " vectors are more than the %u that can be waited "
			    "for: say which",
			    r.count, IRQS_MAX);
	fds = calloc(r.count + 1, sizeof(*fds));
	if (!fds)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the interrupts");
	/* Refused first, if it is to be, for the right reason. */
	if (r.start > UINT32_MAX - r.count)
		rc = fail(app, FAIL_USAGE, 0, "the vectors end beyond 32 bits");
	rc = rc ? rc : irqs_prepare(app, r.info.index, r.start, r.count, fds);
	if (!rc && vuser_irq_attach(app->client, r.info.index, r.start, fds, r.count, &e))
		rc = fail_from(app, &e);
	irqs_settle(app, &r.info, r.start, r.count, !rc);
	free(fds);
	range_json(app, &r);
	return rc;
}

static int run_disable(struct app *app, const struct args *a)
{
	const char *word = arg(a, "IRQ");
	uint32_t index = 0, vector = 0;
	bool one = strchr(word, ':');
	struct vuser_error e;
	int none = -1, rc;

	word_irq(word, &index, &vector);
	rc = one ? vuser_irq_attach(app->client, index, vector, &none, 1, &e)
		 : vuser_irq_disable(app->client, index, &e);
	if (rc)
		return fail_from(app, &e);
	irqs_detach(app, index, vector, one ? 1 : UINT32_MAX);
	if (!one)
		irqs_mask(app, index, 0, UINT32_MAX, false);
	json_count(json(app), "index", index);
	json_count(json(app), "start", vector);
	json_count(json(app), "count", one);
	return FAIL_NONE;
}

/* ---- mask, unmask, trigger ------------------------------------------------------ */

static int act(struct app *app, const struct args *a, uint32_t action)
{
	struct vuser_error e;
	struct range r;
	int rc = range_of(app, a, &r);

	if (rc)
		return rc;
	if (vuser_irq_act(app->client, r.info.index, action, r.start, r.count, NULL, &e))
		return fail_from(app, &e);
	/* What came before it was masked by itself is over. */
	irqs_collect(app);
	if (action != VUSER_SET_IRQS_TRIGGER)
		irqs_mask(app, r.info.index, r.start, r.count,
			  action == VUSER_SET_IRQS_MASK);
	range_json(app, &r);
	return FAIL_NONE;
}

static int run_mask(struct app *app, const struct args *a)
{
	return act(app, a, VUSER_SET_IRQS_MASK);
}

static int run_unmask(struct app *app, const struct args *a)
{
	return act(app, a, VUSER_SET_IRQS_UNMASK);
}

static int run_trigger(struct app *app, const struct args *a)
{
	return act(app, a, VUSER_SET_IRQS_TRIGGER);
}

/* ---- wait ---------------------------------------------------------------------- */

/* What is waited for: a type, and all of its vectors or one. */
struct wanted {
	uint32_t index, vector;
	bool one;
};

static bool is_wanted(const struct wanted *w, const struct irq_vector *v)
{
	return v->index == w->index && (!w->one || v->vector == w->vector);
}

static uint64_t count_fresh(struct app *app, const struct wanted *w, bool *attached)
{
	uint64_t fresh = 0;
	struct irq_vector *v;

	*attached = false;
	for (size_t i = 0; (v = irqs_get(app, i)); i++) {
		if (!is_wanted(w, v))
			continue;
		*attached |= v->attached;
		fresh += v->fresh < UINT64_MAX - fresh ? v->fresh : UINT64_MAX - fresh;
	}
	return fresh;
}

/* Until one has fired. */
static int wait_fresh(struct app *app, const struct wanted *w, const char *word,
		      int64_t timeout, uint64_t *fresh)
{
	int64_t end = now_ns() + timeout, left = -1;
	bool attached;

	for (;;) {
		irqs_collect(app);
		*fresh = count_fresh(app, w, &attached);
		if (*fresh)
			return FAIL_NONE;
		if (!attached)
			return fail(app, FAIL_USAGE, 0,
				    "%s is not attached: irq enable %s", word, word);
		if (!connection_stands(app))
			return fail(app, FAIL_CONNECTION, 0, "the connection was lost");
		if (timeout)
			left = end - now_ns();
		if (timeout && left <= 0)
			return fail(app, FAIL_TIMEOUT, 0, "%s did not fire in time",
				    word);
		/* A second at most, to see that the connection is lost. */
		if (left < 0 || left > 1000000000)
			left = 1000000000;
		if (connection_wait(app, irqs_fd(app), left) < 0)
			return fail(app, FAIL_CANCELLED, 0, "interrupted");
	}
}

static int run_wait(struct app *app, const struct args *a)
{
	const char *word = arg(a, "IRQ");
	struct wanted w = { .one = strchr(word, ':') };
	cJSON *array;
	struct irq_vector *v;
	uint64_t fresh = 0;
	char name[32];
	int rc;

	word_irq(word, &w.index, &w.vector);
	rc = wait_fresh(app, &w, word, arg_duration(a, "TIMEOUT", app->set.timeout),
			&fresh);
	if (rc)
		return rc;
	app->out->has_value = true;
	app->out->value = fresh;
	app->out->width = 1;
	json_count(json(app), "index", w.index);
	json_count(json(app), "fired", fresh);
	array = json_array(json(app), "vectors");
	for (size_t i = 0; (v = irqs_get(app, i)); i++) {
		cJSON *entry;

		if (!is_wanted(&w, v) || !v->fresh)
			continue;
		entry = json_entry(array);
		json_count(entry, "vector", v->vector);
		json_count(entry, "fired", v->fresh);
		if (text(app))
			fprintf(text(app), "%s %" PRIu64 "\n",
				irq_vector_text(v, name, sizeof(name)), v->fresh);
		v->fresh = v->untold = 0;
	}
	return FAIL_NONE;
}

/* ---- list ---------------------------------------------------------------------- */

static int run_list(struct app *app, const struct args *a)
{
	cJSON *array = json_array(json(app), "vectors"), *entry;
	struct irq_vector *v;
	char name[32];

	(void)a;
	irqs_collect(app);
	if (text(app))
		fprintf(text(app), "%s%-12s %-8s  %-6s  %20s%s\n", bold(app), "interrupt",
			"attached", "masked", "fired", plain(app));
	for (size_t i = 0; (v = irqs_get(app, i)); i++) {
		entry = json_entry(array);
		json_count(entry, "index", v->index);
		if (vuser_irq_name(v->index))
			json_text(entry, "name", vuser_irq_name(v->index));
		json_count(entry, "vector", v->vector);
		json_bool(entry, "attached", v->attached);
		json_bool(entry, "masked", v->masked);
		json_count(entry, "fired", v->fired);
		v->untold = 0;
		if (text(app))
			fprintf(text(app), "%-12s %-8s  %-6s  %20" PRIu64 "\n",
				irq_vector_text(v, name, sizeof(name)),
				v->attached ? "yes" : "no", v->masked ? "yes" : "no",
				v->fired);
	}
	return FAIL_NONE;
}

#define WHICH                                                                        \
	"IRQ is a type, intx, msi, msix, err, req or a number, which means all of\n" \
	"its vectors, or the first COUNT; or a vector, msix:3, and COUNT from there.\n"

static const struct command rows[] = {
	{ .name = "irq enable",
	  .synopsis = "IRQ [COUNT]",
	  .summary = "attach eventfds to interrupts",
	  .help = WHICH
	  "From then on it is counted how often each fires; at the prompt that is shown at\n"
	  "once. An interrupt that masks itself when it fires, as intx does (see irqs:\n"
	  "automasked), fires again only after irq unmask.\n\n"
	  "    irq enable msix\n"
	  "    irq enable msi 4\n",
	  .run = run_enable,
	  .check = check_count,
	  .flags = CMD_CONNECTED },
	{ .name = "irq disable",
	  .synopsis = "IRQ",
	  .summary = "detach them",
	  .help = "One vector, msix:3, or all of a type. What was counted stays until the\n"
		  "connection ends.\n",
	  .run = run_disable,
	  .flags = CMD_CONNECTED },
	{ .name = "irq mask",
	  .synopsis = "IRQ [COUNT]",
	  .summary = "mask interrupts, by message",
	  .help = WHICH,
	  .run = run_mask,
	  .check = check_count,
	  .flags = CMD_CONNECTED },
	{ .name = "irq unmask",
	  .synopsis = "IRQ [COUNT]",
	  .summary = "unmask them",
	  .help = WHICH "One that became pending meanwhile fires now.\n",
	  .run = run_unmask,
	  .check = check_count,
	  .flags = CMD_CONNECTED },
	{ .name = "irq trigger",
	  .synopsis = "IRQ [COUNT]",
	  .summary = "make the server fire interrupts",
	  .help = WHICH "The server fires them as if the device had.\n",
	  .run = run_trigger,
	  .check = check_count,
	  .flags = CMD_CONNECTED },
	{ .name = "irq wait",
	  .synopsis = "IRQ [TIMEOUT]",
	  .summary = "wait until one has fired",
	  .help = "Returns at once if one has fired since the last wait. Prints how often each\n"
		  "did; expect compares the sum. TIMEOUT is how long to wait; the reply timeout\n"
		  "unless given, 0 for ever.\n\n"
		  "    irq wait msix:3 2s\n"
		  "    expect 1 irq wait msix\n",
	  .run = run_wait,
	  .flags = CMD_CONNECTED | CMD_VALUE },
	{ .name = "irq list",
	  .synopsis = "",
	  .summary = "the vectors attached so far, and how often they fired",
	  .help = "Whether one is masked is what vfuctl told the server, and what it knows of\n"
		  "those that mask themselves.\n",
	  .run = run_list,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group irq_commands = { "Interrupts", rows };
