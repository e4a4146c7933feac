// SPDX-License-Identifier: MIT
#include "txn/put_job.h"

#include <inttypes.h>

#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/l1_entry.h"
#include "txn/txn_state.h"

static int find_table(struct qc_txn *txn, struct qc_guest at, bool create, struct qc_block **ret,
		      struct qc_err *err)
{
	uint64_t l1_index = qc_l1_index(txn->geometry, at);
	uint64_t entry = txn->image->l1[l1_index];
	struct qc_host committed = qc_l1_table_of(entry);

	*ret = NULL;
	if (!create && qc_host_is_none(committed) && !qc_stage_find(&txn->l2, l1_index))
		return 0;
	if ((entry & QC_L1_RESERVED) != 0 || qc_in_cluster(txn->geometry, committed.byte) != 0)
		return qc_fail(err, QC_E_FORMAT,
			       "L1 entry %" PRIu64 " makes no sense (0x%" PRIx64
			       "); see qcowtool check",
			       l1_index, entry);
	return qc_stage_get(&txn->l2, l1_index, committed, ret, err);
}

static bool is_given(const struct qc_put_job *job)
{
	return job->txn->space_known && !qc_host_is_none(job->old.host)
	       && qc_space_is_given(&job->txn->space,
				    qc_host_cluster(job->txn->geometry, job->old.host));
}

/*
 * Only with --trust-refcounts: what the committed state uses was free as far as its refcount said, and
 * was given out.
 */
static int check_not_given(const struct qc_put_job *job, struct qc_err *err)
{
	if (job->own || !is_given(job))
		return 0;
	return qc_fail(err, QC_E_FORMAT,
		       "the cluster at host offset 0x%" PRIx64
		       " is in use but its refcount is 0; see qcowtool check",
		       job->old.host.byte);
}

/* In a data file each cluster has its place, whose bytes external.h knows how to change. */
static int settle_in_data_file(struct qc_put_job *job, struct qc_err *err)
{
	job->own = true;
	if (!qc_l2_has_host(job->txn->geometry, &job->old) || job->old.host.byte == job->base.byte)
		return 0;
	return qc_fail(err, QC_E_FORMAT,
		       "the L2 entry of guest offset 0x%" PRIx64
		       " leads to another offset of the data file; see qcowtool check",
		       job->base.byte);
}

int qc_put_job_load(struct qc_put_job *job, struct qc_err *err)
{
	const struct qc_geometry *g = job->txn->geometry;
	enum qc_l2_fault fault;
	int status;

	job->old = (struct qc_l2_entry){0};
	job->own = false;
	job->index = qc_l2_index(g, job->base);
	job->limit = qc_min(g->cluster_bytes, job->txn->header.disk_bytes - job->base.byte);
	job->own = g->external_data;
	if ((status = find_table(job->txn, job->base, false, &job->table, err)) < 0 || !job->table)
		return status;
	fault = qc_l2_decode(g, qc_l2_load(g, job->table->bytes, job->index), &job->old);
	if (fault != QC_L2_FAULT_NONE)
		return qc_fail(err, QC_E_FORMAT,
			       "the L2 entry of guest offset 0x%" PRIx64 " is damaged: %s; "
			       "see qcowtool check",
			       job->base.byte, qc_l2_fault_text(fault));
	if (g->external_data)
		return settle_in_data_file(job, err);
	job->own = job->table->changed && is_given(job);
	return check_not_given(job, err);
}

/* Snapshots that are asked; the walk that an answer saves takes less time than asking very many. */
#define SNAPSHOTS_ASKED 16

static int load_word(struct qc_txn *txn, uint64_t offset, uint64_t *ret, struct qc_err *err)
{
	uint8_t bytes[sizeof(*ret)];
	int status = qc_file_read(txn->image->file, offset, bytes, sizeof(bytes), err);

	*ret = status == 0 ? qc_load_be64(bytes) : 0;
	return status;
}

/* Whether a snapshot's tables lead to that L2 table, or data cluster, where the disk's did. */
static int ask_snapshot(const struct qc_put_job *job, const struct qc_snapshot *snapshot,
			struct qc_host host, bool is_table, bool *ret, struct qc_err *err)
{
	const struct qc_geometry *g = job->txn->geometry;
	uint64_t index = qc_l1_index(g, job->base), word;
	struct qc_host table;
	int status;

	if (index >= snapshot->l1_entries)
		return 0;
	status = load_word(job->txn, snapshot->l1.byte + index * sizeof(word), &word, err);
	table = qc_l1_table_of(word);
	if (status < 0 || is_table || qc_host_is_none(table)) {
		*ret = table.byte == host.byte;
		return status;
	}
	status = load_word(job->txn, table.byte + job->index * g->l2_entry_bytes, &word, err);
	*ret = (word & QC_L2_COMPRESSED) == 0 && (word & QC_L2_OFFSET_MASK) == host.byte;
	return status;
}

/*
 * A cluster or an L2 table that the disk itself refers to twice, as deduplication leaves them, is the
 * other entry's own when one is gone (I7). Mostly it is a snapshot's instead, and needs no look at all
 * tables.
 */
static int note_last_reference(struct qc_put_job *job, struct qc_host host, bool is_table,
			       struct qc_err *err)
{
	struct qc_txn *txn = job->txn;
	const struct qc_snapshots *all = &txn->image->snapshots;
	uint64_t count;
	bool found = false;
	int status;

	if (txn->copied_missing)
		return 0;
	status = qc_refs_get(&txn->refs, qc_host_cluster(txn->geometry, host), &count, err);
	if (status < 0 || count != 1)
		return status;
	for (size_t i = 0; status == 0 && !found && i < qc_min(all->count, SNAPSHOTS_ASKED); i++)
		status = ask_snapshot(job, &all->list[all->count - 1 - i], host, is_table, &found,
				      err);
	txn->copied_missing = status == 0 && !found;
	return status;
}

/* Makes the table the transaction's own, and drops the old one. */
static int change_table(struct qc_put_job *job, struct qc_err *err)
{
	struct qc_txn *txn = job->txn;
	int status;

	if (!job->table && (status = find_table(txn, job->base, true, &job->table, err)) < 0)
		return status;
	if (!qc_stage_change(&txn->l2, job->table) || qc_host_is_none(job->table->old_host))
		return 0;
	status = qc_refs_drop_table(&txn->refs, job->table->old_host, txn->geometry->cluster_bytes,
				    err);
	if (status < 0 || (txn->image->l1[job->table->index] & QC_L1_COPIED) != 0)
		return status;
	return note_last_reference(job, job->table->old_host, true, err);
}

/* A cluster that was taken and is not needed after all; what was written there goes at once. */
static int drop_own(struct qc_put_job *job, struct qc_err *err)
{
	struct qc_txn *txn = job->txn;
	int status;

	txn->report.clusters_allocated--;
	status = qc_refs_drop(&txn->refs, qc_host_cluster(txn->geometry, job->old.host), 1, NULL,
			      err);
	if (status < 0 || job->old.host.byte < txn->file_bytes_before)
		return status;
	return qc_file_punch(txn->image->file, job->old.host.byte, txn->geometry->cluster_bytes,
			     err);
}

/* Drops what the old entry referred to. A compressed cluster counts on every host cluster it touches. */
static int drop_old(struct qc_put_job *job, struct qc_err *err)
{
	struct qc_txn *txn = job->txn;
	uint64_t first, count = 1;
	int status;

	if (qc_host_is_none(job->old.host) || txn->geometry->external_data)
		return 0;
	if ((status = check_not_given(job, err)) < 0)
		return status;
	if (job->own && !job->old.compressed)
		return drop_own(job, err);
	first = qc_host_cluster(txn->geometry, job->old.host);
	if (job->old.compressed)
		qc_compressed_clusters(txn->geometry, job->old.host, job->old.compressed_bytes,
				       &first, &count);
	/* Compressed data of this transaction's own was never in the old state: nothing is freed. */
	status = qc_refs_drop(&txn->refs, first, count,
			      job->own ? NULL : &txn->report.clusters_freed, err);
	if (status < 0 || job->own || job->old.copied || job->old.compressed)
		return status;
	return note_last_reference(job, job->old.host, false, err);
}

int qc_put_job_store(struct qc_put_job *job, const struct qc_l2_entry *entry, bool drop,
		     struct qc_err *err)
{
	const struct qc_geometry *g = job->txn->geometry;
	int status;

	if ((status = qc_txn_need_space(job->txn, err)) < 0
	    || (status = change_table(job, err)) < 0)
		return status;
	qc_l2_store(g, job->table->bytes, job->index, qc_l2_encode(g, entry));
	return drop ? drop_old(job, err) : 0;
}
