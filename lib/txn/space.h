// SPDX-License-Identifier: MIT
/*
 * Which clusters of the file a transaction may write on.
 *
 * Free means: refcount 0 in the committed tables AND reached by no committed table (I3). The first
 * half is a scan of the refcount blocks. The second is a walk over every table there is: 8 bytes
 * read for a cluster, each L2 table once however many L1 entries point to it. Neither needs a
 * cluster's data.
 *
 * Clusters are given out first-fit, lowest first, so that the same edit of the same image always
 * gives the same bytes. What is given back during a transaction is not given out again before the
 * next one (I2 without exceptions).
 *
 * Memory: two bits for each cluster below the end of the used ones. Where those are more than
 * QC_SPACE_CLUSTERS_MAX no cluster below that end is reused, and no memory is needed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bitset.h"
#include "base/err.h"
#include "image/image.h"

#define QC_SPACE_CLUSTERS_MAX (UINT64_C(1) << 27)

struct qc_space {
	const struct qc_geometry *geometry;
	struct qc_bitset used;	/* below end: committed or given out; empty if that is too much */
	struct qc_bitset given; /* below end: given out by this transaction */
	uint64_t end;		/* one past the highest cluster that the committed state uses */
	uint64_t next;		/* everything above `end` and below this was given out */
	uint64_t low;		/* no cluster below this one is free */
	uint64_t limit;		/* clusters at or above this one cannot exist */
};

/*
 * Finds the free space of a committed image. With trust_refcounts the walk is skipped. An image
 * whose tables make no sense, or that uses a cluster of refcount 0, is refused with QC_E_FORMAT.
 */
int qc_space_init(struct qc_space *space, struct qc_image *image, bool trust_refcounts,
		  struct qc_err *err);
void qc_space_clear(struct qc_space *space); /* harmless on a zeroed struct */

/*
 * Gives out `count` consecutive clusters. QC_E_NO_SPACE if there cannot be that many.
 */
int qc_space_take(struct qc_space *space, uint64_t count, uint64_t *ret_first, struct qc_err *err);

/* Whether a cluster is free in the committed state and not given out. */
bool qc_space_is_free(const struct qc_space *space, uint64_t cluster);

/* Whether a cluster was given out by this transaction, hence is its own to write on. */
bool qc_space_is_given(const struct qc_space *space, uint64_t cluster);
