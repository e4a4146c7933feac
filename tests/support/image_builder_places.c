// SPDX-License-Identifier: MIT
/* Where things are in an image that the builder made, and edits there. */
#include "tests/support/image_builder_impl.h"

#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/refcount_entry.h"

static uint8_t *place(const struct builder *b, uint64_t at, uint64_t bytes)
{
	builder_must(qc_range_fits(at, bytes, b->clusters * b->geometry.cluster_bytes),
		     "a place outside the image");
	return b->bytes + at;
}

uint64_t builder_peek64(const struct builder *b, uint64_t at)
{
	return qc_load_be64(place(b, at, 8));
}

void builder_poke8(struct builder *b, uint64_t at, uint8_t value)
{
	*place(b, at, 1) = value;
}

void builder_poke16(struct builder *b, uint64_t at, uint16_t value)
{
	qc_store_be16(place(b, at, 2), value);
}

void builder_poke32(struct builder *b, uint64_t at, uint32_t value)
{
	qc_store_be32(place(b, at, 4), value);
}

void builder_poke64(struct builder *b, uint64_t at, uint64_t value)
{
	qc_store_be64(place(b, at, 8), value);
}

const struct qc_geometry *builder_geometry(const struct builder *b)
{
	return &b->geometry;
}

const struct qc_header *builder_header(const struct builder *b)
{
	return &b->header;
}

uint64_t builder_l1_entry_at(const struct builder *b, uint64_t index)
{
	builder_must(index < b->header.l1_entries, "no such L1 entry");
	return b->header.l1.byte + index * 8;
}

static uint64_t l2_entry_below(const struct builder *b, uint64_t l1, uint64_t guest_cluster)
{
	uint64_t entry = builder_peek64(b, l1 + guest_cluster / b->geometry.l2_entries * 8);

	builder_must((entry & QC_L1_OFFSET_MASK) != 0, "no L2 table for that guest cluster");
	return (entry & QC_L1_OFFSET_MASK)
	       + guest_cluster % b->geometry.l2_entries * b->geometry.l2_entry_bytes;
}

uint64_t builder_l2_entry_at(const struct builder *b, uint64_t guest_cluster)
{
	builder_must(guest_cluster / b->geometry.l2_entries < b->header.l1_entries,
		     "no such guest cluster");
	return l2_entry_below(b, b->header.l1.byte, guest_cluster);
}

uint64_t builder_host_of(const struct builder *b, uint64_t guest_cluster)
{
	return builder_peek64(b, builder_l2_entry_at(b, guest_cluster)) & QC_L2_OFFSET_MASK;
}

uint64_t builder_refcount_table_entry_at(const struct builder *b, uint64_t index)
{
	builder_must(index < b->header.refcount_table_clusters * b->geometry.cluster_bytes / 8,
		     "no such refcount table entry");
	return b->header.refcount_table.byte + index * 8;
}

uint64_t builder_refcount_block_at(const struct builder *b, uint64_t host_cluster)
{
	uint64_t index = host_cluster / b->geometry.refcounts_per_block;
	uint64_t at = builder_peek64(b, builder_refcount_table_entry_at(b, index));

	builder_must(at != 0, "no refcount block for that cluster");
	return at;
}

uint64_t builder_refcount(const struct builder *b, uint64_t host_cluster)
{
	uint64_t block = builder_refcount_block_at(b, host_cluster);

	return qc_refcount_get(&b->geometry, place(b, block, b->geometry.cluster_bytes),
			       host_cluster % b->geometry.refcounts_per_block);
}

void builder_poke_refcount(struct builder *b, uint64_t host_cluster, uint64_t value)
{
	uint64_t block = builder_refcount_block_at(b, host_cluster);

	qc_refcount_set(&b->geometry, place(b, block, b->geometry.cluster_bytes),
			host_cluster % b->geometry.refcounts_per_block, value);
}

uint64_t builder_bitmap_at(const struct builder *b)
{
	return builder_peek64(b, builder_extension_at(b, QC_EXTENSION_BITMAPS) + 24);
}

uint64_t builder_bitmap_entry_at(const struct builder *b)
{
	return builder_peek64(b, builder_bitmap_at(b));
}

uint64_t builder_snapshot_entry_at(const struct builder *b, uint32_t snapshot)
{
	struct qc_snapshots before = {.list = b->snapshots.list, .count = snapshot};

	builder_must(snapshot < b->snapshots.count, "no such snapshot");
	return b->header.snapshot_table.byte + qc_snapshots_encoded_bytes(&before);
}

uint64_t builder_snapshot_l1_entry_at(const struct builder *b, uint32_t snapshot, uint64_t index)
{
	builder_must(snapshot < b->snapshots.count, "no such snapshot");
	builder_must(index < b->snapshots.list[snapshot].l1_entries, "no such L1 entry");
	return b->snapshots.list[snapshot].l1.byte + index * 8;
}

uint64_t builder_snapshot_l2_entry_at(const struct builder *b, uint32_t snapshot,
				      uint64_t guest_cluster)
{
	return l2_entry_below(b, builder_snapshot_l1_entry_at(b, snapshot, 0), guest_cluster);
}

uint64_t builder_extension_at(const struct builder *b, uint32_t type)
{
	uint64_t at = b->header.header_bytes;

	for (;;) {
		const uint8_t *head = place(b, at, sizeof(struct qc_disk_extension));

		if (qc_load_be32(head) == type)
			return at;
		builder_must(qc_load_be32(head) != QC_EXTENSION_END, "no such header extension");
		at += sizeof(struct qc_disk_extension) + qc_align_up(qc_load_be32(head + 4), 8);
	}
}
