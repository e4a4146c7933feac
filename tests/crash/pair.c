// SPDX-License-Identifier: MIT
#include "crash/pair.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "crash/known.h"
#include "crash/must.h"
#include "crash/referee.h"
#include "crash/save.h"
#include "format/disk_layout.h"
#include "format/features.h"

#define MARK_AT (offsetof(struct qc_disk_header, incompatible_features) + 7)

void pair_state_init(struct state *s, struct state *data, const struct pair *from,
		     const struct crash_log *log)
{
	state_init(s, from->image.bytes, from->image.size,
		   crash_log_room_of(log, 0, from->image.size));
	state_init(data, from->data.bytes, from->data.size,
		   crash_log_room_of(log, 1, from->data.size));
	state_put_beside(s, data);
}

void pair_state_clear(struct state *s, struct state *data)
{
	state_clear(s);
	state_clear(data);
}

void pair_take(struct pair *ret, const struct state *s)
{
	image_bytes_copy(&ret->image, s->bytes, s->size);
	image_bytes_copy(&ret->data, s->beside->bytes, s->beside->size);
}

void pair_fail(struct pair_campaign *c, uint64_t *counter, const char *what)
{
	++*counter;
	if (c->failures++ >= 3)
		return; /* more of the same */
	printf("# %s: event %" PRIu64 ": %s\n", c->name, c->event, what);
	if (c->save_folder)
		save_fault(c->save_folder, c->name, c->failures, c->quick, c->event);
}

/* --- the versions --- */

static void add_version(struct pair_campaign *c, const struct state *s, size_t flip)
{
	struct pair_version *v = &c->versions[c->version_count++];
	struct pair_seen seen;

	must(c->version_count <= VERSIONS_MAX);
	pair_see(s, NULL, &seen);
	must(!seen.why && !seen.changed && !seen.doubtful && content_is_sound(&seen.content));
	v->content = seen.content;
	v->flip = flip;
	v->gone_at = SIZE_MAX;
	pair_recovered(&v->pair);
}

/* A commit's write of sector 0 makes a version; once all is redone another one takes the mark away. */
static void find_versions(struct pair_campaign *c)
{
	uint8_t sector[SECTOR];
	struct state s, data;
	size_t guard = SIZE_MAX;
	bool marked = c->kind->pending;

	pair_state_init(&s, &data, &c->base, &c->log);
	add_version(c, &s, SIZE_MAX);
	for (size_t i = 0; i < c->log.count; i++) {
		memcpy(sector, s.bytes, SECTOR);
		crash_apply(&s, &c->log.ops[i]);
		if (memcmp(sector, s.bytes, SECTOR) == 0)
			continue;
		must((s.bytes[MARK_AT] & QC_INCOMPAT_CORRUPT) == 0 || !marked);
		if (s.bytes[MARK_AT] & QC_INCOMPAT_CORRUPT)
			guard = i;
		else if (!marked || guard != SIZE_MAX)
			add_version(c, &s, marked ? guard : i);
		marked = s.bytes[MARK_AT] & QC_INCOMPAT_CORRUPT;
	}
	must(!marked);
	for (size_t i = 0; i + 1 < c->version_count; i++)
		c->versions[i].gone_at = crash_log_durable(&c->log, c->versions[i + 1].flip);
	pair_state_clear(&s, &data);
}

/* Without a difference there would be nothing to see. */
static void expect_differences(const struct pair_campaign *c)
{
	const bool keeps = c->edit->verb == VERB_RECOVER || c->edit->verb == VERB_REBASE;

	must((c->version_count == 1) == (c->edit->verb == VERB_RECOVER));
	for (size_t i = 1; i < c->version_count; i++)
		must((c->versions[i - 1].content.active == c->versions[i].content.active) == keeps);
}

static void open_campaign(struct pair_campaign *c)
{
	struct pair done = {0};

	c->event = 0;
	c->version_count = 0;
	pair_build(c->kind, &c->base);
	image_bytes_copy(&done.image, c->base.image.bytes, c->base.image.size);
	image_bytes_copy(&done.data, c->base.data.bytes, c->base.data.size);
	pair_edit(c->edit, 100, &done, &c->log, NULL);
	pair_clear(&done);
	find_versions(c);
	expect_differences(c);
}

static void close_campaign(struct pair_campaign *c)
{
	for (size_t i = 0; i < c->version_count; i++)
		pair_clear(&c->versions[i].pair);
	later_clear(&c->later);
	known_clear(&c->settled);
	crash_log_clear(&c->log);
	pair_clear(&c->base);
}

/* --- one state --- */

struct run {
	struct pair_campaign *c;
	const struct crash_log *log;
	struct pair_version versions[VERSIONS_MAX]; /* what is allowed; the pairs are borrowed */
	size_t version_count;
	unsigned int depth; /* crashes before this one */
	struct known known;
};

static void enumerate(struct run *run, const struct pair *base, size_t from);

static size_t find_version(const struct run *run, const struct content *content, size_t durable)
{
	for (size_t i = run->version_count; i-- > 0;)
		if (durable < run->versions[i].gone_at
		    && content_is_same(content, &run->versions[i].content))
			return i;
	return STATE_NONE;
}

static void classify(struct run *run, const struct content *content)
{
	struct tally *t = run->c->tally;

	if (!content->readable || content->corruptions > 0)
		pair_fail(run->c, &t->corrupt, "corrupt");
	else if (content->leaks > 0)
		pair_fail(run->c, &t->leaked, "leaked clusters");
	else if (find_version(run, content, 0) != STATE_NONE)
		pair_fail(run->c, &t->lost, "lost after success");
	else
		pair_fail(run->c, &t->torn, "neither old nor new");
}

/* `settled` is the state, recovered; what `qemu-img compare` sees is the version. */
static void look_compare(struct run *run, const struct pair *settled, const struct pair_version *v)
{
	struct pair_campaign *c = run->c;
	struct image_bytes disk;

	folder_put("data", settled->data.bytes, settled->data.size);
	pair_disk(&v->pair, &disk);
	c->tally->compared++;
	if (!referee_compares_with_disk(&settled->image, &disk))
		pair_fail(c, &c->tally->disagreed, "qemu-img compare objects");
	image_bytes_clear(&disk);
}

static void look_nested(struct run *outer, const struct state *s, const struct crash_log *log,
			size_t v)
{
	struct run run = {
		.c = outer->c,
		.log = log,
		.versions = {outer->versions[v]},
		.version_count = 1,
		.depth = outer->depth + 1,
	};
	struct pair base = {0};

	run.versions[0].gone_at = SIZE_MAX;
	pair_take(&base, s);
	enumerate(&run, &base, 0);
	pair_clear(&base);
}

static void look_closely(struct run *run, const struct state *s, const struct crash_log *log,
			 const struct pair_seen *seen, size_t v)
{
	const struct pair_campaign *c = run->c;
	uint64_t rare = run->depth > 0 ? 8 : 1;
	struct pair settled = {0};

	pair_recovered(&settled);
	pair_later(run->c, s, &run->versions[v], &settled, seen->pending, run->depth == 0);
	if (pair_samples(c, 1500 * rare))
		look_compare(run, &settled, &run->versions[v]);
	if (run->depth < 2 && log->count > 0
	    && pair_samples(c, (seen->pending ? 12 : 100) * rare * (c->quick ? 8 : 1)))
		look_nested(run, s, log, v);
	pair_clear(&settled);
}

static void tell(const struct pair_campaign *c, const struct run *run,
		 const struct crash_spec *spec, const struct pair_seen *seen, size_t v)
{
	printf("%s: depth %u, crash after operation %zu of %zu, %zu in doubt, size %s\n", c->name,
	       run->depth, spec->issued, run->log->count, spec->doubted,
	       crash_size_name(spec->size));
	save_print_log(run->log, spec);
	for (size_t i = 0; i < run->version_count; i++)
		printf("version %zu: content %016" PRIx64 "\n", i, run->versions[i].content.digest);
	printf("the state: %s, content %016" PRIx64 ", %" PRIu64 " leaks, %" PRIu64
	       " corruptions; it is %s%s\n",
	       seen->pending ? "something to redo" : "nothing to redo", seen->content.digest,
	       seen->content.leaks, seen->content.corruptions,
	       v == STATE_NONE ? "none of them" : "one of them", seen->why ? seen->why : "");
}

/* A bit for each. */
static uint64_t allowed_versions(const struct run *run, size_t durable)
{
	uint64_t allowed = 0;

	for (size_t i = 0; i < run->version_count; i++)
		allowed |= (uint64_t)(durable < run->versions[i].gone_at) << i;
	return allowed;
}

static bool judge(void *context, struct state *s, const struct crash_spec *spec)
{
	struct run *run = context;
	struct pair_campaign *c = run->c;
	struct crash_log log = {0};
	struct pair_seen seen;
	size_t v;

	c->event++;
	c->tally->states++;
	c->tally->nested += run->depth > 0;
	if (known_add(&run->known, s, allowed_versions(run, spec->durable)))
		return true;
	c->tally->full++;
	c->tally->recovered++;
	pair_see(s, &log, &seen);
	v = find_version(run, &seen.content, spec->durable);
	if (c->event == c->wanted)
		tell(c, run, spec, &seen, v);
	if (seen.why)
		pair_fail(c, &c->tally->disagreed, seen.why);
	else if (seen.changed || seen.doubtful)
		pair_fail(c, &c->tally->disagreed, "recovery changes what there is");
	else if (v == STATE_NONE)
		classify(run, &seen.content);
	else
		look_closely(run, s, &log, &seen, v);
	crash_log_clear(&log);
	return true;
}

static void enumerate(struct run *run, const struct pair *base, size_t from)
{
	struct state s, data;
	struct crash_run r = {
		.state = &s,
		.log = run->log,
		.random_states = (run->c->quick ? 200u : 1000u) / (run->depth ? 20 : 1),
		.seed = run->c->event,
		.from = from,
		.no_tears = run->depth > 0,
		.few_tears = run->c->quick && run->c->kind->cluster_bits >= 16,
		.judge = judge,
		.context = run,
	};

	pair_state_init(&s, &data, base, run->log);
	crash_enumerate(&r);
	known_clear(&run->known);
	pair_state_clear(&s, &data);
}

/* --- crashes --- */

void pair_crashes(struct pair_campaign *c)
{
	struct run run = {.c = c, .log = &c->log, .version_count = c->version_count};

	memcpy(run.versions, c->versions, sizeof(run.versions));
	enumerate(&run, &c->base, 0);
}

/* --- kills --- */

/* The versions that there are when only the first `at` operations were done. */
static void add_issued(struct run *run, size_t at)
{
	struct pair_campaign *c = run->c;

	for (size_t i = 0; i < c->version_count; i++) {
		bool is_last = i + 1 == c->version_count || c->versions[i + 1].flip >= at;

		run->versions[i] = c->versions[i];
		run->versions[i].gone_at =
			is_last ? SIZE_MAX : crash_log_durable(run->log, c->versions[i + 1].flip);
		run->version_count++;
		if (is_last)
			break;
	}
}

/* The last write of sector 0 that makes another image, at or after `at`: with redo it sets the mark. */
static size_t last_flip(const struct crash_log *log, size_t at)
{
	size_t last = SIZE_MAX, before = SIZE_MAX;

	for (size_t i = crash_log_flip(log, at); i < log->count; i = crash_log_flip(log, i + 1)) {
		before = last;
		last = i;
	}
	if (before != SIZE_MAX && (log->ops[before].bytes[MARK_AT] & QC_INCOMPAT_CORRUPT) != 0)
		return before;
	return last;
}

/*
 * A process is killed after so many operations. The next one sees all of it, recovers or edits, and
 * then the power fails; what the first did not sync is in doubt still.
 */
static void try_kill(struct pair_campaign *c, size_t at, bool edit)
{
	struct crash_log log = {0}, tail = {0};
	struct run run = {.c = c, .log = &log, .depth = 1};
	struct pair now = {0}, after = {0};
	struct pair_seen seen;
	struct state s, data;

	pair_state_init(&s, &data, &c->base, &c->log);
	crash_make_whole(&s, &c->log, at);
	pair_take(&now, &s);
	pair_take(&after, &s);
	pair_state_clear(&s, &data);
	if (edit)
		pair_edit(&edit_after_crash, 800, &after, &tail, NULL);
	else
		pair_see_bytes(&now, &tail, &seen);
	crash_log_append(&log, &c->log, 0, at);
	crash_log_append(&log, &tail, 0, tail.count);
	add_issued(&run, at);
	if (edit) {
		struct pair_version *v = &run.versions[run.version_count];
		size_t gone_at = crash_log_durable(&log, last_flip(&log, at));

		for (size_t i = 0; i < run.version_count; i++)
			run.versions[i].gone_at = (size_t)qc_min(run.versions[i].gone_at, gone_at);
		*v = (struct pair_version){.pair = after, .gone_at = SIZE_MAX};
		pair_content(&after.image, &after.data, NULL, &v->content);
		must(content_is_sound(&v->content) && ++run.version_count <= VERSIONS_MAX);
	}
	enumerate(&run, &c->base, at);
	pair_clear(&now);
	pair_clear(&after);
	crash_log_clear(&tail);
	crash_log_clear(&log);
}

void pair_kills(struct pair_campaign *c)
{
	for (size_t at = 0; at <= c->log.count; at += c->quick ? 5 : 1) {
		try_kill(c, at, false);
		if (at % 2 == 0)
			try_kill(c, at, true);
	}
}

/* --- all of it --- */

void pair_run(struct pair_campaign *c)
{
	open_campaign(c);
	pair_crashes(c);
	pair_kills(c);
	pair_torn_headers(c);
	pair_false_journals(c);
	pair_faults(c);
	close_campaign(c);
}
