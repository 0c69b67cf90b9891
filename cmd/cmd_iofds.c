/* SPDX-License-Identifier: BSD-3-Clause */
/* The descriptors that stand for writes to a region: iofds lists and rings them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer.h"

/* The flags of an entry are those of KVM. */
#define EVENTFD_DATAMATCH 1u
static const char *const eventfd_flags[] = { "datamatch", "pio", "deassign", "virtio-ccw",
					     NULL };
static const char *const regionfd_flags[] = { "posted-writes", NULL };

static const char *type_name(uint32_t type)
{
	static const char *const names[] = {
		[VUSER_IO_FD_IOEVENTFD] = "ioeventfd",
		[VUSER_IO_FD_IOREGIONFD] = "ioregionfd",
		[VUSER_IO_FD_SHADOW] = "ioeventfd+shadow",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

static const char *const *flag_names(uint32_t type)
{
	return type == VUSER_IO_FD_IOREGIONFD ? regionfd_flags : eventfd_flags;
}

/* ---- The list ------------------------------------------------------------------ */

static void entry_json(cJSON *entry, const struct vuser_io_fd *f)
{
	json_hex(entry, "offset", f->offset);
	json_count(entry, "size", f->size);
	json_count(entry, "fd_index", f->fd_index);
	json_count(entry, "type", f->type);
	if (type_name(f->type))
		json_text(entry, "name", type_name(f->type));
	json_flags(entry, "flags", f->flags, flag_names(f->type));
	json_hex(entry, f->type == VUSER_IO_FD_IOREGIONFD ? "user_data" : "datamatch",
		 f->datamatch);
	if (f->type != VUSER_IO_FD_SHADOW)
		return;
	json_count(entry, "shadow_fd_index", f->shadow_index);
	json_hex(entry, "shadow_offset", f->shadow_offset);
}

static void entry_text(FILE *out, size_t n, const struct vuser_io_fd *f)
{
	char type[24], flags[80], match[24] = "-", shadow[48] = "-";

	snprintf(type, sizeof(type), "type %" PRIu32, f->type);
	if (f->type == VUSER_IO_FD_IOREGIONFD || f->flags & EVENTFD_DATAMATCH)
		snprintf(match, sizeof(match), "0x%" PRIx64, f->datamatch);
	if (f->type == VUSER_IO_FD_SHADOW)
		snprintf(shadow, sizeof(shadow), "fd %" PRIu32 " at 0x%" PRIx64,
			 f->shadow_index, f->shadow_offset);
	fprintf(out,
		"%4zu  %-16s  0x%-10" PRIx64 " %6" PRIu64 " %4" PRIu32
		"  %-14s %-18s %s\n",
		n, type_name(f->type) ? type_name(f->type) : type, f->offset, f->size,
		f->fd_index,
		flags_text(flags, sizeof(flags), f->flags, flag_names(f->type)), match,
		shadow);
}

static void show_list(struct app *app, const struct vuser_io_fds *f)
{
	cJSON *array = json_array(json(app), "entries");

	json_count(json(app), "region", f->region);
	json_count(json(app), "count", f->n);
	json_count(json(app), "fds", f->nfds);
	if (text(app))
		fprintf(text(app), "%s%4s  %-16s  %-12s %6s %4s  %-14s %-18s %s%s\n",
			bold(app), "", "type", "offset", "size", "fd", "flags",
			"match/data", "shadow", plain(app));
	for (size_t i = 0; i < f->n; i++) {
		if (json(app))
			entry_json(json_entry(array), &f->entries[i]);
		if (text(app))
			entry_text(text(app), i, &f->entries[i]);
	}
}

/* ---- ring ---------------------------------------------------------------------- */

/*
 * Puts the value where the device looks for it, as the write that the bell stands for
 * would have done.
 */
static int write_shadow(struct app *app, const struct vuser_io_fds *f,
			const struct vuser_io_fd *entry, uint64_t value)
{
	unsigned width = entry->size ? (unsigned)entry->size : 4;
	int fd = f->fds[entry->shadow_index];
	uint8_t bytes[8];
	struct stat st;
	ssize_t n;
	int rc;

	if (entry->size > 8 || width & (width - 1))
		return fail(app, FAIL_USAGE, 0,
			    "a write of %" PRIu64 " bytes cannot be put into the shadow",
			    entry->size);
	rc = check_fits(app, value, width);
	if (rc)
		return rc;
	value_to_bytes(bytes, value, width);
	/* The server's file must not become longer by our doing. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (entry->shadow_offset > (uint64_t)st.st_size ||
	     width > (uint64_t)st.st_size - entry->shadow_offset))
		return fail(app, FAIL_SYSTEM, EFAULT,
			    "the shadow at 0x%" PRIx64
			    " lies beyond the end of its memory",
			    entry->shadow_offset);
	n = pwrite(fd, bytes, width, (off_t)entry->shadow_offset);
	if (n != (ssize_t)width)
		return fail(app, FAIL_SYSTEM, n < 0 ? errno : EIO,
			    "the shadow at 0x%" PRIx64 " cannot be written",
			    entry->shadow_offset);
	return FAIL_NONE;
}

/*
 * The server has the same file and may have filled it up, so it must not block, and is
 * left as it was.
 */
static int write_bell(struct app *app, int fd, uint64_t value)
{
	int flags = fcntl(fd, F_GETFL), err;
	ssize_t n;

	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	n = write(fd, &value, sizeof(value));
	err = n < 0 ? errno : EIO;
	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags);
	if (n == sizeof(value))
		return FAIL_NONE;
	if (err == EAGAIN)
		return fail(app, FAIL_SYSTEM, 0,
			    "the eventfd is full: the server does not read it");
	return fail(app, FAIL_SYSTEM, err, "the eventfd cannot be written");
}

static int ring(struct app *app, const struct vuser_io_fds *f, uint64_t n, uint64_t value)
{
	const struct vuser_io_fd *entry;
	int rc = FAIL_NONE;

	if (n >= f->n)
		return fail(app, FAIL_USAGE, 0,
			    "there is no io fd %" PRIu64 ", the region has %zu", n, f->n);
	entry = &f->entries[n];
	if (entry->type != VUSER_IO_FD_IOEVENTFD && entry->type != VUSER_IO_FD_SHADOW)
		return fail(app, FAIL_USAGE, 0,
			    "io fd %" PRIu64 " is no ioeventfd that could be rung", n);
	if (entry->type == VUSER_IO_FD_SHADOW) {
		rc = write_shadow(app, f, entry, value);
		value = 1;
	}
	rc = rc ? rc : write_bell(app, f->fds[entry->fd_index], value);
	json_count(json(app), "region", f->region);
	json_count(json(app), "ring", n);
	return rc;
}

/* ---- iofds --------------------------------------------------------------------- */

static int check_iofds(struct app *app, const struct args *a)
{
	if (arg(a, "ring") && !arg(a, "N"))
		return fail(app, FAIL_USAGE, 0, "ring which? N is missing");
	return FAIL_NONE;
}

static int run_iofds(struct app *app, const struct args *a)
{
	struct vuser_io_fds *f;
	struct vuser_error e;
	int rc = FAIL_NONE;

	if (vuser_get_io_fds(app->client, arg_region(a, "REGION"), &f, &e))
		return fail_from(app, &e);
	if (arg(a, "ring"))
		rc = ring(app, f, arg_number(a, "N", 0), arg_number(a, "VALUE", 1));
	else
		show_list(app, f);
	vuser_io_fds_free(f);
	return rc;
}

static const struct command rows[] = {
	{ .name = "iofds",
	  .synopsis = "REGION [ring N [VALUE]]",
	  .summary = "the ioeventfds and ioregionfds of a region; ring one",
	  .help = "An ioeventfd takes writes to a part of the region in place of messages. ring\n"
		  "writes VALUE, 1 unless given, to that of row N; to one with a shadow it writes\n"
		  "VALUE into the shadow, as the guest's write would, and rings once.\n\n"
		  "    iofds bar0\n"
		  "    iofds bar0 ring 0\n",
	  .run = run_iofds,
	  .check = check_iofds,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group iofd_commands = { "Io fds", rows };
