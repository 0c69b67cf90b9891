/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on ranges, of a region or of DMA memory: dump, fill, save, load. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "transfer.h"

#define DUMP_MAX (16u << 20) /* more is no reading for a person: save */
#define PIPE_MAX (1u << 30)  /* of what comes through a pipe to be loaded */

/* ---- dump ---------------------------------------------------------------------- */

struct dump {
	uint8_t *data;
	size_t len;
};

static int take_dump(void *arg, void *data, size_t len)
{
	struct dump *d = arg;

	memcpy(d->data + d->len, data, len);
	d->len += len;
	return FAIL_NONE;
}

static void dump_line(FILE *out, uint64_t offset, const uint8_t *data, size_t len,
		      size_t width)
{
	fprintf(out, "%08" PRIx64 " ", offset);
	for (size_t i = 0; i < width; i++) {
		if (i % 8 == 0)
			fputc(' ', out);
		if (i < len)
			fprintf(out, "%02x ", data[i]);
		else
			fputs("   ", out);
	}
	fputs(" |", out);
	for (size_t i = 0; i < len; i++)
		fputc(data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '.', out);
	fputs("|\n", out);
}

static void dump_text(FILE *out, uint64_t offset, const struct dump *d, size_t width)
{
	bool starred = false;
	size_t len;

	for (size_t i = 0; i < d->len; i += len) {
		const uint8_t *line = d->data + i;

		len = d->len - i < width ? d->len - i : width;
		if (i && len == width && memcmp(line, line - width, width) == 0) {
			if (!starred)
				fputs("*\n", out);
			starred = true;
			continue;
		}
		starred = false;
		dump_line(out, offset + i, line, len, width);
	}
	if (d->len)
		fprintf(out, "%08" PRIx64 "\n", offset + d->len);
}

int check_dump(struct app *app, const struct args *a)
{
	if (arg_number(a, "COUNT", 0) > DUMP_MAX)
		return fail(app, FAIL_USAGE, 0, "more than %u MiB: use %s",
			    DUMP_MAX >> 20, arg(a, "IOVA") ? "dma save" : "save");
	return FAIL_NONE;
}

int run_dump(struct app *app, const struct args *a)
{
	uint64_t offset, count = arg_number(a, "COUNT", 0);
	struct target t = target_of(a, &offset);
	struct dump d = { 0 };
	int rc = transfer_check(app, t, offset, count);

	if (rc)
		return rc;
	d.data = malloc(count + 1);
	if (!d.data)
		return fail(app, FAIL_SYSTEM, ENOMEM, "no memory for the data");
	rc = transfer_in(app, t, offset, count, take_dump, &d);
	if (!rc && text(app))
		dump_text(text(app), offset, &d, app->set.width);
	if (!rc && json(app)) {
		target_json(app, t, offset, count);
		json_data(json(app), "data", d.data, d.len);
	}
	free(d.data);
	return rc;
}

/* ---- fill ---------------------------------------------------------------------- */

static int give_fill(void *arg, void *data, size_t len)
{
	memset(data, *(const uint8_t *)arg, len);
	return FAIL_NONE;
}

int run_fill(struct app *app, const struct args *a)
{
	uint64_t offset, count = arg_number(a, "COUNT", 0);
	struct target t = target_of(a, &offset);
	uint8_t byte = (uint8_t)arg_number(a, "BYTE", 0);
	int rc = transfer_check(app, t, offset, count);

	return rc ? rc : transfer_out(app, t, offset, count, give_fill, &byte);
}

/* ---- Files --------------------------------------------------------------------- */

static int take_save(void *arg, void *data, size_t len)
{
	return savefile_write(arg, data, len);
}

int run_save(struct app *app, const struct args *a)
{
	uint64_t offset, count = arg_number(a, "COUNT", 0);
	struct target t = target_of(a, &offset);
	const char *path = arg(a, "FILE");
	int rc = transfer_check(app, t, offset, count);
	struct savefile f;

	if (rc)
		return rc;
	rc = savefile_open(app, &f, path);
	rc = rc ? rc : transfer_in(app, t, offset, count, take_save, &f);
	rc = savefile_end(&f, rc);
	target_json(app, t, offset, count);
	json_text(json(app), "file", path);
	return rc;
}

struct file {
	struct app *app;
	const char *path;
	int fd;
	uint64_t size;
};

static int give_load(void *arg, void *data, size_t len)
{
	struct file *f = arg;
	size_t got;
	int rc = file_read(f->app, f->path, f->fd, data, len, &got);

	if (!rc && got < len)
		rc = fail(f->app, FAIL_SYSTEM, 0, "%s became shorter", f->path);
	return rc;
}

/* What comes through a pipe is taken in first: its size has to be known. */
static int take_in(struct file *f)
{
	int from = f->fd, rc = FAIL_NONE;
	uint8_t buf[65536];
	size_t n;

	f->fd = memfd_create("vfuctl-load", MFD_CLOEXEC);
	if (f->fd < 0)
		rc = file_failed(f->app, FAIL_SYSTEM, f->path);
	while (!rc) {
		rc = file_read(f->app, f->path, from, buf, sizeof(buf), &n);
		if (rc || n == 0)
			break;
		if (write_all(f->fd, buf, n) != 0)
			rc = file_failed(f->app, FAIL_SYSTEM, f->path);
		else if (f->size + n > PIPE_MAX)
			rc = fail(f->app, FAIL_USAGE, EFBIG, "%s", f->path);
		else
			f->size += n;
	}
	close(from);
	if (!rc && lseek(f->fd, 0, SEEK_SET) < 0)
		rc = file_failed(f->app, FAIL_SYSTEM, f->path);
	return rc;
}

static int open_load(struct file *f)
{
	int rc = file_open(f->app, f->path, &f->fd);
	struct stat st;

	if (rc)
		return rc;
	if (fstat(f->fd, &st) != 0)
		return file_failed(f->app, FAIL_SYSTEM, f->path);
	if (!S_ISREG(st.st_mode))
		return take_in(f);
	f->size = (uint64_t)st.st_size;
	return FAIL_NONE;
}

int run_load(struct app *app, const struct args *a)
{
	uint64_t offset;
	struct target t = target_of(a, &offset);
	struct file f = { .app = app, .path = arg(a, "FILE"), .fd = -1 };
	int rc = open_load(&f);

	rc = rc ? rc : transfer_check(app, t, offset, f.size);
	rc = rc ? rc : transfer_out(app, t, offset, f.size, give_load, &f);
	if (f.fd >= 0)
		close(f.fd);
	target_json(app, t, offset, f.size);
	json_text(json(app), "file", f.path);
	return rc;
}
