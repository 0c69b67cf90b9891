/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: what becomes of replies, right and wrong, and raw exchanges. */
#include "channel.h"
#include "script_peer.h"

#define READ  VUSER_CMD_REGION_READ
#define WRITE VUSER_CMD_REGION_WRITE
#define INFO  VUSER_CMD_DEVICE_GET_INFO
#define RESET VUSER_CMD_DEVICE_RESET

/* ---- Replies that are right ---------------------------------------------------- */

#define MANY  64u

static void replies_find_their_requests_in_any_order(void **state)
{
	static const unsigned steps[] = { 1, 63, 5, 37 }; /* odd: visits each of 64 */
	struct vuser_exchange *x[MANY];
	struct rig r;

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		rig_open(&r);
		for (unsigned i = 0; i < MANY; i++) {
			x[i] = start(&r, i % 2 ? READ : WRITE);
			assert_int_equal(peer_expect(&r, i % 2 ? READ : WRITE, 0).id, i);
		}
		for (unsigned n = 0, i = 3; n < MANY; n++, i = (i + steps[s]) % MANY)
			peer_reply(&r, i, i % 2 ? READ : WRITE, &i, sizeof(i));
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(proxy_wait(r.p, x[i], LONG, &r.e), 0);
			assert_int_equal(x[i]->head_len, sizeof(i));
			assert_memory_equal(x[i]->head, &i, sizeof(i));
			proxy_release(r.p, x[i]);
		}
		assert_int_equal(r.nevents, 0);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_reply_may_be_cut_at_every_byte(void **state)
{
	static const uint8_t payload[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t msg[VUSER_HEADER_SIZE + 8];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (size_t cut = 1; cut < sizeof(msg); cut++) {
		rig_open(&r);
		x = start(&r, READ);
		peer_expect(&r, READ, 0);
		message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, payload, sizeof(payload));
		peer_send(&r, msg, cut);
		process(&r);
		assert_int_equal(rig_stats(&r).outstanding, 1);
		peer_send(&r, msg + cut, sizeof(msg) - cut);
		assert_int_equal(proxy_wait(r.p, x, LONG, &r.e), 0);
		assert_int_equal(x->head_len, sizeof(payload));
		assert_memory_equal(x->head, payload, sizeof(payload));
		proxy_release(r.p, x);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_reply_that_is_there_is_taken_after_the_deadline_too(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	peer_reply(&r, peer_expect(&r, READ, 0).id, READ, NULL, 0);
	usleep(2000);
	assert_int_equal(finish(&r, x, MS), 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void descriptors_of_a_reply_are_handed_over(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		rig_open(&r);
		x = build(&r, VUSER_CMD_DEVICE_GET_REGION_INFO, 0);
		x->want_fds = VUSER_LIMIT_MSG_FDS;
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
		peer_expect(&r, VUSER_CMD_DEVICE_GET_REGION_INFO, 0);
		message_put(msg, 0, VUSER_CMD_DEVICE_GET_REGION_INFO, VUSER_TYPE_REPLY, 0,
			    NULL, 0);
		peer_send_fds(&r, msg, sizeof(msg), 0, VUSER_LIMIT_MSG_FDS);
		assert_int_equal(proxy_wait(r.p, x, LONG, &r.e), 0);
		assert_int_equal(x->nreply_fds, VUSER_LIMIT_MSG_FDS);
		for (size_t i = 0; i < x->nreply_fds; i++)
			assert_true(fcntl(x->reply_fds[i], F_GETFD) & FD_CLOEXEC);
		if (taken) {
			channel_close_fds(x->reply_fds, x->nreply_fds);
			x->nreply_fds = 0;
		}
		proxy_release(r.p, x); /* closes those that were not taken */
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

/* ---- Replies that are wrong ---------------------------------------------------- */

static void a_reply_nobody_waits_for_is_told_and_dropped(void **state)
{
	static const uint8_t payload[100] = { 0xaa, 0xbb };
	uint8_t msg[VUSER_HEADER_SIZE + sizeof(payload)];
	const struct vuser_event *ev;
	struct rig r;

	(void)state;
	rig_open(&r);
	ev = &r.last[VUSER_EVENT_UNEXPECTED];
	message_put(msg, 77, READ, VUSER_TYPE_REPLY, 0, payload, sizeof(payload));
	peer_send_fds(&r, msg, sizeof(msg), 0, 3); /* its descriptors are closed */
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 1);
	assert_int_equal(ev->error.code, VUSER_E_PROTOCOL);
	assert_string_equal(ev->error.text,
			    "a reply to REGION_READ, id 77, nobody waits for");
	assert_int_equal(ev->size, sizeof(msg));
	assert_int_equal(ev->len, sizeof(ev->bytes));
	assert_memory_equal(ev->bytes, msg, ev->len);
	assert_int_equal(rig_stats(&r).unexpected, 1);
	check_in_step(&r);
	assert_int_equal(r.nevents, 1);
	assert_int_equal(rig_close(&r), 0);
}

static void an_unexpected_reply_does_not_disturb_a_waiter(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	peer_expect(&r, READ, 0);
	peer_error(&r, 5, READ, EIO);
	peer_reply(&r, 0, READ, NULL, 0);
	peer_reply(&r, 0, READ, NULL, 0); /* once more: unexpected, too */
	assert_int_equal(finish(&r, x, LONG), 0);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 2);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

/* Starts one that takes 4 bytes and sends it msg; what is told of must be all of it. */
static void refuse(struct rig *r, const void *msg, size_t len, size_t nfds,
		   const char *field)
{
	const struct vuser_event *ev = &r->last[VUSER_EVENT_REFUSED];
	struct vuser_exchange *x = build(r, READ, 0);

	x->split = 4;
	assert_int_equal(proxy_start(r->p, x, EXCHANGE_WAIT, &r->e), 0);
	peer_expect(r, READ, 0);
	if (nfds)
		peer_send_fds(r, msg, len, 0, nfds);
	else
		peer_send(r, msg, len);
	assert_int_equal(finish(r, x, LONG), VUSER_E_PROTOCOL);
	assert_string_equal(r->e.field, field);
	assert_int_equal(r->events[VUSER_EVENT_REFUSED], 1);
	assert_string_equal(ev->error.text, r->e.text);
	assert_int_equal(ev->size, len);
	assert_int_equal(ev->len, len < sizeof(ev->bytes) ? len : sizeof(ev->bytes));
	assert_memory_equal(ev->bytes, msg, ev->len);
	assert_int_equal(rig_stats(r).refused, 1);
	check_in_step(r);
	assert_int_equal(r->nevents, 1);
}

static void a_reply_too_large_for_its_waiter_is_refused(void **state)
{
	/* One byte too many, as much as the reader keeps, and more than that. */
	static const size_t sizes[] = { 5, 65536 - VUSER_HEADER_SIZE, 65537, 200000 };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *msg = malloc(VUSER_HEADER_SIZE + sizes[i]);

		assert_non_null(msg);
		rig_init(&r);
		rig_start(&r);
		refuse(&r, msg,
		       message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, NULL, sizes[i]), 0,
		       "size");
		assert_int_equal(rig_close(&r), 0);
		free(msg);
	}
}

static void a_reply_that_just_fits_is_taken(void **state)
{
	struct vuser_exchange *x;
	uint8_t tail[6];
	struct rig r;

	(void)state;
	for (size_t len = 0; len <= 10; len++) {
		rig_open(&r);
		x = build(&r, READ, 0);
		x->split = 4;
		x->tail = tail;
		x->tail_cap = sizeof(tail);
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
		peer_reply(&r, peer_expect(&r, READ, 0).id, READ, NULL, len);
		assert_int_equal(proxy_wait(r.p, x, LONG, &r.e), 0);
		assert_int_equal(x->head_len, len < 4 ? len : 4);
		assert_int_equal(x->tail_len, len < 4 ? 0 : len - 4);
		proxy_release(r.p, x);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_reply_with_too_many_descriptors_is_refused_and_they_are_closed(void **state)
{
	static const size_t counts[] = { 1, 16, 17, VUSER_MAX_FDS_HELD, PEER_FDS };
	uint8_t msg[VUSER_HEADER_SIZE];
	struct rig r;

	(void)state;
	message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		rig_open(&r);
		refuse(&r, msg, sizeof(msg), counts[i], "fds");
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_reply_that_names_another_command_is_refused(void **state)
{
	static const uint32_t flags[] = { VUSER_TYPE_REPLY,
					  VUSER_TYPE_REPLY | VUSER_FLAG_ERROR };
	uint8_t msg[VUSER_HEADER_SIZE + 4];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		rig_open(&r);
		message_put(msg, 0, WRITE, flags[i], 0, NULL, 4);
		refuse(&r, msg, sizeof(msg), 0, "command");
		assert_string_equal(r.last[VUSER_EVENT_REFUSED].error.text,
				    "the reply to command 9 names command 10");
		assert_int_equal(rig_close(&r), 0);
	}
}

static void an_error_reply_is_the_servers_answer(void **state)
{
	/* errno, bytes of payload, descriptors: an error is an error whatever comes with
	 * it */
	static const struct {
		uint32_t err;
		size_t len, nfds;
	} replies[] = { { EINVAL, 0, 0 }, { 0, 0, 0 },	  { 70000, 0, 0 },
			{ EPERM, 64, 0 }, { EIO, 16, 2 }, { EBUSY, 100000, 0 } };
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		uint8_t *msg = malloc(VUSER_HEADER_SIZE + replies[i].len);
		size_t len =
			message_put(msg, 0, RESET, VUSER_TYPE_REPLY | VUSER_FLAG_ERROR,
				    replies[i].err, NULL, replies[i].len);

		rig_open(&r);
		x = build(&r, RESET, 0);
		x->split = 0;
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
		peer_expect(&r, RESET, 0);
		if (replies[i].nfds)
			peer_send_fds(&r, msg, len, 0, replies[i].nfds);
		else
			peer_send(&r, msg, len);
		assert_int_equal(finish(&r, x, LONG), VUSER_E_REMOTE);
		assert_int_equal(r.e.err, replies[i].err);
		assert_string_equal(r.e.text, "the server refused DEVICE_RESET");
		assert_int_equal(r.nevents, 0);
		assert_int_equal(rig_stats(&r).received[RESET].errors, 1);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
		free(msg);
	}
}

static void a_reply_to_a_posted_write_is_told_as_that(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	post(&r, WRITE, 20);
	peer_error(&r, peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY).id, WRITE, EFAULT);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_POSTED], 1);
	assert_int_equal(r.last[VUSER_EVENT_POSTED].error.err, EFAULT);
	assert_int_equal(rig_stats(&r).posted_errors, 1);
	check_in_step(&r);
	assert_int_equal(r.nevents, 1);
	assert_int_equal(rig_close(&r), 0);
}

static void events_are_bounded_and_the_last_one_is_heard(void **state)
{
	uint8_t msg[100 * VUSER_HEADER_SIZE];
	struct rig r;

	(void)state;
	rig_open(&r);
	for (unsigned i = 0; i < 100; i++)
		message_put(msg + i * VUSER_HEADER_SIZE, i, READ, VUSER_TYPE_REPLY, 0,
			    NULL, 0);
	message_put(msg + sizeof(msg) - VUSER_HEADER_SIZE, 0, READ, 2, 0, NULL,
		    0); /* bad type */
	peer_send(&r, msg, sizeof(msg));
	assert_int_equal(proxy_process(r.p, &r.e), VUSER_E_PROTOCOL);
	assert_int_equal(rig_stats(&r).unexpected, 99);
	assert_int_equal(r.nevents, VUSER_MAX_EVENTS);
	assert_int_equal(r.events[VUSER_EVENT_LOST], 1);
	assert_int_equal(rig_close(&r), 0);
}

/* Does what only one without locks can do. */
static void act_on_event(void *arg, const struct vuser_event *ev)
{
	struct rig *r = arg;

	rig_event(r, ev);
	if (r->nevents > 3)
		return;
	(void)rig_stats(r);
	process(r);
	post(r, WRITE, 0);
	peer_expect(r, WRITE, VUSER_FLAG_NO_REPLY);
	peer_reply(r, 78, READ, NULL, 0); /* leads to another event */
	check_in_step(r);
}

static void events_are_told_without_locks(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.event = act_on_event;
	rig_start(&r);
	peer_reply(&r, 77, READ, NULL, 0);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 4);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- Raw exchanges ------------------------------------------------------------- */

static struct vuser_exchange *start_raw(struct rig *r, const void *msg, size_t len)
{
	struct vuser_exchange *x = build(r, 0, 0);

	x->raw = true;
	x->h = (struct vuser_header){ 0 };
	assert_true(exchange_reserve(x, len));
	memcpy(x->bytes, msg, len);
	x->size = len;
	(void)vuser_header_decode(msg, len, &x->h, NULL);
	assert_int_equal(proxy_start(r->p, x, EXCHANGE_WAIT, &r->e), 0);
	return x;
}

static void finish_raw(struct rig *r, struct vuser_exchange *x, unsigned id, size_t len)
{
	assert_int_equal(proxy_wait(r->p, x, LONG, &r->e), 0);
	assert_int_equal(x->reply.id, id);
	assert_int_equal(x->tail_len, len);
	free(x->tail);
	proxy_release(r->p, x);
	check_in_step(r);
}

static void a_raw_message_is_sent_as_it_is_and_takes_its_reply_as_it_is(void **state)
{
	/* id 0x55, command 99, size, no reply wanted: all the same one comes, an error */
	static const uint8_t msg[20] = {
		0x55, 0, 99, 0, 20, [8] = 0x10, [16] = 1, 2, 3, 4
	};
	uint8_t got[sizeof(msg)], reply[VUSER_HEADER_SIZE + 8];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start_raw(&r, msg, sizeof(msg));
	assert_true(peer_read(&r, got, sizeof(got)));
	assert_memory_equal(got, msg, sizeof(msg));
	message_put(reply, 0x55, 99, VUSER_TYPE_REPLY | VUSER_FLAG_ERROR, EINVAL, NULL,
		    8);
	peer_send_fds(&r, reply, sizeof(reply), 0, VUSER_LIMIT_MSG_FDS + 4);
	assert_int_equal(proxy_wait(r.p, x, LONG, &r.e), 0);
	assert_int_equal(x->tail_len, sizeof(reply));
	assert_memory_equal(x->tail, reply, sizeof(reply));
	assert_int_equal(x->nreply_fds, VUSER_LIMIT_MSG_FDS);
	free(x->tail);
	proxy_release(r.p, x);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_raw_message_takes_a_reply_that_is_nobodys(void **state)
{
	static const uint8_t few[3] = { 1, 2, 3 };
	uint8_t msg[VUSER_HEADER_SIZE], got[VUSER_HEADER_SIZE];
	struct vuser_exchange *x, *y;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	peer_expect(&r, READ, 0);
	message_put(msg, 500, INFO, 0, 0, NULL, 0);
	y = start_raw(&r, msg, sizeof(msg));
	assert_true(peer_read(&r, got, sizeof(msg)));
	peer_reply(&r, 0, READ, NULL, 0); /* is x's */
	peer_reply(&r, 33, READ, NULL, 4);
	assert_int_equal(finish(&r, x, LONG), 0);
	finish_raw(&r, y, 33, VUSER_HEADER_SIZE + 4);
	assert_int_equal(r.nevents, 0);
	/* One that is no message at all, and an answer beyond what is kept. */
	y = start_raw(&r, few, sizeof(few));
	assert_true(peer_read(&r, got, sizeof(few)));
	peer_reply(&r, 44, 1, NULL, 100000);
	finish_raw(&r, y, 44, READER_HEAD);
	assert_int_equal(rig_close(&r), 0);
}

static void a_raw_message_does_not_take_what_comes_late(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	peer_expect(&r, READ, 0);
	assert_int_equal(finish(&r, x, MS), VUSER_E_TIMEOUT);
	message_put(msg, 7, INFO, 0, 0, NULL, 0);
	x = start_raw(&r, msg, sizeof(msg));
	peer_expect(&r, INFO, 0);
	peer_reply(&r, 0, READ, NULL, 0);
	peer_reply(&r, 7, INFO, NULL, 0);
	finish_raw(&r, x, 7, VUSER_HEADER_SIZE);
	assert_int_equal(r.events[VUSER_EVENT_LATE], 1);
	assert_int_equal(r.nevents, 1);
	assert_int_equal(rig_close(&r), 0);
}

static void a_raw_message_given_up_leaves_nothing_behind(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	message_put(msg, 7, INFO, 0, 0, NULL, 0);
	x = start_raw(&r, msg, sizeof(msg));
	peer_expect(&r, INFO, 0);
	assert_int_equal(finish(&r, x, MS), VUSER_E_TIMEOUT);
	peer_reply(&r, 8, INFO, NULL, 0);
	peer_reply(&r, 7, INFO, NULL, 0);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 1);
	assert_int_equal(r.events[VUSER_EVENT_LATE], 1);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void raw_messages_of_one_id_are_answered_in_order(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	struct vuser_exchange *x, *y;
	struct rig r;

	(void)state;
	rig_open(&r);
	message_put(msg, 7, INFO, 0, 0, NULL, 0);
	x = start_raw(&r, msg, sizeof(msg));
	y = start_raw(&r, msg, sizeof(msg));
	peer_reply(&r, peer_expect(&r, INFO, 0).id, INFO, NULL, 1);
	peer_reply(&r, peer_expect(&r, INFO, 0).id, INFO, NULL, 2);
	process(&r);
	finish_raw(&r, x, 7, VUSER_HEADER_SIZE + 1);
	finish_raw(&r, y, 7, VUSER_HEADER_SIZE + 2);
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_find_their_requests_in_any_order),
		cmocka_unit_test(a_reply_may_be_cut_at_every_byte),
		cmocka_unit_test(a_reply_that_is_there_is_taken_after_the_deadline_too),
		cmocka_unit_test(descriptors_of_a_reply_are_handed_over),
		cmocka_unit_test(a_reply_nobody_waits_for_is_told_and_dropped),
		cmocka_unit_test(an_unexpected_reply_does_not_disturb_a_waiter),
		cmocka_unit_test(a_reply_too_large_for_its_waiter_is_refused),
		cmocka_unit_test(a_reply_that_just_fits_is_taken),
		cmocka_unit_test(
			a_reply_with_too_many_descriptors_is_refused_and_they_are_closed),
		cmocka_unit_test(a_reply_that_names_another_command_is_refused),
		cmocka_unit_test(an_error_reply_is_the_servers_answer),
		cmocka_unit_test(a_reply_to_a_posted_write_is_told_as_that),
		cmocka_unit_test(events_are_bounded_and_the_last_one_is_heard),
		cmocka_unit_test(events_are_told_without_locks),
		cmocka_unit_test(
			a_raw_message_is_sent_as_it_is_and_takes_its_reply_as_it_is),
		cmocka_unit_test(a_raw_message_takes_a_reply_that_is_nobodys),
		cmocka_unit_test(a_raw_message_does_not_take_what_comes_late),
		cmocka_unit_test(a_raw_message_given_up_leaves_nothing_behind),
		cmocka_unit_test(raw_messages_of_one_id_are_answered_in_order),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
