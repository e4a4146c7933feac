// SPDX-License-Identifier: MIT
/*
 * What the exit status promises, held to at each call:
 *	0	the new image
 *	1	the old file, byte for byte; after a storage that fails for good, the old image
 *	4	the second sync of a commit failed, and only then: the words say so, and nothing is
 *		written after it
 * A commit that still has to write to the data file is one that has happened. What fails from then on
 * ends in 4 too, with words of its own.
 */
#include "outside/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crash/must.h"
#include "format/features.h"
#include "outside/aftermath.h"
#include "outside/trace.h"

#define SECTOR_BYTES 512
#define FOR_EVER 1000000
#define MARK_AT 79 /* the last byte of the incompatible features */

static const char unknown_words[] =
	"the outcome of the commit is unknown; the image is exactly the old or exactly the new one";

static const char unfinished_words[] =
	"the transaction is committed, but not all of its bytes are in the data file";

enum mode {
	FAIL_ONCE,
	FAIL_SHORT,	     /* half of it is done, and the rest must be asked for again */
	FAIL_FOR_GOOD,	     /* and so does every call after it */
	FAIL_ONCE_OTHERWISE, /* with another error, which may mean something to the program */
	FAIL_INTERRUPTED,
	MODES,
};

struct fault {
	size_t at;
	enum mode mode;
	const char *image, *data;
	bool done;
	bool committing;      /* that is done, and not yet synced */
	bool outcome_unknown; /* that sync failed */
	bool promised;	      /* it was synced, and leaves something to redo */
	bool unfinished;      /* which failed, or could have */
	bool wrote_after;     /* and something was done to the image all the same */
	const char *name;     /* of the call that failed first */
};

static bool changes_bytes(const struct trace_call *call)
{
	return call->what->kind <= TRACE_ALLOCATE;
}

/* The one write of a commit: of sector 0 or, for a new file, of its name. */
static bool is_flip(const struct fault *f, const struct trace_call *call)
{
	if (call->what->kind == TRACE_NAME)
		return strncmp(call->what->name, "link", 4) == 0
		       || strncmp(call->what->name, "rename", 6) == 0;
	return call->what->kind == TRACE_WRITE_AT && call->args[2] == SECTOR_BYTES
	       && call->args[3] == 0 && strcmp(call->path, f->image) == 0;
}

/* Whether the header, as it is now, says that something is to be redone. */
static bool is_marked(const struct fault *f)
{
	int fd = f->data[0] != '\0' ? open(f->image, O_RDONLY | O_CLOEXEC) : -1;
	uint8_t last = 0;

	if (fd < 0)
		return false;
	must(pread(fd, &last, 1, MARK_AT) == 1);
	close(fd);
	return (last & QC_INCOMPAT_CORRUPT) != 0;
}

/* 0: this call cannot fail in that way. */
static int errnum_of(const struct fault *f, const struct trace_call *call)
{
	const enum trace_kind kind = call->what->kind;

	if (f->mode == FAIL_INTERRUPTED)
		return changes_bytes(call) ? EINTR : 0;
	if (f->mode == FAIL_ONCE_OTHERWISE)
		return kind == TRACE_ALLOCATE || kind == TRACE_OPEN ? EOPNOTSUPP : ENOSPC;
	return EIO;
}

static enum trace_answer fail(struct fault *f, struct trace_call *call)
{
	if (!f->name)
		f->name = call->what->name;
	if (f->mode == FAIL_SHORT) {
		/* The commit's own write is whole or not at all: that is what is assumed. */
		if (call->what->bytes_arg < 0 || call->what->kind == TRACE_ALLOCATE
		    || is_flip(f, call))
			return TRACE_GO;
		call->bytes = (call->args[call->what->bytes_arg] + 1) / 2;
		f->done = true;
		return TRACE_CUT;
	}
	call->errnum = errnum_of(f, call);
	if (call->errnum == 0)
		return TRACE_GO;
	f->done = true;
	if (call->what->kind == TRACE_SYNC && f->committing)
		f->outcome_unknown = true;
	else if (f->promised)
		f->unfinished = true;
	return TRACE_FAIL;
}

static enum trace_answer before(void *context, struct trace_call *call)
{
	struct fault *f = context;
	enum trace_answer answer = TRACE_GO;

	if ((f->outcome_unknown || f->unfinished) && changes_bytes(call)
	    && (strcmp(call->path, f->image) == 0 || strcmp(call->path, f->data) == 0))
		f->wrote_after = true;
	if (call->index == f->at || (f->mode == FAIL_FOR_GOOD && call->index > f->at))
		answer = fail(f, call);
	if (answer != TRACE_FAIL) {
		if (is_flip(f, call))
			f->committing = true;
		else if (call->what->kind == TRACE_SYNC) {
			f->promised |= f->committing && is_marked(f);
			f->committing = false;
		}
	}
	return answer;
}

static enum trace_answer after(void *context, const struct trace_call *call)
{
	(void)context, (void)call;
	return TRACE_GO;
}

/* Whether the command left the file as it was, byte for byte. */
static bool is_untouched(const struct lab *lab)
{
	char base[LAB_PATH_BYTES], data[LAB_PATH_BYTES], script[6 * LAB_PATH_BYTES];

	lab_image_in(lab, lab->base, base);
	lab_data_in(lab, lab->base, data);
	if (!lab->old.there) /* nothing new lies there, of whatever name */
		snprintf(script, sizeof(script), "test -z \"$(ls -A '%s')\"", lab->run);
	else
		snprintf(
			script, sizeof(script),
			"same() { if test -e \"$1\"; then cmp -s \"$1\" \"$2\"; else test ! -e \"$2\"; fi; }\n"
			"same '%s' '%s' && same '%s' '%s'",
			base, lab->image, data, lab->data);
	return lab_shell(lab, script) == 0;
}

/* What is wrong with how the program ended; NULL: nothing. */
static const char *judge_end(const struct lab *lab, const struct fault *f,
			     const struct trace_run *run)
{
	const bool says_unknown = strstr(run->words, unknown_words) != NULL;
	const bool says_unfinished = strstr(run->words, unfinished_words) != NULL;
	static char text[TRACE_WORDS_BYTES + 80];
	struct seen now;

	snprintf(text, sizeof(text), "exit status %d: %s", run->status, run->words);
	if (says_unknown != f->outcome_unknown || (says_unfinished && !f->unfinished)
	    || (run->status == 4) != (says_unknown || says_unfinished))
		return text;
	if (run->status == 4 && f->wrote_after)
		return "a file was written to after the last sync had failed";
	if (f->unfinished && run->status == 1 && !lab->scene->in_steps)
		return "it says that it failed, and is committed";
	if (run->status != 0 && run->status != 1 && run->status != 4)
		return text;
	if (f->mode >= FAIL_INTERRUPTED || f->mode == FAIL_SHORT || !f->done)
		return run->status == 0 ? NULL : text; /* nothing was lost, only slow */
	seen_at(lab->image, &now);
	if (run->status == 0 && !seen_same(&now, &lab->new))
		return "it says that it is done, and is not";
	if (run->status != 1 || lab->scene->in_steps)
		return NULL;
	if (!seen_same(&now, &lab->old))
		return "it says that it failed, but the image is another";
	if (f->mode != FAIL_FOR_GOOD && !is_untouched(lab))
		return "it failed, and the file is not what it was";
	return NULL;
}

struct sum {
	uint64_t faults, done, failed, unknown, bad;
	struct aftermath after;
};

/* False if the program made fewer calls than that. */
static bool fault_once(const struct lab *lab, size_t at, enum mode mode, struct sum *sum)
{
	struct fault fault = {.at = at, .mode = mode, .image = lab->image, .data = lab->data};
	struct trace_run run = {
		.folder = lab->run,
		.argv = lab->argv,
		.before = before,
		.after = after,
		.context = &fault,
	};
	const char *wrong;

	lab_reset(lab);
	must(trace_program(&run));
	if (!fault.name)
		return false;
	sum->faults += fault.done;
	sum->done += fault.done && run.status == 0;
	sum->failed += fault.done && run.status == 1;
	sum->unknown += fault.done && run.status == 4;
	wrong = judge_end(lab, &fault, &run);
	if (!wrong)
		wrong = aftermath_look(lab, sum->faults, &sum->after);
	if (wrong && sum->bad++ < 3)
		printf("# %s: call %zu (%s), failure %d: %s\n", lab->scene->name, at, fault.name,
		       mode, wrong);
	return true;
}

static size_t fail_everywhere(const struct lab *lab, bool full, struct sum *sum)
{
	size_t at = 0;

	for (; at < FOR_EVER; at++) {
		if (!fault_once(lab, at, FAIL_ONCE, sum))
			break;
		for (enum mode mode = FAIL_ONCE + 1; mode < MODES; mode++)
			if (full || (at + mode) % (MODES - 1) == 0)
				fault_once(lab, at, mode, sum);
	}
	return at;
}

bool faults_run(const struct scene *scene, const char *folder, bool full, uint64_t *all)
{
	struct sum sum = {0};
	struct lab lab;
	size_t calls = 0;
	bool ok;

	if (lab_open(&lab, scene, folder, false))
		calls = fail_everywhere(&lab, full, &sum);
	ok = sum.bad == 0 && calls > 0 && sum.failed > 0;
	printf("%s failed: %s: %zu calls, %" PRIu64 " failures: %" PRIu64 " overcome, %" PRIu64
	       " undone, %" PRIu64 " of unknown outcome; %" PRIu64 " finished later, %" PRIu64
	       " looked at by qemu-img\n",
	       ok ? "ok" : "not ok", scene->name, calls, sum.faults, sum.done, sum.failed,
	       sum.unknown, sum.after.finished, sum.after.referee);
	fflush(stdout);
	*all += sum.faults;
	lab_close(&lab);
	return ok;
}
