// SPDX-License-Identifier: MIT
/*
 * What the tables of an image leave to its backing chain gets clusters of its own, in all trees at
 * once: those below the active L1 table and below the snapshots'. No guest byte changes, so there is
 * nothing for a dirty bitmap to record. It is the only edit in its transaction, but for the backing
 * file's name.
 *
 * A guest cluster that several trees lack gets one new cluster that all of them refer to, unless
 * their disks end at different places in it. What one of the trees holds already is not touched: an
 * L2 table is copied before it changes, once however many L1 tables refer to it, and so is a cluster
 * of which only some subclusters were there.
 *
 * Calling sequence
 *	qc_fill_open(txn, with_snapshots, &err);
 *	while (qc_fill_next(txn, &from, &to, &err) == 0 && from < to)
 *		... look what is to be put there, and at any time afterwards, in ascending order:
 *		qc_fill_put(txn, at, bytes, length, kinds, &err);
 *	qc_fill_end(txn, &err);
 *	qc_txn_commit(txn, ...);
 *
 * Memory: the L1 tables, 16 MiB of L2 tables, and two bits for each subcluster of one of these.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct qc_txn;

/* What becomes of a subcluster (without extended L2 entries: of a cluster) where it is missing. */
enum qc_fill_kind {
	QC_FILL_NOTHING, /* it stays so */
	QC_FILL_DATA,
	QC_FILL_ZEROES, /* a zero cluster; stored zeroes where the version has none */
};

/* QC_E_UNSUPPORTED if the image is encrypted, or its snapshots' L1 tables are too large together. */
int qc_fill_open(struct qc_txn *txn, bool with_snapshots, struct qc_err *err);

/*
 * The next part of the disk, whole subclusters but for the disk's end, that at least one tree does
 * not hold. Tells what is in the committed tables, whatever was put meanwhile. *from == *to: the end.
 */
int qc_fill_next(struct qc_txn *txn, uint64_t *ret_from, uint64_t *ret_to, struct qc_err *err);

/*
 * Fills what is missing in [at, at + length): whole clusters, the last of which may be cut short by
 * the end of the longest disk. `bytes` is what all of it shows now, `kinds` has one
 * enum qc_fill_kind for each subcluster. Trees that hold a subcluster keep what they hold.
 */
int qc_fill_put(struct qc_txn *txn, uint64_t at, const uint8_t *bytes, size_t length,
		const uint8_t *kinds, struct qc_err *err);

/* After the last put. */
int qc_fill_end(struct qc_txn *txn, struct qc_err *err);

/* The longest of the disks, the snapshots' included if they are filled. */
uint64_t qc_fill_disk_bytes(const struct qc_txn *txn);
