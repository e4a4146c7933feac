// SPDX-License-Identifier: MIT
/*
 * What a durable commit still has to write to the data file, as its journal says: the end of that
 * commit, and of recovery after a crash in the middle. The same journal may be replayed any number of
 * times, as nobody else writes to the image as long as it is marked corrupt.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/limits.h"
#include "io/file.h"
#include "txn/journal.h"

/* Marks the sector 0 that a commit with redo records writes. */
void qc_redo_guard(uint8_t sector[QC_SECTOR_BYTES]);

/* Whether the journal is that of a commit with redo records. */
bool qc_redo_is_guarded(const struct qc_journal_head *head);

/* The sector 0 with which it ends: that of the commit without the mark. */
void qc_redo_final(const uint8_t guarded[QC_SECTOR_BYTES], uint8_t ret[QC_SECTOR_BYTES]);

/*
 * Whether all redo records make sense and their content is there, to the bit; QC_E_FORMAT if not.
 * Changes nothing.
 */
int qc_redo_verify(struct qc_file *file, const struct qc_journal *journal, struct qc_err *err);

/*
 * Writes to `data` what the records say, syncs it, and takes the mark from the header of `file`,
 * which is `guarded` now, durably. The records must have been verified, or be our own.
 * QC_E_OUTCOME_UNKNOWN if all is written, but whether the mark is gone for good is not known.
 */
int qc_redo_replay(struct qc_file *file, const struct qc_journal *journal,
		   const uint8_t guarded[QC_SECTOR_BYTES], struct qc_file *data,
		   struct qc_err *err);
