// SPDX-License-Identifier: MIT
/*
 * A count for each cluster of a file: how often something refers to it, or what the image claims.
 *
 * Nearly all counts are 0 or 1, so a count is two bits; only stretches with a count above 2 get 16
 * bits a cluster, and only counts above 65534 an entry in a list. Stretches where all is zero take
 * no memory. One TiB of 64 KiB clusters is 4 MiB, and a word of 64 clusters is compared at once.
 *
 * What must stay true
 *  1. Memory is bounded by the number of clusters (which the file's length bounds), never by what
 *     tables claim, and by QC_COUNTS_BYTES_MAX altogether.
 *  2. Counts saturate at `max`, and what did not fit is told, never lost.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define QC_COUNTS_CHUNK 4096u /* clusters that share one allocation */
#define QC_COUNTS_WORDS (QC_COUNTS_CHUNK / 64)
#define QC_COUNTS_BYTES_MAX (UINT64_C(1) << 31)

/* 64 counts: bit i of low and high make the count of cluster i, where 3 stands for 3 or more. */
struct qc_counts_word {
	uint64_t low;
	uint64_t high;
};

struct qc_counts_chunk {
	struct qc_counts_word word[QC_COUNTS_WORDS];
	uint16_t *wide; /* exact counts, once one of them is above 2; 65535: see the list */
};

struct qc_counts_large {
	uint64_t cluster;
	uint64_t count;
};

struct qc_counts {
	uint64_t clusters;
	uint64_t max;
	uint64_t bytes; /* of memory, so far */
	struct qc_counts_chunk **chunks;
	struct qc_counts_large *large; /* open addressing; cluster UINT64_MAX is an empty place */
	size_t large_room;	       /* 0, or a power of two */
	size_t large_used;
};

/* References that were one too many for `max`: how many, and the first cluster that had one. */
struct qc_counts_excess {
	uint64_t references;
	uint64_t cluster;
};

/* All counts of clusters 0 .. clusters-1 are zero at first; max is at least 1. */
int qc_counts_init(struct qc_counts *counts, uint64_t clusters, uint64_t max, struct qc_err *err);
void qc_counts_clear(struct qc_counts *counts); /* harmless on a zeroed struct */

/* Adds `weight` to each of `count` counts from `first`; the range must be inside. */
int qc_counts_add(struct qc_counts *counts, uint64_t first, uint64_t count, uint64_t weight,
		  struct qc_counts_excess *ret, struct qc_err *err);

/* Memory for the counts of a chunk, all zero, which the caller puts into its place; NULL after raising. */
struct qc_counts_chunk *qc_counts_make_chunk(struct qc_counts *counts, struct qc_err *err);

/* Sets 64 counts at once: those of clusters 64 * word and up. A 3 means 3 or more. */
int qc_counts_set_word(struct qc_counts *counts, uint64_t word, struct qc_counts_word value,
		       struct qc_err *err);

/* The exact count, of counts made by qc_counts_add() only; 0 beyond the end. */
uint64_t qc_counts_get(const struct qc_counts *counts, uint64_t cluster);

/* The counts of clusters 64 * word and up; all zero beyond the end. */
static inline struct qc_counts_word qc_counts_word(const struct qc_counts *counts, uint64_t word)
{
	uint64_t chunk = word / QC_COUNTS_WORDS;

	if (word * 64 >= counts->clusters || !counts->chunks[chunk])
		return (struct qc_counts_word){0, 0};
	return counts->chunks[chunk]->word[word % QC_COUNTS_WORDS];
}

/* Whether all counts of the chunk that this word begins are zero, so that it can be skipped. */
static inline bool qc_counts_chunk_is_zero(const struct qc_counts *counts, uint64_t word)
{
	return word * 64 >= counts->clusters || !counts->chunks[word / QC_COUNTS_WORDS];
}
