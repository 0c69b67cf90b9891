/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/header.c: the 16 bytes before every message. */
#include "traffic.h"

static void assert_same_header(const struct vuser_header *a, const struct vuser_header *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->command, b->command);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->error, b->error);
}

static int decode(const void *p, size_t len, struct vuser_header *h,
		  struct vuser_error *e)
{
	struct bytes b = bytes_copy(p, len);
	int r = vuser_header_decode(b.p, b.len, h, e);

	bytes_free(b);
	return r;
}

/* id, command, size, flags, error */
static const struct {
	const char *hex;
	struct vuser_header h;
} good[] = {
	{ "0000 0100 10000000 00000000 00000000", { 0, 1, 16, 0, 0 } },
	{ "0700 0900 20000000 00000000 00000000", { 7, 9, 32, 0, 0 } },
	{ "0700 0900 24000000 01000000 00000000", { 7, 9, 36, 1, 0 } },
	{ "0102 0304 05060708 01000000 0d0e0f10",
	  { 0x201, 0x403, 0x8070605, 1, 0x100f0e0d } },
	/* A posted write. */
	{ "3412 0a00 24000000 10000000 00000000", { 0x1234, 10, 36, 0x10, 0 } },
	/* Replies with an error: EINVAL, and none given. */
	{ "ffff 0200 10000000 21000000 16000000", { 65535, 2, 16, 0x21, 22 } },
	{ "ffff 0200 10000000 21000000 00000000", { 65535, 2, 16, 0x21, 0 } },
	/* Commands nobody knows, bits nobody knows, the largest size: not the header's
	   affair. */
	{ "0000 0000 10000000 00000000 00000000", { 0, 0, 16, 0, 0 } },
	{ "0000 ffff ffffffff f1ffffff ffffffff",
	  { 0, 65535, UINT32_MAX, 0xfffffff1, UINT32_MAX } },
};

static void every_field_is_read_from_its_place(void **state)
{
	struct vuser_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct bytes b = bytes_hex(good[i].hex);

		memset(&h, 0xa5, sizeof(h));
		assert_int_equal(decode(b.p, b.len, &h, NULL), 0);
		assert_same_header(&h, &good[i].h);
		bytes_free(b);
	}
}

static void every_field_is_written_to_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct bytes want = bytes_hex(good[i].hex);
		struct bytes got = bytes_room(VUSER_HEADER_SIZE);

		vuser_header_encode(&good[i].h, got.p);
		assert_memory_equal(got.p, want.p, VUSER_HEADER_SIZE);
		bytes_free(want);
		bytes_free(got);
	}
}

static void fewer_than_16_bytes_ask_for_more_and_touch_nothing(void **state)
{
	struct bytes b =
		bytes_hex("ffff ffff 00000000 0f000000 ffffffff"); /* wrong all over */
	struct vuser_header h, before;
	struct vuser_error e, untouched;

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	memset(&untouched, 0xa5, sizeof(untouched));
	for (size_t len = 0; len < VUSER_HEADER_SIZE; len++) {
		h = before;
		e = untouched;
		assert_int_equal(decode(b.p, len, &h, &e), 1);
		assert_same_header(&h, &before);
		assert_memory_equal(&e, &untouched, sizeof(e));
	}
	bytes_free(b);
}

static void bytes_behind_the_header_do_not_matter(void **state)
{
	struct bytes b =
		bytes_hex("0700 0900 24000000 01000000 00000000 ffffffffffffffffff");
	struct vuser_header h;

	(void)state;
	for (size_t len = VUSER_HEADER_SIZE; len <= b.len; len++) {
		assert_int_equal(decode(b.p, len, &h, NULL), 0);
		assert_int_equal(h.size, 36);
	}
	bytes_free(b);
}

static void a_size_below_16_is_refused(void **state)
{
	struct vuser_header in = { .id = 1, .command = 9 }, h;
	struct vuser_error e;
	uint8_t b[VUSER_HEADER_SIZE];

	(void)state;
	for (in.size = 0; in.size <= VUSER_HEADER_SIZE + 1; in.size++) {
		vuser_header_encode(&in, b);
		if (in.size >= VUSER_HEADER_SIZE) {
			assert_int_equal(decode(b, sizeof(b), &h, &e), 0);
			continue;
		}
		assert_int_equal(decode(b, sizeof(b), &h, &e), VUSER_E_PROTOCOL);
		assert_int_equal(e.code, VUSER_E_PROTOCOL);
		assert_int_equal(e.err, 0);
		assert_int_equal(e.offset, 4);
		assert_string_equal(e.field, "size");
		assert_same_header(&h, &in); /* filled all the same */
	}
	assert_string_equal(e.text,
			    "the header's size is 15, below the 16 bytes of a header");
}

static void of_the_16_types_two_are_taken(void **state)
{
	static const uint32_t others[] = { 0, 0x10, 0x20, 0x30, 0xffffffc0, 0xfffffff0 };
	struct vuser_header in = { .id = 1, .command = 9, .size = 16 }, h;
	struct vuser_error e;
	uint8_t b[VUSER_HEADER_SIZE];
	char text[80];

	(void)state;
	for (uint32_t type = 0; type < 16; type++) {
		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			in.flags = others[i] | type;
			vuser_header_encode(&in, b);
			if (type <= 1) {
				assert_int_equal(decode(b, sizeof(b), &h, &e), 0);
				assert_int_equal(vuser_is_reply(&h), type == 1);
				continue;
			}
			assert_int_equal(decode(b, sizeof(b), &h, &e), VUSER_E_PROTOCOL);
			assert_int_equal(e.code, VUSER_E_PROTOCOL);
			assert_int_equal(e.offset, 8);
			assert_string_equal(e.field, "flags");
			snprintf(text, sizeof(text),
				 "message type %u is neither command nor reply", type);
			assert_string_equal(e.text, text);
			assert_same_header(&h, &in);
			assert_false(vuser_is_reply(&h));
		}
	}
}

static void the_first_fault_is_the_one_that_is_told(void **state)
{
	/* size 15 and type 2 */
	struct bytes b = bytes_hex("0000 0100 0f000000 02000000 00000000");
	struct vuser_header h;
	struct vuser_error e;

	(void)state;
	assert_int_equal(decode(b.p, b.len, &h, &e), VUSER_E_PROTOCOL);
	assert_string_equal(e.field, "size");
	bytes_free(b);
}

static void the_error_may_be_null(void **state)
{
	struct bytes b = bytes_hex("0000 0100 10000000 02000000 00000000");
	struct vuser_header h;

	(void)state;
	assert_int_equal(decode(b.p, b.len, &h, NULL), VUSER_E_PROTOCOL);
	bytes_free(b);
}

/* Wrong ones, too: a tool for debugging must be able to send them. */
static void any_header_is_written_back_to_the_same_bytes(void **state)
{
	(void)state;
	for (size_t i = rounds(100000); i--;) {
		struct bytes b = bytes_room(VUSER_HEADER_SIZE), again = bytes_room(b.len);
		struct vuser_header h;

		for (size_t k = 0; k < b.len; k++)
			b.p[k] = (uint8_t)draw();
		if (i % 2)
			b.p[8] &= 0xf1;
		(void)vuser_header_decode(b.p, b.len, &h, NULL);
		vuser_header_encode(&h, again.p);
		assert_memory_equal(again.p, b.p, b.len);
		bytes_free(b);
		bytes_free(again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read_from_its_place),
		cmocka_unit_test(every_field_is_written_to_its_place),
		cmocka_unit_test(fewer_than_16_bytes_ask_for_more_and_touch_nothing),
		cmocka_unit_test(bytes_behind_the_header_do_not_matter),
		cmocka_unit_test(a_size_below_16_is_refused),
		cmocka_unit_test(of_the_16_types_two_are_taken),
		cmocka_unit_test(the_first_fault_is_the_one_that_is_told),
		cmocka_unit_test(the_error_may_be_null),
		cmocka_unit_test(any_header_is_written_back_to_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
