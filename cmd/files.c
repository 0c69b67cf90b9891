/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that commands read and write: whole ones, or none. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_failed(struct app *app, enum fail kind, const char *path)
{
	if (errno == EINTR)
		return fail(app, FAIL_CANCELLED, 0, "interrupted");
	return fail(app, kind, errno, "%s", path);
}

/* ---- Reading ------------------------------------------------------------------- */

int file_open(struct app *app, const char *path, int *fd)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		return file_failed(app, FAIL_USAGE, path);
	if (fstat(*fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(*fd);
		*fd = -1;
		return fail(app, FAIL_USAGE, EISDIR, "%s", path);
	}
	return FAIL_NONE;
}

int file_read(struct app *app, const char *path, int fd, void *data, size_t len,
	      size_t *got)
{
	uint8_t *at = data;
	ssize_t n;

	*got = 0;
	while (*got < len) {
		n = read(fd, at + *got, len - *got);
		if (n < 0 && errno == EINTR && !signals_came())
			continue;
		if (n < 0)
			return file_failed(app, FAIL_SYSTEM, path);
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return FAIL_NONE;
}

/* ---- Writing ------------------------------------------------------------------- */

int write_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno == EINTR && !signals_came())
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_stdout(const struct stat *st)
{
	struct stat out;

	return fstat(STDOUT_FILENO, &out) == 0 && out.st_ino == st->st_ino &&
	       out.st_dev == st->st_dev;
}

/* What is written as it is: no other file can take its place. */
static int open_as_is(struct savefile *f, bool standard)
{
	if (standard) {
		sink_flush(&f->app->sink);
		f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	} else {
		f->fd = open(f->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	}
	return f->fd < 0 ? file_failed(f->app, FAIL_SYSTEM, f->path) : FAIL_NONE;
}

static int open_part(struct savefile *f, const struct stat *there)
{
	mode_t mode = there ? there->st_mode & 0777 : 0666;

	/* Who may not write to a file may not replace it either. */
	if (there && access(f->target, W_OK) != 0)
		return file_failed(f->app, FAIL_SYSTEM, f->path);
	if (asprintf(&f->part, "%s.part", f->target) < 0) {
		f->part = NULL;
		return fail(f->app, FAIL_SYSTEM, ENOMEM, "%s", f->path);
	}
	f->fd = open(f->part,
		     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW,
		     mode);
	if (f->fd >= 0 && there)
		(void)fchmod(f->fd, mode);
	if (f->fd < 0)
		return file_failed(f->app, FAIL_SYSTEM,
				   errno == ENOENT ? f->path : f->part);
	return FAIL_NONE;
}

int savefile_open(struct app *app, struct savefile *f, const char *path)
{
	struct stat st;
	bool there = stat(path, &st) == 0;

	*f = (struct savefile){ .app = app, .path = path, .fd = -1 };
	if (there && (is_stdout(&st) || !S_ISREG(st.st_mode)))
		return open_as_is(f, is_stdout(&st));
	f->target = there ? realpath(path, NULL) : strdup(path);
	if (!f->target)
		return file_failed(app, FAIL_SYSTEM, path);
	return open_part(f, there ? &st : NULL);
}

int savefile_write(struct savefile *f, const void *data, size_t len)
{
	return write_all(f->fd, data, len) ? file_failed(f->app, FAIL_SYSTEM, f->path)
					   : FAIL_NONE;
}

int savefile_end(struct savefile *f, int rc)
{
	bool ours = f->fd >= 0 && f->part;

	if (f->fd >= 0 && close(f->fd) != 0 && !rc)
		rc = file_failed(f->app, FAIL_SYSTEM, f->path);
	if (ours && !rc && rename(f->part, f->target) != 0)
		rc = file_failed(f->app, FAIL_SYSTEM, f->path);
	if (ours && rc)
		unlink(f->part);
	free(f->part);
	free(f->target);
	*f = (struct savefile){ .fd = -1 };
	return rc;
}
