// SPDX-License-Identifier: MIT
/*
 * Hints for who writes much, in order, and will not look at it again. Space is set aside ahead of the
 * writes, in few large pieces; what was written is sent to the storage by the MiB, so that a sync has
 * little to wait for; and some time later it leaves the page cache, so that its pages serve the next
 * writes and everybody else's stay where they are. None of this changes what the file holds or how
 * long it is, and all of it may fail without a word. Nothing to a file that is no posix file.
 *
 * Without syncs nobody asked to wait for the storage: there, hints end as soon as one takes long.
 *
 * Calling sequence
 *	struct qc_write_behind behind = {.file = file};
 *	qc_file_write(file, offset, bytes, length, &err);
 *	qc_write_behind_wrote(&behind, offset, length, more);
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/file.h"

#define QC_WRITE_BEHIND_RANGES 32u

struct qc_write_behind_range {
	uint64_t offset, length;
};

struct qc_write_behind {
	struct qc_file *file; /* borrowed */

	/* Its own. */
	uint64_t reserved;		     /* where the space that was set aside ends */
	uint64_t gathered_from, gathered_to; /* written and not sent, for it is little */
	struct qc_write_behind_range ranges[QC_WRITE_BEHIND_RANGES]; /* sent, and still cached */
	unsigned int first, count;
	uint64_t cached_bytes;
	bool tired;
};

/*
 * The range was written. At most `more` bytes are to follow; if the range ends where the file does,
 * they are expected there, and space beyond the end is set aside for them: the caller sets the
 * file's length once it is done, which gives back what was not needed.
 */
void qc_write_behind_wrote(struct qc_write_behind *behind, uint64_t offset, uint64_t length,
			   uint64_t more);
