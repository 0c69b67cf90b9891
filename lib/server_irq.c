/* SPDX-License-Identifier: BSD-3-Clause */
/* A server's interrupts: what the client asks of them, and how a device raises them. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel.h"
#include "error.h"
#include "notify.h"
#include "server.h"

enum irq_action { MASK, UNMASK, TRIGGER, ACTIONS };

/* Everything here but raised is the client's doing, and gone when it leaves. */
struct irq_vector {
	struct vuser_server *s;
	bool automasked;
	int fd[ACTIONS]; /* the client's eventfds, -1 for none */
	bool masked;
	bool pending; /* came while it was masked, or the device stopped */
	bool held;    /* the line would have fired, but the device is stopped */
	bool raised;  /* the device's line */
};

struct irq_type {
	struct irq_vector *v;
	/*
	 * With VUSER_IRQ_NORESIZE the vectors are set up together, once. As a message
	 * carries a few descriptors only, commands that follow one another, each where
	 * the one before ended, do that together; any other one ends it.
	 */
	uint32_t set; /* vectors that are set up, 0 before */
	bool setting_up;
};

struct irq_state {
	size_t total;
	struct irq_type types[VUSER_MAX_IRQS];
	struct irq_vector v[];
};

int irqs_new(struct vuser_server *s, struct vuser_error *e)
{
	size_t total = 0, at = 0;

	for (uint32_t i = 0; i < s->desc->num_irqs; i++) {
		if (s->desc->irqs[i].count > VUSER_MAX_VECTORS)
			return error_set(e, VUSER_E_USAGE, EINVAL,
					 "an interrupt type has at most %u vectors",
					 VUSER_MAX_VECTORS);
		total += s->desc->irqs[i].count;
	}
	s->irqs = calloc(1, sizeof(*s->irqs) + total * sizeof(s->irqs->v[0]));
	if (!s->irqs)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for interrupts");
	s->irqs->total = total;
	for (uint32_t i = 0; i < s->desc->num_irqs; i++) {
		s->irqs->types[i].v = &s->irqs->v[at];
		for (uint32_t n = 0; n < s->desc->irqs[i].count; n++)
			s->irqs->v[at++] =
				(struct irq_vector){ .s = s,
						     .automasked =
							     s->desc->irqs[i].flags &
							     VUSER_IRQ_AUTOMASKED,
						     .fd = { -1, -1, -1 } };
	}
	return 0;
}

static struct irq_vector *find_vector(const struct vuser_server *s, uint32_t index,
				      uint32_t vector)
{
	if (index >= s->desc->num_irqs || vector >= s->desc->irqs[index].count)
		return NULL;
	return &s->irqs->types[index].v[vector];
}

/* ---- One vector ------------------------------------------------------------------ */

static void fire(struct irq_vector *v)
{
	if (v->fd[TRIGGER] >= 0)
		notify_add(&v->s->notify, v->fd[TRIGGER]);
}

static void trigger(struct irq_vector *v)
{
	if (v->masked)
		v->pending = true;
	else
		fire(v);
}

/* The client's own trigger goes out at any time; the device's must wait. */
static void raise_edge(struct irq_vector *v)
{
	if (server_is_running(v->s))
		trigger(v);
	else if (v->s->proxy) /* nothing is kept for the next client */
		v->pending = true;
}

/* A line that is up fires as soon as somebody hears it, and the device runs. */
static void try_line(struct irq_vector *v)
{
	if (!v->raised || v->masked || v->fd[TRIGGER] < 0)
		return;
	v->held = !server_is_running(v->s);
	if (v->held)
		return;
	fire(v);
	v->masked = v->automasked;
}

static void mask(struct irq_vector *v)
{
	v->masked = true;
}

static void unmask(struct irq_vector *v)
{
	bool pending = v->pending;

	if (!v->masked)
		return;
	v->masked = v->pending = false;
	if (v->raised)
		try_line(v);
	else if (pending)
		raise_edge(v);
}

/* What the device did not get out while it was stopped. */
static void let_out(struct irq_vector *v)
{
	bool pending = v->pending && !v->masked;

	if (v->held) {
		v->held = false;
		try_line(v);
	}
	if (!pending)
		return;
	v->pending = false;
	trigger(v);
}

static void detach(struct irq_vector *v, enum irq_action action)
{
	int fd = v->fd[action];

	if (action == TRIGGER)
		v->pending = v->held = false;
	if (fd < 0)
		return;
	v->fd[action] = -1;
	if (action != TRIGGER)
		watch_remove(v->s, fd);
	close(fd);
}

static void disable(struct irq_vector *v)
{
	for (enum irq_action a = 0; a < ACTIONS; a++)
		detach(v, a);
	v->masked = v->pending = v->held = false;
}

void irqs_let_out(struct vuser_server *s)
{
	for (size_t i = 0; i < s->irqs->total; i++)
		let_out(&s->irqs->v[i]);
}

void irqs_clear(struct vuser_server *s)
{
	for (size_t i = 0; i < s->irqs->total; i++)
		disable(&s->irqs->v[i]);
	for (uint32_t i = 0; i < VUSER_MAX_IRQS; i++) {
		s->irqs->types[i].set = 0;
		s->irqs->types[i].setting_up = false;
	}
}

/* ---- The client's mask and unmask eventfds ---------------------------------------- */

static void on_mask(void *arg, int fd)
{
	int r = notify_take(fd);

	if (r > 0)
		mask(arg);
	else if (r < 0)
		detach(arg, MASK);
}

static void on_unmask(void *arg, int fd)
{
	int r = notify_take(fd);

	if (r > 0)
		unmask(arg);
	else if (r < 0)
		detach(arg, UNMASK);
}

/* All or none of them. 0 or an errno. */
static int watch_all(struct vuser_server *s, struct irq_vector *v, const int *fds,
		     size_t n, enum irq_action action)
{
	struct vuser_error e;

	for (size_t i = 0; i < n; i++) {
		if (!watch_add(s, fds[i], action == MASK ? on_mask : on_unmask, &v[i],
			       &e))
			continue;
		while (i--)
			watch_remove(s, fds[i]);
		return e.err;
	}
	return 0;
}

/* ---- DEVICE_SET_IRQS -------------------------------------------------------------- */

#define DATA_NONE  VUSER_SET_IRQS_DATA_NONE
#define DATA_BOOL  VUSER_SET_IRQS_DATA_BOOL
#define DATA_EVENT VUSER_SET_IRQS_DATA_EVENTFD

static bool one_bit(uint32_t bits)
{
	return bits && !(bits & (bits - 1));
}

static bool disables(const struct vuser_irq_set *i)
{
	return i->flags == (DATA_NONE | VUSER_SET_IRQS_TRIGGER) && !i->start && !i->count;
}

static int check_flags(struct request *q, const struct vuser_irq_set *i)
{
	if (i->argsz < sizeof(*i) + q->p->tail_len)
		return request_refuse(q, EINVAL, "argsz is below the payload's size");
	if (i->flags & ~(VUSER_SET_IRQS_DATA_MASK | VUSER_SET_IRQS_ACTION_MASK))
		return request_refuse(q, EINVAL, "flags has unknown bits");
	if (!one_bit(i->flags & VUSER_SET_IRQS_DATA_MASK))
		return request_refuse(q, EINVAL,
				      "flags has not exactly one of none, bool, eventfd");
	if (!one_bit(i->flags & VUSER_SET_IRQS_ACTION_MASK))
		return request_refuse(
			q, EINVAL, "flags has not exactly one of mask, unmask, trigger");
	return 0;
}

/* What there is, and what of it may be done. */
static int check_range(struct request *q, const struct vuser_irq_set *i)
{
	const struct vuser_irq_desc *d;

	if (i->index >= q->s->desc->num_irqs)
		return request_refuse(q, EINVAL,
				      "index: there is no such interrupt type");
	d = &q->s->desc->irqs[i->index];
	if (i->start > d->count)
		return request_refuse(q, EINVAL, "start is beyond the type's vectors");
	if (i->count > d->count - i->start)
		return request_refuse(q, EINVAL,
				      "count reaches beyond the type's vectors");
	if (!i->count && !disables(i))
		return request_refuse(
			q, EINVAL,
			"count is 0, which is for none, trigger, start 0 only");
	if (!(i->flags & VUSER_SET_IRQS_TRIGGER) && !(d->flags & VUSER_IRQ_MASKABLE))
		return request_refuse(q, EINVAL, "flags: the type cannot be masked");
	if ((i->flags & DATA_EVENT) && !(d->flags & VUSER_IRQ_EVENTFD))
		return request_refuse(q, EINVAL, "flags: the type takes no eventfds");
	return 0;
}

static int check_data(struct request *q, const struct vuser_irq_set *i)
{
	for (size_t n = 0; n < q->p->tail_len; n++)
		if (q->p->tail[n] > 1)
			return request_refuse(q, EINVAL,
					      "data has a bool that is neither 0 nor 1");
	if (q->x->nfds && !(i->flags & DATA_EVENT))
		return request_refuse(
			q, EINVAL,
			"flags: descriptors come with data other than eventfd");
	if (q->x->nfds && q->x->nfds != i->count)
		return request_refuse(q, EINVAL,
				      "count is not the number of descriptors");
	for (size_t n = 0; n < q->x->nfds; n++)
		if (!notify_is_eventfd(q->x->fds[n]))
			return request_refuse(q, EINVAL,
					      "fds: one of them is no eventfd");
	return 0;
}

/* May what is set up together get these triggers, too? */
static int check_set(struct request *q, const struct vuser_irq_set *i)
{
	const struct irq_type *t = &q->s->irqs->types[i->index];

	if (!(q->s->desc->irqs[i->index].flags & VUSER_IRQ_NORESIZE) || !q->x->nfds ||
	    !t->set || (t->setting_up && i->start == t->set) ||
	    (i->start < t->set && i->count <= t->set - i->start))
		return 0;
	return request_refuse(q, EINVAL,
			      "count: more vectors than were set up (noresize), "
			      "the type must be disabled first");
}

static void note_set(struct irq_type *t, const struct vuser_irq_set *i)
{
	bool goes_on = !t->set || (t->setting_up && i->start == t->set);

	t->setting_up = goes_on && i->flags == (DATA_EVENT | VUSER_SET_IRQS_TRIGGER);
	if (t->setting_up)
		t->set = i->start + i->count;
}

/* The descriptors take the place of those there were; none detach. 0 or an errno. */
static int set_fds(struct request *q, const struct vuser_irq_set *i,
		   enum irq_action action)
{
	struct irq_vector *v = &q->s->irqs->types[i->index].v[i->start];
	size_t n = q->x->nfds;
	int r;

	if (action == TRIGGER)
		r = check_set(q, i);
	else
		r = watch_all(q->s, v, q->x->fds, n, action);
	if (r)
		return r;
	q->x->nfds = 0; /* ours from here on */
	for (uint32_t k = 0; k < i->count; k++) {
		bool pending = v[k].pending;

		detach(&v[k], action);
		if (!n)
			continue;
		v[k].fd[action] = q->x->fds[k];
		v[k].pending = pending;
		if (action == TRIGGER)
			try_line(&v[k]);
	}
	return 0;
}

static void act(struct request *q, const struct vuser_irq_set *i, enum irq_action action)
{
	static void (*const acts[ACTIONS])(struct irq_vector * v) = {
		[MASK] = mask, [UNMASK] = unmask, [TRIGGER] = trigger
	};
	struct irq_vector *v = &q->s->irqs->types[i->index].v[i->start];

	for (uint32_t k = 0; k < i->count; k++)
		if (!(i->flags & DATA_BOOL) || q->p->tail[k])
			acts[action](&v[k]);
}

static void disable_type(struct vuser_server *s, uint32_t index)
{
	struct irq_type *t = &s->irqs->types[index];

	for (uint32_t k = 0; k < s->desc->irqs[index].count; k++)
		disable(&t->v[k]);
	t->set = 0;
}

int request_set_irqs(struct request *q)
{
	const struct vuser_irq_set *i = &q->p->u.irq_set;
	enum irq_action action = i->flags & VUSER_SET_IRQS_MASK	    ? MASK
				 : i->flags & VUSER_SET_IRQS_UNMASK ? UNMASK
								    : TRIGGER;
	int r = check_flags(q, i);

	if (!r)
		r = check_range(q, i);
	if (!r)
		r = check_data(q, i);
	if (!r && (i->flags & DATA_EVENT))
		r = set_fds(q, i, action);
	if (r)
		return r;
	if (disables(i))
		disable_type(q->s, i->index);
	else if (!(i->flags & DATA_EVENT))
		act(q, i, action);
	note_set(&q->s->irqs->types[i->index], i);
	return request_reply_empty(q);
}

int request_irq_info(struct request *q)
{
	struct vuser_payload p = request_answer(q);
	uint32_t index = p.u.irq_info.index;

	if (p.u.irq_info.argsz < sizeof(p.u.irq_info))
		return request_refuse(q, EINVAL, "argsz is below the answer's size");
	if (index >= q->s->desc->num_irqs)
		return request_refuse(q, EINVAL, "there is no such interrupt type");
	p.u.irq_info = (struct vuser_irq_info){ .argsz = sizeof(p.u.irq_info),
						.flags = q->s->desc->irqs[index].flags,
						.index = index,
						.count = q->s->desc->irqs[index].count };
	return request_reply(q, &p);
}

/* ---- For the device --------------------------------------------------------------- */

void vuser_server_irq(struct vuser_server *s, uint32_t index, uint32_t vector)
{
	struct irq_vector *v = find_vector(s, index, vector);

	if (v)
		raise_edge(v);
}

void vuser_server_irq_level(struct vuser_server *s, uint32_t index, uint32_t vector,
			    bool raised)
{
	struct irq_vector *v = find_vector(s, index, vector);

	if (!v || v->raised == raised)
		return;
	v->raised = raised;
	try_line(v);
}

bool vuser_server_irq_attached(const struct vuser_server *s, uint32_t index,
			       uint32_t vector)
{
	const struct irq_vector *v = find_vector(s, index, vector);

	return v && v->fd[TRIGGER] >= 0;
}
