/* SPDX-License-Identifier: BSD-3-Clause */
/* The prompt. */
#ifndef SHELL_H
#define SHELL_H

#include "app.h"

/* Reads commands from the terminal until it is left. */
int shell_run(struct app *app);

/*
 * Before and after something else is printed: a line that is being typed goes out of the
 * way, and comes back. Nothing happens when none is, or shell is NULL.
 */
void shell_make_room(struct shell *shell);
void shell_redraw(struct shell *shell);

/* Calls fn for each line of the history, the oldest first, until it returns false. */
void shell_history(struct shell *shell,
		   bool (*fn)(void *arg, int number, const char *line), void *arg);

/*
 * What the word at the end of line may become: calls fn for each. start is where the word
 * begins. See complete.c.
 */
void shell_complete(struct app *app, const char *line, size_t len, size_t *start,
		    void (*fn)(void *arg, const char *word), void *arg);

#endif
