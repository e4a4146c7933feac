// SPDX-License-Identifier: MIT
/*
 * qcowtool runs a random script. Most succeed; the rest must fail, and like dry runs they must leave
 * the image byte for byte what it was.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random/scene.h"
#include "random/script.h"
#include "random/sparse.h"

#define NEXT "next.raw" /* the model as the script must leave it */

struct plan {
	char script[32];
	unsigned int patches;
	enum script_ending ending;
	bool grow, compress, trust_refcounts, sync;
	bool must_fail;
};

static unsigned int draw_patches(struct rng *rng)
{
	switch (rng_below(rng, 4)) {
	case 0:
		return (unsigned int)rng_between(rng, 1, 3);
	case 1:
		return (unsigned int)rng_between(rng, 60, 200);
	default:
		return (unsigned int)rng_between(rng, 4, 60);
	}
}

static bool has_snapshots(const struct scene *scene)
{
	for (int i = 0; i < SCENE_SNAPSHOTS; i++)
		if (scene->snapshots[i] != 0)
			return true;
	return false;
}

static void draw_plan(struct scene *scene, struct plan *plan)
{
	struct rng *rng = &scene->rng;

	*plan = (struct plan){.patches = draw_patches(rng)};
	snprintf(plan->script, sizeof(plan->script), "script-%u", ++scene->last_script);
	plan->ending = SCRIPT_ENDS_WELL;
	if (rng_chance(rng, 15))
		plan->ending = rng_chance(rng, 60) ? SCRIPT_ENDS_PAST_THE_DISK
						   : SCRIPT_ENDS_UNEXPECTED;
	plan->grow = plan->ending != SCRIPT_ENDS_PAST_THE_DISK && rng_chance(rng, 20);
	plan->compress = rng_chance(rng, scene->shape.compressed ? 60 : 15);
	plan->trust_refcounts = rng_chance(rng, 25);
	plan->sync = rng_chance(rng, 10);
	sparse_copy(MODEL, NEXT);
	script_make(scene, plan->script, NEXT, plan->patches, plan->grow, plan->ending);
	/* Snapshots of version 2 do not know the size of their disk, so that it cannot change. */
	plan->must_fail = plan->ending != SCRIPT_ENDS_WELL
			  || (scene->shape.version == 2 && has_snapshots(scene)
			      && sparse_bytes(NEXT) > sparse_bytes(MODEL));
}

static struct outcome write_script(struct scene *scene, const struct plan *plan, bool dry,
				   const char *out)
{
	struct command command = {0};
	struct outcome outcome;

	command_add(&command, "%s", scene->tool);
	command_add(&command, "write");
	command_add(&command, "--output=json");
	command_add(&command, "--script=%s", plan->script);
	if (dry)
		command_add(&command, "--dry-run");
	if (plan->grow)
		command_add(&command, "--grow");
	if (plan->compress)
		command_add(&command, "--compress");
	if (plan->trust_refcounts)
		command_add(&command, "--trust-refcounts");
	if (!plan->sync)
		command_add(&command, "--no-sync");
	command_add(&command, IMAGE);
	outcome = command_run(&command, LOG, out);
	if (outcome.peak_kib > scene->totals->peak_kib)
		scene->totals->peak_kib = outcome.peak_kib;
	if (outcome.seconds > scene->totals->slowest)
		scene->totals->slowest = outcome.seconds;
	scene->totals->writing += outcome.seconds;
	return outcome;
}

static bool image_is_unchanged(struct scene *scene, const char *what)
{
	uint64_t bytes = sparse_bytes(BEFORE), at;

	if (sparse_bytes(IMAGE) != bytes)
		return scene_fail(scene, "%s changed the image's length from %llu to %llu", what,
				  (unsigned long long)bytes,
				  (unsigned long long)sparse_bytes(IMAGE));
	if (!sparse_same(BEFORE, IMAGE, bytes, &at))
		return scene_fail(scene, "%s changed the image's byte %llu", what,
				  (unsigned long long)at);
	return true;
}

static bool fails_and_changes_nothing(struct scene *scene, const struct plan *plan)
{
	struct outcome outcome = write_script(scene, plan, false, NULL);

	if (outcome.status != 1)
		return scene_fail(scene, "%s must fail with status 1, not %d", plan->script,
				  outcome.status);
	scene->totals->refused += plan->patches;
	return image_is_unchanged(scene, "a script that failed");
}

/* Cuts the report off behind the counts: what follows says whether it was a dry run. */
static void load_counts(const char *path, char *counts, size_t room)
{
	FILE *stream = fopen(path, "re");
	char *end;

	if (!stream)
		err(2, "%s", path);
	counts[fread(counts, 1, room - 1, stream)] = '\0';
	fclose(stream);
	end = strstr(counts, "\"committed\"");
	if (end)
		*end = '\0';
}

static bool reports_agree(struct scene *scene, const struct plan *plan)
{
	char dry[1024], real[1024];

	load_counts("out-dry", dry, sizeof(dry));
	load_counts("out", real, sizeof(real));
	return strcmp(dry, real) == 0
	       || scene_fail(scene, "%s: the dry run foretold something else", plan->script);
}

static bool run_dry(struct scene *scene, const struct plan *plan)
{
	struct outcome outcome = write_script(scene, plan, true, "out-dry");

	if (outcome.status != 0)
		return scene_fail(scene, "%s: the dry run ended with status %d", plan->script,
				  outcome.status);
	scene->totals->refused += plan->patches;
	return image_is_unchanged(scene, "a dry run");
}

static bool run_really(struct scene *scene, const struct plan *plan)
{
	struct outcome outcome = write_script(scene, plan, false, "out");

	if (outcome.status != 0)
		return scene_fail(scene, "%s ended with status %d", plan->script, outcome.status);
	scene->totals->edits += plan->patches;
	scene->totals->scripts++;
	if (rename(NEXT, MODEL) < 0)
		err(2, NEXT);
	return true;
}

bool scene_script_turn(struct scene *scene)
{
	struct plan plan;
	bool dry;

	draw_plan(scene, &plan);
	dry = rng_chance(&scene->rng, 20);
	if (dry || plan.must_fail)
		sparse_copy(IMAGE, BEFORE);
	if (plan.must_fail)
		return fails_and_changes_nothing(scene, &plan);
	if (dry && !run_dry(scene, &plan))
		return false;
	return run_really(scene, &plan) && (!dry || reports_agree(scene, &plan));
}
