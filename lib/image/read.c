// SPDX-License-Identifier: MIT
/*
 * Reading goes extent by extent, and from a layer to the one below for what it does not have. A
 * chain is at most QC_CHAIN_DEPTH_MAX layers deep, and so is the recursion.
 */
#include "image/read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"

static int prepare_decompressing(struct qc_image *image, struct qc_err *err)
{
	if (!image->decompressed)
		image->decompressed = malloc((size_t)image->geometry.cluster_bytes);
	if (!image->decompressed)
		return qc_fail_memory(err);
	if (!image->codec)
		return qc_codec_open((enum qc_compression)image->header.compression, &image->codec,
				     err);
	return 0;
}

/* Leaves the entry's cluster in image->decompressed. */
static int decompress(struct qc_image *image, const struct qc_l2_entry *entry, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *packed = NULL;
	int status;

	if (image->decompressed_bytes == entry->compressed_bytes
	    && image->decompressed_host.byte == entry->host.byte)
		return 0;
	status = prepare_decompressing(image, err);
	if (status < 0)
		return status;
	packed = malloc((size_t)entry->compressed_bytes);
	if (!packed)
		return qc_fail_memory(err);
	image->decompressed_bytes = 0;
	status = qc_file_read(image->file, entry->host.byte, packed,
			      (size_t)entry->compressed_bytes, err);
	if (status < 0)
		return status;
	status = qc_codec_decompress(image->codec, packed, (size_t)entry->compressed_bytes,
				     image->decompressed, (size_t)image->geometry.cluster_bytes,
				     err);
	if (status < 0)
		return status;
	image->decompressed_host = entry->host;
	image->decompressed_bytes = entry->compressed_bytes;
	return 0;
}

static int read_compressed(struct qc_image *image, const struct qc_l2_entry *entry,
			   struct qc_guest at, void *buffer, size_t length, struct qc_err *err)
{
	int status;

	status = decompress(image, entry, err);
	if (status < 0)
		return qc_err_context(err,
				      "compressed cluster for guest offset %#" PRIx64
				      " (host offset %#" PRIx64 ")",
				      at.byte, entry->host.byte);
	memcpy(buffer, image->decompressed + qc_in_cluster(&image->geometry, at.byte), length);
	return 0;
}

/* Reads an extent that is not compressed. */
static int read_extent(struct qc_file *file, const struct qc_layer *backing,
		       const struct qc_extent *extent, struct qc_guest at, void *buffer,
		       size_t length, struct qc_err *err)
{
	switch (extent->kind) {
	case QC_EXTENT_DATA:
		return qc_file_read(file, extent->host.byte, buffer, length, err);
	case QC_EXTENT_UNALLOCATED:
		return qc_read_layer(backing, at, buffer, length, err);
	case QC_EXTENT_ZERO:
	case QC_EXTENT_COMPRESSED:
		break;
	}
	memset(buffer, 0, length);
	return 0;
}

/* Reads the start of [at, at + length) as far as one extent goes. */
static int read_some(const struct qc_view *view, struct qc_guest at, void *buffer, size_t length,
		     size_t *ret_bytes, struct qc_err *err)
{
	struct qc_file *file = !view->image ? view->raw : view->image->data;
	struct qc_l2_entry entry;
	struct qc_extent extent;
	int status;

	status = qc_map_layer(view, at, length, &extent, err);
	if (status < 0)
		return status;
	*ret_bytes = (size_t)extent.bytes;
	if (extent.kind != QC_EXTENT_COMPRESSED)
		return read_extent(file, view->backing, &extent, at, buffer, (size_t)extent.bytes,
				   err);
	status = qc_map_entry(view, at, &entry, err);
	if (status < 0)
		return status;
	return read_compressed(view->image, &entry, at, buffer, (size_t)extent.bytes, err);
}

int qc_read(const struct qc_view *view, struct qc_guest at, void *buffer, size_t length,
	    struct qc_err *err)
{
	uint8_t *to = buffer;
	size_t bytes;
	int status;

	while (length > 0 && at.byte < view->disk_bytes) {
		status = read_some(view, at, to, length, &bytes, err);
		if (status < 0)
			return status;
		at.byte += bytes;
		to += bytes;
		length -= bytes;
	}
	memset(to, 0, length);
	return 0;
}

int qc_read_layer(const struct qc_layer *layer, struct qc_guest at, void *buffer, size_t length,
		  struct qc_err *err)
{
	struct qc_view view;

	if (!layer) {
		memset(buffer, 0, length);
		return 0;
	}
	qc_view_active(layer, &view);
	return qc_read(&view, at, buffer, length, err);
}

int qc_read_entry(struct qc_image *image, const struct qc_layer *backing,
		  const struct qc_l2_entry *entry, struct qc_guest at, void *buffer, size_t length,
		  struct qc_err *err)
{
	const struct qc_geometry *g = &image->geometry;
	struct qc_extent extent;
	uint8_t *to = buffer;
	size_t bytes;
	int status;

	if (entry->compressed)
		return read_compressed(image, entry, at, buffer, length, err);
	while (length > 0) {
		qc_map_cluster(g, entry, qc_in_cluster(g, at.byte), &extent);
		bytes = (size_t)qc_min(extent.bytes, length);
		status = read_extent(image->data, backing, &extent, at, to, bytes, err);
		if (status < 0)
			return status;
		at.byte += bytes;
		to += bytes;
		length -= bytes;
	}
	return 0;
}
