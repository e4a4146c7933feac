// SPDX-License-Identifier: MIT
/*
 * The referee: walks all that an image refers to, counts it, and compares the counts with those that
 * the image stores. Its counters and verdicts are those of `qemu-img check` of QEMU 7.2; where they
 * are not, docs/CHECKS-DIFFERENCES.md says why.
 *
 * What must stay true
 *  1. Nothing here uses the mapper of layer image or anything of layer txn: what those believe about
 *     an image must not decide whether it is found sound.
 *  2. Only the one file is read; nothing in it makes us open another.
 *  3. Memory and time are bounded by the file's length and by the bytes it really holds: a table that
 *     many others share is read once, and what is a hole is not read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "base/progress.h"
#include "format/finding.h"
#include "io/file.h"

/* What a cluster of the file is for. */
enum qc_claim_kind {
	QC_CLAIM_HEADER, /* and the header of an encrypted image */
	QC_CLAIM_REFCOUNTS,
	QC_CLAIM_L1,
	QC_CLAIM_L2,
	QC_CLAIM_DATA,
	QC_CLAIM_COMPRESSED,
	QC_CLAIM_ZERO,	    /* set aside for a guest cluster that reads as zeroes */
	QC_CLAIM_SNAPSHOTS, /* of any kind, but not for the active state */
	QC_CLAIM_BITMAPS,
};

/* Clusters first .. end-1 of the file, which something refers to; guest clusters from `guest` on. */
struct qc_claim {
	enum qc_claim_kind kind;
	uint64_t first, end;
	bool has_guest;
	struct qc_guest guest;
};

struct qc_check_options {
	uint64_t findings_max; /* how many are passed on; the rest is counted. 0: a default */

	/*
	 * An id or a name: the check is about that snapshot. The numbers of clusters are its own; of
	 * the corruptions only those count that lie in its tables, in clusters that it refers to, or
	 * in what the whole image stands on; leaks and COPIED flags are none of its business. NULL:
	 * the check is about everything.
	 */
	const char *snapshot;

	bool deep;	   /* decompress every compressed cluster, too */
	unsigned int jobs; /* threads; 0: one for each core */

	/*
	 * For repairs; may be NULL. Called for each cluster whose stored count differs from the
	 * references that were found, or is in a block that cannot be read (`stored` is 0 then).
	 */
	int (*mismatch)(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			struct qc_err *err);
	void *context;

	/*
	 * For pictures; may be NULL. Called for each run of references that is counted, by the thread that
	 * called qc_check_run(), as L2 tables are then not shared out to several. A cluster may be claimed
	 * any number of times and in any order, and one past the end of the file, too: bound what you do
	 * by the file. What nothing claims and has a refcount comes to `mismatch`.
	 */
	void (*claimed)(void *context, const struct qc_claim *claim);
	void *claims;

	/* Bytes of L2 tables, then compressed clusters; NULL: nobody wants to know. */
	struct qc_progress *progress;

	/* For repairs: nothing of the refcount structures is believed, as if there were none. */
	bool without_refcounts;

	/*
	 * For repairs: entries without data, whose cluster is not aligned, refer to nothing, as the
	 * repair clears them. Those of the active state; snapshots' only with the next one.
	 */
	bool without_idle;

	/*
	 * For repairs that clear such entries of snapshots, too; may be NULL. Called for L2 tables of
	 * snapshots that have some, for each at least once, by the thread that called qc_check_run().
	 */
	int (*idle_table)(void *context, struct qc_host table, struct qc_err *err);
};

struct qc_check_result {
	uint64_t check_errors; /* parts that could not be checked */
	uint64_t corruptions;
	uint64_t leaks;
	uint64_t lasting;	   /* of the corruptions, those that no repair puts right */
	uint64_t idle_elsewhere;   /* and those that go if entries of idle_table are cleared */
	uint64_t flags_wrong;	   /* of the corruptions, COPIED flags */
	bool refcounts_broken;	   /* their tables and blocks, which a repair has to make anew */
	uint64_t image_end_offset; /* where the last cluster with a count or a reference ends */
	uint64_t total_clusters;   /* of the guest's disk */
	uint64_t
		allocated_clusters; /* this and those below: of the active state, or the snapshot */
	uint64_t fragmented_clusters;
	uint64_t compressed_clusters;
	uint64_t findings;	   /* passed on to the sink */
	uint64_t findings_omitted; /* beyond findings_max */
	/*
	 * False if the walk could not be done or finished: the counters say what was seen until
	 * then, check_errors is not 0, and the last finding of severity corruption says why.
	 */
	bool completed;
};

/* All was looked at, and nothing is wrong, nor does anything leak. */
static inline bool qc_check_is_sound(const struct qc_check_result *result)
{
	return result->completed && result->corruptions == 0 && result->leaks == 0
	       && result->check_errors == 0;
}

/*
 * Checks the image in `file`; findings go to `sink` as they come up. Fails, with *ret untouched,
 * for what is no qcow2 image at all, for a snapshot that is not there, for errors of the storage and for lack of memory.
 */
int qc_check_run(struct qc_file *file, const struct qc_check_options *options,
		 const struct qc_finding_sink *sink, struct qc_check_result *ret,
		 struct qc_err *err);
