// SPDX-License-Identifier: MIT
#include "txn/external.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/data_file.h"
#include "image/map.h"
#include "txn/txn_state.h"

#define REDO_BYTES_IN_MEMORY (UINT64_C(16) << 20)
#define REDO_BLOCKS_IN_MEMORY_MIN 4

/* --- the data file as the transaction would leave it --- */

struct view {
	struct qc_file base;
	struct qc_txn *txn;
};

static int read_piece(struct qc_txn *txn, uint64_t index, uint64_t from, uint8_t *to, size_t length,
		      struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	uint64_t offset = (index << txn->geometry->cluster_bits) + from;
	struct qc_block *block;
	int status;

	if (qc_stage_find(&e->redo, index)) {
		status = qc_stage_get(&e->redo, index, qc_host(0), &block, err);
		if (status == 0)
			memcpy(to, block->bytes + from, length);
		return status;
	}
	if ((status = qc_file_read(e->file, offset, to, length, err)) < 0)
		return qc_err_context(err, "data file");
	qc_ranges_blank(&e->zeroes, offset, to, length);
	return 0;
}

static int view_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		     struct qc_err *err)
{
	struct qc_txn *txn = ((struct view *)file)->txn;
	const struct qc_geometry *g = txn->geometry;
	uint8_t *to = buffer;
	int status = 0;

	while (status == 0 && length > 0) {
		uint64_t from = offset & (g->cluster_bytes - 1);
		size_t now = (size_t)qc_min(length, g->cluster_bytes - from);

		status = read_piece(txn, offset >> g->cluster_bits, from, to, now, err);
		offset += now;
		to += now;
		length -= now;
	}
	return status;
}

static int view_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
		       uint64_t *ret_length, struct qc_err *err)
{
	(void)file;
	(void)offset;
	(void)err;
	*ret_data = true;
	*ret_length = length;
	return 0;
}

static void view_close(struct qc_file *file)
{
	free(file);
}

/* Nobody writes to the view, hence no more calls than these. */
static const struct qc_file_ops view_ops = {
	.read = view_read,
	.extent = view_extent,
	.close = view_close,
};

static int open_view(struct qc_txn *txn, struct qc_err *err)
{
	struct view *view = calloc(1, sizeof(*view));

	if (!view)
		return qc_fail_memory(err);
	view->base = (struct qc_file){.ops = &view_ops, .bytes = INT64_MAX};
	view->txn = txn;
	txn->external.view = &view->base;
	return 0;
}

/* --- set-up --- */

/* In a cluster that is free before and after the commit: it is given out, and never counted. */
static int place_redo(void *context, struct qc_block *block, struct qc_err *err)
{
	struct qc_txn *txn = context;
	uint64_t cluster;
	int status;

	if ((status = qc_txn_need_space(txn, err)) < 0
	    || (status = qc_space_take(&txn->space, 1, &cluster, err)) < 0)
		return status;
	block->new_host = qc_host_of_cluster(txn->geometry, cluster);
	return 0;
}

int qc_external_init(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	const struct qc_geometry *g = txn->geometry;
	int status;

	if (!g->external_data || !txn->image->data || !txn->image->data->writable)
		return 0;
	e->redo = (struct qc_stage){
		.file = txn->image->file,
		.block_bytes = (size_t)g->cluster_bytes,
		.room = (size_t)qc_max(REDO_BYTES_IN_MEMORY >> g->cluster_bits,
				       REDO_BLOCKS_IN_MEMORY_MIN),
		.place = place_redo,
		.place_context = txn,
		.write = qc_txn_put,
		.write_context = txn,
	};
	if ((status = qc_stage_init(&e->redo, err)) < 0 || (status = open_view(txn, err)) < 0)
		return status;
	e->undo.lent = txn->options.spool;
	e->raw = qc_data_file_is_raw(txn->image);
	e->file = txn->image->data;
	e->file_bytes_before = e->file->bytes;
	txn->image->data = e->view;
	return 0;
}

void qc_external_clear(struct qc_txn *txn)
{
	struct qc_external *e = &txn->external;

	if (e->file)
		txn->image->data = e->file;
	qc_file_close(e->view);
	qc_stage_clear(&e->redo);
	qc_ranges_clear(&e->zeroes);
	qc_undo_clear(&e->undo);
	*e = (struct qc_external){0};
}

/* --- writing --- */

/* The subclusters of the cluster at `base` whose bytes the committed image shows. */
static int find_shown(struct qc_txn *txn, struct qc_guest base, uint32_t *ret, struct qc_err *err)
{
	const struct qc_image *image = txn->image;
	const struct qc_view committed = {
		.image = txn->image,
		.l1 = image->l1,
		.l1_entries = image->header.l1_entries,
		.disk_bytes = image->header.disk_bytes,
	};
	struct qc_l2_entry entry;
	int status;

	*ret = UINT32_MAX;
	if (txn->external.raw)
		return 0;
	if ((status = qc_map_entry(&committed, base, &entry, err)) == 0)
		*ret = entry.allocated;
	return status;
}

static int put_in_place(struct qc_txn *txn, struct qc_guest at, const void *bytes, size_t length,
			struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	int status;

	/* What the loaded tables do not show, those on stable storage might. */
	if ((status = qc_txn_need_durable(txn, err)) < 0)
		return status;
	e->written = true;
	status = qc_undo_save(&e->undo, e->file, e->file_bytes_before, at.byte, length, err);
	if (status == 0)
		status = qc_file_write(e->file, at.byte, bytes, length, err);
	return status < 0 ? qc_err_context(err, "data file") : 0;
}

/* The cluster's redo cluster, made if need be; what is not about to be written is read. */
static int get_redo(struct qc_txn *txn, uint64_t index, bool whole, struct qc_block **ret,
		    struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	bool known = qc_stage_find(&e->redo, index) != NULL;
	uint64_t offset = index << txn->geometry->cluster_bits;
	int status;

	if (!known && e->redo.changed >= QC_EXTERNAL_REDO_MAX)
		return qc_fail(err, QC_E_NO_SPACE,
			       "more than %zu clusters of existing data would change at once",
			       QC_EXTERNAL_REDO_MAX);
	if ((status = qc_stage_get(&e->redo, index, qc_host(0), ret, err)) < 0)
		return status;
	if (!known && !whole) {
		status = qc_file_read(e->file, offset, (*ret)->bytes, e->redo.block_bytes, err);
		if (status < 0)
			return qc_err_context(err, "data file");
		qc_ranges_blank(&e->zeroes, offset, (*ret)->bytes, e->redo.block_bytes);
	}
	qc_stage_change(&e->redo, *ret);
	return qc_ranges_remove(&e->zeroes, offset, e->redo.block_bytes, err);
}

/*
 * What is shown waits; what is not is written, and also where the redo cluster has a copy of it. Were
 * that written with the rest only, the new tables would show for a while what lay there before.
 */
static int put_piece(struct qc_txn *txn, struct qc_guest at, const uint8_t *bytes, size_t length,
		     bool shown, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	uint64_t index = at.byte >> g->cluster_bits;
	struct qc_block *block;
	int status = 0;

	if (!shown)
		status = put_in_place(txn, at, bytes, length, err);
	if (status < 0 || (!shown && !qc_stage_find(&txn->external.redo, index)))
		return status;
	status = get_redo(txn, index, length == g->cluster_bytes, &block, err);
	if (status == 0)
		memcpy(block->bytes + qc_in_cluster(g, at.byte), bytes, length);
	return status;
}

/* How many of the bytes are shown, or not, as the first one is. */
static size_t same_kind_bytes(const struct qc_geometry *g, uint32_t shown, uint64_t from,
			      size_t length)
{
	uint64_t sub = from / g->subcluster_bytes;
	bool first = shown >> sub & 1;

	while (++sub < g->subclusters && (shown >> sub & 1) == first)
		;
	return (size_t)qc_min(length, sub * g->subcluster_bytes - from);
}

int qc_external_put(struct qc_txn *txn, struct qc_guest at, const void *bytes, size_t length,
		    struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	uint64_t from = qc_in_cluster(g, at.byte);
	const uint8_t *piece = bytes;
	uint32_t shown;
	size_t now;
	int status = find_shown(txn, at, &shown, err);

	assert(at.byte < txn->header.disk_bytes);
	length = (size_t)qc_min(length, txn->header.disk_bytes - at.byte);
	for (; status == 0 && length > 0; length -= now) {
		now = same_kind_bytes(g, shown, from, length);
		status = put_piece(txn, at, piece, now,
				   (shown >> (from / g->subcluster_bytes) & 1) != 0, err);
		at.byte += now;
		from += now;
		piece += now;
	}
	return status;
}

/* The part of a cluster that is to be zero: in its redo cluster if it has one, else a range. */
static int zero_piece(struct qc_txn *txn, uint64_t from, uint64_t to, struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	const struct qc_geometry *g = txn->geometry;
	struct qc_block *block;
	int status;

	if (!qc_stage_find(&e->redo, from >> g->cluster_bits))
		return qc_ranges_add(&e->zeroes, from, to - from, err);
	status = get_redo(txn, from >> g->cluster_bits, false, &block, err);
	if (status == 0)
		memset(block->bytes + qc_in_cluster(g, from), 0, (size_t)(to - from));
	return status;
}

int qc_external_zero(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	uint64_t end = qc_min(at.byte + length, txn->header.disk_bytes);
	uint64_t step = txn->geometry->cluster_bytes;
	int status = 0;

	assert(e->raw);
	if (e->zeroes.count >= QC_EXTERNAL_REDO_MAX)
		return qc_fail(err, QC_E_NO_SPACE, "more than %zu ranges would be zeroed at once",
			       QC_EXTERNAL_REDO_MAX);
	if (e->redo.changed == 0) /* no need to look at each cluster */
		return at.byte < end ? qc_ranges_add(&e->zeroes, at.byte, end - at.byte, err) : 0;
	for (uint64_t from = at.byte, to; status == 0 && from < end; from = to) {
		to = qc_min(end, qc_align_down(from, step) + step);
		status = zero_piece(txn, from, to, err);
	}
	return status;
}

int qc_external_extend(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	int status;

	if (!e->file || e->file->bytes >= disk_bytes)
		return 0;
	if (e->file->fixed_length)
		return qc_fail(err, QC_E_NO_SPACE,
			       "the data file is a device of %llu bytes, and the disk would need "
			       "%llu",
			       (unsigned long long)e->file->bytes, (unsigned long long)disk_bytes);
	if (e->raw)
		return 0; /* its length is part of what it shows, and changes after the commit */
	e->written = true;
	status = qc_file_resize(e->file, disk_bytes, err);
	return status < 0 ? qc_err_context(err, "data file") : 0;
}

/* --- the end --- */

bool qc_external_has_redo(const struct qc_txn *txn)
{
	return txn->external.redo.changed > 0 || txn->external.zeroes.count > 0;
}

int qc_external_settle(struct qc_txn *txn, struct qc_err *err)
{
	QC_AUTOFREE struct qc_block **list = NULL;
	const struct qc_stage *redo = &txn->external.redo;
	int status;

	if (redo->changed == 0)
		return 0;
	if ((status = qc_stage_list(redo, &list, err)) < 0)
		return status;
	for (size_t i = 0; status == 0 && i < redo->changed; i++)
		if (qc_host_is_none(list[i]->new_host))
			status = place_redo(txn, list[i], err);
	return status;
}

int qc_external_flush(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	int status = 0;

	if (e->redo.changed > 0)
		status = qc_stage_flush(&e->redo, err);
	if (status < 0 || !e->written)
		return status;
	status = qc_file_sync(e->file, QC_SYNC_FULL, err);
	return status < 0 ? qc_err_context(err, "data file") : 0;
}

int qc_external_undo(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_external *e = &txn->external;
	int status = qc_undo_restore(&e->undo, e->file, err);
	struct qc_err later;
	int cut = 0;

	if (e->file && e->file->bytes != e->file_bytes_before)
		cut = qc_file_resize(e->file, e->file_bytes_before, status < 0 ? &later : err);
	return status < 0 ? status : cut;
}
