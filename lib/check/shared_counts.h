// SPDX-License-Identifier: MIT
/*
 * Counts that several threads add to at once. A cluster's first reference, which for nearly all is the
 * only one, is one bit set atomically; what comes on top is put by, under a lock, and added when the
 * threads are done. So the sum does not depend on who came first.
 */
#pragma once

#include <pthread.h>

#include "check/refcounts.h"

struct qc_shared_counts {
	struct qc_counts *counts; /* borrowed; nobody else may touch them meanwhile */
	struct qc_counts again;	  /* under the lock */
	pthread_mutex_t lock;
	bool alone; /* only one thread adds, and need not be careful; the caller's to set */
};

int qc_shared_counts_init(struct qc_shared_counts *shared, struct qc_counts *counts,
			  struct qc_err *err);
void qc_shared_counts_clear(struct qc_shared_counts *shared);

/* Adds one to a count that is not 0 any more. For any thread. */
int qc_shared_counts_put_by(struct qc_shared_counts *shared, uint64_t cluster, struct qc_err *err);

/* Adds one to each of `count` counts from `first`, which must be inside. For any thread. */
int qc_shared_counts_add(struct qc_shared_counts *shared, uint64_t first, uint64_t count,
			 struct qc_err *err);

/* Sets a bit in a word that other threads may set bits in; returns whether it was set before. */
static inline bool qc_shared_counts_set_bit(const struct qc_shared_counts *shared, uint64_t *word,
					    uint64_t bit)
{
	uint64_t before;

	if (!shared->alone)
		return __atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit;
	before = *word;
	*word = before | bit;
	return before & bit;
}

/* The same for one cluster, fast where nothing is unusual. */
static inline int qc_shared_counts_add_one(struct qc_shared_counts *shared, uint64_t cluster,
					   struct qc_err *err)
{
	struct qc_counts_chunk *chunk =
		__atomic_load_n(&shared->counts->chunks[cluster / QC_COUNTS_CHUNK],
				__ATOMIC_ACQUIRE);
	const uint64_t bit = UINT64_C(1) << cluster % 64;
	struct qc_counts_word *word;

	if (!chunk || chunk->wide)
		return qc_shared_counts_add(shared, cluster, 1, err);
	word = &chunk->word[cluster % QC_COUNTS_CHUNK / 64];
	if ((word->high & bit) == 0 && !qc_shared_counts_set_bit(shared, &word->low, bit))
		return 0;
	return qc_shared_counts_put_by(shared, cluster, err);
}

/* Sets 64 counts that nobody else sets, as qc_counts_set_word() does. For any thread. */
int qc_shared_counts_set_word(struct qc_shared_counts *shared, uint64_t word,
			      struct qc_counts_word value, struct qc_err *err);

/* Calls take() for each cluster that has something put by, in their order. */
int qc_shared_counts_settle(struct qc_shared_counts *shared,
			    int (*take)(void *context, uint64_t cluster, uint64_t times,
					struct qc_err *err),
			    void *context, struct qc_err *err);
