// SPDX-License-Identifier: MIT
/*
 * Repairs, as edits of one transaction that was begun with options.repair. The caller finds out what
 * is wrong (the check does); here it is put right: counts, COPIED flags, the marks in the header.
 * Free space is what neither the refcounts nor the references say is used, so nothing that could
 * still be of use is written over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "txn/txn.h"

/*
 * Whether the disk's L1 table refers to more L2 tables than the file has clusters. Then one of them
 * serves ever so many entries, and to give each of these a copy, which is what a repair comes to, may
 * take any time and space.
 */
bool qc_txn_repair_is_endless(const struct qc_txn *txn);

/*
 * To be called first. Counts of clusters past the end of the file are taken for 0; with `anew`, the
 * refcount table and its blocks are taken for nothing, and every count has to be given.
 */
int qc_txn_repair_begin(struct qc_txn *txn, bool anew, struct qc_err *err);

/* The cluster's refcount becomes `count`, the references that were found. */
int qc_txn_repair_count(struct qc_txn *txn, uint64_t cluster, uint64_t count, struct qc_err *err);

/*
 * With `anew`, after all counts: clusters that the old refcounts say are used, but that got no count,
 * get 1. Nothing of them is lost; they leak.
 */
int qc_txn_repair_keep(struct qc_txn *txn, struct qc_err *err);

/*
 * Whether entries of snapshots' L2 tables can be cleared: all their L1 tables lie in the file, each in a
 * place of its own, and have no more than a million entries together.
 */
bool qc_txn_repair_reaches_snapshots(const struct qc_txn *txn);

/*
 * To be called at most once, after all counts and before qc_txn_repair_tables(), which says more: clears
 * such entries of those L2 tables wherever snapshots refer to them.
 */
int qc_txn_repair_snapshot_tables(struct qc_txn *txn, const struct qc_host *tables, size_t count,
				  struct qc_err *err);

/*
 * To be called once after all counts, which must not include references from the entries that are cleared
 * here: those of the active tables that hold no data and set aside a cluster that is not aligned. Every
 * COPIED flag there becomes what the counts say. Entries that make no sense otherwise stay as they are.
 */
int qc_txn_repair_tables(struct qc_txn *txn, struct qc_err *err);

/* The header no longer says that the image is dirty or corrupt. */
void qc_txn_repair_marks(struct qc_txn *txn);

/* Snapshots of version 3 that lack the disk's size get it; whether there were any. */
bool qc_txn_repair_snapshots(struct qc_txn *txn);
