// SPDX-License-Identifier: MIT
#include "txn/fill.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "format/l1_entry.h"
#include "txn/fill_impl.h"
#include "txn/txn_state.h"

struct qc_fill_member {
	struct qc_host host;
	uint64_t end;
	uint32_t root;
};

/* --- opening --- */

static int open_group(const struct qc_fill *fill, struct qc_fill_group *ret, struct qc_err *err)
{
	ret->trees = calloc(fill->forest->root_count, sizeof(*ret->trees));
	ret->tree_of = calloc(fill->forest->root_count, sizeof(*ret->tree_of));
	return ret->trees && ret->tree_of ? 0 : qc_fail_memory(err);
}

static int open_fill(struct qc_fill *fill, struct qc_err *err)
{
	const struct qc_forest *forest = fill->forest;
	const struct qc_geometry *g = forest->txn->geometry;
	int status;

	for (size_t i = 0; i < forest->root_count; i++)
		fill->disk_bytes = qc_max(fill->disk_bytes, forest->roots[i].disk_bytes);
	/* No L1 table is that long, so that no reader could go back to such a disk. */
	if (fill->disk_bytes > QC_DISK_BYTES_MAX
	    || qc_l1_entries_for(g, fill->disk_bytes) > QC_L1_BYTES_MAX / sizeof(uint64_t))
		return qc_fail(err, QC_E_FORMAT, "a snapshot has an impossible disk size");
	if ((status = open_group(fill, &fill->ahead, err)) < 0
	    || (status = open_group(fill, &fill->here, err)) < 0)
		return status;
	fill->members = calloc(forest->root_count, sizeof(*fill->members));
	if (!fill->members || !qc_bitset_init(&fill->gaps, g->l2_entries * g->subclusters))
		return qc_fail_memory(err);
	return 0;
}

int qc_fill_open(struct qc_txn *txn, bool with_snapshots, struct qc_err *err)
{
	int status;

	assert(!txn->failed && !txn->sealed && txn->l2.changed == 0);
	txn->sealed = true;
	if ((status = qc_txn_require_writable(txn, err)) < 0
	    || (status = qc_forest_plant(txn, with_snapshots, err)) < 0)
		return qc_txn_result(txn, status);
	txn->forest->fill = calloc(1, sizeof(*txn->forest->fill));
	if (!txn->forest->fill)
		return qc_txn_result(txn, qc_fail_memory(err));
	txn->forest->fill->forest = txn->forest;
	txn->forest->settled = true;
	txn->forest->fill->behind.file = txn->image->file;
	status = open_fill(txn->forest->fill, err);
	return qc_txn_result(txn, status);
}

void qc_fill_free(struct qc_fill *fill)
{
	if (!fill)
		return;
	free(fill->ahead.trees);
	free(fill->ahead.tree_of);
	free(fill->here.trees);
	free(fill->here.tree_of);
	free(fill->members);
	free(fill->holes);
	for (size_t i = 0; i < QC_FILL_CODECS; i++)
		qc_codec_close(fill->codecs[i]);
	free(fill->packed);
	qc_bitset_clear(&fill->gaps);
	free(fill);
}

uint64_t qc_fill_disk_bytes(const struct qc_txn *txn)
{
	return txn->forest->fill->disk_bytes;
}

/* --- trees --- */

static int find_members(const struct qc_fill *fill, uint64_t l1_index, size_t *ret_count,
			struct qc_err *err)
{
	const struct qc_geometry *g = fill->forest->txn->geometry;
	uint64_t start = l1_index * g->l2_span_bytes;
	size_t count = 0;

	for (size_t i = 0; i < fill->forest->root_count; i++) {
		const struct qc_forest_root *root = &fill->forest->roots[i];
		uint64_t entry = l1_index < root->entries ? root->l1[l1_index] : 0;
		struct qc_host host = qc_l1_table_of(entry);

		if (root->disk_bytes <= start)
			continue;
		if ((entry & QC_L1_RESERVED) != 0 || qc_in_cluster(g, host.byte) != 0)
			return qc_fail(err, QC_E_FORMAT,
				       "L1 entry 0x%" PRIx64 " makes no sense; see qcowtool check",
				       entry);
		fill->members[count++] = (struct qc_fill_member){
			.host = host,
			.end = qc_min(root->disk_bytes - start, g->l2_span_bytes),
			.root = (uint32_t)i,
		};
	}
	*ret_count = count;
	return 0;
}

static int by_tree(const void *a, const void *b)
{
	const struct qc_fill_member *x = a, *y = b;

	if (x->host.byte != y->host.byte)
		return x->host.byte < y->host.byte ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return (x->root > y->root) - (x->root < y->root);
}

/* A table that does not exist yet cannot have more references than its refcount can say. */
static bool belongs_to(const struct qc_fill *fill, const struct qc_fill_member *member,
		       const struct qc_fill_tree *tree)
{
	return tree->host.byte == member->host.byte && tree->end == member->end
	       && tree->ways < fill->forest->txn->geometry->refcount_max;
}

int qc_fill_find_group(struct qc_fill *fill, uint64_t l1_index, struct qc_fill_group *ret,
		       struct qc_err *err)
{
	size_t count = 0, roots = fill->forest->root_count;
	int status = find_members(fill, l1_index, &count, err);

	if (status < 0)
		return status;
	if (count > 1)
		qsort(fill->members, count, sizeof(*fill->members), by_tree);
	ret->l1_index = l1_index;
	ret->count = 0;
	ret->shortest = UINT64_MAX;
	ret->longest = 0;
	for (size_t i = 0; i < roots; i++)
		ret->tree_of[i] = QC_FILL_NO_TREE;
	for (size_t i = 0; i < count; i++) {
		const struct qc_fill_member *m = &fill->members[i];

		if (ret->count == 0 || !belongs_to(fill, m, &ret->trees[ret->count - 1]))
			ret->trees[ret->count++] =
				(struct qc_fill_tree){.host = m->host, .end = m->end};
		ret->trees[ret->count - 1].ways++;
		ret->trees[ret->count - 1].active |= m->root == 0;
		ret->tree_of[m->root] = (uint32_t)(ret->count - 1);
		ret->shortest = qc_min(ret->shortest, m->end);
		ret->longest = qc_max(ret->longest, m->end);
	}
	return 0;
}

int qc_fill_decode(const struct qc_fill *fill, uint64_t l1_index, const uint8_t *table,
		   uint64_t index, struct qc_l2_entry *ret, struct qc_err *err)
{
	const struct qc_geometry *g = fill->forest->txn->geometry;
	enum qc_l2_fault fault = qc_l2_decode(g, qc_l2_load(g, table, index), ret);

	if (fault == QC_L2_FAULT_NONE)
		return 0;
	return qc_fail(err, QC_E_FORMAT,
		       "the L2 entry of guest offset 0x%" PRIx64 " is damaged: %s; "
		       "see qcowtool check",
		       l1_index * g->l2_span_bytes + (index << g->cluster_bits),
		       qc_l2_fault_text(fault));
}

/* --- gaps --- */

static void add_gaps(struct qc_fill *fill, uint64_t first, uint32_t missing, uint64_t end)
{
	const struct qc_geometry *g = fill->forest->txn->geometry;
	uint64_t count = qc_min(g->subclusters, end - first);

	if (missing == qc_all_subclusters(g)) {
		qc_bitset_add_range(&fill->gaps, first, count);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		if ((missing >> i & 1) != 0)
			qc_bitset_add(&fill->gaps, first + i);
}

/* Adds what a tree's table does not have. */
static int find_in_tree(struct qc_fill *fill, const struct qc_fill_tree *tree, struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	const struct qc_geometry *g = txn->geometry;
	uint64_t end = qc_div_up(tree->end, g->subcluster_bytes);
	struct qc_l2_entry entry;
	int status;

	if (qc_host_is_none(tree->host)) {
		qc_bitset_add_range(&fill->gaps, 0, end);
		return 0;
	}
	status = qc_file_read(txn->image->file, tree->host.byte, txn->cluster,
			      (size_t)g->cluster_bytes, err);
	if (status < 0)
		return qc_err_context(err, "L2 table at host offset 0x%" PRIx64, tree->host.byte);
	for (uint64_t i = 0; i * g->subclusters < end; i++) {
		status = qc_fill_decode(fill, fill->ahead.l1_index, txn->cluster, i, &entry, err);
		if (status < 0)
			return status;
		if (!entry.compressed)
			add_gaps(fill, i * g->subclusters,
				 qc_all_subclusters(g) & ~(entry.allocated | entry.zero), end);
	}
	return 0;
}

static int look_ahead(struct qc_fill *fill, uint64_t l1_index, struct qc_err *err)
{
	int status = qc_fill_find_group(fill, l1_index, &fill->ahead, err);

	qc_bitset_remove_range(&fill->gaps, 0, fill->gaps.bits);
	for (size_t i = 0; status == 0 && i < fill->ahead.count; i++)
		status = find_in_tree(fill, &fill->ahead.trees[i], err);
	fill->ahead_known = true;
	fill->gap_at = 0;
	return status;
}

int qc_fill_next(struct qc_txn *txn, uint64_t *ret_from, uint64_t *ret_to, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_fill *fill = txn->forest->fill;
	uint64_t l1_index = fill->ahead_known ? fill->ahead.l1_index : 0;
	int status = 0;

	*ret_from = *ret_to = 0;
	for (;; l1_index++) {
		uint64_t start = l1_index * g->l2_span_bytes, from;

		if (start >= fill->disk_bytes)
			return 0;
		if (txn->options.stop && *txn->options.stop)
			return qc_txn_result(txn, qc_fail(err, QC_E_INTERRUPTED, "interrupted"));
		if (!fill->ahead_known || fill->ahead.l1_index != l1_index)
			status = look_ahead(fill, l1_index, err);
		if (status < 0)
			return qc_txn_result(txn, status);
		from = qc_bitset_next(&fill->gaps, fill->gap_at);
		if (from >= fill->gaps.bits)
			continue;
		fill->gap_at = qc_bitset_next_absent(&fill->gaps, from);
		*ret_from = start + from * g->subcluster_bytes;
		*ret_to = qc_min(start + fill->gap_at * g->subcluster_bytes, fill->disk_bytes);
		return 0;
	}
}
