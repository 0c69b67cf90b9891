/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads about interrupts: DEVICE_GET_IRQ_INFO and DEVICE_SET_IRQS. */
#include "msgtab.h"

static const struct named irq_flags[] = {
	{ VUSER_IRQ_EVENTFD, "eventfd" },
	{ VUSER_IRQ_MASKABLE, "maskable" },
	{ VUSER_IRQ_AUTOMASKED, "automasked" },
	{ VUSER_IRQ_NORESIZE, "noresize" },
	{ 0, NULL },
};

static const struct field irq_info_fields[] = {
	FIELD(irq_info.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(irq_info.flags, "flags", 4, VUSER_SHOW_FLAGS, true, irq_flags),
	FIELD(irq_info.index, "index", 8, VUSER_SHOW_IRQ, true, NULL),
	FIELD(irq_info.count, "count", 12, VUSER_SHOW_COUNT, true, NULL),
};

const struct layout layout_irq_info = { irq_info_fields, 4, 16, NULL, NULL };

static const struct named set_flags[] = {
	{ VUSER_SET_IRQS_DATA_NONE, "none" },
	{ VUSER_SET_IRQS_DATA_BOOL, "bool" },
	{ VUSER_SET_IRQS_DATA_EVENTFD, "eventfd" },
	{ VUSER_SET_IRQS_MASK, "mask" },
	{ VUSER_SET_IRQS_UNMASK, "unmask" },
	{ VUSER_SET_IRQS_TRIGGER, "trigger" },
	{ 0, NULL },
};

static const struct field irq_set_fields[] = {
	FIELD(irq_set.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(irq_set.flags, "flags", 4, VUSER_SHOW_FLAGS, true, set_flags),
	FIELD(irq_set.index, "index", 8, VUSER_SHOW_IRQ, true, NULL),
	FIELD(irq_set.start, "start", 12, VUSER_SHOW_COUNT, true, NULL),
	FIELD(irq_set.count, "count", 16, VUSER_SHOW_COUNT, true, NULL),
};

/* One byte an interrupt with the bool flag; descriptors travel beside the bytes. */
static int check_set(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	bool bytes = p->u.irq_set.flags & VUSER_SET_IRQS_DATA_BOOL;

	return tail_must_be(p, at, bytes ? p->u.irq_set.count : 0, "count", e);
}

static const struct tail set_data = { .name = "data",
				      .show = VUSER_SHOW_BYTES,
				      .check = check_set };

const struct layout layout_irq_set = { irq_set_fields, 5, 20, &set_data, NULL };
