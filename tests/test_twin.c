/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_twin.c: what the twin socket may be, what comes over it, its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "twin_rig.h"

/* ---- Agreed or not ---------------------------------------------------------------- */

static void use_both(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e);

	p->fd = e.twin;
	dma_read(p, 1, "memory");
	dma_write(p, 2, 8, "written");
	p->fd = e.first;
	dma_read(p, 3, "memory"); /* where it should not be, it is answered */
	answer_read(p, &e, h);
	part(p, &e);
}

static void requests_come_over_the_twin_and_their_replies_go_there(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(use_both);
	struct vuser_stats s;
	char bytes[7];

	(void)state;
	read_it(r);
	assert_int_equal(vuser_mem_read(r->client, MEMORY + 8, bytes, 7, &r->e), 0);
	assert_memory_equal(bytes, "written", 7);
	vuser_client_stats(r->client, &s);
	assert_int_equal(s.received[VUSER_CMD_DMA_READ].messages, 2);
	assert_int_equal(s.received[VUSER_CMD_DMA_WRITE].messages, 1);
	assert_int_equal(s.received[VUSER_CMD_DMA_WRITE].bytes, 32 + 7);
	assert_int_equal(s.sent[VUSER_CMD_DMA_READ].messages, 2);
	assert_int_equal(s.sent[VUSER_CMD_DMA_READ].bytes, 2 * (32 + 6));
	assert_int_equal(s.sent[VUSER_CMD_REGION_READ].messages, 1);
	assert_int_equal(r->events.n, 0);
	end(r);
	assert_int_equal(open_fds(), before);
}

static void use_one(struct peer *p)
{
	struct ends e = { .first = p->fd };
	struct vuser_header h;

	answer_version(p, 0, 2, "{}", -1);
	answer_map(p);
	h = take_read(p, &e);
	dma_read(p, 1, "memory");
	answer_read(p, &e, h);
}

static void without_it_requests_come_over_the_first(void **state)
{
	struct vuser_options o = lax_options();
	unsigned before = open_fds();

	(void)state;
	for (int offered = 0; offered < 2; offered++) {
		struct rig *r;

		o.caps.twin_supported = offered;
		r = begin_ungreeted(use_one, NULL, o);
		map(r);
		assert_false(vuser_client_twin(r->client));
		assert_int_equal(vuser_client_twin_lost(r->client, NULL), 0);
		read_it(r);
		end(r);
	}
	assert_int_equal(open_fds(), before);
}

/* ---- Descriptors that are no twin ------------------------------------------------- */

static int make_socket(int type)
{
	return socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
}

static int make_datagrams(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	close(pair[1]);
	return pair[0];
}

static int make_file(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int make_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

static int make_unconnected(void)
{
	return make_socket(SOCK_STREAM);
}

static int make_listener(void)
{
	int fd = make_socket(SOCK_STREAM);

	/* The kernel gives it a name of its own. */
	bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t));
	listen(fd, 1);
	return fd;
}

static int make_stream(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	close(pair[1]);
	return pair[0];
}

#define SAYS(twin) "{\"capabilities\":{\"twin_socket\":{" twin "}}}"

struct bad_twin {
	const char *json;
	size_t nfds;
	int (*make)(void);
	const char *field;
};

static void say_bad_twin(struct peer *p)
{
	const struct bad_twin *bad = p->arg;
	int fds[17];

	for (size_t i = 0; i < bad->nfds; i++)
		fds[i] = bad->make();
	take(p, VUSER_CMD_VERSION);
	answer_with(p, REPLY, 0, "22", VALUES(0, 2), bad->json, strlen(bad->json) + 1,
		    fds, bad->nfds);
	for (size_t i = 0; i < bad->nfds; i++)
		close(fds[i]);
}

static void what_is_no_twin_is_refused_and_closed(void **state)
{
	static const struct bad_twin rows[] = {
		{ AGREES, 0, make_stream, "twin_socket.fd_index" },
		{ SAYS("\"supported\":true"), 1, make_stream, "twin_socket.fd_index" },
		{ SAYS("\"supported\":true,\"fd_index\":1"), 1, make_stream,
		  "twin_socket.fd_index" },
		{ SAYS("\"supported\":true,\"fd_index\":18446744073709551615"), 1,
		  make_stream, "twin_socket.fd_index" },
		{ SAYS("\"supported\":false"), 1, make_stream, "fds" },
		{ SAYS("\"supported\":false,\"fd_index\":0"), 1, make_stream, "fds" },
		{ AGREES, 2, make_stream, "fds" },
		{ AGREES, 17, make_stream, "fds" },
		{ AGREES, 1, make_file, "twin_socket.fd_index" },
		{ AGREES, 1, make_eventfd, "twin_socket.fd_index" },
		{ AGREES, 1, make_datagrams, "twin_socket.fd_index" },
		{ AGREES, 1, make_unconnected, "twin_socket.fd_index" },
		{ AGREES, 1, make_listener, "twin_socket.fd_index" },
	};
	unsigned before = open_fds();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r =
			begin_ungreeted(say_bad_twin, &rows[i], patient_options());

		assert_failed(r, r->result, VUSER_E_PROTOCOL, 0);
		assert_string_equal(r->e.field, rows[i].field);
		assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], 1);
		end(r);
	}
	assert_int_equal(open_fds(), before);
}

/* ---- Its end, and what is wrong with it ------------------------------------------- */

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void close_twin(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e);

	part(p, &e);
	usleep(40000); /* it waits meanwhile, and does not keep looking */
	answer_read(p, &e, h);
	h = take_read(p, &e);
	dma_read(p, 7, "memory");
	answer_read(p, &e, h);
}

/* Of an owner that polls: how often it is woken for nothing. */
static unsigned woken(struct rig *r)
{
	struct pollfd fd = { .fd = vuser_client_fd(r->client),
			     .events = vuser_client_events(r->client) };
	unsigned n = 0;

	for (; n < 100 && poll(&fd, 1, 0) == 1; n++)
		assert_int_equal(vuser_client_process(r->client, &r->e), 0);
	return n;
}

static void the_end_of_the_twin_is_not_the_end(void **state)
{
	struct rig *r = begin(close_twin);
	int64_t spent = cpu_ns();
	struct vuser_error e;

	(void)state;
	read_it(r);
	assert_true(cpu_ns() - spent < 20000000);
	assert_int_equal(vuser_client_twin_lost(r->client, &e), VUSER_E_CLOSED);
	assert_int_equal(vuser_client_lost(r->client, NULL), 0);
	assert_int_equal(r->events.n, 0);
	assert_int_equal(woken(r), 0);
	read_it(r);
	end(r);
}

static void close_twin_at_once(struct peer *p)
{
	struct ends e = agree(p);

	part(p, &e);
	answer_read(p, &e, take_read(p, &e));
}

static void an_owner_that_polls_is_not_woken_for_ever(void **state)
{
	struct rig *r = begin(close_twin_at_once);
	struct pollfd fd = { .fd = vuser_client_fd(r->client),
			     .events = vuser_client_events(r->client) };

	(void)state;
	assert_int_equal(poll(&fd, 1, 30000), 1);
	assert_int_equal(vuser_client_process(r->client, &r->e), 0);
	assert_int_equal(vuser_client_twin_lost(r->client, NULL), VUSER_E_CLOSED);
	assert_int_equal(poll(&fd, 1, 0), 0); /* without asking for the events again */
	assert_int_equal(woken(r), 0);
	read_it(r);
	end(r);
}

static void talk_garbage(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e), other;

	p->fd = e.twin;
	put_bytes(p, "\1\0\13\0\1\0\0\0\0\0\0\0\0\0\0\0", 16); /* size 1 */
	other = take_read(p, &e); /* of whoever hears of that */
	answer_read(p, &e, other);
	answer_read(p, &e, h);
	part(p, &e);
}

static void read_when_told(void *arg, const struct vuser_event *ev)
{
	struct rig *r = arg;

	note_event(&r->events, ev);
	read_it(r);
}

static void garbage_on_the_twin_is_told_and_the_first_stands(void **state)
{
	struct vuser_options o = lax_options();
	struct rig *r = new_rig(talk_garbage, NULL);
	struct vuser_error e;
	int pair[2];

	(void)state;
	o.event = read_when_told;
	o.arg = r;
	socket_pair(pair);
	r->peer.fd = pair[1];
	assert_int_equal(pthread_create(&r->peer.thread, NULL, play, &r->peer), 0);
	r->result = vuser_client_attach(pair[0], &o, &r->client, &r->e);
	map(r);
	read_it(r);
	assert_int_equal(r->events.n, 1);
	assert_int_equal(r->events.of[VUSER_EVENT_TWIN], 1);
	assert_int_equal(r->events.first.error.code, VUSER_E_PROTOCOL);
	assert_string_equal(r->events.first.error.field, "size");
	assert_int_equal(r->events.first.len, 16);
	assert_int_equal(vuser_client_twin_lost(r->client, &e), VUSER_E_PROTOCOL);
	assert_int_equal(vuser_client_lost(r->client, NULL), 0);
	assert_int_equal(woken(r), 0);
	end(r);
}

static void ask_for_what_is_not_theirs(struct peer *p)
{
	struct ends e = agree(p);
	struct vuser_header h = take_read(p, &e);

	p->fd = e.twin;
	put(p, (struct vuser_header){ .command = VUSER_CMD_DEVICE_RESET }, "", NULL, NULL,
	    0, NULL, 0);
	take(p, VUSER_CMD_DEVICE_RESET);
	if (p->h.flags != (REPLY | VUSER_FLAG_ERROR) || p->h.error != EINVAL)
		go_wrong(p, "it was not refused");
	put(p, (struct vuser_header){ .command = VUSER_CMD_DMA_READ, .flags = REPLY }, "",
	    NULL, NULL, 0, NULL, 0);
	dma_read(p, 9, "memory");
	answer_read(p, &e, h);
	part(p, &e);
}

static void what_does_not_belong_on_the_twin_is_told(void **state)
{
	struct rig *r = begin(ask_for_what_is_not_theirs);
	struct vuser_stats s;

	(void)state;
	read_it(r);
	assert_int_equal(r->events.of[VUSER_EVENT_REQUEST], 1);
	assert_int_equal(r->events.of[VUSER_EVENT_UNEXPECTED], 1);
	assert_int_equal(r->events.n, 2);
	vuser_client_stats(r->client, &s);
	assert_int_equal(s.unexpected, 1);
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_over_the_twin_and_their_replies_go_there),
		cmocka_unit_test(without_it_requests_come_over_the_first),
		cmocka_unit_test(what_is_no_twin_is_refused_and_closed),
		cmocka_unit_test(the_end_of_the_twin_is_not_the_end),
		cmocka_unit_test(an_owner_that_polls_is_not_woken_for_ever),
		cmocka_unit_test(garbage_on_the_twin_is_told_and_the_first_stands),
		cmocka_unit_test(what_does_not_belong_on_the_twin_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
