// SPDX-License-Identifier: MIT
#include "crash/control.h"

#include <inttypes.h>
#include <string.h>

#include "crash/buffer_file.h"
#include "crash/campaign.h"
#include "crash/must.h"

struct count {
	uint64_t states, both_good, both_bad, only_fast_good, only_slow_good;
};

static bool compare_judges(void *context, struct state *s, const struct crash_spec *spec)
{
	struct count *count = context;
	size_t fast = state_version(s, spec->durable);
	bool slow = false;
	struct content content;
	struct buffer_file file;

	buffer_file_init(&file);
	buffer_file_show(&file, s->bytes, s->size);
	content_of(&file.base, &content);
	for (size_t i = 0; i < s->version_count; i++)
		if (spec->durable < s->versions[i].gone_at
		    && content_is_same(&content, &s->versions[i].content))
			slow = true;
	count->states++;
	count->both_good += fast != STATE_NONE && slow;
	count->both_bad += fast == STATE_NONE && !slow;
	count->only_fast_good += fast != STATE_NONE && !slow;
	count->only_slow_good += fast == STATE_NONE && slow;
	return count->states < 6000;
}

static void judge_all(const struct campaign *c, const struct crash_log *log, struct count *ret)
{
	struct state s;
	struct crash_run run = {.state = &s,
				.log = log,
				.random_states = 200,
				.judge = compare_judges,
				.context = ret};
	const struct image_bytes *base = &c->versions[0];

	*ret = (struct count){0};
	state_init(&s, base->bytes, base->size, crash_log_room(log, base->size));
	campaign_add_versions(c, &s, log, log->count);
	s.versions[0].gone_at = crash_log_durable(log, crash_log_flip(log, 0));
	crash_enumerate(&run);
	state_clear(&s);
}

/* --- protocols --- */

static void protocol_right(struct crash_log *to, const struct crash_log *log)
{
	crash_log_append(to, log, 0, log->count);
}

static void protocol_no_first_barrier(struct crash_log *to, const struct crash_log *log)
{
	size_t flip = crash_log_flip(log, 0);

	must(flip > 0 && log->ops[flip - 1].kind == CRASH_SYNC);
	crash_log_append(to, log, 0, flip - 1);
	crash_log_append(to, log, flip, log->count);
}

static void protocol_no_second_barrier(struct crash_log *to, const struct crash_log *log)
{
	size_t sync = crash_log_sync(log, crash_log_flip(log, 0));

	must(sync < log->count);
	crash_log_append(to, log, 0, sync);
	crash_log_append(to, log, sync + 1, log->count);
}

static void protocol_flip_first(struct crash_log *to, const struct crash_log *log)
{
	size_t flip = crash_log_flip(log, 0);

	crash_log_append(to, log, flip, flip + 2);
	crash_log_append(to, log, 0, flip);
	crash_log_append(to, log, flip + 2, log->count);
}

static void protocol_flip_in_two(struct crash_log *to, const struct crash_log *log)
{
	size_t flip = crash_log_flip(log, 0);
	const struct crash_op *op = &log->ops[flip];

	crash_log_append(to, log, 0, flip);
	crash_log_add(to, CRASH_WRITE, 0, 48, op->bytes);
	crash_log_add(to, CRASH_WRITE, 48, 512 - 48, op->bytes + 48);
	crash_log_append(to, log, flip + 1, log->count);
}

/* Says that it is durable before it is. */
static void protocol_early_success(struct crash_log *to, const struct crash_log *log)
{
	size_t flip = crash_log_flip(log, 0);

	crash_log_append(to, log, 0, flip);
	crash_log_add(to, CRASH_SYNC, 0, 0, NULL);
	crash_log_append(to, log, flip, log->count);
}

static const struct protocol {
	const char *name;
	void (*make)(struct crash_log *to, const struct crash_log *log);
	bool is_sound;
} protocols[] = {
	{"the protocol itself", protocol_right, true},
	{"one barrier more", protocol_early_success, true},
	{"no barrier before the flip", protocol_no_first_barrier, false},
	{"no barrier before space is reclaimed", protocol_no_second_barrier, false},
	{"the flip first", protocol_flip_first, false},
	{"the flip in two writes", protocol_flip_in_two, false},
};

/* Where nothing is punched, space that is reclaimed too early is only the tail. */
static bool has_punch(const struct crash_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->ops[i].kind == CRASH_PUNCH)
			return true;
	return false;
}

static bool one_protocol(const struct protocol *p, const struct image_kind *image,
			 const struct edit_kind *edit)
{
	struct tally tally = {0};
	struct campaign c = {.tally = &tally};
	struct crash_log log = {0};
	struct count n;
	bool is_sound, ok;

	campaign_open(&c, image, edit);
	is_sound = p->is_sound || (p->make == protocol_no_second_barrier && !has_punch(&c.log));
	p->make(&log, &c.log);
	judge_all(&c, &log, &n);
	ok = n.only_fast_good == 0 && (n.both_bad + n.only_slow_good == 0) == is_sound
	     && (n.both_bad > 0) != is_sound && n.both_good > 0;
	printf("%s control: %s, %s/%s: %" PRIu64 " states, both judges content with %" PRIu64
	       " and with neither of %" PRIu64 ", the fast one stricter in %" PRIu64
	       ", the slow one in %" PRIu64 "\n",
	       ok ? "ok" : "not ok", p->name, image->name, edit->name, n.states, n.both_good,
	       n.both_bad, n.only_slow_good, n.only_fast_good);
	crash_log_clear(&log);
	campaign_close(&c);
	return ok;
}

/* --- late punches --- */

struct late {
	const struct crash_log *log;
	unsigned int seen, wrong;
};

/* What was written is gone, and the recipe leads there again. */
static bool look_for_late(void *context, struct state *s, const struct crash_spec *spec)
{
	struct late *late = context;
	const uint8_t nothing[2 * SECTOR] = {0};
	struct state again;

	if (spec->late == STATE_NONE)
		return true;
	late->seen++;
	state_init(&again, nothing, sizeof(nothing), sizeof(nothing));
	crash_make(&again, late->log, spec);
	late->wrong += s->bytes[SECTOR] != 0 || memcmp(again.bytes, s->bytes, sizeof(nothing)) != 0;
	state_clear(&again);
	return true;
}

static bool late_punch_is_tried(void)
{
	const uint8_t nothing[2 * SECTOR] = {0}, something[SECTOR] = {1};
	struct crash_log log = {0};
	struct late late = {.log = &log};
	struct state s;
	struct crash_run run = {.state = &s, .log = &log, .judge = look_for_late, .context = &late};
	bool ok;

	crash_log_add(&log, CRASH_PUNCH, 0, SECTOR, NULL);
	crash_log_add(&log, CRASH_PUNCH, SECTOR, SECTOR, NULL);
	crash_log_add(&log, CRASH_WRITE, SECTOR, SECTOR, something);
	state_init(&s, nothing, sizeof(nothing), sizeof(nothing));
	crash_enumerate(&run);
	ok = late.seen == 1 && late.wrong == 0;
	printf("%s control: a punch that comes after what was written over it\n",
	       ok ? "ok" : "not ok");
	state_clear(&s);
	crash_log_clear(&log);
	return ok;
}

void control_run(unsigned int *passed, unsigned int *failed)
{
	static const size_t images[] = {0, 1, 9};

	control_programs(passed, failed);
	control_sight(passed, failed);
	control_replay(passed, failed);
	if (late_punch_is_tried())
		++*passed;
	else
		++*failed;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		for (size_t j = 0; j < sizeof(images) / sizeof(images[0]); j++) {
			if (one_protocol(&protocols[i], &image_kinds[images[j]], &edit_kinds[3]))
				++*passed;
			else
				++*failed;
		}
}
