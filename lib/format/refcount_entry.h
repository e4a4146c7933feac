// SPDX-License-Identifier: MIT
/* Refcounts of 1, 2, 4, 8, 16, 32 and 64 bits in a block, and the entries of the table that finds blocks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "format/geometry.h"

#define QC_REFCOUNT_TABLE_RESERVED UINT64_C(0x1ff)
#define QC_REFCOUNT_TABLE_OFFSET_MASK UINT64_C(0xfffffffffffffe00)

/* Count number index (below g->refcounts_per_block) of a block of g->cluster_bytes bytes. */
uint64_t qc_refcount_get(const struct qc_geometry *g, const uint8_t *block, uint64_t index);

/* value must be at most g->refcount_max. */
void qc_refcount_set(const struct qc_geometry *g, uint8_t *block, uint64_t index, uint64_t value);

/* The first index at or after from whose count is not zero (is zero); refcounts_per_block if none. */
uint64_t qc_refcount_next_used(const struct qc_geometry *g, const uint8_t *block, uint64_t from);
uint64_t qc_refcount_next_free(const struct qc_geometry *g, const uint8_t *block, uint64_t from);

/* The first index at or after from whose count is above 1; refcounts_per_block if there is none. */
uint64_t qc_refcount_next_shared(const struct qc_geometry *g, const uint8_t *block, uint64_t from);

/*
 * Adds 1 to each of `count` counts from `first` on, or takes 1 from them, and returns how many were
 * changed: fewer than `count` if it came to one that is at the end of its width (at 0). *ret_zeroed
 * grows by those that became 0.
 */
uint64_t qc_refcount_step(const struct qc_geometry *g, uint8_t *block, uint64_t first,
			  uint64_t count, bool add, uint64_t *ret_zeroed);
