// SPDX-License-Identifier: MIT
#include "crash/scenario.h"

#include <string.h>

#include "base/checked.h"
#include "crash/must.h"
#include "format/bitmap_directory.h"
#include "support/image_builder.h"
#include "txn/recover.h"
#include "txn/txn.h"

const struct image_kind image_kinds[] = {
	{.name = "v3-512", .version = 3, .cluster_bits = 9, .refcount_order = 4, .clusters = 160},
	{.name = "v3-4k", .version = 3, .cluster_bits = 12, .refcount_order = 4, .clusters = 40},
	{.name = "v3-64k", .version = 3, .cluster_bits = 16, .refcount_order = 4, .clusters = 8},
	{.name = "v2-512", .version = 2, .cluster_bits = 9, .refcount_order = 4, .clusters = 160},
	{.name = "v2-4k", .version = 2, .cluster_bits = 12, .refcount_order = 4, .clusters = 40},
	{.name = "v2-64k", .version = 2, .cluster_bits = 16, .refcount_order = 4, .clusters = 8},
	{.name = "ext-16k",
	 .version = 3,
	 .cluster_bits = 14,
	 .refcount_order = 4,
	 .clusters = 12,
	 .extended_l2 = true},
	{.name = "ext-64k",
	 .version = 3,
	 .cluster_bits = 16,
	 .refcount_order = 4,
	 .clusters = 8,
	 .extended_l2 = true,
	 .snapshot = true},
	{.name = "snapshot-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 4,
	 .clusters = 160,
	 .snapshot = true},
	{.name = "snapshot-4k",
	 .version = 3,
	 .cluster_bits = 12,
	 .refcount_order = 4,
	 .clusters = 40,
	 .snapshot = true,
	 .skip = 5},
	{.name = "snapshot-64k",
	 .version = 3,
	 .cluster_bits = 16,
	 .refcount_order = 4,
	 .clusters = 8,
	 .snapshot = true},
	{.name = "snapshot-v2-4k",
	 .version = 2,
	 .cluster_bits = 12,
	 .refcount_order = 4,
	 .clusters = 40,
	 .snapshot = true},
	{.name = "compressed-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 4,
	 .clusters = 96,
	 .compressed = true},
	{.name = "compressed-4k",
	 .version = 3,
	 .cluster_bits = 12,
	 .refcount_order = 4,
	 .clusters = 40,
	 .compressed = true,
	 .snapshot = true},
	{.name = "compressed-v2-64k",
	 .version = 2,
	 .cluster_bits = 16,
	 .refcount_order = 4,
	 .clusters = 8,
	 .compressed = true},
	{.name = "bitmap-4k",
	 .version = 3,
	 .cluster_bits = 12,
	 .refcount_order = 4,
	 .clusters = 40,
	 .bitmap = true,
	 .autoclear = true},
	{.name = "bitmap-64k",
	 .version = 3,
	 .cluster_bits = 16,
	 .refcount_order = 4,
	 .clusters = 8,
	 .bitmap = true,
	 .snapshot = true},
	{.name = "refs1-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 0,
	 .clusters = 160},
	{.name = "refs1-4k",
	 .version = 3,
	 .cluster_bits = 12,
	 .refcount_order = 0,
	 .clusters = 40,
	 .skip = 7},
	{.name = "refs64-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 6,
	 .clusters = 160,
	 .snapshot = true,
	 .skip = 9},
	{.name = "refs64-4k",
	 .version = 3,
	 .cluster_bits = 12,
	 .refcount_order = 6,
	 .clusters = 40,
	 .autoclear = true},
	{.name = "holes-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 4,
	 .clusters = 96,
	 .skip = 60},
	{.name = "holes-4k",
	 .version = 3,
	 .cluster_bits = 12,
	 .refcount_order = 4,
	 .clusters = 40,
	 .skip = 40},
	{.name = "holes-64k",
	 .version = 3,
	 .cluster_bits = 16,
	 .refcount_order = 4,
	 .clusters = 8,
	 .skip = 6,
	 .snapshot = true},
	{.name = "block-growth-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 6,
	 .clusters = 96,
	 .fill = 30},
	{.name = "table-growth-512",
	 .version = 3,
	 .cluster_bits = 9,
	 .refcount_order = 6,
	 .clusters = 96,
	 .fill = 4040},
};
const size_t image_kind_count = sizeof(image_kinds) / sizeof(image_kinds[0]);

#define STEPS(...) .steps = {__VA_ARGS__, {0}}

const struct edit_kind edit_kinds[] = {
	{.name = "write-1", STEPS({EDIT_WRITE, 5, 1, true})},
	{.name = "write-part", STEPS({EDIT_WRITE, 16 * 5 + 3, 7, false})},
	{.name = "write-cluster", STEPS({EDIT_WRITE, 16, 16, false})},
	{.name = "write-many", STEPS({EDIT_WRITE, 16 * 2 + 8, 16 * 4 + 5, false})},
	{.name = "zero", STEPS({EDIT_ZERO, 8, 16 * 3, false})},
	{.name = "discard", STEPS({EDIT_DISCARD, 0, 16 * 4 + 4, false})},
	{.name = "compress", .compress = true, STEPS({EDIT_WRITE, 16, 16 * 3, false})},
	{.name = "grow", STEPS({EDIT_GROW, 0, 16 * 70, false}), .grows = true},
	{.name = "grow-write",
	 .grows = true,
	 STEPS({EDIT_GROW, 0, 16 * 9, false}, {EDIT_WRITE, 16 * 6, 16 * 3, false})},
	{.name = "script",
	 .compress = true,
	 STEPS({EDIT_WRITE, 3, 9, true}, {EDIT_ZERO, 16 * 3, 24, false},
	       {EDIT_WRITE, 16 * 3 + 4, 4, false}, {EDIT_DISCARD, 16 * 6, 16, false},
	       {EDIT_WRITE, 16 * 6, 16, false}, {EDIT_WRITE, 16 * 7 + 2, 3, false})},
	{.name = "write-all", STEPS({EDIT_WRITE, 0, 16 * 8, false})},
};
const size_t edit_kind_count = sizeof(edit_kinds) / sizeof(edit_kinds[0]);

const struct edit_kind edit_after_crash = {
	.name = "after-crash",
	STEPS({EDIT_WRITE, 7, 1, true}, {EDIT_WRITE, 16 * 4 + 2, 9, false},
	      {EDIT_DISCARD, 16 * 6, 16, false}),
};

/* --- images --- */

static const uint8_t *pattern(uint8_t *buffer, uint64_t length, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (uint64_t i = 0; i < length; i++) {
		x = x * 1664525u + 1013904223u;
		buffer[i] = (uint8_t)(x >> 24);
	}
	return buffer;
}

/* Guest clusters 0..7 are of all kinds, and one lies far behind them. */
static void fill_disk(struct builder *b, const struct image_kind *kind, uint8_t *buffer)
{
	uint64_t bytes = UINT64_C(1) << kind->cluster_bits;
	uint8_t *text = calloc(1, (size_t)bytes);

	must(text);
	memcpy(text, "compressible", 12);
	builder_data(b, 0, pattern(buffer, bytes, 1));
	builder_data(b, 1, pattern(buffer, bytes, 2));
	if (kind->compressed) {
		builder_compressed(b, 2, text);
		text[100] = 1;
		builder_compressed_at(b, 3, text, bytes / 2);
		text[100] = 2;
		builder_compressed_at(b, 6, text, bytes - 20);
	} else {
		builder_data(b, 2, pattern(buffer, bytes, 3));
		if (kind->version >= 3)
			builder_zero_alloc(b, 3);
	}
	if (kind->version >= 3)
		builder_zero(b, 4);
	if (kind->extended_l2)
		builder_subclusters(b, 6, pattern(buffer, bytes, 4), 0x00ff0f01, 0xf0000070);
	builder_data(b, kind->clusters - 1, pattern(buffer, bytes, 5));
	free(text);
}

/* Stale bytes in what is free: nothing may depend on their being zero. */
static void soil(struct image_bytes *image, const struct builder *b)
{
	uint64_t cluster = builder_geometry(b)->cluster_bytes;

	for (uint64_t at = 0; at < image->size; at += cluster)
		if (builder_refcount(b, at / cluster) == 0)
			memset(image->bytes + at, 0xdb, (size_t)qc_min(cluster, image->size - at));
}

void image_kind_build(const struct image_kind *kind, struct image_bytes *ret)
{
	struct builder_options options = builder_defaults();
	uint8_t *buffer = malloc((size_t)1 << kind->cluster_bits);
	struct builder *b;
	uint8_t *bytes;
	size_t length;

	must(buffer);
	options.version = kind->version;
	options.cluster_bits = kind->cluster_bits;
	options.refcount_order = kind->refcount_order;
	options.extended_l2 = kind->extended_l2;
	options.disk_bytes = (uint64_t)kind->clusters << kind->cluster_bits;
	options.autoclear = kind->autoclear ? UINT64_C(1) << 63 : 0;
	b = builder_new(&options);
	builder_data(b, 5, pattern(buffer, UINT64_C(1) << kind->cluster_bits, 6));
	builder_skip_clusters(b, kind->skip + kind->fill);
	fill_disk(b, kind, buffer);
	if (kind->snapshot) {
		builder_snapshot(b, "1", "first");
		builder_data(b, 1, pattern(buffer, UINT64_C(1) << kind->cluster_bits, 7));
		builder_snapshot(b, "2", "second");
	}
	if (kind->bitmap)
		builder_bitmap(b, "kept", 16, 0);
	builder_finish(b, &bytes, &length);
	ret->size = length;
	ret->bytes = malloc(length);
	must(ret->bytes);
	memcpy(ret->bytes, bytes, length);
	soil(ret, b);
	builder_free(b);
	free(buffer);
}

/* --- edits --- */

bool edit_fits(const struct edit_kind *edit, const struct image_kind *kind)
{
	/* Snapshots of version 2 do not know their size, and dirty bitmaps would have to grow too. */
	return !edit->grows || ((kind->version >= 3 || !kind->snapshot) && !kind->bitmap);
}

static void recover(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	must(qc_recover_look(file, &plan, &err) == 0);
	must(qc_recover_apply(file, &plan, &err) == 0);
}

static int step(const struct edit_step *e, uint32_t seed, struct qc_txn *txn, uint32_t cluster_bits,
		struct qc_err *err)
{
	uint64_t unit = e->bytes ? 1 : (UINT64_C(1) << cluster_bits) / 16;
	struct qc_guest at = qc_guest(e->at * unit);
	size_t length = (size_t)(e->length * unit);
	uint8_t *bytes;
	int status;

	switch (e->what) {
	case EDIT_ZERO:
		return qc_txn_zero(txn, at, length, err);
	case EDIT_DISCARD:
		return qc_txn_discard(txn, at, length, err);
	case EDIT_GROW:
		return qc_txn_grow(txn, qc_txn_disk_bytes(txn) + length, err);
	case EDIT_WRITE:
	case EDIT_END:
		break;
	}
	bytes = malloc(length);
	must(bytes);
	pattern(bytes, length, seed + e->at);
	/* A third is text, so that some clusters are worth compressing. */
	memset(bytes + length / 3, 'x', length - length / 3);
	status = qc_txn_write(txn, at, bytes, length, err);
	free(bytes);
	return status;
}

void edit_run(const struct edit_kind *edit, uint32_t seed, struct qc_file *file,
	      struct crash_log *log)
{
	const struct qc_txn_options options = {.compress = edit->compress};
	struct qc_file *watched = record_file_open(file, log);
	struct qc_txn_report report;
	struct qc_image *image;
	struct qc_txn *txn;
	struct qc_err err;
	int status;

	recover(watched);
	must(qc_image_open(watched, NULL, &image, &err) == 0);
	status = qc_txn_begin(image, NULL, &options, &txn, &err);
	for (size_t i = 0; status == 0 && edit->steps[i].what != EDIT_END; i++)
		status = step(&edit->steps[i], seed, txn, image->geometry.cluster_bits, &err);
	if (status == 0)
		status = qc_txn_commit(txn, &report, &err);
	if (status < 0)
		fprintf(stderr, "%s: %s\n", edit->name, err.text);
	must(status == 0);
	qc_image_close(image);
	qc_file_close(watched);
}
