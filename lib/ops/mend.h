// SPDX-License-Identifier: MIT
/* What a repair changes, as edits of one transaction that was begun with options.repair. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/progress.h"
#include "check/check.h"
#include "txn/txn.h"

/*
 * Checks the image in `file`, which the transaction is about, and stages what puts it right:
 * refcounts, COPIED flags, marks in the header. With `leaks_only`, only counts that are too high.
 * What the check found goes to `findings` and *ret; nothing is staged if it could not be completed,
 * and what cannot be repaired (ret->lasting) stays as it is, marks included.
 */
int qc_mend(struct qc_file *file, struct qc_txn *txn, bool leaks_only,
	    const struct qc_finding_sink *findings, struct qc_progress *progress,
	    struct qc_check_result *ret, struct qc_err *err);
