/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client.c: the handshake with servers that do it well, badly or not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cursor.h"
#include "vuser.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define EVENTS	      16
#define ROOM	      8192 /* for a message of the client's */
#define REPLY	      VUSER_TYPE_REPLY
#define CAPS_AT	      20u /* of the JSON in a message */

/* ---- A server that follows a script ------------------------------------------- */

/*
 * The script runs in a thread; once something went wrong in it the rest of it does
 * nothing. Afterwards what the client still sends is counted.
 */
struct peer {
	void (*script)(struct peer *p);
	const void *arg;
	int fd;
	pthread_t thread;
	const char *wrong;
	unsigned surplus;      /* messages the script did not ask for */
	struct vuser_header h; /* of the last message taken */
	uint8_t payload[ROOM];
	size_t len;
};

static void go_wrong(struct peer *p, const char *what)
{
	if (!p->wrong)
		p->wrong = what;
}

static bool get_message(struct peer *p)
{
	uint8_t head[VUSER_HEADER_SIZE];

	if (recv(p->fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
		return false;
	(void)vuser_header_decode(head, sizeof(head), &p->h, NULL);
	p->len = p->h.size - VUSER_HEADER_SIZE;
	return p->len <= ROOM && (!p->len || recv(p->fd, p->payload, p->len,
						  MSG_WAITALL) == (ssize_t)p->len);
}

static void take(struct peer *p, unsigned command)
{
	if (p->wrong)
		return;
	if (!get_message(p))
		go_wrong(p, "nothing came");
	else if (p->h.command != command)
		go_wrong(p, "another command came");
}

static void put_with(struct peer *p, const void *bytes, size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&msg) =
			(struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(int));
	}
	if (!p->wrong && sendmsg(p->fd, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		go_wrong(p, "the client takes no more");
}

/* A message about the last one taken: id and command are its own. */
static size_t reply_to(const struct peer *p, uint8_t *out, uint32_t flags, uint32_t err,
		       const void *payload, size_t len)
{
	struct vuser_header h = { .id = p->h.id,
				  .command = p->h.command,
				  .size = (uint32_t)(VUSER_HEADER_SIZE + len),
				  .flags = flags,
				  .error = err };

	vuser_header_encode(&h, out);
	if (len)
		memcpy(out + VUSER_HEADER_SIZE, payload, len);
	return VUSER_HEADER_SIZE + len;
}

/* A VERSION payload; json may be NULL. */
static size_t version_of(uint8_t *out, unsigned major, unsigned minor, const char *json)
{
	size_t len = json ? strlen(json) + 1 : 0;

	put_uint(out, 2, major);
	put_uint(out + 2, 2, minor);
	if (len)
		memcpy(out + 4, json, len);
	return 4 + len;
}

static void answer_version(struct peer *p, unsigned major, unsigned minor,
			   const char *json, int fd)
{
	uint8_t payload[ROOM], msg[VUSER_HEADER_SIZE + ROOM];

	take(p, VUSER_CMD_VERSION);
	put_with(p, msg,
		 reply_to(p, msg, REPLY, 0, payload,
			  version_of(payload, major, minor, json)),
		 fd);
}

static void *play(void *arg)
{
	struct peer *p = arg;

	p->script(p);
	while (!p->wrong && get_message(p))
		p->surplus++;
	close(p->fd);
	return NULL;
}

/* ---- A client connected to it ------------------------------------------------- */

struct rig {
	struct peer peer;
	struct vuser_client *client; /* NULL if the handshake failed */
	int result;
	struct vuser_error e;
	struct vuser_event events[EVENTS];
	size_t nevents;
};

static void note_event(void *arg, const struct vuser_event *ev)
{
	struct rig *r = arg;

	if (r->nevents < EVENTS)
		r->events[r->nevents++] = *ev;
}

static struct vuser_options patient_options(void)
{
	struct vuser_options o;

	vuser_options_default(&o);
	o.timeout = 30000000000;
	return o;
}

static struct rig *begin_with(void (*script)(struct peer *p), const void *arg,
			      struct vuser_options o)
{
	struct timeval patience = { .tv_sec = 30 };
	struct rig *r = calloc(1, sizeof(*r));
	int pair[2];

	assert_non_null(r);
	o.event = note_event;
	o.arg = r;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r->peer.script = script;
	r->peer.arg = arg;
	r->peer.fd = pair[1];
	assert_int_equal(pthread_create(&r->peer.thread, NULL, play, &r->peer), 0);
	r->result = vuser_client_attach(pair[0], &o, &r->client, &r->e);
	if (r->result)
		assert_int_equal(r->e.code, r->result);
	return r;
}

static struct rig *begin(void (*script)(struct peer *p), const void *arg)
{
	return begin_with(script, arg, patient_options());
}

static void end(struct rig *r)
{
	if (r->client)
		assert_int_equal(vuser_client_close(r->client), 0);
	pthread_join(r->peer.thread, NULL);
	if (r->peer.wrong)
		fail_msg("in the script: %s", r->peer.wrong);
	assert_int_equal(r->peer.surplus, 0);
	free(r);
}

static unsigned events_of(const struct rig *r, enum vuser_event_kind kind)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->nevents; i++)
		n += r->events[i].kind == kind;
	return n;
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

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
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
	assert_int_equal(r->nevents, 0);
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
	r = begin_with(say_least, NULL, o);
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
	assert_false(heard.present & VUSER_CAP_TWIN_SUPPORTED);
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
	r = begin_with(say_least, "{\"capabilities\":{\"write_multiple\":true}}", o);
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
		r = begin_with(say_least, NULL, o);
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
	r = begin_with(say_least, NULL, o);
	assert_opened(r);
	assert_int_equal(vuser_client_theirs(r->client)->max_dma_maps, 5);
	assert_int_equal(vuser_client_theirs(r->client)->migration_max_bitmap_size, 4096);
	end(r);
	r = begin_with(say_least, "{\"capabilities\":{\"max_dma_maps\":6}}", o);
	assert_refused(r, VUSER_E_PROTOCOL, CAPS_AT + 32, "max_dma_maps");
	end(r);
}

static void unknown_capabilities_are_told_and_do_no_harm(void **state)
{
	struct rig *r = begin(say_least, "{\"capabilities\":{\"colour\":\"blue\","
					 "\"migration\":{\"speed\":9}},\"x\":[]}");

	(void)state;
	assert_opened(r);
	assert_int_equal(events_of(r, VUSER_EVENT_UNKNOWN), 1);
	assert_string_equal(r->events[0].error.text,
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

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = begin(say_least, rows[i].json);

		assert_refused(r, VUSER_E_PROTOCOL, CAPS_AT + rows[i].at, rows[i].field);
		assert_non_null(strstr(r->e.text, rows[i].field));
		assert_non_null(strstr(r->e.text, rows[i].value));
		assert_int_equal(events_of(r, VUSER_EVENT_REFUSED), 1);
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
		assert_int_equal(events_of(r, VUSER_EVENT_REFUSED), 1);
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
	uint8_t payload[4] = { 0 }, msg[32];
	size_t len = *(const size_t *)p->arg;

	take(p, VUSER_CMD_VERSION);
	put_with(p, msg, reply_to(p, msg, REPLY, 0, payload, len), -1);
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
	uint8_t msg[64], payload[16] = { 0 };

	take(p, VUSER_CMD_VERSION);
	put_with(p, msg,
		 reply_to(p, msg, REPLY | VUSER_FLAG_ERROR, what->err, payload,
			  what->payload),
		 -1);
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

/* arg is how many bytes of a good reply are sent before the end. */
static void say_part(struct peer *p)
{
	uint8_t payload[ROOM], msg[VUSER_HEADER_SIZE + ROOM];
	size_t cut = *(const size_t *)p->arg;

	take(p, VUSER_CMD_VERSION);
	(void)reply_to(p, msg, REPLY, 0, payload, version_of(payload, 0, 2, "{}"));
	if (cut)
		put_with(p, msg, cut, -1);
	shutdown(p->fd, SHUT_RDWR);
}

static void a_server_may_leave_at_any_byte(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < VUSER_HEADER_SIZE + 4 + 3; cut++) {
		struct rig *r = begin(say_part, &cut);

		assert_refused(r, VUSER_E_CLOSED, VUSER_NO_OFFSET, "");
		assert_int_equal(events_of(r, VUSER_EVENT_LOST), 1);
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
	uint8_t msg[64], payload[4] = { 0 };

	take(p, VUSER_CMD_VERSION);
	if (p->arg)
		put_with(p, msg, reply_to(p, msg, REPLY, 0, payload, 4) - 1, -1);
}

static void silence_ends_with_the_timeout(void **state)
{
	struct vuser_options o = patient_options();

	(void)state;
	o.timeout = 40000000;
	for (unsigned part = 0; part < 2; part++) {
		struct rig *r = begin_with(say_nothing, part ? "a part" : NULL, o);

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
	unsigned before = open_fds();
	struct rig *r = begin(say_with_fd, "{}");

	(void)state;
	assert_refused(r, VUSER_E_PROTOCOL, 0, "fds");
	end(r);
	assert_int_equal(open_fds(), before);
}

static void the_twin_socket_comes_as_a_descriptor_if_it_was_offered(void **state)
{
	struct vuser_options o = patient_options();
	unsigned before = open_fds();
	struct rig *r;

	(void)state;
	o.caps.present |= VUSER_CAP_TWIN_SUPPORTED;
	o.caps.twin_supported = true;
	r = begin_with(say_with_fd, TWIN, o);
	assert_opened(r);
	assert_true(vuser_client_theirs(r->client)->twin_supported);
	end(r);
	assert_int_equal(open_fds(), before);
}

/* ---- Bytes that are no reply -------------------------------------------------- */

static void say_bytes(struct peer *p)
{
	take(p, VUSER_CMD_VERSION);
	put_with(p, p->arg, VUSER_HEADER_SIZE, -1);
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
		assert_int_equal(events_of(r, VUSER_EVENT_LOST), 1);
		end(r);
	}
}

static void say_other_command(struct peer *p)
{
	uint8_t msg[64], payload[4] = { 0 };

	take(p, VUSER_CMD_VERSION);
	p->h.command = VUSER_CMD_DEVICE_RESET;
	put_with(p, msg, reply_to(p, msg, REPLY, 0, payload, 4), -1);
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
	uint8_t msg[64], payload[4] = { 0 };

	take(p, VUSER_CMD_VERSION);
	p->h.id = (uint16_t)(p->h.id + 1);
	put_with(p, msg, reply_to(p, msg, REPLY, 0, payload, 4), -1);
	p->h.id = (uint16_t)(p->h.id - 1);
	put_with(p, msg, reply_to(p, msg, REPLY, 0, payload, 4), -1);
}

static void a_reply_with_another_id_is_told_and_the_right_one_awaited(void **state)
{
	struct rig *r = begin(say_stray_first, NULL);

	(void)state;
	assert_opened(r);
	assert_int_equal(events_of(r, VUSER_EVENT_UNEXPECTED), 1);
	end(r);
}

/* A server that asks for memory before it has answered. */
static void ask_first(struct peer *p)
{
	uint8_t msg[64], payload[16] = { 0 };
	struct vuser_header version;

	take(p, VUSER_CMD_VERSION);
	version = p->h;
	p->h = (struct vuser_header){ .id = 77, .command = VUSER_CMD_DMA_READ };
	put_uint(payload + 8, 8, 4);
	put_with(p, msg, reply_to(p, msg, VUSER_TYPE_COMMAND, 0, payload, 16), -1);
	take(p, VUSER_CMD_DMA_READ);
	if (p->h.id != 77 || p->h.flags != (REPLY | VUSER_FLAG_ERROR) ||
	    p->h.error != EFAULT || p->len)
		go_wrong(p, "the request was not answered EFAULT");
	p->h = version;
	memset(payload, 0, sizeof(payload));
	put_with(p, msg, reply_to(p, msg, REPLY, 0, payload, 4), -1);
}

static void requests_before_the_reply_are_answered(void **state)
{
	struct rig *r = begin(ask_first, NULL);

	(void)state;
	assert_opened(r);
	assert_int_equal(events_of(r, VUSER_EVENT_REQUEST), 1);
	end(r);
}

/* arg is how many bytes the reply has. */
static void say_large(struct peer *p)
{
	size_t size = *(const size_t *)p->arg;
	uint8_t *msg = calloc(1, size);
	ssize_t n;

	take(p, VUSER_CMD_VERSION);
	memset(msg, ' ', size);
	(void)reply_to(p, msg, REPLY, 0, "\0\0\0\0", 4);
	put_uint(msg + 4, 4, size);
	for (size_t sent = 0; sent < size; sent += (size_t)n) {
		n = send(p->fd, msg + sent, size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break; /* it left */
	}
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
		assert_int_equal(events_of(r, VUSER_EVENT_REFUSED), 1);
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
	char path[200] = "/tmp/";
	int pipes[2];

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
	r = begin_with(say_least, NULL, o); /* as long as it gets: it still fits */
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
	r = begin_with(greet_and_wait, NULL, o);
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
		cmocka_unit_test(the_twin_socket_comes_as_a_descriptor_if_it_was_offered),
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
