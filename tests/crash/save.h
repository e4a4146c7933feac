// SPDX-License-Identifier: MIT
/* Failing states on disk, complete: image, log, recipe and what the state should have been. */
#pragma once

#include "crash/campaign.h"

#define SAVE_NAME_BYTES 96 /* enough for the name of each */

/* Writes FOLDER/NAME-NUMBER.crash and, for other programs, FOLDER/NAME-NUMBER.qcow2; says where. */
void save_state(const char *folder, const char *name, unsigned int number,
		const struct run_context *run, const struct crash_spec *spec,
		const struct state *state);

/* What is in the log, and what of it is there. */
void save_print_log(const struct crash_log *log, const struct crash_spec *spec);

/* Which image and edit the state came from, as "image/edit". */
void save_name(const char *path, char *name, size_t name_bytes);

/*
 * Makes the state again, prints it and the verdict of every judge, and lets whoever goes on meet it.
 * The campaign is that of its name; what the image stands on is in the scratch folder. False: it
 * still fails.
 */
bool save_replay(const char *path, struct campaign *c);

/* A fault needs no more than its name; FOLDER/NAME-NUMBER.crash. */
void save_fault(const char *folder, const char *name, unsigned int number, size_t kind,
		uint64_t at);

/* Whether the file is of that kind, and then which. */
bool save_is_fault(const char *path, char *name, size_t name_bytes, size_t *ret_kind,
		   uint64_t *ret_at);
