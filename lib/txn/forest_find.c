// SPDX-License-Identifier: MIT
/* Which entries forest.h is about: L2 tables are read a window at a time, and sorted by host offset. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

static int by_place(const void *a, const void *b)
{
	const struct qc_forest_tree *x = a, *y = b;

	if (x->host.byte != y->host.byte)
		return x->host.byte < y->host.byte ? -1 : 1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

/* Every L1 table's L2 table of that index, each once. Tables that end before are not even looked at. */
static int find_group(struct qc_forest *f, uint64_t l1_index, struct qc_err *err)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < f->root_count && l1_index < f->lengths[i].entries; i++) {
		uint32_t root = f->lengths[i].root;
		uint64_t entry = f->roots[root].l1[l1_index];
		struct qc_host host = qc_l1_table_of(entry);

		if ((entry & QC_L1_RESERVED) != 0 || qc_in_cluster(f->txn->geometry, host.byte)
		    || qc_host_cluster(f->txn->geometry, host) >> QC_FOREST_KEY_BITS != 0)
			return qc_fail(err, QC_E_FORMAT,
				       "L1 entry 0x%" PRIx64 " makes no sense; see qcowtool check",
				       entry);
		if (!qc_host_is_none(host))
			f->group[count++] = (struct qc_forest_tree){host, l1_index, 1, root};
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
				       "the L2 entry of guest offset 0x%" PRIx64 " is damaged: %s; "
				       "see qcowtool check",
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

	while (slots * f->group_count > f->items_max)
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

	*ret_full = f->item_count + slots * f->group_count > f->items_max;
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

/* The extent of so many items from `first` on. */
static void add_extent(struct qc_forest *f, size_t first, size_t count, struct qc_host cluster)
{
	struct qc_forest_extent *extent = &f->extents[f->extent_count];

	*extent = (struct qc_forest_extent){
		.host = qc_host(f->items[first].host),
		.bytes = f->items[first].bytes,
		.cluster = cluster,
		.first = first,
		.count = count,
	};
	for (size_t i = first; i < first + count; i++) {
		f->items[i].extent = (uint32_t)f->extent_count;
		extent->ways += f->trees[f->items[i].tree].ways;
	}
	f->extent_count++;
}

static size_t count_equal(const struct qc_forest *f, size_t first)
{
	size_t end = first + 1;

	while (end < f->item_count && f->items[end].host == f->items[first].host
	       && f->items[end].bytes == f->items[first].bytes)
		end++;
	return end - first;
}

/* The extents that are plain already, or those that are not. */
static void add_extents(struct qc_forest *f, bool plain)
{
	for (size_t i = 0, count; i < f->item_count; i += count) {
		const struct qc_forest_shared *shared =
			qc_forest_shared_find(f, f->items[i].host, f->items[i].bytes);

		count = count_equal(f, i);
		if ((shared != NULL) == plain)
			add_extent(f, i, count, shared ? shared->cluster : qc_host(0));
	}
}

static void make_extents(struct qc_forest *f)
{
	qsort(f->items, f->item_count, sizeof(*f->items), by_host);
	f->extent_count = 0;
	add_extents(f, false);
	f->fresh_count = f->extent_count;
	if (f->shared)
		add_extents(f, true);
}

int qc_forest_find(struct qc_forest *f, struct qc_err *err)
{
	const volatile sig_atomic_t *stop = f->txn->options.stop;
	bool full = false;
	int status = 0;

	f->item_count = f->tree_count = 0;
	while (status == 0 && !full && f->at < f->end && f->left > f->item_count)
		status = stop && *stop ? qc_fail(err, QC_E_INTERRUPTED, "interrupted")
				       : find_more(f, &full, err);
	if (status < 0)
		return status;
	trim(f);
	make_extents(f);
	f->left -= qc_min(f->left, f->fresh_count);
	return 0;
}
