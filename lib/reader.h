/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes and fds in, whole messages out, however the stream was split.
 *
 * What it promises: the same bytes and fds give the same messages, errors and owners of
 * fds however they are cut; memory stays within the limit and one read; a message above
 * the limit is read to its end and dropped, and the next one is found; a header that
 * cannot be trusted ends everything. It does no I/O: the caller reads into
 * reader_space(), says what came with reader_filled(), and closes the fds it is handed.
 */
#ifndef VUSER_READER_H
#define VUSER_READER_H

#include "vuser.h"

#define READER_HEAD 64u	       /* bytes kept of a message that was dropped */
#define READER_ROOM 65536u     /* bytes asked for in one read */
#define READER_IDLE (1u << 20) /* a buffer above this is given back when empty */

struct reader_fd {
	int fd;
	uint64_t last; /* stream position of the last byte it came with */
};

struct reader {
	uint8_t *buf;
	size_t cap, start, end; /* unread: [start, end) */
	uint64_t pos;		/* stream position of buf[start] */
	uint64_t limit;		/* largest message that is kept */
	struct reader_fd fds[VUSER_MAX_FDS_HELD];
	size_t nfds;
	bool fds_lost; /* some did not fit, of the reads that end at these positions */
	uint64_t lost_first, lost_last;
	uint64_t dropping; /* bytes of a dropped message still to come */
	uint8_t head[READER_HEAD];
	size_t head_len;
	bool dead;
};

struct reader_message {
	struct vuser_header h;
	const uint8_t *bytes; /* whole message; of a dropped one the first READER_HEAD */
	size_t len;
	bool dropped;		     /* above the limit */
	bool fds_lost;		     /* more fds came than are held */
	int fds[VUSER_MAX_FDS_HELD]; /* the caller's from now on */
	size_t nfds;
};

void reader_init(struct reader *r, uint64_t limit);
/* Frees the buffer; fds still held are the caller's, up to VUSER_MAX_FDS_HELD of them. */
void reader_free(struct reader *r, int *fds, size_t *nfds);

/*
 * Where the next read may go. VUSER_E_SYSTEM when memory is out. Invalidates the bytes of
 * messages handed out before.
 */
int reader_space(struct reader *r, void **p, size_t *n,
		 struct vuser_error *e) VUSER_CHECKED;
/*
 * n bytes were read to there, nfds descriptors with them: they belong to the message that
 * holds the last byte. Returns how many of them were taken; the rest is the caller's.
 */
size_t reader_filled(struct reader *r, size_t n, const int *fds, size_t nfds);
/* 1: m is the next message. 0: more bytes are needed. VUSER_E_PROTOCOL: the end. */
int reader_next(struct reader *r, struct reader_message *m,
		struct vuser_error *e) VUSER_CHECKED;
/* Bytes of a message that has begun and is not complete; *size what its header says, or
 * 0. */
size_t reader_partial(const struct reader *r, uint64_t *size);

#endif
