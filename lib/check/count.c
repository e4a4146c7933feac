// SPDX-License-Identifier: MIT
#include <inttypes.h>

#include "base/checked.h"
#include "check/check_impl.h"

/*
 * The last cluster of a file may be cut short, so a reference may end past the file, but by less
 * than a cluster.
 */
bool qc_check_is_inside(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t weight,
			const struct qc_check_place *place)
{
	if (qc_range_fits(offset, bytes, check->file->bytes + check->geometry.cluster_bytes - 1))
		return true;
	qc_check_report(check, QC_FINDING_REFERENCE_PAST_END, weight, qc_host(offset), place,
			"reference to %" PRIu64 " bytes at offset %#" PRIx64
			", a cluster or more past the end of the file",
			bytes, offset);
	return false;
}

static void claim(struct qc_check *check, uint64_t first, uint64_t end,
		  const struct qc_check_place *place)
{
	const struct qc_claim claim = {
		.kind = check->claiming,
		.first = first,
		.end = end,
		.has_guest = place->has_guest,
		.guest = place->guest,
	};

	if (check->options->claimed)
		check->options->claimed(check->options->claims, &claim);
}

int qc_check_count_clusters(struct qc_check *check, uint64_t first, uint64_t end, uint64_t weight,
			    const struct qc_check_place *place, struct qc_err *err)
{
	const struct qc_geometry *g = &check->geometry;
	struct qc_counts_excess excess;
	int status;

	check->clusters = qc_max(check->clusters, end);
	claim(check, first, end, place);
	status = qc_counts_add(&check->references, first, end - first, weight, &excess, err);
	if (status < 0)
		return status;
	if (check->subject && !place->apart) {
		struct qc_counts_excess unused;

		status = qc_counts_add(&check->reached, first, end - first, 1, &unused, err);
		if (status < 0)
			return status;
	}
	if (excess.references > 0)
		qc_check_report(check, QC_FINDING_REFCOUNT_OVERFLOW, excess.references,
				qc_host_of_cluster(g, excess.cluster), place,
				"cluster offset=%#" PRIx64 " has more references than the %" PRIu64
				" that a refcount can hold",
				excess.cluster << g->cluster_bits, g->refcount_max);
	return 0;
}

int qc_check_count(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t weight,
		   const struct qc_check_place *place, struct qc_err *err)
{
	uint32_t bits = check->geometry.cluster_bits;

	if (bytes == 0 || !qc_check_is_inside(check, offset, bytes, weight, place))
		return 0;
	return qc_check_count_clusters(check, offset >> bits, ((offset + bytes - 1) >> bits) + 1,
				       weight, place, err);
}
