// SPDX-License-Identifier: MIT
/* Journals as whoever made the file can have made them: every digest is right, whatever they say. */
#pragma once

#include "unit/txn/fixture.h"

#include <xxhash.h>

#include "format/journal_record.h"

#define PADDING_AT 0x1f8u /* in sector 0, behind all that means something */

/* Where a segment of so many records starts, so that it and its trailer end with a file that long. */
static inline uint64_t journal_start(uint64_t file_bytes, uint64_t records)
{
	uint64_t bytes = sizeof(struct qc_disk_journal_head)
			 + records * sizeof(struct qc_disk_journal_record);

	return file_bytes - QC_SECTOR_BYTES - qc_align_up(bytes, QC_SECTOR_BYTES);
}

/* Puts it there; the file becomes that long. */
static inline void put_journal(struct qc_file *file, uint64_t file_bytes,
			       const struct qc_journal_head *head,
			       const struct qc_journal_record *records)
{
	size_t bytes = sizeof(struct qc_disk_journal_head)
		       + (size_t)head->records * sizeof(struct qc_disk_journal_record);
	uint64_t at = journal_start(file_bytes, head->records);
	uint8_t *segment = test_malloc(bytes);
	struct qc_disk_journal_record *next =
		(struct qc_disk_journal_record *)(segment + sizeof(struct qc_disk_journal_head));
	struct qc_disk_journal_trailer trailer;
	struct qc_err err;

	qc_journal_head_encode(head, (struct qc_disk_journal_head *)segment);
	for (uint64_t i = 0; i < head->records; i++)
		qc_journal_record_encode(&records[i], next++);
	qc_journal_trailer_encode(
		&(struct qc_journal_trailer){
			.segment_offset = at,
			.segment_bytes = bytes,
			.segment_digest = XXH64(segment, bytes, 0),
		},
		&trailer);
	assert_int_equal(qc_file_write(file, at, segment, bytes, &err), 0);
	assert_int_equal(qc_file_write(file, file_bytes - sizeof(trailer), &trailer,
				       sizeof(trailer), &err),
			 0);
	test_free(segment);
}

/* A sector 0 that names a backing file. */
static inline void add_backing(uint8_t sector[QC_SECTOR_BYTES], const char *name)
{
	const size_t free_at = 0x1e0;

	assert_true(strlen(name) <= PADDING_AT - free_at);
	qc_store_be64(sector + offsetof(struct qc_disk_header, backing_file_offset), free_at);
	qc_store_be32(sector + offsetof(struct qc_disk_header, backing_file_size),
		      (uint32_t)strlen(name));
	memcpy(sector + free_at, name, strlen(name));
}
