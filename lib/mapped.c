/* SPDX-License-Identifier: BSD-3-Clause */
/* Access to a region through the descriptors that its server gave, as a guest has it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "error.h"

struct mapped_area {
	struct vuser_area area;
	int fd;		/* borrowed from fds of struct vuser_mapped */
	uint64_t at;	/* where the area begins in the file */
	uint8_t *map;	/* NULL until it is used */
	size_t map_len; /* whole pages; the area begins lead bytes after map */
	size_t lead;
	bool direct;   /* the file cannot become shorter than the area */
	bool readonly; /* cannot be mapped for writing */
};

struct vuser_mapped {
	uint32_t region, flags; /* VUSER_REGION_* */
	int fds[VUSER_MAX_REGION_FDS];
	size_t nfds;
	size_t n;
	struct mapped_area areas[]; /* in order of offset */
};

static const char *index_text(uint32_t region, char *buf, size_t cap)
{
	const char *name = vuser_region_name(region);

	if (name)
		return name;
	snprintf(buf, cap, "region %u", region);
	return buf;
}

static const char *region_text(const struct vuser_mapped *m, char *buf, size_t cap)
{
	return index_text(m->region, buf, cap);
}

/* ---- The areas --------------------------------------------------------------------- */

static size_t count_areas(const struct vuser_region *r, bool *sparse)
{
	size_t n = 0;

	*sparse = false;
	for (size_t i = 0; i < r->ncaps; i++) {
		if (r->caps[i].id != VUSER_REGIONCAP_SPARSE_MMAP)
			continue;
		*sparse = true;
		n += r->caps[i].nr_areas;
	}
	return *sparse ? n : 1;
}

static int add_area(struct vuser_mapped *m, const struct vuser_region *r, size_t i,
		    struct vuser_area area, struct vuser_error *e)
{
	uint64_t size = r->info.size, offset = r->info.offset;
	struct mapped_area *a = &m->areas[m->n];

	if (area.offset > size || area.size > size - area.offset)
		return error_set(e, VUSER_E_PROTOCOL, 0,
				 "area %zu, 0x%llx bytes at 0x%llx, lies outside the "
				 "region's 0x%llx bytes",
				 i, (unsigned long long)area.size,
				 (unsigned long long)area.offset,
				 (unsigned long long)size);
	if (offset > INT64_MAX || area.offset > INT64_MAX - offset ||
	    area.size > INT64_MAX - offset - area.offset)
		return error_set(e, VUSER_E_PROTOCOL, 0,
				 "area %zu ends beyond what a file can hold: its region "
				 "is said to be at 0x%llx",
				 i, (unsigned long long)offset);
	if (!area.size)
		return 0; /* none of it, but its descriptor counts */
	a->area = area;
	a->at = offset + area.offset;
	a->fd = m->fds[m->nfds == 1 ? 0 : i];
	m->n++;
	return 0;
}

static int add_areas(struct vuser_mapped *m, const struct vuser_region *r, bool sparse,
		     struct vuser_error *e)
{
	size_t number = 0;
	int ret = 0;

	if (!sparse)
		return add_area(m, r, 0, (struct vuser_area){ .size = r->info.size }, e);
	for (size_t i = 0; i < r->ncaps; i++)
		for (uint32_t k = 0; !ret && k < r->caps[i].nr_areas; k++)
			ret = add_area(m, r, number++,
				       vuser_regioncap_area(&r->caps[i], k), e);
	return ret;
}

static int by_offset(const void *a, const void *b)
{
	uint64_t x = ((const struct mapped_area *)a)->area.offset;
	uint64_t y = ((const struct mapped_area *)b)->area.offset;

	return x < y ? -1 : x > y;
}

static int sort_areas(struct vuser_mapped *m, struct vuser_error *e)
{
	qsort(m->areas, m->n, sizeof(*m->areas), by_offset);
	for (size_t i = 1; i < m->n; i++) {
		const struct vuser_area *before = &m->areas[i - 1].area;

		if (m->areas[i].area.offset - before->offset < before->size)
			return error_set(e, VUSER_E_PROTOCOL, 0,
					 "two areas overlap at 0x%llx",
					 (unsigned long long)m->areas[i].area.offset);
	}
	return 0;
}

/* One for all areas, or one each. */
static int take_fds(struct vuser_mapped *m, const struct vuser_region *r, size_t nareas,
		    struct vuser_error *e)
{
	if (r->nfds != 1 && r->nfds != nareas)
		return error_set(e, VUSER_E_PROTOCOL, 0,
				 "%zu descriptors came for %zu areas", r->nfds, nareas);
	for (; m->nfds < r->nfds; m->nfds++) {
		m->fds[m->nfds] = fcntl(r->fds[m->nfds], F_DUPFD_CLOEXEC, 0);
		if (m->fds[m->nfds] < 0)
			return error_errno(e, "cannot keep the region's descriptor");
	}
	return 0;
}

static int check_mappable(const struct vuser_region *r, size_t nareas,
			  struct vuser_error *e)
{
	const char *why = NULL;
	char buf[24];

	if (r->chain.code) {
		if (e)
			*e = r->chain;
		return r->chain.code;
	}
	if (nareas > VUSER_MAX_SPARSE_AREAS)
		return error_set(e, VUSER_E_PROTOCOL, 0,
				 "%zu areas, above the %u believed", nareas,
				 VUSER_MAX_SPARSE_AREAS);
	if (!(r->info.flags & VUSER_REGION_MMAP))
		why = "its flags do not have mmap";
	else if (!r->info.size)
		why = "it is empty";
	else if (!nareas)
		why = "the server names no area of it";
	else if (!r->nfds)
		why = "the server gave no descriptor";
	if (!why)
		return 0;
	return error_set(e, VUSER_E_USAGE, ENOTSUP, "%s cannot be mapped: %s",
			 index_text(r->info.index, buf, sizeof(buf)), why);
}

int vuser_region_map(const struct vuser_region *r, struct vuser_mapped **out,
		     struct vuser_error *e)
{
	struct vuser_mapped *m;
	bool sparse;
	size_t nareas = count_areas(r, &sparse);
	int ret = check_mappable(r, nareas, e);

	if (ret)
		return ret;
	m = calloc(1, sizeof(*m) + nareas * sizeof(m->areas[0]));
	if (!m)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM, "no memory for the areas");
	m->region = r->info.index;
	m->flags = r->info.flags;
	ret = take_fds(m, r, nareas, e);
	ret = ret ? ret : add_areas(m, r, sparse, e);
	ret = ret ? ret : sort_areas(m, e);
	if (ret)
		vuser_mapped_free(m);
	else
		*out = m;
	return ret;
}

void vuser_mapped_free(struct vuser_mapped *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		if (m->areas[i].map)
			munmap(m->areas[i].map, m->areas[i].map_len);
	for (size_t i = 0; i < m->nfds; i++)
		close(m->fds[i]);
	free(m);
}

bool vuser_mapped_area(const struct vuser_mapped *m, size_t i, struct vuser_area *out)
{
	if (i >= m->n)
		return false;
	*out = m->areas[i].area;
	return true;
}

/* ---- Mapping one ------------------------------------------------------------------- */

/*
 * Memory that stays there whatever the server does: sealed against shrinking, large
 * enough, and not of huge pages, which can run out when a hole in them is touched.
 */
static bool is_steady(const struct mapped_area *a, const struct statfs *fs)
{
	int seals = fcntl(a->fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fs->f_type != TMPFS_MAGIC)
		return false;
	return fstat(a->fd, &st) == 0 && a->at <= (uint64_t)st.st_size &&
	       a->area.size <= (uint64_t)st.st_size - a->at;
}

static int map_area(struct vuser_mapped *m, struct mapped_area *a, struct vuser_error *e)
{
	struct statfs fs = { 0 };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), len;
	bool writable = m->flags & VUSER_REGION_WRITE;
	void *p = MAP_FAILED;
	char buf[24];

	if (a->map)
		return 0;
	if (fstatfs(a->fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0)
		page = (uint64_t)fs.f_bsize;
	a->lead = (size_t)(a->at % page);
	len = (a->area.size + a->lead + page - 1) / page * page;
	errno = ENOMEM;
	if (writable && len <= SIZE_MAX / 2)
		p = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
			 (off_t)(a->at - a->lead));
	/* What can only be read is worth that. */
	a->readonly = p == MAP_FAILED;
	if (len <= SIZE_MAX / 2 && p == MAP_FAILED &&
	    (!writable || errno == EACCES || errno == EPERM))
		p = mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, a->fd,
			 (off_t)(a->at - a->lead));
	if (p == MAP_FAILED)
		return error_set(e, VUSER_E_SYSTEM, errno,
				 "%s: 0x%llx bytes at 0x%llx cannot be mapped: %s",
				 region_text(m, buf, sizeof(buf)),
				 (unsigned long long)a->area.size,
				 (unsigned long long)a->area.offset,
				 vuser_errno_text(errno));
	a->map = p;
	a->map_len = (size_t)len;
	a->direct = is_steady(a, &fs);
	return 0;
}

/* ---- Copying ----------------------------------------------------------------------- */

/* One access of the processor's of that width; false if there is none. */
static bool copy_one(volatile uint8_t *mem, void *buf, size_t n, bool write)
{
	if ((uintptr_t)mem % n)
		return false;
#define COPY(type)                                                  \
	do {                                                        \
		type v;                                             \
		if (write) {                                        \
			memcpy(&v, buf, sizeof(v));                 \
			*(volatile type *)(volatile void *)mem = v; \
		} else {                                            \
			v = *(volatile type *)(volatile void *)mem; \
			memcpy(buf, &v, sizeof(v));                 \
		}                                                   \
	} while (0)
	switch (n) {
	case 1:
		COPY(uint8_t);
		return true;
	case 2:
		COPY(uint16_t);
		return true;
	case 4:
		COPY(uint32_t);
		return true;
	case 8:
		COPY(uint64_t);
		return true;
	default:
		return false;
	}
#undef COPY
}

static void copy_direct(uint8_t *mem, void *buf, size_t n, bool write)
{
	if (n && n <= 8 && copy_one(mem, buf, n, write))
		return;
	if (write)
		memcpy(mem, buf, n);
	else
		memcpy(buf, mem, n);
}

/*
 * Through the kernel, which answers EFAULT where an access of ours would get SIGBUS.
 * Returns how many bytes, or a negative errno.
 */
static ssize_t copy_by_kernel(uint8_t *mem, void *buf, size_t n, bool write)
{
	struct iovec ours = { .iov_base = buf, .iov_len = n };
	struct iovec theirs = { .iov_base = mem, .iov_len = n };
	ssize_t done = write ? process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0)
			     : process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0);

	return done < 0 ? -errno : done;
}

/* Where the kernel does not do that: by the descriptor. A write makes no file longer. */
static ssize_t copy_by_file(const struct mapped_area *a, uint64_t at, void *buf, size_t n,
			    bool write)
{
	struct stat st;
	ssize_t done;

	if (write && fstat(a->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		if (at >= (uint64_t)st.st_size)
			return -EFAULT;
		if (n > (uint64_t)st.st_size - at)
			n = (size_t)((uint64_t)st.st_size - at);
	}
	done = write ? pwrite(a->fd, buf, n, (off_t)at) : pread(a->fd, buf, n, (off_t)at);
	if (done < 0)
		return -errno;
	return done ? done : -EFAULT; /* the file ends */
}

/* Device memory that was mapped by page number is nothing to the first of the two. */
static ssize_t copy_some(const struct mapped_area *a, uint64_t at, void *buf, size_t n,
			 bool write)
{
	ssize_t done = copy_by_kernel(a->map + a->lead + at, buf, n, write), other;
	struct stat st;

	if (done >= 0)
		return done ? done : -EFAULT;
	if (done == -EFAULT && (fstat(a->fd, &st) != 0 || S_ISREG(st.st_mode)))
		return done;
	do
		other = copy_by_file(a, a->at + at, buf, n, write);
	while (other == -EINTR);
	return done == -EFAULT && other < 0 ? done : other;
}

/* n bytes at offset at of the area, which reaches that far. */
static int copy_area(struct vuser_mapped *m, struct mapped_area *a, uint64_t at,
		     uint8_t *buf, size_t n, bool write, struct vuser_error *e)
{
	char name[24];
	ssize_t done;
	int r = map_area(m, a, e);

	if (r)
		return r;
	if (write && a->readonly)
		return error_set(e, VUSER_E_SYSTEM, EACCES,
				 "%s at 0x%llx can be mapped for reading only",
				 region_text(m, name, sizeof(name)),
				 (unsigned long long)a->area.offset + at);
	if (a->direct) {
		copy_direct(a->map + a->lead + at, buf, n, write);
		return 0;
	}
	for (; n; n -= (size_t)done, buf += done, at += (uint64_t)done) {
		done = copy_some(a, at, buf, n, write);
		if (done == -EFAULT)
			return error_set(e, VUSER_E_SYSTEM, EFAULT,
					 "there is no memory behind 0x%llx of %s: the "
					 "server's file ends before",
					 (unsigned long long)a->area.offset + at,
					 region_text(m, name, sizeof(name)));
		if (done < 0)
			return error_set(e, VUSER_E_SYSTEM, (int)-done,
					 "0x%llx of %s: %s",
					 (unsigned long long)a->area.offset + at,
					 region_text(m, name, sizeof(name)),
					 vuser_errno_text((int)-done));
	}
	return 0;
}

static struct mapped_area *find_area(struct vuser_mapped *m, uint64_t offset)
{
	for (size_t i = 0; i < m->n; i++)
		if (offset >= m->areas[i].area.offset &&
		    offset - m->areas[i].area.offset < m->areas[i].area.size)
			return &m->areas[i];
	return NULL;
}

/* All of it must be in areas, which may touch, before any of it is touched. */
static int check_span(struct vuser_mapped *m, uint64_t offset, size_t count,
		      struct vuser_error *e)
{
	uint64_t left = count, room;
	char name[24];

	while (left) {
		const struct mapped_area *a = find_area(m, offset);

		if (!a)
			return error_set(e, VUSER_E_USAGE, EFAULT,
					 "0x%llx of %s is in no area that can be mapped",
					 (unsigned long long)offset,
					 region_text(m, name, sizeof(name)));
		room = a->area.size - (offset - a->area.offset);
		if (left <= room)
			return 0;
		left -= room;
		offset += room;
	}
	return 0;
}

static int copy(struct vuser_mapped *m, uint64_t offset, uint8_t *buf, size_t count,
		bool write, struct vuser_error *e)
{
	uint32_t needs = write ? VUSER_REGION_WRITE : VUSER_REGION_READ;
	char name[24];
	int r;

	if (!(m->flags & needs))
		return error_set(e, VUSER_E_USAGE, EACCES, "%s is not %s",
				 region_text(m, name, sizeof(name)),
				 write ? "writable" : "readable");
	r = check_span(m, offset, count, e);
	while (!r && count) {
		struct mapped_area *a = find_area(m, offset);
		uint64_t at = offset - a->area.offset, room = a->area.size - at;
		size_t n = count < room ? count : (size_t)room;

		r = copy_area(m, a, at, buf, n, write, e);
		buf += n;
		offset += n;
		count -= n;
	}
	return r;
}

int vuser_mapped_read(struct vuser_mapped *m, uint64_t offset, void *buf, size_t count,
		      struct vuser_error *e)
{
	return copy(m, offset, buf, count, false, e);
}

int vuser_mapped_write(struct vuser_mapped *m, uint64_t offset, const void *buf,
		       size_t count, struct vuser_error *e)
{
	return copy(m, offset, (uint8_t *)(uintptr_t)buf, count, true, e);
}
