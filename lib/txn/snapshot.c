// SPDX-License-Identifier: MIT
#include "txn/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/l1_entry.h"
#include "format/limits.h"
#include "txn/tree.h"
#include "txn/txn_state.h"

/* A snapshot operation is the first and the last edit of its transaction. */
static int begin(struct qc_txn *txn, struct qc_err *err)
{
	assert(!txn->failed && !txn->sealed && txn->l2.changed == 0);
	txn->sealed = true;
	if (txn->geometry->external_data)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "images with an external data file have no internal snapshots");
	return qc_txn_need_space(txn, err);
}

static bool is_interrupted(const struct qc_txn *txn)
{
	return txn->options.stop && *txn->options.stop;
}

int qc_txn_snapshot_find(const struct qc_txn *txn, const char *id_or_name, size_t *ret_index,
			 struct qc_err *err)
{
	const struct qc_snapshot *found = qc_image_find_snapshot(txn->image, id_or_name);

	if (!found)
		return qc_fail(err, QC_E_NOT_FOUND, "no snapshot has the id or name '%s'",
			       id_or_name);
	*ret_index = (size_t)(found - txn->image->snapshots.list);
	return 0;
}

static int set_name(struct qc_snapshot *snapshot, const char *name, struct qc_err *err)
{
	size_t bytes = strlen(name);
	char *copy;

	if (bytes == 0 || bytes > UINT16_MAX)
		return qc_fail(err, QC_E_ARGUMENT,
			       "a snapshot's name has 1 to 65535 bytes, not %zu", bytes);
	copy = strdup(name);
	if (!copy)
		return qc_fail_memory(err);
	free(snapshot->name);
	snapshot->name = copy;
	snapshot->name_bytes = (uint16_t)bytes;
	return 0;
}

/* --- create --- */

static uint64_t next_id(const struct qc_snapshots *snapshots)
{
	uint64_t highest = 0;

	for (size_t i = 0; i < snapshots->count; i++) {
		uint64_t id = strtoull(snapshots->list[i].id, NULL, 10);

		if (id > highest && id < UINT64_MAX)
			highest = id;
	}
	return highest + 1;
}

static int append(struct qc_txn *txn, const char *name, struct qc_snapshot_date date,
		  struct qc_err *err)
{
	struct qc_snapshots *all = &txn->image->snapshots;
	struct qc_snapshot *grown, *new;
	char id[24];

	if (all->count >= QC_SNAPSHOTS_MAX)
		return qc_fail(err, QC_E_UNSUPPORTED, "an image holds at most %u snapshots",
			       QC_SNAPSHOTS_MAX);
	grown = reallocarray(all->list, all->count + 1, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	all->list = grown;
	new = &grown[all->count];
	snprintf(id, sizeof(id), "%" PRIu64, next_id(all));
	*new = (struct qc_snapshot){
		.l1_entries = txn->header.l1_entries,
		.id = strdup(id),
		.id_bytes = (uint16_t)strlen(id),
		.date_sec = date.sec,
		.date_nsec = date.nsec,
		.has_disk_bytes = true,
		.disk_bytes = txn->header.disk_bytes,
		.has_icount = true, /* as QEMU's own tools write it: no VM, no instructions */
	};
	all->count++;
	return new->id ? set_name(new, name, err) : qc_fail_memory(err);
}

int qc_txn_snapshot_create(struct qc_txn *txn, const char *name, struct qc_snapshot_date date,
			   struct qc_err *err)
{
	int status;

	if ((status = begin(txn, err)) < 0 || (status = append(txn, name, date, err)) < 0)
		return qc_txn_result(txn, status);
	for (uint64_t i = 0; status == 0 && i < txn->header.l1_entries; i++)
		status = is_interrupted(txn) ? qc_fail(err, QC_E_INTERRUPTED, "interrupted")
					     : qc_tree_share(txn, i, err);
	txn->new_snapshot = true;
	txn->snapshots_changed = true;
	return qc_txn_result(txn, status);
}

/* --- apply --- */

/*
 * What a bitmap recorded is about the disk that is now, and not about the one that it becomes. QEMU
 * refuses, too.
 */
static int require_no_bitmaps(const struct qc_txn *txn, struct qc_err *err)
{
	const struct qc_bitmaps *bitmaps = &txn->image->bitmaps;

	if (bitmaps->count == 0)
		return 0;
	return qc_fail(err, QC_E_UNSUPPORTED,
		       "the dirty bitmap '%s' would no longer tell what changed; remove it first "
		       "(qemu-img bitmap --remove)",
		       bitmaps->list[0].name);
}

static int replace_entry(struct qc_txn *txn, uint64_t index, uint64_t new_entry, struct qc_err *err)
{
	uint64_t old_entry = txn->image->l1[index];
	int status;

	if (is_interrupted(txn))
		return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
	if (qc_l1_table_of(old_entry).byte == qc_l1_table_of(new_entry).byte)
		return 0; /* shared already, so all below it is counted for both */
	if ((status = qc_tree_count(txn, old_entry, false, err)) < 0)
		return status;
	return qc_tree_adopt(txn, index, new_entry, err);
}

/* The active L1 table gets room for the snapshot's entries, for its disk, and for what it had. */
static int make_l1(struct qc_txn *txn, const struct qc_snapshot *snapshot, struct qc_err *err)
{
	uint64_t disk_bytes = snapshot->has_disk_bytes ? snapshot->disk_bytes
						       : txn->header.disk_bytes;
	uint64_t entries =
		qc_max(snapshot->l1_entries, qc_l1_entries_for(txn->geometry, disk_bytes));
	int status;

	if (disk_bytes > QC_DISK_BYTES_MAX || entries > QC_L1_BYTES_MAX / sizeof(uint64_t))
		return qc_fail(err, QC_E_FORMAT, "the snapshot's disk cannot be that long");
	if ((status = qc_txn_grow_l1(txn, entries, err)) < 0)
		return status;
	txn->header_changed |= disk_bytes != txn->header.disk_bytes;
	txn->header.disk_bytes = disk_bytes;
	return 0;
}

int qc_txn_snapshot_apply(struct qc_txn *txn, size_t index, struct qc_err *err)
{
	const struct qc_snapshot *snapshot = &txn->image->snapshots.list[index];
	QC_AUTOFREE uint64_t *l1 = NULL;
	int status;

	if ((status = require_no_bitmaps(txn, err)) < 0 || (status = begin(txn, err)) < 0
	    || (status = qc_image_load_l1(txn->image, snapshot->l1, snapshot->l1_entries, &l1, err))
		       < 0
	    || (status = make_l1(txn, snapshot, err)) < 0)
		return qc_txn_result(txn, status);
	for (uint64_t i = 0; status == 0 && i < txn->header.l1_entries; i++)
		status = replace_entry(txn, i, i < snapshot->l1_entries ? l1[i] : 0, err);
	return qc_txn_result(txn, status);
}

/* --- delete --- */

static void remove_from_list(struct qc_snapshots *all, size_t index)
{
	struct qc_snapshot *gone = &all->list[index];

	free(gone->id);
	free(gone->name);
	free(gone->extra);
	memmove(gone, gone + 1, (all->count - index - 1) * sizeof(*gone));
	all->count--;
}

int qc_txn_snapshot_delete(struct qc_txn *txn, size_t index, struct qc_err *err)
{
	const struct qc_snapshot *snapshot = &txn->image->snapshots.list[index];
	QC_AUTOFREE uint64_t *l1 = NULL;
	int status;

	if ((status = begin(txn, err)) < 0
	    || (status = qc_image_load_l1(txn->image, snapshot->l1, snapshot->l1_entries, &l1, err))
		       < 0)
		return qc_txn_result(txn, status);
	for (uint64_t i = 0; status == 0 && i < snapshot->l1_entries; i++)
		status = is_interrupted(txn) ? qc_fail(err, QC_E_INTERRUPTED, "interrupted")
					     : qc_tree_count(txn, l1[i], false, err);
	if (status == 0 && snapshot->l1_entries > 0)
		status = qc_refs_drop_table(&txn->refs, snapshot->l1,
					    (uint64_t)snapshot->l1_entries * sizeof(uint64_t), err);
	for (uint64_t i = 0; status == 0 && i < txn->header.l1_entries; i++)
		status = is_interrupted(txn) ? qc_fail(err, QC_E_INTERRUPTED, "interrupted")
					     : qc_tree_settle_copied(txn, i, err);
	remove_from_list(&txn->image->snapshots, index);
	txn->snapshots_changed = true;
	return qc_txn_result(txn, status);
}

/* --- rename --- */

int qc_txn_snapshot_rename(struct qc_txn *txn, size_t index, const char *name, struct qc_err *err)
{
	int status = begin(txn, err);

	if (status == 0)
		status = set_name(&txn->image->snapshots.list[index], name, err);
	txn->snapshots_changed = true;
	return qc_txn_result(txn, status);
}
