/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_migration.c: states, and the data of them. */
#include <sched.h>
#include <sys/mman.h>

#include "feature_rig.h"
#include "ways.h"

#define RW (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)

/* ---- Asked for by a client ------------------------------------------------------ */

/* Brings the device to a state, and forgets how it came there. */
static void go_to(struct rig *r, uint32_t to)
{
	rig_set_state(r, to, 0);
	assert_int_equal(rig_get_state(r), to);
	r->device.narcs = 0;
}

static void a_new_device_is_running(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	assert_int_equal(rig_get_state(r), RUN);
	assert_int_equal(rig_value(r, 0, 4), 16);
	assert_int_equal(rig_value(r, 12, 4), UINT32_MAX);
	rig_end(r);
}

static void the_device_takes_each_arc_of_a_way(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct way *w = &ways[i];
		uint32_t at = w->from;

		go_to(r, RUN);
		go_to(r, w->from);
		rig_set_state(r, w->to, w->n < 0 ? EINVAL : 0);
		assert_int_equal(r->device.narcs, w->n < 0 ? 0 : w->n);
		for (int k = 0; k < w->n; k++) {
			assert_int_equal(r->device.arcs[k].from, at);
			assert_int_equal(r->device.arcs[k].to, w->path[k]);
			at = w->path[k];
		}
		assert_int_equal(rig_get_state(r), at);
		assert_int_equal(at, w->n < 0 ? w->from : w->to);
	}
	rig_end(r);
}

static void states_that_are_not_used_are_refused(void **state)
{
	static const uint32_t none[] = { VUSER_STATE_ERROR, VUSER_STATE_RUNNING_P2P,
					 VUSER_STATE_PRE_COPY_P2P, VUSER_STATES,
					 UINT32_MAX };
	static const uint32_t from[] = { STOP, RUN, COPY, RESUME, PRE };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		go_to(r, RUN);
		go_to(r, from[i]);
		for (size_t k = 0; k < ARRAY_SIZE(none); k++)
			rig_set_state(r, none[k], EINVAL);
		assert_int_equal(rig_get_state(r), from[i]);
		assert_int_equal(r->device.narcs, 0);
	}
	rig_end(r);
}

static void a_reply_to_a_state_repeats_the_command(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	rig_feature(r, 4096, SET | VUSER_FEATURE_MIG_DEVICE_STATE, "44",
		    VALUES(STOP, 0x1234), 0);
	assert_int_equal(r->len, 16);
	assert_int_equal(rig_value(r, 0, 4), 4096);
	assert_int_equal(rig_value(r, 8, 4), STOP);
	assert_int_equal(rig_value(r, 12, 4), 0x1234);
	rig_end(r);
}

static void a_refused_arc_leaves_the_state_it_began_at(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	r->device.refuse_to = PRE;
	r->device.refuse = -EBUSY;
	go_to(r, RESUME);
	rig_set_state(r, PRE, EBUSY); /* stop, running, and no further */
	assert_int_equal(rig_get_state(r), RUN);
	assert_int_equal(r->device.narcs, 2);
	r->device.refuse = 0;
	rig_set_state(r, PRE, 0);
	/* What is no errno is EIO. */
	r->device.refuse_to = COPY;
	r->device.refuse = 1;
	rig_set_state(r, COPY, EIO);
	r->device.refuse = -5000;
	rig_set_state(r, COPY, EIO);
	assert_int_equal(rig_get_state(r), PRE);
	rig_end(r);
}

static void out_of_error_leads_a_reset_only(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	r->device.refuse_to = STOP;
	r->device.refuse = -ENOTRECOVERABLE;
	go_to(r, PRE);
	rig_set_state(r, STOP, ENOTRECOVERABLE);
	assert_int_equal(rig_get_state(r), VUSER_STATE_ERROR);
	r->device.refuse = 0;
	r->device.narcs = 0;
	for (uint32_t to = 0; to < VUSER_STATES; to++)
		rig_set_state(r, to, EINVAL);
	assert_int_equal(r->device.narcs, 0);
	r->device.reset_result = -EIO;
	rig_reset_device(r, EIO);
	assert_int_equal(rig_get_state(r), VUSER_STATE_ERROR);
	r->device.reset_result = 0;
	rig_reset_device(r, 0);
	assert_int_equal(rig_get_state(r), RUN);
	go_to(r, STOP);
	rig_end(r);
}

static void a_reset_leads_to_running_from_anywhere(void **state)
{
	static const uint32_t from[] = { STOP, RUN, COPY, RESUME, PRE };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		go_to(r, from[i]);
		rig_reset_device(r, 0);
		assert_int_equal(rig_get_state(r), RUN);
		assert_int_equal(r->device.narcs, 0); /* the reset is the device's own */
	}
	rig_end(r);
}

static void the_state_is_kept_for_the_next_client(void **state)
{
	static const uint32_t states[] = { STOP, COPY, RESUME, PRE, VUSER_STATE_ERROR };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		rig_reset_device(r, 0);
		r->device.refuse = states[i] ? 0 : -ENOTRECOVERABLE;
		r->device.refuse_to = STOP;
		rig_set_state(r, states[i] ? states[i] : STOP,
			      states[i] ? 0 : ENOTRECOVERABLE);
		rig_leave(r);
		rig_greet(r, NULL);
		assert_int_equal(rig_get_state(r), states[i]);
	}
	rig_end(r);
}

/* ---- Its data ------------------------------------------------------------------- */

static void read_data(struct rig *r, uint32_t argsz, uint32_t size, int err)
{
	rig_send(r, VUSER_CMD_MIG_DATA_READ, COMMAND, -1, "44", VALUES(argsz, size), NULL,
		 0);
	rig_result(r, VUSER_CMD_MIG_DATA_READ, err);
}

/* Asks for size bytes and gets n of what the device has from at on. */
static void assert_reads(struct rig *r, uint32_t size, uint32_t at, uint32_t n)
{
	read_data(r, 8 + size, size, 0);
	assert_int_equal(r->len, 8 + n);
	assert_int_equal(rig_value(r, 0, 4), 8 + n);
	assert_int_equal(rig_value(r, 4, 4), n);
	assert_memory_equal(r->payload + 8, r->device.data + at, n);
}

static void write_data(struct rig *r, uint32_t argsz, const void *data, uint32_t size,
		       int err)
{
	rig_send(r, VUSER_CMD_MIG_DATA_WRITE, COMMAND, -1, "44", VALUES(argsz, size),
		 data, size);
	rig_result(r, VUSER_CMD_MIG_DATA_WRITE, err);
	assert_int_equal(r->len, 0);
}

static void fill(struct rig *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		r->device.data[i] = (uint8_t)(i * 7 + 3);
	r->device.have = n;
}

static void data_is_read_to_its_end(void **state)
{
	static const uint32_t saving[] = { PRE, COPY };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(saving); i++) {
		fill(r, 1000);
		go_to(r, saving[i]);
		assert_reads(r, 400, 0, 400);
		assert_reads(r, 0, 0, 0);
		assert_reads(r, 1, 400, 1);
		assert_reads(r, 599, 401, 599);
		assert_reads(r, 10, 0, 0);
		go_to(r, STOP);
		go_to(r, saving[i]);
		assert_reads(r, 1001, 0, 1000);
	}
	rig_end(r);
}

static void data_is_written_as_it_comes(void **state)
{
	struct rig *r = rig_begin();
	uint8_t data[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 5 + 1);
	go_to(r, RESUME);
	write_data(r, 8 + 600, data, 600, 0);
	write_data(r, 8, data + 600, 0, 0);
	write_data(r, 8, data + 600, 400, 0); /* there is no reply payload */
	go_to(r, STOP);
	assert_int_equal(r->device.have, 1000);
	assert_memory_equal(r->device.data, data, 1000);
	rig_end(r);
}

static void data_is_moved_in_its_states_only(void **state)
{
	static const uint32_t states[] = { STOP, RUN, COPY, RESUME, PRE };
	struct rig *r = rig_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		go_to(r, RUN);
		go_to(r, states[i]);
		read_data(r, 16, 8, states[i] == COPY || states[i] == PRE ? 0 : EINVAL);
		write_data(r, 16, "12345678", 8, states[i] == RESUME ? 0 : EINVAL);
	}
	r->device.refuse_to = STOP;
	r->device.refuse = -ENOTRECOVERABLE;
	go_to(r, RUN);
	rig_set_state(r, STOP, ENOTRECOVERABLE);
	read_data(r, 16, 8, EINVAL);
	write_data(r, 16, "12345678", 8, EINVAL);
	rig_end(r);
}

static void sizes_of_data_are_held_to_the_limit(void **state)
{
	struct rig *r = rig_new();
	uint8_t data[101] = { 0 };

	(void)state;
	r->options.caps.max_data_xfer_size = 100;
	rig_greet(r, NULL);
	fill(r, 300);
	go_to(r, COPY);
	assert_reads(r, 99, 0, 99);
	assert_reads(r, 100, 99, 100);
	read_data(r, 109, 101, EINVAL);
	read_data(r, UINT32_MAX, UINT32_MAX, EINVAL);
	read_data(r, UINT32_MAX, UINT32_MAX - 8, EINVAL);
	assert_reads(r, 100, 199, 100);
	go_to(r, RESUME);
	write_data(r, 107, data, 99, 0);
	write_data(r, 108, data, 100, 0);
	write_data(r, 109, data, 101, EINVAL);
	assert_int_equal(r->device.have, 199);
	rig_end(r);
}

static void argsz_of_data_has_room_for_it(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	fill(r, 100);
	go_to(r, COPY);
	read_data(r, 0, 10, EINVAL);
	read_data(r, 7, 0, EINVAL);
	read_data(r, 8, 1, EINVAL);
	read_data(r, 17, 10, EINVAL);
	assert_reads(r, 10, 0, 10); /* nothing of it was lost */
	read_data(r, 4096, 10, 0);
	assert_int_equal(r->len, 18);
	go_to(r, RESUME);
	write_data(r, 7, "1234", 4, EINVAL);
	write_data(r, 0, "1234", 4, EINVAL);
	rig_end(r);
}

static void data_that_is_not_as_long_as_it_says_is_refused(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	go_to(r, RESUME);
	rig_send(r, VUSER_CMD_MIG_DATA_WRITE, COMMAND, -1, "448", VALUES(16, 9, 0), NULL,
		 0);
	rig_result(r, VUSER_CMD_MIG_DATA_WRITE, EINVAL);
	rig_send(r, VUSER_CMD_MIG_DATA_WRITE, COMMAND, -1, "448", VALUES(16, 7, 0), NULL,
		 0);
	rig_result(r, VUSER_CMD_MIG_DATA_WRITE, EINVAL);
	rig_send(r, VUSER_CMD_MIG_DATA_WRITE, COMMAND, -1, "4", VALUES(16), NULL, 0);
	rig_result(r, VUSER_CMD_MIG_DATA_WRITE, EINVAL);
	rig_send(r, VUSER_CMD_MIG_DATA_READ, COMMAND, -1, "448", VALUES(16, 8, 0), NULL,
		 0);
	rig_result(r, VUSER_CMD_MIG_DATA_READ, EINVAL);
	assert_int_equal(r->device.have, 0);
	rig_end(r);
}

static void a_device_that_fails_or_lies_is_an_error_reply(void **state)
{
	static const struct {
		int64_t lie;
		int err;
	} rows[] = { { -EIO, EIO },	 { -ENOSPC, ENOSPC }, { 11, EIO },
		     { INT64_MAX, EIO }, { INT64_MIN, EIO },  { -4096, EIO },
		     { -4095, 4095 } };
	struct rig *r = rig_begin();

	(void)state;
	fill(r, 100);
	go_to(r, COPY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r->device.lie = rows[i].lie;
		read_data(r, 18, 10, rows[i].err);
	}
	r->device.lie = 0;
	assert_reads(r, 10, 0, 10);
	go_to(r, RESUME);
	r->device.write_result = -EILSEQ;
	write_data(r, 12, "1234", 4, EILSEQ);
	r->device.write_result = 1;
	write_data(r, 12, "1234", 4, EIO);
	rig_end(r);
}

static void posted_reads_of_data_take_nothing(void **state)
{
	struct rig *r = rig_begin();

	(void)state;
	fill(r, 100);
	go_to(r, COPY);
	rig_send(r, VUSER_CMD_MIG_DATA_READ, VUSER_FLAG_NO_REPLY, -1, "44",
		 VALUES(18, 10), NULL, 0);
	assert_reads(r, 10, 0, 10);
	rig_end(r);
}

/* ---- While it is stopped -------------------------------------------------------- */

static void a_stopped_device_does_not_reach_memory(void **state)
{
	static const uint32_t states[] = { STOP, RUN, COPY, RESUME, PRE };
	struct rig *r = rig_begin();
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	rig_map(r, 0x1000, 0x1000, RW, fd);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		int err = states[i] == RUN || states[i] == PRE ? 0 : EBUSY;

		go_to(r, RUN);
		go_to(r, states[i]);
		rig_store(r, 0x1000, 8, err);
		rig_ask(r, 16, 0x1000, 8);
		rig_result(r, VUSER_CMD_REGION_WRITE, err);
	}
	r->device.refuse_to = STOP;
	r->device.refuse = -ENOTRECOVERABLE;
	go_to(r, RUN);
	rig_set_state(r, STOP, ENOTRECOVERABLE);
	rig_store(r, 0x1000, 8, EBUSY);
	rig_reset_device(r, 0);
	rig_store(r, 0x1000, 8, 0);
	rig_end(r);
}

static void the_arc_that_stops_a_device_may_still_reach_memory(void **state)
{
	struct rig *r = rig_begin();
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	rig_map(r, 0x1000, 0x1000, RW, fd);
	close(fd);
	r->device.reaches = true;
	rig_set_state(r, STOP, 0);
	assert_int_equal(r->device.reached, 0);
	rig_set_state(r, RUN, 0);
	assert_int_equal(r->device.reached, -EBUSY); /* it runs only after that */
	rig_set_state(r, PRE, 0);
	assert_int_equal(r->device.reached, 0);
	rig_set_state(r, COPY, 0);
	assert_int_equal(r->device.reached, 0);
	rig_set_state(r, STOP, 0);
	assert_int_equal(r->device.reached, -EBUSY);
	rig_end(r);
}

static bool endless_work(void *dev)
{
	atomic_fetch_add(&((struct device *)dev)->slices, 1);
	return true;
}

static void a_stopped_device_does_not_work(void **state)
{
	struct rig *r = rig_new();
	unsigned before;

	(void)state;
	r->desc.work = endless_work;
	rig_greet(r, NULL);
	go_to(r, STOP);
	before = atomic_load(&r->device.slices);
	assert_int_equal(rig_get_state(r), STOP);
	go_to(r, COPY);
	go_to(r, RESUME);
	assert_int_equal(atomic_load(&r->device.slices), before);
	rig_set_state(r, RUN, 0);
	while (atomic_load(&r->device.slices) < before + 10)
		sched_yield();
	rig_end(r);
}

/* ---- What a server says --------------------------------------------------------- */

static struct vuser_caps caps_of(struct rig *r, const char *json)
{
	struct vuser_caps caps, offered;

	vuser_caps_default(&offered);
	if (json)
		assert_int_equal(vuser_caps_decode(json, strlen(json) + 1,
						   VUSER_CAPS_OF_CLIENT, NULL, &offered,
						   NULL, NULL),
				 0);
	rig_greet(r, json);
	assert_true(VUSER_HEADER_SIZE + r->len <= VUSER_MAX_VERSION_REPLY);
	assert_int_equal(vuser_caps_decode((const char *)r->payload + 4, r->len - 4,
					   VUSER_CAPS_OF_SERVER, &offered, &caps, NULL,
					   NULL),
			 0);
	return caps;
}

static void a_device_that_migrates_says_so_in_the_handshake(void **state)
{
	static const unsigned both = VUSER_CAP_MIG_PGSIZE | VUSER_CAP_MIG_MAX_BITMAP_SIZE;
	struct rig *r = rig_new();
	struct vuser_caps caps;

	(void)state;
	caps = caps_of(r, "{\"capabilities\":{\"write_multiple\":true,"
			  "\"max_dma_maps\":65535}}");
	assert_int_equal(caps.present & both, both);
	assert_int_equal(caps.migration_pgsize, 4096);
	assert_int_equal(caps.migration_max_bitmap_size, VUSER_DEFAULT_MIG_BITMAP);
	assert_true(caps.write_multiple);
	rig_leave(r);
	caps = caps_of(r,
		       "{\"capabilities\":{\"migration\":{\"max_bitmap_size\":4096}}}");
	assert_int_equal(caps.migration_max_bitmap_size, 4096);
	rig_end(r);

	r = rig_new();
	r->desc.migration = NULL;
	caps = caps_of(r, NULL);
	assert_int_equal(caps.present & both, 0);
	rig_end(r);
}

/* All members, each as long as it may be: some go, those that say something stay. */
static void the_handshake_stays_within_what_clients_can_take(void **state)
{
	struct rig *r = rig_new();
	struct vuser_caps caps;

	(void)state;
	r->options.caps.max_data_xfer_size = VUSER_LIMIT_DATA_XFER;
	r->options.caps.migration_max_bitmap_size = UINT64_MAX;
	caps = caps_of(r, "{\"capabilities\":{\"write_multiple\":true}}");
	assert_int_equal(caps.max_data_xfer_size, VUSER_LIMIT_DATA_XFER);
	assert_int_equal(caps.max_msg_fds, VUSER_LIMIT_MSG_FDS);
	assert_true(caps.write_multiple);
	assert_true(caps.present & VUSER_CAP_MIG_PGSIZE);
	assert_int_equal(caps.migration_max_bitmap_size, VUSER_DEFAULT_MIG_BITMAP);
	rig_end(r);
}

static void a_device_that_does_not_migrate_says_enotty(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	r->desc.migration = NULL;
	rig_greet(r, NULL);
	rig_feature(r, 16, GET | VUSER_FEATURE_MIGRATION, "", NULL, ENOTTY);
	rig_feature(r, 16, PROBE | VUSER_FEATURE_MIGRATION, "", NULL, ENOTTY);
	rig_feature(r, 16, GET | VUSER_FEATURE_MIG_DEVICE_STATE, "", NULL, ENOTTY);
	rig_set_state(r, STOP, ENOTTY);
	read_data(r, 16, 8, ENOTSUP);
	write_data(r, 16, "12345678", 8, ENOTSUP);
	rig_end(r);
}

static void a_table_of_migration_that_lacks_something_is_refused(void **state)
{
	static const struct vuser_migration_ops bad[] = {
		{ 0, rig_state, rig_read, rig_write },
		{ VUSER_MIGRATION_PRE_COPY, rig_state, rig_read, rig_write },
		{ BOTH | VUSER_MIGRATION_P2P, rig_state, rig_read, rig_write },
		{ BOTH | 8, rig_state, rig_read, rig_write },
		{ BOTH, NULL, rig_read, rig_write },
		{ BOTH, rig_state, NULL, rig_write },
		{ BOTH, rig_state, rig_read, NULL },
	};
	struct rig *r = rig_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		r->desc.migration = &bad[i];
		assert_int_equal(vuser_server_new(&r->desc, &r->device, &r->options,
						  &r->server, NULL),
				 VUSER_E_USAGE);
	}
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_device_is_running),
		cmocka_unit_test(the_device_takes_each_arc_of_a_way),
		cmocka_unit_test(states_that_are_not_used_are_refused),
		cmocka_unit_test(a_reply_to_a_state_repeats_the_command),
		cmocka_unit_test(a_refused_arc_leaves_the_state_it_began_at),
		cmocka_unit_test(out_of_error_leads_a_reset_only),
		cmocka_unit_test(a_reset_leads_to_running_from_anywhere),
		cmocka_unit_test(the_state_is_kept_for_the_next_client),
		cmocka_unit_test(data_is_read_to_its_end),
		cmocka_unit_test(data_is_written_as_it_comes),
		cmocka_unit_test(data_is_moved_in_its_states_only),
		cmocka_unit_test(sizes_of_data_are_held_to_the_limit),
		cmocka_unit_test(argsz_of_data_has_room_for_it),
		cmocka_unit_test(data_that_is_not_as_long_as_it_says_is_refused),
		cmocka_unit_test(a_device_that_fails_or_lies_is_an_error_reply),
		cmocka_unit_test(posted_reads_of_data_take_nothing),
		cmocka_unit_test(a_stopped_device_does_not_reach_memory),
		cmocka_unit_test(the_arc_that_stops_a_device_may_still_reach_memory),
		cmocka_unit_test(a_stopped_device_does_not_work),
		cmocka_unit_test(a_device_that_migrates_says_so_in_the_handshake),
		cmocka_unit_test(the_handshake_stays_within_what_clients_can_take),
		cmocka_unit_test(a_device_that_does_not_migrate_says_enotty),
		cmocka_unit_test(a_table_of_migration_that_lacks_something_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
