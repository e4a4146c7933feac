// SPDX-License-Identifier: MIT
#include "ops/rebase_scan.h"

#include "base/checked.h"
#include "image/chain_map.h"

/* Long enough to be worth a call, short enough that all threads get some. */
#define PIECE_BYTES (UINT64_C(4) << 20)

/* One chain and the extent of it that was looked at last: extents are only ever gone through once. */
struct side {
	const struct qc_layer *top;
	struct qc_view view;
	struct qc_chain_extent extent;
	uint64_t from, to; /* of the extent */
};

/* What a side shows at an offset, and until where. */
struct shown {
	bool zero;
	bool compressed;
	const struct qc_layer *layer; /* unless zero */
	uint64_t at;		      /* in its file, unless compressed */
	uint64_t end;
};

struct scanning {
	const struct qc_rebase_scan *scan;
	struct side sides[QC_SIDES];
	struct qc_batch batch;
};

static int look(struct side *side, uint64_t at, struct shown *ret, struct qc_err *err)
{
	const struct qc_chain_extent *e = &side->extent;
	int status;

	if (!side->top || at >= side->top->disk_bytes) {
		*ret = (struct shown){.zero = true, .end = UINT64_MAX};
		return 0;
	}
	if (at < side->from || at >= side->to) {
		status = qc_chain_map(&side->view, qc_guest(at), side->top->disk_bytes - at,
				      &side->extent, err);
		if (status < 0)
			return status;
		side->from = at;
		side->to = at + side->extent.bytes;
	}
	*ret = (struct shown){
		.zero = e->zero,
		.compressed = e->compressed,
		.layer = e->layer ? e->layer : side->top,
		.at = e->host.byte + (at - side->from),
		.end = side->to,
	};
	return 0;
}

/* Two layers that are the same file, read the same way, hold the same for the same offset. */
static bool same_layer(const struct qc_layer *a, const struct qc_layer *b)
{
	struct qc_file_identity x, y;

	return (a->image == NULL) == (b->image == NULL) && qc_file_posix_identity(a->file, &x)
	       && qc_file_posix_identity(b->file, &y) && x.device == y.device && x.inode == y.inode;
}

static bool known_to_be_same(const struct shown *old, const struct shown *new)
{
	if (old->zero || new->zero)
		return old->zero && new->zero;
	return same_layer(old->layer, new->layer);
}

static int flush(struct scanning *s, struct qc_err *err)
{
	const struct qc_rebase_scan *scan = s->scan;
	int status;

	if (scan->stop && *scan->stop)
		return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
	if (s->batch.unit_count == 0)
		return 0;
	if ((status = qc_batch_compare(&s->batch, err)) == 0)
		status = scan->take(scan->context, &s->batch, err);
	qc_batch_empty(&s->batch);
	return status;
}

static int add_piece(struct scanning *s, uint64_t at, uint64_t end, const struct shown *old,
		     const struct shown *new, struct qc_err *err)
{
	struct qc_piece piece = {
		.guest = at,
		.bytes = end - at,
		.file = {old->zero ? NULL : qc_layer_data(old->layer),
			 new->zero ? NULL : qc_layer_data(new->layer)},
		.at = {old->at, new->at},
		.by_chain = !new->zero && (old->compressed || new->compressed),
	};
	int status = 0;

	if (qc_batch_is_full(&s->batch, at))
		status = flush(s, err);
	return status < 0 ? status : qc_batch_add(&s->batch, &piece, err);
}

/* A part of the disk that the image does not hold. */
static int scan_hole(struct scanning *s, uint64_t at, uint64_t end, struct qc_err *err)
{
	int status = 0;

	while (status == 0 && at < end) {
		struct shown old, new;
		uint64_t to;

		if ((status = look(&s->sides[QC_SIDE_OLD], at, &old, err)) < 0
		    || (status = look(&s->sides[QC_SIDE_NEW], at, &new, err)) < 0)
			break;
		to = qc_min(end, qc_min(old.end, new.end));
		if (!known_to_be_same(&old, &new)) {
			to = qc_min(to, qc_align_down(at, PIECE_BYTES) + PIECE_BYTES);
			status = add_piece(s, at, to, &old, &new, err);
		}
		at = to;
	}
	return status;
}

static int scan_all(struct scanning *s, struct qc_err *err)
{
	const struct qc_view *view = s->scan->view;
	struct qc_extent extent;
	int status = 0;

	for (uint64_t at = 0; status == 0 && at < view->disk_bytes; at += extent.bytes) {
		status = qc_map_layer(view, qc_guest(at), view->disk_bytes - at, &extent, err);
		if (status < 0)
			return status;
		if (extent.kind == QC_EXTENT_UNALLOCATED)
			status = scan_hole(s, at, at + extent.bytes, err);
		if (s->scan->stop && *s->scan->stop)
			return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
	}
	return status < 0 ? status : flush(s, err);
}

int qc_rebase_scan(const struct qc_rebase_scan *scan, struct qc_err *err)
{
	struct scanning s = {
		.scan = scan,
		.batch =
			{
				.unit_bytes = scan->view->image->geometry.subcluster_bytes,
				.disk_bytes = scan->view->disk_bytes,
			},
	};
	int status;

	for (int i = 0; i < QC_SIDES; i++) {
		s.sides[i].top = scan->chain[i];
		s.batch.chain[i] = scan->chain[i];
		if (scan->chain[i])
			qc_view_active(scan->chain[i], &s.sides[i].view);
	}
	status = scan_all(&s, err);
	qc_batch_clear(&s.batch);
	return status;
}
