// SPDX-License-Identifier: MIT
/*
 * Beyond the promise: storage that tears a sector. Recovery must still end in the old or the new
 * image, as long as the journal is there and the torn sector does not happen to make sense. And journals that do not belong to the image, or that
 * were damaged, must be without any effect.
 */
#include "crash/campaign.h"

#include <string.h>

#include "crash/buffer_file.h"
#include "crash/must.h"
#include "format/disk_layout.h"
#include "txn/recover.h"
#include "txn/verify.h"

/* Everything up to the barrier is there; the flip is torn. */
static void before_flip(struct campaign *c, struct state *s, size_t *ret_flip)
{
	struct crash_spec *spec = calloc(1, sizeof(*spec));

	must(spec);
	*ret_flip = crash_log_flip(&c->log, 0);
	must(*ret_flip < c->log.count && c->log.ops[*ret_flip].length == SECTOR);
	spec->durable = *ret_flip;
	spec->torn = STATE_NONE;
	state_init(s, c->old.bytes, c->old.size, crash_log_room(&c->log, c->old.size));
	state_add_version(s, c->old.bytes, c->old.size);
	state_add_version(s, c->new.bytes, c->new.size);
	crash_make(s, &c->log, spec);
	free(spec);
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
	campaign_fail(&run, s, spec, &c->tally->torn, what);
	free(spec);
}

/* Whether the content is old or new; autoclear bits may have been cleared, but not have come back. */
static bool is_a_version(const struct state *s, const struct content *content)
{
	if (!content_is_sound(content))
		return false;
	for (size_t i = 0; i < s->version_count; i++)
		if (content->digest == s->versions[i].content.digest
		    && (content->autoclear & ~s->versions[i].content.autoclear) == 0)
			return true;
	return false;
}

static bool holds_a_version(const struct state *s, struct qc_file *file)
{
	struct content content;

	content_of(file, &content);
	return is_a_version(s, &content);
}

/* Each state of the recovery's own crash is recovered again. */
struct again {
	struct campaign *campaign;
	const struct state *versions;
	bool ok;
};

static bool judge_again(void *context, struct state *s, const struct crash_spec *spec)
{
	struct again *again = context;
	struct crash_log log = {0};
	struct buffer_file file;
	const char *why;

	(void)spec;
	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	again->campaign->tally->states++;
	again->campaign->tally->nested++;
	again->campaign->tally->recovered++;
	if (!recover_once(&file.base, &log, &why) || !holds_a_version(again->versions, &file.base))
		again->ok = false;
	crash_log_clear(&log);
	buffer_file_clear(&file);
	return again->ok;
}

/*
 * Recovery never writes over a sector 0 that makes sense, since it could be another program's work
 * and the journal a guest's (docs/TRANSACTIONS.md). So where both parts of a torn one make sense
 * together it stays, and that is no failure. It must stay to the bit, though.
 */
static bool makes_sense_and_stayed(const struct state *s, struct qc_file *file)
{
	struct qc_verdict verdict;
	uint8_t now[SECTOR];
	struct qc_err err;

	return qc_file_read(file, 0, now, sizeof(now), &err) == 0
	       && memcmp(now, s->bytes, sizeof(now)) == 0
	       && qc_verify_sector(file, now, 0, 0, &verdict, &err) == 0 && verdict.sound;
}

static void recover_torn(struct campaign *c, struct state *s, bool nested)
{
	struct crash_log log = {0};
	struct buffer_file file;
	const char *why;

	c->tally->states++;
	c->tally->torn_headers++;
	c->tally->recovered++;
	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	if (!recover_once(&file.base, &log, &why)) {
		fail(c, s, why);
	} else if (!holds_a_version(s, &file.base)) {
		if (makes_sense_and_stayed(s, &file.base))
			c->tally->torn_left++;
		else
			fail(c, s, "a torn header ends in neither old nor new");
	} else if (nested && log.count > 0) {
		struct state inner;
		struct again again = {c, s, true};
		struct crash_run run = {.state = &inner,
					.log = &log,
					.no_tears = true,
					.judge = judge_again,
					.context = &again};

		state_init(&inner, s->bytes, s->size, crash_log_room(&log, s->size));
		crash_enumerate(&run);
		state_clear(&inner);
		if (!again.ok)
			fail(c, s, "a crash while a torn header is recovered ends in neither");
	}
	crash_log_clear(&log);
	buffer_file_clear(&file);
}

void campaign_torn_headers(struct campaign *c)
{
	uint8_t torn[SECTOR], last[SECTOR];
	const uint8_t *old = c->old.bytes, *new;
	struct state s;
	size_t flip;

	before_flip(c, &s, &flip);
	new = c->log.ops[flip].bytes;
	memset(last, 0, sizeof(last));
	for (size_t i = 0; i < 2 * SECTOR; i++) {
		size_t cut = i / 2, mark = state_mark(&s);

		memcpy(torn, i % 2 ? old : new, cut);
		memcpy(torn + cut, (i % 2 ? new : old) + cut, SECTOR - cut);
		state_write(&s, 0, SECTOR, torn);
		/* Where the two have a byte in common, the next cut makes the same sector. */
		if (cut == 0 || old[cut - 1] != new[cut - 1])
			recover_torn(c, &s, !c->quick || cut % 8 == 4);
		else
			c->tally->torn_headers++;
		state_rewind(&s, mark);
	}
	state_clear(&s);
}

/* --- journals that are not to be believed --- */

/*
 * The image must hold the same after recovery, whatever recovery thinks; or be whole, where it was
 * not and the damage is in a byte of the journal that does not count.
 */
static void expect_same(struct campaign *c, struct state *s, const char *what)
{
	struct crash_log log = {0};
	struct buffer_file file;
	struct content before, after;
	struct qc_file *watched;
	struct qc_recover_plan plan;
	struct qc_err err;
	bool same;

	c->tally->states++;
	c->tally->false_journals++;
	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	content_of(&file.base, &before);
	watched = record_file_open(&file.base, &log);
	if (qc_recover_look(watched, &plan, &err) == 0)
		(void)qc_recover_apply(watched, &plan, &err);
	qc_file_close(watched);
	content_of(&file.base, &after);
	same = before.digest == after.digest && before.readable == after.readable
	       && before.autoclear == after.autoclear && before.leaks == after.leaks
	       && before.corruptions == after.corruptions;
	if (!same && (is_a_version(s, &before) || !is_a_version(s, &after)))
		fail(c, s, what);
	crash_log_clear(&log);
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

/* The journal of this edit, behind an image that has gone on or is another one. */
static void transplant(struct campaign *c, struct state *s, uint64_t journal)
{
	const struct image_kind *kind = c->image;
	const struct image_kind *other =
		&image_kinds[(size_t)(kind - image_kinds + 1) % image_kind_count];
	uint64_t length = s->size - journal;
	struct image_bytes images[3] = {0};

	image_bytes_copy(&images[0], c->new.bytes, c->new.size);
	image_kind_build(other, &images[1]);
	image_bytes_copy(&images[2], c->new.bytes, c->new.size);
	{
		struct crash_log log = {0};
		struct buffer_file file;

		buffer_file_init(&file);
		buffer_file_set(&file, images[2].bytes, images[2].size);
		edit_run(&edit_after_crash, 901, &file.base, &log);
		image_bytes_clear(&images[2]);
		image_bytes_copy(&images[2], file.bytes, file.base.bytes);
		crash_log_clear(&log);
		buffer_file_clear(&file);
	}
	for (size_t i = 0; i < 3; i++) {
		struct state behind;
		uint64_t at = images[i].size > journal ? images[i].size : journal;

		state_init(&behind, images[i].bytes, images[i].size, at + length);
		state_write(&behind, at, length, s->bytes + journal);
		expect_same(c, &behind, "the journal of another image is believed");
		state_clear(&behind);
		image_bytes_clear(&images[i]);
	}
}

void campaign_false_journals(struct campaign *c)
{
	const uint8_t *new;
	uint8_t torn[SECTOR];
	uint64_t journal;
	struct state s;
	size_t flip;

	before_flip(c, &s, &flip);
	new = c->log.ops[flip].bytes;
	journal = journal_at(&s);
	damage(c, &s, journal, "a damaged journal changes the old image");
	transplant(c, &s, journal);
	state_write(&s, 0, SECTOR, new);
	damage(c, &s, journal, "a damaged journal changes the new image");
	memcpy(torn, c->old.bytes, SECTOR);
	memcpy(torn, new, 44); /* between size and L1 offset */
	state_write(&s, 0, SECTOR, torn);
	if (memcmp(torn, c->old.bytes, SECTOR) != 0 && memcmp(torn, new, SECTOR) != 0)
		damage(c, &s, journal, "a damaged journal is believed about a torn header");
	state_clear(&s);
}
