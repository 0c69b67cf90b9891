/* SPDX-License-Identifier: BSD-3-Clause */
/* The prompt: editing on libedit, history, and the connection served between keys. */
#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "shell.h"
#include "words.h"

#define HISTORY_LINES 1000

struct shell {
	struct app *app;
	EditLine *el;
	History *history;
	char *history_file; /* NULL if there is no place for one */
	FILE *out;	    /* where the prompt goes */
	char prompt[80];
	bool typing; /* a line is on the screen */
	int hidden;  /* how often room was made for something else */
};

/* The size of the terminal changed, or it is ours again after a stop. */
static volatile sig_atomic_t resized, resumed;

static void on_resize(int signo)
{
	(void)signo;
	resized = 1;
}

static void on_resume(int signo)
{
	(void)signo;
	resumed = 1;
}

/* ---- What else is printed ------------------------------------------------------ */

/* How many rows of the screen the line has above the one with the cursor. */
static int rows_above(struct shell *shell)
{
	const LineInfo *line = el_line(shell->el);
	int width = 80, before;

	el_get(shell->el, EL_GETTC, "co", &width, (void *)0);
	before = (int)(strlen(shell->prompt) + (size_t)(line->cursor - line->buffer));
	return width > 0 ? before / width : 0;
}

void shell_make_room(struct shell *shell)
{
	int rows;

	if (!shell || !shell->typing || shell->hidden++)
		return;
	rows = rows_above(shell);
	if (rows)
		fprintf(shell->out, "\033[%dA", rows);
	fputs("\r\033[J", shell->out);
	fflush(shell->out);
}

void shell_redraw(struct shell *shell)
{
	if (!shell || !shell->typing || --shell->hidden)
		return;
	el_set(shell->el, EL_REFRESH);
}

/* ---- Prompt and keys ----------------------------------------------------------- */

static char *prompt(EditLine *el)
{
	struct shell *shell;
	const char *name, *slash;
	char shown[60];

	el_get(el, EL_CLIENTDATA, &shell);
	/* Nothing of the library may be called here: it may be drawn from within it. */
	name = shell->app->client && !shell->app->lost_told ? shell->app->peer : NULL;
	if (!name) {
		snprintf(shell->prompt, sizeof(shell->prompt), "vfuctl> ");
		return shell->prompt;
	}
	slash = strrchr(name, '/');
	printable(shown, sizeof(shown), slash && slash[1] ? slash + 1 : name);
	snprintf(shell->prompt, sizeof(shell->prompt), "vfuctl:%s> ", shown);
	return shell->prompt;
}

/* What a signal asks for, between two keys. False if the line is to be dropped. */
static bool heed_signals(struct shell *shell)
{
	if (resized) {
		resized = 0;
		el_resize(shell->el);
	}
	if (resumed) {
		resumed = 0;
		el_set(shell->el, EL_PREP_TERM, 0);
		el_set(shell->el, EL_PREP_TERM, 1);
		el_set(shell->el, EL_REFRESH);
	}
	return signals_came() == 0;
}

/* One character of standard input, whose bytes may come one by one. */
static int read_character(wchar_t *c)
{
	mbstate_t state = { 0 };
	unsigned char byte;
	ssize_t n;
	size_t used;

	for (;;) {
		n = read(STDIN_FILENO, &byte, 1);
		if (n <= 0)
			return (int)n;
		used = mbrtowc(c, (const char *)&byte, 1, &state);
		if (used == (size_t)-2)
			continue;
		if (used == (size_t)-1)
			*c = byte; /* not a character here: taken as it is */
		return 1;
	}
}

/* Waits for a key and serves the connection meanwhile. */
static int get_character(EditLine *el, wchar_t *c)
{
	struct shell *shell;

	el_get(el, EL_CLIENTDATA, &shell);
	do {
		if (!heed_signals(shell)) {
			errno = EINTR;
			return -1;
		}
	} while (connection_poll(shell->app, STDIN_FILENO, -1) <= 0);
	return read_character(c);
}

/* ---- Completion ---------------------------------------------------------------- */

struct candidates {
	char **v;
	size_t n, cap;
	bool failed;
};

static void add_candidate(void *arg, const char *word)
{
	struct candidates *c = arg;
	char **grown;

	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i], word) == 0)
			return;
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 32;

		grown = realloc(c->v, cap * sizeof(*grown));
		c->failed |= !grown;
		if (!grown)
			return;
		c->v = grown;
		c->cap = cap;
	}
	c->v[c->n] = strdup(word);
	c->n += c->v[c->n] != NULL;
}

static size_t common_length(const struct candidates *c)
{
	size_t len = c->n ? strlen(c->v[0]) : 0;

	for (size_t i = 1; i < c->n; i++) {
		size_t k = 0;

		while (k < len && c->v[i][k] == c->v[0][k])
			k++;
		len = k;
	}
	return len;
}

static void list_candidates(struct shell *shell, const struct candidates *c)
{
	size_t widest = 1, columns;
	int width = 80;

	el_get(shell->el, EL_GETTC, "co", &width, (void *)0);
	for (size_t i = 0; i < c->n; i++)
		widest = strlen(c->v[i]) > widest ? strlen(c->v[i]) : widest;
	columns = (size_t)width / (widest + 2);
	columns = columns ? columns : 1;
	for (size_t i = 0; i < c->n; i++)
		fprintf(shell->out, "%s%-*s", i % columns ? "  " : "\n", (int)widest,
			c->v[i]);
	fputc('\n', shell->out);
	fflush(shell->out);
}

static unsigned char complete(EditLine *el, int key)
{
	const LineInfo *line = el_line(el);
	struct candidates c = { 0 };
	struct shell *shell;
	size_t start, typed, common;
	unsigned char rc = CC_ERROR;

	(void)key;
	el_get(el, EL_CLIENTDATA, &shell);
	shell_complete(shell->app, line->buffer, (size_t)(line->cursor - line->buffer),
		       &start, add_candidate, &c);
	typed = (size_t)(line->cursor - line->buffer) - start;
	common = common_length(&c);
	if (c.n && common >= typed) {
		const char *rest = c.v[0] + typed;
		size_t end = strlen(c.v[0]);
		char *more = strndup(rest, common - typed);

		if (more && *more && el_insertstr(el, more) == 0)
			rc = CC_REFRESH;
		free(more);
		if (c.n == 1 && end && c.v[0][end - 1] != '/') {
			el_insertstr(el, " ");
			rc = CC_REFRESH;
		} else if (c.n > 1 && common == typed) {
			list_candidates(shell, &c);
			rc = CC_REDISPLAY;
		}
	}
	for (size_t i = 0; i < c.n; i++)
		free(c.v[i]);
	free(c.v);
	return rc;
}

/* ---- History ------------------------------------------------------------------- */

/* Makes the folders above path that are missing. */
static void make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
}

static char *history_path(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int rc;

	/* A relative one is to be ignored, says the XDG specification. */
	if (state && *state == '/')
		rc = asprintf(&path, "%s/vfuctl/history", state);
	else if (home && *home)
		rc = asprintf(&path, "%s/.local/state/vfuctl/history", home);
	else
		return NULL;
	if (rc < 0)
		return NULL;
	make_folders(path);
	return path;
}

static void remember(struct shell *shell, const char *line)
{
	HistEvent ev;

	if (line[strspn(line, " \t\n")] == '\0')
		return;
	history(shell->history, &ev, H_ENTER, line);
	if (shell->history_file)
		history(shell->history, &ev, H_SAVE, shell->history_file);
}

void shell_history(struct shell *shell,
		   bool (*fn)(void *arg, int number, const char *line), void *arg)
{
	HistEvent ev;

	for (int rc = history(shell->history, &ev, H_LAST); rc == 0;
	     rc = history(shell->history, &ev, H_PREV))
		if (!fn(arg, ev.num, ev.str))
			return;
}

/* ---- The loop ------------------------------------------------------------------ */

static void run_line(struct shell *shell, const char *line, size_t len)
{
	struct splitter sp = { line, len, 0, 1, 0, NULL };
	struct app *app = shell->app;
	struct words w = { 0 };
	enum split r;
	int rc = FAIL_NONE;

	while (!rc && !app->quit && (r = split_next(&sp, &w)) != SPLIT_END) {
		if (r == SPLIT_COMMAND)
			rc = command_run(app, w.v, w.n);
		else
			rc = fail(app, FAIL_USAGE, 0, "%s",
				  sp.problem ? sp.problem : "no memory for the words");
		connection_after(app, rc);
		if (rc)
			app_tell_failure(app);
	}
	words_free(&w);
}

/* Ctrl-C drops the line; SIGTERM, and the end of input, end it all. */
static bool interrupted(struct shell *shell)
{
	int signo = signals_came();

	signals_clear();
	fputs(signo == SIGINT ? "^C\n" : "\n", shell->out);
	el_reset(shell->el);
	if (signo != SIGINT)
		app_note_status(shell->app,
				signo ? fail_status(FAIL_CANCELLED, signo) : 0);
	return signo == SIGINT;
}

static void loop(struct shell *shell)
{
	struct app *app = shell->app;
	const char *line;
	int n;

	while (!app->quit) {
		n = 0;
		shell->typing = true;
		shell->hidden = 0;
		line = el_gets(shell->el, &n);
		shell->typing = false;
		if (!line || n <= 0) {
			if (interrupted(shell))
				continue;
			return;
		}
		remember(shell, line);
		signals_clear();
		run_line(shell, line, (size_t)n);
		if (signals_came() == SIGTERM) {
			app_note_status(app, fail_status(FAIL_CANCELLED, SIGTERM));
			return;
		}
		signals_clear();
		sink_flush(&app->sink);
		if (app->sink.err)
			return;
	}
}

static void setup(struct shell *shell)
{
	struct sigaction resize = { .sa_handler = on_resize };
	struct sigaction resume = { .sa_handler = on_resume };
	EditLine *el = shell->el;
	HistEvent ev;

	el_set(el, EL_CLIENTDATA, shell);
	el_set(el, EL_PROMPT, prompt);
	el_set(el, EL_EDITOR, "emacs");
	el_set(el, EL_SIGNAL, 0);
	el_set(el, EL_GETCFN, get_character);
	el_set(el, EL_HIST, history, shell->history);
	/* The narrow call would copy the names, and lose the copies. */
	el_wset(el, EL_ADDFN, L"vfuctl-complete", L"Complete the word", complete);
	el_set(el, EL_BIND, "^I", "vfuctl-complete", NULL);
	el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	history(shell->history, &ev, H_SETSIZE, HISTORY_LINES);
	history(shell->history, &ev, H_SETUNIQUE, 1);
	if (shell->history_file)
		history(shell->history, &ev, H_LOAD, shell->history_file);
	el_source(el, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	sigaction(SIGCONT, &resume, NULL);
}

int shell_run(struct app *app)
{
	struct shell shell = { .app = app };

	shell.out = isatty(STDOUT_FILENO) ? stdout : stderr;
	shell.el = el_init("vfuctl", stdin, shell.out, stderr);
	shell.history = history_init();
	if (!shell.el || !shell.history) {
		if (shell.el)
			el_end(shell.el);
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the prompt");
	}
	shell.history_file = history_path();
	setup(&shell);
	app->shell = &shell;
	loop(&shell);
	app->shell = NULL;
	el_end(shell.el);
	history_end(shell.history);
	free(shell.history_file);
	return FAIL_NONE;
}
