/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads about the connection and the device as a whole: VERSION, DEVICE_GET_INFO,
 * RESET. */
#include "msgtab.h"

const struct layout layout_empty = { .fixed = 0 };

static const struct field version_fields[] = {
	FIELD(version.major, "major", 0, VUSER_SHOW_COUNT, true, NULL),
	FIELD(version.minor, "minor", 2, VUSER_SHOW_COUNT, true, NULL),
};

/* The text is the capability checker's to judge; it may be missing. */
static const struct tail version_text = { .name = "capabilities",
					  .show = VUSER_SHOW_TEXT };

const struct layout layout_version = { version_fields, 2, 4, &version_text, NULL };

static const struct named device_flags[] = {
	{ VUSER_DEVICE_RESET, "reset" },
	{ VUSER_DEVICE_PCI, "pci" },
	{ 0, NULL },
};

static const struct field device_info_fields[] = {
	FIELD(device_info.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(device_info.flags, "flags", 4, VUSER_SHOW_FLAGS, true, device_flags),
	FIELD(device_info.num_regions, "num_regions", 8, VUSER_SHOW_COUNT, true, NULL),
	FIELD(device_info.num_irqs, "num_irqs", 12, VUSER_SHOW_COUNT, true, NULL),
};

const struct layout layout_device_info = { device_info_fields, 4, 16, NULL, NULL };
