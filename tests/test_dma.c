/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_dma.c and iova.c: a client's windows, and a server's use of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#define PAGE	 4096u
#define RW	 (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)
#define READABLE VUSER_DMA_READABLE
#define WRITABLE VUSER_DMA_WRITABLE
#define MEMFD	 VUSER_BACK_MEMFD
#define NONE	 VUSER_BACK_NONE
#define USAGE	 VUSER_E_USAGE
#define REMOTE	 VUSER_E_REMOTE
#define ERROR	 (VUSER_TYPE_REPLY | VUSER_FLAG_ERROR)
#define ROOM	 (3u << 20) /* for a payload */

#include "scripted_server.h"

static void expect(struct peer *p, const char *form, const uint64_t *v)
{
	uint8_t payload[64];
	size_t len = pack(payload, form, v);

	if (p->len != len || memcmp(p->payload, payload, len) != 0)
		go_wrong(p, "the message says something else");
}

#define MAP   "44888" /* argsz, flags, offset, address, size */
#define UNMAP "4488"  /* argsz, flags, address, size */

static void take_map(struct peer *p, uint64_t flags, uint64_t offset, uint64_t iova,
		     uint64_t size, bool with_fd)
{
	take(p, VUSER_CMD_DMA_MAP);
	expect(p, MAP, VALUES(32, flags, offset, iova, size));
	if ((p->passed >= 0) != with_fd)
		go_wrong(p, with_fd ? "no descriptor came" : "a descriptor came");
}

static struct rig *begin(void (*script)(struct peer *p))
{
	return begin_with(script, NULL, NULL, patient_options());
}

static void end(struct rig *r)
{
	end_with(r, 0);
}

static int map(struct rig *r, uint64_t iova, uint64_t size, enum vuser_backing backing)
{
	return vuser_map(r->client, iova, size, RW, backing, -1, 0, false, &r->e);
}

static int map_nowait(struct rig *r, uint64_t iova, uint64_t size)
{
	return vuser_map(r->client, iova, size, RW, NONE, -1, 0, true, &r->e);
}

static int map_file(struct rig *r, uint64_t iova, uint64_t size, int fd, uint64_t offset)
{
	return vuser_map(r->client, iova, size, RW, VUSER_BACK_FILE, fd, offset, false,
			 &r->e);
}

static unsigned windows(struct rig *r)
{
	struct vuser_window w;
	unsigned n = 0;

	while (vuser_window_get(r->client, n, &w))
		n++;
	return n;
}

static struct vuser_window window_at(struct rig *r, uint64_t iova)
{
	struct vuser_window w = { .size = 0 };

	for (size_t i = 0; vuser_window_get(r->client, i, &w); i++)
		if (w.iova == iova)
			return w;
	fail_msg("there is no window at 0x%llx", (unsigned long long)iova);
	return w;
}

static void poke(struct rig *r, uint64_t iova, const char *text)
{
	assert_int_equal(vuser_mem_write(r->client, iova, text, strlen(text), &r->e), 0);
}

static void assert_holds(struct rig *r, uint64_t iova, const char *text)
{
	char buf[64] = "";

	assert_int_equal(vuser_mem_read(r->client, iova, buf, strlen(text), &r->e), 0);
	assert_string_equal(buf, text);
}

static int make_file(size_t size)
{
	char path[] = "/tmp/vuser-dma-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* ---- Mapping ------------------------------------------------------------------ */

static void share_memfd(struct peer *p)
{
	int seals;

	take_map(p, RW, 0, 0x10000, 2 * PAGE, true);
	seals = fcntl(p->passed, F_GET_SEALS);
	if (!(seals & F_SEAL_SHRINK) || !(seals & F_SEAL_GROW) || !(seals & F_SEAL_SEAL))
		go_wrong(p, "the memory is not sealed");
	if (ftruncate(p->passed, PAGE) == 0 || ftruncate(p->passed, 4 * PAGE) == 0)
		go_wrong(p, "the memory's size can be changed");
	if (lseek(p->passed, 0, SEEK_END) != 2 * PAGE)
		go_wrong(p, "the memory has another size");
	if (pwrite(p->passed, "from the server", 15, 2 * PAGE - 15) != 15)
		go_wrong(p, "the memory cannot be written");
	answer(p, "", NULL);
	take(p, VUSER_CMD_DEVICE_RESET);
	answer(p, "", NULL);
}

static void a_memfd_window_is_shared_and_cannot_be_shrunk(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(share_memfd);
	struct vuser_window w;

	(void)state;
	assert_int_equal(map(r, 0x10000, 2 * PAGE, MEMFD), 0);
	assert_holds(r, 0x10000 + 2 * PAGE - 15, "from the server");
	w = window_at(r, 0x10000);
	assert_int_equal(w.size, 2 * PAGE);
	assert_int_equal(w.prot, RW);
	assert_true(w.fd >= 0);
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	end(r);
	assert_int_equal(open_fds(), before);
}

static void take_odd_windows(struct peer *p)
{
	take_map(p, READABLE, 0, 0x1000, 100, false);
	answer(p, "", NULL);
	take_map(p, WRITABLE, 0, 0x1064, 1, true);
	answer(p, "", NULL);
	take_map(p, 0, 0, UINT64_MAX, 1, false);
	answer(p, "", NULL);
}

static void lax_windows_may_be_of_any_size_and_permission(void **state)
{
	struct rig *r = begin(take_odd_windows);

	(void)state;
	vuser_client_set_lax(r->client, true);
	assert_int_equal(
		vuser_map(r->client, 0x1000, 100, READABLE, NONE, -1, 0, false, &r->e),
		0);
	assert_int_equal(
		vuser_map(r->client, 0x1064, 1, WRITABLE, MEMFD, -1, 0, false, &r->e), 0);
	assert_int_equal(
		vuser_map(r->client, UINT64_MAX, 1, 0, NONE, -1, 0, false, &r->e), 0);
	assert_int_equal(windows(r), 3);
	assert_int_equal(window_at(r, 0x1000).fd, -1);
	end(r);
}

static void share_file(struct peer *p)
{
	char text[8] = "";

	take_map(p, RW, 512, 0x10000, 2 * PAGE, true);
	answer(p, "", NULL);
	take(p, VUSER_CMD_DEVICE_RESET);
	if (pread(p->passed, text, 4, 512 + 8) == 0)
		go_wrong(p, "it is another file");
	answer(p, "", NULL);
}

static void a_file_window_is_the_file_at_its_offset(void **state)
{
	struct rig *r = begin(share_file);
	int fd = make_file(4 * PAGE);
	char text[8] = "";

	(void)state;
	assert_int_equal(map_file(r, 0x10000, 2 * PAGE, fd, 512), 0);
	poke(r, 0x10008, "data");
	assert_int_equal(pread(fd, text, 4, 512 + 8), 4);
	assert_string_equal(text, "data");
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	end(r);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4 * PAGE); /* still ours, still open */
	close(fd);
}

static void take_two(struct peer *p)
{
	for (unsigned i = 0; i < 2; i++) {
		take(p, VUSER_CMD_DMA_MAP);
		answer(p, "", NULL);
	}
}

static void what_cannot_be_mapped_is_not_sent(void **state)
{
	static const struct {
		uint64_t iova, size;
		int err;
	} rows[] = {
		{ 0x10000, 0, EINVAL },	     { UINT64_MAX, 2, EINVAL },
		{ 0x10000, 0x2000, EEXIST }, { 0xf000, 0x2000, EEXIST },
		{ 0x11000, 0x1000, EEXIST }, { 0, 0x100000, EEXIST },
		{ 0x20000, 0x1000, EEXIST },
	};
	struct rig *r = begin(take_two);

	(void)state;
	assert_int_equal(map(r, 0x10000, 0x2000, NONE), 0);
	assert_int_equal(map(r, 0x20000, 0x1000, NONE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_failed(r, map(r, rows[i].iova, rows[i].size, NONE), USAGE,
			      rows[i].err);
		assert_failed(r, map_nowait(r, rows[i].iova, rows[i].size), USAGE,
			      rows[i].err);
	}
	assert_failed(r, map_file(r, 0x50000, 0x1000, -1, 0), VUSER_E_SYSTEM, EBADF);
	vuser_client_set_lax(r->client, true);
	assert_failed(r, map(r, 1, UINT64_MAX, NONE), VUSER_E_SYSTEM, ENOMEM);
	assert_failed(r, map(r, 1, UINT64_MAX, MEMFD), VUSER_E_SYSTEM, EFBIG);
	assert_int_equal(windows(r), 2);
	end(r);
}

static void take_large_pages(struct peer *p)
{
	take_map(p, RW, 0, 0x10000, 0x20000, false);
	answer(p, "", NULL);
}

static void a_window_is_whole_pages_of_the_smallest_size_agreed(void **state)
{
	/* 64 KiB and 1 MiB */
	struct rig *r =
		begin_with(take_large_pages, "{\"capabilities\":{\"pgsizes\":1114112}}",
			   NULL, patient_options());

	(void)state;
	assert_failed(r, map(r, 0x1000, 0x10000, NONE), USAGE, EINVAL);
	assert_failed(r, map(r, 0x10000, 0x1000, NONE), USAGE, EINVAL);
	assert_failed(r, map_nowait(r, 0x10000, 0x18000), USAGE, EINVAL);
	assert_int_equal(map(r, 0x10000, 0x20000, NONE), 0);
	end(r);
}

static void more_windows_than_agreed_are_not_sent(void **state)
{
	struct rig *r = begin_with(take_two, "{\"capabilities\":{\"max_dma_maps\":2}}",
				   NULL, patient_options());

	(void)state;
	assert_int_equal(map(r, 0x1000, 0x1000, NONE), 0);
	assert_int_equal(map(r, 0x2000, 0x1000, NONE), 0);
	assert_failed(r, map(r, 0x3000, 0x1000, NONE), USAGE, ENOSPC);
	end(r);
}

static void take_one(struct peer *p)
{
	take_map(p, RW, 0, 0x1000, 0x1000, false);
	answer(p, "", NULL);
}

static void descriptors_are_not_sent_to_a_server_that_takes_none(void **state)
{
	struct rig *r = begin_with(take_one, "{\"capabilities\":{\"max_msg_fds\":0}}",
				   NULL, patient_options());
	int fd = make_file(PAGE);

	(void)state;
	assert_failed(r, map(r, 0x1000, 0x1000, MEMFD), USAGE, ENOTSUP);
	assert_failed(r, map_file(r, 0x1000, 0x1000, fd, 0), USAGE, ENOTSUP);
	assert_int_equal(map(r, 0x1000, 0x1000, NONE), 0);
	close(fd);
	end(r);
}

static void refuse_maps(struct peer *p)
{
	take(p, VUSER_CMD_DMA_MAP);
	answer_error(p, EINVAL);
	take(p, VUSER_CMD_DMA_MAP);
	answer_error(p, 0);
	take(p, VUSER_CMD_DMA_MAP);
	answer(p, "4", VALUES(0)); /* a payload where there is none */
	take(p, VUSER_CMD_DMA_MAP);
	answer(p, "", NULL);
}

static void a_window_the_server_refuses_is_gone(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(refuse_maps);

	(void)state;
	assert_failed(r, map(r, 0x1000, 0x1000, MEMFD), REMOTE, EINVAL);
	assert_int_equal(windows(r), 0);
	assert_failed(r, map(r, 0x1000, 0x1000, MEMFD), REMOTE, 0);
	assert_int_equal(windows(r), 0);
	assert_failed(r, map(r, 0x1000, 0x1000, MEMFD), VUSER_E_PROTOCOL, 0);
	assert_int_equal(windows(r), 0);
	assert_int_equal(map(r, 0x1000, 0x1000, MEMFD), 0);
	assert_int_equal(windows(r), 1);
	end(r);
	assert_int_equal(open_fds(), before);
}

/* ---- Bursts ------------------------------------------------------------------- */

#define BURST 300u

static void refuse_some(struct peer *p)
{
	for (unsigned i = 0; i < BURST; i++) {
		take(p, VUSER_CMD_DMA_MAP);
		if (i % 100 == 50)
			answer_error(p, i);
		else
			answer(p, "", NULL);
	}
}

static void settling_removes_just_the_windows_that_failed(void **state)
{
	struct vuser_options o = patient_options();

	(void)state;
	for (int queued = 0; queued < 2; queued++) {
		struct rig *r;

		o.force_queue = queued;
		r = begin_with(refuse_some, NULL, NULL, o);
		for (uint64_t i = 0; i < BURST; i++)
			assert_int_equal(map_nowait(r, i * PAGE, PAGE), 0);
		assert_int_equal(windows(r), BURST);
		assert_failed(r, vuser_settle(r->client, &r->e), REMOTE, 50);
		assert_int_equal(windows(r), BURST - 3);
		assert_failed(r, vuser_mem_read(r->client, 150 * PAGE, &o, 1, &r->e),
			      USAGE, EFAULT);
		assert_int_equal(window_at(r, 149 * PAGE).size, PAGE);
		assert_int_equal(window_at(r, 151 * PAGE).size, PAGE);
		assert_int_equal(vuser_settle(r->client, &r->e), 0);
		end(r);
	}
}

static void take_fds(struct peer *p)
{
	uint16_t ids[50];

	for (uint64_t i = 0; i < 50; i++) {
		take_map(p, RW, 0, i * PAGE, PAGE, true);
		if (p->wrong || pwrite(p->passed, &i, 1, 0) != 1)
			go_wrong(p, "the memory cannot be written");
		ids[i] = p->h.id;
	}
	for (unsigned i = 0; i < 50; i++) {
		p->h.id = ids[i];
		answer(p, "", NULL);
	}
}

static void each_window_of_a_burst_comes_with_its_own_memory(void **state)
{
	struct vuser_options o = patient_options();
	unsigned before = open_fds();

	(void)state;
	for (int queued = 0; queued < 2; queued++) {
		struct rig *r;
		uint8_t byte;

		o.force_queue = queued;
		r = begin_with(take_fds, NULL, NULL, o);
		for (uint64_t i = 0; i < 50; i++)
			assert_int_equal(vuser_map(r->client, i * PAGE, PAGE, RW, MEMFD,
						   -1, 0, true, &r->e),
					 0);
		assert_int_equal(vuser_settle(r->client, &r->e), 0);
		for (uint64_t i = 0; i < 50; i++) {
			assert_int_equal(
				vuser_mem_read(r->client, i * PAGE, &byte, 1, &r->e), 0);
			assert_int_equal(byte, i);
		}
		end(r);
	}
	assert_int_equal(open_fds(), before);
}

static void leave_in_the_burst(struct peer *p)
{
	take(p, VUSER_CMD_DMA_MAP);
	answer(p, "", NULL);
	take(p, VUSER_CMD_DMA_MAP);
	take(p, VUSER_CMD_DMA_MAP);
	shutdown(p->fd, SHUT_RDWR);
}

static void settling_hears_of_a_lost_connection(void **state)
{
	struct rig *r = begin(leave_in_the_burst);

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(map_nowait(r, i * PAGE, PAGE), 0);
	assert_int_equal(vuser_settle(r->client, &r->e), VUSER_E_CLOSED);
	assert_failed(r, map(r, 0x100000, PAGE, NONE), VUSER_E_CLOSED, 0);
	end(r);
}

static void take_three(struct peer *p)
{
	for (unsigned i = 0; i < 3; i++)
		take(p, VUSER_CMD_DMA_MAP);
}

static void closing_says_how_many_requests_were_outstanding(void **state)
{
	struct vuser_options o = patient_options();
	unsigned before = open_fds();

	(void)state;
	for (int queued = 0; queued < 2; queued++) {
		struct rig *r;

		o.force_queue = queued;
		r = begin_with(take_three, NULL, NULL, o);
		for (uint64_t i = 0; i < 3; i++)
			assert_int_equal(vuser_map(r->client, i * PAGE, PAGE, RW, MEMFD,
						   -1, 0, true, &r->e),
					 0);
		if (queued) /* nothing goes out by itself */
			assert_int_equal(vuser_client_process(r->client, &r->e), 0);
		end_with(r, 3);
	}
	assert_int_equal(open_fds(), before);
}

static void answer_none(struct peer *p)
{
	take(p, VUSER_CMD_DMA_MAP);
	take(p, VUSER_CMD_DMA_MAP);
}

static void settling_gives_up_in_time(void **state)
{
	struct vuser_options o = patient_options();
	struct rig *r;

	(void)state;
	o.timeout = 40000000;
	r = begin_with(answer_none, NULL, NULL, o);
	assert_int_equal(map_nowait(r, 0x1000, PAGE), 0);
	assert_int_equal(map_nowait(r, 0x2000, PAGE), 0);
	assert_failed(r, vuser_settle(r->client, &r->e), VUSER_E_TIMEOUT, ETIMEDOUT);
	assert_int_equal(windows(r), 0);
	assert_int_equal(vuser_settle(r->client, &r->e), 0);
	end(r);
}

/* ---- Lax ---------------------------------------------------------------------- */

static void take_overlaps(struct peer *p)
{
	take_map(p, RW, 0, 0x1000, 0x1000, false);
	answer(p, "", NULL);
	take_map(p, RW, 0, 0x1000, 0x1000, true); /* the same again */
	answer_error(p, EEXIST);
	take_map(p, RW, 0, 0x1000, 0x1000, false);
	answer_error(p, EEXIST);
	take_map(p, RW, 0, 0x800, 0x1000, false);
	answer(p, "", NULL);
	take(p, VUSER_CMD_DMA_UNMAP);
	expect(p, UNMAP, VALUES(24, 0, 0x5000, 1));
	answer(p, UNMAP, VALUES(24, 0, 0x5000, 1));
	take(p, VUSER_CMD_DMA_UNMAP);
	answer(p, UNMAP, VALUES(24, 0, 0x1000, 0x1000));
}

static void an_overlap_sent_all_the_same_costs_no_window_of_ours(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(take_overlaps);

	(void)state;
	assert_int_equal(map(r, 0x1000, 0x1000, NONE), 0);
	vuser_client_set_lax(r->client, true);
	assert_failed(r, map(r, 0x1000, 0x1000, MEMFD), REMOTE, EEXIST);
	assert_int_equal(windows(r), 1);
	assert_int_equal(map_nowait(r, 0x1000, 0x1000), 0);
	assert_failed(r, vuser_settle(r->client, &r->e), REMOTE, EEXIST);
	assert_int_equal(windows(r), 1);
	assert_int_equal(map(r, 0x800, 0x1000, NONE), 0);
	assert_int_equal(windows(r), 1);
	assert_int_equal(vuser_unmap(r->client, 0x5000, 1, &r->e), 0);
	assert_int_equal(vuser_unmap(r->client, 0x1000, 0x1000, &r->e), 0);
	assert_int_equal(windows(r), 0);
	end(r);
	assert_int_equal(open_fds(), before);
}

static void refuse_late(struct peer *p)
{
	struct vuser_header first;

	take(p, VUSER_CMD_DMA_MAP);
	first = p->h;
	take(p, VUSER_CMD_DMA_UNMAP);
	p->h = first;
	answer_error(p, EIO);
	p->h.id++;
	p->h.command = VUSER_CMD_DMA_UNMAP;
	answer(p, UNMAP, VALUES(24, 2, 0, 0));
	take(p, VUSER_CMD_DMA_MAP);
	answer(p, "", NULL);
}

static void a_failed_map_does_not_take_the_window_that_came_after_it(void **state)
{
	struct rig *r = begin(refuse_late);

	(void)state;
	assert_int_equal(map_nowait(r, 0x1000, 0x1000), 0);
	assert_int_equal(vuser_unmap_all(r->client, &r->e), 0);
	assert_int_equal(map(r, 0x1000, 0x1000, NONE), 0);
	assert_failed(r, vuser_settle(r->client, &r->e), REMOTE, EIO);
	assert_int_equal(windows(r), 1);
	end(r);
}

/* ---- Unmapping ---------------------------------------------------------------- */

static void answer_unmaps(struct peer *p)
{
	take_two(p);
	take(p, VUSER_CMD_DMA_UNMAP);
	expect(p, UNMAP, VALUES(24, 0, 0x1000, 0x2000));
	answer_error(p, EBUSY);
	take(p, VUSER_CMD_DMA_UNMAP);
	answer(p, UNMAP, VALUES(24, 0, 0x1000, 0x1000)); /* about another range */
	take(p, VUSER_CMD_DMA_UNMAP);
	answer(p, UNMAP, VALUES(24, 0, 0x2000, 0x2000));
	take(p, VUSER_CMD_DMA_UNMAP);
	answer(p, "4", VALUES(24));
	take(p, VUSER_CMD_DMA_UNMAP);
	answer(p, UNMAP, VALUES(24, 0, 0x1000, 0x2000));
}

static void a_window_goes_once_the_server_has_let_go(void **state)
{
	struct rig *r = begin(answer_unmaps);

	(void)state;
	assert_int_equal(map(r, 0x1000, 0x2000, MEMFD), 0);
	assert_int_equal(map(r, 0x3000, 0x1000, NONE), 0);
	assert_failed(r, vuser_unmap(r->client, 0x1000, 0x1000, &r->e), USAGE, ENOENT);
	assert_failed(r, vuser_unmap(r->client, 0x2000, 0x1000, &r->e), USAGE, ENOENT);
	assert_failed(r, vuser_unmap(r->client, 0x1000, 0x3000, &r->e), USAGE, ENOENT);
	assert_failed(r, vuser_unmap(r->client, 0x9000, 0x1000, &r->e), USAGE, ENOENT);
	assert_failed(r, vuser_unmap(r->client, 0x1000, 0x2000, &r->e), REMOTE, EBUSY);
	for (unsigned i = 0; i < 3; i++) {
		assert_failed(r, vuser_unmap(r->client, 0x1000, 0x2000, &r->e),
			      VUSER_E_PROTOCOL, 0);
		assert_int_equal(windows(r), 2);
	}
	assert_int_equal(vuser_unmap(r->client, 0x1000, 0x2000, &r->e), 0);
	assert_int_equal(windows(r), 1);
	assert_int_equal(window_at(r, 0x3000).size, 0x1000);
	end(r);
}

static void answer_unmap_all(struct peer *p)
{
	for (unsigned i = 0; i < 20; i++) {
		take(p, VUSER_CMD_DMA_MAP);
		answer(p, "", NULL);
	}
	take(p, VUSER_CMD_DMA_UNMAP);
	expect(p, UNMAP, VALUES(24, VUSER_DMA_UNMAP_ALL, 0, 0));
	answer_error(p, EBUSY);
	take(p, VUSER_CMD_DMA_UNMAP);
	drop_passed(p);
	answer(p, UNMAP, VALUES(24, VUSER_DMA_UNMAP_ALL, 0, 0));
}

static void unmapping_all_takes_every_window_and_closes_it(void **state)
{
	struct rig *r = begin(answer_unmap_all);
	unsigned before = open_fds();

	(void)state;
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(map(r, i * PAGE, PAGE, i % 2 ? MEMFD : NONE), 0);
	assert_failed(r, vuser_unmap_all(r->client, &r->e), REMOTE, EBUSY);
	assert_int_equal(windows(r), 20);
	assert_int_equal(vuser_unmap_all(r->client, &r->e), 0);
	assert_int_equal(windows(r), 0);
	assert_int_equal(open_fds(), before);
	end(r);
}

/* ---- Our own access ----------------------------------------------------------- */

static void take_all(struct peer *p)
{
	while (get_message(p))
		answer(p, "", NULL);
}

static void our_own_access_goes_across_windows_whatever_they_permit(void **state)
{
	struct rig *r = begin(take_all);
	int fd = make_file(PAGE);

	(void)state;
	assert_int_equal(vuser_map(r->client, 0x1000, PAGE, 0, NONE, -1, 0, false, &r->e),
			 0);
	assert_int_equal(map_file(r, 0x2000, PAGE, fd, 0), 0);
	assert_int_equal(map(r, 0x3000, PAGE, MEMFD), 0);
	poke(r, 0x1ffc, "across two windows");
	assert_holds(r, 0x1ffc, "across two windows");
	poke(r, 0x2ff0, "and across another pair");
	assert_holds(r, 0x2ff0, "and across another pair");
	assert_failed(r, vuser_mem_write(r->client, 0x3ffd, "text", 4, &r->e), USAGE,
		      EFAULT);
	assert_holds(r, 0x3ffd, ""); /* nothing of it was written */
	assert_failed(r, vuser_mem_write(r->client, 0xfff, "text", 4, &r->e), USAGE,
		      EFAULT);
	assert_int_equal(vuser_mem_read(r->client, 0x99999, NULL, 0, &r->e), 0);
	close(fd);
	end(r);
}

static void our_own_access_ends_with_the_addresses(void **state)
{
	struct rig *r = begin(take_all);

	(void)state;
	assert_int_equal(map(r, UINT64_MAX - PAGE + 1, PAGE, NONE), 0);
	assert_int_equal(map(r, 0, PAGE, NONE), 0);
	poke(r, UINT64_MAX - 2, "end");
	assert_holds(r, UINT64_MAX - 2, "end");
	assert_failed(r, vuser_mem_write(r->client, UINT64_MAX, "ab", 2, &r->e), USAGE,
		      EFAULT);
	end(r);
}

static void windows_are_listed_by_address(void **state)
{
	static const uint64_t order[] = { 5, 1, 9, 0, 7, 3 },
			      sorted[] = { 0, 1, 3, 5, 7, 9 };
	struct rig *r = begin(take_all);
	struct vuser_window w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(map(r, order[i] * PAGE, PAGE, NONE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		assert_true(vuser_window_get(r->client, i, &w));
		assert_int_equal(w.iova, sorted[i] * PAGE);
	}
	assert_false(vuser_window_get(r->client, 6, &w));
	assert_false(vuser_window_get(r->client, SIZE_MAX, &w));
	end(r);
}

static void a_file_that_is_too_short_fails_and_does_not_grow(void **state)
{
	struct rig *r = begin(take_all);
	int fd = make_file(PAGE);
	char byte = 0;

	(void)state;
	assert_int_equal(map_file(r, 0x10000, 4 * PAGE, fd, 0), 0);
	assert_int_equal(vuser_mem_read(r->client, 0x10000 + PAGE - 1, &byte, 1, &r->e),
			 0);
	assert_failed(r, vuser_mem_read(r->client, 0x10000 + PAGE, &byte, 1, &r->e),
		      VUSER_E_SYSTEM, EFAULT);
	assert_failed(r, vuser_mem_write(r->client, 0x10000 + PAGE - 1, "ab", 2, &r->e),
		      VUSER_E_SYSTEM, EFAULT);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_failed(r, vuser_mem_read(r->client, 0x10000, &byte, 1, &r->e),
		      VUSER_E_SYSTEM, EFAULT);
	assert_failed(r, vuser_mem_write(r->client, 0x10000, &byte, 1, &r->e),
		      VUSER_E_SYSTEM, EFAULT);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	end(r);
}

/* ---- The server's requests ---------------------------------------------------- */

struct request {
	unsigned command;
	uint32_t flags;
	const char *form;
	uint64_t v[4];
	const char *data; /* of a DMA_WRITE, or what a DMA_READ answers */
	int err;
	bool silent; /* no reply comes */
};

/* Asks while the client waits for the reply to its reset. */
static void ask(struct peer *p, const struct request *q)
{
	size_t len = q->data && q->command == VUSER_CMD_DMA_WRITE ? strlen(q->data) : 0;
	struct vuser_header h = { .id = 0x7777,
				  .command = (uint16_t)q->command,
				  .flags = q->flags };
	uint8_t payload[128];
	size_t n;

	put(p, h, q->form, q->v, q->data, len, NULL, 0);
	if (q->silent)
		return;
	take(p, q->command);
	if (p->h.id != 0x7777 || p->h.flags != (q->err ? ERROR : REPLY) ||
	    p->h.error != (uint32_t)q->err)
		go_wrong(p, "another answer came");
	n = q->err ? 0 : pack(payload, q->form, q->v);
	if (!q->err && q->data && q->command == VUSER_CMD_DMA_READ) {
		memcpy(payload + n, q->data, strlen(q->data));
		n += strlen(q->data);
	}
	if (p->len != n || memcmp(p->payload, payload, n) != 0)
		go_wrong(p, "another payload came");
}

struct requests {
	const struct request *v;
	size_t n;
};

static void ask_all(struct peer *p)
{
	const struct requests *all = p->arg;
	struct vuser_header reset;

	do {
		if (!get_message(p))
			go_wrong(p, "nothing came");
		reset = p->h;
		if (p->h.command == VUSER_CMD_DMA_MAP)
			answer(p, "", NULL);
	} while (!p->wrong && p->h.command == VUSER_CMD_DMA_MAP);
	for (size_t i = 0; i < all->n && !p->wrong; i++)
		ask(p, &all->v[i]);
	p->h = reset;
	answer(p, "", NULL);
}

#define FETCH VUSER_CMD_DMA_READ
#define STORE VUSER_CMD_DMA_WRITE
#define DMA   "88" /* address, count */
#define DMA32 "84" /* as QEMU up to 10.1 */
#define QUIET VUSER_FLAG_NO_REPLY

/*
 * 0x10000 read and write, memfd; 0x11000 readable; 0x12000 writable; 0x13000 a file of
 * one page behind a window of two; the last page of all and the first, both readable.
 */
static const struct request requests[] = {
	/* within a window, both forms */
	{ FETCH, 0, DMA, { 0x10010, 5 }, "hello", 0, false },
	{ FETCH, 0, DMA32, { 0x10010, 5 }, "hello", 0, false },
	{ FETCH, 0, DMA, { 0x10010, 0 }, "", 0, false },
	{ FETCH, 0, DMA32, { 0x10010, 1 }, "h", 0, false },
	{ STORE, 0, DMA, { 0x10020, 5 }, "world", 0, false },
	{ STORE, 0, DMA32, { 0x10025, 1 }, "!", 0, false },
	{ FETCH, 0, DMA, { 0x10020, 6 }, "world!", 0, false },
	/* across windows that touch */
	{ FETCH, 0, DMA, { 0x10ffe, 4 }, "abcd", 0, false },
	{ STORE, 0, DMA, { 0x12ffe, 4 }, "wxyz", 0, false },
	/* against permissions, also those of the last byte */
	{ STORE, 0, DMA, { 0x11000, 1 }, "x", EPERM, false },
	{ STORE, 0, DMA, { 0x10fff, 2 }, "xx", EPERM, false },
	{ FETCH, 0, DMA, { 0x12000, 1 }, NULL, EPERM, false },
	{ FETCH, 0, DMA, { 0x11fff, 2 }, NULL, EPERM, false },
	{ FETCH, 0, DMA, { 0x10ffe, 2 }, "ab", 0, false }, /* nothing was written */
	/* outside any window */
	{ FETCH, 0, DMA, { 0x20000, 1 }, NULL, EFAULT, false },
	{ FETCH, 0, DMA, { 0xffff, 2 }, NULL, EFAULT, false },
	{ STORE, 0, DMA, { 0x14fff, 2 }, "xx", EFAULT, false },
	{ STORE, 0, DMA32, { 0xffff, 2 }, "xx", EFAULT, false },
	/* the file ends before its window */
	{ FETCH, 0, DMA, { 0x13ffe, 2 }, "\1\1", 0, false },
	{ FETCH, 0, DMA, { 0x13fff, 2 }, NULL, EFAULT, false },
	{ FETCH, 0, DMA, { 0x14000, 8 }, NULL, EFAULT, false },
	{ STORE, 0, DMA, { 0x13fff, 2 }, "xx", EFAULT, false },
	{ STORE, 0, DMA, { 0x14000, 2 }, "xx", EFAULT, false },
	/* the end of all addresses: no way round */
	{ FETCH, 0, DMA, { UINT64_MAX, 1 }, "$", 0, false },
	{ FETCH, 0, DMA, { UINT64_MAX, 2 }, NULL, EFAULT, false },
	{ FETCH, 0, DMA32, { UINT64_MAX, 2 }, NULL, EFAULT, false },
	/* counts above the limit, and beyond all sense */
	{ FETCH, 0, DMA, { 0x10000, 1048577 }, NULL, EINVAL, false },
	{ FETCH, 0, DMA, { 0x10000, UINT64_MAX }, NULL, EINVAL, false },
	{ FETCH, 0, DMA32, { 0x10000, UINT32_MAX }, NULL, EINVAL, false },
	/* counts above 32 bits whose low half would do */
	{ FETCH, 0, DMA, { 0x10000, 0x100000005 }, NULL, EINVAL, false },
	{ STORE, 0, DMA, { 0x10000, 0x100000003 }, "xxx", EINVAL, false },
	{ STORE, 0, DMA, { 0x10000, UINT64_MAX }, "xxx", EINVAL, false },
	/* counts that are not what follows, payloads cut short */
	{ STORE, 0, DMA, { 0x10000, 2 }, "xxx", EINVAL, false },
	{ STORE, 0, DMA32, { 0x10000, 3 }, "xx", EINVAL, false },
	{ FETCH, 0, "888", { 0x10000, 8, 0 }, NULL, EINVAL, false },
	{ FETCH, 0, "8", { 0x10000 }, NULL, EINVAL, false },
	{ STORE, 0, "", { 0 }, NULL, EINVAL, false },
	/* commands that a server cannot send, or nobody */
	{ VUSER_CMD_VERSION, 0, "22", { 0, 1 }, NULL, EINVAL, false },
	{ VUSER_CMD_DEVICE_RESET, 0, "", { 0 }, NULL, EINVAL, false },
	{ VUSER_CMD_REGION_READ, 0, "844", { 0, 0, 4 }, NULL, EINVAL, false },
	{ 14, 0, "", { 0 }, NULL, EINVAL, false },
	{ 0xffff, 0, "8", { 0 }, NULL, EINVAL, false },
	/* no reply where none is wanted */
	{ STORE, QUIET, DMA, { 0x10030, 5 }, "quiet", 0, true },
	{ STORE, QUIET, DMA, { 0x11000, 1 }, "x", EPERM, true },
	{ FETCH, QUIET, DMA, { 0x10000, 4 }, NULL, 0, true },
	{ 14, QUIET, "", { 0 }, NULL, EINVAL, true },
	{ FETCH, 0, DMA, { 0x10030, 5 }, "quiet", 0, false },
};

static void map_for_requests(struct rig *r)
{
	int fd = make_file(PAGE);

	assert_int_equal(pwrite(fd, "\1\1", 2, PAGE - 2), 2);
	assert_int_equal(map(r, 0x10000, PAGE, MEMFD), 0);
	assert_int_equal(
		vuser_map(r->client, 0x11000, PAGE, READABLE, NONE, -1, 0, false, &r->e),
		0);
	assert_int_equal(
		vuser_map(r->client, 0x12000, PAGE, WRITABLE, NONE, -1, 0, true, &r->e),
		0);
	assert_int_equal(map_file(r, 0x13000, 2 * PAGE, fd, 0), 0);
	assert_int_equal(map(r, UINT64_MAX - PAGE + 1, PAGE, NONE), 0);
	assert_int_equal(map(r, 0, PAGE, NONE), 0);
	assert_int_equal(vuser_settle(r->client, &r->e), 0);
	close(fd); /* the window has its own */
	poke(r, 0x10010, "hello");
	poke(r, 0x10ffe, "abcd");
	poke(r, UINT64_MAX, "$");
}

static unsigned refusals(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		n += requests[i].err != 0;
	return n;
}

static void requests_are_answered_from_the_windows_or_refused(void **state)
{
	struct requests all = { requests, ARRAY_SIZE(requests) };
	struct rig *r = begin_with(ask_all, NULL, &all, patient_options());

	(void)state;
	map_for_requests(r);
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	assert_holds(r, 0x10020, "world!");
	assert_holds(r, 0x12ffe, "wx");
	assert_holds(r, 0x13000, "yz");
	assert_int_equal(r->events.of[VUSER_EVENT_REQUEST], refusals());
	end(r);
}

static void windows_count_what_the_server_does(void **state)
{
	static const struct request few[] = {
		{ FETCH, 0, DMA, { 0x10000, 100 }, NULL, EPERM, false },
		{ STORE, 0, DMA, { 0x10ffe, 5 }, "abcde", 0, false },
		{ STORE, 0, DMA, { 0x11000, 3 }, "abc", 0, false },
		{ FETCH, 0, DMA, { 0x11000, 4 }, "abce", EPERM, false },
		{ FETCH, 0, DMA, { 0x12000, 2 }, "??", 0, false },
	};
	struct requests all = { few, ARRAY_SIZE(few) };
	struct rig *r = begin_with(ask_all, NULL, &all, patient_options());
	struct vuser_window w;

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(vuser_map(r->client, 0x10000 + i * PAGE, PAGE,
					   i == 2 ? READABLE : WRITABLE, NONE, -1, 0,
					   false, &r->e),
				 0);
	poke(r, 0x12000, "??");
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	w = window_at(r, 0x10000);
	assert_int_equal(w.writes, 1);
	assert_int_equal(w.write_bytes, 2);
	assert_int_equal(w.reads, 0);
	w = window_at(r, 0x11000);
	assert_int_equal(w.writes, 2);
	assert_int_equal(w.write_bytes, 6);
	w = window_at(r, 0x12000);
	assert_int_equal(w.reads, 1);
	assert_int_equal(w.read_bytes, 2);
	end(r);
}

#define ACROSS (PAGE + 4) /* two bytes, a window, two bytes */

static void ask_across(struct peer *p)
{
	struct vuser_header store = { .id = 1, .command = STORE }, reset;
	struct vuser_header fetch = { .id = 2, .command = FETCH };
	uint8_t data[ACROSS];

	for (unsigned i = 0; i < 3; i++) {
		take(p, VUSER_CMD_DMA_MAP);
		answer(p, "", NULL);
	}
	take(p, VUSER_CMD_DEVICE_RESET);
	reset = p->h;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	put(p, store, DMA, VALUES(0x10ffe, ACROSS), data, ACROSS, NULL, 0);
	take(p, STORE);
	if (p->h.flags != REPLY || p->len != 16)
		go_wrong(p, "it was not written");
	put(p, fetch, DMA, VALUES(0x10ffe, ACROSS), NULL, 0, NULL, 0);
	take(p, FETCH);
	if (p->h.flags != REPLY || p->len != 16 + ACROSS ||
	    memcmp(p->payload + 16, data, ACROSS) != 0)
		go_wrong(p, "another thing was read");
	/* one byte beyond the last window: none of it */
	put(p, fetch, DMA, VALUES(0x10ffe, 2 * PAGE + 3), NULL, 0, NULL, 0);
	take(p, FETCH);
	if (p->h.flags != ERROR || p->h.error != EFAULT || p->len)
		go_wrong(p, "it was not refused");
	p->h = reset;
	answer(p, "", NULL);
}

static void a_request_may_span_windows_of_every_kind(void **state)
{
	struct rig *r = begin(ask_across);
	int fd = make_file(PAGE);

	(void)state;
	assert_int_equal(map(r, 0x10000, PAGE, MEMFD), 0);
	assert_int_equal(map_file(r, 0x11000, PAGE, fd, 0), 0);
	assert_int_equal(map(r, 0x12000, PAGE, NONE), 0);
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	assert_int_equal(window_at(r, 0x11000).write_bytes, PAGE);
	assert_int_equal(window_at(r, 0x12000).read_bytes, 2);
	close(fd);
	end(r);
}

/* Requests of the largest size, and of one byte more. */
static void ask_for_much(struct peer *p)
{
	static uint8_t data[VUSER_DEFAULT_DATA_XFER + 4];
	struct vuser_header fetch = { .id = 1, .command = FETCH },
			    store = { .id = 2, .command = STORE }, reset;

	take(p, VUSER_CMD_DMA_MAP);
	answer(p, "", NULL);
	take(p, VUSER_CMD_DEVICE_RESET);
	reset = p->h;
	memset(data, 'd', sizeof(data));
	for (uint64_t extra = 0; extra < 2; extra++) {
		uint64_t n = VUSER_DEFAULT_DATA_XFER + extra;
		uint32_t flags = extra ? ERROR : REPLY;

		for (unsigned wide = 0; wide < 2; wide++) {
			put(p, store, wide ? DMA : DMA32, VALUES(0, n), data, n, NULL, 0);
			take(p, STORE);
			if (p->h.flags != flags || p->h.error != (extra ? EINVAL : 0))
				go_wrong(p, "another answer came to a write");
		}
		put(p, fetch, DMA, VALUES(0, n), NULL, 0, NULL, 0);
		take(p, FETCH);
		if (p->h.flags != flags || p->len != (extra ? 0 : 16 + n) ||
		    (!extra && p->payload[15 + n] != 'd'))
			go_wrong(p, "another answer came to a read");
	}
	p->h = reset;
	answer(p, "", NULL);
}

static void the_largest_transfer_passes_and_no_larger_one(void **state)
{
	struct rig *r = begin(ask_for_much);

	(void)state;
	assert_int_equal(map(r, 0, 2 * VUSER_DEFAULT_DATA_XFER, NONE), 0);
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	assert_int_equal(r->events.of[VUSER_EVENT_REQUEST], 3);
	end(r);
}

static void ask_with_descriptor(struct peer *p)
{
	struct vuser_header h = { .id = 1, .command = FETCH }, reset;
	int fd = make_file(0);

	take(p, VUSER_CMD_DEVICE_RESET);
	reset = p->h;
	put(p, h, DMA, VALUES(0, 0), NULL, 0, &fd, 1);
	close(fd);
	take(p, FETCH);
	if (p->h.flags != ERROR || p->h.error != EINVAL)
		go_wrong(p, "it was not refused");
	p->h = reset;
	answer(p, "", NULL);
}

static void a_request_with_a_descriptor_is_refused_and_it_closed(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(ask_with_descriptor);

	(void)state;
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	end(r);
	assert_int_equal(open_fds(), before);
}

/* Shrinks the file that the client passed, then asks for it. */
static void shrink_and_ask(struct peer *p)
{
	struct vuser_header h = { .id = 1, .command = FETCH }, reset;

	take_map(p, RW, 0, 0x1000, PAGE, true);
	if (ftruncate(p->passed, 0) != 0)
		go_wrong(p, "the file cannot be shrunk");
	answer(p, "", NULL);
	take(p, VUSER_CMD_DEVICE_RESET);
	reset = p->h;
	put(p, h, DMA, VALUES(0x1000, 8), NULL, 0, NULL, 0);
	take(p, FETCH);
	if (p->h.flags != ERROR || p->h.error != EFAULT)
		go_wrong(p, "it was not EFAULT");
	p->h = reset;
	answer(p, "", NULL);
}

static void a_file_the_server_shrinks_fails_and_does_not_kill(void **state)
{
	struct rig *r = begin(shrink_and_ask);
	int fd = make_file(PAGE);

	(void)state;
	assert_int_equal(map_file(r, 0x1000, PAGE, fd, 0), 0);
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	close(fd);
	end(r);
}

static void ask_when_idle(struct peer *p)
{
	struct vuser_header h = { .id = 1, .command = FETCH };

	take(p, VUSER_CMD_DMA_MAP);
	answer(p, "", NULL);
	for (unsigned i = 0; i < 10; i++) {
		put(p, h, DMA, VALUES(0x1000, 4), NULL, 0, NULL, 0);
		take(p, FETCH);
		expect(p, "8822", VALUES(0x1000, 4, 0, 0));
	}
}

static void requests_are_answered_when_the_owner_polls(void **state)
{
	struct rig *r = begin(ask_when_idle);
	struct pollfd pfd = { .fd = vuser_client_fd(r->client) };

	(void)state;
	assert_int_equal(map(r, 0x1000, PAGE, NONE), 0);
	while (window_at(r, 0x1000).reads < 10) {
		pfd.events = vuser_client_events(r->client);
		assert_int_equal(poll(&pfd, 1, 30000), 1);
		assert_int_equal(vuser_client_process(r->client, &r->e), 0);
	}
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_memfd_window_is_shared_and_cannot_be_shrunk),
		cmocka_unit_test(lax_windows_may_be_of_any_size_and_permission),
		cmocka_unit_test(a_file_window_is_the_file_at_its_offset),
		cmocka_unit_test(what_cannot_be_mapped_is_not_sent),
		cmocka_unit_test(a_window_is_whole_pages_of_the_smallest_size_agreed),
		cmocka_unit_test(more_windows_than_agreed_are_not_sent),
		cmocka_unit_test(descriptors_are_not_sent_to_a_server_that_takes_none),
		cmocka_unit_test(a_window_the_server_refuses_is_gone),
		cmocka_unit_test(settling_removes_just_the_windows_that_failed),
		cmocka_unit_test(each_window_of_a_burst_comes_with_its_own_memory),
		cmocka_unit_test(settling_hears_of_a_lost_connection),
		cmocka_unit_test(closing_says_how_many_requests_were_outstanding),
		cmocka_unit_test(settling_gives_up_in_time),
		cmocka_unit_test(an_overlap_sent_all_the_same_costs_no_window_of_ours),
		cmocka_unit_test(
			a_failed_map_does_not_take_the_window_that_came_after_it),
		cmocka_unit_test(a_window_goes_once_the_server_has_let_go),
		cmocka_unit_test(unmapping_all_takes_every_window_and_closes_it),
		cmocka_unit_test(our_own_access_goes_across_windows_whatever_they_permit),
		cmocka_unit_test(our_own_access_ends_with_the_addresses),
		cmocka_unit_test(windows_are_listed_by_address),
		cmocka_unit_test(a_file_that_is_too_short_fails_and_does_not_grow),
		cmocka_unit_test(requests_are_answered_from_the_windows_or_refused),
		cmocka_unit_test(windows_count_what_the_server_does),
		cmocka_unit_test(a_request_may_span_windows_of_every_kind),
		cmocka_unit_test(the_largest_transfer_passes_and_no_larger_one),
		cmocka_unit_test(a_request_with_a_descriptor_is_refused_and_it_closed),
		cmocka_unit_test(a_file_the_server_shrinks_fails_and_does_not_kill),
		cmocka_unit_test(requests_are_answered_when_the_owner_polls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
