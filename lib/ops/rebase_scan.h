// SPDX-License-Identifier: MIT
/*
 * Where an image leaves it to its backing chain what the guest sees, and what two chains show there.
 * Where both have it from the same file, or both know from their tables that there are zeroes,
 * nothing is read.
 */
#pragma once

#include <signal.h>

#include "base/err.h"
#include "image/map.h"
#include "ops/rebase_compare.h"

struct qc_rebase_scan {
	const struct qc_view *view; /* the image's own tables; what is below it is not looked at */
	const struct qc_layer *chain[QC_SIDES]; /* NULL: none */
	const volatile sig_atomic_t *stop;	/* NULL or: QC_E_INTERRUPTED once it is not 0 */

	/* Called for every batch of units that may differ, in the order of the disk. */
	int (*take)(void *context, const struct qc_batch *batch, struct qc_err *err);
	void *context;
};

int qc_rebase_scan(const struct qc_rebase_scan *scan, struct qc_err *err);
