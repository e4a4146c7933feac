// SPDX-License-Identifier: MIT
/*
 * One guest cluster at a time. A cluster of the committed state is never changed in place, whatever
 * its COPIED flag and refcount say: what it holds is merged with what is new in a cluster of the
 * transaction's own, and its references are dropped. Only a cluster that this transaction was given
 * is written to again.
 *
 * A write that covers its cluster reads nothing. One that does not reads what it must keep: from the
 * old cluster, compressed or not, from the backing chain, or nothing at all where zeroes are known
 * to be on both sides.
 */
#pragma once

#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/l2_entry.h"

struct qc_txn;

enum qc_put {
	QC_PUT_DATA,	 /* the bytes given; NULL stores zeroes */
	QC_PUT_ZERO,	 /* zero clusters where the version has them */
	QC_PUT_DISCARD,	 /* unallocated where that reads as zeroes, else like QC_PUT_ZERO */
	QC_PUT_ALLOCATE, /* whole clusters of a data file, whose bytes are as they should be */
};

/*
 * Changes bytes [from, to) of the guest cluster that starts at `base`. 0 <= from < to <= the
 * cluster's size. `bytes` holds to - from bytes, or is NULL.
 */
int qc_put_cluster(struct qc_txn *txn, struct qc_guest base, uint64_t from, uint64_t to,
		   const uint8_t *bytes, enum qc_put how, struct qc_err *err);

/*
 * How many bytes from `at` to the end of the stretch that one L2 table maps are unallocated, with
 * nothing below that could show, because there is no such table; 0 if there is one.
 */
uint64_t qc_put_nothing_there(const struct qc_txn *txn, struct qc_guest at);

/* The entry of the cluster that holds `at`, as the transaction would leave it. */
int qc_put_look(struct qc_txn *txn, struct qc_guest at, struct qc_l2_entry *ret,
		struct qc_err *err);
