/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions that are reached by mmap, with -m: mapped once a connection. */
#include <inttypes.h>

#include "transfer.h"

/* NULL after fail(). */
static struct vuser_mapped *mapping_of(struct app *app, uint32_t region)
{
	struct vuser_mapped *m = NULL;
	struct vuser_region *r;
	struct vuser_error e;

	if (region >= VUSER_MAX_REGIONS) {
		fail(app, FAIL_USAGE, 0, "region %" PRIu32 ", above the %u there may be",
		     region, VUSER_MAX_REGIONS - 1);
		return NULL;
	}
	if (app->mapped[region])
		return app->mapped[region];
	if (vuser_get_region(app->client, region, &r, &e)) {
		fail_from(app, &e);
		return NULL;
	}
	if (vuser_region_map(r, &m, &e))
		fail_from(app, &e);
	else
		app->mapped[region] = m;
	vuser_region_free(r);
	return app->mapped[region];
}

int mapping_check(struct app *app, uint32_t region, uint64_t offset, uint64_t count)
{
	struct vuser_mapped *m = mapping_of(app, region);
	const char *name = vuser_region_name(region);
	struct vuser_area area;

	if (!m)
		return app->fail.kind;
	for (size_t i = 0; count && vuser_mapped_area(m, i, &area); i++) {
		if (offset < area.offset || offset - area.offset >= area.size)
			continue;
		if (count <= area.size - (offset - area.offset))
			return FAIL_NONE;
		count -= area.size - (offset - area.offset);
		offset = area.offset + area.size;
	}
	if (!count)
		return FAIL_NONE;
	return fail(app, FAIL_USAGE, 0,
		    "0x%" PRIx64 " of region %" PRIu32 "%s%s%s is in no area that can be "
		    "mapped",
		    offset, region, name ? " (" : "", name ? name : "", name ? ")" : "");
}

int mapping_copy(struct app *app, uint32_t region, uint64_t offset, void *data,
		 size_t len, bool write)
{
	struct vuser_mapped *m = mapping_of(app, region);
	struct vuser_error e;

	if (!m)
		return app->fail.kind;
	if (write ? vuser_mapped_write(m, offset, data, len, &e)
		  : vuser_mapped_read(m, offset, data, len, &e))
		return fail_from(app, &e);
	return FAIL_NONE;
}

void mapping_drop_all(struct app *app)
{
	for (size_t i = 0; i < VUSER_MAX_REGIONS; i++) {
		vuser_mapped_free(app->mapped[i]);
		app->mapped[i] = NULL;
	}
}
