/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server*.c: DMA windows, and a device's access to the memory behind them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw_client.h"

#define DATA	(2u << 20)
#define PAGE	4096u
#define RW	(VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)
#define COMMAND VUSER_TYPE_COMMAND

/* ---- The device: a write to its port makes it read or write the client's memory  */

enum { FETCH, STORE, LATER };

struct device {
	struct vuser_server *server;
	int result; /* of the last access */
	unsigned left;
	uint64_t later, later_len; /* what its work fetches */
	uint8_t data[DATA];
};

/* u64 operation, address, length; the result is the write's own. */
static int device_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
			uint32_t count)
{
	struct cursor c = cursor_at(buf, count);
	uint64_t op = cursor_u64(&c), iova = cursor_u64(&c), len = cursor_u64(&c);
	struct device *d = dev;

	(void)region;
	(void)offset;
	if (c.failed || len > DATA)
		return -EINVAL;
	if (op == LATER) {
		d->later = iova;
		d->later_len = len;
		return 0;
	}
	if (op == FETCH)
		d->result = vuser_server_dma_read(d->server, iova, d->data, len);
	else
		d->result = vuser_server_dma_write(d->server, iova, d->data, len);
	return d->result;
}

/* Windows are gone when a device hears that the client is. */
static void device_left(void *dev)
{
	struct device *d = dev;
	uint8_t byte;

	if (vuser_server_dma_read(d->server, 0x1000, &byte, 1) == -EINTR)
		d->left++;
}

static bool device_work(void *dev)
{
	struct device *d = dev;
	uint64_t len = d->later_len;

	d->later_len = 0;
	if (len)
		d->result = vuser_server_dma_read(d->server, d->later, d->data, len);
	return false;
}

static const struct vuser_region_desc regions[] = { { .flags = VUSER_REGION_WRITE,
						      .size = 24 } };

static const struct vuser_device description = { .name = "dma",
						 .regions = regions,
						 .num_regions = 1,
						 .write = device_write,
						 .left = device_left,
						 .work = device_work };

static const struct vuser_device overlapping = { .name = "dma",
						 .regions = regions,
						 .num_regions = 1,
						 .write = device_write,
						 .left = device_left,
						 .work = device_work,
						 .overlaps = true };

/* ---- The server in a thread, a socket to it ----------------------------------- */

struct rig {
	struct vuser_server *server;
	struct device device;
	pthread_t thread;
	int fd; /* the client's end */
	struct events events;
};

static void *serve(void *arg)
{
	struct rig *r = arg;

	return vuser_server_run(r->server, true, NULL) ? r : NULL;
}

/* Integers as form says, then len bytes of data; passed is a descriptor or -1. */
static void put_message(struct rig *r, uint16_t id, unsigned command, uint32_t flags,
			int passed, const char *form, const uint64_t *v, const void *data,
			size_t len)
{
	struct vuser_header h = { .id = id,
				  .command = (uint16_t)command,
				  .flags = flags };

	assert_true(send_message(r->fd, h, form, v, data, len, &passed, passed >= 0));
}

struct message {
	struct vuser_header h;
	uint8_t payload[16 + DATA];
	size_t len;
};

static struct message got; /* the last one that came */

static void expect(struct rig *r, unsigned command, uint32_t flags)
{
	assert_true(
		get_message(r->fd, &got.h, got.payload, sizeof(got.payload), &got.len));
	assert_int_equal(got.h.command, command);
	assert_int_equal(got.h.flags, flags);
}

static void expect_error(struct rig *r, unsigned command, int err)
{
	expect(r, command, VUSER_TYPE_REPLY | VUSER_FLAG_ERROR);
	assert_int_equal(got.h.size, VUSER_HEADER_SIZE);
	assert_int_equal(got.h.error, err);
}

/* err is 0 for a reply that is none. */
static void expect_result(struct rig *r, unsigned command, int err)
{
	if (err)
		expect_error(r, command, err);
	else
		expect(r, command, REPLY);
}

static void greet(struct rig *r, const char *json)
{
	r->fd = attach_client(r->server);
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
	put_message(r, 0, VUSER_CMD_VERSION, COMMAND, -1, "22", VALUES(0, 2), json,
		    json ? strlen(json) + 1 : 0);
	expect(r, VUSER_CMD_VERSION, REPLY);
}

static struct rig *begin_device(const struct vuser_device *desc, const char *json,
				int64_t timeout)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct vuser_server_options o;

	assert_non_null(r);
	vuser_server_options_default(&o);
	o.timeout = timeout;
	o.event = note_event;
	o.arg = &r->events;
	assert_int_equal(vuser_server_new(desc, &r->device, &o, &r->server, NULL), 0);
	r->device.server = r->server;
	greet(r, json);
	return r;
}

static struct rig *begin_with(const char *json, int64_t timeout)
{
	return begin_device(&description, json, timeout);
}

static struct rig *begin(void)
{
	return begin_with(NULL, 30000000000);
}

static void leave(struct rig *r)
{
	void *failed;

	close(r->fd);
	pthread_join(r->thread, &failed);
	assert_null(failed);
}

static void finish(struct rig *r)
{
	vuser_server_free(r->server);
	free(r);
}

static void end(struct rig *r)
{
	leave(r);
	assert_int_equal(r->device.left, 1);
	finish(r);
}

/* ---- What a client says ------------------------------------------------------- */

static void send_map(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags, int fd,
		     uint64_t offset)
{
	put_message(r, 1, VUSER_CMD_DMA_MAP, COMMAND, fd, "44888",
		    VALUES(32, flags, offset, iova, size), NULL, 0);
}

static void map(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags, int fd,
		uint64_t offset, int err)
{
	send_map(r, iova, size, flags, fd, offset);
	expect_result(r, VUSER_CMD_DMA_MAP, err);
	assert_int_equal(got.len, 0);
}

static void unmap(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags, int err)
{
	put_message(r, 2, VUSER_CMD_DMA_UNMAP, COMMAND, -1, "4488",
		    VALUES(24, flags, iova, size), NULL, 0);
	expect_result(r, VUSER_CMD_DMA_UNMAP, err);
	if (!err)
		assert_int_equal(got.len, 24);
}

static void ask(struct rig *r, uint64_t op, uint64_t iova, uint64_t len)
{
	put_message(r, 3, VUSER_CMD_REGION_WRITE, COMMAND, -1, "844888",
		    VALUES(0, 0, 24, op, iova, len), NULL, 0);
}

/* Makes the device access memory that takes no messages to reach. */
static void reach(struct rig *r, uint64_t op, uint64_t iova, uint64_t len, int err)
{
	ask(r, op, iova, len);
	expect_result(r, VUSER_CMD_REGION_WRITE, err);
}

/* The device asks for memory by message. */
static void expect_dma(struct rig *r, unsigned command, uint64_t iova, uint64_t count)
{
	struct cursor c;

	expect(r, command, COMMAND);
	c = cursor_at(got.payload, got.len);
	assert_int_equal(cursor_u64(&c), iova);
	assert_int_equal(cursor_u64(&c), count);
	assert_int_equal(got.len, 16 + (command == VUSER_CMD_DMA_WRITE ? count : 0));
}

static void answer(struct rig *r, const char *form, const uint64_t *v, const void *data,
		   size_t len)
{
	put_message(r, got.h.id, got.h.command, REPLY, -1, form, v, data, len);
}

static void answer_error(struct rig *r, uint32_t err)
{
	struct vuser_header h = { .id = got.h.id,
				  .command = got.h.command,
				  .flags = REPLY | VUSER_FLAG_ERROR,
				  .error = err };

	assert_true(send_message(r->fd, h, "", NULL, NULL, 0, NULL, 0));
}

static int memory(size_t size, bool sealed)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static void poke(int fd, uint64_t offset, const char *text)
{
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)offset), strlen(text));
}

static void assert_holds(int fd, uint64_t offset, const char *text)
{
	char buf[64] = "";

	assert_int_equal(pread(fd, buf, strlen(text), (off_t)offset), strlen(text));
	assert_string_equal(buf, text);
}

/* ---- Windows ------------------------------------------------------------------ */

static void windows_may_touch_but_not_overlap(void **state)
{
	struct rig *r = begin();

	(void)state;
	map(r, 0x10000, 0x2000, RW, -1, 0, 0);
	map(r, 0x10000, 0x2000, RW, -1, 0, EEXIST); /* the same */
	map(r, 0x10000, 0x1000, RW, -1, 0, EEXIST); /* its start */
	map(r, 0x11000, 0x1000, RW, -1, 0, EEXIST); /* its end */
	map(r, 0xf000, 0x4000, RW, -1, 0, EEXIST);  /* more than it */
	map(r, 0xf000, 0x1001, RW, -1, 0, EEXIST);  /* its first byte */
	map(r, 0x11fff, 0x1000, RW, -1, 0, EEXIST); /* its last */
	map(r, 0, UINT64_MAX, RW, -1, 0, EINVAL);   /* beyond any file */
	map(r, 0, INT64_MAX, RW, -1, 0, EEXIST);
	map(r, 0xf000, 0x1000, RW, -1, 0, 0);
	map(r, 0x12000, 0x1000, RW, -1, 0, 0);
	end(r);
}

static void unmapping_takes_exactly_one_window(void **state)
{
	struct rig *r = begin();

	(void)state;
	map(r, 0x10000, 0x2000, RW, -1, 0, 0);
	map(r, 0x12000, 0x2000, RW, -1, 0, 0);
	unmap(r, 0x10000, 0x1000, 0, ENOENT);
	unmap(r, 0x11000, 0x1000, 0, ENOENT);
	unmap(r, 0x10000, 0x4000, 0, ENOENT);
	unmap(r, 0x10000, 0, 0, ENOENT);
	unmap(r, 0x10000, 0x2000, 0, 0);
	unmap(r, 0x10000, 0x2000, 0, ENOENT);
	map(r, 0xf000, 0x3000, RW, -1, 0, 0); /* its place is free */
	unmap(r, 0x12000, 0x2000, 0, 0);
	end(r);
}

static void unmapping_all_takes_every_window(void **state)
{
	int fd = memory(PAGE, true);
	struct rig *r = begin();
	unsigned before = open_fds();

	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		map(r, i * PAGE, PAGE, RW, i % 2 ? fd : -1, 0, 0);
	unmap(r, 0, 0, VUSER_DMA_UNMAP_ALL, 0);
	assert_int_equal(open_fds(), before);
	map(r, 0, 50 * PAGE, RW, -1, 0, 0);
	unmap(r, 0, 0, VUSER_DMA_UNMAP_ALL, 0);
	unmap(r, 0, 0, VUSER_DMA_UNMAP_ALL, 0);
	close(fd);
	end(r);
}

static void no_more_windows_are_mapped_than_announced(void **state)
{
	struct rig *r = begin_with("{\"capabilities\":{\"max_dma_maps\":2}}", 0);

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	map(r, 0x2000, 0x1000, RW, -1, 0, 0);
	map(r, 0x3000, 0x1000, RW, -1, 0, ENOSPC);
	unmap(r, 0x1000, 0x1000, 0, 0);
	map(r, 0x3000, 0x1000, RW, -1, 0, 0);
	end(r);
}

static void windows_go_with_their_client(void **state)
{
	int fd = memory(PAGE, true);
	unsigned before = open_fds();
	struct rig *r = begin();

	(void)state;
	map(r, 0x1000, 0x1000, RW, fd, 0, 0);
	map(r, 0x2000, 0x1000, RW, -1, 0, 0);
	leave(r);
	assert_int_equal(r->device.left, 1);
	assert_int_equal(open_fds(), before);
	greet(r, NULL);
	reach(r, FETCH, 0x1000, 8, EFAULT);
	unmap(r, 0x1000, 0x1000, 0, ENOENT);
	map(r, 0x1000, 0x2000, RW, -1, 0, 0);
	leave(r);
	close(fd);
	finish(r);
}

/* ---- Descriptors of every kind ------------------------------------------------ */

static char file_path[] = "/tmp/vuser-dma-XXXXXX";

static int open_file(int flags)
{
	int fd = open(file_path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int make_file(void **state)
{
	int fd = mkstemp(file_path);

	(void)state;
	return fd < 0 || ftruncate(fd, 2 * PAGE) || close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file_path);
}

static void descriptors_that_are_no_such_memory_are_refused_and_closed(void **state)
{
	struct rig *r = begin();
	unsigned before = open_fds();
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	struct {
		int fd;
		uint32_t flags;
		int err;
	} rows[] = {
		{ pipes[0], VUSER_DMA_READABLE, EINVAL },
		{ pipes[1], VUSER_DMA_WRITABLE, EINVAL },
		{ open("/", O_RDONLY | O_DIRECTORY), VUSER_DMA_READABLE, EINVAL },
		{ open("/dev/null", O_RDWR), RW, EINVAL },
		{ open("/dev/zero", O_RDWR), RW, EINVAL },
		{ socket(AF_UNIX, SOCK_STREAM, 0), RW, EINVAL },
		{ eventfd(0, 0), RW, EINVAL },
		{ open_file(O_PATH), 0, EACCES },
		{ open_file(O_PATH), VUSER_DMA_READABLE, EACCES },
		{ open_file(O_PATH), RW, EACCES },
		{ open_file(O_RDONLY), VUSER_DMA_WRITABLE, EACCES },
		{ open_file(O_RDONLY), RW, EACCES },
		{ open_file(O_WRONLY), VUSER_DMA_READABLE, EACCES },
		{ open_file(O_WRONLY), RW, EACCES },
		{ open_file(O_RDONLY), VUSER_DMA_READABLE, 0 },
		{ open_file(O_WRONLY), VUSER_DMA_WRITABLE, 0 },
		{ open_file(O_RDWR), RW, 0 },
		{ memory(PAGE, false), RW, 0 },
		{ memory(PAGE, true), RW, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		map(r, 0x1000, 0x1000, rows[i].flags, rows[i].fd, 0, rows[i].err);
		if (!rows[i].err)
			unmap(r, 0x1000, 0x1000, 0, 0);
		close(rows[i].fd);
	}
	assert_int_equal(open_fds(), before);
	end(r);
}

static void descriptor_of_a_refused_window_is_closed(void **state)
{
	struct rig *r = begin();
	int fd = memory(PAGE, true);
	unsigned before;

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	before = open_fds();
	map(r, 0x1000, 0x1000, RW, fd, 0, EEXIST);
	map(r, 0x5000, 0, RW, fd, 0, EINVAL);
	map(r, 0x5000, 0x1000, 0x80, fd, 0, EINVAL);
	assert_int_equal(open_fds(), before);
	close(fd);
	end(r);
}

/* ---- Memory behind a descriptor ----------------------------------------------- */

static void memory_is_read_and_written_through_its_descriptor(void **state)
{
	static const uint64_t offsets[] = { 0, PAGE, 512, PAGE - 1 };
	struct rig *r = begin();

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(offsets); i++) {
		uint64_t offset = offsets[i / 2];
		int fd = memory(4 * PAGE, i % 2);

		map(r, 0x10000, 2 * PAGE, RW, fd, offset, 0);
		poke(fd, offset + 5, "from the client");
		poke(fd, offset + 2 * PAGE - 4, "last");
		reach(r, FETCH, 0x10005, 15, 0);
		assert_memory_equal(r->device.data, "from the client", 15);
		reach(r, FETCH, 0x10000 + 2 * PAGE - 4, 4, 0);
		assert_memory_equal(r->device.data, "last", 4);
		memcpy(r->device.data, "from the device", 15);
		reach(r, STORE, 0x10000 + 2 * PAGE - 15, 15, 0);
		assert_holds(fd, offset + 2 * PAGE - 15, "from the device");
		unmap(r, 0x10000, 2 * PAGE, 0, 0);
		close(fd);
	}
	end(r);
}

static void windows_are_reached_within_their_permissions_only(void **state)
{
	struct rig *r = begin();
	int fd = memory(PAGE, true);

	(void)state;
	map(r, 0x1000, 0x1000, VUSER_DMA_READABLE, fd, 0, 0);
	map(r, 0x2000, 0x1000, VUSER_DMA_WRITABLE, fd, 0, 0);
	map(r, 0x3000, 0x1000, 0, fd, 0, 0);
	map(r, 0x4000, 0x1000, VUSER_DMA_WRITABLE, -1, 0, 0);
	reach(r, FETCH, 0x1000, 8, 0);
	reach(r, STORE, 0x1000, 8, EPERM);
	reach(r, FETCH, 0x2000, 8, EPERM);
	reach(r, STORE, 0x2000, 8, 0);
	reach(r, FETCH, 0x3000, 8, EPERM);
	reach(r, STORE, 0x3000, 8, EPERM);
	reach(r, FETCH, 0x4000, 8, EPERM); /* without asking the client */
	reach(r, FETCH, 0x1ff8, 9, EPERM); /* the last byte is the next one's */
	close(fd);
	end(r);
}

static void what_is_outside_any_window_is_efault(void **state)
{
	struct rig *r = begin();
	int fd = memory(PAGE, true);

	(void)state;
	reach(r, FETCH, 0, 1, EFAULT);
	map(r, 0x1000, 0x1000, RW, fd, 0, 0);
	map(r, 0x3000, 0x1000, RW, fd, 0, 0);
	reach(r, FETCH, 0xfff, 1, EFAULT);
	reach(r, FETCH, 0x2000, 1, EFAULT);
	reach(r, FETCH, 0x1fff, 2, EFAULT);
	reach(r, STORE, 0x1800, 0x2000, EFAULT); /* the gap between the two */
	reach(r, STORE, UINT64_MAX, 1, EFAULT);
	reach(r, FETCH, 0xfff, 0, 0); /* nothing is nowhere */
	close(fd);
	end(r);
}

static void access_goes_across_windows_that_touch(void **state)
{
	int fds[] = { memory(PAGE, true), open_file(O_RDWR), memory(PAGE, false) };
	struct rig *r = begin();

	(void)state;
	for (size_t i = 0; i < 3; i++)
		map(r, 0x10000 + i * PAGE, PAGE, RW, fds[i], 0, 0);
	for (size_t i = 0; i < 3 * PAGE; i++)
		r->device.data[i] = (uint8_t)(i % 251);
	reach(r, STORE, 0x10001, 3 * PAGE - 2, 0);
	memset(r->device.data, 0, 3 * PAGE);
	reach(r, FETCH, 0x10001, 3 * PAGE - 2, 0);
	for (size_t i = 0; i < 3 * PAGE - 2; i++)
		assert_int_equal(r->device.data[i], i % 251);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	end(r);
}

static void the_last_bytes_of_all_addresses_are_reached(void **state)
{
	struct rig *r = begin();
	int fd = memory(PAGE, true);

	(void)state;
	map(r, UINT64_MAX - PAGE + 1, PAGE, RW, fd, 0, 0);
	poke(fd, PAGE - 3, "end");
	reach(r, FETCH, UINT64_MAX - 2, 3, 0);
	assert_memory_equal(r->device.data, "end", 3);
	reach(r, STORE, UINT64_MAX - PAGE + 1, PAGE, 0);
	reach(r, FETCH, UINT64_MAX, 2, EFAULT); /* no way round to 0 */
	map(r, 0, PAGE, RW, fd, 0, 0);
	reach(r, FETCH, UINT64_MAX, 2, EFAULT);
	unmap(r, UINT64_MAX - PAGE + 1, PAGE, 0, 0);
	close(fd);
	end(r);
}

static void files_shorter_than_their_window_fail_and_do_not_grow(void **state)
{
	struct rig *r = begin();

	(void)state;
	for (int sealed = 0; sealed < 2; sealed++) {
		int fd = memory(PAGE, sealed);

		map(r, 0x10000, 4 * PAGE, RW, fd, 0, 0);
		reach(r, STORE, 0x10000, PAGE, 0);
		reach(r, FETCH, 0x10000, PAGE, 0);
		reach(r, FETCH, 0x10000 + PAGE, 1, EFAULT);
		reach(r, STORE, 0x10000 + PAGE, 1, EFAULT);
		reach(r, FETCH, 0x10000 + PAGE - 1, 2, EFAULT);
		reach(r, STORE, 0x10000 + PAGE - 1, 2, EFAULT);
		reach(r, STORE, 0x10000 + 3 * PAGE, 8, EFAULT);
		assert_int_equal(lseek(fd, 0, SEEK_END), PAGE);
		unmap(r, 0x10000, 4 * PAGE, 0, 0);

		map(r, 0x10000, PAGE, RW, fd, 1ull << 40, 0);
		reach(r, FETCH, 0x10000, 1, EFAULT);
		unmap(r, 0x10000, PAGE, 0, 0);
		close(fd);
	}
	end(r);
}

static void files_truncated_under_us_fail_and_do_not_kill(void **state)
{
	int fds[] = { memory(PAGE, false), open_file(O_RDWR) };
	struct rig *r = begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		map(r, 0x10000, PAGE, RW, fds[i], 0, 0);
		reach(r, FETCH, 0x10000, PAGE, 0);
		assert_int_equal(ftruncate(fds[i], 0), 0);
		reach(r, FETCH, 0x10000, 1, EFAULT);
		reach(r, STORE, 0x10000, 1, EFAULT);
		assert_int_equal(ftruncate(fds[i], 2 * PAGE), 0);
		reach(r, FETCH, 0x10000, PAGE, 0);
		unmap(r, 0x10000, PAGE, 0, 0);
		close(fds[i]);
	}
	end(r);
}

static void memory_sealed_against_writing_is_read_only(void **state)
{
	struct rig *r = begin();
	int fd = memory(PAGE, false);

	(void)state;
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
	map(r, 0x1000, 0x1000, RW, fd, 0, 0);
	reach(r, FETCH, 0x1000, PAGE, 0);
	reach(r, STORE, 0x1000, 1, EPERM);
	close(fd);
	end(r);
}

/* ---- Memory reached by messages ----------------------------------------------- */

static const uint64_t lengths[] = { 1, 2, 3, 4, 5, 7, 8, 16, 100, PAGE };

static void dma_read_replies_of_both_forms_are_taken(void **state)
{
	struct rig *r = begin();
	uint8_t data[PAGE];

	(void)state;
	for (size_t i = 0; i < PAGE; i++)
		data[i] = (uint8_t)(i * 7 + 1);
	map(r, 0x10000, 0x10000, RW, -1, 0, 0);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
		uint64_t n = lengths[i / 2];

		memset(r->device.data, 0, PAGE);
		ask(r, FETCH, 0x10004, n);
		expect_dma(r, VUSER_CMD_DMA_READ, 0x10004, n);
		answer(r, i % 2 ? "84" : "88", VALUES(0x10004, n), data, n);
		expect(r, VUSER_CMD_REGION_WRITE, REPLY);
		assert_memory_equal(r->device.data, data, n);
		assert_int_equal(r->device.data[n], 0);
	}
	end(r);
}

static void dma_write_replies_of_all_forms_are_taken(void **state)
{
	static const char *const forms[] = { "", "84", "88" };
	struct rig *r = begin();

	(void)state;
	map(r, 0x10000, 0x10000, RW, -1, 0, 0);
	for (size_t i = 0; i < PAGE; i++)
		r->device.data[i] = (uint8_t)(i * 5 + 1);
	for (size_t i = 0; i < 3 * ARRAY_SIZE(lengths); i++) {
		uint64_t n = lengths[i / 3];

		ask(r, STORE, 0x10000, n);
		expect_dma(r, VUSER_CMD_DMA_WRITE, 0x10000, n);
		assert_memory_equal(got.payload + 16, r->device.data, n);
		answer(r, forms[i % 3], VALUES(0x10000, n), NULL, 0);
		expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	}
	end(r);
}

static void lying_dma_replies_fail_the_access_alone(void **state)
{
	static const struct {
		uint64_t op;
		const char *form;
		uint64_t v[4];
		int err;
	} rows[] = {
		/* another count than asked for, with as many bytes as asked for */
		{ FETCH, "888", { 0x1000, 7, 0 }, EPROTO },
		{ FETCH, "888", { 0x1000, UINT64_MAX, 0 }, EPROTO },
		{ FETCH, "848", { 0x1000, 0xffffffff, 0 }, EPROTO },
		{ STORE, "88", { 0x1000, 9 }, EPROTO },
		{ STORE, "84", { 0x1000, 0 }, EPROTO },
		/* nothing, a count alone, less than that */
		{ FETCH, "88", { 0x1000, 0 }, EPROTO },
		{ FETCH, "882", { 0x1000, 8, 0 }, EPROTO },
		{ FETCH, "88", { 0x1000, 8 }, EPROTO },
		{ FETCH, "84", { 0x1000, 8 }, EPROTO },
		{ FETCH, "8", { 0x1000 }, EPROTO },
		{ FETCH, "", { 0 }, EPROTO },
		{ STORE, "8", { 0x1000 }, EPROTO },
		{ STORE, "842", { 0x1000, 8, 0 }, EPROTO },
		/* more bytes than there is room for */
		{ FETCH, "8882", { 0x1000, 8, 0, 0 }, EIO },
	};
	struct rig *r = begin();

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ask(r, rows[i].op, 0x1000, 8);
		expect_dma(r,
			   rows[i].op == FETCH ? VUSER_CMD_DMA_READ : VUSER_CMD_DMA_WRITE,
			   0x1000, 8);
		answer(r, rows[i].form, rows[i].v, NULL, 0);
		expect_error(r, VUSER_CMD_REGION_WRITE, rows[i].err);
	}
	ask(r, FETCH, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	answer(r, "888", VALUES(0x1000, 8, 0), NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	leave(r);
	assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], ARRAY_SIZE(rows));
	finish(r);
}

static void a_short_transfer_goes_on_with_the_rest(void **state)
{
	struct rig *r = begin();

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	ask(r, FETCH, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	answer(r, "88", VALUES(0x1000, 3), "\x11\x22\x33", 3);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1003, 5);
	answer(r, "844", VALUES(0x1003, 4, 0x77665544), NULL, 0); /* the older form */
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1007, 1);
	answer(r, "881", VALUES(0x1007, 1, 0x88), NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	assert_memory_equal(r->device.data, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	ask(r, STORE, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_WRITE, 0x1000, 8);
	answer(r, "88", VALUES(0x1000, 7), NULL, 0);
	expect_dma(r, VUSER_CMD_DMA_WRITE, 0x1007, 1);
	assert_int_equal(got.payload[16], 0x88);
	answer(r, "84", VALUES(0x1007, 1), NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	end(r);
}

static void reply_to_another_command_fails_the_access(void **state)
{
	struct rig *r = begin();

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	ask(r, FETCH, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	got.h.command = VUSER_CMD_DMA_WRITE;
	answer(r, "888", VALUES(0x1000, 8, 0), NULL, 0);
	expect_error(r, VUSER_CMD_REGION_WRITE, EIO);
	end(r);
}

static void errors_of_the_client_reach_the_device(void **state)
{
	static const struct {
		uint32_t wire;
		int err;
	} rows[] = { { EFAULT, EFAULT }, { EPERM, EPERM }, { 4095, 4095 },
		     { 0, EIO },	 { 4096, EIO },	   { 0xffffffff, EIO } };
	struct rig *r = begin();

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	for (uint64_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		ask(r, i % 2, 0x1000, 8);
		expect_dma(r, i % 2 ? VUSER_CMD_DMA_WRITE : VUSER_CMD_DMA_READ, 0x1000,
			   8);
		answer_error(r, rows[i / 2].wire);
		expect_error(r, VUSER_CMD_REGION_WRITE, rows[i / 2].err);
	}
	end(r);
}

static void transfers_are_cut_to_the_clients_limit(void **state)
{
	struct rig *r = begin_with("{\"capabilities\":{\"max_data_xfer_size\":10}}", 0);

	(void)state;
	map(r, 0x1000, 0x10, RW, -1, 0, 0);
	map(r, 0x1010, 0x10, RW, -1, 0, 0);
	ask(r, FETCH, 0x1000, 25);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 10);
	answer(r, "88", VALUES(0x1000, 10), "0123456789", 10);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x100a, 6); /* the window ends */
	answer(r, "88", VALUES(0x100a, 6), "abcdef", 6);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1010, 9);
	answer(r, "84", VALUES(0x1010, 9), "ABCDEFGHI", 9);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	assert_memory_equal(r->device.data, "0123456789abcdefABCDEFGHI", 25);
	ask(r, STORE, 0x1000, 12);
	expect_dma(r, VUSER_CMD_DMA_WRITE, 0x1000, 10);
	answer(r, "", NULL, NULL, 0);
	expect_dma(r, VUSER_CMD_DMA_WRITE, 0x100a, 2);
	answer(r, "", NULL, NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	end(r);
}

static void transfers_are_cut_to_our_limit(void **state)
{
	struct rig *r =
		begin_with("{\"capabilities\":{\"max_data_xfer_size\":67108864}}", 0);
	uint64_t max = VUSER_DEFAULT_DATA_XFER;
	uint8_t *data = calloc(1, max);

	(void)state;
	assert_non_null(data);
	map(r, 0, 2 * max, RW, -1, 0, 0);
	ask(r, FETCH, 0, max + 9000);
	expect_dma(r, VUSER_CMD_DMA_READ, 0, max);
	data[max - 1] = 1;
	answer(r, "88", VALUES(0, max), data, max);
	expect_dma(r, VUSER_CMD_DMA_READ, max, 9000);
	answer(r, "88", VALUES(max, 9000), data, 9000);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	assert_int_equal(r->device.data[max - 1], 1);
	free(data);
	end(r);
}

static void a_client_that_never_answers_costs_a_timeout(void **state)
{
	struct rig *r = begin_with(NULL, 50000000);
	struct message *first = malloc(sizeof(*first));

	(void)state;
	assert_non_null(first);
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	ask(r, FETCH, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	*first = got;
	expect_error(r, VUSER_CMD_REGION_WRITE, ETIMEDOUT);
	got = *first;
	answer(r, "888", VALUES(0x1000, 8, 0xffff), NULL, 0); /* too late */
	free(first);
	unmap(r, 0x1000, 0x1000, 0, 0);
	assert_int_equal(r->device.data[0], 0);
	leave(r);
	assert_int_equal(r->events.of[VUSER_EVENT_LATE], 1);
	assert_int_equal(r->events.of[VUSER_EVENT_UNEXPECTED], 0);
	finish(r);
}

static void a_client_that_leaves_meanwhile_is_eintr(void **state)
{
	(void)state;
	for (unsigned op = FETCH; op <= STORE; op++) {
		struct rig *r = begin();

		map(r, 0x1000, 0x1000, RW, -1, 0, 0);
		ask(r, op, 0x1000, 8);
		expect_dma(r, op == FETCH ? VUSER_CMD_DMA_READ : VUSER_CMD_DMA_WRITE,
			   0x1000, 8);
		leave(r);
		assert_int_equal(r->device.result, -EINTR);
		assert_int_equal(r->device.left, 1);
		finish(r);
	}
}

static void commands_that_come_meanwhile_are_answered_afterwards_in_order(void **state)
{
	struct message *first = malloc(sizeof(*first));
	struct rig *r = begin();

	(void)state;
	assert_non_null(first);
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	ask(r, FETCH, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	*first = got;
	/* Even the window that is being read is let go of only then. */
	put_message(r, 20, VUSER_CMD_DMA_UNMAP, COMMAND, -1, "4488",
		    VALUES(24, 0, 0x1000, 0x1000), NULL, 0);
	put_message(r, 21, VUSER_CMD_DEVICE_GET_INFO, COMMAND, -1, "4444",
		    VALUES(16, 0, 0, 0), NULL, 0);
	send_map(r, 0x1000, 0x2000, RW, -1, 0);
	ask(r, STORE, 0x2000, 4);
	got = *first;
	free(first);
	answer(r, "888", VALUES(0x1000, 8, 0x55), NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	assert_int_equal(r->device.data[0], 0x55);
	expect(r, VUSER_CMD_DMA_UNMAP, REPLY);
	assert_int_equal(got.h.id, 20);
	expect(r, VUSER_CMD_DEVICE_GET_INFO, REPLY);
	assert_int_equal(got.h.id, 21);
	expect(r, VUSER_CMD_DMA_MAP, REPLY);
	expect_dma(r, VUSER_CMD_DMA_WRITE, 0x2000, 4);
	answer(r, "", NULL, NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	end(r);
}

static void commands_that_come_with_the_dma_reply_are_answered_after_it(void **state)
{
	struct rig *r = begin();
	struct vuser_header none = { .id = 5, .command = 14 }, reply;
	uint8_t msg[2 * VUSER_HEADER_SIZE + 24];
	size_t n;

	(void)state;
	map(r, 0x1000, 0x1000, RW, -1, 0, 0);
	ask(r, FETCH, 0x1000, 8);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	/* One piece: a command first, then the reply that the device waits for. */
	reply = (struct vuser_header){ .id = got.h.id,
				       .command = VUSER_CMD_DMA_READ,
				       .flags = REPLY };
	n = pack_message(msg, none, "", NULL);
	n += pack_message(msg + n, reply, "888", VALUES(0x1000, 8, 0));
	put_bytes(r->fd, msg, n, NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	expect_error(r, 14, EINVAL);
	end(r);
}

/* Starts work that waits for the answer to *first. */
static struct message *begin_work(struct rig *r)
{
	struct message *first = malloc(sizeof(*first));

	assert_non_null(first);
	map(r, 0x1000, 0x2000, RW, -1, 0, 0);
	reach(r, LATER, 0x1000, 8, 0);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1000, 8);
	*first = got;
	return first;
}

static void ask_info(struct rig *r)
{
	put_message(r, 21, VUSER_CMD_DEVICE_GET_INFO, COMMAND, -1, "4444",
		    VALUES(16, 0, 0, 0), NULL, 0);
}

/* The answer to work's DMA_READ, which was kept. */
static void answer_work(struct rig *r, struct message *first)
{
	got = *first;
	free(first);
	answer(r, "888", VALUES(0x1000, 8, 0x55), NULL, 0);
}

static void work_keeps_commands_waiting(void **state)
{
	struct rig *r = begin();
	struct message *first = begin_work(r);

	(void)state;
	ask_info(r);
	assert_int_equal(poll(&(struct pollfd){ .fd = r->fd, .events = POLLIN }, 1, 10),
			 0);
	answer_work(r, first);
	expect(r, VUSER_CMD_DEVICE_GET_INFO, REPLY);
	assert_int_equal(r->device.data[0], 0x55);
	end(r);
}

/* QEMU answers no DMA_READ while it waits for a register. */
static void commands_are_answered_while_work_that_overlaps_waits(void **state)
{
	struct rig *r = begin_device(&overlapping, NULL, 30000000000);
	struct message *first = begin_work(r);

	(void)state;
	ask_info(r);
	expect(r, VUSER_CMD_DEVICE_GET_INFO, REPLY);
	/* A command that reaches into memory itself keeps those behind it waiting. */
	ask(r, STORE, 0x2000, 4);
	ask_info(r);
	expect_dma(r, VUSER_CMD_DMA_WRITE, 0x2000, 4);
	answer(r, "", NULL, NULL, 0);
	expect(r, VUSER_CMD_REGION_WRITE, REPLY);
	expect(r, VUSER_CMD_DEVICE_GET_INFO, REPLY);
	/* More work, which is done after that which waits. */
	reach(r, LATER, 0x1008, 8, 0);
	answer_work(r, first);
	expect_dma(r, VUSER_CMD_DMA_READ, 0x1008, 8);
	answer(r, "888", VALUES(0x1008, 8, 0x66), NULL, 0);
	ask_info(r);
	expect(r, VUSER_CMD_DEVICE_GET_INFO, REPLY);
	end(r);
}

static void a_client_that_leaves_overlapping_work_is_let_go(void **state)
{
	struct rig *r = begin_device(&overlapping, NULL, 30000000000);

	(void)state;
	free(begin_work(r));
	ask_info(r);
	expect(r, VUSER_CMD_DEVICE_GET_INFO, REPLY);
	leave(r);
	assert_int_equal(r->device.result, -EINTR);
	assert_int_equal(r->device.left, 1);
	finish(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_may_touch_but_not_overlap),
		cmocka_unit_test(unmapping_takes_exactly_one_window),
		cmocka_unit_test(unmapping_all_takes_every_window),
		cmocka_unit_test(no_more_windows_are_mapped_than_announced),
		cmocka_unit_test(windows_go_with_their_client),
		cmocka_unit_test(
			descriptors_that_are_no_such_memory_are_refused_and_closed),
		cmocka_unit_test(descriptor_of_a_refused_window_is_closed),
		cmocka_unit_test(memory_is_read_and_written_through_its_descriptor),
		cmocka_unit_test(windows_are_reached_within_their_permissions_only),
		cmocka_unit_test(what_is_outside_any_window_is_efault),
		cmocka_unit_test(access_goes_across_windows_that_touch),
		cmocka_unit_test(the_last_bytes_of_all_addresses_are_reached),
		cmocka_unit_test(files_shorter_than_their_window_fail_and_do_not_grow),
		cmocka_unit_test(files_truncated_under_us_fail_and_do_not_kill),
		cmocka_unit_test(memory_sealed_against_writing_is_read_only),
		cmocka_unit_test(dma_read_replies_of_both_forms_are_taken),
		cmocka_unit_test(dma_write_replies_of_all_forms_are_taken),
		cmocka_unit_test(lying_dma_replies_fail_the_access_alone),
		cmocka_unit_test(a_short_transfer_goes_on_with_the_rest),
		cmocka_unit_test(reply_to_another_command_fails_the_access),
		cmocka_unit_test(errors_of_the_client_reach_the_device),
		cmocka_unit_test(transfers_are_cut_to_the_clients_limit),
		cmocka_unit_test(transfers_are_cut_to_our_limit),
		cmocka_unit_test(a_client_that_never_answers_costs_a_timeout),
		cmocka_unit_test(a_client_that_leaves_meanwhile_is_eintr),
		cmocka_unit_test(
			commands_that_come_meanwhile_are_answered_afterwards_in_order),
		cmocka_unit_test(
			commands_that_come_with_the_dma_reply_are_answered_after_it),
		cmocka_unit_test(work_keeps_commands_waiting),
		cmocka_unit_test(commands_are_answered_while_work_that_overlaps_waits),
		cmocka_unit_test(a_client_that_leaves_overlapping_work_is_let_go),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
