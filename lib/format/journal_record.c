// SPDX-License-Identifier: MIT
/*
 * A journal is believed only if its bytes are what we would have written: fields that are reserved
 * must be zero, offsets must be possible, and digests must match.
 */
#include "format/journal_record.h"

#include <string.h>
#include <xxhash.h>

#include "base/checked.h"

#define MAGIC_BYTES 8
#define OFFSET_END ((uint64_t)INT64_MAX)
#define RECORDS_MAX                                                                                \
	((OFFSET_END - sizeof(struct qc_disk_journal_head)) / sizeof(struct qc_disk_journal_record))

static bool is_zero(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

void qc_journal_head_encode(const struct qc_journal_head *head, struct qc_disk_journal_head *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->magic, QC_JOURNAL_HEAD_MAGIC, MAGIC_BYTES);
	to->version = qc_be32_make(QC_JOURNAL_VERSION);
	to->cluster_bits = qc_be32_make(head->cluster_bits);
	to->records = qc_be64_make(head->records);
	to->file_bytes_before = qc_be64_make(head->file_bytes_before);
	to->file_bytes_after = qc_be64_make(head->file_bytes_after);
	memcpy(to->before, head->before, sizeof(to->before));
	memcpy(to->after, head->after, sizeof(to->after));
}

void qc_journal_record_encode(const struct qc_journal_record *record,
			      struct qc_disk_journal_record *to)
{
	*to = (struct qc_disk_journal_record){
		.kind = qc_be32_make((uint32_t)record->kind),
		.index = qc_be64_make(record->index),
		.old_host = qc_be64_make(record->old_host.byte),
		.new_host = qc_be64_make(record->new_host.byte),
		.length = qc_be64_make(record->length),
		.digest = qc_be64_make(record->digest),
	};
}

static uint64_t trailer_digest(const struct qc_disk_journal_trailer *trailer)
{
	return XXH64(trailer, offsetof(struct qc_disk_journal_trailer, digest), 0);
}

void qc_journal_trailer_encode(const struct qc_journal_trailer *trailer,
			       struct qc_disk_journal_trailer *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->magic, QC_JOURNAL_TRAILER_MAGIC, MAGIC_BYTES);
	to->version = qc_be32_make(QC_JOURNAL_VERSION);
	to->segment_offset = qc_be64_make(trailer->segment_offset);
	to->segment_bytes = qc_be64_make(trailer->segment_bytes);
	to->segment_digest = qc_be64_make(trailer->segment_digest);
	to->digest = qc_be64_make(trailer_digest(to));
}

static int check_head(const struct qc_disk_journal_head *from, const struct qc_journal_head *head,
		      struct qc_err *err)
{
	if (memcmp(from->magic, QC_JOURNAL_HEAD_MAGIC, MAGIC_BYTES) != 0)
		return qc_fail(err, QC_E_FORMAT, "not the head of a journal");
	if (qc_be32_get(from->version) != QC_JOURNAL_VERSION)
		return qc_fail(err, QC_E_FORMAT, "journal of version %u, which is not known",
			       qc_be32_get(from->version));
	if (head->cluster_bits < QC_CLUSTER_BITS_MIN || head->cluster_bits > QC_CLUSTER_BITS_MAX)
		return qc_fail(err, QC_E_FORMAT, "journal for clusters of 2^%u bytes",
			       head->cluster_bits);
	if (head->records > RECORDS_MAX || head->file_bytes_before > OFFSET_END
	    || head->file_bytes_after > OFFSET_END)
		return qc_fail(err, QC_E_FORMAT, "journal with impossible sizes");
	if (!is_zero(from->reserved, sizeof(from->reserved)))
		return qc_fail(err, QC_E_FORMAT, "journal with reserved bytes set");
	return 0;
}

int qc_journal_head_decode(const struct qc_disk_journal_head *from, struct qc_journal_head *ret,
			   struct qc_err *err)
{
	struct qc_journal_head head = {
		.cluster_bits = qc_be32_get(from->cluster_bits),
		.records = qc_be64_get(from->records),
		.file_bytes_before = qc_be64_get(from->file_bytes_before),
		.file_bytes_after = qc_be64_get(from->file_bytes_after),
	};
	int status;

	status = check_head(from, &head, err);
	if (status < 0)
		return status;
	memcpy(head.before, from->before, sizeof(head.before));
	memcpy(head.after, from->after, sizeof(head.after));
	*ret = head;
	return 0;
}

static bool is_freed_run(const struct qc_journal_record *record)
{
	return !qc_host_is_none(record->old_host) && qc_host_is_none(record->new_host)
	       && record->length > 0 && record->digest == 0;
}

static bool is_data(const struct qc_journal_record *record)
{
	return qc_host_is_none(record->old_host) && !qc_host_is_none(record->new_host)
	       && record->length > 0 && record->length <= UINT64_C(1) << QC_CLUSTER_BITS_MAX;
}

static bool is_data_zero(const struct qc_journal_record *record)
{
	return qc_host_is_none(record->old_host) && qc_host_is_none(record->new_host)
	       && record->length > 0 && record->digest == 0
	       && qc_range_fits(record->index, record->length, OFFSET_END);
}

static bool makes_sense(const struct qc_journal_record *record)
{
	switch (record->kind) {
	case QC_JOURNAL_FREED:
		return is_freed_run(record);
	case QC_JOURNAL_DATA:
		return is_data(record);
	case QC_JOURNAL_DATA_ZERO:
		return is_data_zero(record);
	default:
		return true;
	}
}

int qc_journal_record_decode(const struct qc_disk_journal_record *from,
			     struct qc_journal_record *ret, struct qc_err *err)
{
	uint32_t kind = qc_be32_get(from->kind);
	struct qc_journal_record record = {
		.kind = (enum qc_journal_kind)kind,
		.index = qc_be64_get(from->index),
		.old_host = qc_host(qc_be64_get(from->old_host)),
		.new_host = qc_host(qc_be64_get(from->new_host)),
		.length = qc_be64_get(from->length),
		.digest = qc_be64_get(from->digest),
	};

	if (kind < QC_JOURNAL_L1 || kind > QC_JOURNAL_KIND_LAST)
		return qc_fail(err, QC_E_FORMAT, "journal record of unknown kind %u", kind);
	if (qc_be32_get(from->reserved) != 0)
		return qc_fail(err, QC_E_FORMAT, "journal record with reserved bits set");
	if (!qc_range_fits(record.old_host.byte, record.length, OFFSET_END)
	    || !qc_range_fits(record.new_host.byte, record.length, OFFSET_END))
		return qc_fail(err, QC_E_FORMAT, "journal record with an impossible place");
	if (!makes_sense(&record))
		return qc_fail(err, QC_E_FORMAT, "journal record of %s makes no sense",
			       qc_journal_kind_text(record.kind));
	*ret = record;
	return 0;
}

bool qc_journal_trailer_decode(const struct qc_disk_journal_trailer *from,
			       struct qc_journal_trailer *ret)
{
	struct qc_journal_trailer trailer = {
		.segment_offset = qc_be64_get(from->segment_offset),
		.segment_bytes = qc_be64_get(from->segment_bytes),
		.segment_digest = qc_be64_get(from->segment_digest),
	};

	if (memcmp(from->magic, QC_JOURNAL_TRAILER_MAGIC, MAGIC_BYTES) != 0
	    || qc_be64_get(from->digest) != trailer_digest(from)
	    || qc_be32_get(from->version) != QC_JOURNAL_VERSION || qc_be32_get(from->reserved) != 0
	    || !is_zero(from->padding, sizeof(from->padding)))
		return false;
	if (trailer.segment_bytes < sizeof(struct qc_disk_journal_head)
	    || !qc_range_fits(trailer.segment_offset, trailer.segment_bytes, OFFSET_END))
		return false;
	*ret = trailer;
	return true;
}

const char *qc_journal_kind_text(enum qc_journal_kind kind)
{
	switch (kind) {
	case QC_JOURNAL_L1:
		return "L1 table";
	case QC_JOURNAL_L2:
		return "L2 table";
	case QC_JOURNAL_REFCOUNT_TABLE:
		return "refcount table";
	case QC_JOURNAL_REFCOUNT_BLOCK:
		return "refcount block";
	case QC_JOURNAL_SNAPSHOT_TABLE:
		return "snapshot table";
	case QC_JOURNAL_FREED:
		return "freed space";
	case QC_JOURNAL_BITMAP_DATA:
		return "bitmap data";
	case QC_JOURNAL_BITMAP_TABLE:
		return "bitmap table";
	case QC_JOURNAL_BITMAP_DIRECTORY:
		return "bitmap directory";
	case QC_JOURNAL_DATA:
		return "data";
	case QC_JOURNAL_DATA_ZERO:
		return "zeroes in data";
	}
	return "unknown record";
}

const char *qc_journal_kind_id(enum qc_journal_kind kind)
{
	switch (kind) {
	case QC_JOURNAL_L1:
		return "l1-table";
	case QC_JOURNAL_L2:
		return "l2-table";
	case QC_JOURNAL_REFCOUNT_TABLE:
		return "refcount-table";
	case QC_JOURNAL_REFCOUNT_BLOCK:
		return "refcount-block";
	case QC_JOURNAL_SNAPSHOT_TABLE:
		return "snapshot-table";
	case QC_JOURNAL_FREED:
		return "freed";
	case QC_JOURNAL_BITMAP_DATA:
		return "bitmap-data";
	case QC_JOURNAL_BITMAP_TABLE:
		return "bitmap-table";
	case QC_JOURNAL_BITMAP_DIRECTORY:
		return "bitmap-directory";
	case QC_JOURNAL_DATA:
		return "data";
	case QC_JOURNAL_DATA_ZERO:
		return "data-zero";
	}
	return "unknown";
}
