// SPDX-License-Identifier: MIT
/*
 * Where an image leaves it to its backing chain what the guest sees, and what two chains show there.
 * Where both have it from the same file, or both know from their tables that there are zeroes,
 * nothing is read.
 */
#pragma once

#include "base/err.h"
#include "base/progress.h"
#include "image/chain.h"
#include "ops/rebase_compare.h"
#include "txn/fill.h"

struct qc_rebase_scan {
	struct qc_txn *txn; /* with a fill open: its gaps are what is looked at */
	const struct qc_layer *chain[QC_SIDES]; /* NULL: none */

	struct qc_progress *progress; /* NULL or: bytes of the disk */
	uint64_t disk_bytes;

	/*
	 * Called for every batch of units that may differ, in the order of the disk, while others
	 * compare the next one: it may read through the old chain, and put what is to be filled.
	 */
	int (*take)(void *context, const struct qc_batch *batch, struct qc_err *err);
	void *context;
};

int qc_rebase_scan(const struct qc_rebase_scan *scan, struct qc_err *err);
