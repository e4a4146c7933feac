// SPDX-License-Identifier: MIT
/* An entry of an L1 table: where an L2 table is. Specification, "L1 table entry". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define QC_L1_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QC_L1_COPIED (UINT64_C(1) << 63)
#define QC_L1_RESERVED UINT64_C(0x7f000000000001ff)

/* Where the L2 table is; none if every cluster that it would map is unallocated. */
static inline struct qc_host qc_l1_table_of(uint64_t entry)
{
	return qc_host(entry & QC_L1_OFFSET_MASK);
}

static inline uint64_t qc_l1_entry_make(struct qc_host table, bool copied)
{
	return table.byte | (copied ? QC_L1_COPIED : 0);
}
