// SPDX-License-Identifier: MIT
/*
 * The descriptor of a compressed cluster: bits 0..61 of an L2 entry. Specification, "Compressed
 * Clusters Descriptor". x = 62 - (cluster_bits - 8) bits of byte offset, then the number of 512-byte
 * sectors after the one that the offset lies in.
 */
#pragma once

#include <stdint.h>

#include "base/address.h"
#include "format/geometry.h"

/* Bits of the descriptor that hold the offset: 61 for 512-byte clusters, 49 for 2 MiB. */
static inline uint32_t qc_compressed_offset_bits(const struct qc_geometry *g)
{
	return 62 - (g->cluster_bits - 8);
}

/* One past the highest byte offset at which compressed data can start. */
uint64_t qc_compressed_offset_end(const struct qc_geometry *g);

/* Offset and length (in bytes from that offset to the end of the last sector) of a descriptor. */
void qc_compressed_decode(const struct qc_geometry *g, uint64_t descriptor, struct qc_host *ret_at,
			  uint64_t *ret_bytes);

/*
 * The descriptor of `bytes` of data at `at`, which is below qc_compressed_offset_end(). Writers have
 * 1 .. cluster_bytes; what qc_compressed_decode() returned (up to twice that) is accepted too.
 */
uint64_t qc_compressed_encode(const struct qc_geometry *g, struct qc_host at, uint64_t bytes);

/* The host clusters that an extent touches: the first, and how many (1 .. 3). Each one counts a reference. */
void qc_compressed_clusters(const struct qc_geometry *g, struct qc_host at, uint64_t bytes,
			    uint64_t *ret_first, uint64_t *ret_count);
