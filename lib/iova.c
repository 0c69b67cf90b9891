/* SPDX-License-Identifier: BSD-3-Clause */
/* DMA windows: add, remove, find, overlap, and copying to and from their memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iova.h"

/* Where a window that starts at addr stands, or would stand. */
static size_t position(const struct iova_table *t, uint64_t addr)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->v[mid]->w.iova < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int iova_add(struct iova_table *t, struct window *w)
{
	uint64_t last = w->w.iova + (w->w.size - 1);
	size_t at = position(t, w->w.iova);

	if (!w->w.size || last < w->w.iova)
		return -EINVAL;
	if (at < t->n && t->v[at]->w.iova <= last)
		return -EEXIST;
	if (at && w->w.iova - t->v[at - 1]->w.iova < t->v[at - 1]->w.size)
		return -EEXIST;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;
		struct window **v = realloc(t->v, cap * sizeof(struct window *));

		if (!v)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof(struct window *));
	t->v[at] = w;
	t->n++;
	return 0;
}

struct window *iova_find(const struct iova_table *t, uint64_t addr)
{
	size_t at = position(t, addr);

	if (at < t->n && t->v[at]->w.iova == addr)
		return t->v[at];
	if (at && addr - t->v[at - 1]->w.iova < t->v[at - 1]->w.size)
		return t->v[at - 1];
	return NULL;
}

struct window *iova_exact(const struct iova_table *t, uint64_t addr, uint64_t size)
{
	struct window *w = iova_find(t, addr);

	return w && w->w.iova == addr && w->w.size == size ? w : NULL;
}

void iova_remove(struct iova_table *t, struct window *w)
{
	size_t at = position(t, w->w.iova);

	t->n--;
	memmove(t->v + at, t->v + at + 1, (t->n - at) * sizeof(struct window *));
	window_free(w);
}

void iova_clear(struct iova_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		window_free(t->v[i]);
	free(t->v);
	*t = (struct iova_table){ 0 };
}

void window_free(struct window *w)
{
	if (w->map)
		munmap(w->map, w->map_len);
	if (w->w.fd >= 0)
		close(w->w.fd);
	free(w);
}

/* A write must not make a file longer that is shorter than its window. */
static bool is_within(int fd, uint64_t offset, size_t len)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	return offset <= (uint64_t)st.st_size && len <= (uint64_t)st.st_size - offset;
}

static int copy_file(int fd, uint64_t offset, uint8_t *buf, size_t len, bool write)
{
	if (write && !is_within(fd, offset, len))
		return -EFAULT;
	while (len) {
		ssize_t n = write ? pwrite(fd, buf, len, (off_t)offset)
				  : pread(fd, buf, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno
				 : -EFAULT; /* the file ends before the window does */
		buf += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int window_copy(const struct window *w, uint64_t addr, void *buf, size_t len, bool write)
{
	uint64_t at = addr - w->w.iova;

	if (w->mem && write)
		memcpy(w->mem + at, buf, len);
	else if (w->mem)
		memcpy(buf, w->mem + at, len);
	else if (w->w.fd >= 0)
		return copy_file(w->w.fd, w->w.offset + at, buf, len, write);
	else
		return -EFAULT;
	return 0;
}
