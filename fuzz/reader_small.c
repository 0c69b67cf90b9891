// SPDX-License-Identifier: BSD-3-Clause
/* lib/reader.c once more, with small rooms; it takes the library's place when linking. */
#include "reader_small.h"

#include "reader.c"
