/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_watch.c: a device's descriptors, looked at between commands. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "stepped_server.h"

/* ---- The device: bells, and what happens when one is rung ------------------------- */

#define BELLS 3

static struct device {
	struct vuser_server *server;
	int bell[BELLS];
	int heard; /* eventfd: rung once for each time a bell was heard */
	unsigned rung[BELLS], calls;
	bool in_callback;
	void (*then)(struct device *d, int fd);
	int fetched; /* what fetching the client's memory came to */
} device;

static void ring(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void on_ready(void *dev, int fd)
{
	struct device *d = dev;
	uint64_t count;

	assert_ptr_equal(d, &device);
	assert_false(d->in_callback);
	d->calls++;
	if (read(fd, &count, sizeof(count)) == sizeof(count))
		for (unsigned i = 0; i < BELLS; i++)
			d->rung[i] += fd == d->bell[i] ? (unsigned)count : 0;
	if (d->then)
		d->then(d, fd);
	ring(d->heard);
}

/* Region 0, when written: fetches the client's memory, which the client has to answer. */
static int device_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
			uint32_t count)
{
	struct device *d = dev;
	uint8_t data[8];

	(void)region;
	(void)offset;
	(void)buf;
	(void)count;
	d->in_callback = true;
	d->fetched = vuser_server_dma_read(d->server, 0x1000, data, sizeof(data));
	d->in_callback = false;
	return 0;
}

static const struct vuser_region_desc regions[] = {
	{ .flags = VUSER_REGION_WRITE, .size = 8 },
};

static const struct vuser_device description = {
	.name = "watch", .regions = regions, .num_regions = 1, .write = device_write
};

static struct stepped t;
static unsigned fds_before;

static int power_on(void **state)
{
	(void)state;
	fds_before = open_fds();
	memset(&device, 0, sizeof(device));
	for (unsigned i = 0; i < BELLS; i++)
		device.bell[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	device.heard = eventfd(0, EFD_CLOEXEC);
	stepped_new(&t, &description, &device);
	device.server = t.server;
	return 0;
}

static int power_off(void **state)
{
	(void)state;
	if (t.fd >= 0)
		stepped_leave(&t);
	vuser_server_free(t.server);
	for (unsigned i = 0; i < BELLS; i++)
		close(device.bell[i]);
	close(device.heard);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static void watch(unsigned bell)
{
	assert_int_equal(vuser_server_watch(t.server, device.bell[bell], on_ready, NULL),
			 0);
}

static void wait_heard(void)
{
	uint64_t count;

	assert_int_equal(read(device.heard, &count, sizeof(count)), sizeof(count));
}

/* ---- In turns --------------------------------------------------------------------- */

static void a_bell_is_heard_between_commands(void **state)
{
	(void)state;
	watch(0);
	stepped_come(&t, "{}");
	watch(1); /* with or without a client */
	ring(device.bell[0]);
	ring(device.bell[2]);
	stepped_step(&t);
	assert_int_equal(device.rung[0], 1);
	assert_int_equal(device.calls, 1);
	ring(device.bell[1]);
	ring(device.bell[1]);
	stepped_step(&t);
	assert_int_equal(device.rung[1], 2);
	stepped_step(&t);
	assert_int_equal(device.calls, 2);
	assert_int_equal(device.rung[2], 0);
}

static void watches_outlive_clients(void **state)
{
	(void)state;
	watch(0);
	stepped_come(&t, "{}");
	stepped_leave(&t);
	ring(device.bell[0]);
	stepped_come(&t, "{}");
	stepped_step(&t);
	assert_int_equal(device.rung[0], 1);
}

static void what_is_not_watched_any_more_is_not_heard(void **state)
{
	(void)state;
	stepped_come(&t, "{}");
	watch(0);
	watch(1);
	ring(device.bell[0]);
	ring(device.bell[1]);
	vuser_server_unwatch(t.server, device.bell[0]);
	vuser_server_unwatch(t.server, device.bell[0]);
	vuser_server_unwatch(t.server, device.bell[2]);
	vuser_server_unwatch(t.server, -1);
	stepped_step(&t);
	assert_int_equal(device.rung[0], 0);
	assert_int_equal(device.rung[1], 1);
	watch(0);
	stepped_step(&t);
	assert_int_equal(device.rung[0], 1);
}

static void unwatch_all(struct device *d, int fd)
{
	(void)fd;
	for (unsigned i = 0; i < BELLS; i++)
		vuser_server_unwatch(d->server, d->bell[i]);
}

static void a_bell_may_end_all_watches(void **state)
{
	(void)state;
	stepped_come(&t, "{}");
	for (unsigned i = 0; i < BELLS; i++) {
		watch(i);
		ring(device.bell[i]);
	}
	device.then = unwatch_all;
	stepped_step(&t);
	stepped_step(&t);
	assert_int_equal(device.calls, 1);
}

static void watch_another(struct device *d, int fd)
{
	(void)fd;
	d->then = NULL;
	vuser_server_unwatch(d->server, d->bell[0]);
	assert_int_equal(vuser_server_watch(d->server, d->bell[1], on_ready, NULL), 0);
}

static void a_bell_may_begin_a_watch(void **state)
{
	(void)state;
	stepped_come(&t, "{}");
	watch(0);
	ring(device.bell[0]);
	ring(device.bell[1]);
	device.then = watch_another;
	stepped_step(&t);
	stepped_step(&t);
	assert_int_equal(device.rung[0], 1);
	assert_int_equal(device.rung[1], 1);
}

static void ring_again(struct device *d, int fd)
{
	(void)d;
	ring(fd);
}

static void a_bell_that_rings_for_ever_lets_others_have_their_turn(void **state)
{
	struct answer a;

	(void)state;
	stepped_come(&t, "{}");
	watch(0);
	watch(1);
	device.then = ring_again;
	ring(device.bell[0]);
	ring(device.bell[1]);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(stepped_call(&t, &a, VUSER_CMD_DEVICE_GET_INFO, "4444",
					      VALUES(16, 0, 0, 0), NULL, 0, NULL, 0),
				 0);
	assert_true(device.rung[0] >= 5);
	assert_true(device.rung[1] >= 5);
}

static void what_cannot_be_watched_is_told(void **state)
{
	int file = memfd_create("watch", MFD_CLOEXEC);
	struct vuser_error e;

	(void)state;
	assert_int_equal(vuser_server_watch(t.server, file, on_ready, &e),
			 VUSER_E_SYSTEM);
	assert_int_equal(e.err, EPERM);
	close(file);
	assert_int_equal(vuser_server_watch(t.server, file, on_ready, &e),
			 VUSER_E_SYSTEM);
	assert_int_equal(e.err, EBADF);
	assert_int_equal(vuser_server_watch(t.server, -1, on_ready, &e), VUSER_E_SYSTEM);
	watch(0);
	assert_int_equal(vuser_server_watch(t.server, device.bell[0], on_ready, &e),
			 VUSER_E_USAGE);
	assert_int_equal(e.err, EEXIST);
}

/* ---- While the server runs -------------------------------------------------------- */

static void *run(void *arg)
{
	(void)arg;
	assert_int_equal(vuser_server_run(t.server, true, NULL), 0);
	return NULL;
}

static void a_server_that_waits_hears_a_bell(void **state)
{
	pthread_t thread;

	(void)state;
	watch(0);
	stepped_come(&t, "{}");
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
	for (unsigned i = 0; i < 100; i++) {
		ring(device.bell[0]);
		wait_heard();
	}
	close(t.fd);
	t.fd = -1;
	pthread_join(thread, NULL);
	assert_int_equal(device.rung[0], 100);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Neither heard in the middle of a callback, nor a reason not to sleep meanwhile. */
static void no_bell_is_heard_while_the_clients_memory_is_fetched(void **state)
{
	struct vuser_header write = { .command = VUSER_CMD_REGION_WRITE }, h;
	pthread_t thread;
	struct answer a;
	double cpu;

	(void)state;
	watch(0);
	stepped_come(&t, "{}");
	assert_int_equal(stepped_call(&t, &a, VUSER_CMD_DMA_MAP, "44888",
				      VALUES(32, 3, 0, 0x1000, 0x1000), NULL, 0, NULL, 0),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
	assert_true(
		send_message(t.fd, write, "8441", VALUES(0, 0, 1, 7), NULL, 0, NULL, 0));
	stepped_receive(&t, &a);
	assert_int_equal(a.h.command, VUSER_CMD_DMA_READ);
	cpu = cpu_seconds();
	ring(device.bell[0]);
	usleep(30000);
	assert_true(cpu_seconds() - cpu < 0.02);
	assert_int_equal(device.calls, 0);
	h = a.h;
	h.flags = VUSER_TYPE_REPLY;
	assert_true(send_message(t.fd, h, "888", VALUES(0x1000, 8, 0), NULL, 0, NULL, 0));
	wait_heard();
	stepped_receive(&t, &a);
	assert_int_equal(a.h.command, VUSER_CMD_REGION_WRITE);
	close(t.fd);
	t.fd = -1;
	pthread_join(thread, NULL);
	assert_int_equal(device.fetched, 0);
	assert_int_equal(device.rung[0], 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, power_on, power_off)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bell_is_heard_between_commands),
		TEST(watches_outlive_clients),
		TEST(what_is_not_watched_any_more_is_not_heard),
		TEST(a_bell_may_end_all_watches),
		TEST(a_bell_may_begin_a_watch),
		TEST(a_bell_that_rings_for_ever_lets_others_have_their_turn),
		TEST(what_cannot_be_watched_is_told),
		TEST(a_server_that_waits_hears_a_bell),
		TEST(no_bell_is_heard_while_the_clients_memory_is_fetched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
