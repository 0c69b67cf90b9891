/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: the four kinds of message, bursts of them, and the sums. */
#include "script_peer.h"

#define READ  VUSER_CMD_REGION_READ
#define WRITE VUSER_CMD_REGION_WRITE
#define INFO  VUSER_CMD_DEVICE_GET_INFO
#define MAP   VUSER_CMD_DMA_MAP

/* ---- Four kinds of message ----------------------------------------------------- */

static void a_wait_gets_its_reply(void **state)
{
	/* offset 0x10, region 2, count 4; then the data */
	static const uint8_t payload[16] = { 0x10, [8] = 2, [12] = 4 };
	static const uint8_t reply[20] = { 0x10, [8] = 2, [12] = 4, [16] = 0xde,
					   0xad, 0xbe,	  0xef };
	static const uint8_t command[32] = { 0,	 0,	      9,	0,
					     32, [16] = 0x10, [24] = 2, [28] = 4 };
	struct vuser_exchange *x;
	uint8_t got[32], data[4];
	struct rig r;

	(void)state;
	rig_open(&r);
	peer_reply(&r, 0, READ, reply, sizeof(reply)); /* is there before it is read */
	x = proxy_build(r.p, READ, payload, sizeof(payload), NULL, 0, &r.e);
	assert_non_null(x);
	x->split = 16;
	x->tail = data;
	x->tail_cap = sizeof(data);
	assert_int_equal(proxy_call(r.p, x, &r.e), 0);
	assert_int_equal(x->head_len, 16);
	assert_memory_equal(x->head, reply, 16);
	assert_int_equal(x->tail_len, 4);
	assert_memory_equal(data, reply + 16, 4);
	assert_int_equal(x->reply.size, 36);
	proxy_release(r.p, x);
	assert_true(peer_read(&r, got, sizeof(got)));
	assert_memory_equal(got, command, sizeof(command));
	assert_true(peer_idle(&r));
	assert_int_equal(rig_close(&r), 0);
}

static void data_follows_the_payload_from_where_it_lies(void **state)
{
	static const uint8_t payload[4] = { 1, 2, 3, 4 }, data[5] = { 5, 6, 7, 8, 9 };
	static const uint8_t bytes[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct vuser_exchange *x;
	struct message m;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = proxy_build(r.p, WRITE, payload, sizeof(payload), data, sizeof(data), &r.e);
	assert_non_null(x);
	assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
	assert_true(peer_get(&r, &m));
	assert_int_equal(m.h.size, VUSER_HEADER_SIZE + 9);
	assert_memory_equal(m.bytes + VUSER_HEADER_SIZE, bytes, 9);
	peer_reply(&r, 0, WRITE, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(rig_close(&r), 0);
}

static void a_message_beyond_32_bits_is_refused(void **state)
{
	uint8_t byte = 0;
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_null(proxy_build(r.p, WRITE, &byte, 1, &byte, UINT32_MAX - 16, &r.e));
	assert_int_equal(r.e.code, VUSER_E_USAGE);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_nowait_goes_on_and_settle_waits_for_all_of_them(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			proxy_start(r.p, build(&r, MAP, 32), EXCHANGE_NOWAIT, &r.e), 0);
	assert_int_equal(rig_stats(&r).outstanding, 3);
	for (unsigned i = 0; i < 3; i++)
		peer_reply(&r, peer_expect(&r, MAP, 0).id, MAP, NULL, 0);
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	assert_null(proxy_next_failed(r.p));
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void settle_with_nothing_outstanding_returns_at_once(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = start(&r, READ); /* a WAIT is none of its business */
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	peer_reply(&r, 0, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(rig_close(&r), 0);
}

static void an_async_message_is_gone_once_sent(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	post(&r, WRITE, 20);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	assert_int_equal(rig_stats(&r).queued, 0);
	peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_request_reaches_the_handler_and_its_reply_the_peer(void **state)
{
	static const uint8_t payload[3] = { 7, 8, 9 };
	struct message m;
	struct rig r;

	(void)state;
	rig_open(&r);
	peer_request(&r, 0x1234, VUSER_CMD_DMA_READ, payload, sizeof(payload));
	process(&r);
	assert_int_equal(r.nrequests, 1);
	assert_true(peer_get(&r, &m));
	assert_int_equal(m.h.id, 0x1234);
	assert_int_equal(m.h.command, VUSER_CMD_DMA_READ);
	assert_int_equal(m.h.flags, VUSER_TYPE_REPLY);
	assert_int_equal(m.h.size, 19);
	assert_memory_equal(m.bytes + VUSER_HEADER_SIZE, payload, sizeof(payload));
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void waiting_for_a_message_without_reply_is_refused(void **state)
{
	static const enum exchange_kind kinds[] = { EXCHANGE_WAIT, EXCHANGE_NOWAIT };
	struct rig r;

	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct vuser_exchange *x = build_posted(&r, WRITE, 20);

		assert_int_equal(proxy_start(r.p, x, kinds[i], &r.e), VUSER_E_USAGE);
		assert_string_equal(r.e.text,
				    "waiting for a message that wants no reply");
	}
	assert_int_equal(proxy_call(r.p, build_posted(&r, WRITE, 20), &r.e),
			 VUSER_E_USAGE);
	assert_true(peer_idle(&r));
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void not_waiting_for_a_message_with_reply_is_refused(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(proxy_start(r.p, build(&r, WRITE, 20), EXCHANGE_ASYNC, &r.e),
			 VUSER_E_USAGE);
	assert_string_equal(r.e.text, "not waiting for a message that wants a reply");
	assert_true(peer_idle(&r));
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- A burst of nowaits -------------------------------------------------------- */

static void an_error_amid_a_burst_is_reported_and_the_rest_is_done(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (uint64_t i = 0; i < 8; i++) {
		x = build(&r, MAP, 32);
		x->tag = 100 + i;
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_NOWAIT, &r.e), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		if (i == 2)
			peer_error(&r, i, MAP, EEXIST);
		else if (i == 5)
			peer_reply(&r, i, MAP, NULL, 100); /* too large */
		else
			peer_reply(&r, i, MAP, NULL, 0);
	assert_int_equal(proxy_settle(r.p, &r.e), 0);

	x = proxy_next_failed(r.p);
	assert_non_null(x);
	assert_int_equal(x->tag, 102);
	assert_int_equal(x->result, VUSER_E_REMOTE);
	assert_int_equal(x->error.err, EEXIST);
	assert_string_equal(x->error.text, "the server refused DMA_MAP");
	proxy_release(r.p, x);
	x = proxy_next_failed(r.p);
	assert_non_null(x);
	assert_int_equal(x->tag, 105);
	assert_int_equal(x->result, VUSER_E_PROTOCOL);
	proxy_release(r.p, x);
	assert_null(proxy_next_failed(r.p));
	for (int i = 0; i < 8; i++)
		peer_expect(&r, MAP, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void failures_nobody_asks_for_are_bounded_and_freed(void **state)
{
	struct vuser_exchange *x;
	size_t n = 0;
	struct rig r;

	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		rig_open(&r);
		for (unsigned i = 0; i < MAX_FAILED + 100; i++) {
			assert_int_equal(proxy_start(r.p, build(&r, MAP, 0),
						     EXCHANGE_NOWAIT, &r.e),
					 0);
			peer_expect(&r, MAP, 0);
			peer_error(&r, i, MAP, ENOSPC);
			process(&r);
		}
		assert_int_equal(proxy_settle(r.p, &r.e), 0);
		for (; taken && (x = proxy_next_failed(r.p)); n++)
			proxy_release(r.p, x);
		assert_int_equal(n, taken ? MAX_FAILED : 0);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_settle_that_times_out_gives_up_what_is_outstanding(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.timeout = 5 * MS;
	rig_start(&r);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	peer_reply(&r, 1, MAP, NULL, 0);
	assert_int_equal(proxy_settle(r.p, NULL), VUSER_E_TIMEOUT); /* nobody hears why */
	for (int i = 0; i < 2; i++) {
		x = proxy_next_failed(r.p);
		assert_non_null(x);
		assert_int_equal(x->result, VUSER_E_TIMEOUT);
		assert_int_equal(x->error.code, VUSER_E_TIMEOUT);
		assert_int_equal(x->error.err, ETIMEDOUT);
		proxy_release(r.p, x);
	}
	assert_null(proxy_next_failed(r.p));
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	assert_int_equal(rig_stats(&r).timeouts, 2);
	for (int i = 0; i < 3; i++)
		peer_expect(&r, MAP, 0);
	peer_reply(&r, 0, MAP, NULL, 0);
	peer_reply(&r, 2, MAP, NULL, 0);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_LATE], 2);
	proxy_set_timeout(r.p, LONG);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_settle_whose_connection_is_lost_says_so(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	for (unsigned i = 0; i < 3; i++)
		peer_expect(&r, MAP, 0);
	peer_reply(&r, 1, MAP, NULL, 0);
	peer_close(&r);
	/* All are done, one way or the other: those that failed are there to be asked
	 * for. */
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	for (unsigned i = 0; i < 2; i++) {
		x = proxy_next_failed(r.p);
		assert_non_null(x);
		assert_int_equal(x->result, VUSER_E_CLOSED);
		assert_string_equal(x->error.text, "the server closed the connection");
		proxy_release(r.p, x);
	}
	assert_null(proxy_next_failed(r.p));
	assert_int_equal(rig_close(&r), 0);
}

/* ---- The sums ------------------------------------------------------------------ */

static void stats_count_messages_bytes_and_errors(void **state)
{
	struct vuser_exchange *x, *y;
	struct vuser_stats s;
	struct rig r;

	(void)state;
	rig_open(&r);
	x = build(&r, READ, 16);
	assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
	y = build(&r, READ, 16);
	assert_int_equal(proxy_start(r.p, y, EXCHANGE_WAIT, &r.e), 0);
	post(&r, WRITE, 20);
	s = rig_stats(&r);
	assert_int_equal(s.outstanding, 2);
	assert_int_equal(s.queued, 0);
	assert_int_equal(s.sent[READ].messages, 2);
	assert_int_equal(s.sent[READ].bytes, 64);
	assert_int_equal(s.sent[WRITE].messages, 1);
	assert_int_equal(s.sent[WRITE].bytes, 36);
	assert_int_equal(s.received[READ].messages, 0);

	peer_reply(&r, 0, READ, NULL, 20);
	peer_error(&r, 1, READ, EINVAL);
	peer_request(&r, 9, VUSER_CMD_DMA_READ, NULL, 16);
	peer_request(&r, 9, 200, NULL, 0); /* a command nobody knows counts as 0 */
	process(&r);
	s = rig_stats(&r);
	assert_int_equal(s.outstanding, 0);
	assert_int_equal(s.received[READ].messages, 2);
	assert_int_equal(s.received[READ].bytes, 52);
	assert_int_equal(s.received[READ].errors, 1);
	assert_int_equal(s.received[VUSER_CMD_DMA_READ].messages, 1);
	assert_int_equal(s.received[VUSER_CMD_DMA_READ].bytes, 32);
	assert_int_equal(s.sent[VUSER_CMD_DMA_READ].messages, 1);
	assert_int_equal(s.sent[VUSER_CMD_DMA_READ].bytes, 32);
	assert_int_equal(s.received[0].messages, 1);
	assert_int_equal(s.sent[0].messages, 1);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(finish(&r, y, LONG), VUSER_E_REMOTE);
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wait_gets_its_reply),
		cmocka_unit_test(data_follows_the_payload_from_where_it_lies),
		cmocka_unit_test(a_message_beyond_32_bits_is_refused),
		cmocka_unit_test(a_nowait_goes_on_and_settle_waits_for_all_of_them),
		cmocka_unit_test(settle_with_nothing_outstanding_returns_at_once),
		cmocka_unit_test(an_async_message_is_gone_once_sent),
		cmocka_unit_test(a_request_reaches_the_handler_and_its_reply_the_peer),
		cmocka_unit_test(waiting_for_a_message_without_reply_is_refused),
		cmocka_unit_test(not_waiting_for_a_message_with_reply_is_refused),
		cmocka_unit_test(an_error_amid_a_burst_is_reported_and_the_rest_is_done),
		cmocka_unit_test(failures_nobody_asks_for_are_bounded_and_freed),
		cmocka_unit_test(a_settle_that_times_out_gives_up_what_is_outstanding),
		cmocka_unit_test(a_settle_whose_connection_is_lost_says_so),
		cmocka_unit_test(stats_count_messages_bytes_and_errors),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
