// SPDX-License-Identifier: MIT
/*
 * What a header may claim in a fuzz target. A table of 65536 snapshots, or of a million L2 tables, in a
 * file that has none of them takes a hundred thousand times as long as other inputs and shows nothing
 * that a hundred of them do not; the tests of hostile images have the true limits.
 */
#pragma once

#include "base/byte_order.h"
#include "format/disk_layout.h"
#include "format/limits.h"
#include "fuzz/fuzz.h"

#define FUZZ_FINDINGS_MAX 100u

/* Beyond the limit it stays as it is: that is refused at once. */
static inline void fuzz_bound_field(uint8_t *image, size_t length, size_t at, uint32_t max,
				    uint32_t limit)
{
	uint32_t value;

	if (length < at + sizeof(value))
		return;
	value = qc_load_be32(image + at);
	if (value > max && value <= limit)
		qc_store_be32(image + at, value % (max + 1));
}

static inline void fuzz_bound_image(uint8_t *image, size_t length)
{
	fuzz_bound_field(image, length, offsetof(struct qc_disk_header, nb_snapshots), 0xff,
			 QC_SNAPSHOTS_MAX);
	fuzz_bound_field(image, length, offsetof(struct qc_disk_header, l1_size), 0xfff,
			 QC_L1_BYTES_MAX / sizeof(uint64_t));
	fuzz_bound_field(image, length, offsetof(struct qc_disk_header, refcount_table_clusters),
			 0xff, QC_REFCOUNT_TABLE_BYTES_MAX >> QC_CLUSTER_BITS_MIN);
}
