/* SPDX-License-Identifier: BSD-3-Clause */
/* libvuser: the vfio-user protocol for clients, servers and tools; the one header to
 * include. */
#ifndef VUSER_H
#define VUSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proto.h"

/*
 * Sections named below are those of the "vfio-user Protocol Specification".
 * Integers on the wire are in the byte order of the host. Sizes are in bytes, addresses
 * and lengths of DMA memory too; times are in nanoseconds unless a name says otherwise.
 *
 * A function that can fail returns 0 or a negative VUSER_E_* and fills the struct
 * vuser_error it was given, which may be NULL. The library prints nothing, never exits,
 * has no global state and takes no signal.
 */

#if defined(__GNUC__)
#define VUSER_CHECKED	   __attribute__((warn_unused_result))
#define VUSER_PRINTF(a, b) __attribute__((format(printf, a, b)))
#pragma GCC visibility push(default)
#else
#define VUSER_CHECKED
#define VUSER_PRINTF(a, b)
#endif

/* ---- Errors -------------------------------------------------------------------- */

/* Whose fault it was, and so what can be done about it. */
enum vuser_code {
	VUSER_OK = 0,
	VUSER_E_USAGE = -1,  /* ours: the call asks for what is impossible or forbidden */
	VUSER_E_SYSTEM = -2, /* ours: the system refused; err is its errno */
	VUSER_E_PROTOCOL =
		-3, /* the peer broke the protocol; offset and field say where */
	VUSER_E_REMOTE =
		-4, /* the peer answered with an error; err is its errno, may be 0 */
	VUSER_E_TIMEOUT = -5,  /* no reply in time */
	VUSER_E_CLOSED = -6,   /* there is no connection, or it was lost */
	VUSER_E_CANCELLED = -7 /* the caller's cancel function said so */
};

#define VUSER_NO_OFFSET SIZE_MAX

struct vuser_error {
	int code;	/* enum vuser_code */
	int err;	/* an errno, 0 if there is none */
	size_t offset;	/* from the message's first byte, VUSER_NO_OFFSET if it does not
			   apply */
	char field[40]; /* name of the field at that offset, "" if it does not apply */
	char text[216]; /* one sentence without full stop; holds printable characters only
			 */
};

/* Name of a code ("protocol"), never NULL. */
const char *vuser_code_name(int code);
/* Name of an errno ("EINVAL"), "E?" for one that has none here. Thread-safe. */
const char *vuser_errno_name(int err);
/* The errno with a name ("EINVAL" gives 22); 0 if there is none. */
int vuser_errno_number(const char *name);
/* What an errno says ("Invalid argument"), never NULL. Thread-safe. */
const char *vuser_errno_text(int err);

/* ---- Header: section "Header" -------------------------------------------------- */

struct vuser_header {
	uint16_t id;
	uint16_t command;
	uint32_t size;	/* of the whole message */
	uint32_t flags; /* VUSER_TYPE_*, VUSER_FLAG_* */
	uint32_t error; /* errno of a reply with VUSER_FLAG_ERROR */
};

/*
 * Reads the header at buf. Returns 0; 1 if len is below VUSER_HEADER_SIZE and more is
 * needed; VUSER_E_PROTOCOL if the size is below 16 or the type neither command nor reply:
 * after that nothing in the stream can be trusted. h is filled whenever 16 bytes are
 * there.
 */
int vuser_header_decode(const void *buf, size_t len, struct vuser_header *h,
			struct vuser_error *e);
/* Writes VUSER_HEADER_SIZE bytes to buf, whatever h holds. */
void vuser_header_encode(const struct vuser_header *h, void *buf);

static inline bool vuser_is_reply(const struct vuser_header *h)
{
	return (h->flags & VUSER_TYPE_MASK) == VUSER_TYPE_REPLY;
}

/* ---- Capabilities: section "VERSION" ------------------------------------------- */

enum vuser_caps_member {
	VUSER_CAP_MAX_MSG_FDS = 1 << 0,
	VUSER_CAP_MAX_DATA_XFER_SIZE = 1 << 1,
	VUSER_CAP_MAX_DMA_MAPS = 1 << 2,
	VUSER_CAP_PGSIZES = 1 << 3,
	VUSER_CAP_MIG_PGSIZE = 1 << 4,
	VUSER_CAP_MIG_MAX_BITMAP_SIZE = 1 << 5,
	VUSER_CAP_WRITE_MULTIPLE = 1 << 6,
	VUSER_CAP_TWIN_SUPPORTED = 1 << 7,
	VUSER_CAP_TWIN_FD_INDEX = 1 << 8,
};

struct vuser_caps {
	unsigned present; /* enum vuser_caps_member: what the text named */
	uint64_t max_msg_fds;
	uint64_t max_data_xfer_size;
	uint64_t max_dma_maps;
	uint64_t pgsizes;
	uint64_t migration_pgsize;
	uint64_t migration_max_bitmap_size;
	bool write_multiple;
	bool twin_supported;
	uint64_t twin_fd_index;
};

/* What holds when a peer names nothing; present is 0. */
void vuser_caps_default(struct vuser_caps *caps);

/*
 * Writes {"capabilities":{...}} with the members in present and a terminating NUL to buf;
 * *len is the size with the NUL. VUSER_E_USAGE if it does not fit.
 */
int vuser_caps_encode(const struct vuser_caps *caps, char *buf, size_t cap, size_t *len,
		      struct vuser_error *e) VUSER_CHECKED;

/* What a peer's text is checked against. */
enum vuser_caps_rules {
	VUSER_CAPS_OF_CLIENT, /* a proposal: types and plausibility only */
	VUSER_CAPS_OF_SERVER, /* a reply: the limits a client enforces, too */
};

/* Members the checker did not know, "a, b.c", cut with "..." when there is no more room.
 */
struct vuser_caps_unknown {
	unsigned count;
	char names[160];
};

/*
 * Reads the JSON of a VERSION payload: len bytes at text, terminating NUL included; len 0
 * means that the peer sent none. Members that are absent get their default. With
 * VUSER_CAPS_OF_SERVER, offered is what we proposed: a reply may only lower max_dma_maps
 * and migration.max_bitmap_size, and name a twin socket only if one was offered. offered
 * may be NULL, then the defaults stand in its place. VUSER_E_PROTOCOL names the member
 * and the value that is refused, and its offset in the text; VUSER_E_SYSTEM when memory
 * is out. After a failure out holds the defaults.
 */
int vuser_caps_decode(const char *text, size_t len, enum vuser_caps_rules rules,
		      const struct vuser_caps *offered, struct vuser_caps *out,
		      struct vuser_caps_unknown *unknown,
		      struct vuser_error *e) VUSER_CHECKED;

/* ---- Payloads ------------------------------------------------------------------ */

/* The fixed part of each payload. The members have the width they have on the wire. */
struct vuser_version {
	uint16_t major, minor;
};
struct vuser_dma_map {
	uint32_t argsz, flags;
	uint64_t offset, address, size;
};
struct vuser_dma_unmap {
	uint32_t argsz, flags;
	uint64_t address, size;
};
struct vuser_device_info {
	uint32_t argsz, flags, num_regions, num_irqs;
};
struct vuser_region_info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};
struct vuser_region_io_fds {
	uint32_t argsz, flags, index, count;
};
struct vuser_irq_info {
	uint32_t argsz, flags, index, count;
};
struct vuser_irq_set {
	uint32_t argsz, flags, index, start, count;
};
struct vuser_region_access {
	uint64_t offset;
	uint32_t region, count;
};
struct vuser_write_multi {
	uint64_t wr_cnt;
};
struct vuser_dma_access {
	uint64_t address, count;
};
struct vuser_feature {
	uint32_t argsz, flags;
};
struct vuser_mig_data {
	uint32_t argsz, size;
};

/* One entry of REGION_WRITE_MULTI: 24 bytes on the wire. */
struct vuser_multi_entry {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[VUSER_MULTI_BYTES];
};

struct vuser_payload {
	uint16_t command;
	bool reply;
	union {
		struct vuser_version version;
		struct vuser_dma_map dma_map;
		struct vuser_dma_unmap dma_unmap;
		struct vuser_device_info device_info;
		struct vuser_region_info region_info;
		struct vuser_region_io_fds region_io_fds;
		struct vuser_irq_info irq_info;
		struct vuser_irq_set irq_set;
		struct vuser_region_access access;
		struct vuser_write_multi multi;
		struct vuser_dma_access dma;
		struct vuser_feature feature;
		struct vuser_mig_data mig;
	} u;
	const uint8_t
		*tail; /* what follows the fixed part: data, text, entries; not owned */
	size_t tail_len;
};

/* Name of a command ("REGION_READ"), NULL for a number that has none. */
const char *vuser_command_name(unsigned command);
/* The number of a command's name, any case, "-" as good as "_"; 0 if there is none. */
unsigned vuser_command_number(const char *name);

/*
 * Reads the payload of a command or reply (without its header). Lengths, counts and tails
 * must agree; what only a device can judge (flags, indexes, ranges) is not looked at.
 * VUSER_E_PROTOCOL gives the offset, counted from the message's first byte, and the
 * field. p->tail points into buf.
 */
int vuser_payload_decode(unsigned command, bool reply, const void *buf, size_t len,
			 struct vuser_payload *p, struct vuser_error *e) VUSER_CHECKED;
/*
 * Writes p, header not included, to buf; *len is its size. VUSER_E_USAGE if it does not
 * fit or would not decode again.
 */
int vuser_payload_encode(const struct vuser_payload *p, void *buf, size_t cap,
			 size_t *len, struct vuser_error *e) VUSER_CHECKED;

/* The n-th entry of a REGION_WRITE_MULTI command that was decoded; n below wr_cnt. */
void vuser_multi_get(const struct vuser_payload *p, size_t n,
		     struct vuser_multi_entry *out);
/* Appends an entry to buf at entry n: 24 bytes. */
void vuser_multi_put(void *buf, size_t n, const struct vuser_multi_entry *in);

/* How a field's value is best shown. */
enum vuser_show {
	VUSER_SHOW_COUNT,   /* decimal number */
	VUSER_SHOW_HEX,	    /* address, offset, mask */
	VUSER_SHOW_FLAGS,   /* bits with names */
	VUSER_SHOW_ENUM,    /* a number with a name */
	VUSER_SHOW_FEATURE, /* number of a feature and its flags */
	VUSER_SHOW_REGION,  /* region index */
	VUSER_SHOW_IRQ,	    /* interrupt index */
	VUSER_SHOW_COMMAND,
	VUSER_SHOW_ERRNO,
	VUSER_SHOW_BYTES, /* data */
	VUSER_SHOW_TEXT,  /* characters, not to be trusted */
	VUSER_SHOW_NONE,  /* bytes that could not be explained */
};

struct vuser_field {
	const char *name;    /* "offset"; points to static memory */
	int index;	     /* entry of an array, -1 outside one */
	size_t offset, size; /* place in the message, header included */
	uint64_t value;	     /* 0 for BYTES, TEXT, NONE */
	enum vuser_show show;
	const uint8_t *bytes; /* the field's bytes, as far as they were there */
	size_t len;	      /* how many of them were there */
	bool key;	      /* matters in a one-line summary */
	const void *names;    /* private: names of bits or values */
};

typedef void vuser_field_fn(void *arg, const struct vuser_field *f);

/*
 * Calls fn for each field of a whole message: header and payload, in order, as far as the
 * bytes go. Never fails: what cannot be explained arrives as VUSER_SHOW_NONE.
 */
void vuser_fields(const void *msg, size_t len, vuser_field_fn *fn, void *arg);
/* Writes the value as a person would want it ("0x1c", "read|write"), NUL-terminated. */
size_t vuser_field_text(const struct vuser_field *f, char *buf, size_t cap);

/* Regions and interrupts of a PCI device by name ("bar0", "msix"); NULL if none. */
const char *vuser_region_name(uint32_t index);
const char *vuser_irq_name(uint32_t index);

/* ---- Capabilities of a region: section "DEVICE_GET_REGION_INFO" ------------------ */

struct vuser_area {
	uint64_t offset, size;
};

struct vuser_regioncap {
	uint16_t id, version;
	uint32_t offset;	/* of the capability in the payload */
	uint32_t type, subtype; /* VUSER_REGIONCAP_TYPE */
	uint32_t nr_areas;	/* VUSER_REGIONCAP_SPARSE_MMAP: areas in the payload */
	const uint8_t *areas;	/* their bytes, see vuser_regioncap_area() */
};

/*
 * Walks the chain in a GET_REGION_INFO reply's payload (len bytes, its fixed part
 * included). Writes at most max capabilities to out and their number to *n. An offset out
 * of the payload, within the fixed part, not a multiple of 8, or one that was visited
 * already is VUSER_E_PROTOCOL; what was read before it stays in out.
 */
int vuser_regioncap_walk(const void *payload, size_t len, struct vuser_regioncap *out,
			 size_t max, size_t *n, struct vuser_error *e) VUSER_CHECKED;
struct vuser_area vuser_regioncap_area(const struct vuser_regioncap *c, uint32_t n);

/* ---- Trace: the last messages --------------------------------------------------- */

enum vuser_dir { VUSER_C2S, VUSER_S2C };

struct vuser_record {
	uint64_t number;  /* of the message since the trace began, from 1 */
	uint64_t time;	  /* nanoseconds since 1970 */
	uint64_t latency; /* of a reply: nanoseconds since its command, 0 if unknown */
	enum vuser_dir dir;
	unsigned nfds;
	size_t size;	      /* bytes the message had */
	const uint8_t *bytes; /* those that are still there */
	size_t kept;
};

struct vuser_trace;

#define VUSER_TRACE_DEFAULT 4096u

/*
 * A ring of the last messages; messages is its length, 0 for VUSER_TRACE_DEFAULT. Lines
 * are kept for all of them, the bytes beyond the first few dozen only for the youngest.
 * NULL when memory is out. Thread-safe. Shared by any number of connections.
 */
struct vuser_trace *vuser_trace_new(size_t messages);
void vuser_trace_free(struct vuser_trace *t);
void vuser_trace_switch(struct vuser_trace *t, bool on);
bool vuser_trace_is_on(const struct vuser_trace *t);
void vuser_trace_clear(struct vuser_trace *t);
/* A new length; what was kept is lost. VUSER_E_SYSTEM when memory is out. */
int vuser_trace_resize(struct vuser_trace *t, size_t messages,
		       struct vuser_error *e) VUSER_CHECKED;
size_t vuser_trace_count(struct vuser_trace *t);
/* The i-th message kept, 0 the oldest. Its bytes are valid until the next message passes.
 */
bool vuser_trace_get(struct vuser_trace *t, size_t i, struct vuser_record *r);
/*
 * fn sees each message whole as it passes, even when the ring is off. NULL ends that. It
 * runs under the connection's lock and may call nothing here but vuser_record_*().
 */
void vuser_trace_sink(struct vuser_trace *t,
		      void (*fn)(void *arg, const struct vuser_record *r), void *arg);
/* Adds a message that passed elsewhere. */
void vuser_trace_add(struct vuser_trace *t, enum vuser_dir dir, const void *msg,
		     size_t len, unsigned nfds, uint64_t latency);

/* One line; start is the time that counts as 0. */
void vuser_record_line(FILE *out, const struct vuser_record *r, uint64_t start);
/* The line, then the bytes with the fields named beside them. */
void vuser_record_dump(FILE *out, const struct vuser_record *r, uint64_t start);
/* One JSON object on one line. */
void vuser_record_json(FILE *out, const struct vuser_record *r);

/* ---- Reports that no call returns ------------------------------------------------ */

enum vuser_event_kind {
	VUSER_EVENT_UNEXPECTED, /* a reply nobody waits for */
	VUSER_EVENT_LATE,	/* a reply to a request that was given up */
	VUSER_EVENT_REFUSED, /* a reply its waiter could not take: too large, fds, command
			      */
	VUSER_EVENT_POSTED,  /* an error reply to a request nobody waits for */
	VUSER_EVENT_REQUEST, /* a request of the peer's that was refused */
	VUSER_EVENT_UNKNOWN, /* capabilities we do not know */
	VUSER_EVENT_LOST,    /* the connection */
};

struct vuser_event {
	enum vuser_event_kind kind;
	struct vuser_error error;
	size_t size;	   /* of the message, 0 if there is none */
	uint8_t bytes[64]; /* its first bytes */
	size_t len;
};

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
 * (err EEXIST) before anything is sent, unless lax; more windows than agreed too. Does
 * not wait for the reply if nowait: vuser_dma_settle() then returns the first error of
 * them all, and the windows of those that failed are gone.
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

/* ---- Server ----------------------------------------------------------------------- */

struct vuser_server;

struct vuser_region_desc {
	uint32_t flags; /* VUSER_REGION_READ and _WRITE */
	uint64_t size;	/* 0: the region does not exist */
};
struct vuser_irq_desc {
	uint32_t flags;
	uint32_t count;
};

/*
 * A device: what it is, and what it does. Callbacks run one at a time, also while one of
 * them waits for the client's memory, and return 0 or a negative errno, which goes to the
 * client as it is; those that are NULL are not needed.
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
};

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
 * against its permissions, EINTR when the client left meanwhile, else what it answered.
 * After an error some of the bytes may have been moved.
 */
int vuser_server_dma_read(struct vuser_server *s, uint64_t iova, void *buf, size_t len);
int vuser_server_dma_write(struct vuser_server *s, uint64_t iova, const void *buf,
			   size_t len);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
