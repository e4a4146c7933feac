// SPDX-License-Identifier: MIT
#include "ops/rebase.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/zeroes.h"
#include "format/limits.h"
#include "ops/copy.h"
#include "ops/rebase_scan.h"
#include "txn/fill.h"
#include "txn/txn_state.h"

#define SMALL_BYTES (UINT64_C(1) << 20) /* not worth more than one thread */

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

/* --- loops, where the new chain is not opened --- */

static bool is_same_file(const struct qc_file *a, const struct qc_file *b)
{
	struct qc_file_identity x, y;

	return qc_file_posix_identity(a, &x) && qc_file_posix_identity(b, &y)
	       && x.device == y.device && x.inode == y.inode;
}

/* The backing file that the image in an open file names, as a path; NULL: none that can be found. */
static char *peek_below(struct qc_file *file, const char *path)
{
	struct qc_image *image = NULL;
	struct qc_err ignored;
	char *below = NULL;

	if (qc_image_open(file, NULL, &image, &ignored) < 0)
		return NULL;
	if (image->backing_name
	    && qc_reference_resolve(path, image->backing_name, &below, &ignored) < 0)
		below = NULL;
	qc_image_close(image);
	return below;
}

/*
 * A name that is only stored may lead to anything or nothing. But an image that stands on itself,
 * however far below, could never be opened again, so as much of the chain as there is is looked at.
 */
static int refuse_loop(const struct qc_edit *edit, const char *path, const struct qc_rebase *rebase,
		       struct qc_err *err)
{
	const struct qc_file_open peek = {.lock = QC_LOCK_NONE};
	char *at = NULL, *below;
	struct qc_err ignored;
	struct qc_file *file;
	bool same = false;
	unsigned int depth;
	int status = qc_reference_resolve(path, rebase->name, &at, err);

	for (depth = 0; status == 0 && at && !same && depth < QC_CHAIN_DEPTH_MAX; depth++) {
		below = NULL;
		if (qc_reference_allow(rebase->policy, path, at, &ignored) == 0
		    && qc_file_posix_open(at, &peek, &file, &ignored) == 0) {
			same = is_same_file(edit->file, file);
			if (!same && (depth > 0 || strcmp(rebase->format, "raw") != 0))
				below = peek_below(file, at);
			qc_file_close(file);
		}
		free(at);
		at = below;
	}
	free(at);
	if (!same)
		return status;
	if (depth == 1)
		return qc_fail(err, QC_E_ARGUMENT,
			       "backing file '%s': an image cannot be its own base", rebase->name);
	return qc_fail(err, QC_E_ARGUMENT,
		       "backing file '%s': the chain of backing files would be a loop",
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
	struct qc_txn *txn;
	const struct qc_layer *old;
	uint64_t disk_bytes; /* the longest, of the image and its snapshots */
	uint8_t *kinds;	     /* for each unit of a run, enum qc_fill_kind */
	size_t kinds_room;
	struct qc_rebase_report report;

	/* The batch, and the slots that are read, and put, next. */
	const struct qc_batch *batch;
	size_t next_read, next_put;
};

static enum qc_fill_kind kind_of(uint8_t state, const uint8_t *bytes, size_t length)
{
	if (state == 0)
		return QC_FILL_NOTHING;
	if (!qc_is_zero(bytes, length))
		return QC_FILL_DATA;
	return (state & QC_UNIT_DIFFERS) != 0 ? QC_FILL_ZEROES : QC_FILL_NOTHING;
}

/* A run of clusters, and the units of a batch that are to be looked at in it. */
struct run {
	uint64_t at;
	size_t length;
	size_t first, end; /* slots */
};

/* The first run from slot `at` on; a length of 0: there is none. */
static struct run find_run(const struct copying *c, size_t at)
{
	const struct qc_batch *b = c->batch;
	uint64_t cluster_bytes = b->cluster_bytes, end;
	struct run run = {0};

	while (at < b->unit_count && b->states[at] == 0)
		at++;
	run.first = run.end = at;
	if (at == b->unit_count)
		return run;
	run.at = end = qc_align_down(b->units[at] * b->unit_bytes, cluster_bytes);
	for (size_t i = at; i < b->unit_count; i++) {
		uint64_t base = qc_align_down(b->units[i] * b->unit_bytes, cluster_bytes);

		if (b->states[i] == 0)
			continue;
		if (base > end || base + cluster_bytes - run.at > QC_COPY_PART_BYTES)
			break;
		end = base + cluster_bytes;
		run.end = i + 1;
	}
	run.length = (size_t)(qc_min(end, c->disk_bytes) - run.at);
	return run;
}

/* Decides what becomes of the run's units. */
static void judge(struct copying *c, const struct run *run, const uint8_t *bytes)
{
	const struct qc_batch *b = c->batch;

	memset(c->kinds, QC_FILL_NOTHING, c->kinds_room);
	for (size_t i = run->first; i < run->end; i++) {
		size_t from = (size_t)(b->units[i] * b->unit_bytes - run->at);
		size_t length = (size_t)qc_min(b->unit_bytes, run->length - from);
		enum qc_fill_kind kind = kind_of(b->states[i], bytes + from, length);

		c->kinds[from / b->unit_bytes] = (uint8_t)kind;
		c->report.copied_bytes += kind == QC_FILL_DATA ? length : 0;
		c->report.zeroed_bytes += kind == QC_FILL_ZEROES ? length : 0;
	}
}

static void next_run(void *context, uint64_t *ret_at, uint64_t *ret_length)
{
	struct copying *c = context;
	struct run run = find_run(c, c->next_read);

	c->next_read = run.end;
	*ret_at = run.at;
	*ret_length = run.length;
}

/* Runs come back in the order in which they were asked for. */
static int put_run(void *context, const uint8_t *bytes, size_t length, struct qc_err *err)
{
	struct copying *c = context;
	struct run run = find_run(c, c->next_put);

	c->next_put = run.end;
	judge(c, &run, bytes);
	return qc_fill_put(c->txn, run.at, bytes, length, c->kinds, err);
}

static bool is_small(const struct qc_batch *b)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < b->unit_count && bytes < SMALL_BYTES; i++)
		bytes += b->states[i] != 0 ? b->unit_bytes : 0;
	return bytes < SMALL_BYTES;
}

static int copy_batch(void *context, const struct qc_batch *b, struct qc_err *err)
{
	struct copying *c = context;
	/* Where a data file's clusters are put, the old chain is read too. */
	bool alone = is_small(b) || c->txn->geometry->external_data;
	struct qc_view view = {0};
	const struct qc_copy copy = {.view = &view, .threads = alone ? 1 : 0};

	c->batch = b;
	c->next_read = c->next_put = 0;
	if (c->old)
		qc_view_active(c->old, &view);
	return qc_copy_parts(&copy, next_run, put_run, c, err);
}

/* Copies in what the new chain shows differently. */
static int keep_contents(struct qc_edit *edit, const struct qc_layer *new,
			 const struct qc_rebase *rebase, struct qc_rebase_report *ret,
			 struct qc_err *err)
{
	const struct qc_geometry *g = &edit->image->geometry;
	size_t kinds_room = (size_t)(QC_COPY_PART_BYTES / g->subcluster_bytes);
	QC_AUTOFREE uint8_t *kinds = malloc(kinds_room);
	struct copying c = {
		.txn = edit->txn,
		.old = edit->backing,
		.kinds = kinds,
		.kinds_room = kinds_room,
	};
	const struct qc_rebase_scan scan = {
		.txn = edit->txn,
		.chain = {edit->backing, new},
		.progress = rebase->progress,
		.disk_bytes = qc_txn_disk_bytes(edit->txn),
		.take = copy_batch,
		.context = &c,
	};
	int status;

	if (!kinds)
		return qc_fail_memory(err);
	if ((status = qc_fill_open(edit->txn, !rebase->ignore_snapshots, err)) < 0)
		return status;
	c.disk_bytes = qc_fill_disk_bytes(edit->txn);
	if ((status = qc_rebase_scan(&scan, err)) < 0 || (status = qc_fill_end(edit->txn, err)) < 0)
		return status;
	*ret = c.report;
	return 0;
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
		status = refuse_loop(edit, path, rebase, err);
	if (status == 0 && rebase->opened)
		rebase->opened(rebase->opened_context);
	if (status == 0)
		status = qc_rebase_onto(edit, new, rebase, ret, err);
	qc_layer_close(new);
	return status;
}
