// SPDX-License-Identifier: BSD-3-Clause
/* The mutator's face for AFL++: a shared object; FUZZ_HARNESS says whose inputs these
 * are. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "mutate.h"

#define EXPORTED __attribute__((visibility("default")))

/* The object is no harness, yet shares their code. */
const char fuzz_harness[] = "mutator";

struct afl_mutator {
	const char *harness;
	unsigned rng;
	uint8_t *out;
	size_t room;
};

EXPORTED void *afl_custom_init(void *afl, unsigned seed);
EXPORTED void afl_custom_deinit(void *data);
EXPORTED size_t afl_custom_fuzz(void *data, uint8_t *buf, size_t size, uint8_t **out,
				uint8_t *other, size_t other_size, size_t max);

void *afl_custom_init(void *afl, unsigned seed)
{
	struct afl_mutator *a = calloc(1, sizeof(*a));
	const char *harness = getenv("FUZZ_HARNESS");

	(void)afl;
	if (!a || !harness) {
		fprintf(stderr, "FUZZ_HARNESS must name the harness\n");
		exit(1);
	}
	a->harness = harness;
	a->rng = seed;
	return a;
}

void afl_custom_deinit(void *data)
{
	struct afl_mutator *a = data;

	free(a->out);
	free(a);
}

size_t afl_custom_fuzz(void *data, uint8_t *buf, size_t size, uint8_t **out,
		       uint8_t *other, size_t other_size, size_t max)
{
	struct afl_mutator *a = data;

	if (a->room < max) {
		free(a->out);
		a->out = fuzz_block(max);
		a->room = max;
	}
	if (size > max)
		size = max;
	memcpy(a->out, buf, size);
	*out = a->out;
	a->rng = a->rng * 1664525u + 1013904223u;
	return mutate(a->harness, a->out, size, max, other, other_size, a->rng);
}
