// SPDX-License-Identifier: MIT
/* The records of the journal, between bytes and values. What they are for: docs/TRANSACTIONS.md. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/disk_layout.h"
#include "format/limits.h"

enum qc_journal_kind {
	QC_JOURNAL_L1 = 1,	   /* the active L1 table */
	QC_JOURNAL_L2,		   /* the L2 table of L1 entry `index` */
	QC_JOURNAL_REFCOUNT_TABLE, /* the refcount table */
	QC_JOURNAL_REFCOUNT_BLOCK, /* the block of refcount table entry `index` */
	QC_JOURNAL_SNAPSHOT_TABLE,
	QC_JOURNAL_FREED,	/* `length` bytes at old_host are free once the commit is durable */
	QC_JOURNAL_BITMAP_DATA, /* `index`: number of the bitmap << 32 | entry of its table */
	QC_JOURNAL_BITMAP_TABLE, /* `index`: number of the bitmap in the directory */
	QC_JOURNAL_BITMAP_DIRECTORY,
	QC_JOURNAL_DATA, /* guest cluster `index` of the data file: its content is at new_host */
	QC_JOURNAL_DATA_ZERO, /* `length` bytes from guest offset `index` on become zeroes there */
	QC_JOURNAL_KIND_LAST = QC_JOURNAL_DATA_ZERO,
};

struct qc_journal_record {
	enum qc_journal_kind kind;
	uint64_t index;
	struct qc_host old_host;
	struct qc_host new_host;
	uint64_t length;
	uint64_t digest; /* XXH64 of the new content; 0 where there is none */
};

struct qc_journal_head {
	uint32_t cluster_bits;
	uint64_t records;
	uint64_t file_bytes_before;
	uint64_t file_bytes_after;
	uint8_t before[QC_SECTOR_BYTES];
	uint8_t after[QC_SECTOR_BYTES];
};

struct qc_journal_trailer {
	uint64_t segment_offset;
	uint64_t segment_bytes;
	uint64_t segment_digest;
};

void qc_journal_head_encode(const struct qc_journal_head *head, struct qc_disk_journal_head *to);
void qc_journal_record_encode(const struct qc_journal_record *record,
			      struct qc_disk_journal_record *to);
/* Computes the trailer's own digest too. */
void qc_journal_trailer_encode(const struct qc_journal_trailer *trailer,
			       struct qc_disk_journal_trailer *to);

/* Fail with QC_E_FORMAT; a sector without the magic, or with a wrong digest, is simply no trailer. */
int qc_journal_head_decode(const struct qc_disk_journal_head *from, struct qc_journal_head *ret,
			   struct qc_err *err);
int qc_journal_record_decode(const struct qc_disk_journal_record *from,
			     struct qc_journal_record *ret, struct qc_err *err);
bool qc_journal_trailer_decode(const struct qc_disk_journal_trailer *from,
			       struct qc_journal_trailer *ret);

/* "L2 table", for people; "l2-table", for JSON. */
const char *qc_journal_kind_text(enum qc_journal_kind kind);
const char *qc_journal_kind_id(enum qc_journal_kind kind);
