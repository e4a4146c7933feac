// SPDX-License-Identifier: MIT
/*
 * From guest offsets to what is stored. A view is one set of tables over an image: the active disk
 * or a snapshot's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/l2_entry.h"
#include "image/chain.h"
#include "image/image.h"

struct qc_view {
	struct qc_image *image; /* borrowed; NULL: a raw file */
	struct qc_file *raw;	/* borrowed; the raw file then */
	const uint64_t *l1;	/* host byte order; borrowed, or owned_l1 */
	uint64_t *owned_l1;
	uint64_t l1_entries;
	uint64_t disk_bytes;
	const struct qc_layer *backing; /* borrowed; NULL: zeroes */
};

/* The active disk of a layer. Needs no release. */
void qc_view_active(const struct qc_layer *layer, struct qc_view *ret);

/* A snapshot of the layer's image. Release with qc_view_clear(). */
int qc_view_snapshot(const struct qc_layer *layer, const struct qc_snapshot *snapshot,
		     struct qc_view *ret, struct qc_err *err);
void qc_view_clear(struct qc_view *view);

enum qc_extent_kind {
	QC_EXTENT_UNALLOCATED, /* this layer says nothing; the next one below counts */
	QC_EXTENT_ZERO,
	QC_EXTENT_DATA,
	QC_EXTENT_COMPRESSED,
};

struct qc_extent {
	enum qc_extent_kind kind;
	bool has_host;	     /* data; or zeroes or unallocated parts with a cluster behind them */
	struct qc_host host; /* of the first byte; not for compressed ones */
	uint64_t bytes;
};

/*
 * What one layer's tables say at `at` (below disk_bytes), and for how many bytes (1 .. max_bytes)
 * that is so: same kind, host offsets consecutive. Compressed extents end at each cluster. In a raw
 * file everything is data or zero, as its holes say. An entry that makes no sense is QC_E_FORMAT.
 */
int qc_map_layer(const struct qc_view *view, struct qc_guest at, uint64_t max_bytes,
		 struct qc_extent *ret, struct qc_err *err);

/*
 * What a file of the system stores at `at`: bytes or a hole, and for how long (1 .. max_bytes). Data
 * ends at whole sectors, also where the file does not.
 */
int qc_map_file(struct qc_file *file, uint64_t at, uint64_t max_bytes, bool *ret_data,
		uint64_t *ret_bytes, struct qc_err *err);

/* What an entry says from `in_cluster` (a byte offset) on, as far as its cluster goes. */
void qc_map_cluster(const struct qc_geometry *g, const struct qc_l2_entry *entry,
		    uint64_t in_cluster, struct qc_extent *ret);

/* The decoded entry of the cluster that holds `at`; all zero if there is no L2 table. */
int qc_map_entry(const struct qc_view *view, struct qc_guest at, struct qc_l2_entry *ret,
		 struct qc_err *err);
