// SPDX-License-Identifier: MIT
#include "txn/recover.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/image.h"
#include "io/file_mem.h"
#include "io/file_overlay.h"
#include "txn/reclaim.h"
#include "txn/space.h"

/* --- looking --- */

/* Equal but for the autoclear bits, which anybody may clear. */
static bool same_sector(const uint8_t *a, const uint8_t *b)
{
	const size_t from = offsetof(struct qc_disk_header, autoclear_features);
	const size_t to = from + sizeof(qc_be64);
	bool has_bits = qc_load_be32(a + offsetof(struct qc_disk_header, version)) >= 3;

	if (!has_bits)
		return memcmp(a, b, QC_SECTOR_BYTES) == 0;
	return memcmp(a, b, from) == 0 && memcmp(a + to, b + to, QC_SECTOR_BYTES - to) == 0;
}

static bool is_torn(const uint8_t *now, const uint8_t *before, const uint8_t *after)
{
	for (size_t i = 0; i < QC_SECTOR_BYTES; i++)
		if (now[i] != before[i] && now[i] != after[i])
			return false;
	return true;
}

struct verify {
	struct qc_file *file;
	bool whole;
};

/* Is the new table where the record says, to the bit? */
static int verify_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	struct verify *v = context;
	QC_AUTOFREE uint8_t *bytes = NULL;
	int status;

	if (qc_host_is_none(record->new_host) || !v->whole)
		return 0;
	v->whole = record->length <= QC_L1_BYTES_MAX
		   && qc_range_fits(record->new_host.byte, record->length, v->file->bytes);
	if (!v->whole)
		return 0;
	bytes = malloc((size_t)record->length);
	if (!bytes)
		return qc_fail_memory(err);
	status = qc_file_read(v->file, record->new_host.byte, bytes, (size_t)record->length, err);
	if (status == 0)
		v->whole = XXH64(bytes, (size_t)record->length, 0) == record->digest;
	return status;
}

/* Do the tables that this sector 0 leads to make sense? */
static int verify_sector(struct qc_file *file, const uint8_t *sector, bool *ret, struct qc_err *err)
{
	struct qc_file *changes = NULL, *view = NULL;
	struct qc_image *image = NULL;
	struct qc_space space = {0};
	struct qc_err reason;
	int status;

	if ((status = qc_file_mem_open(NULL, 0, &changes, err)) < 0
	    || (status = qc_file_overlay_open(file, changes, &view, err)) < 0)
		return status;
	status = qc_file_write(view, 0, sector, QC_SECTOR_BYTES, err);
	if (status == 0) {
		*ret = qc_image_open(view, NULL, &image, &reason) == 0
		       && qc_space_init(&space, image, false, &reason) == 0;
		qc_space_clear(&space);
		qc_image_close(image);
	}
	qc_file_close(view);
	return status;
}

static int decide_torn(struct qc_file *file, const struct qc_journal *journal,
		       enum qc_recover_state *ret, struct qc_err *err)
{
	struct verify v = {file, true};
	bool old_whole = false;
	int status = qc_journal_each(file, journal, verify_record, &v, err);

	if (status == 0 && !v.whole)
		status = verify_sector(file, journal->head.before, &old_whole, err);
	if (status == 0)
		*ret = v.whole	   ? QC_RECOVER_TORN_TO_NEW
		       : old_whole ? QC_RECOVER_TORN_TO_OLD
				   : QC_RECOVER_UNDECIDABLE;
	return status;
}

int qc_recover_look(struct qc_file *file, struct qc_recover_plan *ret, struct qc_err *err)
{
	struct qc_recover_plan plan = {.state = QC_RECOVER_CLEAN};
	const struct qc_journal_head *head = &plan.journal.head;
	uint8_t now[QC_SECTOR_BYTES];
	bool found;
	int status;

	if ((status = qc_journal_find(file, &found, &plan.journal, err)) < 0)
		return status;
	if (found) {
		if ((status = qc_file_read(file, 0, now, sizeof(now), err)) < 0)
			return qc_err_context(err, "header");
		if (same_sector(now, head->before))
			plan.state = QC_RECOVER_NOT_COMMITTED;
		else if (same_sector(now, head->after))
			plan.state = QC_RECOVER_COMMITTED;
		else if (!is_torn(now, head->before, head->after))
			plan.state = QC_RECOVER_STALE;
		else if ((status = decide_torn(file, &plan.journal, &plan.state, err)) < 0)
			return status;
	}
	*ret = plan;
	return 0;
}

/* --- applying --- */

static int write_sector(struct qc_file *file, const uint8_t *sector, struct qc_err *err)
{
	int status;

	/* What the new sector leads to may have survived in memory only. */
	if ((status = qc_file_sync(file, QC_SYNC_FULL, err)) < 0
	    || (status = qc_file_write(file, 0, sector, QC_SECTOR_BYTES, err)) < 0)
		return status;
	return qc_file_sync(file, QC_SYNC_DATA, err);
}

/* Gives back what the image, as it is now, does not use. */
static int give_back(struct qc_file *file, const struct qc_journal *journal, bool committed,
		     struct qc_err *err)
{
	const struct qc_journal_head *head = &journal->head;
	struct qc_image *image;
	struct qc_space space = {0};
	uint64_t end;
	int status;

	if ((status = qc_image_open(file, NULL, &image, err)) < 0)
		return status;
	status = qc_space_init(&space, image, false, err);
	if (status == 0) {
		end = qc_max(space.end << image->geometry.cluster_bits,
			     committed ? head->file_bytes_after : head->file_bytes_before);
		end = qc_min(end, file->bytes);
		status = committed ? qc_reclaim(file, journal, &space, end, err)
				   : qc_journal_drop(file, journal, end, err);
	}
	qc_space_clear(&space);
	qc_image_close(image);
	return status;
}

int qc_recover_apply(struct qc_file *file, const struct qc_recover_plan *plan, struct qc_err *err)
{
	bool committed = plan->state == QC_RECOVER_COMMITTED
			 || plan->state == QC_RECOVER_TORN_TO_NEW;
	int status = 0;

	if (plan->state == QC_RECOVER_CLEAN || plan->state == QC_RECOVER_UNDECIDABLE)
		return 0;
	/* I2: the sector that was found may be in memory only, and the old state is about to go. */
	if (plan->state == QC_RECOVER_COMMITTED)
		status = qc_file_sync(file, QC_SYNC_FULL, err);
	if (plan->state == QC_RECOVER_TORN_TO_NEW)
		status = write_sector(file, plan->journal.head.after, err);
	if (plan->state == QC_RECOVER_TORN_TO_OLD)
		status = write_sector(file, plan->journal.head.before, err);
	return status < 0 ? status : give_back(file, &plan->journal, committed, err);
}

static const struct {
	const char *id, *text;
} states[] = {
	[QC_RECOVER_CLEAN] = {"clean", "no interrupted transaction"},
	[QC_RECOVER_NOT_COMMITTED] = {"not-committed",
				      "interrupted before its commit: the image is the old one"},
	[QC_RECOVER_COMMITTED] = {"committed",
				  "interrupted after its commit: the image is the new one"},
	[QC_RECOVER_TORN_TO_NEW] = {"torn-to-new", "the header is torn; all new tables are whole"},
	[QC_RECOVER_TORN_TO_OLD] = {"torn-to-old", "the header is torn; the old tables are whole"},
	[QC_RECOVER_STALE] = {"stale", "the journal belongs to a state that is gone"},
	[QC_RECOVER_UNDECIDABLE] = {"undecidable",
				    "the header is torn and neither the old nor the new tables are "
				    "whole; nothing will be changed"},
};

const char *qc_recover_state_id(enum qc_recover_state state)
{
	return states[state].id;
}

const char *qc_recover_state_text(enum qc_recover_state state)
{
	return states[state].text;
}
