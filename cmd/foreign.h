// SPDX-License-Identifier: MIT
/* What people who know qemu-img type, and what to type here instead. */
#pragma once

#include <stddef.h>

/*
 * One clause about an option (`length` bytes without dashes: a letter or a name) that the command,
 * "qcowtool info", does not have; NULL if there is nothing to say.
 */
const char *foreign_advice(const char *command, const char *option, size_t length);
