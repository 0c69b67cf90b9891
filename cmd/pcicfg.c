/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of an emulated PCI function, by the PCI Local Bus spec 3.0. */
#include <assert.h>
#include <string.h>

#include "pcicfg.h"

/* I/O stays writable without an I/O BAR, as in most functions; parity is not emulated. */
#define COMMAND_WRITABLE                                                               \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR | \
	 PCI_COMMAND_INTX_DISABLE)
#define STATUS_CLEARING                                                                  \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
	 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |                     \
	 PCI_STATUS_DETECTED_PARITY)

/* Where a capability goes on after its id and its pointer to the next one. */
#define CAP_BODY PCI_CAP_FLAGS

/* Configuration space is little-endian whatever the host is. */
static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)v);
	put16(at + 2, (uint16_t)(v >> 16));
}

static bool power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

void pcicfg_init(struct pcicfg *c, uint32_t size, const struct pcicfg_ids *ids)
{
	assert(size == PCICFG_SIZE || size == PCICFG_EXPRESS_SIZE);
	assert(ids->class_code <= 0xffffff && ids->pin <= 4);
	*c = (struct pcicfg){ .size = size, .link = PCI_CAPABILITY_LIST };

	put16(c->initial + PCI_VENDOR_ID, ids->vendor);
	put16(c->initial + PCI_DEVICE_ID, ids->device);
	put32(c->initial + PCI_CLASS_REVISION, ids->class_code << 8 | ids->revision);
	put16(c->initial + PCI_SUBSYSTEM_VENDOR_ID, ids->subvendor);
	put16(c->initial + PCI_SUBSYSTEM_ID, ids->subdevice);
	c->initial[PCI_INTERRUPT_PIN] = ids->pin;

	put16(c->writable + PCI_COMMAND, COMMAND_WRITABLE);
	put16(c->clearing + PCI_STATUS, STATUS_CLEARING);
	c->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	c->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pcicfg_bar(struct pcicfg *c, unsigned n, uint64_t size, uint32_t flags)
{
	bool io = flags & PCI_BASE_ADDRESS_SPACE_IO;
	bool is64 = !io && (flags & PCI_BASE_ADDRESS_MEM_TYPE_64);
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * n;
	/* The bits below the size stay zero, which is how software learns it. */
	uint64_t mask = ~(size - 1);

	assert(n + is64 < PCI_STD_NUM_BARS);
	assert(power_of_two(size) && size >= (io ? 4 : 16));
	assert(is64 || size <= UINT32_C(1) << 31);
	put32(c->initial + at, flags);
	put32(c->writable + at, (uint32_t)mask);
	if (is64)
		put32(c->writable + at + 4, (uint32_t)(mask >> 32));
}

void pcicfg_rom(struct pcicfg *c, uint32_t size)
{
	assert(power_of_two(size) && size >= 2048);
	put32(c->writable + PCI_ROM_ADDRESS, ~(size - 1) | PCI_ROM_ADDRESS_ENABLE);
}

void pcicfg_cap(struct pcicfg *c, unsigned offset, uint8_t id, const uint8_t *body,
		const uint8_t *writable, size_t len)
{
	unsigned at = offset + CAP_BODY;

	/* Capabilities live in the first 256 bytes even when there are more. */
	assert(offset % 4 == 0 && offset >= PCI_STD_HEADER_SIZEOF);
	assert(at < PCICFG_SIZE && len <= PCICFG_SIZE - at);
	c->initial[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	c->initial[c->link] = (uint8_t)offset;
	c->link = (uint8_t)(offset + PCI_CAP_LIST_NEXT);
	c->initial[offset] = id;
	if (body)
		memcpy(c->initial + at, body, len);
	if (writable)
		memcpy(c->writable + at, writable, len);
}

/* The bits of "multiple message enable" that choosing up to 2^log messages needs. */
static uint16_t msi_choice(unsigned log)
{
	unsigned bits = 0;

	while (bits < log)
		bits = bits << 1 | 1;
	return (uint16_t)(bits << 4); /* PCI_MSI_FLAGS_QSIZE */
}

void pcicfg_msi(struct pcicfg *c, unsigned offset, unsigned vectors, bool is64,
		bool maskable)
{
	uint8_t body[PCI_MSI_PENDING_64 + 4 - CAP_BODY] = { 0 };
	uint8_t writable[sizeof(body)] = { 0 };
	unsigned data = is64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;
	unsigned mask = is64 ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32;
	unsigned end = maskable ? mask + 8 : data + 2; /* mask bits, then pending bits */
	unsigned log = 0;

	assert(power_of_two(vectors) && vectors <= 32);
	while (1u << log < vectors)
		log++;
	/* The names count from the capability's start, body does not. */
	put16(body, (uint16_t)(log << 1 | (is64 ? PCI_MSI_FLAGS_64BIT : 0) |
			       (maskable ? PCI_MSI_FLAGS_MASKBIT : 0)));
	put16(writable, PCI_MSI_FLAGS_ENABLE | msi_choice(log));
	put32(writable + PCI_MSI_ADDRESS_LO - CAP_BODY, ~UINT32_C(3));
	if (is64)
		put32(writable + PCI_MSI_ADDRESS_HI - CAP_BODY, UINT32_MAX);
	put16(writable + data - CAP_BODY, UINT16_MAX);
	if (maskable)
		put32(writable + mask - CAP_BODY, UINT32_MAX >> (32 - vectors));
	pcicfg_cap(c, offset, PCI_CAP_ID_MSI, body, writable, end - CAP_BODY);
	c->msi = (uint8_t)offset;
}

void pcicfg_msix(struct pcicfg *c, unsigned offset, unsigned vectors,
		 struct pcicfg_place table, struct pcicfg_place pending)
{
	uint8_t body[PCI_CAP_MSIX_SIZEOF - CAP_BODY];
	uint8_t writable[sizeof(body)] = { 0 };

	assert(vectors >= 1 && vectors <= 2048);
	assert(table.bar < PCI_STD_NUM_BARS && table.offset % 8 == 0);
	assert(pending.bar < PCI_STD_NUM_BARS && pending.offset % 8 == 0);
	put16(body, (uint16_t)(vectors - 1));
	put32(body + PCI_MSIX_TABLE - CAP_BODY, table.offset | table.bar);
	put32(body + PCI_MSIX_PBA - CAP_BODY, pending.offset | pending.bar);
	put16(writable, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pcicfg_cap(c, offset, PCI_CAP_ID_MSIX, body, writable, sizeof(body));
	c->msix = (uint8_t)offset;
}

void pcicfg_reset(struct pcicfg *c)
{
	memcpy(c->value, c->initial, sizeof(c->value));
}

/* How many of count bytes at offset the space has. */
static size_t inside(const struct pcicfg *c, uint64_t offset, size_t count)
{
	if (offset >= c->size)
		return 0;
	return count < c->size - offset ? count : (size_t)(c->size - offset);
}

void pcicfg_read(const struct pcicfg *c, uint64_t offset, void *buf, size_t count)
{
	size_t n = inside(c, offset, count);
	uint8_t *out = buf;

	if (n)
		memcpy(out, c->value + offset, n);
	if (count > n)
		memset(out + n, 0xff, count - n);
}

void pcicfg_write(struct pcicfg *c, uint64_t offset, const void *buf, size_t count)
{
	size_t n = inside(c, offset, count);
	const uint8_t *in = buf;

	for (size_t i = 0; i < n; i++) {
		size_t at = (size_t)offset + i;
		unsigned lost = c->writable[at] | (in[i] & c->clearing[at]);
		unsigned kept = c->value[at] & ~lost;

		c->value[at] = (uint8_t)(kept | (in[i] & c->writable[at]));
	}
}

uint16_t pcicfg_get16(const struct pcicfg *c, unsigned offset)
{
	return (uint16_t)(c->value[offset] | c->value[offset + 1] << 8);
}

void pcicfg_set_status(struct pcicfg *c, uint16_t bits)
{
	uint16_t status = pcicfg_get16(c, PCI_STATUS);

	put16(c->value + PCI_STATUS, status | (bits & STATUS_CLEARING));
}

bool pcicfg_msi_enabled(const struct pcicfg *c)
{
	return c->msi && (pcicfg_get16(c, c->msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE);
}

bool pcicfg_msix_enabled(const struct pcicfg *c)
{
	return c->msix &&
	       (pcicfg_get16(c, c->msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE);
}

void pcicfg_set_intx(struct pcicfg *c, bool wanted)
{
	if (wanted)
		c->value[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	else
		c->value[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
}

bool pcicfg_intx(const struct pcicfg *c)
{
	return (c->value[PCI_STATUS] & PCI_STATUS_INTERRUPT) &&
	       !(pcicfg_get16(c, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}
