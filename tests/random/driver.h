// SPDX-License-Identifier: MIT
/*
 * What the random tests share: the matrix of shapes, the options, a folder for each case, the count
 * and the sum. A case depends on nothing but the seed and its number.
 *
 *	PROGRAM QCOWTOOL			the short run
 *	PROGRAM QCOWTOOL --count=10000		cases until so much has been done
 *	PROGRAM QCOWTOOL --seconds=600		... or until the time is up
 *	PROGRAM QCOWTOOL --all			at least one case of every shape
 *	PROGRAM QCOWTOOL --seed=S --case=N	that one again; its folder is kept
 *
 * The environment says the same: QCOWTOOL_RANDOM_SEED, a variable of each program for the count, and
 * QCOWTOOL_RANDOM_FOLDER for the place of the cases' folders, which is fastest on a tmpfs: qemu-img
 * waits for the disk. The folder of a case that failed is kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "random/scene.h"

struct driver {
	const char *program;
	const char *variable;	     /* of the environment, that says the count */
	uint64_t short_count;	     /* when nothing says it */
	const uint64_t *done;	     /* what is counted */
	struct totals *totals;	     /* what all cases add to */
	const uint8_t *cluster_bits; /* of the matrix; a zero ends it, here and below */
	const uint8_t *refcount_bits;
	bool (*covers)(const struct shape *shape); /* beyond what images can be at all */
	bool (*run)(struct scene *scene); /* one case, in the current folder; false: it failed */
	void (*sum_up)(void);		  /* prints what the run was made of */
};

/* The whole program. Returns its exit status. */
int driver_main(const struct driver *driver, int argc, char **argv);
