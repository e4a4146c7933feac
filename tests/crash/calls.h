// SPDX-License-Identifier: MIT
/*
 * The system calls that the library makes on one image and its data file, and its requests for
 * memory: written down, counted, and made to fail. The linker puts these in the place of the real
 * ones (--wrap), so what is watched is the code that people run, down to the last layer. Only calls
 * of the watching thread count. A sync is not passed on: here nothing has to outlive the program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crash/log.h"
#include "crash/sight.h"

enum call {
	CALL_READ = 1,
	CALL_WRITE = 2,
	CALL_RESIZE = 4,
	CALL_PUNCH = 8,
	CALL_SYNC = 16,
	CALL_MEMORY = 32,
	CALL_CHANGES = CALL_WRITE | CALL_RESIZE | CALL_PUNCH | CALL_SYNC,
	CALL_FILE = CALL_CHANGES | CALL_READ,
};

/* Which calls fail, and how. */
struct call_fault {
	unsigned int calls; /* enum call: those that are counted and can fail */
	int os_errno;	    /* 0: none fails, but transfers do only a part */
	bool partly;	    /* the first that would fail does half of its work instead */
	uint64_t times;	    /* so many in a row; UINT64_MAX: all that come */
	uint64_t at;	    /* the first of them, from 0 */
};

struct call_report {
	uint64_t counted; /* calls of the fault's kinds; without a fault, of all kinds */
	uint64_t failed;
	unsigned int commits;	/* writes of sector 0 that a sync made durable */
	bool flip_failed;	/* the write of sector 0 failed */
	bool flip_cut;		/* or was cut short */
	bool flip_in_doubt;	/* or was made, and the sync after it failed */
	uint64_t afterthoughts; /* calls that would change the file after any of these */
};

/*
 * From here to calls_done(): what changes the file at `path` goes to `log` (NULL: nowhere), and
 * `fault` (NULL: none) strikes. `data_path` (NULL: none) is its data file, for which the same holds.
 */
void calls_watch(const char *path, const char *data_path, struct crash_log *log,
		 const struct call_fault *fault);

/*
 * Until then `sight` (NULL: nothing) gets what is read of the files, and what is done to them. What is
 * only saved, to be put back if all fails, is not read at all then: other bytes are saved.
 */
void calls_tell(struct sight *sight);
void calls_done(struct call_report *ret);
