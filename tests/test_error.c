/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/error.c: kinds of error, names of errnos, text that is safe to print. */
#include <errno.h>
#include <limits.h>

#include "error.h"
#include "traffic.h"

/* ---- Names ------------------------------------------------------------------------ */

static void every_code_has_a_name(void **state)
{
	static const struct {
		int code;
		const char *name;
	} rows[] = {
		{ VUSER_OK, "ok" },
		{ VUSER_E_USAGE, "usage" },
		{ VUSER_E_SYSTEM, "system" },
		{ VUSER_E_PROTOCOL, "protocol" },
		{ VUSER_E_REMOTE, "remote" },
		{ VUSER_E_TIMEOUT, "timeout" },
		{ VUSER_E_CLOSED, "connection" },
		{ VUSER_E_CANCELLED, "cancelled" },
		{ VUSER_E_CANCELLED - 1, "unknown" },
		{ 1, "unknown" },
		{ INT_MAX, "unknown" },
		{ INT_MIN, "unknown" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(vuser_code_name(rows[i].code), rows[i].name);
}

static void errnos_have_names_texts_and_numbers(void **state)
{
	static const struct {
		int err;
		const char *name, *text;
	} rows[] = {
		{ EPERM, "EPERM", "Operation not permitted" },
		{ EINVAL, "EINVAL", "Invalid argument" },
		{ EEXIST, "EEXIST", "File exists" },
		{ ENOENT, "ENOENT", "No such file or directory" },
		{ EPROTO, "EPROTO", "Protocol error" },
		{ ENOSPC, "ENOSPC", "No space left on device" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(vuser_errno_name(rows[i].err), rows[i].name);
		assert_string_equal(vuser_errno_text(rows[i].err), rows[i].text);
		assert_int_equal(vuser_errno_number(rows[i].name), rows[i].err);
	}
}

/* A peer may send any 32 bits as an errno. */
static void numbers_that_are_no_errno_have_a_name_all_the_same(void **state)
{
	static const int rows[] = { 0, -1, -22, 4095, 4096, 5000, INT_MAX, INT_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(vuser_errno_name(rows[i]), "E?");
		assert_string_equal(vuser_errno_text(rows[i]), "unknown error");
	}
}

static void every_name_leads_back_to_its_number(void **state)
{
	size_t named = 0;

	(void)state;
	for (int err = 0; err < 4200; err++) {
		const char *name = vuser_errno_name(err);

		assert_printable(vuser_errno_text(err));
		if (strcmp(name, "E?") == 0)
			continue;
		assert_int_equal(vuser_errno_number(name), err);
		named++;
	}
	assert_true(named > 100);
}

static void a_second_name_of_a_number_is_known_too(void **state)
{
	(void)state;
	assert_int_equal(vuser_errno_number("EAGAIN"), EAGAIN);
	assert_int_equal(vuser_errno_number("EWOULDBLOCK"), EAGAIN);
	assert_int_equal(vuser_errno_number("EOPNOTSUPP"), EOPNOTSUPP);
	assert_int_equal(vuser_errno_number("ENOTSUP"), ENOTSUP);
}

static void what_is_no_name_has_no_number(void **state)
{
	static const char *const rows[] = { "",	     "E",      "E?", "EINVALID",
					    "EINVA", "einval", "22", " EINVAL" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(vuser_errno_number(rows[i]), 0);
}

/* ---- Filling ---------------------------------------------------------------------- */

static void an_error_has_kind_errno_and_sentence(void **state)
{
	struct vuser_error e;

	(void)state;
	memset(&e, 0xa5, sizeof(e));
	assert_int_equal(
		error_set(&e, VUSER_E_SYSTEM, ENOMEM, "no memory for %u bytes", 7u),
		VUSER_E_SYSTEM);
	assert_int_equal(e.code, VUSER_E_SYSTEM);
	assert_int_equal(e.err, ENOMEM);
	assert_int_equal(e.offset, VUSER_NO_OFFSET);
	assert_string_equal(e.field, "");
	assert_string_equal(e.text, "no memory for 7 bytes");
}

static void an_error_at_a_place_has_offset_and_field(void **state)
{
	struct vuser_error e;

	(void)state;
	memset(&e, 0xa5, sizeof(e));
	assert_int_equal(error_at(&e, VUSER_E_PROTOCOL, 24, "count", "count is %d", -1),
			 VUSER_E_PROTOCOL);
	assert_int_equal(e.code, VUSER_E_PROTOCOL);
	assert_int_equal(e.err, 0);
	assert_int_equal(e.offset, 24);
	assert_string_equal(e.field, "count");
	assert_string_equal(e.text, "count is -1");
}

static void an_error_of_the_system_says_what_failed_and_why(void **state)
{
	struct vuser_error e;

	(void)state;
	errno = ENOENT;
	assert_int_equal(error_errno(&e, "connect"), VUSER_E_SYSTEM);
	assert_int_equal(e.code, VUSER_E_SYSTEM);
	assert_int_equal(e.err, ENOENT);
	assert_string_equal(e.text, "connect: No such file or directory");
}

static void a_cleared_error_is_none(void **state)
{
	struct vuser_error e;

	(void)state;
	memset(&e, 0xa5, sizeof(e));
	error_clear(&e);
	assert_int_equal(e.code, VUSER_OK);
	assert_int_equal(e.err, 0);
	assert_int_equal(e.offset, VUSER_NO_OFFSET);
	assert_string_equal(e.field, "");
	assert_string_equal(e.text, "");
}

static void nobody_need_listen(void **state)
{
	(void)state;
	assert_int_equal(error_set(NULL, VUSER_E_USAGE, 0, "%s", "x"), VUSER_E_USAGE);
	assert_int_equal(error_at(NULL, VUSER_E_PROTOCOL, 0, "f", "x"), VUSER_E_PROTOCOL);
	assert_int_equal(error_errno(NULL, "x"), VUSER_E_SYSTEM);
	error_clear(NULL);
}

static void long_texts_and_fields_are_cut(void **state)
{
	struct vuser_error e;
	char text[1000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_at(&e, VUSER_E_PROTOCOL, 0, text, "%s", text);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(strlen(e.field), sizeof(e.field) - 1);
	/* Each byte takes four places. */
	memset(text, '\x1b', sizeof(text) - 1);
	error_set(&e, VUSER_E_PROTOCOL, 0, "%s", text);
	assert_int_equal(strlen(e.text), (sizeof(e.text) - 1) / 4 * 4);
	assert_printable(e.text);
}

static void what_a_peer_said_is_made_printable(void **state)
{
	struct vuser_error e;

	(void)state;
	error_set(&e, VUSER_E_PROTOCOL, 0, "the member \"%s\"",
		  "a\n\x1b[31m\xc3\xa9\x7f");
	assert_string_equal(e.text, "the member \"a\\x0a\\x1b[31m\\xc3\\xa9\\x7f\"");
}

/* ---- Printable text --------------------------------------------------------------- */

static void every_byte_is_itself_or_its_number(void **state)
{
	char want[8], got[8];

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t byte = (uint8_t)i;

		snprintf(want, sizeof(want), i >= 0x20 && i < 0x7f ? "%c" : "\\x%02x",
			 (int)i);
		assert_ptr_equal(error_printable(got, sizeof(got), &byte, 1), got);
		assert_string_equal(got, want);
	}
}

static void text_is_cut_before_what_does_not_fit(void **state)
{
	static const struct {
		size_t cap;
		const char *text;
	} rows[] = {
		{ 1, "" },	    { 2, "a" },	       { 3, "ab" },
		{ 4, "ab" },	    { 5, "ab" },       { 6, "ab" },
		{ 7, "ab\\x0a" },   { 8, "ab\\x0ac" }, { 9, "ab\\x0ac" },
		{ 99, "ab\\x0ac" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes room = bytes_room(rows[i].cap);

		error_printable((char *)room.p, room.len, "ab\nc", 4);
		assert_string_equal((char *)room.p, rows[i].text);
		bytes_free(room);
	}
}

static void no_room_at_all_is_left_alone(void **state)
{
	struct bytes room = bytes_room(0);

	(void)state;
	error_printable((char *)room.p, 0, "abc", 3);
	bytes_free(room);
}

static void nothing_becomes_the_empty_text(void **state)
{
	char got[4] = "xyz";

	(void)state;
	error_printable(got, sizeof(got), "", 0);
	assert_string_equal(got, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_name),
		cmocka_unit_test(errnos_have_names_texts_and_numbers),
		cmocka_unit_test(numbers_that_are_no_errno_have_a_name_all_the_same),
		cmocka_unit_test(every_name_leads_back_to_its_number),
		cmocka_unit_test(a_second_name_of_a_number_is_known_too),
		cmocka_unit_test(what_is_no_name_has_no_number),
		cmocka_unit_test(an_error_has_kind_errno_and_sentence),
		cmocka_unit_test(an_error_at_a_place_has_offset_and_field),
		cmocka_unit_test(an_error_of_the_system_says_what_failed_and_why),
		cmocka_unit_test(a_cleared_error_is_none),
		cmocka_unit_test(nobody_need_listen),
		cmocka_unit_test(long_texts_and_fields_are_cut),
		cmocka_unit_test(what_a_peer_said_is_made_printable),
		cmocka_unit_test(every_byte_is_itself_or_its_number),
		cmocka_unit_test(text_is_cut_before_what_does_not_fit),
		cmocka_unit_test(no_room_at_all_is_left_alone),
		cmocka_unit_test(nothing_becomes_the_empty_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
