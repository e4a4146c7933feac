// SPDX-License-Identifier: MIT
/*
 * One qcow2 image, opened for looking at: header, extensions, active L1 table, snapshot table and
 * bitmap directory, decoded and checked. Nothing here follows a reference to another file (chain.h
 * does) and nothing here writes.
 *
 * Calling sequence
 *	struct qc_image *image;
 *	if (qc_image_open(file, NULL, &image, &err) < 0)
 *		...
 *	qc_image_close(image);
 *
 * Opened strictly (no sink), an image with any finding of severity corruption is refused, as is one
 * with incompatible features that are not known. Opened leniently (with a sink), findings go there
 * and what could not be read is empty; only what cannot be interpreted at all fails.
 *
 * Memory is bounded by format/limits.h: at most 32 MiB for the L1 table, 64 MiB for a snapshot table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "codec/codec.h"
#include "format/bitmap_directory.h"
#include "format/finding.h"
#include "format/geometry.h"
#include "format/header.h"
#include "format/header_extensions.h"
#include "format/snapshot_table.h"
#include "io/file.h"

struct qc_table_cache;

enum qc_thin {
	QC_THIN_UNKNOWN,
	QC_THIN_NO,
	QC_THIN_YES,
};

struct qc_image {
	struct qc_file *file; /* borrowed */
	struct qc_file *data; /* where guest clusters lie: `file`, or an external data file, which
				 whoever opened it sets; borrowed. NULL: that is not open */
	struct qc_header header;
	struct qc_geometry geometry;
	struct qc_extensions extensions;
	uint8_t sector0[QC_SECTOR_BYTES]; /* as loaded; the commit compares it before it writes */
	char *backing_name;		  /* NULL: none. As stored, with a zero at the end */
	char *data_file_name;		  /* NULL: not recorded */
	uint64_t *l1; /* header.l1_entries words in host byte order; NULL if out of place */
	struct qc_snapshots snapshots;
	struct qc_bitmaps bitmaps;
	struct qc_table_cache *tables;	  /* L2 tables read lately */
	struct qc_codec *codec;		  /* NULL until a compressed cluster is read */
	uint8_t *decompressed;		  /* the cluster decompressed last, or NULL */
	struct qc_host decompressed_host; /* where its data is, */
	uint64_t decompressed_bytes;	  /* and how long; 0: nothing is decompressed */
	enum qc_thin thin;		  /* the answer of image/thin.h */
};

/* Opens the image in `file`, which is borrowed and must outlive it. `findings` NULL: strictly. */
int qc_image_open(struct qc_file *file, const struct qc_finding_sink *findings,
		  struct qc_image **ret, struct qc_err *err);
void qc_image_close(struct qc_image *image); /* NULL is fine */

/* Forgets tables and clusters that were read: for callers below whose feet the file changes. */
void qc_image_forget(struct qc_image *image);

/*
 * Reads an L1 table of `entries` words (at most QC_L1_BYTES_MAX) into host byte order. *ret is the
 * caller's to free.
 */
int qc_image_load_l1(struct qc_image *image, struct qc_host table, uint64_t entries, uint64_t **ret,
		     struct qc_err *err);

/* The snapshot with that id or, if none has it, that name; NULL if there is neither. */
const struct qc_snapshot *qc_image_find_snapshot(const struct qc_image *image,
						 const char *id_or_name);
