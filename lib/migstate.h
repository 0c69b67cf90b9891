/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of a device that migrates: which arcs there are, and the way between two. */
#ifndef VUSER_MIGSTATE_H
#define VUSER_MIGSTATE_H

#include "vuser.h"

/*
 * The way from one state to another, for a device with these VUSER_MIGRATION_* flags: the
 * states it comes by go to path, the last of them to. Returns their number, 0 when it is
 * there already, -1 when there is no way: the state is unknown or not used, from is
 * error, or it is the one from stop-copy to pre-copy that the protocol rules out.
 */
int migstate_path(uint64_t flags, uint32_t from, uint32_t to,
		  uint32_t path[VUSER_STATES]);
/* Whether a device in that state does anything of its own. */
bool migstate_is_running(uint32_t state);
/* Whether its state can be read, or written. */
bool migstate_is_saving(uint32_t state);
bool migstate_is_resuming(uint32_t state);

#endif
