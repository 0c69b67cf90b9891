// SPDX-License-Identifier: BSD-3-Clause
/* The chains of capabilities: walking them, and decoding those of conventional PCI. */
#include "pci.h"

#include <stdlib.h>

#define STANDARD_LOW 0x40u
#define STANDARD_END 0x100u
#define EXTENDED_LOW 0x100u
#define EXTENDED_END 0x1000u

/* ---- The walk -------------------------------------------------------------------- */

struct chain {
	const struct pci_view *v;
	bool extended;
	unsigned low;  /* nothing of it is below */
	size_t end;    /* nor at or above */
	size_t header; /* bytes of a capability that must be there to go on */
	struct pci_link links[PCI_LINKS + 1];
	size_t n;
};

/* The same place twice means that it would go on for ever. */
static bool visited(const struct chain *c, unsigned at)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->links[i].offset == at)
			return true;
	return false;
}

/* Why the pointer is not followed, "" if it may be. */
static void judge(const struct chain *c, unsigned at, char *why, size_t cap)
{
	if (at < c->low)
		snprintf(why, cap, "points to %02x, into the header: not followed", at);
	else if (at % 4)
		snprintf(why, cap, "points to %02x, which is not aligned: not followed",
			 at);
	else if (at >= c->end || c->header > c->end - at)
		snprintf(why, cap, "points to %02x, out of the %zu bytes: not followed",
			 at, c->end);
	else if (visited(c, at))
		snprintf(why, cap, "points back to %02x, a loop: not followed", at);
	else if (c->n == PCI_LINKS)
		snprintf(why, cap, "more than %u capabilities: not followed", PCI_LINKS);
	else
		why[0] = '\0';
}

/* Adds what the pointer at from leads to and returns the next one, 0 at the end. */
static unsigned follow(struct chain *c, unsigned from, unsigned at)
{
	struct pci_link *l = &c->links[c->n];
	uint32_t head;

	*l = (struct pci_link){ .v = c->v, .extended = c->extended, .offset = from };
	judge(c, at, l->problem, sizeof(l->problem));
	c->n++;
	if (l->problem[0])
		return 0;
	l->offset = at;
	l->room = c->end - at;
	head = pci_uint(c->v, at, (unsigned)c->header);
	l->id = c->extended ? head & 0xffff : head & 0xff;
	l->version = c->extended ? head >> 16 & 0xf : 0;
	l->next = c->extended ? head >> 20 : head >> 8;
	return l->next;
}

/* A capability without a length of its own ends where the next one above it begins. */
static void set_extents(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct pci_link *l = &c->links[i];

		l->extent = l->room;
		for (size_t k = 0; k < c->n; k++) {
			const struct pci_link *o = &c->links[k];

			if (!o->problem[0] && o->offset > l->offset &&
			    o->offset - l->offset < l->extent)
				l->extent = o->offset - l->offset;
		}
	}
}

static void walk(struct chain *c, unsigned from, unsigned first, pci_link_fn *fn,
		 void *arg)
{
	unsigned at = first;

	while (at) {
		at = follow(c, from, at);
		from = c->links[c->n - 1].offset;
	}
	set_extents(c);
	for (size_t i = 0; i < c->n; i++)
		fn(arg, &c->links[i]);
}

static void walk_standard(const struct pci_view *v, pci_link_fn *fn, void *arg)
{
	struct chain c = { .v = v, .low = STANDARD_LOW, .end = v->len, .header = 2 };
	struct pci_link odd = { .v = v };
	unsigned type = pci_uint(v, 0x0e, 1) & 0x7f;
	bool has = pci_uint(v, 0x06, 2) & 0x10;
	unsigned first;

	if (type > 2)
		return; /* where the pointer is depends on the type */
	odd.offset = type == 2 ? 0x14 : 0x34;
	first = pci_uint(v, odd.offset, 1);
	if (c.end > STANDARD_END)
		c.end = STANDARD_END;
	if (has && first) {
		walk(&c, odd.offset, first, fn, arg);
		return;
	}
	if (!has && !first)
		return;
	if (has)
		snprintf(odd.problem, sizeof(odd.problem),
			 "points to none, yet the status says Cap+");
	else
		snprintf(odd.problem, sizeof(odd.problem),
			 "points to %02x, yet the status says Cap-: not followed", first);
	fn(arg, &odd);
}

static void walk_extended(const struct pci_view *v, pci_link_fn *fn, void *arg)
{
	struct chain c = {
		.v = v, .extended = true, .low = EXTENDED_LOW, .end = v->len, .header = 4
	};
	uint32_t first = pci_uint(v, EXTENDED_LOW, 4);

	if (c.end > EXTENDED_END)
		c.end = EXTENDED_END;
	if (first && first != UINT32_MAX)
		walk(&c, EXTENDED_LOW, EXTENDED_LOW, fn, arg);
}

void pci_walk_caps(const struct pci_view *v, pci_link_fn *fn, void *arg)
{
	walk_standard(v, fn, arg);
	walk_extended(v, fn, arg);
}

/* ---- Hex, for what is not decoded ------------------------------------------------- */

#define ROW 16u

/* Writes two digits a byte and NUL to text; gap is a character between the bytes, or 0.
 */
static void to_hex(char *text, const uint8_t *p, size_t len, char gap)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		if (gap && i)
			*text++ = gap;
		*text++ = digits[p[i] >> 4];
		*text++ = digits[p[i] & 0xf];
	}
	*text = '\0';
}

/* Rows with their offset; zeros at the end are not worth their rows. */
static void hex_rows(struct pci_emit *e, size_t offset, size_t len)
{
	const uint8_t *p = e->v->cfg + offset;
	char row[3 * ROW];
	size_t used = len;

	while (used > 4 && !p[used - 1])
		used--;
	used = (used + 3) / 4 * 4;
	if (used > len)
		used = len;
	for (size_t i = 0; i < used; i += ROW) {
		to_hex(row, p + i, used - i < ROW ? used - i : ROW, ' ');
		pci_say(e, "\n%.*s%02zx: %s", (int)e->indent, "\t\t\t\t", offset + i,
			row);
	}
	if (used < len)
		pci_say(e, " and zeros up to %02zx", offset + len - 1);
}

void pci_bytes(struct pci_emit *e, size_t offset, size_t len)
{
	char *hex;

	if (!len || offset > e->v->len || len > e->v->len - offset)
		return;
	if (e->out) {
		hex_rows(e, offset, len);
		return;
	}
	hex = malloc(2 * len + 1);
	if (!hex) {
		e->failed = true;
		return;
	}
	to_hex(hex, e->v->cfg + offset, len, '\0');
	e->at = e->owner;
	pci_json_text(e, "data", hex);
	free(hex);
}

/* fixed are the bytes that its own fields take. */
void pci_own_length(struct pci_emit *e, const struct pci_link *l, size_t len,
		    size_t fixed)
{
	if (len < fixed) {
		pci_problem(e, l->offset, "a length of %zu, %zu at least are due", len,
			    fixed);
		len = l->extent;
	} else if (len > l->room) {
		pci_problem(e, l->offset, "a length of %zu, the space ends after %zu",
			    len, l->room);
		len = l->room;
	}
	pci_bytes(e, l->offset, len);
}

/* ---- Capabilities of conventional PCI ---------------------------------------------- */

static const struct pci_bit pm_cap_bits[] = {
	{ "PMEClk", 3 }, { "DSI", 5 }, { "D1", 9 }, { "D2", 10 }, { NULL, 0 },
};
static const struct pci_bit pm_pme_bits[] = {
	{ "D0", 11 },	 { "D1", 12 },	   { "D2", 13 },
	{ "D3hot", 14 }, { "D3cold", 15 }, { NULL, 0 },
};

static void power_management(struct pci_emit *e, const struct pci_link *l)
{
	static const unsigned current[] = { 0, 55, 100, 160, 220, 270, 320, 375 };
	static const char *const states[] = { "D0", "D1", "D2", "D3" };
	unsigned caps = reg16(l, 2), status = reg16(l, 4);

	pci_say(e, " ");
	pci_count(e, "version ", caps & 7, "");
	pci_line(e, "Flags: ", "pm_cap");
	pci_flags(e, pm_cap_bits, caps);
	pci_count(e, "AuxCurrent=", current[caps >> 6 & 7], "mA");
	pci_say(e, " PME(");
	for (const struct pci_bit *b = pm_pme_bits; b->name; b++) {
		bool set = caps >> b->bit & 1;

		pci_say(e, "%s%s%c", b == pm_pme_bits ? "" : ",", b->name,
			set ? '+' : '-');
		pci_json_flag(e, "pme", b->name, set);
	}
	pci_say(e, ")");
	pci_line(e, "Status: ", "pm_status");
	pci_say(e, "%s ", states[status & 3]);
	pci_json_text(e, "state", states[status & 3]);
	pci_flag(e, "NoSoftRst", status & 0x8);
	pci_flag(e, "PME-Enable", status & 0x100);
	pci_count(e, "DSel=", status >> 9 & 0xf, "");
	pci_count(e, "DScale=", status >> 13 & 3, "");
	pci_flag(e, "PME", status & 0x8000);
}

#define MSI_64	 0x80u
#define MSI_MASK 0x100u

static size_t msi_need(const struct pci_link *l)
{
	unsigned control = reg16(l, 2);
	size_t need = control & MSI_64 ? 14 : 10;

	/* The mask is aligned, so two bytes lie idle before it. */
	return control & MSI_MASK ? need + 10 : need;
}

static void msi(struct pci_emit *e, const struct pci_link *l)
{
	unsigned control = reg16(l, 2), data = control & MSI_64 ? 12 : 8;
	unsigned capable = 1u << (control >> 1 & 7), enabled = 1u << (control >> 4 & 7);
	uint64_t address = reg32(l, 4);

	if (control & MSI_64)
		address |= (uint64_t)reg32(l, 8) << 32;
	pci_say(e, ": ");
	pci_flag(e, "Enable", control & 1);
	pci_say(e, " Count=%u/%u ", enabled, capable);
	pci_json_count(e, "count", enabled);
	pci_json_count(e, "count_max", capable);
	pci_flag(e, "Maskable", control & MSI_MASK);
	pci_flag(e, "64bit", control & MSI_64);
	if (capable > 32 || enabled > capable)
		pci_problem(e, l->offset + 2, "%u vectors enabled of %u: impossible",
			    enabled, capable);
	pci_line(e, "", "message");
	pci_hex(e, "Address: ", address, control & MSI_64 ? 16 : 8);
	pci_say(e, "  ");
	pci_hex(e, "Data: ", reg16(l, data), 4);
	if (!(control & MSI_MASK))
		return;
	pci_line(e, "", "mask");
	pci_hex(e, "Masking: ", reg32(l, data + 4), 8);
	pci_say(e, "  ");
	pci_hex(e, "Pending: ", reg32(l, data + 8), 8);
}

/* Where a table of MSI-X is, bytes long, as the register at reg says. */
static void msix_place(struct pci_emit *e, const struct pci_link *l, unsigned reg,
		       uint64_t bytes)
{
	unsigned bar = reg32(l, reg) & 7;
	uint64_t offset = reg32(l, reg) & ~7u, size;
	char text[PCI_SIZE_MAX];

	pci_count(e, "BAR=", bar, "");
	pci_hex(e, "offset=", offset, 8);
	if (bar >= PCI_BARS) {
		pci_problem(e, l->offset + reg, "there is no BAR %u", bar);
		return;
	}
	size = e->v->bar_size[bar];
	if (e->v->bar_size_known[bar] && (bytes > size || offset > size - bytes))
		pci_problem(e, l->offset + reg, "does not fit into BAR %u of %s", bar,
			    pci_size_text(text, size));
}

static void msix(struct pci_emit *e, const struct pci_link *l)
{
	unsigned control = reg16(l, 2), count = (control & 0x7ff) + 1;

	pci_say(e, ": ");
	pci_flag(e, "Enable", control & 0x8000);
	pci_count(e, "Count=", count, "");
	pci_flag(e, "Masked", control & 0x4000);
	pci_line(e, "Vector table: ", "vector_table");
	msix_place(e, l, 4, count * 16);
	pci_line(e, "PBA: ", "pba");
	msix_place(e, l, 8, (count + 63) / 64 * 8);
}

/* Virtio tells with these where in the BARs its structures are. */
static bool is_virtio(const struct pci_link *l)
{
	unsigned device = pci_uint(l->v, 0x02, 2);

	return pci_uint(l->v, 0x00, 2) == 0x1af4 && device >= 0x1000 &&
	       device <= 0x107f && reg8(l, 2) >= 16 && l->room >= 16;
}

static void virtio(struct pci_emit *e, const struct pci_link *l)
{
	static const char *const types[] = { "<unknown>", "CommonCfg", "Notify",
					     "ISR",	  "DeviceCfg", "PciCfg" };
	unsigned type = reg8(l, 3);
	const char *name = type < sizeof(types) / sizeof(*types) ? types[type] : types[0];

	pci_say(e, " ");
	pci_name(e, "VirtIO: ", name);
	pci_line(e, "", "structure");
	pci_count(e, "BAR=", reg8(l, 4), "");
	pci_hex(e, "offset=", reg32(l, 8), 8);
	pci_hex(e, "size=", reg32(l, 12), 8);
	if (type == 2 && reg8(l, 2) >= 20 && l->room >= 20)
		pci_hex(e, "multiplier=", reg32(l, 16), 8);
}

static void vendor_specific(struct pci_emit *e, const struct pci_link *l)
{
	pci_say(e, ": Len=%02x", reg8(l, 2));
	pci_json_count(e, "length", reg8(l, 2));
	if (is_virtio(l))
		virtio(e, l);
	else
		pci_own_length(e, l, reg8(l, 2), 3);
}

static void bridge_subsystem(struct pci_emit *e, const struct pci_link *l)
{
	pci_say(e, ": ");
	pci_hex(e, "Vendor=", reg16(l, 4), 4);
	pci_hex(e, "Device=", reg16(l, 6), 4);
}

static void advanced_features(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "AFCap: ", "af_cap");
	pci_flag(e, "TP", reg8(l, 3) & 1);
	pci_flag(e, "FLR", reg8(l, 3) & 2);
	pci_line(e, "AFCtrl: ", "af_ctrl");
	pci_flag(e, "FLR", reg8(l, 4) & 1);
	pci_line(e, "AFStatus: ", "af_status");
	pci_flag(e, "TP", reg8(l, 5) & 1);
}

static const struct pci_cap_row standard_caps[] = {
	{ 0x00, "Null", 2, NULL, NULL },
	{ 0x01, "Power Management", 8, NULL, power_management },
	{ 0x02, "AGP", 2, NULL, NULL },
	{ 0x03, "Vital Product Data", 2, NULL, NULL },
	{ 0x04, "Slot ID", 2, NULL, NULL },
	{ 0x05, "MSI", 4, msi_need, msi },
	{ 0x06, "CompactPCI hot-swap", 2, NULL, NULL },
	{ 0x07, "PCI-X", 2, NULL, NULL },
	{ 0x08, "HyperTransport", 2, NULL, NULL },
	{ 0x09, "Vendor Specific Information", 3, NULL, vendor_specific },
	{ 0x0a, "Debug port", 2, NULL, NULL },
	{ 0x0b, "CompactPCI central resource control", 2, NULL, NULL },
	{ 0x0c, "Hot-plug capable", 2, NULL, NULL },
	{ 0x0d, "Subsystem", 8, NULL, bridge_subsystem },
	{ 0x0e, "AGP3", 2, NULL, NULL },
	{ 0x0f, "Secure device", 2, NULL, NULL },
	{ 0x10, "Express", 4, pci_express_need, pci_express },
	{ 0x11, "MSI-X", 12, NULL, msix },
	{ 0x12, "SATA HBA", 2, NULL, NULL },
	{ 0x13, "PCI Advanced Features", 6, NULL, advanced_features },
	{ 0x14, "Enhanced Allocation", 2, NULL, NULL },
	{ 0x15, "Flattening Portal Bridge", 2, NULL, NULL },
	{ 0, NULL, 0, NULL, NULL },
};

/* ---- Both chains --------------------------------------------------------------- */

static const struct pci_cap_row *find_row(const struct pci_link *l)
{
	const struct pci_cap_row *row = l->extended ? pci_extended_caps : standard_caps;

	while (row->name && row->id != l->id)
		row++;
	return row;
}

/* Decoders run only when every byte they read is there. */
static void decode(struct pci_emit *e, const struct pci_link *l,
		   const struct pci_cap_row *row)
{
	size_t need = row->min;

	if (row->decode && row->need && l->room >= need)
		need = row->need(l);
	if (l->room < need) {
		pci_problem(e, l->offset, "cut: %zu of its %zu bytes", l->room, need);
		pci_bytes(e, l->offset, l->room);
	} else if (row->decode) {
		row->decode(e, l);
	} else {
		pci_bytes(e, l->offset, l->extent);
	}
}

static void show(void *arg, const struct pci_link *l)
{
	const struct pci_cap_row *row;
	struct pci_emit *e = arg;

	if (l->problem[0]) {
		pci_problem(e, l->offset, "capabilities: %s", l->problem);
		return;
	}
	row = find_row(l);
	pci_entry(e, "capabilities");
	pci_json_hex(e, "offset", l->offset, 2);
	pci_json_hex(e, "id", l->id, l->extended ? 4 : 2);
	pci_json_text(e, "name", row->name);
	pci_say(e, "\n\tCapabilities: [%02x", l->offset);
	if (l->extended) {
		pci_json_count(e, "version", l->version);
		pci_say(e, " v%u", l->version);
	}
	if (row->name)
		pci_say(e, "] %s", row->name);
	else
		pci_say(e, "] #%02x, unknown", l->id);
	e->indent = 2;
	decode(e, l, row);
	e->indent = 1;
}

void pci_caps(struct pci_emit *e)
{
	pci_walk_caps(e->v, show, e);
}
