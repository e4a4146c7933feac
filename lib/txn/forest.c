// SPDX-License-Identifier: MIT
#include "txn/forest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

/* Entries that are looked at together; more than there can be L1 tables. */
#define ITEMS_MAX ((size_t)1 << 17)
_Static_assert(ITEMS_MAX > QC_SNAPSHOTS_MAX, "one guest cluster's entries must fit");

/* --- opening --- */

static int make_room(struct qc_forest *f, struct qc_err *err)
{
	uint64_t words = 0;
	size_t room;

	for (size_t i = 0; i < f->root_count; i++)
		words += f->roots[i].entries;
	room = (size_t)qc_min(ITEMS_MAX, words * f->txn->geometry->l2_entries) + 1;
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
	return 0;
}

/* --- finding entries --- */

static int by_place(const void *a, const void *b)
{
	const struct qc_forest_tree *x = a, *y = b;

	if (x->host.byte != y->host.byte)
		return x->host.byte < y->host.byte ? -1 : 1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

/* Every L1 table's L2 table of that index, each once. */
static int find_group(struct qc_forest *f, uint64_t l1_index, struct qc_err *err)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < f->root_count; i++) {
		uint64_t entry = l1_index < f->roots[i].entries ? f->roots[i].l1[l1_index] : 0;
		struct qc_host host = qc_l1_table_of(entry);

		if ((entry & QC_L1_RESERVED) != 0 || qc_in_cluster(f->txn->geometry, host.byte))
			return qc_fail(err, QC_E_FORMAT,
				       "L1 entry 0x%" PRIx64 " makes no sense; see qcowtool check",
				       entry);
		if (!qc_host_is_none(host))
			f->group[count++] = (struct qc_forest_tree){host, l1_index, 1, (uint32_t)i};
	}
	if (count > 1)
		qsort(f->group, count, sizeof(*f->group), by_place);
	for (size_t i = 0; i < count; i++) {
		if (kept && f->group[kept - 1].host.byte == f->group[i].host.byte)
			f->group[kept - 1].ways++;
		else
			f->group[kept++] = f->group[i];
	}
	f->group_count = kept;
	return 0;
}

/* Adds those of `slots` entries of the last tree that are compressed, from entry `first` on. */
static int find_items(struct qc_forest *f, uint64_t first, uint64_t slots, struct qc_err *err)
{
	const struct qc_geometry *g = f->txn->geometry;
	const struct qc_forest_tree *tree = &f->trees[f->tree_count];
	uint8_t *bytes = f->txn->cluster;
	int status;

	status = qc_file_read(f->txn->image->file, tree->host.byte + first * g->l2_entry_bytes,
			      bytes, (size_t)slots * g->l2_entry_bytes, err);
	if (status < 0)
		return qc_err_context(err, "L2 table at host offset 0x%" PRIx64, tree->host.byte);
	for (uint64_t i = 0; i < slots; i++) {
		uint64_t guest = tree->l1_index * g->l2_entries + first + i;
		struct qc_l2_words words = qc_l2_load(g, bytes, i);
		struct qc_l2_entry entry;
		enum qc_l2_fault fault;

		if ((words.entry & QC_L2_COMPRESSED) == 0)
			continue;
		fault = qc_l2_decode(g, words, &entry);
		if (fault != QC_L2_FAULT_NONE)
			return qc_fail(err, QC_E_FORMAT,
				       "the L2 entry of guest offset 0x%" PRIx64 " is damaged: %s",
				       guest << g->cluster_bits, qc_l2_fault_text(fault));
		f->items[f->item_count++] = (struct qc_forest_item){
			.host = entry.host.byte,
			.guest = guest,
			.bytes = (uint32_t)entry.compressed_bytes,
			.tree = (uint32_t)f->tree_count,
		};
	}
	return 0;
}

/*
 * How many entries of each of so many tables are looked at in one go. Windows of that many lie at
 * multiples of it, wherever the search began: so a run that was cut short and goes on finds the same
 * entries together as one that was not.
 */
static uint64_t window(const struct qc_forest *f)
{
	uint64_t slots = f->txn->geometry->l2_entries;

	while (slots * f->group_count > ITEMS_MAX)
		slots /= 2;
	return slots;
}

/* Goes on by one window, or says that there is no room for it. */
static int find_more(struct qc_forest *f, bool *ret_full, struct qc_err *err)
{
	const struct qc_geometry *g = f->txn->geometry;
	int status = find_group(f, f->at / g->l2_entries, err);
	uint64_t step = window(f);
	uint64_t slots = qc_min(qc_align_down(f->at, step) + step, f->end) - f->at;

	*ret_full = f->item_count + slots * f->group_count > ITEMS_MAX;
	if (*ret_full)
		return status;
	for (size_t i = 0; status == 0 && i < f->group_count; i++) {
		size_t before = f->item_count;

		f->trees[f->tree_count] = f->group[i];
		status = find_items(f, f->at % g->l2_entries, slots, err);
		if (f->item_count > before)
			f->tree_count++;
	}
	f->at += slots;
	return status;
}

static int by_guest(const void *a, const void *b)
{
	const struct qc_forest_item *x = a, *y = b;

	return (x->guest > y->guest) - (x->guest < y->guest);
}

/* Keeps no more than may come up, but at least one guest cluster; the others come up later. */
static void trim(struct qc_forest *f)
{
	size_t keep = (size_t)f->left;

	if (f->item_count <= f->left)
		return;
	qsort(f->items, f->item_count, sizeof(*f->items), by_guest);
	while (keep > 0 && f->items[keep - 1].guest == f->items[keep].guest)
		keep--;
	if (keep == 0)
		while (keep < f->item_count && f->items[keep].guest == f->items[0].guest)
			keep++;
	if (keep < f->item_count) {
		f->at = f->items[keep].guest;
		f->item_count = keep;
	}
}

static int by_host(const void *a, const void *b)
{
	const struct qc_forest_item *x = a, *y = b;

	if (x->host != y->host)
		return x->host < y->host ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	if (x->guest != y->guest)
		return x->guest < y->guest ? -1 : 1;
	return (x->tree > y->tree) - (x->tree < y->tree);
}

static void make_extents(struct qc_forest *f)
{
	struct qc_forest_extent *last = NULL;

	qsort(f->items, f->item_count, sizeof(*f->items), by_host);
	f->extent_count = 0;
	for (size_t i = 0; i < f->item_count; i++) {
		struct qc_forest_item *item = &f->items[i];

		if (!last || last->host.byte != item->host || last->bytes != item->bytes) {
			last = &f->extents[f->extent_count++];
			*last = (struct qc_forest_extent){.host = qc_host(item->host),
							  .bytes = item->bytes,
							  .first = i};
		}
		item->extent = (uint32_t)(last - f->extents);
		last->count++;
		last->ways += f->trees[item->tree].ways;
	}
}

int qc_forest_next(struct qc_txn *txn, struct qc_forest_extent **ret, size_t *ret_count,
		   struct qc_err *err)
{
	struct qc_forest *f = txn->forest;
	bool full = false;
	int status = 0;

	f->item_count = f->tree_count = 0;
	while (status == 0 && !full && f->at < f->end && f->left > f->item_count)
		status = txn->options.stop && *txn->options.stop
				 ? qc_fail(err, QC_E_INTERRUPTED, "interrupted")
				 : find_more(f, &full, err);
	if (status < 0)
		return qc_txn_result(txn, status);
	trim(f);
	make_extents(f);
	f->left -= qc_min(f->left, f->extent_count);
	*ret = f->extents;
	*ret_count = f->extent_count;
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

/* The shadow copy of a tree's L2 table. */
static int change_table(struct qc_forest *f, const struct qc_forest_tree *tree,
			struct qc_block **ret, struct qc_err *err)
{
	uint64_t cluster = qc_host_cluster(f->txn->geometry, tree->host);
	struct qc_block *block;
	int status = qc_stage_get(&f->tables, cluster, tree->host, &block, err);

	if (status < 0)
		return status;
	*ret = block;
	if (!qc_stage_change(&f->tables, block)) {
		if (block->l1_index == tree->l1_index)
			return 0;
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "the L2 table at host offset 0x%" PRIx64
			       " serves several parts of the disk",
			       tree->host.byte);
	}
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
		entry.copied = tree->owner == 0 && extent->ways == 1;
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

	qsort(f->items, f->item_count, sizeof(*f->items), by_tree);
	for (size_t i = 0; status == 0 && i < f->item_count; i++) {
		const struct qc_forest_item *item = &f->items[i];

		if (i == 0 || item->tree != f->items[i - 1].tree)
			status = change_table(f, &f->trees[item->tree], &block, err);
		if (status == 0)
			status = replace_entry(f, item, block->bytes, err);
	}
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
