// SPDX-License-Identifier: MIT
/* What is asked of the folder that a stopped program has left. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "outside/scene.h"

struct aftermath {
	uint64_t old, new; /* how often it was which; both where the two are the same to readers */
	uint64_t pending;  /* of these: how often bytes were left to be redone */
	uint64_t finished; /* runs that went on from there, and ended where the first would have */
	uint64_t referee;  /* looks by qemu-img */
};

/*
 * The image must be the old or the new one, and sound unless the old one is not. From the old one the
 * command, run again, must lead to the new one; a recovery must leave either as it is. What was committed
but is not yet in the data file must become the new image by either of them. `turn` tells
 * the looks apart, so that what takes long is done for a part of them. NULL, or what is wrong.
 */
const char *aftermath_look(const struct lab *lab, uint64_t turn, struct aftermath *sum);
