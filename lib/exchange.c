/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on their way, and the pool they come from. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "exchange.h"

void exchange_pool_init(struct exchange_pool *pool)
{
	TAILQ_INIT(&pool->all);
	TAILQ_INIT(&pool->free);
	pool->count = 0;
}

/* Lets go of what x holds. */
static void strip(struct vuser_exchange *x)
{
	if (x->own_fds)
		channel_close_fds(x->fds, x->nfds);
	channel_close_fds(x->reply_fds, x->nreply_fds);
	if (x->bytes != x->small)
		free(x->bytes);
	x->own_fds = false;
	x->nreply_fds = 0;
	x->bytes = x->small;
}

static void destroy(struct exchange_pool *pool, struct vuser_exchange *x)
{
	TAILQ_REMOVE(&pool->all, x, all);
	pthread_cond_destroy(&x->wake);
	free(x);
}

void exchange_pool_free(struct exchange_pool *pool)
{
	struct vuser_exchange *x;

	while ((x = TAILQ_FIRST(&pool->all))) {
		strip(x); /* NOLINT(clang-analyzer-unix.Malloc) */
		destroy(pool, x);
	}
	exchange_pool_init(pool);
}

static struct vuser_exchange *create(struct exchange_pool *pool)
{
	struct vuser_exchange *x = malloc(sizeof(*x));
	pthread_condattr_t attr;

	if (!x)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->wake, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INSERT_TAIL(&pool->all, x, all);
	return x;
}

struct vuser_exchange *exchange_get(struct exchange_pool *pool)
{
	struct vuser_exchange *x = TAILQ_FIRST(&pool->free);

	if (x) {
		TAILQ_REMOVE(&pool->free, x, link);
		pool->count--;
	} else {
		x = create(pool);
		if (!x)
			return NULL;
	}
	/* Field by field: the arrays are large and need no clearing. */
	x->kind = EXCHANGE_WAIT;
	x->place = PLACE_OWNER;
	x->raw = x->replied = x->answer = x->own_fds = x->sleeping = false;
	x->bytes = x->small;
	x->cap = EXCHANGE_SMALL;
	x->size = x->sent = 0;
	x->data = NULL;
	x->data_len = 0;
	x->nfds = x->nreply_fds = x->want_fds = 0;
	x->gathered = 0;
	x->split = EXCHANGE_HEAD;
	x->head_len = x->tail_len = x->tail_cap = 0;
	x->tail = NULL;
	x->result = 0;
	x->error.code = 0;
	x->tag = 0;
	x->sent_at = x->since = 0;
	return x;
}

void exchange_put(struct exchange_pool *pool, struct vuser_exchange *x)
{
	strip(x);
	if (pool->count >= EXCHANGE_POOL) {
		destroy(pool, x);
		return;
	}
	TAILQ_INSERT_HEAD(&pool->free, x, link);
	pool->count++;
}

bool exchange_reserve(struct vuser_exchange *x, size_t cap)
{
	uint8_t *p;

	if (cap <= x->cap)
		return true;
	p = realloc(x->bytes == x->small ? NULL : x->bytes, cap);
	if (!p)
		return false;
	if (x->bytes == x->small)
		memcpy(p, x->small, x->size);
	x->bytes = p;
	x->cap = cap;
	return true;
}

static int own_fds(struct vuser_exchange *x)
{
	int dup[VUSER_MAX_FDS_HELD];

	for (size_t i = 0; i < x->nfds; i++) {
		dup[i] = fcntl(x->fds[i], F_DUPFD_CLOEXEC, 0);
		if (dup[i] < 0) {
			int err = errno;

			channel_close_fds(dup, i);
			return err;
		}
	}
	memcpy(x->fds, dup, x->nfds * sizeof(dup[0]));
	x->own_fds = true;
	return 0;
}

int exchange_settle_in(struct vuser_exchange *x)
{
	if (x->data_len) {
		if (!exchange_reserve(x, x->size + x->data_len))
			return ENOMEM;
		memcpy(x->bytes + x->size, x->data, x->data_len);
		x->size += x->data_len;
		x->data = NULL;
		x->data_len = 0;
	}
	return x->nfds && !x->own_fds ? own_fds(x) : 0;
}
