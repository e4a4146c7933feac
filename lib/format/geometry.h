// SPDX-License-Identifier: MIT
/*
 * The handful of numbers that follow from a header and turn guest offsets into table indices and
 * host offsets into refcount indices. Everything that only needs to calculate takes a
 * `const struct qc_geometry *`, never an image.
 *
 * All members are derived once by qc_geometry_init() from values that were checked against
 * format/limits.h; the functions below are plain arithmetic and cannot fail.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct qc_geometry {
	uint32_t version;	 /* 2 or 3 */
	uint32_t cluster_bits;	 /* 9 .. 21 */
	uint32_t refcount_order; /* 0 .. 6 */
	bool extended_l2;	 /* entries of 16 bytes with 32 subclusters */
	bool external_data;	 /* guest clusters lie in a data file */
	uint64_t cluster_bytes;	 /* also the size of an L2 table and of a refcount block */
	uint32_t l2_entry_bytes; /* 8 or 16 */
	uint64_t l2_entries;	 /* in one table */
	uint64_t l2_span_bytes;	 /* guest bytes that one L2 table maps */
	uint32_t subclusters;	 /* in one cluster: 1 or 32 */
	uint64_t subcluster_bytes;
	uint64_t refcounts_per_block;
	uint64_t refcount_max; /* the largest count that the width can hold */
};

/* The arguments must be inside format/limits.h. */
void qc_geometry_init(struct qc_geometry *ret, uint32_t version, uint32_t cluster_bits,
		      uint32_t refcount_order, bool extended_l2, bool external_data);

static inline uint64_t qc_l1_index(const struct qc_geometry *g, struct qc_guest at)
{
	return at.byte / g->l2_span_bytes;
}

static inline uint64_t qc_l2_index(const struct qc_geometry *g, struct qc_guest at)
{
	return at.byte >> g->cluster_bits & (g->l2_entries - 1);
}

static inline uint64_t qc_in_cluster(const struct qc_geometry *g, uint64_t byte)
{
	return byte & (g->cluster_bytes - 1);
}

/* Clusters needed to hold that many bytes. */
static inline uint64_t qc_clusters_for(const struct qc_geometry *g, uint64_t bytes)
{
	return (bytes >> g->cluster_bits) + (qc_in_cluster(g, bytes) != 0);
}

static inline uint64_t qc_host_cluster(const struct qc_geometry *g, struct qc_host at)
{
	return at.byte >> g->cluster_bits;
}

static inline struct qc_host qc_host_of_cluster(const struct qc_geometry *g, uint64_t cluster)
{
	return qc_host(cluster << g->cluster_bits);
}

/* L1 entries that a disk of that many bytes needs. */
uint64_t qc_l1_entries_for(const struct qc_geometry *g, uint64_t disk_bytes);

/*
 * Clusters that refcounts can matter for: what the largest refcount table describes, cut at the
 * highest offset that an L1 or L2 entry can name.
 */
uint64_t qc_refcountable_clusters(const struct qc_geometry *g);
