// SPDX-License-Identifier: BSD-3-Clause
/* What the harnesses share: how an oracle speaks, exact-size blocks, reading of plans. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "vuser.h"

/* The sanitizers' settings travel with the binary, so that each way of running is the
 * same. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16:malloc_context_size=6:detect_stack_use_after_return=0:"
	       "allocator_may_return_null=0:max_allocation_size_mb=512";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:halt_on_error=1";
}

void fuzz_broken(const char *oracle, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "\n==ORACLE== %s: %s: ", fuzz_harness, oracle);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	fflush(NULL);
	abort();
}

void *fuzz_block(size_t size)
{
	/* malloc(0) may be NULL, which the code under test could take for absence. */
	void *p = malloc(size ? size : 1);

	if (!p) {
		fprintf(stderr, "no memory for %zu bytes\n", size);
		exit(1);
	}
	return p;
}

uint8_t *fuzz_copy(const void *data, size_t size)
{
	uint8_t *p = fuzz_block(size);

	if (size)
		memcpy(p, data, size);
	return p;
}

bool fuzz_printable(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return true;
}

void fuzz_check_error(const struct vuser_error *e, int code, size_t limit)
{
	size_t field = strnlen(e->field, sizeof(e->field));
	size_t text = strnlen(e->text, sizeof(e->text));

	FUZZ_REQUIRE(e->code == code, "error", "the call returned %d, the error says %d",
		     code, e->code);
	FUZZ_REQUIRE(field < sizeof(e->field) && text < sizeof(e->text), "error",
		     "a text without a NUL");
	FUZZ_REQUIRE(text > 0, "error", "no sentence");
	FUZZ_REQUIRE(fuzz_printable(e->field, field) && fuzz_printable(e->text, text),
		     "error", "characters that cannot be printed");
	FUZZ_REQUIRE(e->offset == VUSER_NO_OFFSET || e->offset <= limit, "error",
		     "offset %zu, beyond %zu: %s", e->offset, limit, e->text);
	if (code == VUSER_E_PROTOCOL)
		FUZZ_REQUIRE(e->offset != VUSER_NO_OFFSET && field > 0, "error",
			     "the peer's fault without a place: %s", e->text);
}

void fuzz_print_text(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			fputs("\\\\", out);
		else if (fuzz_printable(text + i, 1))
			fputc(text[i], out);
		else
			fprintf(out, "\\x%02x", (unsigned char)text[i]);
	}
	fputc('\n', out);
}

uint8_t fuzz_u8(struct fuzz_input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->p++;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}
