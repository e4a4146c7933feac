// SPDX-License-Identifier: MIT
/*
 * What stood in the free clusters that a transaction writes on, so that an aborted one leaves the
 * file byte for byte as it was. Free space beyond the old end of the file needs no memory: it is cut
 * off. Holes need none either: they are punched again. Leftovers of freed clusters are copied, to
 * memory as far as they are few and else to a temporary file, before they are written over.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/file.h"

struct qc_undo_entry {
	uint64_t offset, bytes;
	uint64_t saved_at; /* in its spool; UINT64_MAX: it was a hole */
	struct qc_file *spool;
};

struct qc_undo {
	struct qc_file *lent;		    /* to be the temporary file; may be NULL */
	struct qc_file *memory, *temporary; /* the spools; NULL until needed */
	struct qc_undo_entry *entries;
	size_t count, room;
};

/* Saves what the range of `file` holds, as far as that is below `file_bytes_before`. */
int qc_undo_save(struct qc_undo *undo, struct qc_file *file, uint64_t file_bytes_before,
		 uint64_t offset, uint64_t bytes, struct qc_err *err);

/* Writes everything back, the last change first; goes on after an error, and returns the first. */
int qc_undo_restore(struct qc_undo *undo, struct qc_file *file, struct qc_err *err);
void qc_undo_clear(struct qc_undo *undo); /* harmless on a zeroed struct */
