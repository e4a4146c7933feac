// SPDX-License-Identifier: MIT
/* What test_findings.c does to finished images. Each function puts in one thing that is wrong. */
#pragma once

#include "format/bitmap_directory.h"
#include "format/features.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "support/image_builder.h"

static void poke_l2(struct builder *b, uint64_t cluster, uint64_t set)
{
	uint64_t at = builder_l2_entry_at(b, cluster);

	builder_poke64(b, at, builder_peek64(b, at) | set);
}

static void nothing(struct builder *b)
{
	(void)b;
}

static void leak(struct builder *b)
{
	builder_poke_refcount(b, builder_host_of(b, 3) / builder_geometry(b)->cluster_bytes, 1);
	builder_poke64(b, builder_l2_entry_at(b, 3), 0);
}

static void too_low(struct builder *b)
{
	builder_poke64(b, builder_l2_entry_at(b, 6), builder_host_of(b, 3) | QC_L2_COPIED);
}

static void past_end(struct builder *b)
{
	builder_poke64(b, builder_l2_entry_at(b, 6), UINT64_C(1) << 40);
}

static void l2_copied(struct builder *b)
{
	uint64_t at = builder_l1_entry_at(b, 0);

	builder_poke64(b, at, builder_peek64(b, at) & ~QC_L1_COPIED);
}

static void data_copied(struct builder *b)
{
	uint64_t at = builder_l2_entry_at(b, 2);

	builder_poke64(b, at, builder_peek64(b, at) & ~QC_L2_COPIED);
}

static void compressed_copied(struct builder *b)
{
	poke_l2(b, 8, QC_L2_COPIED);
}

static void l1_reserved(struct builder *b)
{
	uint64_t at = builder_l1_entry_at(b, 0);

	builder_poke64(b, at, builder_peek64(b, at) | 1);
}

static void l1_unaligned(struct builder *b)
{
	/* In the header's own cluster, most of which is zero. */
	builder_poke64(b, builder_l1_entry_at(b, 1), 512 | QC_L1_COPIED);
}

static void l2_reserved(struct builder *b)
{
	poke_l2(b, 1, 2);
}

static void l2_unaligned(struct builder *b)
{
	poke_l2(b, 1, 512);
}

static void l2_unaligned_zero(struct builder *b)
{
	poke_l2(b, 1, 512 | QC_L2_ZERO);
}

static void compressed_bitmap(struct builder *b)
{
	builder_poke64(b, builder_l2_entry_at(b, 8) + 8, 1);
}

static void bitmap_both(struct builder *b)
{
	builder_poke64(b, builder_l2_entry_at(b, 1) + 8, UINT64_C(1) << 32 | 1);
}

static void bitmap_no_host(struct builder *b)
{
	builder_poke64(b, builder_l2_entry_at(b, 6) + 8, 1);
}

static void snapshot_incomplete(struct builder *b)
{
	builder_poke32(b, builder_snapshot_entry_at(b, 0) + 36, 8);
}

static void snapshot_place(struct builder *b)
{
	uint64_t at = builder_snapshot_entry_at(b, 0);

	builder_poke64(b, at, builder_peek64(b, at) + 512);
}

static void snapshot_size(struct builder *b)
{
	builder_poke32(b, builder_snapshot_entry_at(b, 0) + 8, UINT32_MAX);
}

static void table_reserved(struct builder *b)
{
	uint64_t at = builder_refcount_table_entry_at(b, 0);

	builder_poke64(b, at, builder_peek64(b, at) | 1);
}

static void block_outside(struct builder *b)
{
	builder_poke64(b, builder_refcount_table_entry_at(b, 1), UINT64_C(1) << 40);
}

static void block_unaligned(struct builder *b)
{
	builder_poke64(b, builder_refcount_table_entry_at(b, 1), 512);
}

static void block_unreadable(struct builder *b)
{
	uint64_t at = builder_refcount_table_entry_at(b, 0);

	builder_poke64(b, at, builder_peek64(b, at) + 512);
}

static void block_shared(struct builder *b)
{
	builder_poke64(b, builder_refcount_table_entry_at(b, 1),
		       builder_peek64(b, builder_refcount_table_entry_at(b, 0)));
}

static void make_external(struct builder *b)
{
	builder_poke64(b, builder_header_field(incompatible_features), QC_INCOMPAT_DATA_FILE);
}

static void bitmap_entry(struct builder *b)
{
	uint64_t directory =
		builder_peek64(b, builder_extension_at(b, QC_EXTENSION_BITMAPS) + 8 + 16);

	builder_poke64(b, builder_peek64(b, directory), 2);
}

/* --- what the header says --- */

#define FIELD(name, bits, field, value)                                                            \
	static void name(struct builder *b)                                                        \
	{                                                                                          \
		builder_poke##bits(b, builder_header_field(field), value);                         \
	}

FIELD(header_short, 32, header_length, 96)
FIELD(unknown_feature, 64, incompatible_features, UINT64_C(1) << 40)
FIELD(crypt_unknown, 32, crypt_method, 7)
FIELD(raw_without_data_file, 64, autoclear_features, QC_AUTOCLEAR_DATA_RAW)
FIELD(l1_small, 32, l1_size, 0)
FIELD(l1_off, 64, l1_table_offset, 512)
FIELD(refcounts_off, 64, refcount_table_offset, 512)
FIELD(refcounts_none, 32, refcount_table_clusters, 0)
FIELD(snapshots_many, 32, nb_snapshots, 70000)
FIELD(disk_huge, 64, size, UINT64_C(1) << 63)

static void extended_small(struct builder *b)
{
	builder_poke32(b, builder_header_field(cluster_bits), 12);
}

static void compression_unsaid(struct builder *b)
{
	builder_poke8(b, builder_header_field(compression_type), 1);
}

static void snapshots_off(struct builder *b)
{
	uint64_t at = builder_header_field(snapshots_offset);

	builder_poke64(b, at, builder_peek64(b, at) + 512);
}

static void backing_long(struct builder *b)
{
	builder_poke64(b, builder_header_field(backing_file_offset), 512);
	builder_poke32(b, builder_header_field(backing_file_size), 2000);
}

static void extension_long(struct builder *b)
{
	builder_poke32(b, builder_extension_at(b, QC_EXTENSION_BITMAPS) + 4, 1 << 20);
}

static void bitmaps_stale(struct builder *b)
{
	builder_poke64(b, builder_header_field(autoclear_features), 0);
}

/* The granularity of the only bitmap; see struct qc_disk_bitmap. */
static void bitmap_granularity(struct builder *b)
{
	uint64_t directory =
		builder_peek64(b, builder_extension_at(b, QC_EXTENSION_BITMAPS) + 8 + 16);

	builder_poke8(b, directory + 17, 63);
}

static void snapshot_huge(struct builder *b)
{
	builder_poke64(b, builder_snapshot_entry_at(b, 0) + 48, UINT64_C(1) << 63);
}

static void zero_flag(struct builder *b)
{
	poke_l2(b, 6, QC_L2_ZERO);
}

/* --- streams --- */

static void stream_broken(struct builder *b)
{
	uint64_t entry = builder_peek64(b, builder_l2_entry_at(b, 8));

	builder_poke8(b, entry & 0xffffffff, 0xff);
}

/* One byte into the stream of cluster 8; both in one host cluster, which counts them all. */
static void stream_overlaps(struct builder *b)
{
	uint64_t entry = builder_peek64(b, builder_l2_entry_at(b, 8));
	uint64_t host = (entry & 0xffffffff) / builder_geometry(b)->cluster_bytes;

	builder_poke64(b, builder_l2_entry_at(b, 9), entry + 1);
	builder_poke_refcount(b, host, builder_refcount(b, host) + 1);
}
