/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_irq.c: how eventfds and actions go out, and what is refused. */
#include <errno.h>
#include <sys/eventfd.h>

#define ROOM 4096u /* for a payload */

#include "scripted_server.h"

#define NONE	VUSER_SET_IRQS_DATA_NONE
#define BOOL	VUSER_SET_IRQS_DATA_BOOL
#define EVENTFD VUSER_SET_IRQS_DATA_EVENTFD
#define MASK	VUSER_SET_IRQS_MASK
#define UNMASK	VUSER_SET_IRQS_UNMASK
#define TRIGGER VUSER_SET_IRQS_TRIGGER

static const char four_fds[] = "{\"capabilities\":{\"max_msg_fds\":4}}";
static const char no_fds[] = "{\"capabilities\":{\"max_msg_fds\":0}}";

/* A command that is to come, and with how many descriptors. */
struct set {
	uint32_t flags, start, count;
	unsigned nfds;
	const char *data; /* count bytes of bool data */
	uint32_t err;	  /* the answer: 0 or an error */
};

/* What the server knows, and what it is to hear; sets end with flags 0. */
struct plan {
	uint32_t index, flags, count; /* GET_IRQ_INFO; count 0: it is not asked for */
	struct set sets[12];
};

static void say_irq_info(struct peer *p, const struct plan *plan)
{
	take(p, VUSER_CMD_DEVICE_GET_IRQ_INFO);
	answer(p, "4444", VALUES(16, plan->flags, plan->index, plan->count));
}

static void hear_sets(struct peer *p)
{
	const struct plan *plan = p->arg;

	if (plan->count)
		say_irq_info(p, plan);
	for (const struct set *s = plan->sets; s->flags && !p->wrong; s++) {
		size_t bools = s->data ? s->count : 0;
		uint8_t head[20];

		take(p, VUSER_CMD_DEVICE_SET_IRQS);
		pack(head, "44444",
		     VALUES(20 + bools, s->flags, plan->index, s->start, s->count));
		if (p->len != 20 + bools || memcmp(p->payload, head, 20) != 0)
			go_wrong(p, "the command says something else");
		else if (bools && memcmp(p->payload + 20, s->data, bools) != 0)
			go_wrong(p, "the bools are others");
		else if (p->nfds != s->nfds)
			go_wrong(p, "another number of descriptors came");
		if (s->err)
			answer_error(p, s->err);
		else
			answer(p, "", NULL);
	}
}

static struct rig *begin(const struct plan *plan, const char *json, bool lax)
{
	struct vuser_options o = patient_options();

	o.lax = lax;
	return begin_with(hear_sets, json, plan, o);
}

/* n eventfds, those whose letter in which is '-' being -1. */
static void make_fds(int *fds, const char *which)
{
	for (; *which; which++, fds++)
		*fds = *which == '-' ? -1 : eventfd(0, EFD_CLOEXEC);
}

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int attach(struct rig *r, uint32_t index, uint32_t start, const char *which)
{
	uint32_t n = (uint32_t)strlen(which);
	int fds[64], result;

	make_fds(fds, which);
	result = vuser_irq_attach(r->client, index, start, fds, n, &r->e);
	close_fds(fds, n);
	return result;
}

/* ---- Attaching ---------------------------------------------------------------- */

static void one_command_attaches_what_fits(void **state)
{
	static const struct plan plan = { .index = 2,
					  .flags = VUSER_IRQ_EVENTFD,
					  .count = 8,
					  .sets = { { EVENTFD | TRIGGER, 4, 4, 4 } } };
	struct rig *r = begin(&plan, four_fds, false);

	(void)state;
	assert_int_equal(attach(r, 2, 4, "eeee"), 0);
	end_with(r, 0);
}

static void more_vectors_than_max_msg_fds_take_several_commands(void **state)
{
	static const struct plan plan = { .index = 2,
					  .flags = VUSER_IRQ_EVENTFD,
					  .count = 16,
					  .sets = { { EVENTFD | TRIGGER, 3, 4, 4 },
						    { EVENTFD | TRIGGER, 7, 4, 4 },
						    { EVENTFD | TRIGGER, 11, 2, 2 } } };
	static const struct plan single = { .index = 2,
					    .flags = VUSER_IRQ_EVENTFD,
					    .count = 16,
					    .sets = { { EVENTFD | TRIGGER, 0, 1, 1 },
						      { EVENTFD | TRIGGER, 1, 1, 1 } } };
	struct rig *r = begin(&plan, four_fds, false);

	(void)state;
	assert_int_equal(attach(r, 2, 3, "eeeeeeeeee"), 0);
	end_with(r, 0);
	/* A server that does not name the capability takes one at a time. */
	r = begin(&single, NULL, false);
	assert_int_equal(attach(r, 2, 0, "ee"), 0);
	end_with(r, 0);
}

static void runs_of_attached_and_detached_vectors_go_apart(void **state)
{
	static const struct plan plan = { .index = 2,
					  .flags = VUSER_IRQ_EVENTFD,
					  .count = 64,
					  .sets = { { EVENTFD | TRIGGER, 0, 6, 0 },
						    { EVENTFD | TRIGGER, 6, 2, 2 },
						    { EVENTFD | TRIGGER, 8, 1, 0 },
						    { EVENTFD | TRIGGER, 9, 4, 4 },
						    { EVENTFD | TRIGGER, 13, 1, 1 },
						    { EVENTFD | TRIGGER, 14, 7, 0 } } };
	struct rig *r = begin(&plan, four_fds, false);

	(void)state;
	assert_int_equal(attach(r, 2, 0, "------ee-eeeee-------"), 0);
	end_with(r, 0);
}

static void the_first_error_ends_it(void **state)
{
	static const struct plan plan = { .index = 2,
					  .flags = VUSER_IRQ_EVENTFD,
					  .count = 16,
					  .sets = { { EVENTFD | TRIGGER, 0, 4, 4 },
						    { EVENTFD | TRIGGER, 4, 4, 4, NULL,
						      ENOSPC } } };
	struct rig *r = begin(&plan, four_fds, false);
	unsigned before = open_fds();

	(void)state;
	assert_failed(r, attach(r, 2, 0, "eeeeeeeeeeee"), VUSER_E_REMOTE, ENOSPC);
	assert_int_equal(open_fds(), before);
	end_with(r, 0);
}

/* Fires the last descriptor that came. */
static void hear_and_fire(struct peer *p)
{
	uint64_t one = 1;

	take(p, VUSER_CMD_DEVICE_GET_IRQ_INFO);
	answer(p, "4444", VALUES(16, VUSER_IRQ_EVENTFD, 0, 2));
	take(p, VUSER_CMD_DEVICE_SET_IRQS);
	if (write(p->passed, &one, 8) != 8)
		go_wrong(p, "no eventfd came");
	answer(p, "", NULL);
}

static void the_eventfds_arrive_in_order(void **state)
{
	struct rig *r = begin_with(hear_and_fire, four_fds, NULL, patient_options());
	uint64_t got;
	int fds[2];

	(void)state;
	fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(vuser_irq_attach(r->client, 0, 0, fds, 2, &r->e), 0);
	assert_int_equal(read(fds[0], &got, 8), -1);
	assert_int_equal(read(fds[1], &got, 8), 8);
	end_with(r, 0);
	close_fds(fds, 2);
}

/* ---- Disabling and acting ----------------------------------------------------- */

static void disabling_is_count_0_without_data(void **state)
{
	static const struct plan plan = { .index = 2,
					  .flags = VUSER_IRQ_EVENTFD,
					  .count = 8,
					  .sets = { { NONE | TRIGGER, 0, 0, 0 } } };
	struct rig *r = begin(&plan, NULL, false);

	(void)state;
	assert_int_equal(vuser_irq_disable(r->client, 2, &r->e), 0);
	end_with(r, 0);
}

static void actions_go_with_and_without_bools(void **state)
{
	static const struct plan plan = {
		.index = 1,
		.flags = VUSER_IRQ_MASKABLE,
		.count = 8,
		.sets = { { NONE | MASK, 1, 3, 0 } },
	};
	static const struct plan bools = {
		.index = 1,
		.flags = VUSER_IRQ_MASKABLE,
		.count = 8,
		.sets = { { BOOL | TRIGGER, 5, 3, 0, "\1\0\1" } },
	};
	struct rig *r = begin(&plan, NULL, false);

	(void)state;
	assert_int_equal(vuser_irq_act(r->client, 1, MASK, 1, 3, NULL, &r->e), 0);
	end_with(r, 0);
	r = begin(&bools, NULL, false);
	assert_int_equal(vuser_irq_act(r->client, 1, TRIGGER, 5, 3,
				       (const uint8_t *)"\1\0\1", &r->e),
			 0);
	end_with(r, 0);
}

static void an_eventfd_may_unmask(void **state)
{
	static const struct plan plan = {
		.index = 0,
		.flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_AUTOMASKED,
		.count = 1,
		.sets = { { EVENTFD | UNMASK, 0, 1, 1 } },
	};
	struct rig *r = begin(&plan, NULL, false);
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(vuser_irq_act_by_fd(r->client, 0, UNMASK, 0, &fd, 1, &r->e), 0);
	end_with(r, 0);
	close(fd);
}

/* ---- What is refused ---------------------------------------------------------- */

struct refusal {
	uint32_t flags, action; /* of the type; 0: attach, with fds */
	uint32_t start, count;
	int err;
};

static void what_the_device_forbids_is_not_sent(void **state)
{
	static const struct refusal table[] = {
		{ VUSER_IRQ_EVENTFD, 0, 0, 9, ERANGE },
		{ VUSER_IRQ_EVENTFD, 0, 8, 1, ERANGE },
		{ VUSER_IRQ_EVENTFD, 0, 9, 1, ERANGE },
		{ VUSER_IRQ_EVENTFD, 0, UINT32_MAX, 2, ERANGE },
		{ VUSER_IRQ_MASKABLE, 0, 0, 1, ENOTSUP },
		{ VUSER_IRQ_EVENTFD, TRIGGER, 7, UINT32_MAX, ERANGE },
		{ VUSER_IRQ_EVENTFD, MASK, 0, 1, ENOTSUP },
		{ VUSER_IRQ_AUTOMASKED, MASK, 0, 1, ENOTSUP },
		{ VUSER_IRQ_EVENTFD, UNMASK, 0, 1, ENOTSUP },
		{ VUSER_IRQ_EVENTFD, NONE, 0, 1, EINVAL },
		{ VUSER_IRQ_EVENTFD, MASK | UNMASK, 0, 1, EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct refusal *t = &table[i];
		struct plan plan = { .index = 2, .flags = t->flags, .count = 8 };
		struct rig *r = begin(&plan, four_fds, false);
		int fds[9] = { -1, -1, -1, -1, -1, -1, -1, -1, 0 }, result;

		if (t->action)
			result = vuser_irq_act(r->client, 2, t->action, t->start,
					       t->count, NULL, &r->e);
		else
			result = vuser_irq_attach(r->client, 2, t->start, fds, t->count,
						  &r->e);
		assert_failed(r, result, VUSER_E_USAGE, t->err);
		end_with(r, 0);
	}
}

static void count_0_is_not_sent(void **state)
{
	static const struct plan plan = { .index = 2 };
	struct rig *r = begin(&plan, four_fds, false);
	int fd = 0;

	(void)state;
	assert_failed(r, vuser_irq_attach(r->client, 2, 0, &fd, 0, &r->e), VUSER_E_USAGE,
		      EINVAL);
	assert_failed(r, vuser_irq_act(r->client, 2, TRIGGER, 0, 0, NULL, &r->e),
		      VUSER_E_USAGE, EINVAL);
	assert_failed(r, vuser_irq_act_by_fd(r->client, 2, MASK, 0, &fd, 0, &r->e),
		      VUSER_E_USAGE, EINVAL);
	end_with(r, 0);
}

static void a_server_without_room_for_descriptors_gets_none(void **state)
{
	static const struct plan plan = { .index = 2 };
	struct rig *r = begin(&plan, no_fds, false);

	(void)state;
	assert_failed(r, attach(r, 2, 0, "e"), VUSER_E_USAGE, ENOTSUP);
	end_with(r, 0);
}

static void lax_sends_all_of_it(void **state)
{
	static const struct plan plan = { .index = 77,
					  .sets = { { EVENTFD | TRIGGER, 9, 1, 1 },
						    { EVENTFD | TRIGGER, 10, 1, 1 },
						    { EVENTFD | TRIGGER, 5, 0, 0 },
						    { NONE | 0x40, UINT32_MAX, 9, 0 },
						    { NONE | TRIGGER, 0, 0, 0 },
						    { NONE | TRIGGER, 0, 0, 0 } } };
	struct rig *r = begin(&plan, no_fds, true);

	(void)state;
	assert_int_equal(attach(r, 77, 9, "ee"), 0);
	assert_int_equal(attach(r, 77, 5, ""), 0);
	assert_int_equal(vuser_irq_act(r->client, 77, 0x40, UINT32_MAX, 9, NULL, &r->e),
			 0);
	assert_int_equal(vuser_irq_act(r->client, 77, TRIGGER, 0, 0, NULL, &r->e), 0);
	assert_int_equal(vuser_irq_disable(r->client, 77, &r->e), 0);
	end_with(r, 0);
}

static void more_bools_than_a_message_holds_are_refused(void **state)
{
	static const struct plan plan = { .index = 2 };
	struct rig *r = begin(&plan, NULL, true);

	(void)state;
	assert_failed(r,
		      vuser_irq_act(r->client, 2, TRIGGER, 0, UINT32_MAX,
				    (const uint8_t *)"", &r->e),
		      VUSER_E_USAGE, EMSGSIZE);
	end_with(r, 0);
}

/* ---- A set that cannot grow --------------------------------------------------- */

static void play_noresize(struct peer *p)
{
	const struct plan plan = { .index = 2,
				   .flags = VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE,
				   .count = 8 };

	for (int i = 0; i < 6 && !p->wrong; i++) {
		say_irq_info(p, &plan);
		if (i == 1 || i == 2) /* refused */
			continue;
		take(p, VUSER_CMD_DEVICE_SET_IRQS);
		answer(p, "", NULL);
	}
}

static void vectors_that_come_as_a_set_cannot_become_more(void **state)
{
	struct rig *r = begin_with(play_noresize, four_fds, NULL, patient_options());

	(void)state;
	assert_int_equal(attach(r, 2, 0, "eee"), 0);
	assert_failed(r, attach(r, 2, 3, "e"), VUSER_E_USAGE, EBUSY);
	assert_failed(r, attach(r, 2, 0, "eeee"), VUSER_E_USAGE, EBUSY);
	assert_int_equal(attach(r, 2, 2, "e"), 0);
	assert_int_equal(vuser_irq_disable(r->client, 2, &r->e), 0);
	assert_int_equal(attach(r, 2, 4, "e"), 0);
	end_with(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_command_attaches_what_fits),
		cmocka_unit_test(more_vectors_than_max_msg_fds_take_several_commands),
		cmocka_unit_test(runs_of_attached_and_detached_vectors_go_apart),
		cmocka_unit_test(the_first_error_ends_it),
		cmocka_unit_test(the_eventfds_arrive_in_order),
		cmocka_unit_test(disabling_is_count_0_without_data),
		cmocka_unit_test(actions_go_with_and_without_bools),
		cmocka_unit_test(an_eventfd_may_unmask),
		cmocka_unit_test(what_the_device_forbids_is_not_sent),
		cmocka_unit_test(count_0_is_not_sent),
		cmocka_unit_test(a_server_without_room_for_descriptors_gets_none),
		cmocka_unit_test(lax_sends_all_of_it),
		cmocka_unit_test(more_bools_than_a_message_holds_are_refused),
		cmocka_unit_test(vectors_that_come_as_a_set_cannot_become_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
