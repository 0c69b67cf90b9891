/* SPDX-License-Identifier: BSD-3-Clause */
/* The value of a field as a person would want to read it. */
#include <stdarg.h>
#include <string.h>

#include "error.h"
#include "msgtab.h"

const char *vuser_region_name(uint32_t index)
{
	static const char *const names[VUSER_PCI_REGIONS] = {
		"bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga",
	};

	return index < VUSER_PCI_REGIONS ? names[index] : NULL;
}

const char *vuser_irq_name(uint32_t index)
{
	static const char *const names[VUSER_PCI_IRQS] = { "intx", "msi", "msix", "err",
							   "req" };

	return index < VUSER_PCI_IRQS ? names[index] : NULL;
}

/* Text that grows up to the end of its buffer and stays terminated. */
struct text {
	char *buf;
	size_t cap, len;
};

static void add(struct text *t, const char *fmt, ...) VUSER_PRINTF(2, 3);
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, t->cap - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len = (size_t)n < t->cap - t->len ? t->len + (size_t)n : t->cap - 1;
}

static void add_flags(struct text *t, const struct named *names, uint64_t value)
{
	const char *bar = "";

	for (; names && names->name; names++) {
		if (!(value & names->value))
			continue;
		add(t, "%s%s", bar, names->name);
		value &= ~(uint64_t)names->value;
		bar = "|";
	}
	if (value || !*bar)
		add(t, value ? "%s0x%llx" : "%s%llu", bar, (unsigned long long)value);
}

/* The number of a feature, then what is asked of it. */
static void add_feature(struct text *t, const struct named *names, uint64_t value)
{
	uint64_t number = value & VUSER_FEATURE_MASK;
	const struct named *n = names;

	while (n && n->name && n->value != number)
		n++;
	if (n && n->name)
		add(t, "%s", n->name);
	else
		add(t, "%llu", (unsigned long long)number);
	value &= ~(uint64_t)VUSER_FEATURE_MASK;
	if (!value)
		return;
	add(t, "|");
	while (names && names->name && names->value <= VUSER_FEATURE_MASK)
		names++;
	add_flags(t, names, value);
}

static void add_name(struct text *t, const char *name, uint64_t value)
{
	if (name)
		add(t, "%s", name);
	else
		add(t, "%llu", (unsigned long long)value);
}

static const char *find_name(const struct named *names, uint64_t value)
{
	for (; names && names->name; names++)
		if (names->value == value)
			return names->name;
	return NULL;
}

static void add_bytes(struct text *t, const struct vuser_field *f)
{
	size_t shown = f->len < 16 ? f->len : 16;

	for (size_t i = 0; i < shown; i++)
		add(t, "%02x", f->bytes[i]);
	if (shown < f->size)
		add(t, "... (%zu bytes)", f->size);
}

size_t vuser_field_text(const struct vuser_field *f, char *buf, size_t cap)
{
	struct text t = { buf, cap, 0 };
	size_t len = f->len;

	if (!cap)
		return 0;
	buf[0] = '\0';
	switch (f->show) {
	case VUSER_SHOW_COUNT:
		add(&t, "%llu", (unsigned long long)f->value);
		break;
	case VUSER_SHOW_HEX:
		add(&t, "0x%llx", (unsigned long long)f->value);
		break;
	case VUSER_SHOW_FLAGS:
		add_flags(&t, f->names, f->value);
		break;
	case VUSER_SHOW_FEATURE:
		add_feature(&t, f->names, f->value);
		break;
	case VUSER_SHOW_ENUM:
		add_name(&t, find_name(f->names, f->value), f->value);
		break;
	case VUSER_SHOW_COMMAND:
		add_name(&t, vuser_command_name((unsigned)f->value), f->value);
		break;
	case VUSER_SHOW_REGION:
		add_name(&t,
			 f->value < VUSER_PCI_REGIONS
				 ? vuser_region_name((uint32_t)f->value)
				 : NULL,
			 f->value);
		break;
	case VUSER_SHOW_IRQ:
		add_name(&t,
			 f->value < VUSER_PCI_IRQS ? vuser_irq_name((uint32_t)f->value)
						   : NULL,
			 f->value);
		break;
	case VUSER_SHOW_ERRNO:
		add_name(&t, f->value ? vuser_errno_name((int)f->value) : NULL, f->value);
		break;
	case VUSER_SHOW_TEXT:
		if (len && f->bytes[len - 1] == '\0')
			len--;
		error_printable(buf, cap, f->bytes, len);
		t.len = strlen(buf);
		break;
	case VUSER_SHOW_BYTES:
	case VUSER_SHOW_NONE:
		add_bytes(&t, f);
		break;
	}
	return t.len;
}
