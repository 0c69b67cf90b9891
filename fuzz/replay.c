// SPDX-License-Identifier: BSD-3-Clause
/* Runs stored inputs through a harness, without a fuzzing engine, and prints TAP. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define SECONDS_AN_INPUT 20u

/* The inputs of one argument. */
struct inputs {
	char **path;
	size_t n, room;
};

/* What the child that runs them tells: which one it is at. */
struct progress {
	volatile size_t at;
};

static void *grow(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p) {
		perror("replay");
		exit(2);
	}
	return p;
}

static void add(struct inputs *in, const char *path)
{
	if (in->n == in->room) {
		in->room = in->room ? 2 * in->room : 64;
		in->path = grow(in->path, in->room * sizeof(*in->path));
	}
	in->path[in->n] = strdup(path);
	if (!in->path[in->n++])
		exit(2);
}

static void collect(struct inputs *in, const char *path)
{
	struct dirent **names;
	struct stat st;
	int n;

	if (stat(path, &st) != 0) {
		if (errno == ENOENT)
			return; /* a harness need not have each kind of folder */
		perror(path);
		exit(2);
	}
	if (!S_ISDIR(st.st_mode)) {
		add(in, path);
		return;
	}
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char sub[4096];

		snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			collect(in, sub);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static uint8_t *load(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf = NULL;
	size_t n;

	if (!f) {
		perror(path);
		exit(2);
	}
	*len = 0;
	do {
		buf = grow(buf, *len + 65536);
		n = fread(buf + *len, 1, 65536, f);
		*len += n;
	} while (n);
	fclose(f);
	return buf;
}

static void run_one(const char *path)
{
	size_t len;
	uint8_t *data = load(path, &len);

	alarm(SECONDS_AN_INPUT);
	LLVMFuzzerTestOneInput(data, len);
	alarm(0);
	free(data);
}

/* Runs what is left in a child, so that one that dies does not end the rest. */
static int run_some(const struct inputs *in, size_t from, struct progress *p)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	p->at = from;
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		for (; p->at < in->n; p->at++)
			run_one(in->path[p->at]);
		exit(0); /* and look for leaks */
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Returns how many failed. */
static size_t run_all(const struct inputs *in, const char *what, unsigned *number)
{
	struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t failed = 0, from = 0;

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	do {
		int status = run_some(in, from, p);

		if (status == 0)
			break;
		failed++;
		printf("not ok %u - %s: %s\n", ++*number, fuzz_harness,
		       p->at < in->n ? in->path[p->at] : "leaves something allocated");
		from = p->at + 1;
	} while (from < in->n);
	if (!failed)
		printf("ok %u - %s: %zu inputs of %s\n", ++*number, fuzz_harness, in->n,
		       what);
	munmap(p, sizeof(*p));
	return failed;
}

static void describe(const char *path)
{
	size_t len;
	uint8_t *data = load(path, &len);

	printf("%s: %zu bytes for fuzz_%s\n", path, len, fuzz_harness);
	fuzz_describe(stdout, data, len);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, len);
	printf("nothing is wrong with it\n");
	free(data);
}

/* replay [--describe] FILE|FOLDER...: a line of TAP for each argument that has inputs. */
int main(int argc, char **argv)
{
	bool show = argc > 1 && strcmp(argv[1], "--describe") == 0;
	unsigned number = 0;
	size_t failed = 0;

	for (int i = 1 + show; i < argc; i++) {
		struct inputs in = { 0 };

		collect(&in, argv[i]);
		if (show) {
			for (size_t k = 0; k < in.n; k++)
				describe(in.path[k]);
		} else if (in.n) {
			failed += run_all(&in, argv[i], &number);
		}
		for (size_t k = 0; k < in.n; k++)
			free(in.path[k]);
		free(in.path);
	}
	return failed ? 1 : 0;
}
