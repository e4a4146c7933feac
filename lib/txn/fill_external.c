// SPDX-License-Identifier: MIT
/* Filling an image with an external data file: there are no snapshots, and no new places to find. */
#include "base/checked.h"
#include "txn/fill_impl.h"
#include "txn/put_data.h"
#include "txn/txn_state.h"

/* One subcluster, unless the image holds it already. */
static int fill_one(struct qc_txn *txn, uint64_t at, const uint8_t *bytes, size_t length,
		    enum qc_fill_kind kind, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	uint64_t from = qc_in_cluster(g, at);
	struct qc_l2_entry entry;
	int status = qc_put_look(txn, qc_guest(at), &entry, err);

	if (status < 0 || ((entry.allocated | entry.zero) >> (from / g->subcluster_bytes) & 1) != 0)
		return status;
	return qc_put_cluster(txn, qc_guest(at - from), from, from + length,
			      kind == QC_FILL_DATA ? bytes : NULL,
			      kind == QC_FILL_DATA ? QC_PUT_DATA : QC_PUT_ZERO, err);
}

int qc_fill_external(struct qc_txn *txn, uint64_t at, const uint8_t *bytes, size_t length,
		     const uint8_t *kinds, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	int status = 0;

	for (size_t now; status == 0 && length > 0 && at < txn->header.disk_bytes; length -= now) {
		now = (size_t)qc_min(qc_min(length, g->subcluster_bytes),
				     txn->header.disk_bytes - at);
		if (txn->options.stop && *txn->options.stop)
			status = qc_fail(err, QC_E_INTERRUPTED, "interrupted");
		else if (*kinds != QC_FILL_NOTHING)
			status = fill_one(txn, at, bytes, now, (enum qc_fill_kind) * kinds, err);
		at += now;
		bytes += now;
		kinds++;
	}
	return status;
}
