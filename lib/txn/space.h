// SPDX-License-Identifier: MIT
/*
 * Which clusters of the file a transaction may write on.
 *
 * Free means: refcount 0 in the committed tables AND reached by no committed table (I3). The first
 * half is a scan of the refcount blocks. The second is a walk over every table there is: 8 bytes
 * read for a cluster. Neither needs a cluster's data. The walk also refuses images that use a
 * cluster of refcount 0, or one of refcount 1 twice: dropping one of those references would give a
 * cluster back that is still in use.
 *
 * Clusters are given out first-fit, lowest first, so that the same edit of the same image always
 * gives the same bytes. What is given back during a transaction is not given out again before the
 * next one (I2 without exceptions).
 *
 * Memory: three bits for each cluster below the end of the used ones, and two more during the walk.
 * Where those are more than QC_SPACE_CLUSTERS_MAX no cluster below that end is reused, and no memory
 * is needed. Then only clusters of refcount 0 are refused, not those that are used more often than
 * their refcount says; so what a commit frees there is not given back to the file system either.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bitset.h"
#include "base/err.h"
#include "image/image.h"

#define QC_SPACE_CLUSTERS_MAX (UINT64_C(1) << 26)

enum qc_space_proof {
	QC_SPACE_PROVE, /* refuse an image whose references and refcounts contradict each other */
	QC_SPACE_TRUST, /* believe the refcounts: no walk */
	QC_SPACE_UNION, /* what either of them says is used, broken entries included (walk.h) */
};

struct qc_space {
	const struct qc_geometry *geometry;
	struct qc_bitset used;	 /* below end: committed or given out; empty if that is too much */
	struct qc_bitset tables; /* below end: held a table that this transaction replaced */
	struct qc_bitset given;	 /* below end: given out by this transaction */
	uint64_t end;		 /* one past the highest cluster that the committed state uses */
	uint64_t next;		 /* everything above `end` and below this was given out */
	uint64_t low;		 /* no cluster below this one is free */
	uint64_t limit;		 /* clusters at or above this one cannot exist */
	bool on_device;		 /* which cannot grow */

	/* During the walk only. */
	struct qc_bitset shared; /* refcount above 1 */
	struct qc_bitset seen;	 /* referred to already */
	enum qc_space_proof proof;
	uint64_t file_clusters; /* in the file as it was */
	const volatile sig_atomic_t *stop;
};

/*
 * Finds the free space of a committed image. Tables that make no sense are QC_E_FORMAT, as are the
 * contradictions named above. `stop` (may be NULL): QC_E_INTERRUPTED once it is not 0.
 */
int qc_space_init(struct qc_space *space, struct qc_image *image, enum qc_space_proof proof,
		  const volatile sig_atomic_t *stop, struct qc_err *err);
void qc_space_clear(struct qc_space *space); /* harmless on a zeroed struct */

/*
 * Gives out `count` consecutive clusters. QC_E_NO_SPACE if there cannot be that many.
 */
int qc_space_take(struct qc_space *space, uint64_t count, uint64_t *ret_first, struct qc_err *err);

/*
 * Says that committed clusters held a table that is replaced. They are not worth punching when they
 * become free: the next transaction's tables go there.
 */
void qc_space_note_tables(struct qc_space *space, uint64_t first, uint64_t count);

/* Whether a refcount that becomes 0 means that nobody uses the cluster; or is trusted to mean that. */
bool qc_space_is_proven(const struct qc_space *space);

/* Whether a cluster is free in the committed state and not given out. */
bool qc_space_is_free(const struct qc_space *space, uint64_t cluster);

/*
 * How many clusters from `first` on, at most `most` (at least 1), are all free in that sense, or all are
 * not; *ret_free tells which. Takes no longer for many than for few of a kind.
 */
uint64_t qc_space_count_alike(const struct qc_space *space, uint64_t first, uint64_t most,
			      bool *ret_free);

/* Whether a cluster was given out by this transaction, hence is its own to write on. */
bool qc_space_is_given(const struct qc_space *space, uint64_t cluster);
