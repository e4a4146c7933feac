// SPDX-License-Identifier: MIT
#include "txn/tree.h"

#include "base/checked.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/refcount_entry.h"
#include "txn/txn_state.h"
#include "txn/walk.h"

/* Neighbours from which on looking at their counts together takes less time than one by one. */
#define RUN_WORTH_A_SCAN 64

struct count {
	struct qc_txn *txn;
	bool add;
};

static int count_run(void *context, uint64_t first, uint64_t count, struct qc_err *err)
{
	const struct count *c = context;

	if (c->add)
		return qc_refs_add(&c->txn->refs, first, count, err);
	return qc_refs_drop(&c->txn->refs, first, count, &c->txn->report.clusters_freed, err);
}

static int count_entries(struct qc_txn *txn, const uint8_t *table, struct qc_host where, bool add,
			 struct qc_err *err)
{
	struct count c = {txn, add};
	struct qc_walk_sink sink = {.take = count_run, .context = &c};

	return qc_walk_l2_table(txn->geometry, table, where, &sink, err);
}

static int count_table(struct qc_txn *txn, struct qc_host table, bool add, struct qc_err *err)
{
	if (add)
		return qc_refs_add(&txn->refs, qc_host_cluster(txn->geometry, table), 1, err);
	return qc_refs_drop_table(&txn->refs, table, txn->geometry->cluster_bytes, err);
}

/* The L2 table that an L1 entry refers to; QC_E_FORMAT for an entry that makes no sense. */
static int table_of(struct qc_txn *txn, uint64_t entry, struct qc_host *ret, struct qc_err *err)
{
	*ret = qc_l1_table_of(entry);
	if ((entry & QC_L1_RESERVED) == 0 && qc_in_cluster(txn->geometry, ret->byte) == 0)
		return 0;
	return qc_fail(err, QC_E_FORMAT, "L1 entry 0x%llx makes no sense; see qcowtool check",
		       (unsigned long long)entry);
}

int qc_tree_count(struct qc_txn *txn, uint64_t entry, bool add, struct qc_err *err)
{
	size_t bytes = (size_t)txn->geometry->cluster_bytes;
	struct qc_host table;
	int status;

	if ((status = table_of(txn, entry, &table, err)) < 0 || qc_host_is_none(table))
		return status;
	if ((status = qc_file_read(txn->image->file, table.byte, txn->cluster, bytes, err)) < 0
	    || (status = count_entries(txn, txn->cluster, table, add, err)) < 0)
		return status;
	return count_table(txn, table, add, err);
}

/* --- COPIED flags --- */

/* Compressed entries have no such flag: bit 63 is clear in them. */
static bool has_copied(const struct qc_geometry *g, const uint8_t *table)
{
	uint64_t any = 0;

	for (size_t at = 0; at < g->cluster_bytes; at += g->l2_entry_bytes)
		any |= qc_load_be64(table + at);
	return (any & QC_L2_COPIED) != 0;
}

static void clear_copied(const struct qc_geometry *g, uint8_t *table)
{
	for (size_t at = 0; at < g->cluster_bytes; at += g->l2_entry_bytes)
		table[at] &= 0x7f; /* bit 63 is the first byte's highest */
}

int qc_tree_share(struct qc_txn *txn, uint64_t index, struct qc_err *err)
{
	struct qc_block *block;
	struct qc_host table;
	int status;

	if ((status = table_of(txn, txn->image->l1[index], &table, err)) < 0
	    || qc_host_is_none(table))
		return status;
	if ((status = qc_stage_get(&txn->l2, index, table, &block, err)) < 0
	    || (status = count_entries(txn, block->bytes, table, true, err)) < 0)
		return status;
	txn->image->l1[index] &= ~QC_L1_COPIED;
	txn->l1_changed = true;
	if (!has_copied(txn->geometry, block->bytes))
		return count_table(txn, table, true, err);
	clear_copied(txn->geometry, block->bytes);
	qc_stage_change(&txn->l2, block);
	block->ways = 2;
	block->l1_index = index;
	return count_table(txn, table, false, err);
}

int qc_tree_adopt(struct qc_txn *txn, uint64_t index, uint64_t entry, struct qc_err *err)
{
	struct qc_block *block;
	struct qc_host table;
	int status;

	if ((status = table_of(txn, entry, &table, err)) < 0)
		return status;
	txn->image->l1[index] = table.byte;
	txn->l1_changed = true;
	if (qc_host_is_none(table))
		return 0;
	if ((status = qc_stage_get(&txn->l2, index, table, &block, err)) < 0
	    || (status = count_entries(txn, block->bytes, table, true, err)) < 0)
		return status;
	if (!has_copied(txn->geometry, block->bytes))
		return count_table(txn, table, true, err);
	clear_copied(txn->geometry, block->bytes);
	qc_stage_change(&txn->l2, block);
	return 0;
}

/* A look at refcounts that mostly lie in the block of the one before. */
struct counts {
	struct qc_txn *txn;
	const uint8_t *block; /* NULL: none yet */
	uint64_t index;	      /* of the block */
};

/* Looks at the refcount block of a cluster; *ret_known is false if there can be none. */
static int look(struct counts *counts, uint64_t cluster, bool *ret_known, struct qc_err *err)
{
	const struct qc_geometry *g = counts->txn->geometry;
	uint64_t index = cluster / g->refcounts_per_block;
	int status;

	*ret_known = index < qc_refcountable_clusters(g) / g->refcounts_per_block;
	if (!*ret_known || (counts->block && counts->index == index))
		return 0;
	status = qc_refs_view(&counts->txn->refs, index, &counts->block, err);
	counts->index = index;
	return status;
}

/* The word of an L1 or L2 entry with the flag that its cluster's refcount asks for. */
static int settle_word(struct counts *counts, uint64_t *word, struct qc_err *err)
{
	const struct qc_geometry *g = counts->txn->geometry;
	uint64_t cluster = (*word & QC_L2_OFFSET_MASK) >> g->cluster_bits;
	bool known, one;
	int status;

	if ((*word & QC_L2_COMPRESSED) != 0 || cluster == 0)
		return 0;
	if ((status = look(counts, cluster, &known, err)) < 0 || !known)
		return status;
	one = qc_refcount_get(g, counts->block, cluster % g->refcounts_per_block) == 1;
	*word = (*word & ~QC_L2_COPIED) | (one ? QC_L2_COPIED : 0);
	return 0;
}

/*
 * How many entries from `at` on are plain clusters side by side, with the same flag and a refcount of
 * 1 each: most tables are one such run, and need no look at every entry.
 */
static int find_run(struct counts *counts, const uint8_t *table, size_t at, uint64_t *ret_entries,
		    struct qc_err *err)
{
	const struct qc_geometry *g = counts->txn->geometry;
	uint64_t word = qc_load_be64(table + at);
	uint64_t cluster = (word & QC_L2_OFFSET_MASK) >> g->cluster_bits;
	uint64_t first = cluster % g->refcounts_per_block, end = first + 1;
	bool known;
	int status;

	*ret_entries = 0;
	if (g->extended_l2 || (word & ~QC_L2_COPIED) != cluster << g->cluster_bits || cluster == 0)
		return 0;
	if ((status = look(counts, cluster, &known, err)) < 0 || !known)
		return status;
	for (at += g->l2_entry_bytes; at < g->cluster_bytes && end < g->refcounts_per_block;
	     at += g->l2_entry_bytes, end++)
		if (qc_load_be64(table + at) != (word += g->cluster_bytes))
			break;
	if (end - first < RUN_WORTH_A_SCAN)
		return 0;
	*ret_entries = qc_min(end, qc_min(qc_refcount_next_free(g, counts->block, first),
					  qc_refcount_next_shared(g, counts->block, first)))
		       - first;
	return 0;
}

/* Clusters of a data file are not counted; each has the one reference that its place gives it. */
static bool mark_all_copied(const struct qc_geometry *g, uint8_t *table)
{
	bool differ = false;

	for (size_t at = 0; at < g->cluster_bytes; at += g->l2_entry_bytes) {
		uint64_t word = qc_load_be64(table + at);

		if ((word & QC_L2_OFFSET_MASK) == 0 || (word & (QC_L2_COPIED | QC_L2_COMPRESSED)))
			continue;
		qc_store_be64(table + at, word | QC_L2_COPIED);
		differ = true;
	}
	return differ;
}

/* Settles the flags of a table in memory, and tells whether any differed. */
static int settle_entries(struct qc_txn *txn, uint8_t *table, bool *ret_differ, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct counts counts = {.txn = txn};
	uint64_t entries;
	int status = 0;

	*ret_differ = false;
	if (g->external_data) {
		*ret_differ = mark_all_copied(g, table);
		return 0;
	}
	for (size_t at = 0; status == 0 && at < g->cluster_bytes; at += g->l2_entry_bytes) {
		uint64_t old = qc_load_be64(table + at), word = old;

		if (old == 0)
			continue;
		if ((status = find_run(&counts, table, at, &entries, err)) < 0)
			return status;
		if (entries > 1 && (old & QC_L2_COPIED) == 0) {
			for (uint64_t i = 0; i < entries; i++)
				table[at + i * sizeof(uint64_t)] |= 0x80; /* the flag, bit 63 */
			*ret_differ = true;
		}
		if (entries > 1) {
			at += (size_t)(entries - 1) * sizeof(uint64_t);
			continue;
		}
		status = settle_word(&counts, &word, err);
		if (word != old) {
			*ret_differ = true;
			qc_store_be64(table + at, word);
		}
	}
	return status;
}

/* The table gets a new place; the one that it had is given up. */
static int change_table(struct qc_txn *txn, struct qc_block *block, struct qc_host old,
			struct qc_err *err)
{
	if (!qc_stage_change(&txn->l2, block))
		return 0;
	txn->l1_changed = true;
	return count_table(txn, old, false, err);
}

bool qc_tree_is_in_reach(const struct qc_txn *txn, uint64_t entry)
{
	uint64_t table = qc_l1_table_of(entry).byte;

	return (entry & QC_L1_RESERVED) == 0 && qc_in_cluster(txn->geometry, table) == 0
	       && table < txn->file_bytes_before;
}

bool qc_tree_clear_idle_entries(const struct qc_geometry *g, uint8_t *table)
{
	bool any = false;

	for (size_t at = 0; at < g->cluster_bytes; at += g->l2_entry_bytes) {
		uint64_t word = qc_load_be64(table + at);
		bool has_data = g->extended_l2 ? (uint32_t)qc_load_be64(table + at + 8) != 0
					       : (word & QC_L2_ZERO) == 0;

		if ((word & QC_L2_COMPRESSED) || has_data
		    || qc_in_cluster(g, word & QC_L2_OFFSET_MASK) == 0)
			continue;
		qc_store_be64(table + at, g->extended_l2 ? 0 : QC_L2_ZERO);
		any = true;
	}
	return any;
}

int qc_tree_clear_idle(struct qc_txn *txn, uint64_t index, struct qc_err *err)
{
	struct qc_block *block;
	struct qc_host table;
	int status;

	if ((status = table_of(txn, txn->image->l1[index], &table, err)) < 0
	    || qc_host_is_none(table)
	    || (status = qc_stage_get(&txn->l2, index, table, &block, err)) < 0)
		return status;
	if (!qc_tree_clear_idle_entries(txn->geometry, block->bytes))
		return 0;
	return change_table(txn, block, table, err);
}

int qc_tree_settle_copied(struct qc_txn *txn, uint64_t index, struct qc_err *err)
{
	uint64_t entry = txn->image->l1[index], settled = entry;
	struct counts counts = {.txn = txn};
	struct qc_block *block;
	struct qc_host table;
	bool differ;
	int status;

	if ((status = table_of(txn, entry, &table, err)) < 0 || qc_host_is_none(table))
		return status;
	if ((status = qc_stage_get(&txn->l2, index, table, &block, err)) < 0
	    || (status = settle_entries(txn, block->bytes, &differ, err)) < 0)
		return status;
	if (differ)
		return change_table(txn, block, table, err);
	status = settle_word(&counts, &settled, err);
	if (settled != entry) {
		txn->image->l1[index] = settled;
		txn->l1_changed = true;
	}
	return status;
}
