// SPDX-License-Identifier: MIT
#include "txn/undo.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "io/file_posix.h"

#define COPY_BYTES ((size_t)1 << 16)

static int add_entry(struct qc_undo *undo, struct qc_undo_entry entry, struct qc_err *err)
{
	struct qc_undo_entry *last = undo->count ? &undo->entries[undo->count - 1] : NULL;

	if (last && last->saved_at == UINT64_MAX && entry.saved_at == UINT64_MAX
	    && last->offset + last->bytes == entry.offset) {
		last->bytes += entry.bytes;
		return 0;
	}
	if (undo->count == undo->room) {
		size_t room = undo->room ? undo->room * 2 : 16;
		struct qc_undo_entry *grown = reallocarray(undo->entries, room, sizeof(entry));

		if (!grown)
			return qc_fail_memory(err);
		undo->entries = grown;
		undo->room = room;
	}
	undo->entries[undo->count++] = entry;
	return 0;
}

static int copy(struct qc_file *from, uint64_t from_offset, struct qc_file *to, uint64_t to_offset,
		uint64_t bytes, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *buffer = malloc(COPY_BYTES);
	int status = 0;

	if (!buffer)
		return qc_fail_memory(err);
	for (uint64_t done = 0; status == 0 && done < bytes; done += COPY_BYTES) {
		size_t now = (size_t)qc_min(COPY_BYTES, bytes - done);

		status = qc_file_read(from, from_offset + done, buffer, now, err);
		if (status == 0)
			status = qc_file_write(to, to_offset + done, buffer, now, err);
	}
	return status;
}

static int save_data(struct qc_undo *undo, struct qc_file *file, uint64_t offset, uint64_t bytes,
		     struct qc_err *err)
{
	struct qc_undo_entry entry = {offset, bytes, undo->spool_bytes};
	int status;

	if (!undo->spool && (status = qc_file_posix_temporary(&undo->spool, err)) < 0)
		return qc_err_context(err, "temporary file");
	if ((status = copy(file, offset, undo->spool, undo->spool_bytes, bytes, err)) < 0)
		return qc_err_context(err, "saving what is written over");
	undo->spool_bytes += bytes;
	return add_entry(undo, entry, err);
}

int qc_undo_save(struct qc_undo *undo, struct qc_file *file, uint64_t file_bytes_before,
		 uint64_t offset, uint64_t bytes, struct qc_err *err)
{
	uint64_t end = qc_min(offset + bytes, file_bytes_before);
	int status = 0;

	while (status == 0 && offset < end) {
		uint64_t length;
		bool data;

		status = qc_file_extent(file, offset, end - offset, &data, &length, err);
		if (status < 0)
			return status;
		if (data)
			status = save_data(undo, file, offset, length, err);
		else
			status = add_entry(undo, (struct qc_undo_entry){offset, length, UINT64_MAX},
					   err);
		offset += length;
	}
	return status;
}

int qc_undo_restore(struct qc_undo *undo, struct qc_file *file, struct qc_err *err)
{
	struct qc_err later;
	int first = 0, status;

	for (; undo->count > 0; undo->count--) {
		struct qc_undo_entry *entry = &undo->entries[undo->count - 1];
		struct qc_err *to = first == 0 ? err : &later;

		if (entry->saved_at == UINT64_MAX)
			status = qc_file_punch(file, entry->offset, entry->bytes, to);
		else
			status = copy(undo->spool, entry->saved_at, file, entry->offset,
				      entry->bytes, to);
		if (first == 0)
			first = status;
	}
	return first;
}

void qc_undo_clear(struct qc_undo *undo)
{
	qc_file_close(undo->spool);
	free(undo->entries);
	*undo = (struct qc_undo){0};
}
