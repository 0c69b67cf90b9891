/* SPDX-License-Identifier: BSD-3-Clause */
/* Typed calls about migration: what a device can do, its state, the stream of its data.
 */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "feature.h"

/* ---- The state --------------------------------------------------------------------- */

int vuser_migration_flags(struct vuser_client *c, uint64_t *flags, struct vuser_error *e)
{
	uint8_t data[FEATURE_MIGRATION_SIZE];
	int r = client_feature(c, VUSER_FEATURE_MIGRATION | VUSER_FEATURE_GET, NULL, 0,
			       data, sizeof(data), e);

	if (!r)
		(void)feature_read_migration(data, sizeof(data), flags);
	return r;
}

int vuser_migration_get_state(struct vuser_client *c, uint32_t *state,
			      struct vuser_error *e)
{
	uint8_t data[FEATURE_STATE_SIZE];
	struct feature_state got;
	int r = client_feature(c, VUSER_FEATURE_MIG_DEVICE_STATE | VUSER_FEATURE_GET,
			       NULL, 0, data, sizeof(data), e);

	if (r)
		return r;
	(void)feature_read_state(data, sizeof(data), &got);
	*state = got.device_state;
	return 0;
}

int vuser_migration_set_state(struct vuser_client *c, uint32_t state,
			      struct vuser_error *e)
{
	uint8_t data[FEATURE_STATE_SIZE], echo[FEATURE_STATE_SIZE];

	if (!c->lax && !vuser_device_state_name(state))
		return error_set(e, VUSER_E_USAGE, EINVAL, "%u is no state of a device",
				 state);
	(void)feature_write_state(data, state);
	return client_feature(c, VUSER_FEATURE_MIG_DEVICE_STATE | VUSER_FEATURE_SET, data,
			      sizeof(data), echo, sizeof(echo), e);
}

/* ---- The data ---------------------------------------------------------------------- */

static int check_size(struct vuser_client *c, size_t size, struct vuser_error *e)
{
	if (size > UINT32_MAX - VUSER_HEADER_SIZE - MIG_DATA_HEAD)
		return error_set(e, VUSER_E_USAGE, EMSGSIZE,
				 "%zu bytes do not fit into a message", size);
	if (!c->lax && size > c->theirs.max_data_xfer_size)
		return error_set(e, VUSER_E_USAGE, EMSGSIZE,
				 "%zu bytes are above the server's max_data_xfer_size of "
				 "%llu",
				 size, (unsigned long long)c->theirs.max_data_xfer_size);
	return 0;
}

/* One that says it needs more room must not look like the end of the data. */
static int check_read(struct vuser_client *c, struct vuser_exchange *x, size_t asked,
		      const struct vuser_mig_data *got, struct vuser_error *e)
{
	if (got->size > asked)
		return client_bad_reply(c, x, VUSER_HEADER_SIZE + 4, "size", e,
					"the reply has %u bytes, asked was for %zu",
					got->size, asked);
	if (got->argsz > MIG_DATA_HEAD + asked)
		return client_bad_reply(
			c, x, VUSER_HEADER_SIZE, "argsz", e,
			"the full answer needs %u bytes, there is room for %zu",
			got->argsz, MIG_DATA_HEAD + asked);
	return 0;
}

int vuser_migration_read(struct vuser_client *c, void *buf, size_t cap, size_t *len,
			 struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_MIG_DATA_READ }, reply;
	struct vuser_exchange *x;
	int r = check_size(c, cap, e);

	if (r)
		return r;
	p.u.mig = (struct vuser_mig_data){ .argsz = MIG_DATA_HEAD + (uint32_t)cap,
					   .size = (uint32_t)cap };
	x = client_build(c, &p, e);
	if (!x)
		return client_not_built(e);
	x->split = MIG_DATA_HEAD;
	x->tail = buf;
	x->tail_cap = cap;
	client_make_room(c, p.u.mig.argsz);
	r = proxy_call(c->proxy, x, e);
	if (r)
		return r;
	r = client_decode(c, x, &reply, e);
	r = r ? r : check_read(c, x, cap, &reply.u.mig, e);
	if (!r)
		*len = reply.u.mig.size;
	proxy_release(c->proxy, x);
	return r;
}

int vuser_start_migration_write(struct vuser_client *c, const void *buf, size_t len,
				struct vuser_exchange **out, struct vuser_error *e)
{
	struct vuser_payload p = { .command = VUSER_CMD_MIG_DATA_WRITE };
	struct vuser_exchange *x;
	int r = check_size(c, len, e);

	*out = NULL;
	if (r)
		return r;
	p.u.mig = (struct vuser_mig_data){ .argsz = MIG_DATA_HEAD + (uint32_t)len,
					   .size = (uint32_t)len };
	p.tail = buf;
	p.tail_len = len;
	x = client_build(c, &p, e);
	if (!x)
		return client_not_built(e);
	r = proxy_start(c->proxy, x, EXCHANGE_WAIT, e);
	if (!r)
		*out = x;
	return r;
}

int vuser_migration_write(struct vuser_client *c, const void *buf, size_t len,
			  struct vuser_error *e)
{
	struct vuser_exchange *x;
	int r = vuser_start_migration_write(c, buf, len, &x, e);

	return r ? r : vuser_finish(c, x, e);
}
