// SPDX-License-Identifier: MIT
#include "txn/verify.h"

#include "base/checked.h"
#include "image/image.h"
#include "io/file_mem.h"
#include "io/file_overlay.h"
#include "txn/space.h"
#include "txn/walk.h"

static bool is_free(const struct qc_space *space, uint64_t offset, uint64_t bytes)
{
	uint64_t cluster = offset >> space->geometry->cluster_bits;
	uint64_t end = qc_div_up(offset + bytes, space->geometry->cluster_bytes);

	for (; bytes > 0 && cluster < end; cluster++)
		if (!qc_space_is_free(space, cluster))
			return false;
	return true;
}

struct range {
	uint64_t first, end; /* clusters */
	bool reached;
};

static int meet_reference(void *context, uint64_t first, uint64_t count, struct qc_err *err)
{
	struct range *range = context;

	(void)err;
	if (first < range->end && range->first < first + count)
		range->reached = true;
	return 0;
}

static int is_lost(struct qc_image *image, uint64_t offset, uint64_t bytes, bool *ret,
		   struct qc_err *err)
{
	const struct qc_geometry *g = &image->geometry;
	struct range range = {offset >> g->cluster_bits,
			      qc_div_up(offset + bytes, g->cluster_bytes), false};
	struct qc_walk_sink sink = {.take = meet_reference, .context = &range};
	int status = qc_walk_references(image, &sink, err);

	*ret = status == 0 && !range.reached;
	return status;
}

static int judge(struct qc_image *image, uint64_t offset, uint64_t bytes, struct qc_verdict *ret,
		 struct qc_err *err)
{
	struct qc_space space;
	int status = qc_space_init(&space, image, QC_SPACE_PROVE, NULL, err);

	ret->sound = status == 0;
	if (status == -QC_E_FORMAT)
		status = qc_space_init(&space, image, QC_SPACE_UNION, NULL, err);
	ret->opens = status == 0;
	if (status < 0)
		return status == -QC_E_FORMAT ? 0 : status;
	ret->range_free = is_free(&space, offset, bytes);
	qc_space_clear(&space);
	return ret->sound && !ret->range_free ? is_lost(image, offset, bytes, &ret->range_lost, err)
					      : 0;
}

int qc_verify_sector(struct qc_file *file, const uint8_t sector[QC_SECTOR_BYTES],
		     uint64_t range_offset, uint64_t range_bytes, struct qc_verdict *ret,
		     struct qc_err *err)
{
	struct qc_file *changes, *view;
	struct qc_verdict verdict = {0};
	struct qc_image *image;
	int status;

	if ((status = qc_file_mem_open(NULL, 0, &changes, err)) < 0
	    || (status = qc_file_overlay_open(file, changes, &view, err)) < 0)
		return status;
	status = qc_file_write(view, 0, sector, QC_SECTOR_BYTES, err);
	if (status == 0)
		status = qc_image_open(view, NULL, &image, err);
	if (status == 0) {
		status = judge(image, range_offset, range_bytes, &verdict, err);
		qc_image_close(image);
	} else if (status == -QC_E_FORMAT || status == -QC_E_UNSUPPORTED) {
		status = 0; /* it does not open, and that is the verdict */
	}
	qc_file_close(view);
	if (status == 0)
		*ret = verdict;
	return status;
}
