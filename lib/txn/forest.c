// SPDX-License-Identifier: MIT
#include "txn/forest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/l2_entry.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

/* --- opening --- */

static int by_length(const void *a, const void *b)
{
	const struct qc_forest_length *x = a, *y = b;

	return (x->entries < y->entries) - (x->entries > y->entries);
}

static int make_room(struct qc_forest *f, struct qc_err *err)
{
	uint64_t words = 0;
	size_t room;

	f->lengths = calloc(f->root_count, sizeof(*f->lengths));
	if (!f->lengths)
		return qc_fail_memory(err);
	for (size_t i = 0; i < f->root_count; i++) {
		f->lengths[i] = (struct qc_forest_length){f->roots[i].entries, (uint32_t)i};
		words += f->roots[i].entries;
	}
	qsort(f->lengths, f->root_count, sizeof(*f->lengths), by_length);
	room = (size_t)qc_min(QC_FOREST_ITEMS_MAX, words * f->txn->geometry->l2_entries) + 1;
	f->group = calloc(f->root_count, sizeof(*f->group));
	f->trees = malloc(room * sizeof(*f->trees));
	f->items = malloc(room * sizeof(*f->items));
	f->extents = malloc(room * sizeof(*f->extents));
	return f->group && f->trees && f->items && f->extents ? 0 : qc_fail_memory(err);
}

int qc_forest_open(struct qc_txn *txn, uint64_t from, uint64_t to, uint64_t clusters_max,
		   struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_forest *f;
	uint64_t entries = 0;
	int status;

	assert(!txn->failed && !txn->sealed && !txn->forest && txn->l2.changed == 0);
	txn->sealed = true;
	if (txn->geometry->external_data)
		return qc_txn_result(txn, qc_fail(err, QC_E_UNSUPPORTED,
						  "there are no compressed clusters in an external "
						  "data file"));
	if (txn->header.crypt_method != QC_CRYPT_NONE)
		return qc_txn_result(txn, qc_fail(err, QC_E_UNSUPPORTED,
						  "the image is encrypted, and its clusters cannot "
						  "be moved"));
	if ((status = qc_forest_plant(txn, true, err)) < 0
	    || (status = make_room(txn->forest, err)) < 0)
		return qc_txn_result(txn, status);
	f = txn->forest;
	for (size_t i = 0; i < f->root_count; i++)
		entries = qc_max(entries, f->roots[i].entries);
	f->at = from >> g->cluster_bits;
	f->end = qc_min(qc_div_up(to, g->cluster_bytes), entries * g->l2_entries);
	f->left = clusters_max;
	f->items_max = QC_FOREST_ITEMS_MAX;
	return 0;
}

/* --- the next extents --- */

int qc_forest_next(struct qc_txn *txn, struct qc_forest_extent **ret, size_t *ret_count,
		   struct qc_err *err)
{
	struct qc_forest *f = txn->forest;
	int status = qc_forest_find(f, err);

	/* What is plain already needs nobody's help. */
	while (status == 0 && f->fresh_count == 0 && f->extent_count > 0)
		if ((status = qc_forest_apply(txn, err)) == 0)
			status = qc_forest_find(f, err);
	if (status < 0)
		return qc_txn_result(txn, status);
	*ret = f->extents;
	*ret_count = f->fresh_count;
	return 0;
}

/* --- replacing entries --- */

bool qc_forest_has_zeroes(const struct qc_txn *txn)
{
	return txn->geometry->version >= 3 || !txn->image->backing_name;
}

/*
 * Only with --trust-refcounts: what the committed state uses was free as far as its refcount said, and
 * was given out.
 */
static int check_not_given(const struct qc_txn *txn, uint64_t first, uint64_t count,
			   struct qc_err *err)
{
	for (uint64_t i = first; i < first + count; i++)
		if (qc_space_is_given(&txn->space, i))
			return qc_fail(err, QC_E_FORMAT,
				       "the cluster at host offset 0x%" PRIx64
				       " is in use but its refcount is 0; see qcowtool check",
				       i << txn->geometry->cluster_bits);
	return 0;
}

int qc_forest_place(struct qc_txn *txn, struct qc_forest_extent *extent, struct qc_err *err)
{
	int status = qc_txn_allocate(txn, 1, &extent->cluster, err);

	for (uint64_t i = 1; status == 0 && i < extent->ways; i++)
		status = qc_refs_add(&txn->refs, qc_host_cluster(txn->geometry, extent->cluster), 1,
				     err);
	txn->report.clusters_allocated++;
	return qc_txn_result(txn, status);
}

uint64_t qc_forest_table_key(const struct qc_forest *f, const struct qc_forest_tree *tree)
{
	return tree->l1_index << QC_FOREST_KEY_BITS | qc_host_cluster(f->txn->geometry, tree->host);
}

/* The shadow copy of a tree's L2 table. */
static int change_table(struct qc_forest *f, const struct qc_forest_tree *tree,
			struct qc_block **ret, struct qc_err *err)
{
	uint64_t cluster = qc_host_cluster(f->txn->geometry, tree->host);
	struct qc_block *block;
	int status =
		qc_stage_get(&f->tables, qc_forest_table_key(f, tree), tree->host, &block, err);

	if (status < 0)
		return status;
	*ret = block;
	if (!qc_stage_change(&f->tables, block))
		return 0;
	block->l1_index = tree->l1_index;
	block->ways = tree->ways;
	f->txn->l1_changed |= tree->owner == 0;
	f->txn->snapshots_changed |= tree->ways > (tree->owner == 0);
	status = check_not_given(f->txn, cluster, 1, err);
	for (uint64_t i = 0; status == 0 && i < tree->ways; i++)
		status = qc_refs_drop_table(&f->txn->refs, tree->host,
					    f->txn->geometry->cluster_bytes, err);
	return status;
}

static int replace_entry(struct qc_forest *f, const struct qc_forest_item *item, uint8_t *table,
			 struct qc_err *err)
{
	const struct qc_geometry *g = f->txn->geometry;
	const struct qc_forest_extent *extent = &f->extents[item->extent];
	const struct qc_forest_tree *tree = &f->trees[item->tree];
	struct qc_l2_entry entry = {.host = extent->cluster};
	uint64_t first, count;
	int status;

	if (!qc_host_is_none(extent->cluster)) {
		entry.allocated = qc_all_subclusters(g);
		entry.copied = tree->owner == 0 && extent->ways == 1
			       && item->extent < f->fresh_count;
	} else if (g->version >= 3) {
		entry.zero = qc_all_subclusters(g);
	}
	qc_l2_store(g, table, item->guest % g->l2_entries, qc_l2_encode(g, &entry));
	qc_compressed_clusters(g, extent->host, extent->bytes, &first, &count);
	status = check_not_given(f->txn, first, count, err);
	for (uint64_t i = 0; status == 0 && i < tree->ways; i++)
		status = qc_refs_drop(&f->txn->refs, first, count, &f->txn->report.clusters_freed,
				      err);
	return status;
}

static int by_tree(const void *a, const void *b)
{
	const struct qc_forest_item *x = a, *y = b;

	if (x->tree != y->tree)
		return x->tree < y->tree ? -1 : 1;
	return (x->guest > y->guest) - (x->guest < y->guest);
}

/* Table after table, so that each comes into memory once. */
int qc_forest_apply(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_forest *f = txn->forest;
	struct qc_block *block = NULL;
	int status = qc_txn_need_space(txn, err);

	for (size_t i = f->fresh_count; status == 0 && i < f->extent_count; i++)
		status = qc_forest_shared_join(f, &f->extents[i], err);
	qsort(f->items, f->item_count, sizeof(*f->items), by_tree);
	for (size_t i = 0; status == 0 && i < f->item_count; i++) {
		const struct qc_forest_item *item = &f->items[i];

		if (i == 0 || item->tree != f->items[i - 1].tree)
			status = change_table(f, &f->trees[item->tree], &block, err);
		if (status == 0)
			status = replace_entry(f, item, block->bytes, err);
	}
	if (status == 0)
		status = qc_forest_shared_remember(f, err);
	return qc_txn_result(txn, status);
}

/* --- what there is to say --- */

uint64_t qc_forest_position(const struct qc_txn *txn)
{
	return txn->forest->at << txn->geometry->cluster_bits;
}

bool qc_forest_has_more(const struct qc_txn *txn)
{
	return txn->forest->at < txn->forest->end;
}

int qc_forest_blame(const struct qc_txn *txn, const struct qc_forest_extent *extent,
		    struct qc_err *err)
{
	const struct qc_forest *f = txn->forest;
	const struct qc_forest_item *item = &f->items[extent->first];
	uint64_t from = item->guest << txn->geometry->cluster_bits;
	uint64_t to = from + txn->geometry->cluster_bytes;
	uint32_t owner = f->trees[item->tree].owner;

	if (owner == 0)
		return qc_err_context(err,
				      "guest range 0x%" PRIx64 "-0x%" PRIx64
				      " (host offset 0x%" PRIx64 ")",
				      from, to, extent->host.byte);
	return qc_err_context(err,
			      "snapshot '%s', guest range 0x%" PRIx64 "-0x%" PRIx64
			      " (host offset 0x%" PRIx64 ")",
			      txn->image->snapshots.list[owner - 1].name, from, to,
			      extent->host.byte);
}
