// SPDX-License-Identifier: MIT
/*
 * The L2 tables that holes are filled in, one L1 index after the other. A table is copied before it
 * changes; once all of an index is filled, the L1 tables refer to the copies.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "format/l1_entry.h"
#include "txn/fill_impl.h"
#include "txn/txn_state.h"

int qc_fill_table(struct qc_fill *fill, size_t tree, struct qc_block **ret, struct qc_err *err)
{
	return qc_stage_get(&fill->forest->tables, fill->first_key + tree,
			    fill->here.trees[tree].host, ret, err);
}

/* Only with --trust-refcounts: what is in use was free as far as its refcount said. */
static int check_not_given(const struct qc_txn *txn, struct qc_host host, struct qc_err *err)
{
	if (!qc_space_is_given(&txn->space, qc_host_cluster(txn->geometry, host)))
		return 0;
	return qc_fail(err, QC_E_FORMAT,
		       "the cluster at host offset 0x%" PRIx64
		       " is in use but its refcount is 0; see qcowtool check",
		       host.byte);
}

int qc_fill_change(struct qc_fill *fill, const struct qc_fill_tree *tree, struct qc_block *block,
		   struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	int status = 0;

	if (!qc_stage_change(&fill->forest->tables, block))
		return 0;
	block->l1_index = fill->here.l1_index;
	block->ways = tree->ways;
	txn->l1_changed |= tree->active;
	txn->snapshots_changed |= tree->ways > tree->active;
	if (qc_host_is_none(tree->host))
		return 0;
	status = check_not_given(txn, tree->host, err);
	for (uint64_t i = 0; status == 0 && i < tree->ways; i++)
		status = qc_refs_drop_table(&txn->refs, tree->host, txn->geometry->cluster_bytes,
					    err);
	return status;
}

/* A cluster that others still refer to may now be the active disk's alone. */
static int settle_copied(struct qc_fill *fill, uint64_t index, struct qc_host host,
			 struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	uint32_t number = fill->here.tree_of[0];
	struct qc_l2_entry entry;
	struct qc_block *block;
	uint64_t count = 0;
	int status;

	status = qc_refs_get(&txn->refs, qc_host_cluster(txn->geometry, host), &count, err);
	if (status < 0 || count != 1 || number == QC_FILL_NO_TREE)
		return status;
	if ((status = qc_fill_table(fill, number, &block, err)) < 0
	    || (status =
			qc_fill_decode(fill, fill->here.l1_index, block->bytes, index, &entry, err))
		       < 0)
		return status;
	if (entry.compressed || entry.copied || entry.host.byte != host.byte)
		return 0;
	status = qc_fill_change(fill, &fill->here.trees[number], block, err);
	entry.copied = true;
	qc_l2_store(txn->geometry, block->bytes, index, qc_l2_encode(txn->geometry, &entry));
	return status;
}

int qc_fill_drop(struct qc_fill *fill, const struct qc_fill_tree *tree, uint64_t index,
		 struct qc_host host, struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	int status = check_not_given(txn, host, err);

	for (uint64_t i = 0; status == 0 && i < tree->ways; i++)
		status = qc_refs_drop(&txn->refs, qc_host_cluster(txn->geometry, host), 1,
				      &txn->report.clusters_freed, err);
	return status < 0 ? status : settle_copied(fill, index, host, err);
}

/* --- from one L1 index to the next --- */

/* One that is no longer shared by all who shared it becomes a new one for each of them. */
static int change_siblings(struct qc_fill *fill, size_t number, struct qc_err *err)
{
	const struct qc_fill_tree *trees = fill->here.trees;
	struct qc_block *block;
	int status = 0;

	for (size_t i = 0; status == 0 && i < fill->here.count; i++) {
		if (qc_host_is_none(trees[i].host) || trees[i].host.byte != trees[number].host.byte)
			continue;
		if ((status = qc_fill_table(fill, i, &block, err)) == 0)
			status = qc_fill_change(fill, &trees[i], block, err);
	}
	return status;
}

static int set_root(struct qc_fill *fill, size_t number, const struct qc_block *block,
		    struct qc_err *err)
{
	struct qc_forest_root *root = &fill->forest->roots[number];
	uint64_t index = fill->here.l1_index;
	uint64_t *grown;

	/* A snapshot's table may be shorter than its disk. */
	if (index >= root->entries) {
		grown = reallocarray(root->l1, (size_t)index + 1, sizeof(*grown));
		if (!grown)
			return qc_fail_memory(err);
		memset(grown + root->entries, 0, (size_t)(index + 1 - root->entries) * 8);
		root->l1 = grown;
		root->entries = index + 1;
	}
	root->l1[index] = qc_l1_entry_make(block->new_host, number == 0 && block->ways == 1);
	root->changed = true;
	return 0;
}

/* Places the tables that changed, and has the L1 tables refer to them. */
static int close_group(struct qc_fill *fill, struct qc_err *err)
{
	const struct qc_stage *stage = &fill->forest->tables;
	struct qc_block *block;
	int status = 0;

	fill->here_open = false;
	for (size_t i = 0; status == 0 && i < fill->here.count; i++) {
		block = qc_stage_find(stage, fill->first_key + i);
		if (block && block->changed)
			status = change_siblings(fill, i, err);
	}
	for (size_t i = 0; status == 0 && i < fill->here.count; i++) {
		block = qc_stage_find(stage, fill->first_key + i);
		if (block && block->changed && qc_host_is_none(block->new_host))
			status = qc_txn_place_table(fill->forest->txn, block, err);
	}
	for (size_t i = 0; status == 0 && i < fill->forest->root_count; i++) {
		if (fill->here.tree_of[i] == QC_FILL_NO_TREE)
			continue;
		block = qc_stage_find(stage, fill->first_key + fill->here.tree_of[i]);
		if (block && block->changed)
			status = set_root(fill, i, block, err);
	}
	fill->first_key += fill->here.count;
	return status;
}

int qc_fill_open_group(struct qc_fill *fill, uint64_t l1_index, struct qc_err *err)
{
	int status = 0;

	if (fill->here_open && fill->here.l1_index == l1_index)
		return 0;
	if (fill->here_open)
		status = close_group(fill, err);
	if (status == 0)
		status = qc_fill_find_group(fill, l1_index, &fill->here, err);
	fill->here_open = true;
	return status;
}

int qc_fill_end(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_fill *fill = txn->forest->fill;

	return qc_txn_result(txn, fill->here_open ? close_group(fill, err) : 0);
}
