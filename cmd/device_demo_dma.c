/* SPDX-License-Identifier: BSD-3-Clause */
/* The copy engine of the demonstration device. */
#include <errno.h>
#include <string.h>

#include "device_demo.h"

#define SLICE 65536u /* bytes moved between two looks at the client's commands */

/* len bytes into buf from where the transfer has come to. */
static int fetch(struct demo *d, uint32_t kind, uint8_t *buf, uint64_t done, size_t len)
{
	uint64_t source = demo_get64(d, REG_SOURCE) + done;

	if (kind == DMA_KIND_FILL) {
		memset(buf, (int)(d->state.reg[REG_PATTERN] & 0xff), len);
		return 0;
	}
	if (kind != DMA_KIND_OUT)
		return vuser_server_dma_read(d->server, source, buf, len);
	if (source > DEMO_BAR1_SIZE || len > DEMO_BAR1_SIZE - source)
		return -ERANGE;
	memcpy(buf, d->memory + source, len);
	return 0;
}

static int store(struct demo *d, uint32_t kind, const uint8_t *buf, uint64_t done,
		 size_t len)
{
	uint64_t destination = demo_get64(d, REG_DESTINATION) + done;

	if (kind != DMA_KIND_IN)
		return vuser_server_dma_write(d->server, destination, buf, len);
	if (destination > DEMO_BAR1_SIZE || len > DEMO_BAR1_SIZE - destination)
		return -ERANGE;
	memcpy(d->memory + destination, buf, len);
	return 0;
}

static void finish(struct demo *d, int err)
{
	uint32_t command = d->state.reg[REG_COMMAND];

	d->state.reg[REG_STATUS] = DMA_STATUS_DONE | (err ? DMA_STATUS_ERROR : 0);
	d->state.reg[REG_ERROR] = (uint32_t)-err;
	demo_log(d, EVENT_DMA_END, demo_get64(d, REG_DONE));
	if (command & DMA_INTERRUPT)
		demo_raise(d, DMA_VECTOR(command));
}

void demo_dma_abort(struct demo *d, int err)
{
	if (d->state.reg[REG_STATUS] & DMA_STATUS_BUSY)
		finish(d, err);
}

/* The registers are those of the transfer until it has ended. */
void demo_dma_start(struct demo *d, uint32_t command)
{
	if (!(command & DMA_START) || d->state.reg[REG_STATUS] & DMA_STATUS_BUSY)
		return;
	d->state.reg[REG_COMMAND] = command;
	d->state.reg[REG_STATUS] = DMA_STATUS_BUSY;
	d->state.reg[REG_ERROR] = 0;
	demo_set64(d, REG_DONE, 0);
	demo_log(d, EVENT_DMA_START, demo_get64(d, REG_COUNT));
}

bool demo_dma_work(struct demo *d)
{
	uint32_t kind = d->state.reg[REG_COMMAND] & DMA_KIND;
	uint64_t count = demo_get64(d, REG_COUNT), done = demo_get64(d, REG_DONE);
	uint8_t buf[SLICE];
	size_t len = count - done < SLICE ? (size_t)(count - done) : SLICE;
	unsigned resets = d->resets;
	int err = 0;

	if (!(d->state.reg[REG_STATUS] & DMA_STATUS_BUSY))
		return false;
	if (len && !d->server)
		err = -EFAULT;
	if (len && !err)
		err = fetch(d, kind, buf, done, len);
	if (len && !err)
		err = store(d, kind, buf, done, len);
	/* The client may have left meanwhile, and the transfer been ended with it, or
	 * have reset the device and started another. */
	if (!(d->state.reg[REG_STATUS] & DMA_STATUS_BUSY))
		return false;
	if (resets != d->resets)
		return true;
	/* It may have stopped the device: this slice is done again when it runs. */
	if (err && d->stopped)
		return false;
	if (!err)
		demo_set64(d, REG_DONE, done + len);
	if (!err && done + len < count)
		return true;
	finish(d, err);
	return false;
}
