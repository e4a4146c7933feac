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

static size_t after_sync(const struct crash_log *log, size_t from)
{
	size_t sync = crash_log_sync(log, from);

	return sync < log->count ? sync + 1 : STATE_NONE;
}

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

static void try_kill(struct campaign *c, size_t at, bool edit)
{
	struct run_context run = {.campaign = c, .base = &c->old, .depth = 1};
	struct crash_log log = {0}, tail = {0};
	size_t flip = crash_log_flip(&c->log, 0);
	struct buffer_file file;
	struct state s;
	const char *why;

	crash_log_append(&log, &c->log, 0, at);
	state_init(&s, c->old.bytes, c->old.size, crash_log_room(&c->log, c->old.size));
	for (size_t i = 0; i < at; i++) { /* as the next process sees it */
		const struct crash_op *op = &c->log.ops[i];

		if (op->kind == CRASH_WRITE)
			state_write(&s, op->offset, op->length, op->bytes);
		else if (op->kind == CRASH_PUNCH)
			state_fill(&s, op->offset, op->length, 0);
		else if (op->kind == CRASH_RESIZE)
			state_resize(&s, op->length);
	}
	buffer_file_init(&file);
	buffer_file_set(&file, s.bytes, s.size);
	state_clear(&s);
	if (edit)
		edit_run(&edit_after_crash, 800, &file.base, &tail);
	else
		must(recover_once(&file.base, &tail, &why));
	crash_log_append(&log, &tail, 0, tail.count);
	run.log = &log;
	state_init(&s, c->old.bytes, c->old.size,
		   qc_max(crash_log_room(&log, c->old.size), c->new.size));
	state_add_version(&s, c->old.bytes, c->old.size);
	state_add_version(&s, c->new.bytes, c->new.size);
	s.versions[0].gone_at = flip < at ? after_sync(&log, flip) : STATE_NONE;
	if (edit) {
		state_add_version(&s, file.bytes, file.base.bytes);
		flip = last_flip(&log);
		must(flip >= at);
		s.versions[0].gone_at = s.versions[1].gone_at = after_sync(&log, flip);
	}
	if (tail.count > 0)
		campaign_enumerate(&run, &s, stretch_of(&log, at), false);
	state_clear(&s);
	buffer_file_clear(&file);
	crash_log_clear(&tail);
	crash_log_clear(&log);
}

void campaign_kills(struct campaign *c)
{
	size_t flip = crash_log_flip(&c->log, 0);
	size_t points = c->quick ? 1 : c->log.count > 60 ? 3 : 16;
	size_t step = c->log.count / points + 1;

	for (size_t at = 0; at <= c->log.count; at++)
		if ((at >= flip && at <= flip + 3) || at % step == 0) {
			try_kill(c, at, false);
			try_kill(c, at, true);
		}
}
