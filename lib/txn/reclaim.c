// SPDX-License-Identifier: MIT
#include "txn/reclaim.h"

#include "base/checked.h"

#define STORAGE_BLOCK_BYTES UINT64_C(4096)

struct reclaim {
	struct qc_file *file;
	const struct qc_space *space;
	uint64_t cluster_bytes;
	uint64_t file_bytes; /* what lies beyond goes with the tail */
	uint64_t left;	     /* bytes that more runs can have: a commit frees no cluster twice */
};

/*
 * Storage gives back whole blocks; parts of one would only be overwritten. A device has nothing to
 * give back to, and where it cannot discard, zeroes would be written for nothing.
 */
static int punch(const struct reclaim *r, uint64_t offset, uint64_t bytes, struct qc_err *err)
{
	uint64_t end = qc_align_down(qc_min(offset + bytes, r->file_bytes), STORAGE_BLOCK_BYTES);

	offset = qc_align_up(offset, STORAGE_BLOCK_BYTES);
	return offset < end && !r->file->fixed_length
		       ? qc_file_punch(r->file, offset, end - offset, err)
		       : 0;
}

/* Punches the clusters of the run that are free now, neighbours together. */
static int punch_free(const struct reclaim *r, uint64_t offset, uint64_t bytes, struct qc_err *err)
{
	uint64_t first = offset / r->cluster_bytes, end = first + bytes / r->cluster_bytes, count;
	int status = 0;

	for (; status == 0 && first < end; first += count) {
		bool free;

		count = qc_space_count_alike(r->space, first, end - first, &free);
		if (free)
			status = punch(r, first * r->cluster_bytes, count * r->cluster_bytes, err);
	}
	return status;
}

static int take_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	struct reclaim *r = context;
	uint64_t offset = record->old_host.byte;

	if (record->kind != QC_JOURNAL_FREED || record->length > r->left
	    || !qc_range_fits(offset, record->length, r->file->bytes)
	    || !qc_is_aligned(offset | record->length, r->cluster_bytes) || offset == 0)
		return 0;
	r->left -= record->length;
	return r->space ? punch_free(r, offset, record->length, err)
			: punch(r, offset, record->length, err);
}

int qc_reclaim(struct qc_file *file, const struct qc_journal *journal, const struct qc_space *space,
	       uint64_t file_bytes, struct qc_err *err)
{
	struct reclaim r = {
		.file = file,
		.space = space,
		.cluster_bytes = UINT64_C(1) << journal->head.cluster_bits,
		.file_bytes = file_bytes,
		.left = file->bytes,
	};
	int status = qc_journal_each(file, journal, take_record, &r, err);

	return status < 0 ? status : qc_journal_drop(file, journal, file_bytes, err);
}
