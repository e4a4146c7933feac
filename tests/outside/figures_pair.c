// SPDX-License-Identifier: MIT
/*
 * A recorded program that changed an image and its data file: every crash of both, each in doubt for
 * itself. Each state is recovered and read, as no bytes alone say what one is that has something to redo.
 */
#include "outside/figures_pair.h"

#include <inttypes.h>
#include <stdio.h>

#include "crash/enumerate.h"
#include "crash/known.h"
#include "crash/must.h"
#include "crash/pair.h"
#include "outside/figures.h"
#include "outside/record.h"

struct run {
	const struct lab *lab;
	const struct recording *recording;
	struct content old, new;
	bool differ;	     /* those two */
	size_t success_from; /* a crash after so many operations may follow the program's success */
	uint64_t every, made; /* one state of so many is judged; so many there were */
	uint64_t states, is_old, is_new, pending;
	uint64_t torn, leaked, corrupt, lost, disagreed;
	const char *why; /* of the first that is wrong */
	struct known known;
};

static void count(struct run *run, uint64_t *counter, const char *why)
{
	++*counter;
	if (!run->why)
		run->why = why;
}

static void judge_seen(struct run *run, const struct pair_seen *seen, const struct crash_spec *spec)
{
	if (seen->why)
		count(run, &run->disagreed, seen->why);
	else if (seen->changed || seen->doubtful)
		count(run, &run->disagreed, "recovery changes what there is");
	else if (content_is_same(&seen->content, &run->new))
		run->is_new++;
	else if (content_is_same(&seen->content, &run->old) && spec->durable < run->success_from)
		run->is_old++;
	else if (content_is_same(&seen->content, &run->old))
		count(run, &run->lost, "lost after success");
	else if (!seen->content.readable || seen->content.corruptions > 0)
		count(run, &run->corrupt, "corrupt");
	else if (seen->content.leaks > 0)
		count(run, &run->leaked, "leaked clusters");
	else
		count(run, &run->torn, "neither old nor new");
}

static bool judge(void *context, struct state *s, const struct crash_spec *spec)
{
	struct run *run = context;
	struct pair_seen seen;

	if (run->made++ % run->every != 0)
		return true;
	run->states++;
	if (known_add(&run->known, s, spec->durable < run->success_from))
		return true;
	pair_see(s, NULL, &seen);
	run->pending += seen.pending;
	judge_seen(run, &seen, spec);
	return true;
}

static void enumerate(struct run *run, bool full)
{
	struct state s, data;
	struct crash_run crash = {
		.state = &s,
		.log = &run->recording->log,
		.random_states = full ? 2000 : 200,
		.seed = 1,
		.judge = judge,
		.context = run,
	};

	recording_start(run->recording, &s, &data);
	crash_enumerate(&crash);
	state_clear(&s);
	state_clear(&data);
}

static void see(const struct pair *pair, struct content *ret)
{
	struct pair_seen seen;

	pair_see_bytes(pair, NULL, &seen);
	must(!seen.why && content_is_sound(&seen.content));
	*ret = seen.content;
}

static struct pair borrow(const struct recording *r, bool after)
{
	return after ? (struct pair){{r->image.after, r->image.bytes_after},
				     {r->data.after, r->data.bytes_after}}
		     : (struct pair){{r->image.before, r->image.bytes_before},
				     {r->data.before, r->data.bytes_before}};
}

static void try_all(struct run *run, bool full)
{
	const struct recording *r = run->recording;
	const struct pair before = borrow(r, false), after = borrow(r, true);

	see(&before, &run->old);
	see(&after, &run->new);
	run->differ = !content_is_same(&run->old, &run->new);
	for (size_t i = 0; i < r->log.count; i++)
		if (r->log.ops[i].kind == CRASH_SYNC && r->log.ops[i].file == 0)
			run->success_from = i + 1;
	run->every = full ? 1 : 8;
	enumerate(run, full);
}

static bool is_well(const struct run *run)
{
	return run->torn + run->leaked + run->corrupt + run->lost + run->disagreed == 0
	       && run->is_new > 0 && (run->is_old > 0 || !run->differ);
}

bool figures_pair_run(const struct scene *scene, const char *folder, bool full, uint64_t *all)
{
	struct recording recording = {0};
	struct run run = {.recording = &recording};
	const char *wrong = "it cannot be prepared";
	struct lab lab;
	bool ok;

	if (lab_open(&lab, scene, folder, false)) {
		run.lab = &lab;
		lab_reset(&lab);
		figures_share_bases(&lab);
		wrong = record_program(lab.run, lab.argv, lab.image, lab.data, &recording);
		if (!wrong && recording.status != 0)
			wrong = "the program failed";
		if (!wrong)
			try_all(&run, full);
	}
	ok = !wrong && is_well(&run);
	printf("%s recorded: %s: %zu operations on two files, %" PRIu64 " states, of those that "
	       "differ %" PRIu64 " old, %" PRIu64 " new, %" PRIu64
	       " with something to redo, %" PRIu64 " torn, %" PRIu64 " leaked, %" PRIu64
	       " corrupt, %" PRIu64 " lost%s%s\n",
	       ok ? "ok" : "not ok", scene->name, recording.log.count, run.states, run.is_old,
	       run.is_new, run.pending, run.torn, run.leaked, run.corrupt, run.lost,
	       wrong || run.why ? ": " : "",
	       wrong	 ? wrong
	       : run.why ? run.why
			 : "");
	fflush(stdout);
	*all += run.states;
	known_clear(&run.known);
	recording_clear(&recording);
	lab_close(&lab);
	return ok;
}
