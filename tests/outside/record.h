// SPDX-License-Identifier: MIT
/*
 * All that a program does to an image, and to its data file if it has one, with the bytes and in order:
 * the log that the crash enumerator takes.
 *
 * What must stay true: the log, replayed on the files as they were, makes the files as they are now.
 * That is tried after each run; a change that was not seen makes the recording fail, as does every call
 * that could make one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crash/record_file.h"
#include "crash/state.h"

struct recording {
	struct recorded {
		uint8_t *before, *after; /* owned */
		uint64_t bytes_before, bytes_after;
	} image, data;
	struct crash_log log;
	int status; /* the program's exit status */
};

/*
 * Runs the program in `folder` and records what it does to the file at `path`, which must lie below
 * it, and to its data file (NULL: none). NULL and *ret, or what is wrong.
 */
const char *record_program(const char *folder, const char *const *argv, const char *path,
			   const char *data_path, struct recording *ret);
void recording_clear(struct recording *r);

/* The files as they were, to be changed as the log says. Without a data file `data` is not touched. */
void recording_start(const struct recording *r, struct state *s, struct state *data);
