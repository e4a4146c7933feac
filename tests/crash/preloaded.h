// SPDX-License-Identifier: MIT
/* What crash/program.c and the object that it puts into programs say to each other. */
#pragma once

#include <stdatomic.h>

#include "crash/program.h"

/* The environment variable with the descriptors of the socket and of the log: "3,4". */
#define PRELOADED_FDS "PRELOADED_FDS"

/*
 * A request is one packet: a byte that is not 0 if the run is to be quiet, and the arguments from
 * argv[0] on, each with its final 0. The answer is one, too: the int that waitpid() gave.
 */
#define REQUEST_BYTES 4096
#define REQUEST_ARGS_MAX 32

#define TOUCHES_MAX ((size_t)1 << 16)

/* In memory that is shared, and written to by the program only. */
struct touch_log {
	atomic_size_t count;	/* of this run; above TOUCHES_MAX: the others are lost */
	atomic_bool has_missed; /* a run did what no touch can tell */
	struct touch list[TOUCHES_MAX];
};
