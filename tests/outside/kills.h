// SPDX-License-Identifier: MIT
/* SIGKILL at every system call that changes a file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "outside/scene.h"

/*
 * Says "ok ..." or what is wrong. The short run takes each call, the full one also each moment of it.
 * *all grows by the kills.
 */
bool kills_run(const struct scene *scene, const char *folder, bool full, uint64_t *all);
