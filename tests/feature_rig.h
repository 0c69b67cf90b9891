/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of features: a device that migrates and writes memory, and a client of it. */
#ifndef VUSER_TESTS_FEATURE_RIG_H
#define VUSER_TESTS_FEATURE_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "raw_client.h"

#define COMMAND VUSER_TYPE_COMMAND
#define GET	VUSER_FEATURE_GET
#define SET	VUSER_FEATURE_SET
#define PROBE	VUSER_FEATURE_PROBE

#define DATA	(8u << 20)

/* ---- The device ---------------------------------------------------------------- */

struct arc {
	uint32_t from, to;
};

struct device {
	struct vuser_server *server;
	/* Its state, as it is read and written. */
	uint8_t data[4096];
	uint32_t have, at;
	int64_t lie; /* what read returns, if not 0 */
	int write_result, reset_result;
	/* The arcs that it took; one to refuse_to fails with refuse. */
	struct arc arcs[64];
	size_t narcs;
	uint32_t refuse_to;
	int refuse;
	bool reaches; /* each arc writes a byte of memory at 0x1000 */
	int reached;
	atomic_uint slices; /* of work, which never ends */
	unsigned left, resets;
	uint8_t page[DATA];
};

static inline int rig_state(void *dev, uint32_t from, uint32_t to)
{
	struct device *d = dev;

	if (d->reaches)
		d->reached = vuser_server_dma_write(d->server, 0x1000, "x", 1);
	if (d->refuse && d->refuse_to == to)
		return d->refuse;
	if (d->narcs == ARRAY_SIZE(d->arcs))
		return -ENOBUFS;
	d->arcs[d->narcs++] = (struct arc){ from, to };
	if (to == VUSER_STATE_PRE_COPY || to == VUSER_STATE_STOP_COPY)
		d->at = 0;
	if (to == VUSER_STATE_RESUMING)
		d->have = 0;
	return 0;
}

static inline int64_t rig_read(void *dev, void *buf, uint32_t count)
{
	struct device *d = dev;
	uint32_t n = d->have - d->at < count ? d->have - d->at : count;

	if (d->lie)
		return d->lie;
	memcpy(buf, d->data + d->at, n);
	d->at += n;
	return n;
}

static inline int rig_write(void *dev, const void *buf, uint32_t count)
{
	struct device *d = dev;

	if (d->write_result)
		return d->write_result;
	if (count > sizeof(d->data) - d->have)
		return -ENOSPC;
	memcpy(d->data + d->have, buf, count);
	d->have += count;
	return 0;
}

/* u64 address, length: the device writes as many bytes there, or reads them. */
static inline int rig_region_write(void *dev, uint32_t region, uint64_t offset,
				   const void *buf, uint32_t count)
{
	struct cursor c = cursor_at(buf, count);
	uint64_t iova = cursor_u64(&c), len = cursor_u64(&c);
	struct device *d = dev;

	(void)region;
	if (c.failed || len > DATA)
		return -EINVAL;
	return offset ? vuser_server_dma_read(d->server, iova, d->page, len)
		      : vuser_server_dma_write(d->server, iova, d->page, len);
}

static inline int rig_reset(void *dev)
{
	struct device *d = dev;

	d->resets++;
	return d->reset_result;
}

static inline void rig_left(void *dev)
{
	((struct device *)dev)->left++;
}

static const struct vuser_region_desc rig_regions[] = { { .flags = VUSER_REGION_WRITE,
							  .size = 64 } };

static const struct vuser_migration_ops rig_ops = {
	.flags = VUSER_MIGRATION_STOP_COPY | VUSER_MIGRATION_PRE_COPY,
	.state = rig_state,
	.read = rig_read,
	.write = rig_write,
};

static const struct vuser_device rig_device = { .name = "rig",
						.flags = VUSER_DEVICE_RESET,
						.regions = rig_regions,
						.num_regions = 1,
						.write = rig_region_write,
						.reset = rig_reset,
						.left = rig_left,
						.migration = &rig_ops };

/* ---- The server in a thread, a socket to it -------------------------------------- */

struct rig {
	struct vuser_device desc;
	struct vuser_migration_ops ops;
	struct vuser_server_options options;
	struct vuser_server *server;
	struct device device;
	struct events events;
	pthread_t thread;
	int fd; /* the client's end */
	/* The last message that came. */
	struct vuser_header h;
	uint8_t payload[DATA];
	size_t len;
};

/* Everything as usual; what a test wants otherwise it changes before rig_greet(). */
static inline struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->desc = rig_device;
	r->ops = rig_ops;
	r->desc.migration = &r->ops;
	vuser_server_options_default(&r->options);
	r->options.timeout = 30000000000;
	r->options.event = note_event;
	r->options.arg = &r->events;
	return r;
}

static inline void *rig_serve(void *arg)
{
	struct rig *r = arg;

	return vuser_server_run(r->server, true, NULL) ? r : NULL;
}

static inline void rig_send(struct rig *r, unsigned command, uint32_t flags, int passed,
			    const char *form, const uint64_t *v, const void *data,
			    size_t len)
{
	struct vuser_header h = { .id = 7, .command = (uint16_t)command, .flags = flags };

	assert_true(send_message(r->fd, h, form, v, data, len, &passed, passed >= 0));
}

static inline void rig_expect(struct rig *r, unsigned command, uint32_t flags)
{
	assert_true(get_message(r->fd, &r->h, r->payload, sizeof(r->payload), &r->len));
	assert_int_equal(r->h.command, command);
	assert_int_equal(r->h.flags, flags);
}

/* A reply: err 0 for one that is no error. */
static inline void rig_result(struct rig *r, unsigned command, int err)
{
	rig_expect(r, command, err ? REPLY | VUSER_FLAG_ERROR : REPLY);
	assert_int_equal(r->h.error, err);
	if (err)
		assert_int_equal(r->len, 0);
}

/* A client comes, with that JSON or none. */
static inline void rig_greet(struct rig *r, const char *json)
{
	if (!r->server)
		assert_int_equal(vuser_server_new(&r->desc, &r->device, &r->options,
						  &r->server, NULL),
				 0);
	r->device.server = r->server;
	r->fd = attach_client(r->server);
	assert_int_equal(pthread_create(&r->thread, NULL, rig_serve, r), 0);
	rig_send(r, VUSER_CMD_VERSION, COMMAND, -1, "22", VALUES(0, 2), json,
		 json ? strlen(json) + 1 : 0);
	rig_result(r, VUSER_CMD_VERSION, 0);
}

static inline struct rig *rig_begin(void)
{
	struct rig *r = rig_new();

	rig_greet(r, NULL);
	return r;
}

static inline void rig_leave(struct rig *r)
{
	void *failed;

	close(r->fd);
	pthread_join(r->thread, &failed);
	assert_null(failed);
}

static inline void rig_end(struct rig *r)
{
	rig_leave(r);
	vuser_server_free(r->server);
	free(r);
}

/* ---- What a client says --------------------------------------------------------- */

/* DEVICE_FEATURE with len bytes of data behind the values of form. */
static inline void rig_feature(struct rig *r, uint32_t argsz, uint32_t flags,
			       const char *form, const uint64_t *v, int err)
{
	uint8_t payload[8192];
	size_t n = pack(payload, "44", VALUES(argsz, flags));

	assert_true(n + packed_size(form, v) <= sizeof(payload));
	n += pack(payload + n, form, v);
	rig_send(r, VUSER_CMD_DEVICE_FEATURE, COMMAND, -1, "", NULL, payload, n);
	rig_result(r, VUSER_CMD_DEVICE_FEATURE, err);
	if (!err)
		assert_int_equal(((const uint32_t *)(const void *)r->payload)[1], flags);
}

/* The integer of width bytes at off of the last payload. */
static inline uint64_t rig_value(const struct rig *r, size_t off, size_t width)
{
	struct cursor c = cursor_at(r->payload, r->len);
	uint64_t v;

	(void)cursor_bytes(&c, off);
	v = cursor_uint(&c, width);
	assert_false(c.failed);
	return v;
}

static inline void rig_set_state(struct rig *r, uint32_t to, int err)
{
	rig_feature(r, 16, SET | VUSER_FEATURE_MIG_DEVICE_STATE, "44", VALUES(to, 0),
		    err);
}

static inline uint32_t rig_get_state(struct rig *r)
{
	rig_feature(r, 16, GET | VUSER_FEATURE_MIG_DEVICE_STATE, "", NULL, 0);
	assert_int_equal(r->len, 16);
	return (uint32_t)rig_value(r, 8, 4);
}

static inline void rig_reset_device(struct rig *r, int err)
{
	rig_send(r, VUSER_CMD_DEVICE_RESET, COMMAND, -1, "", NULL, NULL, 0);
	rig_result(r, VUSER_CMD_DEVICE_RESET, err);
}

static inline void rig_map(struct rig *r, uint64_t iova, uint64_t size, uint32_t prot,
			   int fd)
{
	rig_send(r, VUSER_CMD_DMA_MAP, COMMAND, fd, "44888",
		 VALUES(32, prot, 0, iova, size), NULL, 0);
	rig_result(r, VUSER_CMD_DMA_MAP, 0);
}

static inline void rig_unmap(struct rig *r, uint64_t iova, uint64_t size)
{
	rig_send(r, VUSER_CMD_DMA_UNMAP, COMMAND, -1, "4488", VALUES(24, 0, iova, size),
		 NULL, 0);
	rig_result(r, VUSER_CMD_DMA_UNMAP, 0);
}

/* Asks the device to write len bytes at iova, or, at offset 16, to read them. */
static inline void rig_ask(struct rig *r, uint64_t offset, uint64_t iova, uint64_t len)
{
	rig_send(r, VUSER_CMD_REGION_WRITE, COMMAND, -1, "84488",
		 VALUES(offset, 0, 16, iova, len), NULL, 0);
}

static inline void rig_store(struct rig *r, uint64_t iova, uint64_t len, int err)
{
	rig_ask(r, 0, iova, len);
	rig_result(r, VUSER_CMD_REGION_WRITE, err);
}

#endif
