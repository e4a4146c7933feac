// SPDX-License-Identifier: MIT
#include "ops/mend.h"

#include <stdlib.h>

#include "txn/repair.h"

/* One repair under way. */
struct repair {
	struct qc_file *file; /* as the transaction sees it */
	struct qc_txn *txn;
	bool leaks_only;
	struct qc_check_result found; /* what is wrong */
	bool anew;		      /* the refcount structures are made from nothing */
	bool snapshots;		      /* tables of snapshots can be changed */
	struct qc_host *idle;	      /* those of them that have to; some more than once */
	size_t idle_count, idle_room;
};

static int take_mismatch(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			 struct qc_err *err)
{
	struct repair *repair = context;

	if (stored < found ? repair->leaks_only : repair->found.lasting > 0)
		return 0;
	return qc_txn_repair_count(repair->txn, cluster, found, err);
}

static int take_idle_table(void *context, struct qc_host table, struct qc_err *err)
{
	struct repair *repair = context;
	size_t room = repair->idle_room ? repair->idle_room * 2 : 64;
	struct qc_host *grown;

	if (repair->idle_count > 0 && repair->idle[repair->idle_count - 1].byte == table.byte)
		return 0;
	if (repair->idle_count == repair->idle_room) {
		grown = reallocarray(repair->idle, room, sizeof(*grown));
		if (!grown)
			return qc_fail_memory(err);
		repair->idle = grown;
		repair->idle_room = room;
	}
	repair->idle[repair->idle_count++] = table;
	return 0;
}

/* A check of the image as it is; what of it lasts depends on what can be changed. */
static int look(struct repair *repair, const struct qc_check_options *how,
		const struct qc_finding_sink *sink, struct qc_check_result *ret, struct qc_err *err)
{
	int status = qc_check_run(repair->file, how, sink, ret, err);

	if (status == 0 && !repair->snapshots)
		ret->lasting += ret->idle_elsewhere;
	return status;
}

/* What stays wrong once there are new refcounts: found.lasting may have been about the old ones. */
static int look_without_refcounts(struct repair *repair, struct qc_err *err)
{
	const struct qc_check_options how = {.without_refcounts = true};
	struct qc_check_result result;
	int status = look(repair, &how, &qc_findings_unheard, &result, err);

	if (status == 0)
		repair->found.lasting = result.lasting;
	return status;
}

/*
 * Counts again, and makes right what differs. As long as something is wrong that cannot be repaired,
 * what nothing refers to may belong to it, and is not given up.
 */
static int mend_counts(struct repair *repair, struct qc_err *err)
{
	const struct qc_check_options how = {
		.mismatch = take_mismatch,
		.context = repair,
		.without_idle = !repair->leaks_only,
		.idle_table = repair->leaks_only || !repair->snapshots ? NULL : take_idle_table,
		.without_refcounts = repair->anew,
	};
	struct qc_txn *txn = repair->txn;
	struct qc_check_result result;
	int status = 0;

	if (repair->anew)
		status = look_without_refcounts(repair, err);
	if (status < 0 || (status = qc_txn_repair_begin(txn, repair->anew, err)) < 0
	    || (status = qc_check_run(repair->file, &how, &qc_findings_unheard, &result, err)) < 0)
		return status;
	if (!result.completed)
		return qc_fail(err, QC_E_FORMAT, "the image cannot be walked");
	if (repair->anew && repair->found.lasting > 0)
		return qc_txn_repair_keep(txn, err);
	return 0;
}

static int plan(struct repair *repair, struct qc_err *err)
{
	const struct qc_check_result *found = &repair->found;
	struct qc_txn *txn = repair->txn;
	bool leaks_only = repair->leaks_only;
	int status = 0;

	repair->anew = found->refcounts_broken && !leaks_only;
	/* Without counts that can be trusted there is no telling what leaks. */
	if (leaks_only && (found->refcounts_broken || found->check_errors > 0))
		return 0;
	if (!qc_check_is_sound(found) && qc_txn_repair_is_endless(txn))
		return 0;
	if (!qc_check_is_sound(found) && (status = mend_counts(repair, err)) < 0)
		return status;
	/* Flags follow from the counts, as long as all of these are right now. */
	if (leaks_only && found->corruptions > found->flags_wrong)
		return 0;
	if (!qc_check_is_sound(found)
	    && ((status = qc_txn_repair_snapshot_tables(txn, repair->idle, repair->idle_count, err))
			< 0
		|| (status = qc_txn_repair_tables(txn, err)) < 0))
		return status;
	if (!leaks_only)
		qc_txn_repair_snapshots(txn);
	if (found->lasting == 0)
		qc_txn_repair_marks(txn);
	return 0;
}

int qc_mend(struct qc_file *file, struct qc_txn *txn, bool leaks_only,
	    const struct qc_finding_sink *findings, struct qc_progress *progress,
	    struct qc_check_result *ret, struct qc_err *err)
{
	struct repair repair = {
		.file = file,
		.txn = txn,
		.leaks_only = leaks_only,
		.snapshots = qc_txn_repair_reaches_snapshots(txn),
	};
	const struct qc_check_options how = {.progress = progress};
	int status = look(&repair, &how, findings, &repair.found, err);

	if (status == 0)
		*ret = repair.found;
	if (status == 0 && repair.found.completed)
		status = plan(&repair, err);
	free(repair.idle);
	return status;
}
