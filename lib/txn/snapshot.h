// SPDX-License-Identifier: MIT
/*
 * Internal snapshots: each operation is one transaction, and the only edit in it. Specification,
 * "Snapshots".
 *
 * create	what the active L1 table leads to gains a reference, and a copy of that table is the
 *		snapshot's. Tables whose flags say COPIED are copied without them; both share the copy.
 * apply	the active L1 table becomes a copy of the snapshot's. Tables that both had before cost
 *		nothing, whatever hangs below them.
 * delete	the snapshot's references are dropped, and the active tables' COPIED flags set where a
 *		refcount of 1 is left.
 * rename	only the snapshot table is written.
 *
 * Snapshots that QEMU made keep all that we do not know of them.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "txn/txn.h"

struct qc_snapshot_date {
	uint32_t sec, nsec; /* since the epoch */
};

/* The snapshot's place in image->snapshots, by id or else by name. QC_E_NOT_FOUND if there is none. */
int qc_txn_snapshot_find(const struct qc_txn *txn, const char *id_or_name, size_t *ret_index,
			 struct qc_err *err);

/*
 * Creates a snapshot of the disk as it is. Its id is one more than the highest decimal one. Names may
 * repeat, but must be 1 to 65535 bytes long. Refused with nothing changed: more than QC_SNAPSHOTS_MAX
 * of them, a refcount that is at its largest already (QC_E_NO_SPACE).
 */
int qc_txn_snapshot_create(struct qc_txn *txn, const char *name, struct qc_snapshot_date date,
			   struct qc_err *err);

/* The disk becomes what the snapshot holds, its size included. Refused beside dirty bitmaps. */
int qc_txn_snapshot_apply(struct qc_txn *txn, size_t index, struct qc_err *err);

int qc_txn_snapshot_delete(struct qc_txn *txn, size_t index, struct qc_err *err);
int qc_txn_snapshot_rename(struct qc_txn *txn, size_t index, const char *name, struct qc_err *err);
