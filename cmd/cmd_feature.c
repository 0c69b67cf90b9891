/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on device features as they are: probe, get, set. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "words.h"

#define FIXED	   8u	       /* argsz and flags, before a feature's data */
#define FIRST_ROOM 4096u       /* for data whose size nobody knows yet */
#define MAX_ROOM   (64u << 20) /* larger data is not believed */

/* A feature, and the data that goes with the command. */
struct feature {
	uint32_t number;
	uint8_t *data;
	size_t len;
};

static int read_feature(struct app *app, const struct args *a, struct feature *f)
{
	const char *hex = arg(a, "HEX");

	*f = (struct feature){ 0 };
	(void)word_feature(arg(a, "NUMBER"), &f->number);
	if (hex && word_hex(hex, &f->data, &f->len))
		return fail(app, FAIL_USAGE, 0, "\"%.60s\" is not hex", hex);
	return FAIL_NONE;
}

static void name_feature(struct app *app, const struct feature *f)
{
	const char *name = vuser_feature_name(f->number);

	json_count(json(app), "feature", f->number);
	if (name)
		json_text(json(app), "name", name);
}

/* ---- probe --------------------------------------------------------------------- */

/* Whether the server says that it knows the operation; any answer but an error is yes. */
static int probe(struct app *app, const struct feature *f, uint32_t operation,
		 bool *known, struct vuser_error *e)
{
	int rc = vuser_feature(app->client, f->number | VUSER_FEATURE_PROBE | operation,
			       f->data, f->len, NULL, 0, NULL, e);

	*known = rc == 0;
	return rc == VUSER_E_REMOTE ? 0 : rc;
}

static int run_probe(struct app *app, const struct args *a)
{
	static const char *const names[] = { "get", "set", NULL };
	bool get = false, set = false;
	struct vuser_error e;
	struct feature f;
	char flags[24];
	uint32_t bits;
	int rc = read_feature(app, a, &f);

	if (rc)
		return rc;
	rc = probe(app, &f, VUSER_FEATURE_SET, &set, &e);
	rc = rc ? rc : probe(app, &f, VUSER_FEATURE_GET, &get, &e);
	free(f.data);
	if (rc || !(get || set))
		return fail_from(app, &e);
	bits = (get ? 1u : 0) | (set ? 2u : 0);
	name_feature(app, &f);
	json_flags(json(app), "operations", bits, names);
	if (text(app))
		fprintf(text(app), "%s\n", flags_text(flags, sizeof(flags), bits, names));
	return FAIL_NONE;
}

/* ---- get ----------------------------------------------------------------------- */

/* "stop-copy|pre-copy" as an array. */
static void json_names(cJSON *object, const char *name, char *names)
{
	cJSON *array = json_array(object, name);
	char *rest;

	for (char *bit = strtok_r(names, "|", &rest); bit;
	     bit = strtok_r(NULL, "|", &rest))
		cJSON_AddItemToArray(array, cJSON_CreateString(bit));
}

static void show_field(void *arg, const struct vuser_field *f)
{
	struct app *app = arg;
	char value[200];

	/* Data that has no name of its own is shown already. */
	if (f->offset < VUSER_HEADER_SIZE + FIXED || f->show == VUSER_SHOW_BYTES ||
	    f->show == VUSER_SHOW_NONE)
		return;
	vuser_field_text(f, value, sizeof(value));
	if (text(app))
		fprintf(text(app), "%-16s %s\n", f->name, value);
	else if (f->index >= 0)
		return;
	else if (f->show == VUSER_SHOW_FLAGS)
		json_names(json(app), f->name, f->value ? value : value + strlen(value));
	else if (f->show == VUSER_SHOW_ENUM)
		json_text(json(app), f->name, value);
	else if (f->show == VUSER_SHOW_HEX)
		json_hex(json(app), f->name, f->value);
	else
		json_count(json(app), f->name, f->value);
}

/* The fields of the data, as the trace names them. */
static int show_fields(struct app *app, uint32_t flags, const uint8_t *data, size_t len)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_FEATURE, .reply = true };
	struct vuser_header h = { .command = VUSER_CMD_DEVICE_FEATURE,
				  .flags = VUSER_TYPE_REPLY };
	size_t size = VUSER_HEADER_SIZE + FIXED + len, n;
	uint8_t *msg = malloc(size);
	struct vuser_error e;

	if (!msg)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the data");
	h.size = (uint32_t)size;
	vuser_header_encode(&h, msg);
	p.u.feature = (struct vuser_feature){ .argsz = h.size - VUSER_HEADER_SIZE,
					      .flags = flags };
	p.tail = data;
	p.tail_len = len;
	if (!vuser_payload_encode(&p, msg + VUSER_HEADER_SIZE, size - VUSER_HEADER_SIZE,
				  &n, &e))
		vuser_fields(msg, size, show_field, app);
	free(msg);
	return FAIL_NONE;
}

/* Asks once, and once more when the server says how much room it needs. */
static int ask(struct app *app, const struct feature *f, uint8_t **data, size_t *len)
{
	uint32_t flags = f->number | VUSER_FEATURE_GET;
	size_t room = f->len > FIRST_ROOM ? f->len : FIRST_ROOM;
	struct vuser_error e;
	int rc = VUSER_E_USAGE;

	*data = NULL;
	for (int tries = 0; tries < 2; tries++, room = *len) {
		uint8_t *grown = room <= MAX_ROOM ? realloc(*data, room) : NULL;

		if (!grown)
			return fail(app, FAIL_PROTOCOL, 0,
				    "the feature's data has %zu bytes, above the %u that "
				    "are believed",
				    room, MAX_ROOM);
		*data = grown;
		rc = vuser_feature(app->client, flags, f->data, f->len, *data, room, len,
				   &e);
		if (rc != VUSER_E_USAGE || e.err != ENOBUFS)
			break;
	}
	if (rc == VUSER_E_USAGE && e.err == ENOBUFS)
		return fail(app, FAIL_PROTOCOL, 0,
			    "the server asks for more room again: %s", e.text);
	return rc ? fail_from(app, &e) : FAIL_NONE;
}

static int run_get(struct app *app, const struct args *a)
{
	uint8_t *data = NULL;
	struct feature f;
	size_t len = 0;
	int rc = read_feature(app, a, &f);

	rc = rc ? rc : ask(app, &f, &data, &len);
	if (!rc) {
		name_feature(app, &f);
		json_data(json(app), "data", data, len);
		if (text(app)) {
			fprintf(text(app), "%-16s ", "data");
			for (size_t i = 0; i < len; i++)
				fprintf(text(app), "%02x", data[i]);
			fputc('\n', text(app));
		}
		rc = show_fields(app, f.number | VUSER_FEATURE_GET, data, len);
	}
	free(data);
	free(f.data);
	return rc;
}

/* ---- set ----------------------------------------------------------------------- */

static int run_set_feature(struct app *app, const struct args *a)
{
	struct vuser_error e;
	struct feature f;
	int rc = read_feature(app, a, &f);

	if (rc)
		return rc;
	if (vuser_feature(app->client, f.number | VUSER_FEATURE_SET, f.data, f.len, NULL,
			  0, NULL, &e))
		rc = fail_from(app, &e);
	name_feature(app, &f);
	free(f.data);
	return rc;
}

static const struct command rows[] = {
	{ .name = "feature probe",
	  .synopsis = "NUMBER [HEX]",
	  .summary = "what can be done with a device feature: get, set or both",
	  .help = "A feature is a number or one of migration, device-state, dma-logging-start,\n"
		  "dma-logging-stop, dma-logging-report. HEX goes along as its data.\n\n"
		  "    feature probe migration\n",
	  .run = run_probe,
	  .flags = CMD_CONNECTED },
	{ .name = "feature get",
	  .synopsis = "NUMBER [HEX]",
	  .summary = "the data of a device feature, as hex and decoded",
	  .help = "    feature get device-state\n",
	  .run = run_get,
	  .flags = CMD_CONNECTED },
	{ .name = "feature set",
	  .synopsis = "NUMBER [HEX]",
	  .summary = "set a device feature to the data given",
	  .help = "    feature set device-state 01000000ffffffff\n",
	  .run = run_set_feature,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group feature_commands = { "Device features", rows };
