/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of commands: one row each, for the prompt, scripts and the OS shell alike. */
#ifndef COMMAND_H
#define COMMAND_H

#include "args.h"

struct app;

enum command_flags {
	CMD_CONNECTED = 1 << 0,	 /* needs a connection */
	CMD_PENDING = 1 << 1,	 /* takes one to $VFUCTL_SOCKET if there is none */
	CMD_NOT_PROMPT = 1 << 2, /* not at the prompt */
	CMD_PROMPT = 1 << 3,	 /* nowhere else */
	CMD_VALUE = 1 << 4,	 /* prints one value, which `expect` can compare */
	CMD_NESTED = 1 << 5,	 /* runs the command in COMMAND... */
};

struct command {
	const char *name;     /* "read", "dma map" */
	const char *synopsis; /* see args.h */
	const char *summary;  /* a line of the list */
	const char *help;     /* more about it, lines; NULL if there is no more */
	/* Both return FAIL_NONE or fail(). check is for what the synopsis cannot say. */
	int (*run)(struct app *app, const struct args *a);
	int (*check)(struct app *app, const struct args *a);
	unsigned flags;
};

struct command_group {
	const char *title;
	const struct command *rows; /* ends with a row without name */
};

/* Each file of commands has one; the list ends with NULL. */
extern const struct command_group *const command_groups[];
extern const struct command_group connection_commands;
extern const struct command_group device_commands;
extern const struct command_group region_commands;
extern const struct command_group iofd_commands;
extern const struct command_group dma_commands;
extern const struct command_group irq_commands;
extern const struct command_group feature_commands;
extern const struct command_group migration_commands;
extern const struct command_group dirty_commands;
extern const struct command_group message_commands;
extern const struct command_group script_commands;
extern const struct command_group session_commands;

/* Calls fn for each row in order, until it returns false. */
void command_each(bool (*fn)(void *arg, const struct command *c), void *arg);

/*
 * The row whose name the words begin with, the longest; *used is how many words that are.
 * With prefix an unambiguous start of each word will do. NULL, and a usage failure.
 */
const struct command *command_find(char *const *v, size_t n, bool prefix, size_t *used,
				   struct failure *f);

/*
 * Finds the row and reads its arguments, and those of commands within; *row may be set
 * even when it fails. args_free(a) in any case.
 */
int command_parse(struct app *app, char *const *v, size_t n, const struct command **row,
		  struct args *a);

/* ---- run.c --------------------------------------------------------------------- */

/* Runs one command: reads it, prints its results. A failure is in app->fail, not told. */
int command_run(struct app *app, char *const *v, size_t n);
/* The object of app->fail, as of a command called name; nothing if results are text. */
void command_failed(struct app *app, const char *name);
/* Only reads it: is there anything wrong with it as it is written? */
int command_check(struct app *app, char *const *v, size_t n);

#endif
