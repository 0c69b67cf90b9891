/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: what a peer cannot drive without end. */
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

/* ---- While a handler waits ----------------------------------------------------- */

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

/* A handler waits; what would come between its question and the answer? */
static void begin_to_wait(struct rig *r, pthread_t *server, unsigned *id)
{
	rig_init(r);
	r->o.sends = VUSER_S2C;
	r->o.request = ask_back;
	rig_start(r);
	*server = go(serve, r);
	peer_request(r, 0, READ, NULL, 16);
	*id = peer_expect(r, DMA_READ, 0).id;
}

static void as_many_requests_as_there_may_be_wait_for_a_handler(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	pthread_t server;
	unsigned id;
	struct rig r;

	(void)state;
	begin_to_wait(&r, &server, &id);
	for (unsigned i = 1; i <= VUSER_MAX_INCOMING; i++)
		peer_send(&r, msg, message_put(msg, i, WRITE, 0, 0, NULL, 0));
	peer_reply(&r, id, DMA_READ, NULL, 16);
	expect_reply(&r, 0, READ);
	for (unsigned i = 1; i <= VUSER_MAX_INCOMING; i++)
		expect_reply(&r, i, WRITE);
	shutdown(r.fd, SHUT_RDWR);
	join(server);
	assert_int_equal(rig_close(&r), 0);
}

static void too_many_requests_end_a_connection_whose_handler_waits(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	pthread_t server;
	unsigned id;
	struct rig r;

	(void)state;
	begin_to_wait(&r, &server, &id);
	for (unsigned i = 0; i <= VUSER_MAX_INCOMING; i++)
		peer_send(&r, msg, message_put(msg, i, WRITE, 0, 0, NULL, 0));
	join(server);
	assert_int_equal(r.e.code, VUSER_E_PROTOCOL); /* what the handler heard */
	assert_string_equal(r.e.text,
			    "more than 1024 requests came while one was handled");
	assert_int_equal(r.nrequests, 0);
	assert_int_equal(rig_close(&r), 0);
}

/* Sends len bytes; false once the connection is lost and nobody reads any more. */
static bool send_while_it_lasts(struct rig *r, const uint8_t *at, size_t len)
{
	while (len && !proxy_lost(r->p, NULL)) {
		ssize_t n = send(r->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		must(n > 0 || errno == EAGAIN);
		if (n < 0) {
			usleep(100);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
	return len == 0;
}

static void too_many_bytes_end_a_connection_whose_handler_waits(void **state)
{
	const size_t size = 4u << 20;
	uint8_t *msg = malloc(size);
	unsigned id, n = 0;
	pthread_t server;
	struct rig r;

	(void)state;
	assert_non_null(msg);
	begin_to_wait(&r, &server, &id);
	proxy_set_limits(r.p, size, size);
	message_put(msg, 1, WRITE, 0, 0, NULL, size - VUSER_HEADER_SIZE);
	while (n < 100 && send_while_it_lasts(&r, msg, size))
		n++;
	join(server);
	assert_int_equal(r.e.code, VUSER_E_PROTOCOL);
	assert_true(rig_stats(&r).received[WRITE].bytes <=
		    VUSER_MAX_INCOMING_BYTES + size);
	assert_int_equal(rig_close(&r), 0);
	free(msg);
}

static void too_many_descriptors_end_a_connection_whose_handler_waits(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE];
	size_t most = 0, now;
	pthread_t server;
	unsigned id;
	struct rig r;

	(void)state;
	begin_to_wait(&r, &server, &id);
	message_put(msg, 1, MAP, 0, 0, NULL, 0);
	for (unsigned i = 0; i < 100 && !proxy_lost(r.p, NULL); i++) {
		peer_send_fds(&r, msg, sizeof(msg), 0, 32);
		while (!proxy_lost(r.p, NULL) &&
		       rig_stats(&r).received[MAP].messages <= i)
			usleep(100);
		now = count_fds() - r.fds_before;
		most = now > most ? now : most;
	}
	join(server);
	assert_int_equal(r.e.code, VUSER_E_PROTOCOL);
	assert_true(most >= 512 && most < 512 + 64);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- Floods -------------------------------------------------------------------- */

static void refuse_it(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;

	rig_note_request(r, x);
	proxy_refuse(r->p, x, EPERM, "it is forbidden");
}

/* ---- Floods
 * ----------------------------------------------------------------------------------------
 */

static void a_flood_of_requests_is_handled_in_order(void **state)
{
	enum { N = 6000 }; /* several times what may wait, in one read */
	uint8_t *msg = malloc(N * VUSER_HEADER_SIZE);
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	assert_non_null(msg);
	for (int waiting = 0; waiting < 2; waiting++) {
		rig_open(&r);
		x = start(&r, READ);
		peer_expect(&r, READ, 0);
		for (unsigned i = 0; i < N; i++)
			message_put(msg + i * VUSER_HEADER_SIZE, i, DMA_READ, 0, 0, NULL,
				    0);
		peer_send(&r, msg, N * VUSER_HEADER_SIZE);
		peer_reply(&r, 0, READ, NULL, 0);
		if (!waiting)
			process(&r);
		assert_int_equal(finish(&r, x, LONG), 0);
		assert_int_equal(r.nrequests, N);
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(r.requests[i], i);
			if (i % 64 == 0)
				process(&r); /* the socket may be full */
			expect_reply(&r, i, DMA_READ);
		}
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
	free(msg);
}

static void a_flood_while_held_waits(void **state)
{
	enum { N = 4000 };
	uint8_t *msg = malloc(N * VUSER_HEADER_SIZE);
	struct rig r;

	(void)state;
	assert_non_null(msg);
	rig_open(&r);
	for (unsigned i = 0; i < N; i++)
		message_put(msg + i * VUSER_HEADER_SIZE, i, DMA_READ, 0, 0, NULL, 0);
	peer_send(&r, msg, N * VUSER_HEADER_SIZE);
	proxy_hold(r.p, true);
	process(&r);
	process(&r);
	assert_int_equal(proxy_events(r.p), 0); /* nothing will be read, whatever comes */
	assert_int_equal(rig_stats(&r).received[DMA_READ].messages, VUSER_MAX_INCOMING);
	proxy_hold(r.p, false);
	process(&r);
	for (unsigned i = 0; i < N; i++) {
		if (i % 64 == 0)
			process(&r);
		expect_reply(&r, i, DMA_READ);
	}
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
	free(msg);
}

#define ANSWER 60000u
#define ASK    1000u

static void answer_at_length(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;
	struct vuser_exchange *reply;
	void *payload;

	rig_note_request(r, x);
	reply = proxy_reply(r->p, x, ANSWER, &payload);
	must(reply);
	memset(payload, x->h.id & 0xff, ANSWER);
	proxy_reply_send(r->p, reply);
}

/* Sends requests as long as the proxy takes any, and reads no reply. Returns how many. */
static unsigned flood(struct rig *r)
{
	uint8_t msg[ASK];
	unsigned sent = 0;
	int idle = 0;

	while (idle < 3) {
		ssize_t n;

		message_put(msg, sent, DMA_READ, 0, 0, NULL, ASK - VUSER_HEADER_SIZE);
		n = send(r->fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n == sizeof(msg) || (n < 0 && errno == EAGAIN));
		if (n > 0)
			sent++;
		if (sent % 64 == 0 || n < 0)
			process(r);
		idle += n < 0;
	}
	return sent;
}

static void a_peer_that_does_not_read_its_replies_is_read_no_more(void **state)
{
	struct message m;
	unsigned sent;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.request = answer_at_length;
	rig_start(&r);
	sent = flood(&r);
	assert_true(r.nrequests < sent);
	assert_true((uint64_t)rig_stats(&r).queued * ANSWER <=
		    VUSER_MAX_OUTGOING_BYTES + 2 * ANSWER);
	assert_int_equal(proxy_events(r.p), POLLOUT);
	/* Once it reads, all goes on. */
	for (unsigned i = 0; i < sent; i++) {
		process(&r);
		assert_true(peer_get(&r, &m));
		assert_int_equal(m.h.id, i);
		assert_int_equal(m.len, VUSER_HEADER_SIZE + ANSWER);
		assert_int_equal(m.bytes[m.len - 1], i & 0xff);
	}
	assert_int_equal(r.nrequests, sent);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void small_replies_nobody_reads_are_bounded_as_well(void **state)
{
	unsigned sent;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.request = refuse_it;
	rig_start(&r);
	sent = flood(&r);
	assert_true(r.nrequests < sent);
	assert_true(rig_stats(&r).queued * sizeof(struct vuser_exchange) <=
		    VUSER_MAX_OUTGOING_BYTES + 2 * sizeof(struct vuser_exchange));
	for (unsigned i = 0; i < sent; i++) {
		if (i % 64 == 0)
			process(&r);
		expect_refusal(&r, i, DMA_READ, EPERM);
	}
	assert_int_equal(r.nrequests, sent);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_wait_survives_a_peer_that_does_not_read_its_replies(void **state)
{
	struct vuser_exchange *x;
	unsigned sent;
	struct rig r;

	(void)state;
	rig_open(&r);
	sent = flood(&r);
	x = start(&r, READ);
	assert_int_equal(finish(&r, x, 5 * MS), VUSER_E_TIMEOUT);
	for (unsigned i = 0; i < sent; i++) {
		if (i % 64 == 0)
			process(&r);
		expect_reply(&r, i, DMA_READ);
	}
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_peer_that_floods_and_leaves_is_noticed(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	flood(&r);
	x = build(&r, READ, 0);
	assert_int_equal(proxy_start(r.p, x, EXCHANGE_WAIT, &r.e), 0);
	peer_close(&r);
	assert_int_equal(finish(&r, x, LONG), VUSER_E_CLOSED);
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_requests_as_there_may_be_wait_for_a_handler),
		cmocka_unit_test(too_many_requests_end_a_connection_whose_handler_waits),
		cmocka_unit_test(too_many_bytes_end_a_connection_whose_handler_waits),
		cmocka_unit_test(
			too_many_descriptors_end_a_connection_whose_handler_waits),
		cmocka_unit_test(a_flood_of_requests_is_handled_in_order),
		cmocka_unit_test(a_flood_while_held_waits),
		cmocka_unit_test(a_peer_that_does_not_read_its_replies_is_read_no_more),
		cmocka_unit_test(small_replies_nobody_reads_are_bounded_as_well),
		cmocka_unit_test(a_wait_survives_a_peer_that_does_not_read_its_replies),
		cmocka_unit_test(a_peer_that_floods_and_leaves_is_noticed),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
