// SPDX-License-Identifier: MIT
/*
 * Journals with something to redo that must not be believed. Who believes one that is stale or foreign
 * writes old bytes into a data file that has gone on; who believes one that is damaged, anything.
 */
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/must.h"
#include "crash/pair.h"
#include "crash/promises.h"
#include "format/disk_layout.h"
#include "format/features.h"
#include "support/guard_file.h"
#include "support/guard_live.h"
#include "txn/recover.h"

#define MARK_AT (offsetof(struct qc_disk_header, incompatible_features) + 7)

static struct pair copy_of(const struct pair *from)
{
	struct pair ret = {0};

	image_bytes_copy(&ret.image, from->image.bytes, from->image.size);
	image_bytes_copy(&ret.data, from->data.bytes, from->data.size);
	return ret;
}

/* --- one of them --- */

struct trial {
	struct pair_campaign *c;
	struct pair now;
	struct content as_is; /* of the two, with nothing redone */
	const struct content
		*settled; /* what the journal would rightly make of it; NULL: nothing may change */
	const char *what;
};

static void recover(struct qc_file *image, struct qc_file *data)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	if (qc_recover_look(image, &plan, &err) < 0)
		return;
	plan.data = data;
	(void)qc_recover_apply(image, &plan, &err);
}

static bool is_untouched(const struct trial *t, const struct pair *after,
			 const struct content *content)
{
	return after->data.size == t->now.data.size
	       && memcmp(after->data.bytes, t->now.data.bytes, (size_t)after->data.size) == 0
	       && memcmp(after->image.bytes, t->now.image.bytes, SECTOR) == 0
	       && (content_is_same(content, &t->as_is)
		   || (!content->readable && !t->as_is.readable));
}

/* Damage in a byte that does not count may let the journal be what it is. */
static void try_it(const struct trial *t)
{
	struct buffer_file image, data;
	struct qc_file *guards[CRASH_FILES];
	struct content content;
	struct pair after;
	const char *broken;

	t->c->event++;
	t->c->tally->states++;
	t->c->tally->false_journals++;
	buffer_file_init(&image);
	buffer_file_init(&data);
	buffer_file_set(&image, t->now.image.bytes, t->now.image.size);
	buffer_file_set(&data, t->now.data.bytes, t->now.data.size);
	guards[0] = guard_file_open(&image.base, &image.base);
	guards[1] = guard_file_open_data(&data.base, guards[0]);
	recover(guards[0], guards[1]);
	qc_file_close(guards[1]);
	broken = promises_close(guards[0]);
	after = (struct pair){{image.bytes, image.base.bytes}, {data.bytes, data.base.bytes}};
	pair_content(&after.image, &after.data, NULL, &content);
	if (broken)
		pair_fail(t->c, &t->c->tally->torn, broken);
	else if (!is_untouched(t, &after, &content)
		 && (!t->settled || !content_is_same(&content, t->settled)))
		pair_fail(t->c, &t->c->tally->torn, t->what);
	pair_check(t->c, &after);
	buffer_file_clear(&image);
	buffer_file_clear(&data);
}

/* --- damage --- */

/* Bits of the image in a range, one at a time. */
static void flip_bits(struct trial *t, uint64_t from, uint64_t to, uint64_t step)
{
	for (uint64_t at = from; at < to; at += step) {
		uint8_t bit = (uint8_t)(1 << at % 8);

		t->now.image.bytes[at] ^= bit;
		try_it(t);
		t->now.image.bytes[at] ^= bit;
	}
}

static void cut(struct trial *t, uint64_t journal)
{
	const uint64_t whole = t->now.image.size;

	for (uint64_t size = whole - 1; size > journal; size -= size - journal > 64 ? 61 : 1) {
		t->now.image.size = size;
		try_it(t);
		if (t->c->quick && size < whole - 600)
			break;
	}
	t->now.image.size = whole;
}

/* The copies that wait in free clusters belong to the journal, too. */
static int damage_copy(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	struct trial *t = context;

	(void)err;
	if (record->kind == QC_JOURNAL_DATA)
		flip_bits(t, record->new_host.byte + record->index % 7,
			  record->new_host.byte + record->length, record->length / 4 - 1);
	return 0;
}

static struct qc_journal journal_of(const struct image_bytes *image, struct buffer_file *ret_file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	buffer_file_init(ret_file);
	buffer_file_show(ret_file, image->bytes, image->size);
	must(qc_recover_look(&ret_file->base, &plan, &err) == 0 && plan.state != QC_RECOVER_CLEAN);
	return plan.journal;
}

static void damage(struct pair_campaign *c, const struct pair *base, const struct content *settled,
		   const char *what)
{
	struct trial t = {.c = c, .now = copy_of(base), .settled = settled, .what = what};
	struct buffer_file file;
	struct qc_journal journal = journal_of(&base->image, &file);
	struct qc_err err;

	pair_content(&base->image, &base->data, NULL, &t.as_is);
	flip_bits(&t, journal.offset, base->image.size, c->quick ? 37 : 5);
	cut(&t, journal.offset);
	must(qc_journal_each(&file.base, &journal, damage_copy, &t, &err) == 0);
	pair_clear(&t.now);
}

/* --- the journal of something else --- */

struct planting {
	const struct pair *from;
	struct qc_journal journal; /* of that one */
	struct pair *to;
	struct guard_live live; /* of that one, as it was */
};

static void grow(struct image_bytes *image, uint64_t size)
{
	if (size <= image->size)
		return;
	image->bytes = realloc(image->bytes, (size_t)size);
	must(image->bytes);
	memset(image->bytes + image->size, 0, (size_t)(size - image->size));
	image->size = size;
}

/* Where the copies were is free in most images that have gone on. */
static int plant_copy(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	struct planting *p = context;
	uint64_t at = record->new_host.byte;

	(void)err;
	if (record->kind != QC_JOURNAL_DATA || guard_live_uses(&p->live, at, record->length))
		return 0;
	grow(&p->to->image, at + record->length);
	memcpy(p->to->image.bytes + at, p->from->image.bytes + at, (size_t)record->length);
	return 0;
}

/* The segment is as it was, in its new place; the trailer says where that is. */
static void plant_segment(const struct planting *p)
{
	struct image_bytes *to = &p->to->image;
	const struct qc_journal *j = &p->journal;
	uint64_t at = qc_align_up(to->size, UINT64_C(1) << j->head.cluster_bits);
	uint64_t end = qc_align_up(at + j->bytes, SECTOR);
	const uint8_t *segment = p->from->image.bytes + j->offset;
	const struct qc_journal_trailer trailer = {
		.segment_offset = at,
		.segment_bytes = j->bytes,
		.segment_digest = XXH64(segment, (size_t)j->bytes, 0),
	};
	struct qc_disk_journal_trailer disk;

	grow(to, end + SECTOR);
	memcpy(to->bytes + at, segment, (size_t)j->bytes);
	qc_journal_trailer_encode(&trailer, &disk);
	memcpy(to->bytes + end, &disk, sizeof(disk));
}

static void plant(const struct pair *from, struct pair *to)
{
	struct planting p = {.from = from, .to = to};
	struct buffer_file file, live_file;
	struct qc_err err;

	p.journal = journal_of(&from->image, &file);
	buffer_file_init(&live_file);
	buffer_file_set(&live_file, to->image.bytes, to->image.size);
	p.live.truth = &live_file.base;
	guard_live_load(&p.live);
	must(qc_journal_each(&file.base, &p.journal, plant_copy, &p, &err) == 0);
	plant_segment(&p);
	guard_live_clear(&p.live);
	buffer_file_clear(&live_file);
}

/* No bytes that could be redone are in the data file any more, so that each one that is shows. */
static void try_planted(struct pair_campaign *c, const struct pair *from, struct pair to,
			const char *what)
{
	struct trial t = {.c = c, .what = what};

	for (uint64_t i = 0; i < to.data.size; i++)
		to.data.bytes[i] ^= 0xff;
	plant(from, &to);
	t.now = to;
	pair_content(&to.image, &to.data, NULL, &t.as_is);
	try_it(&t);
	pair_clear(&t.now);
}

static bool is_marking(const struct crash_op *op)
{
	return (op->bytes[MARK_AT] & QC_INCOMPAT_CORRUPT) != 0;
}

/* The first write of sector 0 at or after `from` that sets the mark; log->count: there is none. */
static size_t find_marking(const struct crash_log *log, size_t from)
{
	size_t at = crash_log_flip(log, from);

	while (at < log->count && !is_marking(&log->ops[at]))
		at = crash_log_flip(log, at + 1);
	return at;
}

/* Breaks an edit off where it has something to redo; false: it never has. */
static bool break_off(const struct edit_kind *edit, uint32_t seed, struct pair *pair)
{
	struct pair done = copy_of(pair);
	struct crash_log log = {0};
	struct state s, data;
	size_t at;
	bool found;

	pair_edit(edit, seed, &done, &log, NULL);
	pair_clear(&done);
	at = find_marking(&log, 0);
	found = at < log.count;
	if (found) {
		pair_state_init(&s, &data, pair, &log);
		crash_make_whole(&s, &log, at + 1);
		pair_clear(pair);
		pair_take(pair, &s);
		pair_state_clear(&s, &data);
	}
	crash_log_clear(&log);
	return found;
}

static const struct edit_kind overwrite = {
	.name = "written over",
	.steps = {{STEP_WRITE, 16 * 2 + 1, 9, false}, {STEP_WRITE, 16 * 4 + 1, 1, false}},
};

/* One that waits for its own journal, which is cut off; nothing, where nothing is written over. */
static bool wait_for_journal(struct pair *pair)
{
	struct buffer_file file;

	if (!break_off(&overwrite, 903, pair))
		return false;
	pair->image.size = journal_of(&pair->image, &file).offset;
	return true;
}

/* The journal of a commit that is over, behind what came later. */
static void stale(struct pair_campaign *c, const struct pair *pending, const struct pair *settled)
{
	struct pair next = copy_of(settled), later = copy_of(settled), marked;

	try_planted(c, pending, copy_of(settled), "the journal of a finished commit is believed");
	pair_edit(&edit_after_crash, 901, &next, NULL, NULL);
	marked = copy_of(&next);
	marked.image.bytes[MARK_AT] |= QC_INCOMPAT_CORRUPT;
	try_planted(c, pending, next, "a stale journal is believed");
	try_planted(c, pending, marked, "a stale journal is believed of an image that is corrupt");
	if (wait_for_journal(&later))
		try_planted(c, pending, later, "a stale journal is believed for a later one");
	else
		pair_clear(&later);
}

/* The journal of another disk, behind an image that waits for its own, and behind one that does not. */
static void foreign(struct pair_campaign *c, const struct pair *pending, const struct pair *settled)
{
	struct pair_kind kind = *c->kind;
	struct pair other = {0}, now = copy_of(pending);
	struct buffer_file file;

	kind.clusters++;
	kind.pending = false;
	kind.backing = false; /* the bases that are there stay */
	pair_build(&kind, &other);
	must(break_off(&overwrite, 904, &other));
	now.image.size = journal_of(&now.image, &file).offset;
	try_planted(c, &other, now, "the journal of another image is believed");
	try_planted(c, &other, copy_of(settled), "a foreign journal is believed");
	pair_clear(&other);
}

/* --- all of them --- */

/* Sector 0 is the one before, or the one that says that there is something to redo. */
static void one_commit(struct pair_campaign *c, struct state *s, size_t flip)
{
	struct pair pending = {0}, settled = {0};
	struct pair_seen seen;
	size_t mark = state_mark(s);

	pair_take(&pending, s);
	damage(c, &pending, NULL, "a damaged journal is believed before its commit");
	pair_clear(&pending);
	crash_apply(s, &c->log.ops[flip]);
	pair_take(&pending, s);
	state_rewind(s, mark);
	pair_see_bytes(&pending, NULL, &seen);
	must(!seen.why && seen.pending);
	pair_recovered(&settled);
	damage(c, &pending, &seen.content, "a damaged journal is believed");
	stale(c, &pending, &settled);
	foreign(c, &pending, &settled);
	pair_clear(&pending);
	pair_clear(&settled);
}

/* A recovery writes the marked sector again: that is no commit of its own. */
void pair_false_journals(struct pair_campaign *c)
{
	struct state s, data;

	pair_state_init(&s, &data, &c->base, &c->log);
	for (size_t i = 0; i < c->log.count; i++) {
		if (find_marking(&c->log, i) == i
		    && memcmp(s.bytes, c->log.ops[i].bytes, SECTOR) != 0)
			one_commit(c, &s, i);
		crash_apply(&s, &c->log.ops[i]);
	}
	pair_state_clear(&s, &data);
}
