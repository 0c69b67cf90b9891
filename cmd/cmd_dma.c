/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on DMA memory: the windows the server has, and our side of them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "transfer.h"

static const char *const prot_flags[] = { "read", "write", NULL };

/* ---- dma map ------------------------------------------------------------------- */

static uint32_t prot_of(const struct args *a)
{
	const char *word = arg(a, "r|w|rw");
	uint32_t prot = 0;

	for (; word && *word; word++)
		prot |= *word == 'r' ? VUSER_DMA_READABLE : VUSER_DMA_WRITABLE;
	return prot ? prot : VUSER_DMA_READABLE | VUSER_DMA_WRITABLE;
}

static int check_map(struct app *app, const struct args *a)
{
	uint64_t iova = arg_number(a, "IOVA", 0), size = arg_number(a, "SIZE", 0);

	if (arg(a, "--no-fd") && arg(a, "--file"))
		return fail(app, FAIL_USAGE, 0, "--no-fd and --file exclude each other");
	if (arg(a, "--offset") && !arg(a, "--file"))
		return fail(app, FAIL_USAGE, 0, "--offset goes with --file only");
	if (size && size - 1 > UINT64_MAX - iova)
		return fail(app, FAIL_USAGE, 0, "the window ends beyond 64 bits");
	return FAIL_NONE;
}

/* Touching what is mapped beyond a file's end would kill whoever does. */
static int check_file_size(struct app *app, int fd, const char *path, uint64_t offset,
			   uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(app, FAIL_SYSTEM, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return fail(app, FAIL_USAGE, EISDIR, "%s", path);
	if (!S_ISREG(st.st_mode))
		return FAIL_NONE;
	if (offset <= (uint64_t)st.st_size && size <= (uint64_t)st.st_size - offset)
		return FAIL_NONE;
	return fail(app, FAIL_USAGE, 0,
		    "%s has 0x%" PRIx64 " bytes; the window would end beyond them", path,
		    (uint64_t)st.st_size);
}

static int map_file(struct app *app, const struct args *a)
{
	uint64_t iova = arg_number(a, "IOVA", 0), size = arg_number(a, "SIZE", 0);
	uint64_t offset = arg_number(a, "--offset", 0);
	const char *path = arg(a, "--file");
	struct dma_file *file = malloc(sizeof(*file));
	struct vuser_error e;
	int rc;

	if (!file)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for a window");
	/* The server gets no more than it may: a mapping to write to needs both. */
	file->fd = open(path, (prot_of(a) & VUSER_DMA_WRITABLE ? O_RDWR : O_RDONLY) |
				      O_CLOEXEC | O_NOCTTY);
	if (file->fd < 0) {
		free(file);
		return file_failed(app, FAIL_USAGE, path);
	}
	file->next = app->files;
	app->files = file;
	rc = check_file_size(app, file->fd, path, offset, size);
	if (!rc && vuser_map(app->client, iova, size, prot_of(a), VUSER_BACK_FILE,
			     file->fd, offset, false, &e))
		rc = fail_from(app, &e);
	if (rc)
		connection_sweep_files(app);
	return rc;
}

static int run_map(struct app *app, const struct args *a)
{
	uint64_t iova = arg_number(a, "IOVA", 0), size = arg_number(a, "SIZE", 0);
	enum vuser_backing backing =
		arg(a, "--no-fd") ? VUSER_BACK_NONE : VUSER_BACK_MEMFD;
	struct vuser_error e;

	json_hex(json(app), "address", iova);
	json_hex(json(app), "size", size);
	if (arg(a, "--file"))
		return map_file(app, a);
	if (vuser_map(app->client, iova, size, prot_of(a), backing, -1, 0, false, &e))
		return fail_from(app, &e);
	return FAIL_NONE;
}

/* ---- dma unmap ----------------------------------------------------------------- */

static int run_unmap(struct app *app, const struct args *a)
{
	uint64_t iova = arg_number(a, "IOVA", 0), size = arg_number(a, "SIZE", 0);
	struct vuser_error e;

	if (vuser_unmap(app->client, iova, size, &e))
		return fail_from(app, &e);
	connection_sweep_files(app);
	json_hex(json(app), "address", iova);
	json_hex(json(app), "size", size);
	return FAIL_NONE;
}

static int run_unmap_all(struct app *app, const struct args *a)
{
	struct vuser_error e;

	(void)a;
	if (vuser_unmap_all(app->client, &e))
		return fail_from(app, &e);
	connection_sweep_files(app);
	return FAIL_NONE;
}

/* ---- dma list ------------------------------------------------------------------ */

/* What is behind a window: the name of its descriptor. */
static void backing_text(const struct vuser_window *w, char *buf, size_t cap)
{
	char link[32], name[160];
	ssize_t len;

	snprintf(buf, cap, "messages");
	if (w->fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", w->fd);
	len = readlink(link, name, sizeof(name) - 1);
	if (len < 0) {
		snprintf(buf, cap, "fd %d", w->fd);
		return;
	}
	name[len] = '\0';
	printable(buf, cap, strncmp(name, "/memfd:", 7) == 0 ? "memfd" : name);
}

static void show_window(struct app *app, cJSON *array, const struct vuser_window *w)
{
	cJSON *entry = json_entry(array);
	char flags[40], backing[200];

	backing_text(w, backing, sizeof(backing));
	json_hex(entry, "address", w->iova);
	json_hex(entry, "size", w->size);
	json_flags(entry, "flags", w->prot, prot_flags);
	json_text(entry, "backing", backing);
	json_hex(entry, "offset", w->offset);
	json_count(entry, "reads", w->reads);
	json_count(entry, "read_bytes", w->read_bytes);
	json_count(entry, "writes", w->writes);
	json_count(entry, "write_bytes", w->write_bytes);
	if (text(app))
		fprintf(text(app),
			"0x%-16" PRIx64 " 0x%-12" PRIx64 " %-11s %8" PRIu64 " %10" PRIu64
			" %8" PRIu64 " %10" PRIu64 "  %s\n",
			w->iova, w->size,
			flags_text(flags, sizeof(flags), w->prot, prot_flags), w->reads,
			w->read_bytes, w->writes, w->write_bytes, backing);
}

static int run_list(struct app *app, const struct args *a)
{
	cJSON *array = json_array(json(app), "windows");
	struct vuser_window w;

	(void)a;
	if (text(app))
		fprintf(text(app), "%s%-18s %-14s %-11s %8s %10s %8s %10s  %s%s\n",
			bold(app), "iova", "size", "flags", "DMA_READ", "bytes",
			"DMA_WRITE", "bytes", "memory", plain(app));
	for (size_t i = 0; vuser_window_get(app->client, i, &w); i++)
		show_window(app, array, &w);
	return FAIL_NONE;
}

static const struct command rows[] = {
	{ .name = "dma map",
	  .synopsis = "IOVA SIZE [r|w|rw] [--no-fd] [--file PATH [--offset N]]",
	  .summary = "give the server memory",
	  .help = "The server may read and write it (rw) unless told otherwise. It is a memfd of\n"
		  "ours, which the server can map; with --no-fd the server reaches it by DMA_READ\n"
		  "and DMA_WRITE messages only; with --file it is a file, from its byte N on, which\n"
		  "is opened read-only for r.\n\n"
		  "    dma map 0x100000 64K\n"
		  "    dma map 1M 4K r --no-fd\n",
	  .run = run_map,
	  .check = check_map,
	  .flags = CMD_CONNECTED },
	{ .name = "dma unmap",
	  .synopsis = "IOVA SIZE",
	  .summary = "take one window back",
	  .run = run_unmap,
	  .flags = CMD_CONNECTED },
	{ .name = "dma unmap all",
	  .synopsis = "",
	  .summary = "take all windows back",
	  .run = run_unmap_all,
	  .flags = CMD_CONNECTED },
	{ .name = "dma list",
	  .synopsis = "",
	  .summary = "the windows, and how often the server reached in by message",
	  .run = run_list,
	  .flags = CMD_CONNECTED },
	{ .name = "dma read",
	  .synopsis = "IOVA [WIDTH]",
	  .summary = "read one value of that memory",
	  .run = run_read,
	  .flags = CMD_CONNECTED | CMD_VALUE },
	{ .name = "dma write",
	  .synopsis = "IOVA VALUE [WIDTH]",
	  .summary = "write one value of that memory",
	  .run = run_write,
	  .check = check_write,
	  .flags = CMD_CONNECTED },
	{ .name = "dma dump",
	  .synopsis = "IOVA COUNT",
	  .summary = "hex dump of that memory",
	  .run = run_dump,
	  .check = check_dump,
	  .flags = CMD_CONNECTED },
	{ .name = "dma fill",
	  .synopsis = "IOVA COUNT BYTE",
	  .summary = "write the same byte everywhere",
	  .run = run_fill,
	  .flags = CMD_CONNECTED },
	{ .name = "dma save",
	  .synopsis = "IOVA COUNT FILE",
	  .summary = "copy from that memory to a file",
	  .run = run_save,
	  .flags = CMD_CONNECTED },
	{ .name = "dma load",
	  .synopsis = "IOVA FILE",
	  .summary = "copy a file to that memory",
	  .run = run_load,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group dma_commands = { "DMA memory", rows };
