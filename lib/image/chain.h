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
 * and qcow2, files that the policy does not allow, encrypted images. A data file counts as a
 * reference too.
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
	struct qc_file *data;	  /* owned; the image's external data file, NULL if it has none */
	struct qc_image *image;	  /* owned; NULL: a raw file */
	uint64_t disk_bytes;	  /* what the layer shows; beyond it the ones below do not count */
	struct qc_layer *backing; /* owned; NULL: zeroes */
};

struct qc_chain_open {
	struct qc_file_open file; /* for the top layer; those below are always opened for reading,
				      with QC_LOCK_FORCE if the top one is, else QC_LOCK_READ */
	enum qc_chain_policy policy;
	/* Of the top layer: "qcow2" (as NULL), "raw", or "" for whichever it begins as. */
	const char *format;
	/* The file behind the top image, where that reads a view of it; NULL: the image's own. */
	const struct qc_file *top_file;
	bool encrypted; /* layers whose guest bytes are encrypted are fine: only tables are looked at */
	bool metadata_only; /* guest bytes are not wanted, so no layer is refused for its content */
};

/*
 * Opens the image at `path` and everything below it. Whoever names a file that begins as an image means
 * that image, so what was found by looking is followed like any other here.
 */
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

/* The file in which the layer's guest clusters lie, and its name as messages have it. */
struct qc_file *qc_layer_data(const struct qc_layer *layer);
const char *qc_layer_data_name(const struct qc_layer *layer);

/*
 * Guest bytes can be read: their file is open, they are not encrypted, and no interrupted transaction left some of them
 * to be written to the data file (such an image is marked corrupt until they are).
 */
int qc_image_require_readable(const struct qc_image *image, struct qc_err *err);
