/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the engine's sending: many messages in one call, many writes in one message.
 */
#include "cursor.h"
#include "script_peer.h"

#define READ  VUSER_CMD_REGION_READ
#define WRITE VUSER_CMD_REGION_WRITE
#define MULTI VUSER_CMD_REGION_WRITE_MULTI
#define MAP   VUSER_CMD_DMA_MAP

/* ---- Corks --------------------------------------------------------------------- */

/* Each system call is one packet here. */
static void rig_packets(struct rig *r)
{
	rig_init(r);
	r->type = SOCK_SEQPACKET;
	rig_start(r);
}

static size_t packet(struct rig *r)
{
	static uint8_t buf[1 << 18];
	ssize_t n = recv(r->fd, buf, sizeof(buf), MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static void what_is_corked_goes_in_one_call(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_packets(&r);
	for (int i = 0; i < 3; i++)
		post(&r, WRITE, 4);
	for (int i = 0; i < 3; i++)
		assert_int_equal(packet(&r), 20); /* each by itself */
	proxy_cork(r.p, true);
	for (int i = 0; i < 3; i++)
		post(&r, WRITE, 4);
	x = start(&r, READ);
	proxy_cork(r.p, true); /* twice: to be taken off twice */
	proxy_cork(r.p, false);
	assert_int_equal(packet(&r), 0);
	proxy_cork(r.p, false);
	assert_int_equal(packet(&r), 76);
	peer_reply(&r, 6, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	proxy_cork(r.p, false); /* once too often does not harm */
	post(&r, WRITE, 4);
	assert_int_equal(packet(&r), 20);
	assert_int_equal(rig_close(&r), 0);
}

static void a_wait_sends_what_is_corked(void **state)
{
	struct vuser_exchange *x;
	struct rig r;

	(void)state;
	rig_packets(&r);
	proxy_cork(r.p, true);
	post(&r, WRITE, 4);
	x = start(&r, READ);
	peer_reply(&r, 1, READ, NULL, 0);
	assert_int_equal(finish(&r, x, LONG), 0);
	assert_int_equal(packet(&r), 36);
	assert_int_equal(rig_close(&r), 0);
}

static void a_cork_holds_some_64_kib(void **state)
{
	size_t n = 0;
	struct rig r;

	(void)state;
	rig_packets(&r);
	proxy_cork(r.p, true);
	while (!packet(&r)) {
		post(&r, WRITE, 240);
		n += 256;
		assert_true(n <= PROXY_CORK_BYTES);
	}
	assert_int_equal(n, PROXY_CORK_BYTES);
	assert_int_equal(rig_close(&r), 0);
}

/* ---- Gathering ----------------------------------------------------------------- */

/* A posted write of count bytes at the offset, to region 2; the data say the offset, too.
 */
static void write_posted(struct rig *r, uint64_t offset, uint32_t count)
{
	uint8_t payload[16], data[64];
	struct vuser_exchange *x;

	put_uint(payload, 8, offset);
	put_uint(payload + 8, 4, 2);
	put_uint(payload + 12, 4, count);
	memset(data, (int)offset, sizeof(data));
	x = proxy_build(r->p, WRITE, payload, sizeof(payload), data, count, &r->e);
	assert_non_null(x);
	x->h.flags |= VUSER_FLAG_NO_REPLY;
	x->gathered = count <= VUSER_MULTI_BYTES;
	assert_int_equal(proxy_start(r->p, x, EXCHANGE_ASYNC, &r->e), 0);
}

/* The next message: so many writes, from this offset on, count bytes each. */
static struct vuser_header expect_writes(struct rig *r, uint64_t n, uint64_t offset,
					 uint32_t count)
{
	struct vuser_multi_entry entry;
	struct vuser_payload p;
	struct message m;

	assert_true(peer_get(r, &m));
	assert_int_equal(m.h.command, n > 1 ? MULTI : WRITE);
	assert_int_equal(m.h.flags, VUSER_FLAG_NO_REPLY);
	assert_int_equal(vuser_payload_decode(m.h.command, false,
					      m.bytes + VUSER_HEADER_SIZE,
					      m.len - VUSER_HEADER_SIZE, &p, &r->e),
			 0);
	if (n == 1) {
		assert_int_equal(p.u.access.offset, offset);
		assert_int_equal(p.u.access.count, count);
		assert_int_equal(p.tail_len, count);
		return m.h;
	}
	assert_int_equal(p.u.multi.wr_cnt, n);
	for (uint64_t i = 0; i < n; i++) {
		vuser_multi_get(&p, i, &entry);
		assert_int_equal(entry.offset, offset + i);
		assert_int_equal(entry.region, 2);
		assert_int_equal(entry.count, count);
		for (uint32_t b = 0; b < VUSER_MULTI_BYTES; b++)
			assert_int_equal(entry.data[b],
					 b < count ? (uint8_t)(offset + i) : 0);
	}
	return m.h;
}

/* A queue just long enough, of writes from offset 0 on. */
static void rig_gathering(struct rig *r)
{
	rig_init(r);
	rig_start(r);
	proxy_set_coalesce(r->p, true, true);
	proxy_cork(r->p, true);
	for (unsigned i = 0; i < PROXY_COALESCE_AT; i++)
		write_posted(r, i, 4);
	assert_int_equal(rig_stats(r).queued, PROXY_COALESCE_AT);
}

static void expect_ungathered(struct rig *r, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		expect_writes(r, 1, first + i, 4);
}

static void writes_are_gathered_when_the_queue_is_long_at_most_200(void **state)
{
	struct rig r;

	(void)state;
	rig_gathering(&r);
	for (unsigned i = 8; i < 7 + 200 + 2; i++)
		write_posted(&r, i, 4);
	assert_int_equal(rig_stats(&r).queued, 9);
	proxy_cork(r.p, false);
	expect_ungathered(&r, 0, 7);
	expect_writes(&r, 200, 7, 4);
	expect_writes(&r, 2, 207, 4);
	assert_true(peer_idle(&r));
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void writes_of_any_size_up_to_8_bytes_are_gathered(void **state)
{
	struct rig r;

	(void)state;
	for (uint32_t count = 0; count <= 10; count++) {
		rig_gathering(&r);
		post(&r, MULTI, 0);
		for (unsigned i = 0; i < 3; i++)
			write_posted(&r, i, count);
		proxy_cork(r.p, false);
		expect_ungathered(&r, 0, 8);
		peer_expect(&r, MULTI, VUSER_FLAG_NO_REPLY);
		if (count <= 8)
			expect_writes(&r, 3, 0, count);
		for (unsigned i = 0; count > 8 && i < 3; i++)
			expect_writes(&r, 1, i, count);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void other_messages_keep_their_place_among_writes(void **state)
{
	struct rig r;

	(void)state;
	rig_gathering(&r);
	write_posted(&r, 8, 4);
	assert_int_equal(proxy_start(r.p, build(&r, MAP, 0), EXCHANGE_NOWAIT, &r.e), 0);
	write_posted(&r, 20, 4);
	write_posted(&r, 21, 4);
	write_posted(&r, 22, 12); /* too long */
	write_posted(&r, 23, 4);
	write_posted(&r, 24, 4);
	write_posted(&r, 25, 4);
	proxy_cork(r.p, false);
	expect_ungathered(&r, 0, 7);
	expect_writes(&r, 2, 7, 4);
	peer_reply(&r, peer_expect(&r, MAP, 0).id, MAP, NULL, 0);
	expect_writes(&r, 2, 20, 4);
	expect_writes(&r, 1, 22, 12);
	expect_writes(&r, 3, 23, 4);
	assert_int_equal(proxy_settle(r.p, &r.e), 0);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

static void nothing_is_gathered_unless_allowed_and_agreed(void **state)
{
	struct rig r;

	(void)state;
	for (int how = 0; how < 3; how++) {
		rig_gathering(&r);
		proxy_set_coalesce(r.p, how == 1, how == 2);
		for (unsigned i = 8; i < 30; i++)
			write_posted(&r, i, 4);
		proxy_cork(r.p, false);
		expect_ungathered(&r, 0, 30);
		check_in_step(&r);
		assert_int_equal(rig_close(&r), 0);
	}
}

static void a_reply_to_gathered_writes_is_known_as_that(void **state)
{
	struct rig r;

	(void)state;
	rig_gathering(&r);
	for (unsigned i = 8; i < 7 + 200; i++)
		write_posted(&r, i, 4);
	proxy_cork(r.p, false);
	expect_ungathered(&r, 0, 7);
	peer_error(&r, expect_writes(&r, 200, 7, 4).id, MULTI, EINVAL);
	process(&r);
	assert_int_equal(r.events[VUSER_EVENT_POSTED], 1);
	check_in_step(&r);
	assert_int_equal(rig_close(&r), 0);
}

/* Answers the handshake: 0.2, and whether write_multiple is known. */
static struct vuser_client *open_client(struct rig *r, bool agreed)
{
	static const char json[] = "{\"capabilities\":{\"write_multiple\":true}}";
	uint8_t payload[4 + sizeof(json)] = { 0, 0, 2, 0 };
	struct vuser_client *c = NULL;
	struct vuser_options o;
	int sv[2];

	rig_init(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	r->fd = sv[1];
	memcpy(payload + 4, json, sizeof(json));
	peer_reply(r, 0, VUSER_CMD_VERSION, payload, agreed ? sizeof(payload) : 4);
	vuser_options_default(&o);
	o.lax = true; /* no questions about regions */
	assert_int_equal(vuser_client_attach(sv[0], &o, &c, &r->e), 0);
	peer_expect(r, VUSER_CMD_VERSION, 0);
	return c;
}

static void close_client(struct rig *r, struct vuser_client *c)
{
	assert_int_equal(vuser_client_close(c), 0);
	peer_close(r);
	assert_int_equal(count_fds(), r->fds_before);
}

static void a_client_gathers_small_writes_if_agreed_and_not_switched_off(void **state)
{
	/* agreed, switched off, bytes of a write: are they gathered? */
	static const struct {
		bool agreed, off;
		size_t count;
		bool gathered;
	} cases[] = {
		{ true, false, 1, true },  { true, false, 8, true },
		{ true, false, 9, false }, { false, false, 8, false },
		{ true, true, 8, false },
	};
	static const uint8_t data[9];
	struct vuser_client *c;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		c = open_client(&r, cases[i].agreed);
		vuser_client_set_posting(c, true, !cases[i].off);
		vuser_cork(c, true);
		for (uint64_t n = 0; n < PROXY_COALESCE_AT + 4; n++)
			assert_int_equal(
				vuser_write(c, 2, n, data, cases[i].count, true, &r.e),
				0);
		vuser_cork(c, false);
		for (unsigned n = 0; n < PROXY_COALESCE_AT - 1; n++)
			peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
		if (cases[i].gathered)
			peer_expect(&r, MULTI, VUSER_FLAG_NO_REPLY);
		for (unsigned n = 0; !cases[i].gathered && n < 5; n++)
			peer_expect(&r, WRITE, VUSER_FLAG_NO_REPLY);
		assert_true(peer_idle(&r));
		close_client(&r, c);
	}
}

static void a_client_that_may_not_post_waits(void **state)
{
	/* offset 4, region 2, count 1 */
	static const uint8_t reply[16] = { 4, [8] = 2, [12] = 1 };
	struct vuser_client *c;
	struct rig r;

	(void)state;
	c = open_client(&r, true);
	vuser_client_set_posting(c, false, true);
	peer_reply(&r, 1, WRITE, reply, sizeof(reply));
	assert_int_equal(vuser_write(c, 2, 4, reply, 1, true, &r.e), 0);
	peer_expect(&r, WRITE, 0);
	close_client(&r, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_corked_goes_in_one_call),
		cmocka_unit_test(a_wait_sends_what_is_corked),
		cmocka_unit_test(a_cork_holds_some_64_kib),
		cmocka_unit_test(writes_are_gathered_when_the_queue_is_long_at_most_200),
		cmocka_unit_test(writes_of_any_size_up_to_8_bytes_are_gathered),
		cmocka_unit_test(other_messages_keep_their_place_among_writes),
		cmocka_unit_test(nothing_is_gathered_unless_allowed_and_agreed),
		cmocka_unit_test(a_reply_to_gathered_writes_is_known_as_that),
		cmocka_unit_test(
			a_client_gathers_small_writes_if_agreed_and_not_switched_off),
		cmocka_unit_test(a_client_that_may_not_post_waits),
	};

	alarm(300); /* nothing may hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
