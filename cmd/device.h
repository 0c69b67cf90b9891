/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device that `vfuctl serve` can be offers to it: one row of a table. */
#ifndef DEVICE_H
#define DEVICE_H

#include "vuser.h"

struct device_type {
	const char *name;    /* as in --device=NAME */
	const char *summary; /* a few words for the list of devices */
	/*
	 * Makes a device in its power-on state. Returns 0, or a negative errno and leaves
	 * dev and desc alone. desc is valid as long as the device is; destroy() frees it.
	 */
	int (*create)(void **dev, const struct vuser_device **desc);
	/* Tells the device whose memory its DMA goes to; before any callback of desc. */
	void (*attach)(void *dev, struct vuser_server *s);
	/* After the server is gone. NULL is fine for dev. */
	void (*destroy)(void *dev);
};

extern const struct device_type device_edu;
extern const struct device_type device_demo;

#endif
