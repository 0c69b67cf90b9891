/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands on the session itself share. */
#ifndef SESSION_H
#define SESSION_H

#include "app.h"

int run_set(struct app *app, const struct args *a);
int check_set(struct app *app, const struct args *a);
/* NULL beyond the last. */
const char *setting_name_at(size_t i);

int run_serve(struct app *app, const struct args *a);
int check_serve(struct app *app, const struct args *a);
/* The devices it can be; NULL beyond the last. */
const char *device_name_at(size_t i);

#endif
