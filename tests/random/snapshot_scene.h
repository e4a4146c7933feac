// SPDX-License-Identifier: MIT
/*
 * What the random test of snapshots adds to a scene: turns in which qcowtool or qemu handle snapshots
 * or the disk's size, and a look at all that the image holds.
 */
#pragma once

#include <stdbool.h>

#include "random/scene.h"

struct snapshot_totals {
	uint64_t steps;
	uint64_t creates[2], applies[2], deletes[2]; /* by qcowtool, by qemu */
	uint64_t renames, resizes, resized_applies;
	uint64_t refused;  /* refcounts too narrow, names that are not there */
	uint64_t dry_runs; /* that left every byte */
	uint64_t views;	   /* of snapshots, read and compared */
};

struct snapshot_scene {
	struct scene scene;
	struct snapshot_totals *totals;
};

/* One step of any kind. */
bool snapshot_turn(struct snapshot_scene *s);

/*
 * The disk and every snapshot are what their models say, by qcowtool; both find the image clean; qemu
 * now and then shows a snapshot or the list of them as qcowtool does. The other call: always, and all.
 */
bool snapshot_verify(struct snapshot_scene *s);
bool snapshot_verify_all(struct snapshot_scene *s);

/* Whether both files hold the same, to the last byte. */
bool snapshot_same_file(const char *one, const char *other);
