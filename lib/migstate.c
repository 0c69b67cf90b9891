/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of a device that migrates: which arcs there are, and the way between two. */
#include "migstate.h"

static const struct arc {
	uint32_t from, to;
} arcs[] = {
	{ VUSER_STATE_RUNNING, VUSER_STATE_STOP },
	{ VUSER_STATE_STOP, VUSER_STATE_RUNNING },
	{ VUSER_STATE_STOP, VUSER_STATE_STOP_COPY },
	{ VUSER_STATE_STOP_COPY, VUSER_STATE_STOP },
	{ VUSER_STATE_STOP, VUSER_STATE_RESUMING },
	{ VUSER_STATE_RESUMING, VUSER_STATE_STOP },
	{ VUSER_STATE_RUNNING, VUSER_STATE_PRE_COPY },
	{ VUSER_STATE_PRE_COPY, VUSER_STATE_RUNNING },
	{ VUSER_STATE_PRE_COPY, VUSER_STATE_STOP_COPY },
};

#define ARCS (sizeof(arcs) / sizeof(arcs[0]))

/* What a state is; nothing at all if no way leads to it or from it. */
static const struct trait {
	uint64_t needs; /* VUSER_MIGRATION_* of a device that can be in it */
	bool running, saving, resuming;
} traits[VUSER_STATES] = {
	[VUSER_STATE_STOP] = { .needs = VUSER_MIGRATION_STOP_COPY },
	[VUSER_STATE_RUNNING] = { .needs = VUSER_MIGRATION_STOP_COPY, .running = true },
	[VUSER_STATE_STOP_COPY] = { .needs = VUSER_MIGRATION_STOP_COPY, .saving = true },
	[VUSER_STATE_RESUMING] = { .needs = VUSER_MIGRATION_STOP_COPY, .resuming = true },
	[VUSER_STATE_PRE_COPY] = { .needs = VUSER_MIGRATION_PRE_COPY,
				   .running = true,
				   .saving = true },
};

static bool is_used(uint64_t flags, uint32_t state)
{
	return state < VUSER_STATES && traits[state].needs &&
	       !(traits[state].needs & ~flags);
}

bool migstate_is_running(uint32_t state)
{
	return state < VUSER_STATES && traits[state].running;
}

bool migstate_is_saving(uint32_t state)
{
	return state < VUSER_STATES && traits[state].saving;
}

bool migstate_is_resuming(uint32_t state)
{
	return state < VUSER_STATES && traits[state].resuming;
}

/*
 * For each state the one to go to next on the shortest way to the last; VUSER_STATES
 * where there is none. Found backwards, so that the way can be read off forwards. A
 * saving state lies at an end of a way only.
 */
static void find_next(uint64_t flags, uint32_t to, uint32_t next[VUSER_STATES])
{
	uint32_t queue[VUSER_STATES] = { to };

	for (unsigned i = 0; i < VUSER_STATES; i++)
		next[i] = VUSER_STATES;
	next[to] = to;
	for (unsigned head = 0, tail = 1; head < tail; head++) {
		uint32_t at = queue[head];

		if (at != to && traits[at].saving)
			continue;
		for (const struct arc *a = arcs; a < arcs + ARCS; a++) {
			if (a->to != at || next[a->from] != VUSER_STATES ||
			    !is_used(flags, a->from))
				continue;
			next[a->from] = at;
			queue[tail++] = a->from;
		}
	}
}

int migstate_path(uint64_t flags, uint32_t from, uint32_t to, uint32_t path[VUSER_STATES])
{
	uint32_t next[VUSER_STATES];
	int n = 0;

	if (!is_used(flags, from) || !is_used(flags, to))
		return -1;
	if (from == VUSER_STATE_STOP_COPY && to == VUSER_STATE_PRE_COPY)
		return -1;
	find_next(flags, to, next);
	if (next[from] == VUSER_STATES)
		return -1;
	for (uint32_t at = from; at != to; at = next[at])
		path[n++] = next[at];
	return n;
}
