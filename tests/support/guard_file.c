// SPDX-License-Identifier: MIT
#include "tests/support/guard_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "tests/support/guard_live.h"
#include "tests/support/image_builder_impl.h"

enum phase {
	BEFORE,	 /* something was written since the last full sync */
	SYNCED,	 /* nothing was */
	FLIPPED, /* sector 0 was written and may or may not be on the storage */
};

struct guard {
	struct qc_file base;
	struct qc_file *inner;
	struct guard *image; /* of a data file's guard; else NULL, and all that follows counts */
	enum phase phase;
	unsigned int flips;
	uint64_t bytes_at_first;
	bool data_unsynced; /* the data file was changed since its last sync */
	struct guard_live live;
	char violation[256];
};

static struct guard *guard_of(struct qc_file *file)
{
	return (struct guard *)file;
}

static int violate(struct guard *g, const char *what, uint64_t offset, uint64_t length,
		   const char *why, struct qc_err *err)
{
	if (g->violation[0] == '\0')
		snprintf(g->violation, sizeof(g->violation),
			 "%s of %" PRIu64 " bytes at 0x%" PRIx64 " %s", what, length, offset, why);
	return qc_fail(err, QC_E_ARGUMENT, "guard: %s", g->violation);
}

/* The committed state, which is what it was until something is changed. */
static const struct guard_live *live_of(struct guard *g)
{
	if (!g->live.known)
		guard_live_load(&g->live);
	return &g->live;
}

/* --- the image --- */

/* Any change but the flip. */
static int allow_in_image(struct guard *g, const char *what, uint64_t offset, uint64_t length,
			  struct qc_err *err)
{
	if (g->phase == FLIPPED)
		return violate(g, what, offset, length, "between the flip and its sync", err);
	if (guard_live_uses(live_of(g), offset, length))
		return violate(g, what, offset, length, "that the committed state uses", err);
	g->phase = BEFORE;
	return 0;
}

/*
 * What is cut off. Broken images refer to what lies behind their end, and a journal that was there for a
 * while has to go all the same. What they count there, too, is theirs only once something was committed.
 */
static int allow_cut(struct guard *g, uint64_t from, uint64_t to, struct qc_err *err)
{
	uint64_t middle = qc_max(from, qc_min(to, g->bytes_at_first));
	int status = allow_in_image(g, "cut", from, middle - from, err);

	if (status == 0 && g->flips > 0 && guard_live_counts(live_of(g), middle, to - middle))
		return violate(g, "cut", middle, to - middle, "that the committed state uses", err);
	return status;
}

static void read_sector0(const struct guard *g, uint8_t ret[QC_SECTOR_BYTES])
{
	struct qc_err err;

	builder_must(qc_file_read(g->live.truth, 0, ret, QC_SECTOR_BYTES, &err) == 0,
		     "the guard cannot read the image");
}

/* A write that was refused as a whole is none. */
static int flip(struct guard *g, const void *sector, struct qc_err *err)
{
	uint8_t before[QC_SECTOR_BYTES], after[QC_SECTOR_BYTES];
	int status;

	if (g->data_unsynced)
		return violate(g, "write", 0, QC_SECTOR_BYTES, "before the data file is synced",
			       err);
	read_sector0(g, before);
	status = qc_file_write(g->inner, 0, sector, QC_SECTOR_BYTES, err);
	read_sector0(g, after);
	if (status < 0 && memcmp(before, after, sizeof(after)) == 0)
		return status;
	g->phase = FLIPPED;
	g->flips++;
	return status;
}

static void image_synced(struct guard *g, enum qc_sync kind)
{
	if (g->phase == FLIPPED) {
		/* Nothing else was written since the sync before it. */
		g->phase = SYNCED;
		guard_live_clear(&g->live);
	} else if (kind == QC_SYNC_FULL) {
		g->phase = SYNCED;
	}
}

/* --- the data file --- */

static int allow_in_data(struct guard *g, const char *what, uint64_t offset, uint64_t length,
			 struct qc_err *err)
{
	struct guard *image = g->image;
	const struct guard_live *live;

	if (image->phase == FLIPPED)
		return violate(image, what, offset, length,
			       "in the data file between the flip and its sync", err);
	live = live_of(image);
	if (!guard_live_is_marked(live)
	    && (guard_live_is_raw(live) || guard_live_shows(live, offset, length)))
		return violate(image, what, offset, length,
			       "in the data file that the committed image shows", err);
	image->data_unsynced = true;
	return 0;
}

/* --- both --- */

static int allow(struct guard *g, const char *what, uint64_t offset, uint64_t length,
		 struct qc_err *err)
{
	return g->image ? allow_in_data(g, what, offset, length, err)
			: allow_in_image(g, what, offset, length, err);
}

static int guard_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		      struct qc_err *err)
{
	return qc_file_read(guard_of(file)->inner, offset, buffer, length, err);
}

static int guard_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		       struct qc_err *err)
{
	struct guard *g = guard_of(file);
	int status;

	if (!g->image && offset == 0 && length == QC_SECTOR_BYTES && g->phase == SYNCED)
		return flip(g, buffer, err);
	if ((status = allow(g, "write", offset, length, err)) < 0)
		return status;
	status = qc_file_write(g->inner, offset, buffer, length, err);
	file->bytes = g->inner->bytes;
	return status;
}

static int guard_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	struct guard *g = guard_of(file);
	uint64_t old = qc_max(file->bytes, bytes);
	int status = g->image ? allow_in_data(g, "resize", bytes, old - bytes, err)
			      : allow_cut(g, bytes, old, err);

	if (status == 0)
		status = qc_file_resize(g->inner, bytes, err);
	file->bytes = g->inner->bytes;
	return status;
}

static int guard_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	int status = allow(guard_of(file), "punch", offset, length, err);

	return status < 0 ? status : qc_file_punch(guard_of(file)->inner, offset, length, err);
}

static int guard_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	struct guard *g = guard_of(file);
	int status = qc_file_sync(g->inner, kind, err);

	if (status < 0)
		return status;
	if (g->image)
		g->image->data_unsynced = false;
	else
		image_synced(g, kind);
	return 0;
}

static int guard_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			uint64_t *ret_length, struct qc_err *err)
{
	return qc_file_extent(guard_of(file)->inner, offset, length, ret_data, ret_length, err);
}

static void guard_close(struct qc_file *file)
{
	guard_live_clear(&guard_of(file)->live);
	free(file);
}

static struct guard *open_guard(struct qc_file *inner)
{
	static const struct qc_file_ops ops = {
		.read = guard_read,
		.write = guard_write,
		.resize = guard_resize,
		.punch = guard_punch,
		.sync = guard_sync,
		.extent = guard_extent,
		.close = guard_close,
	};
	struct guard *g = calloc(1, sizeof(*g));

	builder_must(g != NULL, "out of memory");
	g->base = (struct qc_file){
		.ops = &ops,
		.bytes = inner->bytes,
		.fixed_length = inner->fixed_length,
		.writable = true,
	};
	g->inner = inner;
	g->bytes_at_first = inner->bytes;
	return g;
}

struct qc_file *guard_file_open(struct qc_file *inner, struct qc_file *truth)
{
	struct guard *g = open_guard(inner);

	g->live.truth = truth;
	return &g->base;
}

struct qc_file *guard_file_open_data(struct qc_file *inner, struct qc_file *image)
{
	struct guard *g = open_guard(inner);

	g->image = guard_of(image);
	return &g->base;
}

void guard_file_believe_references(struct qc_file *guard)
{
	guard_of(guard)->live.with_references = true;
}

const char *guard_violation(const struct qc_file *guard)
{
	const struct guard *g = (const struct guard *)guard;

	return g->violation[0] != '\0' ? g->violation : NULL;
}

unsigned int guard_flips(const struct qc_file *guard)
{
	return ((const struct guard *)guard)->flips;
}
