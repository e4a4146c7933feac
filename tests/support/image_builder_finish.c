// SPDX-License-Identifier: MIT
/*
 * The end of building an image: the tables that can only be written when everything else is there.
 * References are counted along every path from the header, as the format defines refcounts.
 */
#include "tests/support/image_builder_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/header_extensions.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/refcount_entry.h"

static void count_run(const struct builder *b, uint64_t *references, uint64_t at, uint64_t bytes)
{
	uint64_t first = at >> b->geometry.cluster_bits;

	for (uint64_t i = 0; i < qc_clusters_for(&b->geometry, bytes); i++)
		references[first + i]++;
}

static struct qc_l2_entry decoded(const struct builder *b, uint64_t table, uint64_t index)
{
	struct qc_l2_entry entry;

	builder_must(qc_l2_decode(&b->geometry, qc_l2_load(&b->geometry, b->bytes + table, index),
				  &entry)
			     == QC_L2_FAULT_NONE,
		     "an L2 entry does not decode");
	return entry;
}

static void count_l2(const struct builder *b, uint64_t *references, uint64_t table)
{
	references[table >> b->geometry.cluster_bits]++;
	if (b->geometry.external_data)
		return; /* what it leads to is not in this file */
	for (uint64_t i = 0; i < b->geometry.l2_entries; i++) {
		struct qc_l2_entry entry = decoded(b, table, i);
		uint64_t first, count;

		if (entry.compressed) {
			qc_compressed_clusters(&b->geometry, entry.host, entry.compressed_bytes,
					       &first, &count);
			for (uint64_t c = first; c < first + count; c++)
				references[c]++;
		} else if (!qc_host_is_none(entry.host)) {
			references[entry.host.byte >> b->geometry.cluster_bits]++;
		}
	}
}

static void count_l1(const struct builder *b, uint64_t *references, uint64_t l1, uint64_t entries)
{
	count_run(b, references, l1, entries * 8);
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t table = qc_load_be64(b->bytes + l1 + i * 8) & QC_L1_OFFSET_MASK;

		if (table != 0)
			count_l2(b, references, table);
	}
}

static void count_bitmaps(const struct builder *b, uint64_t *references)
{
	if (b->bitmaps.count == 0)
		return;
	count_run(b, references, b->bitmap_directory, qc_bitmaps_encoded_bytes(&b->bitmaps));
	for (size_t i = 0; i < b->bitmaps.count; i++) {
		const struct qc_bitmap *bitmap = &b->bitmaps.list[i];

		count_run(b, references, bitmap->table.byte, bitmap->table_entries * UINT64_C(8));
		for (uint32_t e = 0; e < bitmap->table_entries; e++) {
			uint64_t at = qc_load_be64(b->bytes + bitmap->table.byte + e * 8);

			if (at & QC_BITMAP_TABLE_OFFSET_MASK)
				references[at >> b->geometry.cluster_bits]++;
		}
	}
}

/* Everything but the refcount structures. */
static void count_references(const struct builder *b, uint64_t *references)
{
	references[0]++;
	count_l1(b, references, b->header.l1.byte, b->header.l1_entries);
	for (size_t i = 0; i < b->snapshots.count; i++)
		count_l1(b, references, b->snapshots.list[i].l1.byte,
			 b->snapshots.list[i].l1_entries);
	if (b->snapshots.count > 0)
		count_run(b, references, b->header.snapshot_table.byte,
			  qc_snapshots_encoded_bytes(&b->snapshots));
	count_bitmaps(b, references);
}

static void set_copied_in_l2(struct builder *b, const uint64_t *references, uint64_t table)
{
	if (b->geometry.external_data)
		return;
	for (uint64_t i = 0; i < b->geometry.l2_entries; i++) {
		struct qc_l2_words words = qc_l2_load(&b->geometry, b->bytes + table, i);
		struct qc_l2_entry entry = decoded(b, table, i);

		if (entry.compressed || qc_host_is_none(entry.host)
		    || references[entry.host.byte >> b->geometry.cluster_bits] != 1)
			continue;
		words.entry |= QC_L2_COPIED;
		qc_l2_store(&b->geometry, b->bytes + table, i, words);
	}
}

/* In the active tables only; in a table that a snapshot shares, every cluster is shared too. */
static void set_copied(struct builder *b, const uint64_t *references)
{
	for (uint64_t i = 0; i < b->header.l1_entries; i++) {
		uint8_t *at = b->bytes + b->header.l1.byte + i * 8;
		uint64_t table = qc_load_be64(at) & QC_L1_OFFSET_MASK;

		if (table == 0)
			continue;
		if (references[table >> b->geometry.cluster_bits] == 1)
			qc_store_be64(at, table | QC_L1_COPIED);
		set_copied_in_l2(b, references, table);
	}
}

static void put_snapshots(struct builder *b)
{
	uint64_t bytes = qc_snapshots_encoded_bytes(&b->snapshots);

	if (bytes == 0)
		return;
	b->header.snapshots = (uint32_t)b->snapshots.count;
	b->header.snapshot_table =
		qc_host(builder_allocate(b, qc_clusters_for(&b->geometry, bytes)));
	qc_snapshots_encode(&b->snapshots, b->bytes + b->header.snapshot_table.byte);
}

static void put_bitmap_directory(struct builder *b)
{
	uint64_t bytes = qc_bitmaps_encoded_bytes(&b->bitmaps);

	if (bytes == 0)
		return;
	b->header.autoclear |= QC_AUTOCLEAR_BITMAPS;
	b->bitmap_directory = builder_allocate(b, qc_clusters_for(&b->geometry, bytes));
	qc_bitmaps_encode(&b->bitmaps, b->bytes + b->bitmap_directory);
}

/* The table and the blocks count themselves: grow both until they cover the file. */
static void allocate_refcounts(struct builder *b, uint64_t *ret_blocks)
{
	uint64_t per_block = b->geometry.refcounts_per_block;
	uint64_t blocks = 0, table_clusters = 0;

	for (;;) {
		uint64_t total = b->clusters + blocks + table_clusters;
		uint64_t blocks_needed = qc_div_up(total, per_block);
		uint64_t table_needed = qc_clusters_for(&b->geometry, blocks_needed * 8);

		if (blocks_needed == blocks && table_needed == table_clusters)
			break;
		blocks = blocks_needed;
		table_clusters = table_needed;
	}
	b->header.refcount_table = qc_host(builder_allocate(b, table_clusters + blocks));
	b->header.refcount_table_clusters = (uint32_t)table_clusters;
	*ret_blocks = blocks;
}

static void put_refcounts(struct builder *b)
{
	const struct qc_geometry *g = &b->geometry;
	uint64_t blocks, first_block, *references;

	allocate_refcounts(b, &blocks);
	first_block = b->header.refcount_table.byte
		      + b->header.refcount_table_clusters * g->cluster_bytes;
	references = calloc((size_t)(b->clusters + 1), sizeof(*references));
	builder_must(references != NULL, "out of memory");
	count_references(b, references);
	count_run(b, references, b->header.refcount_table.byte,
		  (b->header.refcount_table_clusters + blocks) * g->cluster_bytes);
	set_copied(b, references);
	for (uint64_t i = 0; i < blocks; i++)
		qc_store_be64(b->bytes + b->header.refcount_table.byte + i * 8,
			      first_block + i * g->cluster_bytes);
	for (uint64_t c = 0; c < b->clusters; c++) {
		builder_must(references[c] <= g->refcount_max, "a refcount does not fit");
		qc_refcount_set(g,
				b->bytes + first_block
					+ c / g->refcounts_per_block * g->cluster_bytes,
				c % g->refcounts_per_block, references[c]);
	}
	free(references);
}

static void put_extension(struct builder *b, uint32_t type, const void *payload, uint32_t bytes,
			  uint32_t *offset)
{
	builder_must(qc_extension_encode(type, payload, bytes, b->bytes,
					 (uint32_t)b->geometry.cluster_bytes, offset),
		     "no room for a header extension");
}

static void put_extensions(struct builder *b, uint32_t *offset)
{
	const char *format = b->options.backing_format;
	struct qc_disk_bitmaps_extension bitmaps = {
		.nb_bitmaps = qc_be32_make((uint32_t)b->bitmaps.count),
		.bitmap_directory_size = qc_be64_make(qc_bitmaps_encoded_bytes(&b->bitmaps)),
		.bitmap_directory_offset = qc_be64_make(b->bitmap_directory),
	};

	if (format)
		put_extension(b, QC_EXTENSION_BACKING_FORMAT, format, (uint32_t)strlen(format),
			      offset);
	if (b->bitmaps.count > 0)
		put_extension(b, QC_EXTENSION_BITMAPS, &bitmaps, sizeof(bitmaps), offset);
	for (size_t i = 0; i < b->extension_count; i++)
		put_extension(b, b->extensions[i].type, b->extensions[i].payload,
			      b->extensions[i].length, offset);
	put_extension(b, QC_EXTENSION_END, NULL, 0, offset);
}

static void put_cluster_0(struct builder *b)
{
	const char *backing = b->options.backing_name;
	uint32_t offset = b->header.header_bytes;

	put_extensions(b, &offset);
	if (backing) {
		b->header.backing_name = qc_host(offset);
		b->header.backing_name_bytes = (uint32_t)strlen(backing);
		builder_must(qc_range_fits(offset, strlen(backing), b->geometry.cluster_bytes),
			     "no room for the backing file name");
		memcpy(b->bytes + offset, backing, strlen(backing));
	}
	qc_header_encode(&b->header, b->bytes);
}

void builder_finish(struct builder *b, uint8_t **ret_bytes, size_t *ret_length)
{
	builder_must(!b->finished, "the image is finished already");
	put_snapshots(b);
	put_bitmap_directory(b);
	put_refcounts(b);
	put_cluster_0(b);
	b->finished = true;
	*ret_bytes = b->bytes;
	*ret_length = (size_t)(b->clusters * b->geometry.cluster_bytes);
}

void builder_write_file(const struct builder *b, const char *path)
{
	size_t length = (size_t)(b->clusters * b->geometry.cluster_bytes);
	FILE *file = fopen(path, "wb");

	builder_must(b->finished, "the image is not finished");
	builder_must(file != NULL, "cannot create the file");
	builder_must(fwrite(b->bytes, 1, length, file) == length, "cannot write the file");
	builder_must(fclose(file) == 0, "cannot write the file");
}
