/* SPDX-License-Identifier: BSD-3-Clause */
/* The one connection: making, keeping and losing it, and serving it while nothing runs.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "irqs.h"

/* ---- Reports that no call returns ---------------------------------------------- */

/* Whether the peer's doing breaks the protocol, which the exit status tells. */
static bool breaks_protocol(const struct vuser_event *ev)
{
	return ev->error.code == VUSER_E_PROTOCOL && ev->kind != VUSER_EVENT_UNKNOWN &&
	       ev->kind != VUSER_EVENT_LATE;
}

static void say_event(struct app *app, const struct vuser_event *ev, const char *about)
{
	char what[sizeof(app->fail.text) + 400];
	struct failure f;

	failure_from(&f, &ev->error);
	f.err = ev->error.err; /* of an error reply that nobody waits for */
	f.len = ev->len < sizeof(f.bytes) ? ev->len : sizeof(f.bytes);
	if (f.has_offset && f.offset < f.len)
		f.len = f.offset + 1;
	memcpy(f.bytes, ev->bytes, f.len);
	failure_text(&f, what, sizeof(what));
	app_say(app, "%s: %s", about, what);
}

static void on_event(void *arg, const struct vuser_event *ev)
{
	struct app *app = arg;

	if (ev->kind == VUSER_EVENT_REFUSED && app->out) {
		/* Who waits for the reply fails of it, and says the same. */
		app->refused = *ev;
		return;
	}
	if (ev->kind == VUSER_EVENT_LOST) {
		/* The command that runs may fail of it, and will say so better. */
		app->lost = *ev;
		app->has_lost = true;
		return;
	}
	say_event(app, ev,
		  ev->kind == VUSER_EVENT_UNKNOWN  ? "capabilities"
		  : ev->kind == VUSER_EVENT_LATE   ? "late reply"
		  : ev->kind == VUSER_EVENT_POSTED ? "posted write"
						   : "protocol");
	if (breaks_protocol(ev) && !app->shell)
		app_note_status(app, fail_status(FAIL_PROTOCOL, 0));
}

static bool on_interrupt(void *arg)
{
	const struct app *app = arg;

	return !app->undoing && signals_came() != 0;
}

static void tell_lost(struct app *app)
{
	char peer[200];
	struct vuser_error e;

	app->lost_told = true;
	if (!app->has_lost && vuser_client_lost(app->client, &e)) {
		app->lost = (struct vuser_event){ .kind = VUSER_EVENT_LOST, .error = e };
		app->has_lost = true;
	}
	printable(peer, sizeof(peer), app->peer ? app->peer : "?");
	if (app->has_lost)
		say_event(app, &app->lost, peer);
	else
		app_say(app, "%s: the connection was lost", peer);
	if (!app->shell)
		app_note_status(app, fail_status(FAIL_CONNECTION, 0));
}

void connection_after(struct app *app, int rc)
{
	if (!app->client || app->lost_told || !vuser_client_lost(app->client, NULL))
		return;
	app->lost_told = true;
	if (rc != FAIL_CONNECTION && rc != FAIL_PROTOCOL)
		tell_lost(app);
}

/* ---- Making and ending it ------------------------------------------------------ */

static void options(struct app *app, struct vuser_options *o)
{
	vuser_options_default(o);
	o->timeout = app->set.timeout;
	o->trace = app->trace;
	o->event = on_event;
	o->cancelled = on_interrupt;
	o->arg = app;
	o->no_posting = !app->set.posting;
	o->no_coalesce = !app->set.coalesce;
	o->lax = !app->set.strict;
	if (!app->set.twin)
		o->caps.present &= ~(unsigned)VUSER_CAP_TWIN_SUPPORTED;
}

static int connected(struct app *app, int rc, const struct vuser_error *e,
		     const char *peer)
{
	if (rc) {
		app->client = NULL;
		rc = fail_about(app, e, peer);
		connection_show_bytes(app);
	}
	app->has_lost = app->lost_told = false;
	if (rc)
		return rc;
	app->pending = NULL;
	app->peer = strdup(peer);
	return FAIL_NONE;
}

int connection_open(struct app *app, const char *path)
{
	struct vuser_options o;
	struct vuser_error e;
	int rc;

	connection_close(app);
	options(app, &o);
	rc = vuser_client_open(path, &o, &app->client, &e);
	return connected(app, rc, &e, path);
}

int connection_attach(struct app *app, int fd)
{
	struct vuser_options o;
	struct vuser_error e;
	char peer[24];
	int rc;

	connection_close(app);
	options(app, &o);
	snprintf(peer, sizeof(peer), "fd %d", fd);
	rc = vuser_client_attach(fd, &o, &app->client, &e);
	return connected(app, rc, &e, peer);
}

unsigned connection_close(struct app *app)
{
	unsigned outstanding = vuser_client_close(app->client);

	app->client = NULL;
	app->has_lost = app->lost_told = false;
	irqs_forget(app);
	mapping_drop_all(app);
	free(app->peer);
	app->peer = NULL;
	connection_sweep_files(app);
	return outstanding;
}

bool connection_stands(struct app *app)
{
	return app->client && vuser_client_lost(app->client, NULL) == 0;
}

int connection_need(struct app *app)
{
	struct vuser_error e = { 0 };

	if (!app->client && app->pending)
		return connection_open(app, app->pending);
	if (!app->client)
		return fail(app, FAIL_CONNECTION, 0,
			    "not connected; use connect PATH or --socket=PATH");
	if (!vuser_client_lost(app->client, &e))
		return FAIL_NONE;
	return fail(app, FAIL_CONNECTION, e.err,
		    "the connection was lost before: %s; use connect PATH", e.text);
}

static bool bytes_of(struct failure *f, const struct vuser_event *ev)
{
	if (!f->has_offset || f->offset >= ev->len || ev->error.offset != f->offset ||
	    strcmp(ev->error.field, f->field) != 0)
		return false;
	f->len = f->offset + 1;
	memcpy(f->bytes, ev->bytes, f->len);
	return true;
}

/* Only a message that came since the command began can be the bad one. */
void connection_show_bytes(struct app *app)
{
	struct failure *f = &app->fail;
	struct vuser_record r;

	if (bytes_of(f, &app->refused) || bytes_of(f, &app->lost))
		return;
	for (size_t i = vuser_trace_count(app->trace); i-- > 0;) {
		if (!vuser_trace_get(app->trace, i, &r) || r.number <= app->mark)
			return;
		if (r.dir != VUSER_S2C)
			continue;
		if (!f->has_offset || f->offset >= r.kept)
			return;
		f->len = f->offset + 1 < sizeof(f->bytes) ? f->offset + 1
							  : sizeof(f->bytes);
		memcpy(f->bytes, r.bytes, f->len);
		return;
	}
}

/* ---- Serving it ---------------------------------------------------------------- */

int connection_poll(struct app *app, int fd, int timeout)
{
	bool stands = connection_stands(app);
	struct pollfd fds[3] = { { .fd = fd, .events = POLLIN },
				 { .fd = -1 },
				 { .fd = irqs_prompt_fd(app, &timeout),
				   .events = POLLIN } };
	struct vuser_error e;

	if (stands) {
		fds[1].fd = vuser_client_fd(app->client);
		fds[1].events = vuser_client_events(app->client);
	}
	if (poll(fds, 3, timeout) < 0)
		return errno == EINTR ? -1 : 0;
	if (fds[1].revents && vuser_client_process(app->client, &e) != 0 &&
	    !connection_stands(app) && !app->lost_told)
		tell_lost(app);
	irqs_prompt_tell(app);
	return fds[0].revents != 0;
}

int connection_wait(struct app *app, int fd, int64_t ns)
{
	int64_t end = now_ns() + ns, left;
	int rc, ms = -1;

	for (;;) {
		if (signals_came())
			return -1;
		if (ns >= 0) {
			left = end - now_ns();
			if (left < 0)
				return 0;
			ms = left > 1000000000 ? 1000 : (int)(left / 1000000) + 1;
		}
		rc = connection_poll(app, fd, ms);
		if (rc > 0)
			return rc;
	}
}

/* ---- Files behind DMA windows -------------------------------------------------- */

static bool in_use(struct app *app, int fd)
{
	struct vuser_window w;

	for (size_t i = 0; app->client && vuser_window_get(app->client, i, &w); i++)
		if (w.fd == fd)
			return true;
	return false;
}

void connection_sweep_files(struct app *app)
{
	struct dma_file **link = &app->files, *file;

	while ((file = *link)) {
		if (in_use(app, file->fd)) {
			link = &file->next;
			continue;
		}
		*link = file->next;
		close(file->fd);
		free(file);
	}
}
