// SPDX-License-Identifier: MIT
/*
 * What the random test of snapshots adds to a scene: turns in which qcowtool or qemu handle snapshots
 * or the disk's size.
 */
#pragma once

#include <stdbool.h>

#include "random/scene.h"

struct snapshot_totals {
	uint64_t sequences, steps;
	uint64_t creates[2], applies[2], deletes[2]; /* by qcowtool, by qemu */
	uint64_t renames, resizes, resized_applies;
	uint64_t refused;  /* refcounts too narrow, names that are not there */
	uint64_t dry_runs; /* that left every byte */
};

struct snapshot_scene {
	struct scene *scene;
	struct snapshot_totals *totals;
};

/* One step of any kind. */
bool snapshot_turn(struct snapshot_scene *s);

/* The list of them is the same text by qcowtool and by qemu. */
bool snapshot_verify_list(struct snapshot_scene *s);
