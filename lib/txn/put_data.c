// SPDX-License-Identifier: MIT
#include "txn/put_data.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/read.h"
#include "txn/put_job.h"
#include "txn/txn_state.h"

/* --- subclusters; a standard entry has one --- */

/* The subclusters that [from, to) touches. */
static uint32_t touched(const struct qc_geometry *g, uint64_t from, uint64_t to)
{
	uint64_t first = from / g->subcluster_bytes;
	uint64_t end = qc_div_up(to, g->subcluster_bytes);

	return (uint32_t)((UINT64_C(1) << end) - (UINT64_C(1) << first));
}

/* The subclusters that [from, to) covers whole. */
static uint32_t covered(const struct qc_geometry *g, uint64_t from, uint64_t to)
{
	uint64_t first = qc_div_up(from, g->subcluster_bytes);
	uint64_t end = to / g->subcluster_bytes;

	return first < end ? (uint32_t)((UINT64_C(1) << end) - (UINT64_C(1) << first)) : 0;
}

/* Those whose bytes this image holds. */
static uint32_t stored(const struct qc_put_job *job)
{
	return job->old.compressed ? qc_all_subclusters(job->txn->geometry) : job->old.allocated;
}

static bool shows_backing(const struct qc_put_job *job)
{
	return job->txn->backing && job->base.byte < job->txn->backing->disk_bytes;
}

/* Those that are zeroes, as the tables alone can tell. */
static uint32_t known_zero(const struct qc_put_job *job)
{
	return ~stored(job) & (shows_backing(job) ? job->old.zero : UINT32_MAX);
}

/* --- data --- */

/* Bytes of the cluster go to where it lies, `host` or its place in the data file. */
static int put_bytes(const struct qc_put_job *job, struct qc_host host, uint64_t from,
		     const void *bytes, size_t length, struct qc_err *err)
{
	if (job->txn->geometry->external_data)
		return qc_external_put(job->txn, qc_guest(job->base.byte + from), bytes, length,
				       err);
	return qc_txn_put(job->txn, qc_host(host.byte + from), bytes, length, err);
}

/*
 * Fills [from, to) of the buffer with what the cluster holds now, as far as the subclusters in
 * `wanted` need it, else with zeroes. *ret_blank turns false if anything had to be read.
 */
static int merge_old(struct qc_put_job *job, uint64_t from, uint64_t to, uint32_t wanted,
		     bool *ret_blank, struct qc_err *err)
{
	const struct qc_geometry *g = job->txn->geometry;
	uint8_t *buffer = job->txn->cluster;
	int status = 0;

	while (status == 0 && from < to) {
		uint64_t sub = from / g->subcluster_bytes;
		size_t now = (size_t)(qc_min(to, (sub + 1) * g->subcluster_bytes) - from);

		if (((wanted & ~known_zero(job)) >> sub & 1) != 0) {
			status = qc_read_entry(job->txn->image, job->txn->backing, &job->old,
					       qc_guest(job->base.byte + from), buffer + from, now,
					       err);
			*ret_blank = false;
		} else {
			memset(buffer + from, 0, now);
		}
		from += now;
	}
	return status;
}

/* Moves *low up to `from`, and *high down to `to`, as far as there are only zeroes, in whole blocks. */
static void trim_zeroes(const uint8_t *buffer, uint64_t *low, uint64_t *high, uint64_t from,
			uint64_t to)
{
	static const uint8_t zeroes[4096];
	const uint64_t block = sizeof(zeroes);

	while (from - *low >= block && memcmp(buffer + *low, zeroes, block) == 0)
		*low += block;
	while (*high - to >= block && memcmp(buffer + *high - block, zeroes, block) == 0)
		*high -= block;
}

/*
 * Writes [from, to) to the host cluster, with what surrounds it in the subclusters in `wanted`.
 * Nothing needs to be written where a cluster past the old end of the file is to read as zeroes.
 */
static int write_merged(struct qc_put_job *job, struct qc_host host, uint64_t from, uint64_t to,
			const uint8_t *bytes, uint32_t wanted, struct qc_err *err)
{
	const struct qc_geometry *g = job->txn->geometry;
	uint8_t *buffer = job->txn->cluster;
	uint64_t low = (uint64_t)__builtin_ctz(wanted) * g->subcluster_bytes;
	uint64_t high = (uint64_t)(32 - __builtin_clz(wanted)) * g->subcluster_bytes;
	bool left_blank = true, right_blank = true, virgin;
	int status;

	if (low == from && high == to && bytes)
		return put_bytes(job, host, low, bytes, (size_t)(high - low), err);
	if ((status = merge_old(job, low, from, wanted, &left_blank, err)) < 0
	    || (status = merge_old(job, to, qc_min(high, job->limit), wanted, &right_blank, err))
		       < 0)
		return status;
	if (high > job->limit) /* past the end of the disk: never seen, and zeroes if it grows */
		memset(buffer + job->limit, 0, (size_t)(high - job->limit));
	if (bytes)
		memcpy(buffer + from, bytes, (size_t)(to - from));
	else
		memset(buffer + from, 0, (size_t)(to - from));
	virgin = host.byte >= job->txn->file_bytes_before && host.byte != job->old.host.byte
		 && !g->external_data;
	if (virgin && left_blank)
		low = from;
	if (virgin && right_blank)
		high = to;
	if (virgin)
		trim_zeroes(buffer, &low, &high, from, to);
	return put_bytes(job, host, low, buffer + low, (size_t)(high - low), err);
}

static int put_plain(struct qc_put_job *job, uint64_t from, uint64_t to, const uint8_t *bytes,
		     struct qc_err *err)
{
	uint32_t touches = touched(job->txn->geometry, from, to);
	bool own = job->own && !job->old.compressed;
	struct qc_l2_entry entry = {
		.host = job->old.host,
		.copied = true,
		.allocated = stored(job) | touches,
		.zero = job->old.zero & ~touches,
	};
	int status;

	if (own && bytes && (touches & ~job->old.allocated) == 0)
		return put_bytes(job, entry.host, from, bytes, (size_t)(to - from), err);
	if (job->txn->geometry->external_data) {
		entry.host = qc_host(job->base.byte);
		job->txn->report.clusters_allocated += job->old.allocated == 0;
	}
	if (!own) {
		if ((status = qc_txn_allocate(job->txn, 1, &entry.host, err)) < 0)
			return status;
		job->txn->report.clusters_allocated++;
	}
	status = write_merged(job, entry.host, from, to, bytes, own ? touches : entry.allocated,
			      err);
	return status < 0 ? status : qc_put_job_store(job, &entry, !own, err);
}

/* Stores a whole cluster compressed; *ret_done false: it does not become smaller. */
static int put_compressed(struct qc_put_job *job, const uint8_t *bytes, uint64_t length,
			  bool *ret_done, struct qc_err *err)
{
	struct qc_txn *txn = job->txn;
	size_t cluster = (size_t)txn->geometry->cluster_bytes;
	struct qc_l2_entry entry = {.compressed = true};
	QC_AUTOFREE uint8_t *packed = malloc(cluster);
	size_t packed_bytes;
	int status = 0;

	if (!packed)
		return qc_fail_memory(err);
	if (!txn->image->codec)
		status = qc_codec_open(txn->image->header.compression, &txn->image->codec, err);
	if (status < 0)
		return status;
	memcpy(txn->cluster, bytes, (size_t)length);
	memset(txn->cluster + length, 0, cluster - (size_t)length);
	status = qc_codec_compress(txn->image->codec, txn->cluster, cluster, packed, &packed_bytes,
				   err);
	*ret_done = packed_bytes != 0;
	if (status < 0 || packed_bytes == 0)
		return status;
	if ((status = qc_txn_need_space(txn, err)) < 0
	    || (status = qc_pack_place(txn, packed_bytes, &entry.host, err)) < 0
	    || (status = qc_txn_put(txn, entry.host, packed, packed_bytes, err)) < 0)
		return status;
	entry.compressed_bytes = packed_bytes;
	return qc_put_job_store(job, &entry, true, err);
}

static int put_data(struct qc_put_job *job, uint64_t from, uint64_t to, const uint8_t *bytes,
		    struct qc_err *err)
{
	bool done = false;
	int status;

	if (job->txn->options.compress && bytes && from == 0 && to >= job->limit) {
		status = put_compressed(job, bytes, to, &done, err);
		if (status < 0 || done)
			return status;
	}
	return put_plain(job, from, to, bytes, err);
}

/* --- zeroes --- */

/* Stores zeroes in [from, to), unless that is what stands there, and looks at the entry again. */
static int store_zeroes(struct qc_put_job *job, uint64_t from, uint64_t to, struct qc_err *err)
{
	int status;

	if (from >= to || (touched(job->txn->geometry, from, to) & ~known_zero(job)) == 0)
		return 0;
	status = put_plain(job, from, to, NULL, err);
	return status < 0 ? status : qc_put_job_load(job, err);
}

/* Whole subclusters lose their bytes. */
static int clear_subclusters(struct qc_put_job *job, uint32_t whole, bool flag_zero,
			     struct qc_err *err)
{
	struct qc_l2_entry entry = {
		.host = job->old.host,
		.copied = job->old.copied,
		.allocated = job->old.allocated & ~whole,
		.zero = flag_zero ? job->old.zero | whole : job->old.zero & ~whole,
	};
	bool drop = entry.allocated == 0 && !qc_host_is_none(job->old.host);

	if (entry.allocated == 0) {
		entry.host = qc_host(0);
		entry.copied = false;
	}
	if (!drop && entry.allocated == job->old.allocated && entry.zero == job->old.zero)
		return 0;
	return qc_put_job_store(job, &entry, drop, err);
}

/* A data file that is a raw image shows zeroes as well, and its clusters keep their places. */
static int zero_in_raw_file(struct qc_put_job *job, uint32_t whole, uint64_t from, uint64_t to,
			    struct qc_err *err)
{
	struct qc_l2_entry entry = job->old;
	int status;

	entry.allocated &= ~whole;
	entry.zero |= whole;
	if (entry.allocated == job->old.allocated && entry.zero == job->old.zero)
		return 0;
	status = qc_external_zero(job->txn, qc_guest(job->base.byte + from), to - from, err);
	return status < 0 ? status : qc_put_job_store(job, &entry, false, err);
}

/* The cluster gets the place in the data file that it would have when it is written to. */
static int allocate_in_data_file(struct qc_put_job *job, struct qc_err *err)
{
	const struct qc_l2_entry entry = {
		.host = qc_host(job->base.byte),
		.copied = true,
		.allocated = qc_all_subclusters(job->txn->geometry),
	};

	assert(job->txn->external.raw);
	job->txn->report.clusters_allocated += job->old.allocated == 0;
	return qc_put_job_store(job, &entry, false, err);
}

static int put_zeroes(struct qc_put_job *job, uint64_t from, uint64_t to, enum qc_put how,
		      struct qc_err *err)
{
	const struct qc_geometry *g = job->txn->geometry;
	uint64_t end = to >= job->limit ? g->cluster_bytes : to;
	uint32_t whole = covered(g, from, end);
	uint64_t whole_from = qc_min(qc_align_up(from, g->subcluster_bytes), end);
	uint64_t whole_to = qc_max(qc_align_down(end, g->subcluster_bytes), whole_from);
	int status;

	if (whole == 0)
		return store_zeroes(job, from, to, err);
	if (job->txn->external.raw)
		how = QC_PUT_ZERO; /* what is unallocated need not read as zeroes there */
	if ((status = store_zeroes(job, from, whole_from, err)) < 0
	    || (status = store_zeroes(job, whole_to, qc_min(end, to), err)) < 0)
		return status;
	/* A part of a compressed cluster can only go once the rest is stored plain. */
	if (job->old.compressed && whole != qc_all_subclusters(g)
	    && (status = store_zeroes(job, whole_from, whole_to, err)) < 0)
		return status;
	if (job->txn->external.raw)
		return zero_in_raw_file(job, whole, whole_from, whole_to, err);
	if (how == QC_PUT_DISCARD && !shows_backing(job))
		return clear_subclusters(job, whole, false, err);
	if (g->version >= 3)
		return clear_subclusters(job, whole, true, err);
	if (!shows_backing(job))
		return clear_subclusters(job, whole, false, err);
	return store_zeroes(job, from, qc_min(end, job->limit), err);
}

/* --- the interface --- */

int qc_put_cluster(struct qc_txn *txn, struct qc_guest base, uint64_t from, uint64_t to,
		   const uint8_t *bytes, enum qc_put how, struct qc_err *err)
{
	struct qc_put_job job = {.txn = txn, .base = base};
	int status = qc_put_job_load(&job, err);

	if (status < 0)
		return status;
	if (how == QC_PUT_ALLOCATE)
		return allocate_in_data_file(&job, err);
	return how == QC_PUT_DATA ? put_data(&job, from, to, bytes, err)
				  : put_zeroes(&job, from, to, how, err);
}

uint64_t qc_put_nothing_there(const struct qc_txn *txn, struct qc_guest at)
{
	uint64_t l1_index = qc_l1_index(txn->geometry, at);

	if (txn->image->l1[l1_index] != 0 || qc_stage_find(&txn->l2, l1_index)
	    || (txn->backing && at.byte < txn->backing->disk_bytes))
		return 0;
	return (l1_index + 1) * txn->geometry->l2_span_bytes - at.byte;
}

int qc_put_look(struct qc_txn *txn, struct qc_guest at, struct qc_l2_entry *ret, struct qc_err *err)
{
	struct qc_put_job job = {
		.txn = txn,
		.base = qc_guest(qc_align_down(at.byte, txn->geometry->cluster_bytes)),
	};
	int status = qc_put_job_load(&job, err);

	if (status == 0)
		*ret = job.old;
	return status;
}
