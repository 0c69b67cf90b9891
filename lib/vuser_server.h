/* SPDX-License-Identifier: BSD-3-Clause */
/* libvuser, the server: a device as a table of callbacks. Included by vuser.h. */
#ifndef VUSER_SERVER_API_H
#define VUSER_SERVER_API_H

#include "vuser_message.h"

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* ---- Server ----------------------------------------------------------------------- */

struct vuser_server;

struct vuser_region_desc {
	uint32_t flags; /* VUSER_REGION_READ and _WRITE; _MMAP if region_fd gives one */
	uint64_t size;	/* 0: the region does not exist */
	/* With _MMAP: the parts that can be mapped, NULL for all of it. */
	const struct vuser_area *areas;
	uint32_t nr_areas;
	uint32_t type, subtype; /* of a region that PCI has no index for; type 0: none */
	bool msix_mappable;	/* the MSI-X table may lie in what is mapped */
};
struct vuser_irq_desc {
	uint32_t flags;
	uint32_t count;
};

/*
 * Migration of a device, section "DEVICE_FEATURE". None of the callbacks may be NULL. The
 * server keeps the state, also when a client leaves, and sees to it that reading and
 * writing happen in the right one. Only in running and pre-copy is the device asked to
 * work and can it reach memory, also during the arc that ends them; to reads and writes
 * of its regions it must always answer. Interrupts that it raises in other states are
 * held until it runs again. A reset ends what there is of saving and
 * resuming: the state is running then.
 */
struct vuser_migration_ops {
	uint64_t flags; /* VUSER_MIGRATION_STOP_COPY, and _PRE_COPY if it can do that */
	/*
	 * One arc: from the state before to this one, enum vuser_device_state. A negative
	 * errno refuses it and the state stays what it was; where the device cannot go on
	 * from there it returns -ENOTRECOVERABLE, and its state is error until a reset.
	 */
	int (*state)(void *dev, uint32_t from, uint32_t to);
	/* At most count bytes of its state, in pre-copy or stop-copy. Returns how many,
	 * fewer than count at the end of what there is, or a negative errno. */
	int64_t (*read)(void *dev, void *buf, uint32_t count);
	/* In resuming: the next bytes of what was read. What is wrong with them may also
	 * be told by the arc from resuming to stop. */
	int (*write)(void *dev, const void *buf, uint32_t count);
};

/*
 * A device: what it is, and what it does. Callbacks run one at a time, also while one of
 * them waits for the client's memory (unless it overlaps), and return 0 or a negative
 * errno, which goes to the client as it is; those that are NULL are not needed.
 */
struct vuser_device {
	const char *name;
	uint32_t flags; /* VUSER_DEVICE_* */
	const struct vuser_region_desc *regions;
	uint32_t num_regions;
	const struct vuser_irq_desc *irqs;
	uint32_t num_irqs;
	/* The range is within the region and the region readable or writable. */
	int (*read)(void *dev, uint32_t region, uint64_t offset, void *buf,
		    uint32_t count);
	int (*write)(void *dev, uint32_t region, uint64_t offset, const void *buf,
		     uint32_t count);
	int (*reset)(void *dev);
	/* The client has left, its DMA windows are gone already. */
	void (*left)(void *dev);
	/*
	 * A slice of work, some hundred microseconds at most, done between commands.
	 * Returns true while there is more: then it is called again as soon as no command
	 * waits.
	 */
	bool (*work)(void *dev);
	/*
	 * Whether it may be read, written and reset while its work() waits for the
	 * client's memory. QEMU wants that: while it waits for a register it answers no
	 * DMA_READ.
	 */
	bool overlaps;
	/* The descriptor behind a region with VUSER_REGION_MMAP and where the region
	 * begins in it; it stays the device's. A negative errno: it cannot be mapped now.
	 */
	int (*region_fd)(void *dev, uint32_t region, uint64_t *offset);
	/*
	 * The io fds of a region: fills at most max entries and fds (*n, *nfds), which
	 * stay the device's. 0 or a negative errno. The device hears of its ioeventfds by
	 * vuser_server_watch().
	 */
	int (*io_fds)(void *dev, uint32_t region, struct vuser_io_fd *entries, size_t max,
		      size_t *n, int *fds, size_t *nfds);
	const struct vuser_migration_ops *migration; /* NULL: it does not migrate */
};

/* Of io_fds(): at most so many entries a region. */
#define VUSER_MAX_IO_FDS 256u

struct vuser_server_options {
	struct vuser_caps caps; /* what the reply to VERSION names */
	int64_t timeout; /* to wait for a DMA reply of the client's, ns; 0: for ever */
	struct vuser_trace *trace; /* may be NULL; not owned */
	/* Hears of refused messages, lost connections. May be NULL. */
	void (*event)(void *arg, const struct vuser_event *ev);
	void *arg;
};
void vuser_server_options_default(struct vuser_server_options *o);

/* desc and dev must outlive the server. */
int vuser_server_new(const struct vuser_device *desc, void *dev,
		     const struct vuser_server_options *o, struct vuser_server **out,
		     struct vuser_error *e) VUSER_CHECKED;
/* Lets the client go, closes everything; removes the socket's path if it made one. */
void vuser_server_free(struct vuser_server *s);
/*
 * Makes a socket at path and listens. A socket there that nobody serves any more is
 * replaced; anything else is SYSTEM with EADDRINUSE, listening twice USAGE.
 */
int vuser_server_listen(struct vuser_server *s, const char *path,
			struct vuser_error *e) VUSER_CHECKED;
/* Serves one client on a connected socket, which belongs to the server from then on. */
int vuser_server_attach(struct vuser_server *s, int fd,
			struct vuser_error *e) VUSER_CHECKED;
/*
 * Serves until vuser_server_stop(): the attached client, then, if it listens, one client
 * after the other; with once, until the first has left. Returns 0, SYSTEM if it cannot go
 * on; a client's misdeeds end that client's connection only and are told to event.
 */
int vuser_server_run(struct vuser_server *s, bool once,
		     struct vuser_error *e) VUSER_CHECKED;
/* Handles what has come from the attached client and returns. CLOSED when it has left. */
int vuser_server_step(struct vuser_server *s, struct vuser_error *e) VUSER_CHECKED;
/* Ends vuser_server_run(), from another thread or from a signal handler. */
void vuser_server_stop(struct vuser_server *s);

/*
 * The client's memory, for a device: by mapping or by the descriptor where one was given,
 * by DMA_READ and DMA_WRITE messages where not; within one window's permissions, across
 * windows that touch. Returns 0 or a negative errno: EFAULT outside any window, EPERM
 * against its permissions, EBUSY while the device is stopped for migration (or its state
 * is error), EINTR when the client left meanwhile, else what it answered. After an error
 * some of the bytes may have been moved. Writes are logged while the client wants it.
 */
int vuser_server_dma_read(struct vuser_server *s, uint64_t iova, void *buf, size_t len);
int vuser_server_dma_write(struct vuser_server *s, uint64_t iova, const void *buf,
			   size_t len);

/*
 * Interrupts, for a device: section "DEVICE_SET_IRQS"; from its callbacks, or while the
 * server does not run. Each fires the eventfd that the client attached to the vector, if
 * it did; one that is masked, or raised while the device is stopped for migration, stays
 * pending and fires once when it is unmasked and the device runs. Never blocks, whatever
 * the client does with its eventfds. Out of range does nothing.
 */
void vuser_server_irq(struct vuser_server *s, uint32_t index, uint32_t vector);
/*
 * A line: fires when it is raised, masks itself if the type is automasked, and fires
 * again when it is unmasked while still raised. One that is up fires as well when an
 * eventfd is attached. Its level is kept when the client leaves.
 */
void vuser_server_irq_level(struct vuser_server *s, uint32_t index, uint32_t vector,
			    bool raised);
/* Whether the client has attached an eventfd to the vector. */
bool vuser_server_irq_attached(const struct vuser_server *s, uint32_t index,
			       uint32_t vector);

/*
 * Calls ready(dev, fd) between commands of a client, under the rules of work(), while fd
 * can be read; it reads what there is. The descriptor stays the device's and must be
 * unwatched before it is closed. SYSTEM when it cannot be watched, USAGE when it is
 * already.
 */
int vuser_server_watch(struct vuser_server *s, int fd, void (*ready)(void *dev, int fd),
		       struct vuser_error *e) VUSER_CHECKED;
void vuser_server_unwatch(struct vuser_server *s, int fd);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
