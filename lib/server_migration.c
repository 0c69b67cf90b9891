/* SPDX-License-Identifier: BSD-3-Clause */
/* A server's device on its way to another server: its state, and the data of it. */
#include <errno.h>
#include <string.h>

#include "feature.h"
#include "migstate.h"
#include "server.h"

bool server_is_running(const struct vuser_server *s)
{
	return migstate_is_running(s->state);
}

static void set_state(struct vuser_server *s, uint32_t state)
{
	bool ran = server_is_running(s);

	s->state = state;
	if (!ran && server_is_running(s))
		irqs_let_out(s);
}

void server_was_reset(struct vuser_server *s)
{
	set_state(s, VUSER_STATE_RUNNING);
}

/* ---- Its state ------------------------------------------------------------------- */

int migration_get_state(struct request *q)
{
	uint8_t data[FEATURE_STATE_SIZE];

	return feature_answer(q, data, feature_write_state(data, q->s->state));
}

/* One arc. 0 or an errno. */
static int go(struct request *q, uint32_t to)
{
	struct vuser_server *s = q->s;
	int r = s->desc->migration->state(s->dev, s->state, to);

	if (!r) {
		set_state(s, to);
		return 0;
	}
	if (r == -ENOTRECOVERABLE)
		s->state = VUSER_STATE_ERROR;
	return request_refuse(q, request_device_errno(r),
			      r == -ENOTRECOVERABLE ? "the device failed for good"
						    : "the device refused the state");
}

int migration_set_state(struct request *q)
{
	uint32_t path[VUSER_STATES];
	struct feature_state want;
	int n, r = 0;

	if (!feature_read_state(q->p->tail, q->p->tail_len, &want))
		return request_refuse(q, EINVAL, "a state is 8 bytes of data");
	if (q->s->state == VUSER_STATE_ERROR)
		return request_refuse(q, EINVAL, "only a reset leads out of error");
	n = migstate_path(q->s->desc->migration->flags, q->s->state, want.device_state,
			  path);
	if (n < 0)
		return request_refuse(q, EINVAL, "no way leads to that state");
	for (int i = 0; i < n && !r; i++)
		r = go(q, path[i]);
	return r ? r : feature_repeat(q);
}

/* ---- MIG_DATA_READ and MIG_DATA_WRITE -------------------------------------------- */

static int check_data(struct request *q, bool allowed, const char *why)
{
	if (!q->s->desc->migration)
		return request_refuse(q, ENOTSUP, "the device does not migrate");
	if (q->p->u.mig.argsz < MIG_DATA_HEAD)
		return request_refuse(q, EINVAL, "argsz is below the payload's size");
	if (!allowed)
		return request_refuse(q, EINVAL, why);
	if (q->p->u.mig.size > q->s->max_data)
		return request_refuse(q, EINVAL, "size is above max_data_xfer_size");
	return 0;
}

/* What was read is gone, so that an answer which does not fit cannot be asked for again:
 * unlike elsewhere, argsz must allow for all of it. */
int request_mig_read(struct request *q)
{
	struct vuser_payload p = request_answer(q);
	uint32_t size = q->p->u.mig.size;
	struct vuser_exchange *reply;
	void *out;
	size_t len;
	int64_t n = 0;
	int r = check_data(q, migstate_is_saving(q->s->state),
			   "data is read in pre-copy and stop-copy only");

	if (r)
		return r;
	if (q->p->u.mig.argsz - MIG_DATA_HEAD < size)
		return request_refuse(q, EINVAL, "argsz leaves no room for size bytes");
	reply = proxy_reply(q->s->proxy, q->x, MIG_DATA_HEAD + size, &out);
	if (!reply)
		return 0;
	memset(out, 0, MIG_DATA_HEAD + size); /* nothing of ours must get out */
	if (size)
		n = q->s->desc->migration->read(q->s->dev, (uint8_t *)out + MIG_DATA_HEAD,
						size);
	if (n < 0 || n > size) {
		proxy_release(q->s->proxy, reply);
		return request_refuse(q, n < -4095 || n > 0 ? EIO : (int)-n,
				      "the device failed");
	}
	p.u.mig.size = (uint32_t)n;
	p.u.mig.argsz = MIG_DATA_HEAD + p.u.mig.size;
	p.tail_len = (size_t)n;
	(void)payload_encode_fixed(&p, out, MIG_DATA_HEAD, &len, NULL);
	proxy_reply_cut(reply, MIG_DATA_HEAD + (size_t)n);
	proxy_reply_send(q->s->proxy, reply);
	return 0;
}

int request_mig_write(struct request *q)
{
	uint32_t size = q->p->u.mig.size;
	int r = check_data(q, migstate_is_resuming(q->s->state),
			   "data is written in resuming only");

	if (!r && size)
		r = q->s->desc->migration->write(q->s->dev, q->p->tail, size);
	else if (r)
		return r;
	return r ? request_refuse(q, request_device_errno(r), "the device failed")
		 : request_reply_empty(q);
}
