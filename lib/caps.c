/* SPDX-License-Identifier: BSD-3-Clause */
/* Capabilities: the JSON of a VERSION message, ours written and the peer's checked. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "error.h"
#include "jsontext.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Members believed in one object: looking for duplicates takes time by their square. */
#define MAX_MEMBERS   128u

/* What is named where no member can be. */
#define WHOLE	      "version data"

/* The objects that are looked into. */
enum object_kind { ROOT, CAPABILITIES, MIGRATION, TWIN_SOCKET };

static const struct object {
	const char *name;
	enum object_kind within;
	const char *prefix; /* of its members where they are named alone */
} objects[] = {
	[ROOT] = { "", ROOT, "" },
	[CAPABILITIES] = { "capabilities", ROOT, "" },
	[MIGRATION] = { "migration", CAPABILITIES, "migration." },
	[TWIN_SOCKET] = { "twin_socket", CAPABILITIES, "twin_socket." },
};

#define AT(field) offsetof(struct vuser_caps, field)

/* The members, in the order in which they are written. */
static const struct member {
	enum object_kind within;
	const char *name;
	unsigned flag;
	size_t at;	      /* in struct vuser_caps */
	uint64_t least, most; /* most: of a reply only, 0 for no limit */
	uint64_t unit;	      /* the value is a multiple of it, 0 for any value */
	bool is_bool;	      /* a bool at that place, else a uint64_t */
	bool only_lower;      /* a reply may not go above what was offered */
	bool only_reply;
} members[] = {
	{ CAPABILITIES, "max_msg_fds", VUSER_CAP_MAX_MSG_FDS, AT(max_msg_fds),
	  .most = VUSER_LIMIT_MSG_FDS },
	{ CAPABILITIES, "max_data_xfer_size", VUSER_CAP_MAX_DATA_XFER_SIZE,
	  AT(max_data_xfer_size), .least = 1, .most = VUSER_LIMIT_DATA_XFER },
	{ CAPABILITIES, "max_dma_maps", VUSER_CAP_MAX_DMA_MAPS, AT(max_dma_maps),
	  .only_lower = true },
	{ CAPABILITIES, "pgsizes", VUSER_CAP_PGSIZES, AT(pgsizes),
	  .least = VUSER_PAGE_SIZE, .unit = VUSER_PAGE_SIZE },
	{ MIGRATION, "pgsize", VUSER_CAP_MIG_PGSIZE, AT(migration_pgsize),
	  .least = VUSER_PAGE_SIZE, .unit = VUSER_PAGE_SIZE },
	{ MIGRATION, "max_bitmap_size", VUSER_CAP_MIG_MAX_BITMAP_SIZE,
	  AT(migration_max_bitmap_size), .only_lower = true },
	{ CAPABILITIES, "write_multiple", VUSER_CAP_WRITE_MULTIPLE, AT(write_multiple),
	  .is_bool = true },
	{ TWIN_SOCKET, "supported", VUSER_CAP_TWIN_SUPPORTED, AT(twin_supported),
	  .is_bool = true, .only_lower = true },
	/* An index of a message's fds, of which there are never more than the limit. */
	{ TWIN_SOCKET, "fd_index", VUSER_CAP_TWIN_FD_INDEX, AT(twin_fd_index),
	  .only_reply = true, .most = VUSER_LIMIT_MSG_FDS - 1 },
};

static uint64_t get_value(const struct vuser_caps *caps, const struct member *m)
{
	const char *at = (const char *)caps + m->at;
	uint64_t v;
	bool b;

	if (m->is_bool) {
		memcpy(&b, at, sizeof(b));
		return b;
	}
	memcpy(&v, at, sizeof(v));
	return v;
}

static void set_value(struct vuser_caps *caps, const struct member *m, uint64_t v)
{
	char *at = (char *)caps + m->at;
	bool b = v != 0;

	if (m->is_bool)
		memcpy(at, &b, sizeof(b));
	else
		memcpy(at, &v, sizeof(v));
}

void vuser_caps_default(struct vuser_caps *caps)
{
	*caps = (struct vuser_caps){
		.max_msg_fds = VUSER_DEFAULT_MSG_FDS,
		.max_data_xfer_size = VUSER_DEFAULT_DATA_XFER,
		.max_dma_maps = VUSER_DEFAULT_DMA_MAPS,
		.pgsizes = VUSER_DEFAULT_PGSIZES,
		.migration_pgsize = VUSER_DEFAULT_MIG_PGSIZE,
		.migration_max_bitmap_size = VUSER_DEFAULT_MIG_BITMAP,
	};
}

/* ---- Writing ---------------------------------------------------------------------- */

struct writer {
	char *buf;
	size_t cap, len; /* len goes on beyond cap, to see that it did */
};

static void put(struct writer *w, const char *fmt, ...) VUSER_PRINTF(2, 3);
static void put(struct writer *w, const char *fmt, ...)
{
	size_t room = w->len < w->cap ? w->cap - w->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? w->buf + w->len : NULL, room, fmt, ap);
	va_end(ap);
	w->len += (size_t)n;
}

static void put_value(struct writer *w, const struct member *m, uint64_t v)
{
	if (m->is_bool)
		put(w, "\"%s\":%s", m->name, v ? "true" : "false");
	else
		put(w, "\"%s\":%" PRIu64, m->name, v);
}

int vuser_caps_encode(const struct vuser_caps *caps, char *buf, size_t cap, size_t *len,
		      struct vuser_error *e)
{
	struct writer w = { .buf = buf, .cap = cap };
	enum object_kind open = CAPABILITIES;
	const char *comma = "";

	*len = 0;
	put(&w, "{\"capabilities\":{");
	for (const struct member *m = members; m < members + ARRAY_SIZE(members); m++) {
		if (!(caps->present & m->flag))
			continue;
		if (open != m->within && open != CAPABILITIES)
			put(&w, "}");
		put(&w, "%s", comma);
		if (open != m->within && m->within != CAPABILITIES)
			put(&w, "\"%s\":{", objects[m->within].name);
		open = m->within;
		put_value(&w, m, get_value(caps, m));
		comma = ",";
	}
	put(&w, open == CAPABILITIES ? "}}" : "}}}");
	if (w.len >= cap)
		return error_set(e, VUSER_E_USAGE, 0,
				 "capabilities of %zu bytes do not fit into %zu",
				 w.len + 1, cap);
	*len = w.len + 1;
	return 0;
}

/* ---- Showing what the peer wrote --------------------------------------------------- */

/* A peer's characters made printable; what does not fit is cut with "...". */
struct shown {
	char *buf;
	size_t cap, len;
	bool cut;
};

static void show(struct shown *s, const char *bytes, size_t n)
{
	char one[sizeof("\\xNN")];

	for (size_t i = 0; i < n && !s->cut; i++) {
		size_t len = strlen(error_printable(one, sizeof(one), bytes + i, 1));

		s->cut = s->len + len + sizeof("...") > s->cap;
		if (s->cut)
			memcpy(one, "...", len = sizeof("...") - 1);
		memcpy(s->buf + s->len, one, len);
		s->len += len;
	}
	s->buf[s->len] = '\0';
}

/* A member's name as errors and lists have it: "pgsizes", "migration.pgsize". */
struct path {
	char text[sizeof(((struct vuser_error *)0)->field)];
};

static struct path path_of(enum object_kind within, const char *name)
{
	struct path p = { "" };
	struct shown s = { .buf = p.text, .cap = sizeof(p.text) };

	show(&s, objects[within].prefix, strlen(objects[within].prefix));
	show(&s, *name ? name : "\"\"", *name ? strlen(name) : 2);
	return p;
}

/* ---- Checking ---------------------------------------------------------------------- */

struct check {
	const char *text;
	size_t len; /* without the NUL */
	enum vuser_caps_rules rules;
	struct vuser_caps offered, caps;
	struct vuser_caps_unknown *unknown;
	struct shown names; /* of the unknown */
	struct vuser_error *e;
};

static int refuse(const struct check *c, struct json_span value, const char *path,
		  const char *why)
{
	char text[JSON_MAX_NUMBER + sizeof("...")];
	struct shown s = { .buf = text, .cap = sizeof(text) };

	show(&s, c->text + value.at, value.len);
	return error_at(c->e, VUSER_E_PROTOCOL, value.at, path, "%s is %s, %s", path,
			text, why);
}

/*
 * The digits are read from the text, for a double would round them. Returns why they are
 * refused, NULL if they are not; what json_check() has passed has no leading zeros.
 */
static const char *exact_number(const char *digits, size_t n, uint64_t *value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned)digits[i] - '0';

		if (d > 9)
			return "not an unsigned integer in plain digits";
		if (v > (UINT64_MAX - d) / 10)
			return "more than 64 bits hold";
		v = v * 10 + d;
	}
	*value = v;
	return NULL;
}

static int check_limits(const struct check *c, const struct member *m,
			struct json_span at, const char *path, uint64_t v)
{
	bool reply = c->rules == VUSER_CAPS_OF_SERVER;
	uint64_t offered = get_value(&c->offered, m);
	char why[64];

	if (m->only_reply && !reply)
		return refuse(c, at, path, "but has no place in a proposal");
	if (m->unit && v % m->unit)
		snprintf(why, sizeof(why), "not a multiple of %" PRIu64, m->unit);
	else if (v < m->least)
		snprintf(why, sizeof(why), "below the least of %" PRIu64, m->least);
	else if (reply && m->most && v > m->most)
		snprintf(why, sizeof(why), "above the limit of %" PRIu64, m->most);
	else if (reply && m->only_lower && v > offered && m->is_bool)
		snprintf(why, sizeof(why), "but was not offered");
	else if (reply && m->only_lower && v > offered)
		snprintf(why, sizeof(why), "above the %" PRIu64 " that was offered",
			 offered);
	else
		return 0;
	return refuse(c, at, path, why);
}

static int check_member(struct check *c, const struct member *m, const cJSON *item,
			struct json_span at, const char *path)
{
	const char *why = NULL;
	uint64_t v = 0;
	int ret;

	if (m->is_bool && !cJSON_IsBool(item))
		why = "neither true nor false";
	else if (m->is_bool)
		v = cJSON_IsTrue(item);
	else if (!cJSON_IsNumber(item))
		why = "not a number";
	else
		why = exact_number(c->text + at.at, at.len, &v);
	if (why)
		return refuse(c, at, path, why);
	ret = check_limits(c, m, at, path, v);
	if (ret)
		return ret;
	set_value(&c->caps, m, v);
	c->caps.present |= m->flag;
	return 0;
}

static void report_unknown(struct check *c, const char *path)
{
	if (!c->unknown)
		return;
	if (c->unknown->count++)
		show(&c->names, ", ", 2);
	show(&c->names, path, strlen(path));
}

static int check_object(struct check *c, enum object_kind kind, const cJSON *object,
			size_t at);

static int check_item(struct check *c, enum object_kind within, const cJSON *item,
		      struct json_span at, const char *path)
{
	for (unsigned i = ROOT + 1; i < ARRAY_SIZE(objects); i++) {
		if (objects[i].within != within ||
		    strcmp(objects[i].name, item->string) != 0)
			continue;
		if (!cJSON_IsObject(item))
			return refuse(c, at, path, "not an object");
		return check_object(c, i, item, at.at);
	}
	for (const struct member *m = members; m < members + ARRAY_SIZE(members); m++) {
		if (m->within == within && strcmp(m->name, item->string) == 0)
			return check_member(c, m, item, at, path);
	}
	report_unknown(c, path);
	return 0;
}

/* Whether an earlier member of the object has the name of item. */
static bool is_repeated(const cJSON *object, const cJSON *item)
{
	const cJSON *other = object->child;

	while (other != item && strcmp(other->string, item->string) != 0)
		other = other->next;
	return other != item;
}

/* A reply that turns the second socket on must say which of its fds that is. */
static int check_twin(const struct check *c, size_t at)
{
	if (c->rules != VUSER_CAPS_OF_SERVER || !c->caps.twin_supported ||
	    c->caps.present & VUSER_CAP_TWIN_FD_INDEX)
		return 0;
	return error_at(c->e, VUSER_E_PROTOCOL, at, "twin_socket.fd_index",
			"twin_socket.fd_index is missing, though supported is true");
}

/* The tree has the names without escapes, the walk beside it the places in the text. */
static int check_object(struct check *c, enum object_kind kind, const cJSON *object,
			size_t at)
{
	struct json_walk walk = json_walk_begin(c->text, c->len, at);
	const cJSON *item = object->child;
	struct json_member m;
	unsigned n = 0;
	int ret = 0;

	for (; !ret && item && json_walk_next(&walk, &m); item = item->next) {
		struct path path = path_of(kind, item->string);

		if (n++ == MAX_MEMBERS)
			return error_at(c->e, VUSER_E_PROTOCOL, m.name.at, path.text,
					"an object of more than %u members", MAX_MEMBERS);
		if (is_repeated(object, item))
			return error_at(c->e, VUSER_E_PROTOCOL, m.name.at, path.text,
					"%s is there twice", path.text);
		ret = check_item(c, kind, item, m.value, path.text);
	}
	if (!ret && kind == TWIN_SOCKET)
		ret = check_twin(c, at);
	return ret;
}

static int check_root(struct check *c, const cJSON *root)
{
	size_t start = strspn(c->text, " \t\n\r");
	struct json_span all = { .at = start, .len = c->len - start };

	/* Clients that build the text from an empty list send []: they name nothing. */
	if (c->rules == VUSER_CAPS_OF_CLIENT && cJSON_IsArray(root) && !root->child)
		return 0;
	if (!cJSON_IsObject(root))
		return refuse(c, all, WHOLE, "not an object");
	return check_object(c, ROOT, root, start);
}

/* ---- Text that is not JSON --------------------------------------------------------- */

/* The members a fault lies in, "capabilities" left out where there is more to say. */
static struct path fault_path(const char *text, const struct json_fault *f)
{
	static const char caps[] = "capabilities";
	struct path p = { "" };
	struct shown s = { .buf = p.text, .cap = sizeof(p.text) };

	for (size_t i = 0; i < f->depth && f->names[i].at; i++) {
		const char *name = text + f->names[i].at;
		size_t len = f->names[i].len;

		if (s.len)
			show(&s, ".", 1);
		if (i == 0 && f->depth > 1 && f->names[1].at && len == sizeof(caps) - 1 &&
		    memcmp(name, caps, len) == 0)
			continue;
		show(&s, name, len);
	}
	return p;
}

static int refuse_text(const char *text, size_t len, const struct json_fault *f,
		       struct vuser_error *e)
{
	struct path path = fault_path(text, f);
	const char *where = path.text[0] ? path.text : WHOLE;
	char rest[JSON_MAX_NUMBER + sizeof("...")];
	struct shown s = { .buf = rest, .cap = sizeof(rest) };

	show(&s, text + f->offset, len - f->offset);
	return error_at(e, VUSER_E_PROTOCOL, f->offset, where, "%s: %s at byte %zu%s%s",
			where, f->what, f->offset, s.len ? ": " : "", rest);
}

/* The size and the NUL: exactly one, the last byte. */
static int check_end(const char *text, size_t len, struct vuser_error *e)
{
	const char *nul;

	if (len > VUSER_MAX_CAPS_JSON)
		return error_at(e, VUSER_E_PROTOCOL, VUSER_MAX_CAPS_JSON, WHOLE,
				WHOLE " of %zu bytes, above the limit of %u", len,
				VUSER_MAX_CAPS_JSON);
	nul = memchr(text, '\0', len);
	if (!nul)
		return error_at(e, VUSER_E_PROTOCOL, len, WHOLE,
				WHOLE " without a NUL at its end");
	len -= (size_t)(nul - text) + 1;
	if (len)
		return error_at(e, VUSER_E_PROTOCOL, (size_t)(nul - text) + 1, WHOLE,
				"bytes after the NUL of the " WHOLE ": %zu", len);
	return 0;
}

/* What our side said; to the peer, a member that was not sent has its default. */
static struct vuser_caps what_was_offered(const struct vuser_caps *offered)
{
	struct vuser_caps caps;

	vuser_caps_default(&caps);
	for (const struct member *m = members; m < members + ARRAY_SIZE(members); m++) {
		if (offered && offered->present & m->flag)
			set_value(&caps, m, get_value(offered, m));
	}
	return caps;
}

int vuser_caps_decode(const char *text, size_t len, enum vuser_caps_rules rules,
		      const struct vuser_caps *offered, struct vuser_caps *out,
		      struct vuser_caps_unknown *unknown, struct vuser_error *e)
{
	struct check c = { .text = text, .rules = rules, .unknown = unknown, .e = e };
	struct json_fault fault;
	cJSON *root;
	int ret;

	/* First of all, for out may be the same as offered. */
	c.offered = what_was_offered(offered);
	vuser_caps_default(&c.caps);
	*out = c.caps;
	if (unknown) {
		*unknown = (struct vuser_caps_unknown){ 0 };
		c.names = (struct shown){ .buf = unknown->names,
					  .cap = sizeof(unknown->names) };
	}
	if (!len)
		return 0;
	ret = check_end(text, len, e);
	if (ret)
		return ret;
	c.len = len - 1;
	if (!json_check(text, c.len, &fault))
		return refuse_text(text, c.len, &fault, e);
	root = cJSON_ParseWithLengthOpts(text, len, NULL, true);
	if (!root)
		return error_set(e, VUSER_E_SYSTEM, ENOMEM,
				 "no memory for the JSON tree");
	ret = check_root(&c, root);
	cJSON_Delete(root);
	if (!ret)
		*out = c.caps;
	return ret;
}
