// SPDX-License-Identifier: MIT
/* What campaign_later.c does, to an image and its data file. */
#include <string.h>
#include <xxhash.h>

#include "crash/must.h"
#include "crash/pair.h"
#include "crash/referee.h"
#include "format/disk_layout.h"
#include "format/features.h"

#define SAMPLE 100u

static void run_edit(const struct pair_campaign *c, struct pair *pair, struct sight *sight,
		     struct content *ret)
{
	(void)c;
	pair_edit(&edit_after_crash, 900, pair, NULL, sight);
	pair_content(&pair->image, &pair->data, sight, ret);
}

static void run_again(const struct pair_campaign *c, struct pair *pair, struct sight *sight,
		      struct content *ret)
{
	pair_edit(c->edit, 100, pair, NULL, sight);
	pair_content(&pair->image, &pair->data, sight, ret);
}

/* Not readable: it was refused. */
static void run_guest(const struct pair_campaign *c, struct pair *pair, struct sight *sight,
		      struct content *ret)
{
	uint64_t cluster = UINT64_C(1) << c->kind->cluster_bits;
	bool done;

	folder_put("data", pair->data.bytes, pair->data.size);
	done = referee_writes(&pair->image, cluster / 2, cluster, sight);
	folder_get("data", &pair->data);
	*ret = (struct content){0};
	if (done)
		pair_content(&pair->image, &pair->data, sight, ret);
}

static void run_check(const struct pair_campaign *c, struct pair *pair, struct sight *sight,
		      struct content *ret)
{
	(void)c;
	folder_put("data", pair->data.bytes, pair->data.size);
	*ret = (struct content){.readable =
					referee_checks(pair->image.bytes, pair->image.size, sight)};
}

static const struct program {
	void (*run)(const struct pair_campaign *c, struct pair *pair, struct sight *sight,
		    struct content *ret);
	const char *otherwise;
} programs[LATERS] = {
	[LATER_EDIT] = {run_edit, "the next transaction meets something else"},
	[LATER_AGAIN] = {run_again, "done again, it ends in something else"},
	[LATER_GUEST] = {run_guest, "a guest meets something else"},
	[LATER_CHECK] = {run_check, "qemu-img check objects"},
};

/* What comes out of the version. */
static const struct content *outcome(struct pair_campaign *c, enum later later,
				     const struct pair_version *v)
{
	const struct content *known = later_outcome(&c->later, later, v->content.digest);
	struct pair pair = {0};
	struct content content;

	if (known)
		return known;
	image_bytes_copy(&pair.image, v->pair.image.bytes, v->pair.image.size);
	image_bytes_copy(&pair.data, v->pair.data.bytes, v->pair.data.size);
	programs[later].run(c, &pair, NULL, &content);
	pair_clear(&pair);
	must(later == LATER_CHECK ? content.readable : content_is_sound(&content));
	return later_set_outcome(&c->later, later, v->content.digest, &content);
}

/* A guest may not write to what is to be redone: it is refused, and nothing changes. */
static bool is_refused(const struct state *s, const struct pair *after,
		       const struct content *content)
{
	return !content->readable && after->image.size == s->size
	       && after->data.size == s->beside->size
	       && memcmp(after->image.bytes, s->bytes, (size_t)s->size) == 0
	       && memcmp(after->data.bytes, s->beside->bytes, (size_t)s->beside->size) == 0;
}

/* Whether all that the run did not see may be anything: then it does the same again. */
static bool sees_all_that_matters(const struct pair_campaign *c, enum later later,
				  const struct state *s, const struct sight *sight,
				  const struct content *content)
{
	struct pair garbled = {0};
	struct content again;
	struct sight second;
	bool same;

	pair_take(&garbled, s);
	sight_garble(sight, 0, NULL, &garbled.image);
	sight_garble(sight, 1, NULL, &garbled.data);
	sight_begin(&second, s->size, s->beside->size);
	programs[later].run(c, &garbled, &second, &again);
	same = sight_is_same(sight, &second) && content->readable == again.readable
	       && (!content->readable || content_is_same(content, &again));
	sight_clear(&second);
	pair_clear(&garbled);
	return same;
}

/* What the first crash cut short ends, when it is done again, as if it had not been. */
static bool ends_well(struct pair_campaign *c, enum later later, const struct pair_version *v,
		      bool first, const struct content *content)
{
	if (later == LATER_AGAIN && first
	    && !content_is_same(content, &c->versions[c->version_count - 1].content))
		return false;
	return content_is_same(content, outcome(c, later, v));
}

static void meet(struct pair_campaign *c, enum later later, const struct state *s,
		 const struct pair_version *v, bool pending, bool first, bool anyway)
{
	const uint64_t numbers[] = {v->content.digest, pending};
	const struct given given = {.digest = XXH3_64bits(numbers, sizeof(numbers))};
	struct shown *shown = &c->later.shown[later];
	bool covered = shown_covers(shown, s, &given), ok;
	struct pair pair = {0};
	struct sight sight;
	struct content content;
	uint64_t start;

	c->tally->met[later]++;
	if (covered && !anyway)
		return;
	c->tally->tried[later]++;
	start = later_now_usec();
	pair_take(&pair, s);
	sight_begin(&sight, s->size, s->beside->size);
	programs[later].run(c, &pair, &sight, &content);
	ok = pending && later == LATER_GUEST ? is_refused(s, &pair, &content)
					     : ends_well(c, later, v, first, &content);
	if (!ok)
		pair_fail(c, &c->tally->disagreed, programs[later].otherwise);
	if ((shown_add(shown, s, &given, &sight) && covered)
	    || (c->tally->tried[later] % LATER_TWICE == 1
		&& !sees_all_that_matters(c, later, s, &sight, &content)))
		pair_fail(c, &c->tally->disagreed, later_otherwise);
	sight_clear(&sight);
	c->tally->later_usec += later_now_usec() - start;
	pair_clear(&pair);
}

/* The data file is not looked into, so that only its length counts. */
static void check_settled(struct pair_campaign *c, const struct pair *settled)
{
	const struct image_bytes *image = &settled->image;
	uint64_t digest =
		XXH3_64bits_withSeed(image->bytes, (size_t)image->size, settled->data.size);
	struct sight sight;

	if (known_put(&c->settled, digest) && !pair_samples(c, SAMPLE))
		return;
	c->tally->tried[LATER_CHECK]++;
	sight_begin(&sight, image->size, settled->data.size);
	folder_put("data", settled->data.bytes, settled->data.size);
	if (!referee_checks(image->bytes, image->size, &sight))
		pair_fail(c, &c->tally->disagreed, programs[LATER_CHECK].otherwise);
	must(qc_bitset_end(&sight.files[1].seen) == 0);
	sight_clear(&sight);
}

/* Once it is recovered it is another state, if only there was something to recover. */
void pair_later(struct pair_campaign *c, const struct state *s, const struct pair_version *v,
		const struct pair *settled, bool pending, bool first)
{
	bool sampled = pair_samples(c, SAMPLE);

	meet(c, LATER_EDIT, s, v, pending, first, false);
	if (c->edit->again)
		meet(c, LATER_AGAIN, s, v, pending, first, false);
	meet(c, LATER_GUEST, s, v, pending, first, false);
	if (pending)
		c->tally->met[LATER_CHECK]++;
	else
		meet(c, LATER_CHECK, s, v, false, first, sampled);
	if (pending || sampled)
		check_settled(c, settled);
}

void pair_check(struct pair_campaign *c, const struct pair *pair)
{
	struct content content;

	if (!pair_samples(c, SAMPLE)
	    || qc_load_be64(pair->image.bytes
			    + offsetof(struct qc_disk_header, incompatible_features))
		       & QC_INCOMPAT_CORRUPT)
		return;
	pair_content(&pair->image, &pair->data, NULL, &content);
	if (!content_is_sound(&content))
		return;
	c->tally->met[LATER_CHECK]++;
	check_settled(c, pair);
}

bool pair_samples(const struct pair_campaign *c, uint64_t every)
{
	uint64_t x = c->tally->states * UINT64_C(0x9e3779b97f4a7c15);

	return (x >> 32) % every == 0;
}
