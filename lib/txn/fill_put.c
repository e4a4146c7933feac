// SPDX-License-Identifier: MIT
/*
 * Holes are filled a load at a time: all trees are asked what they lack, clusters that they can share
 * are placed and written, neighbours in one call, and then table after table gets its entries. So a
 * table comes into memory twice a load however many there are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "format/compressed_desc.h"
#include "txn/fill_impl.h"
#include "txn/txn_state.h"

/* --- what a tree takes --- */

enum take {
	TAKE_NOTHING,
	TAKE_FLAGS,   /* subclusters become zeroes */
	TAKE_SHARED,  /* a reference to the hole's cluster */
	TAKE_PRIVATE, /* a cluster of its own */
};

static uint64_t limit_of(const struct qc_geometry *g, const struct qc_fill_tree *tree,
			 uint64_t index)
{
	uint64_t base = index << g->cluster_bits;

	return tree->end <= base ? 0 : qc_min(tree->end - base, g->cluster_bytes);
}

/*
 * `*ways` are the references that the shared cluster has so far. Where it cannot count more of them,
 * a tree gets a cluster of its own.
 */
static enum take what_to_take(const struct qc_geometry *g, const struct qc_fill_tree *tree,
			      const struct qc_fill_hole *hole, const struct qc_l2_entry *entry,
			      uint64_t *ways)
{
	uint32_t missing = ~(entry->allocated | entry->zero);

	if (entry->compressed || limit_of(g, tree, hole->index) != hole->limit
	    || (missing & (hole->data | hole->zero)) == 0)
		return TAKE_NOTHING;
	if ((missing & hole->data) == 0)
		return TAKE_FLAGS;
	if (entry->allocated != 0 || *ways > g->refcount_max - tree->ways)
		return TAKE_PRIVATE;
	*ways += tree->ways;
	return TAKE_SHARED;
}

static int survey_tree(struct qc_fill *fill, size_t number, struct qc_err *err)
{
	const struct qc_fill_tree *tree = &fill->here.trees[number];
	const struct qc_geometry *g = fill->forest->txn->geometry;
	struct qc_block *block;
	int status = qc_fill_table(fill, number, &block, err);

	for (size_t i = 0; status == 0 && i < fill->hole_count; i++) {
		struct qc_fill_hole *hole = &fill->holes[i];
		struct qc_l2_entry entry;
		enum take take;

		status = qc_fill_decode(fill, fill->here.l1_index, block->bytes, hole->index,
					&entry, err);
		if (status < 0)
			break;
		take = what_to_take(g, tree, hole, &entry, &hole->ways);
		if (take != TAKE_NOTHING && (take != TAKE_SHARED || entry.zero != 0))
			hole->packable = false;
	}
	return status;
}

/* --- the clusters that are shared --- */

/* The bytes of a hole as a whole cluster, with zeroes where no disk is. */
static void fill_up(const struct qc_fill *fill, const struct qc_fill_hole *hole, uint8_t *to)
{
	memcpy(to, hole->bytes, (size_t)hole->limit);
	memset(to + hole->limit, 0,
	       (size_t)(fill->forest->txn->geometry->cluster_bytes - hole->limit));
}

/* What was compressed goes behind what was before. */
static int place_packed(struct qc_fill *fill, struct qc_fill_hole *hole, struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	const struct qc_geometry *g = txn->geometry;
	uint64_t first, count, touched;
	struct qc_host ignored;
	int status = qc_pack_place(txn, hole->packed_bytes, &hole->host, err);

	if (status < 0)
		return status;
	qc_compressed_decode(g, qc_compressed_encode(g, hole->host, hole->packed_bytes), &ignored,
			     &touched);
	qc_compressed_clusters(g, hole->host, touched, &first, &count);
	for (uint64_t i = 1; status == 0 && i < hole->ways; i++)
		status = qc_refs_add(&txn->refs, first, count, err);
	if (status == 0)
		status = qc_txn_put(txn, hole->host, hole->packed, hole->packed_bytes, err);
	if (status == 0)
		qc_write_behind_wrote(&fill->behind, hole->host.byte, hole->packed_bytes,
				      fill->more_bytes);
	return status;
}

static int place_shared(struct qc_fill *fill, struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	size_t packed_end = 0;
	uint64_t cluster;
	int status = 0;

	for (size_t i = 0; status == 0 && i < fill->hole_count; i++) {
		struct qc_fill_hole *hole = &fill->holes[i];

		if (i == packed_end && (status = qc_fill_pack(fill, i, &packed_end, err)) < 0)
			break;
		if (hole->packed_bytes > 0)
			status = place_packed(fill, hole, err);
		if (hole->ways == 0 || hole->packed_bytes > 0)
			continue;
		if ((status = qc_space_take(&txn->space, 1, &cluster, err)) < 0)
			break;
		hole->host = qc_host_of_cluster(txn->geometry, cluster);
		txn->report.clusters_allocated++;
	}
	return status;
}

static bool is_plain(const struct qc_fill_hole *hole)
{
	return !qc_host_is_none(hole->host) && hole->packed_bytes == 0;
}

/* How many holes from `first` on have clusters side by side, with as many references. */
static size_t run_from(const struct qc_fill *fill, size_t first)
{
	uint64_t cluster_bytes = fill->forest->txn->geometry->cluster_bytes;
	const struct qc_fill_hole *hole = &fill->holes[first];
	size_t n = 1;

	for (; first + n < fill->hole_count; n++)
		if (!is_plain(&hole[n]) || hole[n].ways != hole->ways
		    || hole[n].host.byte != hole->host.byte + n * cluster_bytes)
			break;
	return n;
}

/* The subclusters that are stored, as a range of bytes. */
static void find_range(const struct qc_geometry *g, uint32_t data, uint64_t *ret_from,
		       uint64_t *ret_to)
{
	*ret_from = (uint64_t)__builtin_ctz(data) * g->subcluster_bytes;
	*ret_to = (uint64_t)(32 - __builtin_clz(data)) * g->subcluster_bytes;
}

static bool is_whole(const struct qc_geometry *g, const struct qc_fill_hole *hole)
{
	return hole->limit == g->cluster_bytes && hole->data == qc_all_subclusters(g);
}

/* Writes what starts with hole number `first` of a run; *ret_count: how many of them in one call. */
static int write_some(struct qc_fill *fill, size_t first, size_t most, size_t *ret_count,
		      struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	const struct qc_geometry *g = txn->geometry;
	const struct qc_fill_hole *hole = &fill->holes[first];
	uint64_t from, to;
	size_t n = 0;

	while (n < most && is_whole(g, &hole[n])
	       && hole[n].bytes == hole->bytes + n * g->cluster_bytes)
		n++;
	*ret_count = (size_t)qc_max(n, 1);
	if (n > 0)
		return qc_txn_put(txn, hole->host, hole->bytes, n * (size_t)g->cluster_bytes, err);
	find_range(g, hole->data, &from, &to);
	fill_up(fill, hole, txn->cluster);
	return qc_txn_put(txn, qc_host(hole->host.byte + from), txn->cluster + from,
			  (size_t)(to - from), err);
}

static int write_shared(struct qc_fill *fill, struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	int status = 0;

	for (size_t i = 0, count; status == 0 && i < fill->hole_count; i += count) {
		const struct qc_fill_hole *hole = &fill->holes[i];

		count = 1;
		if (!is_plain(hole))
			continue;
		count = run_from(fill, i);
		for (uint64_t way = 0; status == 0 && way < hole->ways; way++)
			status = qc_refs_add(&txn->refs, qc_host_cluster(txn->geometry, hole->host),
					     count, err);
		for (size_t done = 0, now; status == 0 && done < count; done += now)
			status = write_some(fill, i + done, count - done, &now, err);
		qc_write_behind_wrote(&fill->behind, hole->host.byte,
				      count * txn->geometry->cluster_bytes, fill->more_bytes);
	}
	return status;
}

/* --- entries --- */

/* A cluster of the tree's own: what it held, and what it lacked. */
static int write_private(struct qc_fill *fill, const struct qc_fill_tree *tree,
			 const struct qc_fill_hole *hole, const struct qc_l2_entry *old,
			 struct qc_l2_entry *new, struct qc_err *err)
{
	struct qc_txn *txn = fill->forest->txn;
	const struct qc_geometry *g = txn->geometry;
	uint64_t from, to, sub = g->subcluster_bytes;
	int status = qc_txn_allocate(txn, 1, &new->host, err);

	for (uint64_t i = 1; status == 0 && i < tree->ways; i++)
		status = qc_refs_add(&txn->refs, qc_host_cluster(g, new->host), 1, err);
	txn->report.clusters_allocated++;
	fill_up(fill, hole, txn->cluster);
	for (uint32_t i = 0; status == 0 && i < g->subclusters; i++)
		if ((old->allocated >> i & 1) != 0)
			status = qc_file_read(txn->image->file, old->host.byte + i * sub,
					      txn->cluster + i * sub, (size_t)sub, err);
	find_range(g, new->allocated, &from, &to);
	if (status < 0)
		return status;
	return qc_txn_put(txn, qc_host(new->host.byte + from), txn->cluster + from,
			  (size_t)(to - from), err);
}

/* What the tree's entry becomes. */
static int make_entry(struct qc_fill *fill, const struct qc_fill_tree *tree,
		      const struct qc_fill_hole *hole, enum take take,
		      const struct qc_l2_entry *old, struct qc_l2_entry *new, struct qc_err *err)
{
	uint32_t missing = ~(old->allocated | old->zero);

	*new = *old;
	if (take == TAKE_SHARED && hole->packed_bytes > 0) {
		*new = (struct qc_l2_entry){.compressed = true,
					    .host = hole->host,
					    .compressed_bytes = hole->packed_bytes};
		return 0;
	}
	new->allocated |= missing & hole->data;
	new->zero |= missing & hole->zero;
	if (take == TAKE_FLAGS)
		return 0;
	if (take == TAKE_SHARED) {
		new->host = hole->host;
		new->copied = tree->active && hole->ways == 1;
		return 0;
	}
	new->copied = tree->active && tree->ways == 1;
	return write_private(fill, tree, hole, old, new, err);
}

static int fill_hole(struct qc_fill *fill, size_t number, struct qc_fill_hole *hole, uint64_t *ways,
		     struct qc_err *err)
{
	const struct qc_fill_tree *tree = &fill->here.trees[number];
	const struct qc_geometry *g = fill->forest->txn->geometry;
	struct qc_l2_entry old, new;
	struct qc_block *block;
	enum take take;
	int status;

	if ((status = qc_fill_table(fill, number, &block, err)) < 0
	    || (status = qc_fill_decode(fill, fill->here.l1_index, block->bytes, hole->index, &old,
					err))
		       < 0)
		return status;
	take = what_to_take(g, tree, hole, &old, ways);
	if (take == TAKE_NOTHING)
		return 0;
	if ((status = make_entry(fill, tree, hole, take, &old, &new, err)) < 0
	    || (status = qc_fill_change(fill, tree, block, err)) < 0)
		return status;
	qc_l2_store(g, block->bytes, hole->index, qc_l2_encode(g, &new));
	if (qc_host_is_none(old.host) || new.host.byte == old.host.byte)
		return 0;
	return qc_fill_drop(fill, tree, hole->index, old.host, err);
}

/* --- a load --- */

static int fill_holes(struct qc_fill *fill, struct qc_err *err)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < fill->here.count; i++)
		status = survey_tree(fill, i, err);
	if (status < 0 || (status = place_shared(fill, err)) < 0
	    || (status = write_shared(fill, err)) < 0)
		return status;
	for (size_t t = 0; status == 0 && t < fill->here.count; t++)
		for (size_t i = 0; status == 0 && i < fill->hole_count; i++)
			status = fill_hole(fill, t, &fill->holes[i], &fill->holes[i].given, err);
	return status;
}

static struct qc_fill_hole *add_hole(struct qc_fill *fill, uint64_t index, uint64_t limit,
				     const uint8_t *bytes)
{
	struct qc_fill_hole *hole = &fill->holes[fill->hole_count++];

	*hole = (struct qc_fill_hole){
		.index = index,
		.limit = limit,
		.bytes = bytes,
		.packable = true,
	};
	return hole;
}

static int make_room(struct qc_fill *fill, size_t needed, struct qc_err *err)
{
	struct qc_fill_hole *grown;

	if (needed <= fill->hole_room)
		return 0;
	grown = reallocarray(fill->holes, needed * 2, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	fill->holes = grown;
	fill->hole_room = needed * 2;
	return 0;
}

/* One hole for each place in the cluster where a disk ends, and one for those that go on after it. */
static int add_holes(struct qc_fill *fill, uint64_t index, const uint8_t *bytes, struct qc_err *err)
{
	const struct qc_geometry *g = fill->forest->txn->geometry;
	const struct qc_fill_group *here = &fill->here;
	uint64_t end = (index + 1) << g->cluster_bits;
	size_t first = fill->hole_count;
	int status = make_room(fill, first + here->count + 1, err);

	if (status < 0)
		return status;
	if (here->longest >= end)
		add_hole(fill, index, g->cluster_bytes, bytes);
	if (here->shortest >= end)
		return 0;
	for (size_t i = 0; i < here->count; i++) {
		uint64_t limit = limit_of(g, &here->trees[i], index);
		size_t at = first;

		while (at < fill->hole_count && fill->holes[at].limit != limit)
			at++;
		if (limit > 0 && at == fill->hole_count)
			add_hole(fill, index, limit, bytes);
	}
	return 0;
}

static void set_kinds(const struct qc_geometry *g, struct qc_fill_hole *hole, const uint8_t *kinds)
{
	for (uint32_t i = 0; i * g->subcluster_bytes < hole->limit; i++) {
		bool store = kinds[i] == QC_FILL_DATA
			     || (kinds[i] == QC_FILL_ZEROES && g->version < 3);

		if (store)
			hole->data |= UINT32_C(1) << i;
		else if (kinds[i] == QC_FILL_ZEROES)
			hole->zero |= UINT32_C(1) << i;
	}
}

/* Fills holes that lie in the span of one table. */
static int put_here(struct qc_fill *fill, uint64_t index, const uint8_t *bytes, size_t length,
		    const uint8_t *kinds, struct qc_err *err)
{
	const struct qc_geometry *g = fill->forest->txn->geometry;
	size_t kept = 0;
	int status = 0;

	fill->hole_count = 0;
	for (size_t at = 0; status == 0 && at < length; at += (size_t)g->cluster_bytes, index++) {
		status = add_holes(fill, index, bytes + at, err);
		for (size_t i = kept; i < fill->hole_count; i++) {
			set_kinds(g, &fill->holes[i], kinds + at / g->subcluster_bytes);
			if ((fill->holes[i].data | fill->holes[i].zero) != 0)
				fill->holes[kept++] = fill->holes[i];
		}
		fill->hole_count = kept;
	}
	return status < 0 || kept == 0 ? status : fill_holes(fill, err);
}

int qc_fill_put(struct qc_txn *txn, uint64_t at, const uint8_t *bytes, size_t length,
		const uint8_t *kinds, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_fill *fill = txn->forest->fill;
	int status = qc_txn_need_space(txn, err);

	if (status == 0 && g->external_data) /* one tree, whose clusters have their places */
		return qc_txn_result(txn, qc_fill_external(txn, at, bytes, length, kinds, err));
	while (status == 0 && length > 0) {
		uint64_t in_span = at % g->l2_span_bytes;
		size_t now = (size_t)qc_min(length, g->l2_span_bytes - in_span);

		fill->more_bytes = fill->disk_bytes - qc_min(at + now, fill->disk_bytes);
		if (txn->options.stop && *txn->options.stop)
			status = qc_fail(err, QC_E_INTERRUPTED, "interrupted");
		else
			status = qc_fill_open_group(fill, at / g->l2_span_bytes, err);
		if (status == 0)
			status = put_here(fill, in_span >> g->cluster_bits, bytes, now, kinds, err);
		at += now;
		bytes += now;
		length -= now;
		kinds += now / g->subcluster_bytes;
	}
	return qc_txn_result(txn, status);
}
