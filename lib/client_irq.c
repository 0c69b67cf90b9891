/* SPDX-License-Identifier: BSD-3-Clause */
/* Typed calls about interrupts: eventfds attached, vectors masked and triggered. */
#include <errno.h>

#include "client.h"
#include "error.h"

#define SET_SIZE 20u

static const struct {
	uint32_t action, needs; /* one of these flags of DEVICE_GET_IRQ_INFO, 0 none */
	const char *name;
} actions[] = {
	{ VUSER_SET_IRQS_MASK, VUSER_IRQ_MASKABLE, "mask" },
	{ VUSER_SET_IRQS_UNMASK, VUSER_IRQ_MASKABLE | VUSER_IRQ_AUTOMASKED, "unmask" },
	{ VUSER_SET_IRQS_TRIGGER, 0, "trigger" },
};

#define NACTIONS (sizeof(actions) / sizeof(actions[0]))

/* "msix" or "interrupt 7"; not for two in one sentence. */
static const char *irq_text(uint32_t index, char *buf, size_t cap)
{
	const char *name = vuser_irq_name(index);

	if (name)
		return name;
	snprintf(buf, cap, "interrupt %u", index);
	return buf;
}

/* ---- What the device forbids ------------------------------------------------------- */

static int check_flags(const struct vuser_irq_info *info, const char *name,
		       uint32_t action, bool by_fd, struct vuser_error *e)
{
	size_t i = 0;

	while (i < NACTIONS && actions[i].action != action)
		i++;
	if (i == NACTIONS)
		return error_set(e, VUSER_E_USAGE, EINVAL,
				 "0x%x is no action on interrupts", action);
	if (by_fd && !(info->flags & VUSER_IRQ_EVENTFD))
		return error_set(e, VUSER_E_USAGE, ENOTSUP, "%s takes no eventfds", name);
	if (actions[i].needs && !(info->flags & actions[i].needs))
		return error_set(e, VUSER_E_USAGE, ENOTSUP,
				 "%s cannot be masked or unmasked (flags 0x%x)", name,
				 info->flags);
	return 0;
}

/* Vectors that come as a set: none can join those that were enabled first. */
static int check_set(struct vuser_client *c, const struct vuser_irq_info *info,
		     const char *name, uint32_t end, struct vuser_error *e)
{
	uint32_t enabled;

	if (!(info->flags & VUSER_IRQ_NORESIZE) || info->index >= VUSER_MAX_IRQS)
		return 0;
	pthread_mutex_lock(&c->lock);
	enabled = c->irqs[info->index];
	pthread_mutex_unlock(&c->lock);
	if (!enabled || end <= enabled)
		return 0;
	return error_set(e, VUSER_E_USAGE, EBUSY,
			 "%s has %u vectors enabled, which cannot become more: disable "
			 "them first",
			 name, enabled);
}

/*
 * Unless lax: there are such vectors and they can do that. count 0 means something else
 * to the server than to the caller.
 */
static int check_vectors(struct vuser_client *c, uint32_t index, uint32_t action,
			 uint32_t start, uint32_t count, bool by_fd, bool joins,
			 struct vuser_error *e)
{
	struct vuser_irq_info info;
	const char *name;
	char buf[24];
	int r;

	if (c->lax)
		return 0;
	name = irq_text(index, buf, sizeof(buf));
	if (!count)
		return error_set(e, VUSER_E_USAGE, EINVAL, "no vector of %s is meant",
				 name);
	if (by_fd && !c->theirs.max_msg_fds)
		return error_set(e, VUSER_E_USAGE, ENOTSUP,
				 "the server takes no descriptors (max_msg_fds is 0)");
	r = vuser_get_irq(c, index, &info, e);
	if (r)
		return r;
	if (start > info.count || count > info.count - start)
		return error_set(e, VUSER_E_USAGE, ERANGE,
				 "vector %u, count %u: %s has %u", start, count, name,
				 info.count);
	r = check_flags(&info, name, action, by_fd, e);
	if (!r && joins)
		r = check_set(c, &info, name, start + count, e);
	return r;
}

/* ---- DEVICE_SET_IRQS --------------------------------------------------------------- */

static int set_irqs(struct vuser_client *c, const struct vuser_irq_set *set,
		    const int *fds, size_t nfds, const uint8_t *bools,
		    struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_DEVICE_SET_IRQS };
	struct vuser_exchange *x;
	int r;

	p.u.irq_set = *set;
	p.u.irq_set.argsz = SET_SIZE;
	if (bools) {
		p.tail = bools;
		p.tail_len = set->count;
		p.u.irq_set.argsz += set->count;
	}
	x = client_build(c, &p, e);
	if (!x)
		return client_not_built(e);
	x->split = 0; /* the reply has no payload */
	for (size_t i = 0; i < nfds; i++)
		x->fds[i] = fds[i];
	x->nfds = nfds;
	r = proxy_call(c->proxy, x, e);
	if (!r)
		proxy_release(c->proxy, x);
	return r;
}

/* How many vectors go in one command: a run of attached or of detached ones. */
static uint32_t run_length(const struct vuser_client *c, const int *fds, uint32_t count)
{
	uint64_t most = c->theirs.max_msg_fds;
	uint32_t n = 1;

	most = most ? most : 1;
	most = most < VUSER_LIMIT_MSG_FDS ? most : VUSER_LIMIT_MSG_FDS;
	while (n < count && (fds[n] < 0) == (fds[0] < 0) && (fds[0] < 0 || n < most))
		n++;
	return n;
}

static int set_fds(struct vuser_client *c, struct vuser_irq_set set, const int *fds,
		   uint32_t count, struct vuser_error *e)
{
	uint32_t left = count, first = set.start;
	int r;

	set.flags |= VUSER_SET_IRQS_DATA_EVENTFD;
	do {
		/* Lax, an empty command may be what is wanted. */
		set.count = left ? run_length(c, fds, left) : 0;
		set.start = first + (count - left);
		r = set_irqs(c, &set, fds, left && fds[0] >= 0 ? set.count : 0, NULL, e);
		fds += set.count;
		left -= set.count;
	} while (!r && left);
	return r;
}

static bool any_attached(const int *fds, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			return true;
	return false;
}

static void note_enabled(struct vuser_client *c, uint32_t index, uint32_t end)
{
	if (index >= VUSER_MAX_IRQS)
		return;
	pthread_mutex_lock(&c->lock);
	if (!end || end > c->irqs[index])
		c->irqs[index] = end;
	pthread_mutex_unlock(&c->lock);
}

int vuser_irq_attach(struct vuser_client *c, uint32_t index, uint32_t start,
		     const int *fds, uint32_t count, struct vuser_error *e)
{
	struct vuser_irq_set set = { .flags = VUSER_SET_IRQS_TRIGGER,
				     .index = index,
				     .start = start };
	bool joins = any_attached(fds, count);
	int r = check_vectors(c, index, VUSER_SET_IRQS_TRIGGER, start, count, true, joins,
			      e);

	r = r ? r : set_fds(c, set, fds, count, e);
	if (!r && joins)
		note_enabled(c, index, start + count);
	return r;
}

int vuser_irq_disable(struct vuser_client *c, uint32_t index, struct vuser_error *e)
{
	struct vuser_irq_set set = {
		.flags = VUSER_SET_IRQS_DATA_NONE | VUSER_SET_IRQS_TRIGGER, .index = index
	};
	struct vuser_irq_info info;
	int r = c->lax ? 0 : vuser_get_irq(c, index, &info, e);

	r = r ? r : set_irqs(c, &set, NULL, 0, NULL, e);
	if (!r)
		note_enabled(c, index, 0);
	return r;
}

int vuser_irq_act(struct vuser_client *c, uint32_t index, uint32_t action, uint32_t start,
		  uint32_t count, const uint8_t *bools, struct vuser_error *e)
{
	struct vuser_irq_set set = { .flags = action | (bools ? VUSER_SET_IRQS_DATA_BOOL
							      : VUSER_SET_IRQS_DATA_NONE),
				     .index = index,
				     .start = start,
				     .count = count };
	int r = check_vectors(c, index, action, start, count, false, false, e);

	if (!r && bools && count > VUSER_LIMIT_DATA_XFER)
		return error_set(e, VUSER_E_USAGE, EMSGSIZE,
				 "%u bytes of bools are more than a message holds",
				 count);
	return r ? r : set_irqs(c, &set, NULL, 0, bools, e);
}

int vuser_irq_act_by_fd(struct vuser_client *c, uint32_t index, uint32_t action,
			uint32_t start, const int *fds, uint32_t count,
			struct vuser_error *e)
{
	struct vuser_irq_set set = { .flags = action, .index = index, .start = start };
	int r = check_vectors(c, index, action, start, count, true, false, e);

	return r ? r : set_fds(c, set, fds, count, e);
}
