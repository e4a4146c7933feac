// SPDX-License-Identifier: MIT
/* What stands for a state that is not shown to a program must be all that the program could see of it. */
#include "crash/campaign.h"
#include "crash/control.h"
#include "crash/must.h"

#define SECTORS 16

static void report(bool ok, const char *what, unsigned int *passed, unsigned int *failed)
{
	printf("%s control: %s\n", ok ? "ok" : "not ok", what);
	*(ok ? passed : failed) += 1;
}

/* --- a made up program --- */

/*
 * Reads sector 3, and 6. It keeps a part of 7. It also reads 5, 7 and 13, but these are its own by
 * then: it has written to them, or cut them off.
 */
static void pretend(struct sight *sight)
{
	sight_begin(sight, SECTORS * SECTOR, 0);
	sight_read(sight, 0, 3 * SECTOR + 10, 20);
	sight_change(sight, 0, 5 * SECTOR, SECTOR);
	sight_change(sight, 0, 7 * SECTOR + 100, 50);
	sight_resize(sight, 0, 12 * SECTOR);
	sight_read(sight, 0, 5 * SECTOR, 3 * SECTOR);
	sight_read(sight, 0, 13 * SECTOR, SECTOR);
}

static bool covers_without(const struct shown *shown, struct state *s, const struct given *given,
			   uint64_t sector)
{
	size_t mark = state_mark(s);
	bool ret;

	state_fill(s, sector * SECTOR + 50, 1, 0x5a);
	ret = shown_covers(shown, s, given);
	state_rewind(s, mark);
	return ret;
}

static bool tells_apart(const struct given *given, const bool matters[SECTORS])
{
	const uint8_t nothing[SECTORS * SECTOR] = {0};
	const struct given other = {given->digest + 1, given->used};
	struct shown shown = {0};
	struct sight sight = {0};
	struct state s;
	bool ok;

	state_init(&s, nothing, sizeof(nothing), sizeof(nothing));
	pretend(&sight);
	ok = !shown_covers(&shown, &s, given) && shown_add(&shown, &s, given, &sight)
	     && shown_covers(&shown, &s, given) && !shown_covers(&shown, &s, &other)
	     && !shown_add(&shown, &s, given, &sight);
	for (uint64_t i = 0; i < SECTORS; i++)
		ok = ok && covers_without(&shown, &s, given, i) == !matters[i];
	state_resize(&s, (SECTORS - 1) * SECTOR);
	ok = ok && !shown_covers(&shown, &s, given);
	sight_clear(&sight);
	shown_clear(&shown);
	state_clear(&s);
	return ok;
}

static bool only_what_is_read_counts(void)
{
	const bool all[SECTORS] = {[3] = true, [6] = true, [7] = true};
	const bool but_the_third[SECTORS] = {[6] = true, [7] = true};
	struct qc_bitset used;
	bool ok;

	must(qc_bitset_init(&used, SECTORS));
	qc_bitset_add(&used, 3);
	ok = tells_apart(&(struct given){1, NULL}, all)
	     && tells_apart(&(struct given){1, &used}, but_the_third);
	qc_bitset_clear(&used);
	return ok;
}

/* --- the next edit --- */

static void edit_after(const struct image_bytes *before, struct sight *sight,
		       struct image_bytes *after)
{
	sight_begin(sight, before->size, 0);
	image_bytes_copy(after, before->bytes, before->size);
	edit_bytes(&edit_after_crash, 900, after, NULL, sight);
}

/* Where it has written, the same; elsewhere, what there was. */
static bool did_the_same(const struct sight *sight, const struct image_bytes *a,
			 const struct image_bytes *before, const struct image_bytes *b)
{
	bool same = a->size == b->size;

	for (uint64_t i = 0; same && i < a->size; i++) {
		bool kept = i < before->size
			    && !qc_bitset_has(&sight->files[0].changed, i / SECTOR);

		same = b->bytes[i] == (kept ? before->bytes[i] : a->bytes[i]);
	}
	return same;
}

/* An interrupted transaction, of which only what an edit reads stays as it was. */
static bool unseen_bytes_do_not_matter(void)
{
	struct tally tally = {0};
	struct campaign c = {.tally = &tally};
	struct image_bytes image = {0}, after = {0}, again = {0};
	struct sight sight = {0}, second = {0};
	bool ok;

	campaign_open(&c, &image_kinds[9], &edit_kinds[3]);
	image_bytes_copy(&image, c.versions[0].bytes, c.versions[0].size);
	crash_log_apply(&c.log, 0, c.flips[0], &image);
	edit_after(&image, &sight, &after);
	sight_garble(&sight, 0, NULL, &image);
	edit_after(&image, &second, &again);
	ok = sight_is_same(&sight, &second) && did_the_same(&sight, &after, &image, &again);
	image_bytes_clear(&image);
	image_bytes_clear(&after);
	image_bytes_clear(&again);
	sight_clear(&sight);
	sight_clear(&second);
	campaign_close(&c);
	return ok;
}

void control_sight(unsigned int *passed, unsigned int *failed)
{
	report(only_what_is_read_counts(), "who reads a sector can tell states apart by it", passed,
	       failed);
	report(unseen_bytes_do_not_matter(), "an edit does the same whatever it does not read is",
	       passed, failed);
}
