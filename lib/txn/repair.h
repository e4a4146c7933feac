// SPDX-License-Identifier: MIT
/*
 * Repairs, as edits of one transaction that was begun with options.repair. The caller finds out what
 * is wrong (the check does); here it is put right: counts, COPIED flags, the marks in the header.
 * Free space is what neither the refcounts nor the references say is used, so nothing that could
 * still be of use is written over.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "txn/txn.h"

/* The cluster's refcount becomes `count`, the references that were found. */
int qc_txn_repair_count(struct qc_txn *txn, uint64_t cluster, uint64_t count, struct qc_err *err);

/*
 * To be called once after all counts: refcount table entries that make no sense go, and every COPIED
 * flag of the active tables becomes what the counts say. Entries that make no sense stay as they are.
 */
int qc_txn_repair_tables(struct qc_txn *txn, struct qc_err *err);

/* The header no longer says that the image is dirty or corrupt. */
void qc_txn_repair_marks(struct qc_txn *txn);
