/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/msgtab.c, codec_*.c and fieldtext.c: the payloads, both ways, and their
 * fields. */
#include "msgtab.h"
#include "traffic.h"

#define LARGEST 256

/* A payload that is right, and what else would be. */
struct row {
	const char *what;
	unsigned command;
	bool reply;
	const char *fields; /* of the fixed part: "name:width ..." */
	const char *hex;
	struct vuser_payload want; /* the members of u */
	size_t tail;		   /* bytes behind the fixed part */
	const char *judge; /* the field that a tail of another length offends; "size" if
			      none */
	size_t open;	   /* from this length on any length is right, 0 for none */
	size_t also[3]; /* other lengths at which the same bytes are right, ends with 0 */
	bool or_nothing; /* no bytes at all are right, too */
};

static const struct row good[] = {
	{ .what = "VERSION command: 0.2, \"{}\" and its NUL",
	  .command = VUSER_CMD_VERSION,
	  .fields = "major:2 minor:2",
	  .hex = "0000 0200 7b7d00",
	  .want.u.version = { 0, 2 },
	  .tail = 3,
	  .open = 4 },
	{ .what = "VERSION reply: 0.1 without text",
	  .command = VUSER_CMD_VERSION,
	  .reply = true,
	  .fields = "major:2 minor:2",
	  .hex = "0000 0100",
	  .want.u.version = { 0, 1 },
	  .open = 4 },
	{ .what = "DMA_MAP command: 2 MiB at 2 GiB, from 4096 of the fd",
	  .command = VUSER_CMD_DMA_MAP,
	  .fields = "argsz:4 flags:4 offset:8 address:8 size:8",
	  .hex = "20000000 03000000 0010000000000000 0000008000000000 0000200000000000",
	  .want.u.dma_map = { 32, 3, 0x1000, 0x80000000, 0x200000 },
	  .judge = "size" },
	{ .what = "DMA_MAP reply",
	  .command = VUSER_CMD_DMA_MAP,
	  .reply = true,
	  .fields = "",
	  .hex = "",
	  .judge = "size" },
	{ .what = "DMA_UNMAP command of that window",
	  .command = VUSER_CMD_DMA_UNMAP,
	  .fields = "argsz:4 flags:4 address:8 size:8",
	  .hex = "18000000 00000000 0000008000000000 0000200000000000",
	  .want.u.dma_unmap = { 24, 0, 0x80000000, 0x200000 },
	  .judge = "flags" },
	{ .what = "DMA_UNMAP command of all",
	  .command = VUSER_CMD_DMA_UNMAP,
	  .fields = "argsz:4 flags:4 address:8 size:8",
	  .hex = "18000000 02000000 0000000000000000 0000000000000000",
	  .want.u.dma_unmap = { 24, 2, 0, 0 },
	  .judge = "flags" },
	{ .what = "DMA_UNMAP command that asks for a bitmap: pgsize 4096, 8 bytes",
	  .command = VUSER_CMD_DMA_UNMAP,
	  .fields = "argsz:4 flags:4 address:8 size:8",
	  .hex = "30000000 01000000 0000008000000000 0000040000000000"
		 "0010000000000000 0800000000000000",
	  .want.u.dma_unmap = { 48, 1, 0x80000000, 0x40000 },
	  .tail = 16,
	  .judge = "flags" },
	{ .what = "DMA_UNMAP reply",
	  .command = VUSER_CMD_DMA_UNMAP,
	  .reply = true,
	  .fields = "argsz:4 flags:4 address:8 size:8",
	  .hex = "18000000 00000000 0000008000000000 0000200000000000",
	  .want.u.dma_unmap = { 24, 0, 0x80000000, 0x200000 },
	  .judge = "flags" },
	{ .what = "DMA_UNMAP reply with a bitmap",
	  .command = VUSER_CMD_DMA_UNMAP,
	  .reply = true,
	  .fields = "argsz:4 flags:4 address:8 size:8",
	  .hex = "30000000 01000000 0000008000000000 0000040000000000"
		 "0010000000000000 0800000000000000 ffffffffffffffff",
	  .want.u.dma_unmap = { 48, 1, 0x80000000, 0x40000 },
	  .tail = 24,
	  .judge = "flags",
	  .open = 40 },
	{ .what = "DEVICE_GET_INFO command",
	  .command = VUSER_CMD_DEVICE_GET_INFO,
	  .fields = "argsz:4 flags:4 num_regions:4 num_irqs:4",
	  .hex = "10000000 00000000 00000000 00000000",
	  .want.u.device_info = { 16, 0, 0, 0 },
	  .judge = "size" },
	{ .what = "DEVICE_GET_INFO reply: PCI, can be reset",
	  .command = VUSER_CMD_DEVICE_GET_INFO,
	  .reply = true,
	  .fields = "argsz:4 flags:4 num_regions:4 num_irqs:4",
	  .hex = "10000000 03000000 09000000 05000000",
	  .want.u.device_info = { 16, 3, 9, 5 },
	  .judge = "size" },
	{ .what = "DEVICE_GET_REGION_INFO command with room for 4 bytes more",
	  .command = VUSER_CMD_DEVICE_GET_REGION_INFO,
	  .fields = "argsz:4 flags:4 index:4 cap_offset:4 size:8 offset:8",
	  .hex = "24000000 00000000 07000000 00000000 0000000000000000 0000000000000000"
		 "00000000",
	  .want.u.region_info = { 36, 0, 7, 0, 0, 0 },
	  .tail = 4,
	  .open = 32 },
	{ .what = "DEVICE_GET_REGION_INFO reply: BAR2, sparse area 0x2000 at 0x1000",
	  .command = VUSER_CMD_DEVICE_GET_REGION_INFO,
	  .reply = true,
	  .fields = "argsz:4 flags:4 index:4 cap_offset:4 size:8 offset:8",
	  .hex = "40000000 0f000000 02000000 20000000 0000010000000000 0000020000000000"
		 "0100 0100 00000000 01000000 00000000 0010000000000000 0020000000000000",
	  .want.u.region_info = { 64, 15, 2, 32, 0x10000, 0x20000 },
	  .tail = 32,
	  .open = 32 },
	{ .what = "DEVICE_GET_REGION_IO_FDS command",
	  .command = VUSER_CMD_DEVICE_GET_REGION_IO_FDS,
	  .fields = "argsz:4 flags:4 index:4 count:4",
	  .hex = "60000000 00000000 00000000 00000000",
	  .want.u.region_io_fds = { 96, 0, 0, 0 },
	  .judge = "size" },
	{ .what = "DEVICE_GET_REGION_IO_FDS reply: two ioeventfds on one fd",
	  .command = VUSER_CMD_DEVICE_GET_REGION_IO_FDS,
	  .reply = true,
	  .fields = "argsz:4 flags:4 index:4 count:4",
	  .hex = "60000000 00000000 00000000 02000000"
		 "0010000000000000 0400000000000000 00000000 00000000 01000000 00000000"
		 "2a00000000000000"
		 "0410000000000000 0400000000000000 00000000 00000000 00000000 00000000"
		 "0000000000000000",
	  .want.u.region_io_fds = { 96, 0, 0, 2 },
	  .tail = 80,
	  .judge = "count",
	  .also = { 16 } },
	{ .what = "DEVICE_GET_REGION_IO_FDS reply: one entry of 48 bytes, with a shadow",
	  .command = VUSER_CMD_DEVICE_GET_REGION_IO_FDS,
	  .reply = true,
	  .fields = "argsz:4 flags:4 index:4 count:4",
	  .hex = "40000000 00000000 00000000 01000000"
		 "0010000000000000 0400000000000000 00000000 02000000 00000000 01000000"
		 "0008000000000000 2a00000000000000",
	  .want.u.region_io_fds = { 64, 0, 0, 1 },
	  .tail = 48,
	  .judge = "count",
	  .also = { 16, 56 } },
	{ .what = "DEVICE_GET_IRQ_INFO command: MSI-X",
	  .command = VUSER_CMD_DEVICE_GET_IRQ_INFO,
	  .fields = "argsz:4 flags:4 index:4 count:4",
	  .hex = "10000000 00000000 02000000 00000000",
	  .want.u.irq_info = { 16, 0, 2, 0 },
	  .judge = "size" },
	{ .what = "DEVICE_GET_IRQ_INFO reply: 32 vectors",
	  .command = VUSER_CMD_DEVICE_GET_IRQ_INFO,
	  .reply = true,
	  .fields = "argsz:4 flags:4 index:4 count:4",
	  .hex = "10000000 09000000 02000000 20000000",
	  .want.u.irq_info = { 16, 9, 2, 32 },
	  .judge = "size" },
	{ .what = "DEVICE_SET_IRQS command: eventfds for vectors 2 to 5",
	  .command = VUSER_CMD_DEVICE_SET_IRQS,
	  .fields = "argsz:4 flags:4 index:4 start:4 count:4",
	  .hex = "14000000 24000000 02000000 02000000 04000000",
	  .want.u.irq_set = { 20, 0x24, 2, 2, 4 },
	  .judge = "count" },
	{ .what = "DEVICE_SET_IRQS command: trigger vectors 0 and 2 of three",
	  .command = VUSER_CMD_DEVICE_SET_IRQS,
	  .fields = "argsz:4 flags:4 index:4 start:4 count:4",
	  .hex = "17000000 22000000 01000000 00000000 03000000 010001",
	  .want.u.irq_set = { 23, 0x22, 1, 0, 3 },
	  .tail = 3,
	  .judge = "count" },
	{ .what = "DEVICE_SET_IRQS reply",
	  .command = VUSER_CMD_DEVICE_SET_IRQS,
	  .reply = true,
	  .fields = "",
	  .hex = "",
	  .judge = "size" },
	{ .what = "REGION_READ command: 4 bytes at 4 of the config space",
	  .command = VUSER_CMD_REGION_READ,
	  .fields = "offset:8 region:4 count:4",
	  .hex = "0400000000000000 07000000 04000000",
	  .want.u.access = { 4, 7, 4 },
	  .judge = "size" },
	{ .what = "REGION_READ reply",
	  .command = VUSER_CMD_REGION_READ,
	  .reply = true,
	  .fields = "offset:8 region:4 count:4",
	  .hex = "0400000000000000 07000000 04000000 11223344",
	  .want.u.access = { 4, 7, 4 },
	  .tail = 4,
	  .judge = "count" },
	{ .what = "REGION_READ reply of nothing",
	  .command = VUSER_CMD_REGION_READ,
	  .reply = true,
	  .fields = "offset:8 region:4 count:4",
	  .hex = "0400000000000000 07000000 00000000",
	  .want.u.access = { 4, 7, 0 },
	  .judge = "count" },
	{ .what = "REGION_WRITE command: one byte beyond 4 GiB of BAR4",
	  .command = VUSER_CMD_REGION_WRITE,
	  .fields = "offset:8 region:4 count:4",
	  .hex = "0000000001000000 04000000 01000000 5a",
	  .want.u.access = { 0x100000000, 4, 1 },
	  .tail = 1,
	  .judge = "count" },
	{ .what = "REGION_WRITE reply",
	  .command = VUSER_CMD_REGION_WRITE,
	  .reply = true,
	  .fields = "offset:8 region:4 count:4",
	  .hex = "0000000001000000 04000000 01000000",
	  .want.u.access = { 0x100000000, 4, 1 },
	  .judge = "size" },
	{ .what = "DMA_READ command; without its last 4 bytes it has a count of 32 bits",
	  .command = VUSER_CMD_DMA_READ,
	  .fields = "address:8 count:8",
	  .hex = "0000008000000000 0010000000000000",
	  .want.u.dma = { 0x80000000, 0x1000 },
	  .judge = "size",
	  .also = { 12 } },
	{ .what = "DMA_READ reply; the same is true of it",
	  .command = VUSER_CMD_DMA_READ,
	  .reply = true,
	  .fields = "address:8 count:8",
	  .hex = "0000008000000000 0600000000000000 112233445566",
	  .want.u.dma = { 0x80000000, 6 },
	  .tail = 6,
	  .judge = "count",
	  .also = { 18 } },
	{ .what = "DMA_WRITE command; and of this",
	  .command = VUSER_CMD_DMA_WRITE,
	  .fields = "address:8 count:8",
	  .hex = "0000008000000000 0100000000000000 5a",
	  .want.u.dma = { 0x80000000, 1 },
	  .tail = 1,
	  .judge = "count",
	  .also = { 13 } },
	{ .what = "DMA_WRITE reply; it may be empty, too",
	  .command = VUSER_CMD_DMA_WRITE,
	  .reply = true,
	  .fields = "address:8 count:8",
	  .hex = "0000008000000000 0100000000000000",
	  .want.u.dma = { 0x80000000, 1 },
	  .judge = "size",
	  .also = { 12 },
	  .or_nothing = true },
	{ .what = "DEVICE_RESET command",
	  .command = VUSER_CMD_DEVICE_RESET,
	  .fields = "",
	  .hex = "",
	  .judge = "size" },
	{ .what = "DEVICE_RESET reply",
	  .command = VUSER_CMD_DEVICE_RESET,
	  .reply = true,
	  .fields = "",
	  .hex = "",
	  .judge = "size" },
	{ .what = "REGION_WRITE_MULTI command: 4 bytes, then 8",
	  .command = VUSER_CMD_REGION_WRITE_MULTI,
	  .fields = "wr_cnt:8",
	  .hex = "0200000000000000"
		 "1000000000000000 00000000 04000000 1122334400000000"
		 "2000000000000000 02000000 08000000 0102030405060708",
	  .want.u.multi = { 2 },
	  .tail = 48,
	  .judge = "wr_cnt" },
	{ .what = "REGION_WRITE_MULTI command without a write",
	  .command = VUSER_CMD_REGION_WRITE_MULTI,
	  .fields = "wr_cnt:8",
	  .hex = "0000000000000000",
	  .want.u.multi = { 0 },
	  .judge = "wr_cnt" },
	{ .what = "REGION_WRITE_MULTI reply",
	  .command = VUSER_CMD_REGION_WRITE_MULTI,
	  .reply = true,
	  .fields = "wr_cnt:8",
	  .hex = "0200000000000000",
	  .want.u.multi = { 2 },
	  .judge = "size" },
	{ .what = "DEVICE_FEATURE command: set the device state to running",
	  .command = VUSER_CMD_DEVICE_FEATURE,
	  .fields = "argsz:4 flags:4",
	  .hex = "10000000 02000200 02000000 00000000",
	  .want.u.feature = { 16, 0x20002 },
	  .tail = 8,
	  .open = 8 },
	{ .what = "DEVICE_FEATURE reply: migration by stop-copy",
	  .command = VUSER_CMD_DEVICE_FEATURE,
	  .reply = true,
	  .fields = "argsz:4 flags:4",
	  .hex = "10000000 01000100 0100000000000000",
	  .want.u.feature = { 16, 0x10001 },
	  .tail = 8,
	  .open = 8 },
	{ .what = "MIG_DATA_READ command",
	  .command = VUSER_CMD_MIG_DATA_READ,
	  .fields = "argsz:4 size:4",
	  .hex = "08100000 00100000",
	  .want.u.mig = { 4104, 4096 },
	  .judge = "size" },
	{ .what = "MIG_DATA_READ reply",
	  .command = VUSER_CMD_MIG_DATA_READ,
	  .reply = true,
	  .fields = "argsz:4 size:4",
	  .hex = "0b000000 03000000 aabbcc",
	  .want.u.mig = { 11, 3 },
	  .tail = 3,
	  .judge = "size" },
	{ .what = "MIG_DATA_WRITE command",
	  .command = VUSER_CMD_MIG_DATA_WRITE,
	  .fields = "argsz:4 size:4",
	  .hex = "0b000000 03000000 aabbcc",
	  .want.u.mig = { 11, 3 },
	  .tail = 3,
	  .judge = "size" },
	{ .what = "MIG_DATA_WRITE reply",
	  .command = VUSER_CMD_MIG_DATA_WRITE,
	  .reply = true,
	  .fields = "",
	  .hex = "",
	  .judge = "size" },
};

/* Decodes in memory that ends with the bytes, and checks what holds of any failure. */
static int decode(unsigned command, bool reply, struct bytes b, struct vuser_payload *p,
		  struct vuser_error *e)
{
	int r;

	memset(e, 0xa5, sizeof(*e));
	memset(p, 0xa5, sizeof(*p));
	r = vuser_payload_decode(command, reply, b.p, b.len, p, e);
	if (!r) {
		assert_int_equal(p->command, command);
		assert_int_equal(p->reply, reply);
		assert_true(p->tail_len <= b.len);
		if (p->tail_len)
			assert_ptr_equal(p->tail + p->tail_len, b.p + b.len);
		return 0;
	}
	assert_int_equal(r, VUSER_E_PROTOCOL);
	assert_int_equal(e->code, VUSER_E_PROTOCOL);
	assert_int_equal(e->err, 0);
	assert_true(e->text[0] && e->field[0]);
	assert_printable(e->text);
	assert_printable(e->field);
	if (message_find(command))
		assert_in_range(e->offset, VUSER_HEADER_SIZE, VUSER_HEADER_SIZE + b.len);
	return r;
}

static bool right_length(const struct row *row, size_t len, size_t whole)
{
	if (len == whole || (row->open && len >= row->open) || (row->or_nothing && !len))
		return true;
	for (size_t i = 0; row->also[i]; i++)
		if (row->also[i] == len)
			return true;
	return false;
}

/* The first field of the fixed part that does not end within len bytes, "" if all do. */
static const char *field_at(const struct row *row, size_t len)
{
	static char name[40];
	const char *s = row->fields;
	size_t end = 0;
	unsigned width;
	int used;

	while (sscanf(s, " %39[a-z_]:%u%n", name, &width, &used) == 2) {
		end += width;
		if (end > len)
			return name;
		s += used;
	}
	return "";
}

static void assert_refused_at(const struct row *row, size_t len, size_t fixed,
			      const struct vuser_error *e)
{
	const char *missing = field_at(row, len);
	const char *field = missing[0] ? missing : row->judge;
	size_t offset = VUSER_HEADER_SIZE + (len < fixed ? len : fixed);

	if (e->offset != offset || strcmp(e->field, field) != 0)
		fail_msg("%s: %zu bytes: refused at %zu (%s), not at %zu (%s): %s",
			 row->what, len, e->offset, e->field, offset, field, e->text);
}

/* ---- Decoding --------------------------------------------------------------------- */

static void every_payload_is_read(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct row *row = &good[i];
		struct bytes b = bytes_hex(row->hex);

		if (decode(row->command, row->reply, b, &p, &e))
			fail_msg("%s: %s", row->what, e.text);
		if (memcmp(&p.u, &row->want.u, sizeof(p.u)) != 0)
			fail_msg("%s: the members are not what they should be",
				 row->what);
		if (p.tail_len != row->tail)
			fail_msg("%s: the tail has %zu bytes", row->what, p.tail_len);
		assert_int_equal(vuser_payload_decode(row->command, row->reply, b.p,
						      b.len, &p, NULL),
				 0);
		bytes_free(b);
	}
}

static void every_command_both_ways_is_in_the_table_of_good_payloads(void **state)
{
	(void)state;
	for (unsigned command = 0; command < VUSER_CMD_LIMIT; command++) {
		unsigned seen = 0;

		for (size_t i = 0; i < ARRAY_SIZE(good); i++)
			if (good[i].command == command)
				seen |= 1u << good[i].reply;
		assert_int_equal(seen, vuser_command_name(command) ? 3 : 0);
	}
}

static void every_cut_is_refused_where_the_bytes_end(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct row *row = &good[i];
		struct bytes whole = bytes_hex(row->hex);

		for (size_t len = 0; len < whole.len; len++) {
			struct bytes b = bytes_copy(whole.p, len);
			int r = decode(row->command, row->reply, b, &p, &e);

			if (!r != right_length(row, len, whole.len))
				fail_msg("%s: %zu bytes are %s", row->what, len,
					 r ? e.text : "taken");
			if (r)
				assert_refused_at(row, len, whole.len - row->tail, &e);
			bytes_free(b);
		}
		bytes_free(whole);
	}
}

static void one_byte_too_many_is_refused_behind_the_fixed_part(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct row *row = &good[i];
		struct bytes whole = bytes_hex(row->hex), b = bytes_room(whole.len + 1);

		memcpy(b.p, whole.p, whole.len);
		b.p[whole.len] = 0;
		if (row->open) {
			assert_int_equal(decode(row->command, row->reply, b, &p, &e), 0);
			assert_int_equal(p.tail_len, row->tail + 1);
		} else if (!decode(row->command, row->reply, b, &p, &e)) {
			fail_msg("%s: a byte more is taken", row->what);
		} else {
			assert_refused_at(row, b.len, whole.len - row->tail, &e);
		}
		bytes_free(whole);
		bytes_free(b);
	}
}

/* Numbers that would be believed only by who does not count the bytes. */
static const struct {
	const char *what;
	unsigned command;
	bool reply;
	const char *hex;
	size_t offset;
	const char *field;
} lies[] = {
	{ "count is 2^32-1", VUSER_CMD_REGION_READ, true,
	  "0400000000000000 07000000 ffffffff 11223344", 32, "count" },
	{ "count is 0", VUSER_CMD_REGION_READ, true,
	  "0400000000000000 07000000 00000000 11223344", 32, "count" },
	{ "count is 2^32-1", VUSER_CMD_REGION_WRITE, false,
	  "0400000000000000 07000000 ffffffff 11223344", 32, "count" },
	{ "count is 2^64-1", VUSER_CMD_DMA_READ, true,
	  "0000008000000000 ffffffffffffffff 11223344", 32, "count" },
	{ "count is 2^64-1 and no data", VUSER_CMD_DMA_READ, true,
	  "0000008000000000 ffffffffffffffff", 32, "count" },
	{ "count is 2^64-16: with the fixed part, 0", VUSER_CMD_DMA_WRITE, false,
	  "0000008000000000 f0ffffffffffffff", 32, "count" },
	{ "count of 32 bits is 2^32-1", VUSER_CMD_DMA_WRITE, false,
	  "0000008000000000 ffffffff 1122", 30, "count" },
	{ "wr_cnt is 2^64-1", VUSER_CMD_REGION_WRITE_MULTI, false,
	  "ffffffffffffffff 1000000000000000 00000000 04000000 1122334400000000", 24,
	  "wr_cnt" },
	{ "wr_cnt is 2^61: times 24, 0", VUSER_CMD_REGION_WRITE_MULTI, false,
	  "0000000000000020", 24, "wr_cnt" },
	{ "wr_cnt is 2^61+1: times 24, 24", VUSER_CMD_REGION_WRITE_MULTI, false,
	  "0100000000000020 1000000000000000 00000000 04000000 1122334400000000", 24,
	  "wr_cnt" },
	{ "wr_cnt is 0", VUSER_CMD_REGION_WRITE_MULTI, false,
	  "0000000000000000 1000000000000000 00000000 04000000 1122334400000000", 24,
	  "wr_cnt" },
	{ "the first write has 9 bytes", VUSER_CMD_REGION_WRITE_MULTI, false,
	  "0100000000000000 1000000000000000 00000000 09000000 1122334400000000", 36,
	  "count" },
	{ "the second write has 2^32-1 bytes", VUSER_CMD_REGION_WRITE_MULTI, false,
	  "0200000000000000 1000000000000000 00000000 08000000 1122334400000000"
	  "1000000000000000 00000000 ffffffff 1122334400000000",
	  60, "count" },
	{ "count is 2^32-1", VUSER_CMD_DEVICE_GET_REGION_IO_FDS, true,
	  "38000000 00000000 00000000 ffffffff"
	  "0010000000000000 0400000000000000 00000000 00000000 01000000 00000000"
	  "2a00000000000000",
	  32, "count" },
	{ "count is 0", VUSER_CMD_DEVICE_GET_REGION_IO_FDS, true,
	  "38000000 00000000 00000000 00000000"
	  "0010000000000000 0400000000000000 00000000 00000000 01000000 00000000"
	  "2a00000000000000",
	  32, "count" },
	{ "count is 2: entries of 20", VUSER_CMD_DEVICE_GET_REGION_IO_FDS, true,
	  "38000000 00000000 00000000 02000000"
	  "0010000000000000 0400000000000000 00000000 00000000 01000000 00000000"
	  "2a00000000000000",
	  32, "count" },
	{ "count is 40: entries of 1", VUSER_CMD_DEVICE_GET_REGION_IO_FDS, true,
	  "38000000 00000000 00000000 28000000"
	  "0010000000000000 0400000000000000 00000000 00000000 01000000 00000000"
	  "2a00000000000000",
	  32, "count" },
	{ "2^32-1 bools", VUSER_CMD_DEVICE_SET_IRQS, false,
	  "18000000 22000000 00000000 00000000 ffffffff 01010101", 36, "count" },
	{ "no bool", VUSER_CMD_DEVICE_SET_IRQS, false,
	  "15000000 22000000 00000000 00000000 00000000 01", 36, "count" },
	{ "eventfds as data", VUSER_CMD_DEVICE_SET_IRQS, false,
	  "18000000 24000000 00000000 00000000 01000000 05000000", 36, "count" },
	{ "size is 2^32-1", VUSER_CMD_MIG_DATA_READ, true, "08000000 ffffffff aabb", 24,
	  "size" },
	{ "size is 2^32-8: with the fixed part, 0", VUSER_CMD_MIG_DATA_WRITE, false,
	  "08000000 f8ffffff", 24, "size" },
	{ "a bitmap is asked for and none described", VUSER_CMD_DMA_UNMAP, false,
	  "18000000 01000000 0000000000000000 0010000000000000", 40, "flags" },
	{ "a bitmap is described and none asked for", VUSER_CMD_DMA_UNMAP, false,
	  "28000000 00000000 0000000000000000 0010000000000000"
	  "0010000000000000 0800000000000000",
	  40, "flags" },
	{ "a bitmap nobody asked for", VUSER_CMD_DMA_UNMAP, true,
	  "30000000 00000000 0000000000000000 0010000000000000"
	  "0010000000000000 0800000000000000 0000000000000000",
	  40, "flags" },
};

static void a_count_that_lies_is_refused(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct bytes b = bytes_hex(lies[i].hex);

		if (!decode(lies[i].command, lies[i].reply, b, &p, &e))
			fail_msg("%s: taken", lies[i].what);
		if (strcmp(e.field, lies[i].field) != 0 || e.offset != lies[i].offset)
			fail_msg("%s: refused at %zu (%s): %s", lies[i].what, e.offset,
				 e.field, e.text);
		bytes_free(b);
	}
}

static void the_refusal_says_what_is_there_and_what_was_asked_for(void **state)
{
	static const struct {
		unsigned command;
		bool reply;
		const char *hex, *text;
	} rows[] = {
		{ VUSER_CMD_REGION_READ, false, "0400000000000000 0700",
		  "the message ends before region" },
		{ VUSER_CMD_DEVICE_RESET, true, "00",
		  "1 bytes follow the 0 of the payload" },
		{ VUSER_CMD_REGION_READ, true, "0400000000000000 07000000 ffffffff 1122",
		  "2 bytes of data follow where count asks for 4294967295" },
		{ VUSER_CMD_DMA_READ, true, "0000008000000000 ffffffffffffffff 1122",
		  "2 bytes of data follow where count asks for 18446744073709551615" },
		{ VUSER_CMD_REGION_WRITE_MULTI, false, "0100000000000000 1122",
		  "2 bytes follow for 1 writes of 24 bytes" },
		{ VUSER_CMD_REGION_WRITE_MULTI, false,
		  "0100000000000000 1000000000000000 00000000 09000000 1122334400000000",
		  "write 0 has 9 bytes, above the 8 there is room for" },
		{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, true,
		  "38000000 00000000 00000000 02000000 11",
		  "1 bytes follow for 2 entries of 40 or 48 bytes" },
	};
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b = bytes_hex(rows[i].hex);

		assert_int_equal(decode(rows[i].command, rows[i].reply, b, &p, &e),
				 VUSER_E_PROTOCOL);
		assert_string_equal(e.text, rows[i].text);
		bytes_free(b);
	}
}

/* What QEMU before 11 sends and takes, and what it means. */
static const struct {
	unsigned command;
	bool reply;
	const char *hex, *tail;
	struct vuser_dma_access want;
	const char *by_the_text;
} old_forms[] = {
	{ VUSER_CMD_DMA_READ,
	  false,
	  "0000008000000000 00100000",
	  "",
	  { 0x80000000, 4096 },
	  "0000008000000000 0010000000000000" },
	{ VUSER_CMD_DMA_READ,
	  true,
	  "0000008000000000 02000000 1122",
	  "1122",
	  { 0x80000000, 2 },
	  "0000008000000000 0200000000000000 1122" },
	/* As long as the fixed part of the other form. */
	{ VUSER_CMD_DMA_READ,
	  true,
	  "0000008000000000 04000000 11223344",
	  "11223344",
	  { 0x80000000, 4 },
	  "0000008000000000 0400000000000000 11223344" },
	{ VUSER_CMD_DMA_READ,
	  true,
	  "0000008000000000 04000000 00000000",
	  "00000000",
	  { 0x80000000, 4 },
	  "0000008000000000 0400000000000000 00000000" },
	{ VUSER_CMD_DMA_WRITE,
	  false,
	  "0000008000000000 05000000 1122334455",
	  "1122334455",
	  { 0x80000000, 5 },
	  "0000008000000000 0500000000000000 1122334455" },
	{ VUSER_CMD_DMA_WRITE,
	  false,
	  "0000008000000000 00000000",
	  "",
	  { 0x80000000, 0 },
	  "0000008000000000 0000000000000000" },
	{ VUSER_CMD_DMA_WRITE,
	  true,
	  "0000008000000000 05000000",
	  "",
	  { 0x80000000, 5 },
	  "0000008000000000 0500000000000000" },
	{ VUSER_CMD_DMA_WRITE,
	  true,
	  "",
	  "",
	  { 0, 0 },
	  "0000000000000000 0000000000000000" },
};

static void dma_messages_with_a_count_of_32_bits_are_read(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(old_forms); i++) {
		struct bytes b = bytes_hex(old_forms[i].hex);
		struct bytes tail = bytes_hex(old_forms[i].tail);

		assert_int_equal(
			decode(old_forms[i].command, old_forms[i].reply, b, &p, &e), 0);
		assert_int_equal(p.u.dma.address, old_forms[i].want.address);
		assert_int_equal(p.u.dma.count, old_forms[i].want.count);
		assert_int_equal(p.tail_len, tail.len);
		if (tail.len)
			assert_memory_equal(p.tail, tail.p, tail.len);
		bytes_free(b);
		bytes_free(tail);
	}
}

static void dma_messages_are_written_with_a_count_of_64_bits(void **state)
{
	uint8_t buf[LARGEST];
	struct vuser_payload p;
	struct vuser_error e;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(old_forms); i++) {
		struct bytes b = bytes_hex(old_forms[i].hex);
		struct bytes want = bytes_hex(old_forms[i].by_the_text);

		assert_int_equal(
			decode(old_forms[i].command, old_forms[i].reply, b, &p, &e), 0);
		assert_int_equal(vuser_payload_encode(&p, buf, sizeof(buf), &len, &e), 0);
		assert_int_equal(len, want.len);
		assert_memory_equal(buf, want.p, want.len);
		bytes_free(b);
		bytes_free(want);
	}
}

static void other_messages_have_no_other_form(void **state)
{
	(void)state;
	for (unsigned command = 0; command < VUSER_CMD_LIMIT; command++) {
		const struct message_row *row = message_find(command);
		bool dma =
			command == VUSER_CMD_DMA_READ || command == VUSER_CMD_DMA_WRITE;

		if (row)
			assert_int_equal(row->command->alternative ||
						 row->reply->alternative,
					 dma);
	}
}

static void an_unknown_command_is_refused_both_ways(void **state)
{
	static const unsigned unknown[] = { 0,	 14,	19,	   20,
					    255, 65535, 65536 + 9, UINT32_MAX };
	struct bytes b = bytes_hex("0400000000000000 07000000 04000000");
	struct vuser_payload p = { .command = 0 };
	struct vuser_error e;
	uint8_t buf[16];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_null(vuser_command_name(unknown[i]));
		for (int reply = 0; reply < 2; reply++) {
			assert_int_equal(decode(unknown[i], reply, b, &p, &e),
					 VUSER_E_PROTOCOL);
			assert_int_equal(e.offset, 2);
			assert_string_equal(e.field, "command");
			if (unknown[i] > UINT16_MAX)
				continue;
			p.command = (uint16_t)unknown[i];
			assert_int_equal(
				vuser_payload_encode(&p, buf, sizeof(buf), &len, &e),
				VUSER_E_USAGE);
		}
	}
	bytes_free(b);
}

/* ---- In two pieces ---------------------------------------------------------------- */

static void a_payload_in_two_pieces_is_read_like_one(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct row *row = &good[i];
		struct bytes b = bytes_hex(row->hex);
		struct bytes head = bytes_copy(b.p, b.len - row->tail);
		struct bytes tail = bytes_copy(b.p + head.len, row->tail);

		assert_int_equal(payload_decode_split(row->command, row->reply, head.p,
						      head.len, tail.p, tail.len, &p, &e),
				 0);
		assert_memory_equal(&p.u, &row->want.u, sizeof(p.u));
		assert_int_equal(p.tail_len, tail.len);
		if (tail.len)
			assert_ptr_equal(p.tail, tail.p);
		bytes_free(b);
		bytes_free(head);
		bytes_free(tail);
	}
}

static void no_byte_of_the_second_piece_is_passed_over(void **state)
{
	/* count of 32 bits is 4; with 4 bytes at head's end that would be all of the data
	 */
	struct bytes head = bytes_hex("0000008000000000 04000000 11223344");
	struct bytes tail = bytes_hex("5566");
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	assert_int_equal(payload_decode_split(VUSER_CMD_DMA_WRITE, false, head.p,
					      head.len, tail.p, tail.len, &p, &e),
			 VUSER_E_PROTOCOL);
	bytes_free(head);
	bytes_free(tail);
}

static void the_fixed_part_is_written_alone_when_asked_to(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct row *row = &good[i];
		struct bytes b = bytes_hex(row->hex);
		struct bytes fixed = bytes_room(b.len - row->tail);

		assert_int_equal(decode(row->command, row->reply, b, &p, &e), 0);
		assert_int_equal(payload_encode_fixed(&p, fixed.p, fixed.len, &len, &e),
				 0);
		assert_int_equal(len, fixed.len);
		assert_memory_equal(fixed.p, b.p, fixed.len);
		bytes_free(b);
		bytes_free(fixed);
	}
}

/* ---- Encoding --------------------------------------------------------------------- */

static void every_payload_is_written_back_to_the_same_bytes(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct bytes b = bytes_hex(good[i].hex), again = bytes_room(b.len);

		assert_int_equal(decode(good[i].command, good[i].reply, b, &p, &e), 0);
		assert_int_equal(vuser_payload_encode(&p, again.p, again.len, &len, &e),
				 0);
		assert_int_equal(len, b.len);
		assert_memory_equal(again.p, b.p, b.len);
		bytes_free(b);
		bytes_free(again);
	}
}

static void a_buffer_that_is_too_small_is_refused(void **state)
{
	struct vuser_payload p;
	struct vuser_error e;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct bytes b = bytes_hex(good[i].hex);

		assert_int_equal(decode(good[i].command, good[i].reply, b, &p, &e), 0);
		for (size_t cap = 0; cap < b.len; cap++) {
			struct bytes room = bytes_room(cap);

			assert_int_equal(vuser_payload_encode(&p, room.p, cap, &len, &e),
					 VUSER_E_USAGE);
			assert_int_equal(e.code, VUSER_E_USAGE);
			assert_true(e.text[0]);
			bytes_free(room);
		}
		bytes_free(b);
	}
}

static void a_tail_that_would_not_decode_again_is_refused(void **state)
{
	uint8_t buf[LARGEST], tail[LARGEST] = { 0 };
	struct vuser_payload p;
	struct vuser_error e;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct row *row = &good[i];

		if (row->open)
			continue;
		p = row->want;
		p.command = (uint16_t)row->command;
		p.reply = row->reply;
		p.tail = tail;
		p.tail_len = row->tail + 1;
		assert_int_equal(vuser_payload_encode(&p, buf, sizeof(buf), &len, &e),
				 VUSER_E_USAGE);
		if (!row->tail)
			continue;
		p.tail_len = row->tail - 1;
		assert_int_equal(vuser_payload_encode(&p, buf, sizeof(buf), &len, &e),
				 VUSER_E_USAGE);
	}
}

static void what_chance_makes_is_refused_or_comes_back(void **state)
{
	size_t taken = 0, all = rounds(200000);

	(void)state;
	for (size_t i = 0; i < all; i++) {
		struct bytes m = draw_message();
		struct bytes b = bytes_copy(m.p + (m.len < 16 ? m.len : 16),
					    m.len < 16 ? 0 : m.len - 16);
		unsigned command = (unsigned)draw_below(VUSER_CMD_LIMIT);
		bool reply = draw() & 1;
		struct vuser_payload p, again;
		uint8_t buf[LARGEST];
		struct vuser_error e;
		size_t len;

		if (decode(command, reply, b, &p, &e) == 0) {
			taken++;
			assert_int_equal(
				vuser_payload_encode(&p, buf, sizeof(buf), &len, &e), 0);
			assert_int_equal(vuser_payload_decode(command, reply, buf, len,
							      &again, &e),
					 0);
			assert_memory_equal(&again.u, &p.u, sizeof(p.u));
			assert_int_equal(again.tail_len, p.tail_len);
			if (command != VUSER_CMD_DMA_READ &&
			    command != VUSER_CMD_DMA_WRITE) {
				assert_int_equal(len, b.len);
				assert_memory_equal(buf, b.p, len);
			}
		}
		bytes_free(m);
		bytes_free(b);
	}
	assert_true(taken > all / 20);
}

/* ---- REGION_WRITE_MULTI's entries ------------------------------------------------- */

static void writes_are_read_one_by_one(void **state)
{
	struct bytes b = bytes_hex("0200000000000000"
				   "1000000000000000 00000000 04000000 1122334400000000"
				   "f8ffffffffffffff 02000000 08000000 0102030405060708");
	struct vuser_multi_entry entry;
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	assert_int_equal(decode(VUSER_CMD_REGION_WRITE_MULTI, false, b, &p, &e), 0);
	vuser_multi_get(&p, 0, &entry);
	assert_int_equal(entry.offset, 0x10);
	assert_int_equal(entry.region, 0);
	assert_int_equal(entry.count, 4);
	assert_memory_equal(entry.data, "\x11\x22\x33\x44\0\0\0\0", 8);
	vuser_multi_get(&p, 1, &entry);
	assert_int_equal(entry.offset, UINT64_MAX - 7);
	assert_int_equal(entry.region, 2);
	assert_int_equal(entry.count, 8);
	assert_memory_equal(entry.data, "\1\2\3\4\5\6\7\10", 8);
	bytes_free(b);
}

static void writes_are_written_one_by_one(void **state)
{
	static const struct vuser_multi_entry in[] = {
		{ 0x10, 0, 4, { 0x11, 0x22, 0x33, 0x44 } },
		{ 0x1234567890, 2, 8, { 1, 2, 3, 4, 5, 6, 7, 8 } },
	};
	struct bytes want =
		bytes_hex("1000000000000000 00000000 04000000 1122334400000000"
			  "9078563412000000 02000000 08000000 0102030405060708");
	struct bytes got = bytes_room(want.len);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(in); i++)
		vuser_multi_put(got.p, i, &in[i]);
	assert_memory_equal(got.p, want.p, want.len);
	bytes_free(want);
	bytes_free(got);
}

static void a_full_message_of_200_writes_is_read(void **state)
{
	struct bytes b = bytes_room(8 + 24 * VUSER_MULTI_WRITES);
	struct vuser_multi_entry entry = { .count = 8 };
	struct vuser_payload p;
	struct vuser_error e;

	(void)state;
	memset(b.p, 0, 8);
	b.p[0] = VUSER_MULTI_WRITES;
	for (size_t i = 0; i < VUSER_MULTI_WRITES; i++) {
		entry.offset = i;
		vuser_multi_put(b.p + 8, i, &entry);
	}
	assert_int_equal(decode(VUSER_CMD_REGION_WRITE_MULTI, false, b, &p, &e), 0);
	vuser_multi_get(&p, VUSER_MULTI_WRITES - 1, &entry);
	assert_int_equal(entry.offset, VUSER_MULTI_WRITES - 1);
	bytes_free(b);
}

/* ---- The table -------------------------------------------------------------------- */

static const struct {
	unsigned number;
	const char *name;
	enum vuser_dir dir;
	unsigned command_fds, reply_fds;
} protocol[] = {
	{ 1, "VERSION", VUSER_C2S, 0, 1 },
	{ 2, "DMA_MAP", VUSER_C2S, 1, 0 },
	{ 3, "DMA_UNMAP", VUSER_C2S, 0, 0 },
	{ 4, "DEVICE_GET_INFO", VUSER_C2S, 0, 0 },
	{ 5, "DEVICE_GET_REGION_INFO", VUSER_C2S, 0, 16 },
	{ 6, "DEVICE_GET_REGION_IO_FDS", VUSER_C2S, 0, 16 },
	{ 7, "DEVICE_GET_IRQ_INFO", VUSER_C2S, 0, 0 },
	{ 8, "DEVICE_SET_IRQS", VUSER_C2S, 16, 0 },
	{ 9, "REGION_READ", VUSER_C2S, 0, 0 },
	{ 10, "REGION_WRITE", VUSER_C2S, 0, 0 },
	{ 11, "DMA_READ", VUSER_S2C, 0, 0 },
	{ 12, "DMA_WRITE", VUSER_S2C, 0, 0 },
	{ 13, "DEVICE_RESET", VUSER_C2S, 0, 0 },
	{ 15, "REGION_WRITE_MULTI", VUSER_C2S, 0, 0 },
	{ 16, "DEVICE_FEATURE", VUSER_C2S, 0, 0 },
	{ 17, "MIG_DATA_READ", VUSER_C2S, 0, 0 },
	{ 18, "MIG_DATA_WRITE", VUSER_C2S, 0, 0 },
};

static void names_directions_and_descriptors_are_the_protocols(void **state)
{
	size_t known = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(protocol); i++) {
		const struct message_row *row = message_find(protocol[i].number);

		assert_non_null(row);
		assert_string_equal(row->name, protocol[i].name);
		assert_string_equal(vuser_command_name(protocol[i].number),
				    protocol[i].name);
		assert_int_equal(vuser_command_number(protocol[i].name),
				 protocol[i].number);
		assert_int_equal(row->dir, protocol[i].dir);
		assert_int_equal(row->command_fds, protocol[i].command_fds);
		assert_int_equal(row->reply_fds, protocol[i].reply_fds);
	}
	for (unsigned i = 0; i < 70000; i++)
		known += vuser_command_name(i) != NULL;
	assert_int_equal(known, ARRAY_SIZE(protocol));
}

static void a_name_is_found_in_any_case_and_with_dashes(void **state)
{
	static const struct {
		const char *name;
		unsigned number;
	} rows[] = {
		{ "region_read", 9 },
		{ "Region-Read", 9 },
		{ "region-write-multi", 15 },
		{ "device_get-REGION_info", 5 },
		{ "version", 1 },
		{ "", 0 },
		{ "region", 0 },
		{ "region_rea", 0 },
		{ "region_readx", 0 },
		{ "region read", 0 },
		{ "region__read", 0 },
		{ "dirty_pages", 0 },
		{ "9", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(vuser_command_number(rows[i].name), rows[i].number);
}

static void layouts_are_without_gap(void **state)
{
	(void)state;
	for (unsigned command = 0; command < VUSER_CMD_LIMIT; command++) {
		const struct message_row *row = message_find(command);

		for (int reply = 0; row && reply < 2; reply++) {
			for (const struct layout *l = reply ? row->reply : row->command;
			     l; l = l->alternative) {
				size_t at = 0;

				for (unsigned i = 0; i < l->nfields; i++) {
					assert_int_equal(l->fields[i].offset, at);
					at += l->fields[i].width;
				}
				assert_int_equal(at, l->fixed);
			}
		}
	}
}

/* ---- Fields ----------------------------------------------------------------------- */

struct listing {
	struct bytes msg;
	size_t end; /* of the last field */
	bool payload_only;
	char text[2000];
	size_t len;
};

/* Checks what holds of any field, and adds "name[index]=text". */
static void list_field(void *arg, const struct vuser_field *f)
{
	struct listing *l = arg;
	char full[256], *small;
	size_t cap, len;

	/* In order, without gap or overlap, and within the message. */
	assert_int_equal(f->offset, l->end);
	assert_true(f->offset < l->msg.len && f->len <= l->msg.len - f->offset);
	assert_true(f->len > 0 && f->len <= f->size);
	assert_ptr_equal(f->bytes, l->msg.p + f->offset);
	assert_true(f->name && f->name[0]);
	assert_printable(f->name);
	assert_true(f->index >= -1);
	if (f->len < f->size || f->show >= VUSER_SHOW_BYTES)
		assert_int_equal(f->value, 0);
	l->end += f->len;

	memset(full, 0x7f, sizeof(full));
	len = vuser_field_text(f, full, sizeof(full));
	assert_int_equal(len, strlen(full));
	assert_printable(full);
	cap = draw_below(24);
	small = malloc(cap ? cap : 1);
	assert_non_null(small);
	len = vuser_field_text(f, small, cap);
	assert_int_equal(len, cap ? strlen(small) : 0);
	assert_memory_equal(small, full, len);
	if (cap && f->show != VUSER_SHOW_TEXT) /* text is cut before an escape */
		assert_int_equal(len, strlen(full) < cap ? strlen(full) : cap - 1);
	free(small);

	if (l->payload_only && f->offset < VUSER_HEADER_SIZE)
		return;
	if (l->len + strlen(full) + 80 > sizeof(l->text))
		return;
	l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s%s",
				   l->len ? " " : "", f->name);
	if (f->index >= 0)
		l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len,
					   "[%d]", f->index);
	l->len +=
		(size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, "=%s", full);
}

static const char *list_fields(struct bytes msg, bool payload_only)
{
	static struct listing l;

	l = (struct listing){ .msg = msg, .payload_only = payload_only };
	vuser_fields(msg.p, msg.len, list_field, &l);
	assert_int_equal(l.end, msg.len); /* every byte belongs to a field */
	return l.text;
}

static void the_header_has_five_fields(void **state)
{
	static const struct {
		const char *hex, *text;
	} rows[] = {
		{ "0700 0d00 10000000 00000000 00000000",
		  "id=7 command=DEVICE_RESET size=16 flags=0 error=0" },
		{ "0700 0d00 10000000 11000000 00000000",
		  "id=7 command=DEVICE_RESET size=16 flags=reply|no-reply error=0" },
		{ "0700 0d00 10000000 21000000 16000000",
		  "id=7 command=DEVICE_RESET size=16 flags=reply|error error=EINVAL" },
		{ "ffff 0e00 00000000 c20f0000 ffffffff",
		  "id=65535 command=14 size=0 flags=0xfc2 error=E?" },
		{ "", "" },
		{ "07", "id=07... (2 bytes)" },
		{ "0700 0d", "id=7 command=0d... (2 bytes)" },
		{ "0700 0d00 10000000 210000",
		  "id=7 command=DEVICE_RESET size=16 flags=210000... (4 bytes)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b = bytes_hex(rows[i].hex);

		assert_string_equal(list_fields(b, false), rows[i].text);
		bytes_free(b);
	}
}

static const struct {
	unsigned command;
	uint32_t flags;
	const char *payload, *text;
} listings[] = {
	{ VUSER_CMD_VERSION, 0, "0000 0200 7b7d00", "major=0 minor=2 capabilities={}" },
	/* Text of a peer: quotes, a newline and an escape sequence in it. */
	{ VUSER_CMD_VERSION, 1, "0000 0100 7b220a 1b5b326a c3a9 007d00",
	  "major=0 minor=1 capabilities={\"\\x0a\\x1b[2j\\xc3\\xa9\\x00}" },
	{ VUSER_CMD_DMA_MAP, 0,
	  "20000000 03000000 0010000000000000 0000008000000000 0000200000000000",
	  "argsz=32 flags=read|write offset=0x1000 address=0x80000000 size=0x200000" },
	{ VUSER_CMD_DMA_MAP, 0,
	  "20000000 1c000080 0000000000000000 00f0ffffffffffff 0010000000000000",
	  "argsz=32 flags=mmap|file-io|0x80000010 offset=0x0 address=0xfffffffffffff000 "
	  "size=0x1000" },
	{ VUSER_CMD_DMA_UNMAP, 0,
	  "30000000 03000000 0000008000000000 0000040000000000"
	  "0010000000000000 0800000000000000",
	  "argsz=48 flags=dirty|all address=0x80000000 size=0x40000 pgsize=4096 bitmap_size=8" },
	{ VUSER_CMD_DMA_UNMAP, 1,
	  "30000000 01000000 0000008000000000 0000040000000000"
	  "0010000000000000 0800000000000000 ffffffffffffff7f",
	  "argsz=48 flags=dirty address=0x80000000 size=0x40000 pgsize=4096 bitmap_size=8 "
	  "bitmap=ffffffffffffff7f" },
	{ VUSER_CMD_DEVICE_GET_INFO, 1, "10000000 03000000 09000000 05000000",
	  "argsz=16 flags=reset|pci num_regions=9 num_irqs=5" },
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, 0,
	  "20000000 00000000 07000000 00000000 0000000000000000 0000000000000000",
	  "argsz=32 flags=0 index=config cap_offset=0x0 size=0x0 offset=0x0" },
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, 0,
	  "24000000 00000000 09000000 00000000 0000000000000000 0000000000000000 00000000",
	  "argsz=36 flags=0 index=9 cap_offset=0x0 size=0x0 offset=0x0 room=00000000" },
	/* Sparse, type, MSI-X. */
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, 1,
	  "68000000 0f000000 02000000 20000000 0000010000000000 0000020000000000"
	  "0100 0100 50000000 02000000 00000000 0010000000000000 0020000000000000"
	  "0050000000000000 0010000000000000 0200 0100 60000000 10000080 03000000"
	  "0300 0100 00000000",
	  "argsz=104 flags=read|write|mmap|caps index=bar2 cap_offset=0x20 size=0x10000 "
	  "offset=0x20000 id[0]=1 version[0]=1 next[0]=0x50 nr_areas[0]=2 reserved[0]=0 "
	  "area.offset[0]=0x1000 area.size[0]=0x2000 area.offset[1]=0x5000 "
	  "area.size[1]=0x1000 id[1]=2 version[1]=1 next[1]=0x60 type[1]=0x80000010 "
	  "subtype[1]=0x3 id[2]=3 version[2]=1 next[2]=0x0" },
	/* A hole before the first capability, one between the two, bytes behind the last.
	 */
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, 1,
	  "50000000 08000000 02000000 28000000 0000010000000000 0000000000000000"
	  "1111111111111111 0300 0100 38000000 2222222222222222 0300 0100 00000000"
	  "3333333333333333 4444444444444444",
	  "argsz=80 flags=caps index=bar2 cap_offset=0x28 size=0x10000 offset=0x0 "
	  "unexplained[0]=1111111111111111 id[0]=3 version[0]=1 next[0]=0x38 "
	  "unexplained[1]=2222222222222222 id[1]=3 version[1]=1 next[1]=0x0 "
	  "unexplained=33333333333333334444444444444444" },
	/* A chain that goes back over what was shown, and one that breaks. */
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, 1,
	  "30000000 08000000 02000000 28000000 0000010000000000 0000000000000000"
	  "0300 0100 00000000 0300 0100 20000000",
	  "argsz=48 flags=caps index=bar2 cap_offset=0x28 size=0x10000 offset=0x0 "
	  "unexplained[0]=0300010000000000 id[0]=3 version[0]=1 next[0]=0x20" },
	{ VUSER_CMD_DEVICE_GET_REGION_INFO, 1,
	  "30000000 08000000 02000000 20000000 0000010000000000 0000000000000000"
	  "0300 0100 30000000 0300 0100 20000000",
	  "argsz=48 flags=caps index=bar2 cap_offset=0x20 size=0x10000 offset=0x0 "
	  "id[0]=3 version[0]=1 next[0]=0x30 broken_chain=0300010020000000" },
	{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, 1,
	  "60000000 00000000 00000000 02000000"
	  "0010000000000000 0400000000000000 00000000 00000000 01000000 00000000"
	  "2a00000000000000"
	  "0410000000000000 0400000000000000 01000000 01000000 00000000 00000000"
	  "0700000000000000",
	  "argsz=96 flags=0x0 index=bar0 count=2 offset[0]=0x1000 size[0]=4 fd_index[0]=0 "
	  "type[0]=ioeventfd flags[0]=0x1 padding[0]=0 datamatch[0]=0x2a offset[1]=0x1004 "
	  "size[1]=4 fd_index[1]=1 type[1]=ioregionfd flags[1]=0x0 padding[1]=0 "
	  "datamatch[1]=0x7" },
	{ VUSER_CMD_DEVICE_GET_REGION_IO_FDS, 1,
	  "40000000 00000000 00000000 01000000"
	  "0010000000000000 0400000000000000 00000000 02000000 00000000 01000000"
	  "0008000000000000 2a00000000000000",
	  "argsz=64 flags=0x0 index=bar0 count=1 offset[0]=0x1000 size[0]=4 fd_index[0]=0 "
	  "type[0]=ioeventfd+shadow flags[0]=0x0 padding[0]=1 shadow_offset[0]=0x800 "
	  "datamatch[0]=0x2a" },
	{ VUSER_CMD_DEVICE_GET_IRQ_INFO, 1, "10000000 0f000000 02000000 20000000",
	  "argsz=16 flags=eventfd|maskable|automasked|noresize index=msix count=32" },
	{ VUSER_CMD_DEVICE_SET_IRQS, 0,
	  "17000000 22000000 01000000 00000000 03000000 010001",
	  "argsz=23 flags=bool|trigger index=msi start=0 count=3 data=010001" },
	{ VUSER_CMD_DEVICE_SET_IRQS, 0, "14000000 5d000000 05000000 00000000 03000000",
	  "argsz=20 flags=none|eventfd|mask|unmask|0x40 index=5 start=0 count=3" },
	{ VUSER_CMD_REGION_READ, 1, "0400000000000000 08000000 04000000 11223344",
	  "offset=0x4 region=vga count=4 data=11223344" },
	{ VUSER_CMD_REGION_WRITE, 0,
	  "0400000000000000 ffffffff 12000000 000102030405060708090a0b0c0d0e0f1011",
	  "offset=0x4 region=4294967295 count=18 "
	  "data=000102030405060708090a0b0c0d0e0f... (18 bytes)" },
	{ VUSER_CMD_DMA_READ, 0, "0000008000000000 0010000000000000",
	  "address=0x80000000 count=4096" },
	{ VUSER_CMD_DMA_READ, 0, "0000008000000000 00100000",
	  "address=0x80000000 count=4096" },
	{ VUSER_CMD_DMA_WRITE, 0, "0000008000000000 02000000 1122",
	  "address=0x80000000 count=2 data=1122" },
	{ VUSER_CMD_DMA_WRITE, 1, "", "" },
	{ VUSER_CMD_DEVICE_RESET, 0, "", "" },
	{ VUSER_CMD_REGION_WRITE_MULTI, 0,
	  "0200000000000000 1000000000000000 00000000 04000000 1122334400000000"
	  "2000000000000000 06000000 08000000 0102030405060708",
	  "wr_cnt=2 offset[0]=0x10 region[0]=bar0 count[0]=4 data[0]=1122334400000000 "
	  "offset[1]=0x20 region[1]=rom count[1]=8 data[1]=0102030405060708" },
	{ VUSER_CMD_DEVICE_FEATURE, 0, "10000000 02000200 03000000 ffffffff",
	  "argsz=16 flags=device-state|set device_state=stop-copy data_fd=0xffffffff" },
	{ VUSER_CMD_DEVICE_FEATURE, 0, "10000000 02000200 08000000 00000000",
	  "argsz=16 flags=device-state|set device_state=8 data_fd=0x0" },
	{ VUSER_CMD_DEVICE_FEATURE, 1, "10000000 01000100 0300000000000000",
	  "argsz=16 flags=migration|get migration_flags=stop-copy|p2p" },
	{ VUSER_CMD_DEVICE_FEATURE, 0, "08000000 07000600",
	  "argsz=8 flags=dma-logging-stop|"
	  "set|probe" },
	{ VUSER_CMD_DEVICE_FEATURE, 0, "08000000 03000880",
	  "argsz=8 flags=3|0x80080000" },
	{ VUSER_CMD_DEVICE_FEATURE, 0, "0a000000 ffff0000 1122",
	  "argsz=10 flags=65535 data=1122" },
	{ VUSER_CMD_DEVICE_FEATURE, 0,
	  "3a000000 06000200 0010000000000000 02000000 00000000"
	  "0000000000000000 0000200000000000 0000008000000000 0000100000000000 1122",
	  "argsz=58 flags=dma-logging-start|set page_size=4096 num_ranges=2 reserved=0 "
	  "range.iova[0]=0x0 range.length[0]=0x200000 range.iova[1]=0x80000000 "
	  "range.length[1]=0x100000 data=1122" },
	{ VUSER_CMD_DEVICE_FEATURE, 1,
	  "28000000 08000100 0000008000000000 0000040000000000 0010000000000000"
	  "ff00000000000000",
	  "argsz=40 flags=dma-logging-report|get iova=0x80000000 length=0x40000 "
	  "page_size=4096 bitmap=ff00000000000000" },
	{ VUSER_CMD_MIG_DATA_READ, 1, "0b000000 03000000 aabbcc",
	  "argsz=11 size=3 data=aabbcc" },
	{ VUSER_CMD_MIG_DATA_WRITE, 0, "0b000000 03000000 aabbcc",
	  "argsz=11 size=3 data=aabbcc" },
	/* What follows where nothing may, where another count was promised, of no
	   command. */
	{ VUSER_CMD_DEVICE_RESET, 0, "1122", "data=1122" },
	{ VUSER_CMD_REGION_READ, 1, "0400000000000000 00000000 08000000 1122",
	  "offset=0x4 region=bar0 count=8 data=1122" },
	{ VUSER_CMD_REGION_WRITE_MULTI, 0, "0200000000000000 1000000000000000",
	  "wr_cnt=2 writes=1000000000000000" },
	{ 14, 0, "11223344", "payload=11223344" },
	/* The payload of an error reply is the server's own affair. */
	{ VUSER_CMD_REGION_READ, 0x21, "0400000000000000 00000000 00000000",
	  "payload=04000000000000000000000000000000" },
};

static void every_field_of_a_payload_is_named_and_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(listings); i++) {
		struct bytes b = message_hex(listings[i].command, listings[i].flags,
					     listings[i].payload);

		assert_string_equal(list_fields(b, true), listings[i].text);
		bytes_free(b);
	}
}

static void a_message_that_was_cut_is_named_as_far_as_it_goes(void **state)
{
	static const struct {
		size_t len;
		const char *text;
	} rows[] = {
		{ 16, "" },
		{ 20, "offset=04000000... (8 bytes)" },
		{ 24, "offset=0x4" },
		{ 32, "offset=0x4 region=config count=6" },
		{ 35, "offset=0x4 region=config count=6 data=112233... (6 bytes)" },
		{ 38, "offset=0x4 region=config count=6 data=112233445566" },
	};
	struct bytes whole =
		message_hex(VUSER_CMD_REGION_READ, 1,
			    "0400000000000000 07000000 06000000 112233445566");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b = bytes_copy(whole.p, rows[i].len);

		assert_string_equal(list_fields(b, true), rows[i].text);
		bytes_free(b);
	}
	bytes_free(whole);
}

static void bytes_beyond_the_headers_size_are_shown_too(void **state)
{
	struct bytes b = message_hex(VUSER_CMD_REGION_READ, 1,
				     "0400000000000000 07000000 02000000 112233");

	(void)state;
	b.p[4] = 34; /* size: one byte less than there are */
	assert_string_equal(list_fields(b, true),
			    "offset=0x4 region=config count=2 data=112233");
	b.p[4] = 16;
	assert_string_equal(list_fields(b, true),
			    "offset=0x4 region=config count=2 data=112233");
	bytes_free(b);
}

static void every_cut_of_every_payload_is_covered_by_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct bytes whole =
			message_hex(good[i].command, good[i].reply, good[i].hex);

		for (size_t len = 0; len <= whole.len; len++) {
			struct bytes b = bytes_copy(whole.p, len);

			(void)list_fields(b, true);
			bytes_free(b);
		}
		bytes_free(whole);
	}
}

static void whatever_chance_makes_is_covered_by_fields(void **state)
{
	(void)state;
	for (size_t i = rounds(200000); i--;) {
		struct bytes b = draw_message();

		(void)list_fields(b, true);
		bytes_free(b);
	}
}

static void names_end_where_the_specification_ends(void **state)
{
	static const char *const regions[] = { "bar0", "bar1", "bar2",	 "bar3", "bar4",
					       "bar5", "rom",  "config", "vga" };
	static const char *const irqs[] = { "intx", "msi", "msix", "err", "req" };

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(regions); i++)
		assert_string_equal(vuser_region_name(i), regions[i]);
	for (uint32_t i = 0; i < ARRAY_SIZE(irqs); i++)
		assert_string_equal(vuser_irq_name(i), irqs[i]);
	assert_null(vuser_region_name(ARRAY_SIZE(regions)));
	assert_null(vuser_irq_name(ARRAY_SIZE(irqs)));
	assert_null(vuser_region_name(UINT32_MAX));
	assert_null(vuser_irq_name(UINT32_MAX));
}

/* ---- Real traffic ----------------------------------------------------------------- */

static void captured_messages_come_back_byte_for_byte(void **state)
{
	uint8_t buf[4096];
	struct vuser_payload p;
	struct vuser_header h;
	struct vuser_error e;
	size_t n, len;

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(capture_files); f++) {
		struct captured *all = capture_read(capture_files[f], &n);

		for (size_t i = 0; i < n; i++) {
			struct bytes m = all[i].msg;
			struct bytes body = { m.p + VUSER_HEADER_SIZE,
					      m.len - VUSER_HEADER_SIZE };
			const struct message_row *row;

			assert_int_equal(vuser_header_decode(m.p, m.len, &h, &e), 0);
			assert_int_equal(h.size, m.len);
			vuser_header_encode(&h, buf);
			row = message_find(h.command);
			assert_non_null(row);
			assert_int_equal(row->dir == all[i].dir, !vuser_is_reply(&h));
			assert_true(
				all[i].nfds <=
				(vuser_is_reply(&h) ? row->reply_fds : row->command_fds));
			len = 0;
			if (!(h.flags & VUSER_FLAG_ERROR)) {
				if (decode(h.command, vuser_is_reply(&h), body, &p, &e))
					fail_msg("message %zu: %s", i, e.text);
				assert_int_equal(vuser_payload_encode(&p, buf + 16,
								      sizeof(buf) - 16,
								      &len, &e),
						 0);
			}
			assert_int_equal(VUSER_HEADER_SIZE + len, m.len);
			assert_memory_equal(buf, m.p, m.len);
			(void)list_fields(m, true);
		}
		capture_free(all, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_payload_is_read),
		cmocka_unit_test(
			every_command_both_ways_is_in_the_table_of_good_payloads),
		cmocka_unit_test(every_cut_is_refused_where_the_bytes_end),
		cmocka_unit_test(one_byte_too_many_is_refused_behind_the_fixed_part),
		cmocka_unit_test(a_count_that_lies_is_refused),
		cmocka_unit_test(the_refusal_says_what_is_there_and_what_was_asked_for),
		cmocka_unit_test(dma_messages_with_a_count_of_32_bits_are_read),
		cmocka_unit_test(dma_messages_are_written_with_a_count_of_64_bits),
		cmocka_unit_test(other_messages_have_no_other_form),
		cmocka_unit_test(an_unknown_command_is_refused_both_ways),
		cmocka_unit_test(a_payload_in_two_pieces_is_read_like_one),
		cmocka_unit_test(no_byte_of_the_second_piece_is_passed_over),
		cmocka_unit_test(the_fixed_part_is_written_alone_when_asked_to),
		cmocka_unit_test(every_payload_is_written_back_to_the_same_bytes),
		cmocka_unit_test(a_buffer_that_is_too_small_is_refused),
		cmocka_unit_test(a_tail_that_would_not_decode_again_is_refused),
		cmocka_unit_test(what_chance_makes_is_refused_or_comes_back),
		cmocka_unit_test(writes_are_read_one_by_one),
		cmocka_unit_test(writes_are_written_one_by_one),
		cmocka_unit_test(a_full_message_of_200_writes_is_read),
		cmocka_unit_test(names_directions_and_descriptors_are_the_protocols),
		cmocka_unit_test(a_name_is_found_in_any_case_and_with_dashes),
		cmocka_unit_test(layouts_are_without_gap),
		cmocka_unit_test(the_header_has_five_fields),
		cmocka_unit_test(every_field_of_a_payload_is_named_and_shown),
		cmocka_unit_test(a_message_that_was_cut_is_named_as_far_as_it_goes),
		cmocka_unit_test(bytes_beyond_the_headers_size_are_shown_too),
		cmocka_unit_test(every_cut_of_every_payload_is_covered_by_fields),
		cmocka_unit_test(whatever_chance_makes_is_covered_by_fields),
		cmocka_unit_test(names_end_where_the_specification_ends),
		cmocka_unit_test(captured_messages_come_back_byte_for_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
