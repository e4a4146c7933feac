// SPDX-License-Identifier: MIT
#include "crash/campaign.h"

#include <inttypes.h>
#include <string.h>

#include "crash/buffer_file.h"
#include "crash/must.h"
#include "crash/save.h"

void image_bytes_copy(struct image_bytes *to, const uint8_t *bytes, uint64_t size)
{
	to->bytes = malloc((size_t)size);
	must(to->bytes);
	memcpy(to->bytes, bytes, (size_t)size);
	to->size = size;
}

void image_bytes_clear(struct image_bytes *image)
{
	free(image->bytes);
	*image = (struct image_bytes){0};
}

void campaign_open(struct campaign *c, const struct image_kind *image, const struct edit_kind *edit)
{
	struct buffer_file file;

	c->image = image;
	c->edit = edit;
	image_kind_build(image, &c->old);
	buffer_file_init(&file);
	buffer_file_set(&file, c->old.bytes, c->old.size);
	edit_run(edit, 100, &file.base, &c->log);
	image_bytes_copy(&c->new, file.bytes, file.base.bytes);
	buffer_file_clear(&file);
}

void campaign_close(struct campaign *c)
{
	crash_log_clear(&c->log);
	image_bytes_clear(&c->old);
	image_bytes_clear(&c->new);
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
		save_state(c->save_folder, c->name, c->saved, run->base, run->log, spec, s);
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
	if (!content.readable || content.corruptions > 0) {
		campaign_fail(run, s, spec, &t->corrupt, "corrupt");
		return;
	}
	if (content.leaks > 0) {
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
static bool is_sampled(const struct campaign *c, unsigned int depth)
{
	uint64_t x = c->tally->states * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t every = c->sample << (depth > 0 ? 3 : 0);

	return every && (x >> 32) % every == 0;
}

bool campaign_judge(void *context, struct state *s, const struct crash_spec *spec)
{
	struct run_context *run = context;
	struct tally *t = run->campaign->tally;
	size_t v = state_version(s, spec->durable);

	t->states++;
	if (run->depth > 0)
		t->nested++;
	if (v == STATE_NONE)
		classify(run, s, spec);
	else if (is_sampled(run->campaign, run->depth))
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
		.judge = campaign_judge,
		.context = run,
	};

	crash_enumerate(&r);
}

void campaign_crashes(struct campaign *c)
{
	struct run_context run = {.campaign = c, .base = &c->old, .log = &c->log};
	size_t flip = crash_log_flip(&c->log, 0);
	struct state s;

	must(flip < c->log.count);
	state_init(&s, c->old.bytes, c->old.size, crash_log_room(&c->log, c->old.size));
	state_add_version(&s, c->old.bytes, c->old.size);
	state_add_version(&s, c->new.bytes, c->new.size);
	s.versions[0].gone_at = crash_log_sync(&c->log, flip) + 1;
	campaign_enumerate(&run, &s, 0, true);
	state_clear(&s);
}
