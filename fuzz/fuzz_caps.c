// SPDX-License-Identifier: BSD-3-Clause
/* The JSON of VERSION against a model of its rules over a strict reader of our own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "inputs.h"
#include "strictjson.h"
#include "vuser.h"

const char fuzz_harness[] = "caps";

/* ---- The rules, as the protocol states them ------------------------------------ */

enum object { ROOT, CAPABILITIES, MIGRATION, TWIN, OBJECTS };

static const struct {
	const char *name;
	enum object parent;
} objects[OBJECTS] = {
	[CAPABILITIES] = { "capabilities", ROOT },
	[MIGRATION] = { "migration", CAPABILITIES },
	[TWIN] = { "twin_socket", CAPABILITIES },
};

enum kind { NUMBER, BOOLEAN };

/* One row a member: least and multiple hold for both sides, the rest for a reply. */
static const struct rule {
	enum object in;
	const char *name;
	enum kind kind;
	unsigned flag;
	uint64_t usual, least, multiple, reply_most;
	bool reply_only_lowers, reply_only;
} rules[] = {
	{ CAPABILITIES, "max_msg_fds", NUMBER, VUSER_CAP_MAX_MSG_FDS, 1, 0, 1, 16, 0, 0 },
	{ CAPABILITIES, "max_data_xfer_size", NUMBER, VUSER_CAP_MAX_DATA_XFER_SIZE,
	  1048576, 1, 1, 64 << 20, 0, 0 },
	{ CAPABILITIES, "max_dma_maps", NUMBER, VUSER_CAP_MAX_DMA_MAPS, 65535, 0, 1,
	  UINT64_MAX, 1, 0 },
	{ CAPABILITIES, "pgsizes", NUMBER, VUSER_CAP_PGSIZES, 4096, 1, 4096, UINT64_MAX,
	  0, 0 },
	{ MIGRATION, "pgsize", NUMBER, VUSER_CAP_MIG_PGSIZE, 4096, 1, 4096, UINT64_MAX, 0,
	  0 },
	{ MIGRATION, "max_bitmap_size", NUMBER, VUSER_CAP_MIG_MAX_BITMAP_SIZE, 256 << 20,
	  0, 1, UINT64_MAX, 1, 0 },
	{ CAPABILITIES, "write_multiple", BOOLEAN, VUSER_CAP_WRITE_MULTIPLE, 0, 0, 1, 1,
	  0, 0 },
	{ TWIN, "supported", BOOLEAN, VUSER_CAP_TWIN_SUPPORTED, 0, 0, 1, 1, 1, 0 },
	{ TWIN, "fd_index", NUMBER, VUSER_CAP_TWIN_FD_INDEX, 0, 0, 1, 15, 0, 1 },
};

#define RULES	     (sizeof(rules) / sizeof(rules[0]))

/* What our reader refuses beyond what JSON does. */
#define MOST_BYTES   65536u
#define MOST_DEPTH   16u
#define MOST_DIGITS  63u
#define MOST_MEMBERS 128u

static uint64_t value_of(const struct vuser_caps *c, size_t rule)
{
	const uint64_t values[RULES] = {
		c->max_msg_fds,	   c->max_data_xfer_size, c->max_dma_maps,
		c->pgsizes,	   c->migration_pgsize,	  c->migration_max_bitmap_size,
		c->write_multiple, c->twin_supported,	  c->twin_fd_index,
	};

	return values[rule];
}

/* ---- The model ----------------------------------------------------------------- */

struct model {
	const char *text;
	bool reply;
	uint64_t offered[RULES], value[RULES];
	unsigned present, unknown;
	const char *refused; /* why, NULL if not */
};

static void refuse(struct model *m, const char *why)
{
	if (!m->refused)
		m->refused = why;
}

/* The digits as they are written, compared as text with those of the largest number. */
static bool exact(const char *digits, size_t n, uint64_t *v)
{
	static const char largest[] = "18446744073709551615";
	const size_t most = sizeof(largest) - 1;

	for (size_t i = 0; i < n; i++)
		if (digits[i] < '0' || digits[i] > '9')
			return false;
	if (n > most || (n == most && memcmp(digits, largest, most) > 0))
		return false;
	*v = 0;
	for (size_t i = 0; i < n; i++)
		*v = *v * 10 + (uint64_t)(digits[i] - '0');
	return true;
}

static void model_member(struct model *m, size_t rule, const struct strict_node *n)
{
	const struct rule *r = &rules[rule];
	uint64_t v = n->kind == STRICT_TRUE;

	if (!m->reply && r->reply_only)
		refuse(m, "not in a proposal");
	if (r->kind == BOOLEAN && n->kind != STRICT_TRUE && n->kind != STRICT_FALSE)
		refuse(m, "no boolean");
	if (r->kind == NUMBER && n->kind != STRICT_NUMBER)
		refuse(m, "no number");
	else if (r->kind == NUMBER && !exact(m->text + n->at, n->len, &v))
		refuse(m, "not exact");
	if (v < r->least || v % r->multiple)
		refuse(m, "too small or no multiple");
	if (m->reply &&
	    (v > r->reply_most || (r->reply_only_lowers && v > m->offered[rule])))
		refuse(m, "too large");
	m->value[rule] = v;
	m->present |= r->flag;
}

static void model_object(struct model *m, enum object which, const struct strict_node *o);

static void model_item(struct model *m, enum object in, const struct strict_node *n)
{
	size_t len = n->name_bytes;

	for (size_t i = 0; i < RULES; i++)
		if (rules[i].in == in && strlen(rules[i].name) == len &&
		    memcmp(rules[i].name, n->name, len) == 0) {
			model_member(m, i, n);
			return;
		}
	for (size_t i = CAPABILITIES; i < OBJECTS; i++)
		if (objects[i].parent == in && strlen(objects[i].name) == len &&
		    memcmp(objects[i].name, n->name, len) == 0) {
			if (n->kind != STRICT_OBJECT)
				refuse(m, "no object");
			else
				model_object(m, (enum object)i, n);
			return;
		}
	m->unknown++;
}

static void model_object(struct model *m, enum object which, const struct strict_node *o)
{
	const struct strict_node *supported = strict_member(o, "supported");

	if (o->children > MOST_MEMBERS) {
		refuse(m, "too many members");
		return;
	}
	if (strict_has_duplicates(o))
		refuse(m, "a name twice");
	for (const struct strict_node *n = o->child; n; n = n->next)
		model_item(m, which, n);
	if (which == TWIN && m->reply && supported && supported->kind == STRICT_TRUE &&
	    !strict_member(o, "fd_index"))
		refuse(m, "no fd_index");
}

static void model_text(struct model *m, const struct strict_text *t)
{
	const struct strict_node *root = t->root;

	if (t->depth > MOST_DEPTH || t->longest_number > MOST_DIGITS || t->nul)
		refuse(m, "beyond the reader's limits");
	else if (root->kind == STRICT_OBJECT)
		model_object(m, ROOT, root);
	else if (m->reply || root->kind != STRICT_ARRAY || root->children)
		refuse(m, "no object");
}

static void model_init(struct model *m, const char *text, bool reply,
		       const struct vuser_caps *offered)
{
	*m = (struct model){ .text = text, .reply = reply };
	for (size_t i = 0; i < RULES; i++) {
		m->value[i] = m->offered[i] = rules[i].usual;
		if (offered && (offered->present & rules[i].flag))
			m->offered[i] = value_of(offered, i);
	}
}

/* ---- The oracles --------------------------------------------------------------- */

struct verdict {
	int code;
	struct vuser_caps caps;
	struct vuser_caps_unknown unknown;
	struct vuser_error e;
};

/* Decodes a copy of exactly that size. */
static void decode(const char *text, size_t len, const struct caps_input *in,
		   struct verdict *v)
{
	uint8_t *copy = fuzz_copy(text, len);

	memset(v, 0xa5, sizeof(*v));
	v->code = vuser_caps_decode(
		(const char *)copy, len,
		in->reply ? VUSER_CAPS_OF_SERVER : VUSER_CAPS_OF_CLIENT,
		in->has_offer ? &in->offer : NULL, &v->caps, &v->unknown, &v->e);
	free(copy);
}

static bool same_caps(const struct vuser_caps *a, const struct vuser_caps *b)
{
	for (size_t i = 0; i < RULES; i++)
		if (value_of(a, i) != value_of(b, i))
			return false;
	return a->present == b->present;
}

/* Nobody need want a reason or the unknown, and the result may replace the offer. */
static void check_bare(const char *text, size_t len, const struct caps_input *in,
		       const struct verdict *v)
{
	struct vuser_caps caps = in->offer;
	int code = vuser_caps_decode(
		text, len, in->reply ? VUSER_CAPS_OF_SERVER : VUSER_CAPS_OF_CLIENT,
		in->has_offer ? &caps : NULL, &caps, NULL, NULL);

	FUZZ_REQUIRE(code == v->code && same_caps(&caps, &v->caps), "bare",
		     "%d without reason, %d with one", code, v->code);
}

static void check_unknown(const struct vuser_caps_unknown *u, unsigned want)
{
	size_t n = strnlen(u->names, sizeof(u->names));

	FUZZ_REQUIRE(n < sizeof(u->names) && fuzz_printable(u->names, n), "unknown",
		     "the names are not printable text");
	FUZZ_REQUIRE(u->count == want, "unknown", "%u unknown members, %u reported", want,
		     u->count);
	FUZZ_REQUIRE((n > 0) == (want > 0), "unknown", "%u members, names \"%s\"", want,
		     u->names);
}

static void check_refused(const struct verdict *v, size_t len)
{
	struct vuser_caps none;

	FUZZ_REQUIRE(v->code == VUSER_E_PROTOCOL, "verdict", "refused with %d: %s",
		     v->code, v->e.text);
	fuzz_check_error(&v->e, v->code, len);
	vuser_caps_default(&none);
	FUZZ_REQUIRE(same_caps(&v->caps, &none), "defaults",
		     "a text was refused and yet something of it was taken");
}

static void check_accepted(const struct verdict *v, const struct model *m)
{
	for (size_t i = 0; i < RULES; i++)
		FUZZ_REQUIRE(value_of(&v->caps, i) == m->value[i], "digits",
			     "%s is %" PRIu64 ", read as %" PRIu64, rules[i].name,
			     m->value[i], value_of(&v->caps, i));
	FUZZ_REQUIRE(v->caps.present == m->present, "present", "named 0x%x, read 0x%x",
		     m->present, v->caps.present);
	check_unknown(&v->unknown, m->unknown);
}

/* What we write ourselves is JSON and reads back the same, in a buffer just large enough.
 */
static void check_own_output(const struct verdict *v, const struct caps_input *in)
{
	char big[1024];
	size_t len, small_len;
	struct strict_text t;
	struct verdict again;
	char *exact_fit;
	int r = vuser_caps_encode(&v->caps, big, sizeof(big), &len, NULL);

	FUZZ_REQUIRE(r == 0 && len && len <= sizeof(big) && strnlen(big, len) == len - 1,
		     "own output", "writing gave %d, %zu bytes", r, len);
	FUZZ_REQUIRE(strict_read(big, len - 1, &t), "own output", "no JSON: %s", big);
	strict_free(&t);
	exact_fit = fuzz_block(len);
	r = vuser_caps_encode(&v->caps, exact_fit, len, &small_len, NULL);
	FUZZ_REQUIRE(r == 0 && small_len == len, "own output",
		     "%zu bytes do not fit into %zu", len, len);
	r = vuser_caps_encode(&v->caps, exact_fit, len - 1, &small_len, NULL);
	FUZZ_REQUIRE(r == VUSER_E_USAGE, "own output", "%zu bytes fit into %zu", len,
		     len - 1);
	free(exact_fit);
	decode(big, len, in, &again);
	FUZZ_REQUIRE(again.code == 0 && same_caps(&again.caps, &v->caps), "own output",
		     "it does not read back: %s", big);
}

/* ---- The same members in another order, with other blanks ---------------------- */

struct shuffle {
	const char *text;
	char *to;
	size_t cap, len;
	unsigned seed;
};

static void put(struct shuffle *s, const char *p, size_t n)
{
	if (n <= s->cap - s->len)
		memcpy(s->to + s->len, p, n);
	s->len += n <= s->cap - s->len ? n : 0;
}

static void blank(struct shuffle *s)
{
	s->seed = s->seed * 1103515245u + 12345u;
	if (s->seed & 0x10000)
		put(s, &" \t\r\n"[s->seed >> 17 & 3], 1);
}

/* Objects turned round, arrays as they are; deeper ones than the text may have are
 * copied. */
static void put_shuffled(struct shuffle *s, const struct strict_node *n)
{
	const struct strict_node **list;
	size_t i = 0;

	blank(s);
	if (n->kind != STRICT_OBJECT) {
		put(s, s->text + n->at, n->len);
		blank(s);
		return;
	}
	list = fuzz_block(n->children * sizeof(*list));
	for (const struct strict_node *m = n->child; m; m = m->next)
		list[i++] = m;
	put(s, "{", 1);
	while (i--) {
		blank(s);
		put(s, s->text + list[i]->name_at, list[i]->name_len);
		blank(s);
		put(s, ":", 1);
		put_shuffled(s, list[i]);
		if (i)
			put(s, ",", 1);
	}
	put(s, "}", 1);
	blank(s);
	free(list);
}

static void check_order(const char *text, size_t len, const struct strict_text *t,
			const struct caps_input *in, const struct verdict *v)
{
	struct shuffle s = { .text = text, .cap = 4 * len + 64, .seed = (unsigned)len };
	struct verdict other;

	if (t->depth > 2 * MOST_DEPTH)
		return;
	s.to = fuzz_block(s.cap);
	put_shuffled(&s, t->root);
	put(&s, "", 1);
	if (s.len <= MOST_BYTES) {
		decode(s.to, s.len, in, &other);
		FUZZ_REQUIRE(other.code == v->code, "order", "%d became %d: %.*s",
			     v->code, other.code, (int)s.len, s.to);
		FUZZ_REQUIRE(same_caps(&other.caps, &v->caps), "order",
			     "order or blanks change a value: %.*s", (int)s.len, s.to);
	}
	free(s.to);
}

/* ---- The harness --------------------------------------------------------------- */

static void check_text(const char *text, size_t len, const struct caps_input *in)
{
	const char *nul = memchr(text, '\0', len);
	struct strict_text t;
	struct verdict v;
	struct model m;

	decode(text, len, in, &v);
	check_bare(text, len, in, &v);
	model_init(&m, text, in->reply, in->has_offer ? &in->offer : NULL);
	if (!len) {
		FUZZ_REQUIRE(v.code == 0, "verdict", "no text gave %d", v.code);
		check_accepted(&v, &m);
		return;
	}
	if (len > MOST_BYTES || nul != text + len - 1) {
		FUZZ_REQUIRE(v.code, "verdict", "accepted without one NUL at the end");
		check_refused(&v, len);
		return;
	}
	if (!strict_read(text, len - 1, &t)) {
		strict_free(&t);
		FUZZ_REQUIRE(v.code, "verdict", "accepted, and no JSON from byte %zu",
			     t.wrong);
		check_refused(&v, len);
		return;
	}
	model_text(&m, &t);
	FUZZ_REQUIRE(!v.code == !m.refused, "verdict",
		     "the library says %d (%s), the model %s", v.code,
		     v.code ? v.e.text : "accepted", m.refused ? m.refused : "accept");
	if (v.code) {
		check_refused(&v, len);
	} else {
		check_accepted(&v, &m);
		check_own_output(&v, in);
	}
	check_order(text, len - 1, &t, in, &v);
	strict_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct caps_input in;
	size_t len;
	char *text = caps_input_read(data, size, &in, &len);

	check_text(text, len, &in);
	free(text);
	return 0;
}

void fuzz_describe(FILE *out, const uint8_t *data, size_t size)
{
	struct caps_input in;
	struct verdict v;
	size_t len;
	char *text = caps_input_read(data, size, &in, &len);

	fprintf(out, "JSON of a %s, %zu bytes, %s\n", in.reply ? "reply" : "proposal",
		len, in.has_offer ? "after an offer" : "nothing offered");
	fuzz_print_text(out, text, len);
	decode(text, len, &in, &v);
	fprintf(out, "decoded: %d %s\n", v.code, v.code ? v.e.text : "accepted");
	free(text);
}
