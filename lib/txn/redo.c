// SPDX-License-Identifier: MIT
#include "txn/redo.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/disk_layout.h"
#include "format/features.h"
#include "txn/flip.h"

#define FIELD_OFFSET(member) offsetof(struct qc_disk_header, member)

/* --- the mark --- */

static uint64_t features_of(const uint8_t *sector)
{
	return qc_load_be64(sector + FIELD_OFFSET(incompatible_features));
}

static bool is_external(const uint8_t *sector)
{
	return qc_load_be32(sector + FIELD_OFFSET(version)) >= 3
	       && (features_of(sector) & QC_INCOMPAT_DATA_FILE) != 0;
}

void qc_redo_guard(uint8_t sector[QC_SECTOR_BYTES])
{
	qc_store_be64(sector + FIELD_OFFSET(incompatible_features),
		      features_of(sector) | QC_INCOMPAT_CORRUPT);
}

bool qc_redo_is_guarded(const struct qc_journal_head *head)
{
	return is_external(head->before) && is_external(head->after)
	       && (features_of(head->before) & QC_INCOMPAT_CORRUPT) == 0
	       && (features_of(head->after) & QC_INCOMPAT_CORRUPT) != 0;
}

void qc_redo_final(const uint8_t guarded[QC_SECTOR_BYTES], uint8_t ret[QC_SECTOR_BYTES])
{
	memcpy(ret, guarded, QC_SECTOR_BYTES);
	qc_store_be64(ret + FIELD_OFFSET(incompatible_features),
		      features_of(guarded) & ~QC_INCOMPAT_CORRUPT);
}

/* --- the records --- */

struct redo {
	struct qc_file *file, *data;
	uint64_t cluster_bytes;
	uint64_t disk_bytes;
	uint64_t zeroes_end, data_end; /* behind the last record of each kind */
	uint64_t left; /* bytes that more clusters can have: no two lie in the same place */
	uint8_t *cluster;
};

static int fail_record(const char *what, struct qc_err *err)
{
	return qc_fail(err, QC_E_FORMAT,
		       "the journal's record of %s for the data file makes no sense; nothing was "
		       "changed",
		       what);
}

static int verify_zeroes(struct redo *r, const struct qc_journal_record *record, struct qc_err *err)
{
	if (record->index < r->zeroes_end
	    || !qc_range_fits(record->index, record->length, r->disk_bytes))
		return fail_record("zeroes", err);
	r->zeroes_end = record->index + record->length;
	return 0;
}

static int verify_data(struct redo *r, const struct qc_journal_record *record, struct qc_err *err)
{
	uint64_t offset;
	int status;

	if (record->length != r->cluster_bytes || !qc_mul(record->index, r->cluster_bytes, &offset)
	    || offset < r->data_end || offset >= r->disk_bytes || record->length > r->left
	    || !qc_is_aligned(record->new_host.byte, r->cluster_bytes)
	    || !qc_range_fits(record->new_host.byte, record->length, r->file->bytes))
		return fail_record("a cluster", err);
	r->left -= record->length;
	status = qc_file_read(r->file, record->new_host.byte, r->cluster, (size_t)record->length,
			      err);
	if (status == 0 && XXH64(r->cluster, (size_t)record->length, 0) != record->digest)
		status = qc_fail(err, QC_E_FORMAT,
				 "the journal's copy of guest cluster %llu is damaged; nothing was "
				 "changed",
				 (unsigned long long)record->index);
	r->data_end = offset + r->cluster_bytes;
	return status;
}

static int verify_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	switch (record->kind) {
	case QC_JOURNAL_DATA_ZERO:
		return verify_zeroes(context, record, err);
	case QC_JOURNAL_DATA:
		return verify_data(context, record, err);
	default:
		return 0;
	}
}

/* What lies past the end of the disk is nobody's, and makes no raw image longer. */
static int write_data(struct redo *r, const struct qc_journal_record *record, struct qc_err *err)
{
	uint64_t offset = record->index * r->cluster_bytes;
	size_t length = (size_t)qc_min(r->cluster_bytes, r->disk_bytes - offset);
	int status = qc_file_read(r->file, record->new_host.byte, r->cluster, length, err);

	if (status < 0)
		return qc_err_context(err, "journal");
	status = qc_file_write(r->data, offset, r->cluster, length, err);
	return status < 0 ? qc_err_context(err, "data file") : 0;
}

/* Where the file has to grow, it does so below, and what is new reads as zeroes. */
static int write_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	struct redo *r = context;
	int status;

	switch (record->kind) {
	case QC_JOURNAL_DATA_ZERO:
		status = qc_file_punch(r->data, record->index, record->length, err);
		return status < 0 ? qc_err_context(err, "data file") : 0;
	case QC_JOURNAL_DATA:
		return write_data(r, record, err);
	default:
		return 0;
	}
}

static int each_record(struct qc_file *file, const struct qc_journal *journal, struct qc_file *data,
		       int (*take)(void *context, const struct qc_journal_record *record,
				   struct qc_err *err),
		       struct qc_err *err)
{
	const uint8_t *after = journal->head.after;
	struct redo r = {
		.file = file,
		.data = data,
		.cluster_bytes = UINT64_C(1) << journal->head.cluster_bits,
		.disk_bytes = qc_load_be64(after + FIELD_OFFSET(size)),
		.left = file->bytes,
	};
	int status;

	r.cluster = malloc((size_t)r.cluster_bytes);
	if (!r.cluster)
		return qc_fail_memory(err);
	status = qc_journal_each(file, journal, take, &r, err);
	free(r.cluster);
	return status;
}

int qc_redo_verify(struct qc_file *file, const struct qc_journal *journal, struct qc_err *err)
{
	return each_record(file, journal, NULL, verify_record, err);
}

/* --- replay --- */

/* A raw data file is as long as the disk; this is also what "grow" left to be done. */
static int settle_length(const uint8_t *sector, struct qc_file *data, struct qc_err *err)
{
	uint64_t disk_bytes = qc_load_be64(sector + FIELD_OFFSET(size));
	uint64_t autoclear = qc_load_be64(sector + FIELD_OFFSET(autoclear_features));
	int status;

	if ((autoclear & QC_AUTOCLEAR_DATA_RAW) == 0 || data->fixed_length
	    || data->bytes >= disk_bytes)
		return 0;
	status = qc_file_resize(data, disk_bytes, err);
	return status < 0 ? qc_err_context(err, "data file") : 0;
}

int qc_redo_replay(struct qc_file *file, const struct qc_journal *journal,
		   const uint8_t guarded[QC_SECTOR_BYTES], struct qc_file *data, struct qc_err *err)
{
	uint8_t final[QC_SECTOR_BYTES];
	int status;

	qc_redo_final(guarded, final);
	if ((status = each_record(file, journal, data, write_record, err)) < 0
	    || (status = settle_length(guarded, data, err)) < 0)
		return status;
	if ((status = qc_file_sync(data, QC_SYNC_FULL, err)) < 0)
		return qc_err_context(err, "data file");
	return qc_flip(file, guarded, final, err);
}
