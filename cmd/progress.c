/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a long transfer is: a bar on standard error, if that is a terminal. */
#include <inttypes.h>
#include <unistd.h>

#include "transfer.h"

#define QUIET_NS  500000000 /* what is faster needs no bar */
#define UPDATE_NS 100000000
#define BAR_WIDTH 30

void progress_begin(struct progress *p, uint64_t total)
{
	*p = (struct progress){ .on = isatty(STDERR_FILENO), .total = total };
	p->start = p->last = p->on ? now_ns() : 0;
}

static void rate_text(char *buf, size_t cap, double rate)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
	size_t unit = 0;

	for (; rate >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		rate /= 1024;
	snprintf(buf, cap, "%.*f %s/s", rate < 10 && unit ? 1 : 0, rate, units[unit]);
}

void progress_update(struct progress *p, uint64_t done)
{
	static const char marks[] = "##############################";
	int64_t now, elapsed;
	double part, left;
	char rate[32];

	if (!p->on)
		return;
	now = now_ns();
	elapsed = now - p->start;
	if (elapsed < QUIET_NS || now - p->last < UPDATE_NS || !done)
		return;
	p->last = now;
	rate_text(rate, sizeof(rate), (double)done / ((double)elapsed / 1e9));
	p->shown = true;
	if (!p->total) {
		fprintf(stderr, "\r\033[K%" PRIu64 " bytes  %s", done, rate);
		fflush(stderr);
		return;
	}
	part = (double)done / (double)p->total;
	left = (double)elapsed / 1e9 * (1 - part) / part;
	fprintf(stderr, "\r\033[K[%-*.*s] %3d%%  %s  %d:%02d left", BAR_WIDTH,
		(int)(part * BAR_WIDTH), marks, (int)(part * 100), rate, (int)(left / 60),
		(int)left % 60);
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = false;
}
