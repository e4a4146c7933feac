// SPDX-License-Identifier: MIT
/* Changing an image. */
#include <stdbool.h>
#include <stdlib.h>

#include "api/api.h"
#include "ops/edit.h"
#include "txn/snapshot.h"

struct qcowtool_edit {
	struct qc_edit *edit;
	bool failed; /* a call did, and what it left behind may only be aborted */
};

static int begin(const char *path, unsigned int flags, struct qcowtool_edit **ret,
		 struct qc_err *err)
{
	const struct qc_edit_options how = {
		.txn.compress = (flags & QCOWTOOL_COMPRESS) != 0,
		.policy = qc_api_policy(flags),
		.dry_run = (flags & QCOWTOOL_DRY_RUN) != 0,
		.no_sync = (flags & QCOWTOOL_NO_SYNC) != 0,
	};
	const unsigned int taken = QCOWTOOL_CHAIN_DIR | QCOWTOOL_CHAIN_NONE | QCOWTOOL_NO_SYNC
				   | QCOWTOOL_DRY_RUN | QCOWTOOL_COMPRESS;
	struct qcowtool_edit *edit;
	int status = qc_api_flags(flags, taken, err);

	if (status < 0)
		return status;
	edit = calloc(1, sizeof(*edit));
	if (!edit)
		return qc_fail_memory(err);
	status = qc_edit_open(path, &how, &edit->edit, err);
	if (status < 0)
		free(edit);
	else
		*ret = edit;
	return status;
}

int qcowtool_begin(const char *path, unsigned int flags, struct qcowtool_edit **ret,
		   struct qcowtool_error *error)
{
	struct qc_err err;
	int status = begin(path, flags, ret, &err);

	return qc_api_result(status, &err, error);
}

uint64_t qcowtool_edit_disk_bytes(const struct qcowtool_edit *edit)
{
	return qc_txn_disk_bytes(edit->edit->txn);
}

static int require_intact(const struct qcowtool_edit *edit, struct qc_err *err)
{
	if (!edit->failed)
		return 0;
	return qc_fail(err, QC_E_ARGUMENT,
		       "an earlier call failed: the transaction can only be aborted");
}

/* What a call on the transaction ends with. */
static int end(struct qcowtool_edit *edit, int status, const struct qc_err *err,
	       struct qcowtool_error *error)
{
	if (status < 0)
		edit->failed = true;
	return qc_api_result(status, err, error);
}

int qcowtool_edit_read(struct qcowtool_edit *edit, uint64_t at, void *buffer, size_t length,
		       struct qcowtool_error *error)
{
	struct qc_err err;
	int status = require_intact(edit, &err);

	if (status == 0)
		status = qc_txn_read(edit->edit->txn, qc_guest(at), buffer, length, &err);
	return end(edit, status, &err, error);
}

int qcowtool_write(struct qcowtool_edit *edit, uint64_t at, const void *bytes, size_t length,
		   struct qcowtool_error *error)
{
	struct qc_err err;
	int status = require_intact(edit, &err);

	if (status == 0)
		status = qc_txn_write(edit->edit->txn, qc_guest(at), bytes, length, &err);
	return end(edit, status, &err, error);
}

int qcowtool_zero(struct qcowtool_edit *edit, uint64_t at, uint64_t length,
		  struct qcowtool_error *error)
{
	struct qc_err err;
	int status = require_intact(edit, &err);

	if (status == 0)
		status = qc_txn_zero(edit->edit->txn, qc_guest(at), length, &err);
	return end(edit, status, &err, error);
}

int qcowtool_discard(struct qcowtool_edit *edit, uint64_t at, uint64_t length,
		     struct qcowtool_error *error)
{
	struct qc_err err;
	int status = require_intact(edit, &err);

	if (status == 0)
		status = qc_txn_discard(edit->edit->txn, qc_guest(at), length, &err);
	return end(edit, status, &err, error);
}

int qcowtool_grow(struct qcowtool_edit *edit, uint64_t disk_bytes, struct qcowtool_error *error)
{
	struct qc_err err;
	int status = require_intact(edit, &err);

	if (status == 0)
		status = qc_txn_grow(edit->edit->txn, disk_bytes, &err);
	return end(edit, status, &err, error);
}

int qcowtool_commit(struct qcowtool_edit *edit, struct qcowtool_report *ret,
		    struct qcowtool_error *error)
{
	struct qc_txn_report report = {0};
	struct qc_err err;
	int status = require_intact(edit, &err);

	if (status == 0)
		status = qc_edit_commit(edit->edit, &report, &err);
	if (status == 0 && ret)
		*ret = (struct qcowtool_report){
			.bytes_written = report.bytes_written,
			.clusters_allocated = report.clusters_allocated,
			.clusters_freed = report.clusters_freed,
			.changed = report.changed,
		};
	qcowtool_abort(edit);
	return qc_api_result(status, &err, error);
}

void qcowtool_abort(struct qcowtool_edit *edit)
{
	if (!edit)
		return;
	qc_edit_close(edit->edit);
	free(edit);
}
