// SPDX-License-Identifier: MIT
/*
 * Commands that make a new file and give it its name in the end. A crash leaves what has the name then:
 * the old file, if there was one, or the new one, with whatever of it is on stable storage.
 *
 * So it has to be complete there, as has its data file, that one's name included, before it gets the
 * name; nothing of it may change afterwards; and the name itself is to be durable before the end.
 */
#pragma once

#include <stdbool.h>

#include "outside/scene.h"

/* Follows the scene's command. Says "ok ..." or what is wrong. */
bool names_run(const struct scene *scene, const char *folder);

/* Whether a program that does it wrong is noticed. Says "ok ..." or what is wrong. */
bool names_control(const char *folder);
