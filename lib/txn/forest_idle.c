// SPDX-License-Identifier: MIT
/*
 * A repair's share of forest_impl.h: entries of snapshots' L2 tables that qc_tree_clear_idle() clears in
 * the disk's. A table is copied once however many entries of snapshots' L1 tables lead to it, at whatever
 * index, so there are never more copies than there are tables in the file. Where the disk uses the same
 * table, it gets a copy of its own, as for every change.
 */
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/l1_entry.h"
#include "txn/forest_impl.h"
#include "txn/tree.h"
#include "txn/txn_state.h"

/* More would be memory that a small file must not cost. */
#define L1_BYTES_MAX (UINT64_C(8) << 20)
#define TABLE_BYTES_IN_MEMORY (UINT64_C(4) << 20)

struct idle_table {
	struct qc_host old_host, new_host;
	uint64_t ways;	   /* entries of snapshots' L1 tables that lead to it, */
	uint64_t l1_index; /* and the number of one of them */
};

struct idle_tables {
	struct qc_forest *forest;
	struct idle_table *list; /* sorted */
	size_t count;
};

bool qc_forest_can_clear_idle(const struct qc_txn *txn)
{
	const struct qc_snapshots *all = &txn->image->snapshots;
	const struct qc_geometry *g = txn->geometry;
	uint64_t end = qc_align_up(txn->file_bytes_before, g->cluster_bytes);
	uint64_t bytes = 0, clusters = 0;

	for (size_t i = 0; i < all->count; i++) {
		uint64_t length = (uint64_t)all->list[i].l1_entries * sizeof(uint64_t);

		if (qc_in_cluster(g, all->list[i].l1.byte) != 0
		    || !qc_range_fits(all->list[i].l1.byte, length, end))
			return false;
		bytes += length;
		clusters += qc_clusters_for(g, length);
	}
	/* Each gets a copy, so where they are in each other's place there may be no end of copies. */
	return all->count == txn->header.snapshots && bytes <= L1_BYTES_MAX
	       && clusters <= end >> g->cluster_bits;
}

/* --- which tables, and who leads to them --- */

static int by_place(const void *a, const void *b)
{
	const struct idle_table *x = a, *y = b;

	return (x->old_host.byte > y->old_host.byte) - (x->old_host.byte < y->old_host.byte);
}

static int list_tables(struct idle_tables *idle, const struct qc_host *hosts, size_t count,
		       struct qc_err *err)
{
	size_t kept = 0;

	idle->list = calloc(count, sizeof(*idle->list));
	if (!idle->list)
		return qc_fail_memory(err);
	for (size_t i = 0; i < count; i++)
		idle->list[i].old_host = hosts[i];
	qsort(idle->list, count, sizeof(*idle->list), by_place);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || by_place(&idle->list[kept - 1], &idle->list[i]) != 0)
			idle->list[kept++] = idle->list[i];
	idle->count = kept;
	return 0;
}

/* The table that an entry of a snapshot's L1 table leads to, if it is one of them. */
static struct idle_table *table_of(const struct idle_tables *idle, uint64_t entry)
{
	const struct idle_table key = {.old_host = qc_l1_table_of(entry)};

	if (!qc_tree_is_in_reach(idle->forest->txn, entry))
		return NULL;
	return bsearch(&key, idle->list, idle->count, sizeof(key), by_place);
}

static void count_ways(const struct idle_tables *idle)
{
	const struct qc_forest *f = idle->forest;

	for (size_t i = 1; i < f->root_count; i++)
		for (uint64_t at = 0; at < f->roots[i].entries; at++) {
			struct idle_table *table = table_of(idle, f->roots[i].l1[at]);

			if (!table)
				continue;
			table->l1_index = at;
			table->ways++;
		}
}

/* --- the copies --- */

static int copy_table(struct qc_forest *f, struct idle_table *table, struct qc_err *err)
{
	struct qc_txn *txn = f->txn;
	struct qc_block *block;
	int status = qc_stage_get(&f->tables, qc_host_cluster(txn->geometry, table->old_host),
				  table->old_host, &block, err);

	if (status < 0 || !qc_tree_clear_idle_entries(txn->geometry, block->bytes))
		return status;
	qc_stage_change(&f->tables, block);
	block->ways = table->ways;
	block->l1_index = table->l1_index;
	for (uint64_t i = 0; status == 0 && i < table->ways; i++)
		status = qc_refs_drop_table(&txn->refs, table->old_host,
					    txn->geometry->cluster_bytes, err);
	if (status == 0)
		status = qc_txn_place_table(txn, block, err);
	table->new_host = block->new_host;
	return status;
}

static void refer_to_copies(const struct idle_tables *idle)
{
	struct qc_forest *f = idle->forest;

	for (size_t i = 1; i < f->root_count; i++)
		for (uint64_t at = 0; at < f->roots[i].entries; at++) {
			uint64_t *entry = &f->roots[i].l1[at];
			const struct idle_table *table = table_of(idle, *entry);

			if (!table || qc_host_is_none(table->new_host))
				continue;
			*entry = qc_l1_entry_make(table->new_host, false);
			f->roots[i].changed = true;
			f->txn->snapshots_changed = true;
		}
}

static int clear_tables(struct idle_tables *idle, struct qc_err *err)
{
	const volatile sig_atomic_t *stop = idle->forest->txn->options.stop;
	int status = 0;

	count_ways(idle);
	for (size_t i = 0; status == 0 && i < idle->count; i++) {
		if (stop && *stop)
			status = qc_fail(err, QC_E_INTERRUPTED, "interrupted");
		else if (idle->list[i].ways > 0)
			status = copy_table(idle->forest, &idle->list[i], err);
	}
	refer_to_copies(idle);
	return status;
}

int qc_forest_clear_idle(struct qc_txn *txn, const struct qc_host *tables, size_t count,
			 struct qc_err *err)
{
	struct idle_tables idle = {0};
	int status;

	if (count == 0)
		return 0;
	if ((status = qc_forest_plant(txn, true, err)) < 0)
		return status;
	idle.forest = txn->forest;
	idle.forest->settled = true;
	idle.forest->tables.room =
		(size_t)qc_max(TABLE_BYTES_IN_MEMORY >> txn->geometry->cluster_bits, 2);
	status = list_tables(&idle, tables, count, err);
	if (status == 0)
		status = clear_tables(&idle, err);
	free(idle.list);
	return status;
}
