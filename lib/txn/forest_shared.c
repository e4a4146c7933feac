// SPDX-License-Identifier: MIT
/*
 * Extents that are plain by now, and may come up again in another part of the disk: those whose host
 * cluster still has references once all that were seen are dropped. No image of QEMU's has any; an
 * image whose equal clusters were made one has many. They are remembered in a table of open
 * addressing; one that finds no room there is expanded again if it comes up again, and shares no
 * longer.
 */
#include <stdlib.h>

#include "format/l2_entry.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

#define SLOTS ((size_t)1 << 18)
#define SHARED_MAX (SLOTS / 4 * 3)

static size_t slot_of(const struct qc_forest_shared *slots, uint64_t host, uint32_t bytes)
{
	uint64_t hash = (host ^ (uint64_t)bytes << 48) * UINT64_C(0x9e3779b97f4a7c15);
	size_t slot = (size_t)(hash >> 46);

	while (slots[slot].bytes != 0 && (slots[slot].host != host || slots[slot].bytes != bytes))
		slot = (slot + 1) % SLOTS;
	return slot;
}

struct qc_forest_shared *qc_forest_shared_find(const struct qc_forest *f, uint64_t host,
					       uint32_t bytes)
{
	struct qc_forest_shared *shared;

	if (!f->shared)
		return NULL;
	shared = &f->shared[slot_of(f->shared, host, bytes)];
	return shared->bytes ? shared : NULL;
}

static int add(struct qc_forest *f, const struct qc_forest_item *item, struct qc_err *err)
{
	const struct qc_forest_extent *extent = &f->extents[item->extent];
	struct qc_forest_shared *shared;

	if (f->shared_count >= SHARED_MAX)
		return 0;
	if (!f->shared && !(f->shared = calloc(SLOTS, sizeof(*f->shared))))
		return qc_fail_memory(err);
	shared = &f->shared[slot_of(f->shared, extent->host.byte, (uint32_t)extent->bytes)];
	if (shared->bytes == 0)
		f->shared_count++;
	*shared = (struct qc_forest_shared){
		.host = extent->host.byte,
		.bytes = (uint32_t)extent->bytes,
		.cluster = extent->cluster,
		.lone = extent->ways == 1 && f->trees[item->tree].owner == 0,
		.table = qc_forest_table_key(f, &f->trees[item->tree]),
		.index = (uint32_t)(item->guest % f->txn->geometry->l2_entries),
	};
	return 0;
}

int qc_forest_shared_remember(struct qc_forest *f, struct qc_err *err)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < f->item_count; i++) {
		const struct qc_forest_item *item = &f->items[i];
		uint64_t left = 0;

		if (item->extent < f->fresh_count)
			status = qc_refs_get(&f->txn->refs,
					     item->host >> f->txn->geometry->cluster_bits, &left,
					     err);
		if (status == 0 && left > 0)
			status = add(f, item, err);
	}
	return status;
}

/* The entry that was the only one is one of several from now on. */
static int clear_copied(struct qc_forest *f, const struct qc_forest_shared *shared,
			struct qc_err *err)
{
	const struct qc_geometry *g = f->txn->geometry;
	struct qc_l2_words words;
	struct qc_block *block;
	int status = qc_stage_get(&f->tables, shared->table, qc_host(0), &block, err);

	if (status < 0)
		return status;
	words = qc_l2_load(g, block->bytes, shared->index);
	words.entry &= ~QC_L2_COPIED;
	qc_l2_store(g, block->bytes, shared->index, words);
	qc_stage_change(&f->tables, block);
	return 0;
}

int qc_forest_shared_join(struct qc_forest *f, const struct qc_forest_extent *extent,
			  struct qc_err *err)
{
	struct qc_forest_shared *shared =
		qc_forest_shared_find(f, extent->host.byte, (uint32_t)extent->bytes);
	uint64_t cluster = qc_host_cluster(f->txn->geometry, extent->cluster);
	int status = 0;

	if (qc_host_is_none(extent->cluster))
		return 0;
	for (uint64_t i = 0; status == 0 && i < extent->ways; i++)
		status = qc_refs_add(&f->txn->refs, cluster, 1, err);
	if (status == 0 && shared->lone)
		status = clear_copied(f, shared, err);
	shared->lone = false;
	return status;
}
