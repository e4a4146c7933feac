// SPDX-License-Identifier: MIT
/*
 * Parts of two chains, side by side: which units (clusters or subclusters of the image above) differ.
 * A batch of pieces is compared at a time, by as many threads as pay: their results go to bytes of
 * their own, so that what comes out does not depend on their number. Files are mapped where that can
 * be done, which spares copying them. Memory is what a batch holds and two buffers a thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/chain.h"

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
	struct qc_file *file[QC_SIDES]; /* NULL: zeroes */
	uint64_t at[QC_SIDES];		/* in the file */
	bool by_chain;			/* compressed: only the chain can read it */
	size_t slot;			/* of the unit that it starts in */
};

struct qc_batch {
	uint64_t unit_bytes;
	uint64_t disk_bytes;
	const struct qc_layer *chain[QC_SIDES]; /* NULL: zeroes */
	struct qc_piece *pieces;
	size_t piece_count, piece_room;
	uint64_t *units; /* numbers, ascending; the slots */
	uint8_t *states; /* enum qc_unit_state of each */
	size_t unit_count, unit_room;
	uint64_t bytes; /* in pieces that are to be compared */
};

/* Adds a piece behind all others; one whose file is NULL on the new side is not compared. */
int qc_batch_add(struct qc_batch *batch, const struct qc_piece *piece, struct qc_err *err);

/* Whether it is time to compare; never in the middle of a unit, of which `guest` is the next byte. */
bool qc_batch_is_full(const struct qc_batch *batch, uint64_t guest);

/* Settles the states of all units. */
int qc_batch_compare(struct qc_batch *batch, struct qc_err *err);

void qc_batch_empty(struct qc_batch *batch); /* keeps the memory for the next one */
void qc_batch_clear(struct qc_batch *batch); /* harmless on a zeroed struct */

/* Whether there are only zeroes. */
bool qc_is_zero(const uint8_t *bytes, size_t length);
