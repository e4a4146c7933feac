// SPDX-License-Identifier: MIT
/* Images of each kind, in memory. */
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "crash/must.h"
#include "crash/scenario.h"
#include "format/bitmap_directory.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "support/image_builder.h"

const uint8_t *image_pattern(uint8_t *buffer, uint64_t length, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (uint64_t i = 0; i < length; i++) {
		x = x * 1664525u + 1013904223u;
		buffer[i] = (uint8_t)(x >> 24);
	}
	return buffer;
}

/* What an image is built with. */
struct site {
	const struct image_kind *kind;
	struct builder *b;
	uint64_t bytes; /* of a cluster */
	uint8_t *buffer, *text;
};

static void put_data(struct site *s, uint64_t cluster, uint32_t seed)
{
	builder_data(s->b, cluster, image_pattern(s->buffer, s->bytes, seed));
}

static const uint8_t *text(struct site *s, uint8_t number)
{
	memset(s->text, 0, (size_t)s->bytes);
	memcpy(s->text, "compressible", 12);
	s->text[100] = number;
	return s->text;
}

static void fill_compressed(struct site *s)
{
	builder_compressed(s->b, 2, text(s, 0));
	builder_compressed_at(s->b, 3, text(s, 1), s->bytes / 2);
	builder_compressed_at(s->b, 6, text(s, 2), s->bytes - 20);
	if (s->kind->clusters > 8)
		builder_compressed(s->b, 7, memset(s->text, 0, (size_t)s->bytes));
}

/* Guest clusters 0..7 are of all kinds, and one lies far behind them. */
static void fill_disk(struct site *s)
{
	bool has_zeroes = s->kind->version >= 3;

	put_data(s, 5, 6);
	builder_skip_clusters(s->b, s->kind->skip + s->kind->fill);
	put_data(s, 0, 1);
	put_data(s, 1, 2);
	if (s->kind->compressed) {
		fill_compressed(s);
	} else {
		put_data(s, 2, 3);
		if (has_zeroes)
			builder_zero_alloc(s->b, 3);
	}
	if (has_zeroes)
		builder_zero(s->b, 4);
	if (s->kind->extended_l2)
		builder_subclusters(s->b, 6, image_pattern(s->buffer, s->bytes, 4), 0x00ff0f01,
				    0xf0000070);
	put_data(s, s->kind->clusters - 1, 5);
}

/* Little, so that the base shows through. */
static void fill_overlay(struct site *s)
{
	put_data(s, 2, 3);
	builder_skip_clusters(s->b, 3);
	builder_compressed(s->b, 4, text(s, 0));
	if (s->kind->extended_l2)
		builder_subclusters(s->b, 6, image_pattern(s->buffer, s->bytes, 4), 0x00ff00f0,
				    0x0f00000f);
	else if (s->kind->version >= 3)
		builder_zero(s->b, 6);
}

/* Some are alike, some differ in one table only; the disk is like the last one if that is even. */
static void take_snapshots(struct site *s)
{
	for (uint32_t i = 1; i <= s->kind->snapshots; i++) {
		char id[12], name[24];

		snprintf(id, sizeof(id), "%u", i);
		snprintf(name, sizeof(name), "state number %u", i);
		builder_snapshot(s->b, id, name);
		if (i == 1)
			put_data(s, 1, 7);
		else if (i == 3)
			put_data(s, s->kind->clusters - 1, 8);
		else if (i == 4)
			builder_unallocated(s->b, 0);
		else if (i == 5)
			put_data(s, 2, 9);
	}
}

/* The disk of an overlay has what no snapshot has, and shows the base where each of them does not. */
static void part_from_snapshots(struct site *s)
{
	put_data(s, 3, 10);
	builder_unallocated(s->b, 2);
}

static void lengthen_first_snapshot(struct site *s, uint64_t disk_bytes)
{
	uint64_t extra = builder_snapshot_entry_at(s->b, 0) + sizeof(struct qc_disk_snapshot);

	builder_poke64(s->b, extra + offsetof(struct qc_disk_snapshot_extra, disk_size),
		       disk_bytes + 2 * s->bytes);
}

/* --- bases --- */

/* Both have something in common; the old one ends before the disk does, the new one after it. */
static void put_base(uint32_t cluster_bits, uint64_t disk_bytes, bool new)
{
	uint64_t cluster = UINT64_C(1) << cluster_bits;
	uint64_t bytes = new ? disk_bytes + cluster : disk_bytes - cluster / 2;
	uint8_t *content = malloc((size_t)bytes);

	must(content);
	for (uint64_t at = 0; at < bytes; at++) {
		uint64_t n = at / cluster;
		bool differs = new &&n % 3 == 0;
		bool zero = n % 4 == (new ? 1 : 3);

		content[at] = zero ? 0 : (uint8_t)(n + 1 + (differs ? 100 + at % 7 : 0));
	}
	folder_put(new ? "new" : "old", content, bytes);
	free(content);
}

void image_put_bases(uint32_t cluster_bits, uint64_t disk_bytes)
{
	put_base(cluster_bits, disk_bytes, false);
	put_base(cluster_bits, disk_bytes, true);
}

/* --- what is wrong with it --- */

/* Stale bytes in what is free: nothing may depend on their being zero. */
static void soil(const struct builder *b, uint8_t *bytes, uint64_t size)
{
	uint64_t cluster = builder_geometry(b)->cluster_bytes;

	for (uint64_t at = 0; at < size; at += cluster)
		if (builder_refcount(b, at / cluster) == 0)
			memset(bytes + at, 0xdb, (size_t)qc_min(cluster, size - at));
}

static void leak(struct site *s, uint64_t size)
{
	unsigned int leaks = 0;

	for (uint64_t i = 1; i < size / s->bytes && leaks < 3; i++)
		if (builder_refcount(s->b, i) == 0) {
			builder_poke_refcount(s->b, i, 1 + leaks % 2);
			leaks++;
		}
	must(leaks > 0);
}

static void flip_flag(struct site *s, uint64_t at)
{
	builder_poke64(s->b, at, builder_peek64(s->b, at) ^ QC_L2_COPIED);
}

static void damage(struct site *s, uint64_t size)
{
	switch (s->kind->damage) {
	case DAMAGE_COUNTS:
		builder_poke_refcount(s->b, builder_host_of(s->b, 5) / s->bytes, 0);
		builder_poke_refcount(s->b, builder_host_of(s->b, 2) / s->bytes, 9);
		leak(s, size);
		break;
	case DAMAGE_LEAKS:
	case DAMAGE_MARKS:
		leak(s, size);
		break;
	case DAMAGE_FLAGS:
		flip_flag(s, builder_l1_entry_at(s->b, 0));
		flip_flag(s, builder_l2_entry_at(s->b, 5));
		break;
	case DAMAGE_ENTRY: /* past the end of the disk, as all that is on it has to be read */
		builder_poke64(s->b, builder_l2_entry_at(s->b, s->kind->clusters + 1),
			       (builder_host_of(s->b, 5) + 512) | QC_L2_COPIED | QC_L2_ZERO);
		break;
	case DAMAGE_BLOCKS:
		builder_poke64(s->b, builder_refcount_table_entry_at(s->b, 0), 0x1234);
		break;
	case DAMAGE_NONE:
		break;
	}
}

/* Stops an edit of the image before or after its one write of sector 0. */
static void interrupt(const struct image_kind *kind, struct image_bytes *image)
{
	static const struct edit_kind edit = {
		.name = "interrupted",
		.steps = {{STEP_WRITE, 3, 16 * 2, false}, {STEP_DISCARD, 16 * 5, 16, false}},
	};
	struct image_bytes done = {0};
	struct crash_log log = {0};
	size_t flip;

	image_bytes_copy(&done, image->bytes, image->size);
	edit_bytes(&edit, 50, &done, &log, NULL);
	image_bytes_clear(&done);
	flip = crash_log_flip(&log, 0);
	must(flip < log.count);
	crash_log_apply(&log, 0, flip + (kind->interrupted == INTERRUPTED_AFTER ? 1 : 0), image);
	crash_log_clear(&log);
}

/* --- all of it --- */

static struct builder_options options_of(const struct image_kind *kind)
{
	struct builder_options options = builder_defaults();

	options.version = kind->version;
	options.cluster_bits = kind->cluster_bits;
	options.refcount_order = kind->refcount_order;
	options.extended_l2 = kind->extended_l2;
	options.disk_bytes = (uint64_t)kind->clusters << kind->cluster_bits;
	options.autoclear = kind->autoclear ? UINT64_C(1) << 63 : 0;
	if (kind->zstd)
		options.compression = QC_COMPRESSION_ZSTD;
	if (kind->damage == DAMAGE_MARKS)
		options.incompatible = QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT;
	if (kind->backing) {
		options.disk_bytes -= 100;
		options.backing_name = "old";
		options.backing_format = "raw";
	}
	return options;
}

void image_kind_build(const struct image_kind *kind, struct image_bytes *ret)
{
	const struct builder_options options = options_of(kind);
	uint64_t cluster = UINT64_C(1) << kind->cluster_bits;
	struct site s = {
		.kind = kind,
		.b = builder_new(&options),
		.bytes = cluster,
		.buffer = malloc((size_t)cluster),
		.text = malloc((size_t)cluster),
	};
	uint8_t *bytes;
	size_t length;

	must(s.buffer && s.text);
	if (kind->backing) {
		image_put_bases(kind->cluster_bits, options.disk_bytes);
		fill_overlay(&s);
	} else {
		fill_disk(&s);
	}
	take_snapshots(&s);
	if (kind->backing && kind->snapshots > 0)
		part_from_snapshots(&s);
	if (kind->bitmap || kind->watched)
		builder_bitmap(s.b, "kept", 16, 0);
	if (kind->watched)
		builder_bitmap(s.b, "watch", 9, QC_BITMAP_AUTO);
	builder_finish(s.b, &bytes, &length);
	if (kind->longer)
		lengthen_first_snapshot(&s, options.disk_bytes);
	soil(s.b, bytes, length);
	damage(&s, length);
	image_bytes_copy(ret, bytes, length);
	builder_free(s.b);
	free(s.buffer);
	free(s.text);
	if (kind->interrupted != INTERRUPTED_NO)
		interrupt(kind, ret);
}
