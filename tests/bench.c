/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints what the library and the program cost, beside the bare socket calls below them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "vuser.h"

#define ROUNDS	      15
#define READS	      20000 /* in a round */
#define FLIGHT	      64
#define BATCHES	      20000
#define COMMAND_BYTES 32 /* REGION_READ */
#define REPLY_BYTES   36 /* and its reply with 4 bytes of data */
#define WRITE_BYTES   36 /* REGION_WRITE of 4 bytes */

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* ---- Peers in processes of their own ------------------------------------------ */

/* Forks; the child runs serve(fd) and exits. Returns our end of the socket. */
static int start_peer(void (*serve)(int fd), pid_t *pid)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
		die("socketpair");
	*pid = fork();
	if (*pid < 0)
		die("fork");
	if (*pid == 0) {
		close(sv[0]);
		serve(sv[1]);
		_exit(0);
	}
	close(sv[1]);
	return sv[0];
}

static void serve_device(int fd)
{
	const struct vuser_device *desc;
	struct vuser_server_options o;
	struct vuser_server *s;
	void *dev;

	vuser_server_options_default(&o);
	if (device_edu.create(&dev, &desc) || vuser_server_new(desc, dev, &o, &s, NULL))
		_exit(1);
	device_edu.attach(dev, s);
	if (vuser_server_attach(s, fd, NULL) || vuser_server_run(s, true, NULL))
		_exit(1);
}

static void receive_all(int fd, char *buf, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = recv(fd, buf + have, len - have, 0);

		if (n <= 0)
			_exit(0);
		have += (size_t)n;
	}
}

/* Answers 32 bytes with 36. */
static void serve_pong(int fd)
{
	char buf[REPLY_BYTES] = { 0 };

	for (;;) {
		receive_all(fd, buf, COMMAND_BYTES);
		if (send(fd, buf, REPLY_BYTES, 0) != REPLY_BYTES)
			return;
	}
}

/* Answers as many commands as come with one read by one write. */
static void serve_batches(int fd)
{
	static char in[FLIGHT * COMMAND_BYTES], out[FLIGHT * REPLY_BYTES];
	size_t part = 0;

	for (;;) {
		ssize_t n = recv(fd, in, sizeof(in) - part, 0);
		size_t whole;

		if (n <= 0)
			return;
		part += (size_t)n;
		whole = part / COMMAND_BYTES;
		part %= COMMAND_BYTES;
		if (whole && send(fd, out, whole * REPLY_BYTES, 0) < 0)
			return;
	}
}

/* Takes what comes; 32 bytes at the end are answered. */
static void serve_sink(int fd)
{
	static char in[65536];
	char reply[REPLY_BYTES] = { 0 };
	uint64_t left = (uint64_t)BATCHES * FLIGHT * WRITE_BYTES + COMMAND_BYTES;

	while (left) {
		ssize_t n = recv(fd, in, sizeof(in), 0);

		if (n <= 0)
			return;
		left -= (uint64_t)n;
	}
	if (send(fd, reply, sizeof(reply), 0) < 0)
		return;
}

/* ---- Round trips -------------------------------------------------------------- */

struct samples {
	double v[ROUNDS * READS];
	size_t n;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(struct samples *s, double p)
{
	qsort(s->v, s->n, sizeof(s->v[0]), compare);
	return s->v[(size_t)((double)(s->n - 1) * p)];
}

static void bare_round(int fd, struct samples *s)
{
	char out[COMMAND_BYTES] = { 0 }, in[REPLY_BYTES];

	for (int i = 0; i < READS; i++) {
		double t = now();

		if (send(fd, out, sizeof(out), 0) != sizeof(out))
			die("send");
		receive_all(fd, in, sizeof(in));
		s->v[s->n++] = now() - t;
	}
}

static void library_round(struct vuser_client *c, struct samples *s)
{
	struct vuser_error e;
	uint32_t v;

	for (int i = 0; i < READS; i++) {
		double t = now();

		if (vuser_read(c, VUSER_REGION_BAR0, 0, &v, sizeof(v), &e))
			die(e.text);
		s->v[s->n++] = now() - t;
	}
}

static struct vuser_client *attach(struct vuser_trace *trace, pid_t *pid)
{
	struct vuser_options o;
	struct vuser_client *c;
	struct vuser_error e;

	vuser_options_default(&o);
	o.trace = trace;
	if (vuser_client_attach(start_peer(serve_device, pid), &o, &c, &e))
		die(e.text);
	return c;
}

/* The three take turns, so that a change of the machine's speed meets all of them. */
static void round_trips(void)
{
	static struct samples bare, plain, traced;
	struct vuser_trace *trace = vuser_trace_new(0);
	pid_t pid[2];
	int fd = start_peer(serve_pong, &pid[0]);
	struct vuser_client *c = attach(trace, &pid[1]);
	double b, p, t;

	for (int i = 0; i < ROUNDS; i++) {
		bare_round(fd, &bare);
		vuser_trace_switch(trace, false);
		library_round(c, &plain);
		vuser_trace_switch(trace, true);
		library_round(c, &traced);
	}
	b = percentile(&bare, 0.5);
	p = percentile(&plain, 0.5);
	t = percentile(&traced, 0.5);
	printf("round trip of a 4-byte region read, two processes\n");
	printf("  %-38s %8.2f us median %8.2f us 99th\n", "bare ping-pong, same sizes",
	       b * 1e6, percentile(&bare, 0.99) * 1e6);
	printf("  %-38s %8.2f us median %8.2f us 99th  %.2f of bare\n", "vuser_read",
	       p * 1e6, percentile(&plain, 0.99) * 1e6, p / b);
	printf("  %-38s %8.2f us median %8.2f us 99th  %.3f of without\n",
	       "vuser_read, trace on", t * 1e6, percentile(&traced, 0.99) * 1e6, t / p);
	close(fd);
	vuser_client_close(c);
	vuser_trace_free(trace);
	waitpid(pid[0], NULL, 0);
	waitpid(pid[1], NULL, 0);
}

/* ---- Many in flight ----------------------------------------------------------- */

static double pipelined(struct vuser_client *c)
{
	struct vuser_exchange *x[FLIGHT];
	struct vuser_error e;
	uint32_t v[FLIGHT];
	double start = now();

	for (int b = 0; b < BATCHES; b++) {
		vuser_cork(c, true);
		for (int i = 0; i < FLIGHT; i++)
			if (vuser_start_read(c, VUSER_REGION_BAR0, 0, &v[i], sizeof(v[i]),
					     &x[i], &e))
				die(e.text);
		vuser_cork(c, false);
		for (int i = 0; i < FLIGHT; i++)
			if (vuser_finish(c, x[i], &e))
				die(e.text);
	}
	return BATCHES * (double)FLIGHT / (now() - start);
}

static double posted(struct vuser_client *c)
{
	struct vuser_error e;
	uint32_t v = 0;
	double start = now();

	for (int b = 0; b < BATCHES; b++) {
		vuser_cork(c, true);
		for (int i = 0; i < FLIGHT; i++)
			if (vuser_write(c, VUSER_REGION_BAR0, 4, &v, sizeof(v), true, &e))
				die(e.text);
		vuser_cork(c, false);
	}
	if (vuser_read(c, VUSER_REGION_BAR0, 4, &v, sizeof(v),
		       &e)) /* all of them were done */
		die(e.text);
	return BATCHES * (double)FLIGHT / (now() - start);
}

static double bare_batches(int fd)
{
	static char out[FLIGHT * COMMAND_BYTES], in[FLIGHT * REPLY_BYTES];
	double start = now();

	for (int b = 0; b < BATCHES; b++) {
		if (send(fd, out, sizeof(out), 0) != sizeof(out))
			die("send");
		receive_all(fd, in, sizeof(in));
	}
	return BATCHES * (double)FLIGHT / (now() - start);
}

static double bare_posted(int fd)
{
	static char out[FLIGHT * WRITE_BYTES];
	char in[REPLY_BYTES];
	double start = now();

	for (int b = 0; b < BATCHES; b++)
		if (send(fd, out, sizeof(out), 0) != sizeof(out))
			die("send");
	if (send(fd, out, COMMAND_BYTES, 0) != COMMAND_BYTES)
		die("send");
	receive_all(fd, in, sizeof(in));
	return BATCHES * (double)FLIGHT / (now() - start);
}

static double blocking(struct vuser_client *c)
{
	static struct samples s;
	double start = now();

	s.n = 0;
	library_round(c, &s);
	return READS / (now() - start);
}

static void many_in_flight(void)
{
	pid_t pid[3];
	int batches = start_peer(serve_batches, &pid[0]);
	int sink = start_peer(serve_sink, &pid[1]);
	struct vuser_client *c = attach(NULL, &pid[2]);
	double one = blocking(c), bare = bare_batches(batches), reads = pipelined(c);
	double bare_writes = bare_posted(sink), gathered = posted(c), single;

	vuser_client_set_posting(c, true, false);
	single = posted(c);
	printf("%d in flight\n", FLIGHT);
	printf("  %-38s %10.0f /s\n", "reads, one at a time", one);
	printf("  %-38s %10.0f /s\n", "bare batches of the same bytes", bare);
	printf("  %-38s %10.0f /s  %.1f times one at a time\n", "reads, pipelined", reads,
	       reads / one);
	printf("  %-38s %10.0f /s\n", "bare batches of posted writes' bytes",
	       bare_writes);
	printf("  %-38s %10.0f /s\n", "posted writes", single);
	printf("  %-38s %10.0f /s\n", "posted writes, gathered by the engine", gathered);
	close(batches);
	close(sink);
	vuser_client_close(c);
	for (int i = 0; i < 3; i++)
		waitpid(pid[i], NULL, 0);
}

/* ---- The program ----------------------------------------------------------------- */

/* Resident memory of a process in KiB, 0 when it has none any more. */
static long resident(pid_t pid)
{
	char path[40], line[128];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* Memory of the program early on and at last, in KiB. */
struct memory {
	long early, last;
};

/* Runs the program on a script; returns the seconds. */
static double run_script(const char *program, const char *script, struct memory *memory)
{
	pid_t server, pid;
	int fd = start_peer(serve_device, &server), status;
	char option[32];
	double start;

	*memory = (struct memory){ 0, 0 };
	snprintf(option, sizeof(option), "--fd=%d", fd);
	start = now();
	pid = fork();
	if (pid == 0) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(127);
		execl(program, program, option, "-f", script, (char *)NULL);
		_exit(127);
	}
	close(fd);
	if (pid < 0)
		die("fork");
	while (waitpid(pid, &status, WNOHANG) == 0) {
		long kib;

		usleep(10000);
		kib = resident(pid);
		if (!kib)
			continue;
		if (!memory->early)
			memory->early = kib;
		memory->last = kib;
	}
	if (status)
		die("the program failed");
	start = now() - start;
	waitpid(server, NULL, 0);
	return start;
}

static void write_script(const char *path, const char *line, long n)
{
	FILE *f = fopen(path, "w");

	for (long i = 0; f && i < n; i++)
		fprintf(f, "%s\n", line);
	if (!f || fclose(f) != 0)
		die("cannot write a script");
}

static void program(const char *path, long reads)
{
	char script[] = "/tmp/vfuctl-bench-XXXXXX", line[64];
	int fd = mkstemp(script);
	struct memory memory;
	double seconds;

	if (fd < 0)
		die("mkstemp");
	close(fd);
	printf("the program\n");
	write_script(script, "read bar0 0", 100000);
	seconds = run_script(path, script, &memory);
	printf("  %-38s %10.0f lines/s\n", "batch of 100,000 reads", 100000 / seconds);
	snprintf(line, sizeof(line), "repeat %ld read bar0 0", reads);
	write_script(script, line, 1);
	seconds = run_script(path, script, &memory);
	snprintf(line, sizeof(line), "repeat %ld read", reads);
	printf("  %-38s %10.0f /s\n", line, (double)reads / seconds);
	printf("  %-38s %6ld KiB at first, %ld KiB at last\n",
	       "resident memory meanwhile", memory.early, memory.last);
	unlink(script);
}

int main(int argc, char **argv)
{
	long reads = argc > 2 ? atol(argv[2]) : 1000000;

	setvbuf(stdout, NULL, _IOLBF, 0);
	round_trips();
	many_in_flight();
	if (argc > 1)
		program(argv[1], reads);
	return 0;
}
