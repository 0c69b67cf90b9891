/* SPDX-License-Identifier: BSD-3-Clause */
/* Scripts: reads them whole, checks them, runs them command by command. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script.h"
#include "words.h"

#define MAX_SCRIPT (64u << 20)
#define MAX_DEPTH  16u /* scripts that source scripts */

/* ---- Getting the text ---------------------------------------------------------- */

int script_text(struct app *app, struct script *s, const char *name, const char *text)
{
	*s = (struct script){ .place = { .up = app->place, .name = name } };
	s->text = strdup(text);
	s->len = strlen(text);
	if (!s->text)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for a script");
	return FAIL_NONE;
}

void script_free(struct script *s)
{
	free(s->text);
	s->text = NULL;
}

/* Reads fd to its end. */
static int read_all(struct app *app, int fd, struct script *s)
{
	size_t cap = 0;
	ssize_t got;

	for (;;) {
		if (s->len == cap) {
			char *grown = cap < MAX_SCRIPT
					      ? realloc(s->text, cap ? cap * 2 : 4096)
					      : NULL;

			if (!grown)
				return fail(app, FAIL_USAGE, EFBIG, "%s", s->place.name);
			s->text = grown;
			cap = cap ? cap * 2 : 4096;
		}
		got = read(fd, s->text + s->len, cap - s->len);
		if (got == 0)
			return FAIL_NONE;
		if (got < 0 && errno == EINTR && !signals_came())
			continue;
		if (got < 0 && errno == EINTR)
			return fail(app, FAIL_CANCELLED, 0, "interrupted");
		if (got < 0)
			return fail(app, FAIL_USAGE, errno, "%s", s->place.name);
		s->len += (size_t)got;
	}
}

/* A script above this one that is the same file. */
static const struct place *found_above(const struct place *p)
{
	for (const struct place *up = p->up; p->ino && up; up = up->up)
		if (up->ino == p->ino && up->dev == p->dev)
			return up;
	return NULL;
}

static int read_script(struct app *app, int fd, struct script *s)
{
	struct place *p = &s->place;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(app, FAIL_USAGE, errno, "%s", p->name);
	if (S_ISDIR(st.st_mode))
		return fail(app, FAIL_USAGE, EISDIR, "%s", p->name);
	if (S_ISREG(st.st_mode)) {
		p->dev = st.st_dev;
		p->ino = st.st_ino;
	}
	if (found_above(p))
		return fail(app, FAIL_USAGE, 0,
			    "%s is running already: it sources itself", p->name);
	if (p->depth > MAX_DEPTH)
		return fail(app, FAIL_USAGE, 0,
			    "%s: scripts that source scripts go too deep", p->name);
	return read_all(app, fd, s);
}

int script_file(struct app *app, struct script *s, const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	int fd, rc;

	*s = (struct script){ .place = { .up = app->place,
					 .name = standard ? "stdin" : path,
					 .depth = app->place ? app->place->depth + 1
							     : 0 } };
	fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == EINTR && signals_came())
		return fail(app, FAIL_CANCELLED, 0, "interrupted");
	if (fd < 0)
		return fail(app, FAIL_USAGE, errno, "%s", path);
	rc = read_script(app, fd, s);
	if (!standard)
		close(fd);
	return rc;
}

/* ---- Running ------------------------------------------------------------------- */

static int bad_text(struct app *app, struct place *p, const struct splitter *sp,
		    enum split why)
{
	int rc;

	if (why == SPLIT_MEMORY) {
		rc = fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the words");
	} else {
		p->line = sp->bad_line;
		rc = fail(app, FAIL_USAGE, 0, "%s", sp->problem);
	}
	command_failed(app, "source");
	return rc;
}

/* Whether to go on with the next command. */
static bool goes_on(struct app *app, int rc)
{
	if (rc == FAIL_CANCELLED || app->sink.err || app->quit)
		return false;
	return rc == FAIL_NONE || app->keep_going;
}

/* What runs muted may fail as it should; who muted it will tell. */
static void tell(struct app *app, int rc)
{
	if (app->out && (app->out->mutes || app->out->silent))
		return;
	app_tell_failure(app);
	if (!app->out)
		app_note_status(app, fail_status(rc, signals_came()));
}

int script_check(struct app *app, struct script *s)
{
	struct splitter sp = { s->text, s->len, 0, 1, 0, NULL };
	const struct place *up = app->place;
	struct words w = { 0 };
	int rc = FAIL_NONE;
	enum split r;

	failure_clear(&app->fail);
	app->place = &s->place;
	while (!rc && (r = split_next(&sp, &w)) != SPLIT_END) {
		s->place.line = w.line;
		rc = r == SPLIT_COMMAND ? command_check(app, w.v, w.n)
					: bad_text(app, &s->place, &sp, r);
	}
	if (rc)
		tell(app, rc);
	app->place = up;
	words_free(&w);
	return rc;
}

/*
 * Runs what sp holds; first, if it is none yet, becomes the first failure. If last is not
 * set, a command that is not whole stays where it is. False if the script ends here.
 */
static bool run_commands(struct app *app, struct place *p, struct splitter *sp,
			 struct words *w, struct failure *first, bool last)
{
	enum split r;
	int rc;

	for (;;) {
		r = split_next(sp, w);
		if (r == SPLIT_END || (r == SPLIT_MORE && !last))
			return true;
		p->line = w->line;
		if (r == SPLIT_COMMAND) {
			rc = command_run(app, w->v, w->n);
			connection_after(app, rc);
		} else {
			rc = bad_text(app, p, sp, r);
		}
		if (rc)
			tell(app, rc);
		if (rc && !first->kind)
			*first = app->fail;
		if (r != SPLIT_COMMAND || !goes_on(app, rc))
			return false;
	}
}

int script_run(struct app *app, struct script *s)
{
	struct splitter sp = { s->text, s->len, 0, 1, 0, NULL };
	const struct place *up = app->place;
	struct words w = { 0 };
	struct failure first;

	failure_clear(&first);
	app->place = &s->place;
	run_commands(app, &s->place, &sp, &w, &first, true);
	app->place = up;
	words_free(&w);
	app->fail = first;
	return first.kind;
}

/* ---- A stream ------------------------------------------------------------------ */

struct stream {
	int fd;
	char *text;
	size_t len, cap;
	unsigned line;
	bool end;
};

/* More bytes, however few. */
static int stream_read(struct app *app, struct stream *in)
{
	ssize_t got;

	if (in->len == in->cap) {
		char *grown = in->cap < MAX_SCRIPT
				      ? realloc(in->text, in->cap ? in->cap * 2 : 65536)
				      : NULL;

		if (!grown)
			return fail(app, FAIL_USAGE, EFBIG, "a command is too long");
		in->text = grown;
		in->cap = in->cap ? in->cap * 2 : 65536;
	}
	sink_flush(&app->sink);
	if (connection_wait(app, in->fd, -1) < 0)
		return fail(app, FAIL_CANCELLED, 0, "interrupted");
	got = read(in->fd, in->text + in->len, in->cap - in->len);
	if (got < 0 && errno != EINTR && errno != EAGAIN)
		return fail(app, FAIL_USAGE, errno, "cannot read");
	in->end = got == 0;
	in->len += got > 0 ? (size_t)got : 0;
	return FAIL_NONE;
}

/* Runs the lines that are whole; at the end all there is. */
static bool stream_lines(struct app *app, struct stream *in, struct place *p,
			 struct words *w, struct failure *first)
{
	char *newline = in->len ? memrchr(in->text, '\n', in->len) : NULL;
	size_t whole = in->end ? in->len : newline ? (size_t)(newline + 1 - in->text) : 0;
	struct splitter sp = { in->text, whole, 0, in->line, 0, NULL };
	bool more;

	if (!whole)
		return true;
	more = run_commands(app, p, &sp, w, first, in->end);
	in->line = sp.line;
	in->len -= sp.at;
	memmove(in->text, in->text + sp.at, in->len);
	return more;
}

int script_stream(struct app *app, int fd, const char *name)
{
	const struct place *up = app->place;
	struct place p = { .up = up, .name = name };
	struct stream in = { .fd = fd, .line = 1 };
	struct words w = { 0 };
	struct failure first;
	int rc;

	failure_clear(&first);
	app->place = &p;
	do {
		failure_clear(&app->fail);
		rc = stream_read(app, &in);
		if (rc) {
			command_failed(app, "source");
			tell(app, rc);
			if (!first.kind)
				first = app->fail;
		}
	} while (!rc && stream_lines(app, &in, &p, &w, &first) && !in.end);
	app->place = up;
	words_free(&w);
	free(in.text);
	app->fail = first;
	return first.kind;
}
