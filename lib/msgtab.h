/* SPDX-License-Identifier: BSD-3-Clause */
/* The message table: what every command and reply looks like, for all who read or write
 * one. */
#ifndef VUSER_MSGTAB_H
#define VUSER_MSGTAB_H

#include "vuser.h"

/* A bit or a value with a name; a table ends with a NULL name. */
struct named {
	uint32_t value;
	const char *name;
};

/* One field of a fixed part, and where it lives in struct vuser_payload. */
struct field {
	const char *name;
	uint8_t offset; /* in the payload */
	uint8_t width;
	uint8_t stored; /* width of the member */
	bool key;	/* belongs into a one-line summary */
	enum vuser_show show;
	uint16_t member;
	const struct named *names;
};

/* Shorthand for a row: the member of struct vuser_payload tells the width. */
#define FIELD(path, label, off, how, is_key, bits)                                  \
	{                                                                           \
		.name = label, .offset = off,                                       \
		.width = sizeof(((struct vuser_payload *)0)->u.path),               \
		.stored = sizeof(((struct vuser_payload *)0)->u.path), .show = how, \
		.key = is_key, .member = offsetof(struct vuser_payload, u.path),    \
		.names = bits                                                       \
	}

/*
 * What follows the fixed part. check says whether it agrees with it, at is the tail's
 * offset in the message. walk names its fields; without one it is shown as show says.
 */
struct tail {
	const char *name;
	enum vuser_show show;
	int (*check)(const struct vuser_payload *p, size_t at, struct vuser_error *e);
	void (*walk)(const struct vuser_payload *p, size_t at, vuser_field_fn *fn,
		     void *arg);
};

struct layout {
	const struct field *fields;
	unsigned nfields;
	size_t fixed;
	const struct tail *tail;	  /* NULL: nothing may follow */
	const struct layout *alternative; /* another form that peers use */
};

#define FDS_MANY VUSER_LIMIT_MSG_FDS

struct message_row {
	const char *name; /* NULL: no such command */
	enum vuser_dir dir;
	const struct layout *command, *reply;
	uint8_t command_fds, reply_fds; /* the most there may be */
};

extern const struct message_row message_table[VUSER_CMD_LIMIT];

/* The row of a command, NULL for a number that has none. */
const struct message_row *message_find(unsigned command);

/* The layouts, by family: codec_*.c. */
extern const struct layout layout_empty;
extern const struct layout layout_version;
extern const struct layout layout_device_info;
extern const struct layout layout_region_info_command, layout_region_info_reply;
extern const struct layout layout_io_fds_command, layout_io_fds_reply;
extern const struct layout layout_irq_info, layout_irq_set;
extern const struct layout layout_access, layout_access_data;
extern const struct layout layout_multi_command, layout_multi_reply;
extern const struct layout layout_dma_map, layout_dma_unmap_command,
	layout_dma_unmap_reply;
extern const struct layout layout_dma_access, layout_dma_data, layout_dma_done;
extern const struct layout layout_feature;
extern const struct layout layout_mig, layout_mig_data;

/*
 * As vuser_payload_decode(), with the fixed part and the tail in two places: head_len
 * bytes at head, all of the fixed part if there are that many, and tail_len at tail.
 */
int payload_decode_split(unsigned command, bool reply, const void *head, size_t head_len,
			 const void *tail, size_t tail_len, struct vuser_payload *p,
			 struct vuser_error *e);

/* As vuser_payload_encode(), but writes the fixed part alone; the tail is only checked.
 */
int payload_encode_fixed(const struct vuser_payload *p, void *buf, size_t cap,
			 size_t *len, struct vuser_error *e);

/* io fds: the size of an entry where these n are sent together, and writing the n-th. */
size_t io_fd_size(const struct vuser_io_fd *entries, size_t n);
void io_fd_put(void *buf, size_t entry, size_t n, const struct vuser_io_fd *in);

/*
 * Writes the chain of capabilities that a region's description asks for, to follow the
 * fixed part of a GET_REGION_INFO reply, and returns its size; buf has REGIONCAP_ROOM.
 * mapped: with those that say how to map it.
 */
#define REGIONCAP_ROOM (16u + 16u + 8u + 16u * VUSER_MAX_SPARSE_AREAS)
size_t regioncap_write(uint8_t *buf, const struct vuser_region_desc *d, bool mapped);

/* For checks: the tail must have exactly want bytes; field is what demands it. */
int tail_must_be(const struct vuser_payload *p, size_t at, uint64_t want,
		 const char *field, struct vuser_error *e);
/* For walks: shows size bytes (or as many as there are) at off of the tail as one field.
 */
void tail_field(const struct vuser_payload *p, size_t at, size_t off, size_t size,
		struct vuser_field f, vuser_field_fn *fn, void *arg);

#endif
