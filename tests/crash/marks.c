// SPDX-License-Identifier: MIT
#include "crash/marks.h"

#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/must.h"
#include "image/image.h"
#include "image/read.h"

/* One side: the image, and its whole disk. */
struct side {
	struct buffer_file file;
	struct qc_image *image;
	uint8_t *disk;
	uint64_t bytes;
};

static void open_side(struct side *s, const struct image_bytes *bytes)
{
	struct qc_layer layer = {.file = &s->file.base};
	struct qc_err err;

	buffer_file_init(&s->file);
	buffer_file_show(&s->file, bytes->bytes, bytes->size);
	must(qc_image_open(&s->file.base, NULL, &s->image, &err) == 0);
	s->bytes = s->image->header.disk_bytes;
	s->disk = malloc((size_t)s->bytes);
	must(s->disk);
	layer.image = s->image;
	layer.disk_bytes = s->bytes;
	must(qc_read_layer(&layer, qc_guest(0), s->disk, (size_t)s->bytes, &err) == 0);
}

static void close_side(struct side *s)
{
	free(s->disk);
	qc_image_close(s->image);
}

static bool is_marked(const struct side *s, const struct qc_bitmap *bitmap, uint64_t bit)
{
	uint64_t bits_each = s->image->geometry.cluster_bytes * 8;
	const uint8_t *bytes = s->file.bytes;
	uint64_t entry;

	if (bit / bits_each >= bitmap->table_entries)
		return false;
	entry = qc_load_be64(bytes + bitmap->table.byte + bit / bits_each * 8);
	bit %= bits_each;
	if ((entry & QC_BITMAP_TABLE_OFFSET_MASK) == 0)
		return entry & QC_BITMAP_TABLE_ALL_ONES;
	return bytes[(entry & QC_BITMAP_TABLE_OFFSET_MASK) + bit / 8] >> bit % 8 & 1;
}

/* What is beyond the end of the shorter disk counts as zeroes. */
static bool differs(const struct side *a, const struct side *b, uint64_t at)
{
	return (at < a->bytes ? a->disk[at] : 0) != (at < b->bytes ? b->disk[at] : 0);
}

static bool is_complete(const struct side *old, const struct side *new, size_t index)
{
	const struct qc_bitmap *was = &old->image->bitmaps.list[index];
	const struct qc_bitmap *is = &new->image->bitmaps.list[index];

	for (uint64_t at = 0; at < new->bytes; at++) {
		uint64_t bit = at >> is->granularity_bits;

		if ((differs(old, new, at) || is_marked(old, was, bit)) && !is_marked(new, is, bit))
			return false;
	}
	return true;
}

bool marks_are_right(const struct image_bytes *old, const struct image_bytes *new)
{
	struct side before, after;
	bool ok;

	open_side(&before, old);
	open_side(&after, new);
	ok = before.image->bitmaps.count == after.image->bitmaps.count;
	for (size_t i = 0; ok && i < after.image->bitmaps.count; i++)
		if (after.image->bitmaps.list[i].flags & QC_BITMAP_AUTO)
			ok = is_complete(&before, &after, i);
	close_side(&before);
	close_side(&after);
	return ok;
}
