// SPDX-License-Identifier: MIT
/* What the files of this folder share: the state of a transaction under way. */
#pragma once

#include "txn/external.h"
#include "txn/pack.h"
#include "txn/space.h"
#include "txn/stage_bitmap.h"
#include "txn/stage_map.h"
#include "txn/stage_refcount.h"
#include "txn/stage_table.h"
#include "txn/txn.h"
#include "txn/undo.h"

struct qc_forest;

struct qc_txn {
	struct qc_image *image;		/* borrowed; its l1 is the new state's from now on */
	const struct qc_layer *backing; /* borrowed */
	const struct qc_geometry *geometry;
	struct qc_txn_options options;
	struct qc_header header; /* of the new state */
	bool failed;		 /* only abort is left */
	bool durable;		 /* the state that was loaded is known to be on stable storage */
	bool sealed;		 /* no further edit is possible; see snapshot.h */
	uint8_t *relaid;	 /* sector 0 laid out for another backing file, or NULL */
	bool header_changed;	 /* something but the tables changed */
	bool copied_missing;	 /* some cluster that the disk uses twice is used once now */
	bool l1_changed;	 /* entries changed whose L2 tables did not */
	bool new_snapshot;	 /* the last one in the list gets a copy of the L1 table */
	bool snapshots_changed;	 /* the snapshot table is to be written anew */
	uint64_t file_bytes_before;
	uint64_t journal_records_max; /* QC_JOURNAL_RECORDS_MAX, but for tests */

	struct qc_space space;
	bool space_known; /* found when the first cluster is needed */
	struct qc_refs refs;
	struct qc_stage l2; /* by index in the L1 table */
	struct qc_staged_table *tables;
	size_t table_count, table_room;
	struct qc_forest *forest; /* NULL unless an edit goes through all trees */
	struct qc_undo undo;
	struct qc_pack pack;
	struct qc_external external;
	struct qc_marks marks; /* dirty bitmaps */
	uint8_t *cluster;      /* one cluster, to merge in */

	struct qc_txn_report report;
};

/* A transaction with nothing in it yet. */
int qc_txn_new(struct qc_image *image, const struct qc_layer *backing,
	       const struct qc_txn_options *options, struct qc_txn **ret, struct qc_err *err);
void qc_txn_free(struct qc_txn *txn);

/*
 * Fails with QC_E_UNSUPPORTED if no bytes of ours can be among the guest's: they are encrypted, or lie
 * in a data file that is not there to be written to.
 */
int qc_txn_require_writable(const struct qc_txn *txn, struct qc_err *err);

/* Makes the L1 table in memory at least that long. */
int qc_txn_grow_l1(struct qc_txn *txn, uint64_t entries, struct qc_err *err);

/* Finds the free space and opens the refcounts, once. */
int qc_txn_need_space(struct qc_txn *txn, struct qc_err *err);

/* Gives out clusters and counts the first reference of each. */
int qc_txn_allocate(struct qc_txn *txn, uint64_t count, struct qc_host *ret, struct qc_err *err);

/*
 * Has what was loaded reach stable storage, once, before anything is written: what is free in it may
 * be in use there, if whoever wrote it did not wait (I1).
 */
int qc_txn_need_durable(struct qc_txn *txn, struct qc_err *err);

/* Gives a changed L2 table, or bitmap data, its place; a qc_stage_place. */
int qc_txn_place_table(void *context, struct qc_block *block, struct qc_err *err);

/*
 * Writes to clusters that are free in the committed state (I1), remembering what stood there. The
 * signature is qc_stage_write's; context is the transaction.
 */
int qc_txn_put(void *context, struct qc_host at, const void *bytes, size_t length,
	       struct qc_err *err);

/* Marks the transaction as good for nothing but abort if status is an error; returns it. */
int qc_txn_result(struct qc_txn *txn, int status);

/*
 * Puts back what the transaction wrote over, and the file's length. Nothing refers to what cannot be
 * put back: it is free space.
 */
int qc_txn_undo(struct qc_txn *txn, struct qc_err *err);
