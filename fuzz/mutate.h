/* SPDX-License-Identifier: BSD-3-Clause */
/* A mutator that knows messages: one piece of code, with a face for each engine. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Changes an input of a harness in place: messages are inserted, deleted, repeated,
 * swapped and taken from another input at their borders; fields get boundary numbers or
 * the value of an earlier message; sizes and counts are repaired most of the time; texts
 * are changed by members and numbers. other may be NULL. Returns the new size, at most
 * cap; the same seed does the same.
 */
size_t mutate(const char *harness, uint8_t *data, size_t size, size_t cap,
	      const uint8_t *other, size_t other_size, uint32_t seed);

#endif
