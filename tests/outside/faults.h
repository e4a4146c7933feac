// SPDX-License-Identifier: MIT
/* System calls of the real program that fail, one by one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "outside/scene.h"

/*
 * Says "ok ..." or what is wrong. The full run takes each kind of failure at each call.
 * *all grows by the failures.
 */
bool faults_run(const struct scene *scene, const char *folder, bool full, uint64_t *all);
