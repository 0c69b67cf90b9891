/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server.c: a server whose own commands go over a twin socket. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stepped_server.h"

#define MEMORY	0x1000u
#define RW	(VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)
#define COMMAND VUSER_TYPE_COMMAND
#define ERROR	(VUSER_TYPE_REPLY | VUSER_FLAG_ERROR)
#define OFFERS	"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"
#define AGREES	"\"twin_socket\":{\"supported\":true,\"fd_index\":0}"

/* ---- The device: a write makes it read the client's memory, or write it ----------- */

struct device {
	struct vuser_server *server;
	atomic_int result; /* of the last access */
	atomic_uint left;
	uint8_t data[8];
};

static int device_read(void *dev, uint32_t region, uint64_t offset, void *buf,
		       uint32_t count)
{
	struct device *d = dev;

	(void)region;
	memcpy(buf, d->data + offset, count);
	return 0;
}

static int device_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
			uint32_t count)
{
	struct device *d = dev;
	int r;

	(void)region;
	(void)offset;
	(void)count;
	if (*(const uint8_t *)buf)
		r = vuser_server_dma_write(d->server, MEMORY, d->data, sizeof(d->data));
	else
		r = vuser_server_dma_read(d->server, MEMORY, d->data, sizeof(d->data));
	atomic_store(&d->result, r);
	return r;
}

static void device_left(void *dev)
{
	struct device *d = dev;

	atomic_fetch_add(&d->left, 1);
}

static const struct vuser_region_desc regions[] = {
	{ .flags = VUSER_REGION_READ | VUSER_REGION_WRITE, .size = 8 }
};

static const struct vuser_device description = { .name = "twin",
						 .regions = regions,
						 .num_regions = 1,
						 .read = device_read,
						 .write = device_write,
						 .left = device_left };

/* ---- A client with two sockets ---------------------------------------------------- */

struct rig {
	struct stepped t;
	struct device device;
	int twin;
	pthread_t thread;
	struct answer a;
};

static struct rig *make(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	stepped_new(&r->t, &description, &r->device);
	r->device.server = r->t.server;
	r->twin = -1;
	return r;
}

/* The handshake. Says whether there is a twin now. */
static bool come(struct rig *r, const char *json)
{
	char text[ANSWER_ROOM];

	r->t.fd = attach_client(r->t.server);
	assert_int_equal(stepped_call(&r->t, &r->a, VUSER_CMD_VERSION, "22", VALUES(0, 2),
				      json, strlen(json) + 1, NULL, 0),
			 0);
	memcpy(text, r->a.payload + 4, r->a.len - 4);
	assert_true(r->a.nfds <= 1);
	assert_int_equal(strstr(text, AGREES) != NULL, r->a.nfds);
	assert_int_equal(strstr(text, "twin") != NULL, r->a.nfds);
	r->twin = r->a.nfds ? r->a.fds[0] : -1;
	if (r->twin >= 0)
		be_patient(r->twin);
	return r->twin >= 0;
}

static void map(struct rig *r)
{
	assert_int_equal(stepped_call(&r->t, &r->a, VUSER_CMD_DMA_MAP, "44888",
				      VALUES(32, RW, 0, MEMORY, 0x1000), NULL, 0, NULL,
				      0),
			 0);
}

static void *serve(void *arg)
{
	struct rig *r = arg;

	return vuser_server_run(r->t.server, true, NULL) ? r : NULL;
}

/* With a window, and the server in a thread. */
static struct rig *begin(const char *json)
{
	struct rig *r = make();

	(void)come(r, json);
	map(r);
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
	return r;
}

static void join(struct rig *r)
{
	void *failed;

	pthread_join(r->thread, &failed);
	assert_null(failed);
	assert_int_equal(r->device.left, 1);
}

static void finish(struct rig *r)
{
	vuser_server_free(r->t.server);
	if (r->t.fd >= 0)
		close(r->t.fd);
	if (r->twin >= 0)
		close(r->twin);
	free(r);
}

/* Events are told when the reply is out, so look at them afterwards. */
static void leave(struct rig *r)
{
	shutdown(r->t.fd, SHUT_RDWR);
	join(r);
	assert_int_equal(r->t.events.of[VUSER_EVENT_LOST], 1);
}

static void end(struct rig *r)
{
	leave(r);
	finish(r);
}

/* A message over one of the two sockets. */
static void put(int fd, unsigned command, uint16_t id, uint32_t flags, const char *form,
		const uint64_t *v)
{
	struct vuser_header h = { .id = id,
				  .command = (uint16_t)command,
				  .flags = flags };

	assert_true(send_message(fd, h, form, v, NULL, 0, NULL, 0));
}

static void get(struct rig *r, int fd, unsigned command, uint32_t flags)
{
	assert_true(
		get_message(fd, &r->a.h, r->a.payload, sizeof(r->a.payload), &r->a.len));
	assert_int_equal(r->a.h.command, command);
	assert_int_equal(r->a.h.flags, flags);
}

/* The device reads memory (0) or writes it (1). */
static void ask(struct rig *r, uint8_t writes)
{
	put(r->t.fd, VUSER_CMD_REGION_WRITE, 3, COMMAND, "8441", VALUES(0, 0, 1, writes));
}

static void expect_result(struct rig *r, int err)
{
	get(r, r->t.fd, VUSER_CMD_REGION_WRITE, err ? ERROR : REPLY);
	assert_int_equal(r->a.h.error, err);
	assert_int_equal(r->device.result, -err);
}

static bool is_silent(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- Agreed or not ---------------------------------------------------------------- */

static void dma_goes_over_the_twin_and_all_else_over_the_first(void **state)
{
	struct rig *r = begin(OFFERS);

	(void)state;
	assert_true(r->twin >= 0);
	ask(r, 0);
	get(r, r->twin, VUSER_CMD_DMA_READ, COMMAND);
	assert_true(is_silent(r->t.fd));
	put(r->twin, VUSER_CMD_DMA_READ, r->a.h.id, REPLY, "888",
	    VALUES(MEMORY, 8, 0x1122334455667788));
	expect_result(r, 0);
	assert_int_equal(r->device.data[0], 0x88);
	ask(r, 1);
	get(r, r->twin, VUSER_CMD_DMA_WRITE, COMMAND);
	assert_memory_equal(r->a.payload + 16, r->device.data, 8);
	put(r->twin, VUSER_CMD_DMA_WRITE, r->a.h.id, REPLY, "88", VALUES(MEMORY, 8));
	expect_result(r, 0);
	assert_true(is_silent(r->twin));
	end(r);
}

static void a_reply_on_the_wrong_socket_is_none(void **state)
{
	struct rig *r = begin(OFFERS);

	(void)state;
	ask(r, 1);
	get(r, r->twin, VUSER_CMD_DMA_WRITE, COMMAND);
	put(r->t.fd, VUSER_CMD_DMA_WRITE, r->a.h.id, REPLY, "88", VALUES(MEMORY, 8));
	put(r->twin, VUSER_CMD_DMA_WRITE, r->a.h.id, ERROR, "", NULL);
	expect_result(r, EIO); /* an error reply without an errno */
	put(r->t.fd, VUSER_CMD_REGION_READ, 4, COMMAND, "844", VALUES(0, 0, 1));
	get(r, r->t.fd, VUSER_CMD_REGION_READ, REPLY);
	leave(r);
	assert_int_equal(r->t.events.of[VUSER_EVENT_UNEXPECTED], 1);
	finish(r);
}

static void without_an_offer_there_is_none(void **state)
{
	static const char *const rows[] = {
		"{}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}",
		"{\"capabilities\":{\"max_msg_fds\":0,"
		"\"twin_socket\":{\"supported\":true}}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin(rows[i]);

		assert_int_equal(r->twin, -1);
		ask(r, 1);
		get(r, r->t.fd, VUSER_CMD_DMA_WRITE, COMMAND);
		put(r->t.fd, VUSER_CMD_DMA_WRITE, r->a.h.id, REPLY, "88",
		    VALUES(MEMORY, 8));
		expect_result(r, 0);
		end(r);
	}
}

static void who_wants_no_reply_gets_no_twin(void **state)
{
	unsigned before = open_fds();
	struct rig *r = make();
	struct vuser_header h = { .command = VUSER_CMD_VERSION,
				  .flags = VUSER_FLAG_NO_REPLY };

	(void)state;
	r->t.fd = attach_client(r->t.server);
	assert_true(send_message(r->t.fd, h, "22", VALUES(0, 2), OFFERS, sizeof(OFFERS),
				 NULL, 0));
	map(r);
	assert_int_equal(open_fds(), before + 3); /* two sockets and an eventfd */
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
	ask(r, 0);
	get(r, r->t.fd, VUSER_CMD_DMA_READ, COMMAND);
	end(r);
}

static void for_want_of_descriptors_one_socket_does(void **state)
{
	unsigned before = open_fds(), with = 0, without = 0;
	struct rlimit usual, tight;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	tight = usual;
	for (unsigned room = 0; room < 8; room++) {
		struct rig *r = make();
		struct vuser_header h = { .command = VUSER_CMD_VERSION };
		int next;

		r->t.fd = attach_client(r->t.server);
		assert_true(send_message(r->t.fd, h, "22", VALUES(0, 2), OFFERS,
					 sizeof(OFFERS), NULL, 0));
		next = dup(r->t.fd);
		close(next);
		tight.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		stepped_step(&r->t);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
		stepped_receive(&r->t, &r->a);
		assert_int_equal(r->a.h.flags, REPLY);
		assert_int_equal(strstr((char *)r->a.payload + 4, AGREES) != NULL,
				 r->a.nfds);
		with += r->a.nfds == 1;
		without += r->a.nfds == 0;
		if (r->a.nfds)
			r->twin = r->a.fds[0];
		map(r); /* either way it goes on */
		finish(r);
	}
	assert_true(with && without >= 3);
	assert_int_equal(open_fds(), before);
}

/* ---- What does not belong there, and the end of it -------------------------------- */

static void commands_over_the_twin_are_refused_at_once(void **state)
{
	struct rig *r = begin(OFFERS);

	(void)state;
	put(r->twin, VUSER_CMD_DEVICE_RESET, 1, COMMAND, "", NULL);
	get(r, r->twin, VUSER_CMD_DEVICE_RESET, ERROR);
	assert_int_equal(r->a.h.error, EINVAL);
	ask(r, 1); /* while the device waits */
	get(r, r->twin, VUSER_CMD_DMA_WRITE, COMMAND);
	put(r->twin, VUSER_CMD_REGION_READ, 2, COMMAND, "844", VALUES(0, 0, 1));
	put(r->twin, VUSER_CMD_DMA_WRITE, r->a.h.id, REPLY, "88", VALUES(MEMORY, 8));
	get(r, r->twin, VUSER_CMD_REGION_READ, ERROR);
	expect_result(r, 0);
	leave(r);
	assert_int_equal(r->t.events.of[VUSER_EVENT_REQUEST], 2);
	finish(r);
}

static void a_server_that_steps_refuses_them_as_well(void **state)
{
	struct rig *r = make();

	(void)state;
	assert_true(come(r, OFFERS));
	put(r->twin, VUSER_CMD_DEVICE_RESET, 1, COMMAND, "", NULL);
	stepped_step(&r->t);
	get(r, r->twin, VUSER_CMD_DEVICE_RESET, ERROR);
	finish(r);
}

static void without_its_twin_dma_fails_and_the_client_stays(void **state)
{
	struct rig *r = begin(OFFERS);

	(void)state;
	ask(r, 0);
	get(r, r->twin, VUSER_CMD_DMA_READ, COMMAND);
	close(r->twin);
	expect_result(r, EINTR);
	r->twin = -1;
	for (uint8_t writes = 0; writes < 2; writes++) {
		ask(r, writes);
		expect_result(r, EINTR);
	}
	assert_int_equal(r->device.left, 0);
	leave(r);
	assert_int_equal(r->t.events.n, 3 + 1); /* the writes were refused */
	assert_int_equal(r->t.events.of[VUSER_EVENT_REQUEST], 3);
	finish(r);
}

static void garbage_on_the_twin_costs_the_twin(void **state)
{
	struct rig *r = begin(OFFERS);

	(void)state;
	ask(r, 0);
	get(r, r->twin, VUSER_CMD_DMA_READ, COMMAND);
	put_bytes(r->twin, "\1\0\13\0\1\0\0\0\0\0\0\0\0\0\0\0", 16, NULL, 0); /* size 1 */
	expect_result(r, EIO);
	assert_int_equal(r->device.left, 0);
	ask(r, 0);
	expect_result(r, EIO);
	leave(r);
	assert_int_equal(r->t.events.of[VUSER_EVENT_TWIN], 1);
	assert_int_equal(r->t.events.of[VUSER_EVENT_REQUEST], 2);
	assert_int_equal(r->t.events.n, 1 + 2 + 1);
	finish(r);
}

static void a_client_that_leaves_ends_the_wait(void **state)
{
	(void)state;
	for (unsigned twin_first = 0; twin_first < 2; twin_first++) {
		struct rig *r = begin(OFFERS);

		ask(r, 0);
		get(r, r->twin, VUSER_CMD_DMA_READ, COMMAND);
		shutdown(twin_first ? r->twin : r->t.fd, SHUT_RDWR);
		shutdown(twin_first ? r->t.fd : r->twin, SHUT_RDWR);
		join(r);
		assert_int_equal(r->device.result, -EINTR);
		finish(r);
	}
}

static void stopping_ends_a_wait_on_the_twin(void **state)
{
	struct rig *r = begin(OFFERS);

	(void)state;
	ask(r, 1);
	get(r, r->twin, VUSER_CMD_DMA_WRITE, COMMAND);
	vuser_server_stop(r->t.server);
	join(r);
	assert_int_equal(r->device.result, -EINTR);
	finish(r);
}

static void a_thousand_clients_leave_no_descriptor_behind(void **state)
{
	struct rig *r = make();
	unsigned before = open_fds();

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(come(r, OFFERS));
		if (i % 3 == 0) {
			close(r->twin);
			stepped_step(&r->t);
		}
		stepped_leave(&r->t);
		if (i % 3)
			close(r->twin);
	}
	r->twin = -1;
	assert_int_equal(open_fds(), before);
	assert_int_equal(r->device.left, 1000);
	finish(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dma_goes_over_the_twin_and_all_else_over_the_first),
		cmocka_unit_test(a_reply_on_the_wrong_socket_is_none),
		cmocka_unit_test(without_an_offer_there_is_none),
		cmocka_unit_test(who_wants_no_reply_gets_no_twin),
		cmocka_unit_test(for_want_of_descriptors_one_socket_does),
		cmocka_unit_test(commands_over_the_twin_are_refused_at_once),
		cmocka_unit_test(a_server_that_steps_refuses_them_as_well),
		cmocka_unit_test(without_its_twin_dma_fails_and_the_client_stays),
		cmocka_unit_test(garbage_on_the_twin_costs_the_twin),
		cmocka_unit_test(a_client_that_leaves_ends_the_wait),
		cmocka_unit_test(stopping_ends_a_wait_on_the_twin),
		cmocka_unit_test(a_thousand_clients_leave_no_descriptor_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
