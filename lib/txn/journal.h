// SPDX-License-Identifier: MIT
/*
 * The journal segment of a transaction, at the end of the file. journal_write.h writes it before the
 * commit's one write; it is cut off after the freed space was given back; what a crash in between
 * leaves is recover.h's business. Its clusters have refcount 0: to every other program it is free
 * space.
 *
 * A segment is believed only if the trailer, in the file's last sector, and everything that it
 * covers carry the right digests. What it says is still only a hint to the state of sector 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/journal_record.h"
#include "io/file.h"

/* A longer journal leaves out freed runs; their clusters are free all the same. */
#define QC_JOURNAL_BYTES_MAX (UINT64_C(1) << 28)
#define QC_JOURNAL_RECORDS_MAX                                                                     \
	((QC_JOURNAL_BYTES_MAX - sizeof(struct qc_disk_journal_head))                              \
	 / sizeof(struct qc_disk_journal_record))

struct qc_journal {
	struct qc_journal_head head;
	uint64_t offset; /* of the segment in the file */
	uint64_t bytes;	 /* head and records */
};

/* Looks for a whole and undamaged segment. *ret_found false is no error. */
int qc_journal_find(struct qc_file *file, bool *ret_found, struct qc_journal *ret,
		    struct qc_err *err);

/* Calls take() for each record in order, until it returns an error. */
int qc_journal_each(struct qc_file *file, const struct qc_journal *journal,
		    int (*take)(void *context, const struct qc_journal_record *record,
				struct qc_err *err),
		    void *context, struct qc_err *err);

/* Removes the segment: the file becomes `file_bytes` long; on a block device it is zeroed. */
int qc_journal_drop(struct qc_file *file, const struct qc_journal *journal, uint64_t file_bytes,
		    struct qc_err *err);
