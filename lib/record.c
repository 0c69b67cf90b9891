/* SPDX-License-Identifier: BSD-3-Clause */
/* A message of the trace as text: a line, its bytes with the fields beside them, JSON. */
#include <string.h>

#include "error.h"

/* What the header says, as far as there is one. */
static struct vuser_header header_of(const struct vuser_record *r)
{
	struct vuser_header h = { 0 };

	(void)vuser_header_decode(r->bytes, r->kept, &h, NULL);
	return h;
}

static void command_text(const struct vuser_header *h, char *buf, size_t cap)
{
	const char *name = vuser_command_name(h->command);

	if (name)
		snprintf(buf, cap, "%s", name);
	else
		snprintf(buf, cap, "command %u", h->command);
}

static const char *type_text(const struct vuser_header *h)
{
	switch (h->flags & VUSER_TYPE_MASK) {
	case VUSER_TYPE_COMMAND:
		return h->flags & VUSER_FLAG_NO_REPLY ? " (no reply)" : "";
	case VUSER_TYPE_REPLY:
		return h->flags & VUSER_FLAG_ERROR ? " error" : " reply";
	default:
		return " (bad type)";
	}
}

/* ---- A line ------------------------------------------------------------------------ */

static void line_field(void *arg, const struct vuser_field *f)
{
	bool small = f->show == VUSER_SHOW_BYTES && f->size <= 8;
	char text[128];

	if (f->offset < VUSER_HEADER_SIZE || f->index > 0 || !(f->key || small))
		return;
	vuser_field_text(f, text, sizeof(text));
	fprintf(arg, " %s=%s", f->name, text);
}

static void print_latency(FILE *out, uint64_t ns)
{
	if (ns >= 1000000000)
		fprintf(out, "  %.3f s", (double)ns / 1e9);
	else if (ns >= 1000000)
		fprintf(out, "  %.3f ms", (double)ns / 1e6);
	else if (ns)
		fprintf(out, "  %.1f us", (double)ns / 1e3);
}

void vuser_record_line(FILE *out, const struct vuser_record *r, uint64_t start)
{
	struct vuser_header h = header_of(r);
	char name[40], label[64], id[16];

	command_text(&h, name, sizeof(name));
	snprintf(label, sizeof(label), "%s%s", name, type_text(&h));
	snprintf(id, sizeof(id), "#%u", h.id);
	fprintf(out, "%12.6f  %s  %-30s %-6s %5zu",
		(double)(int64_t)(r->time - start) / 1e9,
		r->dir == VUSER_C2S ? "c2s" : "s2c", label, id, r->size);
	if (r->nfds)
		fprintf(out, " +%u fd%s", r->nfds, r->nfds == 1 ? "" : "s");
	if (r->kept < VUSER_HEADER_SIZE)
		fprintf(out, "  (no whole header)");
	else if (vuser_is_reply(&h) && (h.flags & VUSER_FLAG_ERROR))
		fprintf(out, "  %s (%s)",
			h.error ? vuser_errno_name((int)h.error) : "errno 0",
			h.error ? vuser_errno_text((int)h.error) : "none given");
	else
		vuser_fields(r->bytes, r->kept, line_field, out);
	print_latency(out, r->latency);
	fputc('\n', out);
}

/* ---- Bytes with the fields beside them ---------------------------------------- */

#define DUMP_WIDTH 16u

static void hex_lines(FILE *out, size_t offset, const uint8_t *p, size_t len)
{
	for (size_t at = 0; at < len; at += DUMP_WIDTH) {
		size_t n = len - at < DUMP_WIDTH ? len - at : DUMP_WIDTH;

		fprintf(out, "    %06zx  ", offset + at);
		for (size_t i = 0; i < DUMP_WIDTH; i++)
			if (i < n)
				fprintf(out, "%02x ", p[at + i]);
			else
				fputs("   ", out);
		fputs(" |", out);
		for (size_t i = 0; i < n; i++)
			fputc(p[at + i] >= 0x20 && p[at + i] < 0x7f ? p[at + i] : '.',
			      out);
		fputs("|\n", out);
	}
}

static void dump_field(void *arg, const struct vuser_field *f)
{
	FILE *out = arg;
	char label[64], text[200];

	if (f->index >= 0)
		snprintf(label, sizeof(label), "%s[%d]", f->name, f->index);
	else
		snprintf(label, sizeof(label), "%s", f->name);
	if (f->size > 8) {
		fprintf(out, "    %06zx  %-24s %s: %zu bytes%s\n", f->offset, "", label,
			f->size, f->show == VUSER_SHOW_NONE ? ", not explained" : "");
		hex_lines(out, f->offset, f->bytes, f->len);
		if (f->len < f->size)
			fprintf(out, "            (%zu more are not kept)\n",
				f->size - f->len);
		return;
	}
	fprintf(out, "    %06zx  ", f->offset);
	for (size_t i = 0; i < 8; i++)
		if (i < f->len)
			fprintf(out, "%02x ", f->bytes[i]);
		else
			fputs("   ", out);
	vuser_field_text(f, text, sizeof(text));
	fprintf(out, " %-16s %s\n", label, text);
}

void vuser_record_dump(FILE *out, const struct vuser_record *r, uint64_t start)
{
	vuser_record_line(out, r, start);
	vuser_fields(r->bytes, r->kept, dump_field, out);
}

/* ---- JSON --------------------------------------------------------------------- */

static void json_hex(FILE *out, const uint8_t *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		fputc(digits[p[i] >> 4], out);
		fputc(digits[p[i] & 15], out);
	}
	fputc('"', out);
}

static void json_text(FILE *out, const uint8_t *p, size_t len)
{
	if (len && p[len - 1] == '\0')
		len--;
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '"' || p[i] == '\\')
			fprintf(out, "\\%c", p[i]);
		else if (p[i] >= 0x20 && p[i] < 0x7f)
			fputc(p[i], out);
		else
			fprintf(out, "\\u%04x", p[i]);
	}
	fputc('"', out);
}

struct json_fields {
	FILE *out;
	const char *comma;
};

static void json_field(void *arg, const struct vuser_field *f)
{
	struct json_fields *j = arg;

	if (f->offset < VUSER_HEADER_SIZE)
		return;
	fprintf(j->out, "%s\"%s", j->comma, f->name);
	if (f->index >= 0)
		fprintf(j->out, "[%d]", f->index);
	fputs("\":", j->out);
	j->comma = ",";
	switch (f->show) {
	case VUSER_SHOW_COUNT:
	case VUSER_SHOW_ENUM:
	case VUSER_SHOW_COMMAND:
	case VUSER_SHOW_REGION:
	case VUSER_SHOW_IRQ:
	case VUSER_SHOW_ERRNO:
		if (f->value <= (1ull << 53)) {
			fprintf(j->out, "%llu", (unsigned long long)f->value);
			break;
		}
		/* No reader of JSON holds it as a number. */
		/* fall through */
	case VUSER_SHOW_HEX:
	case VUSER_SHOW_FLAGS:
	case VUSER_SHOW_FEATURE:
		fprintf(j->out, "\"0x%llx\"", (unsigned long long)f->value);
		break;
	case VUSER_SHOW_TEXT:
		json_text(j->out, f->bytes, f->len);
		break;
	case VUSER_SHOW_BYTES:
	case VUSER_SHOW_NONE:
		json_hex(j->out, f->bytes, f->len);
		break;
	}
}

void vuser_record_json(FILE *out, const struct vuser_record *r)
{
	struct vuser_header h = header_of(r);
	struct json_fields j = { out, "" };
	const char *name = vuser_command_name(h.command);

	fprintf(out, "{\"number\":%llu,\"time\":%llu.%09llu,\"direction\":\"%s\"",
		(unsigned long long)r->number, (unsigned long long)(r->time / 1000000000),
		(unsigned long long)(r->time % 1000000000),
		r->dir == VUSER_C2S ? "c2s" : "s2c");
	if (r->kept >= VUSER_HEADER_SIZE) {
		fprintf(out, ",\"type\":\"%s\",\"id\":%u",
			(h.flags & VUSER_TYPE_MASK) == VUSER_TYPE_COMMAND ? "command"
			: vuser_is_reply(&h)				  ? "reply"
									  : "bad",
			h.id);
		if (name)
			fprintf(out, ",\"command\":\"%s\"", name);
		else
			fprintf(out, ",\"command\":%u", h.command);
		fprintf(out, ",\"flags\":\"0x%x\"", h.flags);
		if (h.flags & VUSER_FLAG_ERROR)
			fprintf(out, ",\"errno\":\"%s\",\"error\":%u",
				h.error ? vuser_errno_name((int)h.error) : "", h.error);
	}
	fprintf(out, ",\"size\":%zu,\"fds\":%u", r->size, r->nfds);
	if (r->latency)
		fprintf(out, ",\"latency_ns\":%llu", (unsigned long long)r->latency);
	fputs(",\"fields\":{", out);
	vuser_fields(r->bytes, r->kept, json_field, &j);
	fputs("},\"bytes\":", out);
	json_hex(out, r->bytes, r->kept);
	fputs("}\n", out);
}
