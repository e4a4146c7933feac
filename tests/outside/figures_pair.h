// SPDX-License-Identifier: MIT
/* Like figures_run(), of a scene whose image has a data file: both are recorded, and both are in doubt. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "outside/scene.h"

bool figures_pair_run(const struct scene *scene, const char *folder, bool full, uint64_t *all);
