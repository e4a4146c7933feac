// SPDX-License-Identifier: MIT
#include "ops/repair.h"

#include "ops/edit.h"
#include "ops/mend.h"

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

/* One pass over an opened image: found, mended, committed, checked again. */
static int pass(struct qc_edit *edit, const struct qc_repair_options *options,
		const struct qc_finding_sink *before, const struct qc_finding_sink *after,
		struct qc_repair_report *ret, struct qc_err *err)
{
	const struct qc_check_options how = {0};
	struct qc_file *file = edit->overlay ? edit->overlay : edit->file;
	struct qc_txn_report committed = {0};
	int status = qc_mend(file, edit->txn, options->leaks_only, before, &ret->found, err);

	if (status < 0)
		return status;
	ret->after = ret->found;
	if (!ret->found.completed)
		return 0;
	if ((status = qc_edit_commit(edit, &committed, err)) < 0)
		return status;
	ret->changed = committed.changed;
	return ret->changed ? qc_check_run(file, &how, after, &ret->after, err) : 0;
}

static int run(const char *path, const struct qc_repair_options *options, bool trial,
	       const struct qc_finding_sink *before, const struct qc_finding_sink *after,
	       struct qc_repair_report *ret, struct qc_err *err)
{
	struct qc_repair_report report = {0};
	struct qc_edit *edit;
	int status;

	if ((status = open_edit(path, options, trial, &edit, err)) < 0)
		return status;
	status = pass(edit, options, before, after, &report, err);
	qc_edit_close(edit);
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
