// SPDX-License-Identifier: MIT
/*
 * An image and what it stands on: a list of layers, the top one first, each a qcow2 image or a raw
 * file. The guest sees the topmost layer that has something to say about an offset.
 *
 * A layer's format is what the image above it recorded. Where nothing is recorded the file is
 * probed, and what was found by probing follows no references of its own: a guest could have
 * written that header.
 *
 * Refused, each with one line: loops, more than QC_CHAIN_DEPTH_MAX layers, formats other than raw
 * and qcow2, files that the policy does not allow, images with a data file or with encryption.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"
#include "image/reference.h"
#include "io/file_posix.h"

struct qc_layer {
	char *path;
	struct qc_file *file;	  /* owned */
	struct qc_image *image;	  /* owned; NULL: a raw file */
	uint64_t disk_bytes;	  /* what the layer shows; beyond it the ones below do not count */
	struct qc_layer *backing; /* owned; NULL: zeroes */
};

struct qc_chain_open {
	struct qc_file_open file; /* for the top layer; those below are always opened for reading,
				      with QC_LOCK_FORCE if the top one is, else QC_LOCK_READ */
	enum qc_chain_policy policy;
	/* The file behind the top image, where that reads a view of it; NULL: the image's own. */
	const struct qc_file *top_file;
	bool metadata_only; /* guest bytes are not wanted, so no layer is refused for its content */
};

/* Opens the image at `path` (always as qcow2) and everything below it. */
int qc_chain_open(const char *path, const struct qc_chain_open *how, struct qc_layer **ret,
		  struct qc_err *err);

/*
 * Opens what stands below an image that is open already: *ret is NULL if it names no backing file.
 * `image_path` is where that image is, for relative names.
 */
int qc_chain_open_backing(const struct qc_image *image, const char *image_path,
			  const struct qc_chain_open *how, struct qc_layer **ret,
			  struct qc_err *err);
void qc_layer_close(struct qc_layer *layer); /* and all below; NULL is fine */

/* Guest bytes are in this image and can be read: no encryption, no external data file. */
int qc_image_require_readable(const struct qc_image *image, struct qc_err *err);
