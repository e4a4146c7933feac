// SPDX-License-Identifier: MIT
#include "ops/repair.h"

#include "ops/edit.h"
#include "txn/repair.h"

struct repair {
	struct qc_txn *txn;
	bool leaks_only;
	uint64_t set; /* counts that were made right */
};

static int take_mismatch(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			 struct qc_err *err)
{
	struct repair *repair = context;

	if (repair->leaks_only && stored < found)
		return 0;
	repair->set++;
	return qc_txn_repair_count(repair->txn, cluster, found, err);
}

/* Flags and marks are put right only where that leaves nothing wrong with the counts. */
static bool counts_will_be_right(const struct repair *repair, const struct qc_check_result *found)
{
	return !repair->leaks_only || found->corruptions == 0;
}

static int mend(struct qc_edit *edit, const struct qc_repair_options *options,
		const struct qc_finding_sink *sink, struct qc_check_result *ret_found,
		struct qc_err *err)
{
	struct repair repair = {edit->txn, options->leaks_only, 0};
	struct qc_check_options how = {.mismatch = take_mismatch, .context = &repair};
	int status = qc_check_run(edit->overlay ? edit->overlay : edit->file, &how, sink, ret_found,
				  err);

	if (status < 0 || !ret_found->completed)
		return status;
	if (counts_will_be_right(&repair, ret_found)) {
		if ((status = qc_txn_repair_tables(edit->txn, err)) < 0)
			return status;
		qc_txn_repair_marks(edit->txn);
	}
	return 0;
}

int qc_repair(const char *path, const struct qc_repair_options *options,
	      const struct qc_finding_sink *before, const struct qc_finding_sink *after,
	      struct qc_repair_report *ret, struct qc_err *err)
{
	struct qc_edit_options how = {
		.txn = {.repair = true, .stop = options->stop},
		.no_backing = true,
		.dry_run = options->dry_run,
		.no_sync = options->no_sync,
	};
	struct qc_check_options again = {0};
	struct qc_repair_report report = {0};
	struct qc_txn_report committed = {0};
	struct qc_edit *edit;
	int status;

	if ((status = qc_edit_open(path, &how, &edit, err)) < 0)
		return status;
	status = mend(edit, options, before, &report.found, err);
	report.after = report.found;
	if (status == 0 && report.found.completed)
		status = qc_edit_commit(edit, &committed, err);
	report.changed = committed.changed;
	if (status == 0 && report.changed)
		status = qc_check_run(edit->overlay ? edit->overlay : edit->file, &again, after,
				      &report.after, err);
	qc_edit_close(edit);
	if (status == 0)
		*ret = report;
	return status;
}
