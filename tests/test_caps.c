/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/caps.c and lib/jsontext.c: the JSON of a VERSION message. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "vuser.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CLIENT	      VUSER_CAPS_OF_CLIENT
#define SERVER	      VUSER_CAPS_OF_SERVER

/* What a peer may write: blanks, every member, unknown ones, escapes and characters. */
static const char full[] =
	" {\t\"capabilities\":\r\n{ \"max_msg_fds\": 8, \"max_data_xfer_size\":1048576,"
	"\"max_dma_maps\":64,\"p\\u0067sizes\":2101248,"
	"\"migration\":{\"pgsize\":8192,\"max_bitmap_size\":4096,\"x\":[-0.5e+3,null]},"
	"\"write_multiple\":true,"
	"\"twin_socket\":{\"supported\":true,\"fd_index\":2},"
	"\"\\ud83d\\ude00 \xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}"
	",\"foo\":[1,2,{}]} ";

struct result {
	int ret;
	struct vuser_caps caps;
	struct vuser_caps_unknown unknown;
	struct vuser_error e;
};

static void assert_same_caps(const struct vuser_caps *a, const struct vuser_caps *b)
{
	assert_int_equal(a->present, b->present);
	assert_int_equal(a->max_msg_fds, b->max_msg_fds);
	assert_int_equal(a->max_data_xfer_size, b->max_data_xfer_size);
	assert_int_equal(a->max_dma_maps, b->max_dma_maps);
	assert_int_equal(a->pgsizes, b->pgsizes);
	assert_int_equal(a->migration_pgsize, b->migration_pgsize);
	assert_int_equal(a->migration_max_bitmap_size, b->migration_max_bitmap_size);
	assert_int_equal(a->write_multiple, b->write_multiple);
	assert_int_equal(a->twin_supported, b->twin_supported);
	assert_int_equal(a->twin_fd_index, b->twin_fd_index);
}

static void assert_printable(const char *s)
{
	for (; *s; s++)
		assert_in_range((unsigned char)*s, 0x20, 0x7e);
}

/* Decodes len bytes in memory that ends with them, and checks what holds of any bytes. */
static struct result decode_bytes(const char *bytes, size_t len,
				  enum vuser_caps_rules rules,
				  const struct vuser_caps *offered)
{
	char *copy = malloc(len ? len : 1);
	struct vuser_caps defaults;
	struct result r;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	memset(&r, 0xa5, sizeof(r));
	r.ret = vuser_caps_decode(copy, len, rules, offered, &r.caps, &r.unknown, &r.e);
	free(copy);

	assert_true(memchr(r.unknown.names, 0, sizeof(r.unknown.names)));
	assert_printable(r.unknown.names);
	if (r.ret) {
		vuser_caps_default(&defaults);
		assert_same_caps(&r.caps, &defaults);
		assert_int_equal(r.ret, VUSER_E_PROTOCOL);
		assert_int_equal(r.e.code, VUSER_E_PROTOCOL);
		assert_true(r.e.offset <= len);
		assert_true(r.e.field[0] && r.e.text[0]);
		assert_printable(r.e.field);
		assert_printable(r.e.text);
	}
	return r;
}

static struct result decode(const char *text, enum vuser_caps_rules rules)
{
	return decode_bytes(text, strlen(text) + 1, rules, NULL);
}

/* The text with before and after around it, in static memory. */
static const char *wrapped(const char *before, const char *text, const char *after)
{
	static char buf[4096];
	int n = snprintf(buf, sizeof(buf), "%s%s%s", before, text, after);

	assert_true(n > 0 && (size_t)n < sizeof(buf));
	return buf;
}

static void assert_accepted(const struct result *r)
{
	if (r->ret)
		fail_msg("refused: %s", r->e.text);
}

static void assert_refused(const struct result *r, const char *field, const char *text)
{
	assert_int_equal(r->ret, VUSER_E_PROTOCOL);
	assert_string_equal(r->e.text, text);
	assert_string_equal(r->e.field, field);
}

/* ---- Defaults and writing ------------------------------------------------------- */

static void default_is_what_the_protocol_says(void **state)
{
	struct vuser_caps c;

	(void)state;
	memset(&c, 0xff, sizeof(c));
	vuser_caps_default(&c);
	assert_int_equal(c.present, 0);
	assert_int_equal(c.max_msg_fds, 1);
	assert_int_equal(c.max_data_xfer_size, 1048576);
	assert_int_equal(c.max_dma_maps, 65535);
	assert_int_equal(c.pgsizes, 4096);
	assert_int_equal(c.migration_pgsize, 4096);
	assert_int_equal(c.migration_max_bitmap_size, 268435456);
	assert_false(c.write_multiple);
	assert_false(c.twin_supported);
}

static const unsigned all_members =
	VUSER_CAP_MAX_MSG_FDS | VUSER_CAP_MAX_DATA_XFER_SIZE | VUSER_CAP_MAX_DMA_MAPS |
	VUSER_CAP_PGSIZES | VUSER_CAP_MIG_PGSIZE | VUSER_CAP_MIG_MAX_BITMAP_SIZE |
	VUSER_CAP_WRITE_MULTIPLE | VUSER_CAP_TWIN_SUPPORTED | VUSER_CAP_TWIN_FD_INDEX;

static void assert_encodes(const struct vuser_caps *c, const char *text)
{
	struct vuser_error e;
	char buf[600];
	size_t len;

	assert_int_equal(vuser_caps_encode(c, buf, sizeof(buf), &len, &e), 0);
	assert_string_equal(buf, text);
	assert_int_equal(len, strlen(text) + 1);
}

static void encode_writes_the_members_present_and_no_others(void **state)
{
	static const struct {
		unsigned present;
		const char *text;
	} rows[] = {
		{ 0, "" },
		{ 1u << 31, "" },
		{ VUSER_CAP_PGSIZES, "\"pgsizes\":4096" },
		{ VUSER_CAP_MIG_PGSIZE, "\"migration\":{\"pgsize\":4096}" },
		{ VUSER_CAP_MIG_MAX_BITMAP_SIZE,
		  "\"migration\":{\"max_bitmap_size\":268435456}" },
		{ VUSER_CAP_TWIN_SUPPORTED, "\"twin_socket\":{\"supported\":false}" },
		{ VUSER_CAP_TWIN_FD_INDEX, "\"twin_socket\":{\"fd_index\":0}" },
		{ VUSER_CAP_MIG_PGSIZE | VUSER_CAP_TWIN_FD_INDEX,
		  "\"migration\":{\"pgsize\":4096},\"twin_socket\":{\"fd_index\":0}" },
		{ VUSER_CAP_MAX_MSG_FDS | VUSER_CAP_MIG_PGSIZE | VUSER_CAP_WRITE_MULTIPLE,
		  "\"max_msg_fds\":1,\"migration\":{\"pgsize\":4096},\"write_multiple\":false" },
		{ all_members,
		  "\"max_msg_fds\":1,\"max_data_xfer_size\":1048576,"
		  "\"max_dma_maps\":65535,\"pgsizes\":4096,"
		  "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456},"
		  "\"write_multiple\":false,"
		  "\"twin_socket\":{\"supported\":false,\"fd_index\":0}" },
	};
	struct vuser_caps c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		vuser_caps_default(&c);
		c.present = rows[i].present;
		assert_encodes(&c, wrapped("{\"capabilities\":{", rows[i].text, "}}"));
	}
}

static void encode_writes_every_digit_of_64_bits(void **state)
{
	struct vuser_caps c = { .present = VUSER_CAP_MAX_DMA_MAPS | VUSER_CAP_MAX_MSG_FDS,
				.max_dma_maps = UINT64_MAX,
				.max_msg_fds = 9007199254740993u };

	(void)state;
	assert_encodes(&c, "{\"capabilities\":{\"max_msg_fds\":9007199254740993,"
			   "\"max_dma_maps\":18446744073709551615}}");
}

static void encode_of_a_full_offer_is_below_400_bytes(void **state)
{
	struct vuser_caps c;
	char buf[400];
	size_t len;

	(void)state;
	vuser_caps_default(&c);
	c.present = all_members &
		    ~(unsigned)(VUSER_CAP_TWIN_SUPPORTED | VUSER_CAP_TWIN_FD_INDEX);
	c.max_msg_fds = 16;
	c.write_multiple = true;
	assert_int_equal(vuser_caps_encode(&c, buf, sizeof(buf), &len, NULL), 0);
	/* As a reply it must fit the buffer of QEMU, too. */
	assert_true(len <= VUSER_MAX_VERSION_REPLY);
}

static void encode_refuses_any_buffer_that_is_too_small(void **state)
{
	struct vuser_caps c;
	struct vuser_error e;
	char text[600];
	size_t len, full_len;

	(void)state;
	vuser_caps_default(&c);
	c.present = all_members;
	assert_int_equal(vuser_caps_encode(&c, text, sizeof(text), &full_len, &e), 0);
	for (size_t cap = 0; cap <= full_len; cap++) {
		char *buf = malloc(cap ? cap : 1);
		int ret;

		assert_non_null(buf);
		len = 1;
		ret = vuser_caps_encode(&c, cap ? buf : NULL, cap, &len, &e);
		free(buf);
		assert_int_equal(ret, cap == full_len ? 0 : VUSER_E_USAGE);
		assert_int_equal(len, cap == full_len ? full_len : 0);
	}
	assert_int_equal(vuser_caps_encode(&c, NULL, 0, &len, NULL), VUSER_E_USAGE);
}

static void what_was_encoded_reads_back_equal(void **state)
{
	static const uint64_t values[] = { 4096, 1ull << 32, (1ull << 53) + 4096,
					   UINT64_MAX - 4095 };
	struct vuser_caps c;
	struct result r;
	char buf[600];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (unsigned present = 0; present <= all_members; present++) {
			vuser_caps_default(&c);
			/* No proposal has it. */
			c.present = present & ~(unsigned)VUSER_CAP_TWIN_FD_INDEX;
			if (present & VUSER_CAP_MAX_MSG_FDS)
				c.max_msg_fds = values[i] + 1;
			if (present & VUSER_CAP_MAX_DATA_XFER_SIZE)
				c.max_data_xfer_size = values[i] + 2;
			if (present & VUSER_CAP_MAX_DMA_MAPS)
				c.max_dma_maps = values[i] + 3;
			if (present & VUSER_CAP_PGSIZES)
				c.pgsizes = values[i];
			if (present & VUSER_CAP_MIG_PGSIZE)
				c.migration_pgsize = values[i];
			if (present & VUSER_CAP_MIG_MAX_BITMAP_SIZE)
				c.migration_max_bitmap_size = values[i] - 1;
			c.write_multiple = present & VUSER_CAP_WRITE_MULTIPLE;
			c.twin_supported = present & VUSER_CAP_TWIN_SUPPORTED;
			assert_int_equal(
				vuser_caps_encode(&c, buf, sizeof(buf), &len, NULL), 0);
			r = decode_bytes(buf, len, CLIENT, NULL);
			assert_accepted(&r);
			assert_same_caps(&r.caps, &c);
			assert_int_equal(r.unknown.count, 0);
		}
	}
}

/* ---- Reading what is right ------------------------------------------------------- */

static void no_text_at_all_means_the_defaults(void **state)
{
	struct vuser_caps defaults, out;
	struct vuser_caps_unknown unknown;

	(void)state;
	vuser_caps_default(&defaults);
	memset(&out, 0xff, sizeof(out));
	memset(&unknown, 0xff, sizeof(unknown));
	assert_int_equal(vuser_caps_decode(NULL, 0, SERVER, NULL, &out, &unknown, NULL),
			 0);
	assert_same_caps(&out, &defaults);
	assert_int_equal(unknown.count, 0);
	assert_string_equal(unknown.names, "");
}

static void text_that_names_nothing_means_the_defaults(void **state)
{
	static const char *const texts[] = {
		"{}", " {\t} \r\n", "{\"capabilities\":{}}",
		"{\"capabilities\":{\"migration\":{},\"twin_socket\":{}}}"
	};
	struct vuser_caps defaults;
	struct result r;

	(void)state;
	vuser_caps_default(&defaults);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (int rules = CLIENT; rules <= SERVER; rules++) {
			r = decode(texts[i], rules);
			assert_accepted(&r);
			assert_same_caps(&r.caps, &defaults);
			assert_int_equal(r.unknown.count, 0);
		}
	}
}

static void empty_array_is_taken_from_a_client_only(void **state)
{
	struct vuser_caps defaults;
	struct result r = decode(" [ ] ", CLIENT);

	(void)state;
	vuser_caps_default(&defaults);
	assert_accepted(&r);
	assert_same_caps(&r.caps, &defaults);
	r = decode("[]", SERVER);
	assert_refused(&r, "version data", "version data is [], not an object");
	r = decode(" [1]", CLIENT);
	assert_refused(&r, "version data", "version data is [1], not an object");
	assert_int_equal(r.e.offset, 1);
}

static void texts_of_real_peers_are_read(void **state)
{
	static const char qemu[] =
		"{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
		"\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
		"\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, "
		"\"write_multiple\": true}}";
	static const char libvfio_user[] =
		"{ \"capabilities\": { \"max_msg_fds\": 8, \"max_data_xfer_size\": 1048576, "
		"\"migration\": { \"pgsize\": 4096 } } }";
	static const char sample[] =
		"{\"capabilities\":{\"max_msg_fds\":32,\"max_data_xfer_size\":1024}}";
	struct result r = decode(qemu, CLIENT);

	(void)state;
	assert_accepted(&r);
	assert_int_equal(r.caps.max_msg_fds, 16);
	assert_true(r.caps.write_multiple);
	assert_int_equal(r.caps.present,
			 all_members & ~(unsigned)(VUSER_CAP_TWIN_SUPPORTED |
						   VUSER_CAP_TWIN_FD_INDEX));
	r = decode(libvfio_user, SERVER);
	assert_accepted(&r);
	assert_int_equal(r.caps.max_msg_fds, 8);
	assert_int_equal(r.caps.present, VUSER_CAP_MAX_MSG_FDS |
						 VUSER_CAP_MAX_DATA_XFER_SIZE |
						 VUSER_CAP_MIG_PGSIZE);
	r = decode(sample, CLIENT);
	assert_accepted(&r);
	assert_int_equal(r.caps.max_msg_fds, 32);
	assert_int_equal(r.caps.max_data_xfer_size, 1024);
}

static struct vuser_caps twin_offer(void)
{
	struct vuser_caps c;

	vuser_caps_default(&c);
	c.present = VUSER_CAP_TWIN_SUPPORTED;
	c.twin_supported = true;
	return c;
}

static void every_member_of_a_reply_is_read(void **state)
{
	struct vuser_caps offer = twin_offer();
	struct result r = decode_bytes(full, sizeof(full), SERVER, &offer);

	(void)state;
	assert_accepted(&r);
	assert_int_equal(r.caps.present, all_members);
	assert_int_equal(r.caps.max_msg_fds, 8);
	assert_int_equal(r.caps.max_data_xfer_size, 1048576);
	assert_int_equal(r.caps.max_dma_maps, 64);
	assert_int_equal(r.caps.pgsizes, 0x201000);
	assert_int_equal(r.caps.migration_pgsize, 8192);
	assert_int_equal(r.caps.migration_max_bitmap_size, 4096);
	assert_true(r.caps.write_multiple);
	assert_true(r.caps.twin_supported);
	assert_int_equal(r.caps.twin_fd_index, 2);
	assert_int_equal(r.unknown.count, 3);
	assert_string_equal(r.unknown.names, "migration.x, \\xf0\\x9f\\x98\\x80 "
					     "\\xf0\\x9f\\x98\\x80..., foo");
}

static void unknown_and_error_may_be_null(void **state)
{
	static const char good[] = "{\"foo\":1}", bad[] = "{\"capabilities\":1}",
			  worse[] = "{";
	struct vuser_caps c;

	(void)state;
	assert_int_equal(
		vuser_caps_decode(good, sizeof(good), CLIENT, NULL, &c, NULL, NULL), 0);
	assert_int_equal(
		vuser_caps_decode(bad, sizeof(bad), CLIENT, NULL, &c, NULL, NULL),
		VUSER_E_PROTOCOL);
	assert_int_equal(
		vuser_caps_decode(worse, sizeof(worse), CLIENT, NULL, &c, NULL, NULL),
		VUSER_E_PROTOCOL);
}

static void offered_may_be_out(void **state)
{
	static const char text[] = "{\"capabilities\":{\"max_dma_maps\":65536}}";
	struct vuser_caps c;

	(void)state;
	vuser_caps_default(&c);
	c.present = VUSER_CAP_MAX_DMA_MAPS;
	c.max_dma_maps = 70000;
	assert_int_equal(
		vuser_caps_decode(text, sizeof(text), SERVER, &c, &c, NULL, NULL), 0);
	assert_int_equal(c.max_dma_maps, 65536);
}

/* ---- Unknown members ------------------------------------------------------------- */

static void unknown_members_are_reported_and_ignored(void **state)
{
	static const struct {
		const char *text, *names;
		unsigned count;
	} rows[] = {
		{ "{\"foo\":1.5}", "foo", 1 },
		{ "{\"capabilities\":{\"foo\":-1e400}}", "foo", 1 },
		{ "{\"capabilities\":{\"migration\":{\"bar\":null}}}", "migration.bar",
		  1 },
		{ "{\"capabilities\":{\"twin_socket\":{\"bar\":[]}}}", "twin_socket.bar",
		  1 },
		{ "{\"a\":\"\",\"capabilities\":{\"b\":{},\"migration\":{\"c\":1}},\"d\":0.1}",
		  "a, b, migration.c, d", 4 },
		/* Names are compared with their case, and in their own object only. */
		{ "{\"Capabilities\":1}", "Capabilities", 1 },
		{ "{\"capabilities\":{\"MAX_MSG_FDS\":1}}", "MAX_MSG_FDS", 1 },
		{ "{\"max_msg_fds\":\"x\"}", "max_msg_fds", 1 },
		{ "{\"capabilities\":{\"pgsize\":1}}", "pgsize", 1 },
		{ "{\"capabilities\":{\"migration\":{\"pgsizes\":1}}}",
		  "migration.pgsizes", 1 },
		{ "{\"capabilities\":{\"migration.pgsize\":1}}", "migration.pgsize", 1 },
		{ "{\"capabilities\":{\"capabilities\":1}}", "capabilities", 1 },
		{ "{\"capabilities\":{\"\":1}}", "\"\"", 1 },
		/* Nothing is looked at within them. */
		{ "{\"foo\":{\"a\":1,\"a\":2}}", "foo", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int rules = CLIENT; rules <= SERVER; rules++) {
			struct result r = decode(rows[i].text, rules);

			assert_accepted(&r);
			assert_int_equal(r.caps.present, 0);
			assert_int_equal(r.unknown.count, rows[i].count);
			assert_string_equal(r.unknown.names, rows[i].names);
		}
	}
}

static void hostile_names_are_made_printable(void **state)
{
	struct result r = decode("{\"\\u001b[2J\\n\xc3\xa9\\u00e9\\u007f\":1}", SERVER);

	(void)state;
	assert_accepted(&r);
	assert_string_equal(r.unknown.names, "\\x1b[2J\\x0a\\xc3\\xa9\\xc3\\xa9\\x7f");
}

static void long_lists_of_unknown_members_are_cut(void **state)
{
	char text[2000] = "{";
	struct result r;
	size_t len;

	(void)state;
	for (int i = 0; i < 100; i++) {
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s\"name%02d\":%d",
			 i ? "," : "", i, i);
	}
	strcat(text, "}");
	r = decode(text, CLIENT);
	assert_accepted(&r);
	assert_int_equal(r.unknown.count, 100);
	len = strlen(r.unknown.names);
	assert_int_equal(len, sizeof(r.unknown.names) - 1);
	assert_memory_equal(r.unknown.names, "name00, name01, name02, ", 24);
	assert_string_equal(r.unknown.names + len - 3, "...");
}

static void long_names_are_cut(void **state)
{
	char name[200], text[300];
	struct result r;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"%s\":1,\"b\":2}", name);
	r = decode(text, CLIENT);
	assert_accepted(&r);
	assert_string_equal(r.unknown.names,
			    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn..., b");
	assert_int_equal(r.unknown.count, 2);
}

/* ---- The end of the text --------------------------------------------------------- */

static void text_without_its_nul_is_refused(void **state)
{
	struct result r = decode_bytes("{}", 2, CLIENT, NULL);

	(void)state;
	assert_refused(&r, "version data", "version data without a NUL at its end");
	assert_int_equal(r.e.offset, 2);
}

static void bytes_after_the_nul_are_refused(void **state)
{
	struct result r = decode_bytes("{}\0", 4, CLIENT, NULL);

	(void)state;
	assert_refused(&r, "version data", "bytes after the NUL of the version data: 1");
	assert_int_equal(r.e.offset, 3);
	r = decode_bytes("{}\0 {}", 7, SERVER, NULL);
	assert_refused(&r, "version data", "bytes after the NUL of the version data: 4");
	r = decode_bytes("{\0}", 4, SERVER, NULL);
	assert_refused(&r, "version data", "bytes after the NUL of the version data: 2");
	assert_int_equal(r.e.offset, 2);
}

static void text_after_the_json_value_is_refused(void **state)
{
	struct result r = decode("{} {}", CLIENT);

	(void)state;
	assert_refused(&r, "version data",
		       "version data: text after the JSON value at byte 3: {}");
	assert_int_equal(r.e.offset, 3);
	r = decode("[]]", CLIENT);
	assert_refused(&r, "version data",
		       "version data: text after the JSON value at byte 2: ]");
}

static void a_lone_nul_is_refused(void **state)
{
	struct result r = decode("", CLIENT);

	(void)state;
	assert_refused(&r, "version data",
		       "version data: the text ends where a value is due at byte 0");
}

static void text_beyond_the_size_limit_is_refused(void **state)
{
	size_t len = VUSER_MAX_CAPS_JSON;
	char *text = malloc(len + 1);
	struct result r;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', len + 1);
	text[0] = '{';
	text[1] = '}';
	text[len - 1] = '\0';
	r = decode_bytes(text, len, CLIENT, NULL);
	assert_accepted(&r);
	text[len - 1] = ' ';
	text[len] = '\0';
	r = decode_bytes(text, len + 1, CLIENT, NULL);
	assert_refused(&r, "version data",
		       "version data of 65537 bytes, above the limit of 65536");
	free(text);
}

/* ---- The grammar ----------------------------------------------------------------- */

static void json_values_of_every_form_are_taken(void **state)
{
	static const char *const values[] = {
		"0", "-0", "1.0", "0.5", "-0.5e-3", "1e3", "1E+3", "1e400", "-1e-400",
		"12e00",
		"123456789012345678901234567890123456789012345678901234567890123", "true",
		"false", "null", "\"\"", "\"a b\"", "\"\x7f\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0001\"", "\"\\uFFFF\\ufffe\"",
		"\"\\uD83D\\uDE00\"", "\"\\uDBFF\\uDFFF\"", "\"\\u0020\\ud7ff\\ue000\"",
		/* U+80, U+7FF, U+800, U+D7FF, U+E000, U+FFFF, U+10000, U+10FFFF */
		"\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"",
		"\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", "[]", "[ ]", "[1,\t2 ,\r\n3]",
		"{}", "{ }", "{\"a\" : 1 , \"b\" : [ ] }",
		"[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct result r = decode(wrapped("{\"foo\":", values[i], "}"), SERVER);

		assert_accepted(&r);
		assert_int_equal(r.unknown.count, 1);
	}
}

static void what_is_not_json_is_refused_where_it_goes_wrong(void **state)
{
	static const struct {
		const char *value, *what;
		size_t at; /* in value */
	} rows[] = {
		/* Numbers: the offset is that of the first character. */
		{ "01", "a number with a leading zero", 0 },
		{ "-01", "a number with a leading zero", 0 },
		{ "00", "a number with a leading zero", 0 },
		{ "-", "a number without digits", 0 },
		{ "--1", "a number without digits", 0 },
		{ "-.5", "a number without digits", 0 },
		{ "1.", "a number without digits after its point", 0 },
		{ "1.e3", "a number without digits after its point", 0 },
		{ "1e", "a number without digits in its exponent", 0 },
		{ "1e+", "a number without digits in its exponent", 0 },
		{ "1e+-1", "a number without digits in its exponent", 0 },
		{ "+1", "a value that is not JSON", 0 },
		{ ".5", "a value that is not JSON", 0 },
		{ "0x10", "a comma or } is missing", 1 },
		{ "1 2", "a comma or } is missing", 2 },
		{ "1.5.5", "a comma or } is missing", 3 },
		{ "0.123456789012345678901234567890123456789012345678901234567890123",
		  "a number that is too long", 0 },
		/* Words. */
		{ "NaN", "a value that is not JSON", 0 },
		{ "-Infinity", "a number without digits", 0 },
		{ "True", "a value that is not JSON", 0 },
		{ "tru", "a value that is not JSON", 0 },
		{ "nulll", "a comma or } is missing", 4 },
		{ "", "a value that is not JSON", 0 },
		{ "'a'", "a value that is not JSON", 0 },
		{ "a", "a value that is not JSON", 0 },
		{ "/**/1", "a value that is not JSON", 0 },
		/* Blanks: four characters are, cJSON would take all of these. */
		{ "\v1", "a value that is not JSON", 0 },
		{ "\f1", "a value that is not JSON", 0 },
		{ "\x01"
		  "1",
		  "a value that is not JSON", 0 },
		{ "1\x1f", "a comma or } is missing", 1 },
		{ "\xc2\xa0"
		  "1",
		  "a value that is not JSON", 0 },
		/* Strings. */
		{ "\"\n\"", "a control character inside a string", 1 },
		{ "\"a\x1f\"", "a control character inside a string", 2 },
		{ "\"\\x41\"", "an unknown escape", 1 },
		{ "\"\\U0041\"", "an unknown escape", 1 },
		{ "\"\\'\"", "an unknown escape", 1 },
		{ "\"\\u004\"", "\\u without four hexadecimal digits", 1 },
		{ "\"\\u00g0\"", "\\u without four hexadecimal digits", 1 },
		{ "\"\\u+041\"", "\\u without four hexadecimal digits", 1 },
		{ "\"a\\u0000\"", "\\u0000, which is not taken", 2 },
		{ "\"\\ud800\"", "half of a surrogate pair", 1 },
		{ "\"\\udc00\"", "half of a surrogate pair", 1 },
		{ "\"\\udc00\\ud800\"", "half of a surrogate pair", 1 },
		{ "\"\\ud800\\ud800\"", "half of a surrogate pair", 1 },
		{ "\"\\ud800\\u0041\"", "half of a surrogate pair", 1 },
		{ "\"\\ud800\\n\"", "half of a surrogate pair", 1 },
		{ "\"\\ud800dc00\"", "half of a surrogate pair", 1 },
		{ "\"\x80\"", "bytes that are not UTF-8", 1 },
		{ "\"\xbf\"", "bytes that are not UTF-8", 1 },
		{ "\"\xc3\"", "bytes that are not UTF-8", 1 },
		{ "\"\xc3(\"", "bytes that are not UTF-8", 1 },
		{ "\"\xe2\x82\"", "bytes that are not UTF-8", 1 },
		{ "\"\xc0\x80\"", "bytes that are not UTF-8", 1 },     /* overlong NUL */
		{ "\"\xc1\xbf\"", "bytes that are not UTF-8", 1 },     /* overlong */
		{ "\"\xe0\x9f\xbf\"", "bytes that are not UTF-8", 1 }, /* overlong */
		{ "\"\xf0\x8f\xbf\xbf\"", "bytes that are not UTF-8", 1 }, /* overlong */
		{ "\"\xed\xa0\x80\"", "bytes that are not UTF-8", 1 },	   /* U+D800 */
		{ "\"\xed\xbf\xbf\"", "bytes that are not UTF-8", 1 },	   /* U+DFFF */
		{ "\"\xf4\x90\x80\x80\"", "bytes that are not UTF-8", 1 }, /* U+110000 */
		{ "\"\xf8\x88\x80\x80\x80\"", "bytes that are not UTF-8", 1 },
		{ "\"\xff\"", "bytes that are not UTF-8", 1 },
		/* Arrays and objects. */
		{ "[1,]", "a value that is not JSON", 3 },
		{ "[,1]", "a value that is not JSON", 1 },
		{ "[1 2]", "a comma or ] is missing", 3 },
		{ "[1", "a comma or ] is missing", 2 },
		{ "]", "a value that is not JSON", 0 },
		{ "[1}", "a comma or ] is missing", 2 },
		{ "{\"a\":1,}", "the name of a member is missing", 7 },
		{ "{,}", "the name of a member is missing", 1 },
		{ "{a:1}", "the name of a member is missing", 1 },
		{ "{1:1}", "the name of a member is missing", 1 },
		{ "{\"a\"}", "the colon after a name is missing", 4 },
		{ "{\"a\" 1}", "the colon after a name is missing", 5 },
		{ "{\"a\"=1}", "the colon after a name is missing", 4 },
		{ "{\"a\":}", "a value that is not JSON", 5 },
		{ "{\"a\":1]", "a comma or } is missing", 6 },
		{ "{\"a\\u0000\":1}", "\\u0000, which is not taken", 3 },
	};
	static const char before[] = "{\"capabilities\":";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t at = sizeof(before) - 1 + rows[i].at;
		struct result r = decode(wrapped(before, rows[i].value, "}"), CLIENT);
		char said[200];

		assert_int_equal(r.ret, VUSER_E_PROTOCOL);
		assert_int_equal(r.e.offset, at);
		snprintf(said, sizeof(said), ": %s at byte %zu: ", rows[i].what, at);
		if (!strstr(r.e.text, said))
			fail_msg("row %zu: %s", i, r.e.text);
	}
}

static void a_byte_order_mark_is_refused(void **state)
{
	struct result r = decode("\xef\xbb\xbf{}", CLIENT);

	(void)state;
	assert_refused(
		&r, "version data",
		"version data: a value that is not JSON at byte 0: \\xef\\xbb\\xbf{}");
}

static void faults_of_the_grammar_name_the_member(void **state)
{
	static const struct {
		const char *text, *field, *said;
	} rows[] = {
		{ "{\"capabilities\":{\"max_msg_fds\":01}}", "max_msg_fds",
		  "max_msg_fds: a number with a leading zero at byte 31: 01}}" },
		{ "{\"capabilities\":{\"migration\":{\"pgsize\":1.}}}",
		  "migration.pgsize",
		  "migration.pgsize: a number without digits after its point at byte 39: 1.}}}" },
		{ "{\"capabilities\":tru}", "capabilities",
		  "capabilities: a value that is not JSON at byte 16: tru}" },
		{ "{\"foo\":{\"bar\":+1}}", "foo.bar",
		  "foo.bar: a value that is not JSON at byte 14: +1}}" },
		{ "{\"foo\":[{\"bar\":+1}]}", "foo",
		  "foo: a value that is not JSON at byte 15: +1}]}" },
		{ "{\"foo\":1,bar}", "version data",
		  "version data: the name of a member is missing at byte 9: bar}" },
		{ "{\"foo", "version data",
		  "version data: the text ends inside a string at byte 5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct result r = decode(rows[i].text, SERVER);

		assert_refused(&r, rows[i].field, rows[i].said);
	}
}

static void nesting_bombs_are_refused(void **state)
{
	static const char *const openings[] = { "[", "{\"a\":", "[{\"\":" };
	char *text = malloc(VUSER_MAX_CAPS_JSON);
	struct result r;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < ARRAY_SIZE(openings); i++) {
		size_t n = strlen(openings[i]), len = 0;

		for (; len + n < VUSER_MAX_CAPS_JSON; len += n)
			memcpy(text + len, openings[i], n);
		text[len] = '\0';
		r = decode_bytes(text, len + 1, CLIENT, NULL);
		assert_int_equal(r.ret, VUSER_E_PROTOCOL);
		assert_non_null(strstr(r.e.text,
				       "too many arrays and objects within each other"));
	}
	free(text);
	/* Sixteen are taken (see above), seventeen are not. */
	r = decode("{\"foo\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", CLIENT);
	assert_int_equal(r.e.offset, 22);
}

static void very_many_members_are_refused(void **state)
{
	char text[4000] = "{\"capabilities\":{";
	struct result r;
	size_t len;

	(void)state;
	for (int i = 0; i <= 128; i++) {
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s\"m%d\":0", i ? "," : "", i);
		if (i == 127) {
			r = decode(wrapped(text, "", "}}"), CLIENT);
			assert_accepted(&r);
			assert_int_equal(r.unknown.count, 128);
		}
	}
	r = decode(wrapped(text, "", "}}"), CLIENT);
	assert_refused(&r, "m128", "an object of more than 128 members");
}

static void every_truncation_is_refused(void **state)
{
	struct vuser_caps offer = twin_offer();
	char text[sizeof(full)];
	size_t end = sizeof(full) - 2; /* behind the last brace: blanks and NUL */
	struct result r;

	(void)state;
	for (size_t len = 1; len < sizeof(full); len++) {
		r = decode_bytes(full, len, SERVER, &offer);
		assert_refused(&r, "version data",
			       "version data without a NUL at its end");
		memcpy(text, full, len);
		text[len] = '\0';
		r = decode_bytes(text, len + 1, SERVER, &offer);
		assert_int_equal(r.ret, len < end ? VUSER_E_PROTOCOL : 0);
	}
}

/* decode_bytes() asserts what must hold: no fault of memory, defaults left on failure. */
static void any_corrupt_byte_is_survived(void **state)
{
	struct vuser_caps offer = twin_offer();
	char text[sizeof(full)];

	(void)state;
	for (size_t i = 0; i < sizeof(full); i++) {
		for (int b = 0; b < 256; b++) {
			memcpy(text, full, sizeof(full));
			text[i] = (char)b;
			decode_bytes(text, sizeof(text), b & 1 ? SERVER : CLIENT, &offer);
		}
	}
}

/* ---- Types and values ------------------------------------------------------------ */

static void duplicate_members_are_refused_at_every_place(void **state)
{
	static const struct {
		const char *text, *field;
		size_t offset; /* of the second name, behind its quote */
	} rows[] = {
		{ "{\"capabilities\":{},\"capabilities\":{}}", "capabilities", 20 },
		{ "{\"foo\":1,\"foo\":1}", "foo", 10 },
		{ "{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":1}}",
		  "max_msg_fds", 34 },
		{ "{\"capabilities\":{\"foo\":1,\"b\":2,\"foo\":1}}", "foo", 32 },
		{ "{\"capabilities\":{\"migration\":{},\"migration\":{}}}", "migration",
		  33 },
		{ "{\"capabilities\":{\"migration\":{\"pgsize\":4096,\"pgsize\":4096}}}",
		  "migration.pgsize", 45 },
		{ "{\"capabilities\":{\"twin_socket\":{\"x\":0,\"x\":0}}}",
		  "twin_socket.x", 39 },
		{ "{\"capabilities\":{\"pgsizes\":4096,\"pg\\u0073izes\":4096}}",
		  "pgsizes", 33 },
		{ "{\"\":1,\"\":1}", "\"\"", 7 },
		{ "{\"\\n\":1,\"\\u000a\":1}", "\\x0a", 9 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct result r = decode(rows[i].text, i & 1 ? CLIENT : SERVER);

		assert_refused(&r, rows[i].field,
			       wrapped("", rows[i].field, " is there twice"));
		assert_int_equal(r.e.offset, rows[i].offset);
	}
}

struct member_row {
	const char *before, *field, *after;
};

static const struct member_row number_members[] = {
	{ "{\"capabilities\":{\"max_msg_fds\":", "max_msg_fds", "}}" },
	{ "{\"capabilities\":{\"max_data_xfer_size\":", "max_data_xfer_size", "}}" },
	{ "{\"capabilities\":{\"max_dma_maps\":", "max_dma_maps", "}}" },
	{ "{\"capabilities\":{\"pgsizes\":", "pgsizes", "}}" },
	{ "{\"capabilities\":{\"migration\":{\"pgsize\":", "migration.pgsize", "}}}" },
	{ "{\"capabilities\":{\"migration\":{\"max_bitmap_size\":",
	  "migration.max_bitmap_size", "}}}" },
	{ "{\"capabilities\":{\"twin_socket\":{\"supported\":false,\"fd_index\":",
	  "twin_socket.fd_index", "}}}" },
};

static const struct member_row bool_members[] = {
	{ "{\"capabilities\":{\"write_multiple\":", "write_multiple", "}}" },
	{ "{\"capabilities\":{\"twin_socket\":{\"supported\":", "twin_socket.supported",
	  "}}}" },
};

static const struct member_row object_members[] = {
	{ "{\"capabilities\":", "capabilities", "}" },
	{ "{\"capabilities\":{\"migration\":", "migration", "}}" },
	{ "{\"capabilities\":{\"twin_socket\":", "twin_socket", "}}" },
};

static void assert_value_refused(const struct member_row *m, const char *value,
				 const char *why)
{
	char said[216];

	snprintf(said, sizeof(said), "%s is %s, %s", m->field, value, why);
	for (int rules = CLIENT; rules <= SERVER; rules++) {
		struct result r = decode(wrapped(m->before, value, m->after), rules);

		assert_refused(&r, m->field, said);
		assert_int_equal(r.e.offset, strlen(m->before));
	}
}

static void members_of_the_wrong_type_are_refused(void **state)
{
	static const char *const values[] = { "null",  "\"16\"", "\"\"",      "[]",
					      "[16]",  "{}",	 "{\"a\":1}", "true",
					      "false", "1",	 "0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(number_members) && i < 9; j++)
			assert_value_refused(&number_members[j], values[i],
					     "not a number");
		for (size_t j = 0; j < ARRAY_SIZE(bool_members); j++) {
			if (*values[i] != 't' && *values[i] != 'f')
				assert_value_refused(&bool_members[j], values[i],
						     "neither true nor false");
		}
		for (size_t j = 0; j < ARRAY_SIZE(object_members); j++) {
			if (*values[i] != '{')
				assert_value_refused(&object_members[j], values[i],
						     "not an object");
		}
	}
}

static void text_that_is_no_object_is_refused(void **state)
{
	static const char *const values[] = { "0",    "-1.5", "\"capabilities\"",
					      "true", "null", "[{}]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct result r = decode(values[i], CLIENT);

		assert_refused(&r, "version data",
			       wrapped("version data is ", values[i], ", not an object"));
	}
}

static void numbers_that_are_not_plain_digits_are_refused_as_written(void **state)
{
	static const char *const values[] = { "-1",
					      "-0",
					      "-4096",
					      "1.5",
					      "1.0",
					      "4096.0",
					      "8192.000000000000000001",
					      "1e3",
					      "4.1e4",
					      "4096E0",
					      "1e400",
					      "-1e400",
					      "1e-400",
					      "0e0",
					      "0.0",
					      "1.00000000000000000001",
					      "18446744073709551615.0",
					      "-18446744073709551616" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(number_members); j++)
			assert_value_refused(&number_members[j], values[i],
					     "not an unsigned integer in plain digits");
	}
}

static void numbers_beyond_64_bits_are_refused_as_written(void **state)
{
	static const char *const values[] = {
		"18446744073709551616", /* 2^64 */
		"18446744073709551620",
		"18446744073709555712", /* 2^64 + 4096 */
		"100000000000000000000",
		"36893488147419103232", /* 2^65 */
		"340282366920938463463374607431768211456",
		"999999999999999999999999999999999999999999999999999999999999999"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(number_members); j++)
			assert_value_refused(&number_members[j], values[i],
					     "more than 64 bits hold");
	}
}

static void numbers_too_long_for_any_use_are_refused_by_name(void **state)
{
	char digits[401];

	(void)state;
	memset(digits, '0', sizeof(digits));
	digits[0] = '1';
	digits[400] = '\0';
	for (size_t j = 0; j < ARRAY_SIZE(number_members); j++) {
		const struct member_row *m = &number_members[j];
		struct result r = decode(wrapped(m->before, digits, m->after), CLIENT);

		assert_int_equal(r.ret, VUSER_E_PROTOCOL);
		assert_string_equal(r.e.field, m->field);
		assert_int_equal(r.e.offset, strlen(m->before));
		assert_non_null(strstr(r.e.text, ": a number that is too long at byte "));
		assert_non_null(strstr(r.e.text, ": 10000000000000000"));
	}
}

static void numbers_of_64_bits_are_held_exactly(void **state)
{
	static const struct {
		const char *digits;
		uint64_t value;
	} rows[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "4294967296", 4294967296 },
		{ "9007199254740993", 9007199254740993 }, /* 2^53 + 1 */
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775809", 9223372036854775809u },
		{ "18446744073709551614", UINT64_MAX - 1 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct member_row *m = &number_members[2]; /* max_dma_maps */
		struct result r =
			decode(wrapped(m->before, rows[i].digits, m->after), CLIENT);

		assert_accepted(&r);
		assert_int_equal(r.caps.max_dma_maps, rows[i].value);
		assert_int_equal(r.caps.present, VUSER_CAP_MAX_DMA_MAPS);
	}
}

static void long_or_hostile_values_are_shown_cut_and_printable(void **state)
{
	char value[300];
	struct result r;

	(void)state;
	value[0] = '"';
	memset(value + 1, '\x7f', sizeof(value) - 3);
	strcpy(value + sizeof(value) - 2, "\"");
	r = decode(wrapped("{\"capabilities\":{\"migration\":{\"max_bitmap_size\":",
			   value, "}}}"),
		   CLIENT);
	assert_refused(
		&r, "migration.max_bitmap_size",
		"migration.max_bitmap_size is \"\\x7f\\x7f\\x7f\\x7f\\x7f\\x7f\\x7f\\x7f"
		"\\x7f\\x7f\\x7f\\x7f\\x7f\\x7f\\x7f..., not a number");
}

/* ---- Limits ---------------------------------------------------------------------- */

struct limit_row {
	const char *text;   /* the members */
	const char *client; /* why a proposal with them is refused, NULL if it is not */
	const char *server; /* the same for a reply */
};

static void limits_are_those_of_the_protocol(void **state)
{
	static const struct limit_row rows[] = {
		{ "\"max_msg_fds\":0", NULL, NULL },
		{ "\"max_msg_fds\":16", NULL, NULL },
		{ "\"max_msg_fds\":17", NULL,
		  "max_msg_fds is 17, above the limit of 16" },
		{ "\"max_data_xfer_size\":0",
		  "max_data_xfer_size is 0, below the least of 1",
		  "max_data_xfer_size is 0, below the least of 1" },
		{ "\"max_data_xfer_size\":1", NULL, NULL },
		{ "\"max_data_xfer_size\":67108864", NULL, NULL },
		{ "\"max_data_xfer_size\":67108865", NULL,
		  "max_data_xfer_size is 67108865, above the limit of 67108864" },
		{ "\"max_dma_maps\":0", NULL, NULL },
		{ "\"max_dma_maps\":65535", NULL, NULL },
		{ "\"max_dma_maps\":65536", NULL,
		  "max_dma_maps is 65536, above the 65535 that was offered" },
		{ "\"pgsizes\":4096", NULL, NULL },
		{ "\"pgsizes\":18446744073709547520", NULL, NULL },
		{ "\"pgsizes\":0", "pgsizes is 0, below the least of 4096",
		  "pgsizes is 0, below the least of 4096" },
		{ "\"pgsizes\":4097", "pgsizes is 4097, not a multiple of 4096",
		  "pgsizes is 4097, not a multiple of 4096" },
		{ "\"pgsizes\":2048", "pgsizes is 2048, not a multiple of 4096",
		  "pgsizes is 2048, not a multiple of 4096" },
		{ "\"migration\":{\"pgsize\":12288}", NULL, NULL },
		{ "\"migration\":{\"pgsize\":0}",
		  "migration.pgsize is 0, below the least of 4096",
		  "migration.pgsize is 0, below the least of 4096" },
		{ "\"migration\":{\"pgsize\":512}",
		  "migration.pgsize is 512, not a multiple of 4096",
		  "migration.pgsize is 512, not a multiple of 4096" },
		{ "\"migration\":{\"max_bitmap_size\":0}", NULL, NULL },
		{ "\"migration\":{\"max_bitmap_size\":268435456}", NULL, NULL },
		{ "\"migration\":{\"max_bitmap_size\":268435457}", NULL,
		  "migration.max_bitmap_size is 268435457, above the 268435456 that was offered" },
		{ "\"write_multiple\":true", NULL, NULL },
		{ "\"twin_socket\":{\"supported\":false}", NULL, NULL },
		{ "\"twin_socket\":{\"supported\":true}", NULL,
		  "twin_socket.supported is true, but was not offered" },
		{ "\"twin_socket\":{\"fd_index\":0}",
		  "twin_socket.fd_index is 0, but has no place in a proposal", NULL },
		{ "\"twin_socket\":{\"fd_index\":16}",
		  "twin_socket.fd_index is 16, but has no place in a proposal",
		  "twin_socket.fd_index is 16, above the limit of 15" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int rules = CLIENT; rules <= SERVER; rules++) {
			const char *why =
				rules == CLIENT ? rows[i].client : rows[i].server;
			struct result r =
				decode(wrapped("{\"capabilities\":{", rows[i].text, "}}"),
				       rules);

			if (!why) {
				assert_accepted(&r);
				continue;
			}
			assert_int_equal(r.ret, VUSER_E_PROTOCOL);
			assert_string_equal(r.e.text, why);
		}
	}
}

static void a_reply_may_only_lower_what_was_offered(void **state)
{
	static const char maps[] = "{\"capabilities\":{\"max_dma_maps\":101}}";
	static const char bitmap[] =
		"{\"capabilities\":{\"migration\":{\"max_bitmap_size\":101}}}";
	struct vuser_caps offer;
	struct result r;

	(void)state;
	vuser_caps_default(&offer);
	offer.present = VUSER_CAP_MAX_DMA_MAPS | VUSER_CAP_MIG_MAX_BITMAP_SIZE;
	offer.max_dma_maps = 100;
	offer.migration_max_bitmap_size = 100;
	r = decode_bytes(maps, sizeof(maps), SERVER, &offer);
	assert_refused(&r, "max_dma_maps",
		       "max_dma_maps is 101, above the 100 that was offered");
	r = decode_bytes(bitmap, sizeof(bitmap), SERVER, &offer);
	assert_refused(
		&r, "migration.max_bitmap_size",
		"migration.max_bitmap_size is 101, above the 100 that was offered");
	offer.max_dma_maps = 101;
	offer.migration_max_bitmap_size = UINT64_MAX;
	r = decode_bytes(maps, sizeof(maps), SERVER, &offer);
	assert_accepted(&r);
	r = decode_bytes(bitmap, sizeof(bitmap), SERVER, &offer);
	assert_accepted(&r);
	/* What was not sent is not offered: the default stands in its place. */
	offer.present = 0;
	offer.max_dma_maps = 1;
	r = decode_bytes(maps, sizeof(maps), SERVER, &offer);
	assert_accepted(&r);
}

static void a_twin_socket_is_taken_only_if_offered_and_with_its_index(void **state)
{
	static const char on[] =
		"{\"capabilities\":{\"twin_socket\":{\"fd_index\":15,\"supported\":true}}}";
	static const char no_index[] =
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
	static const char off[] =
		"{\"capabilities\":{\"twin_socket\":{\"supported\":false,\"fd_index\":1}}}";
	struct vuser_caps offer = twin_offer();
	struct result r = decode_bytes(on, sizeof(on), SERVER, &offer);

	(void)state;
	assert_accepted(&r);
	assert_true(r.caps.twin_supported);
	assert_int_equal(r.caps.twin_fd_index, 15);
	r = decode_bytes(no_index, sizeof(no_index), SERVER, &offer);
	assert_refused(&r, "twin_socket.fd_index",
		       "twin_socket.fd_index is missing, though supported is true");
	assert_int_equal(r.e.offset, 31);
	r = decode_bytes(off, sizeof(off), SERVER, &offer);
	assert_accepted(&r);
	assert_false(r.caps.twin_supported);

	offer.twin_supported = false;
	r = decode_bytes(on, sizeof(on), SERVER, &offer);
	assert_refused(&r, "twin_socket.supported",
		       "twin_socket.supported is true, but was not offered");
	offer.twin_supported = true;
	offer.present = 0;
	r = decode_bytes(on, sizeof(on), SERVER, &offer);
	assert_refused(&r, "twin_socket.supported",
		       "twin_socket.supported is true, but was not offered");
	r = decode_bytes(no_index, sizeof(no_index), CLIENT, NULL);
	assert_accepted(&r);
	assert_true(r.caps.twin_supported);
}

static void nothing_read_before_a_refusal_is_kept(void **state)
{
	struct vuser_caps defaults;
	struct result r =
		decode("{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true,"
		       "\"pgsizes\":1}}",
		       SERVER);

	(void)state;
	vuser_caps_default(&defaults);
	assert_refused(&r, "pgsizes", "pgsizes is 1, not a multiple of 4096");
	assert_same_caps(&r.caps, &defaults);
}

static unsigned allocations_left;

static void *scarce_malloc(size_t size)
{
	return allocations_left && allocations_left-- ? malloc(size) : NULL;
}

static void a_lack_of_memory_is_told_as_what_it_is(void **state)
{
	static const char text[] = "{\"capabilities\":{\"max_msg_fds\":8,\"x\":\"y\"}}";
	cJSON_Hooks scarce = { .malloc_fn = scarce_malloc, .free_fn = free };
	struct vuser_caps c, defaults;
	struct vuser_error e;
	unsigned failed = 0;
	int ret;

	(void)state;
	vuser_caps_default(&defaults);
	cJSON_InitHooks(&scarce);
	do {
		allocations_left = failed;
		ret = vuser_caps_decode(text, sizeof(text), CLIENT, NULL, &c, NULL, &e);
		if (ret) {
			assert_int_equal(ret, VUSER_E_SYSTEM);
			assert_int_equal(e.err, ENOMEM);
			assert_same_caps(&c, &defaults);
			failed++;
		}
	} while (ret);
	cJSON_InitHooks(NULL);
	assert_true(failed > 0);
	assert_int_equal(c.max_msg_fds, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_is_what_the_protocol_says),
		cmocka_unit_test(encode_writes_the_members_present_and_no_others),
		cmocka_unit_test(encode_writes_every_digit_of_64_bits),
		cmocka_unit_test(encode_of_a_full_offer_is_below_400_bytes),
		cmocka_unit_test(encode_refuses_any_buffer_that_is_too_small),
		cmocka_unit_test(what_was_encoded_reads_back_equal),
		cmocka_unit_test(no_text_at_all_means_the_defaults),
		cmocka_unit_test(text_that_names_nothing_means_the_defaults),
		cmocka_unit_test(empty_array_is_taken_from_a_client_only),
		cmocka_unit_test(texts_of_real_peers_are_read),
		cmocka_unit_test(every_member_of_a_reply_is_read),
		cmocka_unit_test(unknown_and_error_may_be_null),
		cmocka_unit_test(offered_may_be_out),
		cmocka_unit_test(unknown_members_are_reported_and_ignored),
		cmocka_unit_test(hostile_names_are_made_printable),
		cmocka_unit_test(long_lists_of_unknown_members_are_cut),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(text_without_its_nul_is_refused),
		cmocka_unit_test(bytes_after_the_nul_are_refused),
		cmocka_unit_test(text_after_the_json_value_is_refused),
		cmocka_unit_test(a_lone_nul_is_refused),
		cmocka_unit_test(text_beyond_the_size_limit_is_refused),
		cmocka_unit_test(json_values_of_every_form_are_taken),
		cmocka_unit_test(what_is_not_json_is_refused_where_it_goes_wrong),
		cmocka_unit_test(a_byte_order_mark_is_refused),
		cmocka_unit_test(faults_of_the_grammar_name_the_member),
		cmocka_unit_test(nesting_bombs_are_refused),
		cmocka_unit_test(very_many_members_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(any_corrupt_byte_is_survived),
		cmocka_unit_test(duplicate_members_are_refused_at_every_place),
		cmocka_unit_test(members_of_the_wrong_type_are_refused),
		cmocka_unit_test(text_that_is_no_object_is_refused),
		cmocka_unit_test(
			numbers_that_are_not_plain_digits_are_refused_as_written),
		cmocka_unit_test(numbers_beyond_64_bits_are_refused_as_written),
		cmocka_unit_test(numbers_too_long_for_any_use_are_refused_by_name),
		cmocka_unit_test(numbers_of_64_bits_are_held_exactly),
		cmocka_unit_test(long_or_hostile_values_are_shown_cut_and_printable),
		cmocka_unit_test(limits_are_those_of_the_protocol),
		cmocka_unit_test(a_reply_may_only_lower_what_was_offered),
		cmocka_unit_test(
			a_twin_socket_is_taken_only_if_offered_and_with_its_index),
		cmocka_unit_test(nothing_read_before_a_refusal_is_kept),
		cmocka_unit_test(a_lack_of_memory_is_told_as_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
