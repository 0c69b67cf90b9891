/* SPDX-License-Identifier: BSD-3-Clause */
/* libvuser, what clients, servers and tools share: errors, messages, fields, the
 * trace. Included by vuser.h. */
#ifndef VUSER_MESSAGE_H
#define VUSER_MESSAGE_H

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

/* ---- io fds of a region: section "DEVICE_GET_REGION_IO_FDS" ---------------------- */

/* An entry of the reply: a descriptor that stands for writes to a part of the region. */
struct vuser_io_fd {
	uint64_t offset, size; /* of the part in the region; size 0: any width */
	uint32_t fd_index;     /* which of the reply's descriptors */
	uint32_t type;	       /* VUSER_IO_FD_* */
	uint32_t flags;
	uint32_t shadow_index;	/* of the shadow's descriptor, VUSER_IO_FD_SHADOW */
	uint64_t shadow_offset; /* in it */
	uint64_t datamatch;	/* of an ioeventfd; user_data of an ioregionfd */
};

/* The n-th entry of a GET_REGION_IO_FDS reply that was decoded and has entries; n below
 * count. */
void vuser_io_fd_get(const struct vuser_payload *p, size_t n, struct vuser_io_fd *out);

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
	VUSER_EVENT_TWIN,    /* the twin socket, of what broke the protocol there */
	VUSER_EVENT_LOST,    /* the connection */
};

struct vuser_event {
	enum vuser_event_kind kind;
	struct vuser_error error;
	size_t size;	   /* of the message, 0 if there is none */
	uint8_t bytes[64]; /* its first bytes */
	size_t len;
};

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
