// SPDX-License-Identifier: BSD-3-Clause
/* A PCI function's config space: its header, names from libpci, and the two faces. */
#include "pci.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <inttypes.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE 64u
#define SPACE_SIZE  4096u
#define KEY_MAX	    40u
#define NO_DEVICE   0xffffu

uint32_t pci_uint(const struct pci_view *v, size_t offset, unsigned width)
{
	uint32_t value = 0;

	if (offset > v->len || width > v->len - offset)
		return 0;
	for (unsigned i = 0; i < width; i++)
		value |= (uint32_t)v->cfg[offset + i] << (8 * i);
	return value;
}

char *pci_size_text(char buf[PCI_SIZE_MAX], uint64_t size)
{
	static const char units[] = "KMGTPE";
	char unit[2] = "";

	for (size_t i = 0; size && size % 1024 == 0; i++) {
		size /= 1024;
		unit[0] = units[i];
	}
	snprintf(buf, PCI_SIZE_MAX, "%" PRIu64 "%s", size, unit);
	return buf;
}

/* ---- Names ----------------------------------------------------------------------- */

static _Thread_local jmp_buf names_escape;

/* To libpci this is a call that ends the program; it shall end the loading alone. */
__attribute__((noreturn)) static void names_error(char *msg, ...)
{
	(void)msg;
	longjmp(names_escape, 1);
}

static void names_ignore(char *msg, ...)
{
	(void)msg;
}

/* Loads the file at once, so that nothing is left that could call names_error() later. */
static struct pci_access *names_open(const char *ids)
{
	struct pci_access *a = pci_alloc();
	char *path = ids ? strdup(ids) : NULL;

	a->error = names_error;
	a->warning = names_ignore;
	a->debug = names_ignore;
	a->id_lookup_mode = 0; /* not even the cache of what DNS once answered */
	if (path)
		pci_set_name_list_path(a, path, 1);
	if (!setjmp(names_escape))
		pci_load_name_list(a);
	return a;
}

struct identity {
	unsigned vendor, device, class, prog_if, revision;
	unsigned sub_vendor, sub_device;
	bool has_sub;
};

static struct identity identify(const struct pci_view *v)
{
	struct identity id = {
		.vendor = pci_uint(v, 0x00, 2),
		.device = pci_uint(v, 0x02, 2),
		.revision = pci_uint(v, 0x08, 1),
		.prog_if = pci_uint(v, 0x09, 1),
		.class = pci_uint(v, 0x0a, 2),
	};

	if ((pci_uint(v, 0x0e, 1) & 0x7f) == 0) {
		id.sub_vendor = pci_uint(v, 0x2c, 2);
		id.sub_device = pci_uint(v, 0x2e, 2);
		id.has_sub = id.sub_vendor && id.sub_vendor != NO_DEVICE;
	}
	return id;
}

#define NUMBERS PCI_LOOKUP_MIXED      /* the name and the number, or just that */
#define NAME	PCI_LOOKUP_NO_NUMBERS /* the name or NULL */

/* What flags ask for, in buf; libpci wants other arguments for each. */
static const char *lookup(struct pci_access *a, char buf[PCI_IDENTITY_MAX], int flags,
			  const struct identity *id)
{
	flags |= PCI_LOOKUP_NO_HWDB;
	if (flags & (PCI_LOOKUP_CLASS | PCI_LOOKUP_PROGIF))
		return pci_lookup_name(a, buf, PCI_IDENTITY_MAX, flags, id->class,
				       id->prog_if);
	if (flags & PCI_LOOKUP_SUBSYSTEM && !(flags & PCI_LOOKUP_DEVICE))
		return pci_lookup_name(a, buf, PCI_IDENTITY_MAX, flags, id->sub_vendor);
	return pci_lookup_name(a, buf, PCI_IDENTITY_MAX, flags, id->vendor, id->device,
			       id->sub_vendor, id->sub_device);
}

static void identity_text(struct pci_access *a, const struct identity *id, char *buf,
			  size_t cap)
{
	char class[PCI_IDENTITY_MAX], device[PCI_IDENTITY_MAX], rev[16] = "";

	if (id->revision)
		snprintf(rev, sizeof(rev), " (rev %02x)", id->revision);
	snprintf(buf, cap, "%s: %s%s", lookup(a, class, PCI_LOOKUP_CLASS | NUMBERS, id),
		 lookup(a, device, PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | NUMBERS, id),
		 rev);
}

void pci_identity(const struct pci_view *v, char *buf, size_t cap)
{
	struct pci_access *names = names_open(v->ids);
	struct identity id = identify(v);

	identity_text(names, &id, buf, cap);
	pci_cleanup(names);
}

/* ---- Text and JSON --------------------------------------------------------------- */

void pci_say(struct pci_emit *e, const char *fmt, ...)
{
	va_list ap;

	if (!e->out)
		return;
	va_start(ap, fmt);
	vfprintf(e->out, fmt, ap);
	va_end(ap);
	e->separator = "";
}

/* Takes note of a failure; what lacks a parent because of one fails in turn. */
static cJSON *added(struct pci_emit *e, cJSON *item)
{
	if (!item)
		e->failed = true;
	return item;
}

/* The array of that name, made when it is first asked for. */
static cJSON *array_of(struct pci_emit *e, cJSON *object, const char *name)
{
	cJSON *array = cJSON_GetObjectItemCaseSensitive(object, name);

	return array ? array : added(e, cJSON_AddArrayToObject(object, name));
}

static cJSON *append(struct pci_emit *e, cJSON *array, cJSON *item)
{
	if (added(e, item) && !cJSON_AddItemToArray(array, item)) {
		cJSON_Delete(item);
		item = added(e, NULL);
	}
	return item;
}

void pci_json_count(struct pci_emit *e, const char *key, uint64_t value)
{
	if (!e->out)
		added(e, cJSON_AddNumberToObject(e->at, key, (double)value));
}

void pci_json_hex(struct pci_emit *e, const char *key, uint64_t value, int digits)
{
	char text[24];

	if (e->out)
		return;
	snprintf(text, sizeof(text), "0x%0*" PRIx64, digits, value);
	added(e, cJSON_AddStringToObject(e->at, key, text));
}

void pci_json_text(struct pci_emit *e, const char *key, const char *text)
{
	if (e->out)
		return;
	added(e, text ? cJSON_AddStringToObject(e->at, key, text)
		      : cJSON_AddNullToObject(e->at, key));
}

void pci_json_bool(struct pci_emit *e, const char *key, bool value)
{
	if (!e->out)
		added(e, cJSON_AddBoolToObject(e->at, key, value));
}

void pci_json_flag(struct pci_emit *e, const char *array, const char *name, bool set)
{
	cJSON *flags;

	if (e->out)
		return;
	flags = array_of(e, e->at, array);
	if (set)
		append(e, flags, cJSON_CreateString(name));
}

void pci_entry(struct pci_emit *e, const char *array)
{
	if (e->out)
		return;
	e->owner = append(e, array_of(e, e->root, array), cJSON_CreateObject());
	e->at = e->owner;
}

/* What is added from here on belongs to the whole space again. */
static void at_root(struct pci_emit *e)
{
	e->owner = e->root;
	e->at = e->root;
}

void pci_line(struct pci_emit *e, const char *label, const char *key)
{
	if (e->out)
		pci_say(e, "\n%.*s%s", (int)e->indent, "\t\t\t\t", label);
	else
		e->at = added(e, cJSON_AddObjectToObject(e->owner, key));
}

void pci_more(struct pci_emit *e)
{
	pci_say(e, "\n%.*s", (int)e->indent + 1, "\t\t\t\t");
}

/* "MaxPayload " and "BAR=" become max_payload and bar, "width|Width x" width. */
static const char *key_of(char key[KEY_MAX], const char *label)
{
	size_t n = 0;

	for (const char *p = label; *p && *p != '|' && n < KEY_MAX - 2; p++) {
		bool word = isalnum((unsigned char)*p);
		bool hump = p > label && isupper((unsigned char)*p) &&
			    islower((unsigned char)p[-1]);

		if ((hump || !word) && n && key[n - 1] != '_')
			key[n++] = '_';
		if (word)
			key[n++] = (char)tolower((unsigned char)*p);
	}
	while (n && key[n - 1] == '_')
		n--;
	key[n] = '\0';
	return key;
}

/*
 * Items are set apart as lspci does it: flags and what has a "=" by blanks, words by
 * commas, before them and after.
 */
static void item(struct pci_emit *e, const char *label, bool word, const char *value,
		 const char *unit)
{
	const char *shown = strchr(label, '|');

	shown = shown ? shown + 1 : label;
	if (strchr(shown, '='))
		word = false;
	pci_say(e, "%s%s%s%s", word && *e->separator ? ", " : e->separator, shown, value,
		unit);
	e->separator = word ? ", " : " ";
}

void pci_count(struct pci_emit *e, const char *label, uint64_t value, const char *unit)
{
	char buf[KEY_MAX];

	if (!e->out) {
		pci_json_count(e, key_of(buf, label), value);
		return;
	}
	snprintf(buf, sizeof(buf), "%" PRIu64, value);
	item(e, label, true, buf, unit);
}

void pci_hex(struct pci_emit *e, const char *label, uint64_t value, int digits)
{
	char buf[KEY_MAX];

	if (!e->out) {
		pci_json_hex(e, key_of(buf, label), value, digits);
		return;
	}
	snprintf(buf, sizeof(buf), "%0*" PRIx64, digits, value);
	item(e, label, true, buf, "");
}

void pci_name(struct pci_emit *e, const char *label, const char *name)
{
	char key[KEY_MAX];

	if (e->out)
		item(e, label, true, name, "");
	else
		pci_json_text(e, key_of(key, label), name);
}

void pci_flag(struct pci_emit *e, const char *name, bool set)
{
	pci_json_flag(e, "flags", name, set);
	if (e->out)
		item(e, name, false, set ? "+" : "-", "");
}

void pci_flags(struct pci_emit *e, const struct pci_bit *bits, uint32_t value)
{
	for (; bits->name; bits++)
		pci_flag(e, bits->name, value >> bits->bit & 1);
}

void pci_problem(struct pci_emit *e, size_t offset, const char *fmt, ...)
{
	cJSON *at = e->at, *problem;
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (e->out) {
		pci_say(e, "\n%.*s!!! [%02zx] %s", (int)e->indent, "\t\t\t\t", offset,
			text);
		return;
	}
	problem = append(e, array_of(e, e->root, "problems"), cJSON_CreateObject());
	e->at = problem;
	pci_json_hex(e, "offset", offset, 2);
	pci_json_text(e, "message", text);
	e->at = at;
}

/* ---- The header ------------------------------------------------------------------ */

static const struct header_type {
	const char *name;
	unsigned bars;
	unsigned rom; /* where the expansion ROM's base is, 0: nowhere */
} header_types[] = {
	{ "normal", 6, 0x30 },
	{ "PCI-to-PCI bridge", 2, 0x38 },
	{ "CardBus bridge", 1, 0 },
};

static const struct pci_bit control_bits[] = {
	{ "I/O", 0 },	  { "Mem", 1 },	     { "BusMaster", 2 }, { "SpecCycle", 3 },
	{ "MemWINV", 4 }, { "VGASnoop", 5 }, { "ParErr", 6 },	 { "Stepping", 7 },
	{ "SERR", 8 },	  { "FastB2B", 9 },  { "DisINTx", 10 },	 { NULL, 0 },
};

/* lspci shows DEVSEL, which is two bits, between these. */
static const struct pci_bit status_low[] = {
	{ "Cap", 4 },	  { "66MHz", 5 },  { "UDF", 6 },
	{ "FastB2B", 7 }, { "ParErr", 8 }, { NULL, 0 },
};
static const struct pci_bit status_high[] = {
	{ ">TAbort", 11 }, { "<TAbort", 12 }, { "<MAbort", 13 }, { ">SERR", 14 },
	{ "<PERR", 15 },   { "INTx", 3 },     { NULL, 0 },
};

#define CONTROL_IO     1u
#define CONTROL_MEM    2u
#define CONTROL_MASTER 4u

static void control_status(struct pci_emit *e)
{
	static const char *const devsel[] = { "fast", "medium", "slow", "??" };
	uint32_t control = pci_uint(e->v, 0x04, 2), status = pci_uint(e->v, 0x06, 2);

	pci_line(e, "Control: ", "control");
	pci_json_hex(e, "value", control, 4);
	pci_flags(e, control_bits, control);
	pci_line(e, "Status: ", "status");
	pci_json_hex(e, "value", status, 4);
	pci_flags(e, status_low, status);
	pci_name(e, "DEVSEL=", devsel[status >> 9 & 3]);
	pci_flags(e, status_high, status);
}

static void latency(struct pci_emit *e, bool normal)
{
	unsigned timer = pci_uint(e->v, 0x0d, 1), line = pci_uint(e->v, 0x0c, 1);
	unsigned min = pci_uint(e->v, 0x3e, 1), max = pci_uint(e->v, 0x3f, 1);

	if (!(pci_uint(e->v, 0x04, 2) & CONTROL_MASTER) && !timer && !line)
		return;
	pci_line(e, "", "latency");
	pci_count(e, "timer|Latency: ", timer, "");
	/* Given in quarters of a microsecond, for type 0 only. */
	if (normal && (min || max)) {
		pci_say(e, " (%uns min, %uns max)", min * 250, max * 250);
		pci_json_count(e, "min_ns", min * 250);
		pci_json_count(e, "max_ns", max * 250);
	}
	if (line) {
		pci_say(e, ", ");
		pci_count(e, "Cache Line Size: ", line * 4, " bytes");
	}
}

static void bist(struct pci_emit *e)
{
	unsigned value = pci_uint(e->v, 0x0f, 1);

	if (!(value & 0x80))
		return;
	pci_line(e, "BIST", "bist");
	if (value & 0x40)
		pci_say(e, " is running");
	else
		pci_say(e, " result: %02x", value & 0xf);
	pci_json_bool(e, "running", value & 0x40);
	pci_json_count(e, "result", value & 0xf);
}

static void interrupt(struct pci_emit *e)
{
	unsigned line = pci_uint(e->v, 0x3c, 1), pin = pci_uint(e->v, 0x3d, 1);
	char name = pin && pin <= 4 ? (char)('A' + pin - 1) : '?';

	if (!line && !pin)
		return;
	pci_line(e, "Interrupt: ", "interrupt");
	pci_say(e, "pin %c routed to IRQ %u", name, line);
	pci_json_count(e, "line", line);
	pci_json_count(e, "pin", pin);
	if (pin > 4)
		pci_problem(e, 0x3d, "there is no interrupt pin %u", pin);
}

static void subsystem(struct pci_emit *e, const struct identity *id)
{
	char buf[PCI_IDENTITY_MAX];
	int vendor = PCI_LOOKUP_SUBSYSTEM | PCI_LOOKUP_VENDOR;
	int device = PCI_LOOKUP_SUBSYSTEM | PCI_LOOKUP_DEVICE;

	if (!id->has_sub)
		return;
	pci_line(e, "Subsystem: ", "subsystem");
	pci_say(e, "%s", lookup(e->names, buf, vendor | device | NUMBERS, id));
	pci_json_hex(e, "vendor", id->sub_vendor, 4);
	pci_json_text(e, "vendor_name", lookup(e->names, buf, vendor | NAME, id));
	pci_json_hex(e, "device", id->sub_device, 4);
	pci_json_text(e, "device_name", lookup(e->names, buf, device | NAME, id));
}

struct bar {
	unsigned index;
	bool io, prefetchable, upper; /* upper: the next register is its upper half */
	const char *width;
	uint64_t address;
};

static struct bar bar_get(const struct pci_view *v, unsigned index)
{
	static const char *const widths[] = { "32-bit", "low-1M", "64-bit", "type 3" };
	uint32_t reg = pci_uint(v, 0x10 + 4 * index, 4);
	struct bar b = { .index = index, .io = reg & 1 };

	if (b.io) {
		b.address = reg & ~3u;
		return b;
	}
	b.width = widths[reg >> 1 & 3];
	b.prefetchable = reg & 8;
	b.upper = (reg >> 1 & 3) == 2;
	b.address = reg & ~15u;
	if (b.upper)
		b.address |= (uint64_t)pci_uint(v, 0x14 + 4 * index, 4) << 32;
	return b;
}

static void address(struct pci_emit *e, uint64_t value, int digits)
{
	if (value)
		pci_say(e, "%0*" PRIx64, digits, value);
	else
		pci_say(e, "<unassigned>");
	pci_json_hex(e, "address", value, digits);
}

static void region(struct pci_emit *e, bool enabled, bool known, uint64_t size)
{
	char text[PCI_SIZE_MAX];

	if (!enabled)
		pci_say(e, " [disabled]");
	pci_json_bool(e, "enabled", enabled);
	if (!known)
		return;
	if (size)
		pci_say(e, " [size=%s]", pci_size_text(text, size));
	else
		pci_say(e, " [no region]");
	pci_json_hex(e, "size", size, 0);
}

static void bar_show(struct pci_emit *e, const struct bar *b)
{
	bool enabled = pci_uint(e->v, 0x04, 2) & (b->io ? CONTROL_IO : CONTROL_MEM);
	int digits = b->io ? 4 : b->upper ? 16 : 8;

	pci_entry(e, "bars");
	pci_say(e, "\n\tRegion %u: %s at ", b->index, b->io ? "I/O ports" : "Memory");
	pci_json_count(e, "index", b->index);
	pci_json_text(e, "type", b->io ? "io" : "memory");
	address(e, b->address, digits);
	if (!b->io) {
		pci_say(e, " (%s, %sprefetchable)", b->width,
			b->prefetchable ? "" : "non-");
		pci_json_text(e, "width", b->width);
		pci_json_bool(e, "prefetchable", b->prefetchable);
	}
	region(e, enabled, e->v->bar_size_known[b->index], e->v->bar_size[b->index]);
	at_root(e);
}

static void bars(struct pci_emit *e, unsigned n)
{
	const struct pci_view *v = e->v;

	for (unsigned i = 0; i < n; i++) {
		struct bar b = bar_get(v, i);
		size_t at = 0x10 + 4 * i;

		if (!pci_uint(v, at, 4) && !(v->bar_size_known[i] && v->bar_size[i]))
			continue;
		bar_show(e, &b);
		if (!b.upper)
			continue;
		i++;
		if (i == n)
			pci_problem(e, at, "BAR %u is the last and has no upper half",
				    i - 1);
		else if (v->bar_size_known[i] && v->bar_size[i])
			pci_problem(e, at + 4,
				    "BAR %u is the upper half of BAR %u, "
				    "yet there is a region for it",
				    i, i - 1);
	}
}

static void rom(struct pci_emit *e, unsigned offset)
{
	uint32_t reg = pci_uint(e->v, offset, 4);
	bool enabled = reg & 1 && pci_uint(e->v, 0x04, 2) & CONTROL_MEM;

	if (!offset || (!reg && !e->v->rom_size))
		return;
	pci_line(e, "Expansion ROM at ", "rom");
	address(e, reg & ~0x7ffu, 8);
	region(e, enabled, e->v->rom_size, e->v->rom_size);
}

/* ---- The whole ------------------------------------------------------------------- */

static void title(struct pci_emit *e, const struct identity *id)
{
	char text[PCI_IDENTITY_MAX * 3], buf[PCI_IDENTITY_MAX];
	const char *name;

	identity_text(e->names, id, text, sizeof(text));
	pci_say(e, "%s", text);
	pci_json_hex(e, "vendor", id->vendor, 4);
	pci_json_text(e, "vendor_name",
		      lookup(e->names, buf, PCI_LOOKUP_VENDOR | NAME, id));
	pci_json_hex(e, "device", id->device, 4);
	pci_json_text(e, "device_name",
		      lookup(e->names, buf, PCI_LOOKUP_DEVICE | NAME, id));
	pci_json_hex(e, "class", id->class, 4);
	pci_json_text(e, "class_name",
		      lookup(e->names, buf, PCI_LOOKUP_CLASS | NAME, id));
	name = lookup(e->names, buf, PCI_LOOKUP_PROGIF | NAME, id);
	if (name)
		pci_say(e, " (prog-if %02x [%s])", id->prog_if, name);
	else if (id->prog_if)
		pci_say(e, " (prog-if %02x)", id->prog_if);
	pci_json_hex(e, "prog_if", id->prog_if, 2);
	pci_json_text(e, "prog_if_name", name);
	pci_json_hex(e, "revision", id->revision, 2);
}

static void header(struct pci_emit *e, const struct identity *id)
{
	unsigned type = pci_uint(e->v, 0x0e, 1) & 0x7f;
	bool known = type < sizeof(header_types) / sizeof(*header_types);

	pci_json_count(e, "header_type", type);
	pci_json_bool(e, "multifunction", pci_uint(e->v, 0x0e, 1) & 0x80);
	if (id->vendor == NO_DEVICE)
		pci_problem(e, 0x00, "vendor ffff: there is no device");
	subsystem(e, id);
	control_status(e);
	latency(e, type == 0);
	bist(e);
	if (!known) {
		pci_problem(e, 0x0e, "unknown header type %02x: nothing more can be said",
			    type);
		return;
	}
	if (type)
		pci_say(e,
			"\n\tHeader type %02x (%s): "
			"only what it shares with type 00 is shown",
			type, header_types[type].name);
	interrupt(e);
	at_root(e);
	bars(e, header_types[type].bars);
	rom(e, header_types[type].rom);
}

static void decode(struct pci_emit *e)
{
	struct identity id = identify(e->v);

	e->separator = "";
	e->indent = 1;
	at_root(e);
	pci_json_count(e, "length", e->v->len);
	if (e->v->len < HEADER_SIZE) {
		pci_say(e, "PCI config space of %zu bytes", e->v->len);
		pci_problem(e, e->v->len, "cut: the header has %u bytes", HEADER_SIZE);
		pci_bytes(e, 0, e->v->len);
	} else {
		e->names = names_open(e->v->ids);
		title(e, &id);
		header(e, &id);
		pci_caps(e);
		pci_cleanup(e->names);
	}
	pci_say(e, "\n");
}

static struct pci_view clipped(const struct pci_view *v)
{
	struct pci_view c = *v;

	if (c.len > SPACE_SIZE)
		c.len = SPACE_SIZE;
	return c;
}

void pci_print(FILE *out, const struct pci_view *v)
{
	struct pci_view c = clipped(v);
	struct pci_emit e = { .v = &c, .out = out };

	decode(&e);
}

struct cJSON *pci_json(const struct pci_view *v)
{
	struct pci_view c = clipped(v);
	struct pci_emit e = { .v = &c, .root = cJSON_CreateObject() };

	decode(&e);
	array_of(&e, e.root, "bars");
	array_of(&e, e.root, "capabilities");
	array_of(&e, e.root, "problems");
	if (e.failed) {
		cJSON_Delete(e.root);
		return NULL;
	}
	return e.root;
}
