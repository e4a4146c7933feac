// SPDX-License-Identifier: MIT
#include "crash/shown.h"

#include <string.h>
#include <xxhash.h>

#include "crash/must.h"

struct span {
	uint64_t file, first, count; /* in sectors */
};

/* The sectors that were looked at in states of that kind, without those that are given. */
struct view {
	uint64_t kind;
	struct span *spans; /* owned */
	size_t count;
};

void shown_clear(struct shown *shown)
{
	for (size_t i = 0; i < shown->count; i++)
		free(shown->views[i].spans);
	free(shown->views);
	known_clear(&shown->known);
	*shown = (struct shown){0};
}

/* All that is known of a state before anybody reads it. */
static uint64_t kind_of(const struct state *s, const struct given *given)
{
	const uint64_t numbers[] = {given->digest, s->size, s->beside ? s->beside->size : 0};

	return XXH3_64bits(numbers, sizeof(numbers));
}

static uint64_t digest_of(const struct state *s, const struct view *view)
{
	uint64_t digest =
		XXH3_64bits_withSeed(view->spans, view->count * sizeof(*view->spans), view->kind);

	for (size_t i = 0; i < view->count; i++) {
		const struct span *span = &view->spans[i];
		const struct state *file = span->file == 0 ? s : s->beside;

		digest = XXH3_64bits_withSeed(file->bytes + span->first * SECTOR,
					      (size_t)(span->count * SECTOR), digest);
	}
	return digest;
}

bool shown_covers(const struct shown *shown, const struct state *s, const struct given *given)
{
	uint64_t kind = kind_of(s, given);

	for (size_t i = 0; i < shown->count; i++)
		if (shown->views[i].kind == kind
		    && known_has(&shown->known, digest_of(s, &shown->views[i])))
			return true;
	return false;
}

/* --- adding --- */

static bool is_given(const struct given *given, unsigned int file, uint64_t sector)
{
	return given->used && file == 0 && (sector == 0 || qc_bitset_has(given->used, sector));
}

static void add_sector(struct view *view, unsigned int file, uint64_t sector)
{
	struct span *last = view->count ? &view->spans[view->count - 1] : NULL;

	if (last && last->file == file && last->first + last->count == sector) {
		last->count++;
		return;
	}
	view->spans = realloc(view->spans, (view->count + 1) * sizeof(*view->spans));
	must(view->spans);
	view->spans[view->count++] = (struct span){file, sector, 1};
}

static struct view view_of(const struct state *s, const struct given *given,
			   const struct sight *sight)
{
	struct view view = {.kind = kind_of(s, given)};

	for (unsigned int file = 0; file < CRASH_FILES; file++) {
		const struct qc_bitset *seen = &sight->files[file].seen;

		for (uint64_t i = qc_bitset_next(seen, 0); i < seen->bits;
		     i = qc_bitset_next(seen, i + 1))
			if (!is_given(given, file, i))
				add_sector(&view, file, i);
	}
	return view;
}

static bool is_known(const struct shown *shown, const struct view *view)
{
	for (size_t i = 0; i < shown->count; i++)
		if (shown->views[i].kind == view->kind && shown->views[i].count == view->count
		    && (view->count == 0
			|| memcmp(shown->views[i].spans, view->spans,
				  view->count * sizeof(*view->spans))
				   == 0))
			return true;
	return false;
}

bool shown_add(struct shown *shown, const struct state *s, const struct given *given,
	       const struct sight *sight)
{
	struct view view = view_of(s, given, sight);
	bool is_new = !known_put(&shown->known, digest_of(s, &view));

	if (is_known(shown, &view)) {
		free(view.spans);
		return is_new;
	}
	if (shown->count == shown->room) {
		shown->room = shown->room ? 2 * shown->room : 64;
		shown->views = realloc(shown->views, shown->room * sizeof(*shown->views));
		must(shown->views);
	}
	shown->views[shown->count++] = view;
	return is_new;
}
