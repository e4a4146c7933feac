// SPDX-License-Identifier: MIT
#include "image/chain_map.h"

#include "base/checked.h"
#include "image/thin.h"

/* Encrypted bytes are nowhere as the guest sees them, and what a hole decrypts to is not zeroes. */
static bool is_encrypted(const struct qc_image *image)
{
	return image && image->header.crypt_method != QC_CRYPT_NONE;
}

static void describe(const struct qc_image *image, const struct qc_extent *extent,
		     struct qc_chain_extent *ret)
{
	ret->present = extent->kind != QC_EXTENT_UNALLOCATED;
	ret->compressed = extent->kind == QC_EXTENT_COMPRESSED;
	ret->data = extent->kind == QC_EXTENT_DATA || ret->compressed;
	ret->zero = !ret->data;
	ret->has_host = extent->has_host && !is_encrypted(image);
	ret->host = extent->host;
	ret->bytes = extent->bytes;
}

/* Clusters that were allocated ahead and never written are holes of the file. */
static int look_for_hole(struct qc_image *image, struct qc_chain_extent *extent, struct qc_err *err)
{
	uint64_t bytes;
	bool data;
	int status;

	if (!extent->data || extent->compressed || !qc_image_is_thin(image))
		return 0;
	status = qc_map_file(image->data, extent->host.byte, extent->bytes, &data, &bytes, err);
	if (status < 0)
		return status;
	extent->zero = !data;
	extent->bytes = bytes;
	return 0;
}

int qc_chain_map(const struct qc_view *view, struct qc_guest at, uint64_t max_bytes,
		 struct qc_chain_extent *ret, struct qc_err *err)
{
	struct qc_chain_extent found = {0};
	struct qc_view current = *view;
	struct qc_extent extent;
	int status;

	for (;; found.depth++) {
		status = qc_map_layer(&current, at, max_bytes, &extent, err);
		if (status < 0)
			return status;
		max_bytes = extent.bytes;
		if (extent.kind != QC_EXTENT_UNALLOCATED || !current.backing
		    || at.byte >= current.backing->disk_bytes)
			break;
		found.layer = current.backing;
		qc_view_active(found.layer, &current);
	}
	describe(current.image, &extent, &found);
	if (current.image && !is_encrypted(current.image)) {
		status = look_for_hole(current.image, &found, err);
		if (status < 0)
			return status;
	}
	*ret = found;
	return 0;
}

bool qc_chain_extent_joins(const struct qc_chain_extent *first, const struct qc_chain_extent *next)
{
	if (first->depth != next->depth || first->present != next->present
	    || first->zero != next->zero || first->data != next->data
	    || first->compressed != next->compressed || first->has_host != next->has_host)
		return false;
	return !first->has_host || first->host.byte + first->bytes == next->host.byte;
}
