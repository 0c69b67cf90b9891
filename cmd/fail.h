/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a command failed: its kind, which decides the exit status, and what is said about
 * it. */
#ifndef FAIL_H
#define FAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vuser.h"

enum fail {
	FAIL_NONE,
	FAIL_USAGE,	  /* what was asked for is wrong; nothing was sent */
	FAIL_SYSTEM,	  /* the system here refused: a full disk, no memory */
	FAIL_REMOTE,	  /* the server refused */
	FAIL_EXPECTATION, /* an expectation did not hold */
	FAIL_CONNECTION,  /* there is none, or it was lost */
	FAIL_PROTOCOL,	  /* the peer broke the protocol */
	FAIL_TIMEOUT,	  /* no reply in time */
	FAIL_CANCELLED,	  /* by a signal */
};

struct failure {
	enum fail kind;
	int err;	   /* an errno, 0 if there is none */
	bool told;	   /* it was printed already */
	bool has_offset;   /* of a message's byte that is wrong */
	size_t offset;	   /* which */
	char field[40];	   /* and what stands there */
	uint8_t bytes[64]; /* the message up to there, as far as it is known */
	size_t len;
	char command[32]; /* which failed, "" if none */
	char text[600];
};

/* "remote" */
const char *fail_name(enum fail kind);
/* The program's exit status; signo is the signal of FAIL_CANCELLED. */
int fail_status(enum fail kind, int signo);

void failure_clear(struct failure *f);
/* Both return the kind, so that a caller can return it. Text becomes printable. */
int failure_set(struct failure *f, enum fail kind, int err, const char *fmt, ...)
	VUSER_PRINTF(4, 5);
int failure_from(struct failure *f, const struct vuser_error *e);
/* The whole sentence: the text, the errno's name and text, the place in the message. */
void failure_text(const struct failure *f, char *buf, size_t cap);

/* Copies text so that it can be shown: control characters become \xNN. */
void printable(char *dst, size_t cap, const char *text);

#endif
