// SPDX-License-Identifier: MIT
/*
 * A transaction: any number of edits to an image that take effect together, in one write of one
 * sector, or not at all. docs/TRANSACTIONS.md explains the protocol; its invariants I1 to I8 are
 * cited in this folder where they are upheld.
 *
 * Calling sequence
 *	qc_recover(file, ...);				a crash of an earlier one, see recover.h
 *	qc_image_open(file, NULL, &image, &err);	strictly; the file locked for writing
 *	qc_txn_begin(image, backing, &options, &txn, &err);
 *	qc_txn_write(txn, at, bytes, length, &err);	... and zero, discard, grow, read
 *	qc_txn_commit(txn, &report, &err);		or qc_txn_abort(txn)
 *
 * The transaction takes over the image's L1 table in memory: until it ends, read guest bytes with
 * qc_txn_read() only, which sees what was written; afterwards the image must be opened anew.
 *
 * Errors: after any failed call the transaction can only be aborted. Abort (and a commit that
 * fails) leaves the file byte for byte as it was, with one exception, QC_E_OUTCOME_UNKNOWN from
 * commit: then the storage failed to say whether the new state is durable, the image is exactly the
 * old or the new one, and nothing more was written.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "image/chain.h"
#include "image/image.h"

struct qc_txn;

struct qc_txn_options {
	bool trust_refcounts; /* skip the walk that proves free clusters free */
	bool repair; /* take images that are dirty, corrupt or contradict themselves; see repair.h */
	bool compress; /* store clusters that one write covers whole compressed */
	const volatile sig_atomic_t
		*stop; /* not NULL: fail with QC_E_INTERRUPTED once it is not 0 */
	/* An empty file to keep what memory should not hold; NULL: one is made when it is needed. */
	struct qc_file *spool;
};

struct qc_txn_report {
	uint64_t bytes_written;	     /* guest bytes of writes and zeroes; discards do not count */
	uint64_t clusters_allocated; /* host clusters for guest data */
	uint64_t clusters_freed;  /* host clusters of guest data that lost their last reference */
	uint64_t l2_tables;	  /* written anew */
	uint64_t refcount_blocks; /* likewise */
	bool changed;		  /* false: there was nothing to do, and nothing was written */
};

/*
 * Begins a transaction on an image whose file is writable and locked. `backing` (NULL: zeroes) is
 * what unallocated clusters show. Everything is borrowed and must outlive the transaction.
 *
 * Refused, with nothing changed: images that are marked dirty or corrupt (QC_E_FORMAT), and compressed
 * clusters for a data file (QC_E_UNSUPPORTED). Where an image is encrypted, or has an external data
 * file that image->data does not hold open for writing, the edits that change guest contents are
 * refused, with the same code. Enabled dirty bitmaps record them. While the transaction lasts,
 * image->data shows the data file as it would leave it.
 */
int qc_txn_begin(struct qc_image *image, const struct qc_layer *backing,
		 const struct qc_txn_options *options, struct qc_txn **ret, struct qc_err *err);

/* Guest bytes [at, at + length) become `bytes`. QC_E_RANGE past the end of the disk. */
int qc_txn_write(struct qc_txn *txn, struct qc_guest at, const void *bytes, size_t length,
		 struct qc_err *err);

/*
 * They become zeroes. Whole clusters (subclusters) become zero clusters where the version has
 * them; in version 2 over a backing file, zeroes are stored.
 */
int qc_txn_zero(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err);

/* Likewise, but clusters become unallocated where that reads as zeroes too. */
int qc_txn_discard(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err);

/*
 * The disk becomes that long, which is at least what it was; the new part reads as zeroes whatever
 * the backing file holds there. QC_E_UNSUPPORTED for version 2 with snapshots, which could not
 * remember their size.
 */
int qc_txn_grow(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err);

/*
 * The image's backing file becomes `name` (NULL: none), of `format` (NULL: not recorded), at most once
 * in a transaction. Until it ends, what is unallocated still shows the old one. QC_E_ARGUMENT if the
 * name is longer than an image can hold, QC_E_NO_SPACE if the header has no room for it.
 */
int qc_txn_set_backing(struct qc_txn *txn, const char *name, const char *format,
		       struct qc_err *err);

/* Reads guest bytes as the transaction would leave them. QC_E_RANGE past the end of the disk. */
int qc_txn_read(struct qc_txn *txn, struct qc_guest at, void *buffer, size_t length,
		struct qc_err *err);

/* The disk's length as the transaction would leave it. */
uint64_t qc_txn_disk_bytes(const struct qc_txn *txn);

/* Makes it so, or leaves everything as it was; the transaction is gone in both cases. */
int qc_txn_commit(struct qc_txn *take_txn, struct qc_txn_report *ret, struct qc_err *err);

/* Undoes all that was written; the transaction is gone. NULL is fine. */
void qc_txn_abort(struct qc_txn *take_txn);
