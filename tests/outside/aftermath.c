// SPDX-License-Identifier: MIT
#include "outside/aftermath.h"

#include <stdio.h>

#include "crash/must.h"
#include "outside/trace.h"

#define REFEREE_EVERY 8

static const char *complaint(const char *what, const struct seen *seen)
{
	static char text[320];

	snprintf(text, sizeof(text), "%s: %s", what, seen_text(seen));
	return text;
}

/* Whether qemu-img finds the image sound, and the same as the one in `folder`. */
static bool referee_agrees(const struct lab *lab, const char *folder)
{
	char like[LAB_PATH_BYTES];
	const char *check[] = {"qemu-img", "check", "-q", "-f", "qcow2", lab->image, NULL};
	const char *compare[] = {"qemu-img", "compare", "-q", lab->image, like, NULL};

	lab_image_in(lab, folder, like);
	return run_program(lab->run, check, NULL) == 0 && run_program(lab->run, compare, NULL) == 0;
}

static int recover(const struct lab *lab)
{
	char script[LAB_PATH_BYTES + 64];

	must(snprintf(script, sizeof(script), "exec \"$QCOWTOOL\" recover -q '%s'", lab->image)
	     < (int)sizeof(script));
	return lab_shell(lab, script);
}

/* Recovers, which must not change what the image is; what is not sound may have to be repaired first. */
static const char *settle(const struct lab *lab, const struct seen *before)
{
	bool failed;
	struct seen after;

	if (!before->there || !before->content.readable)
		return NULL;
	failed = recover(lab) != 0;
	seen_at(lab->image, &after);
	if (failed && seen_sound(before))
		return "it cannot be recovered";
	if (!seen_same(before, &after) && !seen_same(&lab->new, &after))
		return complaint("recovery makes something else of it", &after);
	return NULL;
}

static const char *run_again(const struct lab *lab, struct aftermath *sum)
{
	struct seen after;

	if (lab_command(lab) != 0)
		return "the command, run again, fails";
	seen_at(lab->image, &after);
	if (!seen_same(&lab->new, &after)
	    || after.content.compressed != lab->new.content.compressed)
		return complaint("the command, run again, ends elsewhere", &after);
	sum->finished++;
	return NULL;
}

const char *aftermath_look(const struct lab *lab, uint64_t turn, struct aftermath *sum)
{
	const char *wrong = NULL;
	bool old, new;
	struct seen now;

	seen_at(lab->image, &now);
	old = seen_same(&now, &lab->old);
	new = seen_same(&now, &lab->new);
	if (!old && !new)
		return complaint("neither old nor new", &now);
	sum->old += old;
	sum->new += new;
	if (turn % REFEREE_EVERY == 0 && now.there && seen_sound(&now)) {
		sum->referee++;
		if (!referee_agrees(lab, new ? lab->done : lab->base))
			return "qemu-img objects";
	}
	if (turn % 2 == 0 || !old)
		wrong = settle(lab, &now);
	if (!wrong && old)
		wrong = run_again(lab, sum);
	return wrong;
}
