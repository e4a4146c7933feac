// SPDX-License-Identifier: MIT
/* Putting together what is to be compared. */
#include <stdlib.h>

#include "base/checked.h"
#include "ops/rebase_compare.h"

#define BATCH_BYTES (UINT64_C(32) << 20)
#define BATCH_PIECES 8192u
#define BATCH_UNITS 65536u

static int make_room(void **array, size_t *room, size_t needed, size_t each, struct qc_err *err)
{
	size_t grown_room = (size_t)qc_max(needed, *room * 2);
	void *grown;

	if (needed <= *room)
		return 0;
	grown = reallocarray(*array, grown_room, each);
	if (!grown)
		return qc_fail_memory(err);
	*array = grown;
	*room = grown_room;
	return 0;
}

static int add_units(struct qc_batch *b, uint64_t first, uint64_t last, struct qc_err *err)
{
	size_t needed = b->unit_count + (size_t)(last - first) + 1;
	size_t room = b->unit_room;
	int status;

	if ((status = make_room((void **)&b->units, &b->unit_room, needed, sizeof(uint64_t), err))
		    < 0
	    || (status = make_room((void **)&b->states, &room, needed, 1, err)) < 0)
		return status;
	for (uint64_t unit = first; unit <= last; unit++) {
		b->units[b->unit_count] = unit;
		b->states[b->unit_count++] = 0;
	}
	return 0;
}

int qc_batch_add(struct qc_batch *b, const struct qc_piece *piece, struct qc_err *err)
{
	uint64_t first = piece->guest / b->unit_bytes;
	uint64_t last = (piece->guest + piece->bytes - 1) / b->unit_bytes;
	bool shared = b->unit_count > 0 && b->units[b->unit_count - 1] == first;
	size_t slot = b->unit_count - shared;
	int status;

	if ((!shared || last > first) && (status = add_units(b, first + shared, last, err)) < 0)
		return status;
	b->bytes += piece->bytes;
	if (piece->places[QC_SIDE_NEW].extent.zero) {
		for (size_t i = slot; i < b->unit_count; i++)
			b->states[i] |= QC_UNIT_DIFFERS_IF_DATA;
		return 0;
	}
	status = make_room((void **)&b->pieces, &b->piece_room, b->piece_count + 1, sizeof(*piece),
			   err);
	if (status < 0)
		return status;
	b->pieces[b->piece_count] = *piece;
	b->pieces[b->piece_count++].slot = slot;
	return 0;
}

bool qc_batch_is_full(const struct qc_batch *b, uint64_t guest)
{
	if (b->unit_count == 0
	    || b->units[b->unit_count - 1] * b->unit_bytes / b->cluster_bytes
		       == guest / b->cluster_bytes)
		return false;
	return b->bytes >= BATCH_BYTES || b->piece_count >= BATCH_PIECES
	       || b->unit_count >= BATCH_UNITS;
}

void qc_batch_empty(struct qc_batch *b)
{
	b->piece_count = 0;
	b->unit_count = 0;
	b->bytes = 0;
}

void qc_batch_clear(struct qc_batch *b)
{
	free(b->pieces);
	free(b->units);
	free(b->states);
	*b = (struct qc_batch){0};
}
