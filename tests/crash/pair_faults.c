// SPDX-License-Identifier: MIT
/* Each call on either file fails, in every way; see faults.c. */
#include <string.h>

#include "base/checked.h"
#include "crash/faults.h"
#include "crash/must.h"
#include "crash/pair.h"
#include "crash/promises.h"

struct trial {
	struct pair_campaign *c;
	const struct fault_kind *kind;
	struct call_fault fault;
	struct call_report report;
	struct pair after;
	struct pair_seen seen; /* `after`, recovered */
	const char *broken;    /* a promise, or NULL */
	struct qc_err err;
	int status;
};

static void run(struct trial *t)
{
	const char *path = folder_path("image");
	struct crash_log log = {0};

	pair_put(&t->c->base);
	calls_watch(path, folder_path("data"), &log, &t->fault);
	t->status = edit_file(t->c->edit, 100, path, &t->err);
	calls_done(&t->report);
	pair_get(&t->after);
	pair_see_bytes(&t->after, NULL, &t->seen);
	t->broken = promises_kept(&(struct promises){
		.image = &t->c->base.image,
		.data = &t->c->base.data,
		.log = &log,
		.flip_cut = t->report.flip_cut,
	});
	crash_log_clear(&log);
}

/* Which version it is once it is recovered; STATE_NONE: none. */
static size_t version_of(const struct trial *t)
{
	for (size_t i = t->c->version_count; i-- > 0;)
		if (content_is_same(&t->seen.content, &t->c->versions[i].content))
			return i;
	return STATE_NONE;
}

static bool is_as_before(const struct trial *t)
{
	const struct pair *old = &t->c->base;

	return t->after.image.size == old->image.size && t->after.data.size == old->data.size
	       && memcmp(t->after.image.bytes, old->image.bytes, (size_t)old->image.size) == 0
	       && memcmp(t->after.data.bytes, old->data.bytes, (size_t)old->data.size) == 0;
}

/* A commit that has happened and could not be finished, or one that nobody knows of. */
static const char *judge_unknown(const struct trial *t)
{
	const struct call_report *r = &t->report;

	if (t->kind->harmless && !r->flip_cut)
		return "what is harmless makes the outcome unknown";
	if (!r->flip_failed && !r->flip_cut && !r->flip_in_doubt && !t->seen.pending)
		return "the outcome is said to be unknown, but is not";
	if (r->afterthoughts > 0)
		return "the outcome is unknown, and a file is written to";
	return version_of(t) == STATE_NONE ? "neither old nor new, once recovered" : NULL;
}

static const char *judge_failed(const struct trial *t)
{
	const struct call_report *r = &t->report;
	bool is_one = t->c->version_count == 2 && !t->c->kind->pending;

	if (t->kind->harmless && !r->flip_cut)
		return "what is harmless is an error";
	if (r->flip_in_doubt)
		return "the outcome is unknown, and nobody says so";
	if (!t->kind->harmless && !fault_code_is_right(&t->fault, r, t->err.code))
		return "the error is called something else";
	if (version_of(t) == STATE_NONE)
		return "failed, and neither old nor new";
	if (t->seen.pending && !t->c->kind->pending)
		return "failed, but it is committed";
	if (is_one && !content_is_same(&t->seen.content, &t->c->versions[0].content))
		return "failed, and something changed";
	/* With all else working, what was written is taken back to the last byte. */
	if (is_one && t->fault.times <= 2 && !is_as_before(t))
		return "failed, and bytes stay written";
	return NULL;
}

static const char *judge(const struct trial *t)
{
	if (t->broken)
		return t->broken;
	if (t->seen.why)
		return t->seen.why;
	if ((t->seen.changed || t->seen.doubtful) && !t->report.flip_cut)
		return "recovery changes what there is";
	if (t->status == -QC_E_OUTCOME_UNKNOWN)
		return judge_unknown(t);
	if (t->status < 0)
		return judge_failed(t);
	return !t->seen.pending && version_of(t) == t->c->version_count - 1
		       ? NULL
		       : "said to be done, and is not";
}

/* False: nothing was left to fail. */
static bool try_one(struct trial *t)
{
	struct pair_campaign *c = t->c;
	const char *why;

	run(t);
	if (t->report.failed == 0)
		return false;
	c->tally->faults++;
	c->event++;
	why = judge(t);
	if (c->event == c->wanted)
		printf("%s: %s, at call %llu: status %d%s%s; %s\n", c->name, t->kind->name,
		       (unsigned long long)t->fault.at, t->status, t->status < 0 ? ": " : "",
		       t->status < 0 ? t->err.text : "", why ? why : "nothing is wrong");
	if (why)
		pair_fail(c, &c->tally->disagreed, why);
	return true;
}

void pair_faults(struct pair_campaign *c)
{
	struct trial t = {.c = c};

	for (size_t i = 0; i < fault_kind_count; i++) {
		uint64_t step = c->quick && fault_kinds[i].fault.calls != CALL_SYNC ? 5 : 1;

		t.kind = &fault_kinds[i];
		t.fault = t.kind->fault;
		for (t.fault.at = c->tally->faults % step; try_one(&t); t.fault.at += step)
			;
	}
	pair_clear(&t.after);
}
