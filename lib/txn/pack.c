// SPDX-License-Identifier: MIT
#include "txn/pack.h"

#include "format/compressed_desc.h"
#include "txn/txn_state.h"

/* Takes clusters until `bytes` fit; starts afresh where the next free one is not the neighbour. */
static int make_room(struct qc_txn *txn, uint64_t bytes, struct qc_err *err)
{
	struct qc_pack *pack = &txn->pack;
	uint64_t cluster;
	int status;

	while (pack->end - pack->next < bytes) {
		if ((status = qc_space_take(&txn->space, 1, &cluster, err)) < 0)
			return status;
		if (cluster << txn->geometry->cluster_bits != pack->end)
			pack->next = cluster << txn->geometry->cluster_bits;
		pack->end = (cluster + 1) << txn->geometry->cluster_bits;
		txn->report.clusters_allocated++;
	}
	return 0;
}

/* The host cluster that is partly filled cannot count another extent: leave the rest of it. */
static int skip_full_count(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_pack *pack = &txn->pack;
	uint64_t count = 0;
	int status;

	if (qc_in_cluster(txn->geometry, pack->next) == 0)
		return 0;
	status = qc_refs_get(&txn->refs, pack->next >> txn->geometry->cluster_bits, &count, err);
	if (status == 0 && count >= txn->geometry->refcount_max)
		pack->next = pack->end;
	return status;
}

int qc_pack_place(struct qc_txn *txn, uint64_t bytes, struct qc_host *ret, struct qc_err *err)
{
	struct qc_pack *pack = &txn->pack;
	uint64_t first, count, touched;
	struct qc_host at, sector_end;
	int status;

	if ((status = skip_full_count(txn, err)) < 0 || (status = make_room(txn, bytes, err)) < 0)
		return status;
	at = qc_host(pack->next);
	if (at.byte >= qc_compressed_offset_end(txn->geometry))
		return qc_fail(err, QC_E_NO_SPACE,
			       "the file is too long for compressed clusters of this size");
	/* The descriptor counts whole sectors, and so do the references. */
	qc_compressed_decode(txn->geometry, qc_compressed_encode(txn->geometry, at, bytes),
			     &sector_end, &touched);
	qc_compressed_clusters(txn->geometry, at, touched, &first, &count);
	if ((status = qc_refs_add(&txn->refs, first, count, err)) < 0)
		return status;
	pack->next += bytes;
	*ret = at;
	return 0;
}
