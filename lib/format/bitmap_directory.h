// SPDX-License-Identifier: MIT
/* The directory of persistent dirty bitmaps, and their tables. Specification, "Bitmaps". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/finding.h"
#include "format/geometry.h"

#define QC_BITMAP_IN_USE (UINT32_C(1) << 0)	      /* not saved correctly: contents unknown */
#define QC_BITMAP_AUTO (UINT32_C(1) << 1)	      /* every write to the disk must be recorded */
#define QC_BITMAP_EXTRA_COMPATIBLE (UINT32_C(1) << 2) /* unknown extra data may be ignored */
#define QC_BITMAP_FLAGS_KNOWN (QC_BITMAP_IN_USE | QC_BITMAP_AUTO | QC_BITMAP_EXTRA_COMPATIBLE)

#define QC_BITMAP_TABLE_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QC_BITMAP_TABLE_RESERVED UINT64_C(0xff000000000001fe)
#define QC_BITMAP_TABLE_ALL_ONES UINT64_C(1) /* without an offset only */

struct qc_bitmap {
	struct qc_host table;
	uint32_t table_entries;
	uint32_t flags;
	uint8_t type; /* 1: dirty tracking */
	uint8_t granularity_bits;
	char *name; /* name_bytes bytes and a zero */
	uint16_t name_bytes;
	uint8_t *extra;
	uint32_t extra_bytes;
};

struct qc_bitmaps {
	struct qc_bitmap *list;
	size_t count;
};

/*
 * Decodes a directory of `count` bitmaps in `length` bytes (both bounded by format/limits.h).
 * Malformed entries are reported and kept; a directory that ends early or has bytes left over fails
 * with QC_E_FORMAT. That the tables are aligned to a cluster (here: to 512 bytes) and long enough for
 * the disk is for the caller to check. Release with qc_bitmaps_clear().
 */
int qc_bitmaps_decode(const uint8_t *bytes, size_t length, uint32_t count,
		      const struct qc_finding_sink *to, struct qc_bitmaps *ret, struct qc_err *err);

uint64_t qc_bitmaps_encoded_bytes(const struct qc_bitmaps *bitmaps);
void qc_bitmaps_encode(const struct qc_bitmaps *bitmaps, uint8_t *to);
void qc_bitmaps_clear(struct qc_bitmaps *bitmaps); /* harmless on a zeroed struct */
