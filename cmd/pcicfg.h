/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of an emulated PCI function: building it, and accesses to it.
 */
#ifndef PCICFG_H
#define PCICFG_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCICFG_SIZE	    256u  /* conventional PCI */
#define PCICFG_EXPRESS_SIZE 4096u /* PCI Express */

/*
 * Each byte has a value and two masks. A bit in neither is read-only. The device may
 * change value between accesses, and masks and initial, which is the value after a reset,
 * while it builds the space.
 */
struct pcicfg {
	uint32_t size; /* PCICFG_SIZE or PCICFG_EXPRESS_SIZE */
	uint8_t msi;   /* offset of the capability, 0 without one */
	uint8_t msix;  /* the same */
	uint8_t link;  /* the pointer that ends the list of capabilities */
	uint8_t value[PCICFG_EXPRESS_SIZE];
	uint8_t initial[PCICFG_EXPRESS_SIZE];
	uint8_t writable[PCICFG_EXPRESS_SIZE]; /* bits that take what is written */
	uint8_t clearing[PCICFG_EXPRESS_SIZE]; /* bits that a written 1 clears */
};

struct pcicfg_ids {
	uint16_t vendor, device;
	uint16_t subvendor, subdevice;
	uint32_t class_code; /* base class, sub-class, programming interface: 0xBBSSPP */
	uint8_t revision;
	uint8_t pin; /* 1 to 4: INTA to INTD, 0: no INTx */
};

/*
 * Building: init, then the parts there are, then reset. Whatever cannot be (a size that
 * is no power of two, a part that does not fit) is the device's mistake, and asserted.
 */

/* A function with header type 0, no BARs, no capabilities; size as in struct pcicfg. */
void pcicfg_init(struct pcicfg *c, uint32_t size, const struct pcicfg_ids *ids);
/*
 * BAR n. flags are its read-only bits, PCI_BASE_ADDRESS_*: space, type, prefetch. One of
 * type PCI_BASE_ADDRESS_MEM_TYPE_64 takes BAR n + 1, too.
 */
void pcicfg_bar(struct pcicfg *c, unsigned n, uint64_t size, uint32_t flags);
/* The expansion ROM, 2 KiB at least. */
void pcicfg_rom(struct pcicfg *c, uint32_t size);
/*
 * Appends a capability at offset, which is a multiple of 4 from 0x40 on. body and
 * writable are the len bytes after id and next pointer and their mask; NULL for zeroes.
 */
void pcicfg_cap(struct pcicfg *c, unsigned offset, uint8_t id, const uint8_t *body,
		const uint8_t *writable, size_t len);
/* MSI with vectors messages: a power of two, 32 at most; with mask bits if maskable. */
void pcicfg_msi(struct pcicfg *c, unsigned offset, unsigned vectors, bool is64,
		bool maskable);
/* Where a table of MSI-X lies: in which BAR, and at which multiple of 8 in it. */
struct pcicfg_place {
	unsigned bar;
	uint32_t offset;
};
/* MSI-X with 1 to 2048 vectors. */
void pcicfg_msix(struct pcicfg *c, unsigned offset, unsigned vectors,
		 struct pcicfg_place table, struct pcicfg_place pending);
/* Every byte takes its initial value: power-on, and reset. */
void pcicfg_reset(struct pcicfg *c);

/*
 * Accesses of any width at any offset, byte for byte. Beyond the space's end all bits are
 * read as ones, and writes are lost.
 */
void pcicfg_read(const struct pcicfg *c, uint64_t offset, void *buf, size_t count);
void pcicfg_write(struct pcicfg *c, uint64_t offset, const void *buf, size_t count);

uint16_t pcicfg_get16(const struct pcicfg *c, unsigned offset);
/* Sets bits of the status register that software clears, PCI_STATUS_*. */
void pcicfg_set_status(struct pcicfg *c, uint16_t bits);

/* What software has chosen; false without the capability. */
bool pcicfg_msi_enabled(const struct pcicfg *c);
bool pcicfg_msix_enabled(const struct pcicfg *c);

/* Whether the function wants its INTx line asserted, as the status register shows it. */
void pcicfg_set_intx(struct pcicfg *c, bool wanted);
/* Whether the line is asserted: wanted, and not disabled in the command register. */
bool pcicfg_intx(const struct pcicfg *c);

#endif
