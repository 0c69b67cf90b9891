/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server*.c: what a server answers to a raw client, well-behaved or not. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "raw_client.h"

#define ROOM 8192 /* for a payload */

/* ---- The device --------------------------------------------------------------- */

enum { MEMORY, READ_ONLY, WRITE_ONLY, ABSENT, FAILING, LARGE, REGIONS };

struct device {
	uint8_t memory[4096];
	int result; /* of FAILING and of the reset */
	unsigned reads, writes, resets, left;
};

static int device_read(void *dev, uint32_t region, uint64_t offset, void *buf,
		       uint32_t count)
{
	struct device *d = dev;

	d->reads++;
	if (region == FAILING)
		return d->result;
	if (region == MEMORY)
		memcpy(buf, d->memory + offset, count);
	else
		memset(buf, 0x5a, count);
	return 0;
}

static int device_write(void *dev, uint32_t region, uint64_t offset, const void *buf,
			uint32_t count)
{
	struct device *d = dev;

	d->writes++;
	if (region == FAILING)
		return d->result;
	if (region == MEMORY)
		memcpy(d->memory + offset, buf, count);
	return 0;
}

static int device_reset(void *dev)
{
	struct device *d = dev;

	d->resets++;
	return d->result;
}

static void device_left(void *dev)
{
	struct device *d = dev;

	d->left++;
}

static const struct vuser_region_desc regions[REGIONS] = {
	[MEMORY] = { .flags = VUSER_REGION_READ | VUSER_REGION_WRITE, .size = 4096 },
	[READ_ONLY] = { .flags = VUSER_REGION_READ, .size = 16 },
	[WRITE_ONLY] = { .flags = VUSER_REGION_WRITE, .size = 16 },
	[ABSENT] = { .flags = 0, .size = 0 },
	[FAILING] = { .flags = VUSER_REGION_READ | VUSER_REGION_WRITE, .size = 16 },
	[LARGE] = { .flags = VUSER_REGION_READ | VUSER_REGION_WRITE, .size = 1ull << 32 },
};

static const struct vuser_irq_desc irqs[] = {
	{ VUSER_IRQ_EVENTFD, 1 }, { VUSER_IRQ_EVENTFD | VUSER_IRQ_NORESIZE, 8 }
};

static const struct vuser_device description = {
	.name = "test",
	.flags = VUSER_DEVICE_RESET | VUSER_DEVICE_PCI,
	.regions = regions,
	.num_regions = REGIONS,
	.irqs = irqs,
	.num_irqs = ARRAY_SIZE(irqs),
	.read = device_read,
	.write = device_write,
	.reset = device_reset,
	.left = device_left,
};

/* ---- The server in a thread, a socket to it ----------------------------------- */

struct rig {
	struct vuser_server *server;
	struct device device;
	pthread_t thread;
	int result; /* of the run; valid once it ended */
	int fd;	    /* the client's end */
	struct events events;
};

static void *serve(void *arg)
{
	struct rig *r = arg;

	r->result = vuser_server_run(r->server, true, NULL);
	return NULL;
}

static struct rig *begin_with(const struct vuser_device *desc,
			      const struct vuser_server_options *options)
{
	struct vuser_server_options o = *options;
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	o.event = note_event;
	o.arg = &r->events;
	assert_int_equal(vuser_server_new(desc, &r->device, &o, &r->server, NULL), 0);
	r->fd = attach_client(r->server);
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
	return r;
}

static struct rig *begin(void)
{
	struct vuser_server_options o;

	vuser_server_options_default(&o);
	return begin_with(&description, &o);
}

/* Leaves, and waits until the server has noticed. */
static void leave(struct rig *r)
{
	if (r->fd >= 0) {
		close(r->fd);
		pthread_join(r->thread, NULL);
	}
	r->fd = -1;
}

static void end(struct rig *r)
{
	leave(r);
	assert_int_equal(r->result, 0);
	assert_int_equal(r->device.left, 1);
	vuser_server_free(r->server);
	free(r);
}

static unsigned events_of(struct rig *r, enum vuser_event_kind kind)
{
	leave(r);
	return r->events.of[kind];
}

/* ---- Messages ----------------------------------------------------------------- */

static size_t message(uint8_t *out, uint16_t id, unsigned command, uint32_t flags,
		      const char *form, const uint64_t *v)
{
	struct vuser_header h = { .id = id,
				  .command = (uint16_t)command,
				  .flags = flags };

	return pack_message(out, h, form, v);
}

static void command(struct rig *r, uint16_t id, unsigned number, const char *form,
		    const uint64_t *v)
{
	uint8_t msg[VUSER_HEADER_SIZE + ROOM];

	put_bytes(r->fd, msg, message(msg, id, number, 0, form, v), NULL, 0);
}

struct reply {
	struct vuser_header h;
	uint8_t payload[ROOM];
	size_t len;
};

static bool get_reply(struct rig *r, struct reply *m)
{
	return get_message(r->fd, &m->h, m->payload, ROOM, &m->len);
}

static void expect_reply(struct rig *r, struct reply *m, uint16_t id, unsigned number)
{
	assert_true(get_reply(r, m));
	assert_int_equal(m->h.id, id);
	assert_int_equal(m->h.command, number);
	assert_int_equal(m->h.flags, VUSER_TYPE_REPLY);
	assert_int_equal(m->h.error, 0);
}

/* 16 bytes and a positive errno. */
static void expect_error(struct rig *r, uint16_t id, unsigned number, int err)
{
	struct reply m;

	assert_true(get_reply(r, &m));
	assert_int_equal(m.h.id, id);
	assert_int_equal(m.h.command, number);
	assert_int_equal(m.h.flags, VUSER_TYPE_REPLY | VUSER_FLAG_ERROR);
	assert_int_equal(m.h.size, VUSER_HEADER_SIZE);
	assert_int_equal(m.h.error, err);
}

static void expect_end(struct rig *r)
{
	uint8_t byte;

	assert_false(get_bytes(r->fd, &byte, 1));
}

static void send_version(struct rig *r, uint16_t id, uint16_t major, uint16_t minor,
			 const char *json, size_t len)
{
	uint8_t msg[VUSER_HEADER_SIZE + 4 + ROOM];
	size_t n =
		message(msg, id, VUSER_CMD_VERSION, 0, "22z", VALUES(major, minor, len));

	if (len)
		memcpy(msg + n - len, json, len);
	put_bytes(r->fd, msg, n, NULL, 0);
}

static void handshake_with(struct rig *r, const char *json)
{
	struct reply m;

	send_version(r, 0, 0, 2, json, json ? strlen(json) + 1 : 0);
	expect_reply(r, &m, 0, VUSER_CMD_VERSION);
}

static struct rig *begin_greeted(void)
{
	struct rig *r = begin();

	handshake_with(r, "{\"capabilities\":{\"write_multiple\":true}}");
	return r;
}

#define INFO_FORM   "4444"
#define INFO_VALUES VALUES(16, 0, 0, 0)

/* The stream is where it should be: a command is answered as ever. */
static void expect_in_step(struct rig *r)
{
	struct reply m;

	command(r, 0xabcd, VUSER_CMD_DEVICE_GET_INFO, INFO_FORM, INFO_VALUES);
	expect_reply(r, &m, 0xabcd, VUSER_CMD_DEVICE_GET_INFO);
	assert_int_equal(m.len, 16);
}

/* ---- VERSION ------------------------------------------------------------------ */

static struct vuser_caps caps_of(const struct reply *m)
{
	struct vuser_caps_unknown unknown;
	struct vuser_caps offer, caps;

	vuser_caps_default(&offer);
	assert_true(m->len > 4);
	assert_int_equal(vuser_caps_decode((const char *)m->payload + 4, m->len - 4,
					   VUSER_CAPS_OF_SERVER, &offer, &caps, &unknown,
					   NULL),
			 0);
	assert_int_equal(unknown.count, 0);
	return caps;
}

static void version_is_answered_with_the_servers_capabilities(void **state)
{
	struct rig *r = begin();
	struct vuser_caps caps;
	struct reply m;

	(void)state;
	send_version(r, 7, 0, 2, NULL, 0);
	expect_reply(r, &m, 7, VUSER_CMD_VERSION);
	caps = caps_of(&m);
	assert_int_equal(caps.max_msg_fds, 16);
	assert_int_equal(caps.max_data_xfer_size, 1048576);
	assert_int_equal(caps.max_dma_maps, 65535);
	assert_int_equal(caps.pgsizes, 4096);
	assert_false(caps.write_multiple); /* it was not offered */
	expect_in_step(r);
	end(r);
}

static void minor_is_never_above_the_clients_or_our_own(void **state)
{
	static const uint16_t asked[] = { 0, 1, 2, 3, 0xffff };
	static const uint16_t answered[] = { 0, 1, 2, 2, 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		struct rig *r = begin();
		struct reply m;

		send_version(r, 0, 0, asked[i], "{}", 3);
		expect_reply(r, &m, 0, VUSER_CMD_VERSION);
		assert_int_equal(m.payload[0] | m.payload[1], 0);
		assert_memory_equal(m.payload + 2, &answered[i], 2);
		end(r);
	}
}

static void version_reply_fits_a_client_with_200_bytes(void **state)
{
	struct vuser_server_options o;
	struct reply m;
	struct rig *r;

	(void)state;
	vuser_server_options_default(&o);
	o.caps.pgsizes = ~4095ull;
	r = begin_with(&description, &o);
	send_version(r, 0, 0, 2, "{\"capabilities\":{\"write_multiple\":true}}", 41);
	expect_reply(r, &m, 0, VUSER_CMD_VERSION);
	assert_true(m.h.size <= VUSER_MAX_VERSION_REPLY);
	assert_true(caps_of(&m).write_multiple);
	end(r);
}

static void announced_limits_follow_the_proposal(void **state)
{
	struct rig *r = begin();
	struct reply m;

	(void)state;
	send_version(r, 0, 0, 2, "{\"capabilities\":{\"max_dma_maps\":3}}", 36);
	expect_reply(r, &m, 0, VUSER_CMD_VERSION);
	assert_int_equal(caps_of(&m).max_dma_maps, 3);
	end(r);
}

static void write_multiple_is_not_agreed_when_it_is_not_announced(void **state)
{
	struct vuser_server_options o;
	struct reply m;
	struct rig *r;

	(void)state;
	vuser_server_options_default(&o);
	o.caps.present &= ~(unsigned)VUSER_CAP_WRITE_MULTIPLE;
	r = begin_with(&description, &o);
	send_version(r, 0, 0, 2, "{\"capabilities\":{\"write_multiple\":true}}", 41);
	expect_reply(r, &m, 0, VUSER_CMD_VERSION);
	assert_false(caps_of(&m).write_multiple);
	command(r, 1, VUSER_CMD_REGION_WRITE_MULTI, "8", VALUES(0));
	expect_error(r, 1, VUSER_CMD_REGION_WRITE_MULTI, ENOTSUP);
	end(r);
}

static void proposals_of_all_known_clients_are_taken(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"capabilities\":{}}",
		"{\"capabilities\":{\"pgsizes\":4096,\"max_msg_fds\":16,"
		"\"max_dma_maps\":65535,\"max_data_xfer_size\":1048576,"
		"\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456},"
		"\"write_multiple\":true}}",
		"{\"capabilities\":{\"unheard-of\":[1,2]}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct rig *r = begin();

		handshake_with(r, *texts[i] ? texts[i] : NULL);
		expect_in_step(r);
		end(r);
	}
}

static void bad_handshakes_are_answered_einval_and_end_the_connection(void **state)
{
	static const struct {
		uint16_t major;
		const char *json;
	} bad[] = {
		{ 1, "{}" },
		{ 0xffff, "{}" },
		{ 0, "{" },
		{ 0, "{\"capabilities\":1}" },
		{ 0, "{\"capabilities\":{\"max_msg_fds\":-1}}" },
		{ 0, "{\"capabilities\":{\"max_data_xfer_size\":0}}" },
		{ 0, "{\"capabilities\":{\"pgsizes\":1}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *r = begin();

		send_version(r, 3, bad[i].major, 0, bad[i].json, strlen(bad[i].json) + 1);
		expect_error(r, 3, VUSER_CMD_VERSION, EINVAL);
		expect_end(r);
		assert_int_equal(events_of(r, VUSER_EVENT_REQUEST), 1);
		end(r);
	}
}

static void version_without_its_numbers_is_refused(void **state)
{
	uint8_t msg[32];

	(void)state;
	for (uint64_t n = 0; n < 4; n++) {
		struct rig *r = begin();

		put_bytes(r->fd, msg, message(msg, 1, VUSER_CMD_VERSION, 0, "z", &n),
			  NULL, 0);
		expect_error(r, 1, VUSER_CMD_VERSION, EINVAL);
		expect_end(r);
		end(r);
	}
}

static void other_first_commands_are_answered_einval_and_end_it(void **state)
{
	(void)state;
	for (unsigned number = 0; number <= VUSER_CMD_LIMIT; number++) {
		struct rig *r;

		if (number == VUSER_CMD_VERSION)
			continue;
		r = begin();
		command(r, 9, number, INFO_FORM, INFO_VALUES);
		expect_error(r, 9, number, EINVAL);
		expect_end(r);
		assert_int_equal(r->device.writes + r->device.resets, 0);
		end(r);
	}
}

static void nothing_behind_a_failed_handshake_reaches_the_device(void **state)
{
	struct rig *r = begin();
	uint8_t msg[512];
	size_t n = 0;

	(void)state;
	n += message(msg, 0, VUSER_CMD_VERSION, 0, "22", VALUES(1, 0));
	n += message(msg + n, 1, VUSER_CMD_VERSION, 0, "22", VALUES(0, 2));
	n += message(msg + n, 2, VUSER_CMD_DEVICE_RESET, 0, "", NULL);
	put_bytes(r->fd, msg, n, NULL, 0);
	expect_error(r, 0, VUSER_CMD_VERSION, EINVAL);
	expect_error(r, 1, VUSER_CMD_VERSION, EINVAL);
	expect_error(r, 2, VUSER_CMD_DEVICE_RESET, EINVAL);
	expect_end(r);
	assert_int_equal(r->device.resets, 0);
	end(r);
}

static void second_version_is_refused_and_the_connection_stays(void **state)
{
	struct rig *r = begin_greeted();

	(void)state;
	send_version(r, 5, 0, 2, "{}", 3);
	expect_error(r, 5, VUSER_CMD_VERSION, EINVAL);
	send_version(r, 6, 9, 2, NULL, 0);
	expect_error(r, 6, VUSER_CMD_VERSION, EINVAL);
	expect_in_step(r);
	end(r);
}

/* ---- Headers ------------------------------------------------------------------ */

static void headers_that_cannot_be_trusted_end_the_connection(void **state)
{
	static const struct vuser_header bad[] = {
		{ .command = VUSER_CMD_DEVICE_GET_INFO, .size = 0 },
		{ .command = VUSER_CMD_DEVICE_GET_INFO, .size = 15 },
		{ .command = VUSER_CMD_DEVICE_GET_INFO, .size = 16, .flags = 2 },
		{ .command = VUSER_CMD_DEVICE_GET_INFO, .size = 16, .flags = 15 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *r = begin_greeted();
		uint8_t msg[VUSER_HEADER_SIZE];

		vuser_header_encode(&bad[i], msg);
		put_bytes(r->fd, msg, sizeof(msg), NULL, 0);
		expect_end(r);
		assert_int_equal(events_of(r, VUSER_EVENT_LOST), 1);
		end(r);
	}
}

static void reserved_bits_of_a_command_are_ignored(void **state)
{
	struct vuser_header h = { .id = 0xffff,
				  .command = VUSER_CMD_DEVICE_RESET,
				  .size = 16,
				  .flags = 0xffffff00u | VUSER_FLAG_ERROR,
				  .error = 0xffffffff };
	struct rig *r = begin_greeted();
	uint8_t msg[VUSER_HEADER_SIZE];
	struct reply m;

	(void)state;
	vuser_header_encode(&h, msg);
	put_bytes(r->fd, msg, sizeof(msg), NULL, 0);
	expect_reply(r, &m, 0xffff, VUSER_CMD_DEVICE_RESET);
	assert_int_equal(r->device.resets, 1);
	end(r);
}

static void replies_nobody_asked_for_are_told_and_dropped(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t msg[64];

	(void)state;
	put_bytes(r->fd, msg,
		  message(msg, 0, VUSER_CMD_DMA_READ, VUSER_TYPE_REPLY, "888",
			  VALUES(0, 8, 0)),
		  NULL, 0);
	expect_in_step(r);
	assert_int_equal(events_of(r, VUSER_EVENT_UNEXPECTED), 1);
	end(r);
}

static void commands_are_understood_byte_by_byte(void **state)
{
	struct rig *r = begin();
	uint8_t msg[128];
	struct reply m;
	size_t n;

	(void)state;
	n = message(msg, 0, VUSER_CMD_VERSION, 0, "22", VALUES(0, 1));
	n += message(msg + n, 1, VUSER_CMD_REGION_WRITE, 0, "8448",
		     VALUES(8, MEMORY, 8, 77));
	for (size_t i = 0; i < n; i++)
		put_bytes(r->fd, msg + i, 1, NULL, 0);
	expect_reply(r, &m, 0, VUSER_CMD_VERSION);
	expect_reply(r, &m, 1, VUSER_CMD_REGION_WRITE);
	assert_int_equal(r->device.memory[8], 77);
	end(r);
}

static void clients_may_leave_within_a_message(void **state)
{
	uint8_t msg[64];
	size_t n = message(msg, 1, VUSER_CMD_REGION_WRITE, 0, "8448", VALUES(0, 0, 8, 1));

	(void)state;
	for (size_t cut = 0; cut < n; cut++) {
		struct rig *r = begin_greeted();

		if (cut)
			put_bytes(r->fd, msg, cut, NULL, 0);
		assert_int_equal(events_of(r, VUSER_EVENT_LOST), 1);
		assert_int_equal(r->device.writes, 0);
		end(r);
	}
}

/* ---- Payloads ----------------------------------------------------------------- */

struct sample {
	unsigned command;
	const char *form;
	uint64_t v[8];
	bool longer; /* more bytes may follow */
};

/* One good command of each kind; none of them changes what others are answered. */
static const struct sample samples[] = {
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 3, 0, 0x1000, 0x1000 }, false },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 0, 0x1000, 0x1000 }, false },
	{ VUSER_CMD_DEVICE_GET_INFO, "4444", { 16 }, false },
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, "444488", { 32 }, true },
	{ VUSER_CMD_DEVICE_GET_IRQ_INFO, "4444", { 16 }, false },
	{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, "4444", { 16 }, false },
	{ VUSER_CMD_REGION_READ, "844", { 0, MEMORY, 4 }, false },
	{ VUSER_CMD_REGION_WRITE, "8444", { 0, MEMORY, 4, 1 }, false },
	{ VUSER_CMD_DEVICE_RESET, "", { 0 }, false },
	{ VUSER_CMD_REGION_WRITE_MULTI, "88448", { 1, 0, MEMORY, 4, 0 }, false },
};

static void good_commands_are_answered(void **state)
{
	struct rig *r = begin_greeted();
	struct reply m;

	(void)state;
	for (uint16_t i = 0; i < ARRAY_SIZE(samples); i++) {
		command(r, i, samples[i].command, samples[i].form, samples[i].v);
		expect_reply(r, &m, i, samples[i].command);
	}
	assert_int_equal(r->device.resets, 1);
	assert_int_equal(r->device.writes, 2);
	assert_int_equal(r->device.reads, 1);
	end(r);
}

static void short_payloads_are_refused_at_every_length(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t msg[128];

	(void)state;
	for (const struct sample *s = samples; s < samples + ARRAY_SIZE(samples); s++) {
		size_t whole = message(msg, 1, s->command, 0, s->form, s->v);

		for (size_t n = VUSER_HEADER_SIZE; n < whole; n++) {
			put_uint(msg + 4, 4, n);
			put_bytes(r->fd, msg, n, NULL, 0);
			expect_error(r, 1, s->command, EINVAL);
		}
		expect_in_step(r);
	}
	assert_int_equal(r->device.reads + r->device.writes + r->device.resets, 0);
	end(r);
}

static void long_payloads_are_refused_unless_they_are_room(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t msg[VUSER_HEADER_SIZE + ROOM];
	struct reply m;

	(void)state;
	for (const struct sample *s = samples; s < samples + ARRAY_SIZE(samples); s++) {
		size_t whole = message(msg, 1, s->command, 0, s->form, s->v);
		static const size_t extra[] = { 1, 8, 4000 };

		for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
			memset(msg + whole, 0, extra[i]);
			put_uint(msg + 4, 4, whole + extra[i]);
			put_bytes(r->fd, msg, whole + extra[i], NULL, 0);
			if (s->longer)
				expect_reply(r, &m, 1, s->command);
			else
				expect_error(r, 1, s->command, EINVAL);
		}
		expect_in_step(r);
	}
	assert_int_equal(r->device.reads + r->device.writes + r->device.resets, 0);
	end(r);
}

struct lie {
	unsigned command;
	const char *form;
	uint64_t v[8];
	int err;
};

static const struct lie lies[] = {
	/* argsz below what the answer takes */
	{ VUSER_CMD_DMA_MAP, "44888", { 31, 3, 0, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 23, 0, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_INFO, "4444", { 15 }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, "444488", { 31 }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_IRQ_INFO, "4444", { 15 }, EINVAL },
	/* indexes that do not exist */
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, "444488", { 32, 0, REGIONS }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, "444488", { 32, 0, 0xffffffff }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_IRQ_INFO, "4444", { 16, 0, 2 }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_IRQ_INFO, "4444", { 16, 0, 0xffffffff }, EINVAL },
	/* reads: no such region, beyond its end, wrapping around, too large, not allowed
	 */
	{ VUSER_CMD_REGION_READ, "844", { 0, REGIONS, 1 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 0, 0xffffffff, 1 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 4096, MEMORY, 1 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 4093, MEMORY, 4 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 4097, MEMORY, 0 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { UINT64_MAX, MEMORY, 4 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 0, MEMORY, 0xffffffff }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 0, ABSENT, 1 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 0, LARGE, 1048577 }, EINVAL },
	{ VUSER_CMD_REGION_READ, "844", { 0, WRITE_ONLY, 1 }, EPERM },
	/* writes: the same, and a count that is not what follows */
	{ VUSER_CMD_REGION_WRITE, "8444", { 0, REGIONS, 4, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE, "8444", { 4093, MEMORY, 4, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE, "8444", { UINT64_MAX - 1, MEMORY, 4, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE, "8444", { 0, MEMORY, 3, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE, "8444", { 0, MEMORY, 5, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE, "8444", { 0, MEMORY, 0xffffffff, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE, "8444", { 0, READ_ONLY, 4, 0 }, EPERM },
	/* many writes: a count that is not what follows, an entry with too many bytes */
	{ VUSER_CMD_REGION_WRITE_MULTI, "88448", { 2, 0, MEMORY, 4, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE_MULTI, "88448", { 0, 0, MEMORY, 4, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE_MULTI,
	  "88448",
	  { UINT64_MAX, 0, MEMORY, 4, 0 },
	  EINVAL },
	/* 0x0aaaaaaaaaaaaaab entries of 24 bytes are 8 bytes more than 2^64 */
	{ VUSER_CMD_REGION_WRITE_MULTI, "88", { 0x0aaaaaaaaaaaaaab, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE_MULTI, "88448", { 1, 0, MEMORY, 9, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE_MULTI, "88448", { 1, 4090, MEMORY, 8, 0 }, EINVAL },
	{ VUSER_CMD_REGION_WRITE_MULTI, "88448", { 1, 0, READ_ONLY, 8, 0 }, EPERM },
	/* windows: unknown flags, empty, wrapping around, beyond any file */
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 0x10, 0, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 3, 0, 0x1000, 0 }, EINVAL },
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 3, 0, UINT64_MAX, 2 }, EINVAL },
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 3, 0, 1, UINT64_MAX }, EINVAL },
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 3, UINT64_MAX, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_MAP, "44888", { 32, 3, INT64_MAX, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 0, 0x1000, 0x1000 }, ENOENT },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 0, 0, 0 }, ENOENT },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 4, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 2, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 2, 0, 1 }, EINVAL },
	/* a dirty bitmap: announced but missing, and not offered */
	{ VUSER_CMD_DMA_UNMAP, "4488", { 24, 1, 0x1000, 0x1000 }, EINVAL },
	{ VUSER_CMD_DMA_UNMAP, "448888", { 40, 1, 0x1000, 0x1000, 4096, 8 }, ENOTSUP },
	/* commands there are not, ours to send, or not offered */
	{ 0, "", { 0 }, EINVAL },
	{ 14, "4444", { 16 }, EINVAL },
	{ VUSER_CMD_LIMIT, "", { 0 }, EINVAL },
	{ 0xffff, "z", { 4096 }, EINVAL },
	{ VUSER_CMD_DMA_READ, "88", { 0, 4 }, EINVAL },
	{ VUSER_CMD_DMA_WRITE, "884", { 0, 4, 0 }, EINVAL },
	/* io fds: no room for the answer, unknown flags, no such region */
	{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, "4444", { 15 }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, "4444", { 16, 1 }, EINVAL },
	{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, "4444", { 16, 0, REGIONS }, EINVAL },
	{ VUSER_CMD_DEVICE_FEATURE, "44", { 8, VUSER_FEATURE_GET | 1 }, ENOTTY },
	{ VUSER_CMD_MIG_DATA_READ, "44", { 8, 0 }, ENOTSUP },
	{ VUSER_CMD_MIG_DATA_WRITE, "44", { 8, 0 }, ENOTSUP },
};

static void lies_are_refused_and_the_stream_stays_in_step(void **state)
{
	struct rig *r = begin_greeted();

	(void)state;
	for (uint16_t i = 0; i < ARRAY_SIZE(lies); i++) {
		command(r, i, lies[i].command, lies[i].form, lies[i].v);
		expect_error(r, i, lies[i].command, lies[i].err);
		expect_in_step(r);
	}
	assert_int_equal(events_of(r, VUSER_EVENT_REQUEST), ARRAY_SIZE(lies));
	assert_int_equal(r->device.reads + r->device.writes + r->device.resets, 0);
	end(r);
}

static void no_reply_is_sent_where_none_is_wanted(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t msg[VUSER_HEADER_SIZE + ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		put_bytes(r->fd, msg,
			  message(msg, 1, samples[i].command, VUSER_FLAG_NO_REPLY,
				  samples[i].form, samples[i].v),
			  NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		put_bytes(r->fd, msg,
			  message(msg, 1, lies[i].command, VUSER_FLAG_NO_REPLY,
				  lies[i].form, lies[i].v),
			  NULL, 0);
	expect_in_step(r);
	assert_int_equal(r->device.resets, 1);
	assert_int_equal(r->device.writes, 2);
	end(r);
}

static void pipelined_commands_are_answered_in_order(void **state)
{
	enum { N = 500 };
	struct rig *r = begin_greeted();
	uint8_t *all = malloc(N * 64);
	struct reply m;
	size_t n = 0;

	(void)state;
	assert_non_null(all);
	for (uint16_t i = 0; i < N; i++) {
		const struct sample *s = &samples[5 + i % 2]; /* a read, a write */

		n += message(all + n, i, s->command, 0, s->form, s->v);
	}
	put_bytes(r->fd, all, n, NULL, 0);
	for (uint16_t i = 0; i < N; i++)
		expect_reply(r, &m, i, samples[5 + i % 2].command);
	free(all);
	end(r);
}

static void same_id_may_be_used_again_and_again(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t msg[128];
	struct reply m;
	size_t n;

	(void)state;
	n = message(msg, 0, VUSER_CMD_DEVICE_RESET, 0, "", NULL);
	n += message(msg + n, 0, VUSER_CMD_REGION_READ, 0, "844", VALUES(0, MEMORY, 8));
	put_bytes(r->fd, msg, n, NULL, 0);
	expect_reply(r, &m, 0, VUSER_CMD_DEVICE_RESET);
	expect_reply(r, &m, 0, VUSER_CMD_REGION_READ);
	end(r);
}

/* Sends a header that claims size bytes, and as many zeros. */
static void send_large(struct rig *r, unsigned number, size_t size)
{
	struct vuser_header h = { .id = 4,
				  .command = (uint16_t)number,
				  .size = (uint32_t)size };
	uint8_t *msg = calloc(1, size);

	assert_non_null(msg);
	vuser_header_encode(&h, msg);
	put_bytes(r->fd, msg, size, NULL, 0);
	free(msg);
}

static void oversize_messages_are_drained_and_refused(void **state)
{
	struct rig *r = begin_greeted();

	(void)state;
	send_large(r, VUSER_CMD_REGION_WRITE, (1 << 20) + (64 << 10));
	expect_error(r, 4, VUSER_CMD_REGION_WRITE, EINVAL);
	send_large(r, 14, 8 << 20);
	expect_error(r, 4, 14, EINVAL);
	expect_in_step(r);
	assert_int_equal(r->device.writes, 0);
	end(r);
}

static void largest_transfer_passes_both_ways(void **state)
{
	uint64_t max = VUSER_DEFAULT_DATA_XFER;
	uint8_t *data = malloc(VUSER_HEADER_SIZE + 16 + max);
	struct rig *r = begin_greeted();
	struct vuser_header h;
	struct reply m;

	(void)state;
	assert_non_null(data);
	command(r, 1, VUSER_CMD_REGION_READ, "844", VALUES(0, LARGE, max));
	assert_true(get_bytes(r->fd, data, VUSER_HEADER_SIZE + 16 + max));
	assert_int_equal(vuser_header_decode(data, VUSER_HEADER_SIZE, &h, NULL), 0);
	assert_int_equal(h.size, VUSER_HEADER_SIZE + 16 + max);
	assert_int_equal(data[VUSER_HEADER_SIZE + 16], 0x5a);
	assert_int_equal(data[VUSER_HEADER_SIZE + 15 + max], 0x5a);
	put_bytes(r->fd, data,
		  message(data, 2, VUSER_CMD_REGION_WRITE, 0, "844z",
			  VALUES(0, LARGE, max, max)),
		  NULL, 0);
	expect_reply(r, &m, 2, VUSER_CMD_REGION_WRITE);
	assert_int_equal(m.len, 16);
	free(data);
	end(r);
}

/* ---- Descriptors where none belong -------------------------------------------- */

static void descriptors_where_none_belong_are_refused_and_closed(void **state)
{
	struct rig *r = begin_greeted();
	unsigned before = open_fds();
	uint8_t msg[128];
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *s = &samples[i];
		size_t n = message(msg, 1, s->command, 0, s->form, s->v);

		put_bytes(r->fd, msg, n, pipes, s->command == VUSER_CMD_DMA_MAP ? 2 : 1);
		expect_error(r, 1, s->command, EINVAL);
	}
	/* Up to 16 are SET_IRQS' own, if they are eventfds. */
	put_bytes(r->fd, msg,
		  message(msg, 2, VUSER_CMD_DEVICE_SET_IRQS, 0, "44444",
			  VALUES(20, 36, 0, 0, 2)),
		  pipes, 2);
	expect_error(r, 2, VUSER_CMD_DEVICE_SET_IRQS, EINVAL);
	expect_in_step(r);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(open_fds(), before);
	assert_int_equal(r->device.resets, 0);
	end(r);
}

static void a_first_message_with_a_descriptor_is_refused(void **state)
{
	struct rig *r = begin();
	int fd = dup(r->fd);
	uint8_t msg[64];

	(void)state;
	put_bytes(r->fd, msg, message(msg, 1, VUSER_CMD_VERSION, 0, "22", VALUES(0, 2)),
		  &fd, 1);
	close(fd);
	expect_error(r, 1, VUSER_CMD_VERSION, EINVAL);
	expect_end(r);
	end(r);
}

static void a_flood_of_descriptors_is_closed(void **state)
{
	unsigned before = open_fds();
	struct rig *r = begin_greeted();
	int fds[30], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint8_t msg[64];
	size_t n = message(msg, 1, VUSER_CMD_DEVICE_RESET, 0, "", NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = null;
	for (size_t i = 0; i < n; i++) /* with each byte of a message */
		put_bytes(r->fd, msg + i, 1, fds, ARRAY_SIZE(fds));
	expect_error(r, 1, VUSER_CMD_DEVICE_RESET, EINVAL);
	for (size_t i = 0; i + 1 < n; i++)
		put_bytes(r->fd, msg + i, 1, fds, ARRAY_SIZE(fds));
	close(null);
	leave(r);
	assert_int_equal(open_fds(), before);
	end(r);
}

/* ---- The device --------------------------------------------------------------- */

static void device_is_described_as_it_is(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t expect[64];
	struct reply m;

	(void)state;
	command(r, 1, VUSER_CMD_DEVICE_GET_INFO, INFO_FORM, VALUES(4096, 9, 9, 9));
	expect_reply(r, &m, 1, VUSER_CMD_DEVICE_GET_INFO);
	assert_int_equal(m.len, pack(expect, "4444", VALUES(16, 3, REGIONS, 2)));
	assert_memory_equal(m.payload, expect, m.len);

	command(r, 2, VUSER_CMD_DEVICE_GET_REGION_INFO, "444488",
		VALUES(4096, 9, READ_ONLY, 9, 9, 9));
	expect_reply(r, &m, 2, VUSER_CMD_DEVICE_GET_REGION_INFO);
	assert_int_equal(m.len,
			 pack(expect, "444488", VALUES(32, 1, READ_ONLY, 0, 16, 0)));
	assert_memory_equal(m.payload, expect, m.len);

	command(r, 3, VUSER_CMD_DEVICE_GET_REGION_INFO, "444488",
		VALUES(32, 0, ABSENT, 0, 0, 0));
	expect_reply(r, &m, 3, VUSER_CMD_DEVICE_GET_REGION_INFO);
	assert_int_equal(m.len, pack(expect, "444488", VALUES(32, 0, ABSENT, 0, 0, 0)));
	assert_memory_equal(m.payload, expect, m.len);

	command(r, 4, VUSER_CMD_DEVICE_GET_IRQ_INFO, "4444", VALUES(16, 0, 1, 0));
	expect_reply(r, &m, 4, VUSER_CMD_DEVICE_GET_IRQ_INFO);
	assert_int_equal(m.len, pack(expect, "4444", VALUES(16, 9, 1, 8)));
	assert_memory_equal(m.payload, expect, m.len);
	end(r);
}

static void what_is_written_is_read_back(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t expect[64];
	struct reply m;

	(void)state;
	command(r, 1, VUSER_CMD_REGION_WRITE, "8448",
		VALUES(4088, MEMORY, 8, 0x1122334455667788));
	expect_reply(r, &m, 1, VUSER_CMD_REGION_WRITE);
	assert_int_equal(m.len, pack(expect, "844", VALUES(4088, MEMORY, 8)));
	assert_memory_equal(m.payload, expect, m.len);
	command(r, 2, VUSER_CMD_REGION_READ, "844", VALUES(4088, MEMORY, 8));
	expect_reply(r, &m, 2, VUSER_CMD_REGION_READ);
	assert_int_equal(
		m.len, pack(expect, "8448", VALUES(4088, MEMORY, 8, 0x1122334455667788)));
	assert_memory_equal(m.payload, expect, m.len);
	end(r);
}

static void transfers_of_nothing_do_not_reach_the_device(void **state)
{
	struct rig *r = begin_greeted();
	struct reply m;

	(void)state;
	command(r, 1, VUSER_CMD_REGION_READ, "844", VALUES(4096, MEMORY, 0));
	expect_reply(r, &m, 1, VUSER_CMD_REGION_READ);
	assert_int_equal(m.len, 16);
	command(r, 2, VUSER_CMD_REGION_WRITE, "844", VALUES(4096, MEMORY, 0));
	expect_reply(r, &m, 2, VUSER_CMD_REGION_WRITE);
	command(r, 3, VUSER_CMD_REGION_WRITE_MULTI, "8", VALUES(0));
	expect_reply(r, &m, 3, VUSER_CMD_REGION_WRITE_MULTI);
	assert_int_equal(r->device.reads + r->device.writes, 0);
	end(r);
}

static void errnos_of_the_device_go_to_the_client(void **state)
{
	static const struct {
		int result, err;
	} rows[] = {
		{ -EIO, EIO },	    { -EBUSY, EBUSY }, { -4095, 4095 },	   { -4096, EIO },
		{ INT32_MIN, EIO }, { 1, EIO },	       { INT32_MAX, EIO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin_greeted();

		r->device.result = rows[i].result;
		command(r, 1, VUSER_CMD_REGION_READ, "844", VALUES(0, FAILING, 4));
		expect_error(r, 1, VUSER_CMD_REGION_READ, rows[i].err);
		command(r, 2, VUSER_CMD_REGION_WRITE, "8444", VALUES(0, FAILING, 4, 0));
		expect_error(r, 2, VUSER_CMD_REGION_WRITE, rows[i].err);
		command(r, 3, VUSER_CMD_DEVICE_RESET, "", NULL);
		expect_error(r, 3, VUSER_CMD_DEVICE_RESET, rows[i].err);
		expect_in_step(r);
		end(r);
	}
}

static void many_writes_end_at_the_first_that_fails(void **state)
{
	struct rig *r = begin_greeted();
	uint8_t expect[8];
	struct reply m;

	(void)state;
	r->device.result = -EIO;
	command(r, 1, VUSER_CMD_REGION_WRITE_MULTI, "8844884488448",
		VALUES(3, 0, MEMORY, 8, 0x11, 8, MEMORY, 1, 0x22, 16, MEMORY, 8, 0x33));
	expect_reply(r, &m, 1, VUSER_CMD_REGION_WRITE_MULTI);
	assert_int_equal(m.len, pack(expect, "8", VALUES(3)));
	assert_memory_equal(m.payload, expect, 8);
	assert_int_equal(r->device.memory[0], 0x11);
	assert_int_equal(r->device.memory[8], 0x22);
	assert_int_equal(r->device.memory[16], 0x33);

	command(r, 2, VUSER_CMD_REGION_WRITE_MULTI, "8844884488448",
		VALUES(3, 0, MEMORY, 8, 0x44, 0, FAILING, 1, 0, 16, MEMORY, 8, 0x55));
	expect_reply(r, &m, 2, VUSER_CMD_REGION_WRITE_MULTI);
	assert_int_equal(m.len, pack(expect, "8", VALUES(1)));
	assert_memory_equal(m.payload, expect, 8);
	assert_int_equal(r->device.memory[0], 0x44);
	assert_int_equal(r->device.memory[16], 0x33);

	command(r, 3, VUSER_CMD_REGION_WRITE_MULTI, "88448", VALUES(1, 0, FAILING, 1, 0));
	expect_error(r, 3, VUSER_CMD_REGION_WRITE_MULTI, EIO);
	end(r);
}

static void devices_need_no_callbacks(void **state)
{
	static const struct vuser_device bare = { .name = "bare",
						  .flags = VUSER_DEVICE_RESET,
						  .regions = regions,
						  .num_regions = REGIONS };
	struct vuser_server_options o;
	struct rig *r;

	(void)state;
	vuser_server_options_default(&o);
	r = begin_with(&bare, &o);
	handshake_with(r, NULL);
	command(r, 1, VUSER_CMD_REGION_READ, "844", VALUES(0, MEMORY, 4));
	expect_error(r, 1, VUSER_CMD_REGION_READ, ENOTSUP);
	command(r, 2, VUSER_CMD_REGION_WRITE, "8444", VALUES(0, MEMORY, 4, 0));
	expect_error(r, 2, VUSER_CMD_REGION_WRITE, ENOTSUP);
	command(r, 3, VUSER_CMD_DEVICE_RESET, "", NULL);
	expect_error(r, 3, VUSER_CMD_DEVICE_RESET, ENOTSUP);
	expect_in_step(r);
	r->device.left = 1; /* nobody counts */
	end(r);
}

static void devices_and_limits_beyond_belief_are_not_served(void **state)
{
	struct vuser_device desc = description;
	struct vuser_server_options o;
	struct vuser_server *s;
	struct vuser_error e;

	(void)state;
	vuser_server_options_default(&o);
	desc.num_regions = VUSER_MAX_REGIONS + 1;
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, &e), VUSER_E_USAGE);
	desc.num_regions = 1;
	desc.num_irqs = VUSER_MAX_IRQS + 1;
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, &e), VUSER_E_USAGE);
	desc.num_irqs = 1;
	o.caps.max_data_xfer_size = UINT64_MAX;
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, &e), VUSER_E_USAGE);
	o.caps.max_data_xfer_size = 0;
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, &e), VUSER_E_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_is_answered_with_the_servers_capabilities),
		cmocka_unit_test(minor_is_never_above_the_clients_or_our_own),
		cmocka_unit_test(version_reply_fits_a_client_with_200_bytes),
		cmocka_unit_test(announced_limits_follow_the_proposal),
		cmocka_unit_test(write_multiple_is_not_agreed_when_it_is_not_announced),
		cmocka_unit_test(proposals_of_all_known_clients_are_taken),
		cmocka_unit_test(
			bad_handshakes_are_answered_einval_and_end_the_connection),
		cmocka_unit_test(version_without_its_numbers_is_refused),
		cmocka_unit_test(other_first_commands_are_answered_einval_and_end_it),
		cmocka_unit_test(nothing_behind_a_failed_handshake_reaches_the_device),
		cmocka_unit_test(second_version_is_refused_and_the_connection_stays),
		cmocka_unit_test(headers_that_cannot_be_trusted_end_the_connection),
		cmocka_unit_test(reserved_bits_of_a_command_are_ignored),
		cmocka_unit_test(replies_nobody_asked_for_are_told_and_dropped),
		cmocka_unit_test(commands_are_understood_byte_by_byte),
		cmocka_unit_test(clients_may_leave_within_a_message),
		cmocka_unit_test(good_commands_are_answered),
		cmocka_unit_test(short_payloads_are_refused_at_every_length),
		cmocka_unit_test(long_payloads_are_refused_unless_they_are_room),
		cmocka_unit_test(lies_are_refused_and_the_stream_stays_in_step),
		cmocka_unit_test(no_reply_is_sent_where_none_is_wanted),
		cmocka_unit_test(pipelined_commands_are_answered_in_order),
		cmocka_unit_test(same_id_may_be_used_again_and_again),
		cmocka_unit_test(oversize_messages_are_drained_and_refused),
		cmocka_unit_test(largest_transfer_passes_both_ways),
		cmocka_unit_test(descriptors_where_none_belong_are_refused_and_closed),
		cmocka_unit_test(a_first_message_with_a_descriptor_is_refused),
		cmocka_unit_test(a_flood_of_descriptors_is_closed),
		cmocka_unit_test(device_is_described_as_it_is),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(transfers_of_nothing_do_not_reach_the_device),
		cmocka_unit_test(errnos_of_the_device_go_to_the_client),
		cmocka_unit_test(many_writes_end_at_the_first_that_fails),
		cmocka_unit_test(devices_need_no_callbacks),
		cmocka_unit_test(devices_and_limits_beyond_belief_are_not_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
