// SPDX-License-Identifier: MIT
/* Looking at an image. */
#include <inttypes.h>
#include <stdlib.h>

#include "api/api.h"
#include "base/checked.h"
#include "image/chain.h"
#include "image/chain_map.h"
#include "image/map.h"
#include "image/read.h"

struct qcowtool_image {
	struct qc_layer *chain;
	struct qc_view view;
};

static int choose_view(struct qcowtool_image *image, const char *name, struct qc_err *err)
{
	const struct qc_snapshot *snapshot;

	if (!name) {
		qc_view_active(image->chain, &image->view);
		return 0;
	}
	snapshot = qc_image_find_snapshot(image->chain->image, name);
	if (!snapshot)
		return qc_fail(err, QC_E_NOT_FOUND, "there is no snapshot '%s'", name);
	return qc_view_snapshot(image->chain, snapshot, &image->view, err);
}

static int open_image(const char *path, const char *snapshot, unsigned int flags,
		      struct qcowtool_image **ret, struct qc_err *err)
{
	const struct qc_chain_open how = {
		.file.lock = flags & QCOWTOOL_FORCE_SHARE ? QC_LOCK_FORCE : QC_LOCK_READ,
		.policy = qc_api_policy(flags),
	};
	struct qcowtool_image *image;
	int status;

	status = qc_api_flags(flags,
			      QCOWTOOL_FORCE_SHARE | QCOWTOOL_CHAIN_DIR | QCOWTOOL_CHAIN_NONE, err);
	if (status < 0)
		return status;
	image = calloc(1, sizeof(*image));
	if (!image)
		return qc_fail_memory(err);
	status = qc_chain_open(path, &how, &image->chain, err);
	if (status == 0)
		status = choose_view(image, snapshot, err);
	if (status < 0)
		qcowtool_close(image);
	else
		*ret = image;
	return status;
}

int qcowtool_open(const char *path, const char *snapshot, unsigned int flags,
		  struct qcowtool_image **ret, struct qcowtool_error *error)
{
	struct qc_err err;
	int status = open_image(path, snapshot, flags, ret, &err);

	return qc_api_result(status, &err, error);
}

void qcowtool_close(struct qcowtool_image *image)
{
	if (!image)
		return;
	qc_view_clear(&image->view);
	qc_layer_close(image->chain);
	free(image);
}

uint64_t qcowtool_disk_bytes(const struct qcowtool_image *image)
{
	return image->view.disk_bytes;
}

static int require_range(const struct qcowtool_image *image, uint64_t at, uint64_t length,
			 struct qc_err *err)
{
	if (qc_range_fits(at, length, image->view.disk_bytes))
		return 0;
	return qc_fail(err, QC_E_RANGE,
		       "offset %" PRIu64 " and length %" PRIu64
		       " go past the end of the disk (%" PRIu64 " bytes)",
		       at, length, image->view.disk_bytes);
}

int qcowtool_read(struct qcowtool_image *image, uint64_t at, void *buffer, size_t length,
		  struct qcowtool_error *error)
{
	struct qc_err err;
	int status = require_range(image, at, length, &err);

	if (status == 0)
		status = qc_read(&image->view, qc_guest(at), buffer, length, &err);
	return qc_api_result(status, &err, error);
}

/* --- map --- */

static uint32_t flags_of(const struct qc_chain_extent *extent)
{
	unsigned int flags = 0;

	flags |= extent->present ? QCOWTOOL_EXTENT_PRESENT : 0;
	flags |= extent->zero ? QCOWTOOL_EXTENT_ZERO : 0;
	flags |= extent->data ? QCOWTOOL_EXTENT_DATA : 0;
	flags |= extent->compressed ? QCOWTOOL_EXTENT_COMPRESSED : 0;
	flags |= extent->has_host ? QCOWTOOL_EXTENT_HOST : 0;
	return flags;
}

static const char *file_of(const struct qcowtool_image *image, const struct qc_chain_extent *extent)
{
	if (!extent->has_host)
		return NULL;
	return qc_layer_data_name(extent->layer ? extent->layer : image->chain);
}

int qcowtool_map(struct qcowtool_image *image, uint64_t at, uint64_t max_bytes,
		 struct qcowtool_extent *ret, struct qcowtool_error *error)
{
	struct qc_chain_extent extent;
	struct qc_err err;
	int status;

	status = max_bytes == 0 ? qc_fail(&err, QC_E_ARGUMENT, "no bytes are of interest")
				: require_range(image, at, 1, &err);
	if (status == 0)
		status = qc_chain_map(&image->view, qc_guest(at),
				      qc_min(max_bytes, image->view.disk_bytes - at), &extent,
				      &err);
	if (status < 0)
		return qc_api_result(status, &err, error);
	*ret = (struct qcowtool_extent){
		.bytes = extent.bytes,
		.host = extent.has_host ? extent.host.byte : 0,
		.depth = extent.depth,
		.flags = flags_of(&extent),
		.file = file_of(image, &extent),
	};
	return 0;
}

/* --- the list of snapshots --- */

int qcowtool_snapshot_get(const struct qcowtool_image *image, size_t index,
			  struct qcowtool_snapshot *ret, struct qcowtool_error *error)
{
	const struct qc_image *top = image->chain->image;
	const struct qc_snapshot *snapshot;
	struct qc_err err;

	if (index >= top->snapshots.count)
		return qc_api_result(qc_fail(&err, QC_E_NOT_FOUND, "there are no more snapshots"),
				     &err, error);
	snapshot = &top->snapshots.list[index];
	*ret = (struct qcowtool_snapshot){
		.id = snapshot->id,
		.name = snapshot->name,
		.disk_bytes = snapshot->has_disk_bytes ? snapshot->disk_bytes
						       : top->header.disk_bytes,
		.vm_state_bytes = snapshot->vm_state_bytes,
		.date_sec = snapshot->date_sec,
		.date_nsec = snapshot->date_nsec,
	};
	return 0;
}
