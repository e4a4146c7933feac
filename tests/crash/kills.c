// SPDX-License-Identifier: MIT
/*
 * A process is killed, and what it wrote lives on in memory only. The next process, which sees all
 * of it, recovers and perhaps commits something of its own; then the power fails. What the first
 * one did not sync is in doubt still, together with what the second one did.
 */
#include "crash/campaign.h"

#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/must.h"

/* The recovery that comes first may have written sector 0 too. */
static size_t last_flip(const struct crash_log *log)
{
	size_t flip = crash_log_flip(log, 0), next;

	while ((next = crash_log_flip(log, flip + 1)) < log->count)
		flip = next;
	must(flip < log->count);
	return flip;
}

/* Where the stretch starts that operation `at` lies in. */
static size_t stretch_of(const struct crash_log *log, size_t at)
{
	while (at > 0 && log->ops[at - 1].kind != CRASH_SYNC)
		at--;
	return at;
}

/* What the next process does, to an image that it sees as the killed one left it. */
static void go_on(struct campaign *c, const struct content *content, bool edit,
		  struct image_bytes *image, struct crash_log *log)
{
	struct buffer_file file;
	const char *why;

	if (edit) {
		edit_bytes(campaign_next_edit(c, content), 800, image, log, NULL);
		return;
	}
	buffer_file_init(&file);
	buffer_file_set(&file, image->bytes, image->size);
	must(recover_once(&file.base, log, &why));
	buffer_file_clear(&file);
}

static void try_kill(struct campaign *c, size_t at, bool edit)
{
	struct run_context run = {.campaign = c, .base = &c->versions[0], .depth = 1};
	struct crash_log log = {0}, tail = {0};
	struct image_bytes image = {0};
	const struct content *content;
	struct state s;

	run.log = &log;
	crash_log_append(&log, &c->log, 0, at);
	image_bytes_copy(&image, run.base->bytes, run.base->size);
	crash_log_apply(&c->log, 0, at, &image);
	/* Which versions there are is known now, and for how long when the log is complete. */
	state_init(&s, run.base->bytes, run.base->size,
		   crash_log_room(&c->log, run.base->size) + image.size);
	campaign_add_versions(c, &s, &log, at);
	content = &s.versions[s.version_count - 1].content;
	if (edit || content_is_sound(content))
		go_on(c, content, edit, &image, &tail);
	state_clear(&s);
	crash_log_append(&log, &tail, 0, tail.count);
	if (tail.count > 0) {
		state_init(&s, run.base->bytes, run.base->size,
			   crash_log_room(&log, crash_log_room(&c->log, run.base->size)));
		campaign_add_versions(c, &s, &log, at);
		if (edit) {
			size_t gone_at = crash_log_durable(&log, last_flip(&log));

			must(last_flip(&log) >= at);
			for (size_t i = 0; i < s.version_count; i++)
				s.versions[i].gone_at = gone_at;
			state_add_version(&s, image.bytes, image.size);
		}
		campaign_enumerate(&run, &s, stretch_of(&log, at), false);
		state_clear(&s);
	}
	image_bytes_clear(&image);
	crash_log_clear(&tail);
	crash_log_clear(&log);
}

static bool is_near_flip(const struct campaign *c, size_t at)
{
	for (size_t i = 0; i + 1 < c->version_count; i++)
		if (at >= c->flips[i] && at <= c->flips[i] + 3)
			return true;
	return false;
}

void campaign_kills(struct campaign *c)
{
	size_t points = c->quick ? 1 : c->log.count > 60 ? 3 : 16;
	size_t step = c->log.count / points + 1;

	for (size_t at = 0; at <= c->log.count; at++)
		if (is_near_flip(c, at) || at % step == 0) {
			try_kill(c, at, false);
			try_kill(c, at, true);
		}
}
