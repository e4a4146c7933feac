// SPDX-License-Identifier: MIT
/* Every crash of a recorded run, judged and counted; for QEMU's programs too, to compare with. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "outside/scene.h"

/*
 * Enumerates all crashes of the scene's command. Says "ok ..." or what is wrong: each state must be
 * the old or the new image, and stay so when a guest goes on with it. *all grows by the states.
 */
bool figures_run(const struct scene *scene, const char *folder, bool full, uint64_t *all);

/* Prints the same of both programs as a table, for scenes whose name holds `only` (NULL: all). */
bool figures_compare(const char *only, const char *folder);

/* Whether changes that cannot be followed are noticed. Says "ok ..." or what is wrong. */
bool figures_control(const char *folder);

/* Puts what the scene's images stand on where crash/content.h looks for it. */
void figures_share_bases(const struct lab *lab);
