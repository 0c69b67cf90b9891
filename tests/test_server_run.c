/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server*.c: listening, one client after the other, stopping, working. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "raw_client.h"

/* ---- The device: it counts, and has as much work as a write says -------------- */

struct device {
	struct vuser_server *server;
	atomic_uint left, slices, work;
	atomic_bool fetches; /* a slice reads the client's memory at 0x1000 */
	atomic_int fetched;
	uint8_t value;
};

static int device_read(void *dev, uint32_t region, uint64_t offset, void *buf,
		       uint32_t count)
{
	struct device *d = dev;

	(void)region;
	(void)offset;
	memset(buf, d->value, count);
	return 0;
}

static int device_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
			uint32_t count)
{
	struct device *d = dev;

	(void)region;
	(void)offset;
	(void)count;
	d->value = *(const uint8_t *)buf;
	atomic_fetch_add(&d->work, d->value);
	return 0;
}

static void device_left(void *dev)
{
	struct device *d = dev;

	atomic_fetch_add(&d->left, 1);
}

static bool device_work(void *dev)
{
	struct device *d = dev;
	uint8_t buf[8];

	if (!atomic_load(&d->work))
		return false;
	atomic_fetch_add(&d->slices, 1);
	if (atomic_load(&d->fetches))
		atomic_store(&d->fetched,
			     vuser_server_dma_read(d->server, 0x1000, buf, sizeof(buf)));
	return atomic_fetch_sub(&d->work, 1) > 1;
}

static const struct vuser_region_desc regions[] = {
	{ .flags = VUSER_REGION_READ | VUSER_REGION_WRITE, .size = 16 }
};

static const struct vuser_device description = { .name = "run",
						 .regions = regions,
						 .num_regions = 1,
						 .read = device_read,
						 .write = device_write,
						 .left = device_left,
						 .work = device_work };

/* ---- A server at a path ------------------------------------------------------- */

struct rig {
	struct vuser_server *server;
	struct device device;
	struct vuser_error error;
	int result;
	bool once;
	pthread_t thread;
	char dir[40], path[60];
};

static void *serve(void *arg)
{
	struct rig *r = arg;

	r->result = vuser_server_run(r->server, r->once, &r->error);
	return NULL;
}

static struct rig *make(void)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct vuser_server_options o;

	assert_non_null(r);
	vuser_server_options_default(&o);
	o.timeout = 30000000000;
	assert_int_equal(vuser_server_new(&description, &r->device, &o, &r->server, NULL),
			 0);
	r->device.server = r->server;
	strcpy(r->dir, "/tmp/vuser-run-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir);
	return r;
}

static void start(struct rig *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static struct rig *begin(bool once)
{
	struct rig *r = make();

	r->once = once;
	assert_int_equal(vuser_server_listen(r->server, r->path, NULL), 0);
	start(r);
	return r;
}

/* The directory must be empty: the server leaves nothing behind. */
static void finish(struct rig *r)
{
	vuser_server_free(r->server);
	assert_int_equal(rmdir(r->dir), 0);
	free(r);
}

static void end(struct rig *r)
{
	vuser_server_stop(r->server);
	pthread_join(r->thread, NULL);
	assert_int_equal(r->result, 0);
	finish(r);
}

static void wait_for(atomic_uint *counter, unsigned value)
{
	for (unsigned ms = 0; atomic_load(counter) != value; ms++) {
		if (ms == 30000)
			fail_msg("%u where %u were to come", atomic_load(counter), value);
		usleep(1000);
	}
}

/* ---- A client ----------------------------------------------------------------- */

static int try_connect(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
		be_patient(fd);
		return fd;
	}
	close(fd);
	return -1;
}

static void command(int fd, unsigned number, const char *form, const uint64_t *v)
{
	struct vuser_header h = { .command = (uint16_t)number };

	assert_true(send_message(fd, h, form, v, NULL, 0, NULL, 0));
}

/* The next message must be of this command and no error. */
static void expect(int fd, unsigned number)
{
	struct vuser_header h;
	uint8_t payload[240];
	size_t len;

	assert_true(get_message(fd, &h, payload, sizeof(payload), &len));
	assert_int_equal(h.command, number);
	assert_int_equal(h.flags & VUSER_FLAG_ERROR, 0);
}

static void send_version(int fd)
{
	command(fd, VUSER_CMD_VERSION, "22", VALUES(0, 0));
}

static int connect_and_greet(struct rig *r)
{
	int fd = try_connect(r->path);

	assert_true(fd >= 0);
	send_version(fd);
	expect(fd, VUSER_CMD_VERSION);
	return fd;
}

static void send_write(int fd, uint8_t value)
{
	command(fd, VUSER_CMD_REGION_WRITE, "8441", VALUES(0, 0, 1, value));
}

static uint8_t read_value(int fd)
{
	uint8_t msg[VUSER_HEADER_SIZE + 17];

	command(fd, VUSER_CMD_REGION_READ, "844", VALUES(0, 0, 1));
	assert_true(get_bytes(fd, msg, sizeof(msg)));
	return msg[sizeof(msg) - 1];
}

static void send_map(int fd)
{
	command(fd, VUSER_CMD_DMA_MAP, "44888",
		VALUES(32, VUSER_DMA_READABLE | VUSER_DMA_WRITABLE, 0, 0x1000, 0x1000));
}

static bool is_at_end(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, 0) <= 0;
}

/* ---- The socket --------------------------------------------------------------- */

static int bound_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void socket_is_removed_at_the_end(void **state)
{
	struct rig *r = begin(false);
	char path[sizeof(r->path)];

	(void)state;
	strcpy(path, r->path);
	assert_true(exists(path));
	end(r);
	assert_false(exists(path));
}

static void a_stale_socket_is_replaced(void **state)
{
	struct rig *r = make();
	int fd;

	(void)state;
	close(bound_socket(r->path));
	assert_true(exists(r->path));
	assert_int_equal(vuser_server_listen(r->server, r->path, NULL), 0);
	start(r);
	fd = connect_and_greet(r);
	close(fd);
	end(r);
}

static void a_socket_that_is_served_is_left_alone(void **state)
{
	struct rig *r = begin(false), *other = make();
	struct vuser_error e;

	(void)state;
	assert_int_equal(vuser_server_listen(other->server, r->path, &e), VUSER_E_SYSTEM);
	assert_int_equal(e.err, EADDRINUSE);
	finish(other);
	close(connect_and_greet(r));
	end(r);
}

static void files_that_are_no_sockets_are_left_alone(void **state)
{
	struct rig *r = make();
	struct vuser_error e;
	FILE *f = fopen(r->path, "w");

	(void)state;
	assert_non_null(f);
	fclose(f);
	assert_int_equal(vuser_server_listen(r->server, r->path, &e), VUSER_E_SYSTEM);
	assert_int_equal(e.err, EADDRINUSE);
	assert_true(exists(r->path));
	assert_int_equal(unlink(r->path), 0);
	finish(r);
}

static void paths_that_cannot_be_are_refused(void **state)
{
	struct rig *r = make();
	char path[200] = "/tmp/";
	struct vuser_error e;

	(void)state;
	assert_int_equal(vuser_server_listen(r->server, "", &e), VUSER_E_USAGE);
	memset(path + 5, 'x', 150);
	assert_int_equal(vuser_server_listen(r->server, path, &e), VUSER_E_USAGE);
	assert_int_equal(e.err, ENAMETOOLONG);
	assert_int_equal(vuser_server_listen(r->server, "/nowhere/at/all", &e),
			 VUSER_E_SYSTEM);
	assert_int_equal(e.err, ENOENT);
	finish(r);
}

static void a_server_listens_at_one_place(void **state)
{
	struct rig *r = make(), *other = make();
	struct vuser_error e;

	(void)state;
	assert_int_equal(vuser_server_listen(r->server, r->path, NULL), 0);
	assert_int_equal(vuser_server_listen(r->server, other->path, &e), VUSER_E_USAGE);
	assert_false(exists(other->path));
	finish(r);
	finish(other);
}

static void what_is_no_stream_socket_is_not_served(void **state)
{
	struct rig *r = make();
	struct vuser_error e;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(vuser_server_attach(r->server, pipes[0], &e), VUSER_E_USAGE);
	assert_int_equal(
		vuser_server_attach(r->server, socket(AF_UNIX, SOCK_DGRAM, 0), &e),
		VUSER_E_USAGE);
	close(pipes[1]);
	assert_int_equal(vuser_server_run(r->server, false, &e), VUSER_E_USAGE);
	assert_int_equal(vuser_server_step(r->server, &e), VUSER_E_CLOSED);
	finish(r);
}

/* ---- Clients ------------------------------------------------------------------ */

static void one_client_is_served_after_the_other(void **state)
{
	struct rig *r = begin(false);

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		int fd = connect_and_greet(r);

		assert_int_equal(read_value(fd), i); /* the device keeps its state */
		send_write(fd, (uint8_t)(i + 1));
		expect(fd, VUSER_CMD_REGION_WRITE);
		close(fd);
		wait_for(&r->device.left, i + 1);
	}
	end(r);
}

static void clients_that_misbehave_cost_only_their_own_connection(void **state)
{
	struct rig *r = begin(false);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		int fd = try_connect(r->path);

		assert_true(fd >= 0);
		if (i == 0)
			command(fd, VUSER_CMD_DEVICE_RESET, "", NULL);
		else if (i == 1)
			assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
		close(fd);
	}
	close(connect_and_greet(r));
	wait_for(&r->device.left, 4);
	end(r);
}

static void the_second_client_waits_until_the_first_has_left(void **state)
{
	struct rig *r = begin(false);
	int first = connect_and_greet(r), second = try_connect(r->path);
	struct pollfd pfd = { .fd = second, .events = POLLIN };

	(void)state;
	send_version(second);
	assert_int_equal(read_value(first), 0);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	close(first);
	expect(second, VUSER_CMD_VERSION);
	close(second);
	end(r);
}

static void once_is_for_one_client(void **state)
{
	struct rig *r = begin(true);

	(void)state;
	close(connect_and_greet(r));
	pthread_join(r->thread, NULL);
	assert_int_equal(r->result, 0);
	assert_int_equal(r->device.left, 1);
	finish(r);
}

static void a_second_attached_client_is_refused_and_closed(void **state)
{
	struct rig *r = make();
	struct vuser_error e;
	int a[2], b[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
	assert_int_equal(vuser_server_attach(r->server, a[0], &e), 0);
	assert_int_equal(vuser_server_attach(r->server, b[0], &e), VUSER_E_USAGE);
	assert_int_equal(e.err, EBUSY);
	assert_true(is_at_end(b[1]));
	close(a[1]);
	close(b[1]);
	finish(r);
}

/* ---- Stopping ----------------------------------------------------------------- */

static void stopping_wakes_a_server_that_waits_for_a_client(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) /* at once, or after it began to wait */
		end(begin(false));
	for (unsigned i = 0; i < 5; i++) {
		struct rig *r = begin(false);

		usleep(2000);
		end(r);
	}
}

static void stopping_wakes_a_server_that_waits_for_a_command(void **state)
{
	struct rig *r = begin(false);
	int fd = connect_and_greet(r);

	(void)state;
	end(r);
	assert_true(is_at_end(fd));
	close(fd);
}

static void stopping_wakes_a_device_that_waits_for_memory(void **state)
{
	struct rig *r = begin(false);
	int fd = connect_and_greet(r);

	(void)state;
	atomic_store(&r->device.fetches, true);
	send_map(fd);
	expect(fd, VUSER_CMD_DMA_MAP);
	send_write(fd, 1);
	expect(fd, VUSER_CMD_REGION_WRITE);
	expect(fd, VUSER_CMD_DMA_READ);
	vuser_server_stop(r->server);
	pthread_join(r->thread, NULL);
	assert_int_equal(r->result, 0);
	assert_int_equal(r->device.fetched, -EINTR);
	assert_int_equal(r->device.left, 1);
	close(fd);
	finish(r);
}

static void a_stopped_server_serves_nobody(void **state)
{
	struct rig *r = make();
	int pair[2];

	(void)state;
	vuser_server_stop(r->server);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(vuser_server_attach(r->server, pair[0], NULL), 0);
	assert_int_equal(vuser_server_run(r->server, false, NULL), 0);
	assert_true(is_at_end(pair[1]));
	close(pair[1]);
	finish(r);
}

static struct vuser_server *to_stop;

static void on_signal(int sig)
{
	(void)sig;
	vuser_server_stop(to_stop);
}

static void stop_may_be_called_from_a_signal_handler(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;

	(void)state;
	for (unsigned i = 0; i < 3; i++) { /* no client, an idle one, one in the midst */
		struct rig *r = begin(false);
		int fd = i ? connect_and_greet(r) : -1;

		to_stop = r->server;
		assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
		if (i == 2)
			assert_int_equal(send(fd, "\0\0\4\0\x20", 5, 0), 5);
		assert_int_equal(pthread_kill(r->thread, SIGUSR1), 0);
		pthread_join(r->thread, NULL);
		assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
		assert_int_equal(r->result, 0);
		if (i)
			close(fd);
		finish(r);
	}
}

static void nothing(int sig)
{
	(void)sig;
}

static void other_signals_do_not_disturb_it(void **state)
{
	struct sigaction sa = { .sa_handler = nothing }, old;
	struct rig *r = begin(false);
	int fd;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(pthread_kill(r->thread, SIGUSR1), 0);
		usleep(500);
	}
	fd = connect_and_greet(r);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(pthread_kill(r->thread, SIGUSR1), 0);
		assert_int_equal(read_value(fd), 0);
	}
	close(fd);
	end(r);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
}

/* ---- The device's work -------------------------------------------------------- */

static void work_is_done_until_there_is_no_more(void **state)
{
	struct rig *r = begin(false);
	int fd = connect_and_greet(r);

	(void)state;
	send_write(fd, 100);
	expect(fd, VUSER_CMD_REGION_WRITE);
	wait_for(&r->device.slices, 100);
	close(fd);
	end(r);
}

static void commands_are_answered_between_slices_of_work(void **state)
{
	struct rig *r = begin(false);
	int fd = connect_and_greet(r);

	(void)state;
	atomic_store(&r->device.work, UINT32_MAX);
	for (unsigned i = 0; i < 10; i++)
		(void)read_value(fd);
	assert_true(atomic_load(&r->device.slices) > 0);
	close(fd);
	wait_for(&r->device.left, 1); /* work does not keep a client that has left */
	end(r);
}

static void work_that_a_command_gave_while_work_waited_is_done(void **state)
{
	struct rig *r = begin(false);
	int fd = connect_and_greet(r);
	uint8_t answer[24] = { 0 };
	struct vuser_header h = { .id = 0,
				  .command = VUSER_CMD_DMA_READ,
				  .size = VUSER_HEADER_SIZE + sizeof(answer),
				  .flags = VUSER_TYPE_REPLY };
	uint8_t head[VUSER_HEADER_SIZE];

	(void)state;
	put_uint(answer, 8, 0x1000);
	put_uint(answer + 8, 8, 8);
	send_map(fd);
	expect(fd, VUSER_CMD_DMA_MAP);
	atomic_store(&r->device.fetches, true);
	send_write(fd, 1);
	expect(fd, VUSER_CMD_REGION_WRITE);
	for (unsigned i = 1; i <= 3; i++) {
		/* The slice waits for memory; meanwhile comes the write that makes the
		 * next. */
		expect(fd, VUSER_CMD_DMA_READ);
		if (i < 3)
			send_write(fd, 1);
		vuser_header_encode(&h, head);
		assert_int_equal(send(fd, head, sizeof(head), MSG_MORE), sizeof(head));
		assert_int_equal(send(fd, answer, sizeof(answer), 0), sizeof(answer));
		h.id++;
		if (i < 3)
			expect(fd, VUSER_CMD_REGION_WRITE);
		wait_for(&r->device.slices, i < 3 ? i + 1 : i);
	}
	close(fd);
	wait_for(&r->device.left, 1);
	assert_int_equal(r->device.fetched, 0);
	end(r);
}

/* ---- Driven by its owner, very often ------------------------------------------ */

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

/* One client from its coming to its leaving; how says what it does in between. */
static void one_visit(struct rig *r, unsigned how)
{
	struct vuser_error e;
	int fd = attach_client(r->server);

	if (how % 4) {
		send_version(fd);
		if (how % 4 > 1)
			send_map(fd);
		assert_int_equal(vuser_server_step(r->server, &e), 0);
		expect(fd, VUSER_CMD_VERSION);
		if (how % 4 > 2)
			expect(fd, VUSER_CMD_DMA_MAP);
	} else {
		assert_int_equal(send(fd, "part", 4, 0), 4);
		assert_int_equal(vuser_server_step(r->server, &e), 0);
	}
	close(fd);
	assert_int_equal(vuser_server_step(r->server, &e), VUSER_E_CLOSED);
}

static void ten_thousand_visits_leak_nothing(void **state)
{
	struct rig *r = make();
	unsigned fds = 0;
	size_t bytes = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		if (i == 100) {
			fds = open_fds();
			bytes = allocated();
		}
		one_visit(r, i);
	}
	assert_int_equal(open_fds(), fds);
	assert_true(allocated() < bytes + 4096);
	assert_int_equal(r->device.left, 10000);
	finish(r);
}

static void a_step_does_not_block(void **state)
{
	struct rig *r = make();
	int fd = attach_client(r->server);

	(void)state;
	assert_int_equal(vuser_server_step(r->server, NULL), 0);
	send_version(fd);
	send_write(fd, 5);
	assert_int_equal(vuser_server_step(r->server, NULL), 0);
	expect(fd, VUSER_CMD_VERSION);
	expect(fd, VUSER_CMD_REGION_WRITE);
	assert_int_equal(r->device.slices, 5);
	assert_int_equal(vuser_server_step(r->server, NULL), 0);
	close(fd);
	assert_int_equal(vuser_server_step(r->server, NULL), VUSER_E_CLOSED);
	assert_int_equal(r->device.left, 1);
	assert_int_equal(vuser_server_step(r->server, NULL), VUSER_E_CLOSED);
	finish(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_is_removed_at_the_end),
		cmocka_unit_test(a_stale_socket_is_replaced),
		cmocka_unit_test(a_socket_that_is_served_is_left_alone),
		cmocka_unit_test(files_that_are_no_sockets_are_left_alone),
		cmocka_unit_test(paths_that_cannot_be_are_refused),
		cmocka_unit_test(a_server_listens_at_one_place),
		cmocka_unit_test(what_is_no_stream_socket_is_not_served),
		cmocka_unit_test(one_client_is_served_after_the_other),
		cmocka_unit_test(clients_that_misbehave_cost_only_their_own_connection),
		cmocka_unit_test(the_second_client_waits_until_the_first_has_left),
		cmocka_unit_test(once_is_for_one_client),
		cmocka_unit_test(a_second_attached_client_is_refused_and_closed),
		cmocka_unit_test(stopping_wakes_a_server_that_waits_for_a_client),
		cmocka_unit_test(stopping_wakes_a_server_that_waits_for_a_command),
		cmocka_unit_test(stopping_wakes_a_device_that_waits_for_memory),
		cmocka_unit_test(a_stopped_server_serves_nobody),
		cmocka_unit_test(stop_may_be_called_from_a_signal_handler),
		cmocka_unit_test(other_signals_do_not_disturb_it),
		cmocka_unit_test(work_is_done_until_there_is_no_more),
		cmocka_unit_test(commands_are_answered_between_slices_of_work),
		cmocka_unit_test(work_that_a_command_gave_while_work_waited_is_done),
		cmocka_unit_test(ten_thousand_visits_leak_nothing),
		cmocka_unit_test(a_step_does_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
