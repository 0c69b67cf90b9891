/* SPDX-License-Identifier: BSD-3-Clause */
/* Filling a struct vuser_error: the one way the library reports a failure. */
#ifndef VUSER_ERROR_H
#define VUSER_ERROR_H

#include "vuser.h"

/* Each fills e (which may be NULL) and returns code, so that a caller can return it. */
int error_set(struct vuser_error *e, int code, int err, const char *fmt, ...)
	VUSER_PRINTF(4, 5);
/* The same, for something at an offset of a message (header included). */
int error_at(struct vuser_error *e, int code, size_t offset, const char *field,
	     const char *fmt, ...) VUSER_PRINTF(5, 6);
/* VUSER_E_SYSTEM with errno and its text after what. */
int error_errno(struct vuser_error *e, const char *what);
void error_clear(struct vuser_error *e);
/* Copies src so that only printable ASCII arrives, the rest as \xNN; returns dst. */
char *error_printable(char *dst, size_t cap, const void *src, size_t len);

#endif
