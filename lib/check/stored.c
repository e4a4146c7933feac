// SPDX-License-Identifier: MIT
/*
 * The refcounts that an image stores. They are read once, cut at 3 and kept as two bits each, so
 * that the walk can check COPIED flags and the end can compare without reading blocks again; an
 * exact count above 2 is read from its block when it is needed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "check/check_impl.h"
#include "check/pieces.h"
#include "check/shared_counts.h"
#include "format/refcount_entry.h"

#define NO_BLOCK UINT64_MAX
#define JOB_BYTES (UINT64_C(1) << 20) /* of blocks, that are worth a thread */
#define TAKE_AT_ONCE 4u

static uint64_t block_offset(const struct qc_stored *stored, uint64_t index)
{
	return index < stored->entries ? stored->table[index] & QC_REFCOUNT_TABLE_OFFSET_MASK : 0;
}

static bool is_readable(const struct qc_check *check, uint64_t index)
{
	const struct qc_geometry *g = &check->geometry;
	uint64_t offset = block_offset(&check->stored, index);

	return qc_is_aligned(offset, g->cluster_bytes)
	       && offset <= QC_CHECK_READABLE_END - g->cluster_bytes;
}

bool qc_stored_is_readable(const struct qc_check *check, uint64_t cluster)
{
	return is_readable(check, cluster / check->geometry.refcounts_per_block);
}

/* Makes the block of that index the current one. */
static int read_block(struct qc_check *check, uint64_t index, struct qc_err *err)
{
	struct qc_stored *stored = &check->stored;
	size_t bytes = (size_t)check->geometry.cluster_bytes;
	bool zero;
	int status;

	if (stored->block_index == index)
		return 0;
	stored->block_index = NO_BLOCK;
	status =
		qc_check_read(check, block_offset(stored, index), stored->block, bytes, &zero, err);
	if (status < 0)
		return status;
	if (zero)
		memset(stored->block, 0, bytes);
	stored->block_index = index;
	return 0;
}

int qc_stored_get(struct qc_check *check, uint64_t cluster, bool *ret_known, uint64_t *ret,
		  struct qc_err *err)
{
	const struct qc_geometry *g = &check->geometry;
	uint64_t index = cluster / g->refcounts_per_block;
	int status;

	*ret = 0;
	*ret_known = is_readable(check, index);
	if (!*ret_known || block_offset(&check->stored, index) == 0)
		return 0;
	status = read_block(check, index, err);
	if (status < 0)
		return status;
	*ret = qc_refcount_get(g, check->stored.block, cluster % g->refcounts_per_block);
	return 0;
}

/* What the threads that load blocks share. */
struct loading {
	struct qc_check *check;
	struct qc_shared_counts shown;
	uint8_t all_ones[8 << QC_REFCOUNT_ORDER_MAX]; /* 64 counts */
};

/* The 64 counts from `index` of a block, none of them all zero or all one. */
static struct qc_counts_word mixed_word(const struct qc_geometry *g, const uint8_t *block,
					uint64_t index)
{
	struct qc_counts_word word = {0, 0};

	for (unsigned int i = 0; i < 64; i++) {
		uint64_t count = qc_min(3, qc_refcount_get(g, block, index + i));

		word.low |= (count & 1) << i;
		word.high |= (count >> 1) << i;
	}
	return word;
}

/* Takes over the counts of clusters first .. end-1 from their block, which begins at first. */
static int take_block(struct loading *loading, uint64_t first, uint64_t end, const uint8_t *block,
		      struct qc_err *err)
{
	static const uint8_t all_zero[8 << QC_REFCOUNT_ORDER_MAX];
	const struct qc_geometry *g = &loading->check->geometry;
	size_t bytes = (size_t)8 << g->refcount_order; /* of 64 counts */
	int status = 0;

	for (uint64_t at = first; at < end && status == 0; at += 64) {
		const uint8_t *counts = block + (at - first) / 64 * bytes;
		struct qc_counts_word word = {~UINT64_C(0), 0};

		if (memcmp(counts, all_zero, bytes) == 0)
			continue;
		if (memcmp(counts, loading->all_ones, bytes) != 0)
			word = mixed_word(g, block, at - first);
		if (end - at < 64) {
			word.low &= (UINT64_C(1) << (end - at)) - 1;
			word.high &= (UINT64_C(1) << (end - at)) - 1;
		}
		status = qc_shared_counts_set_word(&loading->shown, at / 64, word, err);
	}
	return status;
}

static int load_table(struct qc_check *check, struct qc_err *err)
{
	struct qc_stored *stored = &check->stored;
	size_t bytes = (size_t)check->header.refcount_table_clusters
		       << check->geometry.cluster_bits;
	int status;

	if (check->options->without_refcounts)
		bytes = 0;
	stored->entries = bytes / sizeof(*stored->table);
	stored->table = calloc((size_t)(stored->entries + 1), sizeof(*stored->table));
	stored->block = malloc((size_t)check->geometry.cluster_bytes);
	stored->block_index = NO_BLOCK;
	if (!stored->table || !stored->block)
		return qc_fail_memory(err);
	status = qc_file_read(check->file, check->header.refcount_table.byte, stored->table, bytes,
			      err);
	if (status < 0)
		return qc_err_context(err, "refcount table");
	for (uint64_t i = 0; i < stored->entries; i++)
		stored->table[i] = qc_load_be64(&stored->table[i]);
	return 0;
}

static int load_block(struct loading *loading, uint64_t index, struct qc_check_extent *extent,
		      uint8_t *block, struct qc_err *err)
{
	struct qc_check *check = loading->check;
	const struct qc_geometry *g = &check->geometry;
	uint64_t first = index * g->refcounts_per_block;
	uint64_t end = qc_min(first + g->refcounts_per_block, check->stored.shown.clusters);
	bool zero;
	int status;

	if (block_offset(&check->stored, index) == 0 || !is_readable(check, index))
		return 0;
	status = qc_check_read_by(check->file, extent, block_offset(&check->stored, index), block,
				  (size_t)g->cluster_bytes, &zero, err);
	return status < 0 || zero ? status : take_block(loading, first, end, block, err);
}

static int load_some(struct qc_pieces *pieces, struct qc_err *err)
{
	struct loading *loading = pieces->context;
	struct qc_check_extent extent = {0};
	uint8_t *block = malloc((size_t)loading->check->geometry.cluster_bytes);
	size_t first, count;
	int status = block ? 0 : qc_fail_memory(err);

	while (status == 0 && (count = qc_pieces_take(pieces, TAKE_AT_ONCE, &first)) > 0)
		for (size_t i = first; status == 0 && i < first + count; i++)
			status = load_block(loading, i, &extent, block, err);
	free(block);
	return status;
}

static int load_blocks(struct qc_check *check, uint64_t blocks, struct qc_err *err)
{
	struct loading loading = {.check = check};
	struct qc_pieces pieces = {.count = (size_t)blocks, .work = load_some, .context = &loading};
	uint64_t bytes = blocks << check->geometry.cluster_bits;
	int status;

	for (unsigned int i = 0; i < 64; i++)
		qc_refcount_set(&check->geometry, loading.all_ones, i, 1);
	status = qc_shared_counts_init(&loading.shown, &check->stored.shown, err);
	if (status == 0)
		status = qc_pieces_run(&pieces, check->options->jobs,
				       (size_t)qc_max(1, bytes / JOB_BYTES), err);
	qc_shared_counts_clear(&loading.shown);
	return status;
}

int qc_stored_load(struct qc_check *check, struct qc_err *err)
{
	const struct qc_geometry *g = &check->geometry;
	uint64_t blocks;
	int status;

	status = qc_counts_init(&check->stored.shown, check->references.clusters, UINT64_MAX, err);
	if (status == 0)
		status = load_table(check, err);
	if (status < 0)
		return status;
	/* Blocks of clusters past the file count too: a flag there may be looked up. */
	for (uint64_t i = 0; i < check->stored.entries; i++)
		check->stored.unreadable |= !is_readable(check, i);
	blocks = qc_min(check->stored.entries,
			qc_div_up(check->references.clusters, g->refcounts_per_block));
	return load_blocks(check, blocks, err);
}

void qc_stored_clear(struct qc_stored *stored)
{
	qc_counts_clear(&stored->shown);
	free(stored->table);
	free(stored->block);
	*stored = (struct qc_stored){0};
}
