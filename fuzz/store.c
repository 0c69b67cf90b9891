// SPDX-License-Identifier: BSD-3-Clause
/* Writing inputs into the folders of the harnesses. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inputs.h"
#include "store.h"

/* The programs that make inputs are no harness, yet share their code. */
const char fuzz_harness[] = "inputs";

const char *const store_harnesses[] = { "header", "caps", "stream", "payload", NULL };

static void make_folder(const char *path)
{
	if (mkdir(path, 0777) != 0 && errno != EEXIST) {
		perror(path);
		exit(2);
	}
}

void store_input(const char *top, const char *harness, const char *name, const void *data,
		 size_t len)
{
	char path[4096];
	FILE *f;

	make_folder(top);
	snprintf(path, sizeof(path), "%s/%s", top, harness);
	make_folder(path);
	snprintf(path, sizeof(path), "%s/%s/%s", top, harness, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		exit(2);
	}
}

void store_message(const char *top, const char *name, const uint8_t *msg, size_t len,
		   unsigned nfds)
{
	for (const char *const *h = store_harnesses; *h; h++) {
		size_t n;
		uint8_t *input = input_of_message(*h, msg, len, nfds, &n);

		if (input)
			store_input(top, *h, name, input, n);
		free(input);
	}
}
