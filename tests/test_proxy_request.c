/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: requests of the peer's, and what their handler may do. */
#include "script_peer.h"

#define READ	 VUSER_CMD_REGION_READ
#define WRITE	 VUSER_CMD_REGION_WRITE
#define MAP	 VUSER_CMD_DMA_MAP
#define DMA_READ VUSER_CMD_DMA_READ

static void expect_reply(struct rig *r, unsigned id, unsigned command)
{
	assert_int_equal(peer_expect(r, command, VUSER_TYPE_REPLY).id, id);
}

static void expect_refusal(struct rig *r, unsigned id, unsigned command, uint32_t err)
{
	struct vuser_header h;

	h = peer_expect(r, command, VUSER_TYPE_REPLY | VUSER_FLAG_ERROR);
	assert_int_equal(h.id, id);
	assert_int_equal(h.error, err);
	assert_int_equal(h.size, VUSER_HEADER_SIZE);
}

/* ---- Requests amid exchanges --------------------------------------------------- */

static void requests_are_answered_in_order_while_somebody_waits(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	peer_expect(&r, READ, 0);
	for (unsigned i = 0; i < 10; i++)
		peer_request(&r, 100 - i, DMA_READ, NULL, i);
	peer_reply(&r, 0, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(r.nrequests, 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(r.requests[i], 100 - i);
		expect_reply(&r, 100 - i, DMA_READ);
	}
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void requests_are_answered_before_the_wait_ends(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ);
	peer_expect(&r, READ, 0);
	peer_request(&r, 7, DMA_READ, NULL, 16);
	assert_int_equal(finish(&r, x, 20 * MS), VUSER_E_TIMEOUT);
	expect_reply(&r, 7, DMA_READ);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void ids_of_both_sides_are_strangers(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ); /* id 0 */
	peer_expect(&r, READ, 0);
	peer_request(&r, 0, DMA_READ, NULL, 16);
	peer_request(&r, 0, DMA_READ, NULL, 16);
	process(&r);
	expect_reply(&r, 0, DMA_READ);
	expect_reply(&r, 0, DMA_READ);
	assert_int_equal(rig_stats(&r).outstanding, 1);
	peer_reply(&r, 0, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(rig_close(&r), 0);
}

static void a_request_may_be_cut_at_every_byte(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE + 8];
	struct rig r;

	(void)state;
	for (size_t cut = 1; cut < sizeof(msg); cut++) {
		rig_open(&r);
		message_put(msg, 3, DMA_READ, 0, 0, NULL, 8);
		peer_send(&r, msg, cut);
		process(&r);
		assert_int_equal(r.nrequests, 0);
		peer_send(&r, msg + cut, sizeof(msg) - cut);
		process(&r);
		expect_reply(&r, 3, DMA_READ);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_request_cut_short_by_the_end_is_not_handled(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE + 8];
	struct rig r;

	(void)state;
	for (size_t cut = 0; cut < sizeof(msg); cut++) {
		rig_init(&r);
		r.o.sends = VUSER_S2C;
		rig_start(&r);
		message_put(msg, 3, READ, 0, 0, NULL, 8);
		peer_send(&r, msg, cut);
		peer_close(&r);
		while (!proxy_serve(r.p, &r.e)) {
		}
		assert_int_equal(r.e.code, VUSER_E_CLOSED);
		assert_true(strstr(r.e.text, "the client closed the connection") ==
			    r.e.text);
		assert_int_equal(r.nrequests, 0);
		assert_int_equal(r.events[VUSER_EVENT_LOST], 1);
		assert_int_equal(rig_close(&r), 0);
	}
}

/* ---- What a handler may do ----------------------------------------------------- */

static void say_nothing(void *arg, struct vuser_exchange *x)
{
	rig_note_request(arg, x);
}

static void a_request_left_unanswered_is_answered_with_einval(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.request = say_nothing;
	rig_start(&r);
	peer_request(&r, 5, DMA_READ, NULL, 16);
	process(&r);
	expect_refusal(&r, 5, DMA_READ, EINVAL);
	assert_int_equal(r.events[VUSER_EVENT_REQUEST], 1);
	assert_string_equal(
		r.last[VUSER_EVENT_REQUEST].error.text,
		"DMA_READ, id 5, was refused with EINVAL: it was not answered");
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void refuse_it(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;

	rig_note_request(r, x);
	proxy_refuse(r->p, x, EPERM, "it is forbidden");
}

static void a_request_that_wants_no_reply_gets_none(void **state)
{
	static void (*const handlers[])(
		void *, struct vuser_exchange *) = { rig_echo, refuse_it, say_nothing };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		rig_init(&r);
		r.o.request = handlers[i];
		rig_start(&r);
		peer_put(&r, 5, WRITE, VUSER_FLAG_NO_REPLY, 0, NULL, 20);
		peer_put(&r, 6, WRITE, VUSER_FLAG_NO_REPLY, 0, NULL,
			 20000); /* too large */
		process(&r);
		assert_int_equal(r.nrequests, 1);
		assert_int_equal(r.events[VUSER_EVENT_REQUEST], i ? 2 : 1);
		assert_true(peer_idle(&r));
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void take_fds(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;
	int *fds = r->arg;

	memcpy(fds, x->fds, x->nfds * sizeof(int));
	fds[x->nfds] = -1;
	x->nfds = 0;
	rig_echo(r, x);
}

static void descriptors_are_closed_unless_the_handler_takes_them(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	int fds[VUSER_MAX_FDS_HELD + 1];
	struct rig r;

	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		rig_init(&r);
		r.o.request = taken ? take_fds : rig_echo;
		r.arg = fds;
		rig_start(&r);
		message_put(msg, 0, MAP, 0, 0, NULL, 0);
		peer_send_fds(&r, msg, sizeof(msg), 0, 5);
		process(&r);
		expect_reply(&r, 0, MAP);
		assert_int_equal(count_fds(), r.fds_before + 3 + (taken ? 5 : 0));
		for (size_t i = 0; taken && fds[i] >= 0; i++)
			close(fds[i]);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_request_that_is_too_large_is_refused_and_drained(void **state)
{
	/* Above what may be asked, and above what is read at all; the limits themselves.
	 */
	static const size_t sizes[] = { 4096, 4097, 65536, 65537, 300000 };
	const struct vuser_event *ev;
	char text[200];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *msg = calloc(1, sizes[i]);
		struct vuser_exchange *x;

		assert_non_null(msg);
		rig_open(&r);
		ev = &r.last[VUSER_EVENT_REQUEST];
		x = start(&r, READ);
		peer_expect(&r, READ, 0);
		message_put(msg, 9, DMA_READ, 0, 0, NULL, sizes[i] - VUSER_HEADER_SIZE);
		for (size_t at = 0, n; at < sizes[i]; at += n) {
			n = sizes[i] - at < 30000 ? sizes[i] - at : 30000;
			if (at)
				peer_send(&r, msg + at, n);
			else
				peer_send_fds(&r, msg, n, 0, 2); /* they are closed */
			process(&r);
		}
		if (i == 0) {
			expect_reply(&r, 9, DMA_READ);
		} else {
			expect_refusal(&r, 9, DMA_READ, EINVAL);
			snprintf(
				text, sizeof(text),
				"DMA_READ, id 9, was refused with EINVAL: it has %zu bytes where "
				"at most 4096 may come",
				sizes[i]);
			assert_int_equal(r.events[VUSER_EVENT_REQUEST], 1);
			assert_string_equal(ev->error.text, text);
			assert_int_equal(ev->size, sizes[i]);
			assert_memory_equal(ev->bytes, msg, ev->len);
		}
		assert_int_equal(r.nrequests, i == 0);
		peer_reply(&r, 0, READ, NULL, 0);
		assert_int_equal(finish(&r, x, LONG), 0);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
		free(msg);
	}
}

static void a_request_with_more_descriptors_than_are_held_is_refused(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	struct rig r;

	(void)state;
	rig_open(&r);
	message_put(msg, 1, MAP, 0, 0, NULL, 0);
	peer_send_fds(&r, msg, sizeof(msg), 0, VUSER_MAX_FDS_HELD + 1);
	message_put(msg, 2, MAP, 0, 0, NULL, 0);
	peer_send_fds(&r, msg, sizeof(msg), 0, VUSER_MAX_FDS_HELD);
	process(&r);
	expect_refusal(&r, 1, MAP, EINVAL);
	assert_string_equal(r.last[VUSER_EVENT_REQUEST].error.text,
			    "DMA_MAP, id 1, was refused with EINVAL: it comes with more "
			    "descriptors than are held");
	expect_reply(&r, 2, MAP);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void the_limit_of_requests_may_change(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	proxy_set_limits(r.p, 1000, 100);
	peer_request(&r, 1, DMA_READ, NULL, 100);
	peer_request(&r, 2, DMA_READ, NULL, 84);
	process(&r);
	expect_refusal(&r, 1, DMA_READ, EINVAL);
	expect_reply(&r, 2, DMA_READ);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void while_held_no_request_is_handled(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.sends = VUSER_S2C;
	rig_start(&r);
	proxy_hold(r.p, true);
	x = start(&r, DMA_READ);
	peer_expect(&r, DMA_READ, 0);
	for (unsigned i = 0; i < 3; i++)
		peer_request(&r, i, READ, NULL, 16);
	peer_reply(&r, 0, DMA_READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(r.nrequests, 0);
	assert_true(peer_idle(&r));
	proxy_hold(r.p, false);
	assert_int_equal(r.nrequests, 3);
	for (unsigned i = 0; i < 3; i++)
		expect_reply(&r, i, READ);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- Handlers that wait -------------------------------------------------------- */

/* Asks the peer for something before it answers, as a device that reads memory does. */
static void ask_back(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;
	struct vuser_exchange *own;
	struct vuser_error e;
	int ret;

	if (x->h.command == READ) {
		own = build(r, DMA_READ, 16);
		ret = proxy_call(r->p, own, &e);
		if (ret) {
			r->e = e;
			return;
		}
		proxy_release(r->p, own);
	}
	rig_echo(r, x);
}

static void *serve(void *arg)
{
	struct rig *r = arg;
	struct vuser_error e;

	while (!proxy_serve(r->p, &e)) {
	}
	return NULL;
}

static void a_handler_may_wait_and_what_comes_meanwhile_is_handled_after_it(void **state)
{
	pthread_t server;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.sends = VUSER_S2C;
	r.o.request = ask_back;
	rig_start(&r);
	server = go(serve, &r);
	for (unsigned i = 0; i < 3; i++) {
		unsigned id;

		peer_request(&r, 50, READ, NULL, 16);
		id = peer_expect(&r, DMA_READ, 0).id;
		peer_request(&r, 51, WRITE, NULL, 16);
		peer_request(&r, 52, READ, NULL, 16); /* waits itself, later */
		peer_request(&r, 53, WRITE, NULL, 16);
		peer_reply(&r, id, DMA_READ, NULL, 16);
		/* 51 is handled before 52, whose question comes before its answer. */
		expect_reply(&r, 50, READ);
		expect_reply(&r, 51, WRITE);
		id = peer_expect(&r, DMA_READ, 0).id;
		peer_reply(&r, id, DMA_READ, NULL, 16);
		expect_reply(&r, 52, READ);
		expect_reply(&r, 53, WRITE);
	}
	shutdown(r.fd, SHUT_RDWR);
	join(server);
	assert_int_equal(r.nrequests, 12);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(r.requests[i], 50 + i % 4);
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_answered_in_order_while_somebody_waits),
		cmocka_unit_test(requests_are_answered_before_the_wait_ends),
		cmocka_unit_test(ids_of_both_sides_are_strangers),
		cmocka_unit_test(a_request_may_be_cut_at_every_byte),
		cmocka_unit_test(a_request_cut_short_by_the_end_is_not_handled),
		cmocka_unit_test(a_request_left_unanswered_is_answered_with_einval),
		cmocka_unit_test(a_request_that_wants_no_reply_gets_none),
		cmocka_unit_test(descriptors_are_closed_unless_the_handler_takes_them),
		cmocka_unit_test(a_request_that_is_too_large_is_refused_and_drained),
		cmocka_unit_test(
			a_request_with_more_descriptors_than_are_held_is_refused),
		cmocka_unit_test(the_limit_of_requests_may_change),
		cmocka_unit_test(while_held_no_request_is_handled),
		cmocka_unit_test(
			a_handler_may_wait_and_what_comes_meanwhile_is_handled_after_it),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
