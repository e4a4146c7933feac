// SPDX-License-Identifier: MIT
/*
 * The edit again and again, each time with another of its calls failing. It must end in exactly the
 * old or exactly the new image, and say which. Only if the commit's one write of sector 0 fails or the
 * sync after it does, it may say that it does not know (after the sync: must), and then it keeps its
 * hands off the file.
 */
#include "crash/faults.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/calls.h"
#include "crash/must.h"
#include "crash/promises.h"
#include "crash/save.h"

#define FOR_EVER UINT64_MAX

const struct fault_kind fault_kinds[] = {
	{"a sync fails", {CALL_SYNC, EIO, false, 1, 0}, false},
	{"every sync fails", {CALL_SYNC, EIO, false, FOR_EVER, 0}, false},
	{"a sync is interrupted", {CALL_SYNC, EINTR, false, 1, 0}, false},
	{"no space when syncing", {CALL_SYNC, ENOSPC, false, 1, 0}, false},
	{"a call fails", {CALL_FILE, EIO, false, 1, 0}, false},
	{"every call fails", {CALL_FILE, EIO, false, FOR_EVER, 0}, false},
	{"no space for a moment", {CALL_CHANGES & ~CALL_SYNC, ENOSPC, false, 1, 0}, false},
	{"no space", {CALL_CHANGES & ~CALL_SYNC, ENOSPC, false, FOR_EVER, 0}, false},
	{"no space after a part", {CALL_WRITE, ENOSPC, true, 2, 0}, false},
	{"no space after a part, for good", {CALL_WRITE, ENOSPC, true, FOR_EVER, 0}, false},
	{"a file too large", {CALL_WRITE | CALL_RESIZE, EFBIG, false, 1, 0}, false},
	{"files too large", {CALL_WRITE | CALL_RESIZE, EFBIG, false, FOR_EVER, 0}, false},
	{"a signal", {CALL_FILE & ~CALL_SYNC, EINTR, false, 3, 0}, true},
	{"a short transfer", {CALL_READ | CALL_WRITE, 0, true, 1, 0}, true},
	{"short transfers", {CALL_READ | CALL_WRITE, 0, true, FOR_EVER, 0}, true},
	{"no holes", {CALL_PUNCH, EOPNOTSUPP, false, FOR_EVER, 0}, true},
	{"no memory for a moment", {CALL_MEMORY, ENOMEM, false, 1, 0}, false},
	{"no memory", {CALL_MEMORY, ENOMEM, false, FOR_EVER, 0}, false},
};

const size_t fault_kind_count = sizeof(fault_kinds) / sizeof(fault_kinds[0]);

/* One run with a fault, and how it ended. */
struct trial {
	struct campaign *campaign;
	const struct fault_kind *kind;
	struct call_fault fault;
	struct call_report report;
	struct image_bytes after;
	struct state *state; /* `after`, beside all versions */
	const char *broken;  /* a promise, or NULL */
	struct qc_err err;
	int status;
};

static void run(struct trial *t)
{
	const struct image_bytes *old = &t->campaign->versions[0];
	const char *path = folder_path("image");
	struct crash_log log = {0};

	folder_put("image", old->bytes, old->size);
	calls_watch(path, NULL, &log, &t->fault);
	t->status = edit_file(t->campaign->edit, 100, path, &t->err);
	calls_done(&t->report);
	t->broken = promises_kept(&(struct promises){
		.image = old,
		.log = &log,
		.damaged = edit_repairs(t->campaign->edit),
		.flip_cut = t->report.flip_cut,
	});
	crash_log_clear(&log);
	folder_get("image", &t->after);
	must(t->after.size <= t->state->room);
	state_set(t->state, t->after.bytes, t->after.size);
}

/* --- what must be so --- */

bool fault_code_is_right(const struct call_fault *fault, const struct call_report *report,
			 enum qc_code code)
{
	if (report->flip_cut) /* that is not continued, so nobody hears why it was cut */
		return code == QC_E_IO;
	switch (fault->os_errno) {
	case ENOSPC:
	case EFBIG:
		return code == QC_E_NO_SPACE;
	case ENOMEM:
		return code == QC_E_NO_MEMORY;
	default:
		return code == QC_E_IO;
	}
}

/* The version that a number of commits leads to; a recovery writes sector 0 too. */
static size_t version_after(const struct trial *t, size_t commits)
{
	return (size_t)qc_min(commits, t->campaign->version_count - 1);
}

/* Half of a sector is beyond the one assumption; then the journal has to tell. */
static bool is_settled_by_recovery(struct trial *t)
{
	struct crash_log log = {0};
	struct buffer_file file;
	struct content content;
	const char *why;
	bool ok;

	buffer_file_init(&file);
	buffer_file_set(&file, t->after.bytes, t->after.size);
	ok = recover_once(&file.base, &log, &why);
	content_of(&file.base, &content);
	crash_log_clear(&log);
	buffer_file_clear(&file);
	for (size_t i = 0; ok && i < 2; i++)
		if (content_is_same(
			    &content,
			    &t->state->versions[version_after(t, t->report.commits + i)].content))
			return true;
	return false;
}

static const char *judge_unknown(struct trial *t)
{
	size_t commits = t->report.commits;

	if (!t->report.flip_failed && !t->report.flip_cut && !t->report.flip_in_doubt)
		return "the outcome is said to be unknown, but is not";
	if (t->report.afterthoughts > 0)
		return "the outcome is unknown, and the file is written to";
	if (t->report.flip_cut)
		return is_settled_by_recovery(t) ? NULL : "a cut header cannot be recovered";
	if (!state_is(t->state, version_after(t, commits))
	    && !state_is(t->state, version_after(t, commits + 1)))
		return "the outcome is unknown, and neither old nor new";
	return NULL;
}

static const char *judge_failed(struct trial *t)
{
	const struct image_bytes *old = &t->campaign->versions[0];
	bool is_recovery = t->campaign->edit->verb == VERB_RECOVER;

	if (t->kind->harmless && !t->report.flip_cut)
		return "what is harmless is an error";
	if (t->report.flip_in_doubt)
		return "the outcome is unknown, and nobody says so";
	if (!t->kind->harmless && !fault_code_is_right(&t->fault, &t->report, t->err.code))
		return "the error is called something else";
	if (!state_is(t->state, version_after(t, t->report.commits)))
		return "failed, and something changed";
	/* With all else working, what was written is taken back to the last byte. */
	if (t->report.commits == 0 && t->fault.times <= 2 && !is_recovery
	    && (t->after.size != old->size
		|| memcmp(t->after.bytes, old->bytes, (size_t)old->size) != 0))
		return "failed, and bytes stay written";
	return NULL;
}

static const char *judge(struct trial *t)
{
	if (t->broken)
		return t->broken;
	if (t->status == -QC_E_OUTCOME_UNKNOWN)
		return judge_unknown(t);
	if (t->status < 0)
		return judge_failed(t);
	return state_is(t->state, t->campaign->version_count - 1) ? NULL
								  : "said to be done, and is not";
}

/* Once whatever was wrong is over, the same is done again, or something else. */
static const char *go_on(struct trial *t)
{
	struct campaign *c = t->campaign;
	size_t v = version_after(t, t->report.commits);
	const struct content *content = &t->state->versions[v].content;
	const struct content *last = &t->state->versions[c->version_count - 1].content;
	bool again = c->edit->again || v == 0;
	struct buffer_file file;
	struct content now;

	edit_bytes(again ? c->edit : &edit_after_crash, 100, &t->after, NULL, NULL);
	buffer_file_init(&file);
	buffer_file_show(&file, t->after.bytes, t->after.size);
	content_of(&file.base, &now);
	if (again ? !content_is_same(&now, last) : content_is_same(&now, content))
		return "what comes next ends in something else";
	return content_is_sound(&now) ? NULL : "what comes next damages the image";
}

/* --- all of them --- */

static void fail(struct trial *t, const char *what)
{
	struct campaign *c = t->campaign;
	size_t kind = (size_t)(t->kind - fault_kinds);

	c->tally->disagreed++;
	if (c->saved++ >= 3)
		return;
	printf("# %s: %s, at call %" PRIu64 ": %s%s%s\n", c->name, t->kind->name, t->fault.at, what,
	       t->status < 0 ? ": " : "", t->status < 0 ? t->err.text : "");
	if (c->save_folder)
		save_fault(c->save_folder, c->name, c->saved, kind, t->fault.at);
}

/* False: nothing was left to fail. */
static bool try_one(struct trial *t)
{
	const char *why;

	run(t);
	if (t->report.failed == 0)
		return false;
	t->campaign->tally->faults++;
	why = judge(t);
	if (!why && !t->report.flip_cut && t->status != -QC_E_OUTCOME_UNKNOWN
	    && t->campaign->tally->faults % 64 == 1)
		why = go_on(t);
	if (why)
		fail(t, why);
	return true;
}

static void open_state(struct campaign *c, struct state *s)
{
	const struct image_bytes *base = &c->versions[0];
	uint64_t room = crash_log_room(&c->log, base->size);

	state_init(s, base->bytes, base->size, room + (room >> 2));
	campaign_add_versions(c, s, &c->log, c->log.count);
}

void campaign_faults(struct campaign *c)
{
	struct trial t = {.campaign = c};
	struct state s;

	open_state(c, &s);
	t.state = &s;
	for (size_t i = 0; i < fault_kind_count; i++) {
		/* Syncs are few, and what matters most. */
		uint64_t step = fault_kinds[i].fault.calls == CALL_SYNC ? 1
				: c->quick				? 5
				: c->large				? 3
									: 1;

		t.kind = &fault_kinds[i];
		t.fault = fault_kinds[i].fault;
		for (t.fault.at = c->tally->faults % step; try_one(&t); t.fault.at += step)
			;
	}
	state_clear(&s);
	image_bytes_clear(&t.after);
}

bool faults_replay(struct campaign *c, size_t kind, uint64_t at)
{
	struct trial t = {.campaign = c,
			  .kind = &fault_kinds[kind],
			  .fault = fault_kinds[kind].fault};
	const char *why;
	struct state s;

	must(kind < fault_kind_count);
	open_state(c, &s);
	t.state = &s;
	t.fault.at = at;
	run(&t);
	why = judge(&t);
	printf("%s: %s, at call %" PRIu64 ": %" PRIu64 " failed\n", c->name, t.kind->name, at,
	       t.report.failed);
	printf("status %d%s%s; commits %u, header cut %d, in doubt %d, later changes %" PRIu64 "\n",
	       t.status, t.status < 0 ? ": " : "", t.status < 0 ? t.err.text : "", t.report.commits,
	       t.report.flip_cut, t.report.flip_in_doubt, t.report.afterthoughts);
	for (size_t i = 0; i < s.version_count; i++)
		printf("version %zu: %" PRIu64 " sectors differ\n", i, s.wrong_count[i]);
	if (!why && !t.report.flip_cut && t.status != -QC_E_OUTCOME_UNKNOWN)
		why = go_on(&t);
	printf("%s\n", why ? why : "nothing is wrong");
	state_clear(&s);
	image_bytes_clear(&t.after);
	return !why;
}
