// SPDX-License-Identifier: MIT
/* Storage that tears a sector, where sector 0 also says whether the data file is complete. */
#include <string.h>

#include "crash/must.h"
#include "crash/pair.h"
#include "format/disk_layout.h"
#include "txn/redo.h"

struct tear {
	struct pair_campaign *c;
	struct state *s;
	const uint8_t *old, *new;	      /* the two headers */
	const struct content *before, *after; /* the versions that they lead to; perhaps the same */
	/* New, but for the mark: what it leads to, with the data file as it is before it is written to. */
	uint8_t unmarked[SECTOR];
	struct content bare;
	bool guards; /* the new header is marked */
};

static void judge_torn(struct tear *t)
{
	struct tally *tally = t->c->tally;
	struct pair settled = {0};
	struct pair_seen seen;

	t->c->event++;
	tally->states++;
	tally->torn_headers++;
	pair_see(t->s, NULL, &seen);
	tally->torn_doubtful += seen.doubtful;
	if (t->guards && memcmp(t->s->bytes, t->unmarked, SECTOR) == 0) {
		/* As if somebody had taken the mark away: the bytes in the data file are what there is. */
		if (seen.why || seen.pending || seen.changed || seen.doubtful
		    || !content_is_same(&seen.content, &t->bare))
			pair_fail(t->c, &tally->torn,
				  "a header that lacks the mark ends elsewhere");
	} else if (seen.why) {
		pair_fail(t->c, &tally->torn, seen.why);
	} else if (!content_is_same(&seen.content, t->after)
		   && (seen.doubtful || !content_is_same(&seen.content, t->before))) {
		pair_fail(t->c, &tally->torn, "a torn header ends in neither old nor new");
	}
	pair_recovered(&settled);
	pair_check(t->c, &settled);
	pair_clear(&settled);
}

static void tear_everywhere(struct tear *t)
{
	uint8_t torn[SECTOR];

	for (size_t i = 0; i < 2 * SECTOR; i++) {
		const uint8_t *first = i % 2 ? t->old : t->new, *last = i % 2 ? t->new : t->old;
		size_t cut = i / 2, mark = state_mark(t->s);

		/* Where the two have a byte in common, the next cut makes the same sector. */
		if (cut > 0 && t->old[cut - 1] == t->new[cut - 1])
			continue;
		memcpy(torn, first, cut);
		memcpy(torn + cut, last + cut, SECTOR - cut);
		state_write(t->s, 0, SECTOR, torn);
		judge_torn(t);
		state_rewind(t->s, mark);
	}
}

/* The write `at` of the log, which leads from one version to the next or ends in one. */
static void tear_flip(struct pair_campaign *c, struct state *s, size_t at)
{
	const uint8_t *new = c->log.ops[at].bytes;
	size_t version = 0, mark = state_mark(s);
	uint8_t old[SECTOR];
	struct tear t = {.c = c, .s = s, .old = old, .new = new};
	struct pair bare = {0};

	while (version + 1 < c->version_count && c->versions[version + 1].flip <= at)
		version++;
	t.after = &c->versions[version].content;
	t.before = version > 0 && c->versions[version].flip == at
			   ? &c->versions[version - 1].content
			   : t.after;
	memcpy(old, s->bytes, SECTOR);
	qc_redo_final(new, t.unmarked);
	t.guards = memcmp(new, t.unmarked, SECTOR) != 0;
	state_write(s, 0, SECTOR, t.unmarked);
	pair_take(&bare, s);
	state_rewind(s, mark);
	pair_content(&bare.image, &bare.data, NULL, &t.bare);
	pair_clear(&bare);
	tear_everywhere(&t);
}

void pair_torn_headers(struct pair_campaign *c)
{
	struct state s, data;

	pair_state_init(&s, &data, &c->base, &c->log);
	for (size_t i = 0; i < c->log.count; i++) {
		if (crash_log_flip(&c->log, i) == i
		    && memcmp(s.bytes, c->log.ops[i].bytes, SECTOR) != 0)
			tear_flip(c, &s, i);
		crash_apply(&s, &c->log.ops[i]);
	}
	pair_state_clear(&s, &data);
}
