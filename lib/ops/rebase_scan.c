// SPDX-License-Identifier: MIT
#include "ops/rebase_scan.h"

#include "base/checked.h"
#include "txn/txn_state.h"

/* Long enough to be worth a call, short enough that all threads get some. */
#define PIECE_BYTES (UINT64_C(1) << 20)

struct side {
	const struct qc_layer *top; /* NULL: all zeroes */
	struct qc_view view;
	struct qc_places places;
	struct qc_place place; /* that was looked at last */
};

struct scanning {
	const struct qc_rebase_scan *scan;
	struct side sides[QC_SIDES];
	const struct qc_layer *layers[QC_SIDES]; /* that were compared last, */
	bool same_layer;			 /* and whether they are the same file */
	struct qc_comparer *comparer;
	struct qc_batch batches[2];
	size_t turn;  /* the batch that is being put together; the other one is with the crew */
	bool started; /* there is one with the crew */
};

/* --- what a side shows --- */

static int look(struct side *side, uint64_t at, struct qc_err *err)
{
	if (side->top)
		return qc_places_at(&side->places, qc_guest(at), &side->place, err);
	side->place = (struct qc_place){
		.guest = qc_guest(at),
		.extent = {.zero = true, .bytes = UINT64_MAX - at},
	};
	return 0;
}

static const struct qc_layer *layer_of(const struct side *side)
{
	return side->place.extent.layer ? side->place.extent.layer : side->top;
}

/* Two layers that are the same file, read the same way, hold the same for the same offset. */
static bool is_same_file(const struct qc_layer *a, const struct qc_layer *b)
{
	struct qc_file_identity x, y;

	return (!a->image) == (!b->image) && qc_file_posix_identity(a->file, &x)
	       && qc_file_posix_identity(b->file, &y) && x.device == y.device && x.inode == y.inode;
}

static bool known_to_be_same(struct scanning *s)
{
	const struct side *old = &s->sides[QC_SIDE_OLD], *new = &s->sides[QC_SIDE_NEW];

	if (old->place.extent.zero || new->place.extent.zero)
		return old->place.extent.zero && new->place.extent.zero;
	if (s->layers[QC_SIDE_OLD] != layer_of(old) || s->layers[QC_SIDE_NEW] != layer_of(new)) {
		s->layers[QC_SIDE_OLD] = layer_of(old);
		s->layers[QC_SIDE_NEW] = layer_of(new);
		s->same_layer = is_same_file(layer_of(old), layer_of(new));
	}
	return s->same_layer;
}

/* --- batches --- */

/* Has the batch with the crew finished. */
static int finish(struct scanning *s, struct qc_err *err)
{
	if (!s->started)
		return 0;
	s->started = false;
	return qc_comparer_finish(s->comparer, err);
}

/* Hands the batch to the crew, and what that had before to the caller while it is at work. */
static int turn_over(struct scanning *s, struct qc_err *err)
{
	struct qc_batch *filled = &s->batches[s->turn], *done = &s->batches[!s->turn];
	const volatile sig_atomic_t *stop = s->scan->txn->options.stop;
	int status = finish(s, err);

	if (status < 0)
		return status;
	if (stop && *stop)
		return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
	qc_comparer_start(s->comparer, filled);
	s->started = true;
	s->turn = !s->turn;
	if (done->unit_count > 0)
		status = s->scan->take(s->scan->context, done, err);
	qc_batch_empty(done);
	return status;
}

static int add_piece(struct scanning *s, uint64_t at, uint64_t end, struct qc_err *err)
{
	struct qc_piece piece = {
		.guest = at,
		.bytes = end - at,
		.places = {s->sides[QC_SIDE_OLD].place, s->sides[QC_SIDE_NEW].place},
	};
	int status = 0;

	if (qc_batch_is_full(&s->batches[s->turn], at)) {
		qc_progress_step(s->scan->progress, qc_min(at, s->scan->disk_bytes),
				 s->scan->disk_bytes);
		status = turn_over(s, err);
	}
	return status < 0 ? status : qc_batch_add(&s->batches[s->turn], &piece, err);
}

/* A part of the disk that the image does not hold. */
static int scan_gap(struct scanning *s, uint64_t at, uint64_t end, struct qc_err *err)
{
	struct side *old = &s->sides[QC_SIDE_OLD], *new = &s->sides[QC_SIDE_NEW];
	int status = 0;

	while (status == 0 && at < end) {
		uint64_t to;

		if ((status = look(old, at, err)) < 0 || (status = look(new, at, err)) < 0)
			break;
		to = qc_min(end, at + qc_min(old->place.extent.bytes, new->place.extent.bytes));
		if (!known_to_be_same(s)) {
			to = qc_min(to, qc_align_down(at, PIECE_BYTES) + PIECE_BYTES);
			status = add_piece(s, at, to, err);
		}
		at = to;
	}
	return status;
}

static int scan_all(struct scanning *s, struct qc_err *err)
{
	uint64_t from, to;
	int status;

	for (;;) {
		status = qc_fill_next(s->scan->txn, &from, &to, err);
		if (status < 0)
			return status;
		if (from == to)
			break;
		if ((status = scan_gap(s, from, to, err)) < 0)
			return status;
	}
	/* The last two batches. */
	if ((status = turn_over(s, err)) < 0 || (status = turn_over(s, err)) < 0)
		return status;
	status = finish(s, err);
	if (status == 0)
		qc_progress_step(s->scan->progress, s->scan->disk_bytes, s->scan->disk_bytes);
	return status;
}

int qc_rebase_scan(const struct qc_rebase_scan *scan, struct qc_err *err)
{
	const struct qc_geometry *g = scan->txn->geometry;
	struct scanning s = {.scan = scan};
	int status;

	for (int i = 0; i < QC_SIDES; i++) {
		s.batches[i].unit_bytes = g->subcluster_bytes;
		s.batches[i].cluster_bytes = g->cluster_bytes;
		s.sides[i].top = scan->chain[i];
		if (scan->chain[i])
			qc_view_active(scan->chain[i], &s.sides[i].view);
		s.sides[i].places.view = &s.sides[i].view;
	}
	status = qc_comparer_open(&s.comparer, err);
	if (status == 0)
		status = scan_all(&s, err);
	qc_comparer_close(s.comparer);
	qc_batch_clear(&s.batches[0]);
	qc_batch_clear(&s.batches[1]);
	return status;
}
