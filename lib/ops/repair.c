// SPDX-License-Identifier: MIT
#include "ops/repair.h"

#include "ops/edit.h"
#include "txn/repair.h"

/* One repair under way. */
struct repair {
	const struct qc_repair_options *options;
	struct qc_edit *edit;
	struct qc_file *file;	      /* as the transaction sees it */
	struct qc_check_result found; /* what is wrong */
	bool anew;		      /* the refcount structures are made from nothing */
};

static int take_mismatch(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			 struct qc_err *err)
{
	struct repair *repair = context;

	if (stored < found ? repair->options->leaks_only : repair->found.lasting > 0)
		return 0;
	return qc_txn_repair_count(repair->edit->txn, cluster, found, err);
}

static void take_nothing(void *context, const struct qc_finding *finding)
{
	(void)context;
	(void)finding;
}

static bool is_sound(const struct qc_check_result *result)
{
	return result->completed && result->corruptions == 0 && result->leaks == 0
	       && result->check_errors == 0;
}

/* What stays wrong once there are new refcounts: found.lasting may have been about the old ones. */
static int look_without_refcounts(struct repair *repair, struct qc_err *err)
{
	const struct qc_check_options how = {.without_refcounts = true};
	const struct qc_finding_sink nobody = {take_nothing, NULL};
	struct qc_check_result result;
	int status = qc_check_run(repair->file, &how, &nobody, &result, err);

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
	const struct qc_check_options how = {.mismatch = take_mismatch,
					     .context = repair,
					     .without_refcounts = repair->anew};
	const struct qc_finding_sink nobody = {take_nothing, NULL};
	struct qc_txn *txn = repair->edit->txn;
	struct qc_check_result result;
	int status = 0;

	if (repair->anew)
		status = look_without_refcounts(repair, err);
	if (status < 0 || (status = qc_txn_repair_begin(txn, repair->anew, err)) < 0
	    || (status = qc_check_run(repair->file, &how, &nobody, &result, err)) < 0)
		return status;
	if (!result.completed)
		return qc_fail(err, QC_E_FORMAT, "the image cannot be walked");
	if (repair->anew && repair->found.lasting > 0)
		return qc_txn_repair_keep(txn, err);
	return 0;
}

static int mend(struct repair *repair, struct qc_err *err)
{
	const struct qc_check_result *found = &repair->found;
	struct qc_txn *txn = repair->edit->txn;
	bool leaks_only = repair->options->leaks_only;
	int status = 0;

	repair->anew = found->refcounts_broken && !leaks_only;
	/* Without counts that can be trusted there is no telling what leaks. */
	if (leaks_only && (found->refcounts_broken || found->check_errors > 0))
		return 0;
	if (!is_sound(found) && (status = mend_counts(repair, err)) < 0)
		return status;
	/* Flags follow from the counts, as long as all of these are right now. */
	if (leaks_only && found->corruptions > found->flags_wrong)
		return 0;
	if (!is_sound(found) && (status = qc_txn_repair_tables(txn, err)) < 0)
		return status;
	if (!leaks_only)
		qc_txn_repair_snapshots(txn);
	if (found->lasting == 0)
		qc_txn_repair_marks(txn);
	return 0;
}

static int open_edit(const char *path, const struct qc_repair_options *options, bool trial,
		     struct qc_edit **ret, struct qc_err *err)
{
	const struct qc_edit_options how = {
		.txn = {.repair = true, .stop = options->stop},
		.no_backing = true,
		.dry_run = options->dry_run || trial,
		.no_sync = options->no_sync,
	};

	return qc_edit_open(path, &how, ret, err);
}

/* What a second check says of it. */
static int check_again(struct repair *repair, const struct qc_finding_sink *after,
		       struct qc_check_result *ret, struct qc_err *err)
{
	const struct qc_check_options how = {0};

	return qc_check_run(repair->file, &how, after, ret, err);
}

/* One pass over an opened image: found, mended, committed, checked again. */
static int pass(struct repair *repair, const struct qc_finding_sink *before,
		const struct qc_finding_sink *after, struct qc_repair_report *ret,
		struct qc_err *err)
{
	const struct qc_check_options how = {0};
	struct qc_txn_report committed = {0};
	int status = qc_check_run(repair->file, &how, before, &repair->found, err);

	if (status < 0)
		return status;
	ret->found = ret->after = repair->found;
	if (!repair->found.completed)
		return 0;
	if ((status = mend(repair, err)) < 0
	    || (status = qc_edit_commit(repair->edit, &committed, err)) < 0)
		return status;
	ret->changed = committed.changed;
	return ret->changed ? check_again(repair, after, &ret->after, err) : 0;
}

static int run(const char *path, const struct qc_repair_options *options, bool trial,
	       const struct qc_finding_sink *before, const struct qc_finding_sink *after,
	       struct qc_repair_report *ret, struct qc_err *err)
{
	struct repair repair = {.options = options};
	struct qc_repair_report report = {0};
	int status;

	if ((status = open_edit(path, options, trial, &repair.edit, err)) < 0)
		return status;
	repair.file = repair.edit->overlay ? repair.edit->overlay : repair.edit->file;
	status = pass(&repair, before, after, &report, err);
	qc_edit_close(repair.edit);
	if (status == 0)
		*ret = report;
	return status;
}

static uint64_t wrong(const struct qc_check_result *result)
{
	return result->corruptions + result->check_errors;
}

/*
 * Where something stays wrong, a repair of the rest may make it worse: a reference past the end of
 * the file, say, comes to lie inside when the file grows. A trial beside the file tells.
 */
static bool is_worth_it(const struct qc_repair_report *trial)
{
	return trial->after.completed && wrong(&trial->after) <= wrong(&trial->found)
	       && (wrong(&trial->after) < wrong(&trial->found)
		   || trial->after.leaks < trial->found.leaks);
}

int qc_repair(const char *path, const struct qc_repair_options *options,
	      const struct qc_finding_sink *before, const struct qc_finding_sink *after,
	      struct qc_repair_report *ret, struct qc_err *err)
{
	const struct qc_finding_sink nobody = {take_nothing, NULL};
	struct qc_repair_report trial;
	int status = run(path, options, true, before, &nobody, &trial, err);

	if (status < 0)
		return status;
	if (!trial.changed || (!is_sound(&trial.found) && !is_worth_it(&trial))) {
		trial.changed = false;
		trial.after = trial.found;
		*ret = trial;
		return 0;
	}
	return run(path, options, false, &nobody, after, ret, err);
}
