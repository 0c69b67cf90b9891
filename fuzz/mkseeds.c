// SPDX-License-Identifier: BSD-3-Clause
/* Makes the inputs the corpora grew from: every command both ways, texts, recorded
 * traffic. */
#include <stdlib.h>
#include <string.h>

#include "inputs.h"
#include "msgtab.h"
#include "store.h"

#define MOST_PAYLOAD 1024u

static const char *top;
static unsigned made;

static void store(const uint8_t *msg, size_t len, unsigned nfds)
{
	char name[32];

	snprintf(name, sizeof(name), "seed-%05u", made++);
	store_message(top, name, msg, len, nfds);
}

/* ---- Every row of the message table -------------------------------------------- */

static void store_payload(unsigned command, bool reply, const uint8_t *payload,
			  size_t len, unsigned nfds)
{
	uint8_t msg[VUSER_HEADER_SIZE + MOST_PAYLOAD];
	struct vuser_header h = { .id = (uint16_t)made,
				  .command = (uint16_t)command,
				  .size = (uint32_t)(VUSER_HEADER_SIZE + len),
				  .flags =
					  reply ? VUSER_TYPE_REPLY : VUSER_TYPE_COMMAND };

	vuser_header_encode(&h, msg);
	if (len)
		memcpy(msg + VUSER_HEADER_SIZE, payload, len);
	store(msg, VUSER_HEADER_SIZE + len, nfds);
}

static void put(uint8_t *at, size_t width, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (size_t i = 0; i < width; i++)
		at[i] = (uint8_t)(v >> 8 * i);
#else
	for (size_t i = 0; i < width; i++)
		at[width - 1 - i] = (uint8_t)(v >> 8 * i);
#endif
}

/*
 * The payloads that are accepted, found by trying: one field at a time with each of some
 * values, and each of some lengths behind. What counts what need not be known.
 */
static void store_accepted(unsigned command, bool reply, const struct layout *l,
			   unsigned nfds)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 4, 7, 16, 200, UINT32_MAX };
	static const size_t tails[] = { 0,  1,	2,  3,	4,  8,	16, 20,
					24, 32, 40, 48, 72, 80, 96, 200 };
	struct vuser_payload p;

	for (size_t t = 0; t < sizeof(tails) / sizeof(tails[0]); t++)
		for (unsigned f = 0; f < l->nfields + !l->nfields; f++)
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				uint8_t buf[MOST_PAYLOAD] = { 0 };
				size_t len = l->fixed + tails[t];

				memset(buf + l->fixed, (int)(t + 1), tails[t]);
				if (l->nfields)
					put(buf + l->fields[f].offset, l->fields[f].width,
					    values[v]);
				if (vuser_payload_decode(command, reply, buf, len, &p,
							 NULL) == 0)
					store_payload(command, reply, buf, len, nfds);
			}
}

static void store_table(void)
{
	for (unsigned c = 0; c < VUSER_CMD_LIMIT; c++) {
		const struct message_row *row = message_find(c);

		if (!row)
			continue;
		for (const struct layout *l = row->command; l; l = l->alternative)
			store_accepted(c, false, l, row->command_fds);
		for (const struct layout *l = row->reply; l; l = l->alternative)
			store_accepted(c, true, l, row->reply_fds);
	}
}

/* ---- Chains of capabilities: sparse areas, a type, one without a body ---------- */

static void store_chains(void)
{
	uint8_t buf[MOST_PAYLOAD] = { 0 };
	size_t at = 32;

	put(buf + 12, 4, 32);
	for (unsigned areas = 0; areas < 4; areas++) {
		put(buf + at, 2, VUSER_REGIONCAP_SPARSE_MMAP);
		put(buf + at + 2, 2, 1);
		put(buf + at + 8, 4, areas);
		for (unsigned i = 0; i < areas; i++) {
			put(buf + at + 16 + 16 * i, 8, 0x1000 * i);
			put(buf + at + 24 + 16 * i, 8, 0x1000);
		}
		put(buf, 4, at + 16 + 16 * areas);
		store_payload(VUSER_CMD_DEVICE_GET_REGION_INFO, true, buf,
			      at + 16 + 16 * areas, 1);
		put(buf + at + 4, 4, at + 16 + 16 * areas);
		at += 16 + 16 * areas;
		put(buf + at, 2, VUSER_REGIONCAP_TYPE);
		put(buf + at + 8, 4, 0x10de);
		store_payload(VUSER_CMD_DEVICE_GET_REGION_INFO, true, buf, at + 16, 1);
		put(buf + at + 4, 4, at + 16);
		at += 16;
		put(buf + at, 2, VUSER_REGIONCAP_MSIX_MAPPABLE);
		store_payload(VUSER_CMD_DEVICE_GET_REGION_INFO, true, buf, at + 8, 1);
		put(buf + at + 4, 4, at + 8);
		at += 8;
	}
}

/* ---- Texts of capabilities ----------------------------------------------------- */

static const char *const texts[] = {
	"",
	"{}",
	"[]",
	" {\"capabilities\" : { } } ",
	"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576}}",
	"{\"capabilities\":{\"max_dma_maps\":65535,\"pgsizes\":4096}}",
	"{\"capabilities\":{\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456}}}",
	"{\"capabilities\":{\"write_multiple\":true}}",
	"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
	"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
	"{\"capabilities\":{\"twin_socket\":{\"supported\":false,\"fd_index\":15}}}",
	"{\"capabilities\":{\"max_dma_maps\":18446744073709551615}}",
	"{\"capabilities\":{\"max_dma_maps\":18446744073709551616}}",
	"{\"capabilities\":{\"max_dma_maps\":9007199254740993}}",
	"{\"capabilities\":{\"max_dma_maps\":1e3}}",
	"{\"capabilities\":{\"max_dma_maps\":1.5}}",
	"{\"capabilities\":{\"max_dma_maps\":-1}}",
	"{\"capabilities\":{\"max_dma_maps\":01}}",
	"{\"capabilities\":{\"max_dma_maps\":1,\"max_dma_maps\":2}}",
	"{\"capabilities\":{\"Max_dma_maps\":1}}",
	"{\"capabilities\":{\"\\u006dax_dma_maps\":1}}",
	"{\"capabilities\":{\"max_dma_maps\\u0000x\":1}}",
	"{\"capabilities\":{\"\\ud83d\\ude00\":\"\xf0\x9f\x98\x80\",\"new\":[1,{\"a\":null}]}}",
	"{\"capabilities\":{\"migration\":[]},\"other\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
	"{\"capabilities\":{\"pgsizes\":4097}}",
	"{\"capabilities\":{\"max_msg_fds\":17}}",
	"{\"capabilities\":{\"max_data_xfer_size\":67108865}}",
	"{\"capabilities\":{\"max_msg_fds\":0.0e-1,\"x\":-0,\"y\":1E+2}}",
	"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
	"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
};

static void store_texts(void)
{
	char name[40];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (unsigned how = 0; how < 8; how++) {
			size_t len = strlen(texts[i]);
			uint8_t *input = fuzz_block(1 + len);

			input[0] = (uint8_t)(how & 1 ? CAPS_REPLY : 0);
			input[0] |= (uint8_t)(how & 2 ? CAPS_OFFER | CAPS_LOW : 0);
			input[0] |= (uint8_t)(how & 4 ? CAPS_OFFER | CAPS_TWIN : 0);
			memcpy(input + 1, texts[i], len);
			snprintf(name, sizeof(name), "text-%02zu-%u", i, how);
			store_input(top, "caps", name, input, 1 + len);
			free(input);
		}
}

/* ---- Recorded traffic ----------------------------------------------------------
 *
 * A line a message: seconds, c2s or s2c, number of descriptors, the whole message in hex.
 */

#define STREAM_MESSAGES 6u

/* The last messages of one direction, to be stored as one stream. */
struct window {
	uint8_t plan[2 + 4 * STREAM_MESSAGES], bytes[8192];
	size_t n, len;
};

static void store_window(struct window *w)
{
	char name[32];
	uint8_t *input = fuzz_block(sizeof(w->plan) + w->len);
	size_t plan = 2 + 4 * w->n;

	if (w->n) {
		w->plan[0] = (uint8_t)(made % 8);
		w->plan[1] = (uint8_t)(2 * w->n);
		memcpy(input, w->plan, plan);
		memcpy(input + plan, w->bytes, w->len);
		snprintf(name, sizeof(name), "stream-%05u", made++);
		store_input(top, "stream", name, input, plan + w->len);
	}
	free(input);
	w->n = w->len = 0;
}

/* Each message in two pieces: an odd beginning, and the rest with its descriptors. */
static void add_to_window(struct window *w, const uint8_t *msg, size_t len, unsigned nfds)
{
	uint8_t *piece;
	size_t first = len < 300 ? made % len : 0;

	if (len - first > UINT8_MAX || len > sizeof(w->bytes) - w->len)
		return;
	piece = w->plan + 2 + 4 * w->n++;
	piece[0] = (uint8_t)first;
	piece[1] = 0;
	piece[2] = (uint8_t)(len - first);
	piece[3] = (uint8_t)(nfds & STREAM_FDS);
	memcpy(w->bytes + w->len, msg, len);
	w->len += len;
	if (w->n == STREAM_MESSAGES)
		store_window(w);
}

static size_t from_hex(const char *hex, uint8_t *out, size_t room)
{
	size_t n = 0;
	unsigned byte;

	while (n < room && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		out[n++] = (uint8_t)byte;
	return n;
}

static void store_capture(const char *path)
{
	struct window windows[2] = { 0 };
	FILE *f = fopen(path, "r");
	char *line = NULL, dir[4];
	size_t room = 0;
	unsigned nfds;
	int hex;

	if (!f) {
		perror(path);
		exit(2);
	}
	while (getline(&line, &room, f) > 0) {
		uint8_t msg[8192];
		size_t len;

		if (sscanf(line, "%*s %3s %u %n", dir, &nfds, &hex) != 2)
			continue;
		len = from_hex(line + hex, msg, sizeof(msg));
		if (len < VUSER_HEADER_SIZE || len > 2048)
			continue;
		store(msg, len, nfds);
		add_to_window(&windows[dir[0] == 's'], msg, len, nfds);
	}
	store_window(&windows[0]);
	store_window(&windows[1]);
	free(line);
	fclose(f);
}

/* mkseeds FOLDER [CAPTURE]... */
int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: mkseeds FOLDER [CAPTURE]...\n");
		return 2;
	}
	top = argv[1];
	store_table();
	store_chains();
	store_texts();
	for (int i = 2; i < argc; i++)
		store_capture(argv[i]);
	return 0;
}
