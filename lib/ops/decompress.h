// SPDX-License-Identifier: MIT
/*
 * Compressed clusters become plain ones, in place: those of the active disk and of all snapshots. No
 * guest byte changes, so the backing chain is not needed. All of it is one transaction, or one every
 * so many bytes; what is plain already is passed over, so a run that was cut short can be repeated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "ops/edit.h"

struct qc_decompress {
	uint64_t at, length;  /* the guest range: each cluster that it touches */
	bool has_length;      /* else to the end of everything */
	uint64_t batch_bytes; /* a transaction for each so many bytes of clusters; 0: one for all */
	unsigned int threads; /* 0: as many as there are processors */
	struct qc_progress *progress; /* NULL or: bytes of the disk */
};

struct qc_decompress_report {
	uint64_t clusters;	/* that were compressed and are not any more */
	uint64_t zero_clusters; /* those of them that became zero clusters, or unallocated */
	uint64_t bytes_read;	/* of compressed data */
	uint64_t bytes_written; /* of plain data */
	uint64_t transactions;	/* that changed something */
};

/*
 * Does all of it, commits included, with an edit that was opened with `how` and has nothing in it.
 * *ret counts what is committed (in a dry run: would be), also if a later transaction fails; then
 * the error says so. QC_E_RANGE if the range is past the end of every disk in the image; QC_E_FORMAT
 * names the first cluster whose data is broken.
 */
int qc_decompress(struct qc_edit *edit, const struct qc_edit_options *how,
		  const struct qc_decompress *what, struct qc_decompress_report *ret,
		  struct qc_err *err);
