/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: waits that end badly, late replies, ids, and the connection's end.
 */
#include "script_peer.h"

#define READ  VUSER_CMD_REGION_READ
#define WRITE VUSER_CMD_REGION_WRITE
#define INFO  VUSER_CMD_DEVICE_GET_INFO
#define MAP   VUSER_CMD_DMA_MAP

/* ---- Time runs out --------------------------------------------------------------- */

static void a_wait_ends_at_its_deadline(void **state)
{
	struct vuser_exchange *x;
	int64_t begin;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	begin = now_ns();
	assert_int_equal(finish(&r, x, 20 * MS), VUSER_E_TIMEOUT);
	assert_true(now_ns() - begin > 15 * MS);
	assert_int_equal(r.e.err, ETIMEDOUT);
	assert_string_equal(r.e.text, "no reply to REGION_READ within 0.02 s");
	assert_int_equal(rig_stats(&r).timeouts, 1);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	peer_expect(&r, READ, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void the_deadline_counts_from_the_start_not_from_the_wait(void **state)
{
	struct vuser_exchange *x;
	int64_t begin;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.timeout = 3000 * MS;
	rig_start(&r);
	x = start(&r, READ);
	usleep(50000);
	begin = now_ns();
	x->sent_at -= 2900 * MS; /* as if it had begun that long ago */
	assert_int_equal(finish(&r, x, 3000 * MS), VUSER_E_TIMEOUT);
	assert_true(now_ns() - begin < 2000 * MS);
	assert_int_equal(rig_close(&r), 0);
}

static void a_late_reply_is_known_as_late(void **state)
{
	static const uint32_t flags[] = { VUSER_TYPE_REPLY,
					  VUSER_TYPE_REPLY | VUSER_FLAG_ERROR };
	uint8_t msg[VUSER_HEADER_SIZE + 100];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		rig_open(&r);
		x = start(&r, READ);
		peer_expect(&r, READ, 0);
		assert_int_equal(finish(&r, x, MS), VUSER_E_TIMEOUT);
		message_put(msg, 0, READ, flags[i], EIO, NULL, 100);
		peer_send_fds(&r, msg, sizeof(msg), 0, 2);
		process(&r);
		assert_int_equal(r.events[VUSER_EVENT_LATE], 1);
		assert_int_equal(r.last[VUSER_EVENT_LATE].size, sizeof(msg));
		assert_int_equal(rig_stats(&r).late, 1);
		assert_int_equal(rig_stats(&r).unexpected, 0);
		check_in_step(&r);
		peer_reply(&r, 0, READ, NULL, 0); /* a second one is not late any more */
		process(&r);
		assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 1);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_late_reply_amid_the_next_exchange_does_not_disturb_it(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE + 10];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (size_t cut = 0; cut <= sizeof(msg); cut++) {
		unsigned id;

		x = start(&r, READ);
		id = peer_expect(&r, READ, 0).id;
		message_put(msg, id, READ, VUSER_TYPE_REPLY, 0, NULL, 10);
		peer_send(&r, msg, cut); /* half of it comes in time */
		assert_int_equal(finish(&r, x, MS / 10),
				 cut < sizeof(msg) ? VUSER_E_TIMEOUT : 0);
		x = start(&r, INFO);
		assert_int_equal(peer_expect(&r, INFO, 0).id, id + 1);
		peer_send(&r, msg + cut, sizeof(msg) - cut);
		peer_reply(&r, id + 1, INFO, NULL, 4);
		assert_int_equal(finish(&r, x, LONG), 0);
		process(&r);
		assert_int_equal(r.events[VUSER_EVENT_LATE],
				 cut < sizeof(msg) ? cut + 1 : cut);
	}
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void the_oldest_late_request_is_forgotten_when_there_are_too_many(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (unsigned i = 0; i < VUSER_MAX_LATE + 1; i++) {
		x = start(&r, READ);
		peer_expect(&r, READ, 0);
		assert_int_equal(finish(&r, x, 1), VUSER_E_TIMEOUT);
	}
	peer_reply(&r, 0, READ, NULL, 0);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 1);
	for (unsigned i = VUSER_MAX_LATE; i >= 1; i--) {
		peer_reply(&r, i, READ, NULL, 0);
		process(&r);
	}
	assert_int_equal(r.events[VUSER_EVENT_LATE], VUSER_MAX_LATE);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 1);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

/* Reads count posted messages; none may have one of the ids in use. */
static unsigned check_ids(struct rig *r, unsigned count, const bool *used)
{
	static uint8_t buf[1024 * VUSER_HEADER_SIZE];
	struct vuser_header h = { 0 };

	assert_true(count <= 1024 && peer_read(r, buf, count * VUSER_HEADER_SIZE));
	for (unsigned i = 0; i < count; i++) {
		vuser_header_decode(buf + i * VUSER_HEADER_SIZE, VUSER_HEADER_SIZE, &h,
				    NULL);
		assert_int_equal(h.command, WRITE);
		assert_false(used[h.id]);
	}
	return h.id;
}

static void ids_of_what_is_pending_or_late_are_not_used_again(void **state)
{
	static bool used[IDS];
	struct vuser_exchange *pending[4], *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	memset(used, 0, sizeof(used));
	for (unsigned i = 0; i < 4; i++) {
		pending[i] = start(&r, READ);
		used[peer_expect(&r, READ, 0).id] = true;
	}
	for (unsigned i = 0; i < 4; i++) {
		x = start(&r, INFO);
		used[peer_expect(&r, INFO, 0).id] = true;
		assert_int_equal(finish(&r, x, 1), VUSER_E_TIMEOUT);
	}
	for (unsigned batch = 0; batch < 2 * IDS / 1024; batch++) {
		proxy_cork(r.p, true);
		for (unsigned i = 0; i < 1024; i++)
			post(&r, WRITE, 0);
		proxy_cork(r.p, false);
		check_ids(&r, 1024, used);
	}
	/* All of them are still known for what they are. */
	for (unsigned i = 0; i < 8; i++)
		peer_reply(&r, i, i < 4 ? READ : INFO, &i, 4);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_LATE], 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(proxy_wait(r.p, pending[i], LONG, &r.e), 0);
		assert_int_equal(pending[i]->head[0], i);
		proxy_release(r.p, pending[i]);
	}
	assert_int_equal(r.nevents, 4);
	/* And free again. */
	memset(used, 1, sizeof(used));
	memset(used, 0, 8 * sizeof(used[0]));
	r.p->next_id = 0;
	proxy_cork(r.p, true);
	for (unsigned i = 0; i < 8; i++)
		post(&r, WRITE, 0);
	proxy_cork(r.p, false);
	assert_int_equal(check_ids(&r, 8, used), 7);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- The connection ends --------------------------------------------------------- */

static void expect_lost(struct rig *r, int code, const char *text)
{
	struct vuser_error e;

	assert_int_equal(proxy_lost(r->p, &e), code);
	assert_string_equal(e.text, text);
	assert_int_equal(proxy_process(r->p, &e), code);
	assert_string_equal(e.text, text);
	assert_int_equal(proxy_start(r->p, build(r, INFO, 0), EXCHANGE_WAIT, &e), code);
	assert_int_equal(proxy_start(r->p, build(r, INFO, 0), EXCHANGE_NOWAIT, &e), code);
	assert_int_equal(proxy_call(r->p, build(r, INFO, 0), &e), code);
	assert_string_equal(e.text, text);
	assert_int_equal(proxy_start(r->p, build_posted(r, WRITE, 0), EXCHANGE_ASYNC, &e),
			 code);
	assert_int_equal(proxy_settle(r->p, &e), 0);
	assert_int_equal(r->events[VUSER_EVENT_LOST], 1);
	assert_string_equal(r->last[VUSER_EVENT_LOST].error.text, text);
}

/* Sends a header that cannot be trusted while two wait. */
static void lose_by(const struct vuser_header *h, const char *field, const char *text)
{
	const struct vuser_event *ev;
	struct vuser_exchange *x, *y;
	uint8_t msg[100] = { 0 };
	struct rig r;

	rig_open(&r);
	ev = &r.last[VUSER_EVENT_LOST];
	x = start(&r, READ);
	y = start(&r, READ);
	vuser_header_encode(h, msg);
	peer_send(&r, msg, sizeof(msg));
	assert_int_equal(finish(&r, x, LONG), VUSER_E_PROTOCOL);
	assert_string_equal(r.e.text, text);
	assert_string_equal(r.e.field, field);
	assert_int_equal(finish(&r, y, LONG), VUSER_E_PROTOCOL);
	assert_string_equal(r.e.text, text);
	expect_lost(&r, VUSER_E_PROTOCOL, text);
	assert_true(ev->len >= VUSER_HEADER_SIZE);
	assert_memory_equal(ev->bytes, msg, ev->len);
	assert_int_equal(rig_close(&r), 0);
}

static void a_size_below_16_ends_the_connection_and_is_shown(void **state)
{
	static const char *const texts[] = {
		"the header's size is 0, below the 16 bytes of a header",
		"the header's size is 15, below the 16 bytes of a header",
	};

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct vuser_header h = { 0, READ, i * 15, VUSER_TYPE_REPLY, 0 };

		lose_by(&h, "size", texts[i]);
	}
}

static void an_unknown_type_ends_the_connection_and_is_shown(void **state)
{
	static const char *const texts[] = {
		"message type 2 is neither command nor reply",
		"message type 15 is neither command nor reply",
	};

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct vuser_header h = { 0, READ, 16, i ? 15 : 2, 0 };

		lose_by(&h, "flags", texts[i]);
	}
}

static void what_came_before_a_bad_header_still_counts(void **state)
{
	uint8_t msg[3 * VUSER_HEADER_SIZE];
	struct vuser_exchange *x, *y;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	y = start(&r, READ);
	message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, NULL, 0);
	message_put(msg + 16, 9, VUSER_CMD_DMA_READ, 0, 0, NULL, 0);
	message_put(msg + 32, 1, READ, 7, 0, NULL, 0);
	peer_send(&r, msg, sizeof(msg));
	assert_int_equal(finish(&r, y, LONG), VUSER_E_PROTOCOL);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(r.nrequests, 0); /* nobody is left to be answered */
	assert_int_equal(rig_close(&r), 0);
}

static void an_end_within_a_reply_fails_the_waiter_and_says_where(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE + 8];
	struct vuser_exchange *x, *y;
	char text[200];
	struct rig r;

	(void)state;
	for (size_t cut = 0; cut < sizeof(msg); cut++) {
		rig_open(&r);
		x = start(&r, READ);
		y = start(&r, READ);
		assert_int_equal(
			proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
		for (int i = 0; i < 3; i++)
			assert_true(peer_read(&r, msg, VUSER_HEADER_SIZE));
		message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, NULL, 8);
		peer_send(&r, msg, cut);
		peer_close(&r);
		if (cut == 0)
			snprintf(text, sizeof(text), "the server closed the connection");
		else if (cut < VUSER_HEADER_SIZE)
			snprintf(
				text, sizeof(text),
				"the server closed the connection %zu bytes into a header",
				cut);
		else
			snprintf(
				text, sizeof(text),
				"the server closed the connection %zu bytes into a message "
				"of 24",
				cut);
		assert_int_equal(finish(&r, x, LONG), VUSER_E_CLOSED);
		assert_string_equal(r.e.text, text);
		assert_int_equal(finish(&r, y, LONG), VUSER_E_CLOSED);
		assert_string_equal(r.e.text, text);
		x = proxy_next_failed(r.p);
		assert_non_null(x);
		assert_int_equal(x->result, VUSER_E_CLOSED);
		proxy_release(r.p, x);
		expect_lost(&r, VUSER_E_CLOSED, text);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void an_end_within_our_command_fails_the_waiter(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE + 8];
	struct vuser_exchange *x, *y;
	struct rig r;

	(void)state;
	for (size_t cut = 0; cut <= sizeof(msg); cut++) {
		bool unread = cut < sizeof(msg);

		rig_open(&r);
		x = build(&r, WRITE, 8);
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
		assert_true(peer_read(&r, msg, cut));
		peer_close(&r);
		y = build(&r, WRITE, 8); /* sent into the void */
		assert_int_equal(proxy_start(r.p, y, EXCHANGE_WAIT, &r.e), 0);
		assert_int_equal(finish(&r, y, LONG), VUSER_E_CLOSED);
		assert_int_equal(finish(&r, x, LONG), VUSER_E_CLOSED);
		assert_true(strstr(r.e.text, "the server closed the connection") ==
			    r.e.text);
		assert_true(r.e.err == 0 || (unread && r.e.err == ECONNRESET));
		assert_int_equal(rig_close(&r), 0);
	}
}

static void what_a_peer_said_before_it_closed_is_read(void **state)
{
	struct vuser_exchange *x, *y;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	y = start(&r, READ);
	peer_error(&r, 0, READ, EINVAL);
	peer_close(&r); /* without having read anything */
	assert_int_equal(finish(&r, start(&r, READ), LONG), VUSER_E_CLOSED);
	assert_int_equal(finish(&r, x, LONG), VUSER_E_REMOTE);
	assert_int_equal(r.e.err, EINVAL);
	assert_int_equal(finish(&r, y, LONG), VUSER_E_CLOSED);
	assert_int_equal(rig_close(&r), 0);
}

static void a_closed_peer_is_noticed_by_who_posts(void **state)
{
	struct rig r;
	int ret = 0;

	(void)state;
	rig_open(&r);
	peer_close(&r);
	for (int i = 0; i < 3 && !ret; i++)
		ret = proxy_start(r.p, build_posted(&r, WRITE, 20), EXCHANGE_ASYNC, &r.e);
	assert_int_equal(ret, VUSER_E_CLOSED);
	assert_int_equal(proxy_process(r.p, &r.e), VUSER_E_CLOSED);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- The end --------------------------------------------------------------------- */

static void free_says_how_many_requests_were_outstanding(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	(void)start(&r, READ); /* nobody will ever finish them: the proxy frees them */
	(void)start(&r, READ);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	post(&r, WRITE, 20);
	proxy_cork(r.p, true);
	(void)start(&r, READ);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	post(&r, WRITE, 20);
	assert_int_equal(rig_close(&r), 5);
}

static void free_closes_what_is_held(void **state)
{
	uint8_t msg[2 * VUSER_HEADER_SIZE + 8];
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	/* Descriptors of a reply nobody takes, of a request not handled, of half a
	 * message. */
	x = build(&r, READ, 0);
	x->want_fds = 2;
	assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
	message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, NULL, 0);
	peer_send_fds(&r, msg, VUSER_HEADER_SIZE, 0, 2);
	proxy_hold(r.p, true);
	process(&r);
	message_put(msg, 1, VUSER_CMD_DMA_READ, 0, 0, NULL, 0);
	peer_send_fds(&r, msg, VUSER_HEADER_SIZE, 0, 3);
	message_put(msg, 2, VUSER_CMD_DMA_READ, 0, 0, NULL, 8);
	peer_send_fds(&r, msg, VUSER_HEADER_SIZE + 4, 0, 4);
	process(&r);
	/* And of a message not sent. */
	proxy_cork(r.p, true);
	x = build(&r, MAP, 0);
	x->fds[0] = 0;
	x->nfds = 1;
	assert_int_equal(proxy_start(r.p, x, EXCHANGE_NOWAIT, &r.e), 0);
	assert_int_equal(rig_close(&r), 1);
}

static void giving_up_many_leaves_no_descriptor_behind(void **state)
{
	struct vuser_exchange *x;
	struct message m;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 100; i++) {
		proxy_cork(r.p, i % 2);
		x = build(&r, MAP, 0);
		x->fds[0] = 0;
		x->fds[1] = 1;
		x->nfds = 2;
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
		assert_int_equal(finish(&r, x, 1), VUSER_E_TIMEOUT);
		proxy_cork(r.p, false);
		assert_true(peer_get(&r, &m));
		assert_int_equal(m.nfds, 2);
		close(m.fds[0]);
		close(m.fds[1]);
	}
	assert_int_equal(count_fds(), r.fds_before + 3); /* the sockets, and its own */
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wait_ends_at_its_deadline),
		cmocka_unit_test(the_deadline_counts_from_the_start_not_from_the_wait),
		cmocka_unit_test(a_late_reply_is_known_as_late),
		cmocka_unit_test(a_late_reply_amid_the_next_exchange_does_not_disturb_it),
		cmocka_unit_test(
			the_oldest_late_request_is_forgotten_when_there_are_too_many),
		cmocka_unit_test(ids_of_what_is_pending_or_late_are_not_used_again),
		cmocka_unit_test(a_size_below_16_ends_the_connection_and_is_shown),
		cmocka_unit_test(an_unknown_type_ends_the_connection_and_is_shown),
		cmocka_unit_test(what_came_before_a_bad_header_still_counts),
		cmocka_unit_test(an_end_within_a_reply_fails_the_waiter_and_says_where),
		cmocka_unit_test(an_end_within_our_command_fails_the_waiter),
		cmocka_unit_test(what_a_peer_said_before_it_closed_is_read),
		cmocka_unit_test(a_closed_peer_is_noticed_by_who_posts),
		cmocka_unit_test(free_says_how_many_requests_were_outstanding),
		cmocka_unit_test(free_closes_what_is_held),
		cmocka_unit_test(giving_up_many_leaves_no_descriptor_behind),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
