// SPDX-License-Identifier: MIT
/* What others do to the image between our scripts: qemu writes to it, and handles its snapshots. */
#include <stdio.h>

#include "random/scene.h"
#include "random/sparse.h"

#define MOST_ZERO_BYTES (5u << 20) /* of one edit by qemu-io */

/* Only whole clusters are given back, so that the model need not know how qemu rounds. */
static void add_discard(struct scene *scene, struct command *command, uint64_t at, uint64_t length)
{
	uint64_t cluster = scene_cluster_bytes(scene);
	uint64_t end = (at + length) / cluster * cluster;

	at = (at + cluster - 1) / cluster * cluster;
	if (at >= end)
		return;
	command_add(command, "-cdiscard %llu %llu", (unsigned long long)at,
		    (unsigned long long)(end - at));
	sparse_zero(MODEL, at, end - at);
}

static void add_edit(struct scene *scene, struct command *command)
{
	uint64_t kind = rng_below(&scene->rng, 4), at, length;
	unsigned int data;

	scene_place(scene, kind < 2 ? MOST_ZERO_BYTES : scene->most_bytes, &at, &length);
	switch (kind) {
	case 0:
		if (scene->zero_by_discard) {
			add_discard(scene, command, at, length);
			break;
		}
		/* fall through */
	case 1:
		command_add(command, "-cwrite -z%s %llu %llu",
			    rng_chance(&scene->rng, 50) ? " -u" : "", (unsigned long long)at,
			    (unsigned long long)length);
		sparse_zero(MODEL, at, length);
		break;
	default:
		data = scene_data(scene, MODEL, at, length);
		command_add(command, "-cwrite -s data-%u %llu %llu", data, (unsigned long long)at,
			    (unsigned long long)length);
		break;
	}
}

bool scene_qemu_turn(struct scene *scene)
{
	uint64_t edits = rng_between(&scene->rng, 1, scene_few(scene, 12));
	struct command command = {0};

	command_add(&command, "qemu-io");
	command_add(&command, "-fqcow2");
	command_add(&command, "-dunmap");
	while (edits-- > 0)
		add_edit(scene, &command);
	command_add(&command, IMAGE);
	return scene_run(scene, &command, 0);
}

static bool snapshot(struct scene *scene, const char *option, unsigned int number)
{
	struct command command = {0};

	command_add(&command, "qemu-img");
	command_add(&command, "snapshot");
	command_add(&command, "%s", option);
	command_add(&command, "s%u", number);
	command_add(&command, IMAGE);
	return scene_run(scene, &command, 0);
}

static bool take(struct scene *scene, unsigned int *slot)
{
	char model[32];

	*slot = ++scene->last_snapshot;
	snprintf(model, sizeof(model), "snap-%u.raw", *slot);
	sparse_copy(MODEL, model);
	return snapshot(scene, "-c", *slot);
}

static bool apply(struct scene *scene, const unsigned int *slot)
{
	char model[32];

	snprintf(model, sizeof(model), "snap-%u.raw", *slot);
	sparse_copy(model, MODEL);
	return snapshot(scene, "-a", *slot);
}

static bool drop(struct scene *scene, unsigned int *slot)
{
	unsigned int number = *slot;

	*slot = 0;
	return snapshot(scene, "-d", number);
}

bool scene_snapshot_turn(struct scene *scene)
{
	unsigned int *slot = &scene->snapshots[rng_below(&scene->rng, SCENE_SNAPSHOTS)];

	if (*slot == 0)
		return take(scene, slot);
	return rng_chance(&scene->rng, 50) ? apply(scene, slot) : drop(scene, slot);
}
