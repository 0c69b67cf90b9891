/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on ranges, of a region or of DMA memory: dump, fill, save, load. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
		return fail(app, FAIL_USAGE, 0, "more than %u MiB: use save",
			    DUMP_MAX >> 20);
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

struct file {
	struct app *app;
	const char *path;
	int fd;
	uint64_t size;
	bool begun; /* something was written to it */
};

static int file_failed(const struct file *f)
{
	if (errno == EINTR)
		return fail(f->app, FAIL_CANCELLED, 0, "interrupted");
	return fail(f->app, FAIL_SYSTEM, errno, "%s", f->path);
}

static int write_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno == EINTR && !signals_came())
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* What the file held goes only when there is something to take its place. */
static int take_save(void *arg, void *data, size_t len)
{
	struct file *f = arg;
	struct stat st;

	if (!f->begun && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    ftruncate(f->fd, 0) != 0)
		return file_failed(f);
	f->begun = true;
	return write_all(f->fd, data, len) ? file_failed(f) : FAIL_NONE;
}

int run_save(struct app *app, const struct args *a)
{
	uint64_t offset, count = arg_number(a, "COUNT", 0);
	struct target t = target_of(a, &offset);
	struct file f = { .app = app, .path = arg(a, "FILE") };
	int rc = transfer_check(app, t, offset, count);

	if (rc)
		return rc;
	f.fd = open(f.path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	if (f.fd < 0)
		return file_failed(&f);
	rc = count ? transfer_in(app, t, offset, count, take_save, &f)
		   : take_save(&f, NULL, 0);
	if (close(f.fd) != 0 && !rc)
		rc = file_failed(&f);
	target_json(app, t, offset, count);
	json_text(json(app), "file", f.path);
	return rc;
}

static int give_load(void *arg, void *data, size_t len)
{
	struct file *f = arg;
	uint8_t *at = data;
	ssize_t n;

	while (len) {
		n = read(f->fd, at, len);
		if (n < 0 && errno == EINTR && !signals_came())
			continue;
		if (n < 0)
			return file_failed(f);
		if (n == 0)
			return fail(f->app, FAIL_SYSTEM, 0, "%s became shorter", f->path);
		at += n;
		len -= (size_t)n;
	}
	return FAIL_NONE;
}

/* What comes through a pipe is taken in first: its size has to be known. */
static int take_in(struct file *f)
{
	int from = f->fd, rc = FAIL_NONE;
	uint8_t buf[65536];
	ssize_t n;

	f->fd = memfd_create("vfuctl-load", MFD_CLOEXEC);
	if (f->fd < 0)
		rc = file_failed(f);
	while (!rc) {
		n = read(from, buf, sizeof(buf));
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR && !signals_came())
			continue;
		if (n < 0 || write_all(f->fd, buf, (size_t)n) != 0)
			rc = file_failed(f);
		else if (f->size + (uint64_t)n > PIPE_MAX)
			rc = fail(f->app, FAIL_USAGE, EFBIG, "%s", f->path);
		else
			f->size += (uint64_t)n;
	}
	close(from);
	if (!rc && lseek(f->fd, 0, SEEK_SET) < 0)
		rc = file_failed(f);
	return rc;
}

static int open_load(struct file *f)
{
	struct stat st;

	f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (f->fd < 0 || fstat(f->fd, &st) != 0)
		return file_failed(f);
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
