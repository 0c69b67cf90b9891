/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands on messages share. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "app.h"

#define SEND_SYNOPSIS \
	"COMMAND [--id N] [--size N] [--flags N] [--error N] [--fd FILE]... [HEX]"
int run_send(struct app *app, const struct args *a);
int check_send(struct app *app, const struct args *a);
/* A message as trace show has it in JSON: a member of an object, of an array without
 * name. */
void json_record(cJSON *object, const char *name, const struct vuser_record *r);

#endif
