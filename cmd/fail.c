/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a command failed, as a value, a name and a sentence. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

static const struct {
	const char *name;
	int status;
} kinds[] = {
	[FAIL_NONE] = { "none", 0 },
	[FAIL_USAGE] = { "usage", 2 },
	[FAIL_SYSTEM] = { "system", 1 },
	[FAIL_REMOTE] = { "remote", 1 },
	[FAIL_EXPECTATION] = { "expectation", 1 },
	[FAIL_CONNECTION] = { "connection", 3 },
	[FAIL_PROTOCOL] = { "protocol", 3 },
	[FAIL_TIMEOUT] = { "timeout", 4 },
	[FAIL_CANCELLED] = { "cancelled", 128 },
};

const char *fail_name(enum fail kind)
{
	return kinds[kind].name;
}

int fail_status(enum fail kind, int signo)
{
	return kinds[kind].status + (kind == FAIL_CANCELLED ? signo : 0);
}

void printable(char *dst, size_t cap, const char *text)
{
	size_t o = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool control = *p < 0x20 || *p == 0x7f;

		if (o + (control ? 4 : 1) >= cap)
			break;
		if (control)
			o += (size_t)snprintf(dst + o, cap - o, "\\x%02x", *p);
		else
			dst[o++] = (char)*p;
	}
	if (cap)
		dst[o] = '\0';
}

void failure_clear(struct failure *f)
{
	*f = (struct failure){ .kind = FAIL_NONE };
}

int failure_set(struct failure *f, enum fail kind, int err, const char *fmt, ...)
{
	char raw[sizeof(f->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	failure_clear(f);
	f->kind = kind;
	f->err = err;
	printable(f->text, sizeof(f->text), raw);
	return kind;
}

static const enum fail from_code[] = {
	[-VUSER_OK] = FAIL_NONE,
	[-VUSER_E_USAGE] = FAIL_USAGE,
	[-VUSER_E_SYSTEM] = FAIL_SYSTEM,
	[-VUSER_E_PROTOCOL] = FAIL_PROTOCOL,
	[-VUSER_E_REMOTE] = FAIL_REMOTE,
	[-VUSER_E_TIMEOUT] = FAIL_TIMEOUT,
	[-VUSER_E_CLOSED] = FAIL_CONNECTION,
	[-VUSER_E_CANCELLED] = FAIL_CANCELLED,
};

/* Where an errno tells more than the sentence does. */
static const bool says_more[] = {
	[FAIL_SYSTEM] = true,
	[FAIL_REMOTE] = true,
	[FAIL_CONNECTION] = true,
	[FAIL_CANCELLED] = false,
};

int failure_from(struct failure *f, const struct vuser_error *e)
{
	size_t i = (size_t) - (long)e->code;

	failure_clear(f);
	f->kind =
		i < sizeof(from_code) / sizeof(from_code[0]) ? from_code[i] : FAIL_SYSTEM;
	f->err = says_more[f->kind] ? e->err : 0;
	f->has_offset = e->offset != VUSER_NO_OFFSET;
	f->offset = e->offset;
	snprintf(f->field, sizeof(f->field), "%s", e->field);
	printable(f->text, sizeof(f->text),
		  f->kind == FAIL_CANCELLED ? "interrupted"
		  : e->text[0]		    ? e->text
					    : vuser_code_name(e->code));
	return f->kind;
}

void failure_text(const struct failure *f, char *buf, size_t cap)
{
	const char *says = vuser_errno_text(f->err);
	FILE *out = fmemopen(buf, cap, "w");
	size_t len = strlen(f->text), tail = strlen(says);

	buf[0] = '\0';
	if (!out)
		return;
	/* Where the text ends with what the errno says, the name comes first, too. */
	if (f->err && len > tail + 2 && strcmp(f->text + len - tail, says) == 0 &&
	    memcmp(f->text + len - tail - 2, ": ", 2) == 0)
		len -= tail + 2;
	fprintf(out, "%.*s", (int)len, f->text);
	if (f->err)
		fprintf(out, ": %s (%s)", vuser_errno_name(f->err), says);
	if (f->has_offset)
		fprintf(out, ", at offset %zu%s%s", f->offset, f->field[0] ? ", " : "",
			f->field);
	if (f->len) {
		fputs(f->has_offset ? "; the bytes up to there:" : "; the bytes:", out);
		for (size_t i = 0; i < f->len; i++)
			fprintf(out, " %02x", f->bytes[i]);
	}
	fclose(out);
	buf[cap - 1] = '\0';
}
