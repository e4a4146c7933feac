// SPDX-License-Identifier: MIT
/* The write that switches an image from one state to another. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/limits.h"
#include "io/file.h"

/* Whether sector 0 of the file is that one. */
int qc_flip_is(struct qc_file *file, const uint8_t sector[QC_SECTOR_BYTES], bool *ret,
	       struct qc_err *err);

/*
 * Writes `next` over `now`, which is there, and waits until it is durable. All that `next` leads to
 * must be on stable storage. After QC_E_OUTCOME_UNKNOWN nothing at all may be written (I6); after any
 * other error `now` is still there.
 */
int qc_flip(struct qc_file *file, const uint8_t now[QC_SECTOR_BYTES],
	    const uint8_t next[QC_SECTOR_BYTES], struct qc_err *err);
