// SPDX-License-Identifier: BSD-3-Clause
/* Payloads of every row of the message table: decoding, encoding, naming fields,
 * printing. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "inputs.h"
#include "msgtab.h"
#include "strictjson.h"

const char fuzz_harness[] = "payload";

#define HEADER 16u

static uint64_t number(const uint8_t *p, size_t width)
{
	uint64_t v = 0;

	for (size_t i = 0; i < width; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		v |= (uint64_t)p[i] << 8 * i;
#else
		v = v << 8 | p[i];
#endif
	}
	return v;
}

/* ---- What the protocol says about lengths --------------------------------------
 *
 * Where a field counts what follows. A command that is not named here is held to what its
 * row of the message table says, so one that is new needs nothing.
 */

static const struct counted {
	unsigned command;
	bool reply;
	unsigned fixed, at, width, unit;
	unsigned when_at, when_bit; /* only if that bit of the u32 there is set */
} counted[] = {
	{ 8, false, 20, 16, 4, 1, 4, 2 }, { 8, false, 20, 16, 4, 0, 0, 0 },
	{ 9, true, 16, 12, 4, 1, 0, 0 },  { 10, false, 16, 12, 4, 1, 0, 0 },
	{ 11, true, 16, 8, 8, 1, 0, 0 },  { 11, true, 12, 8, 4, 1, 0, 0 },
	{ 12, false, 16, 8, 8, 1, 0, 0 }, { 12, false, 12, 8, 4, 1, 0, 0 },
	{ 15, false, 8, 0, 8, 24, 0, 0 }, { 6, true, 16, 12, 4, 40, 0, 0 },
	{ 6, true, 16, 12, 4, 48, 0, 0 }, { 6, true, 16, 12, 4, 0, 0, 0 },
	{ 17, true, 8, 4, 4, 1, 0, 0 },	  { 18, false, 8, 4, 4, 1, 0, 0 },
};

static bool fits(const struct counted *c, const uint8_t *buf, size_t len)
{
	uint64_t n;

	if (len < c->fixed)
		return false;
	n = number(buf + c->at, c->width);
	if (c->when_bit && !(number(buf + c->when_at, 4) & c->when_bit))
		return false;
	if (!c->unit)
		return len == c->fixed;
	return (len - c->fixed) % c->unit == 0 && n == (len - c->fixed) / c->unit;
}

/* May a payload of these bytes be accepted? */
static bool lengths_agree(const struct payload_input *in, const uint8_t *buf)
{
	bool known = false;

	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		if (counted[i].command != in->command || counted[i].reply != in->reply)
			continue;
		if (fits(&counted[i], buf, in->len))
			return true;
		known = true;
	}
	return !known;
}

/* What the row alone demands. */
static void check_row(const struct payload_input *in, const struct layout *first,
		      int verdict)
{
	bool possible = false, certain = false;

	for (const struct layout *l = first; l; l = l->alternative) {
		possible |= l->tail ? in->len >= l->fixed : in->len == l->fixed;
		certain |= l->tail ? !l->tail->check && in->len >= l->fixed
				   : in->len == l->fixed;
	}
	FUZZ_REQUIRE(verdict == 0 || verdict == VUSER_E_PROTOCOL, "verdict",
		     "decoding gave %d", verdict);
	FUZZ_REQUIRE(possible || verdict, "lengths", "%zu bytes are accepted", in->len);
	FUZZ_REQUIRE(!certain || !verdict, "lengths", "%zu bytes are refused", in->len);
}

/* ---- Decode and encode --------------------------------------------------------- */

static uint64_t member(const struct vuser_payload *p, const struct field *f)
{
	return number((const uint8_t *)p + f->member, f->stored);
}

static bool same_payload(const struct vuser_payload *a, const struct vuser_payload *b)
{
	return a->command == b->command && a->reply == b->reply &&
	       memcmp(&a->u, &b->u, sizeof(a->u)) == 0 && a->tail_len == b->tail_len &&
	       (!a->tail_len || memcmp(a->tail, b->tail, a->tail_len) == 0);
}

/* The form that was read, told by where the tail begins. */
static const struct layout *form_of(const struct layout *first,
				    const struct vuser_payload *p, size_t len)
{
	for (const struct layout *l = first; l; l = l->alternative)
		if (l->fixed == len - p->tail_len)
			return l;
	return NULL;
}

static void check_decoded(const struct vuser_payload *p, const struct layout *first,
			  const uint8_t *buf, size_t len)
{
	const struct layout *l;

	FUZZ_REQUIRE(p->tail_len <= len, "tail", "%zu bytes of tail in %zu", p->tail_len,
		     len);
	FUZZ_REQUIRE(!p->tail_len || p->tail == buf + (len - p->tail_len), "tail",
		     "the tail is not the payload's end");
	l = form_of(first, p, len);
	FUZZ_REQUIRE(l, "tail", "no form has %zu bytes before its tail",
		     len - p->tail_len);
	for (unsigned i = 0; i < l->nfields; i++)
		FUZZ_REQUIRE(member(p, &l->fields[i]) == number(buf + l->fields[i].offset,
								l->fields[i].width),
			     "values", "%s is read as %llu", l->fields[i].name,
			     (unsigned long long)member(p, &l->fields[i]));
}

/* Writes p into exactly the room it needs, and is refused with a byte less. */
static uint8_t *encode_exactly(const struct vuser_payload *p, size_t room, size_t *len)
{
	uint8_t *buf = fuzz_block(room), *tight;
	struct vuser_error e;
	size_t n;
	int r = vuser_payload_encode(p, buf, room, len, &e);

	FUZZ_REQUIRE(r == 0 || r == VUSER_E_USAGE, "encode", "encoding gave %d", r);
	if (r) {
		fuzz_check_error(&e, r, VUSER_NO_OFFSET);
		FUZZ_REQUIRE(vuser_payload_encode(p, buf, room, len, NULL) == r, "encode",
			     "it depends on whether a reason is wanted");
		free(buf);
		return NULL;
	}
	FUZZ_REQUIRE(*len <= room, "encode", "%zu bytes in room for %zu", *len, room);
	tight = fuzz_block(*len);
	r = vuser_payload_encode(p, tight, *len, &n, NULL);
	FUZZ_REQUIRE(r == 0 && n == *len && memcmp(buf, tight, n) == 0, "encode",
		     "%zu bytes do not fit into as many", *len);
	if (*len)
		FUZZ_REQUIRE(vuser_payload_encode(p, tight, *len - 1, &n, NULL) ==
				     VUSER_E_USAGE,
			     "encode", "%zu bytes fit into one less", *len);
	free(buf);
	return tight;
}

/* What can be written reads back as it was; bytes the same if they were in the usual
 * form. */
static void check_encoded(const struct vuser_payload *p, const struct layout *first,
			  const uint8_t *buf, size_t len)
{
	const struct layout *form = buf ? form_of(first, p, len) : NULL;
	struct vuser_payload again;
	struct vuser_error e;
	size_t n;
	uint8_t *out = encode_exactly(p, first->fixed + p->tail_len, &n);

	if (!out) {
		FUZZ_REQUIRE(form != first, "agree", "what was read cannot be written");
		return;
	}
	if (form == first)
		FUZZ_REQUIRE(n == len && memcmp(out, buf, n) == 0, "agree",
			     "encode(decode(x)) is not x");
	FUZZ_REQUIRE(vuser_payload_decode(p->command, p->reply, out, n, &again, &e) == 0,
		     "agree", "what was written cannot be read: %s", e.text);
	FUZZ_REQUIRE(same_payload(p, &again), "agree", "decode(encode(p)) is not p");
	free(out);
}

/* Any values at all: either refused, or what they are written as reads back. */
static void check_arbitrary(const struct payload_input *in, const struct layout *first,
			    const uint8_t *buf)
{
	struct vuser_payload p = { .command = (uint16_t)in->command, .reply = in->reply };

	for (unsigned i = 0; i < first->nfields; i++) {
		const struct field *f = &first->fields[i];

		if (in->len >= f->offset + f->width)
			memcpy((uint8_t *)&p + f->member, buf + f->offset, f->width);
	}
	if (in->len > first->fixed) {
		p.tail = buf + first->fixed;
		p.tail_len = in->len - first->fixed;
	}
	check_encoded(&p, first, NULL, 0);
}

/* The fixed part and the tail in two places are the same payload. */
static void check_split(const struct payload_input *in, const struct layout *first,
			const uint8_t *buf, int verdict, const struct vuser_payload *p)
{
	uint8_t *head, *tail;
	struct vuser_payload other;
	int r;

	if (in->len < first->fixed)
		return;
	head = fuzz_copy(buf, first->fixed);
	tail = fuzz_copy(buf + first->fixed, in->len - first->fixed);
	r = payload_decode_split(in->command, in->reply, head, first->fixed, tail,
				 in->len - first->fixed, &other, NULL);
	/* In another form the tail begins within the head: two places cannot show that.
	 */
	if (verdict || form_of(first, p, in->len) == first) {
		FUZZ_REQUIRE(r == verdict, "split", "in two places %d, in one %d", r,
			     verdict);
		FUZZ_REQUIRE(r || same_payload(p, &other), "split",
			     "in two places other values are read");
	}
	free(head);
	free(tail);
}

static void check_entries(const struct vuser_payload *p)
{
	struct vuser_multi_entry entry;
	uint8_t again[24];

	if (p->command != VUSER_CMD_REGION_WRITE_MULTI || p->reply)
		return;
	for (size_t i = 0; i < p->u.multi.wr_cnt; i++) {
		vuser_multi_get(p, i, &entry);
		FUZZ_REQUIRE(entry.count <= 8, "entries", "write %zu has %u bytes", i,
			     entry.count);
		vuser_multi_put(again, 0, &entry);
		FUZZ_REQUIRE(memcmp(again, p->tail + 24 * i, 24) == 0, "entries",
			     "write %zu is written otherwise than it was read", i);
	}
}

/* What an entry has no use for is not written again; everything else is. */
static void check_io_fds(const struct vuser_payload *p)
{
	struct vuser_io_fd all, again;
	struct vuser_payload q = *p;
	uint8_t bytes[48];
	size_t entry;

	if (p->command != VUSER_CMD_DEVICE_GET_REGION_IO_FDS || !p->reply || !p->tail_len)
		return;
	entry = p->tail_len / p->u.region_io_fds.count;
	q.tail = bytes;
	q.tail_len = entry;
	q.u.region_io_fds.count = 1;
	for (size_t i = 0; i < p->u.region_io_fds.count; i++) {
		vuser_io_fd_get(p, i, &all);
		FUZZ_REQUIRE(io_fd_size(&all, 1) ==
				     (all.type == VUSER_IO_FD_SHADOW ? 48u : 40u),
			     "io fds", "entry %zu takes %zu bytes", i,
			     io_fd_size(&all, 1));
		io_fd_put(bytes, entry, 0, &all);
		vuser_io_fd_get(&q, 0, &again);
		if (all.type != VUSER_IO_FD_SHADOW) {
			all.shadow_index = 0;
			all.shadow_offset = 0;
		}
		FUZZ_REQUIRE(memcmp(&again, &all, sizeof(all)) == 0, "io fds",
			     "entry %zu is written otherwise than it was read", i);
	}
}

/* ---- Chains of capabilities ---------------------------------------------------- */

#define INFO 32u

/* One step of a chain by the rules: the size of the capability at off, 0 if it cannot be.
 */
static size_t chain_step(const uint8_t *buf, size_t len, uint64_t off)
{
	size_t room;
	uint64_t n;

	if (off < INFO || off % 8 || off > len || len - off < 8)
		return 0;
	room = len - off;
	switch (number(buf + off, 2)) {
	case 1:
		n = room < 16 ? UINT64_MAX : number(buf + off + 8, 4);
		return n <= VUSER_MAX_SPARSE_AREAS && n <= (room - 16) / 16 ? 16 + n * 16
									    : 0;
	case 2:
		return room < 16 ? 0 : 16;
	default:
		return 8;
	}
}

/* How many capabilities a chain has before it ends; *sound if it ends as it should. */
static size_t chain_model(const uint8_t *buf, size_t len, size_t max, bool *sound)
{
	uint64_t off = number(buf + 12, 4), seen[VUSER_MAX_REGION_CAPS];
	size_t n = 0;

	*sound = false;
	while (off) {
		if (n == max || !chain_step(buf, len, off))
			return n;
		for (size_t i = 0; i < n; i++)
			if (seen[i] == off)
				return n;
		seen[n++] = off;
		off = number(buf + off + 4, 4);
	}
	*sound = true;
	return n;
}

static void check_cap(const struct vuser_regioncap *c, const uint8_t *buf, size_t len)
{
	size_t size = chain_step(buf, len, c->offset);
	struct vuser_area area;

	FUZZ_REQUIRE(size && c->id == number(buf + c->offset, 2) &&
			     c->version == number(buf + c->offset + 2, 2),
		     "chain", "capability %u at 0x%x is another", c->id, c->offset);
	if (c->id == VUSER_REGIONCAP_TYPE)
		FUZZ_REQUIRE(c->type == number(buf + c->offset + 8, 4) &&
				     c->subtype == number(buf + c->offset + 12, 4),
			     "chain", "another type or subtype");
	if (c->id != VUSER_REGIONCAP_SPARSE_MMAP)
		return;
	FUZZ_REQUIRE(c->nr_areas == (size - 16) / 16, "chain", "%u areas", c->nr_areas);
	for (uint32_t i = 0; i < c->nr_areas; i++) {
		area = vuser_regioncap_area(c, i);
		FUZZ_REQUIRE(area.offset == number(buf + c->offset + 16 + 16 * i, 8) &&
				     area.size ==
					     number(buf + c->offset + 24 + 16 * i, 8),
			     "chain", "area %u is another", i);
	}
}

static void check_chain(const uint8_t *buf, size_t len, size_t max)
{
	struct vuser_regioncap *caps = fuzz_block(max * sizeof(*caps));
	struct vuser_error e;
	size_t n, want;
	bool sound;
	int r = vuser_regioncap_walk(buf, len, caps, max, &n, &e);

	FUZZ_REQUIRE(r == 0 || r == VUSER_E_PROTOCOL, "chain", "walking gave %d", r);
	if (r)
		fuzz_check_error(&e, r, HEADER + len);
	if (len < INFO) {
		FUZZ_REQUIRE(r && !n, "chain", "%zu bytes have a chain", len);
	} else {
		want = chain_model(buf, len, max, &sound);
		FUZZ_REQUIRE(n == want && !r == sound, "chain",
			     "%zu capabilities and %d, where %zu are and it is %s", n, r,
			     want, sound ? "sound" : "broken");
		for (size_t i = 0; i < n; i++)
			check_cap(&caps[i], buf, len);
	}
	free(caps);
}

/* ---- Fields and their texts ---------------------------------------------------- */

struct walk {
	const uint8_t *msg;
	size_t len, end; /* where the last field ended */
};

static void check_field_text(const struct vuser_field *f)
{
	static const size_t rooms[] = { 1, 2, 7, 40, 200 };
	char none = 'x';

	FUZZ_REQUIRE(vuser_field_text(f, &none, 0) == 0 && none == 'x', "text",
		     "%s: characters in no room", f->name);

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		char *text = fuzz_block(rooms[i]);
		size_t n = vuser_field_text(f, text, rooms[i]);

		FUZZ_REQUIRE(n < rooms[i] && strnlen(text, rooms[i]) == n, "text",
			     "%s: %zu characters in %zu", f->name, n, rooms[i]);
		FUZZ_REQUIRE(fuzz_printable(text, n), "control characters",
			     "in the text of %s", f->name);
		free(text);
	}
}

static void check_field(void *arg, const struct vuser_field *f)
{
	struct walk *w = arg;

	FUZZ_REQUIRE(f->name && *f->name && f->size, "fields",
		     "one without name or size at %zu", f->offset);
	FUZZ_REQUIRE(f->offset >= w->end, "fields", "%s at %zu begins before %zu",
		     f->name, f->offset, w->end);
	FUZZ_REQUIRE(f->offset < w->len && f->len <= w->len - f->offset &&
			     f->len <= f->size,
		     "fields", "%s: %zu of %zu bytes at %zu of %zu", f->name, f->len,
		     f->size, f->offset, w->len);
	FUZZ_REQUIRE(f->bytes == w->msg + f->offset, "fields", "%s has other bytes",
		     f->name);
	if (f->show < VUSER_SHOW_BYTES)
		FUZZ_REQUIRE(f->len == f->size && f->size <= 8 &&
				     f->value == number(f->bytes, f->size),
			     "fields", "%s is shown as %llu", f->name,
			     (unsigned long long)f->value);
	w->end = f->offset + f->len;
	check_field_text(f);
}

/* ---- What a trace prints ------------------------------------------------------- */

static char *print(void (*how)(FILE *out, const struct vuser_record *r),
		   const struct vuser_record *r, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		exit(1);
	how(out, r);
	fclose(out);
	return text;
}

static void print_line(FILE *out, const struct vuser_record *r)
{
	vuser_record_line(out, r, 0);
}

static void print_dump(FILE *out, const struct vuser_record *r)
{
	vuser_record_dump(out, r, 0);
}

static void check_lines(const char *text, size_t len, bool one)
{
	for (size_t i = 0; i < len; i++)
		FUZZ_REQUIRE(text[i] == '\n' ? !one || i + 1 == len
					     : fuzz_printable(text + i, 1),
			     "control characters", "0x%02x at %zu of: %.*s",
			     (unsigned char)text[i], i, (int)len, text);
	FUZZ_REQUIRE(len && text[len - 1] == '\n', "lines", "the last line has no end");
}

static void check_hex(const struct strict_node *n, const char *text,
		      const struct vuser_record *r)
{
	FUZZ_REQUIRE(n && n->kind == STRICT_STRING && n->len == 2 * r->kept + 2, "JSON",
		     "the bytes are not there");
	for (size_t i = 0; i < r->kept; i++) {
		char hex[3];

		snprintf(hex, sizeof(hex), "%02x", r->bytes[i]);
		FUZZ_REQUIRE(memcmp(text + n->at + 1 + 2 * i, hex, 2) == 0, "JSON",
			     "byte %zu is another", i);
	}
}

static void check_json(const char *text, size_t len, const struct vuser_record *r)
{
	const struct strict_node *fields;
	struct strict_text t;
	bool good = strict_read(text, len - 1, &t);

	FUZZ_REQUIRE(good, "JSON", "not JSON at byte %zu: %s", t.wrong, text);
	FUZZ_REQUIRE(t.root->kind == STRICT_OBJECT && !strict_has_duplicates(t.root),
		     "JSON", "a name twice: %s", text);
	fields = strict_member(t.root, "fields");
	FUZZ_REQUIRE(fields && fields->kind == STRICT_OBJECT, "JSON", "no fields: %s",
		     text);
	if (fields->children < 200)
		FUZZ_REQUIRE(!strict_has_duplicates(fields), "JSON", "a field twice: %s",
			     text);
	check_hex(strict_member(t.root, "bytes"), text, r);
	strict_free(&t);
}

static void check_prints(const struct vuser_record *r)
{
	size_t len;
	char *text = print(print_line, r, &len);

	check_lines(text, len, true);
	free(text);
	text = print(print_dump, r, &len);
	check_lines(text, len, false);
	free(text);
	text = print(vuser_record_json, r, &len);
	check_lines(text, len, true);
	check_json(text, len, r);
	free(text);
}

/* One of each order of magnitude. */
static uint64_t latency_of(const struct payload_input *in)
{
	static const uint64_t latencies[] = { 0, 700, 25000000, 3000000000 };

	return in->reply ? latencies[in->kept % 4] : 0;
}

/* The message as a trace has it: perhaps not all of it, perhaps with a wrong size. */
static void check_shown(const struct payload_input *in)
{
	uint8_t *whole = fuzz_block(HEADER + in->len), *kept;
	struct walk w;
	struct vuser_record r;

	vuser_header_encode(&in->h, whole);
	if (in->len)
		memcpy(whole + HEADER, in->payload, in->len);
	kept = fuzz_copy(whole, in->kept);
	free(whole);
	w = (struct walk){ .msg = kept, .len = in->kept };
	vuser_fields(kept, in->kept, check_field, &w);
	r = (struct vuser_record){ .number = 1,
				   .latency = latency_of(in),
				   .nfds = in->h.error % 3,
				   .dir = in->reply ? VUSER_S2C : VUSER_C2S,
				   .size = HEADER + in->len,
				   .bytes = kept,
				   .kept = in->kept };
	check_prints(&r);
	free(kept);
}

/* ---- Names --------------------------------------------------------------------- */

/* What has a name is found by it again, in any case and with either dash. */
static void check_command_name(unsigned command)
{
	const char *name = vuser_command_name(command);
	char other[64];

	FUZZ_REQUIRE(!name == !message_find(command), "names", "of command %u", command);
	if (!name)
		return;
	for (size_t i = 0; i <= strlen(name); i++)
		other[i] = (char)(name[i] == '_' ? '-' : tolower((unsigned char)name[i]));
	FUZZ_REQUIRE(vuser_command_number(name) == command &&
			     vuser_command_number(other) == command,
		     "names", "%s is not command %u", name, command);
	other[strlen(name) - 1] = '\0';
	FUZZ_REQUIRE(vuser_command_number(other) != command, "names", "%s passes for %s",
		     other, name);
}

static void check_names(const struct payload_input *in)
{
	int err = (int)in->h.error;
	const char *name = vuser_errno_name(err);

	check_command_name(in->command);
	/* Looking one up asks the C library thousands of times. */
	if (in->len >= 2)
		return;
	FUZZ_REQUIRE(vuser_errno_number(name) == (strcmp(name, "E?") == 0 ? 0 : err),
		     "names", "errno %d is %s", err, name);
	FUZZ_REQUIRE(vuser_errno_number("EWOULDBLOCK") == EWOULDBLOCK &&
			     vuser_errno_number("EOPNOTSUPP") == EOPNOTSUPP,
		     "names", "a second name of an errno");
	FUZZ_REQUIRE(*vuser_errno_text(err) && *vuser_code_name(-err) &&
			     *vuser_code_name(err),
		     "names", "an empty text for %d", err);
}

/* ---- The harness --------------------------------------------------------------- */

static void check_payload(const struct payload_input *in, const uint8_t *buf)
{
	const struct message_row *row = message_find(in->command);
	const struct layout *first;
	struct vuser_payload p;
	struct vuser_error e;
	size_t n;
	int verdict = vuser_payload_decode(in->command, in->reply, buf, in->len, &p, &e);

	if (verdict)
		fuzz_check_error(&e, verdict, HEADER + in->len);
	if (!row) {
		FUZZ_REQUIRE(verdict, "verdict", "there is no command %u", in->command);
		p = (struct vuser_payload){ .command = (uint16_t)in->command };
		free(encode_exactly(&p, in->len, &n));
		return;
	}
	first = in->reply ? row->reply : row->command;
	check_row(in, first, verdict);
	if (!verdict) {
		FUZZ_REQUIRE(lengths_agree(in, buf), "lengths",
			     "a count disagrees with the %zu bytes of %s", in->len,
			     row->name);
		check_decoded(&p, first, buf, in->len);
		check_encoded(&p, first, buf, in->len);
		check_entries(&p);
		check_io_fds(&p);
	}
	check_arbitrary(in, first, buf);
	check_split(in, first, buf, verdict, &p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct payload_input in;
	uint8_t *buf;

	payload_input_read(data, size, &in);
	buf = fuzz_copy(in.payload, in.len);
	check_payload(&in, buf);
	if (in.command == VUSER_CMD_DEVICE_GET_REGION_INFO && in.reply) {
		check_chain(buf, in.len, VUSER_MAX_REGION_CAPS);
		check_chain(buf, in.len, in.len % 4);
	}
	check_shown(&in);
	check_names(&in);
	free(buf);
	return 0;
}

void fuzz_describe(FILE *out, const uint8_t *data, size_t size)
{
	struct payload_input in;
	struct vuser_payload p;
	struct vuser_error e;
	struct vuser_record r = { .number = 1 };
	uint8_t *msg;

	payload_input_read(data, size, &in);
	msg = fuzz_block(HEADER + in.len);
	vuser_header_encode(&in.h, msg);
	if (in.len)
		memcpy(msg + HEADER, in.payload, in.len);
	r.size = r.kept = HEADER + in.len;
	r.bytes = msg;
	fprintf(out, "%zu bytes of payload, %zu of the message kept\n", in.len, in.kept);
	vuser_record_dump(out, &r, 0);
	if (vuser_payload_decode(in.command, in.reply, in.payload, in.len, &p, &e))
		fprintf(out, "refused: %s\n", e.text);
	free(msg);
}
