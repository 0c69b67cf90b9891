/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine's sending: at once or through the queue, whole or in part. */
#include <sys/mman.h>

#include "script_peer.h"

#define READ  VUSER_CMD_REGION_READ
#define WRITE VUSER_CMD_REGION_WRITE
#define MULTI VUSER_CMD_REGION_WRITE_MULTI
#define MAP   VUSER_CMD_DMA_MAP
#define BIG   100000u /* bytes that a small socket does not take at once */
#define SMALL 4608    /* about the smallest socket there is */

/* Reads len bytes while the proxy is driven. */
static void drain(struct rig *r, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len) {
		ssize_t n = recv(r->fd, at, len, MSG_DONTWAIT);

		must(n > 0 || (n < 0 && errno == EAGAIN));
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
		process(r);
	}
}

/* The next message that is sent while the proxy is driven. */
static void drain_message(struct rig *r, struct message *m)
{
	drain(r, m->bytes, VUSER_HEADER_SIZE);
	assert_int_equal(vuser_header_decode(m->bytes, VUSER_HEADER_SIZE, &m->h, NULL),
			 0);
	assert_true(m->h.size <= MESSAGE_ROOM);
	drain(r, m->bytes + VUSER_HEADER_SIZE, m->h.size - VUSER_HEADER_SIZE);
	m->len = m->h.size;
}

static void rig_small(struct rig *r)
{
	rig_init(r);
	r->sndbuf = SMALL;
	rig_start(r);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

/* Starts a WRITE of BIG bytes, more than a small socket takes. */
static struct vuser_exchange *start_big(struct rig *r, enum exchange_kind kind)
{
	uint8_t *data = malloc(BIG);
	struct vuser_exchange *x;

	assert_non_null(data);
	for (size_t i = 0; i < BIG; i++)
		data[i] = pattern(i);
	x = proxy_build(r->p, WRITE, NULL, 0, data, BIG, &r->e);
	assert_non_null(x);
	if (kind == EXCHANGE_ASYNC)
		x->h.flags |= VUSER_FLAG_NO_REPLY;
	assert_int_equal(proxy_start(r->p, x, kind, &r->e), 0);
	assert_int_equal(rig_stats(r).queued, 1); /* the rest of it */
	memset(data, 0xee, BIG);		  /* it was copied */
	free(data);
	return x;
}

static void expect_big(struct rig *r)
{
	struct message m;

	drain_message(r, &m);
	assert_int_equal(m.h.command, WRITE);
	assert_int_equal(m.len, VUSER_HEADER_SIZE + BIG);
	for (size_t i = 0; i < BIG; i++)
		assert_int_equal(m.bytes[VUSER_HEADER_SIZE + i], pattern(i));
}

/* ---- At once, or queued -------------------------------------------------------- */

static void with_nothing_queued_a_message_goes_at_once(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(proxy_events(r.p), POLLIN);
	post(&r, WRITE, 4);
	peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
	x = start(&r, READ);
	peer_expect(&r, READ, 0);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	peer_expect(&r, MAP, 0);
	assert_int_equal(proxy_events(r.p), POLLIN);
	peer_reply(&r, 1, READ, NULL, 0);
	peer_reply(&r, 2, MAP, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	assert_int_equal(rig_close(&r), 0);
}

static void a_forced_queue_sends_nothing_until_it_is_driven(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.force_queue = true;
	rig_start(&r);
	for (int i = 0; i < 20; i++)
		post(&r, WRITE, (size_t)i);
	x = start(&r, READ);
	assert_true(peer_idle(&r));
	assert_int_equal(rig_stats(&r).queued, 21);
	assert_int_equal(rig_stats(&r).outstanding, 1);
	assert_int_equal(proxy_events(r.p), POLLIN | POLLOUT);
	process(&r);
	assert_int_equal(proxy_events(r.p), POLLIN);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY).size,
				 16 + i);
	peer_reply(&r, peer_expect(&r, READ, 0).id, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	x = start(&r, READ); /* a wait drives it as well */
	peer_reply(&r, 21, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	peer_expect(&r, READ, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_full_socket_queues_and_goes_on_in_order(void **state)
{
	struct vuser_exchange *x[40];
	struct message m;
	struct rig r;

	(void)state;
	rig_small(&r);
	for (unsigned i = 0; i < 400; i++)
		if (i % 10 == 0)
			x[i / 10] = start(&r, READ);
		else
			post(&r, WRITE, i % 240);
	assert_true(rig_stats(&r).queued > 0);
	assert_true(proxy_events(r.p) & POLLOUT);
	for (unsigned i = 0; i < 400; i++) {
		drain_message(&r, &m);
		assert_int_equal(m.h.id, i);
		assert_int_equal(m.h.command, i % 10 ? WRITE : READ);
		assert_int_equal(m.len, 16 + (i % 10 ? i % 240 : 0));
	}
	assert_int_equal(rig_stats(&r).queued, 0);
	for (unsigned i = 0; i < 40; i++) {
		peer_reply(&r, i * 10, READ, NULL, 0);
		assert_int_equal(finish(&r, x[i], LONG), 0);
	}
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_queue_goes_on_with_the_next_message_too(void **state)
{
	static uint8_t buf[1 << 18];
	size_t have = 0;
	struct rig r;

	(void)state;
	rig_small(&r);
	for (unsigned i = 0; i < 200; i++)
		post(&r, WRITE, 100);
	assert_true(rig_stats(&r).queued > 0);
	/* Nobody waits and nobody drives, but there is room and something to send. */
	for (unsigned i = 0; i < 200 && rig_stats(&r).queued; i++) {
		ssize_t n = recv(r.fd, buf + have, sizeof(buf) - have, MSG_DONTWAIT);

		have += n > 0 ? (size_t)n : 0;
		post(&r, WRITE, 100);
	}
	assert_int_equal(rig_stats(&r).queued, 0);
	assert_int_equal(rig_close(&r), 0);
}

static void a_large_message_goes_in_parts(void **state)
{
	static const enum exchange_kind kinds[] = { EXCHANGE_WAIT, EXCHANGE_NOWAIT,
						    EXCHANGE_ASYNC };
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		rig_small(&r);
		x = start_big(&r, kinds[i]);
		post(&r, MULTI, 0);
		expect_big(&r);
		assert_int_equal(peer_expect(&r, MULTI, VUSER_FLAG_NO_REPLY).id, 1);
		if (kinds[i] != EXCHANGE_ASYNC)
			peer_reply(&r, 0, WRITE, NULL, 0);
		if (kinds[i] == EXCHANGE_WAIT)
			assert_int_equal(finish(&r, x, LONG), 0);
		assert_int_equal(proxy_settle(r.p, &r.e), 0);
		assert_int_equal(rig_stats(&r).sent[WRITE].messages, 1);
		assert_int_equal(rig_stats(&r).sent[WRITE].bytes,
				 VUSER_HEADER_SIZE + BIG);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

/* ---- Descriptors --------------------------------------------------------------- */

static struct vuser_exchange *build_with_fds(struct rig *r, int fd, size_t n)
{
	struct vuser_exchange *x = build(r, MAP, 32);

	for (size_t i = 0; i < n; i++)
		x->fds[i] = fd;
	x->nfds = n;
	return x;
}

static void queued_descriptors_are_kept_open(void **state)
{
	struct message m;
	char byte = 0;
	struct rig r;
	int fd;

	(void)state;
	for (int force = 0; force < 2; force++) {
		rig_init(&r);
		r.o.force_queue = force;
		rig_start(&r);
		fd = memfd_create("test", MFD_CLOEXEC);
		assert_int_equal(write(fd, "x", 1), 1);
		assert_int_equal(proxy_start(r.p, build_with_fds(&r, fd, 2),
					     EXCHANGE_NOWAIT, &r.e),
				 0);
		close(fd);
		process(&r);
		assert_true(peer_get(&r, &m));
		assert_int_equal(m.nfds, 2);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(pread(m.fds[i], &byte, 1, 0), 1);
			assert_int_equal(byte, 'x');
			close(m.fds[i]);
		}
		peer_reply(&r, 0, MAP, NULL, 0);
		assert_int_equal(proxy_settle(r.p, &r.e), 0);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_bad_descriptor_fails_its_message_only(void **state)
{
	struct rig r;

	(void)state;
	for (int force = 0; force < 2; force++) {
		rig_init(&r);
		r.o.force_queue = force;
		rig_start(&r);
		assert_int_equal(
			proxy_start(r.p, build_with_fds(&r, -1, 1), EXCHANGE_WAIT, &r.e),
			VUSER_E_SYSTEM);
		assert_int_equal(r.e.err, EBADF);
		assert_int_equal(proxy_start(r.p, build_with_fds(&r, -1, 1),
					     EXCHANGE_NOWAIT, &r.e),
				 VUSER_E_SYSTEM);
		assert_int_equal(proxy_settle(r.p, &r.e), 0);
		assert_int_equal(proxy_lost(r.p, &r.e), 0);
		assert_int_equal(rig_stats(&r).sent[MAP].messages, 0);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

/* What a receiver like us makes of messages with and without descriptors. */
struct seen {
	struct proxy *p;
	size_t nfds[64];
};

static void see_request(void *arg, struct vuser_exchange *x)
{
	struct seen *seen = arg;
	void *payload;

	must(x->h.id < ARRAY_SIZE(seen->nfds));
	seen->nfds[x->h.id] = x->nfds;
	proxy_reply_send(seen->p, proxy_reply(seen->p, x, 0, &payload));
}

static void descriptors_arrive_with_the_message_they_left_with(void **state)
{
	static const size_t nfds[] = { 0, 0, 1, 0, 2, 3, 0, 0, 0, 16, 1, 0, 64, 0 };
	struct seen seen = { 0 };
	struct proxy_options o = { .sends = VUSER_S2C,
				   .limit = 65536,
				   .request_limit = 65536,
				   .request = see_request,
				   .request_arg = &seen };
	struct rig r;

	(void)state;
	for (int corked = 0; corked < 2; corked++) {
		rig_open(&r);
		seen.p = proxy_new(dup(r.fd), &o);
		assert_non_null(seen.p);
		proxy_cork(r.p, corked);
		for (size_t i = 0; i < ARRAY_SIZE(nfds); i++)
			assert_int_equal(proxy_start(r.p, build_with_fds(&r, 0, nfds[i]),
						     EXCHANGE_NOWAIT, &r.e),
					 0);
		proxy_cork(r.p, false);
		process(&r);
		assert_int_equal(proxy_process(seen.p, &r.e), 0);
		assert_int_equal(proxy_settle(r.p, &r.e), 0);
		assert_memory_equal(seen.nfds, nfds, sizeof(nfds));
		assert_int_equal(proxy_free(seen.p), 0);
		assert_int_equal(rig_close(&r), 0);
	}
}

/* ---- Giving up what is not sent, or in part ------------------------------------ */

static void a_message_unsent_at_its_deadline_is_never_sent(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_small(&r);
	start_big(&r, EXCHANGE_ASYNC);
	x = start(&r, READ);
	assert_int_equal(
		proxy_start(r.p, build_with_fds(&r, 0, 1), EXCHANGE_NOWAIT, &r.e), 0);
	assert_int_equal(finish(&r, x, MS), VUSER_E_TIMEOUT);
	assert_string_equal(
		r.e.text, "no reply to REGION_READ within 0.001 s, it could not be sent");
	proxy_set_timeout(r.p, MS);
	assert_int_equal(proxy_settle(r.p, &r.e), VUSER_E_TIMEOUT);
	proxy_set_timeout(r.p, LONG);
	x = proxy_next_failed(r.p);
	assert_non_null(x);
	proxy_release(r.p, x);
	assert_int_equal(rig_stats(&r).queued, 1);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	expect_big(&r);
	assert_true(peer_idle(&r));
	check_in_step(&r);
	assert_int_equal(r.nevents, 0);
	assert_int_equal(rig_close(&r), 0);
}

static void the_rest_of_a_message_given_up_goes_out(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (int nowait = 0; nowait < 2; nowait++) {
		rig_small(&r);
		x = start_big(&r, nowait ? EXCHANGE_NOWAIT : EXCHANGE_WAIT);
		proxy_set_timeout(r.p, MS);
		if (nowait) {
			assert_int_equal(proxy_settle(r.p, &r.e), VUSER_E_TIMEOUT);
			x = proxy_next_failed(r.p);
			assert_non_null(x);
			proxy_release(r.p, x);
		} else {
			assert_int_equal(finish(&r, x, MS), VUSER_E_TIMEOUT);
		}
		proxy_set_timeout(r.p, LONG);
		assert_int_equal(rig_stats(&r).queued, 1);
		assert_int_equal(rig_stats(&r).outstanding, 0);
		x = start(&r, READ);
		expect_big(&r);
		peer_reply(&r, 1, READ, NULL, 0);
		peer_reply(&r, 0, WRITE, NULL, 0);
		assert_int_equal(finish(&r, x, LONG), 0);
		process(&r);
		peer_expect(&r, READ, 0);
		assert_int_equal(r.events[VUSER_EVENT_LATE], 1);
		check_in_step(&r);
		assert_int_equal(r.nevents, 1);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_message_refused_before_it_was_sent_whole_is_answered(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	for (int nowait = 0; nowait < 2; nowait++) {
		rig_small(&r);
		x = start_big(&r, nowait ? EXCHANGE_NOWAIT : EXCHANGE_WAIT);
		peer_error(&r, 0, WRITE, EINVAL); /* it has seen the header */
		if (nowait) {
			assert_int_equal(proxy_settle(r.p, &r.e), 0);
			x = proxy_next_failed(r.p);
			assert_non_null(x);
			assert_int_equal(x->result, VUSER_E_REMOTE);
			proxy_release(r.p, x);
		} else {
			assert_int_equal(finish(&r, x, LONG), VUSER_E_REMOTE);
		}
		assert_int_equal(rig_stats(&r).outstanding, 0);
		expect_big(&r); /* the stream stays in step */
		check_in_step(&r);
		assert_int_equal(r.nevents, 0);
		assert_int_equal(rig_close(&r), 0);
	}
}

/* ---- Bounds -------------------------------------------------------------------- */

static void what_waits_to_be_sent_is_bounded(void **state)
{
	static uint8_t data[65536];
	struct vuser_exchange *x;
	struct message m;
	unsigned sent = 0;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.timeout = 5 * MS;
	rig_start(&r);
	for (;; sent++) {
		int ret;

		assert_true(sent < 200);
		x = proxy_build(r.p, WRITE, NULL, 0, data, sizeof(data), &r.e);
		assert_non_null(x);
		x->h.flags |= VUSER_FLAG_NO_REPLY;
		ret = proxy_start(r.p, x, EXCHANGE_ASYNC, &r.e);
		if (ret) {
			assert_int_equal(ret, VUSER_E_TIMEOUT);
			break;
		}
	}
	assert_true(strstr(r.e.text, "the peer took nothing within 0.005 s") == r.e.text);
	assert_true(sent >= VUSER_MAX_OUTGOING_BYTES / sizeof(data));
	proxy_set_timeout(r.p, LONG);
	for (unsigned i = 0; i < sent; i++) {
		drain_message(&r, &m);
		assert_int_equal(m.h.id, i);
	}
	assert_int_equal(rig_stats(&r).queued, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void *answer_each(void *arg)
{
	struct message *m = malloc(sizeof(*m));
	struct rig *r = arg;

	must(m);
	while (peer_get(r, m))
		peer_reply(r, m->h.id, m->h.command, NULL, 0);
	free(m);
	return NULL;
}

/* A peer that blocks in sending its replies reads no more until they are read. */
static void replies_are_read_while_there_is_no_room_to_send(void **state)
{
	static uint8_t data[65536];
	struct vuser_exchange *x[400];
	int sndbuf = SMALL;
	pthread_t peer;
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(setsockopt(r.fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)),
			 0);
	peer = go(answer_each, &r);
	for (size_t i = 0; i < ARRAY_SIZE(x); i++) {
		x[i] = proxy_build(r.p, WRITE, NULL, 0, data, sizeof(data), &r.e);
		assert_non_null(x[i]);
		assert_int_equal(proxy_start(r.p, x[i], EXCHANGE_WAIT, &r.e), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(x); i++)
		assert_int_equal(finish(&r, x[i], LONG), 0);
	assert_int_equal(r.nevents, 0);
	shutdown(r.fd, SHUT_RDWR);
	join(peer);
	assert_int_equal(rig_close(&r), 0);
}

static void requests_outstanding_are_bounded_and_posted_ones_are_none(void **state)
{
	struct rig r;

	(void)state;
	rig_small(&r);
	for (unsigned i = 0; i < VUSER_MAX_PENDING + 100; i++)
		post(&r, WRITE, 0);
	for (unsigned i = 0; i < VUSER_MAX_PENDING; i++)
		assert_int_equal(
			proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e),
			 VUSER_E_USAGE);
	assert_int_equal(proxy_call(r.p, build(&r, READ, 0), &r.e), VUSER_E_USAGE);
	assert_int_equal(r.e.err, EAGAIN);
	post(&r, WRITE, 0);
	assert_int_equal(rig_close(&r), VUSER_MAX_PENDING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_nothing_queued_a_message_goes_at_once),
		cmocka_unit_test(a_forced_queue_sends_nothing_until_it_is_driven),
		cmocka_unit_test(a_full_socket_queues_and_goes_on_in_order),
		cmocka_unit_test(a_queue_goes_on_with_the_next_message_too),
		cmocka_unit_test(a_large_message_goes_in_parts),
		cmocka_unit_test(queued_descriptors_are_kept_open),
		cmocka_unit_test(a_bad_descriptor_fails_its_message_only),
		cmocka_unit_test(descriptors_arrive_with_the_message_they_left_with),
		cmocka_unit_test(a_message_unsent_at_its_deadline_is_never_sent),
		cmocka_unit_test(the_rest_of_a_message_given_up_goes_out),
		cmocka_unit_test(a_message_refused_before_it_was_sent_whole_is_answered),
		cmocka_unit_test(what_waits_to_be_sent_is_bounded),
		cmocka_unit_test(replies_are_read_while_there_is_no_room_to_send),
		cmocka_unit_test(
			requests_outstanding_are_bounded_and_posted_ones_are_none),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
