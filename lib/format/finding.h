// SPDX-License-Identifier: MIT
/*
 * What can be wrong with an image, as data: one table of stable ids with a severity and a summary.
 * Code that looks at an image reports findings to a sink and goes on; who called it decides whether
 * to refuse, to warn or to repair. Ids are part of the JSON output and never change their meaning.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

enum qc_severity {
	QC_SEVERITY_NOTE,	/* worth saying; the image is sound */
	QC_SEVERITY_LEAK,	/* wasted space */
	QC_SEVERITY_CORRUPTION, /* wrong, or wrong after the next write */
};

/* Which finding: an index into the table of finding.c, in the same order. */
enum qc_finding_id {
	QC_FINDING_HEADER_LENGTH,
	QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE,
	QC_FINDING_HEADER_COMPRESSION_TYPE,
	QC_FINDING_HEADER_EXTENDED_L2_CLUSTER_SIZE,
	QC_FINDING_HEADER_CRYPT_METHOD,
	QC_FINDING_HEADER_DATA_RAW,
	QC_FINDING_HEADER_DISK_SIZE,
	QC_FINDING_HEADER_L1_PLACE,
	QC_FINDING_HEADER_L1_SIZE,
	QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE,
	QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE,
	QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE,
	QC_FINDING_HEADER_SNAPSHOT_COUNT,
	QC_FINDING_HEADER_BACKING_NAME,
	QC_FINDING_EXTENSION_MALFORMED,
	QC_FINDING_EXTENSION_DUPLICATE,
	QC_FINDING_BITMAPS_MALFORMED,
	QC_FINDING_BITMAPS_STALE,
	QC_FINDING_SNAPSHOT_MALFORMED,
	QC_FINDING_DIRTY,
	QC_FINDING_CORRUPT,
	QC_FINDING_TRANSACTION_INTERRUPTED,
	QC_FINDING_BITMAP_IN_USE,
	QC_FINDING_CLUSTER_LEAKED,
	QC_FINDING_REFCOUNT_TOO_LOW,
	QC_FINDING_REFCOUNT_OVERFLOW,
	QC_FINDING_REFERENCE_PAST_END,
	QC_FINDING_COPIED_L2_TABLE,
	QC_FINDING_COPIED_DATA,
	QC_FINDING_COPIED_COMPRESSED,
	QC_FINDING_L1_RESERVED,
	QC_FINDING_L1_UNALIGNED,
	QC_FINDING_L2_RESERVED,
	QC_FINDING_L2_UNALIGNED,
	QC_FINDING_L2_UNALIGNED_ZERO,
	QC_FINDING_L2_ZERO_IN_V2,
	QC_FINDING_L2_COMPRESSED_EXTERNAL,
	QC_FINDING_L2_COMPRESSED_BITMAP,
	QC_FINDING_L2_BITMAP_BOTH,
	QC_FINDING_L2_BITMAP_NO_HOST,
	QC_FINDING_SNAPSHOT_INCOMPLETE,
	QC_FINDING_SNAPSHOT_L1_PLACE,
	QC_FINDING_SNAPSHOT_L1_SIZE,
	QC_FINDING_SNAPSHOT_EXTERNAL_DATA,
	QC_FINDING_BITMAP_TABLE_ENTRY,
	QC_FINDING_REFCOUNT_TABLE_RESERVED,
	QC_FINDING_REFCOUNT_BLOCK_UNALIGNED,
	QC_FINDING_REFCOUNT_BLOCK_OUTSIDE,
	QC_FINDING_REFCOUNT_BLOCK_SHARED,
	QC_FINDING_REFCOUNT_BLOCK_UNREADABLE,
	QC_FINDING_COMPRESSED_BROKEN,
	QC_FINDING_COMPRESSED_OVERLAP,
	QC_FINDING_COUNT, /* not a finding */
};

struct qc_finding_kind {
	const char *id; /* "header-l1-place" */
	enum qc_severity severity;
	const char *summary;
};

const struct qc_finding_kind *qc_finding_kind(enum qc_finding_id id);

struct qc_finding {
	enum qc_finding_id id;
	bool has_host, has_guest;
	struct qc_host host;
	struct qc_guest guest;
	const char *snapshot; /* borrowed; NULL: not about a snapshot */
	char message[256];    /* one line with the values that are wrong */
};

/* Where findings go. take() may be called any number of times; the finding is borrowed. */
struct qc_finding_sink {
	void (*take)(void *context, const struct qc_finding *finding);
	void *context;
};

/* For callers who want none of them. */
extern const struct qc_finding_sink qc_findings_unheard;

/* Reports a finding that has no place but the header. */
void qc_report(const struct qc_finding_sink *to, enum qc_finding_id id, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Reports a finding about a place in the file. */
void qc_report_at(const struct qc_finding_sink *to, enum qc_finding_id id, struct qc_host host,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));
