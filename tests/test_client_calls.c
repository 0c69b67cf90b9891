/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_device.c and client_region.c: calls to honest and lying servers. */
#include <errno.h>
#include <fcntl.h>

#define ROOM   (4u << 20) /* for a payload */
#define USAGE  VUSER_E_USAGE
#define REMOTE VUSER_E_REMOTE

#include "scripted_server.h"

/* The last message must have had this payload, data behind it not looked at. */
static void expect(struct peer *p, const char *form, const uint64_t *v)
{
	uint8_t payload[64];
	size_t len = pack(payload, form, v);

	if (p->len < len || memcmp(p->payload, payload, len) != 0)
		go_wrong(p, "the command says something else");
}

static struct rig *begin_told(void (*script)(struct peer *p), const char *json,
			      const void *arg)
{
	return begin_with(script, json, arg, patient_options());
}

static struct rig *begin(void (*script)(struct peer *p))
{
	return begin_told(script, NULL, NULL);
}

static void end(struct rig *r)
{
	assert_int_equal(vuser_client_lost(r->client, NULL), 0);
	end_with(r, 0);
}

static void assert_lie(const struct rig *r, int result, size_t offset, const char *field)
{
	assert_failed(r, result, VUSER_E_PROTOCOL, 0);
	assert_int_equal(r->e.offset, offset);
	assert_string_equal(r->e.field, field);
}

/* A number of descriptors to send; closed by close_all(). */
static void open_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* ---- DEVICE_GET_INFO, DEVICE_GET_IRQ_INFO, DEVICE_RESET ----------------------- */

struct row { /* a reply's payload, and what is wrong with it */
	const char *form;
	uint64_t v[10];
	size_t offset;
	const char *field;
};

struct rows {
	unsigned command;
	const struct row *rows;
	size_t n;
};

static void answer_rows(struct peer *p)
{
	const struct rows *all = p->arg;

	for (size_t i = 0; i < all->n; i++) {
		take(p, all->command);
		answer(p, all->rows[i].form, all->rows[i].v);
	}
}

static void say_info(struct peer *p)
{
	take(p, VUSER_CMD_DEVICE_GET_INFO);
	expect(p, "4444", VALUES(16, 0, 0, 0));
	answer(p, "4444", VALUES(16, 3, 100, 50));
}

static void device_info_is_what_the_server_says(void **state)
{
	struct rig *r = begin(say_info);
	struct vuser_device_info info;

	(void)state;
	assert_int_equal(vuser_get_info(r->client, &info, &r->e), 0);
	assert_int_equal(info.flags, 3);
	assert_int_equal(info.num_regions, 100);
	assert_int_equal(info.num_irqs, 50);
	end(r);
}

static void absurd_or_broken_device_info_is_refused(void **state)
{
	static const struct row rows[] = {
		{ "4444", { 16, 3, 101, 5 }, 24, "num_regions" },
		{ "4444", { 16, 3, 0xffffffff, 0xffffffff }, 24, "num_regions" },
		{ "4444", { 16, 3, 9, 51 }, 28, "num_irqs" },
		{ "", { 0 }, 16, "argsz" },
		{ "444", { 16, 3, 9 }, 28, "num_irqs" },
		{ "4442", { 16, 3, 9, 5 }, 30, "num_irqs" },
		{ "44441", { 17, 3, 9, 5, 0 }, 32, "size" },
	};
	struct rows all = { VUSER_CMD_DEVICE_GET_INFO, rows, ARRAY_SIZE(rows) };
	struct rig *r = begin_told(answer_rows, NULL, &all);
	struct vuser_device_info info;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_lie(r, vuser_get_info(r->client, &info, &r->e), rows[i].offset,
			   rows[i].field);
	assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], ARRAY_SIZE(rows));
	end(r);
}

static void say_irq(struct peer *p)
{
	take(p, VUSER_CMD_DEVICE_GET_IRQ_INFO);
	expect(p, "4444", VALUES(16, 0, 2, 0));
	answer(p, "4444", VALUES(16, 9, 2, 2048));
	take(p, VUSER_CMD_DEVICE_GET_IRQ_INFO);
	answer(p, "4444", VALUES(16, 9, 3, 2048));
}

static void irq_info_must_be_about_the_index_asked_for(void **state)
{
	struct rig *r = begin(say_irq);
	struct vuser_irq_info info;

	(void)state;
	assert_int_equal(vuser_get_irq(r->client, 2, &info, &r->e), 0);
	assert_int_equal(info.flags, 9);
	assert_int_equal(info.count, 2048);
	assert_lie(r, vuser_get_irq(r->client, 2, &info, &r->e), 24, "index");
	assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], 1);
	end(r);
}

static void say_reset(struct peer *p)
{
	take(p, VUSER_CMD_DEVICE_RESET);
	answer(p, "", NULL);
	take(p, VUSER_CMD_DEVICE_RESET);
	answer_error(p, EBUSY);
	take(p, VUSER_CMD_DEVICE_RESET);
	answer_error(p, 0);
	take(p, VUSER_CMD_DEVICE_RESET);
	answer_error(p, 0xfffffff0); /* negative on some wires */
	take(p, VUSER_CMD_DEVICE_RESET);
	answer(p, "4", VALUES(0));
}

static void reset_is_done_refused_or_lied_about(void **state)
{
	struct rig *r = begin(say_reset);

	(void)state;
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	assert_failed(r, vuser_reset(r->client, &r->e), REMOTE, EBUSY);
	assert_failed(r, vuser_reset(r->client, &r->e), REMOTE, 0);
	assert_failed(r, vuser_reset(r->client, &r->e), REMOTE, -16);
	assert_lie(r, vuser_reset(r->client, &r->e), 16, "size");
	end(r);
}

static void say_with_fds(struct peer *p)
{
	int fds[3];

	open_all(fds, 3);
	take(p, VUSER_CMD_DEVICE_GET_INFO);
	answer_with(p, REPLY, 0, "4444", VALUES(16, 3, 9, 5), NULL, 0, fds, 3);
	take(p, VUSER_CMD_DEVICE_RESET);
	answer_with(p, REPLY | VUSER_FLAG_ERROR, EIO, "", NULL, NULL, 0, fds, 3);
	close_all(fds, 3);
}

static void descriptors_where_none_belong_are_closed(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(say_with_fds);
	struct vuser_device_info info;

	(void)state;
	assert_lie(r, vuser_get_info(r->client, &info, &r->e), 0, "fds");
	assert_failed(r, vuser_reset(r->client, &r->e), REMOTE, EIO);
	end(r);
	assert_int_equal(open_fds(), before);
}

/* ---- DEVICE_GET_REGION_INFO --------------------------------------------------- */

#define REGION "444488" /* argsz, flags, index, cap_offset, size, offset */

static void take_region(struct peer *p, uint64_t argsz, uint64_t index)
{
	take(p, VUSER_CMD_DEVICE_GET_REGION_INFO);
	expect(p, REGION, VALUES(argsz, 0, index, 0, 0, 0));
}

static void say_plain_region(struct peer *p)
{
	take_region(p, 32, 7);
	answer(p, REGION, VALUES(32, 3, 7, 0, 256, 0));
}

static void a_plain_region_takes_one_question(void **state)
{
	struct rig *r = begin(say_plain_region);
	struct vuser_region *region;

	(void)state;
	assert_int_equal(vuser_get_region(r->client, 7, &region, &r->e), 0);
	assert_int_equal(region->info.flags, 3);
	assert_int_equal(region->info.size, 256);
	assert_int_equal(region->ncaps, 0);
	assert_int_equal(region->nfds, 0);
	assert_int_equal(region->chain.code, 0);
	vuser_region_free(region);
	vuser_region_free(NULL);
	end(r);
}

/* A sparse area of 0x1000 bytes at 0x2000, and the mark of MSI-X. */
#define CHAIN	     "22444882244"
#define CHAIN_VALUES VALUES(1, 1, 64, 1, 0, 0x2000, 0x1000, 3, 1, 0, 0)
#define CHAIN_SIZE   44u

static void say_mappable_region(struct peer *p)
{
	uint8_t chain[CHAIN_SIZE];
	int fds[2];

	open_all(fds, 2);
	take_region(p, 32, 0);
	answer_with(p, REPLY, 0, REGION, VALUES(32 + CHAIN_SIZE, 15, 0, 0, 0x4000, 0),
		    NULL, 0, fds, 1);
	take_region(p, 32 + CHAIN_SIZE, 0);
	(void)pack(chain, CHAIN, CHAIN_VALUES);
	answer_with(p, REPLY, 0, REGION,
		    VALUES(32 + CHAIN_SIZE, 15, 0, 32, 0x4000, 0x10000), chain,
		    CHAIN_SIZE, fds, 2);
	close_all(fds, 2);
}

static void a_mappable_region_is_asked_for_in_two_steps(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin(say_mappable_region);
	struct vuser_region *region;

	(void)state;
	assert_int_equal(vuser_get_region(r->client, 0, &region, &r->e), 0);
	assert_int_equal(region->info.offset, 0x10000);
	assert_int_equal(region->payload_len, 32 + CHAIN_SIZE);
	assert_int_equal(region->chain.code, 0);
	assert_int_equal(region->ncaps, 2);
	assert_int_equal(region->caps[0].id, VUSER_REGIONCAP_SPARSE_MMAP);
	assert_int_equal(region->caps[0].nr_areas, 1);
	assert_int_equal(vuser_regioncap_area(&region->caps[0], 0).offset, 0x2000);
	assert_int_equal(vuser_regioncap_area(&region->caps[0], 0).size, 0x1000);
	assert_int_equal(region->caps[1].id, VUSER_REGIONCAP_MSIX_MAPPABLE);
	assert_int_equal(region->nfds, 2);
	assert_int_equal(fcntl(region->fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	vuser_region_free(region);
	end(r);
	assert_int_equal(open_fds(), before);
}

/* The second answers differ; arg is one of them. */
static void say_lying_region(struct peer *p)
{
	const struct row *second = p->arg;
	size_t nfds = strcmp(second->field, "fds") == 0 ? 17 : 1;
	int fds[17];

	take_region(p, 32, 0);
	answer(p, REGION, VALUES(48, 15, 0, 0, 0x4000, 0));
	take_region(p, 48, 0);
	open_all(fds, nfds);
	answer_with(p, REPLY, 0, second->form, second->v, NULL, 0, fds, nfds);
	close_all(fds, nfds);
}

static void lies_of_the_second_step_are_refused(void **state)
{
	static const struct row rows[] = {
		{ REGION "88", { 48, 15, 1, 32, 0x4000, 0 }, 24, "index" },
		{ REGION "88", { 65537, 15, 0, 32, 0x4000, 0 }, 16, "argsz" },
		{ REGION "888", { 48, 15, 0, 32, 0x4000, 0 }, 4, "size" },
		{ "4444", { 48, 15, 0, 32 }, 32, "size" },
		{ REGION "88", { 48, 15, 0, 32, 0x4000, 0 }, 0, "fds" },
	};
	unsigned before = open_fds();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin_told(say_lying_region, NULL, &rows[i]);
		struct vuser_region *region;

		assert_lie(r, vuser_get_region(r->client, 0, &region, &r->e),
			   rows[i].offset, rows[i].field);
		end(r);
	}
	assert_int_equal(open_fds(), before);
}

static void say_absurd_region(struct peer *p)
{
	take_region(p, 32, 0);
	answer(p, REGION, VALUES(65537, 15, 0, 0, 0x4000, 0));
	take_region(p, 32, 0);
	answer(p, REGION, VALUES(32, 3, 1, 0, 0x4000, 0));
	take_region(p, 32, 0);
	/* more than was asked for */
	answer(p, REGION "8", VALUES(40, 3, 0, 0, 0x4000, 0, 0));
	take_region(p, 32, 200);
	answer_error(p, EINVAL);
}

static void lies_of_the_first_step_are_refused(void **state)
{
	struct rig *r = begin(say_absurd_region);
	struct vuser_region *region;

	(void)state;
	assert_lie(r, vuser_get_region(r->client, 0, &region, &r->e), 16, "argsz");
	assert_lie(r, vuser_get_region(r->client, 0, &region, &r->e), 24, "index");
	assert_lie(r, vuser_get_region(r->client, 0, &region, &r->e), 4, "size");
	assert_failed(r, vuser_get_region(r->client, 200, &region, &r->e), REMOTE,
		      EINVAL);
	end(r);
}

/* arg: u64 cap_offset, u64 id and next of a capability of 16 bytes. */
static void say_chain(struct peer *p)
{
	const uint64_t *v = p->arg;

	take_region(p, 32, 0);
	answer(p, REGION, VALUES(48, 15, 0, 0, 0x4000, 0));
	take_region(p, 48, 0);
	answer(p, REGION "22444",
	       VALUES(48, 15, 0, v[0], 0x4000, 0, v[1], 1, v[2], 9, 9));
}

static void a_lying_chain_is_told_beside_the_region(void **state)
{
	static const uint64_t lies[][3] = {
		{ 32, 2, 32 },	      { 31, 2, 0 }, { 36, 2, 0 },
		{ 16, 2, 0 },	      { 48, 2, 0 }, { 40, 2, 0 },
		{ 0xfffffff8, 2, 0 }, { 32, 1, 0 }, { 32, 2, 1024 },
	};
	struct vuser_region *region;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct rig *r = begin_told(say_chain, NULL, lies[i]);

		assert_int_equal(vuser_get_region(r->client, 0, &region, &r->e), 0);
		assert_int_equal(region->info.size, 0x4000);
		assert_int_equal(region->chain.code, VUSER_E_PROTOCOL);
		assert_true(region->chain.text[0]);
		vuser_region_free(region);
		end(r);
	}
}

static void say_growing_region(struct peer *p)
{
	take_region(p, 32, 0);
	answer(p, REGION, VALUES(48, 15, 0, 0, 0x4000, 0));
	take_region(p, 48, 0);
	answer(p, REGION, VALUES(64, 15, 0, 32, 0x4000, 0));
}

static void a_region_that_grows_again_is_not_asked_for_without_end(void **state)
{
	struct rig *r = begin(say_growing_region);
	struct vuser_region *region;

	(void)state;
	assert_int_equal(vuser_get_region(r->client, 0, &region, &r->e), 0);
	assert_int_equal(region->payload_len, 32);
	assert_int_equal(region->chain.code, VUSER_E_PROTOCOL);
	vuser_region_free(region);
	end(r);
}

/* ---- Reading and writing ------------------------------------------------------ */

#define ACCESS "844" /* offset, region, count */

static void describe_region(struct peer *p, uint64_t index, uint64_t size)
{
	take_region(p, 32, index);
	answer(p, REGION, VALUES(32, 3, index, 0, size, 0));
}

static void say_data(struct peer *p)
{
	describe_region(p, 2, 0x1000);
	take(p, VUSER_CMD_REGION_READ);
	expect(p, ACCESS, VALUES(0xff8, 2, 8));
	answer(p, ACCESS "8", VALUES(0xff8, 2, 8, 0x1122334455667788));
	take(p, VUSER_CMD_REGION_WRITE);
	expect(p, ACCESS "4", VALUES(0, 2, 4, 0xcafe));
	answer(p, ACCESS, VALUES(0, 2, 4));
	take(p, VUSER_CMD_REGION_READ);
	expect(p, ACCESS, VALUES(0x1000, 2, 0));
	answer(p, ACCESS, VALUES(0x1000, 2, 0));
	take(p, VUSER_CMD_REGION_WRITE);
	expect(p, ACCESS, VALUES(0x1000, 2, 0));
	answer(p, ACCESS, VALUES(0x1000, 2, 0));
}

static void the_size_is_asked_for_once_and_data_passes(void **state)
{
	struct rig *r = begin(say_data);
	uint64_t value;
	uint32_t word = 0xcafe;

	(void)state;
	assert_int_equal(vuser_read(r->client, 2, 0xff8, &value, 8, &r->e), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(vuser_write(r->client, 2, 0, &word, 4, false, &r->e), 0);
	assert_int_equal(vuser_read(r->client, 2, 0x1000, NULL, 0, &r->e), 0);
	assert_int_equal(vuser_write(r->client, 2, 0x1000, NULL, 0, false, &r->e), 0);
	end(r);
}

static void lie_about_data(struct peer *p)
{
	describe_region(p, 2, 0x1000);
	answer_rows(p);
}

static void read_replies_that_are_not_what_was_asked_for_are_refused(void **state)
{
	static const struct row rows[] = {
		/* fewer bytes than it says, and another count than was asked for */
		{ ACCESS "4", { 16, 2, 8, 0 }, 32, "count" },
		{ ACCESS "4", { 16, 2, 4, 0 }, 28, "count" },
		{ ACCESS "8", { 16, 2, 9, 0 }, 32, "count" },
		{ ACCESS "8", { 16, 2, 0, 0 }, 32, "count" },
		{ ACCESS, { 16, 2, 0 }, 28, "count" },
		/* about another place */
		{ ACCESS "8", { 8, 2, 8, 0 }, 16, "offset" },
		{ ACCESS "8", { 16 + (1ull << 32), 2, 8, 0 }, 16, "offset" },
		{ ACCESS "8", { 16, 3, 8, 0 }, 24, "region" },
		/* more than there is room for, and less than there must be */
		{ ACCESS "82", { 16, 2, 10, 0, 0 }, 4, "size" },
		{ "84", { 16, 2 }, 28, "count" },
		{ "", { 0 }, 16, "offset" },
	};
	struct rows all = { VUSER_CMD_REGION_READ, rows, ARRAY_SIZE(rows) };
	struct rig *r = begin_told(lie_about_data, NULL, &all);
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_lie(r, vuser_read(r->client, 2, 16, &value, 8, &r->e),
			   rows[i].offset, rows[i].field);
	assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], ARRAY_SIZE(rows));
	end(r);
}

static void write_replies_that_are_not_what_was_asked_for_are_refused(void **state)
{
	static const struct row rows[] = {
		{ ACCESS, { 16, 2, 4 }, 28, "count" },
		{ ACCESS, { 16, 2, 0xffffffff }, 28, "count" },
		{ ACCESS, { 17, 2, 8 }, 16, "offset" },
		{ ACCESS, { 16, 1, 8 }, 24, "region" },
		{ ACCESS "8", { 16, 2, 8, 0 }, 32, "size" },
		{ "84", { 16, 2 }, 28, "count" },
	};
	struct rows all = { VUSER_CMD_REGION_WRITE, rows, ARRAY_SIZE(rows) };
	struct rig *r = begin_told(lie_about_data, NULL, &all);
	uint64_t value = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_lie(r, vuser_write(r->client, 2, 16, &value, 8, false, &r->e),
			   rows[i].offset, rows[i].field);
	end(r);
}

static void describe_only(struct peer *p)
{
	describe_region(p, 2, 0x1000);
}

#define SMALL_TRANSFERS "{\"capabilities\":{\"max_data_xfer_size\":64}}"

static void what_cannot_be_is_not_sent(void **state)
{
	static const struct {
		uint32_t region;
		uint64_t offset;
		size_t count;
		int err;
	} rows[] = {
		{ 2, 0, 65, EMSGSIZE },
		{ 2, 0, SIZE_MAX, EMSGSIZE },
		{ 2, 0x1000, 1, ERANGE },
		{ 2, 0xfff, 2, ERANGE },
		{ 2, 0x1001, 0, ERANGE },
		{ 2, UINT64_MAX, 1, ERANGE },
		{ 2, UINT64_MAX - 7, 64, ERANGE },
		{ 100, 0, 1, ERANGE },
		{ UINT32_MAX, 0, 1, ERANGE },
	};
	struct rig *r = begin_told(describe_only, SMALL_TRANSFERS, NULL);
	struct vuser_exchange *x = NULL;
	uint8_t buf[64] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vuser_client *c = r->client;
		uint32_t region = rows[i].region;
		uint64_t at = rows[i].offset;
		size_t n = rows[i].count;
		int err = rows[i].err;

		assert_failed(r, vuser_read(c, region, at, buf, n, &r->e), USAGE, err);
		assert_failed(r, vuser_write(c, region, at, buf, n, false, &r->e), USAGE,
			      err);
		assert_failed(r, vuser_write(c, region, at, buf, n, true, &r->e), USAGE,
			      err);
		assert_failed(r, vuser_start_read(c, region, at, buf, n, &x, &r->e),
			      USAGE, err);
		assert_failed(r, vuser_start_write(c, region, at, buf, n, &x, &r->e),
			      USAGE, err);
		assert_null(x);
	}
	end(r);
}

#define LARGE (3u << 20)

static void say_what_lax_asks(struct peer *p)
{
	uint8_t *large = malloc(LARGE);

	memset(large, 0x77, LARGE);
	take(p, VUSER_CMD_REGION_READ);
	expect(p, ACCESS, VALUES(UINT64_MAX, 4000000000, 65));
	answer_error(p, EINVAL);
	take(p, VUSER_CMD_REGION_WRITE);
	expect(p, ACCESS, VALUES(0x1000, 2, 65));
	answer(p, ACCESS, VALUES(0x1000, 2, 65));
	take(p, VUSER_CMD_REGION_READ);
	expect(p, ACCESS, VALUES(0, 2, LARGE));
	answer_with(p, REPLY, 0, ACCESS, VALUES(0, 2, LARGE), large, LARGE, NULL, 0);
	free(large);
}

static void lax_sends_it_all_the_same(void **state)
{
	struct rig *r = begin_told(say_what_lax_asks, SMALL_TRANSFERS, NULL);
	uint8_t *buf = calloc(1, LARGE);

	(void)state;
	assert_non_null(buf);
	vuser_client_set_lax(r->client, true);
	assert_failed(r, vuser_read(r->client, 4000000000, UINT64_MAX, buf, 65, &r->e),
		      REMOTE, EINVAL);
	assert_int_equal(vuser_write(r->client, 2, 0x1000, buf, 65, false, &r->e), 0);
	assert_int_equal(vuser_read(r->client, 2, 0, buf, LARGE, &r->e), 0);
	assert_int_equal(buf[LARGE - 1], 0x77);
	assert_failed(r, vuser_write(r->client, 2, 0, buf, UINT32_MAX, false, &r->e),
		      USAGE, EMSGSIZE); /* no header can say how long that is */
	free(buf);
	end(r);
}

static void take_posted(struct peer *p)
{
	describe_region(p, 2, 0x1000);
	for (uint64_t i = 0; i < 100; i++) {
		take(p, VUSER_CMD_REGION_WRITE);
		expect(p, ACCESS "8", VALUES(i * 8, 2, 8, i));
		if (p->h.flags != VUSER_FLAG_NO_REPLY)
			go_wrong(p, "it wants a reply");
	}
	answer_error(p, EIO); /* a reply nobody wanted */
	take(p, VUSER_CMD_REGION_WRITE);
	if (p->h.flags)
		go_wrong(p, "it wants no reply");
	answer(p, ACCESS, VALUES(0, 2, 8));
}

static void posted_writes_are_not_waited_for_unless_posting_is_off(void **state)
{
	struct rig *r = begin(take_posted);

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(vuser_write(r->client, 2, i * 8, &i, 8, true, &r->e), 0);
	vuser_client_set_posting(r->client, false, true);
	assert_int_equal(vuser_write(r->client, 2, 0, "12345678", 8, true, &r->e), 0);
	assert_int_equal(r->events.of[VUSER_EVENT_POSTED], 1);
	end(r);
}

static void take_gathered(struct peer *p)
{
	struct vuser_multi_entry entry;
	struct vuser_payload multi;
	uint64_t n = 0;

	describe_region(p, 2, 0x1000);
	while (n < 100 && !p->wrong) {
		if (!get_message(p) || p->h.flags != VUSER_FLAG_NO_REPLY) {
			go_wrong(p, "posted writes were to come");
		} else if (p->h.command == VUSER_CMD_REGION_WRITE) {
			expect(p, ACCESS "8", VALUES(n * 8, 2, 8, n));
			n++;
		} else if (vuser_payload_decode(p->h.command, false, p->payload, p->len,
						&multi, NULL)) {
			go_wrong(p, "a broken REGION_WRITE_MULTI came");
		} else {
			for (uint64_t i = 0; i < multi.u.multi.wr_cnt; i++, n++) {
				vuser_multi_get(&multi, i, &entry);
				if (entry.offset != n * 8 || entry.region != 2 ||
				    memcmp(entry.data, &n, 8) != 0)
					go_wrong(p, "another write was gathered");
			}
		}
	}
	take(p, VUSER_CMD_DEVICE_RESET);
	answer(p, "", NULL);
}

static void gathered_writes_say_the_same(void **state)
{
	struct rig *r = begin_told(take_gathered,
				   "{\"capabilities\":{\"write_multiple\":true}}", NULL);
	struct vuser_region *region;

	(void)state;
	assert_int_equal(vuser_get_region(r->client, 2, &region, &r->e), 0);
	vuser_region_free(region);
	vuser_cork(r->client, true);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(vuser_write(r->client, 2, i * 8, &i, 8, true, &r->e), 0);
	vuser_cork(r->client, false);
	assert_int_equal(vuser_reset(r->client, &r->e), 0);
	end(r);
}

/* ---- REGION_WRITE_MULTI ------------------------------------------------------- */

#define MULTI "{\"capabilities\":{\"write_multiple\":true}}"

static void say_multi(struct peer *p)
{
	describe_region(p, 2, 0x1000);
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	expect(p, "884488448", VALUES(2, 8, 2, 4, 0x11223344, 0xff8, 2, 8, 0x55));
	answer(p, "8", VALUES(2));
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer(p, "8", VALUES(1));
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer(p, "8", VALUES(3));
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer(p, "8", VALUES(UINT64_MAX));
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer(p, "", NULL);
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer(p, "88", VALUES(2, 2));
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer_error(p, EPERM);
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	expect(p, "8", VALUES(0));
	answer(p, "8", VALUES(0));
}

static const struct vuser_multi_entry entries[] = {
	{ 8, 2, 4, { 0x44, 0x33, 0x22, 0x11 } },
	{ 0xff8, 2, 8, { 0x55 } },
};

static void many_writes_at_once_say_how_many_were_done(void **state)
{
	struct rig *r = begin_told(say_multi, MULTI, NULL);
	uint64_t done = 9;

	(void)state;
	assert_int_equal(vuser_write_multi(r->client, entries, 2, &done, &r->e), 0);
	assert_int_equal(done, 2);
	assert_int_equal(vuser_write_multi(r->client, entries, 2, &done, &r->e), 0);
	assert_int_equal(done, 1);
	assert_lie(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), 16,
		   "wr_cnt");
	assert_lie(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), 16,
		   "wr_cnt");
	assert_lie(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), 16,
		   "wr_cnt");
	assert_lie(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), 24, "size");
	assert_failed(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), REMOTE,
		      EPERM);
	assert_int_equal(vuser_write_multi(r->client, entries, 0, &done, &r->e), 0);
	assert_int_equal(done, 0);
	end(r);
}

static void many_writes_need_agreement_and_sense(void **state)
{
	struct vuser_multi_entry bad = { .region = 2, .count = 9 };
	struct vuser_multi_entry *many = calloc(201, sizeof(*many));
	struct rig *r = begin_told(describe_only, MULTI, NULL);
	uint64_t done;

	(void)state;
	assert_non_null(many);
	assert_failed(r, vuser_write_multi(r->client, many, 201, &done, &r->e), USAGE,
		      E2BIG);
	assert_failed(r, vuser_write_multi(r->client, &bad, 1, &done, &r->e), USAGE, 0);
	bad = (struct vuser_multi_entry){ .offset = 0xffd, .region = 2, .count = 4 };
	assert_failed(r, vuser_write_multi(r->client, &bad, 1, &done, &r->e), USAGE,
		      ERANGE);
	end(r);
	free(many);
}

static void refuse_multi(struct peer *p)
{
	take(p, VUSER_CMD_REGION_WRITE_MULTI);
	answer_error(p, ENOTSUP);
}

static void lax_sends_many_writes_without_agreement(void **state)
{
	struct rig *r = begin(refuse_multi);
	uint64_t done;

	(void)state;
	assert_failed(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), USAGE,
		      ENOTSUP);
	vuser_client_set_lax(r->client, true);
	assert_failed(r, vuser_write_multi(r->client, entries, 2, &done, &r->e), REMOTE,
		      ENOTSUP);
	end(r);
}

/* ---- Many in flight ----------------------------------------------------------- */

#define IN_FLIGHT 200u

/* Takes them all, then answers the last one first; every tenth with an error. */
static void answer_backwards(struct peer *p)
{
	struct vuser_header taken[IN_FLIGHT];

	describe_region(p, 2, 0x1000);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		take(p, i % 2 ? VUSER_CMD_REGION_WRITE : VUSER_CMD_REGION_READ);
		taken[i] = p->h;
	}
	for (unsigned i = IN_FLIGHT; i-- > 0;) {
		p->h = taken[i];
		if (i % 10 == 9)
			answer_error(p, i);
		else if (i % 2)
			answer(p, ACCESS, VALUES(i * 8, 2, 8));
		else
			answer(p, ACCESS "8", VALUES(i * 8, 2, 8, i));
	}
}

static void fly_many(struct rig *r, bool corked)
{
	struct vuser_exchange *x[IN_FLIGHT];
	uint64_t buf[IN_FLIGHT] = { 0 };

	vuser_cork(r->client, corked);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		int result;

		if (i % 2)
			result = vuser_start_write(r->client, 2, i * 8, &buf[i], 8, &x[i],
						   &r->e);
		else
			result = vuser_start_read(r->client, 2, i * 8, &buf[i], 8, &x[i],
						  &r->e);
		assert_int_equal(result, 0);
	}
	vuser_cork(r->client, false);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		int result = vuser_finish(r->client, x[i], &r->e);

		if (i % 10 == 9) {
			assert_failed(r, result, REMOTE, (int)i);
			continue;
		}
		assert_int_equal(result, 0);
		assert_int_equal(buf[i], i % 2 ? 0 : i);
	}
}

static void many_in_flight_are_answered_in_any_order(void **state)
{
	(void)state;
	for (int corked = 0; corked < 2; corked++) {
		struct rig *r = begin(answer_backwards);

		fly_many(r, corked);
		end(r);
	}
}

static void answer_two_of_three(struct peer *p)
{
	describe_region(p, 2, 0x1000);
	for (unsigned i = 0; i < 3; i++)
		take(p, VUSER_CMD_REGION_READ);
	answer(p, ACCESS "8", VALUES(0, 2, 8, 1)); /* the last */
	shutdown(p->fd, SHUT_RDWR);
}

static void every_exchange_in_flight_hears_of_the_end(void **state)
{
	struct rig *r = begin(answer_two_of_three);
	struct vuser_exchange *x[3];
	uint64_t buf[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			vuser_start_read(r->client, 2, 0, &buf[i], 8, &x[i], &r->e), 0);
	assert_failed(r, vuser_finish(r->client, x[1], &r->e), VUSER_E_CLOSED, 0);
	assert_int_equal(vuser_finish(r->client, x[2], &r->e), 0);
	assert_failed(r, vuser_finish(r->client, x[0], &r->e), VUSER_E_CLOSED, 0);
	assert_failed(r, vuser_start_read(r->client, 2, 0, buf, 8, x, &r->e),
		      VUSER_E_CLOSED, 0);
	assert_null(x[0]);
	assert_int_equal(vuser_client_lost(r->client, NULL), VUSER_E_CLOSED);
	assert_int_equal(vuser_client_close(r->client), 0);
	pthread_join(r->peer.thread, NULL);
	assert_null(r->peer.wrong);
	free(r);
}

/* ---- Any message -------------------------------------------------------------- */

static void answer_raw(struct peer *p)
{
	int fds[2];

	open_all(fds, 2);
	take(p, 77);
	if (p->h.flags != 0xfff0 || p->h.id != 0x1234 || p->nfds != 2 || p->len != 3)
		go_wrong(p, "the message was changed");
	answer_with(p, REPLY | VUSER_FLAG_ERROR, ENOSYS, "4", VALUES(5), NULL, 0, fds, 2);
	close_all(fds, 2);
	if (!get_bytes(p, p->payload, 4)) /* no header at all */
		go_wrong(p, "four bytes were to come");
	p->h = (struct vuser_header){ .id = 0xbeef, .command = 1000 };
	answer(p, "", NULL);
}

static void raw_messages_pass_as_they_are_and_so_do_their_replies(void **state)
{
	struct vuser_header h = {
		.id = 0x1234, .command = 77, .size = 19, .flags = 0xfff0
	};
	unsigned before = open_fds();
	struct rig *r = begin(answer_raw);
	struct vuser_raw_reply reply;
	uint8_t msg[19] = { 0 };
	int fds[2];

	(void)state;
	open_all(fds, 2);
	vuser_header_encode(&h, msg);
	assert_int_equal(
		vuser_raw(r->client, msg, 19, fds, 2, 30000000000, &reply, &r->e), 0);
	assert_int_equal(reply.header.error, ENOSYS);
	assert_int_equal(reply.len, 20);
	assert_int_equal(reply.bytes[16], 5);
	assert_int_equal(reply.nfds, 2);
	close_all(reply.fds, reply.nfds);
	free(reply.bytes);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC); /* ours is still open */
	close_all(fds, 2);
	assert_int_equal(
		vuser_raw(r->client, "abcd", 4, NULL, 0, 30000000000, &reply, &r->e), 0);
	assert_int_equal(reply.header.id, 0xbeef);
	assert_int_equal(reply.len, VUSER_HEADER_SIZE);
	assert_int_equal(reply.nfds, 0);
	free(reply.bytes);
	end(r);
	assert_int_equal(open_fds(), before);
}

static void expect_nothing(struct peer *p)
{
	(void)p;
}

static void raw_messages_that_are_none_are_refused(void **state)
{
	struct rig *r = begin(expect_nothing);
	struct vuser_raw_reply reply;
	int fds[VUSER_MAX_FDS_HELD + 1] = { 0 };

	(void)state;
	assert_failed(r, vuser_raw(r->client, NULL, 0, NULL, 0, 1, &reply, &r->e), USAGE,
		      EINVAL);
	assert_failed(r,
		      vuser_raw(r->client, "x", 1, fds, VUSER_MAX_FDS_HELD + 1, 1, &reply,
				&r->e),
		      USAGE, E2BIG);
	end(r);
}

static void answer_late(struct peer *p)
{
	struct vuser_header first;

	take(p, 50);
	first = p->h;
	take(p, 51); /* by then the first was given up */
	p->h.command = first.command;
	p->h.id = first.id;
	answer(p, "", NULL);
	p->h.command = 51;
	p->h.id = 9;
	answer(p, "", NULL);
}

static void a_raw_message_without_reply_times_out(void **state)
{
	struct vuser_header h = { .id = 8, .command = 50, .size = 16 };
	struct rig *r = begin(answer_late);
	struct vuser_raw_reply reply;
	uint8_t msg[16];

	(void)state;
	vuser_header_encode(&h, msg);
	assert_failed(r, vuser_raw(r->client, msg, 16, NULL, 0, 20000000, &reply, &r->e),
		      VUSER_E_TIMEOUT, ETIMEDOUT);
	h.command = 51;
	h.id = 9;
	vuser_header_encode(&h, msg);
	assert_int_equal(
		vuser_raw(r->client, msg, 16, NULL, 0, 30000000000, &reply, &r->e), 0);
	assert_int_equal(reply.header.id, 9);
	free(reply.bytes);
	assert_int_equal(r->events.of[VUSER_EVENT_LATE], 1);
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_info_is_what_the_server_says),
		cmocka_unit_test(absurd_or_broken_device_info_is_refused),
		cmocka_unit_test(irq_info_must_be_about_the_index_asked_for),
		cmocka_unit_test(reset_is_done_refused_or_lied_about),
		cmocka_unit_test(descriptors_where_none_belong_are_closed),
		cmocka_unit_test(a_plain_region_takes_one_question),
		cmocka_unit_test(a_mappable_region_is_asked_for_in_two_steps),
		cmocka_unit_test(lies_of_the_second_step_are_refused),
		cmocka_unit_test(lies_of_the_first_step_are_refused),
		cmocka_unit_test(a_lying_chain_is_told_beside_the_region),
		cmocka_unit_test(a_region_that_grows_again_is_not_asked_for_without_end),
		cmocka_unit_test(the_size_is_asked_for_once_and_data_passes),
		cmocka_unit_test(
			read_replies_that_are_not_what_was_asked_for_are_refused),
		cmocka_unit_test(
			write_replies_that_are_not_what_was_asked_for_are_refused),
		cmocka_unit_test(what_cannot_be_is_not_sent),
		cmocka_unit_test(lax_sends_it_all_the_same),
		cmocka_unit_test(posted_writes_are_not_waited_for_unless_posting_is_off),
		cmocka_unit_test(gathered_writes_say_the_same),
		cmocka_unit_test(many_writes_at_once_say_how_many_were_done),
		cmocka_unit_test(many_writes_need_agreement_and_sense),
		cmocka_unit_test(lax_sends_many_writes_without_agreement),
		cmocka_unit_test(many_in_flight_are_answered_in_any_order),
		cmocka_unit_test(every_exchange_in_flight_hears_of_the_end),
		cmocka_unit_test(raw_messages_pass_as_they_are_and_so_do_their_replies),
		cmocka_unit_test(raw_messages_that_are_none_are_refused),
		cmocka_unit_test(a_raw_message_without_reply_times_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
