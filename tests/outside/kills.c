// SPDX-License-Identifier: MIT
#include "outside/kills.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/checked.h"
#include "crash/must.h"
#include "outside/aftermath.h"
#include "outside/trace.h"

/* What a kill may leave of a large write: the system stops between two pages. */
#define PAGE_BYTES UINT64_C(4096)

enum moment {
	BEFORE,
	INSIDE, /* half of it is done */
	AFTER,
	MOMENTS,
};

struct kill {
	size_t at; /* the call */
	enum moment moment;
	bool done;
	const char *name; /* of the call */
};

static enum trace_answer before(void *context, struct trace_call *call)
{
	struct kill *kill = context;
	uint64_t bytes;

	if (call->index != kill->at)
		return TRACE_GO;
	kill->name = call->what->name;
	if (kill->moment == BEFORE) {
		kill->done = true;
		return TRACE_KILL;
	}
	if (kill->moment == AFTER)
		return TRACE_GO;
	bytes = call->what->bytes_arg < 0 ? 0 : call->args[call->what->bytes_arg];
	if (bytes <= PAGE_BYTES)
		return TRACE_GO; /* cannot be interrupted */
	call->bytes = qc_align_up(bytes / 2, PAGE_BYTES);
	return TRACE_CUT;
}

static enum trace_answer after(void *context, const struct trace_call *call)
{
	struct kill *kill = context;

	if (call->index != kill->at)
		return TRACE_GO;
	if (kill->moment == INSIDE
	    && (call->what->bytes_arg < 0 || call->args[call->what->bytes_arg] <= PAGE_BYTES))
		return TRACE_GO;
	kill->done = true;
	return TRACE_KILL;
}

struct sum {
	uint64_t kills, bad;
	struct aftermath after;
};

static void kill_once(const struct lab *lab, struct kill *kill, struct sum *sum)
{
	static const char *const moments[] = {"before", "inside", "after"};
	struct trace_run run = {
		.folder = lab->run,
		.argv = lab->argv,
		.before = before,
		.after = after,
		.context = kill,
	};
	const char *wrong = NULL;

	lab_reset(lab);
	must(trace_program(&run));
	if (kill->done) {
		sum->kills++;
		if (run.status != 128 + SIGKILL)
			wrong = "it was not killed";
	} else if (run.status != 0) {
		wrong = run.words;
	}
	if (!wrong && (kill->done || kill->moment != INSIDE))
		wrong = aftermath_look(lab, sum->kills, &sum->after);
	if (wrong && sum->bad++ < 3)
		printf("# %s: killed %s call %zu (%s): %s\n", lab->scene->name,
		       moments[kill->moment], kill->at, kill->name ? kill->name : "none", wrong);
}

/* The calls of a run that nobody disturbs. */
static size_t count_calls(const struct lab *lab)
{
	struct kill none = {.at = SIZE_MAX};
	struct trace_run run = {
		.folder = lab->run,
		.argv = lab->argv,
		.before = before,
		.after = after,
		.context = &none,
	};
	struct seen seen;

	lab_reset(lab);
	must(trace_program(&run));
	seen_at(lab->image, &seen);
	if (run.status != 0 || !seen_same(&seen, &lab->new))
		return 0;
	return run.calls;
}

static size_t kill_everywhere(const struct lab *lab, bool full, struct sum *sum)
{
	size_t calls = count_calls(lab);

	for (size_t at = 0; at < calls; at++)
		for (enum moment moment = BEFORE; moment < MOMENTS; moment++) {
			struct kill kill = {.at = at, .moment = moment};

			/* What is after one call is before the next one. */
			if (moment != AFTER || full || at + 1 == calls)
				kill_once(lab, &kill, sum);
		}
	return calls;
}

bool kills_run(const struct scene *scene, const char *folder, bool full, uint64_t *all)
{
	struct sum sum = {0};
	struct lab lab;
	size_t calls = 0;
	bool ok;

	if (lab_open(&lab, scene, folder, false))
		calls = kill_everywhere(&lab, full, &sum);
	/* The first moments leave the old image, the last one the new. */
	ok = sum.bad == 0 && sum.kills >= calls && calls > 0 && sum.after.old > 0
	     && sum.after.new > 0;
	printf("%s killed: %s: %zu calls, %" PRIu64 " kills, %" PRIu64
	       " left the old image, %" PRIu64 " the new one, %" PRIu64
	       " of them with something to redo, %" PRIu64 " were finished, %" PRIu64
	       " looked at by qemu-img\n",
	       ok ? "ok" : "not ok", scene->name, calls, sum.kills, sum.after.old, sum.after.new,
	       sum.after.pending, sum.after.finished, sum.after.referee);
	fflush(stdout);
	*all += sum.kills;
	lab_close(&lab);
	return ok;
}
