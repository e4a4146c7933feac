// SPDX-License-Identifier: MIT
/*
 * The random differential test of `qcowtool write`: images of every shape are edited in turns by
 * qemu and by random scripts, and after each script the guest's disk and every snapshot must be what
 * a model says, by qcowtool and by qemu, and both must find the image clean. QCOWTOOL_RANDOM_EDITS
 * is how many patches must have taken effect; driver.h has the options.
 */
#include <inttypes.h>
#include <stdio.h>

#include "random/driver.h"

#define ROUNDS 3

static struct totals totals;

static bool covers(const struct shape *shape)
{
	return shape->refcount_bits > 1 || !shape->snapshots; /* it cannot count shared clusters */
}

static bool run_round(struct scene *scene, bool first)
{
	if (rng_chance(&scene->rng, 65) && !scene_qemu_turn(scene))
		return false;
	if (scene->shape.snapshots && (first || rng_chance(&scene->rng, 70))
	    && !scene_snapshot_turn(scene))
		return false;
	if (rng_chance(&scene->rng, 30) && !scene_qemu_turn(scene))
		return false;
	return scene_verify_start(scene) && scene_script_turn(scene) && scene_verify(scene);
}

static bool run(struct scene *scene)
{
	uint64_t rounds = rng_between(&scene->rng, 1, ROUNDS);

	scene->most_bytes = 5u << 20;
	if (!scene_make(scene))
		return false;
	for (uint64_t round = 0; round < rounds; round++)
		if (!run_round(scene, round == 0))
			return false;
	return true;
}

static void sum_up(void)
{
	printf("%" PRIu64 " edits in %" PRIu64 " scripts, %" PRIu64
	       " edits in scripts that had to fail or were tried dry\n",
	       totals.edits, totals.scripts, totals.refused);
	printf("%.1f GiB of guest disks compared; qcowtool write took %.1f s, at most %.2f s and "
	       "%ld MiB at a time\n",
	       (double)totals.bytes_compared / (1 << 30), totals.writing, totals.slowest,
	       totals.peak_kib >> 10);
}

int main(int argc, char **argv)
{
	const struct driver driver = {
		.program = "random_edits",
		.variable = "QCOWTOOL_RANDOM_EDITS",
		.short_count = 1500,
		.done = &totals.edits,
		.totals = &totals,
		.cluster_bits = (const uint8_t[]){9, 12, 16, 21, 0},
		.refcount_bits = (const uint8_t[]){1, 8, 16, 64, 0},
		.covers = covers,
		.run = run,
		.sum_up = sum_up,
	};

	return driver_main(&driver, argc, argv);
}
