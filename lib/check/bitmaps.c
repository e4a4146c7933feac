// SPDX-License-Identifier: MIT
/*
 * Dirty bitmaps: their tables and the clusters of these. As QEMU does, nothing is checked any further
 * once a bitmap makes no sense: such an image cannot be opened.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "check/check_impl.h"
#include "check/spans.h"

#define BITMAP_BYTES_MAX (UINT64_C(512) << 20) /* QEMU's, of one bitmap's data */
#define PART_BYTES (UINT64_C(64) << 10)

struct tables {
	struct qc_check *check;
	uint8_t *part;
};

/* Clusters that the bits of a bitmap over the whole disk take, as QEMU lays them out. */
static uint64_t clusters_needed(const struct qc_check *check, const struct qc_bitmap *bitmap)
{
	uint64_t disk_bytes = qc_align_down(check->header.disk_bytes, 512);
	uint64_t bits = qc_div_up(disk_bytes, UINT64_C(1) << bitmap->granularity_bits);

	return qc_clusters_for(&check->geometry, qc_div_up(bits, 64) * 8);
}

static bool is_possible(struct qc_check *check, const struct qc_bitmap *bitmap)
{
	const struct qc_geometry *g = &check->geometry;
	bool in_use = (bitmap->flags & QC_BITMAP_IN_USE) != 0;
	uint64_t needed = clusters_needed(check, bitmap);

	if (!qc_is_aligned(bitmap->table.byte, g->cluster_bytes))
		qc_check_give_up(check, QC_FINDING_BITMAPS_MALFORMED, bitmap->table,
				 "bitmap '%s': its table is not aligned to a cluster",
				 bitmap->name);
	else if (bitmap->table_entries > BITMAP_BYTES_MAX >> g->cluster_bits)
		qc_check_give_up(check, QC_FINDING_BITMAPS_MALFORMED, bitmap->table,
				 "bitmap '%s': more than %" PRIu64 " bytes of bits", bitmap->name,
				 BITMAP_BYTES_MAX);
	else if (!in_use && bitmap->table_entries != needed)
		qc_check_give_up(check, QC_FINDING_BITMAPS_MALFORMED, bitmap->table,
				 "bitmap '%s': %" PRIu32 " clusters, the disk needs %" PRIu64,
				 bitmap->name, bitmap->table_entries, needed);
	return !check->gave_up;
}

static void note_in_use(struct qc_check *check, const struct qc_bitmap *bitmap)
{
	if (bitmap->flags & QC_BITMAP_IN_USE)
		qc_check_report(check, QC_FINDING_BITMAP_IN_USE, 1, bitmap->table,
				&qc_check_nowhere,
				"bitmap '%s' was not saved correctly; its contents are unknown",
				bitmap->name);
}

static int take_entry(struct qc_check *check, uint64_t at, uint64_t entry, uint64_t weight,
		      struct qc_err *err)
{
	uint64_t offset = entry & QC_BITMAP_TABLE_OFFSET_MASK;

	if ((entry & QC_BITMAP_TABLE_RESERVED) != 0
	    || (offset != 0 && (entry & QC_BITMAP_TABLE_ALL_ONES) != 0)
	    || !qc_is_aligned(offset, check->geometry.cluster_bytes)) {
		qc_check_give_up(check, QC_FINDING_BITMAP_TABLE_ENTRY, qc_host(at),
				 "bitmap table entry %" PRIx64 " makes no sense", entry);
		return 0;
	}
	if (offset == 0)
		return 0;
	return qc_check_count(check, offset, check->geometry.cluster_bytes, weight,
			      &qc_check_nowhere, err);
}

static int take_stretch(void *context, const struct qc_stretch *stretch, struct qc_err *err)
{
	struct tables *tables = context;
	struct qc_check *check = tables->check;
	int status = 0;

	for (uint64_t at = stretch->start; at < stretch->end && status == 0;) {
		uint64_t bytes = qc_min(PART_BYTES, stretch->end - at);
		bool zero;

		status = qc_check_read(check, at, tables->part, (size_t)bytes, &zero, err);
		for (uint64_t i = 0; i < bytes && status == 0 && !zero && !check->gave_up; i += 8)
			status = take_entry(check, at + i, qc_load_be64(tables->part + i),
					    stretch->weight, err);
		at += bytes;
	}
	return status;
}

static int count_stretch(void *context, const struct qc_stretch *stretch, struct qc_err *err)
{
	struct qc_check *check = context;
	uint32_t bits = check->geometry.cluster_bits;

	return qc_check_count_clusters(check, stretch->start >> bits, stretch->end >> bits,
				       stretch->weight, &qc_check_nowhere, err);
}

static size_t list_tables(struct qc_check *check, bool whole_clusters, struct qc_span *spans)
{
	size_t count = 0;

	for (size_t i = 0; i < check->bitmaps.count; i++) {
		const struct qc_bitmap *bitmap = &check->bitmaps.list[i];
		uint64_t bytes = (uint64_t)bitmap->table_entries * sizeof(uint64_t);
		uint64_t end = bitmap->table.byte + bytes;

		if (whole_clusters
		    && !qc_check_is_inside(check, bitmap->table.byte, bytes, 1, &qc_check_nowhere))
			continue;
		if (whole_clusters)
			end = qc_align_up(end, check->geometry.cluster_bytes);
		spans[count++] = (struct qc_span){bitmap->table.byte, end, 1};
	}
	return count;
}

int qc_check_bitmaps(struct qc_check *check, struct qc_err *err)
{
	QC_AUTOFREE struct qc_span *spans = calloc(check->bitmaps.count + 1, sizeof(*spans));
	QC_AUTOFREE uint8_t *part = malloc(PART_BYTES);
	struct tables tables = {check, part};
	size_t count;
	int status;

	if (!spans || !part)
		return qc_fail_memory(err);
	for (size_t i = 0; i < check->bitmaps.count; i++) {
		if (!is_possible(check, &check->bitmaps.list[i]))
			return 0;
		note_in_use(check, &check->bitmaps.list[i]);
	}
	qc_check_claim_for(check, QC_CLAIM_BITMAPS, true);
	count = list_tables(check, true, spans);
	status = qc_spans_sweep(spans, count, count_stretch, check, err);
	if (status < 0)
		return status;
	count = list_tables(check, false, spans);
	return qc_spans_sweep(spans, count, take_stretch, &tables, err);
}
