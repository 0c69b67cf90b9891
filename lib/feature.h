/* SPDX-License-Identifier: BSD-3-Clause */
/* The data of DEVICE_FEATURE, for both sides: what follows argsz and flags, by feature.
 */
#ifndef VUSER_FEATURE_H
#define VUSER_FEATURE_H

#include "vuser.h"

/* Bytes on the wire. */
#define FEATURE_HEAD	       8u /* argsz and flags, which argsz counts, too */
#define FEATURE_MIGRATION_SIZE 8u
#define FEATURE_STATE_SIZE     8u
#define FEATURE_START_SIZE     16u /* without its ranges */
#define FEATURE_RANGE_SIZE     16u
#define FEATURE_REPORT_SIZE    24u /* without its bitmap */
#define FEATURE_WORD_SIZE      8u  /* of the bitmap */
#define MIG_DATA_HEAD	       8u  /* argsz and size of MIG_DATA_READ and _WRITE */

struct feature_state {
	uint32_t device_state; /* enum vuser_device_state */
	uint32_t data_fd;      /* unused: all bits set when we write it */
};

struct feature_start {
	uint64_t page_size;
	uint32_t num_ranges;
};

struct feature_report {
	uint64_t iova, length, page_size;
};

/*
 * Each reads the len bytes of a feature's data; false where the length is not the one the
 * feature has: that of start follows from its num_ranges; behind a report a bitmap may
 * follow, which is looked at with feature_word().
 */
bool feature_read_migration(const void *data, size_t len, uint64_t *flags);
bool feature_read_state(const void *data, size_t len, struct feature_state *out);
bool feature_read_start(const void *data, size_t len, struct feature_start *out);
bool feature_read_report(const void *data, size_t len, struct feature_report *out);
/* The n-th range of a start that was read; n below num_ranges. */
struct vuser_area feature_range(const void *data, size_t n);
/* Word n of a report's bitmap, from the len bytes of its data; 0 beyond their end. */
uint64_t feature_word(const void *data, size_t len, size_t n);

/* Each writes to buf, which has room for the bytes named above, and returns their number.
 */
size_t feature_write_migration(void *buf, uint64_t flags);
size_t feature_write_state(void *buf, uint32_t device_state);
size_t feature_write_start(void *buf, uint64_t page_size, uint32_t num_ranges);
size_t feature_write_range(void *buf, size_t n, struct vuser_area range);
size_t feature_write_report(void *buf, const struct feature_report *r);
size_t feature_write_word(void *buf, size_t n, uint64_t word);

#endif
