/* SPDX-License-Identifier: BSD-3-Clause */
/* What every harness offers and uses: its entry, its oracles' voice, exact-size blocks.
 */
#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Offered by each harness: what both engines and the replayer call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Its name, which is that of its folder in corpus/. */
extern const char fuzz_harness[];
/* Prints what an input is, decoded for a person. */
void fuzz_describe(FILE *out, const uint8_t *data, size_t size);

/*
 * Says which oracle was violated and how, and ends the process. The engines keep the
 * input, fuzz/selftest.sh reads the oracle's name.
 */
void fuzz_broken(const char *oracle, const char *fmt, ...)
	__attribute__((noreturn, cold, format(printf, 2, 3)));

/* A condition that must hold whatever the input. */
#define FUZZ_REQUIRE(holds, oracle, ...)                  \
	do {                                              \
		if (!(holds))                             \
			fuzz_broken(oracle, __VA_ARGS__); \
	} while (0)

/*
 * size bytes on the heap and not one more, so that a read beyond them is seen. Ends the
 * process when memory is out. free() it.
 */
uint8_t *fuzz_copy(const void *data, size_t size);
/* The same, not filled. */
void *fuzz_block(size_t size);

/* True if all n bytes are printable ASCII. */
bool fuzz_printable(const char *text, size_t n);

struct vuser_error;
/*
 * What holds for every error that was filled: a code, a NUL in each text, nothing but
 * printable characters, a sentence, and an offset no further than limit or none.
 */
void fuzz_check_error(const struct vuser_error *e, int code, size_t limit);

/* Shows bytes as a line of text with escapes. */
void fuzz_print_text(FILE *out, const char *text, size_t len);

/* ---- Reading a harness's own input --------------------------------------------- */

/* Bytes that steer a harness; zeros once they are used up. */
struct fuzz_input {
	const uint8_t *p;
	size_t len;
};
uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in); /* low byte first, on every host */

#endif
