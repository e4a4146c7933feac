// SPDX-License-Identifier: MIT
/* Writes the journal of a transaction that is about to commit; journal.h says what it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "txn/journal.h"

struct qc_txn;

/*
 * Writes the segment of a settled and flushed transaction, whose new sector 0 is `after`, and
 * returns what it wrote. The file becomes longer; a block device needs free space at its very end.
 * *ret_shared_freed tells whether the commit takes all references from a cluster that had several.
 */
int qc_journal_write(struct qc_txn *txn, const uint8_t *after, uint64_t file_bytes_after,
		     struct qc_journal *ret, bool *ret_shared_freed, struct qc_err *err);
