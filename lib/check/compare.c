// SPDX-License-Identifier: MIT
/* The counts that the walk found, against those that the image stores: 64 clusters at a time. */
#include <inttypes.h>

#include "base/checked.h"
#include "check/check_impl.h"

static int tell(struct qc_check *check, uint64_t cluster, uint64_t stored, uint64_t found,
		struct qc_err *err)
{
	const struct qc_check_options *options = check->options;

	if (!options->mismatch || stored == found)
		return 0;
	return options->mismatch(options->context, cluster, stored, found, err);
}

/* What is counted too often harms no snapshot; nor does a count of what it does not refer to. */
static bool is_apart(const struct qc_check *check, uint64_t cluster, uint64_t stored,
		     uint64_t found)
{
	return stored > found || qc_counts_get(&check->reached, cluster) == 0;
}

static int compare_one(struct qc_check *check, uint64_t cluster, struct qc_err *err)
{
	uint64_t found = qc_counts_get(&check->references, cluster);
	struct qc_host host = qc_host_of_cluster(&check->geometry, cluster);
	uint64_t stored;
	bool known;
	int status;

	status = qc_stored_get(check, cluster, &known, &stored, err);
	if (status < 0 || (check->subject && is_apart(check, cluster, stored, found)))
		return status;
	if (stored < found)
		qc_check_report(check, QC_FINDING_REFCOUNT_TOO_LOW, 1, host, &qc_check_nowhere,
				"cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
				cluster, stored, found);
	else if (stored > found)
		qc_check_report(check, QC_FINDING_CLUSTER_LEAKED, 1, host, &qc_check_nowhere,
				"cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
				cluster, stored, found);
	return tell(check, cluster, stored, found, err);
}

/* Those of 64 clusters whose counts differ, or are too large to tell from two bits. */
static uint64_t in_doubt(struct qc_counts_word stored, struct qc_counts_word found)
{
	return (stored.low ^ found.low) | (stored.high ^ found.high) | (stored.low & stored.high);
}

static int compare_word(struct qc_check *check, uint64_t word, uint64_t *end, struct qc_err *err)
{
	struct qc_counts_word stored = qc_counts_word(&check->stored.shown, word);
	struct qc_counts_word found = qc_counts_word(&check->references, word);
	/* A count that is stored for a cluster past the end of the file says nothing. */
	uint64_t left = check->clusters - word * 64;
	uint64_t mask = left < 64 ? (UINT64_C(1) << left) - 1 : ~UINT64_C(0);
	uint64_t used = (stored.low | stored.high | found.low | found.high) & mask;
	uint64_t doubt = in_doubt(stored, found) & mask;
	int status = 0;

	if (used)
		*end = word * 64 + 64 - (uint64_t)__builtin_clzll(used);
	for (; doubt && status == 0; doubt &= doubt - 1)
		status = compare_one(check, word * 64 + (uint64_t)__builtin_ctzll(doubt), err);
	return status;
}

/* Compares clusters first .. end-1, of one refcount block. */
static int compare_block(struct qc_check *check, uint64_t first, uint64_t end, uint64_t *used_end,
			 struct qc_err *err)
{
	uint64_t word = first / 64;
	int status = 0;

	while (word * 64 < end && status == 0) {
		if (qc_counts_chunk_is_zero(&check->stored.shown, word)
		    && qc_counts_chunk_is_zero(&check->references, word))
			word = qc_align_up(word + 1, QC_COUNTS_WORDS);
		else
			status = compare_word(check, word++, used_end, err);
	}
	return status;
}

/* All clusters of a block that cannot be read. */
static int tell_block(struct qc_check *check, uint64_t first, uint64_t end, struct qc_err *err)
{
	int status = 0;

	for (uint64_t cluster = first; cluster < end && status == 0; cluster++)
		status = tell(check, cluster, 0, qc_counts_get(&check->references, cluster), err);
	return status;
}

int qc_check_compare(struct qc_check *check, struct qc_err *err)
{
	uint64_t per_block = check->geometry.refcounts_per_block;
	uint64_t used_end = 1; /* the header's cluster, whatever it counts */
	int status = 0;

	for (uint64_t first = 0; first < check->clusters && status == 0; first += per_block) {
		uint64_t end = qc_min(first + per_block, check->clusters);

		if (check->stored.unreadable && !qc_stored_is_readable(check, first)) {
			qc_check_unable(check, QC_FINDING_REFCOUNT_BLOCK_UNREADABLE, end - first,
					qc_host_of_cluster(&check->geometry, first),
					"can't get refcounts for %" PRIu64
					" clusters from cluster %" PRIu64
					": their block is at an impossible place",
					end - first, first);
			status = tell_block(check, first, end, err);
		} else {
			status = compare_block(check, first, end, &used_end, err);
		}
	}
	check->result.image_end_offset = used_end << check->geometry.cluster_bits;
	return status;
}
