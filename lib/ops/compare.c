// SPDX-License-Identifier: MIT
/*
 * Threads take units from the left to the right, under a lock, which is where the tables of both
 * images are looked at: what is zero on both sides, or in one and the same place, is passed over there.
 *
 * 1. All units before one that was taken have been taken, and each is finished up to its own first
 *    difference. So the lowest one is always found, and no unit is taken after it was.
 */
#include "ops/compare.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/crew.h"
#include "base/pages.h"
#include "base/zeroes.h"
#include "format/limits.h"
#include "image/places.h"
#include "io/file_posix.h"

#define UNIT_BYTES (UINT64_C(2) << 20)
#define BUFFER_BYTES ((size_t)128 << 10) /* two of them stay in a core's own cache */

struct comparing {
	const struct qc_compare *compare;
	uint64_t end; /* of the larger disk */
	pthread_mutex_t lock;
	/* All below is under the lock. */
	struct qc_places places[2];
	uint64_t at; /* what comes before has been taken */
	uint64_t done_bytes;
	uint64_t outcome_at; /* UINT64_MAX: neither a difference nor a failure yet */
	bool failed;
	struct qc_compare_report report;
	struct qc_err err;
};

/* A part of the disk that is in one place on either side. */
struct piece {
	uint64_t at, bytes;
	struct qc_place place[2];
};

/* What a thread takes. */
struct unit {
	struct piece *pieces;
	size_t count, room;
	uint64_t bytes; /* in all pieces */
};

struct worker {
	struct comparing *c;
	struct qc_place_reader *reader[2];
	uint8_t *buffer[2];
	struct unit unit;
};

static void note_difference(struct comparing *c, uint64_t at, enum qc_difference difference)
{
	if (at >= c->outcome_at)
		return;
	c->outcome_at = at;
	c->failed = false;
	c->report = (struct qc_compare_report){.difference = difference, .at = at};
}

static int note_failure(struct comparing *c, uint64_t at, unsigned int side, bool reading,
			const struct qc_err *err)
{
	if (at < c->outcome_at) {
		c->outcome_at = at;
		c->failed = true;
		c->report = (struct qc_compare_report){.at = at, .side = side, .reading = reading};
		c->err = *err;
	}
	return -(int)err->code;
}

static void note_done(struct comparing *c, uint64_t bytes)
{
	c->done_bytes += bytes;
	qc_progress_step(c->compare->progress, c->done_bytes, c->end);
}

/* --- under the lock --- */

static bool same_file(const struct qc_file *a, const struct qc_file *b)
{
	struct qc_file_identity x, y;

	return a == b
	       || (qc_file_posix_identity(a, &x) && qc_file_posix_identity(b, &y)
		   && x.device == y.device && x.inode == y.inode);
}

/* Nothing to read: both are zeroes, or the same bytes of the same file. */
static bool cannot_differ(const struct qc_place *a, const struct qc_place *b)
{
	if (a->extent.zero || b->extent.zero)
		return a->extent.zero && b->extent.zero;
	if (!a->packed != !b->packed)
		return false;
	if (a->packed)
		return a->packed_host.byte == b->packed_host.byte
		       && a->packed_bytes == b->packed_bytes && same_file(a->file, b->file);
	return a->extent.host.byte == b->extent.host.byte && same_file(a->file, b->file);
}

static bool same_status(const struct qc_chain_extent *a, const struct qc_chain_extent *b)
{
	return a->present == b->present && a->zero == b->zero && a->data == b->data
	       && a->compressed == b->compressed && a->has_host == b->has_host;
}

/* What is at c->at on both sides; a failure is noted. */
static int look(struct comparing *c, struct piece *ret)
{
	struct qc_err err;
	int status;

	ret->at = c->at;
	ret->bytes = c->end - c->at;
	for (unsigned int side = 0; side < 2; side++) {
		status = qc_places_at(&c->places[side], qc_guest(c->at), &ret->place[side], &err);
		if (status < 0)
			return note_failure(c, c->at, side, false, &err);
		ret->bytes = qc_min(ret->bytes, ret->place[side].extent.bytes);
	}
	return 0;
}

static int add_piece(struct comparing *c, struct unit *unit, const struct piece *piece)
{
	size_t room = (size_t)qc_max(64, unit->room * 2);
	struct piece *grown;
	struct qc_err err;

	if (unit->count == unit->room) {
		grown = reallocarray(unit->pieces, room, sizeof(*grown));
		if (!grown)
			return note_failure(c, piece->at, 0, true, (qc_fail_memory(&err), &err));
		unit->pieces = grown;
		unit->room = room;
	}
	unit->pieces[unit->count++] = *piece;
	unit->bytes += piece->bytes;
	return 0;
}

/* Goes one piece to the right; false if the unit ends here. */
static bool advance(struct comparing *c, struct unit *unit)
{
	uint64_t border = qc_align_down(c->at, UNIT_BYTES) + UNIT_BYTES;
	struct piece piece;
	struct qc_err err;

	if (c->compare->stop && *c->compare->stop)
		note_failure(c, c->at, 0, true,
			     (qc_fail(&err, QC_E_INTERRUPTED, "interrupted"), &err));
	if (c->at == c->end || c->outcome_at <= c->at || look(c, &piece) < 0)
		return false;
	if (c->compare->strict && !same_status(&piece.place[0].extent, &piece.place[1].extent)) {
		note_difference(c, c->at, QC_DIFFERENCE_STATUS);
		return false;
	}
	if (cannot_differ(&piece.place[0], &piece.place[1])) {
		c->at += piece.bytes;
		note_done(c, piece.bytes);
		return c->at < border || unit->count == 0;
	}
	piece.bytes = qc_min(piece.bytes, border - c->at);
	if (add_piece(c, unit, &piece) < 0)
		return false;
	c->at += piece.bytes;
	return c->at < border;
}

/* True if there is a unit to work on. `done_bytes` belong to the unit before. */
static bool next_unit(struct comparing *c, struct unit *unit)
{
	pthread_mutex_lock(&c->lock);
	note_done(c, unit->bytes);
	unit->count = 0;
	unit->bytes = 0;
	while (advance(c, unit))
		;
	pthread_mutex_unlock(&c->lock);
	return unit->count > 0;
}

/* --- without the lock --- */

/* The first sector in which the buffers, which are not the same, differ. */
static size_t find_difference(uint8_t *const buffer[2], size_t length)
{
	size_t at = 0;

	while (at + QC_SECTOR_BYTES < length
	       && memcmp(buffer[0] + at, buffer[1] + at, QC_SECTOR_BYTES) == 0)
		at += QC_SECTOR_BYTES;
	return at;
}

static int read_side(struct worker *w, const struct piece *piece, unsigned int side, uint64_t at,
		     size_t length)
{
	struct qc_err err;
	int status;

	status = qc_place_read(w->reader[side], &piece->place[side], qc_guest(at), w->buffer[side],
			       length, &err);
	if (status < 0) {
		pthread_mutex_lock(&w->c->lock);
		note_failure(w->c, at, side, true, &err);
		pthread_mutex_unlock(&w->c->lock);
	}
	return status;
}

/* Zeroes need not be written to be compared with. */
static bool buffers_differ(const struct worker *w, const struct piece *piece, size_t length)
{
	for (unsigned int side = 0; side < 2; side++)
		if (piece->place[side].extent.zero)
			return !qc_is_zero(w->buffer[!side], length);
	return memcmp(w->buffer[0], w->buffer[1], length) != 0;
}

static bool read_both(struct worker *w, const struct piece *piece, uint64_t at, size_t length)
{
	for (unsigned int side = 0; side < 2; side++)
		if (!piece->place[side].extent.zero && read_side(w, piece, side, at, length) < 0)
			return false;
	return true;
}

static void note_content(struct worker *w, const struct piece *piece, uint64_t at, size_t length)
{
	for (unsigned int side = 0; side < 2; side++)
		if (piece->place[side].extent.zero)
			memset(w->buffer[side], 0, length);
	at += find_difference(w->buffer, length);
	pthread_mutex_lock(&w->c->lock);
	note_difference(w->c, at, QC_DIFFERENCE_CONTENT);
	pthread_mutex_unlock(&w->c->lock);
}

/* False at a difference or a failure. */
static bool compare_piece(struct worker *w, const struct piece *piece)
{
	size_t length;

	for (uint64_t done = 0; done < piece->bytes; done += length) {
		length = (size_t)qc_min(piece->bytes - done, BUFFER_BYTES);
		if (!read_both(w, piece, piece->at + done, length))
			return false;
		if (buffers_differ(w, piece, length)) {
			note_content(w, piece, piece->at + done, length);
			return false;
		}
	}
	return true;
}

static void compare_unit(struct worker *w)
{
	for (size_t i = 0; i < w->unit.count; i++)
		if (!compare_piece(w, &w->unit.pieces[i]))
			return;
}

static int prepare(struct worker *w, struct qc_err *err)
{
	int status = 0;

	for (unsigned int side = 0; status == 0 && side < 2; side++) {
		w->buffer[side] = qc_pages_alloc(BUFFER_BYTES);
		status = w->buffer[side] ? qc_place_reader_open(&w->reader[side], err)
					 : qc_fail_memory(err);
	}
	return status;
}

static void work(void *context)
{
	struct worker w = {.c = context};
	struct qc_err err;

	if (prepare(&w, &err) == 0) {
		while (next_unit(w.c, &w.unit))
			compare_unit(&w);
	} else {
		pthread_mutex_lock(&w.c->lock);
		note_failure(w.c, 0, 0, true, &err);
		pthread_mutex_unlock(&w.c->lock);
	}
	for (unsigned int side = 0; side < 2; side++) {
		qc_place_reader_close(w.reader[side]);
		free(w.buffer[side]);
	}
	free(w.unit.pieces);
}

int qc_compare_views(const struct qc_compare *compare, struct qc_compare_report *ret,
		     struct qc_err *err)
{
	uint64_t sizes[2] = {compare->view[0]->disk_bytes, compare->view[1]->disk_bytes};
	struct comparing c = {
		.compare = compare,
		.end = qc_max(sizes[0], sizes[1]),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.places = {{.view = compare->view[0]}, {.view = compare->view[1]}},
		.outcome_at = UINT64_MAX,
	};

	if (compare->strict && sizes[0] != sizes[1])
		note_difference(&c, 0, QC_DIFFERENCE_SIZE);
	else
		qc_crew_run(qc_crew_size(compare->threads), work, &c);
	pthread_mutex_destroy(&c.lock);
	*ret = c.report;
	if (c.failed)
		*err = c.err;
	return c.failed ? -(int)c.err.code : 0;
}
