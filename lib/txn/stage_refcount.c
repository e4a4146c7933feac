// SPDX-License-Identifier: MIT
#include "txn/stage_refcount.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"
#include "format/refcount_entry.h"

static int push_pending(struct qc_refs *refs, uint64_t first, uint64_t count, bool add,
			struct qc_err *err)
{
	if (refs->pending_count == refs->pending_room) {
		size_t room = refs->pending_room ? refs->pending_room * 2 : 16;
		struct qc_refs_change *grown =
			reallocarray(refs->pending, room, sizeof(*refs->pending));

		if (!grown)
			return qc_fail_memory(err);
		refs->pending = grown;
		refs->pending_room = room;
	}
	refs->pending[refs->pending_count++] = (struct qc_refs_change){first, count, add};
	return 0;
}

/* A changed block gets its new cluster; both clusters' counts follow later, they may be in any block. */
static int place_block(void *context, struct qc_block *block, struct qc_err *err)
{
	struct qc_refs *refs = context;
	uint64_t cluster;
	int status;

	if ((status = qc_space_take(refs->space, 1, &cluster, err)) < 0
	    || (status = push_pending(refs, cluster, 1, true, err)) < 0)
		return status;
	block->new_host = qc_host_of_cluster(refs->geometry, cluster);
	if (qc_host_is_none(block->old_host))
		return 0;
	cluster = qc_host_cluster(refs->geometry, block->old_host);
	qc_space_note_tables(refs->space, cluster, 1);
	return push_pending(refs, cluster, 1, false, err);
}

static int load_table(struct qc_refs *refs, struct qc_err *err)
{
	int status;

	refs->table_entries = refs->old_table_clusters * refs->geometry->cluster_bytes / 8;
	refs->table = malloc((size_t)refs->table_entries * 8);
	if (!refs->table)
		return qc_fail_memory(err);
	status = qc_file_read(refs->file, refs->old_table.byte, refs->table,
			      (size_t)refs->table_entries * 8, err);
	if (status < 0)
		return qc_err_context(err, "refcount table");
	for (uint64_t i = 0; i < refs->table_entries; i++)
		refs->table[i] = qc_load_be64(&refs->table[i]);
	return 0;
}

int qc_refs_init(struct qc_refs *refs, struct qc_image *image, struct qc_space *space,
		 size_t blocks_in_memory, qc_stage_write *write, void *context, struct qc_err *err)
{
	int status;

	*refs = (struct qc_refs){
		.geometry = &image->geometry,
		.file = image->file,
		.space = space,
		.old_table = image->header.refcount_table,
		.old_table_clusters = image->header.refcount_table_clusters,
		.believed = UINT64_MAX,
		.blocks =
			{
				.file = image->file,
				.block_bytes = (size_t)image->geometry.cluster_bytes,
				.room = blocks_in_memory,
				.place = place_block,
				.write = write,
				.place_context = refs,
				.write_context = context,
			},
	};
	if ((status = qc_stage_init(&refs->blocks, err)) < 0
	    || (status = load_table(refs, err)) < 0)
		qc_refs_clear(refs);
	return status;
}

void qc_refs_clear(struct qc_refs *refs)
{
	qc_stage_clear(&refs->blocks);
	free(refs->table);
	free(refs->pending);
	*refs = (struct qc_refs){0};
}

static int get_block(struct qc_refs *refs, uint64_t index, struct qc_block **ret,
		     struct qc_err *err)
{
	const struct qc_geometry *g = refs->geometry;
	uint64_t committed = index < refs->table_entries ? refs->table[index] : 0;
	uint64_t first = index * g->refcounts_per_block;
	int status = qc_stage_get(&refs->blocks, index, qc_host(committed), ret, err);

	if (status < 0 || (*ret)->changed || refs->believed >= first + g->refcounts_per_block)
		return status;
	for (uint64_t i = qc_max(refs->believed, first) - first; i < g->refcounts_per_block; i++)
		qc_refcount_set(g, (*ret)->bytes, i, 0);
	return 0;
}

static int fail_count(const struct qc_geometry *g, uint64_t cluster, bool add, struct qc_err *err)
{
	uint64_t host = cluster << g->cluster_bits;

	if (add)
		return qc_fail(err, QC_E_NO_SPACE,
			       "the refcount of the cluster at host offset 0x%" PRIx64
			       " cannot grow beyond %" PRIu64,
			       host, g->refcount_max);
	return qc_fail(err, QC_E_FORMAT,
		       "the cluster at host offset 0x%" PRIx64
		       " is in use but its refcount is 0; see qcowtool check",
		       host);
}

/* One reference more or less for clusters that all lie in one block. */
static int change_block(struct qc_refs *refs, uint64_t index, uint64_t first, uint64_t count,
			bool add, uint64_t *ret_freed, struct qc_err *err)
{
	const struct qc_geometry *g = refs->geometry;
	uint64_t end = first + count, zeroed = 0;
	struct qc_block *block;
	int status;

	if ((status = get_block(refs, index, &block, err)) < 0)
		return status;
	qc_stage_change(&refs->blocks, block);
	while (first < end) {
		first += qc_refcount_step(g, block->bytes, first, end - first, add, &zeroed);
		if (first == end)
			break;
		if (add || refs->believed == UINT64_MAX)
			return fail_count(g, index * g->refcounts_per_block + first, add, err);
		first++; /* a repair gives it up; perhaps nobody counted it, past the end of the file */
	}
	if (ret_freed)
		*ret_freed += zeroed;
	return 0;
}

/* Whether there is such a block, or will be. */
static bool has_block(const struct qc_refs *refs, uint64_t index)
{
	return (index < refs->table_entries && refs->table[index] != 0)
	       || qc_stage_find(&refs->blocks, index);
}

/* In a repair: what is dropped was never counted, and may lie where no count can be. */
static bool has_nothing_to_drop(struct qc_refs *refs, uint64_t index)
{
	return refs->believed != UINT64_MAX && !has_block(refs, index);
}

static int change(struct qc_refs *refs, uint64_t first, uint64_t count, bool add,
		  uint64_t *ret_freed, struct qc_err *err)
{
	uint64_t per_block = refs->geometry->refcounts_per_block;
	int status = 0;

	while (status == 0 && count > 0) {
		uint64_t at = first % per_block;
		uint64_t now = qc_min(count, per_block - at);

		if (add || !has_nothing_to_drop(refs, first / per_block))
			status =
				change_block(refs, first / per_block, at, now, add, ret_freed, err);
		first += now;
		count -= now;
	}
	return status;
}

/* Makes the changes that wait; they may make others wait, but never for the same block twice. */
static int drain_pending(struct qc_refs *refs, struct qc_err *err)
{
	int status = 0;

	while (status == 0 && refs->pending_count > 0) {
		struct qc_refs_change next = refs->pending[--refs->pending_count];

		status = change(refs, next.first, next.count, next.add, NULL, err);
	}
	return status;
}

int qc_refs_add(struct qc_refs *refs, uint64_t first, uint64_t count, struct qc_err *err)
{
	int status = change(refs, first, count, true, NULL, err);

	return status < 0 ? status : drain_pending(refs, err);
}

int qc_refs_drop(struct qc_refs *refs, uint64_t first, uint64_t count, uint64_t *ret_freed,
		 struct qc_err *err)
{
	int status = change(refs, first, count, false, ret_freed, err);

	return status < 0 ? status : drain_pending(refs, err);
}

int qc_refs_drop_table(struct qc_refs *refs, struct qc_host table, uint64_t bytes,
		       struct qc_err *err)
{
	uint64_t first = qc_host_cluster(refs->geometry, table);
	uint64_t count = qc_clusters_for(refs->geometry, bytes);

	qc_space_note_tables(refs->space, first, count);
	return qc_refs_drop(refs, first, count, NULL, err);
}

int qc_refs_set(struct qc_refs *refs, uint64_t cluster, uint64_t count, struct qc_err *err)
{
	const struct qc_geometry *g = refs->geometry;
	struct qc_block *block;
	int status;

	if (count > g->refcount_max)
		return qc_fail(err, QC_E_NO_SPACE,
			       "the cluster at host offset 0x%" PRIx64 " has %" PRIu64
			       " references, more than a refcount of this width can count",
			       cluster << g->cluster_bits, count);
	if ((status = get_block(refs, cluster / g->refcounts_per_block, &block, err)) < 0)
		return status;
	qc_stage_change(&refs->blocks, block);
	qc_refcount_set(g, block->bytes, cluster % g->refcounts_per_block, count);
	return drain_pending(refs, err);
}

void qc_refs_distrust(struct qc_refs *refs, uint64_t end, bool anew)
{
	refs->believed = end;
	refs->anew = anew;
	if (anew)
		memset(refs->table, 0, (size_t)refs->table_entries * sizeof(*refs->table));
}

int qc_refs_get(struct qc_refs *refs, uint64_t cluster, uint64_t *ret, struct qc_err *err)
{
	uint64_t per_block = refs->geometry->refcounts_per_block;
	struct qc_block *block;
	int status;

	if ((status = get_block(refs, cluster / per_block, &block, err)) < 0)
		return status;
	*ret = qc_refcount_get(refs->geometry, block->bytes, cluster % per_block);
	return drain_pending(refs, err);
}

int qc_refs_view(struct qc_refs *refs, uint64_t index, const uint8_t **ret, struct qc_err *err)
{
	struct qc_block *block;
	int status;

	if ((status = drain_pending(refs, err)) < 0
	    || (status = get_block(refs, index, &block, err)) < 0)
		return status;
	*ret = block->bytes;
	return 0;
}

/* --- the fixed point --- */

/* Places the changed blocks that have no place; *ret_entries is one past the highest index. */
static int place_blocks(struct qc_refs *refs, bool *ret_placed, uint64_t *ret_entries,
			struct qc_err *err)
{
	QC_AUTOFREE struct qc_block **list = NULL;
	int status;

	if ((status = qc_stage_list(&refs->blocks, &list, err)) < 0)
		return status;
	*ret_placed = false;
	*ret_entries = refs->blocks.changed ? list[refs->blocks.changed - 1]->index + 1 : 0;
	for (size_t i = 0; i < refs->blocks.changed; i++) {
		if (!qc_host_is_none(list[i]->new_host))
			continue;
		if ((status = place_block(refs, list[i], err)) < 0)
			return status;
		*ret_placed = true;
	}
	return 0;
}

static int place_table(struct qc_refs *refs, uint64_t clusters, struct qc_err *err)
{
	const struct qc_geometry *g = refs->geometry;
	uint64_t first;
	int status;

	if (clusters * g->cluster_bytes > QC_REFCOUNT_TABLE_BYTES_MAX)
		return qc_fail(err, QC_E_NO_SPACE, "the refcount table cannot grow any further");
	if ((status = qc_space_take(refs->space, clusters, &first, err)) < 0
	    || (status = push_pending(refs, first, clusters, true, err)) < 0)
		return status;
	/* What it replaces: the committed table, or the try that was too short. */
	qc_space_note_tables(refs->space, qc_host_cluster(g, refs->old_table),
			     refs->old_table_clusters);
	if (qc_host_is_none(refs->new_table))
		status = refs->anew ? 0
				    : push_pending(refs, qc_host_cluster(g, refs->old_table),
						   refs->old_table_clusters, false, err);
	else
		status = push_pending(refs, qc_host_cluster(g, refs->new_table),
				      refs->new_table_clusters, false, err);
	refs->new_table = qc_host_of_cluster(g, first);
	refs->new_table_clusters = clusters;
	return status;
}

int qc_refs_settle(struct qc_refs *refs, struct qc_err *err)
{
	const struct qc_geometry *g = refs->geometry;
	uint64_t entries, clusters;
	bool placed;
	int status;

	for (;;) {
		if ((status = drain_pending(refs, err)) < 0
		    || (status = place_blocks(refs, &placed, &entries, err)) < 0)
			return status;
		if (placed)
			continue;
		if (entries == 0)
			return 0; /* no count changed at all */
		clusters = qc_clusters_for(g, entries * 8);
		if (!refs->anew)
			clusters = qc_max(clusters, refs->old_table_clusters);
		if (clusters <= refs->new_table_clusters)
			return 0;
		if ((status = place_table(refs, clusters, err)) < 0)
			return status;
	}
}

int qc_refs_flush(struct qc_refs *refs, qc_stage_write *write, void *context, struct qc_err *err)
{
	size_t bytes = (size_t)(refs->new_table_clusters * refs->geometry->cluster_bytes);
	QC_AUTOFREE struct qc_block **list = NULL;
	QC_AUTOFREE uint8_t *table = NULL;
	int status;

	if (qc_host_is_none(refs->new_table))
		return 0;
	table = calloc(1, bytes);
	if (!table)
		return qc_fail_memory(err);
	if ((status = qc_stage_flush(&refs->blocks, err)) < 0
	    || (status = qc_stage_list(&refs->blocks, &list, err)) < 0)
		return status;
	for (uint64_t i = 0; i < qc_min(refs->table_entries, bytes / 8); i++)
		qc_store_be64(table + i * 8, refs->table[i]);
	for (size_t i = 0; i < refs->blocks.changed; i++)
		qc_store_be64(table + list[i]->index * 8, list[i]->new_host.byte);
	refs->new_table_digest = XXH64(table, bytes, 0);
	return write(context, refs->new_table, table, bytes, err);
}

int qc_refs_end(struct qc_refs *refs, uint64_t from, uint64_t *ret, struct qc_err *err)
{
	const struct qc_geometry *g = refs->geometry;
	struct qc_block *block;
	int status;

	for (uint64_t end = from; end > 0;) {
		uint64_t index = (end - 1) / g->refcounts_per_block;

		if (!has_block(refs, index)) {
			end = index * g->refcounts_per_block;
			continue;
		}
		if ((status = get_block(refs, index, &block, err)) < 0)
			return status;
		for (; end > index * g->refcounts_per_block; end--)
			if (qc_refcount_get(g, block->bytes, (end - 1) % g->refcounts_per_block)) {
				*ret = end;
				return 0;
			}
	}
	*ret = 0;
	return 0;
}
