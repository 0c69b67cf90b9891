/* SPDX-License-Identifier: BSD-3-Clause */
/* Scripts: texts of commands from a file, an option or standard input. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stddef.h>

#include "app.h"

struct script {
	struct place place;
	char *text;
	size_t len;
};

/*
 * Makes a script of a text, which is copied, or of a file. A file that cannot be read, or
 * one that is being run by a script above it, is a failure.
 */
int script_text(struct app *app, struct script *s, const char *name, const char *text);
int script_file(struct app *app, struct script *s, const char *path);
void script_free(struct script *s);

/*
 * Reads all of it and looks at words, arguments and their numbers, so that a mistake on
 * the last line shows before anything of the first is sent. A failure is told.
 */
int script_check(struct app *app, struct script *s);
/* Runs it, and tells failures. Returns the first one. */
int script_run(struct app *app, struct script *s);
/*
 * Runs commands as they come in on fd, each line when it is whole, for a program at the
 * other end that waits for results before it goes on.
 */
int script_stream(struct app *app, int fd, const char *name);

#endif
