// SPDX-License-Identifier: MIT
/*
 * The commit's share of forest.h. Each L2 table that changed gets its new place, and every L1 entry
 * that led to the old one now leads there; L1 tables with such entries are copied as a whole.
 */
#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/l1_entry.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

/* Only the active L1 table has COPIED flags. */
static void refer_to(struct qc_forest *f, const struct qc_block *block)
{
	for (size_t i = 0; i < f->root_count; i++) {
		struct qc_forest_root *root = &f->roots[i];
		uint64_t at = block->l1_index;

		if (at >= root->entries
		    || qc_l1_table_of(root->l1[at]).byte != block->old_host.byte)
			continue;
		root->l1[at] = qc_l1_entry_make(block->new_host, i == 0 && block->ways == 1);
		root->changed = true;
	}
}

static int settle_tables(struct qc_forest *f, struct qc_err *err)
{
	QC_AUTOFREE struct qc_block **list = NULL;
	int status = qc_stage_list(&f->tables, &list, err);

	for (size_t i = 0; status == 0 && i < f->tables.changed; i++) {
		if (qc_host_is_none(list[i]->new_host))
			status = qc_txn_place_table(f->txn, list[i], err);
		if (status == 0)
			refer_to(f, list[i]);
	}
	return status;
}

int qc_forest_settle(struct qc_forest *forest, struct qc_err *err)
{
	struct qc_txn *txn = forest->txn;
	struct qc_staged_table *table;
	int status = forest->settled ? 0 : settle_tables(forest, err);

	for (size_t i = 1; status == 0 && i < forest->root_count; i++) {
		struct qc_forest_root *root = &forest->roots[i];
		struct qc_snapshot *snapshot = &txn->image->snapshots.list[i - 1];
		uint64_t bytes = root->entries * sizeof(uint64_t);

		if (!root->changed)
			continue;
		status = qc_staged_table_add(txn, QC_JOURNAL_L1, i, snapshot->l1,
					     (uint64_t)snapshot->l1_entries * sizeof(uint64_t),
					     bytes, &table, err);
		if (status < 0)
			break;
		snapshot->l1 = table->new_host;
		snapshot->l1_entries = (uint32_t)root->entries;
		root->staged = (size_t)(table - txn->tables);
	}
	return status;
}

int qc_forest_write(struct qc_forest *forest, struct qc_err *err)
{
	int status = qc_stage_flush(&forest->tables, err);

	for (size_t i = 1; status == 0 && i < forest->root_count; i++)
		if (forest->roots[i].changed)
			status = qc_staged_table_write_entries(
				forest->txn, &forest->txn->tables[forest->roots[i].staged],
				forest->roots[i].l1, UINT64_MAX, err);
	return status;
}
