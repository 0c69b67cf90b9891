/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A scripted vfio-user peer for the tests of the command line: it does what it is told,
 * however wrong that is, and knows nothing of the library.
 *
 *   peer --listen=PATH SCRIPT     accepts one connection at PATH and plays the server
 *   peer --connect=PATH SCRIPT    connects to PATH and plays the client
 *
 * SCRIPT is a file, or - for the standard input. It is read whole before anything is
 * done, and with --listen PATH appears once a connection will be taken. One command a
 * line; what follows a # and blank lines mean nothing:
 *
 *   recv             reads a whole message, as long as its header says
 *   recv N           reads N bytes; they become the last message if they are 16 or more
 *   version          recv, then the reply of version 0.1 and {"capabilities":{}}
 *   reply [HEX]      answers the last message: its id and command, then HEX as the
 * payload reply-error ERR  answers it with an error: a number, or a name such as EINVAL
 *   reply-size N [HEX]  as reply, but the header claims N bytes
 *   send HEX         sends these bytes as they are
 *   fd N             N descriptors of /dev/null go with the next bytes sent
 *   eventfd          an eventfd does
 *   memfd N          a memory file of N bytes does, each the low byte of its offset
 *   shrink N         makes the last memory file N bytes long
 *   bytes N          prints the first N bytes of the last memory file in hex
 *   count            waits for the first eventfd and prints what it has counted
 *   fire N           adds 1 to descriptor N of those received, which are kept from 0 on
 *   sleep MS         waits for so many milliseconds
 *   await            waits for a line on the standard input
 *   drain            reads and forgets until the other side closes
 *   close            closes the connection; the end of the script does so too
 *
 * HEX is pairs of digits, blanks where one likes; HH*N stands for N times the byte HH, as
 * a word of its own. Integers are in the byte order of the host. For each recv a line
 * goes to the standard output: the number of descriptors that came, then the bytes in
 * hex.
 *
 * Exits with 0 when the script has been played, 1 when it could not be, 2 when the
 * arguments or the script make no sense. After 60 s it is killed by SIGALRM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEADER	    16u
#define TYPE_REPLY  1u
#define FLAG_ERROR  0x20u
#define MAX_FDS	    253u	 /* the kernel passes no more at once */
#define MAX_MESSAGE (256u << 20) /* of the other side's */
#define MAX_ERRNO   4096
#define MAX_KEPT    256u

struct bytes {
	uint8_t *p;
	size_t len, cap;
};

struct step {
	const struct verb *verb;
	unsigned line;
	bool counted; /* a number was given */
	uint64_t number;
	struct bytes hex;
};

struct peer {
	int fd;
	unsigned line;
	unsigned nulls;	   /* of /dev/null, to go with the next bytes */
	int fds[MAX_KEPT]; /* others to go with them; they stay open */
	unsigned nfds;
	int event, memory;  /* the first of the one, the last of the other; -1 */
	int kept[MAX_KEPT]; /* that came */
	unsigned nkept;
	struct bytes last;
};

/* What follows a verb's name. */
enum form { NOTHING, NUMBER, MAYBE_NUMBER, ERRNO, HEX, MAYBE_HEX, NUMBER_HEX };

struct verb {
	const char *name;
	enum form form;
	void (*play)(struct peer *p, const struct step *s);
	uint64_t most; /* of the number, 0 for 32 bits */
};

static void fail(int status, unsigned line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
static void fail(int status, unsigned line, const char *fmt, ...)
{
	va_list ap;

	if (line)
		fprintf(stderr, "peer: line %u: ", line);
	else
		fprintf(stderr, "peer: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

/* Room for n more bytes behind those that are there. */
static uint8_t *grow(struct bytes *b, size_t n)
{
	if (b->cap - b->len < n) {
		b->cap = 2 * b->cap + n;
		b->p = realloc(b->p, b->cap);
		if (!b->p)
			fail(1, 0, "no memory");
	}
	b->len += n;
	return b->p + b->len - n;
}

/* ---- The connection ----------------------------------------------------------- */

static void send_bytes(struct peer *p, const void *bytes, size_t len)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { .buf = { 0 } };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[MAX_FDS + MAX_KEPT], null = -1;
	unsigned nfds = p->nulls + p->nfds;
	ssize_t n;

	if (nfds > MAX_FDS)
		fail(2, p->line, "more than %u descriptors", MAX_FDS);
	if (nfds) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null < 0)
			fail(1, p->line, "/dev/null: %s", strerror(errno));
		memcpy(fds, p->fds, p->nfds * sizeof(int));
		for (unsigned i = p->nfds; i < nfds; i++)
			fds[i] = null;
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, nfds * sizeof(int));
	}
	while (iov.iov_len) {
		n = sendmsg(p->fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail(1, p->line, "sending: %s", strerror(errno));
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	if (null >= 0)
		close(null);
	p->nulls = p->nfds = 0;
}

/* Keeps the descriptors that came, as far as there is room, and returns their number. */
static unsigned keep_fds(struct peer *p, struct msghdr *msg)
{
	unsigned came = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fds[MAX_FDS];

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		for (size_t i = 0; i < n; i++) {
			if (p->nkept < MAX_KEPT)
				p->kept[p->nkept++] = fds[i];
			else
				close(fds[i]);
		}
		came += (unsigned)n;
	}
	return came;
}

/* At most len bytes; 0 at the end. */
static size_t recv_some(struct peer *p, void *buf, size_t len, unsigned *nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t n;

	do
		n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0)
		fail(1, p->line, "receiving: %s", strerror(errno));
	*nfds += keep_fds(p, &msg);
	return (size_t)n;
}

static void recv_bytes(struct peer *p, size_t len, unsigned *nfds)
{
	while (len) {
		uint8_t *at = grow(&p->last, len);
		size_t n = recv_some(p, at, len, nfds);

		p->last.len -= len - n;
		len -= n;
		if (!n)
			fail(1, p->line, "the other side closed after %zu bytes",
			     p->last.len);
	}
}

static void connect_to(struct peer *p, const struct sockaddr_un *sun)
{
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0)
		fail(1, 0, "%s: %s", sun->sun_path, strerror(errno));
}

/* The path appears by a rename, when the socket listens already. */
static void accept_at(struct peer *p, const struct sockaddr_un *sun)
{
	struct sockaddr_un early = *sun;
	size_t len = strlen(sun->sun_path);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (len + 2 > sizeof(early.sun_path))
		fail(2, 0, "the path is too long");
	memcpy(early.sun_path + len, "~", 2);
	(void)unlink(early.sun_path);
	if (s < 0 || bind(s, (struct sockaddr *)&early, sizeof(early)) != 0 ||
	    listen(s, 1) != 0 || rename(early.sun_path, sun->sun_path) != 0)
		fail(1, 0, "%s: %s", sun->sun_path, strerror(errno));
	do
		p->fd = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	while (p->fd < 0 && errno == EINTR);
	if (p->fd < 0)
		fail(1, 0, "%s: %s", sun->sun_path, strerror(errno));
	close(s);
	(void)unlink(sun->sun_path);
}

/* ---- The verbs ---------------------------------------------------------------- */

static uint32_t size_of_last(const struct peer *p)
{
	uint32_t size;

	memcpy(&size, p->last.p + 4, sizeof(size));
	return size;
}

static void show_last(const struct peer *p, unsigned nfds)
{
	printf("%u ", nfds);
	for (size_t i = 0; i < p->last.len; i++)
		printf("%02x", p->last.p[i]);
	putchar('\n');
	fflush(stdout);
}

static void play_recv(struct peer *p, const struct step *s)
{
	unsigned nfds = 0;

	p->last.len = 0;
	recv_bytes(p, s->counted ? s->number : HEADER, &nfds);
	if (!s->counted && size_of_last(p) > MAX_MESSAGE)
		fail(1, p->line, "the message claims %u bytes", size_of_last(p));
	if (!s->counted && size_of_last(p) > HEADER)
		recv_bytes(p, size_of_last(p) - HEADER, &nfds);
	show_last(p, nfds);
}

/* The last message's id and command; lie, if not NULL, stands for the true size. */
static void reply(struct peer *p, uint32_t flags, uint32_t err, const uint32_t *lie,
		  const struct bytes *payload)
{
	struct bytes out = { 0 };
	uint8_t *at = grow(&out, HEADER + payload->len);
	uint32_t size = lie ? *lie : (uint32_t)out.len;

	if (p->last.len < HEADER)
		fail(1, p->line, "there is no message to answer");
	memcpy(at, p->last.p, 4);
	memcpy(at + 4, &size, 4);
	memcpy(at + 8, &flags, 4);
	memcpy(at + 12, &err, 4);
	if (payload->len)
		memcpy(at + HEADER, payload->p, payload->len);
	send_bytes(p, out.p, out.len);
	free(out.p);
}

static void play_reply(struct peer *p, const struct step *s)
{
	reply(p, TYPE_REPLY, 0, NULL, &s->hex);
}

static void play_reply_error(struct peer *p, const struct step *s)
{
	reply(p, TYPE_REPLY | FLAG_ERROR, (uint32_t)s->number, NULL, &s->hex);
}

static void play_reply_size(struct peer *p, const struct step *s)
{
	uint32_t size = (uint32_t)s->number;

	reply(p, TYPE_REPLY, 0, &size, &s->hex);
}

static void play_version(struct peer *p, const struct step *s)
{
	static const char json[] = "{\"capabilities\":{}}";
	const uint16_t numbers[2] = { 0, 1 };
	struct bytes payload = { 0 };

	play_recv(p, s);
	memcpy(grow(&payload, sizeof(numbers)), numbers, sizeof(numbers));
	memcpy(grow(&payload, sizeof(json)), json, sizeof(json));
	reply(p, TYPE_REPLY, 0, NULL, &payload);
	free(payload.p);
}

static void play_send(struct peer *p, const struct step *s)
{
	send_bytes(p, s->hex.p, s->hex.len);
}

static void play_fd(struct peer *p, const struct step *s)
{
	p->nulls = (unsigned)s->number;
}

/* fd, which stays open until the end, goes with the next bytes. */
static int pass(struct peer *p, int fd, const char *what)
{
	if (fd < 0)
		fail(1, p->line, "%s: %s", what, strerror(errno));
	if (p->nfds == MAX_KEPT)
		fail(2, p->line, "too many descriptors");
	p->fds[p->nfds++] = fd;
	return fd;
}

static void play_eventfd(struct peer *p, const struct step *s)
{
	int fd = pass(p, eventfd(0, EFD_CLOEXEC), "eventfd");

	(void)s;
	p->event = p->event < 0 ? fd : p->event;
}

static void play_memfd(struct peer *p, const struct step *s)
{
	uint8_t byte;

	p->memory = pass(p, memfd_create("peer", MFD_CLOEXEC), "memfd");
	for (uint64_t i = 0; i < s->number; i++) {
		byte = (uint8_t)i;
		if (pwrite(p->memory, &byte, 1, (off_t)i) != 1)
			fail(1, p->line, "memfd: %s", strerror(errno));
	}
}

static void play_shrink(struct peer *p, const struct step *s)
{
	if (ftruncate(p->memory, (off_t)s->number) != 0)
		fail(1, p->line, "shrinking: %s", strerror(errno));
}

static void play_bytes(struct peer *p, const struct step *s)
{
	uint8_t byte;

	for (uint64_t i = 0; i < s->number; i++) {
		if (pread(p->memory, &byte, 1, (off_t)i) != 1)
			fail(1, p->line, "there is no byte %u", (unsigned)i);
		printf("%02x", byte);
	}
	putchar('\n');
	fflush(stdout);
}

static void play_count(struct peer *p, const struct step *s)
{
	uint64_t count;

	(void)s;
	if (read(p->event, &count, sizeof(count)) != sizeof(count))
		fail(1, p->line, "no eventfd: %s", strerror(errno));
	printf("%llu\n", (unsigned long long)count);
	fflush(stdout);
}

static void play_fire(struct peer *p, const struct step *s)
{
	uint64_t one = 1;

	if (s->number >= p->nkept || write(p->kept[s->number], &one, sizeof(one)) < 0)
		fail(1, p->line, "descriptor %u cannot be fired", (unsigned)s->number);
}

static void play_sleep(struct peer *p, const struct step *s)
{
	struct timespec ts = { .tv_sec = (time_t)(s->number / 1000),
			       .tv_nsec = (long)(s->number % 1000) * 1000000 };

	(void)p;
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

static void play_await(struct peer *p, const struct step *s)
{
	int c;

	(void)s;
	do
		c = getchar();
	while (c != '\n' && c != EOF);
	if (c == EOF)
		fail(1, p->line, "the standard input ended");
}

static void play_drain(struct peer *p, const struct step *s)
{
	static uint8_t buf[65536];
	unsigned nfds = 0;

	(void)s;
	while (recv_some(p, buf, sizeof(buf), &nfds))
		;
}

static void play_close(struct peer *p, const struct step *s)
{
	(void)s;
	close(p->fd);
	p->fd = -1;
}

static const struct verb verbs[] = {
	{ "recv", MAYBE_NUMBER, play_recv, MAX_MESSAGE },
	{ "version", NOTHING, play_version, 0 },
	{ "reply", MAYBE_HEX, play_reply, 0 },
	{ "reply-error", ERRNO, play_reply_error, 0 },
	{ "reply-size", NUMBER_HEX, play_reply_size, 0 },
	{ "send", HEX, play_send, 0 },
	{ "fd", NUMBER, play_fd, MAX_FDS },
	{ "eventfd", NOTHING, play_eventfd, 0 },
	{ "memfd", NUMBER, play_memfd, 1u << 20 },
	{ "shrink", NUMBER, play_shrink, 1u << 20 },
	{ "bytes", NUMBER, play_bytes, 1u << 20 },
	{ "count", NOTHING, play_count, 0 },
	{ "fire", NUMBER, play_fire, MAX_KEPT },
	{ "sleep", NUMBER, play_sleep, 60000 },
	{ "await", NOTHING, play_await, 0 },
	{ "drain", NOTHING, play_drain, 0 },
	{ "close", NOTHING, play_close, 0 },
};

/* ---- Reading the script ------------------------------------------------------- */

#define BLANKS " \t\r\n"

static uint64_t number_of(const char *word, unsigned line)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(word, &end, 0);
	if (errno || end == word || *end || *word == '-' || v > UINT32_MAX)
		fail(2, line, "%s is not a number of 32 bits", word);
	return v;
}

static uint64_t errno_of(const char *word, unsigned line)
{
	for (int i = 1; i < MAX_ERRNO; i++) {
		const char *name = strerrorname_np(i);

		if (name && strcmp(name, word) == 0)
			return (uint64_t)i;
	}
	return number_of(word, line);
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	if (!at)
		return -1;
	return (int)(at - digits) < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

/* Pairs may be cut by blanks: half is the digit whose other one is still to come, or -1.
 */
static void hex_word(const char *word, struct bytes *out, int *half, unsigned line)
{
	const char *star = strchr(word, '*');

	if (star) {
		uint64_t n = number_of(star + 1, line);

		if (*half >= 0 || star - word != 2 || digit(word[0]) < 0 ||
		    digit(word[1]) < 0 || n > MAX_MESSAGE)
			fail(2, line, "%s is not a byte and how often", word);
		memset(grow(out, n), digit(word[0]) * 16 + digit(word[1]), n);
		return;
	}
	for (; *word; word++) {
		int d = digit(*word);

		if (d < 0)
			fail(2, line, "%c is not a hex digit", *word);
		if (*half < 0) {
			*half = d;
			continue;
		}
		*grow(out, 1) = (uint8_t)(*half * 16 + d);
		*half = -1;
	}
}

static void read_hex(struct step *s, char **rest, bool needed)
{
	int half = -1;
	char *word;

	while ((word = strtok_r(NULL, BLANKS, rest)))
		hex_word(word, &s->hex, &half, s->line);
	if (half >= 0)
		fail(2, s->line, "an odd number of hex digits");
	if (needed && !s->hex.len)
		fail(2, s->line, "%s wants bytes in hex", s->verb->name);
}

static void read_arguments(struct step *s, char **rest)
{
	enum form form = s->verb->form;
	char *word = NULL;

	if (form == HEX || form == MAYBE_HEX) {
		read_hex(s, rest, form == HEX);
		return;
	}
	if (form != NOTHING)
		word = strtok_r(NULL, BLANKS, rest);
	if (!word && form != NOTHING && form != MAYBE_NUMBER)
		fail(2, s->line, "%s wants a number", s->verb->name);
	if (word) {
		s->counted = true;
		s->number = form == ERRNO ? errno_of(word, s->line)
					  : number_of(word, s->line);
	}
	if (s->verb->most && s->number > s->verb->most)
		fail(2, s->line, "%s is too large", word);
	if (form == NUMBER_HEX)
		read_hex(s, rest, false);
	word = strtok_r(NULL, BLANKS, rest);
	if (word)
		fail(2, s->line, "%s is too much for %s", word, s->verb->name);
}

static void read_line(struct step *s, const char *word, char **rest)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, word) == 0)
			s->verb = &verbs[i];
	if (!s->verb)
		fail(2, s->line, "there is no %s", word);
	read_arguments(s, rest);
}

static struct step *read_script(const char *path, size_t *n)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct step *steps = NULL;
	char *text = NULL;
	unsigned line = 0;
	size_t cap = 0;

	if (!f)
		fail(2, 0, "%s: %s", path, strerror(errno));
	for (*n = 0; getline(&text, &cap, f) >= 0;) {
		struct step s = { .line = ++line };
		char *rest, *word;

		text[strcspn(text, "#")] = '\0';
		word = strtok_r(text, BLANKS, &rest);
		if (!word)
			continue;
		read_line(&s, word, &rest);
		steps = realloc(steps, (*n + 1) * sizeof(*steps));
		if (!steps)
			fail(1, 0, "no memory");
		steps[(*n)++] = s;
	}
	if (ferror(f))
		fail(2, 0, "%s: %s", path, strerror(errno));
	free(text);
	if (f != stdin)
		fclose(f);
	return steps;
}

/* ---- All of it ---------------------------------------------------------------- */

static const char *value_of(const char *arg, const char *option)
{
	size_t len = strlen(option);

	return strncmp(arg, option, len) == 0 ? arg + len : NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *listening, *path;
	struct peer p = { .fd = -1, .event = -1, .memory = -1 };
	struct step *steps;
	size_t n;

	if (argc != 3)
		fail(2, 0, "usage: peer --listen=PATH|--connect=PATH SCRIPT|-");
	listening = value_of(argv[1], "--listen=");
	path = listening ? listening : value_of(argv[1], "--connect=");
	if (!path || !*path || strlen(path) >= sizeof(sun.sun_path))
		fail(2, 0, "%s: neither --listen=PATH nor --connect=PATH", argv[1]);
	memcpy(sun.sun_path, path, strlen(path));
	steps = read_script(argv[2], &n);
	alarm(60);
	if (listening)
		accept_at(&p, &sun);
	else
		connect_to(&p, &sun);
	for (size_t i = 0; i < n; i++) {
		p.line = steps[i].line;
		steps[i].verb->play(&p, &steps[i]);
		free(steps[i].hex.p);
	}
	free(steps);
	free(p.last.p);
	if (p.fd >= 0)
		close(p.fd);
	return 0;
}
