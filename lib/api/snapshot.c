// SPDX-License-Identifier: MIT
/* Changing the list of snapshots: each change is a transaction and the only edit in it. */
#include "api/api.h"
#include "ops/edit.h"
#include "txn/snapshot.h"

struct change {
	int (*apply)(struct qc_txn *txn, const struct change *change, struct qc_err *err);
	const char *snapshot; /* id or name of one that is there */
	const char *name;     /* new */
	uint32_t date_sec;
};

static int create(struct qc_txn *txn, const struct change *change, struct qc_err *err)
{
	const struct qc_snapshot_date date = {.sec = change->date_sec};

	return qc_txn_snapshot_create(txn, change->name, date, err);
}

static int apply(struct qc_txn *txn, const struct change *change, struct qc_err *err)
{
	size_t index;
	int status = qc_txn_snapshot_find(txn, change->snapshot, &index, err);

	return status < 0 ? status : qc_txn_snapshot_apply(txn, index, err);
}

static int drop(struct qc_txn *txn, const struct change *change, struct qc_err *err)
{
	size_t index;
	int status = qc_txn_snapshot_find(txn, change->snapshot, &index, err);

	return status < 0 ? status : qc_txn_snapshot_delete(txn, index, err);
}

static int change_name(struct qc_txn *txn, const struct change *change, struct qc_err *err)
{
	size_t index;
	int status = qc_txn_snapshot_find(txn, change->snapshot, &index, err);

	return status < 0 ? status : qc_txn_snapshot_rename(txn, index, change->name, err);
}

static int run(const char *path, unsigned int flags, const struct change *change,
	       struct qc_err *err)
{
	const struct qc_edit_options how = {
		.no_backing = true,
		.dry_run = (flags & QCOWTOOL_DRY_RUN) != 0,
		.no_sync = (flags & QCOWTOOL_NO_SYNC) != 0,
	};
	struct qc_txn_report report;
	struct qc_edit *edit;
	int status = qc_api_flags(flags, QCOWTOOL_NO_SYNC | QCOWTOOL_DRY_RUN, err);

	if (status == 0)
		status = qc_edit_open(path, &how, &edit, err);
	if (status < 0)
		return status;
	status = change->apply(edit->txn, change, err);
	if (status == 0)
		status = qc_edit_commit(edit, &report, err);
	qc_edit_close(edit);
	return status;
}

static int run_for_caller(const char *path, unsigned int flags, const struct change *change,
			  struct qcowtool_error *error)
{
	struct qc_err err;
	int status = run(path, flags, change, &err);

	return qc_api_result(status, &err, error);
}

int qcowtool_snapshot_create(const char *path, const char *name, uint32_t date_sec,
			     unsigned int flags, struct qcowtool_error *error)
{
	const struct change change = {.apply = create, .name = name, .date_sec = date_sec};

	return run_for_caller(path, flags, &change, error);
}

int qcowtool_snapshot_apply(const char *path, const char *snapshot, unsigned int flags,
			    struct qcowtool_error *error)
{
	const struct change change = {.apply = apply, .snapshot = snapshot};

	return run_for_caller(path, flags, &change, error);
}

int qcowtool_snapshot_delete(const char *path, const char *snapshot, unsigned int flags,
			     struct qcowtool_error *error)
{
	const struct change change = {.apply = drop, .snapshot = snapshot};

	return run_for_caller(path, flags, &change, error);
}

int qcowtool_snapshot_rename(const char *path, const char *snapshot, const char *name,
			     unsigned int flags, struct qcowtool_error *error)
{
	const struct change change = {.apply = change_name, .snapshot = snapshot, .name = name};

	return run_for_caller(path, flags, &change, error);
}
