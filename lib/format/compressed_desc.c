// SPDX-License-Identifier: MIT
#include "format/compressed_desc.h"

#include <assert.h>

#include "base/checked.h"
#include "format/limits.h"

#define SECTOR_BYTES 512u /* the unit of the descriptor, whatever the storage has */
#define DESCRIPTOR_BITS 62

static uint64_t offset_mask(const struct qc_geometry *g)
{
	return (UINT64_C(1) << qc_compressed_offset_bits(g)) - 1;
}

uint64_t qc_compressed_offset_end(const struct qc_geometry *g)
{
	/* Small clusters leave more bits than an offset may have: bits 56 and up must be zero. */
	return qc_min(offset_mask(g), QC_HOST_OFFSET_MAX) + 1;
}

void qc_compressed_decode(const struct qc_geometry *g, uint64_t descriptor, struct qc_host *ret_at,
			  uint64_t *ret_bytes)
{
	uint64_t offset = descriptor & offset_mask(g);
	uint64_t more_sectors;

	descriptor &= (UINT64_C(1) << DESCRIPTOR_BITS) - 1;
	more_sectors = descriptor >> qc_compressed_offset_bits(g);
	*ret_at = qc_host(offset);
	*ret_bytes = (more_sectors + 1) * SECTOR_BYTES - offset % SECTOR_BYTES;
}

uint64_t qc_compressed_encode(const struct qc_geometry *g, struct qc_host at, uint64_t bytes)
{
	uint64_t more_sectors = (at.byte % SECTOR_BYTES + bytes - 1) / SECTOR_BYTES;

	assert(at.byte <= offset_mask(g));
	assert(bytes > 0 && more_sectors < UINT64_C(1) << (g->cluster_bits - 8));
	return more_sectors << qc_compressed_offset_bits(g) | at.byte;
}

void qc_compressed_clusters(const struct qc_geometry *g, struct qc_host at, uint64_t bytes,
			    uint64_t *ret_first, uint64_t *ret_count)
{
	uint64_t first = at.byte >> g->cluster_bits;
	uint64_t last = (at.byte + bytes - 1) >> g->cluster_bits;

	*ret_first = first;
	*ret_count = last - first + 1;
}
