// SPDX-License-Identifier: MIT
/*
 * The commit, in this order and nowhere else:
 *
 *	settle		every changed table has a new place, every refcount is final
 *	write		tables, then the journal, all to clusters that are free in the old state (I1)
 *	barrier		fsync: all of the above is durable, and unreachable
 *	flip		sector 0 is compared with what was loaded, and written once (I4)
 *	barrier		fdatasync: the new state is durable
 *	redo		only with a data file: bytes of it that the old state showed are written over
 *	reclaim		what only the old state used is punched, and the journal cut off (I2)
 *
 * A crash before the flip leaves the old image and a longer file; after it, the new image and the
 * same. Whether the flip itself happened is decided by the storage, one sector being old or new.
 */
#include "txn/commit.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/l1_entry.h"
#include "txn/flip.h"
#include "txn/forest_impl.h"
#include "txn/journal_write.h"
#include "txn/reclaim.h"
#include "txn/redo.h"
#include "txn/stage_header.h"
#include "txn/tree.h"
#include "txn/txn_state.h"
#include "txn/verify.h"

/* --- settle --- */

/* Gives changed L2 tables their places, and the L1 table that points to them its own. */
static int settle_l1(struct qc_txn *txn, struct qc_err *err)
{
	const struct qc_header *old = &txn->image->header;
	QC_AUTOFREE struct qc_block **list = NULL;
	struct qc_staged_table *table;
	int status;

	if (txn->l2.changed == 0 && !txn->l1_changed && txn->header.l1_entries == old->l1_entries)
		return 0;
	if ((status = qc_stage_list(&txn->l2, &list, err)) < 0)
		return status;
	for (size_t i = 0; i < txn->l2.changed; i++) {
		if (qc_host_is_none(list[i]->new_host)
		    && (status = qc_txn_place_table(txn, list[i], err)) < 0)
			return status;
		txn->image->l1[list[i]->index] =
			qc_l1_entry_make(list[i]->new_host, list[i]->ways < 2);
	}
	status = qc_staged_table_add(txn, QC_JOURNAL_L1, 0, old->l1,
				     (uint64_t)old->l1_entries * sizeof(uint64_t),
				     (uint64_t)txn->header.l1_entries * sizeof(uint64_t), &table,
				     err);
	if (status == 0)
		txn->header.l1 = table->new_host;
	return status;
}

static int settle_snapshots(struct qc_txn *txn, struct qc_err *err)
{
	const struct qc_header *old = &txn->image->header;
	struct qc_snapshots *all = &txn->image->snapshots;
	struct qc_staged_table *table;
	int status = 0;

	if (txn->new_snapshot) {
		struct qc_snapshot *new = &all->list[all->count - 1];

		status = qc_staged_table_add(txn, QC_JOURNAL_L1, all->count, qc_host(0), 0,
					     (uint64_t) new->l1_entries * sizeof(uint64_t), &table,
					     err);
		if (status < 0)
			return status;
		new->l1 = table->new_host;
	}
	if (!txn->snapshots_changed)
		return 0;
	if (qc_snapshots_encoded_bytes(all) > QC_SNAPSHOT_TABLE_BYTES_MAX)
		return qc_fail(
			err, QC_E_NO_SPACE,
			"the snapshot table would have more than %u bytes, which nobody reads",
			QC_SNAPSHOT_TABLE_BYTES_MAX);
	status = qc_staged_table_add(txn, QC_JOURNAL_SNAPSHOT_TABLE, 0, old->snapshot_table,
				     all->table_bytes, qc_snapshots_encoded_bytes(all), &table,
				     err);
	if (status < 0)
		return status;
	txn->header.snapshots = (uint32_t)all->count;
	txn->header.snapshot_table = table->new_host;
	return 0;
}

static int settle_copied(struct qc_txn *txn, struct qc_err *err)
{
	int status = 0;

	for (uint64_t i = 0; status == 0 && txn->copied_missing && i < txn->header.l1_entries; i++)
		status = qc_tree_settle_copied(txn, i, err);
	return status;
}

static int settle(struct qc_txn *txn, struct qc_err *err)
{
	int status;

	/* Only a root that moves tells that there is something to redo. */
	txn->l1_changed |= qc_external_has_redo(txn);
	if ((status = qc_txn_need_space(txn, err)) < 0
	    || (status = qc_external_settle(txn, err)) < 0
	    || (txn->forest && (status = qc_forest_settle(txn->forest, err)) < 0)
	    || (status = settle_copied(txn, err)) < 0 || (status = settle_l1(txn, err)) < 0
	    || (status = settle_snapshots(txn, err)) < 0 || (status = qc_marks_settle(txn, err)) < 0
	    || (status = qc_refs_settle(&txn->refs, err)) < 0)
		return status;
	if (!qc_host_is_none(txn->refs.new_table)) {
		txn->header.refcount_table = txn->refs.new_table;
		txn->header.refcount_table_clusters = (uint32_t)txn->refs.new_table_clusters;
	}
	txn->report.l2_tables = txn->l2.changed + (txn->forest ? txn->forest->tables.changed : 0);
	txn->report.refcount_blocks = txn->refs.blocks.changed;
	return 0;
}

/* --- write --- */

/* Writes an L1 table as it is in memory; a snapshot's has no COPIED flags. */
static int write_l1(struct qc_txn *txn, uint64_t index, struct qc_err *err)
{
	struct qc_staged_table *table = qc_staged_table_find(txn, QC_JOURNAL_L1, index);
	uint64_t keep = index == 0 ? UINT64_MAX : ~QC_L1_COPIED;

	if (!table || table->bytes == 0)
		return 0;
	return qc_staged_table_write_entries(txn, table, txn->image->l1, keep, err);
}

static int write_snapshots(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_staged_table *table = qc_staged_table_find(txn, QC_JOURNAL_SNAPSHOT_TABLE, 0);
	QC_AUTOFREE uint8_t *bytes = NULL;

	if (!table || table->bytes == 0)
		return 0;
	bytes = calloc(1, (size_t)qc_align_up(table->bytes, txn->geometry->cluster_bytes));
	if (!bytes)
		return qc_fail_memory(err);
	qc_snapshots_encode(&txn->image->snapshots, bytes);
	return qc_staged_table_write(txn, table, bytes, err);
}

/*
 * The file's length once all is done: where the last used cluster of the new state ends. A tail that
 * nothing uses, such as a killed transaction leaves, goes with the journal.
 */
static int find_end(struct qc_txn *txn, uint64_t *ret_bytes, struct qc_err *err)
{
	uint64_t clusters = 0;
	int status = qc_refs_end(&txn->refs, txn->space.next, &clusters, err);

	if (status == 0)
		*ret_bytes = clusters << txn->geometry->cluster_bits;
	return status;
}

/*
 * The walk of I3 proved that no cluster is used twice whose refcount is 1. A cluster that lost
 * several references in one go could still be in use, if its refcount was too low: look.
 */
static int prove_new_state(struct qc_txn *txn, const uint8_t *after, struct qc_err *err)
{
	struct qc_verdict verdict;
	int status = qc_verify_sector(txn->image->file, after, 0, 0, &verdict, err);

	if (status == 0 && !verdict.sound)
		status = qc_fail(err, QC_E_FORMAT,
				 "clusters are used more often than their refcounts say; "
				 "see qcowtool check");
	return status;
}

static int write_all(struct qc_txn *txn, const uint8_t *after, struct qc_journal *ret_journal,
		     struct qc_err *err)
{
	uint64_t file_bytes_after = 0;
	bool shared_freed = false;
	int status;

	if ((status = qc_external_flush(txn, err)) < 0
	    || (status = qc_stage_flush(&txn->l2, err)) < 0
	    || (txn->forest && (status = qc_forest_write(txn->forest, err)) < 0)
	    || (status = write_l1(txn, 0, err)) < 0
	    || (txn->new_snapshot && (status = write_l1(txn, txn->image->snapshots.count, err)) < 0)
	    || (status = write_snapshots(txn, err)) < 0 || (status = qc_marks_write(txn, err)) < 0
	    || (status = qc_refs_flush(&txn->refs, qc_txn_put, txn, err)) < 0
	    || (status = find_end(txn, &file_bytes_after, err)) < 0)
		return status;
	status = qc_journal_write(txn, after, file_bytes_after, ret_journal, &shared_freed, err);
	if (status == 0 && shared_freed && !txn->options.trust_refcounts && !txn->options.repair)
		status = prove_new_state(txn, after, err);
	return status;
}

/* --- flip --- */

/* It is a fact already, so this is no failure that could be undone. */
static int fail_unfinished(struct qc_err *err)
{
	if (err->code == QC_E_OUTCOME_UNKNOWN)
		return -QC_E_OUTCOME_UNKNOWN; /* the bytes are there, and only the mark may not be gone */
	err->code = QC_E_OUTCOME_UNKNOWN;
	return qc_err_context(err,
			      "the transaction is committed, but not all of its bytes are in the "
			      "data file; qcowtool recover finishes it");
}

static int flip(struct qc_txn *txn, const uint8_t *after, struct qc_err *err)
{
	struct qc_file *file = txn->image->file;
	const uint8_t *before = txn->image->sector0;
	bool untouched = false;
	int status;

	if ((status = qc_flip_is(file, before, &untouched, err)) < 0)
		return status;
	if (!untouched)
		return qc_fail(err, QC_E_CHANGED, "another program changed the header meanwhile");
	return qc_flip(file, before, after, err);
}

static bool has_changes(const struct qc_txn *txn)
{
	return txn->l2.changed > 0 || txn->l1_changed || txn->header_changed
	       || txn->snapshots_changed || txn->marks.changed || qc_external_has_redo(txn)
	       || (txn->space_known && txn->refs.blocks.changed > 0);
}

int qc_commit(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_file *file = txn->image->file;
	bool redo = qc_external_has_redo(txn);
	uint8_t after[QC_SECTOR_BYTES];
	struct qc_journal journal;
	struct qc_err ignored;
	int status;

	if (!has_changes(txn))
		return 0;
	if ((status = settle(txn, err)) < 0)
		return status;
	qc_stage_header(&txn->header, txn->relaid ? txn->relaid : txn->image->sector0, after);
	if (txn->marks.changed)
		qc_stage_header_lead_to_bitmaps(txn->header.header_bytes, txn->marks.directory,
						qc_bitmaps_encoded_bytes(&txn->image->bitmaps),
						after);
	if (redo)
		qc_redo_guard(after);
	if ((status = write_all(txn, after, &journal, err)) < 0
	    || (status = qc_file_sync(file, QC_SYNC_FULL, err)) < 0)
		return status;
	if (txn->options.stop && *txn->options.stop)
		return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
	if ((status = flip(txn, after, err)) < 0)
		return status;
	if (redo && qc_redo_replay(file, &journal, after, txn->external.file, err) < 0)
		return fail_unfinished(err);
	txn->report.changed = true;
	/* From here on the commit is a fact; what fails to be given back is free space all the same. */
	(void)qc_reclaim(file, &journal, NULL, journal.head.file_bytes_after, &ignored);
	return 0;
}
