// SPDX-License-Identifier: MIT
/*
 * All that a program does to one file, with the bytes, as the log that the crash enumerator takes.
 *
 * What must stay true: the log, replayed on the file as it was, makes the file as it is now. That is
 * tried after each run; a change that was not seen makes the recording fail, as does every call that
 * could make one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crash/record_file.h"

struct recording {
	uint8_t *before, *after; /* the file; owned */
	uint64_t bytes_before, bytes_after;
	struct crash_log log;
	int status; /* the program's exit status */
};

/*
 * Runs the program in `folder` and records what it does to the file at `path`, which must lie below
 * it. NULL and *ret, or what is wrong.
 */
const char *record_program(const char *folder, const char *const *argv, const char *path,
			   struct recording *ret);
void recording_clear(struct recording *r);
