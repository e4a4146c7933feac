// SPDX-License-Identifier: MIT
/*
 * Giving back what a durable commit freed (I2): the runs of its journal are punched and the journal
 * is cut off. The commit does it at once; after a crash in between, recovery does, and must then
 * leave alone whatever another program has put there since.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "io/file.h"
#include "txn/journal.h"
#include "txn/space.h"

/*
 * `space` NULL: every run is free. Otherwise only those clusters of a run are punched that are free
 * in `space`. The file becomes `file_bytes` long.
 */
int qc_reclaim(struct qc_file *file, const struct qc_journal *journal, const struct qc_space *space,
	       uint64_t file_bytes, struct qc_err *err);
