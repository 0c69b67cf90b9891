// SPDX-License-Identifier: BSD-3-Clause
/* Assembles the malformed messages of corpus/bad/ and checks that each is refused. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inputs.h"
#include "store.h"

/*
 * A line is a word and its argument; # begins a comment.
 *
 *	refused FIELD	where the first fault is
 *	fds N		descriptors that come with the last message
 *	message		begins another message
 *	u8 u16 u32 u64 N	an integer in the host's byte order
 *	size		a u32 with the size of the message it stands in
 *	text "..."	characters; \xNN and \\ \" as in C; no NUL is added
 *	hex 0011 22	bytes
 *	zero N		N bytes of zero
 *	fill N		N bytes of 0x5a
 */
struct source {
	const char *path;
	unsigned line;
	uint8_t *buf;
	size_t len, start, size_at; /* of the message; SIZE_MAX: it has no size */
	size_t first_len;	    /* of the first message */
	unsigned nfds;
	char refused[64];
};

static void wrong(const struct source *s, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", s->path, s->line, what);
	exit(2);
}

static void put(struct source *s, const void *p, size_t n)
{
	s->buf = realloc(s->buf, s->len + n + 1);
	if (!s->buf)
		exit(2);
	if (n)
		memcpy(s->buf + s->len, p, n);
	s->len += n;
}

static uint64_t number(const struct source *s, const char *arg)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(arg, &end, 0);
	while (isspace((unsigned char)*end))
		end++;
	if (end == arg || errno || (*end && *end != '#'))
		wrong(s, "not a number");
	return v;
}

static void put_number(struct source *s, const char *arg, size_t width)
{
	uint64_t v = number(s, arg);
	uint32_t v32 = (uint32_t)v;
	uint16_t v16 = (uint16_t)v;
	uint8_t v8 = (uint8_t)v;
	const void *from[] = { [1] = &v8, [2] = &v16, [4] = &v32, [8] = &v };

	if (width < 8 && v >> 8 * width)
		wrong(s, "the number does not fit");
	put(s, from[width], width);
}

static void put_u8(struct source *s, const char *arg)
{
	put_number(s, arg, 1);
}

static void put_u16(struct source *s, const char *arg)
{
	put_number(s, arg, 2);
}

static void put_u32(struct source *s, const char *arg)
{
	put_number(s, arg, 4);
}

static void put_u64(struct source *s, const char *arg)
{
	put_number(s, arg, 8);
}

static int hex_digit(char c)
{
	const char digits[] = "0123456789abcdef",
		   *at = strchr(digits, tolower((unsigned char)c));

	return c && at ? (int)(at - digits) : -1;
}

static void put_hex(struct source *s, const char *arg)
{
	for (; *arg && *arg != '#'; arg += isspace((unsigned char)*arg) ? 1 : 2) {
		uint8_t byte;

		if (isspace((unsigned char)*arg))
			continue;
		if (hex_digit(arg[0]) < 0 || hex_digit(arg[1]) < 0)
			wrong(s, "not pairs of hexadecimal digits");
		byte = (uint8_t)(hex_digit(arg[0]) << 4 | hex_digit(arg[1]));
		put(s, &byte, 1);
	}
}

static void put_text(struct source *s, const char *arg)
{
	if (*arg++ != '"')
		wrong(s, "text wants quotes");
	while (*arg && *arg != '"') {
		char c = *arg++;

		if (c == '\\' && arg[0] == 'x' && hex_digit(arg[1]) >= 0 &&
		    hex_digit(arg[2]) >= 0) {
			c = (char)(hex_digit(arg[1]) << 4 | hex_digit(arg[2]));
			arg += 3;
		} else if (c == '\\' && *arg) {
			c = *arg++;
		}
		put(s, &c, 1);
	}
	if (*arg != '"')
		wrong(s, "the text has no end");
}

static void put_many(struct source *s, const char *arg, uint8_t byte)
{
	size_t n = (size_t)number(s, arg);
	uint8_t *block = fuzz_block(n);

	memset(block, byte, n);
	put(s, block, n);
	free(block);
}

static void put_zero(struct source *s, const char *arg)
{
	put_many(s, arg, 0);
}

static void put_fill(struct source *s, const char *arg)
{
	put_many(s, arg, 0x5a);
}

static void put_size(struct source *s, const char *arg)
{
	(void)arg;
	s->size_at = s->len;
	put(s, "\0\0\0", 4);
}

static void end_message(struct source *s)
{
	uint32_t size = (uint32_t)(s->len - s->start);

	if (s->size_at != SIZE_MAX)
		memcpy(s->buf + s->size_at, &size, 4);
	if (!s->start)
		s->first_len = s->len;
	s->start = s->len;
	s->size_at = SIZE_MAX;
}

static void begin_message(struct source *s, const char *arg)
{
	(void)arg;
	end_message(s);
}

static void take_fds(struct source *s, const char *arg)
{
	s->nfds = (unsigned)number(s, arg);
}

static void take_refused(struct source *s, const char *arg)
{
	snprintf(s->refused, sizeof(s->refused), "%s", arg);
	s->refused[strcspn(s->refused, "#\n")] = '\0';
	for (size_t n = strlen(s->refused);
	     n && isspace((unsigned char)s->refused[n - 1]);)
		s->refused[--n] = '\0';
}

static const struct word {
	const char *name;
	void (*take)(struct source *s, const char *arg);
} words[] = {
	{ "refused", take_refused },  { "fds", take_fds },
	{ "message", begin_message }, { "u8", put_u8 },
	{ "u16", put_u16 },	      { "u32", put_u32 },
	{ "u64", put_u64 },	      { "size", put_size },
	{ "text", put_text },	      { "hex", put_hex },
	{ "zero", put_zero },	      { "fill", put_fill },
};

static void take_line(struct source *s, char *line)
{
	char *arg;

	line[strcspn(line, "\n")] = '\0';
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return;
	arg = line + strcspn(line, " \t");
	if (*arg)
		*arg++ = '\0';
	arg += strspn(arg, " \t");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].name, line) == 0) {
			words[i].take(s, arg);
			return;
		}
	wrong(s, "an unknown word");
}

/* ---- Is it refused where it should be? ----------------------------------------- */

/* The first fault of a whole message, as a client or server would find it. */
static int judge(const uint8_t *msg, size_t len, struct vuser_error *e)
{
	struct vuser_header h;
	struct vuser_payload p;
	struct vuser_caps caps;
	struct vuser_regioncap chain[VUSER_MAX_REGION_CAPS];
	size_t n;
	int r = vuser_header_decode(msg, len, &h, e);

	if (r)
		return r;
	r = vuser_payload_decode(h.command, vuser_is_reply(&h), msg + VUSER_HEADER_SIZE,
				 len - VUSER_HEADER_SIZE, &p, e);
	if (r)
		return r;
	if (h.command == VUSER_CMD_VERSION)
		return vuser_caps_decode((const char *)p.tail, p.tail_len,
					 vuser_is_reply(&h) ? VUSER_CAPS_OF_SERVER
							    : VUSER_CAPS_OF_CLIENT,
					 NULL, &caps, NULL, e);
	if (h.command == VUSER_CMD_DEVICE_GET_REGION_INFO && vuser_is_reply(&h))
		return vuser_regioncap_walk(msg + VUSER_HEADER_SIZE,
					    len - VUSER_HEADER_SIZE, chain,
					    VUSER_MAX_REGION_CAPS, &n, e);
	return 0;
}

static bool check(const struct source *s, const char *name, unsigned number_of_test)
{
	struct vuser_error e = { 0 };
	uint8_t *msg = fuzz_copy(s->buf, s->first_len);
	int r = judge(msg, s->first_len, &e);
	bool good =
		*s->refused && r == VUSER_E_PROTOCOL && strcmp(e.field, s->refused) == 0;

	printf("%s %u - bad: %s is refused at %s\n", good ? "ok" : "not ok",
	       number_of_test, name, *s->refused ? s->refused : "?");
	if (!good)
		printf("# it is %s %s: %s\n",
		       r == 0	? "accepted"
		       : r == 1 ? "cut off"
				: "refused at",
		       r == VUSER_E_PROTOCOL ? e.field : "", r < 0 ? e.text : "");
	free(msg);
	return good;
}

static bool assemble(const char *top, const char *path, unsigned number_of_test)
{
	struct source s = { .path = path, .size_at = SIZE_MAX };
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	FILE *f = fopen(path, "r");
	char line[4096];
	bool good;

	if (!f) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		s.line++;
		take_line(&s, line);
	}
	fclose(f);
	end_message(&s);
	store_message(top, name, s.buf, s.len, s.nfds);
	good = check(&s, name, number_of_test);
	free(s.buf);
	return good;
}

/* assemble FOLDER FILE...: prints TAP, a line a file. */
int main(int argc, char **argv)
{
	bool good = true;

	if (argc < 3) {
		fprintf(stderr, "usage: assemble FOLDER FILE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		good &= assemble(argv[1], argv[i], (unsigned)(i - 1));
	return good ? 0 : 1;
}
