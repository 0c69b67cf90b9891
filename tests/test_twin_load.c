/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/proxy_twin.c: much over the twin socket, threads, signals, owners that
 * poll.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "twin_rig.h"

/* ---- Much of it ------------------------------------------------------------------- */

#define MANY 2000u

static void flood(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e);

	p->fd = e.twin;
	for (unsigned i = 0; i < MANY; i++)
		put_dma_read(p, (uint16_t)i, 8);
	for (unsigned i = 0; i < MANY; i++)
		take_dma_reply(p, (uint16_t)i, 8);
	answer_read(p, &e, h);
	part(p, &e);
}

static void a_flood_is_answered_while_a_command_waits(void **state)
{
	struct rig *r = begin(flood);
	struct vuser_window w;

	(void)state;
	read_it(r);
	assert_true(vuser_window_get(r->client, 0, &w));
	assert_int_equal(w.reads, MANY);
	assert_int_equal(w.read_bytes, MANY * 8);
	assert_int_equal(r->events.n, 0);
	end(r);
}

/* As many as their socket takes at once, whose replies do not fit into it. */
static unsigned fill(struct peer *p, const struct ends *e)
{
	uint8_t msg[64];
	unsigned n = 0;

	while (n < MANY) {
		struct vuser_header h = { .id = (uint16_t)n,
					  .command = VUSER_CMD_DMA_READ };
		size_t len = pack_message(msg, h, "88", VALUES(MEMORY, PAGE));
		ssize_t sent = send(e->twin, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			break;
		n++;
	}
	if (n < 200)
		go_wrong(p, "so few do not fill it");
	return n;
}

static void read_late(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e);
	unsigned n = fill(p, &e);

	answer_read(p, &e, h);
	h = take_read(p, &e); /* it had its answer, though the twin was full */
	p->fd = e.twin;
	for (unsigned i = 0; i < n; i++)
		take_dma_reply(p, (uint16_t)i, PAGE);
	answer_read(p, &e, h);
	part(p, &e);
}

static void replies_wait_for_room_on_the_twin_and_nothing_else_does(void **state)
{
	struct rig *r = begin(read_late);
	struct vuser_stats s;

	(void)state;
	read_it(r);
	read_it(r);
	vuser_client_stats(r->client, &s);
	assert_int_equal(s.queued, 0);
	assert_int_equal(s.sent[VUSER_CMD_DMA_READ].messages,
			 s.received[VUSER_CMD_DMA_READ].messages);
	end(r);
}

static void never_read(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e);

	(void)fill(p, &e);
	answer_read(p, &e, h);
	while (get_message(p)) /* until the client leaves */
		p->surplus++;
	part(p, &e);
	p->wrong = NULL;
}

static void closing_with_replies_in_the_queue_loses_nothing(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(never_read);

	(void)state;
	read_it(r);
	end(r);
	assert_int_equal(open_fds(), before);
}

/* ---- An owner that polls, threads, signals ---------------------------------------- */

static atomic_bool done;

static void ask_who_polls(struct peer *p)
{
	struct ends e = agree(p);
	unsigned n;

	p->fd = e.twin;
	dma_read(p, 1, "memory");
	dma_write(p, 2, 100, "written");
	p->fd = e.first;
	dma_read(p, 3, "memory");
	n = fill(p, &e);
	p->fd = e.twin;
	for (unsigned i = 0; i < n; i++)
		take_dma_reply(p, (uint16_t)i, PAGE);
	p->fd = e.first;
	dma_read(p, 4, "memory");
	part(p, &e);
	atomic_store(&done, true);
}

static void an_owner_that_only_polls_answers_both(void **state)
{
	struct rig *r;
	unsigned rounds = 0;

	(void)state;
	atomic_store(&done, false);
	r = begin(ask_who_polls);
	for (; !atomic_load(&done); rounds++) {
		struct pollfd fd = { .fd = vuser_client_fd(r->client),
				     .events = vuser_client_events(r->client) };

		if (poll(&fd, 1, 10) == 1)
			assert_int_equal(vuser_client_process(r->client, &r->e), 0);
	}
	assert_true(rounds < 10 * MANY); /* it was woken for something */
	assert_int_equal(r->events.n, 0);
	end(r);
}

#define THREADS 4u
#define READS	100u

static void serve_threads(struct peer *p)
{
	struct ends e = agree(p);

	for (unsigned i = 0; i < THREADS * READS; i++) {
		struct vuser_header h = take_read(p, &e);

		p->fd = e.twin;
		dma_read(p, (uint16_t)i, "memory");
		if (i % 4 == 0)
			dma_write(p, (uint16_t)i, 64, "written");
		answer_read(p, &e, h);
	}
	part(p, &e);
	atomic_store(&done, true);
}

static void *read_often(void *arg)
{
	struct rig *r = arg;
	struct vuser_error e;
	uint32_t value;

	for (unsigned i = 0; i < READS; i++)
		if (vuser_read(r->client, 0, 0, &value, sizeof(value), &e))
			return arg;
	return NULL;
}

static void threads_share_both_sockets(void **state)
{
	pthread_t threads[THREADS];
	struct rig *r;
	void *failed;

	(void)state;
	atomic_store(&done, false);
	r = begin(serve_threads);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_often, r), 0);
	while (!atomic_load(&done)) { /* one that polls is in between */
		struct pollfd fd = { .fd = vuser_client_fd(r->client),
				     .events = vuser_client_events(r->client) };

		if (poll(&fd, 1, 1) == 1)
			assert_int_equal(vuser_client_process(r->client, &r->e), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(r->events.n, 0);
	end(r);
}

static atomic_uint signals;

static void on_signal(int signal)
{
	(void)signal;
	atomic_fetch_add(&signals, 1);
}

static bool cancelled(void *arg)
{
	(void)arg;
	return atomic_load(&signals) > 0;
}

struct interruption {
	pthread_t whom;
	atomic_bool over;
};

static void *interrupt(void *arg)
{
	struct interruption *i = arg;

	while (!atomic_load(&i->over)) {
		usleep(1000);
		pthread_kill(i->whom, SIGUSR1);
	}
	return NULL;
}

static void say_nothing(struct peer *p)
{
	struct ends e = agree(p);

	(void)take_read(p, &e);
	p->fd = e.twin;
	dma_read(p, 1, "memory");
	p->fd = e.first;
	while (get_message(p))
		p->surplus++;
	part(p, &e);
	p->wrong = NULL;
}

static void a_signal_gives_a_wait_up(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct interruption i = { .whom = pthread_self() };
	struct vuser_options o = lax_options();
	struct rig *r;
	pthread_t thread;
	uint32_t value;

	(void)state;
	atomic_store(&signals, 0);
	o.cancelled = cancelled;
	r = begin_ungreeted(say_nothing, NULL, o);
	map(r);
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&thread, NULL, interrupt, &i), 0);
	assert_failed(r, vuser_read(r->client, 0, 0, &value, sizeof(value), &r->e),
		      VUSER_E_CANCELLED, EINTR);
	atomic_store(&i.over, true);
	pthread_join(thread, NULL);
	vuser_client_close(r->client);
	r->client = NULL;
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_is_answered_while_a_command_waits),
		cmocka_unit_test(replies_wait_for_room_on_the_twin_and_nothing_else_does),
		cmocka_unit_test(closing_with_replies_in_the_queue_loses_nothing),
		cmocka_unit_test(an_owner_that_only_polls_answers_both),
		cmocka_unit_test(threads_share_both_sockets),
		cmocka_unit_test(a_signal_gives_a_wait_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
