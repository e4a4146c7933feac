// SPDX-License-Identifier: MIT
#include "txn/space.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"
#include "format/refcount_entry.h"
#include "txn/walk.h"

/* Notes clusters as used, as far as memory is kept for them. */
static int mark_used(struct qc_space *space, uint64_t first, uint64_t count, struct qc_err *err)
{
	uint64_t end = first + count;

	if (end > space->end)
		space->end = end;
	if (space->end > QC_SPACE_CLUSTERS_MAX) {
		qc_bitset_clear(&space->used);
		return 0;
	}
	if (end > space->used.bits
	    && !qc_bitset_grow(&space->used,
			       qc_min(qc_max(end, space->used.bits * 2), QC_SPACE_CLUSTERS_MAX)))
		return qc_fail_memory(err);
	qc_bitset_add_range(&space->used, first, count);
	return 0;
}

/* --- refcounts --- */

static int scan_block(struct qc_space *space, const uint8_t *block, uint64_t first_cluster,
		      struct qc_err *err)
{
	const struct qc_geometry *g = space->geometry;
	uint64_t used, free;
	int status = 0;

	for (used = qc_refcount_next_used(g, block, 0);
	     status == 0 && used < g->refcounts_per_block;
	     used = qc_refcount_next_used(g, block, free)) {
		free = qc_refcount_next_free(g, block, used);
		status = mark_used(space, first_cluster + used, free - used, err);
	}
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
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t offset = qc_load_be64(table + i * 8);

		if (offset == 0)
			continue;
		if (!qc_is_aligned(offset, g->cluster_bytes) || offset > QC_HOST_OFFSET_MAX)
			return qc_fail(err, QC_E_FORMAT,
				       "refcount block %" PRIu64 " has no valid place (0x%" PRIx64
				       "); see qcowtool check",
				       i, offset);
		status = qc_file_read(image->file, offset, block, (size_t)g->cluster_bytes, err);
		if (status < 0)
			return qc_err_context(err, "refcount block %" PRIu64, i);
		if ((status = scan_block(space, block, i * g->refcounts_per_block, err)) < 0)
			return status;
	}
	return 0;
}

/* --- references --- */

static int take_reference(void *context, uint64_t first, uint64_t count, struct qc_err *err)
{
	struct qc_space *space = context;

	if (first + count > space->end
	    || (space->used.bits > 0 && !qc_bitset_has_range(&space->used, first, count)))
		return qc_fail(err, QC_E_FORMAT,
			       "the image uses clusters at host offset 0x%" PRIx64
			       " whose refcount is 0; see qcowtool check",
			       first << space->geometry->cluster_bits);
	return 0;
}

/* --- the interface --- */

int qc_space_init(struct qc_space *space, struct qc_image *image, bool trust_refcounts,
		  struct qc_err *err)
{
	const struct qc_geometry *g = &image->geometry;
	struct qc_walk_sink sink = {take_reference, space};
	uint64_t expected = qc_min(qc_clusters_for(g, image->file->bytes), QC_SPACE_CLUSTERS_MAX);
	int status;

	*space = (struct qc_space){.geometry = g};
	if (!qc_bitset_init(&space->used, qc_max(expected, 1)))
		return qc_fail_memory(err);
	status = scan_refcounts(space, image, err);
	if (status == 0 && !trust_refcounts)
		status = qc_walk_references(image, &sink, err);
	if (status == 0 && space->used.bits > 0 && !qc_bitset_init(&space->given, space->end))
		status = qc_fail_memory(err);
	if (status < 0) {
		qc_space_clear(space);
		return status;
	}
	space->next = space->end;
	space->limit = qc_min(qc_refcountable_clusters(g), QC_HOST_OFFSET_MAX >> g->cluster_bits);
	if (image->file->fixed_length)
		space->limit = qc_min(space->limit, image->file->bytes >> g->cluster_bits);
	return 0;
}

void qc_space_clear(struct qc_space *space)
{
	qc_bitset_clear(&space->used);
	qc_bitset_clear(&space->given);
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
		return qc_fail(err, QC_E_NO_SPACE, "no free clusters are left in the image");
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

bool qc_space_is_free(const struct qc_space *space, uint64_t cluster)
{
	if (cluster >= space->end)
		return cluster >= space->next;
	return space->used.bits > 0 && !qc_bitset_has(&space->used, cluster);
}

bool qc_space_is_given(const struct qc_space *space, uint64_t cluster)
{
	if (cluster >= space->end)
		return cluster < space->next;
	return qc_bitset_has(&space->given, cluster);
}
