/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader with small rooms: it grows and shrinks within a few hundred bytes, and is
 * fast. */
#ifndef FUZZ_READER_SMALL_H
#define FUZZ_READER_SMALL_H

#include "reader.h"

#undef READER_ROOM
#define READER_ROOM 512u
#undef READER_IDLE
#define READER_IDLE 4096u

#endif
