/* SPDX-License-Identifier: BSD-3-Clause */
/* The command send: any message, however wrong, and what comes back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "messages.h"
#include "words.h"

#define MAX_FDS	    253	      /* the kernel passes no more at a time */
#define NO_REPLY_NS 200000000 /* how long to listen for a reply nobody asked for */

/* A message to be sent. */
struct outgoing {
	struct vuser_header header;
	uint8_t *bytes;
	size_t len;
	int fds[MAX_FDS];
	size_t nfds;
};

int check_send(struct app *app, const struct args *a)
{
	static const char *const names[] = { "--id", "--size", "--flags", "--error" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (arg_number(a, names[i], 0) > (i ? UINT32_MAX : UINT16_MAX))
			return fail(app, FAIL_USAGE, 0, "%s has %d bits", names[i],
				    i ? 32 : 16);
	return FAIL_NONE;
}

static uint16_t command_of(const struct args *a)
{
	const char *word = arg(a, "COMMAND");
	unsigned number = vuser_command_number(word);
	uint64_t value = number;

	if (!number)
		word_number(word, &value);
	return (uint16_t)value;
}

/* The header says what is right unless told otherwise. */
static int compose(struct app *app, const struct args *a, struct outgoing *m)
{
	const char *hex = arg(a, "HEX");
	uint8_t *payload = NULL;
	size_t len = 0;

	if (hex && word_hex(hex, &payload, &len))
		return fail(app, FAIL_USAGE, 0, "\"%.60s\" is not hex", hex);
	m->len = VUSER_HEADER_SIZE + len;
	m->bytes = malloc(m->len);
	if (!m->bytes) {
		free(payload);
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the message");
	}
	m->header = (struct vuser_header){
		.id = (uint16_t)arg_number(a, "--id", app->send_id),
		.command = command_of(a),
		.size = (uint32_t)arg_number(a, "--size", m->len),
		.flags = (uint32_t)arg_number(a, "--flags", VUSER_TYPE_COMMAND),
		.error = (uint32_t)arg_number(a, "--error", 0),
	};
	app->send_id++;
	vuser_header_encode(&m->header, m->bytes);
	if (len)
		memcpy(m->bytes + VUSER_HEADER_SIZE, payload, len);
	free(payload);
	return FAIL_NONE;
}

static int open_fds(struct app *app, const struct args *a, struct outgoing *m)
{
	const char *path;
	int fd;

	while ((path = arg_nth(a, "--fd", m->nfds))) {
		if (m->nfds == MAX_FDS)
			return fail(app, FAIL_USAGE, 0, "at most %d descriptors",
				    MAX_FDS);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			return fail(app, FAIL_USAGE, errno, "%s", path);
		m->fds[m->nfds++] = fd;
	}
	return FAIL_NONE;
}

/* A server that believes the header waits for bytes that do not come, or finds too many.
 */
static void warn_size(struct app *app, const struct outgoing *m)
{
	if (m->header.size != m->len)
		app_say(app,
			"send: the header says %" PRIu32
			" bytes, %zu were sent: the server may be out of step now; if so, "
			"connect again",
			m->header.size, m->len);
}

static void to_record(const struct vuser_raw_reply *reply, struct vuser_record *r)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*r = (struct vuser_record){
		.number = 1,
		.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.dir = VUSER_S2C,
		.nfds = (unsigned)reply->nfds,
		.size = reply->len,
		.bytes = reply->bytes,
		.kept = reply->len,
	};
}

/* Results are for what went well; what came back instead is told, too. */
static void tell_reply(struct app *app, const struct vuser_record *r)
{
	struct failure *f = &app->fail;

	if (app->out->silent || app->set.json) {
		f->len = r->kept < sizeof(f->bytes) ? r->kept : sizeof(f->bytes);
		memcpy(f->bytes, r->bytes, f->len);
		return;
	}
	sink_flush(&app->sink);
	vuser_record_dump(stderr, r, r->time);
}

static int show_reply(struct app *app, const struct outgoing *m,
		      const struct vuser_raw_reply *reply)
{
	struct vuser_record r;
	int rc = FAIL_NONE;

	to_record(reply, &r);
	if (m->header.flags & VUSER_FLAG_NO_REPLY)
		rc = fail(app, FAIL_PROTOCOL, 0,
			  "a reply came though none was asked for");
	else if (reply->header.flags & VUSER_FLAG_ERROR)
		rc = fail(app, FAIL_REMOTE, (int)(reply->header.error & INT32_MAX),
			  "the server refused it");
	if (rc) {
		tell_reply(app, &r);
		return rc;
	}
	if (text(app))
		vuser_record_dump(text(app), &r, r.time);
	json_record(json(app), "reply", &r);
	return FAIL_NONE;
}

static void free_reply(struct vuser_raw_reply *reply)
{
	for (size_t i = 0; i < reply->nfds; i++)
		close(reply->fds[i]);
	free(reply->bytes);
}

static int exchange(struct app *app, const struct outgoing *m)
{
	bool silent = m->header.flags & VUSER_FLAG_NO_REPLY;
	struct vuser_raw_reply reply = { 0 };
	int64_t timeout = app->set.timeout;
	struct vuser_error e;
	int rc;

	if (silent && (!timeout || timeout > NO_REPLY_NS))
		timeout = NO_REPLY_NS;
	rc = vuser_raw(app->client, m->bytes, m->len, m->fds, m->nfds, timeout, &reply,
		       &e);
	if (rc == VUSER_E_TIMEOUT && silent) {
		if (text(app))
			fputs("nothing came back, as asked\n", text(app));
		return FAIL_NONE;
	}
	if (rc)
		return fail_from(app, &e);
	rc = show_reply(app, m, &reply);
	free_reply(&reply);
	return rc;
}

int run_send(struct app *app, const struct args *a)
{
	struct outgoing m = { .nfds = 0 };
	int rc = compose(app, a, &m);

	rc = rc ? rc : open_fds(app, a, &m);
	if (!rc) {
		warn_size(app, &m);
		rc = exchange(app, &m);
	}
	for (size_t i = 0; i < m.nfds; i++)
		close(m.fds[i]);
	free(m.bytes);
	return rc;
}
