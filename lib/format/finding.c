// SPDX-License-Identifier: MIT
#include "format/finding.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define KIND(name, severity, id, summary)                                                          \
	[QC_FINDING_##name] = {id, QC_SEVERITY_##severity, summary}

static const struct qc_finding_kind kinds[] = {
	KIND(HEADER_LENGTH, CORRUPTION, "header-length", "the header's length is impossible"),
	KIND(HEADER_UNKNOWN_INCOMPATIBLE, CORRUPTION, "header-unknown-incompatible",
	     "the image uses features that are not known"),
	KIND(HEADER_COMPRESSION_TYPE, CORRUPTION, "header-compression-type",
	     "the compression type is unknown or contradicts its feature bit"),
	KIND(HEADER_EXTENDED_L2_CLUSTER_SIZE, CORRUPTION, "header-extended-l2-cluster-size",
	     "the clusters are too small for subclusters"),
	KIND(HEADER_CRYPT_METHOD, CORRUPTION, "header-crypt-method",
	     "the encryption method is unknown or incomplete"),
	KIND(HEADER_DATA_RAW, CORRUPTION, "header-data-raw",
	     "a raw data file is declared, but no data file"),
	KIND(HEADER_DISK_SIZE, CORRUPTION, "header-disk-size",
	     "the disk is larger than any table can map"),
	KIND(HEADER_L1_PLACE, CORRUPTION, "header-l1-place", "the L1 table lies where it cannot"),
	KIND(HEADER_L1_SIZE, CORRUPTION, "header-l1-size",
	     "the L1 table is too small for the disk, or too large"),
	KIND(HEADER_REFCOUNT_TABLE_PLACE, CORRUPTION, "header-refcount-table-place",
	     "the refcount table lies where it cannot"),
	KIND(HEADER_REFCOUNT_TABLE_SIZE, CORRUPTION, "header-refcount-table-size",
	     "the refcount table is empty or too large"),
	KIND(HEADER_SNAPSHOT_TABLE_PLACE, CORRUPTION, "header-snapshot-table-place",
	     "the snapshot table lies where it cannot"),
	KIND(HEADER_SNAPSHOT_COUNT, CORRUPTION, "header-snapshot-count",
	     "there are too many snapshots"),
	KIND(HEADER_BACKING_NAME, CORRUPTION, "header-backing-name",
	     "the backing file name is too long or lies where it cannot"),
	KIND(EXTENSION_MALFORMED, CORRUPTION, "extension-malformed",
	     "a header extension makes no sense"),
	KIND(EXTENSION_DUPLICATE, CORRUPTION, "extension-duplicate",
	     "a header extension occurs more than once"),
	KIND(BITMAPS_MALFORMED, CORRUPTION, "bitmaps-malformed", "a dirty bitmap makes no sense"),
	KIND(BITMAPS_STALE, NOTE, "bitmaps-stale", "the dirty bitmaps no longer describe the disk"),
	KIND(SNAPSHOT_MALFORMED, CORRUPTION, "snapshot-malformed", "a snapshot makes no sense"),
	KIND(DIRTY, NOTE, "dirty", "the image was not closed; refcounts may be wrong"),
	KIND(CORRUPT, NOTE, "corrupt", "the image is marked as corrupt"),
	KIND(TRANSACTION_INTERRUPTED, NOTE, "transaction-interrupted",
	     "a transaction was interrupted and is to be recovered"),
	KIND(BITMAP_IN_USE, NOTE, "bitmap-in-use", "a dirty bitmap was not saved correctly"),
	KIND(CLUSTER_LEAKED, LEAK, "cluster-leaked",
	     "a cluster's refcount is higher than its references"),
	KIND(REFCOUNT_TOO_LOW, CORRUPTION, "refcount-too-low",
	     "a cluster's refcount is lower than its references"),
	KIND(REFCOUNT_OVERFLOW, CORRUPTION, "refcount-overflow",
	     "a cluster has more references than a refcount can hold"),
	KIND(REFERENCE_PAST_END, CORRUPTION, "reference-past-end",
	     "a reference points beyond the end of the file"),
	KIND(COPIED_L2_TABLE, CORRUPTION, "copied-l2-table",
	     "the COPIED flag of an L2 table is wrong"),
	KIND(COPIED_DATA, CORRUPTION, "copied-data", "the COPIED flag of a cluster is wrong"),
	KIND(COPIED_COMPRESSED, CORRUPTION, "copied-compressed",
	     "the COPIED flag is set on a compressed cluster"),
	KIND(L1_RESERVED, CORRUPTION, "l1-reserved", "reserved bits are set in an L1 entry"),
	KIND(L1_UNALIGNED, CORRUPTION, "l1-unaligned", "an L2 table is not aligned to a cluster"),
	KIND(L2_RESERVED, CORRUPTION, "l2-reserved", "reserved bits are set in an L2 entry"),
	KIND(L2_UNALIGNED, CORRUPTION, "l2-unaligned", "a cluster is not aligned"),
	KIND(L2_UNALIGNED_ZERO, CORRUPTION, "l2-unaligned-zero",
	     "a cluster without data, set aside for writes, is not aligned"),
	KIND(L2_ZERO_IN_V2, CORRUPTION, "l2-zero-in-v2",
	     "a zero cluster in an image of version 2, which has none"),
	KIND(L2_COMPRESSED_EXTERNAL, CORRUPTION, "l2-compressed-external",
	     "a compressed cluster in an image with a data file"),
	KIND(L2_COMPRESSED_BITMAP, CORRUPTION, "l2-compressed-bitmap",
	     "a compressed cluster has subcluster bits"),
	KIND(L2_BITMAP_BOTH, CORRUPTION, "l2-bitmap-both",
	     "a subcluster is both allocated and zero"),
	KIND(L2_BITMAP_NO_HOST, CORRUPTION, "l2-bitmap-no-host",
	     "subclusters are allocated without a cluster"),
	KIND(SNAPSHOT_INCOMPLETE, CORRUPTION, "snapshot-incomplete",
	     "a snapshot lacks fields that version 3 requires"),
	KIND(SNAPSHOT_L1_PLACE, CORRUPTION, "snapshot-l1-place",
	     "the L1 table of a snapshot lies where it cannot"),
	KIND(SNAPSHOT_L1_SIZE, CORRUPTION, "snapshot-l1-size",
	     "the L1 table of a snapshot is too large"),
	KIND(SNAPSHOT_EXTERNAL_DATA, CORRUPTION, "snapshot-external-data",
	     "a snapshot in an image with a data file"),
	KIND(BITMAP_TABLE_ENTRY, CORRUPTION, "bitmap-table-entry",
	     "an entry of a dirty bitmap's table makes no sense"),
	KIND(REFCOUNT_TABLE_RESERVED, CORRUPTION, "refcount-table-reserved",
	     "reserved bits are set in a refcount table entry"),
	KIND(REFCOUNT_BLOCK_UNALIGNED, CORRUPTION, "refcount-block-unaligned",
	     "a refcount block is not aligned to a cluster"),
	KIND(REFCOUNT_BLOCK_OUTSIDE, CORRUPTION, "refcount-block-outside",
	     "a refcount block lies beyond the end of the file"),
	KIND(REFCOUNT_BLOCK_SHARED, CORRUPTION, "refcount-block-shared",
	     "a refcount block is used more than once"),
	KIND(REFCOUNT_BLOCK_UNREADABLE, CORRUPTION, "refcount-block-unreadable",
	     "a refcount block cannot be read"),
	KIND(COMPRESSED_BROKEN, CORRUPTION, "compressed-broken",
	     "a compressed cluster cannot be decompressed (check --deep)"),
	KIND(COMPRESSED_OVERLAP, CORRUPTION, "compressed-overlap",
	     "two compressed clusters lie on top of each other (check --deep)"),
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == QC_FINDING_COUNT, "a kind for each finding");

const struct qc_finding_kind *qc_finding_kind(enum qc_finding_id id)
{
	assert((unsigned int)id < QC_FINDING_COUNT);
	return &kinds[id];
}

static void take_nothing(void *context, const struct qc_finding *finding)
{
	(void)context;
	(void)finding;
}

const struct qc_finding_sink qc_findings_unheard = {.take = take_nothing};

/* A message stays one line, whatever bytes a name in the image contributes to it. */
static void set_message(struct qc_finding *finding, const char *format, va_list args)
{
	vsnprintf(finding->message, sizeof(finding->message), format, args);
	for (char *c = finding->message; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

void qc_report(const struct qc_finding_sink *to, enum qc_finding_id id, const char *format, ...)
{
	struct qc_finding finding = {.id = id};
	va_list args;

	va_start(args, format);
	set_message(&finding, format, args);
	va_end(args);
	to->take(to->context, &finding);
}

void qc_report_at(const struct qc_finding_sink *to, enum qc_finding_id id, struct qc_host host,
		  const char *format, ...)
{
	struct qc_finding finding = {.id = id, .has_host = true, .host = host};
	va_list args;

	va_start(args, format);
	set_message(&finding, format, args);
	va_end(args);
	to->take(to->context, &finding);
}
