/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine: a connection that many threads share, from first use to loss. */
#include <signal.h>
#include <stdatomic.h>

#include "script_peer.h"

#define READ	 VUSER_CMD_REGION_READ
#define WRITE	 VUSER_CMD_REGION_WRITE
#define MAP	 VUSER_CMD_DMA_MAP
#define DMA_READ VUSER_CMD_DMA_READ
#define SMALL	 4608

static atomic_bool stop;

/* ---- A peer that answers what it is asked, in no order ------------------------- */

#define HELD 32u

struct held {
	uint8_t msg[HELD][VUSER_HEADER_SIZE + 64];
	size_t len[HELD];
	unsigned n;
	uint32_t seed;
};

/* The reply repeats the payload of the command. */
static void hold_reply(struct held *held, const struct message *m)
{
	size_t len = m->len < sizeof(held->msg[0]) ? m->len : sizeof(held->msg[0]);

	held->len[held->n] =
		message_put(held->msg[held->n], m->h.id, m->h.command, VUSER_TYPE_REPLY,
			    0, m->bytes + VUSER_HEADER_SIZE, len - VUSER_HEADER_SIZE);
	held->n++;
}

static void answer_held(struct rig *r, struct held *held)
{
	while (held->n) {
		unsigned i;

		held->seed = held->seed * 1664525u + 1013904223u;
		i = (held->seed >> 16) % held->n;
		peer_send(r, held->msg[i], held->len[i]);
		held->n--;
		memmove(held->msg[i], held->msg[held->n], sizeof(held->msg[0]));
		held->len[i] = held->len[held->n];
	}
}

/* Posted messages get no reply. */
static void *answer_in_disorder(void *arg)
{
	struct message *m = malloc(sizeof(*m));
	struct held held = { .seed = 1 };
	struct rig *r = arg;

	must(m);
	while (peer_get(r, m)) {
		for (size_t i = 0; i < m->nfds; i++)
			close(m->fds[i]);
		if (!(m->h.flags & (VUSER_FLAG_NO_REPLY | VUSER_TYPE_REPLY)))
			hold_reply(&held, m);
		if (held.n == HELD || peer_idle(r))
			answer_held(r, &held);
	}
	free(m);
	return NULL;
}

static void stop_peer(struct rig *r, pthread_t peer)
{
	shutdown(r->fd, SHUT_RDWR);
	join(peer);
}

/* ---- Thousands of exchanges ---------------------------------------------------- */

struct worker {
	struct rig *r;
	unsigned number, count;
	pthread_t thread;
};

/* Each exchange must get its own reply, told by what it sent. */
static void *exchange(void *arg)
{
	struct worker *w = arg;
	struct vuser_error e;

	for (uint32_t i = 0; i < w->count; i++) {
		uint32_t payload[2] = { w->number, i };
		struct vuser_exchange *x;

		x = proxy_build(w->r->p, READ, payload, sizeof(payload), NULL, 0, &e);
		must(x);
		must(proxy_call(w->r->p, x, &e) == 0);
		must(x->head_len == sizeof(payload));
		must(memcmp(x->head, payload, sizeof(payload)) == 0);
		proxy_release(w->r->p, x);
	}
	return NULL;
}

static void exchange_in_threads(unsigned threads, unsigned count)
{
	struct worker w[8];
	pthread_t peer;
	struct rig r;

	rig_open(&r);
	peer = go(answer_in_disorder, &r);
	for (unsigned i = 0; i < threads; i++) {
		w[i] = (struct worker){ .r = &r, .number = i, .count = count };
		w[i].thread = go(exchange, &w[i]);
	}
	for (unsigned i = 0; i < threads; i++)
		join(w[i].thread);
	assert_int_equal(rig_stats(&r).sent[READ].messages, threads * count);
	assert_int_equal(rig_stats(&r).received[READ].messages, threads * count);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	assert_int_equal(r.nevents, 0);
	stop_peer(&r, peer);
	assert_int_equal(rig_close(&r), 0);
}

static void two_threads_share_a_connection(void **state)
{
	(void)state;
	exchange_in_threads(2, 3000);
}

static void eight_threads_share_a_connection(void **state)
{
	(void)state;
	exchange_in_threads(8, 1500);
}

/* Several in flight, waited for in another order than they were started in. */
static void *exchange_many(void *arg)
{
	struct worker *w = arg;
	struct vuser_exchange *x[16];
	struct vuser_error e;

	for (uint32_t i = 0; i < w->count; i++) {
		for (uint32_t k = 0; k < ARRAY_SIZE(x); k++) {
			uint32_t payload[3] = { w->number, i, k };

			x[k] = proxy_build(w->r->p, READ, payload, sizeof(payload), NULL,
					   0, &e);
			must(x[k]);
			must(proxy_start(w->r->p, x[k], EXCHANGE_WAIT, &e) == 0);
		}
		for (uint32_t k = 0; k < ARRAY_SIZE(x); k++) {
			uint32_t n = (k * 5 + i) % ARRAY_SIZE(x);
			uint32_t payload[3] = { w->number, i, n };

			must(proxy_wait(w->r->p, x[n], LONG, &e) == 0);
			must(memcmp(x[n]->head, payload, sizeof(payload)) == 0);
			proxy_release(w->r->p, x[n]);
		}
	}
	return NULL;
}

static void threads_with_many_in_flight_share_a_small_socket(void **state)
{
	struct worker w[4];
	pthread_t peer;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.sndbuf = SMALL;
	rig_start(&r);
	peer = go(answer_in_disorder, &r);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker){ .r = &r, .number = i, .count = 100 };
		w[i].thread = go(exchange_many, &w[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		join(w[i].thread);
	assert_int_equal(r.nevents, 0);
	stop_peer(&r, peer);
	assert_int_equal(rig_close(&r), 0);
}

/* All that a user may do, at once, against a peer that asks as well. */
static void *do_all(void *arg)
{
	struct worker *w = arg;
	struct proxy *p = w->r->p;
	uint32_t seed = w->number + 1;
	struct vuser_exchange *x;
	struct vuser_error e;
	int ret;

	for (uint32_t i = 0; i < w->count; i++) {
		seed = seed * 1664525u + 1013904223u;
		switch (seed >> 29) {
		case 0:
			x = build(w->r, MAP, 32);
			x->fds[0] = 0;
			x->nfds = 1;
			must(proxy_start(p, x, EXCHANGE_NOWAIT, &e) == 0);
			break;
		case 1:
			must(proxy_settle(p, &e) == 0);
			must(!proxy_next_failed(p));
			break;
		case 2:
		case 3:
			post(w->r, WRITE, seed >> 8 & 0xff);
			break;
		case 4: /* may be late */
			x = build(w->r, READ, 8);
			must(proxy_start(p, x, EXCHANGE_WAIT, &e) == 0);
			ret = proxy_wait(p, x, (seed >> 8 & 0xff) * 1000 + 1, &e);
			must(ret == 0 || ret == VUSER_E_TIMEOUT);
			proxy_release(p, x);
			break;
		case 5:
			proxy_cork(p, true);
			post(w->r, WRITE, 8);
			post(w->r, WRITE, 8);
			proxy_cork(p, false);
			break;
		case 6:
			must(proxy_process(p, &e) == 0);
			break;
		default:
			x = build(w->r, READ, 8);
			must(proxy_call(p, x, &e) == 0);
			proxy_release(p, x);
		}
	}
	return NULL;
}

static void *ask_now_and_then(void *arg)
{
	struct worker *w = arg;
	uint8_t msg[20 * VUSER_HEADER_SIZE];

	/* In one piece: another thread sends replies at the same time. */
	for (unsigned i = 0; i < w->count; i++) {
		for (unsigned k = 0; k < 20; k++)
			message_put(msg + k * VUSER_HEADER_SIZE, i * 20 + k, DMA_READ, 0,
				    0, NULL, 0);
		must(send(w->r->fd, msg, sizeof(msg), MSG_NOSIGNAL) == sizeof(msg));
		usleep(500);
	}
	return NULL;
}

static void everything_at_once(void **state)
{
	struct worker w[6], asker;
	struct vuser_stats s;
	pthread_t peer;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.sndbuf = SMALL;
	rig_start(&r);
	peer = go(answer_in_disorder, &r);
	asker = (struct worker){ .r = &r, .count = 200 };
	asker.thread = go(ask_now_and_then, &asker);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker){ .r = &r, .number = i, .count = 1500 };
		w[i].thread = go(do_all, &w[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		join(w[i].thread);
	join(asker.thread);
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	do { /* until the peer has had its say */
		usleep(1000);
		process(&r);
		s = rig_stats(&r);
	} while (s.queued || s.sent[DMA_READ].messages < 4000 ||
		 s.received[READ].messages < s.sent[READ].messages);
	for (unsigned i = 0; i < 4000; i++)
		assert_int_equal(r.requests[i], i);
	assert_int_equal(s.outstanding, 0);
	assert_int_equal(s.unexpected, 0);
	assert_int_equal(s.refused, 0);
	assert_int_equal(r.events[VUSER_EVENT_UNEXPECTED], 0);
	stop_peer(&r, peer);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- The owner drives beside waiters ------------------------------------------- */

static void *drive_by_poll(void *arg)
{
	struct rig *r = arg;
	struct vuser_error e;

	while (!stop) {
		struct pollfd pfd = { .fd = proxy_fd(r->p),
				      .events = proxy_events(r->p) };

		must(poll(&pfd, 1, 1) >= 0);
		must(proxy_process(r->p, &e) == 0);
	}
	return NULL;
}

static void the_owner_may_poll_while_others_wait(void **state)
{
	struct worker w[2];
	pthread_t peer, owner;
	struct rig r;

	(void)state;
	rig_init(&r);
	r.sndbuf = SMALL;
	rig_start(&r);
	stop = false;
	peer = go(answer_in_disorder, &r);
	owner = go(drive_by_poll, &r);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker){ .r = &r, .number = i, .count = 1000 };
		w[i].thread = go(exchange, &w[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		join(w[i].thread);
	stop = true;
	join(owner);
	stop_peer(&r, peer);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- The end, for many --------------------------------------------------------- */

static void lose_with_many_waiters(const void *last, size_t len, int code)
{
	struct waiter w[16];
	struct rig r;

	rig_open(&r);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	peer_expect(&r, MAP, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		begin(&w[i], &r, READ, i % 2 ? LONG : 0);
		peer_expect(&r, READ, 0);
	}
	peer_send(&r, last, len);
	if (code == VUSER_E_CLOSED)
		peer_close(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		join(w[i].thread);
		assert_int_equal(w[i].ret, code);
		assert_string_equal(w[i].e.text, w[0].e.text);
	}
	assert_int_equal(r.events[VUSER_EVENT_LOST], 1);
	assert_int_equal(rig_stats(&r).outstanding, 0);
	assert_int_equal(rig_close(&r), 0);
}

static void losing_the_connection_fails_all_who_wait(void **state)
{
	uint8_t msg[VUSER_HEADER_SIZE + 4];

	(void)state;
	message_put(msg, 0, READ, VUSER_TYPE_REPLY, 0, NULL, 4);
	lose_with_many_waiters(msg, 0, VUSER_E_CLOSED);
	lose_with_many_waiters(msg, sizeof(msg) - 1, VUSER_E_CLOSED);
	memset(msg, 0, sizeof(msg));
	lose_with_many_waiters(msg, sizeof(msg), VUSER_E_PROTOCOL);
}

static void losing_the_connection_fails_who_waits_for_room(void **state)
{
	struct waiter reader;
	struct vuser_exchange *x;
	static uint8_t data[65536];
	struct rig r;
	int ret = 0;

	(void)state;
	for (int beside = 0; beside < 2; beside++) {
		rig_init(&r);
		r.o.timeout = 50 * MS;
		rig_start(&r);
		if (beside)
			begin_to_read(&reader, &r);
		for (int i = 0; i < 1000 && ret != VUSER_E_CLOSED; i++) {
			if (ret == VUSER_E_TIMEOUT && r.fd >= 0)
				peer_close(&r);
			x = proxy_build(r.p, WRITE, NULL, 0, data, sizeof(data), &r.e);
			assert_non_null(x);
			x->h.flags |= VUSER_FLAG_NO_REPLY;
			ret = proxy_start(r.p, x, EXCHANGE_ASYNC, &r.e);
			assert_true(ret == 0 || ret == VUSER_E_TIMEOUT ||
				    ret == VUSER_E_CLOSED);
		}
		assert_int_equal(ret, VUSER_E_CLOSED);
		ret = 0;
		if (beside) {
			join(reader.thread);
			assert_int_equal(reader.ret, VUSER_E_CLOSED);
		}
		assert_int_equal(rig_close(&r), 0);
	}
}

/* ---- Giving up by a signal ----------------------------------------------------- */

static void *settle(void *arg)
{
	struct waiter *w = arg;

	w->ret = proxy_settle(w->r->p, &w->e);
	return NULL;
}

static atomic_bool give_up;

static bool asked(void *arg)
{
	struct rig *r = arg;
	struct vuser_stats s;

	proxy_stats(r->p, &s); /* it is called without locks */
	return give_up;
}

static void nothing(int sig)
{
	(void)sig;
}

/* Signals the thread until it has ended, or a number of times. */
static void interrupt(struct waiter *w, int times)
{
	while (times-- && pthread_tryjoin_np(w->thread, NULL) != 0) {
		pthread_kill(w->thread, SIGUSR1);
		usleep(2000);
	}
}

static void a_signal_may_cancel_a_wait(void **state)
{
	static const int flags[] = { 0, SA_RESTART };
	struct waiter w;
	struct rig r;
	unsigned id;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct sigaction sa = { .sa_handler = nothing, .sa_flags = flags[i] };

		assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
		rig_init(&r);
		r.o.cancelled = asked;
		rig_start(&r);
		give_up = false;
		begin(&w, &r, READ, 0);
		id = peer_expect(&r, READ, 0).id;
		interrupt(&w, 10);
		assert_int_equal(rig_stats(&r).outstanding, 1); /* asked, it went on */
		give_up = true;
		interrupt(&w, -1);
		assert_int_equal(w.ret, VUSER_E_CANCELLED);
		assert_int_equal(rig_stats(&r).outstanding, 0);
		assert_int_equal(rig_stats(&r).timeouts, 0);
		peer_reply(&r, id, READ, NULL, 0);
		process(&r);
		assert_int_equal(r.events[VUSER_EVENT_LATE], 1);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void signals_without_a_cancel_function_are_ignored(void **state)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct waiter w;
	struct rig r;
	unsigned id;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	rig_open(&r);
	begin(&w, &r, READ, LONG);
	id = peer_expect(&r, READ, 0).id;
	for (int i = 0; i < 10; i++) {
		pthread_kill(w.thread, SIGUSR1);
		usleep(1000);
	}
	peer_reply(&r, id, READ, NULL, 0);
	join(w.thread);
	assert_int_equal(w.ret, 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void a_signal_may_cancel_a_settle(void **state)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct vuser_exchange *x;
	struct waiter w;
	struct rig r;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	rig_init(&r);
	r.o.cancelled = asked;
	rig_start(&r);
	give_up = true;
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	w = (struct waiter){ .r = &r };
	w.thread = go(settle, &w);
	interrupt(&w, -1);
	assert_int_equal(w.ret, VUSER_E_CANCELLED);
	x = proxy_next_failed(r.p);
	assert_non_null(x);
	assert_int_equal(x->result, VUSER_E_CANCELLED);
	proxy_release(r.p, x);
	assert_int_equal(rig_stats(&r).timeouts, 0);
	peer_reply(&r, peer_expect(&r, MAP, 0).id, MAP, NULL, 0);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_LATE], 1);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_share_a_connection),
		cmocka_unit_test(eight_threads_share_a_connection),
		cmocka_unit_test(threads_with_many_in_flight_share_a_small_socket),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(the_owner_may_poll_while_others_wait),
		cmocka_unit_test(losing_the_connection_fails_all_who_wait),
		cmocka_unit_test(losing_the_connection_fails_who_waits_for_room),
		cmocka_unit_test(a_signal_may_cancel_a_wait),
		cmocka_unit_test(signals_without_a_cancel_function_are_ignored),
		cmocka_unit_test(a_signal_may_cancel_a_settle),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
