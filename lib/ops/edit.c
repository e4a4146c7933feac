// SPDX-License-Identifier: MIT
#include "ops/edit.h"

#include <stdlib.h>

#include "io/file_overlay.h"

static int open_file(struct qc_edit *edit, const char *path, const struct qc_edit_options *options,
		     struct qc_err *err)
{
	struct qc_file_open how = {
		.writable = !options->dry_run,
		.lock = options->dry_run ? QC_LOCK_READ : QC_LOCK_WRITE,
		.no_sync = options->no_sync,
	};
	struct qc_file *changes;
	int status;

	if ((status = qc_file_posix_open(path, &how, &edit->file, err)) < 0 || !options->dry_run)
		return status;
	if ((status = qc_file_posix_temporary(&changes, err)) < 0)
		return status;
	return qc_file_overlay_open(edit->file, changes, &edit->overlay, err);
}

static int recover(struct qc_edit *edit, struct qc_file *file, bool repair, struct qc_err *err)
{
	struct qc_recover_plan plan;
	int status;

	if ((status = qc_recover_look(file, &plan, err)) < 0)
		return status;
	edit->recovered = plan.state;
	if (plan.state == QC_RECOVER_UNDECIDABLE)
		return qc_fail(err, QC_E_FORMAT, "%s; see qcowtool recover",
			       qc_recover_state_text(plan.state));
	status = qc_recover_apply(file, &plan, err);
	if (status == -QC_E_FORMAT && repair)
		return 0; /* the tables decide what is free, and it is they that are to be repaired */
	return status < 0 ? qc_err_context(err, "recovery of an interrupted transaction") : 0;
}

static int open_all(struct qc_edit *edit, const char *path, const struct qc_edit_options *options,
		    struct qc_err *err)
{
	struct qc_chain_open chain = {.policy = options->policy, .file.lock = QC_LOCK_READ};
	struct qc_file *file;
	int status;

	if ((status = open_file(edit, path, options, err)) < 0)
		return status;
	chain.top_file = edit->file;
	file = edit->overlay ? edit->overlay : edit->file;
	if ((status = recover(edit, file, options->txn.repair, err)) < 0
	    || (status = qc_image_open(file, NULL, &edit->image, err)) < 0)
		return status;
	if (!options->no_backing
	    && (status = qc_chain_open_backing(edit->image, path, &chain, &edit->backing, err)) < 0)
		return status;
	return qc_txn_begin(edit->image, edit->backing, &options->txn, &edit->txn, err);
}

int qc_edit_open(const char *path, const struct qc_edit_options *options, struct qc_edit **ret,
		 struct qc_err *err)
{
	struct qc_edit *edit = calloc(1, sizeof(*edit));
	int status;

	if (!edit)
		return qc_fail_memory(err);
	status = open_all(edit, path, options, err);
	if (status < 0)
		qc_edit_close(edit);
	else
		*ret = edit;
	return status;
}

int qc_edit_commit(struct qc_edit *edit, struct qc_txn_report *ret, struct qc_err *err)
{
	struct qc_txn *txn = edit->txn;

	edit->txn = NULL;
	return qc_txn_commit(txn, ret, err);
}

void qc_edit_close(struct qc_edit *edit)
{
	if (!edit)
		return;
	qc_txn_abort(edit->txn);
	qc_layer_close(edit->backing);
	qc_image_close(edit->image);
	qc_file_close(edit->overlay);
	qc_file_close(edit->file);
	free(edit);
}
