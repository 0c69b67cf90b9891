/* SPDX-License-Identifier: BSD-3-Clause */
/* Decoding a PCI function's config space: as text in the manner of lspci -vv, or as JSON.
 */
#ifndef VFUCTL_PCI_H
#define VFUCTL_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cJSON;
struct pci_access;

#define PCI_BARS	 6u
#define PCI_LINKS	 48u  /* capabilities of a chain; what follows is not looked at */
#define PCI_IDENTITY_MAX 512u /* room for a line of pci_identity() */

/* What is decoded. Every byte and size may be a lie of the peer's; nothing is owned. */
struct pci_view {
	const uint8_t *cfg; /* config space, little-endian as on the bus */
	size_t len;	    /* bytes of it; any length, what is above 4096 is ignored */
	uint64_t bar_size[PCI_BARS]; /* sizes of the regions, of use where known */
	bool bar_size_known[PCI_BARS];
	uint64_t rom_size; /* 0: none or unknown */
	const char *ids;   /* file of names instead of libpci's own; NULL: libpci's */
};

/*
 * Prints the whole space to out, several lines, as far as the bytes go. What is wrong
 * with it stands in lines that begin with "!!!". Without a file of names there are
 * numbers only.
 */
void pci_print(FILE *out, const struct pci_view *v);
/*
 * The same as a JSON object: vendor, device, class, revision, control, status, bars,
 * interrupt, capabilities, problems. Free it with cJSON_Delete(); NULL when memory is
 * out.
 */
struct cJSON *pci_json(const struct pci_view *v);
/* "Ethernet controller [0200]: Vendor Device [1234:5678] (rev 01)", cut to fit buf. */
void pci_identity(const struct pci_view *v, char *buf, size_t cap);

/* ---- The chains of capabilities -------------------------------------------------- */

/* One link of a chain: a capability, or why the chain ends before its time. */
struct pci_link {
	const struct pci_view *v;
	bool extended;	 /* of the chain that begins at 0x100 */
	unsigned offset; /* of the capability; of the pointer if there is a problem */
	unsigned id, version; /* version: extended ones only */
	unsigned next;	      /* where the next one is said to be */
	size_t room;	      /* bytes from offset to the end of the chain's space */
	size_t extent;	      /* bytes to the next capability above it, or room */
	char problem[96];     /* "" for a capability */
};

typedef void pci_link_fn(void *arg, const struct pci_link *l);

/*
 * Calls fn for each capability in the chain's order, the standard chain first. A pointer
 * into the header or out of the space, unaligned, to what was visited already, or to more
 * than PCI_LINKS is not followed: fn gets it as a last link with a problem.
 */
void pci_walk_caps(const struct pci_view *v, pci_link_fn *fn, void *arg);

/* ---- Inside the decoder ---------------------------------------------------------- */

/* 1, 2 or 4 bytes at offset; 0 where they are not all there. */
uint32_t pci_uint(const struct pci_view *v, size_t offset, unsigned width);

/* The same, counted from the capability's first byte. */
static inline uint8_t reg8(const struct pci_link *l, size_t offset)
{
	return (uint8_t)pci_uint(l->v, l->offset + offset, 1);
}

static inline uint16_t reg16(const struct pci_link *l, size_t offset)
{
	return (uint16_t)pci_uint(l->v, l->offset + offset, 2);
}

static inline uint32_t reg32(const struct pci_link *l, size_t offset)
{
	return pci_uint(l->v, l->offset + offset, 4);
}

/*
 * One walk over the decoded values, two faces. Text: a line is its label and then items
 * "label value unit", with the commas and blanks lspci puts between them. JSON: a line is
 * an object, an item a member of it whose name is made of its label: "MaxReadReq "
 * becomes max_read_req. Each function does what its face needs and nothing for the other.
 */
struct pci_emit {
	const struct pci_view *v;
	struct pci_access *names;
	FILE *out;	       /* text if this is not NULL, else JSON */
	const char *separator; /* text: what stands before the next item */
	unsigned indent;       /* text: tabs before a line */
	struct cJSON *root;    /* JSON: what is returned */
	struct cJSON *owner; /* the entry lines are added to: root, or one of an array */
	struct cJSON *at;    /* the line items are added to */
	bool failed;	     /* memory was out */
};

/* Bits that are shown by name, + or -; ends with a row without name. */
struct pci_bit {
	const char *name;
	unsigned bit;
};

/* A capability: min is how many bytes must be there before need and decode are called. */
struct pci_cap_row {
	unsigned id;
	const char *name;
	size_t min;
	size_t (*need)(const struct pci_link *l); /* bytes of this very one; NULL: min */
	void (*decode)(struct pci_emit *e, const struct pci_link *l); /* NULL: hex */
};
extern const struct pci_cap_row pci_extended_caps[]; /* ends with a row without name */
size_t pci_express_need(const struct pci_link *l);
void pci_express(struct pci_emit *e, const struct pci_link *l);
/* Decodes both chains. */
void pci_caps(struct pci_emit *e);

/* Both faces. */
void pci_entry(struct pci_emit *e, const char *array); /* a new member of an array */
void pci_line(struct pci_emit *e, const char *label, const char *key);
void pci_more(struct pci_emit *e); /* the same line goes on below */
void pci_count(struct pci_emit *e, const char *label, uint64_t value, const char *unit);
void pci_hex(struct pci_emit *e, const char *label, uint64_t value, int digits);
void pci_name(struct pci_emit *e, const char *label, const char *name);
void pci_flag(struct pci_emit *e, const char *name, bool set);
void pci_flags(struct pci_emit *e, const struct pci_bit *bits, uint32_t value);
/* Hex: len bytes of the space; those of a capability that says itself how many it has. */
void pci_bytes(struct pci_emit *e, size_t offset, size_t len);
void pci_own_length(struct pci_emit *e, const struct pci_link *l, size_t len,
		    size_t fixed);
void pci_problem(struct pci_emit *e, size_t offset, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Text only: no separator before or after it. */
void pci_say(struct pci_emit *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* JSON only; pci_json_text with NULL is null. */
void pci_json_count(struct pci_emit *e, const char *key, uint64_t value);
void pci_json_hex(struct pci_emit *e, const char *key, uint64_t value, int digits);
void pci_json_text(struct pci_emit *e, const char *key, const char *text);
void pci_json_bool(struct pci_emit *e, const char *key, bool value);
void pci_json_flag(struct pci_emit *e, const char *array, const char *name, bool set);

/* "4K": the largest unit that leaves no rest. Returns buf, which has room for it. */
#define PCI_SIZE_MAX 24u
char *pci_size_text(char buf[PCI_SIZE_MAX], uint64_t size);

#endif
