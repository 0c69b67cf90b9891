/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the connection: connect, disconnect, status, caps. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "app.h"

/* ---- connect, disconnect ------------------------------------------------------- */

static void tell_outstanding(struct app *app, unsigned n)
{
	if (n)
		app_say(app, "%u request%s %s outstanding", n, n == 1 ? "" : "s",
			n == 1 ? "was" : "were");
}

static int run_connect(struct app *app, const struct args *a)
{
	tell_outstanding(app, connection_close(app));
	app->pending = NULL;
	return connection_open(app, arg(a, "PATH"));
}

static int run_disconnect(struct app *app, const struct args *a)
{
	unsigned outstanding;

	(void)a;
	app->pending = NULL;
	if (!app->client)
		return fail(app, FAIL_CONNECTION, 0, "not connected");
	outstanding = connection_close(app);
	json_count(json(app), "outstanding", outstanding);
	tell_outstanding(app, outstanding);
	return FAIL_NONE;
}

/* ---- caps ---------------------------------------------------------------------- */

enum cap_kind { CAP_COUNT, CAP_SIZE, CAP_MASK, CAP_BOOL };
/* What holds between the two sides. */
enum cap_rule { RULE_LOWER, RULE_THEIRS, RULE_BOTH };

static const struct cap_row {
	const char *name, *within,
		*member; /* "migration.pgsize", "migration", "pgsize" */
	unsigned present;
	size_t place;
	enum cap_kind kind;
	enum cap_rule rule;
} cap_rows[] = {
#define CAP(name, within, member, field, bit, kind, rule)                            \
	{                                                                            \
		name, within, member, bit, offsetof(struct vuser_caps, field), kind, \
			rule                                                         \
	}
	CAP("max_msg_fds", NULL, "max_msg_fds", max_msg_fds, VUSER_CAP_MAX_MSG_FDS,
	    CAP_COUNT, RULE_THEIRS),
	CAP("max_data_xfer_size", NULL, "max_data_xfer_size", max_data_xfer_size,
	    VUSER_CAP_MAX_DATA_XFER_SIZE, CAP_SIZE, RULE_LOWER),
	CAP("max_dma_maps", NULL, "max_dma_maps", max_dma_maps, VUSER_CAP_MAX_DMA_MAPS,
	    CAP_COUNT, RULE_LOWER),
	CAP("pgsizes", NULL, "pgsizes", pgsizes, VUSER_CAP_PGSIZES, CAP_MASK, RULE_BOTH),
	CAP("migration.pgsize", "migration", "pgsize", migration_pgsize,
	    VUSER_CAP_MIG_PGSIZE, CAP_SIZE, RULE_THEIRS),
	CAP("migration.max_bitmap_size", "migration", "max_bitmap_size",
	    migration_max_bitmap_size, VUSER_CAP_MIG_MAX_BITMAP_SIZE, CAP_SIZE,
	    RULE_LOWER),
	CAP("write_multiple", NULL, "write_multiple", write_multiple,
	    VUSER_CAP_WRITE_MULTIPLE, CAP_BOOL, RULE_BOTH),
	CAP("twin_socket.supported", "twin_socket", "supported", twin_supported,
	    VUSER_CAP_TWIN_SUPPORTED, CAP_BOOL, RULE_BOTH),
#undef CAP
};
#define NCAPS (sizeof(cap_rows) / sizeof(cap_rows[0]))

static uint64_t cap_value(const struct vuser_caps *caps, const struct cap_row *row)
{
	const char *at = (const char *)caps + row->place;
	uint64_t value;
	bool flag;

	if (row->kind == CAP_BOOL) {
		memcpy(&flag, at, sizeof(flag));
		return flag;
	}
	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t cap_in_force(const struct cap_row *row, uint64_t ours, uint64_t theirs)
{
	switch (row->rule) {
	case RULE_LOWER:
		return ours < theirs ? ours : theirs;
	case RULE_BOTH:
		return ours & theirs;
	default:
		return theirs;
	}
}

static void cap_text(char *buf, size_t cap, const struct cap_row *row, uint64_t value,
		     bool named)
{
	char number[24];

	if (row->kind == CAP_BOOL)
		snprintf(number, sizeof(number), "%s", value ? "yes" : "no");
	else if (row->kind == CAP_MASK)
		snprintf(number, sizeof(number), "0x%" PRIx64, value);
	else
		snprintf(number, sizeof(number), "%" PRIu64, value);
	snprintf(buf, cap, "%s%s", number, named ? "" : " (default)");
}

static void cap_json(cJSON *object, const struct cap_row *row, uint64_t value)
{
	cJSON *at = object;

	if (!object)
		return;
	if (row->within) {
		at = cJSON_GetObjectItem(object, row->within);
		at = at ? at : json_object(object, row->within);
	}
	if (row->kind == CAP_BOOL)
		json_bool(at, row->member, value);
	else if (row->kind == CAP_MASK)
		json_hex(at, row->member, value);
	else
		json_count(at, row->member, value);
}

static int run_caps(struct app *app, const struct args *a)
{
	const struct vuser_caps *ours = vuser_client_offered(app->client);
	const struct vuser_caps *theirs = vuser_client_theirs(app->client);
	cJSON *sides[] = { json_object(json(app), "ours"),
			   json_object(json(app), "theirs"),
			   json_object(json(app), "in_force") };
	char left[48], middle[48], right[48];

	(void)a;
	if (text(app))
		fprintf(text(app), "%s%-26s %-22s %-22s %s%s\n", bold(app), "capability",
			"ours", "theirs", "in force", plain(app));
	for (size_t i = 0; i < NCAPS; i++) {
		const struct cap_row *row = &cap_rows[i];
		uint64_t o = cap_value(ours, row), t = cap_value(theirs, row);
		uint64_t f = cap_in_force(row, o, t);

		cap_json(sides[0], row, o);
		cap_json(sides[1], row, t);
		cap_json(sides[2], row, f);
		if (!text(app))
			continue;
		cap_text(left, sizeof(left), row, o, ours->present & row->present);
		cap_text(middle, sizeof(middle), row, t, theirs->present & row->present);
		cap_text(right, sizeof(right), row, f, true);
		fprintf(text(app), "%-26s %-22s %-22s %s\n", row->name, left, middle,
			right);
	}
	return FAIL_NONE;
}

/* ---- status -------------------------------------------------------------------- */

static struct vuser_counter total(const struct vuser_counter *c)
{
	struct vuser_counter sum = { 0 };

	for (size_t i = 0; i < VUSER_CMD_LIMIT; i++) {
		sum.messages += c[i].messages;
		sum.bytes += c[i].bytes;
		sum.errors += c[i].errors;
	}
	return sum;
}

static const char *message_name(size_t i)
{
	const char *name = vuser_command_name((unsigned)i);

	return name ? name : "(unknown)";
}

static void counter_json(cJSON *object, const char *name, const struct vuser_counter *c)
{
	cJSON *counter = json_object(object, name);

	json_count(counter, "messages", c->messages);
	json_count(counter, "bytes", c->bytes);
	json_count(counter, "errors", c->errors);
}

static void status_counters(struct app *app, const struct vuser_stats *s)
{
	cJSON *all = json_object(json(app), "messages"), *one;
	struct vuser_counter sent = total(s->sent), received = total(s->received);

	if (text(app))
		fprintf(text(app), "\n%s%-26s %9s %11s %9s %11s %7s%s\n", bold(app),
			"messages", "sent", "bytes", "received", "bytes", "errors",
			plain(app));
	for (size_t i = 0; i < VUSER_CMD_LIMIT; i++) {
		const struct vuser_counter *out = &s->sent[i], *in = &s->received[i];

		if (!out->messages && !in->messages)
			continue;
		one = json_object(all, message_name(i));
		counter_json(one, "sent", out);
		counter_json(one, "received", in);
		if (text(app))
			fprintf(text(app),
				"%-26s %9" PRIu64 " %11" PRIu64 " %9" PRIu64 " %11" PRIu64
				" %7" PRIu64 "\n",
				message_name(i), out->messages, out->bytes, in->messages,
				in->bytes, in->errors + out->errors);
	}
	counter_json(json(app), "sent", &sent);
	counter_json(json(app), "received", &received);
	if (text(app))
		fprintf(text(app),
			"%-26s %9" PRIu64 " %11" PRIu64 " %9" PRIu64 " %11" PRIu64
			" %7" PRIu64 "\n",
			"all", sent.messages, sent.bytes, received.messages,
			received.bytes, received.errors + sent.errors);
}

static void status_troubles(struct app *app, const struct vuser_stats *s)
{
	const struct {
		const char *name, *label;
		uint64_t value;
	} rows[] = {
		{ "timeouts", "timeouts", s->timeouts },
		{ "late", "late replies", s->late },
		{ "unexpected", "unexpected replies", s->unexpected },
		{ "refused", "replies refused", s->refused },
		{ "posted_errors", "errors of posted writes", s->posted_errors },
		{ "outstanding", "outstanding", s->outstanding },
		{ "queued", "queued", s->queued },
	};

	if (text(app))
		fputc('\n', text(app));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_count(json(app), rows[i].name, rows[i].value);
		if (text(app))
			fprintf(text(app), "%-26s %9" PRIu64 "\n", rows[i].label,
				rows[i].value);
	}
}

static void status_negotiated(struct app *app)
{
	struct vuser_version v = vuser_client_version(app->client);
	const struct vuser_caps *ours = vuser_client_offered(app->client);
	const struct vuser_caps *theirs = vuser_client_theirs(app->client);
	cJSON *caps = json_object(json(app), "capabilities");
	char what[48];

	json_count(json(app), "major", v.major);
	json_count(json(app), "minor", v.minor);
	if (text(app))
		fprintf(text(app), "%-26s %u.%u\n", "version", v.major, v.minor);
	for (size_t i = 0; i < NCAPS; i++) {
		const struct cap_row *row = &cap_rows[i];
		uint64_t value =
			cap_in_force(row, cap_value(ours, row), cap_value(theirs, row));

		cap_json(caps, row, value);
		cap_text(what, sizeof(what), row, value, true);
		if (text(app) && (row->kind != CAP_BOOL || value))
			fprintf(text(app), "%-26s %s\n", row->name, what);
	}
}

/* Which socket the server's commands come over. */
static void status_twin(struct app *app)
{
	cJSON *twin = json_object(json(app), "twin_socket");
	bool agreed = vuser_client_twin(app->client);
	struct vuser_error e;
	bool lost = agreed && vuser_client_twin_lost(app->client, &e);

	json_bool(twin, "used", agreed);
	if (lost)
		json_text(twin, "lost", e.text);
	if (!text(app))
		return;
	fprintf(text(app), "%-26s over %s\n", "the server's commands",
		agreed ? "a twin socket" : "the same socket");
	if (lost)
		fprintf(text(app), "%-26s %s\n", "twin socket lost", e.text);
}

static int run_status(struct app *app, const struct args *a)
{
	struct vuser_stats stats;
	struct vuser_error e;
	bool stands = connection_stands(app);
	char peer[200];

	(void)a;
	json_bool(json(app), "connected", stands);
	if (!app->client) {
		if (text(app))
			fputs("not connected\n", text(app));
		return FAIL_NONE;
	}
	printable(peer, sizeof(peer), app->peer ? app->peer : "?");
	json_text(json(app), "path", peer);
	if (text(app))
		fprintf(text(app), "%s%-26s %s%s\n", bold(app),
			stands ? "connected to" : "connection lost to", peer, plain(app));
	if (!stands && vuser_client_lost(app->client, &e)) {
		json_text(json(app), "lost", e.text);
		if (text(app))
			fprintf(text(app), "%-26s %s\n", "because", e.text);
	}
	status_negotiated(app);
	status_twin(app);
	vuser_client_stats(app->client, &stats);
	status_counters(app, &stats);
	status_troubles(app, &stats);
	return FAIL_NONE;
}

static const struct command rows[] = {
	{ .name = "connect",
	  .synopsis = "PATH",
	  .summary = "connect to the server at PATH",
	  .help = "Closes the connection there is, connects to the UNIX socket at PATH and\n"
		  "negotiates version and capabilities. There is one connection at a time.\n"
		  "What the server asks comes over a twin socket if it agrees; \"set twin off\"\n"
		  "does not offer that, as for a relay that passes no descriptors.\n",
	  .run = run_connect },
	{ .name = "disconnect",
	  .synopsis = "",
	  .summary = "close the connection",
	  .help = "The server lets go of all DMA memory; files behind it are closed.\n",
	  .run = run_disconnect },
	{ .name = "status",
	  .synopsis = "",
	  .summary = "the connection, what was negotiated, messages counted",
	  .run = run_status,
	  .flags = CMD_PENDING },
	{ .name = "caps",
	  .synopsis = "",
	  .summary = "the capabilities of both sides, and what holds between them",
	  .help = "A value marked (default) was not named by that side. What is in force is\n"
		  "what vfuctl keeps to when it sends.\n",
	  .run = run_caps,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group connection_commands = { "Connection", rows };
