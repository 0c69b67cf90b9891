/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts of the connection: eventfds of ours, counted, and told at the prompt. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "irqs.h"

#define TELL_EVERY INT64_C(500000000) /* ns between two lines at the prompt */
#define TELL_NAMES 6u		      /* vectors named in one line */
#define EVENTS	   64

struct irqs {
	struct irq_vector *v; /* by type and vector */
	size_t n, cap;
	int epoll;
	int64_t quiet_until; /* nothing is told at the prompt before that */
};

/* ---- The table ----------------------------------------------------------------- */

static int compare(const struct irq_vector *v, uint32_t index, uint32_t vector)
{
	if (v->index != index)
		return v->index < index ? -1 : 1;
	return v->vector < vector ? -1 : v->vector > vector;
}

/* Where a vector is, or would be. */
static size_t place_of(const struct irqs *q, uint32_t index, uint32_t vector)
{
	size_t low = 0, high = q->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&q->v[middle], index, vector) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct irq_vector *find(const struct irqs *q, uint32_t index, uint32_t vector)
{
	size_t i = q ? place_of(q, index, vector) : 0;

	return q && i < q->n && compare(&q->v[i], index, vector) == 0 ? &q->v[i] : NULL;
}

static struct irq_vector *add(struct irqs *q, uint32_t index, uint32_t vector)
{
	size_t i = place_of(q, index, vector), cap = q->cap ? q->cap * 2 : 16;
	struct irq_vector *grown;

	if (q->n == q->cap) {
		grown = realloc(q->v, cap * sizeof(*grown));
		if (!grown)
			return NULL;
		q->v = grown;
		q->cap = cap;
	}
	memmove(&q->v[i + 1], &q->v[i], (q->n - i) * sizeof(*q->v));
	q->n++;
	q->v[i] = (struct irq_vector){ .index = index, .vector = vector, .fd = -1 };
	return &q->v[i];
}

/* The server may have the same file still, so closing it ends nothing. */
static void drop_fd(const struct irqs *q, struct irq_vector *v)
{
	if (v->fd >= 0) {
		(void)epoll_ctl(q->epoll, EPOLL_CTL_DEL, v->fd, NULL);
		close(v->fd);
	}
	v->fd = -1;
	v->attached = false;
}

struct irq_vector *irqs_get(struct app *app, size_t i)
{
	return app->irqs && i < app->irqs->n ? &app->irqs->v[i] : NULL;
}

char *irq_vector_text(const struct irq_vector *v, char *buf, size_t cap)
{
	const char *name = vuser_irq_name(v->index);
	char number[16];

	snprintf(number, sizeof(number), "%" PRIu32, v->index);
	if (v->single)
		snprintf(buf, cap, "%s", name ? name : number);
	else
		snprintf(buf, cap, "%s:%" PRIu32, name ? name : number, v->vector);
	return buf;
}

/* ---- Attaching ----------------------------------------------------------------- */

static int need_irqs(struct app *app)
{
	struct irqs *q;

	if (app->irqs)
		return FAIL_NONE;
	q = calloc(1, sizeof(*q));
	if (!q)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the interrupts");
	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (q->epoll < 0) {
		free(q);
		return fail(app, FAIL_SYSTEM, errno, "no epoll descriptor");
	}
	app->irqs = q;
	return FAIL_NONE;
}

/* A device may have more vectors than a process has descriptors at first. */
static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct rlimit limit;

	if (fd >= 0 || errno != EMFILE || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fd;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
		errno = EMFILE;
		return -1;
	}
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static int prepare_one(struct app *app, uint32_t index, uint32_t vector, int *fd)
{
	struct irqs *q = app->irqs;
	struct irq_vector *v = find(q, index, vector);
	struct epoll_event ev = { .events = EPOLLIN,
				  .data.u64 = (uint64_t)index << 32 | vector };

	v = v ? v : add(q, index, vector);
	if (!v)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the interrupts");
	if (v->fd < 0)
		v->fd = make_eventfd();
	if (v->fd < 0)
		return fail(app, FAIL_SYSTEM, errno, "no eventfd for vector %" PRIu32,
			    vector);
	if (epoll_ctl(q->epoll, EPOLL_CTL_ADD, v->fd, &ev) != 0 && errno != EEXIST)
		return fail(app, FAIL_SYSTEM, errno, "cannot wait for vector %" PRIu32,
			    vector);
	*fd = v->fd;
	return FAIL_NONE;
}

int irqs_prepare(struct app *app, uint32_t index, uint32_t start, uint32_t count,
		 int *fds)
{
	int rc = need_irqs(app);

	for (uint32_t i = 0; i < count && !rc; i++)
		rc = prepare_one(app, index, start + i, &fds[i]);
	return rc;
}

void irqs_settle(struct app *app, const struct vuser_irq_info *info, uint32_t start,
		 uint32_t count, bool success)
{
	for (uint32_t i = 0; i < count; i++) {
		struct irq_vector *v = find(app->irqs, info->index, start + i);

		if (v && !success && !v->attached)
			drop_fd(app->irqs, v);
		if (!v || !success)
			continue;
		v->attached = true;
		v->automasked = info->flags & VUSER_IRQ_AUTOMASKED;
		v->single = info->count == 1;
	}
	/* Those of which nothing is left. */
	for (size_t i = 0; app->irqs && !success && i < app->irqs->n;) {
		struct irqs *q = app->irqs;

		if (q->v[i].fd < 0 && !q->v[i].fired && !q->v[i].masked)
			memmove(&q->v[i], &q->v[i + 1], (--q->n - i) * sizeof(*q->v));
		else
			i++;
	}
}

void irqs_detach(struct app *app, uint32_t index, uint32_t start, uint32_t count)
{
	irqs_collect(app);
	for (size_t i = 0; app->irqs && i < app->irqs->n; i++) {
		struct irq_vector *v = &app->irqs->v[i];

		if (v->index == index && v->vector >= start && v->vector - start < count)
			drop_fd(app->irqs, v);
	}
}

void irqs_mask(struct app *app, uint32_t index, uint32_t start, uint32_t count,
	       bool masked)
{
	for (size_t i = 0; app->irqs && i < app->irqs->n; i++) {
		struct irq_vector *v = &app->irqs->v[i];

		if (v->index == index && v->vector >= start && v->vector - start < count)
			v->masked = masked;
	}
}

void irqs_forget(struct app *app)
{
	struct irqs *q = app->irqs;

	if (!q)
		return;
	for (size_t i = 0; i < q->n; i++)
		drop_fd(q, &q->v[i]);
	close(q->epoll);
	free(q->v);
	free(q);
	app->irqs = NULL;
}

/* ---- Counting ------------------------------------------------------------------ */

/*
 * What an eventfd has counted. The server has the same file, and may have made it one
 * that blocks, or have read it first: neither may hold us up.
 */
static uint64_t take_count(int fd)
{
	uint64_t count = 0;
	struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP)
		n = read(fd, &count, sizeof(count));
	return n == sizeof(count) ? count : 0;
}

static uint64_t add_up(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

int irqs_fd(const struct app *app)
{
	return app->irqs ? app->irqs->epoll : -1;
}

void irqs_collect(struct app *app)
{
	struct irqs *q = app->irqs;
	struct epoll_event events[EVENTS];
	int n = EVENTS;

	/* Each once, however fast they come again. */
	for (size_t turn = 0; q && n == EVENTS && turn <= q->n / EVENTS; turn++) {
		n = epoll_wait(q->epoll, events, EVENTS, 0);
		for (int i = 0; i < n; i++) {
			uint64_t key = events[i].data.u64, count;
			struct irq_vector *v =
				find(q, (uint32_t)(key >> 32), (uint32_t)key);

			count = v && v->fd >= 0 ? take_count(v->fd) : 0;
			if (!count)
				continue;
			v->fired = add_up(v->fired, count);
			v->fresh = add_up(v->fresh, count);
			v->untold = add_up(v->untold, count);
			v->masked |= v->automasked;
		}
	}
}

/* ---- The prompt ---------------------------------------------------------------- */

static bool any_untold(const struct irqs *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->v[i].untold)
			return true;
	return false;
}

int irqs_prompt_fd(struct app *app, int *timeout)
{
	struct irqs *q = app->irqs;
	int64_t left = q ? q->quiet_until - now_ns() : 0;
	int ms;

	if (!q || !app->shell || app->out)
		return -1;
	if (left <= 0 && any_untold(q)) {
		*timeout = 0;
		return q->epoll;
	}
	if (left <= 0)
		return q->epoll;
	ms = (int)(left / 1000000) + 1;
	if (*timeout < 0 || *timeout > ms)
		*timeout = ms;
	return -1; /* they count on without us */
}

static void name_vector(const struct irq_vector *v, char *line, size_t cap)
{
	size_t len = strlen(line);
	char name[32], times[40] = "";

	if (v->untold > 1)
		snprintf(times, sizeof(times), " (%" PRIu64 " times)", v->untold);
	snprintf(line + len, cap - len, "%s%s%s%s", len ? ", " : "",
		 irq_vector_text(v, name, sizeof(name)), times,
		 v->automasked ? " (masked now)" : "");
}

void irqs_prompt_tell(struct app *app)
{
	struct irqs *q = app->irqs;
	char line[TELL_NAMES * 100] = "";
	size_t named = 0, more = 0;

	if (!q || !app->shell || app->out || now_ns() < q->quiet_until)
		return;
	irqs_collect(app);
	for (size_t i = 0; i < q->n; i++) {
		if (!q->v[i].untold)
			continue;
		if (named++ < TELL_NAMES)
			name_vector(&q->v[i], line, sizeof(line));
		else
			more++;
		q->v[i].untold = 0;
	}
	if (!named)
		return;
	if (more)
		app_say(app, "interrupts: %s, and %zu more vectors", line, more);
	else
		app_say(app, "interrupt%s: %s", named > 1 ? "s" : "", line);
	q->quiet_until = now_ns() + TELL_EVERY;
}
