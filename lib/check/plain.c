// SPDX-License-Identifier: MIT
/*
 * L2 tables of which there is nothing to say: used by the active state once, all entries empty or plain
 * clusters inside the file with a stored refcount of 1 and the COPIED flag. That is what nearly all
 * tables of nearly all images are, so they are read and counted by several threads. Whatever is any
 * different is left, untouched, to the walk in order.
 *
 * What must stay true: which tables are taken depends on their contents alone, and what is counted is
 * a sum, so that no result depends on the number of threads.
 */
#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/crew.h"
#include "check/check_impl.h"
#include "check/pieces.h"
#include "check/shared_counts.h"
#include "format/l2_entry.h"

#define JOB_BYTES (UINT64_C(1) << 20) /* of tables, that are worth a thread */
#define TAKE_AT_ONCE 4u
#define AHEAD                                                                                      \
	16u /* runs; where clusters are scattered, each is a cache line that has to come first */

struct plain {
	struct qc_check *check;
	struct qc_check_l2 *tables;
	struct qc_shared_counts references;
	uint64_t file_clusters;
	_Atomic uint64_t allocated, fragmented;
};

/* Clusters that follow each other on the disk and in the file. */
struct run {
	uint32_t cluster, count; /* a file has fewer than 2^31 */
};

/* What a thread works with. */
struct desk {
	uint8_t *table;
	struct run *runs; /* of the table; room for one an entry */
	uint64_t count;
	struct qc_check_extent extent;
};

static inline bool is_counted_once(const struct qc_counts *shown, uint64_t cluster)
{
	struct qc_counts_word word = qc_counts_word(shown, cluster / 64);

	return (word.low & ~word.high) >> cluster % 64 & 1;
}

/* Whether the stored count of all these clusters is 1. */
static bool all_counted_once(const struct qc_counts *shown, struct run run)
{
	if (run.count == 1)
		return is_counted_once(shown, run.cluster);
	for (uint64_t done = 0, part; done < run.count; done += part) {
		uint64_t at = (run.cluster + done) % 64;
		struct qc_counts_word word = qc_counts_word(shown, (run.cluster + done) / 64);
		uint64_t other = ~(word.low & ~word.high) >> at;

		part = qc_min(run.count - done, 64 - at);
		if (part < 64)
			other &= (UINT64_C(1) << part) - 1;
		if (other)
			return false;
	}
	return true;
}

/* Makes out the runs of the table. False if there is anything else in it. */
static bool find_runs(const struct plain *plain, struct desk *desk)
{
	const struct qc_geometry *g = &plain->check->geometry;

	desk->count = 0;
	for (uint64_t at = 0; at < g->l2_entries;) {
		uint64_t entry = qc_load_be64(desk->table + at * sizeof(uint64_t));
		uint64_t cluster = (entry & QC_L2_OFFSET_MASK) >> g->cluster_bits;
		uint64_t count;

		if (entry == 0) {
			at = qc_l2_skip_empty(desk->table, at, g->l2_entries);
			continue;
		}
		count = qc_l2_run_length(g, desk->table, at);
		if ((entry & QC_L2_COPIED) == 0 || count == 0
		    || !qc_range_fits(cluster, count, plain->file_clusters))
			return false;
		desk->runs[desk->count++] = (struct run){(uint32_t)cluster, (uint32_t)count};
		at += count;
	}
	return true;
}

/* Has the counts of a run that is soon to come brought near. */
static void bring(const struct qc_counts *counts, const struct desk *desk, uint64_t index)
{
	const struct qc_counts_chunk *chunk;
	uint64_t cluster;

	if (index + AHEAD >= desk->count)
		return;
	cluster = desk->runs[index + AHEAD].cluster;
	chunk = counts->chunks[cluster / QC_COUNTS_CHUNK];
	if (chunk)
		__builtin_prefetch(&chunk->word[cluster % QC_COUNTS_CHUNK / 64], 1);
}

static bool is_plain(const struct plain *plain, struct desk *desk)
{
	const struct qc_counts *shown = &plain->check->stored.shown;

	if (!find_runs(plain, desk))
		return false;
	for (uint64_t i = 0; i < desk->count; i++) {
		bring(shown, desk, i);
		if (!all_counted_once(shown, desk->runs[i]))
			return false;
	}
	return true;
}

static int count_table(struct plain *plain, const struct desk *desk, struct qc_err *err)
{
	uint64_t allocated = 0, fragmented = 0, contiguous = 0;
	int status = 0;

	for (uint64_t i = 0; i < desk->count && status == 0; i++) {
		const struct run run = desk->runs[i];

		bring(plain->references.counts, desk, i);
		allocated += run.count;
		fragmented += contiguous != 0 && contiguous != run.cluster;
		contiguous = (uint64_t)run.cluster + run.count;
		status = run.count == 1
				 ? qc_shared_counts_add_one(&plain->references, run.cluster, err)
				 : qc_shared_counts_add(&plain->references, run.cluster, run.count,
							err);
	}
	plain->allocated += allocated;
	plain->fragmented += fragmented;
	return status;
}

static int take_table(struct plain *plain, struct qc_check_l2 *l2, struct desk *desk,
		      struct qc_err *err)
{
	struct qc_check *check = plain->check;
	bool zero;
	int status;

	if (l2->weight != 1 || l2->copied_weight != 1)
		return 0;
	status = qc_check_read_by(check->file, &desk->extent, l2->offset, desk->table,
				  (size_t)check->geometry.cluster_bytes, &zero, err);
	if (status < 0)
		return status;
	l2->counted = zero || is_plain(plain, desk);
	return zero || !l2->counted ? 0 : count_table(plain, desk, err);
}

static int work(struct qc_pieces *pieces, struct qc_err *err)
{
	struct plain *plain = pieces->context;
	const struct qc_geometry *g = &plain->check->geometry;
	struct desk desk = {
		.table = malloc((size_t)g->cluster_bytes),
		.runs = malloc((size_t)g->l2_entries * sizeof(struct run)),
	};
	struct qc_progress *progress = plain->check->options->progress;
	size_t first, count;
	int status = desk.table && desk.runs ? 0 : qc_fail_memory(err);

	while (status == 0 && (count = qc_pieces_take(pieces, TAKE_AT_ONCE, &first)) > 0)
		for (size_t i = first; status == 0 && i < first + count; i++) {
			status = take_table(plain, &plain->tables[i], &desk, err);
			qc_progress_step(progress, (uint64_t)i << g->cluster_bits,
					 (uint64_t)pieces->count << g->cluster_bits);
		}
	free(desk.runs);
	free(desk.table);
	return status;
}

static int take_again(void *context, uint64_t cluster, uint64_t times, struct qc_err *err)
{
	return qc_check_count_clusters(context, cluster, cluster + 1, times, &qc_check_nowhere,
				       err);
}

int qc_check_plain_tables(struct qc_check *check, struct qc_check_l2 *tables, uint64_t count,
			  struct qc_err *err)
{
	const struct qc_geometry *g = &check->geometry;
	uint64_t bytes = count << g->cluster_bits;
	struct plain plain = {
		.check = check,
		.tables = tables,
		.file_clusters = qc_clusters_for(g, check->file->bytes),
	};
	struct qc_pieces pieces = {.count = (size_t)count, .work = work, .context = &plain};
	int status;

	if (bytes < 2 * JOB_BYTES || check->options->claimed || check->subject || g->extended_l2
	    || g->external_data || check->stored.unreadable)
		return 0;
	status = qc_shared_counts_init(&plain.references, &check->references, err);
	plain.references.alone = qc_crew_size(check->options->jobs) == 1;
	if (status == 0)
		status = qc_pieces_run(&pieces, check->options->jobs, (size_t)(bytes / JOB_BYTES),
				       err);
	if (status == 0)
		status = qc_shared_counts_settle(&plain.references, take_again, check, err);
	qc_shared_counts_clear(&plain.references);
	check->result.allocated_clusters += plain.allocated;
	check->result.fragmented_clusters += plain.fragmented;
	return status;
}
