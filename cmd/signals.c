/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals: SIGINT and SIGTERM give up what runs. */
#include <signal.h>
#include <unistd.h>

#include "app.h"

/* A handler has nothing but globals to tell of what came. */
static volatile sig_atomic_t came;
static void (*volatile forward)(void *arg);
static void *volatile forward_arg;

/*
 * A signal that comes between a look at the flag and the system call after it would be
 * waited out. Therefore an alarm follows, again and again until the flag was seen.
 */
static void on_signal(int signo)
{
	came = signo;
	if (forward)
		forward(forward_arg);
	else
		alarm(1);
}

static void on_alarm(int signo)
{
	(void)signo;
	if (came)
		alarm(1);
}

static void handle(int signo, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn };

	sigemptyset(&sa.sa_mask);
	sigaction(signo, &sa, NULL);
}

void signals_init(void)
{
	handle(SIGINT, on_signal);
	handle(SIGTERM, on_signal);
	handle(SIGALRM, on_alarm);
	handle(SIGPIPE, SIG_IGN);
}

int signals_came(void)
{
	return came;
}

void signals_clear(void)
{
	came = 0;
	alarm(0);
}

void signals_forward(void (*fn)(void *arg), void *arg)
{
	forward_arg = arg;
	forward = fn;
}
