// SPDX-License-Identifier: MIT
/* The commit protocol: the one place where an image changes from its old to its new state. */
#pragma once

#include "base/err.h"

struct qc_txn;

/*
 * Commits. On failure nothing that a reader can reach has changed and the caller undoes the rest,
 * but for QC_E_OUTCOME_UNKNOWN, after which nothing at all may be written (I6).
 */
int qc_commit(struct qc_txn *txn, struct qc_err *err);
