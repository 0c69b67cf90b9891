/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/regioncap.c: the chain of capabilities behind a region's description. */
#include "traffic.h"

/* argsz, flags read|write|mmap|caps, index 2; then cap_offset, size 0x10000, offset 0. */
#define INFO(cap_offset) \
	"00010000 0f000000 02000000 " cap_offset " 0000010000000000 0000000000000000 "
#define AREA_1 "0010000000000000 0020000000000000 " /* 0x2000 at 0x1000 */
#define AREA_2 "0000000001000000 0010000000000000 " /* 0x1000 at 4 GiB */

/* Walks in memory that ends with the payload, and checks what holds of any chain. */
static int walk(struct bytes b, struct vuser_regioncap *caps, size_t max, size_t *n,
		struct vuser_error *e)
{
	int r;

	memset(e, 0xa5, sizeof(*e));
	*n = 999;
	r = vuser_regioncap_walk(b.p, b.len, caps, max, n, e);
	assert_true(*n <= max);
	for (size_t i = 0; i < *n; i++) {
		assert_true(caps[i].offset >= 32 && caps[i].offset % 8 == 0);
		assert_true(caps[i].offset + 8 <= b.len);
		for (uint32_t a = 0; a < caps[i].nr_areas; a++)
			(void)vuser_regioncap_area(&caps[i],
						   a); /* reads within the block */
	}
	if (!r)
		return 0;
	assert_int_equal(r, VUSER_E_PROTOCOL);
	assert_int_equal(e->code, VUSER_E_PROTOCOL);
	assert_in_range(e->offset, VUSER_HEADER_SIZE, VUSER_HEADER_SIZE + b.len);
	assert_true(e->field[0] && e->text[0]);
	assert_printable(e->text);
	return r;
}

/* ---- Chains that are right -------------------------------------------------------- */

static void a_region_without_capabilities_has_an_empty_chain(void **state)
{
	struct bytes b = bytes_hex(INFO("00000000"));
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(walk(b, caps, 0, &n, &e), 0);
	bytes_free(b);
}

static void a_sparse_capability_names_its_areas(void **state)
{
	/* id 1 version 1 next 0, 2 areas */
	struct bytes b = bytes_hex(
		INFO("20000000") "0100 0100 00000000 02000000 00000000 " AREA_1 AREA_2);
	struct vuser_regioncap caps[1];
	struct vuser_area area;
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(caps[0].id, VUSER_REGIONCAP_SPARSE_MMAP);
	assert_int_equal(caps[0].version, 1);
	assert_int_equal(caps[0].offset, 32);
	assert_int_equal(caps[0].nr_areas, 2);
	area = vuser_regioncap_area(&caps[0], 0);
	assert_int_equal(area.offset, 0x1000);
	assert_int_equal(area.size, 0x2000);
	area = vuser_regioncap_area(&caps[0], 1);
	assert_int_equal(area.offset, 0x100000000);
	assert_int_equal(area.size, 0x1000);
	bytes_free(b);
}

static void a_type_capability_names_type_and_subtype(void **state)
{
	/* id 2 version 1 next 0, type 0x80000010 subtype 3 */
	struct bytes b =
		bytes_hex(INFO("20000000") "0200 0100 00000000 10000080 03000000");
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(caps[0].id, VUSER_REGIONCAP_TYPE);
	assert_int_equal(caps[0].type, 0x80000010);
	assert_int_equal(caps[0].subtype, 3);
	assert_int_equal(caps[0].nr_areas, 0);
	bytes_free(b);
}

static void an_msix_capability_is_its_header(void **state)
{
	/* id 3 version 1 next 0 */
	struct bytes b = bytes_hex(INFO("20000000") "0300 0100 00000000");
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(caps[0].id, VUSER_REGIONCAP_MSIX_MAPPABLE);
	bytes_free(b);
}

static void a_capability_nobody_knows_is_kept_by_its_number(void **state)
{
	/* id 0x7777 version 9 next 0 */
	struct bytes b =
		bytes_hex(INFO("20000000") "7777 0900 00000000 ffffffffffffffff");
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(caps[0].id, 0x7777);
	assert_int_equal(caps[0].version, 9);
	bytes_free(b);
}

/* sparse at 0x38 -> type at 0x20 -> MSI-X at 0x58; 8 bytes at 0x30 belong to none. */
static const char chain[] =
	INFO("38000000") "0200 0100 58000000 10000080 03000000 eeeeeeeeeeeeeeee"
			 "0100 0100 20000000 01000000 00000000 " AREA_1
			 "0300 0100 00000000";

static void a_chain_is_followed_in_its_order_not_in_that_of_the_bytes(void **state)
{
	static const struct {
		uint16_t id;
		uint32_t offset;
	} want[] = { { 1, 0x38 }, { 2, 0x20 }, { 3, 0x58 } };
	struct bytes b = bytes_hex(chain);
	struct vuser_regioncap caps[3];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 3, &n, &e), 0);
	assert_int_equal(n, ARRAY_SIZE(want));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(caps[i].id, want[i].id);
		assert_int_equal(caps[i].offset, want[i].offset);
	}
	assert_int_equal(vuser_regioncap_walk(b.p, b.len, caps, 3, &n, NULL), 0);
	bytes_free(b);
}

/* ---- Chains that lie -------------------------------------------------------------- */

static const struct {
	const char *what, *hex;
	size_t kept;   /* capabilities before the lie */
	size_t offset; /* in the message */
	const char *field;
} lies[] = {
	{ "starts in the first bytes", INFO("01000000") "0300 0100 00000000", 0, 28,
	  "cap_offset" },
	{ "starts within the description", INFO("18000000") "0300 0100 00000000", 0, 28,
	  "cap_offset" },
	{ "starts in its last byte", INFO("1f000000") "0300 0100 00000000", 0, 28,
	  "cap_offset" },
	{ "is not aligned", INFO("24000000") "00000000 0300 0100 00000000", 0, 28,
	  "cap_offset" },
	{ "is odd", INFO("21000000") "00 0300 0100 00000000", 0, 28, "cap_offset" },
	{ "starts at the end", INFO("28000000") "0300 0100 00000000", 0, 28,
	  "cap_offset" },
	{ "starts so that 4 bytes are there",
	  INFO("28000000") "0300 0100 00000000 0300 0100", 0, 28, "cap_offset" },
	{ "starts far away", INFO("f8ffffff") "0300 0100 00000000", 0, 28, "cap_offset" },
	{ "has nothing behind the description", INFO("20000000"), 0, 28, "cap_offset" },
	{ "leads to itself", INFO("20000000") "0300 0100 20000000", 1, 52, "next" },
	{ "goes round in two", INFO("20000000") "0300 0100 28000000 0300 0100 20000000",
	  2, 60, "next" },
	{ "goes round in the last two of three",
	  INFO("20000000") "0300 0100 28000000 0300 0100 30000000 0300 0100 28000000", 3,
	  68, "next" },
	{ "leads into the description", INFO("20000000") "0300 0100 08000000", 1, 52,
	  "next" },
	{ "leads to an odd place", INFO("20000000") "0300 0100 29000000 00000000", 1, 52,
	  "next" },
	{ "leads beyond the end", INFO("20000000") "0300 0100 28000000", 1, 52, "next" },
	{ "leads to 2^32-8", INFO("20000000") "0300 0100 f8ffffff", 1, 52, "next" },
	{ "one area more than there is room for",
	  INFO("20000000") "0100 0100 00000000 02000000 00000000 " AREA_1 "000000", 0, 56,
	  "nr_areas" },
	{ "2^32-1 areas", INFO("20000000") "0100 0100 00000000 ffffffff 00000000 " AREA_1,
	  0, 56, "nr_areas" },
	{ "2^28 areas: times 16, 0",
	  INFO("20000000") "0100 0100 00000000 00000010 00000000", 0, 56, "nr_areas" },
	{ "a sparse capability without nr_areas", INFO("20000000") "0100 0100 00000000",
	  0, 56, "id" },
	{ "a sparse capability without reserved",
	  INFO("20000000") "0100 0100 00000000 01000000", 0, 60, "id" },
	{ "a type without subtype", INFO("20000000") "0200 0100 00000000 01000000", 0, 60,
	  "id" },
	{ "a lie behind two that are right",
	  INFO("20000000") "0300 0100 28000000 0200 0100 38000000 01000000 02000000"
			   "0100 0100 00000000 01000000 00000000",
	  2, 80, "nr_areas" },
};

static void a_chain_that_lies_is_refused_where_it_does(void **state)
{
	struct vuser_regioncap caps[VUSER_MAX_REGION_CAPS];
	struct vuser_error e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct bytes b = bytes_hex(lies[i].hex);

		if (!walk(b, caps, ARRAY_SIZE(caps), &n, &e))
			fail_msg("%s: taken", lies[i].what);
		if (n != lies[i].kept || e.offset != lies[i].offset ||
		    strcmp(e.field, lies[i].field) != 0)
			fail_msg("%s: refused after %zu, at %zu (%s): %s", lies[i].what,
				 n, e.offset, e.field, e.text);
		assert_int_equal(vuser_regioncap_walk(b.p, b.len, caps, ARRAY_SIZE(caps),
						      &n, NULL),
				 VUSER_E_PROTOCOL);
		bytes_free(b);
	}
}

static void the_refusal_says_what_is_wrong_with_the_offset(void **state)
{
	static const struct {
		const char *hex, *text;
	} rows[] = {
		{ INFO("18000000"),
		  "cap_offset 0x18 lies within the region's description" },
		{ INFO("24000000"), "cap_offset 0x24 is not a multiple of 8" },
		{ INFO("28000000"),
		  "cap_offset 0x28 lies beyond the end of the payload" },
		{ INFO("20000000") "0300 0100 20000000",
		  "next 0x20 leads back: the chain is a loop" },
		{ INFO("20000000") "0100 0100 00000000 03000000 00000000 " AREA_1,
		  "nr_areas is 3 where 1 fit and 256 are believed" },
		{ INFO("20000000") "0200 0100 00000000",
		  "the payload ends within capability 2 at 0x20" },
	};
	struct vuser_regioncap caps[4];
	struct vuser_error e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b = bytes_hex(rows[i].hex);

		assert_int_equal(walk(b, caps, ARRAY_SIZE(caps), &n, &e),
				 VUSER_E_PROTOCOL);
		assert_string_equal(e.text, rows[i].text);
		bytes_free(b);
	}
}

static void a_payload_shorter_than_the_description_is_refused(void **state)
{
	struct bytes whole = bytes_hex(INFO("00000000"));
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		struct bytes b = bytes_copy(whole.p, len);

		assert_int_equal(walk(b, caps, 1, &n, &e), VUSER_E_PROTOCOL);
		assert_int_equal(n, 0);
		assert_int_equal(e.offset, VUSER_HEADER_SIZE + len);
		bytes_free(b);
	}
	bytes_free(whole);
}

static void every_cut_of_a_chain_is_refused_and_what_came_before_is_kept(void **state)
{
	/* bytes that must be there for the first, the second and the third of the chain
	 */
	static const size_t needs[] = { 0x58, 0x58, 0x60 };
	struct bytes whole = bytes_hex(chain);
	struct vuser_regioncap caps[3];
	struct vuser_error e;
	size_t n, want;

	(void)state;
	assert_int_equal(whole.len, 0x60);
	for (size_t len = 32; len < whole.len; len++) {
		struct bytes b = bytes_copy(whole.p, len);

		for (want = 0; want < 3 && needs[want] <= len; want++)
			;
		assert_int_equal(walk(b, caps, 3, &n, &e), VUSER_E_PROTOCOL);
		assert_int_equal(n, want);
		bytes_free(b);
	}
	bytes_free(whole);
}

/* A chain of n capabilities of 8 bytes, one behind the other. */
static struct bytes long_chain(size_t n)
{
	struct bytes info = bytes_hex(INFO("20000000")), b = bytes_room(32 + 8 * n);

	memcpy(b.p, info.p, 32);
	for (size_t i = 0; i < n; i++) {
		uint16_t id = VUSER_REGIONCAP_MSIX_MAPPABLE, version = 1;
		uint32_t next = i + 1 < n ? (uint32_t)(32 + 8 * (i + 1)) : 0;

		memcpy(b.p + 32 + 8 * i, &id, 2);
		memcpy(b.p + 32 + 8 * i + 2, &version, 2);
		memcpy(b.p + 32 + 8 * i + 4, &next, 4);
	}
	bytes_free(info);
	return b;
}

static void a_chain_longer_than_there_is_room_for_is_refused(void **state)
{
	struct vuser_regioncap caps[VUSER_MAX_REGION_CAPS];
	struct vuser_error e;
	size_t n;

	(void)state;
	for (size_t max = 0; max <= VUSER_MAX_REGION_CAPS; max += 16) {
		struct bytes full = long_chain(max), over = long_chain(max + 1);

		if (max)
			assert_int_equal(walk(full, caps, max, &n, &e), 0);
		assert_int_equal(walk(over, caps, max, &n, &e), VUSER_E_PROTOCOL);
		assert_int_equal(n, max);
		assert_non_null(strstr(e.text, "the chain has more than"));
		bytes_free(full);
		bytes_free(over);
	}
}

static void areas_are_believed_up_to_the_limit(void **state)
{
	struct bytes info = bytes_hex(INFO("20000000") "0100 0100 00000000");
	struct bytes b = bytes_room(48 + 16 * (VUSER_MAX_SPARSE_AREAS + 1));
	uint32_t areas = VUSER_MAX_SPARSE_AREAS;
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	memset(b.p, 0, b.len);
	memcpy(b.p, info.p, info.len);
	memcpy(b.p + 40, &areas, 4);
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(caps[0].nr_areas, VUSER_MAX_SPARSE_AREAS);
	areas++;
	memcpy(b.p + 40, &areas, 4);
	assert_int_equal(walk(b, caps, 1, &n, &e), VUSER_E_PROTOCOL);
	assert_string_equal(e.field, "nr_areas");
	bytes_free(b);
	bytes_free(info);
}

static void no_areas_at_all_are_fine(void **state)
{
	struct bytes b =
		bytes_hex(INFO("20000000") "0100 0100 00000000 00000000 00000000");
	struct vuser_regioncap caps[1];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 1, &n, &e), 0);
	assert_int_equal(caps[0].nr_areas, 0);
	bytes_free(b);
}

static void capabilities_that_overlap_are_read_each_for_itself(void **state)
{
	/*
	 * The sparse capability's area is the next capability's place; the type's subtype
	 * is the MSI-X capability's header: nothing is read twice without end.
	 */
	struct bytes b =
		bytes_hex(INFO("20000000") "0100 0100 30000000 01000000 00000000"
					   "0200 0100 38000000 0300 0100 00000000");
	struct vuser_regioncap caps[4];
	struct vuser_error e;
	size_t n;

	(void)state;
	assert_int_equal(walk(b, caps, 4, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(caps[0].nr_areas, 1);
	assert_int_equal(caps[1].type, 0x00010003);
	assert_int_equal(caps[2].id, 3);
	bytes_free(b);
}

static void whatever_chance_makes_is_walked_to_an_end(void **state)
{
	struct bytes info = bytes_hex(INFO("20000000"));
	size_t good = 0, all = rounds(200000);
	struct vuser_regioncap caps[VUSER_MAX_REGION_CAPS];
	struct vuser_error e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < all; i++) {
		struct bytes b = bytes_room(32 + draw_below(200));
		size_t max = 1 + draw_below(ARRAY_SIZE(caps));

		memcpy(b.p, info.p, 32);
		draw_bytes(b.p + 32, b.len - 32);
		for (size_t at = 32; at + 8 <= b.len; at += 8) {
			uint16_t id = (uint16_t)draw_below(5);
			uint32_t next = (uint32_t)(8 * draw_below(b.len / 8 + 2));

			if (draw_below(4))
				next = (uint32_t)draw_below(3);
			memcpy(b.p + at, &id, 2);
			memcpy(b.p + at + 4, &next, 4);
		}
		good += walk(b, caps, max, &n, &e) == 0;
		bytes_free(b);
	}
	assert_in_range(good, all / 10, all - all / 10);
	bytes_free(info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_region_without_capabilities_has_an_empty_chain),
		cmocka_unit_test(a_sparse_capability_names_its_areas),
		cmocka_unit_test(a_type_capability_names_type_and_subtype),
		cmocka_unit_test(an_msix_capability_is_its_header),
		cmocka_unit_test(a_capability_nobody_knows_is_kept_by_its_number),
		cmocka_unit_test(
			a_chain_is_followed_in_its_order_not_in_that_of_the_bytes),
		cmocka_unit_test(a_chain_that_lies_is_refused_where_it_does),
		cmocka_unit_test(the_refusal_says_what_is_wrong_with_the_offset),
		cmocka_unit_test(a_payload_shorter_than_the_description_is_refused),
		cmocka_unit_test(
			every_cut_of_a_chain_is_refused_and_what_came_before_is_kept),
		cmocka_unit_test(a_chain_longer_than_there_is_room_for_is_refused),
		cmocka_unit_test(areas_are_believed_up_to_the_limit),
		cmocka_unit_test(no_areas_at_all_are_fine),
		cmocka_unit_test(capabilities_that_overlap_are_read_each_for_itself),
		cmocka_unit_test(whatever_chance_makes_is_walked_to_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
