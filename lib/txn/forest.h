// SPDX-License-Identifier: MIT
/*
 * Compressed clusters of all trees at once: what hangs below the active L1 table and the snapshots'.
 * It is the only edit in its transaction.
 *
 * An L2 table is copied once however many L1 tables refer to it, and all of them will refer to the
 * copy; one that serves several parts of the disk becomes one for each. A compressed extent (host
 * offset and length) that several entries refer to, wherever they are, becomes one plain cluster that
 * all of them refer to. Its refcount is the number of ways that lead to it, as the extent's was.
 * Snapshots refer to an extent for one guest cluster, which no transaction does by half. Only where
 * distant parts of the disk share one, as no program is known to write it, do several transactions
 * make a cluster each: where the first one put it cannot be told from the image.
 *
 * Calling sequence
 *	qc_forest_open(txn, from, to, most, &err);
 *	while (qc_forest_next(txn, &extents, &count, &err) == 0 && count > 0) {
 *		... read and inflate each of them, in this order, which is that of the file;
 *		those that are not all zeroes:
 *			qc_forest_place(txn, &extents[i], &err);
 *			qc_txn_put(txn, extents[i].cluster, bytes, ...);
 *		qc_forest_apply(txn, &err);
 *	}
 *	at = qc_forest_position(txn);		below `to`: there was more than `most`
 *	qc_txn_commit(txn, ...);
 *
 * Memory: the snapshots' L1 tables, at most QC_FOREST_L1_BYTES_MAX, and about 16 MiB beside it; where
 * extents are shared between distant parts of the disk, 10 MiB more, which hold 196608 of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"

struct qc_txn;

#define QC_FOREST_L1_BYTES_MAX (UINT64_C(1) << 28)

struct qc_forest_extent {
	struct qc_host host;	/* the compressed bytes */
	uint64_t bytes;		/* at most; counted from host */
	struct qc_host cluster; /* what takes their place; none: zeroes, which the tables can say */
	uint64_t ways;		/* that lead to it */
	size_t first, count;	/* the entries that refer to it */
};

/*
 * Looks at the entries of guest bytes [from, to), whole clusters. At most `clusters_max` (at least 1)
 * extents come up, or a few more where one guest cluster alone has more. QC_E_UNSUPPORTED if the
 * image is encrypted, or its snapshots' L1 tables are too large together.
 */
int qc_forest_open(struct qc_txn *txn, uint64_t from, uint64_t to, uint64_t clusters_max,
		   struct qc_err *err);

/* The next extents, each once, in file order; borrowed until the next call. *ret_count 0: the end. */
int qc_forest_next(struct qc_txn *txn, struct qc_forest_extent **ret, size_t *ret_count,
		   struct qc_err *err);

/* False where zeroes have to be stored: version 2 over a backing file. */
bool qc_forest_has_zeroes(const struct qc_txn *txn);

/* Gives the extent a cluster of its own; the caller writes it whole. */
int qc_forest_place(struct qc_txn *txn, struct qc_forest_extent *extent, struct qc_err *err);

/* Puts plain entries in place of those that refer to the extents. */
int qc_forest_apply(struct qc_txn *txn, struct qc_err *err);

/* The guest offset that was reached; everything in range below it is plain. */
uint64_t qc_forest_position(const struct qc_txn *txn);

/* Whether something in range is beyond that. */
bool qc_forest_has_more(const struct qc_txn *txn);

/* Puts in front of an error which part of which disk the extent is. Returns -err->code. */
int qc_forest_blame(const struct qc_txn *txn, const struct qc_forest_extent *extent,
		    struct qc_err *err);
