/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that commands read and write: whole ones, or none. */
#ifndef FILES_H
#define FILES_H

#include "app.h"

/*
 * A file being written. What stood at its path stays until all of it is there: meanwhile
 * it is called FILE.part. What is no regular file, a pipe or a device, is written as it
 * is.
 */
struct savefile {
	struct app *app;
	const char *path;
	char *target; /* what path leads to */
	char *part;   /* NULL: there is none */
	int fd;
};

/* All return FAIL_NONE or fail(). */
int savefile_open(struct app *app, struct savefile *f, const char *path);
int savefile_write(struct savefile *f, const void *data, size_t len);
/*
 * Must follow savefile_open(), also after it failed. rc is how writing it went: only if
 * all went well does it take its place. Returns rc, or why that failed.
 */
int savefile_end(struct savefile *f, int rc);

/* Opens a file to be read; one that cannot be is wrong usage. */
int file_open(struct app *app, const char *path, int *fd);
/* Fills data as far as the file goes; *got says how far. Signals give up. */
int file_read(struct app *app, const char *path, int fd, void *data, size_t len,
	      size_t *got);
/* -1 with errno, EINTR only if a signal came that gives up. */
int write_all(int fd, const void *data, size_t len);
/* Fails with errno, or as interrupted. */
int file_failed(struct app *app, enum fail kind, const char *path);

#endif
