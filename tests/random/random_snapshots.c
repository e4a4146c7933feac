// SPDX-License-Identifier: MIT
/*
 * The random differential test of `qcowtool snapshot-cow`: images of every shape go through random
 * sequences of snapshot verbs, edits and changes of size, by qcowtool and qemu in turns. After each
 * step the disk and every snapshot must be what their models say, and both must find the image
 * clean. QCOWTOOL_RANDOM_SNAPSHOTS is how many sequences; driver.h has the options.
 */
#include <inttypes.h>
#include <stdio.h>

#include "random/driver.h"
#include "random/snapshot_scene.h"

#define LEAST_STEPS 4
#define MOST_STEPS 12

static struct totals totals;
static struct snapshot_totals snapshots;

static bool covers(const struct shape *shape)
{
	return shape->snapshots;
}

static bool run(struct scene *scene)
{
	struct snapshot_scene s = {scene, &snapshots};
	uint64_t steps = rng_between(&scene->rng, LEAST_STEPS, MOST_STEPS);

	snapshots.sequences++;
	scene->most_bytes = (256u << 10) + scene_cluster_bytes(scene);
	if (!scene_make(scene) || !scene_qemu_turn(scene) || !scene_verify_start(scene))
		return false;
	while (steps-- > 0)
		if (!snapshot_turn(&s) || !scene_verify_step(scene))
			return false;
	return scene_verify(scene) && snapshot_verify_list(&s);
}

static void sum_up(void)
{
	const struct snapshot_totals *t = &snapshots;

	printf("%" PRIu64 " steps; by qcowtool and by qemu-img: %" PRIu64 " and %" PRIu64
	       " creates, %" PRIu64 " and %" PRIu64 " applies, %" PRIu64 " and %" PRIu64
	       " deletes; %" PRIu64 " renames, %" PRIu64 " scripts, %" PRIu64 " resizes\n",
	       t->steps, t->creates[0], t->creates[1], t->applies[0], t->applies[1], t->deletes[0],
	       t->deletes[1], t->renames, totals.scripts, t->resizes);
	printf("%" PRIu64 " applies changed the disk's size, %" PRIu64
	       " verbs were refused, %" PRIu64 " tried dry; %" PRIu64
	       " looks at snapshots, %" PRIu64 " more by qemu, %.1f GiB of disks compared\n",
	       t->resized_applies, t->refused, t->dry_runs, totals.views, totals.qemu_views,
	       (double)totals.bytes_compared / (1 << 30));
}

int main(int argc, char **argv)
{
	const struct driver driver = {
		.program = "random_snapshots",
		.variable = "QCOWTOOL_RANDOM_SNAPSHOTS",
		.short_count = 24,
		.done = &snapshots.sequences,
		.totals = &totals,
		.cluster_bits =
			(const uint8_t[]){9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 0},
		.refcount_bits = (const uint8_t[]){1, 2, 4, 8, 16, 32, 64, 0},
		.covers = covers,
		.run = run,
		.sum_up = sum_up,
	};

	return driver_main(&driver, argc, argv);
}
