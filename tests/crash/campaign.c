// SPDX-License-Identifier: MIT
#include "crash/campaign.h"

#include <string.h>

#include "crash/buffer_file.h"
#include "crash/marks.h"
#include "crash/must.h"
#include "crash/save.h"

/* The log has a version for each write that changes sector 0. */
static void find_versions(struct campaign *c)
{
	struct image_bytes now = {0};

	image_bytes_copy(&now, c->versions[0].bytes, c->versions[0].size);
	for (size_t i = 0; i < c->log.count; i++) {
		const struct crash_op *op = &c->log.ops[i];
		bool is_flip = crash_log_flip(&c->log, i) == i
			       && memcmp(now.bytes, op->bytes, (size_t)op->length) != 0;

		crash_log_apply(&c->log, i, i + 1, &now);
		if (!is_flip)
			continue;
		must(op->length == SECTOR && c->version_count < VERSIONS_MAX);
		c->flips[c->version_count - 1] = i;
		image_bytes_copy(&c->versions[c->version_count++], now.bytes, now.size);
	}
	image_bytes_clear(&now);
}

/* An edit ends in a sound image, and begins with one unless it is there to repair it. */
static void expect_sound(const struct campaign *c)
{
	for (size_t i = 0; i < c->version_count; i++) {
		struct buffer_file file;
		struct content content;

		buffer_file_init(&file);
		buffer_file_show(&file, c->versions[i].bytes, c->versions[i].size);
		content_of(&file.base, &content);
		must(content.readable);
		must(content_is_sound(&content) == (i > 0 || c->image->damage == DAMAGE_NONE));
	}
}

/* Some verbs move what there is, or get it from elsewhere; nobody who reads shall notice. */
static void expect_kept(struct campaign *c)
{
	const bool keeps = c->edit->verb == VERB_REBASE || c->edit->verb == VERB_DECOMPRESS;
	struct content first = {0}, content;

	for (size_t i = 0; keeps && i < c->version_count; i++) {
		struct buffer_file file;

		buffer_file_init(&file);
		buffer_file_show(&file, c->versions[i].bytes, c->versions[i].size);
		content_of(&file.base, &content);
		if (i == 0)
			first = content;
		if (content.active != first.active || content.rest != first.rest) {
			printf("# %s: commit %zu changes what the disk or a snapshot holds\n",
			       c->name, i);
			c->tally->disagreed++;
		}
	}
}

static void expect_marks(struct campaign *c)
{
	for (size_t i = 1; c->image->watched && i < c->version_count; i++)
		if (!marks_are_right(&c->versions[i - 1], &c->versions[i])) {
			printf("# %s: commit %zu is not marked in a bitmap\n", c->name, i);
			c->tally->disagreed++;
		}
}

void campaign_open(struct campaign *c, const struct image_kind *image, const struct edit_kind *edit)
{
	struct image_bytes done = {0};

	c->image = image;
	c->edit = edit;
	c->large = image->cluster_bits >= 16;
	image_kind_build(image, &c->versions[0]);
	c->version_count = 1;
	image_bytes_copy(&done, c->versions[0].bytes, c->versions[0].size);
	edit_bytes(edit, 100, &done, &c->log, NULL);
	image_bytes_clear(&done);
	find_versions(c);
	must(c->version_count > 1 || edit->verb == VERB_RECOVER);
	expect_sound(c);
	expect_kept(c);
	expect_marks(c);
}

void campaign_close(struct campaign *c)
{
	crash_log_clear(&c->log);
	later_clear(&c->later);
	for (size_t i = 0; i < c->version_count; i++)
		image_bytes_clear(&c->versions[i]);
}

void campaign_add_versions(const struct campaign *c, struct state *s, const struct crash_log *log,
			   size_t issued)
{
	for (size_t i = 0; i < c->version_count && (i == 0 || c->flips[i - 1] < issued); i++) {
		state_add_version(s, c->versions[i].bytes, c->versions[i].size);
		if (i + 1 < c->version_count && c->flips[i] < issued)
			s->versions[i].gone_at = crash_log_durable(log, c->flips[i]);
	}
}

const struct edit_kind *campaign_next_edit(const struct campaign *c, const struct content *content)
{
	return content_is_sound(content) ? &edit_after_crash : c->edit;
}

void campaign_fail(struct run_context *run, const struct state *s, const struct crash_spec *spec,
		   uint64_t *counter, const char *what)
{
	struct campaign *c = run->campaign;

	++*counter;
	if (c->saved++ >= 3)
		return; /* more of the same */
	printf("# %s: %s: crash in operations %zu..%zu of %zu, depth %u, size %s\n", c->name, what,
	       spec->durable, spec->durable + spec->doubted, run->log->count, run->depth,
	       crash_size_name(spec->size));
	if (c->save_folder)
		save_state(c->save_folder, c->name, c->saved, run, spec, s);
}

/* What is wrong with a state that is no version. */
static void classify(struct run_context *run, const struct state *s, const struct crash_spec *spec)
{
	struct tally *t = run->campaign->tally;
	struct buffer_file file;
	struct content content;

	buffer_file_init(&file);
	buffer_file_show(&file, s->bytes, s->size);
	content_of(&file.base, &content);
	if (!content.readable || content.corruptions > s->versions[0].content.corruptions) {
		campaign_fail(run, s, spec, &t->corrupt, "corrupt");
		return;
	}
	if (content.leaks > s->versions[0].content.leaks) {
		campaign_fail(run, s, spec, &t->leaked, "leaked clusters");
		return;
	}
	for (size_t i = 0; i < s->version_count; i++) {
		if (content.digest != s->versions[i].content.digest)
			continue;
		if (spec->durable >= s->versions[i].gone_at)
			campaign_fail(run, s, spec, &t->lost, "lost after success");
		else
			campaign_fail(run, s, spec, &t->disagreed, "differs where nothing shows");
		return;
	}
	campaign_fail(run, s, spec, &t->torn, "neither old nor new");
}

/* Spreads the sample over all kinds of states, the same each time. */
bool campaign_samples(const struct campaign *c, uint64_t every)
{
	uint64_t x = c->tally->states * UINT64_C(0x9e3779b97f4a7c15);

	return every && (x >> 32) % every == 0;
}

bool campaign_judge(void *context, struct state *s, const struct crash_spec *spec)
{
	struct run_context *run = context;
	struct campaign *c = run->campaign;
	struct tally *t = c->tally;
	size_t v = state_version(s, spec->durable);

	t->states++;
	if (run->depth > 0)
		t->nested++;
	if (v == STATE_NONE) {
		classify(run, s, spec);
		return true;
	}
	campaign_later(run, s, spec, v);
	if (campaign_samples(c, c->sample << (run->depth > 0 ? 3 : 0)))
		campaign_look(run, s, spec, v);
	return true;
}

void campaign_enumerate(struct run_context *run, struct state *state, size_t from, bool tears)
{
	struct crash_run r = {
		.state = state,
		.log = run->log,
		.random_states = run->campaign->random_states / (run->depth ? 20 : 1),
		.seed = run->campaign->tally->states,
		.from = from,
		.no_tears = !tears,
		.few_tears = run->campaign->quick && run->campaign->large,
		.judge = campaign_judge,
		.context = run,
	};

	crash_enumerate(&r);
}

void campaign_crashes(struct campaign *c)
{
	struct run_context run = {.campaign = c, .base = &c->versions[0], .log = &c->log};
	struct state s;

	state_init(&s, run.base->bytes, run.base->size, crash_log_room(&c->log, run.base->size));
	campaign_add_versions(c, &s, &c->log, c->log.count);
	campaign_enumerate(&run, &s, 0, true);
	state_clear(&s);
}
