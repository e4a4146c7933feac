// SPDX-License-Identifier: MIT
/*
 * Guest bytes on their way to an external data file, where each cluster has one place and no other.
 * What the committed image does not show is written there at once, and undone by an abort; what it
 * shows waits in free clusters of the image (the redo clusters) until the commit is durable. See
 * docs/TRANSACTIONS.md, "Data in another file".
 *
 * A redo cluster is a whole guest cluster as the transaction would leave it. Zeroes in a raw data file
 * wait as ranges, which have no byte in common with any redo cluster.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "txn/ranges.h"
#include "txn/stage_map.h"
#include "txn/undo.h"

/* More would make a longer journal than anybody believes. */
#define QC_EXTERNAL_REDO_MAX ((size_t)1 << 21)

struct qc_txn;

struct qc_external {
	struct qc_file *file; /* borrowed; NULL: the image has no data file, or it is not open */
	struct qc_file *view; /* the same as the transaction would leave it; the image reads this */
	bool raw;	      /* all of it is shown, and it is as long as the disk */
	bool written;	      /* something was, so that it must be synced before the commit */
	uint64_t file_bytes_before;
	struct qc_undo undo;
	struct qc_stage redo;	 /* by guest cluster */
	struct qc_ranges zeroes; /* guest bytes, `raw` only */
};

/* Sets up what the transaction needs if the image has a data file that is open and writable. */
int qc_external_init(struct qc_txn *txn, struct qc_err *err);
void qc_external_clear(struct qc_txn *txn);

/* Guest bytes, all in one cluster, go to the data file. What lies past the end of the disk does not. */
int qc_external_put(struct qc_txn *txn, struct qc_guest at, const void *bytes, size_t length,
		    struct qc_err *err);

/* Guest bytes of a raw data file become zeroes. */
int qc_external_zero(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err);

/* Makes the data file of a disk that grows long enough. */
int qc_external_extend(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err);

/* Whether anything waits until the commit is durable. */
bool qc_external_has_redo(const struct qc_txn *txn);

/* Gives every redo cluster its place. */
int qc_external_settle(struct qc_txn *txn, struct qc_err *err);

/* Writes them there, and makes durable what was written to the data file. */
int qc_external_flush(struct qc_txn *txn, struct qc_err *err);

/* Puts the data file back to what it was. */
int qc_external_undo(struct qc_txn *txn, struct qc_err *err);
