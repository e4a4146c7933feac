// SPDX-License-Identifier: MIT
/* Random scripts for `qcowtool write`, and what they must make of the model. */
#pragma once

#include <stdbool.h>

#include "random/scene.h"

/* The last patch of a script. */
enum script_ending {
	SCRIPT_ENDS_WELL,
	SCRIPT_ENDS_PAST_THE_DISK,
	SCRIPT_ENDS_UNEXPECTED, /* with an expectation that does not hold */
	SCRIPT_ENDING_COUNT,
};

/*
 * Writes a script of so many patches to `path`, and applies them to `next`, which starts as a copy
 * of the model. With `grow`, patches may lie past the end of the disk, and `next` grows with it.
 */
void script_make(struct scene *scene, const char *path, const char *next, unsigned int patches,
		 bool grow, enum script_ending ending);
