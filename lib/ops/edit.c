// SPDX-License-Identifier: MIT
#include "ops/edit.h"

#include <stdlib.h>

#include "format/features.h"
#include "io/file_overlay.h"
#include "ops/mend.h"

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

static struct qc_edit_data_how data_how(const struct qc_edit *edit, const char *path,
					const struct qc_edit_options *options)
{
	return (struct qc_edit_data_how){
		.image_path = path,
		.image_file = edit->file,
		.policy = options->policy,
		.dry_run = options->dry_run,
		.no_sync = options->no_sync,
	};
}

static int recover(struct qc_edit *edit, struct qc_file *file, const char *path,
		   const struct qc_edit_options *options, struct qc_err *err)
{
	const struct qc_edit_data_how how = data_how(edit, path, options);
	struct qc_recover_plan plan;
	int status;

	if ((status = qc_recover_look(file, &plan, err)) < 0)
		return status;
	edit->past.recovered = plan.state;
	if (qc_recover_is_stuck(&plan))
		return qc_fail(err, QC_E_FORMAT, "%s; see qcowtool recover",
			       qc_recover_state_text(plan.state));
	status = qc_edit_data_open_for_redo(&edit->data, &how, file, &plan, err);
	if (status == -QC_E_POLICY
	    && options->no_backing) /* nobody can ask this edit for another policy */
		return qc_fail(
			err, QC_E_POLICY,
			"an interrupted transaction has to be finished in the data file first;"
			" run qcowtool recover");
	if (status == 0)
		status = qc_recover_apply(file, &plan, err);
	/* The tables decide what is free, and it is they that are to be repaired, or rebuilt. */
	if (status == -QC_E_FORMAT && (options->txn.repair || qc_recover_needs_rebuild(&plan)))
		return 0;
	return status < 0 ? qc_err_context(err, "recovery of an interrupted transaction") : 0;
}

/* What a repair can live with: what it puts right, and what it has nothing to do with. */
static bool is_reparable(const struct qc_finding *finding)
{
	switch (finding->id) {
	case QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE:
	case QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE:
	case QC_FINDING_EXTENSION_DUPLICATE:
	case QC_FINDING_SNAPSHOT_INCOMPLETE:
	case QC_FINDING_SNAPSHOT_L1_PLACE:
	case QC_FINDING_SNAPSHOT_L1_SIZE:
		return true;
	default:
		return qc_finding_kind(finding->id)->severity != QC_SEVERITY_CORRUPTION;
	}
}

static void take_finding(void *context, const struct qc_finding *finding)
{
	struct qc_err *refusal = context;

	if (refusal->code == 0 && !is_reparable(finding))
		qc_fail(refusal, QC_E_FORMAT, "%s", finding->message);
}

static int open_to_repair(struct qc_file *file, struct qc_image **ret, struct qc_err *err)
{
	struct qc_err refusal = {0};
	const struct qc_finding_sink sink = {take_finding, &refusal};
	int status = qc_image_open(file, &sink, ret, err);

	if (status < 0 || refusal.code == 0)
		return status;
	qc_image_close(*ret);
	*ret = NULL;
	*err = refusal;
	return -(int)refusal.code;
}

static int open_image(struct qc_edit *edit, struct qc_file *file, bool repair, struct qc_err *err)
{
	return repair ? open_to_repair(file, &edit->image, err)
		      : qc_image_open(file, NULL, &edit->image, err);
}

/*
 * Lazy refcounts: whoever wrote to the image last did not get to write its refcounts. They are
 * rebuilt as QEMU does it on opening, but in one transaction.
 */
static int rebuild(struct qc_edit *edit, struct qc_file *file,
		   const struct qc_edit_options *options, struct qc_err *err)
{
	const struct qc_txn_options how = {
		.repair = true,
		.stop = options->txn.stop,
		.spool = edit->spool,
	};
	struct qc_check_result found;
	struct qc_txn_report report;
	int status;

	if ((status = qc_txn_begin(edit->image, NULL, &how, &edit->txn, err)) < 0
	    || (status = qc_mend(file, edit->txn, false, &qc_findings_unheard, NULL, &found, err))
		       < 0)
		return status;
	if (!found.completed || found.lasting > 0)
		return qc_fail(err, QC_E_FORMAT,
			       "the image was not closed cleanly, and not all of its damage can be "
			       "repaired; see qcowtool check");
	if ((status = qc_edit_commit(edit, &report, err)) < 0)
		return status;
	edit->past.rebuilt = true;
	edit->past.corruptions = found.corruptions;
	edit->past.leaks = found.leaks;
	qc_image_close(edit->image);
	edit->image = NULL;
	return qc_image_open(file, NULL, &edit->image, err);
}

static bool is_dirty(const struct qc_image *image)
{
	return (image->header.incompatible & (QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT))
	       == QC_INCOMPAT_DIRTY;
}

/* Bytes that nobody here can decrypt are no bytes of the disk: not to be read, either. */
static int refuse_encrypted(const struct qc_edit *edit, const struct qc_edit_options *options,
			    struct qc_err *err)
{
	if (options->no_backing || edit->image->header.crypt_method == QC_CRYPT_NONE)
		return 0;
	return qc_fail(err, QC_E_UNSUPPORTED,
		       "the image is encrypted, and its contents cannot be changed");
}

/* Edits of guest bytes need the file in which they lie. */
static int open_data(struct qc_edit *edit, const char *path, const struct qc_edit_options *options,
		     struct qc_err *err)
{
	const struct qc_edit_data_how how = data_how(edit, path, options);

	if (options->no_backing || !edit->image->geometry.external_data)
		return 0;
	return qc_edit_data_open(&edit->data, &how, edit->image, err);
}

static int open_backing(struct qc_edit *edit, const char *path,
			const struct qc_edit_options *options, struct qc_err *err)
{
	const struct qc_chain_open chain = {
		.policy = options->policy,
		.file.lock = QC_LOCK_READ,
		.top_file = edit->file,
	};

	if (options->no_backing)
		return 0;
	return qc_chain_open_backing(edit->image, path, &chain, &edit->backing, err);
}

static int begin_txn(struct qc_edit *edit, const struct qc_edit_options *options,
		     struct qc_err *err)
{
	struct qc_txn_options txn = options->txn;

	if (!txn.spool)
		txn.spool = edit->spool;
	if (edit->image->geometry.external_data)
		edit->image->data = qc_edit_data_file(&edit->data);
	return qc_txn_begin(edit->image, edit->backing, &txn, &edit->txn, err);
}

/* Everything once the image's file is open. */
static int begin(struct qc_edit *edit, const char *path, const struct qc_edit_options *options,
		 struct qc_err *err)
{
	struct qc_file *file = edit->overlay ? edit->overlay : edit->file;
	int status;

	if ((status = recover(edit, file, path, options, err)) < 0
	    || (status = open_image(edit, file, options->txn.repair, err)) < 0
	    || (status = refuse_encrypted(edit, options, err)) < 0
	    || (status = open_data(edit, path, options, err)) < 0
	    || (status = open_backing(edit, path, options, err)) < 0)
		return status;
	if (options->opened)
		options->opened(options->opened_context);
	if (!options->txn.repair && is_dirty(edit->image)
	    && (status = rebuild(edit, file, options, err)) < 0)
		return status;
	return begin_txn(edit, options, err);
}

static void open_spool(struct qc_edit *edit)
{
	struct qc_err ignored;

	if (qc_file_posix_temporary(&edit->spool, &ignored) < 0)
		edit->spool = NULL; /* hardly any transaction needs one */
}

/* Consumes the edit if it cannot begin. */
static int finish_opening(struct qc_edit *take_edit, int status, struct qc_edit **ret)
{
	if (status < 0)
		qc_edit_close(take_edit);
	else
		*ret = take_edit;
	return status;
}

int qc_edit_open(const char *path, const struct qc_edit_options *options, struct qc_edit **ret,
		 struct qc_err *err)
{
	struct qc_edit *edit = calloc(1, sizeof(*edit));
	int status;

	if (!edit)
		return qc_fail_memory(err);
	status = open_file(edit, path, options, err);
	if (status == 0) {
		open_spool(edit);
		status = begin(edit, path, options, err);
	}
	return finish_opening(edit, status, ret);
}

int qc_edit_begin(struct qc_file *file, const char *path, const struct qc_edit_options *options,
		  struct qc_edit **ret, struct qc_err *err)
{
	struct qc_edit *edit = calloc(1, sizeof(*edit));

	if (!edit)
		return qc_fail_memory(err);
	edit->file = file;
	edit->borrowed = true;
	return finish_opening(edit, begin(edit, path, options, err), ret);
}

int qc_edit_commit(struct qc_edit *edit, struct qc_txn_report *ret, struct qc_err *err)
{
	struct qc_txn *txn = edit->txn;

	edit->txn = NULL;
	return qc_txn_commit(txn, ret, err);
}

int qc_edit_again(struct qc_edit *edit, const struct qc_edit_options *options, struct qc_err *err)
{
	struct qc_file *file = edit->overlay ? edit->overlay : edit->file;
	int status;

	qc_image_close(edit->image);
	edit->image = NULL;
	if ((status = qc_image_open(file, NULL, &edit->image, err)) < 0)
		return status;
	return begin_txn(edit, options, err);
}

void qc_edit_close(struct qc_edit *edit)
{
	if (!edit)
		return;
	qc_txn_abort(edit->txn);
	qc_layer_close(edit->backing);
	qc_image_close(edit->image);
	qc_file_close(edit->spool);
	qc_edit_data_close(&edit->data);
	qc_file_close(edit->overlay);
	if (!edit->borrowed)
		qc_file_close(edit->file);
	free(edit);
}
