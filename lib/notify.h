/* SPDX-License-Identifier: BSD-3-Clause */
/* Eventfds of somebody else's: told from other files, added to and read, never blocking.
 */
#ifndef VUSER_NOTIFY_H
#define VUSER_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>

/* What adding needs; all zero at first. */
struct notify {
	unsigned long aio; /* an aio_context_t, 0 for none */
	bool tried;	   /* to get one */
};

void notify_free(struct notify *n);
bool notify_is_eventfd(int fd);
/* Adds 1 to the counter; whoever could not see that, as it is at its end, sees that. */
void notify_add(struct notify *n, int fd);
/* Takes the counter back to 0. 1 if it was above, 0 if not, or a negative errno. */
int notify_take(int fd);

#endif
