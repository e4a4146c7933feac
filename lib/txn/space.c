// SPDX-License-Identifier: MIT
#include "txn/space.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"
#include "format/refcount_entry.h"
#include "txn/walk.h"

#define UNION_BEYOND_CLUSTERS 4096u

/* Makes the planes of the walk long enough for clusters below `end`, or gives them up. */
static int reach(struct qc_space *space, uint64_t end, struct qc_err *err)
{
	uint64_t bits;

	if (end > space->end)
		space->end = end;
	if (space->end > QC_SPACE_CLUSTERS_MAX) {
		qc_bitset_clear(&space->used);
		qc_bitset_clear(&space->shared);
		qc_bitset_clear(&space->seen);
		return 0;
	}
	if (end <= space->used.bits)
		return 0;
	bits = qc_min(qc_max(end, space->used.bits * 2), QC_SPACE_CLUSTERS_MAX);
	if (!qc_bitset_grow(&space->used, bits) || !qc_bitset_grow(&space->shared, bits))
		return qc_fail_memory(err);
	return 0;
}

static bool has_planes(const struct qc_space *space)
{
	return space->used.bits > 0;
}

static int check_stop(const struct qc_space *space, struct qc_err *err)
{
	return space->stop && *space->stop ? qc_fail(err, QC_E_INTERRUPTED, "interrupted") : 0;
}

/* --- refcounts --- */

static int scan_block(struct qc_space *space, const uint8_t *block, uint64_t first_cluster,
		      struct qc_err *err)
{
	const struct qc_geometry *g = space->geometry;
	uint64_t used, free, end = g->refcounts_per_block;
	int status;

	/* Beyond the end of the file there is nothing that a count could be about. */
	if (space->proof == QC_SPACE_UNION) {
		if (first_cluster >= space->file_clusters)
			return 0;
		end = qc_min(end, space->file_clusters - first_cluster);
	}

	for (used = qc_refcount_next_used(g, block, 0); used < end;
	     used = qc_refcount_next_used(g, block, free)) {
		free = qc_min(qc_refcount_next_free(g, block, used), end);
		if ((status = reach(space, first_cluster + free, err)) < 0)
			return status;
		if (has_planes(space))
			qc_bitset_add_range(&space->used, first_cluster + used, free - used);
	}
	for (uint64_t i = 0; has_planes(space) && (i = qc_refcount_next_shared(g, block, i)) < end;
	     i++)
		qc_bitset_add(&space->shared, first_cluster + i);
	return 0;
}

static int fail_table_entry(uint64_t index, uint64_t offset, struct qc_err *err)
{
	return qc_fail(err, QC_E_FORMAT,
		       "refcount table entry %" PRIu64 " makes no sense (0x%" PRIx64
		       "); see qcowtool check",
		       index, offset);
}

/* Whether an entry names a block that can be one: in its place, and not named before. */
static bool is_sane_entry(const struct qc_space *space, uint64_t index, uint64_t offset,
			  struct qc_bitset *named)
{
	const struct qc_geometry *g = space->geometry;
	uint64_t cluster = offset >> g->cluster_bits;

	if (!qc_is_aligned(offset, g->cluster_bytes) || offset > QC_HOST_OFFSET_MAX
	    || index * g->refcounts_per_block >= space->limit || qc_bitset_has(named, cluster))
		return false;
	if (cluster < named->bits)
		qc_bitset_add(named, cluster);
	return true;
}

/* Reads a block and notes what it counts. What is a hole, or past the end of the file, counts nothing. */
static int scan_at(struct qc_space *space, struct qc_file *file, uint64_t index, uint64_t offset,
		   uint8_t *block, struct qc_err *err)
{
	const struct qc_geometry *g = space->geometry;
	uint64_t length;
	bool data;
	int status;

	if ((status = check_stop(space, err)) < 0
	    || (status = qc_file_extent(file, offset, g->cluster_bytes, &data, &length, err)) < 0)
		return status;
	if (!data && length == g->cluster_bytes)
		return 0;
	status = qc_file_read(file, offset, block, (size_t)g->cluster_bytes, err);
	if (status < 0)
		return qc_err_context(err, "refcount block %" PRIu64, index);
	return scan_block(space, block, index * g->refcounts_per_block, err);
}

static int scan_table(struct qc_space *space, struct qc_image *image, const uint8_t *table,
		      uint64_t entries, uint8_t *block, struct qc_err *err)
{
	struct qc_bitset named;
	int status = 0;

	/* Of a longer file only the first part is guarded against blocks that are named twice. */
	if (!qc_bitset_init(&named, qc_min(space->file_clusters, QC_SPACE_CLUSTERS_MAX)))
		return qc_fail_memory(err);
	for (uint64_t i = 0; status == 0 && i < entries; i++) {
		uint64_t offset = qc_load_be64(table + i * 8);

		if (space->proof == QC_SPACE_UNION) /* its readers pass over the reserved bits */
			offset &= QC_REFCOUNT_TABLE_OFFSET_MASK;
		if (offset == 0)
			continue;
		if (is_sane_entry(space, i, offset, &named))
			status = scan_at(space, image->file, i, offset, block, err);
		else if (space->proof != QC_SPACE_UNION)
			status = fail_table_entry(i, offset, err);
	}
	qc_bitset_clear(&named);
	return status;
}

static int scan_refcounts(struct qc_space *space, struct qc_image *image, struct qc_err *err)
{
	const struct qc_geometry *g = space->geometry;
	uint64_t entries = image->header.refcount_table_clusters * g->cluster_bytes / 8;
	QC_AUTOFREE uint8_t *table = malloc((size_t)entries * 8);
	QC_AUTOFREE uint8_t *block = malloc((size_t)g->cluster_bytes);
	int status;

	if (!table || !block)
		return qc_fail_memory(err);
	status = qc_file_read(image->file, image->header.refcount_table.byte, table,
			      (size_t)entries * 8, err);
	if (status < 0)
		return qc_err_context(err, "refcount table");
	return scan_table(space, image, table, entries, block, err);
}

/* --- references --- */

static int fail_contradiction(const struct qc_space *space, uint64_t first, const char *what,
			      struct qc_err *err)
{
	return qc_fail(err, QC_E_FORMAT,
		       "a cluster at or behind host offset 0x%" PRIx64 " %s; see qcowtool check",
		       first << space->geometry->cluster_bits, what);
}

/* Notes the run as seen; false if a cluster in it was seen before and has a refcount of 1. */
static bool see(struct qc_space *space, uint64_t first, uint64_t count)
{
	uint64_t end = first + count, again = 0;

	for (uint64_t start = qc_align_down(first, 64); start < end; start += 64) {
		uint64_t mask = qc_bitset_mask(start, first, end);
		uint64_t *seen = &space->seen.words[start / 64];

		again |= *seen & ~space->shared.words[start / 64] & mask;
		*seen |= mask;
	}
	return again == 0;
}

static int take_reference(void *context, uint64_t first, uint64_t count, struct qc_err *err)
{
	struct qc_space *space = context;
	int status;

	if ((status = check_stop(space, err)) < 0)
		return status;
	if (space->proof == QC_SPACE_UNION) {
		uint64_t end = space->file_clusters + UNION_BEYOND_CLUSTERS;

		/* What is far beyond the file is no place to keep free: nothing goes so far. */
		if (first >= end || count > end - first)
			space->limit = qc_min(space->limit, qc_max(first, end));
		if (first >= end)
			return 0;
		count = qc_min(count, end - first);
		status = reach(space, first + count, err);
		if (status == 0 && has_planes(space))
			qc_bitset_add_range(&space->used, first, count);
		return status;
	}
	if (first + count > space->end
	    || (has_planes(space) && !qc_bitset_has_range(&space->used, first, count)))
		return fail_contradiction(space, first, "is in use but its refcount is 0", err);
	if (has_planes(space) && !see(space, first, count))
		return fail_contradiction(space, first, "is used more often than its refcount says",
					  err);
	return 0;
}

/* --- the interface --- */

static int init_planes(struct qc_space *space, uint64_t clusters, struct qc_err *err)
{
	if (qc_bitset_init(&space->used, clusters) && qc_bitset_init(&space->shared, clusters))
		return 0;
	return qc_fail_memory(err);
}

/* Nothing is reached beyond what has a refcount: the planes are as long as they will be. */
static int walk(struct qc_space *space, struct qc_image *image, struct qc_err *err)
{
	struct qc_walk_sink sink = {.take = take_reference,
				    .context = space,
				    .tolerant = space->proof == QC_SPACE_UNION};

	if (space->proof == QC_SPACE_PROVE && has_planes(space)
	    && !qc_bitset_init(&space->seen, space->used.bits))
		return qc_fail_memory(err);
	return qc_walk_references(image, &sink, err);
}

int qc_space_init(struct qc_space *space, struct qc_image *image, enum qc_space_proof proof,
		  const volatile sig_atomic_t *stop, struct qc_err *err)
{
	const struct qc_geometry *g = &image->geometry;
	uint64_t clusters = qc_clusters_for(g, image->file->bytes);
	int status;

	*space = (struct qc_space){.geometry = g,
				   .proof = proof,
				   .stop = stop,
				   .file_clusters = clusters};
	space->limit = qc_min(qc_refcountable_clusters(g), QC_HOST_OFFSET_MAX >> g->cluster_bits);
	status = init_planes(space, qc_max(qc_min(clusters, QC_SPACE_CLUSTERS_MAX), 1), err);
	if (status == 0)
		status = scan_refcounts(space, image, err);
	if (status == 0 && proof != QC_SPACE_TRUST)
		status = walk(space, image, err);
	/* Whatever its refcount says, nobody writes over the header. */
	if (status == 0 && (status = reach(space, 1, err)) == 0 && has_planes(space))
		qc_bitset_add(&space->used, 0);
	if (status == 0 && has_planes(space)
	    && (!qc_bitset_init(&space->given, space->end)
		|| !qc_bitset_init(&space->tables, space->end)))
		status = qc_fail_memory(err);
	qc_bitset_clear(&space->shared);
	qc_bitset_clear(&space->seen);
	if (status < 0) {
		qc_space_clear(space);
		return status;
	}
	space->next = space->end;
	space->on_device = image->file->fixed_length;
	if (space->on_device)
		space->limit = qc_min(space->limit, image->file->bytes >> g->cluster_bits);
	return 0;
}

void qc_space_clear(struct qc_space *space)
{
	qc_bitset_clear(&space->used);
	qc_bitset_clear(&space->given);
	qc_bitset_clear(&space->tables);
	qc_bitset_clear(&space->shared);
	qc_bitset_clear(&space->seen);
}

/* The lowest run of `count` free clusters below the end, or space->end if there is none. */
static uint64_t find_below_end(struct qc_space *space, uint64_t count)
{
	uint64_t end = qc_min(space->end, space->used.bits);
	uint64_t from = space->low, first, after;

	while ((first = qc_bitset_next_absent(&space->used, from)) < end) {
		if (from == space->low)
			space->low = first;
		after = qc_bitset_next(&space->used, first);
		/* A run that touches the end goes on beyond it, as long as nothing was given there. */
		if (after >= end)
			return space->next == space->end || first + count <= end ? first
										 : space->end;
		if (after - first >= count)
			return first;
		from = after;
	}
	if (from == space->low)
		space->low = end;
	return space->end;
}

int qc_space_take(struct qc_space *space, uint64_t count, uint64_t *ret_first, struct qc_err *err)
{
	uint64_t first = space->used.bits ? find_below_end(space, count) : space->end;
	uint64_t below;

	if (first >= space->end)
		first = space->next;
	if (first >= space->limit || count > space->limit - first)
		return qc_fail(err, QC_E_NO_SPACE, "%s",
			       space->on_device
				       ? "no space is left on the device for new tables and data"
				       : "no free clusters are left in the image");
	below = first < space->end ? qc_min(count, space->end - first) : 0;
	if (below) {
		qc_bitset_add_range(&space->used, first, below);
		qc_bitset_add_range(&space->given, first, below);
	}
	if (first + count > space->next)
		space->next = first + count;
	*ret_first = first;
	return 0;
}

void qc_space_note_tables(struct qc_space *space, uint64_t first, uint64_t count)
{
	if (qc_range_fits(first, count, space->tables.bits))
		qc_bitset_add_range(&space->tables, first, count);
}

bool qc_space_is_proven(const struct qc_space *space)
{
	return space->proof != QC_SPACE_PROVE || has_planes(space);
}

bool qc_space_is_free(const struct qc_space *space, uint64_t cluster)
{
	if (cluster >= space->end)
		return cluster >= space->next;
	return space->used.bits > 0 && !qc_bitset_has(&space->used, cluster);
}

uint64_t qc_space_count_alike(const struct qc_space *space, uint64_t first, uint64_t most,
			      bool *ret_free)
{
	uint64_t border = first < space->next ? space->next : UINT64_MAX;

	*ret_free = qc_space_is_free(space, first);
	if (first < space->end) {
		border = space->end;
		if (has_planes(space))
			border = qc_min(border,
					*ret_free ? qc_bitset_next(&space->used, first)
						  : qc_bitset_next_absent(&space->used, first));
	}
	return qc_min(border - first, most);
}

bool qc_space_is_given(const struct qc_space *space, uint64_t cluster)
{
	if (cluster >= space->end)
		return cluster < space->next;
	return qc_bitset_has(&space->given, cluster);
}
