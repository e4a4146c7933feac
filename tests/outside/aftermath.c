// SPDX-License-Identifier: MIT
#include "outside/aftermath.h"

#include <stdio.h>
#include <unistd.h>

#include "crash/must.h"
#include "outside/trace.h"

#define REFEREE_EVERY 8

static const char *complaint(const char *what, const struct seen *seen)
{
	static char text[320];

	snprintf(text, sizeof(text), "%s: %s", what, seen_text(seen));
	return text;
}

/* The image at `path` as QEMU is to open it, with the data file that belongs there if it has one. */
static const char *options_of(const struct lab *lab, const char *folder, const char *path,
			      bool has_data)
{
	static char text[2][3 * LAB_PATH_BYTES];
	static unsigned int turn;
	char data[LAB_PATH_BYTES];
	char *ret = text[turn++ % 2];

	lab_data_in(lab, folder, data);
	snprintf(ret, sizeof(text[0]),
		 has_data ? "driver=qcow2,file.driver=file,file.filename=%s,"
			    "data-file.driver=file,data-file.filename=%s"
			  : "driver=qcow2,file.driver=file,file.filename=%s",
		 path, data);
	return ret;
}

/* Whether qemu-img finds the image sound, and the same as the one in `folder`. */
static bool referee_agrees(const struct lab *lab, const char *folder)
{
	char like[LAB_PATH_BYTES], data[LAB_PATH_BYTES];
	bool has_data;
	const char *check[] = {"qemu-img", "check", "-q", "-f", "qcow2", lab->image, NULL};
	const char *compare[] = {"qemu-img", "compare", "-q", "--image-opts", NULL, NULL, NULL};

	lab_image_in(lab, folder, like);
	lab_data_in(lab, folder, data);
	/* A new data file may be there before the image that names it is. */
	has_data = access(data, F_OK) == 0;
	compare[4] = options_of(lab, lab->run, lab->image, has_data);
	compare[5] = options_of(lab, folder, like, has_data);
	return run_program(lab->run, check, NULL) == 0 && run_program(lab->run, compare, NULL) == 0;
}

/* Recovers, which must not change what the image is; what is not sound may have to be repaired first. */
static const char *settle(const struct lab *lab, const struct seen *before)
{
	bool failed;
	struct seen after;

	if (!before->there || !before->content.readable)
		return NULL;
	failed = lab_recover(lab) != 0;
	seen_at(lab->image, &after);
	if (failed && seen_sound(before))
		return "it cannot be recovered";
	if (!seen_same(before, &after) && !seen_same(&lab->new, &after))
		return complaint("recovery makes something else of it", &after);
	return NULL;
}

static const char *run_again(const struct lab *lab, struct aftermath *sum)
{
	char old_data[LAB_PATH_BYTES];
	struct seen after;

	/* A new data file gets its name first, and none is ever written over: it could be a disk. */
	lab_data_in(lab, lab->base, old_data);
	if (lab->data[0] != '\0' && access(old_data, F_OK) < 0)
		unlink(lab->data);
	if (lab_command(lab) != 0)
		return "the command, run again, fails";
	seen_at(lab->image, &after);
	if (!seen_same(&lab->new, &after)
	    || after.content.compressed != lab->new.content.compressed)
		return complaint("the command, run again, ends elsewhere", &after);
	sum->finished++;
	return NULL;
}

/* Whether it is recovered or the command comes first, it is all there then. */
static const char *finish(const struct lab *lab, uint64_t turn, struct aftermath *sum)
{
	const bool recovers = turn % 2 == 0;
	struct seen after;
	bool old;

	sum->pending++;
	if ((recovers ? lab_recover(lab) : lab_command(lab)) != 0)
		return "what is left to be redone cannot be";
	seen_at(lab->image, &after);
	old = recovers && lab->old_pending && seen_same(&after, &lab->old);
	if (!old && !seen_same(&after, &lab->new))
		return complaint("what was left to be redone ends elsewhere", &after);
	sum->old += old;
	sum->new += !old;
	if (turn % REFEREE_EVERY >= 2)
		return NULL;
	sum->referee++;
	return old || referee_agrees(lab, lab->done) ? NULL : "qemu-img objects to what was redone";
}

const char *aftermath_look(const struct lab *lab, uint64_t turn, struct aftermath *sum)
{
	const char *wrong = NULL;
	bool old, new;
	struct seen now;

	seen_at(lab->image, &now);
	if (now.pending)
		return finish(lab, turn, sum);
	old = seen_same(&now, &lab->old);
	new = seen_same(&now, &lab->new);
	if (!old && !new)
		return complaint("neither old nor new", &now);
	sum->old += old;
	sum->new += new;
	if (turn % REFEREE_EVERY == 0 && now.there && seen_sound(&now)) {
		sum->referee++;
		if ((new || !lab->old_pending) && !referee_agrees(lab, new ? lab->done : lab->base))
			return "qemu-img objects";
	}
	if (turn % 2 == 0 || !old)
		wrong = settle(lab, &now);
	if (!wrong && old)
		wrong = run_again(lab, sum);
	return wrong;
}
