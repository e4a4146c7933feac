// SPDX-License-Identifier: MIT
#include "txn/journal.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define BUFFER_RECORDS ((size_t)1024)
#define HEAD_BYTES sizeof(struct qc_disk_journal_head)
#define RECORD_BYTES sizeof(struct qc_disk_journal_record)

static bool is_plausible(const struct qc_file *file, const struct qc_journal_trailer *trailer)
{
	uint64_t end = file->bytes - QC_SECTOR_BYTES;

	return qc_is_aligned(trailer->segment_offset, QC_SECTOR_BYTES)
	       && trailer->segment_offset >= QC_SECTOR_BYTES && trailer->segment_bytes >= HEAD_BYTES
	       && trailer->segment_bytes <= QC_JOURNAL_BYTES_MAX
	       && (trailer->segment_bytes - HEAD_BYTES) % RECORD_BYTES == 0
	       && qc_range_fits(trailer->segment_offset, trailer->segment_bytes, end)
	       && qc_align_up(trailer->segment_offset + trailer->segment_bytes, QC_SECTOR_BYTES)
			  == end;
}

static int digest_of(struct qc_file *file, uint64_t offset, uint64_t bytes, uint64_t *ret,
		     struct qc_err *err)
{
	size_t chunk = (size_t)1 << 16;
	QC_AUTOFREE uint8_t *buffer = malloc(chunk);
	XXH64_state_t *state = XXH64_createState();
	int status = 0;

	if (!buffer || !state)
		status = qc_fail_memory(err);
	else
		XXH64_reset(state, 0);
	for (uint64_t done = 0; status == 0 && done < bytes; done += chunk) {
		size_t now = (size_t)qc_min(chunk, bytes - done);

		status = qc_file_read(file, offset + done, buffer, now, err);
		if (status == 0)
			XXH64_update(state, buffer, now);
	}
	if (status == 0)
		*ret = XXH64_digest(state);
	XXH64_freeState(state);
	return status;
}

int qc_journal_find(struct qc_file *file, bool *ret_found, struct qc_journal *ret,
		    struct qc_err *err)
{
	struct qc_disk_journal_trailer disk_trailer;
	struct qc_disk_journal_head disk_head;
	struct qc_journal_trailer trailer;
	struct qc_journal journal;
	struct qc_err ignored;
	uint64_t digest = 0;
	int status;

	*ret_found = false;
	if (file->bytes < 3 * QC_SECTOR_BYTES)
		return 0;
	status = qc_file_read(file, file->bytes - QC_SECTOR_BYTES, &disk_trailer,
			      sizeof(disk_trailer), err);
	if (status < 0)
		return qc_err_context(err, "journal");
	if (!qc_journal_trailer_decode(&disk_trailer, &trailer) || !is_plausible(file, &trailer))
		return 0;
	if ((status =
		     qc_file_read(file, trailer.segment_offset, &disk_head, sizeof(disk_head), err))
		    < 0
	    || (status = digest_of(file, trailer.segment_offset, trailer.segment_bytes, &digest,
				   err))
		       < 0)
		return qc_err_context(err, "journal");
	journal.offset = trailer.segment_offset;
	journal.bytes = trailer.segment_bytes;
	if (digest != trailer.segment_digest
	    || qc_journal_head_decode(&disk_head, &journal.head, &ignored) < 0
	    || journal.head.records != (journal.bytes - HEAD_BYTES) / RECORD_BYTES)
		return 0;
	*ret = journal;
	*ret_found = true;
	return 0;
}

int qc_journal_each(struct qc_file *file, const struct qc_journal *journal,
		    int (*take)(void *context, const struct qc_journal_record *record,
				struct qc_err *err),
		    void *context, struct qc_err *err)
{
	QC_AUTOFREE struct qc_disk_journal_record *buffer = malloc(BUFFER_RECORDS * RECORD_BYTES);
	uint64_t at = journal->offset + HEAD_BYTES;
	struct qc_journal_record record;
	size_t now;
	int status = 0;

	if (!buffer)
		return qc_fail_memory(err);
	for (uint64_t left = journal->head.records; status == 0 && left > 0; left -= now) {
		now = (size_t)qc_min(left, BUFFER_RECORDS);
		status = qc_file_read(file, at, buffer, now * RECORD_BYTES, err);
		at += now * RECORD_BYTES;
		for (size_t i = 0; status == 0 && i < now; i++) {
			status = qc_journal_record_decode(&buffer[i], &record, err);
			if (status == 0)
				status = take(context, &record, err);
		}
	}
	return status;
}

int qc_journal_drop(struct qc_file *file, const struct qc_journal *journal, uint64_t file_bytes,
		    struct qc_err *err)
{
	if (!file->fixed_length)
		return qc_file_resize(file, file_bytes, err);
	return qc_file_punch(file, journal->offset, file->bytes - journal->offset, err);
}
