/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/client_iofds.c: io fds of honest and lying servers. */
#include <errno.h>
#include <sys/eventfd.h>

#define ROOM 4096u /* for a payload */

#include "scripted_server.h"

/* Entries: offset, size, fd_index, type, flags, padding, [shadow offset,] datamatch. */
#define ENTRY  "8844448"
#define SHADOW "88444488"

/* Both answers of a server; the second may be missing. */
struct answer {
	const char *form, *second;
	uint64_t v[4], w[32];
	unsigned nfds; /* with the second */
	int fd;
};

static void say_io_fds(struct peer *p)
{
	const struct answer *a = p->arg;
	int fds[16];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = a->fd;
	take(p, VUSER_CMD_DEVICE_GET_REGION_IO_FDS);
	if (p->len != 16 || memcmp(p->payload, "\20\0\0\0", 4) != 0)
		go_wrong(p, "the first question has another size");
	answer(p, a->form, a->v);
	if (!a->second)
		return;
	take(p, VUSER_CMD_DEVICE_GET_REGION_IO_FDS);
	answer_with(p, REPLY, 0, a->second, a->w, NULL, 0, fds, a->nfds);
}

static struct rig *begin(struct answer *a)
{
	a->fd = eventfd(0, EFD_CLOEXEC);
	return begin_with(say_io_fds, NULL, a, patient_options());
}

static void end(struct rig *r, const struct answer *a, unsigned fds)
{
	end_with(r, 0);
	close(a->fd);
	assert_int_equal(open_fds(), fds);
}

static void entries_of_40_bytes_are_taken_in_two_steps(void **state)
{
	unsigned before = open_fds();
	struct answer a = {
		.form = "4444",
		.v = { 96, 0, 1, 2 },
		.second = "4444" ENTRY ENTRY,
		.w = { 96, 0, 1, 2, 0x1000, 4, 1, 0, 1, 0, 7, 0x1008, 8, 0, 1, 0, 9,
		       0xabcdef0123456789 },
		.nfds = 2,
	};
	struct rig *r = begin(&a);
	struct vuser_io_fds *f;

	(void)state;
	assert_int_equal(vuser_get_io_fds(r->client, 1, &f, &r->e), 0);
	assert_int_equal(f->region, 1);
	assert_int_equal(f->n, 2);
	assert_int_equal(f->nfds, 2);
	assert_int_equal(f->entries[0].offset, 0x1000);
	assert_int_equal(f->entries[0].size, 4);
	assert_int_equal(f->entries[0].fd_index, 1);
	assert_int_equal(f->entries[0].type, VUSER_IO_FD_IOEVENTFD);
	assert_int_equal(f->entries[0].flags, 1);
	assert_int_equal(f->entries[0].datamatch, 7);
	assert_int_equal(f->entries[1].type, VUSER_IO_FD_IOREGIONFD);
	assert_int_equal(f->entries[1].shadow_offset, 0);
	assert_int_equal(f->entries[1].datamatch, 0xabcdef0123456789);
	vuser_io_fds_free(f);
	vuser_io_fds_free(NULL);
	end(r, &a, before);
}

static void entries_of_48_bytes_have_a_shadow(void **state)
{
	unsigned before = open_fds();
	struct answer a = {
		.form = "4444",
		.v = { 64, 0, 0, 1 },
		.second = "4444" SHADOW,
		.w = { 64, 0, 0, 1, 0x10, 4, 0, VUSER_IO_FD_SHADOW, 0, 2, 0x40, 0x5a },
		.nfds = 3,
	};
	struct rig *r = begin(&a);
	struct vuser_io_fds *f;

	(void)state;
	assert_int_equal(vuser_get_io_fds(r->client, 0, &f, &r->e), 0);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->entries[0].type, VUSER_IO_FD_SHADOW);
	assert_int_equal(f->entries[0].shadow_index, 2);
	assert_int_equal(f->entries[0].shadow_offset, 0x40);
	assert_int_equal(f->entries[0].datamatch, 0x5a);
	vuser_io_fds_free(f);
	end(r, &a, before);
}

static void a_region_may_have_none(void **state)
{
	unsigned before = open_fds();
	struct answer a = { .form = "4444", .v = { 16, 0, 3, 0 } };
	struct rig *r = begin(&a);
	struct vuser_io_fds *f;

	(void)state;
	assert_int_equal(vuser_get_io_fds(r->client, 3, &f, &r->e), 0);
	assert_int_equal(f->n, 0);
	assert_int_equal(f->nfds, 0);
	vuser_io_fds_free(f);
	end(r, &a, before);
}

struct lie {
	const char *what;
	uint64_t v[4]; /* the first answer */
	const char *second;
	uint64_t w[12];
	unsigned nfds;
	size_t offset; /* of the lie */
	const char *field;
};

static void lies_are_told_with_their_place(void **state)
{
	static const struct lie table[] = {
		{ "another region", { 16, 0, 2, 0 }, NULL, { 0 }, 0, 24, "index" },
		{ "too much", { 65537, 0, 1, 1638 }, NULL, { 0 }, 0, 16, "argsz" },
		{ "none comes", { 16, 0, 1, 1 }, NULL, { 0 }, 0, 28, "count" },
		{ "none comes later",
		  { 56, 0, 1, 1 },
		  "4444",
		  { 56, 0, 1, 1 },
		  0,
		  28,
		  "count" },
		{ "it grows", { 56, 0, 1, 1 }, "4444", { 96, 0, 1, 2 }, 0, 16, "argsz" },
		{ "the descriptor did not come",
		  { 56, 0, 1, 1 },
		  "4444" ENTRY,
		  { 56, 0, 1, 1, 0, 4, 2 },
		  2,
		  48,
		  "fd_index" },
		{ "the shadow did not come",
		  { 64, 0, 1, 1 },
		  "4444" SHADOW,
		  { 64, 0, 1, 1, 0, 4, 0, VUSER_IO_FD_SHADOW, 0, 1, 0, 0 },
		  1,
		  60,
		  "padding" },
		{ "entries of 24 bytes",
		  { 64, 0, 1, 1 },
		  "4444888",
		  { 40, 0, 1, 1 },
		  0,
		  32,
		  "count" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct lie *lie = &table[i];
		unsigned before = open_fds();
		struct answer a = { .form = "4444",
				    .second = lie->second,
				    .nfds = lie->nfds };
		struct vuser_io_fds *f;
		struct rig *r;
		int result;

		memcpy(a.v, lie->v, sizeof(lie->v));
		memcpy(a.w, lie->w, sizeof(lie->w));
		r = begin(&a);
		result = vuser_get_io_fds(r->client, 1, &f, &r->e);
		if (result != VUSER_E_PROTOCOL || r->e.offset != lie->offset ||
		    strcmp(r->e.field, lie->field) != 0)
			fail_msg("%s: %d, %s at %zu: %s", lie->what, result, r->e.field,
				 r->e.offset, r->e.text);
		end(r, &a, before);
	}
}

static void refuse(struct peer *p)
{
	take(p, VUSER_CMD_DEVICE_GET_REGION_IO_FDS);
	answer_error(p, EINVAL);
}

static void a_server_may_refuse(void **state)
{
	struct rig *r = begin_with(refuse, NULL, NULL, patient_options());
	struct vuser_io_fds *f;

	(void)state;
	assert_failed(r, vuser_get_io_fds(r->client, 9, &f, &r->e), VUSER_E_REMOTE,
		      EINVAL);
	end_with(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_of_40_bytes_are_taken_in_two_steps),
		cmocka_unit_test(entries_of_48_bytes_have_a_shadow),
		cmocka_unit_test(a_region_may_have_none),
		cmocka_unit_test(lies_are_told_with_their_place),
		cmocka_unit_test(a_server_may_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
