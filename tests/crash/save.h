// SPDX-License-Identifier: MIT
/* Failing states on disk, complete: image, log, recipe and what the state should have been. */
#pragma once

#include "crash/enumerate.h"
#include "crash/scenario.h"

/* Writes FOLDER/NAME-NUMBER.crash and, for other programs, FOLDER/NAME-NUMBER.qcow2; says where. */
void save_state(const char *folder, const char *name, unsigned int number,
		const struct image_bytes *base, const struct crash_log *log,
		const struct crash_spec *spec, const struct state *state);

/* Makes the state again, prints it and the verdict of every judge. False: it still fails. */
bool save_replay(const char *path);
