// SPDX-License-Identifier: MIT
/*
 * Does the image that a given sector 0 leads to make sense? Asked before that sector is written:
 * of a torn header's two sides, and of a new state that gives up clusters which had been shared.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/limits.h"
#include "io/file.h"

struct qc_verdict {
	bool opens;	 /* a strict open succeeds, and every table entry makes sense */
	bool sound;	 /* and no cluster is used more often than its refcount says */
	bool range_free; /* the range that was asked about is free in it */
	bool range_lost; /* it is not, but no table leads there: its refcounts are wrong */
};

/*
 * Judges `file` as it would be with `sector` in place of its own first one. The range, in bytes,
 * must be past cluster 0; 0 bytes are free. Fails only where the file cannot be read.
 */
int qc_verify_sector(struct qc_file *file, const uint8_t sector[QC_SECTOR_BYTES],
		     uint64_t range_offset, uint64_t range_bytes, struct qc_verdict *ret,
		     struct qc_err *err);
