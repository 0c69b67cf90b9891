/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the device as a whole: info, regions, irqs, config, reset. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "pci.h"

static const char *const device_flags[] = { "reset", "pci", NULL };
static const char *const region_flags[] = { "read", "write", "mmap", "caps", NULL };
static const char *const irq_flags[] = { "eventfd", "maskable", "automasked", "noresize",
					 NULL };

#define CONFIG_MAX 4096u

/* What the server said about one region: a description, or a refusal. */
struct described {
	struct vuser_region *region;
	struct vuser_error refusal;
};

static int get_info(struct app *app, struct vuser_device_info *info)
{
	struct vuser_error e;

	return vuser_get_info(app->client, info, &e) ? fail_from(app, &e) : FAIL_NONE;
}

/*
 * A region the server refuses to describe is part of the answer: it is shown, and the
 * command goes on.
 */
static int get_region(struct app *app, uint32_t index, struct described *d)
{
	*d = (struct described){ 0 };
	if (vuser_get_region(app->client, index, &d->region, &d->refusal) == 0)
		return FAIL_NONE;
	d->region = NULL;
	return d->refusal.code == VUSER_E_REMOTE ? FAIL_NONE
						 : fail_from(app, &d->refusal);
}

/* ---- regions ------------------------------------------------------------------- */

static const char *cap_name(uint16_t id)
{
	static const char *const names[] = {
		[VUSER_REGIONCAP_SPARSE_MMAP] = "sparse mmap",
		[VUSER_REGIONCAP_TYPE] = "type",
		[VUSER_REGIONCAP_MSIX_MAPPABLE] = "MSI-X mappable",
	};

	return id < sizeof(names) / sizeof(names[0]) ? names[id] : NULL;
}

static void show_cap(struct app *app, cJSON *array, const struct vuser_regioncap *c)
{
	const char *name = cap_name(c->id);
	cJSON *cap = json_entry(array), *areas = NULL;
	FILE *out = text(app);

	json_count(cap, "id", c->id);
	json_count(cap, "version", c->version);
	if (name)
		json_text(cap, "name", name);
	if (out)
		fprintf(out, "    at 0x%" PRIx32 ": %s (id %u, version %u)", c->offset,
			name ? name : "unknown", c->id, c->version);
	if (c->id == VUSER_REGIONCAP_TYPE) {
		json_count(cap, "type", c->type);
		json_count(cap, "subtype", c->subtype);
		if (out)
			fprintf(out, ": type 0x%" PRIx32 ", subtype 0x%" PRIx32, c->type,
				c->subtype);
	}
	if (out)
		fputc('\n', out);
	if (c->id == VUSER_REGIONCAP_SPARSE_MMAP)
		areas = json_array(cap, "areas");
	for (uint32_t i = 0; i < c->nr_areas && i < VUSER_MAX_SPARSE_AREAS; i++) {
		struct vuser_area area = vuser_regioncap_area(c, i);
		cJSON *entry = json_entry(areas);

		json_hex(entry, "offset", area.offset);
		json_hex(entry, "size", area.size);
		if (out)
			fprintf(out,
				"        area %" PRIu32 ": 0x%" PRIx64
				" bytes at 0x%" PRIx64 "\n",
				i, area.size, area.offset);
	}
}

static void show_failure(struct app *app, cJSON *entry, const struct failure *f)
{
	cJSON *error = json_object(entry, "error");
	char what[400];

	failure_text(f, what, sizeof(what));
	json_text(error, "kind", fail_name(f->kind));
	if (f->err)
		json_text(error, "errno", vuser_errno_name(f->err));
	json_text(error, "message", what);
	if (text(app))
		fprintf(text(app), "%s\n", what);
}

static void show_refusal(struct app *app, cJSON *entry, const struct vuser_error *e)
{
	struct failure f;

	failure_from(&f, e);
	show_failure(app, entry, &f);
}

static void show_name(struct app *app, cJSON *entry, uint32_t index, const char *name)
{
	json_count(entry, "index", index);
	if (name)
		json_text(entry, "name", name);
	if (text(app))
		fprintf(text(app), "%4" PRIu32 "  %-8s", index, name ? name : "-");
}

static void show_region(struct app *app, cJSON *array, uint32_t index,
			const struct described *d)
{
	cJSON *entry = json_entry(array), *caps;
	const struct vuser_region *r = d->region;
	FILE *out = text(app);
	char flags[80], size[32];

	show_name(app, entry, index, vuser_region_name(index));
	if (!r) {
		show_refusal(app, entry, &d->refusal);
		return;
	}
	json_flags(entry, "flags", r->info.flags, region_flags);
	json_hex(entry, "size", r->info.size);
	json_hex(entry, "offset", r->info.offset);
	json_count(entry, "fds", r->nfds);
	if (out)
		fprintf(out, "  0x%-10" PRIx64 " %-10s %-26s 0x%-10" PRIx64 " %3zu\n",
			r->info.size, size_text(size, sizeof(size), r->info.size),
			flags_text(flags, sizeof(flags), r->info.flags, region_flags),
			r->info.offset, r->nfds);
	caps = r->ncaps || r->chain.code ? json_array(entry, "capabilities") : NULL;
	for (size_t i = 0; i < r->ncaps; i++)
		show_cap(app, caps, &r->caps[i]);
	if (r->chain.code) {
		if (out)
			fputs("    capabilities: ", out);
		show_refusal(app, entry, &r->chain);
	}
}

static int show_regions(struct app *app, uint32_t n)
{
	cJSON *array = json_array(json(app), "regions");
	struct described d;
	int rc = FAIL_NONE;

	if (text(app))
		fprintf(text(app), "%s%4s  %-8s  %-12s %-10s %-26s %-12s %3s%s\n",
			bold(app), "", "region", "size", "", "flags", "offset", "fds",
			plain(app));
	for (uint32_t i = 0; i < n && !rc; i++) {
		rc = get_region(app, i, &d);
		if (!rc)
			show_region(app, array, i, &d);
		vuser_region_free(d.region);
	}
	return rc;
}

static int run_regions(struct app *app, const struct args *a)
{
	struct vuser_device_info info;
	int rc = get_info(app, &info);

	(void)a;
	return rc ? rc : show_regions(app, info.num_regions);
}

/* ---- irqs ---------------------------------------------------------------------- */

static void show_irq(struct app *app, cJSON *array, uint32_t index,
		     const struct vuser_irq_info *info, const struct vuser_error *refusal)
{
	cJSON *entry = json_entry(array);
	char flags[80];

	show_name(app, entry, index, vuser_irq_name(index));
	if (refusal) {
		show_refusal(app, entry, refusal);
		return;
	}
	json_flags(entry, "flags", info->flags, irq_flags);
	json_count(entry, "count", info->count);
	if (text(app))
		fprintf(text(app), "  %7" PRIu32 "  %s\n", info->count,
			flags_text(flags, sizeof(flags), info->flags, irq_flags));
}

static int show_irqs(struct app *app, uint32_t n)
{
	cJSON *array = json_array(json(app), "irqs");
	struct vuser_irq_info info;
	struct vuser_error e;
	int code;

	if (text(app))
		fprintf(text(app), "%s%4s  %-9s %7s  %s%s\n", bold(app), "", "interrupt",
			"vectors", "flags", plain(app));
	for (uint32_t i = 0; i < n; i++) {
		code = vuser_get_irq(app->client, i, &info, &e);
		if (code && code != VUSER_E_REMOTE)
			return fail_from(app, &e);
		show_irq(app, array, i, &info, code ? &e : NULL);
	}
	return FAIL_NONE;
}

static int run_irqs(struct app *app, const struct args *a)
{
	struct vuser_device_info info;
	int rc = get_info(app, &info);

	(void)a;
	return rc ? rc : show_irqs(app, info.num_irqs);
}

/* ---- config -------------------------------------------------------------------- */

/* Sizes that the decoder shows beside BARs and ROM. */
static int read_sizes(struct app *app, uint32_t num_regions, struct pci_view *view)
{
	struct described d;
	int rc;

	for (uint32_t i = 0; i <= VUSER_REGION_ROM && i < num_regions; i++) {
		rc = get_region(app, i, &d);
		if (rc)
			return rc;
		if (d.region && i < PCI_BARS) {
			view->bar_size[i] = d.region->info.size;
			view->bar_size_known[i] = true;
		} else if (d.region) {
			view->rom_size = d.region->info.size;
		}
		vuser_region_free(d.region);
	}
	return FAIL_NONE;
}

/* Reads config space into buf, as much as there is. */
static int read_config(struct app *app, const struct vuser_device_info *info,
		       uint8_t *buf, struct pci_view *view)
{
	uint64_t max = vuser_client_theirs(app->client)->max_data_xfer_size;
	struct described d;
	struct vuser_error e;
	size_t len, at, piece;
	int rc;

	*view = (struct pci_view){ .cfg = buf };
	if (info->num_regions <= VUSER_REGION_CONFIG)
		return fail(app, FAIL_REMOTE, 0, "the device has no config space");
	rc = get_region(app, VUSER_REGION_CONFIG, &d);
	if (rc)
		return rc;
	if (!d.region)
		return fail_from(app, &d.refusal);
	len = d.region->info.size < CONFIG_MAX ? (size_t)d.region->info.size : CONFIG_MAX;
	vuser_region_free(d.region);
	if (!len)
		return fail(app, FAIL_REMOTE, 0, "the device has no config space");
	for (at = 0; at < len; at += piece) {
		piece = max && len - at > max ? (size_t)max : len - at;
		if (vuser_read(app->client, VUSER_REGION_CONFIG, at, buf + at, piece, &e))
			return fail_from(app, &e);
	}
	view->len = len;
	return read_sizes(app, info->num_regions, view);
}

static void show_config(struct app *app, const struct pci_view *view)
{
	if (text(app))
		pci_print(text(app), view);
	if (json(app))
		cJSON_AddItemToObject(json(app), "config", pci_json(view));
}

static int run_config(struct app *app, const struct args *a)
{
	struct vuser_device_info info;
	uint8_t cfg[CONFIG_MAX];
	struct pci_view view;
	int rc = get_info(app, &info);

	(void)a;
	rc = rc ? rc : read_config(app, &info, cfg, &view);
	if (!rc)
		show_config(app, &view);
	return rc;
}

/* ---- info ---------------------------------------------------------------------- */

static void show_device(struct app *app, const struct vuser_device_info *info,
			const struct pci_view *view)
{
	cJSON *device = json_object(json(app), "device");
	char flags[80], identity[PCI_IDENTITY_MAX] = "not a PCI device";

	if (view->len)
		pci_identity(view, identity, sizeof(identity));
	if (view->len)
		json_text(device, "identity", identity);
	json_flags(device, "flags", info->flags, device_flags);
	json_count(device, "num_regions", info->num_regions);
	json_count(device, "num_irqs", info->num_irqs);
	if (text(app))
		fprintf(text(app),
			"%s%s%s\nflags %s, %" PRIu32 " regions, %" PRIu32
			" interrupt types\n\n",
			bold(app), identity, plain(app),
			flags_text(flags, sizeof(flags), info->flags, device_flags),
			info->num_regions, info->num_irqs);
}

static int run_info(struct app *app, const struct args *a)
{
	struct vuser_device_info info;
	struct pci_view view = { 0 };
	struct failure why = { 0 };
	uint8_t cfg[CONFIG_MAX];
	int rc = get_info(app, &info);

	(void)a;
	if (!rc && info.flags & VUSER_DEVICE_PCI) {
		rc = read_config(app, &info, cfg, &view);
		why = app->fail;
	}
	/* A device whose config space cannot be read is worth a look all the more. */
	if (rc && rc != FAIL_REMOTE)
		return rc;
	show_device(app, &info, &view);
	rc = show_regions(app, info.num_regions);
	if (!rc && text(app))
		fputc('\n', text(app));
	rc = rc ? rc : show_irqs(app, info.num_irqs);
	if (rc || (!view.len && !why.kind))
		return rc;
	if (text(app))
		fprintf(text(app), "\n%sconfig space%s\n", bold(app), plain(app));
	if (view.len)
		show_config(app, &view);
	else
		show_failure(app, json_object(json(app), "config"), &why);
	return FAIL_NONE;
}

static int run_reset(struct app *app, const struct args *a)
{
	struct vuser_error e;

	(void)a;
	return vuser_reset(app->client, &e) ? fail_from(app, &e) : FAIL_NONE;
}

static const struct command rows[] = {
	{ .name = "info",
	  .synopsis = "",
	  .summary = "the whole device: identity, regions, interrupts, config space",
	  .run = run_info,
	  .flags = CMD_CONNECTED },
	{ .name = "regions",
	  .synopsis = "",
	  .summary = "the regions with their capabilities",
	  .help = "The offset is what goes to mmap() with the descriptor that came along; fds\n"
		  "counts these.\n",
	  .run = run_regions,
	  .flags = CMD_CONNECTED },
	{ .name = "irqs",
	  .synopsis = "",
	  .summary = "the interrupts",
	  .run = run_irqs,
	  .flags = CMD_CONNECTED },
	{ .name = "config",
	  .synopsis = "",
	  .summary = "config space decoded, in the manner of lspci -vv",
	  .run = run_config,
	  .flags = CMD_CONNECTED },
	{ .name = "reset",
	  .synopsis = "",
	  .summary = "reset the device",
	  .help = "This may take long: see set timeout.\n",
	  .run = run_reset,
	  .flags = CMD_CONNECTED },
	{ 0 },
};

const struct command_group device_commands = { "Device", rows };
