// SPDX-License-Identifier: MIT
#include "ops/repair.h"

#include "io/file_overlay.h"
#include "io/file_posix.h"
#include "ops/edit.h"
#include "ops/mend.h"

/* One pass over an opened image: found, mended, committed, checked again. */
static int pass(struct qc_edit *edit, const struct qc_repair_options *options,
		const struct qc_finding_sink *before, const struct qc_finding_sink *after,
		struct qc_repair_report *ret, struct qc_err *err)
{
	const struct qc_check_options how = {.progress = options->progress};
	struct qc_file *file = edit->file;
	struct qc_txn_report committed = {0};
	int status = qc_mend(file, edit->txn, options->leaks_only, before, options->progress,
			     &ret->found, err);

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

static int begin(struct qc_file *file, const struct qc_repair_files *files,
		 const struct qc_repair_options *options, struct qc_edit **ret, struct qc_err *err)
{
	const struct qc_edit_options how = {
		.txn = {.repair = true, .stop = options->stop, .spool = files->spool},
		.no_backing = true,
	};

	return qc_edit_begin(file, NULL, &how, ret, err);
}

/* The beginning of an edit settles what is left of an interrupted transaction. */
static int recover(const struct qc_repair_files *files, const struct qc_repair_options *options,
		   struct qc_err *err)
{
	struct qc_edit *edit;
	int status = begin(files->image, files, options, &edit, err);

	if (status == 0)
		qc_edit_close(edit);
	return status;
}

/* Repairs the file, or what an overlay shows of it. *ret is as far as it came, after a failure too. */
static int run(struct qc_file *file, const struct qc_repair_files *files,
	       const struct qc_repair_options *options, const struct qc_finding_sink *before,
	       const struct qc_finding_sink *after, struct qc_repair_report *ret,
	       bool *ret_recovered, struct qc_err *err)
{
	struct qc_repair_report report = {0};
	struct qc_edit *edit;
	int status;

	if ((status = begin(file, files, options, &edit, err)) < 0)
		return status;
	*ret_recovered = edit->past.recovered != QC_RECOVER_CLEAN;
	status = pass(edit, options, before, after, &report, err);
	qc_edit_close(edit);
	*ret = report;
	return status;
}

/* The same beside the file, which stays as it is. */
static int run_aside(struct qc_repair_files *files, unsigned int scratch,
		     const struct qc_repair_options *options, const struct qc_finding_sink *before,
		     const struct qc_finding_sink *after, struct qc_repair_report *ret,
		     bool *ret_recovered, struct qc_err *err)
{
	struct qc_file *changes = files->scratch[scratch];
	struct qc_file *overlay;
	int status;

	files->scratch[scratch] = NULL;
	if ((status = qc_file_overlay_open(files->image, changes, &overlay, err)) < 0)
		return status;
	status = run(overlay, files, options, before, after, ret, ret_recovered, err);
	qc_file_close(overlay);
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

int qc_repair_file(struct qc_repair_files *files, const struct qc_repair_options *options,
		   const struct qc_finding_sink *before, const struct qc_finding_sink *after,
		   struct qc_repair_report *ret, struct qc_err *err)
{
	struct qc_repair_report trial = {0};
	bool recovered = false;
	int status =
		run_aside(files, 0, options, before, &qc_findings_unheard, &trial, &recovered, err);

	/* What stays wrong may lead to all the room that there is behind the file. */
	if (status == -QC_E_NO_SPACE && err->os_errno == 0 && trial.found.lasting > 0)
		status = 0;
	if (status < 0)
		return status;
	if (!trial.changed || (!qc_check_is_sound(&trial.found) && !is_worth_it(&trial))) {
		trial.changed = false;
		trial.after = trial.found;
		/* The trial recovered what it found in the overlay only. */
		if (recovered && !options->dry_run && (status = recover(files, options, err)) < 0)
			return status;
		*ret = trial;
		return 0;
	}
	if (options->dry_run)
		return run_aside(files, 1, options, &qc_findings_unheard, after, ret, &recovered,
				 err);
	return run(files->image, files, options, &qc_findings_unheard, after, ret, &recovered, err);
}

static void close_files(struct qc_repair_files *files)
{
	qc_file_close(files->scratch[0]);
	qc_file_close(files->scratch[1]);
	qc_file_close(files->spool);
	qc_file_close(files->image);
}

static int open_files(const char *path, const struct qc_repair_options *options,
		      struct qc_repair_files *files, struct qc_err *err)
{
	const struct qc_file_open how = {
		.writable = !options->dry_run,
		.lock = options->dry_run ? QC_LOCK_READ : QC_LOCK_WRITE,
		.no_sync = options->no_sync,
	};
	int status = qc_file_posix_open(path, &how, &files->image, err);

	if (status == 0)
		status = qc_file_posix_temporary(&files->spool, err);
	if (status == 0)
		status = qc_file_posix_temporary(&files->scratch[0], err);
	if (status == 0 && options->dry_run)
		status = qc_file_posix_temporary(&files->scratch[1], err);
	return status;
}

int qc_repair(const char *path, const struct qc_repair_options *options,
	      const struct qc_finding_sink *before, const struct qc_finding_sink *after,
	      struct qc_repair_report *ret, struct qc_err *err)
{
	struct qc_repair_files files = {0};
	int status = open_files(path, options, &files, err);

	if (status == 0 && options->opened)
		options->opened(options->opened_context);
	if (status == 0)
		status = qc_repair_file(&files, options, before, after, ret, err);
	close_files(&files);
	return status;
}
