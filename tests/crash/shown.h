// SPDX-License-Identifier: MIT
/*
 * Which states a program was shown, and which of all others it could not tell from one of those: they
 * agree in all sectors that it had looked at (sight.h), and in their lengths. So a program that takes
 * milliseconds has met every one of millions of states.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crash/known.h"
#include "crash/sight.h"
#include "crash/state.h"

struct shown {
	struct view *views; /* owned; which sectors some states were looked at in */
	size_t count, room;
	struct known known; /* what stood there */
};

/* What is known of a state beforehand. */
struct given {
	uint64_t digest;	      /* of all that is known, and of what is to come out */
	const struct qc_bitset *used; /* known sectors, and sector 0 with them; NULL: none */
};

void shown_clear(struct shown *shown);

/* Whether the program would do what it did when it was shown a state that was added. */
bool shown_covers(const struct shown *shown, const struct state *s, const struct given *given);

/* From now on it was shown that one, and saw so much of it. False: that was covered already. */
bool shown_add(struct shown *shown, const struct state *s, const struct given *given,
	       const struct sight *sight);
