// SPDX-License-Identifier: MIT
/* What is done with one state of a sample. */
#include "crash/campaign.h"

#include "crash/buffer_file.h"
#include "crash/promises.h"
#include "crash/record_file.h"
#include "crash/referee.h"
#include "support/guard_file.h"
#include "txn/recover.h"

bool recover_once(struct qc_file *file, struct crash_log *log, const char **ret_why)
{
	struct qc_file *record = record_file_open(file, 0, log);
	struct qc_file *watched = guard_file_open(record, file);
	struct qc_recover_plan plan;
	struct qc_err err;
	const char *why = NULL, *broken;
	size_t done;

	if (qc_recover_look(watched, &plan, &err) < 0)
		why = "recovery cannot look";
	else if (plan.state == QC_RECOVER_UNDECIDABLE)
		why = "recovery cannot decide";
	else if (qc_recover_apply(watched, &plan, &err) < 0)
		why = "recovery fails";
	done = log->count;
	if (!why && (qc_recover_look(watched, &plan, &err) < 0 || plan.state != QC_RECOVER_CLEAN))
		why = "recovery leaves a journal";
	if (!why && (qc_recover_apply(watched, &plan, &err) < 0 || log->count != done))
		why = "recovery of a clean image changes it";
	broken = promises_close(watched);
	qc_file_close(record);
	*ret_why = broken ? broken : why;
	return !*ret_why;
}

/* Crashes during the recovery of the state, which is sound and must stay what it is. */
static void look_nested(struct run_context *outer, struct state *s, const struct crash_log *log)
{
	const struct image_bytes base = {s->bytes, s->size};
	struct run_context run = {
		.campaign = outer->campaign,
		.base = &base,
		.log = log,
		.depth = outer->depth + 1,
	};
	struct state inner;

	state_init(&inner, s->bytes, s->size, crash_log_room(log, s->size));
	state_add_version(&inner, s->bytes, s->size);
	/* Its punches have many sectors; some of them are torn in some of the recoveries. */
	campaign_enumerate(&run, &inner, 0,
			   !outer->campaign->quick && outer->campaign->tally->recovered % 16 == 1);
	state_clear(&inner);
}

static void look_recover(struct run_context *run, struct state *s, const struct crash_spec *spec,
			 size_t v)
{
	struct tally *t = run->campaign->tally;
	struct crash_log log = {0};
	struct buffer_file file;
	struct content content;
	const char *why;

	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	t->recovered++;
	if (recover_once(&file.base, &log, &why)) {
		content_of(&file.base, &content);
		if (!content_is_same(&content, &s->versions[v].content))
			why = "recovery changes the image";
	}
	if (why)
		campaign_fail(run, s, spec, &t->disagreed, why);
	else if (run->depth < 2 && log.count > 0)
		look_nested(run, s, &log);
	crash_log_clear(&log);
	buffer_file_clear(&file);
}

/* What `qemu-img compare` sees is the version. */
static void look_compare(struct run_context *run, struct state *s, const struct crash_spec *spec,
			 size_t v)
{
	const struct version *version = &s->versions[v];
	struct tally *t = run->campaign->tally;

	t->compared++;
	if (!referee_compares(s->bytes, s->size, version->bytes, version->size))
		campaign_fail(run, s, spec, &t->disagreed, "qemu-img compare objects");
}

void campaign_look(struct run_context *run, struct state *s, const struct crash_spec *spec,
		   size_t v)
{
	const struct version *version = &s->versions[v];
	struct campaign *c = run->campaign;
	struct buffer_file file;
	struct content content;

	c->tally->full++;
	buffer_file_init(&file);
	buffer_file_show(&file, s->bytes, s->size);
	content_of(&file.base, &content);
	if (!content_is_same(&content, &version->content)) {
		campaign_fail(run, s, spec, &c->tally->disagreed, "the judges disagree");
		return;
	}
	if (!content_is_sound(&version->content))
		return; /* neither recovery nor QEMU would touch it */
	look_recover(run, s, spec, v);
	if (c->tally->full % c->compare_sample == 0)
		look_compare(run, s, spec, v);
}
