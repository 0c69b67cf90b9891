/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of states: the way from each state that is used to each other. */
#ifndef VUSER_TESTS_WAYS_H
#define VUSER_TESTS_WAYS_H

#include "wire.h"

#define BOTH   (VUSER_MIGRATION_STOP_COPY | VUSER_MIGRATION_PRE_COPY)

/* Short for the tables. */
#define STOP   VUSER_STATE_STOP
#define RUN    VUSER_STATE_RUNNING
#define COPY   VUSER_STATE_STOP_COPY
#define RESUME VUSER_STATE_RESUMING
#define PRE    VUSER_STATE_PRE_COPY
#define NO     (-1)
#define WAY(...)            \
	{                   \
		__VA_ARGS__ \
	}

/* From a state to each of the five that are used, n the number of arcs. */
static const struct way {
	uint32_t from, to;
	int n;
	uint32_t path[4];
} ways[] = {
	{ STOP, STOP, 0, WAY(0) },
	{ STOP, RUN, 1, WAY(RUN) },
	{ STOP, COPY, 1, WAY(COPY) },
	{ STOP, RESUME, 1, WAY(RESUME) },
	{ STOP, PRE, 2, WAY(RUN, PRE) },

	{ RUN, STOP, 1, WAY(STOP) },
	{ RUN, RUN, 0, WAY(0) },
	{ RUN, COPY, 2, WAY(STOP, COPY) }, /* not by pre-copy */
	{ RUN, RESUME, 2, WAY(STOP, RESUME) },
	{ RUN, PRE, 1, WAY(PRE) },

	{ COPY, STOP, 1, WAY(STOP) },
	{ COPY, RUN, 2, WAY(STOP, RUN) },
	{ COPY, COPY, 0, WAY(0) },
	{ COPY, RESUME, 2, WAY(STOP, RESUME) },
	{ COPY, PRE, NO, WAY(0) },

	{ RESUME, STOP, 1, WAY(STOP) },
	{ RESUME, RUN, 2, WAY(STOP, RUN) },
	{ RESUME, COPY, 2, WAY(STOP, COPY) },
	{ RESUME, RESUME, 0, WAY(0) },
	{ RESUME, PRE, 3, WAY(STOP, RUN, PRE) },

	{ PRE, STOP, 2, WAY(RUN, STOP) }, /* not by stop-copy */
	{ PRE, RUN, 1, WAY(RUN) },
	{ PRE, COPY, 1, WAY(COPY) },
	{ PRE, RESUME, 3, WAY(RUN, STOP, RESUME) },
	{ PRE, PRE, 0, WAY(0) },
};

#endif
