// SPDX-License-Identifier: MIT
#include "format/geometry.h"

#include <assert.h>

#include "base/checked.h"
#include "format/limits.h"

void qc_geometry_init(struct qc_geometry *ret, uint32_t version, uint32_t cluster_bits,
		      uint32_t refcount_order, bool extended_l2, bool external_data)
{
	uint64_t cluster_bytes;
	uint32_t refcount_bits;

	assert(cluster_bits >= QC_CLUSTER_BITS_MIN && cluster_bits <= QC_CLUSTER_BITS_MAX);
	assert(refcount_order <= QC_REFCOUNT_ORDER_MAX);
	cluster_bytes = UINT64_C(1) << cluster_bits;
	refcount_bits = UINT32_C(1) << refcount_order;
	*ret = (struct qc_geometry){
		.version = version,
		.cluster_bits = cluster_bits,
		.refcount_order = refcount_order,
		.extended_l2 = extended_l2,
		.external_data = external_data,
		.cluster_bytes = cluster_bytes,
		.l2_entry_bytes = extended_l2 ? 16 : 8,
		.subclusters = extended_l2 ? 32 : 1,
		.refcounts_per_block = cluster_bytes * 8 / refcount_bits,
		.refcount_max = UINT64_MAX >> (64 - refcount_bits),
	};
	ret->l2_entries = cluster_bytes / ret->l2_entry_bytes;
	ret->l2_span_bytes = ret->l2_entries << cluster_bits;
	ret->subcluster_bytes = cluster_bytes / ret->subclusters;
}

uint64_t qc_l1_entries_for(const struct qc_geometry *g, uint64_t disk_bytes)
{
	return qc_div_up(disk_bytes, g->l2_span_bytes);
}

uint64_t qc_refcountable_clusters(const struct qc_geometry *g)
{
	uint64_t described = QC_REFCOUNT_TABLE_BYTES_MAX / 8 * g->refcounts_per_block;

	return qc_min(described, (QC_HOST_OFFSET_MAX + 1) >> g->cluster_bits);
}
