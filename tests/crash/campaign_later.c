// SPDX-License-Identifier: MIT
/*
 * After a crash somebody goes on: with an edit of ours, with the one that was cut short, or, as if
 * nothing had happened, as a guest of QEMU's; and qemu-img check looks. All of them must end as they
 * do with the version that the state is; so the edit that was cut short ends in the last version.
 */
#include "crash/campaign.h"

#include <string.h>

#include "base/checked.h"
#include "crash/must.h"
#include "crash/referee.h"

#define BLANK 0xee

/*
 * What the version does not use, and nobody has written since, must not matter any more: it becomes
 * something that no version holds.
 */
static void blank(const struct version *v, const struct sight *sight, struct image_bytes *image)
{
	const struct sight_file *f = &sight->files[0];
	uint64_t sectors = qc_min(f->sectors, image->size / SECTOR);

	for (uint64_t i = 1; i < sectors; i++)
		if (!qc_bitset_has(&v->used, i) && !qc_bitset_has(&f->changed, i))
			memset(image->bytes + i * SECTOR, BLANK, SECTOR);
}

static void see(const struct version *v, const struct sight *sight, struct image_bytes *image,
		struct content *ret)
{
	struct buffer_file file;

	if (sight)
		blank(v, sight, image);
	buffer_file_init(&file);
	buffer_file_show(&file, image->bytes, image->size);
	content_of(&file.base, ret);
}

static void run_edit(const struct campaign *c, const struct version *v, struct image_bytes *image,
		     struct sight *sight, struct content *ret)
{
	edit_bytes(campaign_next_edit(c, &v->content), 900, image, NULL, sight);
	see(v, sight, image, ret);
}

static void run_again(const struct campaign *c, const struct version *v, struct image_bytes *image,
		      struct sight *sight, struct content *ret)
{
	edit_bytes(c->edit, 100, image, NULL, sight);
	see(v, sight, image, ret);
}

static void run_guest(const struct campaign *c, const struct version *v, struct image_bytes *image,
		      struct sight *sight, struct content *ret)
{
	uint64_t cluster = UINT64_C(1) << c->image->cluster_bits;

	*ret = (struct content){0};
	if (referee_writes(image, cluster / 2, cluster, sight))
		see(v, sight, image, ret);
}

/* Has nothing to tell of the content. */
static void run_check(const struct campaign *c, const struct version *v, struct image_bytes *image,
		      struct sight *sight, struct content *ret)
{
	(void)c;
	*ret = v->content;
	ret->readable = referee_checks(image->bytes, image->size, sight);
}

static const struct program {
	void (*run)(const struct campaign *c, const struct version *v, struct image_bytes *image,
		    struct sight *sight, struct content *ret);
	const char *otherwise;
} programs[LATERS] = {
	[LATER_EDIT] = {run_edit, "the next transaction meets something else"},
	[LATER_AGAIN] = {run_again, "done again, it ends in something else"},
	[LATER_GUEST] = {run_guest, "a guest that goes on meets something else"},
	[LATER_CHECK] = {run_check, "qemu-img check objects"},
};

static void run_on(const struct campaign *c, enum later later, const struct version *v,
		   const uint8_t *bytes, uint64_t size, struct sight *sight, struct content *ret)
{
	struct image_bytes image;

	image_bytes_copy(&image, bytes, size);
	programs[later].run(c, v, &image, sight, ret);
	image_bytes_clear(&image);
}

/* What comes out of the version. */
static const struct content *outcome(struct campaign *c, enum later later, const struct version *v)
{
	const struct content *known = later_outcome(&c->later, later, v->digest);
	struct content content;

	if (known)
		return known;
	run_on(c, later, v, v->bytes, v->size, NULL, &content);
	must(content_is_sound(&content));
	must(later != LATER_EDIT || !content_is_same(&content, &v->content));
	return later_set_outcome(&c->later, later, v->digest, &content);
}

/* What the first crash cut short ends, when it is done again, as if it had not been. */
static bool ends_well(const struct run_context *run, enum later later, const struct state *s,
		      const struct version *v, const struct content *content)
{
	struct campaign *c = run->campaign;

	if (later == LATER_AGAIN && run->depth == 0
	    && !content_is_same(content, &s->versions[c->version_count - 1].content))
		return false;
	return content_is_same(content, outcome(c, later, v));
}

/* Whether all that the run did not see may be anything: then it does the same again. */
static bool sees_all_that_matters(const struct campaign *c, enum later later,
				  const struct version *v, const struct state *s,
				  const struct sight *sight, const struct content *content)
{
	struct image_bytes garbled;
	struct content again;
	struct sight second;
	bool same;

	image_bytes_copy(&garbled, s->bytes, s->size);
	sight_garble(sight, 0, &v->used, &garbled);
	sight_begin(&second, s->size, 0);
	run_on(c, later, v, garbled.bytes, garbled.size, &second, &again);
	same = content_is_same(content, &again) && sight_is_same(sight, &second);
	sight_clear(&second);
	image_bytes_clear(&garbled);
	return same;
}

static void meet(struct run_context *run, enum later later, struct state *s,
		 const struct crash_spec *spec, const struct version *v, bool anyway)
{
	struct campaign *c = run->campaign;
	const struct given given = {v->digest, &v->used};
	bool covered = shown_covers(&c->later.shown[later], s, &given);
	struct sight sight;
	struct content content;
	uint64_t start;

	c->tally->met[later]++;
	if (covered && !anyway)
		return;
	c->tally->tried[later]++;
	start = later_now_usec();
	sight_begin(&sight, s->size, 0);
	run_on(c, later, v, s->bytes, s->size, &sight, &content);
	if (!ends_well(run, later, s, v, &content))
		campaign_fail(run, s, spec, &c->tally->disagreed, programs[later].otherwise);
	if ((shown_add(&c->later.shown[later], s, &given, &sight) && covered)
	    || (c->tally->tried[later] % LATER_TWICE == 1
		&& !sees_all_that_matters(c, later, v, s, &sight, &content)))
		campaign_fail(run, s, spec, &c->tally->disagreed, later_otherwise);
	sight_clear(&sight);
	c->tally->later_usec += later_now_usec() - start;
}

void campaign_later(struct run_context *run, struct state *s, const struct crash_spec *spec,
		    size_t v)
{
	const struct version *version = &s->versions[v];
	const struct campaign *c = run->campaign;

	meet(run, LATER_EDIT, s, spec, version, false);
	if (c->edit->again)
		meet(run, LATER_AGAIN, s, spec, version, false);
	if (!content_is_sound(&version->content))
		return; /* QEMU would not touch it */
	meet(run, LATER_GUEST, s, spec, version, false);
	meet(run, LATER_CHECK, s, spec, version, campaign_samples(c, c->sample));
}

bool campaign_check(struct campaign *c, struct buffer_file *file)
{
	struct content content;

	if (!campaign_samples(c, c->sample))
		return true;
	content_of(&file->base, &content);
	if (!content_is_sound(&content))
		return true;
	c->tally->met[LATER_CHECK]++;
	c->tally->tried[LATER_CHECK]++;
	return referee_checks(file->bytes, file->base.bytes, NULL);
}
