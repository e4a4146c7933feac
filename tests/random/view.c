// SPDX-License-Identifier: MIT
#include "random/view.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/chain_map.h"
#include "image/read.h"
#include "random/sparse.h"

#define CHUNK_BYTES ((size_t)256 << 10)

static int open_view(const struct qc_layer *layer, const char *snapshot, struct qc_view *ret,
		     struct qc_err *err)
{
	const struct qc_snapshot *found;

	if (*snapshot == '\0') {
		qc_view_active(layer, ret);
		return 0;
	}
	found = qc_image_find_snapshot(layer->image, snapshot);
	if (!found)
		return qc_fail(err, QC_E_NOT_FOUND, "there is no snapshot '%s'", snapshot);
	return qc_view_snapshot(layer, found, ret, err);
}

/* Compares from `at` on, at most CHUNK_BYTES of it; *ret_bytes is how far both are the same. */
static int compare_chunk(const struct qc_view *view, const char *model, uint64_t at,
			 uint64_t *ret_bytes, bool *ret_same, struct qc_err *err)
{
	static uint8_t ours[CHUNK_BYTES], theirs[CHUNK_BYTES];
	uint64_t left = view->disk_bytes - at;
	size_t length = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, same = 0;
	int r = qc_read(view, qc_guest(at), ours, length, err);

	if (r < 0)
		return r;
	sparse_read(model, at, theirs, length);
	*ret_same = memcmp(ours, theirs, length) == 0;
	while (!*ret_same && ours[same] == theirs[same])
		same++;
	*ret_bytes = *ret_same ? length : same;
	return 0;
}

/* How far from `at` on neither the image nor the model has anything but zeroes. */
static int skip_zeroes(const struct qc_view *view, const char *model, uint64_t at,
		       uint64_t *ret_bytes, struct qc_err *err)
{
	uint64_t hole = sparse_next_data(model, at) - at;
	struct qc_chain_extent extent;
	int r;

	*ret_bytes = 0;
	while (*ret_bytes < hole) {
		r = qc_chain_map(view, qc_guest(at + *ret_bytes), hole - *ret_bytes, &extent, err);
		if (r < 0)
			return r;
		if (!extent.zero)
			break;
		*ret_bytes += extent.bytes;
	}
	return 0;
}

static int compare(const struct qc_view *view, const char *model, struct view_difference *ret,
		   struct qc_err *err)
{
	uint64_t bytes;
	bool same;
	int r;

	ret->kind = sparse_bytes(model) == view->disk_bytes ? VIEW_SAME : VIEW_OTHER_SIZE;
	ret->at = 0;
	while (ret->kind == VIEW_SAME && ret->at < view->disk_bytes) {
		r = skip_zeroes(view, model, ret->at, &bytes, err);
		if (r < 0)
			return r;
		ret->at += bytes;
		if (bytes)
			continue;
		r = compare_chunk(view, model, ret->at, &bytes, &same, err);
		if (r < 0)
			return r;
		ret->at += bytes;
		if (!same)
			ret->kind = VIEW_OTHER_BYTES;
	}
	return 0;
}

int view_compare(const struct qc_layer *layer, const char *snapshot, const char *model,
		 struct view_difference *ret, struct qc_err *err)
{
	struct qc_view view;
	int r = open_view(layer, snapshot, &view, err);

	if (r < 0)
		return r;
	r = compare(&view, model, ret, err);
	qc_view_clear(&view);
	return r;
}
