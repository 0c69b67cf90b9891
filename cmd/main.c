/* SPDX-License-Identifier: BSD-3-Clause */
/* vfuctl: options, and the choice between one command, scripts and the prompt. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "script.h"
#include "shell.h"
#include "words.h"

/* What was asked for on the command line. */
struct request {
	const char *socket;
	int fd; /* -1 without --fd */
	const char *trace;
	struct source {
		bool file;
		const char *text; /* or its name */
	} * sources;
	size_t nsources;
	bool done; /* --help, --version */
};

/* ---- Options ------------------------------------------------------------------- */

enum { OPT_FD = 256, OPT_TRACE };

static const struct option_row {
	int code; /* a letter, if it is one */
	const char *name, *arg, *help;
} rows[] = {
	{ 's', "socket", "PATH",
	  "connect to the server at PATH first (default: $VFUCTL_SOCKET)" },
	{ OPT_FD, "fd", "N", "use N, an already connected socket" },
	{ 'c', "command", "TEXT", "run TEXT, commands separated by ; or newlines" },
	{ 'f', "file", "FILE", "run the commands of FILE, - is standard input" },
	{ 'k', "keep-going", NULL, "do not stop at the first command that fails" },
	{ 'j', "json", NULL, "results as JSON Lines" },
	{ 't', "timeout", "DURATION",
	  "how long to wait for each reply (5s); 0 waits for ever" },
	{ OPT_TRACE, "trace", "FILE",
	  "record all messages in FILE (.jsonl: as JSON Lines)" },
	{ 'v', "verbose", NULL, "print every message as it goes" },
	{ 'h', "help", NULL, "print this" },
	{ 'V', "version", NULL, "print the version" },
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
	printf("Usage: vfuctl [OPTION]... [COMMAND [ARG]...]\n"
	       "Talk to a device over the vfio-user protocol.\n\n");
	for (size_t i = 0; i < NROWS; i++) {
		char left[40];

		snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
			 rows[i].code < 256 ? '-' : ' ',
			 rows[i].code < 256 ? (char)rows[i].code : ' ',
			 rows[i].code < 256 ? ", " : "  ", rows[i].name,
			 rows[i].arg ? "=" : "", rows[i].arg ? rows[i].arg : "");
		printf("  %-26s %s\n", left, rows[i].help);
	}
	printf("\nWithout COMMAND, -c and -f: a prompt, or commands from standard input.\n"
	       "\"vfuctl help\" lists the commands, \"vfuctl help COMMAND\" explains one.\n"
	       "\nExit status: 0 all went well; 1 a command failed; 2 wrong usage, nothing\n"
	       "was sent; 3 no connection, or the peer broke the protocol; 4 a reply did\n"
	       "not come in time; 130 interrupted.\n");
}

static int __attribute__((format(printf, 1, 2))) bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("vfuctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\nTry \"vfuctl --help\".\n", stderr);
	va_end(ap);
	return -1;
}

static int add_source(struct request *rq, bool file, const char *text)
{
	rq->sources[rq->nsources++] = (struct source){ file, text };
	return 0;
}

static int parse_fd(struct request *rq, const char *word)
{
	uint64_t fd;

	if (word_number(word, &fd) || fd > INT32_MAX)
		return bad_usage("--fd: \"%s\" is not the number of a descriptor", word);
	rq->fd = (int)fd;
	return 0;
}

static int check_fd(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
		return bad_usage("--fd: %d: %s", fd, strerror(errno));
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int take_option(struct app *app, struct request *rq, int code)
{
	const char *problem;

	switch (code) {
	case 's':
		rq->socket = optarg;
		return 0;
	case OPT_FD:
		return parse_fd(rq, optarg);
	case 'c':
	case 'f':
		return add_source(rq, code == 'f', optarg);
	case 'k':
		app->keep_going = true;
		return 0;
	case 'j':
		app->set.json = true;
		return 0;
	case 't':
		problem = word_duration(optarg, &app->set.timeout);
		return problem ? bad_usage("--timeout: \"%s\" %s", optarg, problem) : 0;
	case OPT_TRACE:
		rq->trace = optarg;
		return 0;
	case 'v':
		app->set.verbose = true;
		return 0;
	case 'h':
		rq->done = true;
		print_help();
		return 0;
	case 'V':
		rq->done = true;
		puts("vfuctl " VFUCTL_VERSION);
		return 0;
	default:
		fputs("Try \"vfuctl --help\".\n", stderr);
		return -1;
	}
}

/* Leaves optind at the command. */
static int read_options(struct app *app, struct request *rq, int argc, char **argv)
{
	static char name[] = "vfuctl"; /* as getopt's messages begin */
	struct option longs[NROWS + 1] = { 0 };
	char shorts[2 * NROWS + 2] = "+", *s = shorts + 1;
	int code;

	for (size_t i = 0; i < NROWS; i++) {
		longs[i] = (struct option){ rows[i].name, rows[i].arg != NULL, NULL,
					    rows[i].code };
		if (rows[i].code >= 256)
			continue;
		*s++ = (char)rows[i].code;
		if (rows[i].arg)
			*s++ = ':';
	}
	argv[0] = name;
	while (!rq->done && (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		if (take_option(app, rq, code))
			return -1;
	if (rq->done)
		return 0;
	if (rq->socket && rq->fd >= 0)
		return bad_usage("--socket and --fd exclude each other");
	if (rq->nsources && optind < argc)
		return bad_usage("a COMMAND does not go with --command or --file");
	return rq->fd >= 0 ? check_fd(rq->fd) : 0;
}

/* ---- The ways of use ----------------------------------------------------------- */

/* Connects as the options say; $VFUCTL_SOCKET can wait until somebody needs it. */
static int connect_first(struct app *app, const struct request *rq)
{
	const char *env = getenv("VFUCTL_SOCKET");
	int rc;

	if (!rq->socket && rq->fd < 0) {
		app->pending = env && *env ? env : NULL;
		return FAIL_NONE;
	}
	rc = rq->socket ? connection_open(app, rq->socket)
			: connection_attach(app, rq->fd);
	if (rc)
		command_failed(app, "connect");
	return rc;
}

static void told(struct app *app, int rc)
{
	if (!rc)
		return;
	app_tell_failure(app);
	app_note_status(app, fail_status(rc, signals_came()));
}

static void run_one(struct app *app, const struct request *rq, char **words, size_t n)
{
	int rc = command_check(app, words, n);

	rc = rc ? rc : connect_first(app, rq);
	rc = rc ? rc : command_run(app, words, n);
	told(app, rc);
	connection_after(app, rc);
}

static bool streams(const struct source *src)
{
	struct stat st;

	if (!src->file || strcmp(src->text, "-") != 0)
		return false;
	return fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode);
}

/* All texts are read and checked before the first command is run. */
static int load_scripts(struct app *app, const struct request *rq, struct script *scripts)
{
	int rc = FAIL_NONE;

	for (size_t i = 0; i < rq->nsources && !rc; i++) {
		const struct source *src = &rq->sources[i];

		if (streams(src))
			continue;
		rc = src->file ? script_file(app, &scripts[i], src->text)
			       : script_text(app, &scripts[i], "-c", src->text);
		if (rc) {
			command_failed(app, "source");
			told(app, rc);
		} else {
			rc = script_check(app, &scripts[i]);
		}
	}
	return rc;
}

static void run_loaded(struct app *app, const struct request *rq, struct script *scripts)
{
	int rc;

	for (size_t i = 0; i < rq->nsources; i++) {
		rc = streams(&rq->sources[i]) ? script_stream(app, STDIN_FILENO, "stdin")
					      : script_run(app, &scripts[i]);
		if (rc == FAIL_CANCELLED || app->quit || app->sink.err)
			break;
		if (rc && !app->keep_going)
			break;
	}
}

static void run_scripts(struct app *app, const struct request *rq)
{
	struct script *scripts = calloc(rq->nsources, sizeof(*scripts));
	int rc;

	if (!scripts) {
		told(app, fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the scripts"));
		return;
	}
	rc = load_scripts(app, rq, scripts);
	if (!rc) {
		rc = connect_first(app, rq);
		told(app, rc);
	}
	if (!rc)
		run_loaded(app, rq, scripts);
	for (size_t i = 0; i < rq->nsources; i++)
		script_free(&scripts[i]);
	free(scripts);
}

static void run_shell(struct app *app, const struct request *rq)
{
	int rc = connect_first(app, rq);

	if (!rc && app->pending && connection_open(app, app->pending))
		app_tell_failure(app); /* it may come up yet */
	if (!rc)
		rc = shell_run(app);
	told(app, rc);
}

/* ---- Beginning and end --------------------------------------------------------- */

/*
 * A descriptor of ours that takes the number of a closed standard one would get what is
 * meant for that. What stands there instead cannot be used in its direction.
 */
static void fill_standard(void)
{
	static const int modes[] = { O_WRONLY, O_RDONLY, O_RDWR };

	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", modes[fd]);
}

static int finish(struct app *app)
{
	sink_flush(&app->sink);
	if (app->sink.err && app->sink.err != EPIPE && !app->fail.told) {
		fail(app, FAIL_SYSTEM, app->sink.err, "standard output");
		app_tell_failure(app);
		app_note_status(app, 1);
	}
	app_free(app);
	if (app->sink.err == EPIPE) {
		/* As any program that writes to a pipe nobody reads any more. */
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	return app->status;
}

static void run(struct app *app, struct request *rq, char **words, size_t n)
{
	int rc = rq->trace ? tracing_open(app, rq->trace) : FAIL_NONE;

	tracing_update(app);
	if (rc) {
		told(app, rc);
	} else if (n) {
		run_one(app, rq, words, n);
	} else if (!rq->nsources && isatty(STDIN_FILENO)) {
		run_shell(app, rq);
	} else {
		if (!rq->nsources)
			add_source(rq, true, "-");
		run_scripts(app, rq);
	}
}

int main(int argc, char **argv)
{
	struct request rq = { .fd = -1 };
	struct app app;

	fill_standard();
	setlocale(LC_CTYPE, "");
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	signals_init();
	rq.sources = calloc((size_t)argc + 1, sizeof(*rq.sources));
	if (app_init(&app) || !rq.sources || read_options(&app, &rq, argc, argv) != 0)
		app.status = 2;
	else if (!rq.done)
		run(&app, &rq, argv + optind, (size_t)(argc - optind));
	free(rq.sources);
	return finish(&app);
}
