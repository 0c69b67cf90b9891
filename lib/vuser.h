/* SPDX-License-Identifier: BSD-3-Clause */
/* libvuser: the vfio-user protocol for clients, servers and tools; the one header to
 * include. */
#ifndef VUSER_H
#define VUSER_H

#include "proto.h"
#include "vuser_message.h"

#include "vuser_client.h"
#include "vuser_server.h"

#endif
