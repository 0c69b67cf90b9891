/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on migration: the device's state, and its data to a file and back. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "transfer.h"
#include "words.h"

#define DEPTH	   4u	      /* pieces under way to the device */
#define MAX_PIECE  (1u << 20) /* more makes nothing faster */
#define PRECOPY_NS 5000000000 /* a device that never has enough is stopped then */
#define PAUSE_NS   10000000   /* between two looks for more */

/* ---- States -------------------------------------------------------------------- */

static const char *state_text(uint32_t state, char buf[16])
{
	const char *name = vuser_device_state_name(state);

	if (name)
		return name;
	snprintf(buf, 16, "%" PRIu32, state);
	return buf;
}

/*
 * The next state on the way to another, by single arcs: not every server walks. error,
 * which is 0, where no way leads.
 */
static const uint8_t next_state[VUSER_STATES][VUSER_STATES] = {
	[VUSER_STATE_STOP] = { [VUSER_STATE_RUNNING] = VUSER_STATE_STOP,
			       [VUSER_STATE_STOP_COPY] = VUSER_STATE_STOP,
			       [VUSER_STATE_RESUMING] = VUSER_STATE_STOP,
			       [VUSER_STATE_PRE_COPY] = VUSER_STATE_RUNNING },
	[VUSER_STATE_RUNNING] = { [VUSER_STATE_STOP] = VUSER_STATE_RUNNING,
				  [VUSER_STATE_STOP_COPY] = VUSER_STATE_STOP,
				  [VUSER_STATE_RESUMING] = VUSER_STATE_STOP,
				  [VUSER_STATE_PRE_COPY] = VUSER_STATE_RUNNING },
	[VUSER_STATE_STOP_COPY] = { [VUSER_STATE_STOP] = VUSER_STATE_STOP_COPY,
				    [VUSER_STATE_RUNNING] = VUSER_STATE_STOP,
				    [VUSER_STATE_RESUMING] = VUSER_STATE_STOP,
				    [VUSER_STATE_PRE_COPY] = VUSER_STATE_STOP_COPY },
	[VUSER_STATE_RESUMING] = { [VUSER_STATE_STOP] = VUSER_STATE_RESUMING,
				   [VUSER_STATE_RUNNING] = VUSER_STATE_STOP,
				   [VUSER_STATE_STOP_COPY] = VUSER_STATE_STOP,
				   [VUSER_STATE_PRE_COPY] = VUSER_STATE_RUNNING },
	[VUSER_STATE_PRE_COPY] = { [VUSER_STATE_RUNNING] = VUSER_STATE_PRE_COPY },
};

/* Walks from *state, which follows. */
static int go_to(struct app *app, uint32_t *state, uint32_t to)
{
	char from[16];
	struct vuser_error e;

	while (*state != to) {
		uint32_t next = *state < VUSER_STATES ? next_state[to][*state] : 0;

		if (!next)
			return fail(app, FAIL_REMOTE, 0,
				    "the device is in the state %s, from which no way "
				    "leads to %s%s",
				    state_text(*state, from), vuser_device_state_name(to),
				    *state == VUSER_STATE_ERROR ? "; reset it" : "");
		if (vuser_migration_set_state(app->client, next, &e))
			return fail_from(app, &e);
		*state = next;
	}
	return FAIL_NONE;
}

static int check_state_name(struct app *app, const struct args *a)
{
	const char *word = arg(a, "NAME"), *name;
	uint32_t state;

	if (!word || !app->set.strict || word_state(word, &state))
		return FAIL_NONE;
	for (size_t i = 0; (name = state_name_at(i)); i++)
		if (vuser_device_state_number(name) == (int)state)
			return FAIL_NONE;
	return fail(
		app, FAIL_USAGE, 0,
		"no device can be asked to go to the state %.60s; set strict off sends "
		"it",
		word);
}

static int run_state(struct app *app, const struct args *a)
{
	const char *word = arg(a, "NAME");
	uint32_t state = 0;
	struct vuser_error e;
	char buf[16];
	int rc;

	/* What a script switched off before counts here. */
	rc = check_state_name(app, a);
	if (rc)
		return rc;
	if (word) {
		(void)word_state(word, &state);
		rc = vuser_migration_set_state(app->client, state, &e);
	} else {
		rc = vuser_migration_get_state(app->client, &state, &e);
	}
	if (rc)
		return fail_from(app, &e);
	json_text(json(app), "device_state", state_text(state, buf));
	if (text(app) && !word)
		fprintf(text(app), "%s\n", state_text(state, buf));
	return FAIL_NONE;
}

/* ---- What save and load share -------------------------------------------------- */

struct migration {
	struct app *app;
	const char *path;
	uint64_t flags; /* VUSER_MIGRATION_* */
	uint32_t state, origin;
	size_t piece;
	uint8_t *buf;
	uint64_t bytes, precopy_bytes;
	int64_t start;
	struct progress progress;
};

/* Asks what the device can do and where it is. pieces is how many buf has room for. */
static int begin(struct migration *m, struct app *app, const char *path, size_t pieces)
{
	uint64_t ours = vuser_client_offered(app->client)->max_data_xfer_size;
	uint64_t theirs = vuser_client_theirs(app->client)->max_data_xfer_size;
	uint64_t limit = ours < theirs ? ours : theirs;
	struct vuser_error e;

	*m = (struct migration){ .app = app, .path = path, .start = now_ns() };
	if (!limit)
		return fail(app, FAIL_USAGE, 0, "max_data_xfer_size is 0");
	if (vuser_migration_flags(app->client, &m->flags, &e) ||
	    vuser_migration_get_state(app->client, &m->state, &e))
		return fail_from(app, &e);
	if (app->set.strict && !(m->flags & VUSER_MIGRATION_STOP_COPY))
		return fail(app, FAIL_REMOTE, ENOTSUP,
			    "stop-copy is not among the device's migration flags");
	m->origin = m->state;
	m->piece = (size_t)(limit < MAX_PIECE ? limit : MAX_PIECE);
	m->buf = malloc(m->piece * pieces);
	if (!m->buf)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the data");
	return FAIL_NONE;
}

static void add_text(struct app *app, const char *text)
{
	size_t len = strlen(app->fail.text);

	snprintf(app->fail.text + len, sizeof(app->fail.text) - len, "%s", text);
}

static void end(struct migration *m, int rc)
{
	double seconds = (double)(now_ns() - m->start) / 1e9;
	struct app *app = m->app;
	char buf[16];

	free(m->buf);
	if (rc)
		return;
	json_text(json(app), "file", m->path);
	json_count(json(app), "bytes", m->bytes);
	if (json(app))
		cJSON_AddNumberToObject(json(app), "seconds", seconds);
	json_text(json(app), "device_state", state_text(m->state, buf));
	if (app->set.verbose)
		app_say(app, "%s: %" PRIu64 " bytes in %.3f s; the device is in %s",
			m->path, m->bytes, seconds, state_text(m->state, buf));
}

/* ---- save ---------------------------------------------------------------------- */

static int save_piece(struct migration *m, struct savefile *f, size_t *len)
{
	struct vuser_error e;
	int rc;

	if (vuser_migration_read(m->app->client, m->buf, m->piece, len, &e))
		return fail_from(m->app, &e);
	rc = savefile_write(f, m->buf, *len);
	m->bytes += *len;
	progress_update(&m->progress, m->bytes);
	if (!rc && signals_came())
		rc = fail(m->app, FAIL_CANCELLED, 0, "interrupted");
	return rc;
}

/*
 * What the device gives away while it runs: all it has for now, or with stay until the
 * time is over.
 */
static int save_running(struct migration *m, struct savefile *f, int64_t ns, bool stay)
{
	int64_t until = now_ns() + ns, left;
	size_t len;
	int rc;

	do {
		rc = save_piece(m, f, &len);
		left = until - now_ns();
		if (rc || (len < m->piece && !stay))
			break;
		if (len < m->piece && left > 0 &&
		    connection_wait(m->app, -1, left < PAUSE_NS ? left : PAUSE_NS) < 0)
			rc = fail(m->app, FAIL_CANCELLED, 0, "interrupted");
	} while (!rc && left > 0);
	m->precopy_bytes = m->bytes;
	return rc;
}

static int save_stopped(struct migration *m, struct savefile *f)
{
	size_t len;
	int rc;

	do
		rc = save_piece(m, f, &len);
	while (!rc && len == m->piece);
	return rc;
}

/* Pre-copy if the device can, it runs, and it is not unwanted. */
static int save_all(struct migration *m, struct savefile *f, const struct args *a)
{
	int64_t ns = arg_duration(a, "--precopy", PRECOPY_NS);
	bool stay = arg(a, "--precopy") != NULL, can;
	int rc = FAIL_NONE;

	can = m->flags & VUSER_MIGRATION_PRE_COPY &&
	      (m->state == VUSER_STATE_RUNNING || m->state == VUSER_STATE_PRE_COPY);
	if (stay && ns && !can)
		return fail(m->app, FAIL_REMOTE, ENOTSUP,
			    "the device has no pre-copy, or does not run");
	if (can && ns) {
		rc = go_to(m->app, &m->state, VUSER_STATE_PRE_COPY);
		rc = rc ? rc : save_running(m, f, ns, stay);
	}
	rc = rc ? rc : go_to(m->app, &m->state, VUSER_STATE_STOP_COPY);
	rc = rc ? rc : save_stopped(m, f);
	return rc ? rc : go_to(m->app, &m->state, VUSER_STATE_STOP);
}

/* After a failure: as if nothing had been asked for. Where it is only the device knows.
 */
static void go_back(struct migration *m)
{
	struct app *app = m->app;
	struct failure why = app->fail;
	struct vuser_error e;
	uint32_t state;
	char buf[16];
	int rc = FAIL_NONE;

	if (!connection_stands(app) ||
	    (m->origin != VUSER_STATE_RUNNING && m->origin != VUSER_STATE_STOP))
		return;
	app->undoing = true;
	if (vuser_migration_get_state(app->client, &state, &e))
		rc = fail_from(app, &e);
	rc = rc ? rc : go_to(app, &state, m->origin);
	app->undoing = false;
	app->fail = why;
	add_text(app, rc ? ", and the device cannot be brought back to the state "
			 : "; the device is back in the state ");
	add_text(app, state_text(m->origin, buf));
}

static int run_save_state(struct app *app, const struct args *a)
{
	const char *path = arg(a, "FILE");
	struct savefile f;
	struct migration m;
	int rc = begin(&m, app, path, 1);

	if (rc) {
		end(&m, rc);
		return rc;
	}
	rc = savefile_open(app, &f, path);
	if (!rc) {
		progress_begin(&m.progress, 0);
		rc = save_all(&m, &f, a);
		progress_end(&m.progress);
		rc = savefile_end(&f, rc);
		if (rc)
			go_back(&m);
	} else {
		rc = savefile_end(&f, rc);
	}
	json_count(json(app), "precopy_bytes", m.precopy_bytes);
	end(&m, rc);
	return rc;
}

/* ---- load ---------------------------------------------------------------------- */

struct load {
	struct migration m;
	int fd;
	bool pipe;
	struct vuser_exchange *x[DEPTH];
	size_t len[DEPTH];
};

/* The next piece of the file goes out; *more is whether there was one. */
static int start_piece(struct load *l, size_t slot, bool *more)
{
	uint8_t *data = l->m.buf + slot * l->m.piece;
	struct app *app = l->m.app;
	struct vuser_error e;
	int rc;

	if (l->pipe && connection_wait(app, l->fd, -1) < 0)
		return fail(app, FAIL_CANCELLED, 0, "interrupted");
	rc = file_read(app, l->m.path, l->fd, data, l->m.piece, &l->len[slot]);
	*more = !rc && l->len[slot];
	if (!*more)
		return rc;
	if (vuser_start_migration_write(app->client, data, l->len[slot], &l->x[slot], &e))
		return fail_from(app, &e);
	return FAIL_NONE;
}

static int finish_piece(struct load *l, size_t slot)
{
	struct vuser_exchange *x = l->x[slot];
	struct app *app = l->m.app;
	struct vuser_error e;

	l->x[slot] = NULL;
	if (x && vuser_finish(app->client, x, &e))
		return fail_from(app, &e);
	l->m.bytes += l->len[slot];
	progress_update(&l->m.progress, l->m.bytes);
	return signals_came() ? fail(app, FAIL_CANCELLED, 0, "interrupted") : FAIL_NONE;
}

static int load_pieces(struct load *l)
{
	size_t started = 0, finished = 0;
	bool more = true;
	int rc = FAIL_NONE;

	while (!rc && (more || finished < started)) {
		if (more && started - finished < DEPTH) {
			rc = start_piece(l, started % DEPTH, &more);
			started += !rc && more;
		} else {
			rc = finish_piece(l, finished++ % DEPTH);
		}
	}
	for (size_t i = 0; i < DEPTH; i++)
		if (l->x[i])
			vuser_finish(l->m.app->client, l->x[i], NULL);
	return rc;
}

static int load_all(struct load *l)
{
	struct migration *m = &l->m;
	struct stat st;
	int rc;

	if (fstat(l->fd, &st) != 0)
		return file_failed(m->app, FAIL_SYSTEM, m->path);
	l->pipe = !S_ISREG(st.st_mode);
	rc = go_to(m->app, &m->state, VUSER_STATE_RESUMING);
	progress_begin(&m->progress, l->pipe ? 0 : (uint64_t)st.st_size);
	rc = rc ? rc : load_pieces(l);
	progress_end(&m->progress);
	rc = rc ? rc : go_to(m->app, &m->state, VUSER_STATE_STOP);
	if (rc && m->state == VUSER_STATE_RESUMING && connection_stands(m->app))
		add_text(m->app,
			 "; the device is left in the state resuming until a reset");
	return rc;
}

static int run_load_state(struct app *app, const struct args *a)
{
	const char *path = arg(a, "FILE");
	struct load l = { .fd = -1 };
	int fd, rc = file_open(app, path, &fd);

	if (rc)
		return rc;
	rc = begin(&l.m, app, path, DEPTH);
	l.fd = fd;
	rc = rc ? rc : load_all(&l);
	close(fd);
	end(&l.m, rc);
	return rc;
}

static const struct command rows[] = {
	{ .name = "migration state",
	  .synopsis = "[NAME]",
	  .summary = "the device's state, or another one for it",
	  .help = "The states are stop, running, stop-copy, resuming and pre-copy. The server goes\n"
		  "there by the shortest way that leads through no saving state; out of error only\n"
		  "a reset leads.\n",
	  .run = run_state,
	  .flags = CMD_CONNECTED },
	{ .name = "migration save",
	  .synopsis = "[--precopy DURATION] FILE",
	  .summary = "the device's whole state to a file",
	  .help = "A device that can do pre-copy gives away what it has while it runs, 5 s at the\n"
		  "most; with --precopy it goes on for that long, and is stopped at once with 0.\n"
		  "Then it is stopped and gives away the rest. It ends in the state stop. When that\n"
		  "fails or is interrupted, it goes back to the state it came from, and what stood\n"
		  "in FILE stays. FILE holds the data of the device and nothing else.\n\n"
		  "    migration save device.state\n"
		  "    migration save --precopy 2s device.state\n",
	  .run = run_save_state,
	  .flags = CMD_CONNECTED },
	{ .name = "migration load",
	  .synopsis = "FILE",
	  .summary = "a device's state from a file",
	  .help = "The device ends in the state stop; \"migration state running\" lets it go on. When\n"
		  "that fails on its way, it is left in resuming, and reset brings it back.\n",
	  .run = run_load_state,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group migration_commands = { "Migration", rows };
