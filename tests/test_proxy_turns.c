/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: one thread reads for all, and none is forgotten by it. */
#include <stdatomic.h>

#include "script_peer.h"

#define READ	 VUSER_CMD_REGION_READ
#define WRITE	 VUSER_CMD_REGION_WRITE
#define MAP	 VUSER_CMD_DMA_MAP
#define DMA_READ VUSER_CMD_DMA_READ
#define BIG	 100000u
#define SMALL	 4608

static atomic_bool stop;

/* ---- Who gives up -------------------------------------------------------------- */

struct worker {
	struct rig *r;
	unsigned number, count;
	pthread_t thread;
};

static void stop_peer(struct rig *r, pthread_t peer)
{
	shutdown(r->fd, SHUT_RDWR);
	join(peer);
}

static void *time_out_again_and_again(void *arg)
{
	struct worker *w = arg;
	struct vuser_exchange *x;
	struct vuser_error e;

	while (!stop) {
		x = build(w->r, WRITE, 0);
		must(proxy_start(w->r->p, x, EXCHANGE_WAIT, &e) == 0);
		must(proxy_wait(w->r->p, x, 200000 + w->number * 50000, &e) ==
		     VUSER_E_TIMEOUT);
		proxy_release(w->r->p, x);
		w->count++;
	}
	return NULL;
}

static void *wait_long(void *arg)
{
	struct worker *w = arg;
	struct vuser_error e;

	for (unsigned i = 0; i < w->count; i++) {
		struct vuser_exchange *x = build(w->r, READ, 0);

		must(proxy_call(w->r->p, x, &e) == 0);
		proxy_release(w->r->p, x);
	}
	return NULL;
}

/* Answers READ after a while, and WRITE never. */
static void *answer_reads_only(void *arg)
{
	struct message *m = malloc(sizeof(*m));
	struct rig *r = arg;

	must(m);
	while (peer_get(r, m)) {
		if (m->h.command != READ)
			continue;
		usleep(1500);
		peer_reply(r, m->h.id, READ, NULL, 0);
	}
	free(m);
	return NULL;
}

static void a_long_wait_survives_short_ones_beside_it(void **state)
{
	struct worker shorts[4], longs[2];
	pthread_t peer;
	struct rig r;

	(void)state;
	rig_open(&r);
	stop = false;
	peer = go(answer_reads_only, &r);
	for (unsigned i = 0; i < ARRAY_SIZE(shorts); i++) {
		shorts[i] = (struct worker){ .r = &r, .number = i };
		shorts[i].thread = go(time_out_again_and_again, &shorts[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(longs); i++) {
		longs[i] = (struct worker){ .r = &r, .count = 300 };
		longs[i].thread = go(wait_long, &longs[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(longs); i++)
		join(longs[i].thread);
	stop = true;
	for (unsigned i = 0; i < ARRAY_SIZE(shorts); i++)
		join(shorts[i].thread);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	stop_peer(&r, peer);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- Who waits for what others do ---------------------------------------------- */

static void the_reader_leaves_and_another_one_reads(void **state)
{
	struct waiter w[3];
	unsigned id;
	struct rig r;

	(void)state;
	rig_open(&r);
	id = begin_to_read(&w[0], &r);
	begin(&w[1], &r, WRITE, LONG);
	peer_expect(&r, WRITE, 0);
	usleep(5000);
	begin(&w[2], &r, WRITE, LONG);
	peer_expect(&r, WRITE, 0);
	peer_reply(&r, id, READ, NULL, 0);
	join(w[0].thread);
	peer_reply(&r, 2, WRITE, NULL, 0); /* of the one who sleeps */
	join(w[2].thread);
	peer_reply(&r, 1, WRITE, NULL, 0);
	join(w[1].thread);
	for (int i = 0; i < 3; i++)
		assert_int_equal(w[i].ret, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

/* Several give up at the same time, one of them reads, and the next in turn is another
 * one. */
static void those_who_give_up_hand_the_turn_on(void **state)
{
	struct waiter w[5];
	unsigned id = 0;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int round = 0; round < 20; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
			bool last = i == ARRAY_SIZE(w) - 1;

			begin(&w[i], &r, last ? READ : WRITE, last ? LONG : 10 * MS);
			id = peer_expect(&r, last ? READ : WRITE, 0).id;
		}
		for (unsigned i = 0; i < ARRAY_SIZE(w) - 1; i++) {
			join(w[i].thread);
			assert_int_equal(w[i].ret, VUSER_E_TIMEOUT);
		}
		peer_reply(&r, id, READ, NULL, 0);
		join(w[ARRAY_SIZE(w) - 1].thread);
		assert_int_equal(w[ARRAY_SIZE(w) - 1].ret, 0);
	}
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

/* All of it is read after its sender has left, and only then the reader is answered. */
static void posting_beside_a_reader(bool large)
{
	struct waiter w;
	struct message m;
	unsigned id, n = 0;
	struct rig r;

	rig_init(&r);
	r.sndbuf = SMALL;
	rig_start(&r);
	id = begin_to_read(&w, &r);
	if (large) {
		uint8_t *data = calloc(1, BIG);
		struct vuser_exchange *x;

		x = proxy_build(r.p, WRITE, NULL, 0, data, BIG, &r.e);
		assert_non_null(x);
		x->h.flags |= VUSER_FLAG_NO_REPLY;
		assert_int_equal(proxy_start(r.p, x, EXCHANGE_ASYNC, &r.e), 0);
		free(data);
	}
	for (; n < 100; n++)
		post(&r, WRITE, 200);
	assert_true(rig_stats(&r).queued > 0);
	if (large) {
		assert_true(peer_get(&r, &m));
		assert_int_equal(m.len, VUSER_HEADER_SIZE + BIG);
	}
	for (unsigned i = 0; i < n; i++)
		peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
	peer_reply(&r, id, READ, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void what_others_queue_goes_out_while_one_reads(void **state)
{
	(void)state;
	posting_beside_a_reader(false);
	posting_beside_a_reader(true);
}

static void a_forced_queue_goes_out_while_one_reads(void **state)
{
	struct waiter w;
	unsigned id;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.force_queue = true;
	rig_start(&r);
	id = begin_to_read(&w, &r);
	post(&r, WRITE, 0);
	peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	peer_reply(&r, peer_expect(&r, MAP, 0).id, MAP, NULL, 0);
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	peer_reply(&r, id, READ, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	assert_int_equal(rig_close(&r), 0);
}

/* The peer answers one whose message is out, and reads no more: who else sends is no
 * matter. */
static void a_reply_ends_a_wait_though_the_socket_is_full(void **state)
{
	struct waiter reader, w;
	uint8_t *data = calloc(1, BIG);
	struct vuser_exchange *x;
	struct message m;
	unsigned id;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.sndbuf = SMALL;
	rig_start(&r);
	id = begin_to_read(&reader, &r);
	begin(&w, &r, MAP, LONG);
	peer_expect(&r, MAP, 0);
	x = proxy_build(r.p, WRITE, NULL, 0, data, BIG, &r.e);
	assert_non_null(x);
	x->h.flags |= VUSER_FLAG_NO_REPLY;
	assert_int_equal(proxy_start(r.p, x, EXCHANGE_ASYNC, &r.e), 0);
	free(data);
	usleep(10000);
	peer_reply(&r, id + 1, MAP, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	peer_reply(&r, id, READ, NULL, 0);
	join(reader.thread);
	assert_int_equal(reader.ret, 0);
	x = start(&r, READ); /* sends the rest */
	begin(&w, &r, MAP, LONG);
	assert_true(peer_get(&r, &m));
	assert_int_equal(m.len, VUSER_HEADER_SIZE + BIG);
	for (int i = 0; i < 2; i++) {
		assert_true(peer_get(&r, &m));
		peer_reply(&r, m.h.id, m.h.command, NULL, 0);
	}
	assert_int_equal(finish(&r, x, LONG), 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void *post_much(void *arg)
{
	static uint8_t data[65536];
	struct rig *r = arg;
	struct vuser_exchange *x;
	struct vuser_error e;

	for (int i = 0; i < 60; i++) {
		x = proxy_build(r->p, WRITE, NULL, 0, data, sizeof(data), &e);
		must(x);
		x->h.flags |= VUSER_FLAG_NO_REPLY;
		must(proxy_start(r->p, x, EXCHANGE_ASYNC, &e) == 0);
	}
	return NULL;
}

/* More than may be queued: they wait for room, and one thread reads all the while. */
static void all_who_wait_for_room_are_woken(void **state)
{
	pthread_t posters[4];
	struct message m;
	struct waiter w;
	unsigned id;
	struct rig r;

	(void)state;
	rig_open(&r);
	id = begin_to_read(&w, &r);
	for (size_t i = 0; i < ARRAY_SIZE(posters); i++)
		posters[i] = go(post_much, &r);
	for (size_t i = 0; i < 60 * ARRAY_SIZE(posters); i++) {
		if (i == 0)
			usleep(50000); /* let them all come to wait */
		assert_true(peer_get(&r, &m));
		assert_int_equal(m.len, VUSER_HEADER_SIZE + 65536);
	}
	for (size_t i = 0; i < ARRAY_SIZE(posters); i++)
		join(posters[i]);
	peer_reply(&r, id, READ, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void *settle(void *arg)
{
	struct waiter *w = arg;

	w->ret = proxy_settle(w->r->p, &w->e);
	return NULL;
}

static void all_who_settle_are_woken(void **state)
{
	struct waiter reader, w[4];
	unsigned id;
	struct rig r;

	(void)state;
	rig_open(&r);
	id = begin_to_read(&reader, &r);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct waiter){ .r = &r };
		w[i].thread = go(settle, &w[i]);
	}
	usleep(10000);
	for (int i = 0; i < 3; i++)
		peer_reply(&r, peer_expect(&r, MAP, 0).id, MAP, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		join(w[i].thread);
		assert_int_equal(w[i].ret, 0);
	}
	peer_reply(&r, id, READ, NULL, 0);
	join(reader.thread);
	assert_int_equal(reader.ret, 0);
	assert_int_equal(rig_close(&r), 0);
}

static void a_thread_that_waits_sends_what_another_has_corked(void **state)
{
	struct waiter reader, w;
	unsigned id;
	struct rig r;

	(void)state;
	rig_open(&r);
	id = begin_to_read(&reader, &r);
	proxy_cork(r.p, true);
	post(&r, WRITE, 0);
	usleep(20000);
	assert_true(peer_idle(&r)); /* the reader leaves the cork in */
	begin(&w, &r, MAP, LONG);
	peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
	peer_reply(&r, peer_expect(&r, MAP, 0).id, MAP, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	peer_reply(&r, id, READ, NULL, 0);
	join(reader.thread);
	assert_int_equal(reader.ret, 0);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- Requests beside many threads ---------------------------------------------- */

static atomic_int handling;

static void handle_slowly(void *arg, struct vuser_exchange *x)
{
	must(atomic_fetch_add(&handling, 1) == 0); /* never two at a time */
	if (x->h.id % 500 == 0)
		usleep(3000);
	rig_echo(arg, x);
	atomic_fetch_sub(&handling, 1);
}

/* More than may wait comes while one thread handles and another reads. */
static void a_flood_is_handled_in_order_beside_a_reader(void **state)
{
	enum { N = 6000 };
	uint8_t *msg = malloc(N * VUSER_HEADER_SIZE);
	struct waiter w[3];
	struct rig r;

	(void)state;
	assert_non_null(msg);
	rig_init(&r);
	r.o.request = handle_slowly;
	rig_start(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		begin(&w[i], &r, READ, LONG);
		peer_expect(&r, READ, 0);
	}
	for (unsigned i = 0; i < N; i++)
		message_put(msg + i * VUSER_HEADER_SIZE, i, DMA_READ, 0, 0, NULL, 0);
	peer_send(&r, msg, N / 2 * VUSER_HEADER_SIZE);
	peer_reply(&r, 1, READ, NULL, 0); /* amid the flood */
	peer_send(&r, msg + N / 2 * VUSER_HEADER_SIZE, N / 2 * VUSER_HEADER_SIZE);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(peer_expect(&r, DMA_READ, VUSER_TYPE_REPLY).id, i);
	peer_reply(&r, 0, READ, NULL, 0);
	peer_reply(&r, 2, READ, NULL, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		join(w[i].thread);
		assert_int_equal(w[i].ret, 0);
	}
	assert_int_equal(r.nrequests, N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(r.requests[i], i);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
	free(msg);
}

static void ask_back(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;
	struct vuser_exchange *own = build(r, MAP, 0);
	struct vuser_error e;

	must(proxy_call(r->p, own, &e) == 0);
	proxy_release(r->p, own);
	rig_echo(r, x);
}

static void a_handler_that_waits_holds_nothing_back(void **state)
{
	struct waiter w;
	unsigned id, own;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.request = ask_back;
	rig_start(&r);
	id = begin_to_read(&w, &r);
	peer_request(&r, 1, DMA_READ, NULL, 0);
	own = peer_expect(&r, MAP, 0).id;
	usleep(10000); /* until its handler sleeps */
	post(&r, WRITE, 0);
	peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
	peer_reply(&r, own, MAP, NULL, 0);
	peer_expect(&r, DMA_READ, VUSER_TYPE_REPLY);
	peer_reply(&r, id, READ, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	assert_int_equal(rig_close(&r), 0);
}

static void handle_in_a_while(void *arg, struct vuser_exchange *x)
{
	must(atomic_fetch_add(&handling, 1) == 0);
	usleep(50);
	rig_echo(arg, x);
	atomic_fetch_sub(&handling, 1);
}

static void *ask_without_end(void *arg)
{
	uint8_t msg[VUSER_HEADER_SIZE], replies[4096];
	struct rig *r = arg;

	message_put(msg, 0, DMA_READ, 0, 0, NULL, 0);
	while (!stop) {
		if (send(r->fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			usleep(100);
		(void)recv(r->fd, replies, sizeof(replies), MSG_DONTWAIT);
	}
	return NULL;
}

static void requests_without_end_keep_nobody_from_its_reply(void **state)
{
	struct waiter w[3];
	pthread_t peer;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.o.request = handle_in_a_while;
	rig_start(&r);
	stop = false;
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		begin(&w[i], &r, READ, LONG);
		peer_expect(&r, READ, 0);
	}
	peer = go(ask_without_end, &r);
	usleep(20000);
	/* Sent amid the requests: both senders send whole messages in one call. */
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		peer_reply(&r, i, READ, NULL, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		join(w[i].thread);
		assert_int_equal(w[i].ret, 0);
	}
	stop = true;
	join(peer);
	rig_close(&r);
}

static void answer_long(void *arg, struct vuser_exchange *x)
{
	struct rig *r = arg;
	struct vuser_exchange *reply;
	void *payload;

	reply = proxy_reply(r->p, x, 50000, &payload);
	must(reply);
	memset(payload, 1, 50000);
	proxy_reply_send(r->p, reply);
}

/* The one whose thread handled them has gone; its replies must not stay behind. */
static void replies_go_out_though_their_thread_has_left(void **state)
{
	uint8_t msg[11 * VUSER_HEADER_SIZE];
	struct waiter w[2];
	unsigned left;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.sndbuf = SMALL;
	r.o.request = answer_long;
	rig_start(&r);
	begin_to_read(&w[0], &r);
	begin(&w[1], &r, READ, LONG);
	peer_expect(&r, READ, 0);
	usleep(5000);
	/* The reader takes the requests and its own reply in one read, and handles them.
	 */
	for (unsigned i = 0; i < 10; i++)
		message_put(msg + i * VUSER_HEADER_SIZE, i, DMA_READ, 0, 0, NULL, 0);
	message_put(msg + 10 * VUSER_HEADER_SIZE, 0, READ, VUSER_TYPE_REPLY, 0, NULL, 0);
	peer_send(&r, msg, sizeof(msg));
	join(w[0].thread);
	assert_int_equal(w[0].ret, 0);
	for (left = 10; left; left--)
		peer_expect(&r, DMA_READ, VUSER_TYPE_REPLY);
	peer_reply(&r, 1, READ, NULL, 0);
	join(w[1].thread);
	assert_int_equal(w[1].ret, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_wait_survives_short_ones_beside_it),
		cmocka_unit_test(the_reader_leaves_and_another_one_reads),
		cmocka_unit_test(those_who_give_up_hand_the_turn_on),
		cmocka_unit_test(what_others_queue_goes_out_while_one_reads),
		cmocka_unit_test(a_forced_queue_goes_out_while_one_reads),
		cmocka_unit_test(a_reply_ends_a_wait_though_the_socket_is_full),
		cmocka_unit_test(all_who_wait_for_room_are_woken),
		cmocka_unit_test(all_who_settle_are_woken),
		cmocka_unit_test(a_thread_that_waits_sends_what_another_has_corked),
		cmocka_unit_test(a_flood_is_handled_in_order_beside_a_reader),
		cmocka_unit_test(a_handler_that_waits_holds_nothing_back),
		cmocka_unit_test(requests_without_end_keep_nobody_from_its_reply),
		cmocka_unit_test(replies_go_out_though_their_thread_has_left),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
