/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration of the demonstration device. What it saves is a row of records, each a type,
 * a length and data, little-endian: a header, pages of BAR1, and once the device has
 * stopped its registers, its configuration space, and an end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device_demo.h"

enum record_type {
	RECORD_HEADER = 1,
	RECORD_PAGE,
	RECORD_STATE,
	RECORD_CONFIG,
	RECORD_END
};

#define RECORD_HEAD 8u
#define STATE_SIZE                                                               \
	(4 * DEMO_REGS + DEMO_TABLE_SIZE + 4 * (DEMO_BELLS + DEMO_SHADOWS) + 4 + \
	 DEMO_EVENT_SIZE * DEMO_EVENTS + 8 * DEMO_SHADOWS)
#define LARGEST (4 + DEMO_PAGE)

static const char magic[8] = "VFUDEMO1";

static const uint32_t lengths[] = {
	[RECORD_HEADER] = sizeof(magic),
	[RECORD_PAGE] = LARGEST,
	[RECORD_STATE] = STATE_SIZE,
	[RECORD_CONFIG] = PCICFG_SIZE,
	[RECORD_END] = 0,
};

/* A migration under way, out of the device or into it. */
struct demo_stream {
	bool in, started, ended, broken;
	bool stopped;	/* out: the device has, so the rest may follow */
	unsigned next;	/* out: record to come after the pages */
	unsigned page;	/* out: where the search for changed ones goes on */
	size_t len, at; /* of the record in buf: its length, and what is done of it */
	uint8_t buf[RECORD_HEAD + LARGEST];
	uint8_t memory[DEMO_BAR1_SIZE]; /* out: as it was sent; in: as it came */
	struct demo_state state;	/* in */
	uint8_t config[PCICFG_SIZE];
	uint8_t shadow[8 * DEMO_SHADOWS];
};

void demo_migration_end(struct demo *d)
{
	free(d->stream);
	d->stream = NULL;
}

/* ---- Little-endian, one after the other ------------------------------------------ */

static void put(uint8_t **at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t **at, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t) * (*at)++ << (8 * i);
	return value;
}

static void put_state(const struct demo *d, uint8_t *at)
{
	for (unsigned i = 0; i < DEMO_REGS; i++)
		put(&at, 4, d->state.reg[i]);
	memcpy(at, d->state.table, DEMO_TABLE_SIZE);
	at += DEMO_TABLE_SIZE;
	for (unsigned i = 0; i < DEMO_BELLS + DEMO_SHADOWS; i++)
		put(&at, 4, d->state.bell[i]);
	put(&at, 4, d->state.events);
	for (unsigned i = 0; i < DEMO_EVENTS; i++) {
		put(&at, 4, d->state.log[i].number);
		put(&at, 4, d->state.log[i].kind);
		put(&at, 8, d->state.log[i].value);
	}
	memcpy(at, d->shadow, 8 * DEMO_SHADOWS);
}

static void get_state(struct demo_stream *s, const uint8_t *at)
{
	for (unsigned i = 0; i < DEMO_REGS; i++)
		s->state.reg[i] = (uint32_t)get(&at, 4);
	memcpy(s->state.table, at, DEMO_TABLE_SIZE);
	at += DEMO_TABLE_SIZE;
	for (unsigned i = 0; i < DEMO_BELLS + DEMO_SHADOWS; i++)
		s->state.bell[i] = (uint32_t)get(&at, 4);
	s->state.events = (uint32_t)get(&at, 4);
	for (unsigned i = 0; i < DEMO_EVENTS; i++) {
		s->state.log[i].number = (uint32_t)get(&at, 4);
		s->state.log[i].kind = (uint32_t)get(&at, 4);
		s->state.log[i].value = get(&at, 8);
	}
	memcpy(s->shadow, at, 8 * DEMO_SHADOWS);
}

/* ---- Out ------------------------------------------------------------------------- */

static uint8_t *begin_record(struct demo_stream *s, enum record_type type)
{
	uint8_t *at = s->buf;

	put(&at, 4, type);
	put(&at, 4, lengths[type]);
	s->len = RECORD_HEAD + lengths[type];
	s->at = 0;
	return at;
}

/* A page that differs from what the other side has; false if there is none. */
static bool next_page(struct demo *d, struct demo_stream *s)
{
	for (unsigned i = 0; i < DEMO_PAGES; i++) {
		unsigned page = (s->page + i) % DEMO_PAGES;
		uint8_t *sent = s->memory + page * DEMO_PAGE, *at;

		if (memcmp(sent, d->memory + page * DEMO_PAGE, DEMO_PAGE) == 0)
			continue;
		memcpy(sent, d->memory + page * DEMO_PAGE, DEMO_PAGE);
		at = begin_record(s, RECORD_PAGE);
		put(&at, 4, page);
		memcpy(at, sent, DEMO_PAGE);
		s->page = (page + 1) % DEMO_PAGES;
		return true;
	}
	return false;
}

/* Puts the next record into buf; false if there is none, for now or for good. */
static bool next_record(struct demo *d, struct demo_stream *s)
{
	uint8_t *at;

	if (!s->started) {
		s->started = true;
		memcpy(begin_record(s, RECORD_HEADER), magic, sizeof(magic));
		return true;
	}
	if (s->next == 0 && next_page(d, s))
		return true;
	if (!s->stopped || s->ended)
		return false;
	if (s->next == 0)
		s->next = RECORD_STATE;
	at = begin_record(s, (enum record_type)s->next);
	if (s->next == RECORD_STATE)
		put_state(d, at);
	else if (s->next == RECORD_CONFIG)
		memcpy(at, d->cfg.value, PCICFG_SIZE);
	s->ended = s->next == RECORD_END;
	s->next++;
	return true;
}

static int64_t demo_state_read(void *dev, void *buf, uint32_t count)
{
	struct demo *d = dev;
	struct demo_stream *s = d->stream;
	uint8_t *out = buf;
	uint32_t done = 0;

	if (!s || s->in)
		return -EINVAL;
	while (done < count) {
		size_t n = s->len - s->at;

		if (!n) {
			if (!next_record(d, s))
				break;
			continue;
		}
		n = n < count - done ? n : count - done;
		memcpy(out + done, s->buf + s->at, n);
		s->at += n;
		done += (uint32_t)n;
	}
	return done;
}

/* ---- In -------------------------------------------------------------------------- */

/* A record that is all there. 0 or a negative errno. */
static int take_record(struct demo_stream *s)
{
	const uint8_t *at = s->buf;
	uint32_t type = (uint32_t)get(&at, 4), page;

	at += 4; /* the length was looked at when it came */
	if (!s->started && type != RECORD_HEADER)
		return -EINVAL;
	switch (type) {
	case RECORD_HEADER:
		if (s->started || memcmp(at, magic, sizeof(magic)) != 0)
			return -EINVAL;
		s->started = true;
		return 0;
	case RECORD_PAGE:
		page = (uint32_t)get(&at, 4);
		if (page >= DEMO_PAGES)
			return -EINVAL;
		memcpy(s->memory + page * DEMO_PAGE, at, DEMO_PAGE);
		return 0;
	case RECORD_STATE:
		get_state(s, at);
		s->next |= 1u << RECORD_STATE;
		return 0;
	case RECORD_CONFIG:
		memcpy(s->config, at, PCICFG_SIZE);
		s->next |= 1u << RECORD_CONFIG;
		return 0;
	default: /* the end */
		s->ended = s->next == (1u << RECORD_STATE | 1u << RECORD_CONFIG);
		return s->ended ? 0 : -EINVAL;
	}
}

/* How many more bytes the record in buf needs; 0 when it is all there, -1 for nonsense.
 */
static int64_t wanted(const struct demo_stream *s)
{
	const uint8_t *at = s->buf;
	uint32_t type, len;

	if (s->at < RECORD_HEAD)
		return RECORD_HEAD - (int64_t)s->at;
	type = (uint32_t)get(&at, 4);
	len = (uint32_t)get(&at, 4);
	if (type < RECORD_HEADER || type > RECORD_END || len != lengths[type])
		return -1;
	return (int64_t)(RECORD_HEAD + len) - (int64_t)s->at;
}

static int demo_state_write(void *dev, const void *buf, uint32_t count)
{
	struct demo *d = dev;
	struct demo_stream *s = d->stream;
	const uint8_t *in = buf;

	if (!s || !s->in)
		return -EINVAL;
	while (!s->broken) {
		int64_t want = wanted(s);
		size_t n;

		if (want == 0) {
			s->broken = take_record(s) != 0;
			s->at = 0;
			continue;
		}
		if (!count)
			return 0;
		if (want < 0 || s->ended)
			break;
		n = want < count ? (size_t)want : count;
		memcpy(s->buf + s->at, in, n);
		s->at += n;
		in += n;
		count -= (uint32_t)n;
	}
	s->broken = true;
	return -EINVAL;
}

/* Is the state one that this device can be in? */
static bool plausible(const struct demo_state *state)
{
	struct demo d = { .state = *state };

	return state->reg[REG_STATUS] <= (DMA_STATUS_DONE | DMA_STATUS_ERROR) &&
	       demo_get64(&d, REG_DONE) <= demo_get64(&d, REG_COUNT) &&
	       state->reg[REG_PENDING] >> DEMO_VECTORS == 0;
}

/* What has come becomes the device. Bits of configuration space that nobody can write
 * stay ours. */
static int commit(struct demo *d, const struct demo_stream *s)
{
	uint32_t id = d->state.reg[REG_ID], version = d->state.reg[REG_VERSION];

	if (!plausible(&s->state))
		return -ENOTRECOVERABLE;
	d->state = s->state;
	d->resets++; /* a transfer that waits is none of this state */
	d->state.reg[REG_ID] = id;
	d->state.reg[REG_VERSION] = version;
	memcpy(d->memory, s->memory, DEMO_BAR1_SIZE);
	memcpy(d->shadow, s->shadow, sizeof(s->shadow));
	for (unsigned i = 0; i < PCICFG_SIZE; i++) {
		uint8_t mask = d->cfg.writable[i] | d->cfg.clearing[i];

		d->cfg.value[i] =
			(uint8_t)((d->cfg.initial[i] & ~mask) | (s->config[i] & mask));
	}
	demo_line(d);
	return 0;
}

/* ---- States ---------------------------------------------------------------------- */

static int begin(struct demo *d, bool in)
{
	demo_migration_end(d);
	d->stream = calloc(1, sizeof(*d->stream));
	if (!d->stream)
		return -ENOMEM;
	d->stream->in = in;
	return 0;
}

/* Leaving without a byte written gives the loading up. */
static int end_of_resuming(struct demo *d)
{
	const struct demo_stream *s = d->stream;
	int r = 0;

	if (s->broken)
		return -ENOTRECOVERABLE;
	if (!s->ended && (s->started || s->at))
		return -EINVAL;
	if (s->ended)
		r = commit(d, s);
	if (!r)
		demo_migration_end(d);
	return r;
}

static int demo_state_arc(void *dev, uint32_t from, uint32_t to)
{
	struct demo *d = dev;
	int r = 0;

	if (from == VUSER_STATE_RESUMING)
		r = end_of_resuming(d);
	else if (to == VUSER_STATE_PRE_COPY || to == VUSER_STATE_RESUMING)
		r = begin(d, to == VUSER_STATE_RESUMING);
	else if (to == VUSER_STATE_STOP_COPY && from != VUSER_STATE_PRE_COPY)
		r = begin(d, false);
	else if (to != VUSER_STATE_STOP_COPY)
		demo_migration_end(d);
	if (r)
		return r;
	d->stopped = to != VUSER_STATE_RUNNING && to != VUSER_STATE_PRE_COPY;
	if (to == VUSER_STATE_STOP_COPY && d->stream)
		d->stream->stopped = true;
	demo_log(d, EVENT_STATE, to);
	return 0;
}

const struct vuser_migration_ops demo_migration = {
	.flags = VUSER_MIGRATION_STOP_COPY | VUSER_MIGRATION_PRE_COPY,
	.state = demo_state_arc,
	.read = demo_state_read,
	.write = demo_state_write,
};
