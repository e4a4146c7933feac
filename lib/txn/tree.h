// SPDX-License-Identifier: MIT
/*
 * Whole trees of tables: what hangs below an L1 table. A cluster's refcount is the number of ways
 * that lead to it, so an L2 table that two L1 tables share counts each of its clusters twice.
 * Compressed clusters count on every host cluster that they touch.
 *
 * And the COPIED flags of the active tables, which say for an L2 table or a data cluster that its
 * refcount is 1 (I7). Changing a flag means copying the L2 table that holds it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct qc_geometry;
struct qc_txn;

/*
 * Adds, or drops, one reference for each way through entry number `index` of an L1 table whose
 * value is `entry`: to the L2 table itself and to all that it refers to.
 */
int qc_tree_count(struct qc_txn *txn, uint64_t entry, bool add, struct qc_err *err);

/*
 * Lets a second L1 table share the L2 table of active L1 entry `index`: one reference more for all
 * below it. Flags that say COPIED are cleared, in a copy that both L1 tables will refer to.
 */
int qc_tree_share(struct qc_txn *txn, uint64_t index, struct qc_err *err);

/*
 * Makes the L2 table of another L1 table's `entry` the active one at `index`, too: one reference
 * more for all below it. Flags that say COPIED are cleared, in a copy for the active table alone.
 */
int qc_tree_adopt(struct qc_txn *txn, uint64_t index, uint64_t entry, struct qc_err *err);

/* Whether a repair follows that entry of an L1 table: it makes sense, and leads into the file. */
bool qc_tree_is_in_reach(const struct qc_txn *txn, uint64_t entry);

/*
 * For repairs: clears those entries of an L2 table in memory that hold no data and set aside a cluster
 * that is not aligned; they read as before. Whether there was any.
 */
bool qc_tree_clear_idle_entries(const struct qc_geometry *g, uint8_t *table);

/*
 * The same for the entries below active L1 entry `index`. References to what they set aside are not
 * dropped.
 */
int qc_tree_clear_idle(struct qc_txn *txn, uint64_t index, struct qc_err *err);

/* Sets the flags of active L1 entry `index`, and of the L2 table below it, as the refcounts are now. */
int qc_tree_settle_copied(struct qc_txn *txn, uint64_t index, struct qc_err *err);
