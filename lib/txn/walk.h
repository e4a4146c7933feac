// SPDX-License-Identifier: MIT
/*
 * Every cluster that the committed tables of an image reach: L1 and L2 tables, data, compressed
 * data, refcount structures, snapshots, bitmaps, the encryption header, the header itself.
 *
 * Each stretch of an L1 table is read once, and each L2 table at most twice for every 2^20 L1 entries,
 * in file order, however many of them lead to it: time is bounded by the size of the file, not by
 * what its entries claim. What is reached in more than one way comes up at least twice.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

/* Called for each run of clusters found; the same cluster may come up again. */
struct qc_walk_sink {
	int (*take)(void *context, uint64_t first_cluster, uint64_t count, struct qc_err *err);
	void *context;
	bool tolerant; /* entries that make no sense count as far as their offset says: there is a reader
			  for most of them */
};

/* Fails with QC_E_FORMAT at the first entry that makes no sense, unless the sink is tolerant. */
int qc_walk_references(struct qc_image *image, const struct qc_walk_sink *sink, struct qc_err *err);

/*
 * Likewise for what the entries of one L2 table refer to: each run as often as entries do. `where`
 * is for the error's text.
 */
int qc_walk_l2_table(const struct qc_geometry *g, const uint8_t *table, struct qc_host where,
		     const struct qc_walk_sink *sink, struct qc_err *err);
