// SPDX-License-Identifier: MIT
/*
 * What must be understood before anything can be walked. A header that QEMU refuses to open ends the
 * check; what it tolerates is reported and the check goes on.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "check/check_impl.h"
#include "format/limits.h"

#define SNAPSHOT_TABLE_FIRST_READ (UINT64_C(64) << 10)

/* What the decoder of one structure reports. */
struct intake {
	struct qc_check *check;
	bool (*is_tolerable)(const struct qc_check *check, const struct qc_finding *finding);
};

static void take_finding(void *context, const struct qc_finding *finding)
{
	const struct intake *intake = context;
	struct qc_check *check = intake->check;

	if (qc_finding_kind(finding->id)->severity == QC_SEVERITY_NOTE) {
		qc_check_pass_on(check, finding);
		return;
	}
	if (intake->is_tolerable(check, finding)) {
		/* A table on the header shows in the counts of its clusters, and must not twice. */
		check->result.corruptions += finding->id == QC_FINDING_EXTENSION_DUPLICATE;
		check->result.lasting += finding->id == QC_FINDING_EXTENSION_DUPLICATE;
		check->result.refcounts_broken |=
			finding->id == QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE
			|| finding->id == QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE;
	} else {
		check->result.check_errors++;
		check->gave_up = true;
	}
	qc_check_pass_on(check, finding);
}

/* A table on top of the header is wrong, but can be walked; no refcounts at all can be compared. */
static bool header_is_tolerable(const struct qc_check *check, const struct qc_finding *finding)
{
	const struct qc_header *header = &check->header;

	switch (finding->id) {
	case QC_FINDING_HEADER_L1_PLACE:
	case QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE:
	case QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE:
		return finding->has_host && qc_host_is_none(finding->host);
	case QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE:
		return header->refcount_table_clusters == 0;
	case QC_FINDING_EXTENSION_DUPLICATE:
		return true;
	default:
		return false;
	}
}

static int load_header(struct qc_check *check, struct qc_err *err)
{
	uint8_t bytes[QC_SECTOR_BYTES] = {0};
	struct intake intake = {check, header_is_tolerable};
	struct qc_finding_sink sink = {take_finding, &intake};
	size_t length = (size_t)qc_min(check->file->bytes, sizeof(bytes));
	int status;

	status = qc_file_read(check->file, 0, bytes, length, err);
	if (status < 0)
		return status;
	/* The header is published after its findings, of which one depends on this. */
	check->header.refcount_table_clusters =
		qc_load_be32(bytes + offsetof(struct qc_disk_header, refcount_table_clusters));
	return qc_header_decode(bytes, length, &sink, &check->header, err);
}

static int load_extensions(struct qc_check *check, struct qc_err *err)
{
	size_t bytes = (size_t)check->geometry.cluster_bytes;
	QC_AUTOFREE uint8_t *cluster0 = malloc(bytes);
	struct intake intake = {check, header_is_tolerable};
	const struct qc_finding_sink sink = {take_finding, &intake};
	int status;

	if (!cluster0)
		return qc_fail_memory(err);
	status = qc_file_read(check->file, 0, cluster0, bytes, err);
	if (status < 0)
		return status;
	return qc_extensions_decode(&check->header, cluster0, bytes, &sink, &check->extensions,
				    err);
}

/* Of what the decoder reports, the walk reports the rest itself, snapshot by snapshot. */
static void take_snapshot_finding(void *context, const struct qc_finding *finding)
{
	struct qc_check *check = context;

	if (finding->id != QC_FINDING_SNAPSHOT_INCOMPLETE
	    && finding->id != QC_FINDING_SNAPSHOT_MALFORMED)
		return;
	check->result.corruptions++;
	check->result.lasting += finding->id == QC_FINDING_SNAPSHOT_MALFORMED;
	qc_check_pass_on(check, finding);
}

/* One attempt with `bytes` of the table; *ret_needed is more than that if it was too short. */
static int try_snapshots(struct qc_check *check, uint64_t bytes, uint64_t *ret_needed,
			 struct qc_err *err)
{
	const struct qc_finding_sink sink = {take_snapshot_finding, check};
	uint64_t at = check->header.snapshot_table.byte;
	QC_AUTOFREE uint8_t *table = calloc(1, (size_t)bytes);
	int status;

	if (!table)
		return qc_fail_memory(err);
	status = qc_file_read(check->file, at, table, (size_t)bytes, err);
	if (status < 0)
		return status;
	return qc_snapshots_decode(&check->geometry, table, (size_t)bytes, check->header.snapshots,
				   &sink, &check->snapshots, ret_needed, err);
}

static int load_snapshots(struct qc_check *check, struct qc_err *err)
{
	struct qc_host at = check->header.snapshot_table;
	uint64_t bytes = SNAPSHOT_TABLE_FIRST_READ;
	uint64_t needed = 0;
	int status;

	if (check->header.snapshots == 0)
		return 0;
	if (!qc_range_fits(at.byte, QC_SNAPSHOT_TABLE_BYTES_MAX, QC_CHECK_READABLE_END)) {
		qc_check_give_up(check, QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE, at,
				 "the snapshot table at %" PRIu64 " ends beyond every file",
				 at.byte);
		return 0;
	}
	for (;;) {
		status = try_snapshots(check, bytes, &needed, err);
		if (status < 0 || needed <= bytes)
			break;
		bytes = qc_max(needed, bytes * 2);
	}
	if (status != -QC_E_FORMAT)
		return status;
	qc_check_give_up(check, QC_FINDING_SNAPSHOT_MALFORMED, check->header.snapshot_table, "%s",
			 err->text);
	return 0;
}

static bool nothing_is_tolerable(const struct qc_check *check, const struct qc_finding *finding)
{
	(void)check;
	(void)finding;
	return false;
}

static int load_bitmaps(struct qc_check *check, struct qc_err *err)
{
	uint64_t bytes = check->extensions.bitmap_directory_bytes;
	QC_AUTOFREE uint8_t *directory = NULL;
	struct intake intake = {check, nothing_is_tolerable};
	const struct qc_finding_sink sink = {take_finding, &intake};
	int status;

	if (!check->extensions.has_bitmaps)
		return 0;
	directory = calloc(1, (size_t)bytes);
	if (!directory)
		return qc_fail_memory(err);
	status = qc_file_read_sparse(check->file, check->extensions.bitmap_directory.byte,
				     directory, (size_t)bytes, err);
	if (status < 0)
		return status;
	status = qc_bitmaps_decode(directory, (size_t)bytes, check->extensions.bitmaps, &sink,
				   &check->bitmaps, err);
	if (status != -QC_E_FORMAT)
		return status;
	qc_check_give_up(check, QC_FINDING_BITMAPS_MALFORMED, check->extensions.bitmap_directory,
			 "%s", err->text);
	return 0;
}

/* Tables so far out that not even a read of nothing is possible there. */
static void check_reach(struct qc_check *check)
{
	const struct qc_header *header = &check->header;
	uint64_t table_bytes = (uint64_t)header->refcount_table_clusters
			       << check->geometry.cluster_bits;

	if (!qc_range_fits(header->l1.byte, (uint64_t)header->l1_entries * sizeof(uint64_t),
			   QC_CHECK_READABLE_END))
		qc_check_give_up(check, QC_FINDING_HEADER_L1_PLACE, header->l1,
				 "the L1 table at %" PRIu64 " ends beyond every file",
				 header->l1.byte);
	if (!qc_range_fits(header->refcount_table.byte, table_bytes, QC_CHECK_READABLE_END))
		qc_check_give_up(check, QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE,
				 header->refcount_table,
				 "the refcount table at %" PRIu64 " ends beyond every file",
				 header->refcount_table.byte);
}

/* The two bits that say that something is wrong; by themselves they are no corruption. */
static void note_feature_bits(struct qc_check *check)
{
	if (check->header.incompatible & QC_INCOMPAT_DIRTY)
		qc_check_report(check, QC_FINDING_DIRTY, 1, qc_host(0), &qc_check_nowhere,
				"the image is marked dirty: it was not closed, and refcounts may "
				"be out of date");
	if (check->header.incompatible & QC_INCOMPAT_CORRUPT)
		qc_check_report(check, QC_FINDING_CORRUPT, 1, qc_host(0), &qc_check_nowhere,
				"the image is marked corrupt: it cannot be written to before it "
				"is repaired");
}

int qc_check_load(struct qc_check *check, struct qc_err *err)
{
	int status = load_header(check, err);

	if (status < 0 || check->gave_up)
		return status;
	qc_header_geometry(&check->header, &check->geometry);
	note_feature_bits(check);
	check_reach(check);
	status = load_extensions(check, err);
	if (status < 0 || check->gave_up)
		return status;
	status = load_snapshots(check, err);
	if (status < 0 || check->gave_up)
		return status;
	return load_bitmaps(check, err);
}

void qc_check_unload(struct qc_check *check)
{
	qc_extensions_clear(&check->extensions);
	qc_snapshots_clear(&check->snapshots);
	qc_bitmaps_clear(&check->bitmaps);
}
