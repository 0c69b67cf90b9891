/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One server for a great many clients: each uses what a client can leave behind, leaves
 * in one way or another, and in the end the server must have no more descriptors,
 * mappings and memory than after the first few. soak PROGRAM CLIENTS
 */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vuser.h"

#define WARM	    2000u /* clients before the first look: pools have filled then */
#define SLACK_PAGES 64u	  /* of resident memory that may come and go */

struct left {
	unsigned fds, maps;
	unsigned long pages;
};

static char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
static pid_t server;

static void die(const char *what)
{
	fprintf(stderr, "soak: %s\n", what);
	if (server > 0)
		kill(server, SIGKILL);
	exit(1);
}

static void start(const char *program)
{
	char argument[sizeof(path) + 16];

	snprintf(argument, sizeof(argument), "--socket-path=%s", path);
	server = fork();
	if (server < 0)
		die("fork");
	if (server == 0) {
		execl(program, program, "serve", argument, "--device=demo", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; access(path, F_OK) != 0; i++) {
		if (i == 1000)
			die("the server does not come");
		usleep(10000);
	}
}

static unsigned count_fds(void)
{
	char name[64];
	unsigned n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)server);
	d = opendir(name);
	if (!d)
		die("the server has died");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static FILE *open_proc(const char *what)
{
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)server, what);
	f = fopen(name, "r");
	if (!f)
		die("the server has died");
	return f;
}

/* What the server has once it has let go of the last client. */
static struct left look(void)
{
	struct left l = { 0 };
	unsigned long all;
	FILE *f;
	int c;

	usleep(200000);
	l.fds = count_fds();
	f = open_proc("maps");
	while ((c = getc(f)) != EOF)
		l.maps += c == '\n';
	fclose(f);
	f = open_proc("statm");
	if (fscanf(f, "%lu %lu", &all, &l.pages) != 2)
		die("statm");
	fclose(f);
	return l;
}

/* Leaves in the middle of a message. */
static void leave_at_half(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	uint8_t half[10] = { 1, 0, VUSER_CMD_VERSION, 0, 200 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, path, sizeof(path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("connect");
	if (send(fd, half, sizeof(half), MSG_NOSIGNAL) != sizeof(half))
		die("send");
	close(fd);
}

static void use(unsigned long i)
{
	struct vuser_region *r = NULL;
	struct vuser_options o;
	struct vuser_client *c;
	struct vuser_error e;
	uint64_t command = 0x17; /* fill memory, then raise vector 0 */
	uint32_t value;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	vuser_options_default(&o);
	o.caps.twin_supported = i % 2;
	if (fd < 0 || vuser_client_open(path, &o, &c, &e))
		die("a client cannot connect");
	if (vuser_map(c, 0x10000, 0x10000, VUSER_DMA_READABLE | VUSER_DMA_WRITABLE,
		      i % 3 ? VUSER_BACK_MEMFD : VUSER_BACK_NONE, -1, 0, false, &e) ||
	    vuser_irq_attach(c, VUSER_IRQ_MSIX, 0, &fd, 1, &e) ||
	    vuser_get_region(c, 1, &r, &e) ||
	    vuser_write(c, 0, 0x88, &(uint64_t){ 0x10000 }, 8, false, &e) ||
	    vuser_write(c, 0, 0x90, &(uint64_t){ 64 }, 8, false, &e) ||
	    vuser_write(c, 0, 0xa0, &command, 4, false, &e))
		die(e.text);
	/* Some stay for the end of the transfer, others leave in its middle. */
	if (i % 5 == 0 && vuser_read(c, 0, 0xa4, &value, sizeof(value), &e))
		die(e.text);
	vuser_region_free(r);
	vuser_client_close(c);
	close(fd);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void progress(unsigned long done, unsigned long of, double start)
{
	if (isatty(STDERR_FILENO) && done % 1000 == 0)
		fprintf(stderr, "\r%lu of %lu clients, %.0f/s ", done, of,
			(double)done / (now() - start));
}

int main(int argc, char **argv)
{
	unsigned long clients = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	char folder[] = "/tmp/vfuctl-soak-XXXXXX";
	struct left first = { 0 }, last;
	double began = now();
	int status;

	if (clients <= WARM) {
		fprintf(stderr, "usage: soak PROGRAM CLIENTS (above %u)\n", WARM);
		return 2;
	}
	if (!mkdtemp(folder))
		die("mkdtemp");
	snprintf(path, sizeof(path), "%s/socket", folder);
	start(argv[1]);
	for (unsigned long i = 0; i < clients; i++) {
		if (i % 7 == 6)
			leave_at_half();
		else
			use(i);
		if (i == WARM)
			first = look();
		progress(i + 1, clients, began);
	}
	last = look();
	printf("%lu clients in %.0f s; the server's descriptors %u then %u, mappings %u then "
	       "%u, resident pages %lu then %lu\n",
	       clients, now() - began, first.fds, last.fds, first.maps, last.maps,
	       first.pages, last.pages);
	kill(server, SIGTERM);
	waitpid(server, &status, 0);
	rmdir(folder);
	if (status != 0 || last.fds != first.fds || last.maps != first.maps ||
	    last.pages > first.pages + SLACK_PAGES)
		die("something was left behind");
	return 0;
}
