// SPDX-License-Identifier: BSD-3-Clause
/* The mutator's face for libFuzzer, which keeps its own ways half of the time. */
#include <string.h>

#include "harness.h"
#include "mutate.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t alen, const uint8_t *b,
				 size_t blen, uint8_t *out, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	if (seed & 0x100)
		return LLVMFuzzerMutate(data, size, max);
	return mutate(fuzz_harness, data, size, max, NULL, 0, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t alen, const uint8_t *b,
				 size_t blen, uint8_t *out, size_t max, unsigned seed)
{
	if (alen > max)
		alen = max;
	if (alen)
		memcpy(out, a, alen);
	return mutate(fuzz_harness, out, alen, max, b, blen, seed);
}
