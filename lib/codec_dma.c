/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads about the client's memory: DMA_MAP, DMA_UNMAP, DMA_READ, DMA_WRITE. */
#include "error.h"
#include "msgtab.h"

/* ---- DMA_MAP and DMA_UNMAP ------------------------------------------------------- */

static const struct named map_flags[] = {
	{ VUSER_DMA_READABLE, "read" },
	{ VUSER_DMA_WRITABLE, "write" },
	{ VUSER_DMA_MMAP, "mmap" },
	{ VUSER_DMA_FILE_IO, "file-io" },
	{ 0, NULL },
};

static const struct field map_fields[] = {
	FIELD(dma_map.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(dma_map.flags, "flags", 4, VUSER_SHOW_FLAGS, true, map_flags),
	FIELD(dma_map.offset, "offset", 8, VUSER_SHOW_HEX, false, NULL),
	FIELD(dma_map.address, "address", 16, VUSER_SHOW_HEX, true, NULL),
	FIELD(dma_map.size, "size", 24, VUSER_SHOW_HEX, true, NULL),
};

const struct layout layout_dma_map = { map_fields, 5, 32, NULL, NULL };

static const struct named unmap_flags[] = {
	{ VUSER_DMA_UNMAP_DIRTY, "dirty" },
	{ VUSER_DMA_UNMAP_ALL, "all" },
	{ 0, NULL },
};

static const struct field unmap_fields[] = {
	FIELD(dma_unmap.argsz, "argsz", 0, VUSER_SHOW_COUNT, false, NULL),
	FIELD(dma_unmap.flags, "flags", 4, VUSER_SHOW_FLAGS, true, unmap_flags),
	FIELD(dma_unmap.address, "address", 8, VUSER_SHOW_HEX, true, NULL),
	FIELD(dma_unmap.size, "size", 16, VUSER_SHOW_HEX, true, NULL),
};

/* The bitmap some peers ask for: u64 pgsize, u64 size, and in a reply the bits. */
#define BITMAP_HEAD 16u

static int check_unmap(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	bool dirty = p->u.dma_unmap.flags & VUSER_DMA_UNMAP_DIRTY;

	if (p->reply && dirty && p->tail_len >= BITMAP_HEAD)
		return 0;
	return tail_must_be(p, at, dirty ? BITMAP_HEAD : 0, "flags", e);
}

static void walk_unmap(const struct vuser_payload *p, size_t at, vuser_field_fn *fn,
		       void *arg)
{
	struct vuser_field f = { .name = "pgsize",
				 .index = -1,
				 .show = VUSER_SHOW_COUNT };

	tail_field(p, at, 0, 8, f, fn, arg);
	f.name = "bitmap_size";
	tail_field(p, at, 8, 8, f, fn, arg);
	f.name = "bitmap";
	f.show = VUSER_SHOW_BYTES;
	if (p->tail_len > BITMAP_HEAD)
		tail_field(p, at, BITMAP_HEAD, p->tail_len - BITMAP_HEAD, f, fn, arg);
}

static const struct tail unmap_bitmap = { .name = "bitmap",
					  .show = VUSER_SHOW_BYTES,
					  .check = check_unmap,
					  .walk = walk_unmap };

const struct layout layout_dma_unmap_command = { unmap_fields, 4, 24, &unmap_bitmap,
						 NULL };
const struct layout layout_dma_unmap_reply = { unmap_fields, 4, 24, &unmap_bitmap, NULL };

/* ---- DMA_READ and DMA_WRITE ------------------------------------------------------ */

static const struct field dma_fields[] = {
	FIELD(dma.address, "address", 0, VUSER_SHOW_HEX, true, NULL),
	FIELD(dma.count, "count", 8, VUSER_SHOW_COUNT, true, NULL),
};

/* QEMU before 11 has a count of 32 bits, and the data four bytes earlier. */
static const struct field dma_fields_32[] = {
	FIELD(dma.address, "address", 0, VUSER_SHOW_HEX, true, NULL),
	{ .name = "count",
	  .offset = 8,
	  .width = 4,
	  .stored = 8,
	  .show = VUSER_SHOW_COUNT,
	  .key = true,
	  .member = offsetof(struct vuser_payload, u.dma.count) },
};

static int check_dma(const struct vuser_payload *p, size_t at, struct vuser_error *e)
{
	return tail_must_be(p, at, p->u.dma.count, "count", e);
}

static const struct tail dma_bytes = { .name = "data",
				       .show = VUSER_SHOW_BYTES,
				       .check = check_dma };

static const struct layout dma_access_32 = { dma_fields_32, 2, 12, NULL, NULL };
static const struct layout dma_data_32 = { dma_fields_32, 2, 12, &dma_bytes, NULL };
/* A DMA_WRITE reply may be the header alone. */
static const struct layout dma_done_none = { NULL, 0, 0, NULL, NULL };
static const struct layout dma_done_32 = { dma_fields_32, 2, 12, NULL, &dma_done_none };

const struct layout layout_dma_access = { dma_fields, 2, 16, NULL, &dma_access_32 };
const struct layout layout_dma_data = { dma_fields, 2, 16, &dma_bytes, &dma_data_32 };
const struct layout layout_dma_done = { dma_fields, 2, 16, NULL, &dma_done_32 };
