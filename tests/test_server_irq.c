/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_irq.c: what a client asks of interrupts, and what becomes of it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include "notify.h"
#include "stepped_server.h"

/* ---- The device: one type of interrupt of each kind ------------------------------ */

enum { LINE, SET, FREE, NO_EVENTFD, EMPTY, TYPES };

static const struct vuser_irq_desc irqs[TYPES] = {
	[LINE] = { VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE | VUSER_IRQ_AUTOMASKED, 2 },
	[SET] = { VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE, 40 },
	[FREE] = { VUSER_IRQ_EVENTFD | VUSER_IRQ_MASKABLE, 20 },
	[NO_EVENTFD] = { VUSER_IRQ_MASKABLE, 2 },
	[EMPTY] = { VUSER_IRQ_EVENTFD, 0 },
};

static const struct vuser_device description = { .name = "irq",
						 .irqs = irqs,
						 .num_irqs = TYPES };

/* One server for all, as its clients come and go; each finds it as new. */
static struct stepped t;
static unsigned fds_before;

static int power_on(void **state)
{
	(void)state;
	stepped_new(&t, &description, NULL);
	return 0;
}

static int power_off(void **state)
{
	(void)state;
	vuser_server_free(t.server);
	return 0;
}

static int come(void **state)
{
	(void)state;
	fds_before = open_fds();
	stepped_come(&t, "{\"capabilities\":{\"max_msg_fds\":16}}");
	return 0;
}

static int leave(void **state)
{
	(void)state;
	stepped_leave(&t);
	vuser_server_irq_level(t.server, LINE, 0, false);
	vuser_server_irq_level(t.server, LINE, 1, false);
	/* The first watch makes a descriptor of the server's own, which stays. */
	assert_in_range(open_fds(), fds_before, fds_before + 1);
	return 0;
}

/* ---- Commands --------------------------------------------------------------------- */

#define NONE	VUSER_SET_IRQS_DATA_NONE
#define BOOL	VUSER_SET_IRQS_DATA_BOOL
#define EVENT	VUSER_SET_IRQS_DATA_EVENTFD
#define MASK	VUSER_SET_IRQS_MASK
#define UNMASK	VUSER_SET_IRQS_UNMASK
#define TRIGGER VUSER_SET_IRQS_TRIGGER

static int set_irqs(uint32_t argsz, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count, const void *bools, size_t nbools, const int *fds,
		    size_t nfds)
{
	struct answer a;
	int r = stepped_call(&t, &a, VUSER_CMD_DEVICE_SET_IRQS, "44444",
			     VALUES(argsz, flags, index, start, count), bools, nbools,
			     fds, nfds);

	assert_int_equal(a.len, 0);
	return r;
}

static int set_none(uint32_t action, uint32_t index, uint32_t start, uint32_t count)
{
	return set_irqs(20, NONE | action, index, start, count, NULL, 0, NULL, 0);
}

static int set_bool(uint32_t action, uint32_t index, uint32_t start, uint32_t count,
		    const char *bools)
{
	uint8_t bytes[64];

	for (uint32_t i = 0; i < count; i++)
		bytes[i] = bools[i] == '1';
	return set_irqs(20 + count, BOOL | action, index, start, count, bytes, count,
			NULL, 0);
}

static int set_fds(uint32_t action, uint32_t index, uint32_t start, uint32_t count,
		   const int *fds)
{
	return set_irqs(20, EVENT | action, index, start, count, NULL, 0, fds,
			fds ? count : 0);
}

static int disable(uint32_t index)
{
	return set_none(TRIGGER, index, 0, 0);
}

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* What the counter was; it is 0 then. */
static uint64_t take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void add(int fd, uint64_t n)
{
	assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* ---- What is legal ---------------------------------------------------------------- */

static bool one_bit(unsigned bits)
{
	return bits == 1 || bits == 2 || bits == 4;
}

static void flags_are_one_kind_of_data_and_one_action(void **state)
{
	int fds[2] = { make_eventfd(), make_eventfd() };

	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		bool legal = one_bit(flags & 7) && one_bit(flags >> 3);
		size_t nbools = flags & BOOL ? 2 : 0;
		int r = set_irqs((uint32_t)(20 + nbools), flags, FREE, 1, 2, "\0\1",
				 nbools, fds, flags & EVENT ? 2 : 0);

		assert_int_equal(r, legal ? 0 : EINVAL);
		if (!legal)
			assert_non_null(strstr(t.events.first.error.text, "flags"));
	}
	close_all(fds, 2);
}

struct refusal {
	uint32_t argsz, flags, index, start, count;
	const char *bools; /* "12": the bytes 1 and 2 */
	size_t nfds;
	const char *field; /* which the sentence names */
};

static const struct refusal refusals[] = {
	/* argsz below the 20 bytes, or the data behind them */
	{ 0, NONE | TRIGGER, FREE, 0, 1, "", 0, "argsz" },
	{ 19, NONE | TRIGGER, FREE, 0, 1, "", 0, "argsz" },
	{ 20, BOOL | TRIGGER, FREE, 0, 1, "1", 0, "argsz" },
	{ 22, BOOL | TRIGGER, FREE, 0, 3, "111", 0, "argsz" },
	/* types there are not */
	{ 20, NONE | TRIGGER, TYPES, 0, 1, "", 0, "index" },
	{ 20, NONE | TRIGGER, TYPES, 0, 0, "", 0, "index" },
	{ 20, NONE | TRIGGER, UINT32_MAX, 0, 0, "", 0, "index" },
	/* vectors there are not: 20 of them, sums that wrap */
	{ 20, NONE | TRIGGER, FREE, 20, 1, "", 0, "count" },
	{ 20, NONE | TRIGGER, FREE, 21, 0, "", 0, "start" },
	{ 20, NONE | TRIGGER, FREE, UINT32_MAX, 2, "", 0, "start" },
	{ 20, NONE | TRIGGER, FREE, 19, 2, "", 0, "count" },
	{ 20, NONE | TRIGGER, FREE, 1, UINT32_MAX, "", 0, "count" },
	{ 20, EVENT | TRIGGER, FREE, 19, UINT32_MAX - 18, "", 0, "count" },
	{ 20, NONE | TRIGGER, EMPTY, 0, 1, "", 0, "count" },
	/* no vectors, where that does not disable */
	{ 20, NONE | TRIGGER, FREE, 1, 0, "", 0, "count" },
	{ 20, NONE | MASK, FREE, 0, 0, "", 0, "count" },
	{ 20, NONE | UNMASK, FREE, 0, 0, "", 0, "count" },
	{ 20, BOOL | TRIGGER, FREE, 0, 0, "", 0, "count" },
	{ 20, EVENT | TRIGGER, FREE, 0, 0, "", 0, "count" },
	/* what the type cannot do */
	{ 20, NONE | MASK, SET, 0, 1, "", 0, "flags" },
	{ 20, NONE | UNMASK, SET, 0, 1, "", 0, "flags" },
	{ 21, BOOL | MASK, SET, 0, 1, "1", 0, "flags" },
	{ 20, EVENT | UNMASK, SET, 0, 1, "", 1, "flags" },
	{ 20, EVENT | TRIGGER, NO_EVENTFD, 0, 1, "", 1, "flags" },
	{ 20, EVENT | MASK, NO_EVENTFD, 0, 1, "", 0, "flags" },
	/* bools that are none; more or fewer than count */
	{ 22, BOOL | TRIGGER, FREE, 0, 2, "12", 0, "bool" },
	{ 64, BOOL | TRIGGER, FREE, 0, 2, "1", 0, "count" },
	{ 64, BOOL | TRIGGER, FREE, 0, 2, "111", 0, "count" },
	{ 64, NONE | TRIGGER, FREE, 0, 1, "1", 0, "count" },
	{ 64, EVENT | TRIGGER, FREE, 0, 1, "1", 1, "count" },
	/* descriptors: too few, too many, where none belong */
	{ 20, EVENT | TRIGGER, FREE, 0, 3, "", 2, "count" },
	{ 20, EVENT | TRIGGER, FREE, 0, 1, "", 2, "count" },
	{ 20, EVENT | MASK, FREE, 0, 2, "", 1, "count" },
	{ 20, EVENT | UNMASK, FREE, 0, 2, "", 3, "count" },
	{ 20, NONE | TRIGGER, FREE, 0, 1, "", 1, "flags" },
	{ 20, NONE | TRIGGER, FREE, 0, 0, "", 1, "flags" },
	{ 21, BOOL | TRIGGER, FREE, 0, 1, "1", 1, "flags" },
	{ 20, EVENT | TRIGGER, FREE, 0, 17, "", 17, "descriptors" },
};

static void all_else_is_refused_with_the_field_that_is_wrong(void **state)
{
	int fds[17];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = make_eventfd();
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		uint8_t bools[4];
		size_t n = strlen(r->bools);

		for (size_t k = 0; k < n; k++)
			bools[k] = (uint8_t)(r->bools[k] - '0');
		assert_int_equal(set_irqs(r->argsz, r->flags, r->index, r->start,
					  r->count, bools, n, fds, r->nfds),
				 EINVAL);
		if (!strstr(t.events.first.error.text, r->field))
			fail_msg("%zu: no %s in: %s", i, r->field,
				 t.events.first.error.text);
	}
	for (uint32_t n = 0; n < 20; n++)
		assert_false(vuser_server_irq_attached(t.server, FREE, n));
	close_all(fds, ARRAY_SIZE(fds));
}

static void a_larger_argsz_does_no_harm(void **state)
{
	(void)state;
	assert_int_equal(
		set_irqs(UINT32_MAX, NONE | TRIGGER, FREE, 0, 1, NULL, 0, NULL, 0), 0);
}

static void descriptors_that_are_no_eventfds_are_refused_untouched(void **state)
{
	int pipes[2], sockets[2], efd = make_eventfd(), fds[9];
	uint8_t byte;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	socket_pair(sockets);
	fds[0] = pipes[0];
	fds[1] = pipes[1];
	fds[2] = sockets[0];
	fds[3] = sockets[1];
	fds[4] = memfd_create("eventfd", MFD_CLOEXEC);
	fds[5] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	fds[6] = epoll_create1(EPOLL_CLOEXEC);
	fds[7] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[8] = open("/", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		int both[2] = { efd, fds[i] };

		assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &fds[i]), EINVAL);
		assert_int_equal(set_fds(UNMASK, FREE, 0, 1, &fds[i]), EINVAL);
		assert_int_equal(set_fds(TRIGGER, FREE, 0, 2, both), EINVAL);
		assert_non_null(strstr(t.events.first.error.text, "eventfd"));
		assert_false(vuser_server_irq_attached(t.server, FREE, 0));
	}
	assert_int_equal(lseek(fds[4], 0, SEEK_END), 0);
	assert_int_equal(read(pipes[0], &byte, 1), -1);
	close_all(fds, ARRAY_SIZE(fds));
	close(efd);
}

/* ---- Attaching and firing --------------------------------------------------------- */

static void what_is_attached_is_fired(void **state)
{
	int fds[3] = { make_eventfd(), make_eventfd(), make_eventfd() };

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 4, 3, fds), 0);
	for (uint32_t n = 0; n < 20; n++) {
		assert_int_equal(vuser_server_irq_attached(t.server, FREE, n),
				 n >= 4 && n < 7);
		vuser_server_irq(t.server, FREE, n);
	}
	vuser_server_irq(t.server, FREE, 5);
	assert_int_equal(take(fds[0]), 1);
	assert_int_equal(take(fds[1]), 2);
	assert_int_equal(take(fds[2]), 1);
	close_all(fds, 3);
}

static void there_is_nothing_beyond_types_and_vectors(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 4; n++) {
		uint32_t index = n < 2 ? FREE : n == 2 ? (uint32_t)EMPTY : TYPES;
		uint32_t vector = n == 0 ? 20 : n == 1 ? UINT32_MAX : 0;

		vuser_server_irq(t.server, index, vector);
		vuser_server_irq_level(t.server, index, vector, true);
		assert_false(vuser_server_irq_attached(t.server, index, vector));
	}
	vuser_server_irq(t.server, UINT32_MAX, UINT32_MAX);
}

static void no_descriptors_detach_the_range(void **state)
{
	int fds[4] = { make_eventfd(), make_eventfd(), make_eventfd(), make_eventfd() };

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 4, fds), 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 1, 2, NULL), 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 10, 5, NULL), 0); /* there are none */
	for (uint32_t n = 0; n < 4; n++) {
		assert_int_equal(vuser_server_irq_attached(t.server, FREE, n),
				 n == 0 || n == 3);
		vuser_server_irq(t.server, FREE, n);
		assert_int_equal(take(fds[n]), n == 0 || n == 3);
	}
	close_all(fds, 4);
}

static void a_later_eventfd_takes_the_place_of_the_first(void **state)
{
	int first = make_eventfd(), second = make_eventfd();
	unsigned open;

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &first), 0);
	open = open_fds();
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &second), 0);
	assert_int_equal(open_fds(), open);
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(take(first), 0);
	assert_int_equal(take(second), 1);
	close(first);
	close(second);
}

static void disabling_takes_all_of_a_type(void **state)
{
	int fd = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &fd), 0);
	assert_int_equal(set_fds(UNMASK, FREE, 0, 1, &fd), 0);
	assert_int_equal(set_fds(MASK, FREE, 19, 1, &fd), 0);
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, &fd), 0);
	assert_int_equal(set_none(MASK, FREE, 0, 20), 0);
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(disable(FREE), 0);
	assert_int_equal(disable(EMPTY), 0);
	assert_false(vuser_server_irq_attached(t.server, FREE, 0));
	assert_true(vuser_server_irq_attached(t.server, LINE, 0));
	/* Neither the mask nor what was pending is left. */
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &fd), 0);
	assert_int_equal(take(fd), 0);
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(take(fd), 1);
	close(fd);
}

static void a_client_may_trigger_by_itself(void **state)
{
	int fds[3] = { make_eventfd(), make_eventfd(), make_eventfd() };

	(void)state;
	assert_int_equal(set_fds(TRIGGER, SET, 0, 3, fds), 0);
	assert_int_equal(set_none(TRIGGER, SET, 1, 2), 0);
	assert_int_equal(set_bool(TRIGGER, SET, 0, 3, "101"), 0);
	assert_int_equal(set_none(TRIGGER, SET, 0, 40), 0); /* most are not attached */
	assert_int_equal(take(fds[0]), 2);
	assert_int_equal(take(fds[1]), 2);
	assert_int_equal(take(fds[2]), 3);
	close_all(fds, 3);
}

/* ---- Masks ------------------------------------------------------------------------ */

static void masked_vectors_stay_pending_and_fire_once(void **state)
{
	int fds[3] = { make_eventfd(), make_eventfd(), make_eventfd() };

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 3, fds), 0);
	assert_int_equal(set_bool(MASK, FREE, 0, 3, "110"), 0);
	for (uint32_t n = 0; n < 3; n++)
		for (unsigned times = 0; times < 3; times++)
			vuser_server_irq(t.server, FREE, n);
	assert_int_equal(set_none(TRIGGER, FREE, 0, 1), 0);
	assert_int_equal(take(fds[0]), 0);
	assert_int_equal(take(fds[1]), 0);
	assert_int_equal(take(fds[2]), 3);
	assert_int_equal(set_bool(UNMASK, FREE, 0, 2, "10"), 0);
	assert_int_equal(take(fds[0]), 1);
	assert_int_equal(take(fds[1]), 0);
	assert_int_equal(set_none(UNMASK, FREE, 0, 3), 0);
	assert_int_equal(set_none(UNMASK, FREE, 0, 3), 0);
	assert_int_equal(take(fds[0]), 0);
	assert_int_equal(take(fds[1]), 1);
	assert_int_equal(take(fds[2]), 0);
	close_all(fds, 3);
}

static void what_is_pending_goes_to_the_eventfd_that_is_there_then(void **state)
{
	int first = make_eventfd(), second = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &first), 0);
	assert_int_equal(set_none(MASK, FREE, 0, 1), 0);
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &second), 0);
	assert_int_equal(set_none(UNMASK, FREE, 0, 1), 0);
	assert_int_equal(take(first), 0);
	assert_int_equal(take(second), 1);
	/* Detaching forgets it. */
	assert_int_equal(set_none(MASK, FREE, 0, 1), 0);
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, NULL), 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &second), 0);
	assert_int_equal(set_none(UNMASK, FREE, 0, 1), 0);
	assert_int_equal(take(second), 0);
	close(first);
	close(second);
}

static void eventfds_mask_and_unmask(void **state)
{
	int fd = make_eventfd(), mask = make_eventfd(), unmask = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 7, 1, &fd), 0);
	assert_int_equal(set_fds(MASK, FREE, 7, 1, &mask), 0);
	assert_int_equal(set_fds(UNMASK, FREE, 7, 1, &unmask), 0);
	add(mask, 5);
	stepped_step(&t);
	assert_int_equal(take(mask), 0); /* the server took it */
	vuser_server_irq(t.server, FREE, 7);
	assert_int_equal(take(fd), 0);
	add(unmask, 1);
	stepped_step(&t);
	assert_int_equal(take(unmask), 0);
	assert_int_equal(take(fd), 1);
	assert_int_equal(set_fds(MASK, FREE, 7, 1, NULL), 0);
	add(mask, 1);
	stepped_step(&t);
	assert_int_equal(take(mask), 1); /* nobody looks at it any more */
	vuser_server_irq(t.server, FREE, 7);
	assert_int_equal(take(fd), 1);
	close(fd);
	close(mask);
	close(unmask);
}

/* ---- Lines ------------------------------------------------------------------------ */

static void a_line_fires_once_until_it_is_unmasked(void **state)
{
	int fd = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, &fd), 0);
	vuser_server_irq_level(t.server, LINE, 0, true);
	assert_int_equal(take(fd), 1);
	vuser_server_irq_level(t.server, LINE, 0, true);
	vuser_server_irq_level(t.server, LINE, 0, false);
	vuser_server_irq_level(t.server, LINE, 0, true);
	assert_int_equal(take(fd), 0); /* it masked itself */
	assert_int_equal(set_none(UNMASK, LINE, 0, 1), 0);
	assert_int_equal(take(fd), 1); /* it is still up */
	vuser_server_irq_level(t.server, LINE, 0, false);
	assert_int_equal(set_none(UNMASK, LINE, 0, 1), 0);
	assert_int_equal(take(fd), 0);
	vuser_server_irq_level(t.server, LINE, 0, true);
	assert_int_equal(take(fd), 1);
	close(fd);
}

static void a_line_unmasked_by_eventfd_fires_while_it_is_up(void **state)
{
	int fd = make_eventfd(), unmask = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, &fd), 0);
	assert_int_equal(set_fds(UNMASK, LINE, 0, 1, &unmask), 0);
	vuser_server_irq_level(t.server, LINE, 0, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(take(fd), 1);
		add(unmask, 1);
		stepped_step(&t);
	}
	assert_int_equal(take(fd), 1);
	vuser_server_irq_level(t.server, LINE, 0, false);
	add(unmask, 1);
	stepped_step(&t);
	assert_int_equal(take(fd), 0);
	close(fd);
	close(unmask);
}

static void a_line_that_is_up_fires_when_it_is_attached(void **state)
{
	int fd = make_eventfd();

	(void)state;
	vuser_server_irq_level(t.server, LINE, 1, true);
	assert_int_equal(set_fds(TRIGGER, LINE, 1, 1, &fd), 0);
	assert_int_equal(take(fd), 1);
	assert_int_equal(set_fds(TRIGGER, LINE, 1, 1, &fd), 0);
	assert_int_equal(take(fd), 0); /* it is masked */
	assert_int_equal(disable(LINE), 0);
	assert_int_equal(set_fds(TRIGGER, LINE, 1, 1, &fd), 0);
	assert_int_equal(take(fd), 1);
	close(fd);
}

static void a_masked_line_that_fell_again_does_not_fire(void **state)
{
	int fd = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, &fd), 0);
	assert_int_equal(set_none(MASK, LINE, 0, 1), 0);
	vuser_server_irq_level(t.server, LINE, 0, true);
	vuser_server_irq_level(t.server, LINE, 0, false);
	assert_int_equal(set_none(UNMASK, LINE, 0, 1), 0);
	assert_int_equal(take(fd), 0);
	close(fd);
}

/* The server is not to be kept busy by a client that plays with itself. */
static void a_line_that_unmasks_itself_does_not_hold_the_server(void **state)
{
	int fd = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(UNMASK, LINE, 0, 1, &fd), 0);
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, &fd), 0);
	vuser_server_irq_level(t.server, LINE, 0, true);
	for (unsigned i = 0; i < 10; i++)
		stepped_step(&t);
	assert_int_equal(disable(LINE), 0);
	close(fd);
}

/* ---- Sets that keep their size ---------------------------------------------------- */

static void a_set_grows_only_while_it_is_set_up(void **state)
{
	int fds[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = make_eventfd();
	/* More vectors than a message has descriptors, some of them without */
	assert_int_equal(set_fds(TRIGGER, SET, 0, 16, fds), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 16, 4, NULL), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 20, 10, fds), 0);
	/* within the set anything goes, which ends setting it up */
	assert_int_equal(set_fds(TRIGGER, SET, 16, 4, fds), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 3, 2, NULL), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 30, 1, fds), EINVAL);
	assert_non_null(strstr(t.events.first.error.text, "noresize"));
	assert_int_equal(set_fds(TRIGGER, SET, 29, 2, fds), EINVAL);
	assert_int_equal(set_fds(TRIGGER, SET, 35, 5, fds), EINVAL);
	assert_int_equal(set_fds(TRIGGER, SET, 30, 10, NULL), 0); /* there are none */
	assert_int_equal(set_fds(TRIGGER, SET, 3, 2, fds), 0);
	assert_int_equal(disable(SET), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 0, 1, NULL), 0);
	assert_int_equal(disable(SET), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 0, 2, fds), 0);
	assert_int_equal(set_none(TRIGGER, SET, 0, 1), 0); /* ends it, too */
	assert_int_equal(set_fds(TRIGGER, SET, 2, 1, fds), EINVAL);
	assert_int_equal(set_fds(TRIGGER, SET, 0, 1, fds), 0);
	close_all(fds, ARRAY_SIZE(fds));
}

static void other_types_grow_as_they_like(void **state)
{
	int fd = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 3, 1, &fd), 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &fd), 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 19, 1, &fd), 0);
	close(fd);
}

/* ---- Eventfds that are not what they should be ------------------------------------ */

static void a_full_eventfd_blocks_nobody(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), flags = fcntl(fd, F_GETFL);

	(void)state;
	add(fd, UINT64_MAX - 1);
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, &fd), 0);
	for (unsigned i = 0; i < 1000; i++)
		vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	assert_true(take(fd) >= UINT64_MAX - 1);
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(take(fd), 1);
	close(fd);
}

static void eventfds_that_block_are_only_read_when_there_is_something(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), semaphore = eventfd(0, EFD_SEMAPHORE);
	int trigger = make_eventfd();

	(void)state;
	assert_int_equal(set_fds(UNMASK, LINE, 0, 1, &fd), 0);
	assert_int_equal(set_fds(UNMASK, LINE, 1, 1, &semaphore), 0);
	assert_int_equal(set_fds(TRIGGER, LINE, 1, 1, &trigger), 0);
	vuser_server_irq_level(t.server, LINE, 1, true);
	assert_int_equal(take(trigger), 1);
	add(semaphore, 3);
	stepped_step(&t);
	stepped_step(&t);
	assert_in_range(take(trigger), 1, 3); /* one for each that it counted */
	add(fd, 1);
	assert_int_equal(take(fd), 1); /* the client was faster */
	stepped_step(&t);
	close(fd);
	close(semaphore);
	close(trigger);
}

static void without_asynchronous_io_a_full_eventfd_is_left_alone(void **state)
{
	struct notify n = { .tried = true };
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	notify_add(&n, fd);
	notify_add(&n, fd);
	assert_int_equal(take(fd), 2);
	add(fd, UINT64_MAX - 1);
	notify_add(&n, fd);
	assert_true(take(fd) == UINT64_MAX - 1);
	notify_free(&n);
	close(fd);
}

/* ---- Clients come and go ---------------------------------------------------------- */

static void nothing_but_the_level_outlives_the_client(void **state)
{
	int fds[2] = { make_eventfd(), make_eventfd() };

	(void)state;
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 2, fds), 0);
	assert_int_equal(set_fds(UNMASK, FREE, 0, 2, fds), 0);
	assert_int_equal(set_fds(TRIGGER, SET, 0, 2, fds), 0);
	assert_int_equal(set_none(MASK, FREE, 0, 20), 0);
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, fds), 0);
	vuser_server_irq(t.server, FREE, 0);
	vuser_server_irq_level(t.server, LINE, 0, true);
	assert_int_equal(take(fds[0]), 1);
	stepped_leave(&t);
	vuser_server_irq(t.server, FREE, 0);
	vuser_server_irq(t.server, SET, 0);
	assert_false(vuser_server_irq_attached(t.server, FREE, 0));
	stepped_come(&t, "{}");
	assert_int_equal(take(fds[0]), 0);
	assert_int_equal(set_fds(TRIGGER, FREE, 0, 1, fds), 0);
	assert_int_equal(set_none(UNMASK, FREE, 0, 20), 0);
	assert_int_equal(take(fds[0]), 0); /* nothing was pending */
	vuser_server_irq(t.server, FREE, 0);
	assert_int_equal(take(fds[0]), 1);
	assert_int_equal(set_fds(TRIGGER, SET, 7, 1, fds), 0); /* a set of its own */
	assert_int_equal(set_fds(TRIGGER, LINE, 0, 1, fds), 0);
	assert_int_equal(take(fds[0]), 1); /* up, and not masked */
	close_all(fds, 2);
}

static unsigned mappings_of(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, name) != NULL;
	fclose(f);
	return n;
}

static void thousands_of_clients_leave_nothing_behind(void **state)
{
	int fds[16], memory = memfd_create("irq-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct answer a;
	unsigned open;

	(void)state;
	assert_int_equal(ftruncate(memory, 4096), 0);
	assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = make_eventfd();
	assert_int_equal(set_fds(UNMASK, FREE, 0, 1, fds), 0);
	stepped_leave(&t);
	open = open_fds();
	for (unsigned round = 0; round < 1000; round++) {
		stepped_come(&t, "{}");
		assert_int_equal(set_fds(TRIGGER, FREE, 0, 16, fds), 0);
		assert_int_equal(set_fds(round % 2 ? MASK : UNMASK, FREE, 4, 16, fds), 0);
		assert_int_equal(stepped_call(&t, &a, VUSER_CMD_DMA_MAP, "44888",
					      VALUES(32, 3, 0, 0x1000, 0x1000), NULL, 0,
					      &memory, 1),
				 0);
		vuser_server_irq(t.server, FREE, round % 20);
		if (round % 3 == 0)
			assert_int_equal(disable(FREE), 0);
		stepped_leave(&t);
		assert_int_equal(open_fds(), open);
	}
	assert_int_equal(mappings_of("irq-test"), 0);
	close_all(fds, ARRAY_SIZE(fds));
	close(memory);
	stepped_come(&t, "{}");
}

static void a_type_may_have_only_so_many_vectors(void **state)
{
	static const struct vuser_irq_desc many[] = { { VUSER_IRQ_EVENTFD, 4097 } };
	static const struct vuser_irq_desc most[] = { { VUSER_IRQ_EVENTFD, 4096 } };
	struct vuser_device desc = { .irqs = many, .num_irqs = 1 };
	struct vuser_server_options o;
	struct vuser_server *s;

	(void)state;
	vuser_server_options_default(&o);
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, NULL), VUSER_E_USAGE);
	desc.irqs = most;
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, NULL), 0);
	vuser_server_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, come, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flags_are_one_kind_of_data_and_one_action),
		TEST(all_else_is_refused_with_the_field_that_is_wrong),
		TEST(a_larger_argsz_does_no_harm),
		TEST(descriptors_that_are_no_eventfds_are_refused_untouched),
		TEST(what_is_attached_is_fired),
		TEST(there_is_nothing_beyond_types_and_vectors),
		TEST(no_descriptors_detach_the_range),
		TEST(a_later_eventfd_takes_the_place_of_the_first),
		TEST(disabling_takes_all_of_a_type),
		TEST(a_client_may_trigger_by_itself),
		TEST(masked_vectors_stay_pending_and_fire_once),
		TEST(what_is_pending_goes_to_the_eventfd_that_is_there_then),
		TEST(eventfds_mask_and_unmask),
		TEST(a_line_fires_once_until_it_is_unmasked),
		TEST(a_line_unmasked_by_eventfd_fires_while_it_is_up),
		TEST(a_line_that_is_up_fires_when_it_is_attached),
		TEST(a_masked_line_that_fell_again_does_not_fire),
		TEST(a_line_that_unmasks_itself_does_not_hold_the_server),
		TEST(a_set_grows_only_while_it_is_set_up),
		TEST(other_types_grow_as_they_like),
		TEST(a_full_eventfd_blocks_nobody),
		TEST(eventfds_that_block_are_only_read_when_there_is_something),
		TEST(nothing_but_the_level_outlives_the_client),
		TEST(thousands_of_clients_leave_nothing_behind),
		cmocka_unit_test(without_asynchronous_io_a_full_eventfd_is_left_alone),
		cmocka_unit_test(a_type_may_have_only_so_many_vectors),
	};

	return cmocka_run_group_tests(tests, power_on, power_off);
}
