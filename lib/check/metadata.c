// SPDX-License-Identifier: MIT
/* Everything that takes clusters but is reached by no L1 table: headers, tables, refcount blocks. */
#include <inttypes.h>

#include "base/checked.h"
#include "check/check_impl.h"
#include "format/refcount_entry.h"

static int count_at(struct qc_check *check, struct qc_host at, uint64_t bytes, struct qc_err *err)
{
	return qc_check_count(check, at.byte, bytes, 1, &qc_check_nowhere, err);
}

/* A table that does not lie in the file, every cluster of it, is none that one can write to. */
static void judge_refcount_table(struct qc_check *check)
{
	uint64_t first = qc_host_cluster(&check->geometry, check->header.refcount_table);
	uint64_t clusters = qc_clusters_for(&check->geometry, check->file->bytes);

	check->result.refcounts_broken |= first + check->header.refcount_table_clusters > clusters;
}

/* Where an entry lacks fields a repair writes the table anew, so it does not matter where it was. */
static int count_snapshot_table(struct qc_check *check, struct qc_err *err)
{
	uint64_t lasting = check->result.lasting;
	bool incomplete = false;
	int status;

	qc_check_claim_for(check, QC_CLAIM_SNAPSHOTS, false);
	status = count_at(check, check->header.snapshot_table, check->snapshots.table_bytes, err);

	for (size_t i = 0; check->header.version > 2 && i < check->snapshots.count; i++)
		incomplete |= !check->snapshots.list[i].has_disk_bytes;
	if (incomplete)
		check->result.lasting = lasting;
	return status;
}

int qc_check_metadata(struct qc_check *check, struct qc_err *err)
{
	const struct qc_header *header = &check->header;
	const struct qc_extensions *extensions = &check->extensions;
	uint64_t cluster_bytes = check->geometry.cluster_bytes;
	int status;

	if (check->geometry.external_data && check->snapshots.count > 0)
		qc_check_report(check, QC_FINDING_SNAPSHOT_EXTERNAL_DATA, 1, header->snapshot_table,
				&qc_check_nowhere, "%zu snapshots in image with data file",
				check->snapshots.count);
	judge_refcount_table(check);
	qc_check_claim_for(check, QC_CLAIM_HEADER, true);
	status = count_at(check, qc_host(0), cluster_bytes, err);
	if (status == 0)
		status = count_snapshot_table(check, err);
	qc_check_claim_for(check, QC_CLAIM_REFCOUNTS, true);
	if (status == 0 && !check->options->without_refcounts)
		status = count_at(check, header->refcount_table,
				  header->refcount_table_clusters * cluster_bytes, err);
	qc_check_claim_for(check, QC_CLAIM_HEADER, true);
	if (status == 0 && extensions->has_crypto)
		status = count_at(check, extensions->crypto_header, extensions->crypto_header_bytes,
				  err);
	qc_check_claim_for(check, QC_CLAIM_BITMAPS, true);
	if (status == 0 && extensions->has_bitmaps)
		status = count_at(check, extensions->bitmap_directory,
				  extensions->bitmap_directory_bytes, err);
	return status;
}

static int check_block(struct qc_check *check, uint64_t index, struct qc_err *err)
{
	uint64_t entry = check->stored.table[index];
	struct qc_host at = qc_host(entry & QC_REFCOUNT_TABLE_OFFSET_MASK);
	uint64_t cluster = qc_host_cluster(&check->geometry, at);
	uint64_t references;
	int status;

	if (entry & QC_REFCOUNT_TABLE_RESERVED) {
		qc_check_report(check, QC_FINDING_REFCOUNT_TABLE_RESERVED, 1, at, &qc_check_nowhere,
				"refcount table entry %" PRIu64 " has reserved bits set", index);
		return 0;
	}
	if (!qc_is_aligned(at.byte, check->geometry.cluster_bytes)) {
		qc_check_report(check, QC_FINDING_REFCOUNT_BLOCK_UNALIGNED, 1, at,
				&qc_check_nowhere,
				"refcount block %" PRIu64
				" is not cluster aligned; refcount table entry corrupted",
				index);
		return 0;
	}
	if (cluster >= check->clusters) {
		qc_check_report(check, QC_FINDING_REFCOUNT_BLOCK_OUTSIDE, 1, at, &qc_check_nowhere,
				"refcount block %" PRIu64 " is outside image", index);
		return 0;
	}
	if (qc_host_is_none(at))
		return 0;
	status = count_at(check, at, check->geometry.cluster_bytes, err);
	references = qc_counts_get(&check->references, cluster);
	if (status == 0 && references != 1)
		qc_check_report(check, QC_FINDING_REFCOUNT_BLOCK_SHARED, 1, at, &qc_check_nowhere,
				"refcount block %" PRIu64 " refcount=%" PRIu64, index, references);
	return status;
}

/* Last of all, because a block must have no other reference than the table's. */
int qc_check_refcount_blocks(struct qc_check *check, struct qc_err *err)
{
	int status = 0;

	qc_check_claim_for(check, QC_CLAIM_REFCOUNTS, true);
	for (uint64_t i = 0; i < check->stored.entries && status == 0; i++)
		status = check->stored.table[i] ? check_block(check, i, err) : 0;
	return status;
}
