/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client.c: the handshake with servers that do it well, badly or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>

#define ROOM	8192 /* for a payload of the client's */
#define CAPS_AT 20u  /* of the JSON in a message */

#include "scripted_server.h"

static struct rig *begin(void (*script)(struct peer *p), const void *arg)
{
	return begin_ungreeted(script, arg, patient_options());
}

static void end(struct rig *r)
{
	end_with(r, 0);
}

static void assert_opened(const struct rig *r)
{
	if (r->result)
		fail_msg("not opened: %s", r->e.text);
	assert_non_null(r->client);
	assert_int_equal(vuser_client_lost(r->client, NULL), 0);
}

static void assert_refused(const struct rig *r, int code, size_t offset,
			   const char *field)
{
	assert_int_equal(r->result, code);
	assert_null(r->client);
	assert_int_equal(r->e.offset, offset);
	assert_string_equal(r->e.field, field);
}

/* ---- Good handshakes ---------------------------------------------------------- */

static void say_all(struct peer *p)
{
	answer_version(p, 0, 1,
		       "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096,"
		       "\"max_dma_maps\":7,\"pgsizes\":2101248,\"write_multiple\":true,"
		       "\"migration\":{\"pgsize\":8192,\"max_bitmap_size\":1024}}}",
		       -1);
}

static void what_both_sides_said_is_known_afterwards(void **state)
{
	struct rig *r = begin(say_all, NULL);
	const struct vuser_caps *theirs, *offered;

	(void)state;
	assert_opened(r);
	assert_int_equal(vuser_client_version(r->client).major, 0);
	assert_int_equal(vuser_client_version(r->client).minor, 1);
	theirs = vuser_client_theirs(r->client);
	assert_int_equal(theirs->max_msg_fds, 8);
	assert_int_equal(theirs->max_data_xfer_size, 4096);
	assert_int_equal(theirs->max_dma_maps, 7);
	assert_int_equal(theirs->pgsizes, 2101248);
	assert_int_equal(theirs->migration_pgsize, 8192);
	assert_int_equal(theirs->migration_max_bitmap_size, 1024);
	assert_true(theirs->write_multiple);
	offered = vuser_client_offered(r->client);
	assert_int_equal(offered->max_msg_fds, 16);
	assert_int_equal(offered->max_dma_maps, 65535);
	assert_int_equal(r->events.n, 0);
	end(r);
}

static void say_least(struct peer *p)
{
	answer_version(p, 0, 0, p->arg, -1);
}

static void a_server_that_names_nothing_has_the_defaults(void **state)
{
	static const char *const texts[] = { NULL, "{}", "{\"capabilities\":{}}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct rig *r = begin(say_least, texts[i]);
		const struct vuser_caps *theirs;

		assert_opened(r);
		theirs = vuser_client_theirs(r->client);
		assert_int_equal(theirs->present, 0);
		assert_int_equal(theirs->max_msg_fds, 1);
		assert_int_equal(theirs->max_data_xfer_size, 1048576);
		assert_int_equal(theirs->max_dma_maps, 65535);
		assert_int_equal(theirs->pgsizes, 4096);
		assert_false(theirs->write_multiple);
		assert_int_equal(vuser_client_version(r->client).minor, 0);
		end(r);
	}
}

static void the_proposal_holds_version_and_capabilities(void **state)
{
	struct vuser_options o = patient_options();
	struct vuser_caps heard;
	uint16_t numbers[2];
	struct rig *r;

	(void)state;
	o.caps.max_dma_maps = 12345;
	r = begin_ungreeted(say_least, NULL, o);
	assert_opened(r);
	assert_int_equal(r->peer.h.flags, 0);
	assert_int_equal(r->peer.h.error, 0);
	memcpy(numbers, r->peer.payload, sizeof(numbers));
	assert_int_equal(numbers[0], 0);
	assert_int_equal(numbers[1], 2);
	assert_int_equal(vuser_caps_decode((const char *)r->peer.payload + 4,
					   r->peer.len - 4, VUSER_CAPS_OF_CLIENT, NULL,
					   &heard, NULL, &r->e),
			 0);
	assert_int_equal(heard.present, o.caps.present);
	assert_int_equal(heard.max_msg_fds, 16);
	assert_int_equal(heard.max_dma_maps, 12345);
	assert_true(heard.write_multiple);
	assert_true(heard.twin_supported);
	end(r);
}

static void members_left_out_count_as_their_default(void **state)
{
	struct vuser_options o = patient_options();
	struct vuser_multi_entry entry = { .count = 0 };
	const struct vuser_caps *offered;
	uint64_t done;
	struct rig *r;

	(void)state;
	o.caps.max_data_xfer_size = UINT64_MAX;
	o.caps.max_dma_maps = 1;
	o.caps.present = 0;
	r = begin_ungreeted(say_least, "{\"capabilities\":{\"write_multiple\":true}}", o);
	assert_opened(r);
	offered = vuser_client_offered(r->client);
	assert_int_equal(offered->max_data_xfer_size, 1048576);
	assert_int_equal(offered->max_dma_maps, 65535);
	assert_int_equal(vuser_client_theirs(r->client)->max_dma_maps, 65535);
	assert_int_equal(vuser_write_multi(r->client, &entry, 1, &done, &r->e),
			 VUSER_E_USAGE);
	assert_int_equal(r->e.err, ENOTSUP);
	end(r);
}

static void an_offer_beyond_all_sizes_does_no_harm(void **state)
{
	static const uint64_t sizes[] = { UINT64_MAX, UINT64_MAX - 65535, UINT32_MAX };
	struct vuser_options o = patient_options();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rig *r;

		o.caps.max_data_xfer_size = sizes[i];
		r = begin_ungreeted(say_least, NULL, o);
		assert_opened(r);
		end(r);
	}
}

static void a_server_cannot_raise_what_was_offered(void **state)
{
	struct vuser_options o = patient_options();
	struct rig *r;

	(void)state;
	o.caps.max_dma_maps = 5;
	o.caps.migration_max_bitmap_size = 4096;
	r = begin_ungreeted(say_least, NULL, o);
	assert_opened(r);
	assert_int_equal(vuser_client_theirs(r->client)->max_dma_maps, 5);
	assert_int_equal(vuser_client_theirs(r->client)->migration_max_bitmap_size, 4096);
	end(r);
	r = begin_ungreeted(say_least, "{\"capabilities\":{\"max_dma_maps\":6}}", o);
	assert_refused(r, VUSER_E_PROTOCOL, CAPS_AT + 32, "max_dma_maps");
	end(r);
}

static void unknown_capabilities_are_told_and_do_no_harm(void **state)
{
	struct rig *r = begin(say_least, "{\"capabilities\":{\"colour\":\"blue\","
					 "\"migration\":{\"speed\":9}},\"x\":[]}");

	(void)state;
	assert_opened(r);
	assert_int_equal(r->events.of[VUSER_EVENT_UNKNOWN], 1);
	assert_string_equal(r->events.first.error.text,
			    "capabilities not known here: colour, migration.speed, x");
	end(r);
}

/* ---- Replies that are refused ------------------------------------------------- */

#define TWIN                                  \
	"{\"capabilities\":{\"twin_socket\":" \
	"{\"supported\":true,\"fd_index\":0}}}"

static void refused_capabilities_are_named_with_value_and_offset(void **state)
{
	static const struct {
		const char *json, *field, *value;
		size_t at;
	} rows[] = {
		/* {"capabilities":{"max_msg_fds": is 31 bytes */
		{ "{\"capabilities\":{\"max_msg_fds\":17}}", "max_msg_fds", "17", 31 },
		{ "{\"capabilities\":{\"max_msg_fds\":\"8\"}}", "max_msg_fds", "\"8\"",
		  31 },
		{ "{\"capabilities\":{\"max_msg_fds\":-1}}", "max_msg_fds", "-1", 31 },
		{ "{\"capabilities\":{\"max_msg_fds\":1.5}}", "max_msg_fds", "1.5", 31 },
		{ "{\"capabilities\":{\"max_data_xfer_size\":67108865}}",
		  "max_data_xfer_size", "67108865", 38 },
		{ "{\"capabilities\":{\"max_data_xfer_size\":0}}", "max_data_xfer_size",
		  "0", 38 },
		{ "{\"capabilities\":{\"max_dma_maps\":65536}}", "max_dma_maps", "65536",
		  32 },
		{ "{\"capabilities\":{\"pgsizes\":2048}}", "pgsizes", "2048", 27 },
		{ "{\"capabilities\":{\"migration\":{\"pgsize\":100}}}",
		  "migration.pgsize", "100", 39 },
		{ "{\"capabilities\":{\"migration\":{\"max_bitmap_size\":268435457}}}",
		  "migration.max_bitmap_size", "268435457", 48 },
		{ "{\"capabilities\":{\"write_multiple\":1}}", "write_multiple", "1",
		  34 },
		{ TWIN, "twin_socket.supported", "true", 44 },
		{ "{\"capabilities\":7}", "capabilities", "7", 16 },
		{ "[]", "version data", "[]", 0 },
	};

	struct vuser_options o = patient_options();

	(void)state;
	o.caps.twin_supported = false;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin_ungreeted(say_least, rows[i].json, o);

		assert_refused(r, VUSER_E_PROTOCOL, CAPS_AT + rows[i].at, rows[i].field);
		assert_non_null(strstr(r->e.text, rows[i].field));
		assert_non_null(strstr(r->e.text, rows[i].value));
		assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], 1);
		end(r);
	}
}

static void text_that_is_no_json_is_refused_where_it_goes_wrong(void **state)
{
	struct rig *r = begin(say_least, "{\"capabilities\":{]}");

	(void)state;
	assert_refused(r, VUSER_E_PROTOCOL, CAPS_AT + 17, "capabilities");
	end(r);
}

static void say_numbers(struct peer *p)
{
	const unsigned *numbers = p->arg;

	answer_version(p, numbers[0], numbers[1], "{}", -1);
}

static void versions_that_were_not_proposed_are_refused(void **state)
{
	static const unsigned bad[][2] = {
		{ 1, 0 }, { 0xffff, 2 }, { 0, 3 }, { 0, 0xffff }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *r = begin(say_numbers, bad[i]);

		assert_refused(r, VUSER_E_PROTOCOL, bad[i][0] ? 16 : 18,
			       bad[i][0] ? "major" : "minor");
		assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], 1);
		end(r);
	}
}

static void every_version_up_to_the_proposed_is_taken(void **state)
{
	static const unsigned good[][2] = { { 0, 0 }, { 0, 1 }, { 0, 2 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct rig *r = begin(say_numbers, good[i]);

		assert_opened(r);
		assert_int_equal(vuser_client_version(r->client).minor, good[i][1]);
		end(r);
	}
}

/* arg is the payload's length; of a good one only so much is sent. */
static void say_short(struct peer *p)
{
	uint8_t payload[4] = { 0 };
	size_t len = *(const size_t *)p->arg;

	take(p, VUSER_CMD_VERSION);
	answer_with(p, REPLY, 0, "", NULL, payload, len, NULL, 0);
}

static void a_reply_without_its_numbers_is_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < 4; len++) {
		struct rig *r = begin(say_short, &len);

		assert_refused(r, VUSER_E_PROTOCOL, 16 + len,
			       len < 2 ? "major" : "minor");
		end(r);
	}
}

struct error_reply {
	uint32_t err;
	size_t payload;
};

static void say_error(struct peer *p)
{
	const struct error_reply *what = p->arg;
	uint8_t payload[16] = { 0 };

	take(p, VUSER_CMD_VERSION);
	answer_with(p, REPLY | VUSER_FLAG_ERROR, what->err, "", NULL, payload,
		    what->payload, NULL, 0);
}

static void an_error_reply_is_the_servers_word(void **state)
{
	static const struct error_reply rows[] = {
		{ EINVAL, 0 }, { 0, 0 }, { EPERM, 16 } /* some send a payload */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin(say_error, &rows[i]);

		assert_refused(r, VUSER_E_REMOTE, VUSER_NO_OFFSET, "");
		assert_int_equal(r->e.err, rows[i].err);
		end(r);
	}
}

/* A good reply, but only the first len bytes of it. */
static void answer_in_part(struct peer *p, const char *form, const uint64_t *v,
			   size_t len)
{
	uint8_t msg[64];

	take(p, VUSER_CMD_VERSION);
	(void)pack_message(msg, answer_head(p, REPLY, 0), form, v);
	put_bytes(p, msg, len);
}

/* arg is how many bytes of a good reply are sent before the end. */
static void say_part(struct peer *p)
{
	answer_in_part(p, "22111", VALUES(0, 2, '{', '}', 0), *(const size_t *)p->arg);
	shutdown(p->fd, SHUT_RDWR);
}

static void a_server_may_leave_at_any_byte(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < VUSER_HEADER_SIZE + 4 + 3; cut++) {
		struct rig *r = begin(say_part, &cut);

		assert_refused(r, VUSER_E_CLOSED, VUSER_NO_OFFSET, "");
		assert_int_equal(r->events.of[VUSER_EVENT_LOST], 1);
		end(r);
	}
}

static void leave_at_once(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR);
	(void)get_message(p); /* it may have come before */
}

static void a_server_may_leave_without_a_word(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) { /* before or after the proposal is sent */
		struct rig *r = begin(leave_at_once, NULL);

		assert_int_equal(r->result, VUSER_E_CLOSED);
		end(r);
	}
}

static void say_nothing(struct peer *p)
{
	if (p->arg)
		answer_in_part(p, "22", VALUES(0, 0), VUSER_HEADER_SIZE + 3);
	else
		take(p, VUSER_CMD_VERSION);
}

static void silence_ends_with_the_timeout(void **state)
{
	struct vuser_options o = patient_options();

	(void)state;
	o.timeout = 40000000;
	for (unsigned part = 0; part < 2; part++) {
		struct rig *r = begin_ungreeted(say_nothing, part ? "a part" : NULL, o);

		assert_refused(r, VUSER_E_TIMEOUT, VUSER_NO_OFFSET, "");
		assert_int_equal(r->e.err, ETIMEDOUT);
		end(r);
	}
}

static void say_with_fd(struct peer *p)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	answer_version(p, 0, 2, p->arg, fd);
	close(fd);
}

static void a_descriptor_nobody_asked_for_is_refused_and_closed(void **state)
{
	struct vuser_options o = patient_options();
	unsigned before = open_fds();

	(void)state;
	for (int offered = 0; offered < 2; offered++) {
		struct rig *r;

		o.caps.twin_supported = offered;
		r = begin_ungreeted(say_with_fd, "{}", o);
		assert_refused(r, VUSER_E_PROTOCOL, 0, "fds");
		assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], 1);
		end(r);
	}
	assert_int_equal(open_fds(), before);
}

/* ---- Bytes that are no reply -------------------------------------------------- */

static void say_bytes(struct peer *p)
{
	take(p, VUSER_CMD_VERSION);
	put_bytes(p, p->arg, VUSER_HEADER_SIZE);
}

static void garbage_is_refused_where_it_is_no_header(void **state)
{
	static const struct {
		const char *bytes, *field;
		size_t offset;
	} rows[] = {
		/* id 0, command 1, size 15 and 0: a header has 16 bytes */
		{ "\0\0\1\0\17\0\0\0\1\0\0\0\0\0\0\0", "size", 4 },
		{ "\0\0\1\0\0\0\0\0\1\0\0\0\0\0\0\0", "size", 4 },
		/* type 2, type 15 */
		{ "\0\0\1\0\20\0\0\0\2\0\0\0\0\0\0\0", "flags", 8 },
		{ "\0\0\1\0\20\0\0\0\17\0\0\0\0\0\0\0", "flags", 8 },
		/* text: 'O' as flags is type 15 */
		{ "SSH-2.0-OpenSSH\n", "flags", 8 },
		{ "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377",
		  "flags", 8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin(say_bytes, rows[i].bytes);

		assert_refused(r, VUSER_E_PROTOCOL, rows[i].offset, rows[i].field);
		assert_int_equal(r->events.of[VUSER_EVENT_LOST], 1);
		end(r);
	}
}

static void say_other_command(struct peer *p)
{
	take(p, VUSER_CMD_VERSION);
	p->h.command = VUSER_CMD_DEVICE_RESET;
	answer(p, "4", VALUES(0));
}

static void a_reply_to_another_command_is_refused(void **state)
{
	struct rig *r = begin(say_other_command, NULL);

	(void)state;
	assert_refused(r, VUSER_E_PROTOCOL, 2, "command");
	end(r);
}

static void say_stray_first(struct peer *p)
{
	take(p, VUSER_CMD_VERSION);
	p->h.id = (uint16_t)(p->h.id + 1);
	answer(p, "4", VALUES(0));
	p->h.id = (uint16_t)(p->h.id - 1);
	answer(p, "4", VALUES(0));
}

static void a_reply_with_another_id_is_told_and_the_right_one_awaited(void **state)
{
	struct rig *r = begin(say_stray_first, NULL);

	(void)state;
	assert_opened(r);
	assert_int_equal(r->events.of[VUSER_EVENT_UNEXPECTED], 1);
	end(r);
}

/* A server that asks for memory before it has answered. */
static void ask_first(struct peer *p)
{
	struct vuser_header version, ask = { .id = 77, .command = VUSER_CMD_DMA_READ };

	take(p, VUSER_CMD_VERSION);
	version = p->h;
	put(p, ask, "88", VALUES(0, 4), NULL, 0, NULL, 0);
	take(p, VUSER_CMD_DMA_READ);
	if (p->h.id != 77 || p->h.flags != (REPLY | VUSER_FLAG_ERROR) ||
	    p->h.error != EFAULT || p->len)
		go_wrong(p, "the request was not answered EFAULT");
	p->h = version;
	answer(p, "4", VALUES(0));
}

static void requests_before_the_reply_are_answered(void **state)
{
	struct rig *r = begin(ask_first, NULL);

	(void)state;
	assert_opened(r);
	assert_int_equal(r->events.of[VUSER_EVENT_REQUEST], 1);
	end(r);
}

/* arg is how many bytes the reply has. */
static void say_large(struct peer *p)
{
	size_t size = *(const size_t *)p->arg;
	uint8_t *msg = malloc(size);

	take(p, VUSER_CMD_VERSION);
	memset(msg, ' ', size);
	(void)pack_message(msg, answer_head(p, REPLY, 0), "22", VALUES(0, 0));
	put_uint(msg + 4, 4, size);
	(void)send_bytes(p->fd, msg, size, NULL, 0); /* it may leave meanwhile */
	free(msg);
}

static void oversized_replies_are_refused(void **state)
{
	/* one byte too many, more than is kept of any message, and much more */
	static const size_t sizes[] = { VUSER_HEADER_SIZE + 4 + VUSER_MAX_CAPS_JSON + 1,
					2 << 20, 16 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rig *r = begin(say_large, &sizes[i]);

		assert_refused(r, VUSER_E_PROTOCOL, 4, "size");
		assert_int_equal(r->events.of[VUSER_EVENT_REFUSED], 1);
		end(r);
	}
}

static void the_largest_text_is_still_read(void **state)
{
	size_t size = VUSER_HEADER_SIZE + 4 + VUSER_MAX_CAPS_JSON;
	struct rig *r = begin(say_large, &size);

	(void)state;
	/* All of it is blanks, without a NUL. */
	assert_refused(r, VUSER_E_PROTOCOL, CAPS_AT + VUSER_MAX_CAPS_JSON,
		       "version data");
	end(r);
}

/* ---- Opening and closing ------------------------------------------------------ */

static void what_cannot_be_opened_says_why(void **state)
{
	struct vuser_options o = patient_options();
	unsigned before = open_fds();
	struct vuser_client *c;
	struct vuser_error e;
	struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
	char path[200] = "/tmp/";
	int pipes[2], lonely;

	(void)state;
	assert_int_equal(vuser_client_close(NULL), 0);
	assert_int_equal(vuser_client_open("", &o, &c, &e), VUSER_E_USAGE);
	memset(path + 5, 'x', 150);
	assert_int_equal(vuser_client_open(path, &o, &c, &e), VUSER_E_USAGE);
	assert_int_equal(e.err, ENAMETOOLONG);
	assert_int_equal(vuser_client_open("/nowhere/at/all", &o, &c, &e),
			 VUSER_E_CLOSED);
	assert_int_equal(e.err, ENOENT);
	assert_int_equal(vuser_client_open("/proc/self/exe", &o, &c, &e), VUSER_E_CLOSED);
	assert_int_equal(vuser_client_attach(-1, &o, &c, &e), VUSER_E_USAGE);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(vuser_client_attach(pipes[0], &o, &c, &e), VUSER_E_USAGE);
	close(pipes[1]);
	lonely = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(lonely, (struct sockaddr *)&unnamed, sizeof(sa_family_t)),
			 0);
	assert_int_equal(vuser_client_attach(dup(lonely), &o, &c, &e), VUSER_E_CLOSED);
	assert_int_equal(e.err, ENOTCONN);
	assert_int_equal(listen(lonely, 1), 0);
	assert_int_equal(vuser_client_attach(lonely, &o, &c, &e), VUSER_E_CLOSED);
	assert_int_equal(e.err, ENOTCONN);
	assert_string_equal(e.field, "");
	assert_int_equal(open_fds(), before);
}

static void options_that_cannot_be_written_are_refused(void **state)
{
	struct vuser_options o = patient_options();
	struct rig *r;

	(void)state;
	o.caps.present = ~0u;
	o.caps.twin_fd_index = UINT64_MAX;
	o.caps.pgsizes = o.caps.max_dma_maps = o.caps.max_data_xfer_size = UINT64_MAX;
	r = begin_ungreeted(say_least, NULL, o); /* as long as it gets: it still fits */
	assert_opened(r);
	end(r);
}

static void greet_and_wait(struct peer *p)
{
	answer_version(p, 0, 2, NULL, -1);
	take(p, VUSER_CMD_DEVICE_RESET);
	take(p, VUSER_CMD_DEVICE_RESET);
}

static void requests_that_were_given_up_are_not_outstanding(void **state)
{
	struct vuser_options o = patient_options();
	struct vuser_raw_reply reply;
	struct vuser_header h = { .id = 0x4000,
				  .command = VUSER_CMD_DEVICE_RESET,
				  .size = VUSER_HEADER_SIZE };
	uint8_t msg[VUSER_HEADER_SIZE];
	struct rig *r;

	(void)state;
	o.timeout = 20000000;
	r = begin_ungreeted(greet_and_wait, NULL, o);
	assert_opened(r);
	assert_int_equal(vuser_reset(r->client, &r->e), VUSER_E_TIMEOUT);
	vuser_header_encode(&h, msg);
	assert_int_equal(
		vuser_raw(r->client, msg, sizeof(msg), NULL, 0, 1, &reply, &r->e),
		VUSER_E_TIMEOUT);
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_both_sides_said_is_known_afterwards),
		cmocka_unit_test(a_server_that_names_nothing_has_the_defaults),
		cmocka_unit_test(the_proposal_holds_version_and_capabilities),
		cmocka_unit_test(members_left_out_count_as_their_default),
		cmocka_unit_test(an_offer_beyond_all_sizes_does_no_harm),
		cmocka_unit_test(a_server_cannot_raise_what_was_offered),
		cmocka_unit_test(unknown_capabilities_are_told_and_do_no_harm),
		cmocka_unit_test(refused_capabilities_are_named_with_value_and_offset),
		cmocka_unit_test(text_that_is_no_json_is_refused_where_it_goes_wrong),
		cmocka_unit_test(versions_that_were_not_proposed_are_refused),
		cmocka_unit_test(every_version_up_to_the_proposed_is_taken),
		cmocka_unit_test(a_reply_without_its_numbers_is_refused),
		cmocka_unit_test(an_error_reply_is_the_servers_word),
		cmocka_unit_test(a_server_may_leave_at_any_byte),
		cmocka_unit_test(a_server_may_leave_without_a_word),
		cmocka_unit_test(silence_ends_with_the_timeout),
		cmocka_unit_test(a_descriptor_nobody_asked_for_is_refused_and_closed),
		cmocka_unit_test(garbage_is_refused_where_it_is_no_header),
		cmocka_unit_test(a_reply_to_another_command_is_refused),
		cmocka_unit_test(
			a_reply_with_another_id_is_told_and_the_right_one_awaited),
		cmocka_unit_test(requests_before_the_reply_are_answered),
		cmocka_unit_test(oversized_replies_are_refused),
		cmocka_unit_test(the_largest_text_is_still_read),
		cmocka_unit_test(what_cannot_be_opened_says_why),
		cmocka_unit_test(options_that_cannot_be_written_are_refused),
		cmocka_unit_test(requests_that_were_given_up_are_not_outstanding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
