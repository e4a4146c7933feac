// SPDX-License-Identifier: MIT
#include "ops/rebase.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"
#include "image/chain_map.h"
#include "image/read.h"
#include "ops/rebase_scan.h"
#include "ops/rebase_snapshots.h"

#define RUN_BYTES (UINT64_C(2) << 20)

/* --- what is refused first --- */

int qc_rebase_check(const struct qc_rebase *rebase, struct qc_err *err)
{
	QC_AUTOFREE char *ignored = NULL;

	if (!rebase->name)
		return 0;
	if (!rebase->format)
		return qc_fail(err, QC_E_ARGUMENT, "backing format must be specified (-F)");
	if (strcmp(rebase->format, "qcow2") != 0 && strcmp(rebase->format, "raw") != 0)
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is neither qcow2 nor raw", rebase->format);
	if (strlen(rebase->name) > QC_BACKING_NAME_BYTES_MAX)
		return qc_fail(err, QC_E_ARGUMENT,
			       "the backing file's name has %zu bytes, more than %u",
			       strlen(rebase->name), QC_BACKING_NAME_BYTES_MAX);
	return qc_reference_resolve("", rebase->name, &ignored, err);
}

/* The name is not to be followed, but an image that is its own base could never be opened again. */
static int refuse_itself(const struct qc_edit *edit, const char *path,
			 const struct qc_rebase *rebase, struct qc_err *err)
{
	const struct qc_file_open peek = {.lock = QC_LOCK_NONE};
	struct qc_file_identity image, other;
	QC_AUTOFREE char *target = NULL;
	struct qc_file *file;
	struct qc_err ignored;
	bool same;
	int status;

	if ((status = qc_reference_resolve(path, rebase->name, &target, err)) < 0)
		return status;
	if (qc_file_posix_open(target, &peek, &file, &ignored) < 0)
		return 0;
	same = qc_file_posix_identity(edit->file, &image) && qc_file_posix_identity(file, &other)
	       && image.device == other.device && image.inode == other.inode;
	qc_file_close(file);
	if (!same)
		return 0;
	return qc_fail(err, QC_E_ARGUMENT, "backing file '%s': an image cannot be its own base",
		       rebase->name);
}

/* Opens the chain that the image will have, as its readers will. */
static int open_new_chain(const struct qc_edit *edit, const char *path,
			  const struct qc_rebase *rebase, struct qc_layer **ret, struct qc_err *err)
{
	const struct qc_chain_open how = {.file.lock = QC_LOCK_READ, .policy = rebase->policy};
	QC_AUTOFREE char *name = NULL;
	struct qc_image future = {.file = edit->file};

	if (!rebase->name) {
		*ret = NULL;
		return 0;
	}
	name = strdup(rebase->name);
	if (!name)
		return qc_fail_memory(err);
	future.backing_name = name;
	memcpy(future.extensions.backing_format, rebase->format, strlen(rebase->format) + 1);
	return qc_chain_open_backing(&future, path, &how, ret, err);
}

/* --- copying in --- */

struct copying {
	struct qc_edit *edit;
	const struct qc_view *view; /* the committed tables */
	const struct qc_layer *old;
	bool by_cluster; /* only whole clusters can be stored compressed */
	uint8_t *buffer;
	size_t buffer_bytes;
	struct qc_rebase_report report;
};

static int put_data(struct copying *c, uint64_t at, const uint8_t *bytes, size_t length,
		    struct qc_err *err)
{
	c->report.copied_bytes += length;
	return qc_txn_write(c->edit->txn, qc_guest(at), bytes, length, err);
}

/*
 * Zeroes that hide the new chain. Version 2 has no zero clusters, and the transaction would leave
 * unallocated what reads as zeroes now, past the end of the old chain: the zeroes are stored.
 */
static int put_zeroes(struct copying *c, uint64_t at, const uint8_t *bytes, size_t length,
		      struct qc_err *err)
{
	c->report.zeroed_bytes += length;
	if (c->edit->image->geometry.version < 3)
		return qc_txn_write(c->edit->txn, qc_guest(at), bytes, length, err);
	return qc_txn_zero(c->edit->txn, qc_guest(at), length, err);
}

enum what {
	NOTHING,
	DATA,
	ZEROES,
};

static enum what what_of(uint8_t state, const uint8_t *bytes, size_t length)
{
	if (state == 0)
		return NOTHING;
	if (!qc_is_zero(bytes, length))
		return DATA;
	return (state & QC_UNIT_DIFFERS) != 0 ? ZEROES : NOTHING;
}

/*
 * What the old chain shows: as it lies in one file if that can be mapped, else read into the buffer.
 * The caller unmaps.
 */
static int get_old(struct copying *c, uint64_t at, size_t length, struct qc_file_map *map,
		   const uint8_t **ret, struct qc_err *err)
{
	struct qc_chain_extent extent = {0};
	const struct qc_layer *layer;
	struct qc_view view;
	int status;

	if (c->old && qc_range_fits(at, length, c->old->disk_bytes)) {
		qc_view_active(c->old, &view);
		if ((status = qc_chain_map(&view, qc_guest(at), length, &extent, err)) < 0)
			return status;
	}
	layer = extent.layer ? extent.layer : c->old;
	if (extent.data && !extent.compressed && extent.bytes == length
	    && qc_file_posix_map(qc_layer_data(layer), extent.host.byte, length, map)) {
		*ret = map->bytes;
		return 0;
	}
	*ret = c->buffer;
	return qc_read_layer(c->old, qc_guest(at), c->buffer, length, err);
}

/* Copies units that follow each other, which start at `at` and hold `bytes` in the old chain. */
static int copy_units(struct copying *c, const struct qc_batch *b, size_t first, size_t count,
		      uint64_t at, const uint8_t *bytes, size_t length, struct qc_err *err)
{
	const size_t unit = (size_t)b->unit_bytes;
	int status = 0;

	for (size_t i = 0, from, to; status == 0 && i < count;) {
		enum what what;

		from = i * unit;
		to = (size_t)qc_min(from + unit, length);
		what = what_of(b->states[first + i], bytes + from, to - from);
		for (i++; i < count; i++) {
			size_t next = (size_t)qc_min(to + unit, length);

			if (what_of(b->states[first + i], bytes + to, next - to) != what)
				break;
			to = next;
		}
		if (what == DATA)
			status = put_data(c, at + from, bytes + from, to - from, err);
		else if (what == ZEROES)
			status = put_zeroes(c, at + from, bytes + from, to - from, err);
	}
	return status;
}

static int copy_run(struct copying *c, const struct qc_batch *b, size_t first, size_t count,
		    struct qc_err *err)
{
	uint64_t at = b->units[first] * b->unit_bytes;
	size_t length = (size_t)qc_min(count * b->unit_bytes, b->disk_bytes - at);
	struct qc_file_map map = {0};
	const uint8_t *bytes;
	int status = get_old(c, at, length, &map, &bytes, err);

	if (status == 0)
		status = copy_units(c, b, first, count, at, bytes, length, err);
	qc_file_posix_unmap(&map);
	return status;
}

/*
 * Stores the cluster around `at` in one piece, so that it can be compressed, if none of its
 * subclusters is in the image. *ret_done false: it was not for that.
 */
static int copy_cluster(struct copying *c, uint64_t at, bool *ret_done, struct qc_err *err)
{
	const struct qc_geometry *g = &c->edit->image->geometry;
	uint64_t base = qc_align_down(at, g->cluster_bytes);
	size_t length = (size_t)qc_min(g->cluster_bytes, c->view->disk_bytes - base);
	struct qc_l2_entry entry;
	int status;

	if ((status = qc_map_entry(c->view, qc_guest(base), &entry, err)) < 0)
		return status;
	if (entry.compressed || entry.allocated != 0 || entry.zero != 0)
		return 0;
	if ((status = qc_read_layer(c->old, qc_guest(base), c->buffer, length, err)) < 0
	    || qc_is_zero(c->buffer, length))
		return status;
	*ret_done = true;
	return put_data(c, base, c->buffer, length, err);
}

/* How many units, from slot `i`, follow each other, have to be looked at and fit into the buffer. */
static size_t run_of(const struct copying *c, const struct qc_batch *b, size_t i)
{
	size_t most = (size_t)qc_min(c->buffer_bytes / b->unit_bytes, b->unit_count - i);
	size_t count = 1;

	while (count < most && b->states[i + count] != 0
	       && b->units[i + count] == b->units[i] + count)
		count++;
	return count;
}

static int copy_batch(void *context, const struct qc_batch *b, struct qc_err *err)
{
	struct copying *c = context;
	uint64_t cluster_bytes = c->edit->image->geometry.cluster_bytes;
	int status = 0;

	for (size_t i = 0, count; status == 0 && i < b->unit_count; i += count) {
		uint64_t at = b->units[i] * b->unit_bytes;
		uint64_t end = qc_align_down(at, cluster_bytes) + cluster_bytes;
		bool done = false;

		count = 1;
		if (b->states[i] == 0)
			continue;
		if (c->by_cluster && (status = copy_cluster(c, at, &done, err)) < 0)
			break;
		if (done) {
			while (i + count < b->unit_count
			       && b->units[i + count] * b->unit_bytes < end)
				count++;
			continue;
		}
		count = c->by_cluster ? 1 : run_of(c, b, i);
		status = copy_run(c, b, i, count, err);
	}
	return status;
}

/*
 * A second look at the image, as it is committed: that state stays readable to the last moment,
 * because a transaction writes on none of its clusters.
 */
static int open_committed(const struct qc_edit *edit, struct qc_layer *ret, struct qc_err *err)
{
	struct qc_file *file = edit->overlay ? edit->overlay : edit->file;
	struct qc_layer layer = {.file = file};
	int status = qc_image_open(file, NULL, &layer.image, err);

	if (status < 0)
		return status;
	layer.disk_bytes = layer.image->header.disk_bytes;
	*ret = layer;
	return 0;
}

static int copy_in(struct copying *c, const struct qc_layer *new, const struct qc_rebase *rebase,
		   struct qc_err *err)
{
	const struct qc_rebase_scan scan = {
		.view = c->view,
		.chain = {c->old, new},
		.stop = rebase->stop,
		.take = copy_batch,
		.context = c,
	};
	const struct qc_geometry *g = &c->edit->image->geometry;
	int status;

	c->by_cluster = rebase->compress && g->extended_l2;
	c->buffer_bytes = (size_t)qc_max(RUN_BYTES, g->cluster_bytes);
	c->buffer = malloc(c->buffer_bytes);
	if (!c->buffer)
		return qc_fail_memory(err);
	status = qc_rebase_scan(&scan, err);
	free(c->buffer);
	return status;
}

/* Copies in what the new chain shows differently. */
static int keep_contents(struct qc_edit *edit, const struct qc_layer *new,
			 const struct qc_rebase *rebase, struct qc_rebase_report *ret,
			 struct qc_err *err)
{
	struct copying c = {.edit = edit, .old = edit->backing};
	struct qc_layer committed;
	struct qc_view view;
	int status;

	if ((status = open_committed(edit, &committed, err)) < 0)
		return status;
	qc_view_active(&committed, &view);
	c.view = &view;
	if (!rebase->ignore_snapshots)
		status = qc_rebase_check_snapshots(&committed, edit->backing, new, rebase->stop,
						   err);
	if (status == 0)
		status = copy_in(&c, new, rebase, err);
	qc_image_close(committed.image);
	if (status == 0)
		*ret = c.report;
	return status;
}

int qc_rebase_onto(struct qc_edit *edit, const struct qc_layer *new, const struct qc_rebase *rebase,
		   struct qc_rebase_report *ret, struct qc_err *err)
{
	struct qc_rebase_report report = {0};
	int status = qc_txn_set_backing(edit->txn, rebase->name, rebase->format, err);

	if (status == 0 && !rebase->unsafe)
		status = keep_contents(edit, new, rebase, &report, err);
	if (status == 0)
		*ret = report;
	return status;
}

int qc_rebase(struct qc_edit *edit, const char *path, const struct qc_rebase *rebase,
	      struct qc_rebase_report *ret, struct qc_err *err)
{
	struct qc_layer *new = NULL;
	int status = 0;

	if (!rebase->unsafe)
		status = open_new_chain(edit, path, rebase, &new, err);
	else if (rebase->name)
		status = refuse_itself(edit, path, rebase, err);
	if (status == 0 && rebase->opened)
		rebase->opened(rebase->opened_context);
	if (status == 0)
		status = qc_rebase_onto(edit, new, rebase, ret, err);
	qc_layer_close(new);
	return status;
}
