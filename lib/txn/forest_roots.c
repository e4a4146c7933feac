// SPDX-License-Identifier: MIT
/* The L1 tables that a forest hangs from. */
#include <assert.h>
#include <stdlib.h>

#include "base/checked.h"
#include "txn/fill_impl.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

#define TABLE_BYTES_IN_MEMORY (UINT64_C(16) << 20)

static int load_snapshot(struct qc_forest *f, size_t index, struct qc_err *err)
{
	struct qc_image *image = f->txn->image;
	const struct qc_snapshot *snapshot = &image->snapshots.list[index];
	struct qc_forest_root *root = &f->roots[index + 1];
	int status;

	status = qc_image_load_l1(image, snapshot->l1, snapshot->l1_entries, &root->l1, err);
	if (status < 0)
		return qc_err_context(err, "snapshot '%s'", snapshot->name);
	root->entries = snapshot->l1_entries;
	root->disk_bytes = snapshot->has_disk_bytes ? snapshot->disk_bytes
						    : f->txn->header.disk_bytes;
	f->root_count++;
	return 0;
}

static int load_roots(struct qc_forest *f, bool with_snapshots, struct qc_err *err)
{
	const struct qc_snapshots *all = &f->txn->image->snapshots;
	size_t count = with_snapshots ? all->count : 0;
	uint64_t words = 0;
	int status = 0;

	f->roots = calloc(count + 1, sizeof(*f->roots));
	if (!f->roots)
		return qc_fail_memory(err);
	f->roots[0] = (struct qc_forest_root){
		.l1 = f->txn->image->l1,
		.entries = f->txn->header.l1_entries,
		.disk_bytes = f->txn->header.disk_bytes,
	};
	f->root_count = 1;
	for (size_t i = 0; status == 0 && i < count; i++) {
		words += all->list[i].l1_entries;
		if (words > QC_FOREST_L1_BYTES_MAX / sizeof(uint64_t))
			return qc_fail(err, QC_E_UNSUPPORTED,
				       "the snapshots' L1 tables are too large together");
		status = load_snapshot(f, i, err);
	}
	return status;
}

int qc_forest_plant(struct qc_txn *txn, bool with_snapshots, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_forest *f = calloc(1, sizeof(*f));
	int status;

	assert(!txn->forest);
	if (!f)
		return qc_fail_memory(err);
	txn->forest = f;
	f->txn = txn;
	f->tables = (struct qc_stage){
		.file = txn->image->file,
		.block_bytes = (size_t)g->cluster_bytes,
		.room = (size_t)qc_max(TABLE_BYTES_IN_MEMORY >> g->cluster_bits, 4),
		.place = qc_txn_place_table,
		.place_context = txn,
		.write = qc_txn_put,
		.write_context = txn,
	};
	status = qc_stage_init(&f->tables, err);
	return status < 0 ? status : load_roots(f, with_snapshots, err);
}

void qc_forest_free(struct qc_forest *forest)
{
	if (!forest)
		return;
	for (size_t i = 1; i < forest->root_count; i++)
		free(forest->roots[i].l1);
	free(forest->roots);
	free(forest->lengths);
	free(forest->group);
	free(forest->trees);
	free(forest->items);
	free(forest->extents);
	free(forest->shared);
	qc_fill_free(forest->fill);
	qc_stage_clear(&forest->tables);
	free(forest);
}
