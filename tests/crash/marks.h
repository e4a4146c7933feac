// SPDX-License-Identifier: MIT
/* What enabled dirty bitmaps must say of a commit, found by comparing the disks before and after. */
#pragma once

#include <stdbool.h>

#include "crash/folder.h"

/*
 * Whether each enabled bitmap of `new` marks all that `old` shows differently, and what was marked
 * before. True where there is none.
 */
bool marks_are_right(const struct image_bytes *old, const struct image_bytes *new);
