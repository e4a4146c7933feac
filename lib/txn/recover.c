// SPDX-License-Identifier: MIT
#include "txn/recover.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/image.h"
#include "txn/flip.h"
#include "txn/reclaim.h"
#include "txn/redo.h"
#include "txn/space.h"
#include "txn/verify.h"

/* --- looking: comparing sectors --- */

#define FIELD_OFFSET(member) offsetof(struct qc_disk_header, member)

static bool has_features(const uint8_t *sector)
{
	return qc_load_be32(sector + FIELD_OFFSET(version)) >= 3;
}

/* Equal, but for autoclear bits that were cleared since: anybody may do that, and nobody sets them. */
static bool same_sector(const uint8_t *now, const uint8_t *other)
{
	const size_t from = FIELD_OFFSET(autoclear_features), to = from + sizeof(qc_be64);

	if (!has_features(now))
		return memcmp(now, other, QC_SECTOR_BYTES) == 0;
	return memcmp(now, other, from) == 0
	       && memcmp(now + to, other + to, QC_SECTOR_BYTES - to) == 0
	       && (qc_load_be64(now + from) & ~qc_load_be64(other + from)) == 0;
}

/* What no transaction changes. A journal that disagrees with the image in it is not the image's. */
static bool same_kind(const uint8_t *a, const uint8_t *b)
{
	const uint64_t changing = QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT;
	const size_t order = FIELD_OFFSET(refcount_order),
		     features = FIELD_OFFSET(incompatible_features);

	if (memcmp(a, b, FIELD_OFFSET(backing_file_offset)) != 0 /* magic, version */
	    || memcmp(a + FIELD_OFFSET(cluster_bits), b + FIELD_OFFSET(cluster_bits), 4) != 0
	    || memcmp(a + FIELD_OFFSET(crypt_method), b + FIELD_OFFSET(crypt_method), 4) != 0)
		return false;
	return !has_features(a)
	       || (memcmp(a + order, b + order, QC_HEADER_BYTES_V3_MIN - order) == 0
		   && ((qc_load_be64(a + features) ^ qc_load_be64(b + features)) & ~changing) == 0);
}

static size_t common_start(const uint8_t *a, const uint8_t *b)
{
	size_t i = 0;

	while (i < QC_SECTOR_BYTES && a[i] == b[i])
		i++;
	return i;
}

static size_t common_end(const uint8_t *a, const uint8_t *b)
{
	size_t i = 0;

	while (i < QC_SECTOR_BYTES && a[QC_SECTOR_BYTES - 1 - i] == b[QC_SECTOR_BYTES - 1 - i])
		i++;
	return i;
}

/* The one up to some byte and the other from there on: how storage tears a write. */
static bool is_torn_once(const uint8_t *now, const uint8_t *x, const uint8_t *y)
{
	return common_start(now, x) + common_end(now, y) >= QC_SECTOR_BYTES
	       || common_start(now, y) + common_end(now, x) >= QC_SECTOR_BYTES;
}

static bool is_mixed(const uint8_t *now, const uint8_t *x, const uint8_t *y)
{
	for (size_t i = 0; i < QC_SECTOR_BYTES; i++)
		if (now[i] != x[i] && now[i] != y[i])
			return false;
	return true;
}

/* --- looking: what is there --- */

/* The root pointers that a transaction can switch, and the kind of table each one leads to. */
static const struct root {
	size_t offset;
	enum qc_journal_kind kind;
} roots[] = {
	{FIELD_OFFSET(l1_table_offset), QC_JOURNAL_L1},
	{FIELD_OFFSET(refcount_table_offset), QC_JOURNAL_REFCOUNT_TABLE},
	{FIELD_OFFSET(snapshots_offset), QC_JOURNAL_SNAPSHOT_TABLE},
};

#define ROOT_COUNT (sizeof(roots) / sizeof(roots[0]))

struct verify {
	struct qc_file *file;
	const uint8_t *after;
	uint64_t cluster_bytes, zeroes_digest; /* of a cluster of zeroes */
	uint64_t left; /* bytes that more tables can have: no two lie in the same place */
	bool whole;
	bool found[ROOT_COUNT]; /* a table that verifies is where the new root points */
};

/*
 * The content of a place against its digest. What was written is no hole, but for a cluster of zeroes
 * that the file system made one: so a record costs no more than what the file really holds.
 */
static int compare_digest(struct verify *v, uint64_t offset, uint64_t bytes, uint64_t digest,
			  struct qc_err *err)
{
	QC_AUTOFREE uint8_t *buffer = NULL;
	uint64_t run = 0;
	bool data = true;
	int status = 0;

	if (bytes > QC_FILE_WORTH_ASKING_BYTES)
		status = qc_file_extent(v->file, offset, bytes, &data, &run, err);
	if (status == 0 && !data && run == bytes) {
		v->whole = bytes == v->cluster_bytes && digest == v->zeroes_digest;
		return 0;
	}
	if (status < 0)
		return status;
	buffer = malloc((size_t)bytes);
	if (!buffer)
		return qc_fail_memory(err);
	status = qc_file_read(v->file, offset, buffer, (size_t)bytes, err);
	v->whole = status == 0 && XXH64(buffer, (size_t)bytes, 0) == digest;
	return status;
}

/* Is the new table where the record says, to the bit? */
static int verify_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	struct verify *v = context;
	int status;

	if (qc_host_is_none(record->new_host) || !v->whole)
		return 0;
	v->whole = record->length <= QC_L1_BYTES_MAX && record->length <= v->left
		   && qc_range_fits(record->new_host.byte, record->length, v->file->bytes);
	if (!v->whole)
		return 0;
	v->left -= record->length;
	status = compare_digest(v, record->new_host.byte, record->length, record->digest, err);
	for (size_t i = 0; i < ROOT_COUNT; i++)
		if (roots[i].kind == record->kind
		    && qc_load_be64(v->after + roots[i].offset) == record->new_host.byte)
			v->found[i] = true;
	return status;
}

/* Do all records verify, and are they what the new roots lead to? */
static int verify_new(struct qc_file *file, const struct qc_journal *journal, bool *ret,
		      struct qc_err *err)
{
	const uint8_t *before = journal->head.before, *after = journal->head.after;
	struct verify v = {
		.file = file,
		.after = after,
		.cluster_bytes = UINT64_C(1) << journal->head.cluster_bits,
		.left = file->bytes,
		.whole = true,
	};
	QC_AUTOFREE uint8_t *zeroes = calloc(1, (size_t)v.cluster_bytes);
	int status;

	if (!zeroes)
		return qc_fail_memory(err);
	v.zeroes_digest = XXH64(zeroes, (size_t)v.cluster_bytes, 0);
	status = qc_journal_each(file, journal, verify_record, &v, err);
	*ret = v.whole;
	for (size_t i = 0; i < ROOT_COUNT; i++) {
		uint64_t root = qc_load_be64(after + roots[i].offset);

		if (root != 0 && root != qc_load_be64(before + roots[i].offset) && !v.found[i])
			*ret = false;
	}
	return status;
}

/* Judges the image with that sector 0; the journal must lie in what is free then. */
static int judge(struct qc_file *file, const struct qc_journal *journal, const uint8_t *sector,
		 struct qc_verdict *ret, struct qc_err *err)
{
	return qc_verify_sector(file, sector, journal->offset, file->bytes - journal->offset, ret,
				err);
}

/*
 * Sector 0 has bytes of both sectors that the journal holds. Where it makes no sense it is torn, and
 * the tables decide. Where it does it may be another program's work, and a person has to; but only
 * if the transaction could be finished.
 */
static int decide_mixed(struct qc_file *file, struct qc_recover_plan *plan, bool now_sound,
			struct qc_err *err)
{
	const struct qc_journal *journal = &plan->journal;
	struct qc_verdict before, after;
	bool new_whole = false;
	int status;

	if ((status = verify_new(file, journal, &new_whole, err)) < 0
	    || (status = judge(file, journal, journal->head.before, &before, err)) < 0
	    || (status = judge(file, journal, journal->head.after, &after, err)) < 0)
		return status;
	new_whole = new_whole && after.sound;
	if (!before.range_free
	    || !after.range_free) /* in one of them a guest could have written it */
		plan->state = now_sound ? QC_RECOVER_STALE : QC_RECOVER_CLEAN;
	else if (now_sound)
		plan->state = new_whole ? QC_RECOVER_DOUBTFUL : QC_RECOVER_STALE;
	else
		plan->state = new_whole	     ? QC_RECOVER_TORN_TO_NEW
			      : before.sound ? QC_RECOVER_TORN_TO_OLD
					     : QC_RECOVER_UNDECIDABLE;
	return 0;
}

/*
 * The new sector, but with autoclear bits of the old one: it was torn there, and the bits vouch for
 * what has changed. Clearing them is all that is left to do.
 */
static bool lacks_autoclear(const uint8_t *now, const uint8_t *after)
{
	const size_t from = FIELD_OFFSET(autoclear_features), to = from + sizeof(qc_be64);

	return has_features(now) && memcmp(now, after, from) == 0
	       && memcmp(now + to, after + to, QC_SECTOR_BYTES - to) == 0
	       && (qc_load_be64(after + from) & ~qc_load_be64(now + from)) == 0;
}

/* The journal is whole and the image's own: what does sector 0 say? */
static int decide(struct qc_file *file, struct qc_recover_plan *plan, bool now_sound,
		  struct qc_err *err)
{
	const uint8_t *now = plan->sector0;
	const uint8_t *before = plan->journal.head.before, *after = plan->journal.head.after;
	bool guarded = qc_redo_is_guarded(&plan->journal.head);
	uint8_t final[QC_SECTOR_BYTES];

	qc_redo_final(after, final);
	if (same_sector(now, before))
		plan->state = QC_RECOVER_NOT_COMMITTED;
	else if (same_sector(now, after))
		plan->state = guarded ? QC_RECOVER_REDO : QC_RECOVER_COMMITTED;
	else if (guarded && same_sector(now, final))
		plan->state = QC_RECOVER_COMMITTED; /* also if somebody else took the mark away */
	else if (lacks_autoclear(now, after))
		plan->state = QC_RECOVER_TORN_TO_NEW;
	else if (now_sound ? is_torn_once(now, before, after) : is_mixed(now, before, after))
		return decide_mixed(file, plan, now_sound, err);
	else
		plan->state = QC_RECOVER_STALE; /* never write a header over one that makes sense */
	return 0;
}

/*
 * In a cluster that is used stands what a guest wrote, whatever it looks like. But where sector 0 is
 * torn, its tables are none, and what they use says nothing; where it may be, its refcounts are none.
 */
static int decide_if_believed(struct qc_file *file, struct qc_recover_plan *plan,
			      const struct qc_verdict *now, struct qc_err *err)
{
	const struct qc_journal_head *head = &plan->journal.head;
	bool torn = is_torn_once(plan->sector0, head->before, head->after);
	int status;

	if (now->range_free || (torn && !now->sound))
		return decide(file, plan, now->sound, err);
	if (!torn || !now->range_lost)
		return 0;
	status = decide(file, plan, now->sound, err);
	if (plan->state != QC_RECOVER_DOUBTFUL)
		plan->state = QC_RECOVER_CLEAN;
	return status;
}

static void set_redo(struct qc_recover_plan *plan)
{
	plan->redo = plan->state == QC_RECOVER_REDO
		     || (plan->state == QC_RECOVER_TORN_TO_NEW
			 && qc_redo_is_guarded(&plan->journal.head));
}

int qc_recover_look(struct qc_file *file, struct qc_recover_plan *ret, struct qc_err *err)
{
	struct qc_recover_plan plan = {.state = QC_RECOVER_CLEAN};
	const struct qc_journal_head *head = &plan.journal.head;
	struct qc_verdict now;
	bool found;
	int status;

	if ((status = qc_journal_find(file, &found, &plan.journal, err)) < 0)
		return status;
	if (found && (status = qc_file_read(file, 0, plan.sector0, QC_SECTOR_BYTES, err)) < 0)
		return qc_err_context(err, "header");
	if (found && same_kind(plan.sector0, head->before) && same_kind(plan.sector0, head->after)
	    && head->cluster_bits == qc_load_be32(plan.sector0 + FIELD_OFFSET(cluster_bits))) {
		if ((status = judge(file, &plan.journal, plan.sector0, &now, err)) < 0)
			return status;
		if ((status = decide_if_believed(file, &plan, &now, err)) < 0)
			return status;
	}
	*ret = plan;
	set_redo(ret);
	return 0;
}

bool qc_recover_is_stuck(const struct qc_recover_plan *plan)
{
	return plan->state == QC_RECOVER_UNDECIDABLE || plan->state == QC_RECOVER_DOUBTFUL;
}

static bool has_mark(const struct qc_recover_plan *plan, uint64_t marks)
{
	return has_features(plan->sector0)
	       && (qc_load_be64(plan->sector0 + FIELD_OFFSET(incompatible_features)) & marks) != 0;
}

bool qc_recover_needs_rebuild(const struct qc_recover_plan *plan)
{
	return (plan->state == QC_RECOVER_NOT_COMMITTED || plan->state == QC_RECOVER_COMMITTED
		|| plan->state == QC_RECOVER_STALE)
	       && has_mark(plan, QC_INCOMPAT_DIRTY);
}

void qc_recover_resolve(struct qc_recover_plan *plan, bool finish)
{
	if (plan->state != QC_RECOVER_DOUBTFUL)
		return;
	plan->state = finish ? QC_RECOVER_TORN_TO_NEW : QC_RECOVER_STALE;
	plan->decided = true;
	set_redo(plan);
}

/* --- applying --- */

static int write_sector(struct qc_file *file, const struct qc_recover_plan *plan,
			const uint8_t *sector, struct qc_err *err)
{
	/* What the new sector leads to may have survived in memory only. */
	int status = qc_file_sync(file, QC_SYNC_FULL, err);

	return status < 0 ? status : qc_flip(file, plan->sector0, sector, err);
}

/*
 * Gives back what the image, as it is now, does not use. A journal that somebody decided about goes in
 * any case: the refcounts of a header that may be torn are none, and no table leads there.
 */
static int give_back(struct qc_file *file, const struct qc_recover_plan *plan, bool committed,
		     struct qc_err *err)
{
	const struct qc_journal *journal = &plan->journal;
	const struct qc_journal_head *head = &journal->head;
	struct qc_image *image;
	struct qc_space space = {0};
	uint64_t end;
	int status;

	if ((status = qc_image_open(file, NULL, &image, err)) < 0)
		return status;
	status = qc_space_init(&space, image, QC_SPACE_PROVE, NULL, err);
	if (status == 0) {
		end = qc_max(space.end << image->geometry.cluster_bits,
			     committed ? head->file_bytes_after : head->file_bytes_before);
		end = qc_min(end, plan->decided ? journal->offset : file->bytes);
		status = committed ? qc_reclaim(file, journal, &space, end, err)
				   : qc_journal_drop(file, journal, end, err);
	}
	qc_space_clear(&space);
	qc_image_close(image);
	return status;
}

/* Nothing is given back before the state that decides it is on stable storage (I2). */
static int settle_sector(struct qc_file *file, const struct qc_recover_plan *plan,
			 struct qc_err *err)
{
	switch (plan->state) {
	case QC_RECOVER_TORN_TO_NEW:
		return write_sector(file, plan, plan->journal.head.after, err);
	case QC_RECOVER_TORN_TO_OLD:
		return write_sector(file, plan, plan->journal.head.before, err);
	case QC_RECOVER_COMMITTED:
	case QC_RECOVER_REDO:
		/* Its sync may have failed, and then another alone would not write it. */
		return write_sector(file, plan, plan->sector0, err);
	default:
		return qc_file_sync(file, QC_SYNC_FULL, err);
	}
}

static bool was_torn(const struct qc_recover_plan *plan)
{
	return plan->state == QC_RECOVER_TORN_TO_NEW || plan->state == QC_RECOVER_TORN_TO_OLD;
}

static int redo(struct qc_file *file, const struct qc_recover_plan *plan, struct qc_err *err)
{
	return qc_redo_replay(file, &plan->journal,
			      plan->state == QC_RECOVER_REDO ? plan->sector0
							     : plan->journal.head.after,
			      plan->data, err);
}

int qc_recover_apply(struct qc_file *file, const struct qc_recover_plan *plan, struct qc_err *err)
{
	bool committed = plan->redo || plan->state == QC_RECOVER_COMMITTED
			 || plan->state == QC_RECOVER_TORN_TO_NEW;
	uint64_t marks = plan->redo ? QC_INCOMPAT_DIRTY : QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT;
	int status;

	if (plan->state == QC_RECOVER_CLEAN || qc_recover_is_stuck(plan))
		return 0;
	/* What is doubtful makes sense, and so does the other side: there the marks are no obstacle. */
	if (!plan->decided && has_mark(plan, marks))
		return qc_fail(err, QC_E_FORMAT,
			       "the image is marked dirty or corrupt; it must be repaired first");
	assert(!plan->redo || plan->data);
	if ((plan->redo && (status = qc_redo_verify(file, &plan->journal, err)) < 0)
	    || (status = settle_sector(file, plan, err)) < 0
	    || (plan->redo && (status = redo(file, plan, err)) < 0))
		return status;
	status = give_back(file, plan, committed, err);
	/* The header is whole again, which is what counts; the rest is free space all the same. */
	return status == -QC_E_IO && was_torn(plan) ? 0 : status;
}

static const struct {
	const char *id, *text;
} states[] = {
	[QC_RECOVER_CLEAN] = {"clean", "no interrupted transaction"},
	[QC_RECOVER_NOT_COMMITTED] = {"not-committed",
				      "interrupted before its commit: the image is the old one"},
	[QC_RECOVER_COMMITTED] = {"committed",
				  "interrupted after its commit: the image is the new one"},
	[QC_RECOVER_REDO] = {"redo", "interrupted after its commit: the image is the new one once "
				     "the data file is written"},
	[QC_RECOVER_TORN_TO_NEW] = {"torn-to-new", "the header is torn; all new tables are whole"},
	[QC_RECOVER_TORN_TO_OLD] = {"torn-to-old", "the header is torn; the old tables are whole"},
	[QC_RECOVER_STALE] = {"stale", "the journal belongs to a state that is gone"},
	[QC_RECOVER_DOUBTFUL] = {"doubtful",
				 "the header is between the old and the new one and makes sense: "
				 "torn by the storage, or changed by another program"},
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
