// SPDX-License-Identifier: MIT
/*
 * map on a terminal: the disk as one line of blocks, and a legend. Colours are the terminal's own;
 * with NO_COLOR or on a dumb terminal the blocks are letters.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/map.h"

struct map_bar {
	unsigned int columns; /* 0: nobody would see it */
	bool coloured;
};

/* How stdout can show it; to be asked before the process is locked down. */
void map_bar_init(struct map_bar *ret);

/* Prints what is in [start, end) of the view, if there is anybody to look at it. */
int map_bar_print(const struct map_bar *bar, const struct qc_view *view, uint64_t start,
		  uint64_t end, struct qc_err *err);
