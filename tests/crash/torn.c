// SPDX-License-Identifier: MIT
/*
 * Beyond the promise: storage that tears a sector. Recovery must still end in the old or the new
 * image, as long as the journal is there; where the torn sector happens to make sense, after somebody
 * has said that it is torn. And journals that do not belong to the image, or that were damaged, must
 * be without any effect.
 */
#include "crash/campaign.h"

#include <string.h>

#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/must.h"
#include "crash/promises.h"
#include "crash/record_file.h"
#include "format/disk_layout.h"
#include "support/guard_file.h"
#include "txn/recover.h"

/* One commit: from version `number` to the next. */
struct flip {
	struct campaign *campaign;
	size_t number;
	const uint8_t *old, *new; /* the two headers */
};

/* Everything up to the barrier is there; the flip is torn. */
static struct flip before_flip(struct campaign *c, size_t number, struct state *s)
{
	const struct image_bytes *base = &c->versions[0];

	state_init(s, base->bytes, base->size, crash_log_room(&c->log, base->size));
	for (size_t i = number; i < number + 2; i++)
		state_add_version(s, c->versions[i].bytes, c->versions[i].size);
	crash_make_whole(s, &c->log, c->flips[number]);
	return (struct flip){c, number, c->versions[number].bytes,
			     c->log.ops[c->flips[number]].bytes};
}

/* No log leads to such a state: it is saved as it is. */
static void fail(struct campaign *c, const struct state *s, const char *what)
{
	const struct image_bytes base = {s->bytes, s->size};
	const struct crash_log none = {0};
	struct crash_spec *spec = calloc(1, sizeof(*spec));
	struct run_context run = {.campaign = c, .base = &base, .log = &none};

	must(spec);
	spec->torn = STATE_NONE;
	spec->late = STATE_NONE;
	campaign_fail(&run, s, spec, &c->tally->torn, what);
	free(spec);
}

/* Whether the content is old or new; autoclear bits may have been cleared, but not have come back. */
static bool is_a_version(const struct state *s, const struct content *content)
{
	for (size_t i = 0; i < s->version_count; i++) {
		struct content version = s->versions[i].content;

		if (content->autoclear & ~version.autoclear)
			continue;
		version.autoclear = content->autoclear;
		if (content_is_same(content, &version))
			return true;
	}
	return false;
}

static bool holds_a_version(const struct state *s, struct qc_file *file)
{
	struct content content;

	content_of(file, &content);
	return is_a_version(s, &content);
}

/*
 * Recovery never writes over a sector 0 that makes sense, since it could be another program's work
 * and the journal a guest's (docs/TRANSACTIONS.md). It says so instead, and does nothing. Here it is
 * known to be torn: the transaction is finished.
 */
static bool is_doubtful(struct qc_file *file, struct qc_recover_plan *plan)
{
	struct qc_err err;

	return qc_recover_look(file, plan, &err) == 0 && plan->state == QC_RECOVER_DOUBTFUL;
}

static const char *finish(struct qc_file *file, struct crash_log *log)
{
	struct qc_recover_plan plan;
	struct qc_file *record = record_file_open(file, 0, log);
	struct qc_file *watched = guard_file_open(record, file);
	const char *why = NULL, *broken;
	struct qc_err err;

	if (!is_doubtful(watched, &plan))
		why = "a torn header is neither settled nor in doubt";
	else if (qc_recover_apply(watched, &plan, &err) < 0 || log->count > 0)
		why = "a doubtful header is not left alone";
	qc_recover_resolve(&plan, true);
	if (!why && qc_recover_apply(watched, &plan, &err) < 0)
		why = "a transaction with a torn header cannot be finished";
	broken = promises_close(watched);
	qc_file_close(record);
	return broken ? broken : why;
}

static bool only_cuts(const struct crash_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->ops[i].kind != CRASH_SYNC && log->ops[i].kind != CRASH_RESIZE)
			return false;
	return true;
}

/*
 * Somebody says that the header is as it should be: the journal goes, and nothing else. No guard looks
 * on, for it would believe the refcounts of the torn header, which may say that the journal is in use.
 */
static const char *drop(const struct state *s)
{
	struct content before, after;
	struct qc_recover_plan plan;
	struct crash_log log = {0};
	struct buffer_file file;
	struct qc_file *record;
	const char *why = NULL;
	struct qc_err err;

	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	content_of(&file.base, &before);
	record = record_file_open(&file.base, 0, &log);
	must(is_doubtful(record, &plan));
	qc_recover_resolve(&plan, false);
	if (qc_recover_apply(record, &plan, &err) < 0 || qc_recover_look(record, &plan, &err) < 0
	    || plan.state != QC_RECOVER_CLEAN)
		why = "the journal of a doubtful header cannot be dropped";
	qc_file_close(record);
	content_of(&file.base, &after);
	/* A torn name of a backing file leads nowhere: then the bytes alone have to tell. */
	if (!why
	    && (!only_cuts(&log) || file.base.bytes > s->size
		|| memcmp(file.bytes, s->bytes, file.base.bytes) != 0
		|| before.readable != after.readable
		|| (before.readable && !content_is_same(&before, &after))))
		why = "a journal that is dropped changes the image";
	crash_log_clear(&log);
	buffer_file_clear(&file);
	return why;
}

/* Each state of the recovery's own crash is recovered again. */
struct again {
	struct campaign *campaign;
	const struct state *versions;
	unsigned int depth; /* crashes after the one that tore the header */
	bool nested;	    /* try those, too */
	const char *why;    /* not NULL: what went wrong */
};

static bool crash_again(void *context, struct state *s, const struct crash_spec *spec);

/* The crashes of a recovery, and of some of the recoveries from these. */
static void nest(const struct again *outer, const struct state *s, const struct crash_log *log,
		 const char **why)
{
	struct again again = *outer;
	struct state inner;
	struct crash_run run = {.state = &inner,
				.log = log,
				.no_tears = true,
				.judge = crash_again,
				.context = &again};

	again.depth++;
	again.nested = again.depth < 2 && outer->campaign->tally->recovered % 32 == 0;
	state_init(&inner, s->bytes, s->size, crash_log_room(log, s->size));
	crash_enumerate(&run);
	state_clear(&inner);
	*why = again.why;
}

static void recover_state(struct again *again, const struct state *s)
{
	struct tally *t = again->campaign->tally;
	struct crash_log log = {0};
	struct qc_recover_plan plan;
	struct buffer_file file;

	t->states++;
	t->recovered++;
	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	if (is_doubtful(&file.base, &plan)) {
		t->torn_doubtful += again->depth == 0;
		again->why = drop(s);
		if (!again->why)
			again->why = finish(&file.base, &log);
	} else {
		recover_once(&file.base, &log, &again->why);
	}
	if (!again->why && !holds_a_version(again->versions, &file.base))
		again->why = "a torn header ends in neither old nor new";
	if (!again->why && !campaign_check(again->campaign, &file))
		again->why = "qemu-img check objects to what a torn header ends in";
	if (!again->why && again->nested && log.count > 0)
		nest(again, s, &log, &again->why);
	crash_log_clear(&log);
	buffer_file_clear(&file);
}

static bool crash_again(void *context, struct state *s, const struct crash_spec *spec)
{
	struct again *again = context;

	(void)spec;
	again->campaign->tally->nested++;
	recover_state(again, s);
	return !again->why;
}

/* What a repair refused is as it was, and a person is to decide: the repair is finished. */
static const char *judge_refused(struct tally *t, const struct state *s,
				 const struct image_bytes *after)
{
	struct crash_log log = {0};
	struct buffer_file file;
	struct content content;
	const char *why;

	if (after->size != s->size || memcmp(after->bytes, s->bytes, (size_t)s->size) != 0)
		return "a torn header is not repaired, and something changed";
	t->torn_doubtful++;
	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	why = finish(&file.base, &log);
	content_of(&file.base, &content);
	if (!why && !content_is_same(&content, &s->versions[1].content))
		why = "a torn header is finished to something else";
	crash_log_clear(&log);
	buffer_file_clear(&file);
	return why;
}

/* An image that is to be repaired is recovered with it, or refused. */
static void repair_state(struct again *again, const struct state *s)
{
	struct tally *t = again->campaign->tally;
	struct image_bytes after = {0};
	struct buffer_file file;
	struct content content;
	struct qc_err err;
	int status;

	t->states++;
	folder_put("image", s->bytes, s->size);
	status = edit_file(again->campaign->edit, 100, folder_path("image"), &err);
	folder_get("image", &after);
	buffer_file_init(&file);
	buffer_file_show(&file, after.bytes, after.size);
	content_of(&file.base, &content);
	if (status == 0 && !content_is_same(&content, &s->versions[1].content))
		again->why = "a torn header is repaired to something else";
	else if (status == 0 && !campaign_check(again->campaign, &file))
		again->why = "qemu-img check objects to what a torn header is repaired to";
	if (status < 0)
		again->why = judge_refused(t, s, &after);
	image_bytes_clear(&after);
}

static void recover_torn(struct campaign *c, struct state *s, bool nested)
{
	struct again again = {.campaign = c, .versions = s, .nested = nested};

	c->tally->torn_headers++;
	if (content_is_sound(&s->versions[0].content))
		recover_state(&again, s);
	else
		repair_state(&again, s);
	if (again.why)
		fail(c, s, again.why);
}

static void torn_flip(const struct flip *f, struct state *s)
{
	struct campaign *c = f->campaign;
	uint8_t torn[SECTOR];

	for (size_t i = 0; i < 2 * SECTOR; i++) {
		size_t cut = i / 2, mark = state_mark(s);

		memcpy(torn, i % 2 ? f->old : f->new, cut);
		memcpy(torn + cut, (i % 2 ? f->new : f->old) + cut, SECTOR - cut);
		state_write(s, 0, SECTOR, torn);
		/* Where the two have a byte in common, the next cut makes the same sector. */
		if (cut == 0 || f->old[cut - 1] != f->new[cut - 1])
			recover_torn(c, s, !c->quick || cut % 8 == 4);
		state_rewind(s, mark);
	}
}

/* One of several commits will do where time is short. */
static bool is_chosen(const struct campaign *c, size_t number)
{
	return (!c->quick && !c->large) || number == (c->version_count - 1) / 2;
}

void campaign_torn_headers(struct campaign *c)
{
	for (size_t i = 0; i + 1 < c->version_count; i++) {
		struct state s;
		struct flip f;

		if (!is_chosen(c, i))
			continue;
		f = before_flip(c, i, &s);
		torn_flip(&f, &s);
		state_clear(&s);
	}
}

/* --- journals that are not to be believed --- */

/*
 * The image must hold the same after recovery, whatever recovery thinks; or be whole, where it was
 * not and the damage is in a byte of the journal that does not count.
 */
static void expect_same(struct campaign *c, struct state *s, const char *what)
{
	struct buffer_file file;
	struct content before, after;
	struct qc_file *guard;
	struct qc_recover_plan plan;
	struct qc_err err;
	const char *broken;
	bool same;

	c->tally->states++;
	c->tally->false_journals++;
	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	content_of(&file.base, &before);
	guard = guard_file_open(&file.base, &file.base);
	if (qc_recover_look(guard, &plan, &err) == 0)
		(void)qc_recover_apply(guard, &plan, &err);
	broken = promises_close(guard);
	content_of(&file.base, &after);
	same = content_is_same(&before, &after) || (!before.readable && !after.readable);
	if (broken)
		fail(c, s, broken);
	else if (!same && (is_a_version(s, &before) || !is_a_version(s, &after)))
		fail(c, s, what);
	else if (!campaign_check(c, &file))
		fail(c, s, "qemu-img check objects to an image with a journal that is not its own");
	buffer_file_clear(&file);
}

static void damage(struct campaign *c, struct state *s, uint64_t journal, const char *what)
{
	uint64_t step = c->quick ? 37 : 5;

	for (uint64_t at = journal; at < s->size; at += step) {
		uint8_t flipped = s->bytes[at] ^ (uint8_t)(1 << at % 8);
		size_t mark = state_mark(s);

		state_write(s, at, 1, &flipped);
		expect_same(c, s, what);
		state_rewind(s, mark);
	}
	for (uint64_t cut = s->size - 1; cut > journal; cut -= cut - journal > 64 ? 61 : 1) {
		size_t mark = state_mark(s);

		state_resize(s, cut);
		expect_same(c, s, what);
		state_rewind(s, mark);
		if (c->quick && cut < s->size - 600)
			break;
	}
}

/* The last write before the barrier starts or continues the journal, which ends the file. */
static uint64_t journal_at(const struct state *s)
{
	struct qc_recover_plan plan;
	struct buffer_file file;
	struct qc_err err;

	buffer_file_init(&file);
	buffer_file_show(&file, s->bytes, s->size);
	must(qc_recover_look(&file.base, &plan, &err) == 0 && plan.state != QC_RECOVER_CLEAN);
	return plan.journal.offset;
}

static void behind(struct campaign *c, const struct state *s, uint64_t journal,
		   struct image_bytes *image)
{
	uint64_t at = qc_max(image->size, journal), length = s->size - journal;
	struct state other;

	state_init(&other, image->bytes, image->size, at + length);
	state_write(&other, at, length, s->bytes + journal);
	expect_same(c, &other, "the journal of another image is believed");
	state_clear(&other);
	image_bytes_clear(image);
}

/* The journal of this commit, behind an image that has gone on or is another one. */
static void transplant(const struct flip *f, const struct state *s, uint64_t journal)
{
	struct campaign *c = f->campaign;
	const struct image_bytes *new = &c->versions[f->number + 1];
	struct image_bytes image = {0};

	image_bytes_copy(&image, new->bytes, new->size);
	behind(c, s, journal, &image);
	image_kind_build(&image_kinds[c->image == image_kinds], &image);
	behind(c, s, journal, &image);
	image_bytes_copy(&image, new->bytes, new->size);
	edit_bytes(&edit_after_crash, 901, &image, NULL, NULL);
	behind(c, s, journal, &image);
}

static void false_journals(const struct flip *f, struct state *s)
{
	struct campaign *c = f->campaign;
	uint64_t journal = journal_at(s);
	uint8_t torn[SECTOR];

	damage(c, s, journal, "a damaged journal changes the old image");
	transplant(f, s, journal);
	state_write(s, 0, SECTOR, f->new);
	damage(c, s, journal, "a damaged journal changes the new image");
	memcpy(torn, f->old, SECTOR);
	memcpy(torn, f->new, 44); /* between size and L1 offset */
	state_write(s, 0, SECTOR, torn);
	if (memcmp(torn, f->old, SECTOR) != 0 && memcmp(torn, f->new, SECTOR) != 0)
		damage(c, s, journal, "a damaged journal is believed about a torn header");
}

void campaign_false_journals(struct campaign *c)
{
	for (size_t i = 0; i + 1 < c->version_count; i++) {
		struct state s;
		struct flip f;

		if (!is_chosen(c, i))
			continue;
		f = before_flip(c, i, &s);
		false_journals(&f, &s);
		state_clear(&s);
	}
}
