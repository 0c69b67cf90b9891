/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_migration.c: the state and the data, honest and lying servers. */
#include <errno.h>

#define ROOM   (1u << 20) /* for a payload */
#define USAGE  VUSER_E_USAGE
#define REMOTE VUSER_E_REMOTE
#define LIE    VUSER_E_PROTOCOL

#include "scripted_server.h"

/* How a row ends: what the call makes of the reply. */
#define FINE		     0, 0, 0, NULL
#define REFUSED(err)	     err, REMOTE, 0, NULL
#define WRONG(offset, field) 0, LIE, offset, field

#define GET_FLAGS	     (VUSER_FEATURE_GET | VUSER_FEATURE_MIGRATION)
#define GET_STATE	     (VUSER_FEATURE_GET | VUSER_FEATURE_MIG_DEVICE_STATE)
#define SET_STATE	     (VUSER_FEATURE_SET | VUSER_FEATURE_MIG_DEVICE_STATE)
#define NO_FD		     0xffffffff

/* A reply, and what the call makes of it. */
struct row {
	const char *form;
	uint64_t v[8];
	uint32_t err; /* an error reply in its place */
	int result;
	size_t offset; /* of a lie */
	const char *field;
};

struct rows {
	unsigned command;
	const char *says; /* what the client says each time */
	uint64_t said[4];
	const struct row *v;
	size_t n;
};

static void expect(struct peer *p, const char *form, const uint64_t *v)
{
	uint8_t payload[64];
	size_t len = pack(payload, form, v);

	if (p->len < len || memcmp(p->payload, payload, len) != 0)
		go_wrong(p, "the command says something else");
}

static void answer_rows(struct peer *p)
{
	const struct rows *all = p->arg;

	for (size_t i = 0; i < all->n; i++) {
		take(p, all->command);
		expect(p, all->says, all->said);
		if (all->v[i].err)
			answer_error(p, all->v[i].err);
		else
			answer(p, all->v[i].form, all->v[i].v);
	}
}

static struct rig *begin(void (*script)(struct peer *p), const void *arg)
{
	return begin_with(script, NULL, arg, patient_options());
}

static void end(struct rig *r)
{
	assert_int_equal(vuser_client_lost(r->client, NULL), 0);
	end_with(r, 0);
}

static void assert_row(const struct rig *r, int result, const struct row *row)
{
	assert_int_equal(result, row->result);
	if (!result)
		return;
	assert_int_equal(r->e.code, result);
	if (result == REMOTE)
		assert_int_equal(r->e.err, row->err);
	if (result != LIE)
		return;
	assert_int_equal(r->e.offset, row->offset);
	assert_string_equal(r->e.field, row->field);
}

/* ---- The state ---------------------------------------------------------------- */

static void the_flags_are_what_the_server_says(void **state)
{
	static const struct row rows[] = {
		{ "448", { 16, GET_FLAGS, 5 }, FINE },
		{ "", { 0 }, REFUSED(ENOTTY) },
		{ "44", { 16, GET_FLAGS }, WRONG(24, "data") },
		{ "444", { 12, GET_FLAGS, 5 }, WRONG(28, "data") },
		{ "4488", { 24, GET_FLAGS, 5, 0 }, WRONG(4, "size") },
		{ "44", { 24, GET_FLAGS }, WRONG(24, "data") }, /* argsz 24: not this one
								 */
		{ "448", { 16, GET_STATE, 5 }, WRONG(20, "flags") },
	};
	const struct rows all = {
		VUSER_CMD_DEVICE_FEATURE, "44", { 16, GET_FLAGS }, rows, ARRAY_SIZE(rows)
	};
	struct rig *r = begin(answer_rows, &all);
	uint64_t flags = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(r, vuser_migration_flags(r->client, &flags, &r->e), &rows[i]);
	assert_int_equal(flags, VUSER_MIGRATION_STOP_COPY | VUSER_MIGRATION_PRE_COPY);
	end(r);
}

static void the_state_is_what_the_server_says(void **state)
{
	static const struct row rows[] = {
		{ "4444", { 16, GET_STATE, VUSER_STATE_STOP_COPY, NO_FD }, FINE },
		{ "4444", { 16, GET_STATE, 77, 0 }, FINE }, /* for who asks to judge */
		{ "", { 0 }, REFUSED(EINVAL) },
		{ "444", { 12, GET_STATE, 2 }, WRONG(28, "data") },
		{ "44", { 8, GET_STATE }, WRONG(24, "data") },
		{ "44444", { 20, GET_STATE, 2, 0, 0 }, WRONG(4, "size") },
	};
	const struct rows all = {
		VUSER_CMD_DEVICE_FEATURE, "44", { 16, GET_STATE }, rows, ARRAY_SIZE(rows)
	};
	struct rig *r = begin(answer_rows, &all);
	uint32_t got[ARRAY_SIZE(rows)] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(r, vuser_migration_get_state(r->client, &got[i], &r->e),
			   &rows[i]);
	assert_int_equal(got[0], VUSER_STATE_STOP_COPY);
	assert_int_equal(got[1], 77);
	end(r);
}

static void a_state_is_set_and_must_be_repeated_right(void **state)
{
	static const struct row rows[] = {
		{ "4444", { 16, SET_STATE, VUSER_STATE_RESUMING, NO_FD }, FINE },
		{ "44", { 8, SET_STATE }, FINE },
		{ "", { 0 }, REFUSED(EINVAL) },
		{ "4444",
		  { 16, SET_STATE, VUSER_STATE_ERROR, NO_FD },
		  WRONG(24, "data") },
		{ "444", { 12, SET_STATE, VUSER_STATE_RESUMING }, WRONG(28, "data") },
		{ "4444",
		  { 16, GET_FLAGS, VUSER_STATE_RESUMING, NO_FD },
		  WRONG(20, "flags") },
	};
	const struct rows all = { VUSER_CMD_DEVICE_FEATURE,
				  "4444",
				  { 16, SET_STATE, VUSER_STATE_RESUMING, NO_FD },
				  rows,
				  ARRAY_SIZE(rows) };
	struct rig *r = begin(answer_rows, &all);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(
			r,
			vuser_migration_set_state(r->client, VUSER_STATE_RESUMING, &r->e),
			&rows[i]);
	assert_failed(r, vuser_migration_set_state(r->client, VUSER_STATES, &r->e), USAGE,
		      EINVAL);
	end(r);
}

static void lax_sets_what_is_no_state(void **state)
{
	static const struct row rows[] = { { "", { 0 }, REFUSED(EINVAL) } };
	const struct rows all = {
		VUSER_CMD_DEVICE_FEATURE, "4444", { 16, SET_STATE, 99, NO_FD }, rows, 1
	};
	struct rig *r = begin(answer_rows, &all);

	(void)state;
	vuser_client_set_lax(r->client, true);
	assert_row(r, vuser_migration_set_state(r->client, 99, &r->e), &rows[0]);
	end(r);
}

/* ---- The data ----------------------------------------------------------------- */

static void reading_gives_as_much_as_there_is(void **state)
{
	static const struct row rows[] = {
		{ "4488", { 24, 16, 1, 2 }, FINE },
		{ "448", { 16, 8, 3 }, FINE }, /* less: the end */
		{ "44", { 8, 0 }, FINE },
		{ "44", { 24, 0 }, FINE }, /* argsz as it was asked for */
	};
	static const size_t lengths[] = { 16, 8, 0, 0 };
	const struct rows all = {
		VUSER_CMD_MIG_DATA_READ, "44", { 24, 16 }, rows, ARRAY_SIZE(rows)
	};
	struct rig *r = begin(answer_rows, &all);
	uint64_t buf[2] = { 0 };
	size_t len = 99;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_row(r,
			   vuser_migration_read(r->client, buf, sizeof(buf), &len, &r->e),
			   &rows[i]);
		assert_int_equal(len, lengths[i]);
	}
	assert_int_equal(buf[0], 3);
	assert_int_equal(buf[1], 2);
	end(r);
}

static void lies_about_data_that_is_read_are_told(void **state)
{
	static const struct row rows[] = {
		{ "", { 0 }, REFUSED(EINVAL) },
		{ "", { 0 }, WRONG(16, "argsz") },
		{ "4", { 16 }, WRONG(20, "size") },
		{ "44", { 16, 8 }, WRONG(24, "size") },		/* no data */
		{ "44", { 8, 0xffffffff }, WRONG(24, "size") }, /* nor this much */
		{ "448", { 16, 7, 1 }, WRONG(24, "size") },	/* more than it says */
		{ "4488", { 24, 16, 1, 2 }, WRONG(4, "size") }, /* than asked for */
		{ "44", { 4096, 0 }, WRONG(16, "argsz") },	/* is this the end? */
	};
	const struct rows all = {
		VUSER_CMD_MIG_DATA_READ, "44", { 16, 8 }, rows, ARRAY_SIZE(rows)
	};
	struct rig *r = begin(answer_rows, &all);
	uint64_t buf;
	size_t len = 99;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(
			r,
			vuser_migration_read(r->client, &buf, sizeof(buf), &len, &r->e),
			&rows[i]);
	assert_int_equal(len, 99);
	end(r);
}

static void data_is_written_and_nothing_comes_back(void **state)
{
	static const struct row rows[] = {
		{ "", { 0 }, FINE },
		{ "", { 0 }, REFUSED(ENOSPC) },
		{ "44", { 16, 8 }, WRONG(16, "size") },
	};
	const struct rows all = {
		VUSER_CMD_MIG_DATA_WRITE, "448", { 16, 8, 0x1122 }, rows, ARRAY_SIZE(rows)
	};
	struct rig *r = begin(answer_rows, &all);
	uint64_t data = 0x1122;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(r,
			   vuser_migration_write(r->client, &data, sizeof(data), &r->e),
			   &rows[i]);
	end(r);
}

/* Three writes come before the first answer; the answers in another order. */
static void answer_three(struct peer *p)
{
	struct vuser_header h[3];

	for (size_t i = 0; i < 3; i++) {
		take(p, VUSER_CMD_MIG_DATA_WRITE);
		expect(p, "448", VALUES(16, 8, i));
		h[i] = p->h;
	}
	for (size_t i = 3; i-- > 0;) {
		p->h = h[i];
		if (i == 1)
			answer_error(p, EIO);
		else
			answer(p, "", NULL);
	}
}

static void many_writes_are_under_way_at_a_time(void **state)
{
	struct rig *r = begin(answer_three, NULL);
	uint64_t data[3] = { 0, 1, 2 };
	struct vuser_exchange *x[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(vuser_start_migration_write(r->client, &data[i],
							     sizeof(data[i]), &x[i],
							     &r->e),
				 0);
	assert_int_equal(vuser_finish(r->client, x[0], &r->e), 0);
	assert_failed(r, vuser_finish(r->client, x[1], &r->e), REMOTE, EIO);
	assert_int_equal(vuser_finish(r->client, x[2], &r->e), 0);
	end(r);
}

static void expect_nothing(struct peer *p)
{
	(void)p;
}

static const char small_transfers[] = "{\"capabilities\":{\"max_data_xfer_size\":4}}";

static void more_than_the_server_takes_is_not_sent(void **state)
{
	struct rig *r =
		begin_with(expect_nothing, small_transfers, NULL, patient_options());
	uint8_t buf[5] = { 0 };
	struct vuser_exchange *x;
	size_t len;

	(void)state;
	assert_failed(r, vuser_migration_read(r->client, buf, 5, &len, &r->e), USAGE,
		      EMSGSIZE);
	assert_failed(r, vuser_migration_write(r->client, buf, 5, &r->e), USAGE,
		      EMSGSIZE);
	assert_failed(r, vuser_start_migration_write(r->client, buf, 5, &x, &r->e), USAGE,
		      EMSGSIZE);
	assert_null(x);
	vuser_client_set_lax(r->client, true);
	assert_failed(r, vuser_migration_read(r->client, buf, UINT32_MAX, &len, &r->e),
		      USAGE, EMSGSIZE);
	end(r);
}

static void take_more(struct peer *p)
{
	take(p, VUSER_CMD_MIG_DATA_READ);
	expect(p, "44", VALUES(16, 8));
	answer(p, "448", VALUES(16, 8, 0x33));
	take(p, VUSER_CMD_MIG_DATA_WRITE);
	expect(p, "448", VALUES(16, 8, 0x33));
	answer(p, "", NULL);
}

static void lax_sends_it_all_the_same(void **state)
{
	struct vuser_options o = patient_options();
	uint64_t data = 0;
	struct rig *r;
	size_t len;

	(void)state;
	o.lax = true;
	r = begin_with(take_more, small_transfers, NULL, o);
	assert_int_equal(vuser_migration_read(r->client, &data, 8, &len, &r->e), 0);
	assert_int_equal(data, 0x33);
	assert_int_equal(vuser_migration_write(r->client, &data, 8, &r->e), 0);
	end(r);
}

#define LARGE (3u << 20)

static void say_large(struct peer *p)
{
	uint8_t *data = calloc(1, LARGE);

	take(p, VUSER_CMD_MIG_DATA_READ);
	if (data)
		answer_with(p, REPLY, 0, "44", VALUES(LARGE + 8, LARGE), data, LARGE,
			    NULL, 0);
	free(data);
}

static void what_is_asked_for_is_taken_above_our_own_limit(void **state)
{
	struct rig *r = begin_with(say_large,
				   "{\"capabilities\":{\"max_data_xfer_size\":4194304}}",
				   NULL, patient_options());
	uint8_t *buf = malloc(LARGE);
	size_t len;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(vuser_migration_read(r->client, buf, LARGE, &len, &r->e), 0);
	assert_int_equal(len, LARGE);
	free(buf);
	end(r);
}

static void answer_late(struct peer *p)
{
	struct vuser_header first;

	take(p, VUSER_CMD_MIG_DATA_READ);
	first = p->h;
	take(p, VUSER_CMD_MIG_DATA_READ); /* by then the first was given up */
	put(p,
	    (struct vuser_header){ .id = first.id, .command = first.command, .flags = 1 },
	    "448", VALUES(16, 8, 1), NULL, 0, NULL, 0);
	answer(p, "448", VALUES(16, 8, 2));
}

static void a_late_answer_is_not_taken_for_the_next(void **state)
{
	struct rig *r = begin(answer_late, NULL);
	uint64_t buf = 0;
	size_t len;

	(void)state;
	vuser_client_set_timeout(r->client, 20000000);
	assert_failed(r, vuser_migration_read(r->client, &buf, 8, &len, &r->e),
		      VUSER_E_TIMEOUT, ETIMEDOUT);
	vuser_client_set_timeout(r->client, 30000000000);
	assert_int_equal(vuser_migration_read(r->client, &buf, 8, &len, &r->e), 0);
	assert_int_equal(buf, 2);
	assert_int_equal(r->events.of[VUSER_EVENT_LATE], 1);
	end(r);
}

static void leave(struct peer *p)
{
	take(p, VUSER_CMD_MIG_DATA_WRITE);
	shutdown(p->fd, SHUT_RDWR);
}

static void a_server_may_leave_in_the_middle(void **state)
{
	struct rig *r = begin(leave, NULL);
	uint64_t data = 1;

	(void)state;
	assert_int_equal(vuser_migration_write(r->client, &data, 8, &r->e),
			 VUSER_E_CLOSED);
	assert_int_equal(vuser_migration_write(r->client, &data, 8, &r->e),
			 VUSER_E_CLOSED);
	end_with(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_flags_are_what_the_server_says),
		cmocka_unit_test(the_state_is_what_the_server_says),
		cmocka_unit_test(a_state_is_set_and_must_be_repeated_right),
		cmocka_unit_test(lax_sets_what_is_no_state),
		cmocka_unit_test(reading_gives_as_much_as_there_is),
		cmocka_unit_test(lies_about_data_that_is_read_are_told),
		cmocka_unit_test(data_is_written_and_nothing_comes_back),
		cmocka_unit_test(many_writes_are_under_way_at_a_time),
		cmocka_unit_test(more_than_the_server_takes_is_not_sent),
		cmocka_unit_test(lax_sends_it_all_the_same),
		cmocka_unit_test(what_is_asked_for_is_taken_above_our_own_limit),
		cmocka_unit_test(a_late_answer_is_not_taken_for_the_next),
		cmocka_unit_test(a_server_may_leave_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
