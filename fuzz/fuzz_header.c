// SPDX-License-Identifier: BSD-3-Clause
/* The header: raw bytes against a statement of the rules that knows nothing of
 * lib/header.c. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "vuser.h"

const char fuzz_harness[] = "header";

/* ---- The rules, as the protocol states them ------------------------------------ */

#define HEADER 16u

/* Where the fields are. */
static const struct place {
	const char *name;
	unsigned at, width;
} places[] = {
	{ "id", 0, 2 },	   { "command", 2, 2 }, { "size", 4, 4 },
	{ "flags", 8, 4 }, { "error", 12, 4 },
};

enum { ID, COMMAND, SIZE, FLAGS, ERROR, FIELDS };

/* What a field may hold; the first rule that is broken is the one that is reported. */
static const struct rule {
	unsigned field;
	uint32_t mask, least, most;
} rules[] = {
	{ SIZE, UINT32_MAX, HEADER, UINT32_MAX }, /* the header counts itself */
	{ FLAGS, 0xf, 0, 1 },			  /* a command or a reply */
};

/* An integer of the host's byte order, put together byte by byte. */
static uint32_t number(const uint8_t *p, const struct place *at)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < at->width; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		v |= (uint32_t)p[at->at + i] << 8 * i;
#else
		v = v << 8 | p[at->at + i];
#endif
	}
	return v;
}

/* ---- The harness --------------------------------------------------------------- */

static const struct rule *broken_rule(const uint32_t value[FIELDS])
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		uint32_t v = value[rules[i].field] & rules[i].mask;

		if (v < rules[i].least || v > rules[i].most)
			return &rules[i];
	}
	return NULL;
}

static void check_verdict(int got, const struct rule *broken)
{
	FUZZ_REQUIRE(broken || got == 0, "verdict", "a sound header gave %d", got);
	FUZZ_REQUIRE(!broken || got == VUSER_E_PROTOCOL, "verdict",
		     "a header with a bad %s gave %d", places[broken->field].name, got);
}

static void check_reason(const uint8_t *buf, const struct rule *broken)
{
	const struct place *at = &places[broken->field];
	struct vuser_header h;
	struct vuser_error e;
	int got = vuser_header_decode(buf, HEADER, &h, &e);

	FUZZ_REQUIRE(got == VUSER_E_PROTOCOL, "verdict",
		     "it depends on whether a reason is "
		     "wanted");
	fuzz_check_error(&e, got, HEADER);
	FUZZ_REQUIRE(strcmp(e.field, at->name) == 0 && e.offset == at->at, "reason",
		     "%s at %u is bad, the error says %s at %zu", at->name, at->at,
		     e.field, e.offset);
}

static void check_values(const struct vuser_header *h, const uint32_t value[FIELDS])
{
	const uint32_t got[FIELDS] = { h->id, h->command, h->size, h->flags, h->error };

	for (unsigned i = 0; i < FIELDS; i++)
		FUZZ_REQUIRE(got[i] == value[i], "values", "%s is %u, read as %u",
			     places[i].name, value[i], got[i]);
}

/* What was read is written back as it was, whether it was sound or not. */
static void check_round_trip(const struct vuser_header *h, const uint8_t *buf)
{
	uint8_t again[HEADER];

	memset(again, 0xa5, sizeof(again));
	vuser_header_encode(h, again);
	FUZZ_REQUIRE(memcmp(again, buf, HEADER) == 0, "round trip",
		     "encode(decode(x)) is not x");
}

static void check_short(const uint8_t *data, size_t size)
{
	uint8_t *buf = fuzz_copy(data, size);
	struct vuser_header h;
	struct vuser_error e;
	int got = vuser_header_decode(buf, size, &h, &e);

	FUZZ_REQUIRE(got == 1, "more", "%zu bytes gave %d", size, got);
	free(buf);
}

/* What follows the header has no say: neither whether it is there nor what it is. */
static void check_more(const uint8_t *data, size_t size, const struct vuser_header *h,
		       int verdict)
{
	struct vuser_header other = { 0 };
	int got = vuser_header_decode(data, size, &other, NULL);

	FUZZ_REQUIRE(got == verdict, "bytes after", "%d with what follows, %d without",
		     got, verdict);
	FUZZ_REQUIRE(memcmp(h, &other, sizeof(other)) == 0, "bytes after",
		     "what follows the header changes what is read");
}

static void check_header(const uint8_t *buf, struct vuser_header *h, int *verdict)
{
	const struct rule *broken;
	uint32_t value[FIELDS];

	for (unsigned i = 0; i < FIELDS; i++)
		value[i] = number(buf, &places[i]);
	broken = broken_rule(value);
	*verdict = vuser_header_decode(buf, HEADER, h, NULL);
	check_verdict(*verdict, broken);
	check_values(h, value);
	check_round_trip(h, buf);
	/* Writing the sentence takes longer than all the rest: for some is enough. */
	if (broken && value[ID] % 16 == 0)
		check_reason(buf, broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vuser_header h = { 0 };
	uint8_t *buf;
	int verdict;

	if (size < HEADER) {
		check_short(data, size);
		return 0;
	}
	buf = fuzz_copy(data, HEADER);
	check_header(buf, &h, &verdict);
	free(buf);
	if (size > HEADER)
		check_more(data, size, &h, verdict);
	return 0;
}

void fuzz_describe(FILE *out, const uint8_t *data, size_t size)
{
	struct vuser_record r = {
		.number = 1, .size = size, .bytes = data, .kept = size
	};

	vuser_record_dump(out, &r, 0);
}
