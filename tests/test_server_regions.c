/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/server_region.c, server_iofds.c: what can be mapped, and the io fds. */
#include <fcntl.h>
#include <sys/mman.h>

#include "stepped_server.h"

/* ---- The device ------------------------------------------------------------------- */

#define PAGE 4096u

enum { PLAIN, WHOLE, SPARSE, TYPED, MANY, ABSENT, UNMAPPED, REGIONS };

static const struct vuser_area areas[] = { { 0, PAGE }, { 3 * PAGE, 5 * PAGE } };
static const struct vuser_area many[VUSER_MAX_SPARSE_AREAS] = { { 0, 8 } };

#define ACCESS (VUSER_REGION_READ | VUSER_REGION_WRITE)
#define MAPPED (ACCESS | VUSER_REGION_MMAP)

static const struct vuser_region_desc regions[REGIONS] = {
	[PLAIN] = { .flags = ACCESS | VUSER_REGION_CAPS, .size = 64 },
	[WHOLE] = { .flags = MAPPED, .size = PAGE },
	[SPARSE] = { .flags = MAPPED,
		     .size = 8 * PAGE,
		     .areas = areas,
		     .nr_areas = 2,
		     .msix_mappable = true },
	[TYPED] = { .flags = ACCESS, .size = 16, .type = 0x80008086, .subtype = 3 },
	[MANY] = { .flags = MAPPED,
		   .size = PAGE,
		   .areas = many,
		   .nr_areas = VUSER_MAX_SPARSE_AREAS,
		   .type = 1,
		   .msix_mappable = true },
	[ABSENT] = { .flags = MAPPED, .size = 0 },
	[UNMAPPED] = { .flags = MAPPED,
		       .size = PAGE,
		       .areas = areas,
		       .nr_areas = 1,
		       .type = 5 },
};

static struct device {
	int memory; /* behind all of it */
	int error;  /* of io_fds() */
	struct vuser_io_fd entries[VUSER_MAX_IO_FDS];
	size_t n, nfds;
	int fds[VUSER_MAX_IO_FDS];
} device;

static int device_region_fd(void *dev, uint32_t region, uint64_t *offset)
{
	struct device *d = dev;

	*offset = region * 0x10000;
	return region == UNMAPPED ? -EAGAIN : d->memory;
}

static int device_io_fds(void *dev, uint32_t region, struct vuser_io_fd *entries,
			 size_t max, size_t *n, int *fds, size_t *nfds)
{
	struct device *d = dev;

	if (d->error || region != PLAIN)
		return d->error;
	assert_int_equal(max, VUSER_MAX_IO_FDS);
	memcpy(entries, d->entries, (d->n < max ? d->n : max) * sizeof(*entries));
	memcpy(fds, d->fds, (d->nfds < max ? d->nfds : max) * sizeof(*fds));
	*n = d->n;
	*nfds = d->nfds;
	return 0;
}

static const struct vuser_device description = { .name = "regions",
						 .regions = regions,
						 .num_regions = REGIONS,
						 .region_fd = device_region_fd,
						 .io_fds = device_io_fds };

static struct stepped t;
static unsigned fds_before;

static int power_on(void **state)
{
	(void)state;
	memset(&device, 0, sizeof(device));
	device.memory = memfd_create("regions", MFD_CLOEXEC);
	if (device.memory < 0 || ftruncate(device.memory, 0x80000) != 0)
		return -1;
	stepped_new(&t, &description, &device);
	stepped_come(&t, "{\"capabilities\":{\"max_msg_fds\":4}}");
	fds_before = open_fds();
	return 0;
}

static int power_off(void **state)
{
	(void)state;
	assert_int_equal(open_fds(), fds_before);
	stepped_leave(&t);
	vuser_server_free(t.server);
	close(device.memory);
	return 0;
}

/* ---- DEVICE_GET_REGION_INFO ------------------------------------------------------- */

struct described {
	struct answer a;
	struct vuser_region_info info;
	struct vuser_regioncap caps[8];
	size_t ncaps;
};

static void describe(struct described *d, uint32_t region, uint32_t argsz)
{
	struct vuser_payload p;

	assert_int_equal(stepped_call(&t, &d->a, VUSER_CMD_DEVICE_GET_REGION_INFO,
				      "444488", VALUES(argsz, 0, region, 0, 0, 0), NULL,
				      0, NULL, 0),
			 0);
	assert_int_equal(vuser_payload_decode(VUSER_CMD_DEVICE_GET_REGION_INFO, true,
					      d->a.payload, d->a.len, &p, NULL),
			 0);
	d->info = p.u.region_info;
	assert_int_equal(d->info.index, region);
	d->ncaps = 0;
	if (d->a.len < d->info.argsz)
		return; /* the chain is to be asked for again */
	assert_int_equal(vuser_regioncap_walk(d->a.payload, d->a.len, d->caps,
					      ARRAY_SIZE(d->caps), &d->ncaps, NULL),
			 0);
}

static void a_plain_region_has_neither_descriptor_nor_chain(void **state)
{
	struct described d;

	(void)state;
	describe(&d, PLAIN, 4064);
	assert_int_equal(d.info.flags, ACCESS); /* what was said of caps is not so */
	assert_int_equal(d.info.size, 64);
	assert_int_equal(d.info.argsz, 32);
	assert_int_equal(d.info.cap_offset, 0);
	assert_int_equal(d.info.offset, 0);
	assert_int_equal(d.a.nfds, 0);
	assert_int_equal(d.a.len, 32);
}

static void a_region_without_capabilities_is_mapped_with_the_first_answer(void **state)
{
	struct described d;
	uint8_t *map;

	(void)state;
	describe(&d, WHOLE, 32);
	assert_int_equal(d.info.flags, MAPPED);
	assert_int_equal(d.info.argsz, 32);
	assert_int_equal(d.info.offset, WHOLE * 0x10000);
	assert_int_equal(d.a.nfds, 1);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d.a.fds[0],
		   (off_t)d.info.offset);
	assert_true(map != MAP_FAILED);
	close(d.a.fds[0]);
	map[5] = 0x5a;
	assert_int_equal(pread(device.memory, map, 1, WHOLE * 0x10000 + 5), 1);
	assert_int_equal(map[0], 0x5a);
	munmap(map, PAGE);
}

static void an_answer_that_does_not_fit_says_how_long_it_is(void **state)
{
	struct described d;
	uint32_t whole;

	(void)state;
	describe(&d, SPARSE, 32);
	whole = d.info.argsz;
	assert_int_equal(whole, 32 + 16 + 2 * 16 + 8);
	for (uint32_t argsz = 32; argsz < whole; argsz++) {
		describe(&d, SPARSE, argsz);
		assert_int_equal(d.info.argsz, whole);
		assert_int_equal(d.info.flags, MAPPED | VUSER_REGION_CAPS);
		assert_int_equal(d.info.cap_offset, 32);
		assert_int_equal(d.info.size, 8 * PAGE);
		assert_int_equal(d.a.len, 32);
		assert_int_equal(d.a.nfds, 0);
	}
}

static void the_whole_answer_has_the_chain_and_one_descriptor_for_all(void **state)
{
	static const uint32_t room[] = { 88, 89, 4064, UINT32_MAX };
	struct described d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(room); i++) {
		describe(&d, SPARSE, room[i]);
		assert_int_equal(d.info.argsz, 88);
		assert_int_equal(d.a.len, 88);
		assert_int_equal(d.info.cap_offset, 32);
		assert_int_equal(d.info.offset, SPARSE * 0x10000);
		assert_int_equal(d.a.nfds, 1);
		close(d.a.fds[0]);
		assert_int_equal(d.ncaps, 2);
		assert_int_equal(d.caps[0].id, VUSER_REGIONCAP_SPARSE_MMAP);
		assert_int_equal(d.caps[0].version, 1);
		assert_int_equal(d.caps[0].nr_areas, 2);
		for (uint32_t k = 0; k < 2; k++) {
			struct vuser_area area = vuser_regioncap_area(&d.caps[0], k);

			assert_int_equal(area.offset, areas[k].offset);
			assert_int_equal(area.size, areas[k].size);
		}
		assert_int_equal(d.caps[1].id, VUSER_REGIONCAP_MSIX_MAPPABLE);
	}
}

static void a_typed_region_says_its_type(void **state)
{
	struct described d;

	(void)state;
	describe(&d, TYPED, 48);
	assert_int_equal(d.info.flags, ACCESS | VUSER_REGION_CAPS);
	assert_int_equal(d.ncaps, 1);
	assert_int_equal(d.caps[0].id, VUSER_REGIONCAP_TYPE);
	assert_int_equal(d.caps[0].type, 0x80008086);
	assert_int_equal(d.caps[0].subtype, 3);
	assert_int_equal(d.a.nfds, 0);
}

static void the_longest_chain_is_sent_whole(void **state)
{
	struct described d;

	(void)state;
	describe(&d, MANY, 8000);
	assert_int_equal(d.ncaps, 3);
	assert_int_equal(d.caps[0].nr_areas, VUSER_MAX_SPARSE_AREAS);
	assert_int_equal(d.caps[1].id, VUSER_REGIONCAP_TYPE);
	assert_int_equal(d.caps[2].id, VUSER_REGIONCAP_MSIX_MAPPABLE);
	assert_int_equal(d.a.len, 32 + 16 + 16 * VUSER_MAX_SPARSE_AREAS + 16 + 8);
	close(d.a.fds[0]);
}

/* It may be possible later; the region is there all the same. */
static void what_cannot_be_mapped_now_is_described_without(void **state)
{
	struct described d;

	(void)state;
	describe(&d, UNMAPPED, 4064);
	assert_int_equal(d.info.flags, ACCESS | VUSER_REGION_CAPS);
	assert_int_equal(d.info.offset, 0);
	assert_int_equal(d.a.nfds, 0);
	assert_int_equal(d.ncaps, 1);
	assert_int_equal(d.caps[0].type, 5);
	describe(&d, ABSENT, 4064);
	assert_int_equal(d.info.flags, ACCESS);
	assert_int_equal(d.a.nfds, 0);
}

static void a_client_that_takes_no_descriptors_cannot_map(void **state)
{
	struct described d;

	(void)state;
	stepped_leave(&t);
	stepped_come(&t, "{\"capabilities\":{\"max_msg_fds\":0}}");
	describe(&d, SPARSE, 4064);
	assert_int_equal(d.info.flags, ACCESS);
	assert_int_equal(d.a.nfds, 0);
	assert_int_equal(d.ncaps, 0);
}

static void a_descriptor_that_cannot_be_sent_is_an_error(void **state)
{
	struct answer a;
	int memory = device.memory;

	(void)state;
	device.memory = 1 << 20;
	assert_int_equal(stepped_call(&t, &a, VUSER_CMD_DEVICE_GET_REGION_INFO, "444488",
				      VALUES(32, 0, WHOLE, 0, 0, 0), NULL, 0, NULL, 0),
			 EBADF);
	device.memory = memory;
}

static void descriptors_of_answers_do_not_add_up(void **state)
{
	struct described d;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		describe(&d, SPARSE, 4064);
		close(d.a.fds[0]);
	}
}

static void answers_wait_in_the_queue_with_their_descriptors(void **state)
{
	struct vuser_header h = { .command = VUSER_CMD_DEVICE_GET_REGION_INFO };
	struct answer a;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		assert_true(send_message(t.fd, h, "444488",
					 VALUES(4064, 0, i % 2 ? SPARSE : TYPED, 0, 0, 0),
					 NULL, 0, NULL, 0));
	stepped_step(&t);
	for (unsigned i = 0; i < 50; i++) {
		stepped_receive(&t, &a);
		assert_int_equal(a.nfds, i % 2);
		if (a.nfds)
			close(a.fds[0]);
	}
}

static void descriptions_that_contradict_themselves_make_no_server(void **state)
{
	static const struct vuser_area beyond[] = { { PAGE, 1 } };
	static const struct vuser_area wrapping[] = { { PAGE / 2, UINT64_MAX } };
	static const struct vuser_area far[] = { { UINT64_MAX, 0 } };
	const struct vuser_region_desc bad[] = {
		{ .flags = MAPPED, .size = PAGE, .areas = beyond, .nr_areas = 1 },
		{ .flags = MAPPED, .size = PAGE, .areas = wrapping, .nr_areas = 1 },
		{ .flags = MAPPED, .size = PAGE, .areas = far, .nr_areas = 1 },
		{ .flags = MAPPED, .size = PAGE, .areas = many, .nr_areas = 257 },
	};
	struct vuser_device desc = { .num_regions = 1, .region_fd = device_region_fd };
	struct vuser_server_options o;
	struct vuser_server *s;

	(void)state;
	vuser_server_options_default(&o);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		desc.regions = &bad[i];
		assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, NULL),
				 VUSER_E_USAGE);
	}
	desc.regions = &regions[WHOLE];
	desc.region_fd = NULL;
	assert_int_equal(vuser_server_new(&desc, NULL, &o, &s, NULL), VUSER_E_USAGE);
}

/* ---- DEVICE_GET_REGION_IO_FDS ----------------------------------------------------- */

static int ask(struct answer *a, struct vuser_payload *p, uint32_t argsz, uint32_t region)
{
	int r = stepped_call(&t, a, VUSER_CMD_DEVICE_GET_REGION_IO_FDS, "4444",
			     VALUES(argsz, 0, region, 0), NULL, 0, NULL, 0);

	if (!r)
		assert_int_equal(vuser_payload_decode(VUSER_CMD_DEVICE_GET_REGION_IO_FDS,
						      true, a->payload, a->len, p, NULL),
				 0);
	return r;
}

/* Two doorbells on one descriptor, the second for a value of 4 bytes only. */
static void ring_twice(void)
{
	device.n = 2;
	device.nfds = 1;
	device.fds[0] = device.memory;
	device.entries[0] = (struct vuser_io_fd){ .offset = 16, .shadow_index = 9 };
	device.entries[1] = (struct vuser_io_fd){
		.offset = 32, .size = 4, .flags = 1, .datamatch = 0x1122334455667788
	};
}

static void a_region_without_io_fds_has_none(void **state)
{
	struct vuser_payload p;
	struct answer a;

	(void)state;
	for (uint32_t region = PLAIN; region <= ABSENT; region++) {
		assert_int_equal(ask(&a, &p, 16, region), 0);
		assert_int_equal(a.len, 16);
		assert_int_equal(p.u.region_io_fds.argsz, 16);
		assert_int_equal(p.u.region_io_fds.index, region);
		assert_int_equal(p.u.region_io_fds.count, 0);
		assert_int_equal(a.nfds, 0);
	}
}

static void io_fds_are_asked_for_in_two_steps(void **state)
{
	struct vuser_payload p;
	struct vuser_io_fd f;
	struct answer a;

	(void)state;
	ring_twice();
	for (uint32_t argsz = 16; argsz < 16 + 2 * 40; argsz++) {
		assert_int_equal(ask(&a, &p, argsz, PLAIN), 0);
		assert_int_equal(a.len, 16);
		assert_int_equal(a.nfds, 0);
		assert_int_equal(p.u.region_io_fds.argsz, 16 + 2 * 40);
		assert_int_equal(p.u.region_io_fds.count, 2);
	}
	assert_int_equal(ask(&a, &p, 16 + 2 * 40, PLAIN), 0);
	assert_int_equal(a.len, 16 + 2 * 40);
	assert_int_equal(p.u.region_io_fds.count, 2);
	assert_int_equal(a.nfds, 1);
	close(a.fds[0]);
	vuser_io_fd_get(&p, 0, &f);
	assert_int_equal(f.offset, 16);
	assert_int_equal(f.shadow_index, 0); /* it has no shadow */
	vuser_io_fd_get(&p, 1, &f);
	assert_int_equal(f.offset, 32);
	assert_int_equal(f.size, 4);
	assert_int_equal(f.fd_index, 0);
	assert_int_equal(f.type, VUSER_IO_FD_IOEVENTFD);
	assert_int_equal(f.flags, 1);
	assert_int_equal(f.shadow_offset, 0);
	assert_true(f.datamatch == 0x1122334455667788);
}

static void a_shadow_makes_all_entries_longer(void **state)
{
	struct vuser_payload p;
	struct vuser_io_fd f;
	struct answer a;

	(void)state;
	ring_twice();
	device.nfds = 2;
	device.fds[1] = device.memory;
	device.entries[0].type = VUSER_IO_FD_SHADOW;
	device.entries[0].shadow_index = 1;
	device.entries[0].shadow_offset = 0x1000;
	assert_int_equal(ask(&a, &p, 16 + 2 * 40, PLAIN), 0);
	assert_int_equal(a.len, 16);
	assert_int_equal(p.u.region_io_fds.argsz, 16 + 2 * 48);
	assert_int_equal(ask(&a, &p, 16 + 2 * 48, PLAIN), 0);
	assert_int_equal(a.nfds, 2);
	close(a.fds[0]);
	close(a.fds[1]);
	vuser_io_fd_get(&p, 0, &f);
	assert_int_equal(f.type, VUSER_IO_FD_SHADOW);
	assert_int_equal(f.shadow_index, 1);
	assert_int_equal(f.shadow_offset, 0x1000);
	vuser_io_fd_get(&p, 1, &f);
	assert_int_equal(f.shadow_offset, 0);
	assert_true(f.datamatch == 0x1122334455667788);
}

static void the_most_entries_there_may_be_are_sent(void **state)
{
	struct vuser_payload p;
	struct vuser_io_fd f;
	struct answer a;

	(void)state;
	device.n = 160; /* what an answer has room for in this test */
	device.nfds = 4;
	for (size_t i = 0; i < device.n; i++)
		device.entries[i] = (struct vuser_io_fd){ .offset = i % 64,
							  .fd_index = i % 4,
							  .datamatch = i };
	for (size_t i = 0; i < 4; i++)
		device.fds[i] = device.memory;
	assert_int_equal(ask(&a, &p, UINT32_MAX, PLAIN), 0);
	assert_int_equal(a.nfds, 4);
	for (size_t i = 0; i < 4; i++)
		close(a.fds[i]);
	for (size_t i = 0; i < device.n; i++) {
		vuser_io_fd_get(&p, i, &f);
		assert_int_equal(f.offset, i % 64);
		assert_int_equal(f.fd_index, i % 4);
		assert_int_equal(f.datamatch, i);
	}
}

static void more_descriptors_than_the_client_takes_are_told(void **state)
{
	struct vuser_payload p;
	struct answer a;

	(void)state;
	ring_twice();
	device.nfds = 5;
	for (size_t i = 0; i < 5; i++)
		device.fds[i] = device.memory;
	assert_int_equal(ask(&a, &p, 4096, PLAIN), ENOSPC);
	assert_non_null(strstr(t.events.first.error.text, "max_msg_fds"));
	assert_int_equal(ask(&a, &p, 16, PLAIN), ENOSPC);
	assert_int_equal(ask(&a, &p, 16, WHOLE), 0);
}

static void what_a_device_says_of_its_io_fds_must_make_sense(void **state)
{
	static const struct vuser_io_fd bad[] = {
		{ .fd_index = 1 },
		{ .offset = 65 },
		{ .offset = 60, .size = 5 },
		{ .offset = 1, .size = UINT64_MAX },
		{ .type = VUSER_IO_FD_SHADOW, .shadow_index = 1 },
	};
	struct vuser_payload p;
	struct answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ring_twice();
		device.entries[1] = bad[i];
		assert_int_equal(ask(&a, &p, 4096, PLAIN), EIO);
	}
	ring_twice();
	device.n = VUSER_MAX_IO_FDS + 1;
	assert_int_equal(ask(&a, &p, 4096, PLAIN), EIO);
	ring_twice();
	device.nfds = VUSER_MAX_IO_FDS + 1;
	assert_int_equal(ask(&a, &p, 4096, PLAIN), EIO);
	device.error = -EBUSY;
	assert_int_equal(ask(&a, &p, 4096, PLAIN), EBUSY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, power_on, power_off)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_region_has_neither_descriptor_nor_chain),
		TEST(a_region_without_capabilities_is_mapped_with_the_first_answer),
		TEST(an_answer_that_does_not_fit_says_how_long_it_is),
		TEST(the_whole_answer_has_the_chain_and_one_descriptor_for_all),
		TEST(a_typed_region_says_its_type),
		TEST(the_longest_chain_is_sent_whole),
		TEST(what_cannot_be_mapped_now_is_described_without),
		TEST(a_client_that_takes_no_descriptors_cannot_map),
		TEST(a_descriptor_that_cannot_be_sent_is_an_error),
		TEST(descriptors_of_answers_do_not_add_up),
		TEST(answers_wait_in_the_queue_with_their_descriptors),
		TEST(a_region_without_io_fds_has_none),
		TEST(io_fds_are_asked_for_in_two_steps),
		TEST(a_shadow_makes_all_entries_longer),
		TEST(the_most_entries_there_may_be_are_sent),
		TEST(more_descriptors_than_the_client_takes_are_told),
		TEST(what_a_device_says_of_its_io_fds_must_make_sense),
		cmocka_unit_test(descriptions_that_contradict_themselves_make_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
