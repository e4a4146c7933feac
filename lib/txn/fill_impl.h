// SPDX-License-Identifier: MIT
/* What fill.c, which finds gaps, fill_put.c, which fills them, fill_pack.c and fill_tables.c share. */
#pragma once

#include "base/bitset.h"
#include "codec/codec.h"
#include "format/l2_entry.h"
#include "io/write_behind.h"
#include "txn/fill.h"
#include "txn/forest_impl.h"

/*
 * An L2 table, and the L1 tables that share it: they refer to the same one (or none), and their disks
 * end at the same place of its span, so that what is right for one is right for all.
 */
struct qc_fill_tree {
	struct qc_host host; /* in the committed state; none: there is none */
	uint64_t end;	     /* guest bytes from the start of the span, at least 1 */
	uint64_t ways;	     /* L1 tables */
	bool active;	     /* the active one is among them */
};

/* The trees of one L1 index. */
struct qc_fill_group {
	uint64_t l1_index;
	struct qc_fill_tree *trees;
	size_t count;
	uint32_t *tree_of;	    /* of each root; QC_FILL_NO_TREE: its disk ends before */
	uint64_t shortest, longest; /* `end` of the trees */
};

#define QC_FILL_NO_TREE UINT32_MAX
#define QC_FILL_CODECS 16u /* threads that compress at a time, at most */

/* A guest cluster to be filled, in the trees whose disks reach `limit` bytes into it. */
struct qc_fill_hole {
	uint64_t index; /* in its L2 table */
	uint64_t limit; /* at most a cluster */
	uint32_t data, zero;
	const uint8_t *bytes;

	/* The cluster that trees without any data of their own share. */
	uint64_t ways;	/* that will lead to it, */
	uint64_t given; /* and do already */
	bool packable;	/* none of those trees has anything of it, so it can be compressed */
	struct qc_host host;
	uint8_t *packed;     /* the compressed bytes, until the next load; borrowed */
	size_t packed_bytes; /* 0: plain */
};

struct qc_fill {
	struct qc_forest *forest;
	struct qc_fill_group ahead, here; /* where gaps are looked for, and filled */
	struct qc_fill_member *members;	  /* room to sort the roots in */
	uint64_t disk_bytes;
	struct qc_bitset gaps; /* of the group ahead, by subcluster */
	uint64_t gap_at;
	bool ahead_known, here_open;
	uint64_t first_key; /* in the stage, of the trees here */
	struct qc_fill_hole *holes;
	size_t hole_count, hole_room;
	struct qc_write_behind behind;
	uint64_t more_bytes; /* at most, to be written after the load */
	/* Of compressing. */
	struct qc_codec *codecs[QC_FILL_CODECS]; /* NULL: not needed so far */
	uint8_t *packed;
	size_t packed_room; /* clusters */
};

void qc_fill_free(struct qc_fill *fill); /* NULL is fine */

/* Finds the trees of an L1 index. */
int qc_fill_find_group(struct qc_fill *fill, uint64_t l1_index, struct qc_fill_group *ret,
		       struct qc_err *err);

/* The entry number `index` of a table; QC_E_FORMAT if it makes no sense. */
int qc_fill_decode(const struct qc_fill *fill, uint64_t l1_index, const uint8_t *table,
		   uint64_t index, struct qc_l2_entry *ret, struct qc_err *err);

/* The shadow copy of the table of a tree here; in memory until the next call but one. */
int qc_fill_table(struct qc_fill *fill, size_t tree, struct qc_block **ret, struct qc_err *err);

/* Makes a tree's table the transaction's own, and drops the old one. */
int qc_fill_change(struct qc_fill *fill, const struct qc_fill_tree *tree, struct qc_block *block,
		   struct qc_err *err);

/* Entry number `index` of a tree's table no longer refers to that host cluster. */
int qc_fill_drop(struct qc_fill *fill, const struct qc_fill_tree *tree, uint64_t index,
		 struct qc_host host, struct qc_err *err);

/* What qc_fill_put() does where the clusters lie in a data file. */
int qc_fill_external(struct qc_txn *txn, uint64_t at, const uint8_t *bytes, size_t length,
		     const uint8_t *kinds, struct qc_err *err);

/*
 * Compresses holes from number `first` on, as many as there is room for, if compressing is wanted: those
 * that may be and that it makes smaller have packed_bytes then. They are to be placed before the next call.
 */
int qc_fill_pack(struct qc_fill *fill, size_t first, size_t *ret_end, struct qc_err *err);

/* Goes on to the trees of that L1 index, unless it is there. */
int qc_fill_open_group(struct qc_fill *fill, uint64_t l1_index, struct qc_err *err);
