// SPDX-License-Identifier: MIT
/*
 * The refcounts of the state to come. Changes are made in shadow copies of refcount blocks; in the
 * end the copies, and the new refcount table that finds them, need clusters themselves, whose
 * counts lie in blocks that may have to be copied for it. qc_refs_settle() goes round until that
 * comes to rest:
 *
 *	a block is copied at most once, and each round that is not the last copies at least one, or
 *	makes the table longer; neither can go on for ever.
 *
 * Blocks that did not exist are made when a count in them is first needed, and the table grows with
 * them. Counts cannot pass either end of their width: taking from 0 says that the image is damaged,
 * adding to the largest is QC_E_NO_SPACE. Specification, "Host cluster management".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"
#include "txn/space.h"
#include "txn/stage_map.h"

struct qc_refs_change {
	uint64_t first, count;
	bool add; /* else drop */
};

struct qc_refs {
	const struct qc_geometry *geometry;
	struct qc_file *file;
	struct qc_space *space;
	struct qc_stage blocks; /* by index in the refcount table */
	uint64_t *table;	/* the committed table, host byte order */
	bool anew;		/* what is committed is taken for nothing */
	uint64_t believed;	/* no committed count of a cluster at or above this is believed */
	uint64_t table_entries;
	struct qc_host old_table, new_table; /* new_table none: nothing changed */
	uint64_t old_table_clusters, new_table_clusters;
	uint64_t new_table_digest;
	struct qc_refs_change *pending; /* counts that follow from giving places to blocks */
	size_t pending_count, pending_room;
};

/* write and context are how staged blocks reach the file; everything else is borrowed. */
int qc_refs_init(struct qc_refs *refs, struct qc_image *image, struct qc_space *space,
		 size_t blocks_in_memory, qc_stage_write *write, void *context, struct qc_err *err);
void qc_refs_clear(struct qc_refs *refs); /* harmless on a zeroed struct */

/* Adds a reference to each of `count` clusters. */
int qc_refs_add(struct qc_refs *refs, uint64_t first, uint64_t count, struct qc_err *err);

/* Drops a reference from each. *ret_freed (may be NULL) grows by those that have none left. */
int qc_refs_drop(struct qc_refs *refs, uint64_t first, uint64_t count, uint64_t *ret_freed,
		 struct qc_err *err);

/* Drops a reference from each of the clusters of a committed table that is replaced or goes. */
int qc_refs_drop_table(struct qc_refs *refs, struct qc_host table, uint64_t bytes,
		       struct qc_err *err);

/* For repairs: makes the count of a cluster what it should be. QC_E_NO_SPACE if that does not fit. */
int qc_refs_set(struct qc_refs *refs, uint64_t cluster, uint64_t count, struct qc_err *err);

/*
 * For repairs, before anything else: counts of clusters from `end` on say nothing and become 0. With
 * `anew`, no count says anything, and neither the table nor its blocks are there to be given back.
 */
void qc_refs_distrust(struct qc_refs *refs, uint64_t end, bool anew);

/* The count of a cluster in the state to come. */
int qc_refs_get(struct qc_refs *refs, uint64_t cluster, uint64_t *ret, struct qc_err *err);

/*
 * The counts of block number `index` (cluster / refcounts_per_block) in the state to come; borrowed
 * until the next call on `refs`.
 */
int qc_refs_view(struct qc_refs *refs, uint64_t index, const uint8_t **ret, struct qc_err *err);

/* Gives every changed block, and the table, its place. After this nothing may be added or dropped. */
int qc_refs_settle(struct qc_refs *refs, struct qc_err *err);

/* Writes blocks and table to their places; after qc_refs_settle(). */
int qc_refs_flush(struct qc_refs *refs, qc_stage_write *write, void *context, struct qc_err *err);

/* One past the highest cluster below `from` that has references in the state to come. */
int qc_refs_end(struct qc_refs *refs, uint64_t from, uint64_t *ret, struct qc_err *err);
