/* SPDX-License-Identifier: BSD-3-Clause */
/* libvuser, the client: a typed call for each command. Included by vuser.h. */
#ifndef VUSER_CLIENT_API_H
#define VUSER_CLIENT_API_H

#include "vuser_message.h"

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* ---- Client ---------------------------------------------------------------------- */

struct vuser_client;

struct vuser_options {
	int64_t timeout;	/* nanoseconds to wait for each reply; 0: for ever */
	struct vuser_caps caps; /* what is offered; members not in present are left out */
	struct vuser_trace *trace; /* may be NULL; not owned */
	/* Hears what no call returns. Called without locks, from whichever thread drives.
	 */
	void (*event)(void *arg, const struct vuser_event *ev);
	/* Asked whenever a signal interrupts a wait; true gives the wait up. May be NULL.
	 */
	bool (*cancelled)(void *arg);
	void *arg;
	bool force_queue; /* nothing is sent inline: for tests */
	bool no_posting;  /* posted writes wait for their reply */
	bool no_coalesce; /* posted writes are never gathered */
	bool lax;	  /* send what limits and sizes forbid */
};

/* 5 s, the capabilities this library has, nothing else. */
void vuser_options_default(struct vuser_options *o);

/*
 * Connects and negotiates. open connects to a UNIX socket at path; attach uses fd, which
 * belongs to the client from then on, even when it fails.
 * Errors: USAGE (path too long), CLOSED (err: why there is no connection), PROTOCOL,
 * REMOTE, TIMEOUT, CANCELLED.
 */
int vuser_client_open(const char *path, const struct vuser_options *o,
		      struct vuser_client **out, struct vuser_error *e) VUSER_CHECKED;
int vuser_client_attach(int fd, const struct vuser_options *o, struct vuser_client **out,
			struct vuser_error *e) VUSER_CHECKED;
/*
 * Closes and frees; NULL is fine. Returns how many requests were outstanding. No other
 * call may be under way.
 */
unsigned vuser_client_close(struct vuser_client *c);

/* What may change while it lives. */
void vuser_client_set_timeout(struct vuser_client *c, int64_t timeout);
void vuser_client_set_lax(struct vuser_client *c, bool lax);
void vuser_client_set_posting(struct vuser_client *c, bool posting, bool coalesce);

/*
 * For the owner's own loop: the descriptor to poll, the poll events to wait for, and the
 * call that handles what has come without blocking. CLOSED once the connection is lost.
 */
int vuser_client_fd(const struct vuser_client *c);
short vuser_client_events(struct vuser_client *c);
int vuser_client_process(struct vuser_client *c, struct vuser_error *e) VUSER_CHECKED;

/* What was negotiated: the version, and the capabilities of both sides. */
struct vuser_version vuser_client_version(const struct vuser_client *c);
const struct vuser_caps *vuser_client_offered(const struct vuser_client *c);
const struct vuser_caps *vuser_client_theirs(const struct vuser_client *c);
/* 0 while the connection stands, else why it does not: a VUSER_E_*. */
int vuser_client_lost(struct vuser_client *c, struct vuser_error *e);

struct vuser_counter {
	uint64_t messages, bytes, errors;
};
struct vuser_stats {
	struct vuser_counter
		sent[VUSER_CMD_LIMIT]; /* by command, replies included; 0: unknown */
	struct vuser_counter received[VUSER_CMD_LIMIT]; /* errors: error replies */
	uint64_t timeouts, late, unexpected, refused, posted_errors;
	unsigned outstanding; /* requests sent whose reply is due */
	unsigned queued;      /* messages not yet sent */
};
void vuser_client_stats(struct vuser_client *c, struct vuser_stats *s);

/* DEVICE_GET_INFO. PROTOCOL when the counts are above VUSER_MAX_REGIONS or _IRQS. */
int vuser_get_info(struct vuser_client *c, struct vuser_device_info *out,
		   struct vuser_error *e) VUSER_CHECKED;

#define VUSER_MAX_REGION_FDS 16u

/* A region as the server describes it. */
struct vuser_region {
	struct vuser_region_info info;
	struct vuser_regioncap caps[VUSER_MAX_REGION_CAPS]; /* point into payload */
	size_t ncaps;
	struct vuser_error chain; /* code not 0: where the chain of capabilities lies */
	int fds[VUSER_MAX_REGION_FDS];
	size_t nfds;
	uint8_t *payload;
	size_t payload_len;
};
/* DEVICE_GET_REGION_INFO in its two steps. Free the result with vuser_region_free(). */
int vuser_get_region(struct vuser_client *c, uint32_t index, struct vuser_region **out,
		     struct vuser_error *e) VUSER_CHECKED;
void vuser_region_free(struct vuser_region *r); /* closes its fds; NULL is fine */

/* DEVICE_GET_IRQ_INFO. */
int vuser_get_irq(struct vuser_client *c, uint32_t index, struct vuser_irq_info *out,
		  struct vuser_error *e) VUSER_CHECKED;

/* DEVICE_RESET. May take long: the timeout applies. */
int vuser_reset(struct vuser_client *c, struct vuser_error *e) VUSER_CHECKED;

/*
 * REGION_READ and REGION_WRITE, count bytes at offset. Unless lax, a count above
 * max_data_xfer_size or a range beyond the region's end is USAGE, and nothing is sent.
 * posted: no reply is asked for, errors are not seen; such writes may be gathered into
 * REGION_WRITE_MULTI when that was agreed.
 */
int vuser_read(struct vuser_client *c, uint32_t region, uint64_t offset, void *buf,
	       size_t count, struct vuser_error *e) VUSER_CHECKED;
int vuser_write(struct vuser_client *c, uint32_t region, uint64_t offset, const void *buf,
		size_t count, bool posted, struct vuser_error *e) VUSER_CHECKED;
/* REGION_WRITE_MULTI with its reply; *done is how many writes the server did. */
int vuser_write_multi(struct vuser_client *c, const struct vuser_multi_entry *entries,
		      size_t n, uint64_t *done, struct vuser_error *e) VUSER_CHECKED;

/*
 * Many in flight: start sends, finish waits. With vuser_cork() on, what is started waits
 * to be sent until it is taken off, a wait begins or some 64 KiB have gathered, so that
 * one system call carries many messages. An exchange must be finished, even after an
 * error of another; buf must live until then.
 */
struct vuser_exchange;
int vuser_start_read(struct vuser_client *c, uint32_t region, uint64_t offset, void *buf,
		     size_t count, struct vuser_exchange **out,
		     struct vuser_error *e) VUSER_CHECKED;
int vuser_start_write(struct vuser_client *c, uint32_t region, uint64_t offset,
		      const void *buf, size_t count, struct vuser_exchange **out,
		      struct vuser_error *e) VUSER_CHECKED;
int vuser_finish(struct vuser_client *c, struct vuser_exchange *x, struct vuser_error *e);
void vuser_cork(struct vuser_client *c, bool on);

/* ---- Client: DMA windows, section "DMA" ------------------------------------------ */

struct vuser_window {
	uint64_t iova, size;
	uint32_t prot;		      /* VUSER_DMA_READABLE, VUSER_DMA_WRITABLE */
	int fd;			      /* -1 without one */
	uint64_t offset;	      /* of the window in fd */
	uint64_t reads, read_bytes;   /* by DMA_READ */
	uint64_t writes, write_bytes; /* by DMA_WRITE */
};

/* The memory behind a window. */
enum vuser_backing {
	VUSER_BACK_MEMFD, /* a memfd of ours, passed to the server */
	VUSER_BACK_NONE,  /* memory of ours that the server reaches by messages only */
	VUSER_BACK_FILE,  /* fd at offset: passed to the server, kept open, not owned */
};

/*
 * DMA_MAP: gives the server size bytes at iova. Overlap with a window of ours is USAGE
 * (err EEXIST) before anything is sent, unless lax; more windows than agreed too, and one
 * that is no multiple of the smallest page in the server's pgsizes (EINVAL). Does not
 * wait for the reply if nowait: vuser_settle() then returns the first error of them
 * all, and the windows of those that failed are gone.
 */
int vuser_map(struct vuser_client *c, uint64_t iova, uint64_t size, uint32_t prot,
	      enum vuser_backing backing, int fd, uint64_t offset, bool nowait,
	      struct vuser_error *e) VUSER_CHECKED;
int vuser_settle(struct vuser_client *c, struct vuser_error *e) VUSER_CHECKED;
/* DMA_UNMAP of exactly one window, or of all; our side lets go once the server has. */
int vuser_unmap(struct vuser_client *c, uint64_t iova, uint64_t size,
		struct vuser_error *e) VUSER_CHECKED;
int vuser_unmap_all(struct vuser_client *c, struct vuser_error *e) VUSER_CHECKED;
/* The i-th window in order of address; false when there are fewer. */
bool vuser_window_get(struct vuser_client *c, size_t i, struct vuser_window *out);
/*
 * Our side of that memory, across windows that touch. Permissions are not looked at.
 * USAGE (err EFAULT) where no window is.
 */
int vuser_mem_read(struct vuser_client *c, uint64_t iova, void *buf, size_t len,
		   struct vuser_error *e) VUSER_CHECKED;
int vuser_mem_write(struct vuser_client *c, uint64_t iova, const void *buf, size_t len,
		    struct vuser_error *e) VUSER_CHECKED;

/* ---- Client: interrupts, section "DEVICE_SET_IRQS" -------------------------------- */

/*
 * Attaches eventfds to count vectors of interrupt type index from start on; fds[i] below
 * 0 detaches that vector. They stay the caller's; the server gets duplicates. Goes out in
 * as many commands as max_msg_fds and runs of attached and detached vectors make
 * necessary; after an error the first ones may hold.
 */
int vuser_irq_attach(struct vuser_client *c, uint32_t index, uint32_t start,
		     const int *fds, uint32_t count, struct vuser_error *e) VUSER_CHECKED;
/* Detaches all vectors of the type: no data, trigger, count 0. */
int vuser_irq_disable(struct vuser_client *c, uint32_t index,
		      struct vuser_error *e) VUSER_CHECKED;
/*
 * action is VUSER_SET_IRQS_MASK, _UNMASK or _TRIGGER, for count vectors from start on;
 * with bools (one byte each) only for those whose byte is not 0.
 */
int vuser_irq_act(struct vuser_client *c, uint32_t index, uint32_t action, uint32_t start,
		  uint32_t count, const uint8_t *bools,
		  struct vuser_error *e) VUSER_CHECKED;
/*
 * Eventfds of the client's that unmask (or mask) a vector when they are written to:
 * action as above, fd below 0 detaches.
 */
int vuser_irq_act_by_fd(struct vuser_client *c, uint32_t index, uint32_t action,
			uint32_t start, const int *fds, uint32_t count,
			struct vuser_error *e) VUSER_CHECKED;

/* ---- Client: mapped access, section "DEVICE_GET_REGION_INFO" ---------------------- */

struct vuser_mapped;

/*
 * Maps what can be mapped of a region: its sparse areas, or all of it without such a
 * capability. One descriptor serves all areas, or one each. Areas are mapped when they
 * are first used. USAGE (err ENOTSUP) when the server gave no descriptor or the region
 * cannot be mapped; PROTOCOL when areas lie outside the region, overlap or wrap. r may be
 * freed afterwards.
 */
int vuser_region_map(const struct vuser_region *r, struct vuser_mapped **out,
		     struct vuser_error *e) VUSER_CHECKED;
void vuser_mapped_free(struct vuser_mapped *m); /* unmaps; NULL is fine */
/* The i-th area in order of offset; false when there are fewer. */
bool vuser_mapped_area(const struct vuser_mapped *m, size_t i, struct vuser_area *out);
/*
 * count bytes at offset of the region; an aligned access of 1, 2, 4 or 8 bytes is a
 * single one where the memory cannot be taken away under us. USAGE (err EFAULT) outside
 * the areas, naming the first offset that is; SYSTEM (err EFAULT) where the file ends
 * before the area does: never a signal.
 */
int vuser_mapped_read(struct vuser_mapped *m, uint64_t offset, void *buf, size_t count,
		      struct vuser_error *e) VUSER_CHECKED;
int vuser_mapped_write(struct vuser_mapped *m, uint64_t offset, const void *buf,
		       size_t count, struct vuser_error *e) VUSER_CHECKED;

/* ---- Client: io fds, section "DEVICE_GET_REGION_IO_FDS" --------------------------- */

struct vuser_io_fds {
	uint32_t region;
	struct vuser_io_fd *entries; /* each fd_index is below nfds */
	size_t n;
	int fds[VUSER_LIMIT_MSG_FDS];
	size_t nfds;
};
/* In the two steps of argsz. PROTOCOL when an entry names a descriptor that did not come.
 */
int vuser_get_io_fds(struct vuser_client *c, uint32_t region, struct vuser_io_fds **out,
		     struct vuser_error *e) VUSER_CHECKED;
void vuser_io_fds_free(struct vuser_io_fds *f); /* closes its fds; NULL is fine */

/* ---- Client: features and migration, section "DEVICE_FEATURE" --------------------- */

/*
 * DEVICE_FEATURE as it is: flags are a feature's number with VUSER_FEATURE_*, data
 * follows in the command. The data of the reply goes to out, at most cap bytes, its
 * length to *out_len; what a server repeats of data and is beyond cap is dropped. One
 * that needs more than cap is USAGE (err ENOBUFS), and *out_len says how much. out and
 * out_len may be NULL when cap is 0.
 */
int vuser_feature(struct vuser_client *c, uint32_t flags, const void *data, size_t len,
		  void *out, size_t cap, size_t *out_len,
		  struct vuser_error *e) VUSER_CHECKED;
/* Name of a feature ("device-state"), NULL if it has none; the number of a name, -1. */
const char *vuser_feature_name(uint32_t feature);
int vuser_feature_number(const char *name);

/* What the device can do: VUSER_MIGRATION_*. REMOTE when it does not migrate. */
int vuser_migration_flags(struct vuser_client *c, uint64_t *flags,
			  struct vuser_error *e) VUSER_CHECKED;
/*
 * The device's state, enum vuser_device_state. Setting one waits until it is reached;
 * USAGE for a number that is no state, unless lax.
 */
int vuser_migration_get_state(struct vuser_client *c, uint32_t *state,
			      struct vuser_error *e) VUSER_CHECKED;
int vuser_migration_set_state(struct vuser_client *c, uint32_t state,
			      struct vuser_error *e) VUSER_CHECKED;
/*
 * MIG_DATA_READ of at most cap bytes; *len below cap is the end, for now in pre-copy, and
 * MIG_DATA_WRITE. Unless lax, more than max_data_xfer_size is USAGE.
 */
int vuser_migration_read(struct vuser_client *c, void *buf, size_t cap, size_t *len,
			 struct vuser_error *e) VUSER_CHECKED;
int vuser_migration_write(struct vuser_client *c, const void *buf, size_t len,
			  struct vuser_error *e) VUSER_CHECKED;
/* As vuser_start_write(), to be finished with vuser_finish(). */
int vuser_start_migration_write(struct vuser_client *c, const void *buf, size_t len,
				struct vuser_exchange **out,
				struct vuser_error *e) VUSER_CHECKED;
/* Name of a state ("stop-copy"), NULL if it has none; and the number of a name, -1. */
const char *vuser_device_state_name(uint32_t state);
int vuser_device_state_number(const char *name);

/*
 * DMA logging of the ranges given; without any, of everything. Unless lax, a page_size
 * that is no power of two or is below migration.pgsize is USAGE, and so are ranges that
 * are empty, wrap around or are no multiples of it.
 */
int vuser_dirty_start(struct vuser_client *c, uint64_t page_size,
		      const struct vuser_area *ranges, size_t n,
		      struct vuser_error *e) VUSER_CHECKED;
int vuser_dirty_stop(struct vuser_client *c, struct vuser_error *e) VUSER_CHECKED;
/*
 * Which pages of length bytes at iova were written since logging began or the last report
 * of them: bit i % 64 of bitmap[i / 64] is page i, bits behind the last page are 0.
 * bitmap has room for vuser_dirty_words() words. USAGE when page_size or length are
 * impossible or the bitmap is above migration.max_bitmap_size, unless lax; it is not
 * touched then.
 */
int vuser_dirty_report(struct vuser_client *c, uint64_t iova, uint64_t length,
		       uint64_t page_size, uint64_t *bitmap,
		       struct vuser_error *e) VUSER_CHECKED;
size_t vuser_dirty_words(uint64_t length, uint64_t page_size);

/*
 * Whether it was agreed that the server's commands come over a socket of their own,
 * section "VERSION"; and 0 while that stands, else why it does not. Without it the client
 * goes on.
 */
bool vuser_client_twin(const struct vuser_client *c);
int vuser_client_twin_lost(struct vuser_client *c, struct vuser_error *e);

/* ---- Client: any message, however wrong ------------------------------------------ */

struct vuser_raw_reply {
	struct vuser_header header;
	uint8_t *bytes; /* the whole message, len bytes; free() it */
	size_t len;
	int fds[VUSER_LIMIT_MSG_FDS]; /* to be closed by the caller */
	size_t nfds;
};
/*
 * Sends len bytes, at least 1, and nfds descriptors as they are and waits for one reply:
 * one with the id of the header sent if it has 16 bytes, else any nobody else waits for.
 * fds stay the caller's. An error reply is returned as a reply, not as an error.
 */
int vuser_raw(struct vuser_client *c, const void *msg, size_t len, const int *fds,
	      size_t nfds, int64_t timeout, struct vuser_raw_reply *out,
	      struct vuser_error *e) VUSER_CHECKED;

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
