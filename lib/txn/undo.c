// SPDX-License-Identifier: MIT
#include "txn/undo.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "io/file_mem.h"
#include "io/file_posix.h"

#define COPY_BYTES ((size_t)1 << 16)
#define MEMORY_BYTES ((uint64_t)4 << 20) /* saved in memory, before a temporary file is made */

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

/* Where the next piece is saved. */
static int choose_spool(struct qc_undo *undo, struct qc_file **ret, struct qc_err *err)
{
	int status = 0;

	if (!undo->memory)
		status = qc_file_mem_open(NULL, 0, &undo->memory, err);
	if (!undo->temporary)
		undo->temporary = undo->lent;
	if (status == 0 && undo->memory->bytes >= MEMORY_BYTES && !undo->temporary
	    && (status = qc_file_posix_temporary(&undo->temporary, err)) < 0)
		qc_err_context(err, "temporary file");
	if (status == 0)
		*ret = undo->memory->bytes < MEMORY_BYTES ? undo->memory : undo->temporary;
	return status;
}

static int save_data(struct qc_undo *undo, struct qc_file *file, uint64_t offset, uint64_t bytes,
		     struct qc_err *err)
{
	struct qc_undo_entry entry = {.offset = offset, .bytes = bytes};
	int status;

	if ((status = choose_spool(undo, &entry.spool, err)) < 0)
		return status;
	entry.saved_at = entry.spool->bytes;
	if ((status = copy(file, offset, entry.spool, entry.saved_at, bytes, err)) < 0)
		return qc_err_context(err, "saving what is written over");
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
			status = add_entry(undo,
					   (struct qc_undo_entry){offset, length, UINT64_MAX, NULL},
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
			status = copy(entry->spool, entry->saved_at, file, entry->offset,
				      entry->bytes, to);
		if (first == 0)
			first = status;
	}
	return first;
}

void qc_undo_clear(struct qc_undo *undo)
{
	struct qc_err ignored;

	qc_file_close(undo->memory);
	if (undo->lent)
		(void)qc_file_resize(undo->lent, 0, &ignored); /* only what it takes up meanwhile */
	else
		qc_file_close(undo->temporary);
	free(undo->entries);
	*undo = (struct qc_undo){0};
}
