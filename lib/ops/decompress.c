// SPDX-License-Identifier: MIT
/*
 * One thread reads and writes, others inflate (decompress_pool.h). It reads ahead until the pool is
 * full, then takes back what was read first, writes it and reads on. The order of its calls, and
 * where each cluster goes, depend on the image alone.
 */
#include "ops/decompress.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/pages.h"
#include "io/write_behind.h"
#include "ops/decompress_pool.h"
#include "txn/forest.h"
#include "txn/txn_state.h"

/* A gap between two extents that is shorter than this is read as well. */
#define GAP_BYTES ((uint64_t)16 << 10)

struct work {
	struct qc_edit *edit;
	const struct qc_decompress *what;
	struct qc_pool *pool; /* made when there is something to inflate */
	struct qc_forest_extent *extents;
	size_t extent_count;
	struct qc_write_behind behind;
	struct qc_decompress_report report;
};

/* --- reading --- */

/* How many extents from `first` on are read in one call, and from where to where. */
static size_t find_run(const struct work *w, const struct qc_pool_load *load, size_t first,
		       uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t room = load->in_room - load->in_used;
	uint64_t start = qc_align_down(w->extents[first].host.byte, QC_PAGE_BYTES);
	uint64_t end = start;
	size_t i;

	for (i = first; i < w->extent_count && load->count + (i - first) < load->jobs_max; i++) {
		const struct qc_forest_extent *extent = &w->extents[i];
		uint64_t new_end = qc_max(end, extent->host.byte + extent->bytes);

		if (new_end - start > room || (i > first && extent->host.byte > end + GAP_BYTES))
			break;
		end = new_end;
	}
	*ret_start = start;
	*ret_end = end;
	return i - first;
}

/* Fills a load with the extents from *next on. */
static int read_load(struct work *w, struct qc_pool_load *load, size_t *next, struct qc_err *err)
{
	size_t count;

	load->first = *next;
	while (*next < w->extent_count) {
		uint64_t start, end;
		int status;

		count = find_run(w, load, *next, &start, &end);
		if (count == 0)
			break;
		status = qc_file_read(w->edit->image->file, start, load->in + load->in_used,
				      (size_t)(end - start), err);
		if (status < 0)
			return qc_err_context(err, "compressed clusters");
		for (; count > 0; count--, (*next)++) {
			const struct qc_forest_extent *extent = &w->extents[*next];

			load->jobs[load->count++] = (struct qc_pool_job){
				.from = load->in + load->in_used + (extent->host.byte - start),
				.from_bytes = (size_t)extent->bytes,
			};
		}
		load->in_used += (size_t)qc_align_up(end - start, QC_PAGE_BYTES);
		w->report.bytes_read += end - start;
	}
	return 0;
}

/* --- writing --- */

/* Gives clusters to those extents of the load that need one. */
static int place_load(struct work *w, const struct qc_pool_load *load, struct qc_err *err)
{
	bool drop_zeroes = qc_forest_has_zeroes(w->edit->txn);
	int status = 0;

	for (size_t i = 0; status == 0 && i < load->count; i++) {
		if (load->jobs[i].zero && drop_zeroes)
			w->report.zero_clusters++;
		else
			status = qc_forest_place(w->edit->txn, &w->extents[load->first + i], err);
	}
	w->report.clusters += load->count;
	return status;
}

/* Writes them, neighbours together. */
static int write_load(struct work *w, const struct qc_pool_load *load, struct qc_err *err)
{
	const struct qc_forest_extent *extents = &w->extents[load->first];
	uint64_t cluster = w->edit->image->geometry.cluster_bytes;
	int status = 0;

	for (size_t i = 0, run; status == 0 && i < load->count; i += run) {
		run = 1;
		if (qc_host_is_none(extents[i].cluster))
			continue;
		while (i + run < load->count
		       && extents[i + run].cluster.byte == extents[i].cluster.byte + run * cluster)
			run++;
		status = qc_txn_put(w->edit->txn, extents[i].cluster, load->out + i * cluster,
				    (size_t)(run * cluster), err);
		if (status == 0)
			qc_write_behind_wrote(&w->behind, extents[i].cluster.byte, run * cluster,
					      (w->extent_count - load->first - i - run) * cluster);
		w->report.bytes_written += run * cluster;
	}
	return qc_txn_result(w->edit->txn, status);
}

static int store_load(struct work *w, const struct qc_pool_load *load, struct qc_err *err)
{
	int status;

	if (load->failed < load->count) {
		*err = load->error;
		return qc_forest_blame(w->edit->txn, &w->extents[load->first + load->failed], err);
	}
	if ((status = place_load(w, load, err)) < 0)
		return status;
	return write_load(w, load, err);
}

/* --- one transaction --- */

static bool is_interrupted(const struct work *w)
{
	const volatile sig_atomic_t *stop = w->edit->txn->options.stop;

	return stop && *stop;
}

/* Reads until the pool is full, or there is nothing left to read. */
static int read_ahead(struct work *w, size_t *next, struct qc_err *err)
{
	struct qc_pool_load *load;
	int status;

	while (*next < w->extent_count) {
		if ((status = qc_pool_load(w->pool, &load, err)) < 0 || !load)
			return status;
		if ((status = read_load(w, load, next, err)) < 0)
			return status;
		qc_pool_submit(w->pool, load);
	}
	return 0;
}

/* Replaces all extents that came up together. */
static int expand(struct work *w, struct qc_err *err)
{
	struct qc_pool_load *load;
	size_t next = 0;
	int status;

	for (;;) {
		if (is_interrupted(w))
			return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
		if ((status = read_ahead(w, &next, err)) < 0)
			return status;
		if ((load = qc_pool_take(w->pool)) == NULL)
			return qc_forest_apply(w->edit->txn, err);
		if ((status = store_load(w, load, err)) < 0)
			return status;
		qc_pool_release(w->pool);
	}
}

static int expand_all(struct work *w, struct qc_err *err)
{
	const struct qc_image *image = w->edit->image;
	int status;

	for (;;) {
		status = qc_forest_next(w->edit->txn, &w->extents, &w->extent_count, err);
		if (status < 0 || w->extent_count == 0)
			return status;
		if (!w->pool
		    && (status = qc_pool_open(image->header.compression,
					      (size_t)image->geometry.cluster_bytes,
					      w->what->threads, &w->pool, err))
			       < 0)
			return status;
		if ((status = expand(w, err)) < 0)
			return status;
		qc_progress_step(w->what->progress,
				 qc_min(qc_forest_position(w->edit->txn), image->header.disk_bytes),
				 image->header.disk_bytes);
	}
}

/* --- all of them --- */

/* The end of the range; UINT64_MAX: whatever there is, saved VM state too. */
static int find_end(const struct qc_image *image, const struct qc_decompress *what,
		    uint64_t *ret_end, struct qc_err *err)
{
	uint64_t longest = image->header.disk_bytes;
	uint64_t length = what->has_length ? what->length : 0;

	for (size_t i = 0; i < image->snapshots.count; i++)
		if (image->snapshots.list[i].has_disk_bytes)
			longest = qc_max(longest, image->snapshots.list[i].disk_bytes);
	if (what->at > longest)
		return qc_fail(err, QC_E_RANGE,
			       "offset %" PRIu64 " is past the end of the disk (%" PRIu64 " bytes)",
			       what->at, longest);
	if (!qc_range_fits(what->at, length, longest))
		return qc_fail(err, QC_E_RANGE,
			       "offset %" PRIu64 " and length %" PRIu64
			       " go past the end of the disk (%" PRIu64 " bytes)",
			       what->at, length, longest);
	*ret_end = what->has_length ? what->at + length : UINT64_MAX;
	return 0;
}

/* One transaction from *at on; *ret_more: there is more to do from the new *at on. */
static int run_batch(struct work *w, uint64_t *at, uint64_t end, bool *ret_more, struct qc_err *err)
{
	uint64_t clusters = w->what->batch_bytes
				    ? w->what->batch_bytes >> w->edit->image->geometry.cluster_bits
				    : UINT64_MAX;
	struct qc_txn_report report;
	int status;

	w->behind = (struct qc_write_behind){.file = w->edit->image->file};
	if ((status = qc_forest_open(w->edit->txn, *at, end, qc_max(clusters, 1), err)) < 0
	    || (status = expand_all(w, err)) < 0)
		return status;
	*ret_more = qc_forest_has_more(w->edit->txn);
	*at = qc_forest_position(w->edit->txn);
	if ((status = qc_edit_commit(w->edit, &report, err)) < 0)
		return status;
	w->report.transactions += report.changed;
	return 0;
}

int qc_decompress(struct qc_edit *edit, const struct qc_edit_options *how,
		  const struct qc_decompress *what, struct qc_decompress_report *ret,
		  struct qc_err *err)
{
	struct work w = {.edit = edit, .what = what};
	uint64_t at = what->at, end = 0;
	bool more = true;
	int status;

	*ret = w.report;
	if ((status = find_end(edit->image, what, &end, err)) < 0)
		return status;
	while (status == 0 && more) {
		if (!edit->txn && (status = qc_edit_again(edit, how, err)) < 0)
			break;
		if ((status = run_batch(&w, &at, end, &more, err)) == 0)
			*ret = w.report;
	}
	if (status == 0)
		qc_progress_step(what->progress, edit->image->header.disk_bytes,
				 edit->image->header.disk_bytes);
	qc_pool_close(w.pool);
	if (status < 0 && ret->transactions > 0)
		return qc_err_context(err, "after %" PRIu64 " clusters were expanded for good",
				      ret->clusters);
	return status;
}
