/* SPDX-License-Identifier: BSD-3-Clause */
/* Kinds of error and their texts, and the names of errnos. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "error.h"

static const char *const code_names[] = {
	[-VUSER_OK] = "ok",
	[-VUSER_E_USAGE] = "usage",
	[-VUSER_E_SYSTEM] = "system",
	[-VUSER_E_PROTOCOL] = "protocol",
	[-VUSER_E_REMOTE] = "remote",
	[-VUSER_E_TIMEOUT] = "timeout",
	[-VUSER_E_CLOSED] = "connection",
	[-VUSER_E_CANCELLED] = "cancelled",
};

const char *vuser_code_name(int code)
{
	size_t i = code <= 0 ? (size_t) - (long)code : SIZE_MAX;

	return i < sizeof(code_names) / sizeof(code_names[0]) ? code_names[i] : "unknown";
}

#define ERRNO_LIMIT 4096

const char *vuser_errno_name(int err)
{
	const char *name = err > 0 && err < ERRNO_LIMIT ? strerrorname_np(err) : NULL;

	return name ? name : "E?";
}

int vuser_errno_number(const char *name)
{
	for (int i = 1; i < ERRNO_LIMIT; i++) {
		const char *known = strerrorname_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	/* strerrorname_np knows one name a number. */
	if (strcmp(name, "EWOULDBLOCK") == 0)
		return EWOULDBLOCK;
	if (strcmp(name, "EOPNOTSUPP") == 0)
		return EOPNOTSUPP;
	return strcmp(name, "ENOTSUP") == 0 ? ENOTSUP : 0;
}

const char *vuser_errno_text(int err)
{
	const char *text = err > 0 && err < ERRNO_LIMIT ? strerrordesc_np(err) : NULL;

	return text ? text : "unknown error";
}

void error_clear(struct vuser_error *e)
{
	if (!e)
		return;
	e->code = VUSER_OK;
	e->err = 0;
	e->offset = VUSER_NO_OFFSET;
	e->field[0] = '\0';
	e->text[0] = '\0';
}

static void fill(struct vuser_error *e, int code, int err, const char *fmt, va_list ap)
	VUSER_PRINTF(4, 0);
static void fill(struct vuser_error *e, int code, int err, const char *fmt, va_list ap)
{
	char raw[sizeof(e->text)];

	error_clear(e);
	e->code = code;
	e->err = err;
	vsnprintf(raw, sizeof(raw), fmt, ap);
	error_printable(e->text, sizeof(e->text), raw, strlen(raw));
}

int error_set(struct vuser_error *e, int code, int err, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	fill(e, code, err, fmt, ap);
	va_end(ap);
	return code;
}

int error_at(struct vuser_error *e, int code, size_t offset, const char *field,
	     const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	fill(e, code, 0, fmt, ap);
	va_end(ap);
	e->offset = offset;
	snprintf(e->field, sizeof(e->field), "%s", field);
	return code;
}

int error_errno(struct vuser_error *e, const char *what)
{
	int err = errno;

	return error_set(e, VUSER_E_SYSTEM, err, "%s: %s", what, vuser_errno_text(err));
}

char *error_printable(char *dst, size_t cap, const void *src, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = src;
	size_t o = 0;

	for (size_t i = 0; i < len; i++) {
		bool plain = s[i] >= 0x20 && s[i] < 0x7f;

		if (o + (plain ? 1 : 4) >= cap)
			break;
		if (plain) {
			dst[o++] = (char)s[i];
			continue;
		}
		dst[o++] = '\\';
		dst[o++] = 'x';
		dst[o++] = hex[s[i] >> 4];
		dst[o++] = hex[s[i] & 15];
	}
	if (cap)
		dst[o] = '\0';
	return dst;
}
