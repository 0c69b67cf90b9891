/* SPDX-License-Identifier: BSD-3-Clause */
/* What the whole program shares: settings, the connection, the command that runs. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "command.h"
#include "fail.h"
#include "output.h"
#include "vuser.h"

/* What `set` changes. */
struct settings {
	int64_t timeout; /* nanoseconds for each reply, 0: for ever */
	bool json, verbose;
	bool strict;		/* refuse what limits and sizes forbid */
	bool posting, coalesce; /* of posted writes */
	bool twin;		/* offer a socket for the server's commands */
	uint64_t width;		/* bytes on a line of a dump */
	uint64_t trace;		/* messages kept */
};

/* Where the command that runs stands: a script, and the one that sources it. */
struct place {
	const struct place *up;
	const char *name; /* "file.vfu", "-c", "stdin" */
	unsigned line;
	unsigned depth;
	dev_t dev; /* of a file; ino is 0 for what is none */
	ino_t ino;
};

/* A file behind a DMA window, to be closed once the window is gone. */
struct dma_file {
	int fd;
	struct dma_file *next;
};

struct shell;
struct irqs;

struct app {
	struct settings set;
	struct sink sink;
	struct output *out;	   /* of the command that runs, NULL if none does */
	struct failure fail;	   /* why the last one failed */
	const struct place *place; /* NULL at the prompt and for a single command */
	struct shell *shell;	   /* NULL when there is no prompt */
	bool keep_going;
	bool undoing; /* what was given up is put right: signals wait */
	bool quit;
	int status; /* the exit status: that of the first failure */

	struct vuser_client *client;
	char *peer;	     /* its path, or what else it is called */
	const char *pending; /* $VFUCTL_SOCKET, until something is connected to */
	bool lost_told;
	bool has_lost;
	struct vuser_event lost;    /* not told yet */
	struct vuser_event refused; /* the last one, a reply */
	struct dma_file *files;
	struct vuser_mapped *mapped[VUSER_MAX_REGIONS]; /* those used with -m */
	struct irqs *irqs;				/* NULL until one is attached */

	struct vuser_trace *trace;
	uint64_t mark; /* number of the last message before the command began */
	FILE *trace_file;
	char *trace_name;
	bool trace_json;
	uint64_t trace_start; /* time of the first message, 0 before it */
	uint16_t send_id;     /* of the next message that `send` makes */
};

int app_init(struct app *app);
/* Lets everything go; the last thing that can fail, closing the trace file, is told. */
void app_free(struct app *app);

/* Both return the kind of failure. */
#define fail(app, kind, err, ...) failure_set(&(app)->fail, kind, err, __VA_ARGS__)
int fail_from(struct app *app, const struct vuser_error *e);
/* Says whose failure it is, a path, if the text does not. */
int fail_about(struct app *app, const struct vuser_error *e, const char *subject);

/* A line on standard error, "vfuctl: " before it; at the prompt the line being typed
 * survives. */
void app_say(struct app *app, const char *fmt, ...) VUSER_PRINTF(2, 3);
/* Tells why the last command failed, with its place, unless that was told already. */
void app_tell_failure(struct app *app);
/* Remembers the exit status of a failure; the first one counts. */
void app_note_status(struct app *app, int status);

/* Results of the command that runs: where text goes, or NULL; the object, or NULL. */
static inline FILE *text(struct app *app)
{
	return app->out->text;
}
static inline cJSON *json(struct app *app)
{
	return app->out->object;
}
/* Marks a heading on a terminal. */
const char *bold(struct app *app);
const char *plain(struct app *app);

/* Monotonic, in nanoseconds. */
int64_t now_ns(void);

/* ---- connection.c -------------------------------------------------------------- */

/* Closes what there is and connects. attach takes fd. */
int connection_open(struct app *app, const char *path);
int connection_attach(struct app *app, int fd);
/* Returns how many requests were outstanding. */
unsigned connection_close(struct app *app);
/* Fails unless there is a connection, or can be one to $VFUCTL_SOCKET. */
int connection_need(struct app *app);
/* True while it stands. */
bool connection_stands(struct app *app);
/* The bytes of the message that broke the protocol, for app->fail. */
void connection_show_bytes(struct app *app);
/* After a command: says that the connection was lost, if it did not. */
void connection_after(struct app *app, int rc);
/*
 * Waits until fd can be read (-1: none) or for ns nanoseconds (negative: for ever) and
 * serves the connection meanwhile. Returns 1, 0, or -1 when a signal came.
 */
int connection_wait(struct app *app, int fd, int64_t ns);
/* One turn of that: 1 if fd can be read, -1 if a signal came, else 0. timeout in ms. */
int connection_poll(struct app *app, int fd, int timeout);
/* Closes files whose windows are gone. */
void connection_sweep_files(struct app *app);

/* ---- mapping.c ----------------------------------------------------------------- */

/* Unmaps all regions. */
void mapping_drop_all(struct app *app);

/* ---- tracing.c ----------------------------------------------------------------- */

/* Records all messages in a file from now on. */
int tracing_open(struct app *app, const char *path);
int tracing_close(struct app *app);
/* Whether the ending of a file's name asks for JSON Lines. */
bool tracing_is_json(const char *path);
/* Listens to messages if a setting or a file wants them. */
void tracing_update(struct app *app);

/* ---- signals.c ----------------------------------------------------------------- */

/* SIGINT and SIGTERM interrupt what runs; SIGPIPE is ignored. */
void signals_init(void);
/* The signal that came since signals_clear(), or 0. */
int signals_came(void);
void signals_clear(void);
/* Another one has it from now on, in the handler; NULL ends that. */
void signals_forward(void (*fn)(void *arg), void *arg);

#endif
