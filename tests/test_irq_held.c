/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_irq.c: interrupts of a device that is stopped for migration. */
#include <errno.h>
#include <sys/eventfd.h>

#include "stepped_server.h"

/* ---- The device: a line that masks itself, one that does not, edges --------------- */

enum { AUTO, PLAIN, EDGE, TYPES };

static const struct vuser_irq_desc irqs[TYPES] = {
	[AUTO] = { VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE | VUSER_IRQ_AUTOMASKED, 1 },
	[PLAIN] = { VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE, 1 },
	[EDGE] = { VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE, 1 },
};

static struct stepped t;
static int fd[TYPES]; /* attached to vector 0 of each */
static bool raises;   /* each arc raises EDGE */
static int arc_result;

static int change(void *dev, uint32_t from, uint32_t to)
{
	(void)dev;
	(void)from;
	(void)to;
	if (raises)
		vuser_server_irq(t.server, EDGE, 0);
	return arc_result;
}

static int64_t read_nothing(void *dev, void *buf, uint32_t count)
{
	(void)dev;
	(void)buf;
	(void)count;
	return 0;
}

static int write_anything(void *dev, const void *buf, uint32_t count)
{
	(void)dev;
	(void)buf;
	(void)count;
	return 0;
}

static int reset(void *dev)
{
	(void)dev;
	return 0;
}

/* One that raises what it likes when its client has left. */
static void left(void *dev)
{
	(void)dev;
	vuser_server_irq(t.server, EDGE, 0);
}

static const struct vuser_migration_ops migration = {
	.flags = VUSER_MIGRATION_STOP_COPY | VUSER_MIGRATION_PRE_COPY,
	.state = change,
	.read = read_nothing,
	.write = write_anything,
};

static const struct vuser_device description = { .name = "held",
						 .flags = VUSER_DEVICE_RESET,
						 .irqs = irqs,
						 .num_irqs = TYPES,
						 .reset = reset,
						 .left = left,
						 .migration = &migration };

/* ---- Its client ------------------------------------------------------------------- */

static int set_irqs(uint32_t flags, uint32_t index, uint32_t count, int passed)
{
	struct answer a;

	return stepped_call(&t, &a, VUSER_CMD_DEVICE_SET_IRQS, "44444",
			    VALUES(20, flags, index, 0, count), NULL, 0, &passed,
			    passed >= 0);
}

static void act(uint32_t action, uint32_t index)
{
	assert_int_equal(set_irqs(VUSER_SET_IRQS_DATA_NONE | action, index, 1, -1), 0);
}

static void attach(uint32_t index)
{
	assert_int_equal(set_irqs(VUSER_SET_IRQS_DATA_EVENTFD | VUSER_SET_IRQS_TRIGGER,
				  index, 1, fd[index]),
			 0);
}

static void disable(uint32_t index)
{
	assert_int_equal(
		set_irqs(VUSER_SET_IRQS_DATA_NONE | VUSER_SET_IRQS_TRIGGER, index, 0, -1),
		0);
}

static void assert_fired(uint32_t index, uint64_t times)
{
	uint64_t count;

	if (read(fd[index], &count, sizeof(count)) != sizeof(count))
		count = 0;
	assert_int_equal(count, times);
}

static int set_state(uint32_t state)
{
	struct answer a;

	return stepped_call(
		&t, &a, VUSER_CMD_DEVICE_FEATURE, "4444",
		VALUES(16, VUSER_FEATURE_SET | VUSER_FEATURE_MIG_DEVICE_STATE, state, 0),
		NULL, 0, NULL, 0);
}

static void go_to(uint32_t state)
{
	assert_int_equal(set_state(state), 0);
}

static void reset_it(void)
{
	struct answer a;

	assert_int_equal(
		stepped_call(&t, &a, VUSER_CMD_DEVICE_RESET, "", NULL, NULL, 0, NULL, 0),
		0);
}

static void level(uint32_t index, bool raised)
{
	vuser_server_irq_level(t.server, index, 0, raised);
}

static int come(void **state)
{
	(void)state;
	raises = false;
	arc_result = 0;
	stepped_new(&t, &description, NULL);
	stepped_come(&t, "{}");
	for (uint32_t i = 0; i < TYPES; i++) {
		fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(fd[i] >= 0);
		attach(i);
	}
	return 0;
}

static int leave(void **state)
{
	(void)state;
	vuser_server_free(t.server);
	close(t.fd);
	for (uint32_t i = 0; i < TYPES; i++)
		close(fd[i]);
	return 0;
}

/* ---- Edges ------------------------------------------------------------------------ */

static void what_is_raised_in_a_state_that_does_not_run_fires_afterwards(void **state)
{
	static const uint32_t states[] = { VUSER_STATE_STOP, VUSER_STATE_STOP_COPY,
					   VUSER_STATE_RESUMING };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(states); i++) {
		go_to(states[i / 2]);
		vuser_server_irq(t.server, EDGE, 0);
		vuser_server_irq(t.server, EDGE, 0);
		assert_fired(EDGE, 0);
		if (i % 2)
			reset_it();
		else
			go_to(VUSER_STATE_RUNNING);
		assert_fired(EDGE, 1);
		go_to(VUSER_STATE_STOP); /* it is not kept */
		go_to(VUSER_STATE_RUNNING);
		assert_fired(EDGE, 0);
	}
}

static void pre_copy_runs(void **state)
{
	(void)state;
	go_to(VUSER_STATE_PRE_COPY);
	vuser_server_irq(t.server, EDGE, 0);
	assert_fired(EDGE, 1);
	go_to(VUSER_STATE_STOP_COPY);
	vuser_server_irq(t.server, EDGE, 0);
	assert_fired(EDGE, 0);
	go_to(VUSER_STATE_STOP);
	assert_fired(EDGE, 0);
	go_to(VUSER_STATE_PRE_COPY);
	assert_fired(EDGE, 1);
}

static void the_arc_that_stops_it_may_raise_and_that_which_starts_it_is_held(void **state)
{
	(void)state;
	raises = true;
	go_to(VUSER_STATE_STOP);
	assert_fired(EDGE, 1);
	go_to(VUSER_STATE_STOP_COPY);
	assert_fired(EDGE, 0);
	arc_result = -EIO;
	assert_int_equal(set_state(VUSER_STATE_RUNNING), EIO);
	assert_fired(EDGE, 0);
	arc_result = 0;
	go_to(VUSER_STATE_RUNNING);
	assert_fired(EDGE, 1);
}

static void error_holds_until_the_reset(void **state)
{
	(void)state;
	arc_result = -ENOTRECOVERABLE;
	assert_int_equal(set_state(VUSER_STATE_STOP), ENOTRECOVERABLE);
	vuser_server_irq(t.server, EDGE, 0);
	level(PLAIN, true);
	assert_fired(EDGE, 0);
	assert_fired(PLAIN, 0);
	reset_it();
	assert_fired(EDGE, 1);
	assert_fired(PLAIN, 1);
}

static void masked_vectors_wait_for_both(void **state)
{
	(void)state;
	act(VUSER_SET_IRQS_MASK, EDGE);
	go_to(VUSER_STATE_STOP);
	vuser_server_irq(t.server, EDGE, 0);
	act(VUSER_SET_IRQS_UNMASK, EDGE);
	assert_fired(EDGE, 0);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(EDGE, 1);
	go_to(VUSER_STATE_STOP);
	vuser_server_irq(t.server, EDGE, 0);
	act(VUSER_SET_IRQS_MASK, EDGE);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(EDGE, 0);
	act(VUSER_SET_IRQS_UNMASK, EDGE);
	assert_fired(EDGE, 1);
}

static void the_clients_own_trigger_is_not_held(void **state)
{
	(void)state;
	go_to(VUSER_STATE_STOP);
	act(VUSER_SET_IRQS_TRIGGER, EDGE);
	assert_fired(EDGE, 1);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(EDGE, 0);
}

static void what_is_disabled_meanwhile_is_forgotten(void **state)
{
	(void)state;
	go_to(VUSER_STATE_STOP);
	vuser_server_irq(t.server, EDGE, 0);
	level(PLAIN, true);
	level(PLAIN, false);
	disable(EDGE);
	attach(EDGE);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(EDGE, 0);
	assert_fired(PLAIN, 0);
}

static void nothing_that_was_held_is_for_the_next_client(void **state)
{
	(void)state;
	go_to(VUSER_STATE_STOP);
	vuser_server_irq(t.server, EDGE, 0);
	level(PLAIN, true);
	stepped_leave(&t); /* and the device raises once more */
	vuser_server_irq(t.server, EDGE, 0);
	stepped_come(&t, "{}");
	attach(EDGE);
	attach(PLAIN);
	assert_fired(PLAIN, 0);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(EDGE, 0);
	assert_fired(PLAIN, 1); /* but the level */
}

/* ---- Lines ------------------------------------------------------------------------ */

static void a_line_raised_meanwhile_fires_if_it_is_still_up(void **state)
{
	(void)state;
	for (uint32_t i = AUTO; i <= PLAIN; i++) {
		go_to(VUSER_STATE_STOP);
		level(i, true);
		assert_fired(i, 0);
		go_to(VUSER_STATE_RUNNING);
		assert_fired(i, 1);
		level(i, false);
		act(VUSER_SET_IRQS_UNMASK, i);
		assert_fired(i, 0);
		go_to(VUSER_STATE_STOP);
		level(i, true);
		level(i, false);
		go_to(VUSER_STATE_RUNNING);
		assert_fired(i, 0);
	}
}

static void a_line_that_has_fired_does_not_fire_again(void **state)
{
	(void)state;
	for (uint32_t i = AUTO; i <= PLAIN; i++) {
		level(i, true);
		assert_fired(i, 1);
		go_to(VUSER_STATE_STOP);
		go_to(VUSER_STATE_RUNNING);
		assert_fired(i, 0);
	}
}

static void a_line_unmasked_or_attached_meanwhile_fires_afterwards(void **state)
{
	(void)state;
	level(AUTO, true);
	assert_fired(AUTO, 1);
	go_to(VUSER_STATE_STOP);
	act(VUSER_SET_IRQS_UNMASK, AUTO);
	assert_fired(AUTO, 0);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(AUTO, 1);
	go_to(VUSER_STATE_STOP);
	disable(AUTO);
	attach(AUTO);
	assert_fired(AUTO, 0);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(AUTO, 1);
	go_to(VUSER_STATE_STOP);
	go_to(VUSER_STATE_RUNNING);
	assert_fired(AUTO, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, come, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_raised_in_a_state_that_does_not_run_fires_afterwards),
		TEST(pre_copy_runs),
		TEST(the_arc_that_stops_it_may_raise_and_that_which_starts_it_is_held),
		TEST(error_holds_until_the_reset),
		TEST(masked_vectors_wait_for_both),
		TEST(the_clients_own_trigger_is_not_held),
		TEST(what_is_disabled_meanwhile_is_forgotten),
		TEST(nothing_that_was_held_is_for_the_next_client),
		TEST(a_line_raised_meanwhile_fires_if_it_is_still_up),
		TEST(a_line_that_has_fired_does_not_fire_again),
		TEST(a_line_unmasked_or_attached_meanwhile_fires_afterwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
