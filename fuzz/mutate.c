// SPDX-License-Identifier: BSD-3-Clause
/* A mutator that knows messages: borders, fields by the message table, texts by members.
 */
#include "mutate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inputs.h"
#include "msgtab.h"

#define HEADER	      VUSER_HEADER_SIZE
#define MOST_MESSAGES 64u
#define MOST_NEW      320u /* bytes of a message made here */

struct mutant {
	uint8_t *p;
	size_t len, cap;
	const uint8_t *other;
	size_t other_len;
	uint32_t rng;
};

/* Where the messages of some bytes are. */
struct borders {
	size_t at[MOST_MESSAGES + 1]; /* the last is where they end */
	size_t n;
};

/* ---- Chance -------------------------------------------------------------------- */

static uint32_t chance(struct mutant *m, uint32_t below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 17;
	m->rng ^= m->rng << 5;
	return below ? m->rng % below : 0;
}

static const uint64_t numbers[] = {
	0,
	1,
	2,
	3,
	4,
	8,
	15,
	16,
	17,
	24,
	32,
	40,
	48,
	63,
	64,
	65,
	127,
	128,
	200,
	201,
	255,
	256,
	4095,
	4096,
	4097,
	65535,
	65536,
	0x100001,
	0x7fffffff,
	1u << 31,
	UINT32_MAX - 1,
	UINT32_MAX,
	1ull << 32,
	1ull << 63,
	INT64_MAX,
	UINT64_MAX - 15,
	UINT64_MAX - 1,
	UINT64_MAX,
};

static uint64_t boundary(struct mutant *m)
{
	uint64_t v = numbers[chance(m, sizeof(numbers) / sizeof(numbers[0]))];

	return chance(m, 4) ? v : v + chance(m, 5) - 2;
}

/* ---- Bytes --------------------------------------------------------------------- */

/* Puts n bytes in place of del of them; not when there is no room. */
static bool replace(struct mutant *m, size_t at, size_t del, const void *with, size_t n)
{
	if (m->len - del + n > m->cap)
		return false;
	memmove(m->p + at + n, m->p + at + del, m->len - at - del);
	if (n)
		memcpy(m->p + at, with, n);
	m->len = m->len - del + n;
	return true;
}

static void put_number(uint8_t *p, size_t width, uint64_t v)
{
	uint32_t v32 = (uint32_t)v;
	uint16_t v16 = (uint16_t)v;

	switch (width) {
	case 8:
		memcpy(p, &v, 8);
		break;
	case 4:
		memcpy(p, &v32, 4);
		break;
	case 2:
		memcpy(p, &v16, 2);
		break;
	default:
		*p = (uint8_t)v;
	}
}

/* What any mutator does, from some place on. */
static void change_bytes(struct mutant *m, size_t from)
{
	uint8_t new[8];
	size_t room = m->len - from, at, n;

	if (from >= m->len) {
		n = 1 + chance(m, 8);
		put_number(new, 8, boundary(m));
		replace(m, m->len, 0, new, n);
		return;
	}
	at = from + chance(m, (uint32_t)room);
	room = m->len - at;
	n = 1 + chance(m, room < 8 ? (uint32_t)room : 8);
	put_number(new, 8, boundary(m));
	switch (chance(m, 5)) {
	case 0:
		m->p[at] ^= (uint8_t)(1u << chance(m, 8));
		break;
	case 1:
		m->p[at] = (uint8_t)chance(m, 256);
		break;
	case 2:
		replace(m, at, n, NULL, 0);
		break;
	case 3:
		replace(m, at, 0, new, n);
		break;
	default:
		memcpy(m->p + at, new, n);
	}
}

/* ---- Messages ------------------------------------------------------------------ */

static uint32_t size_of(const uint8_t *msg)
{
	uint32_t size;

	memcpy(&size, msg + 4, 4);
	return size;
}

static void find_borders(const uint8_t *p, size_t from, size_t len, struct borders *b)
{
	b->n = 0;
	b->at[0] = from;
	while (b->n < MOST_MESSAGES && len - from >= HEADER) {
		uint32_t size = size_of(p + from);

		if (size < HEADER || size > len - from)
			break;
		from += size;
		b->at[++b->n] = from;
	}
	/* What is left over is one more, whatever its header says. */
	if (b->n < MOST_MESSAGES && from < len)
		b->at[++b->n] = len;
}

static const struct layout *layout_of(struct mutant *m, unsigned command, bool reply)
{
	const struct message_row *row = message_find(command);
	const struct layout *l = !row ? NULL : reply ? row->reply : row->command;

	while (l && l->alternative && chance(m, 3) == 0)
		l = l->alternative;
	return l;
}

static unsigned any_command(struct mutant *m)
{
	unsigned c;

	do
		c = chance(m, VUSER_CMD_LIMIT);
	while (!message_find(c) && chance(m, 16));
	return c;
}

/* Looks for a value of one field that makes the payload good: a count, as a rule. */
static void repair_payload(struct mutant *m, unsigned command, bool reply, uint8_t *p,
			   size_t len)
{
	static const unsigned units[] = { 1, 24, 40, 48, 16, 8 };
	const struct layout *l = layout_of(m, command, reply);
	struct vuser_payload decoded;
	uint8_t keep[8];

	if (!l || len < l->fixed ||
	    !vuser_payload_decode(command, reply, p, len, &decoded, NULL))
		return;
	for (unsigned i = l->nfields; i-- > 0;)
		for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
			const struct field *f = &l->fields[i];

			memcpy(keep, p + f->offset, f->width);
			put_number(p + f->offset, f->width, (len - l->fixed) / units[u]);
			if (!vuser_payload_decode(command, reply, p, len, &decoded, NULL))
				return;
			memcpy(p + f->offset, keep, f->width);
		}
}

/* A header's size says what it is most of the time, and a count what follows it. */
static void repair(struct mutant *m, uint8_t *msg, size_t len)
{
	struct vuser_header h;

	if (len < HEADER || chance(m, 8) == 0)
		return;
	put_number(msg + 4, 4, len);
	(void)vuser_header_decode(msg, len, &h, NULL);
	if (chance(m, 4))
		repair_payload(m, h.command, vuser_is_reply(&h), msg + HEADER,
			       len - HEADER);
}

static size_t new_message(struct mutant *m, uint8_t *msg)
{
	static const size_t tails[] = {
		0, 0, 1, 2, 4, 8, 16, 24, 40, 48, 72, 80, 96, 240
	};
	unsigned command = any_command(m);
	bool reply = chance(m, 2);
	const struct layout *l = layout_of(m, command, reply);
	struct vuser_header h = { .id = (uint16_t)chance(m, 4),
				  .command = (uint16_t)command,
				  .flags =
					  reply ? VUSER_TYPE_REPLY : VUSER_TYPE_COMMAND };
	size_t len = HEADER + (l ? l->fixed : 0);

	if (l && l->tail)
		len += tails[chance(m, sizeof(tails) / sizeof(tails[0]))];
	memset(msg, 0, len);
	if (chance(m, 6) == 0)
		h.flags |= 1u << (4 + chance(m, 2));
	vuser_header_encode(&h, msg);
	for (unsigned i = 0; l && i < l->nfields; i++)
		if (chance(m, 3) == 0)
			put_number(msg + HEADER + l->fields[i].offset, l->fields[i].width,
				   chance(m, 2) ? chance(m, 10) : boundary(m));
	repair(m, msg, len);
	return len;
}

static const struct field header_fields[] = {
	{ .offset = 0, .width = 2 },  { .offset = 2, .width = 2 },
	{ .offset = 4, .width = 4 },  { .offset = 8, .width = 4 },
	{ .offset = 12, .width = 4 },
};

/* A field of a message and where it stands; false if there is none. */
static bool any_field(struct mutant *m, const uint8_t *msg, size_t len, size_t *at,
		      size_t *width)
{
	const struct field *f = &header_fields[chance(m, 5)];
	const struct layout *l;
	struct vuser_header h;
	size_t base = 0;

	if (len < HEADER)
		return false;
	(void)vuser_header_decode(msg, len, &h, NULL);
	l = layout_of(m, h.command, vuser_is_reply(&h));
	if (l && l->nfields && chance(m, 4)) {
		f = &l->fields[chance(m, l->nfields)];
		base = HEADER;
	}
	*at = base + f->offset;
	*width = f->width;
	return *at + *width <= len;
}

static void change_field(struct mutant *m, uint8_t *msg, size_t len)
{
	size_t at, width;

	if (!any_field(m, msg, len, &at, &width))
		return;
	put_number(msg + at, width, chance(m, 3) ? boundary(m) : chance(m, 20));
}

/* The field of an earlier message at the same place, or its id. */
static void copy_field(struct mutant *m, const struct borders *b, size_t k)
{
	size_t from, at, width, len = b->at[k + 1] - b->at[k];

	if (!k || !any_field(m, m->p + b->at[k], len, &at, &width))
		return;
	from = chance(m, (uint32_t)k);
	if (at + width <= b->at[from + 1] - b->at[from])
		memcpy(m->p + b->at[k] + at, m->p + b->at[from] + at, width);
}

static void swap(struct mutant *m, const struct borders *b, size_t k)
{
	size_t a = b->at[k], c, end;
	uint8_t *keep;

	if (k + 1 >= b->n)
		return;
	c = b->at[k + 1];
	end = b->at[k + 2];
	keep = fuzz_copy(m->p + a, c - a);
	memmove(m->p + a, m->p + c, end - c);
	memcpy(m->p + a + (end - c), keep, c - a);
	free(keep);
}

/* A message's end moves: more bytes behind, or fewer. */
static void resize(struct mutant *m, size_t at, size_t len)
{
	static const size_t steps[] = { 1, 4, 8, 16, 24, 40 };
	size_t step = steps[chance(m, 6)];
	uint8_t fill[40];

	memset(fill, (int)chance(m, 256), sizeof(fill));
	if (chance(m, 2) && len > step)
		replace(m, at + len - step, step, NULL, 0);
	else if (!replace(m, at + len, 0, fill, step))
		return;
	else
		step = 0 - step;
	repair(m, m->p + at, len - step);
}

/* Some messages of another input, at a border. */
static void take_from_other(struct mutant *m, size_t at, size_t other_from)
{
	struct borders b;
	size_t k, n;

	if (!m->other || m->other_len <= other_from)
		return;
	find_borders(m->other, other_from, m->other_len, &b);
	k = chance(m, (uint32_t)b.n);
	n = 1 + chance(m, (uint32_t)(b.n - k));
	replace(m, at, 0, m->other + b.at[k], b.at[k + n] - b.at[k]);
}

static void mutate_messages(struct mutant *m, size_t from, size_t other_from)
{
	uint8_t new[MOST_NEW + HEADER];
	struct borders b;
	size_t k, at, len;

	find_borders(m->p, from, m->len, &b);
	k = chance(m, (uint32_t)b.n);
	at = b.at[k];
	len = b.n ? b.at[k + 1] - at : 0;
	if (!b.n || chance(m, 8) == 0) {
		len = new_message(m, new);
		replace(m, at, 0, new, len);
		return;
	}
	switch (chance(m, 10)) {
	case 0:
		replace(m, at, len, NULL, 0);
		break;
	case 1:
		memcpy(new, m->p + at, len < sizeof(new) ? len : sizeof(new));
		if (len <= sizeof(new))
			replace(m, at, 0, new, len);
		break;
	case 2:
		swap(m, &b, k);
		break;
	case 3:
		take_from_other(m, at, other_from);
		break;
	case 4:
		copy_field(m, &b, k);
		break;
	case 5:
		resize(m, at, len);
		break;
	case 6:
		change_bytes(m, at);
		break;
	case 7:
		repair(m, m->p + at, len);
		break;
	default:
		change_field(m, m->p + at, len);
	}
}

/* ---- One harness each ---------------------------------------------------------- */

/* The pieces anew: mostly at borders of messages, with and without descriptors. */
static void new_plan(struct mutant *m, size_t from)
{
	uint8_t plan[2 + 2 * STREAM_MAX_PIECES];
	size_t n = 1 + chance(m, 8);
	struct borders b;

	find_borders(m->p, from, m->len, &b);
	plan[0] = (uint8_t)(chance(m, 16) ? chance(m, 8) : STREAM_FAR | chance(m, 8));
	plan[1] = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		size_t len =
			i < b.n && chance(m, 3) ? b.at[i + 1] - b.at[i] : chance(m, 80);

		plan[2 + 2 * i] = (uint8_t)(len > UINT8_MAX ? UINT8_MAX : len);
		plan[3 + 2 * i] = (uint8_t)(chance(m, 3) ? 0 : chance(m, STREAM_FDS + 1));
		if (chance(m, 12) == 0)
			plan[3 + 2 * i] |= STREAM_FILL;
	}
	replace(m, 0, from, plan, 2 + 2 * n);
}

static void mutate_stream(struct mutant *m)
{
	size_t from = stream_input_bytes(m->p, m->len);

	if (m->len < 2 || chance(m, 6) == 0)
		new_plan(m, from);
	else if (from > 2 && chance(m, 5) == 0)
		m->p[2 + chance(m, (uint32_t)from - 2)] = (uint8_t)chance(m, 256);
	else
		mutate_messages(m, from, stream_input_bytes(m->other, m->other_len));
}

static void mutate_header(struct mutant *m)
{
	const struct field *f = &header_fields[chance(m, 5)];

	if (m->len < HEADER || chance(m, 4) == 0)
		change_bytes(m, 0);
	else
		put_number(m->p + f->offset, f->width, boundary(m));
}

/* The payload as a message: a header is put before it, and taken away again. */
static void mutate_payload(struct mutant *m)
{
	struct mutant whole = *m;
	struct payload_input in;
	uint8_t new[MOST_NEW + HEADER];
	size_t len;

	if (m->len < PAYLOAD_PREFIX || chance(m, 10) == 0) {
		len = new_message(m, new);
		new[HEADER - 3] = new[2];
		new[HEADER - 2] = new[8] & VUSER_TYPE_REPLY ? PAYLOAD_REPLY : 0;
		new[HEADER - 1] = PAYLOAD_KEEP_ALL;
		replace(m, 0, m->len, new + HEADER - 3, len - HEADER + 3);
		return;
	}
	if (chance(m, 10) == 0) {
		m->p[1 + chance(m, 2)] = (uint8_t)chance(m, 256);
		return;
	}
	payload_input_read(m->p, m->len, &in);
	whole.cap = HEADER + m->cap - PAYLOAD_PREFIX;
	whole.len = HEADER + in.len;
	whole.p = fuzz_block(whole.cap);
	in.h.size = (uint32_t)whole.len;
	vuser_header_encode(&in.h, whole.p);
	memcpy(whole.p + HEADER, m->p + PAYLOAD_PREFIX, in.len);
	if (chance(&whole, 4) == 0)
		change_bytes(&whole, HEADER);
	else if (chance(&whole, 2))
		resize(&whole, 0, whole.len);
	else
		change_field(&whole, whole.p, whole.len);
	if (chance(&whole, 2))
		repair(&whole, whole.p, whole.len);
	if (whole.len >= HEADER)
		replace(m, PAYLOAD_PREFIX, m->len - PAYLOAD_PREFIX, whole.p + HEADER,
			whole.len - HEADER);
	m->rng = whole.rng;
	free(whole.p);
}

/* ---- Texts --------------------------------------------------------------------- */

static const char *const members[] = {
	"\"capabilities\":{}",
	"\"max_msg_fds\":8",
	"\"max_data_xfer_size\":1048576",
	"\"max_dma_maps\":65535",
	"\"pgsizes\":4096",
	"\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":4096}",
	"\"pgsize\":4096",
	"\"max_bitmap_size\":268435456",
	"\"write_multiple\":true",
	"\"twin_socket\":{\"supported\":true,\"fd_index\":0}",
	"\"supported\":false",
	"\"fd_index\":0",
	"\"x\":[{\"y\":null}]",
	"\"\\u0070gsizes\":4096",
	"\"\xc3\xa9\\ud83d\\ude00\":\"\\n\"",
};

static const char *const values[] = {
	"0",
	"1",
	"2",
	"3",
	"15",
	"16",
	"17",
	"4095",
	"4096",
	"4097",
	"8192",
	"65535",
	"65536",
	"67108864",
	"67108865",
	"268435456",
	"268435457",
	"9007199254740992",
	"9007199254740993",
	"18446744073709551615",
	"18446744073709551616",
	"18446744073709547520",
	"-0",
	"-1",
	"1.0",
	"1.5",
	"1e3",
	"1E400",
	"01",
	"1.",
	"true",
	"false",
	"null",
	"\"1\"",
	"[]",
	"{}",
	"\"\\u0000\"",
	"0000000000000000000000000000000000000000000000000000000000000001",
};

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

/* The first place at or after a random one where a character of set stands; len if none.
 */
static size_t find(struct mutant *m, const char *set)
{
	size_t start = 1 + chance(m, (uint32_t)m->len);

	for (size_t i = 0; i < m->len; i++) {
		size_t at = 1 + (start + i - 1) % (m->len > 1 ? m->len - 1 : 1);

		if (at < m->len && m->p[at] && strchr(set, m->p[at]))
			return at;
	}
	return m->len;
}

static void insert_member(struct mutant *m)
{
	const char *text = members[chance(m, COUNT(members))];
	size_t at = find(m, "{,");
	bool empty;
	char with[96];

	if (at == m->len) {
		snprintf(with, sizeof(with), "{\"capabilities\":{%s}}", text);
		replace(m, 1, m->len - 1, with, strlen(with));
		return;
	}
	empty = at + 1 < m->len && m->p[at + 1] == '}';
	snprintf(with, sizeof(with), "%s%s", text, empty ? "" : ",");
	replace(m, at + 1, 0, with, strlen(with));
}

/* Where the member or element that begins at at ends: at a comma or bracket of its level.
 */
static size_t end_of_item(const struct mutant *m, size_t at)
{
	int depth = 0;

	for (; at < m->len; at++) {
		if (m->p[at] == '{' || m->p[at] == '[')
			depth++;
		if (m->p[at] == '}' || m->p[at] == ']')
			depth--;
		if (depth < 0 || (m->p[at] == ',' && !depth))
			break;
	}
	return at;
}

static void change_item(struct mutant *m)
{
	size_t at = find(m, "{,["), end;
	uint8_t *item;

	if (at == m->len)
		return;
	end = end_of_item(m, at + 1);
	if (end == at + 1 || end == m->len)
		return;
	if (chance(m, 2)) {
		replace(m, at + 1, end - at - (m->p[end] == ',' ? 0 : 1), NULL, 0);
		return;
	}
	item = fuzz_copy(m->p + at, end - at);
	item[0] = ',';
	replace(m, end, 0, item, end - at);
	free(item);
}

static void change_value(struct mutant *m)
{
	const char *v = values[chance(m, COUNT(values))];
	size_t at = find(m, ":"), end;

	if (at == m->len)
		return;
	end = end_of_item(m, at + 1);
	replace(m, at + 1, end - at - 1, v, strlen(v));
}

static void mutate_caps(struct mutant *m)
{
	static const char blanks[] = " \t\r\n";
	uint8_t how = (uint8_t)chance(m, CAPS_RAW);

	if (!m->len) {
		replace(m, 0, 0, &how, 1);
		insert_member(m);
		return;
	}
	switch (chance(m, 8)) {
	case 0:
		m->p[0] = chance(m, 8) ? how : how | CAPS_RAW;
		break;
	case 1:
		replace(m, find(m, "{}[],:\""), 0, &blanks[chance(m, 4)], 1);
		break;
	case 2:
		change_bytes(m, 1);
		break;
	case 3:
	case 4:
		change_value(m);
		break;
	case 5:
		change_item(m);
		break;
	default:
		insert_member(m);
	}
}

/* ---- The entry ----------------------------------------------------------------- */

static const struct {
	const char *harness;
	void (*mutate)(struct mutant *m);
} shapes[] = {
	{ "header", mutate_header },
	{ "caps", mutate_caps },
	{ "stream", mutate_stream },
	{ "payload", mutate_payload },
};

size_t mutate(const char *harness, uint8_t *data, size_t size, size_t cap,
	      const uint8_t *other, size_t other_size, uint32_t seed)
{
	struct mutant m = { .p = data,
			    .len = size,
			    .cap = cap,
			    .other = other,
			    .other_len = other ? other_size : 0,
			    .rng = seed * 2654435761u | 1 };

	for (size_t i = 0; i < COUNT(shapes); i++) {
		if (strcmp(shapes[i].harness, harness) != 0)
			continue;
		for (uint32_t n = 1 + chance(&m, 4); n; n--)
			shapes[i].mutate(&m);
		return m.len;
	}
	change_bytes(&m, 0);
	return m.len;
}
