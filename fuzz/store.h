/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing inputs into the folders of the harnesses, for the programs that make them. */
#ifndef FUZZ_STORE_H
#define FUZZ_STORE_H

#include <stddef.h>
#include <stdint.h>

/* The harnesses a message can be an input of; ends with NULL. */
extern const char *const store_harnesses[];

/* Writes an input to TOP/HARNESS/NAME; ends the program if it cannot. */
void store_input(const char *top, const char *harness, const char *name, const void *data,
		 size_t len);
/* Writes a message as an input of each harness that has a use for it. */
void store_message(const char *top, const char *name, const uint8_t *msg, size_t len,
		   unsigned nfds);

#endif
