// SPDX-License-Identifier: MIT
#include "txn/repair.h"

#include <assert.h>

#include "format/features.h"
#include "format/l1_entry.h"
#include "txn/forest_impl.h"
#include "txn/tree.h"
#include "txn/txn_state.h"

bool qc_txn_repair_is_endless(const struct qc_txn *txn)
{
	uint64_t clusters = qc_clusters_for(txn->geometry, txn->file_bytes_before);
	uint64_t tables = 0;

	for (uint64_t i = 0; i < txn->header.l1_entries; i++)
		tables += !qc_host_is_none(qc_l1_table_of(txn->image->l1[i]));
	return tables > clusters;
}

int qc_txn_repair_begin(struct qc_txn *txn, bool anew, struct qc_err *err)
{
	int status;

	assert(txn->options.repair && !txn->failed && !txn->space_known);
	status = qc_txn_need_space(txn, err);
	if (status == 0)
		qc_refs_distrust(&txn->refs, qc_clusters_for(txn->geometry, txn->file_bytes_before),
				 anew);
	return qc_txn_result(txn, status);
}

int qc_txn_repair_count(struct qc_txn *txn, uint64_t cluster, uint64_t count, struct qc_err *err)
{
	return qc_txn_result(txn, qc_refs_set(&txn->refs, cluster, count, err));
}

int qc_txn_repair_keep(struct qc_txn *txn, struct qc_err *err)
{
	uint64_t clusters = qc_clusters_for(txn->geometry, txn->file_bytes_before);
	uint64_t count;
	int status = 0;

	for (uint64_t i = 0; status == 0 && i < clusters; i++) {
		if (qc_space_is_free(&txn->space, i) || qc_space_is_given(&txn->space, i))
			continue;
		status = qc_refs_get(&txn->refs, i, &count, err);
		if (status == 0 && count == 0)
			status = qc_refs_set(&txn->refs, i, 1, err);
	}
	return qc_txn_result(txn, status);
}

bool qc_txn_repair_reaches_snapshots(const struct qc_txn *txn)
{
	return qc_forest_can_clear_idle(txn);
}

int qc_txn_repair_snapshot_tables(struct qc_txn *txn, const struct qc_host *tables, size_t count,
				  struct qc_err *err)
{
	return qc_txn_result(txn, qc_forest_clear_idle(txn, tables, count, err));
}

int qc_txn_repair_tables(struct qc_txn *txn, struct qc_err *err)
{
	int status = 0;

	for (uint64_t i = 0; status == 0 && i < txn->header.l1_entries; i++) {
		if (!qc_tree_is_in_reach(txn, txn->image->l1[i]))
			continue;
		if (txn->options.stop && *txn->options.stop)
			status = qc_fail(err, QC_E_INTERRUPTED, "interrupted");
		else
			status = qc_tree_clear_idle(txn, i, err);
		if (status == 0)
			status = qc_tree_settle_copied(txn, i, err);
	}
	return qc_txn_result(txn, status);
}

void qc_txn_repair_marks(struct qc_txn *txn)
{
	uint64_t marks = QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT;

	assert(txn->options.repair);
	if ((txn->header.incompatible & marks) == 0)
		return;
	txn->header.incompatible &= ~marks;
	txn->header_changed = true;
}

bool qc_txn_repair_snapshots(struct qc_txn *txn)
{
	struct qc_snapshots *all = &txn->image->snapshots;

	for (size_t i = 0; txn->header.version > 2 && i < all->count; i++) {
		if (all->list[i].has_disk_bytes)
			continue;
		all->list[i].has_disk_bytes = true;
		all->list[i].disk_bytes = txn->header.disk_bytes;
		txn->snapshots_changed = true;
	}
	return txn->snapshots_changed;
}
