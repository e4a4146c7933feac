// SPDX-License-Identifier: MIT
/*
 * Which of the two files a byte is read from is noted for each block of 512 bytes: a block is
 * either all in `upper` or all in `lower`. A write of part of a block therefore first copies the
 * rest of it up.
 *
 * 1. `lower` is only ever read, and only below lower_visible: a view that was cut and then grew
 *    again shows zeroes there, not what lower still has.
 * 2. A block is noted as being in upper only after all of it has been written there.
 * 3. Past the end of the view, upper has zeroes or its own end; so what is noted there, from before
 *    the view was cut, may stay.
 *
 * The notes are bit sets of 1 GiB of the view each, made when something in it is written: memory
 * goes with what is written, not with where.
 */
#include "io/file_overlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/checked.h"

#define BLOCK_BYTES 512u
#define REGION_BLOCKS (UINT64_C(1) << 21)

struct qc_file_overlay {
	struct qc_file base;
	struct qc_file *lower;
	struct qc_file *upper;
	uint64_t lower_visible;	   /* bytes of lower that can still show through */
	struct qc_bitset *regions; /* of blocks in upper; a region never written to has no bits */
	uint64_t region_count;
};

static struct qc_file_overlay *overlay(struct qc_file *file)
{
	return (struct qc_file_overlay *)file;
}

static bool block_is_up(const struct qc_file_overlay *o, uint64_t block)
{
	uint64_t region = block / REGION_BLOCKS;

	return region < o->region_count
	       && qc_bitset_has(&o->regions[region], block % REGION_BLOCKS);
}

/* How many bytes from offset on, at most length, come from the same file; *ret_up says if upper. */
static uint64_t run_at(const struct qc_file_overlay *o, uint64_t offset, uint64_t length,
		       bool *ret_up)
{
	uint64_t block = offset / BLOCK_BYTES;
	uint64_t region = block / REGION_BLOCKS;
	const struct qc_bitset *set = region < o->region_count ? &o->regions[region] : NULL;
	uint64_t end = REGION_BLOCKS;

	*ret_up = block_is_up(o, block);
	if (set && set->bits > 0)
		end = *ret_up ? qc_bitset_next_absent(set, block % REGION_BLOCKS)
			      : qc_bitset_next(set, block % REGION_BLOCKS);
	return qc_min(length, (region * REGION_BLOCKS + end) * BLOCK_BYTES - offset);
}

static int grow_regions(struct qc_file_overlay *o, uint64_t count, struct qc_err *err)
{
	struct qc_bitset *grown;

	if (count <= o->region_count)
		return 0;
	grown = reallocarray(o->regions, (size_t)count, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	memset(grown + o->region_count, 0, (size_t)(count - o->region_count) * sizeof(*grown));
	o->regions = grown;
	o->region_count = count;
	return 0;
}

/* Makes room for notes about the range, so that noting cannot fail once upper is written. */
static int prepare_notes(struct qc_file_overlay *o, uint64_t offset, uint64_t length,
			 struct qc_err *err)
{
	uint64_t region = offset / BLOCK_BYTES / REGION_BLOCKS;
	uint64_t last = (offset + length - 1) / BLOCK_BYTES / REGION_BLOCKS;

	if (grow_regions(o, last + 1, err) < 0)
		return -(int)err->code;
	for (; region <= last; region++)
		if (o->regions[region].bits == 0
		    && !qc_bitset_init(&o->regions[region], REGION_BLOCKS))
			return qc_fail_memory(err);
	return 0;
}

/* Notes every block that the range touches as being in upper. */
static void note_up(struct qc_file_overlay *o, uint64_t offset, uint64_t length)
{
	uint64_t block = offset / BLOCK_BYTES;
	uint64_t end = qc_div_up(offset + length, BLOCK_BYTES);
	uint64_t count;

	for (; block < end; block += count) {
		count = qc_min(end - block, REGION_BLOCKS - block % REGION_BLOCKS);
		qc_bitset_add_range(&o->regions[block / REGION_BLOCKS], block % REGION_BLOCKS,
				    count);
	}
}

static int read_lower(struct qc_file_overlay *o, uint64_t offset, uint8_t *to, size_t length,
		      struct qc_err *err)
{
	size_t shown = 0;

	if (offset < o->lower_visible)
		shown = (size_t)qc_min(length, o->lower_visible - offset);
	memset(to + shown, 0, length - shown);
	return shown > 0 ? qc_file_read(o->lower, offset, to, shown, err) : 0;
}

static int overlay_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
			struct qc_err *err)
{
	struct qc_file_overlay *o = overlay(file);
	uint8_t *to = buffer;
	size_t step;
	bool up;
	int status;

	for (; length > 0; offset += step, to += step, length -= step) {
		step = (size_t)run_at(o, offset, length, &up);
		status = up ? qc_file_read(o->upper, offset, to, step, err)
			    : read_lower(o, offset, to, step, err);
		if (status < 0)
			return status;
	}
	return 0;
}

/* Copies the block around an edge of a write up, if the edge cuts it and it is not there yet. */
static int copy_cut_block(struct qc_file_overlay *o, uint64_t edge, struct qc_err *err)
{
	uint64_t start = qc_align_down(edge, BLOCK_BYTES);
	uint8_t block[BLOCK_BYTES];

	if (edge == start || block_is_up(o, edge / BLOCK_BYTES))
		return 0;
	if (read_lower(o, start, block, sizeof(block), err) < 0
	    || qc_file_write(o->upper, start, block, sizeof(block), err) < 0)
		return -(int)err->code;
	note_up(o, start, BLOCK_BYTES);
	return 0;
}

static int prepare_range(struct qc_file_overlay *o, uint64_t offset, uint64_t length,
			 struct qc_err *err)
{
	if (prepare_notes(o, offset, length, err) < 0 || copy_cut_block(o, offset, err) < 0
	    || copy_cut_block(o, offset + length, err) < 0)
		return -(int)err->code;
	return 0;
}

static int overlay_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
			 struct qc_err *err)
{
	struct qc_file_overlay *o = overlay(file);

	if (prepare_range(o, offset, length, err) < 0
	    || qc_file_write(o->upper, offset, buffer, length, err) < 0)
		return -(int)err->code;
	note_up(o, offset, length);
	file->bytes = qc_max(file->bytes, offset + length);
	return 0;
}

static int overlay_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	struct qc_file_overlay *o = overlay(file);

	/* Nothing in upper, noted as being in upper: zeroes. */
	if (prepare_range(o, offset, length, err) < 0
	    || qc_file_punch(o->upper, offset, length, err) < 0)
		return -(int)err->code;
	note_up(o, offset, length);
	return 0;
}

static int overlay_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	struct qc_file_overlay *o = overlay(file);

	if (o->upper->bytes > bytes && qc_file_resize(o->upper, bytes, err) < 0)
		return -(int)err->code;
	o->lower_visible = qc_min(o->lower_visible, bytes);
	file->bytes = bytes;
	return 0;
}

/* The view does not outlive the process, so there is nothing that a sync could promise. */
static int overlay_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	(void)file, (void)kind, (void)err;
	return 0;
}

static int overlay_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			  uint64_t *ret_length, struct qc_err *err)
{
	struct qc_file_overlay *o = overlay(file);
	bool up;
	uint64_t run = run_at(o, offset, length, &up);

	if (up)
		return qc_file_extent(o->upper, offset, run, ret_data, ret_length, err);
	if (offset < o->lower_visible)
		return qc_file_extent(o->lower, offset, qc_min(run, o->lower_visible - offset),
				      ret_data, ret_length, err);
	*ret_data = false;
	*ret_length = run;
	return 0;
}

static void overlay_close(struct qc_file *file)
{
	struct qc_file_overlay *o = overlay(file);

	for (uint64_t region = 0; region < o->region_count; region++)
		qc_bitset_clear(&o->regions[region]);
	free(o->regions);
	qc_file_close(o->upper);
	free(o);
}

static const struct qc_file_ops overlay_ops = {
	.read = overlay_read,
	.write = overlay_write,
	.resize = overlay_resize,
	.punch = overlay_punch,
	.sync = overlay_sync,
	.extent = overlay_extent,
	.close = overlay_close,
};

int qc_file_overlay_open(struct qc_file *lower, struct qc_file *take_upper, struct qc_file **ret,
			 struct qc_err *err)
{
	struct qc_file_overlay *o = calloc(1, sizeof(*o));

	if (!o) {
		qc_file_close(take_upper);
		return qc_fail_memory(err);
	}
	o->base = (struct qc_file){
		.ops = &overlay_ops,
		.bytes = lower->bytes,
		.fixed_length =
			lower->fixed_length, /* so that a dry run fails where the real one does */
		.writable = true,
	};
	o->lower = lower;
	o->upper = take_upper;
	o->lower_visible = lower->bytes;
	*ret = &o->base;
	return 0;
}
