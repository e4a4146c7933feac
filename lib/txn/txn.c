// SPDX-License-Identifier: MIT
#include "txn/txn.h"

#include <assert.h>
#include <stdlib.h>

#include "base/checked.h"
#include "image/read.h"
#include "txn/commit.h"
#include "txn/put_data.h"
#include "txn/txn_state.h"

/* --- begin --- */

static int refuse_unfit(const struct qc_image *image, const struct qc_txn_options *options,
			struct qc_err *err)
{
	if (image->geometry.external_data && options->compress)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "there are no compressed clusters in an external data file");
	if (options->repair)
		return 0;
	if ((image->header.incompatible & QC_INCOMPAT_CORRUPT) != 0)
		return qc_fail(
			err, QC_E_FORMAT,
			"the image is marked corrupt; it must be repaired before it is written to "
			"(qcowtool check -r all)");
	if ((image->header.incompatible & QC_INCOMPAT_DIRTY) != 0)
		return qc_fail(err, QC_E_FORMAT,
			       "the image was not closed cleanly and its refcounts may be wrong; "
			       "it must be repaired before it is written to");
	return 0;
}

int qc_txn_begin(struct qc_image *image, const struct qc_layer *backing,
		 const struct qc_txn_options *options, struct qc_txn **ret, struct qc_err *err)
{
	int status;

	assert(image->file->writable);
	if ((status = refuse_unfit(image, options, err)) < 0)
		return status;
	return qc_txn_new(image, backing, options, ret, err);
}

/* --- the edits --- */

/* Splits a range at cluster borders. */
static int each_cluster(struct qc_txn *txn, struct qc_guest at, const uint8_t *bytes,
			uint64_t length, enum qc_put how, struct qc_err *err)
{
	uint64_t cluster = txn->geometry->cluster_bytes;
	int status = 0;

	while (status == 0 && length > 0) {
		uint64_t from = qc_in_cluster(txn->geometry, at.byte);
		uint64_t blank = how == QC_PUT_DISCARD ? qc_put_nothing_there(txn, at) : 0;
		uint64_t now = qc_min(length, blank ? blank : cluster - from);

		if (txn->options.stop && *txn->options.stop)
			status = qc_fail(err, QC_E_INTERRUPTED, "interrupted");
		else if (!blank)
			status = qc_put_cluster(txn, qc_guest(at.byte - from), from, from + now,
						bytes, how, err);
		at.byte += now;
		length -= now;
		if (bytes)
			bytes += now;
	}
	return qc_txn_result(txn, status);
}

/* Changes a range as a guest would: dirty bitmaps take note. */
static int change(struct qc_txn *txn, struct qc_guest at, const uint8_t *bytes, uint64_t length,
		  enum qc_put how, struct qc_err *err)
{
	int status;

	if ((status = qc_txn_require_writable(txn, err)) < 0
	    || (status = qc_marks_set(txn, at, length, err)) < 0)
		return qc_txn_result(txn, status);
	return each_cluster(txn, at, bytes, length, how, err);
}

static int require_range(struct qc_txn *txn, struct qc_guest at, uint64_t length,
			 struct qc_err *err)
{
	assert(!txn->failed && !txn->sealed);
	if (qc_range_fits(at.byte, length, txn->header.disk_bytes))
		return 0;
	return qc_fail(err, QC_E_RANGE,
		       "%llu bytes at offset %llu go past the end of the disk (%llu bytes)",
		       (unsigned long long)length, (unsigned long long)at.byte,
		       (unsigned long long)txn->header.disk_bytes);
}

int qc_txn_write(struct qc_txn *txn, struct qc_guest at, const void *bytes, size_t length,
		 struct qc_err *err)
{
	int status = require_range(txn, at, length, err);

	if (status < 0)
		return qc_txn_result(txn, status);
	txn->report.bytes_written += length;
	return change(txn, at, bytes, length, QC_PUT_DATA, err);
}

int qc_txn_zero(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err)
{
	int status = require_range(txn, at, length, err);

	if (status < 0)
		return qc_txn_result(txn, status);
	txn->report.bytes_written += length;
	return change(txn, at, NULL, length, QC_PUT_ZERO, err);
}

int qc_txn_discard(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err)
{
	int status = require_range(txn, at, length, err);

	if (status < 0)
		return qc_txn_result(txn, status);
	return change(txn, at, NULL, length, QC_PUT_DISCARD, err);
}

static int prepare_to_grow(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err)
{
	const struct qc_snapshots *snapshots = &txn->image->snapshots;

	for (size_t i = 0; i < snapshots->count; i++)
		if (txn->header.version == 2 || !snapshots->list[i].has_disk_bytes)
			return qc_fail(
				err, QC_E_UNSUPPORTED,
				"the disk cannot grow: snapshot '%s' may not remember its size",
				snapshots->list[i].name);
	return qc_marks_grow(txn, disk_bytes, err);
}

/*
 * A raw data file must stay what the image shows even if somebody writes to it without looking at the
 * image: each new cluster gets its entry at once, as QEMU does it.
 */
static int grow_external(struct qc_txn *txn, uint64_t old_bytes, struct qc_err *err)
{
	uint64_t disk_bytes = txn->header.disk_bytes;
	uint64_t whole = qc_align_up(old_bytes, txn->geometry->cluster_bytes);
	uint64_t tail_end = txn->external.raw ? qc_min(whole, disk_bytes) : disk_bytes;
	int status;

	if ((status = qc_external_extend(txn, disk_bytes, err)) < 0
	    || (status = each_cluster(txn, qc_guest(old_bytes), NULL, tail_end - old_bytes,
				      QC_PUT_DISCARD, err))
		       < 0
	    || !txn->external.raw)
		return status;
	/* Not only for what an overlong data file holds there: it makes a shorter one longer. */
	status = qc_external_zero(txn, qc_guest(old_bytes), disk_bytes - old_bytes, err);
	return status < 0 ? status
			  : each_cluster(txn, qc_guest(tail_end), NULL, disk_bytes - tail_end,
					 QC_PUT_ALLOCATE, err);
}

int qc_txn_grow(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err)
{
	uint64_t old_bytes = txn->header.disk_bytes;
	int status;

	assert(!txn->failed && !txn->sealed);
	if (disk_bytes <= old_bytes)
		return 0;
	if ((status = qc_txn_require_writable(txn, err)) < 0)
		return qc_txn_result(txn, status);
	if (disk_bytes > QC_DISK_BYTES_MAX)
		return qc_txn_result(txn,
				     qc_fail(err, QC_E_ARGUMENT, "a disk cannot be that long"));
	if ((status = prepare_to_grow(txn, disk_bytes, err)) < 0)
		return qc_txn_result(txn, status);
	status = qc_txn_grow_l1(txn, qc_l1_entries_for(txn->geometry, disk_bytes), err);
	if (status < 0)
		return qc_txn_result(txn, status);
	txn->header.disk_bytes = disk_bytes;
	txn->header_changed = true;
	if (txn->external.file)
		return qc_txn_result(txn, grow_external(txn, old_bytes, err));
	/* The last cluster's old tail, saved VM state and a longer backing file must not shine through. */
	return each_cluster(txn, qc_guest(old_bytes), NULL, disk_bytes - old_bytes, QC_PUT_DISCARD,
			    err);
}

int qc_txn_read(struct qc_txn *txn, struct qc_guest at, void *buffer, size_t length,
		struct qc_err *err)
{
	uint64_t cluster = txn->geometry->cluster_bytes;
	uint8_t *to = buffer;
	int status = require_range(txn, at, length, err);

	while (status == 0 && length > 0) {
		size_t now =
			(size_t)qc_min(length, cluster - qc_in_cluster(txn->geometry, at.byte));
		struct qc_l2_entry entry;

		status = qc_put_look(txn, at, &entry, err);
		if (status == 0)
			status = qc_read_entry(txn->image, txn->backing, &entry, at, to, now, err);
		at.byte += now;
		to += now;
		length -= now;
	}
	return qc_txn_result(txn, status);
}

uint64_t qc_txn_disk_bytes(const struct qc_txn *txn)
{
	return txn->header.disk_bytes;
}

/* --- the end --- */

void qc_txn_abort(struct qc_txn *take_txn)
{
	struct qc_err ignored; /* there is an error already, or nothing was written */

	if (!take_txn)
		return;
	(void)qc_txn_undo(take_txn, &ignored);
	qc_txn_free(take_txn);
}

int qc_txn_commit(struct qc_txn *take_txn, struct qc_txn_report *ret, struct qc_err *err)
{
	struct qc_txn *txn = take_txn;
	struct qc_err undo_err;
	int status;

	assert(!txn->failed);
	status = qc_commit(txn, err);
	/* I6; and where another program is at work, what we wrote over may be its own by now. */
	if (status < 0 && status != -QC_E_OUTCOME_UNKNOWN && status != -QC_E_CHANGED
	    && qc_txn_undo(txn, &undo_err) < 0)
		qc_err_context(err, "free space of the image could not be restored (%s)",
			       undo_err.text);
	if (status == 0)
		*ret = txn->report;
	qc_txn_free(txn);
	return status;
}
