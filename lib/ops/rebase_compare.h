// SPDX-License-Identifier: MIT
/*
 * Parts of two chains, side by side: which units (clusters or subclusters of the image above) differ.
 * A crew of threads compares a batch of pieces while the caller puts the next one together, or works
 * on the last one. Results go to bytes of their own, so that what comes out does not depend on the
 * number of threads.
 *
 * Files are read into buffers that stay in a core's cache. That costs no more than mapping them does,
 * and a file that somebody cuts short meanwhile is an error, not a signal.
 *
 * Memory: 2 MiB a batch, and a thread's buffers: 256 KiB, and where clusters are compressed up to six
 * times the size of a cluster.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/places.h"

struct qc_comparer;

enum qc_side {
	QC_SIDE_OLD,
	QC_SIDE_NEW,
	QC_SIDES,
};

/* Bits of a unit's state; none: both chains show the same. */
enum qc_unit_state {
	QC_UNIT_DIFFERS = 1,
	QC_UNIT_DIFFERS_IF_DATA =
		2, /* the new chain shows zeroes: it does unless the old one does */
};

/* A part of the disk that is in one place on either side. */
struct qc_piece {
	uint64_t guest, bytes;
	struct qc_place places[QC_SIDES]; /* each begins at `guest` */
	size_t slot;			  /* of the unit that it starts in */
};

struct qc_batch {
	uint64_t unit_bytes;
	uint64_t cluster_bytes;
	struct qc_piece *pieces;
	size_t piece_count, piece_room;
	uint64_t *units; /* numbers, ascending; the slots */
	uint8_t *states; /* enum qc_unit_state of each */
	size_t unit_count, unit_room;
	uint64_t bytes; /* in pieces that are to be compared */

	/* The crew's. */
	size_t next;	/* piece to be taken */
	size_t working; /* threads */
};

/* Adds a piece behind all others; one that is zeroes on the new side is not compared. */
int qc_batch_add(struct qc_batch *batch, const struct qc_piece *piece, struct qc_err *err);

/* Whether it is time to compare; never in the middle of a cluster, of which `guest` is the next byte. */
bool qc_batch_is_full(const struct qc_batch *batch, uint64_t guest);

void qc_batch_empty(struct qc_batch *batch); /* keeps the memory for the next one */
void qc_batch_clear(struct qc_batch *batch); /* harmless on a zeroed struct */

/* As many threads as there are cores, the caller's included. */
int qc_comparer_open(struct qc_comparer **ret, struct qc_err *err);
void qc_comparer_close(struct qc_comparer *comparer); /* NULL is fine; the batch may be under way */

/* Hands a batch over, of which there is one at a time ... */
void qc_comparer_start(struct qc_comparer *comparer, struct qc_batch *batch);

/* ... and helps until it is done; then the states of its units are settled. */
int qc_comparer_finish(struct qc_comparer *comparer, struct qc_err *err);
