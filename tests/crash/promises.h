// SPDX-License-Identifier: MIT
/* Whether what was done to files keeps the promises that support/guard_file.h watches over. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "crash/log.h"
#include "io/file.h"

/* What was done, and to what. */
struct promises {
	const struct image_bytes *image, *data; /* before; the second may be NULL */
	const struct crash_log *log;
	struct sight *sight; /* NULL, or what is told of all that the guard reads */
	size_t first;	     /* operations of the log before this one do not count */
	bool damaged;	     /* the image may refer to clusters that have no count */
	bool flip_cut; /* the write of sector 0 was made to stop half way, which ends it all */
};

/* NULL, or which promise was broken; the text stays until the next call of any of these. */
const char *promises_kept(const struct promises *p);

/* The verdict of a guard that was in place, which is closed. */
const char *promises_close(struct qc_file *guard);
