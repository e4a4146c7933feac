// SPDX-License-Identifier: MIT
/*
 * All trees of an image at once, for the edits that go through all of them: forest.c expands
 * compressed clusters, fill.c fills gaps, forest_idle.c repairs. Here is what these and
 * forest_settle.c, which commits, share.
 */
#pragma once

#include "format/limits.h"
#include "txn/forest.h"
#include "txn/stage_map.h"

/* More than there can be L1 tables, so that one guest cluster's entries fit. */
#define QC_FOREST_ITEMS_MAX ((size_t)1 << 17)
_Static_assert(QC_FOREST_ITEMS_MAX > QC_SNAPSHOTS_MAX, "one guest cluster's entries must fit");

/* An L2 table that one L1 entry, or the same entry of several L1 tables, refers to. */
struct qc_forest_tree {
	struct qc_host host;
	uint64_t l1_index;
	uint64_t ways;	/* the L1 tables that refer to it */
	uint32_t owner; /* the first of them: 0 the active one, else a snapshot's, from 1 */
};

/* An entry that refers to compressed data. */
struct qc_forest_item {
	uint64_t host;
	uint64_t guest; /* in clusters */
	uint32_t bytes;
	uint32_t tree;
	uint32_t extent;
};

/* An extent that is plain already. */
struct qc_forest_shared {
	uint64_t host;
	struct qc_host cluster; /* none: zeroes */
	uint64_t table;		/* of the only entry that refers to it, and where it is there */
	uint32_t index;
	uint32_t bytes; /* 0: an empty slot */
	bool lone;	/* that entry is the only one, and flagged COPIED */
};

/* One L1 table. */
struct qc_forest_root {
	uint64_t *l1; /* the active one's is the image's, borrowed */
	uint64_t entries;
	uint64_t disk_bytes;
	bool changed;
	size_t staged; /* its number in txn->tables */
};

struct qc_forest_length {
	uint64_t entries;
	uint32_t root;
};

struct qc_forest {
	struct qc_txn *txn;
	struct qc_stage tables; /* L2 tables that change; by qc_forest_table_key() in forest.c */
	struct qc_fill *fill;	/* NULL unless that is at work */
	bool settled;		/* they have their places, and the L1 entries lead there */
	struct qc_forest_root *roots;
	size_t root_count;		  /* the active one comes first */
	struct qc_forest_length *lengths; /* of the L1 tables, the longest first */
	uint64_t at, end;		  /* guest clusters */
	uint64_t left;			  /* extents that may still come up */
	struct qc_forest_tree *group;	  /* those of one L1 index; root_count of them */
	size_t group_count;

	/* What came up last. */
	struct qc_forest_tree *trees;
	struct qc_forest_item *items;
	struct qc_forest_extent *extents;
	size_t tree_count, item_count, extent_count;
	size_t fresh_count; /* extents to be expanded; those behind them are plain already */
	size_t items_max;   /* entries that are looked at together */

	struct qc_forest_shared *shared; /* NULL: none so far */
	size_t shared_count;
};

/*
 * A table that serves several parts of the disk becomes one for each, so the part belongs to the key.
 * The host cluster is below 2^QC_FOREST_KEY_BITS, which qc_forest_next() sees to.
 */
#define QC_FOREST_KEY_BITS 42

uint64_t qc_forest_table_key(const struct qc_forest *forest, const struct qc_forest_tree *tree);

/* Gives the transaction its forest: L1 tables, the snapshots' only where asked for, and a stage. */
int qc_forest_plant(struct qc_txn *txn, bool with_snapshots, struct qc_err *err);
void qc_forest_free(struct qc_forest *forest); /* NULL is fine */

/* --- forest_find.c --- */

/* Fills the lists with what comes next; nothing in them: the end. */
int qc_forest_find(struct qc_forest *forest, struct qc_err *err);

/* --- forest_shared.c --- */

struct qc_forest_shared *qc_forest_shared_find(const struct qc_forest *forest, uint64_t host,
					       uint32_t bytes);

/* Remembers those of the extents that came up last to which something may still refer. */
int qc_forest_shared_remember(struct qc_forest *forest, struct qc_err *err);

/* Counts the references of one that was remembered, and has come up again. */
int qc_forest_shared_join(struct qc_forest *forest, const struct qc_forest_extent *extent,
			  struct qc_err *err);

/* --- forest_idle.c; for repair.c, which says what they do --- */

bool qc_forest_can_clear_idle(const struct qc_txn *txn);
int qc_forest_clear_idle(struct qc_txn *txn, const struct qc_host *tables, size_t count,
			 struct qc_err *err);

/* --- forest_settle.c --- */

/* Commit: new places for the tables that changed, and L1 tables that refer to them. */
int qc_forest_settle(struct qc_forest *forest, struct qc_err *err);

/* Commit: writes the tables but for the active L1 table. */
int qc_forest_write(struct qc_forest *forest, struct qc_err *err);
