// SPDX-License-Identifier: MIT
#include "ops/rebase_compare.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "image/read.h"

#define BATCH_BYTES (UINT64_C(128) << 20)
#define BATCH_PIECES 8192u
#define BATCH_UNITS 65536u
#define BUFFER_BYTES ((size_t)256 << 10) /* two of them stay in a core's own cache */
#define MAP_BYTES_MIN (128u << 10)	 /* below, copying costs less than mapping */
#define THREADS_MAX 8
#define BYTES_PER_THREAD_MIN (UINT64_C(4) << 20)

bool qc_is_zero(const uint8_t *bytes, size_t length)
{
	static const uint8_t zeroes[256];

	if (length <= sizeof(zeroes))
		return memcmp(bytes, zeroes, length) == 0;
	/* What starts with zeroes and equals itself shifted by their number is all zeroes. */
	return memcmp(bytes, zeroes, sizeof(zeroes)) == 0
	       && memcmp(bytes, bytes + sizeof(zeroes), length - sizeof(zeroes)) == 0;
}

/* --- batches --- */

static int make_room(void **array, size_t *room, size_t needed, size_t each, struct qc_err *err)
{
	size_t grown_room = qc_max(needed, *room * 2);
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
	if (!piece->file[QC_SIDE_NEW] && !piece->by_chain) {
		for (size_t i = slot; i < b->unit_count; i++)
			b->states[i] |= QC_UNIT_DIFFERS_IF_DATA;
		b->bytes += piece->bytes;
		return 0;
	}
	status = make_room((void **)&b->pieces, &b->piece_room, b->piece_count + 1, sizeof(*piece),
			   err);
	if (status < 0)
		return status;
	b->pieces[b->piece_count] = *piece;
	b->pieces[b->piece_count++].slot = slot;
	b->bytes += piece->bytes;
	return 0;
}

bool qc_batch_is_full(const struct qc_batch *b, uint64_t guest)
{
	if (b->unit_count == 0 || b->units[b->unit_count - 1] == guest / b->unit_bytes)
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

/* --- comparing --- */

/* What the threads share. */
struct crew {
	struct qc_batch *batch;
	atomic_size_t next; /* piece to be taken */
	atomic_bool failed;
	pthread_mutex_t lock;
	struct qc_err err; /* of the first that failed */
};

/* One side of a piece, on its way to be compared. */
struct shown {
	struct qc_file_map map;
	uint8_t *buffer;
};

/* The bytes from `from` on of one side; borrowed until the next call. */
static int show(const struct qc_batch *b, const struct qc_piece *p, enum qc_side side,
		uint64_t from, size_t length, struct shown *shown, const uint8_t **ret,
		struct qc_err *err)
{
	int status = 0;

	if (shown->map.base) {
		*ret = shown->map.bytes + from;
		return 0;
	}
	if (p->by_chain)
		status = qc_read_layer(b->chain[side], qc_guest(p->guest + from), shown->buffer,
				       length, err);
	else if (p->file[side])
		status =
			qc_file_read(p->file[side], p->at[side] + from, shown->buffer, length, err);
	else
		memset(shown->buffer, 0, length);
	*ret = shown->buffer;
	return status;
}

/* Marks the units that differ between the two buffers, which start at `guest`. */
static void mark(struct qc_batch *b, const struct qc_piece *p, uint64_t guest, const uint8_t *old,
		 const uint8_t *new, size_t length)
{
	uint64_t first = p->guest / b->unit_bytes;

	for (size_t done = 0, now; done < length; done += now) {
		uint64_t unit = (guest + done) / b->unit_bytes;

		now = (size_t)qc_min(length - done, (unit + 1) * b->unit_bytes - guest - done);
		if (memcmp(old + done, new + done, now) != 0)
			/* A unit can have pieces that two threads compare. */
			__atomic_fetch_or(&b->states[p->slot + (size_t)(unit - first)],
					  QC_UNIT_DIFFERS, __ATOMIC_RELAXED);
	}
}

static int compare_shown(struct qc_batch *b, const struct qc_piece *p, struct shown *shown,
			 struct qc_err *err)
{
	const uint8_t *old, *new;
	int status = 0;

	for (uint64_t done = 0; done < p->bytes; done += BUFFER_BYTES) {
		size_t now = (size_t)qc_min(BUFFER_BYTES, p->bytes - done);

		if ((status = show(b, p, QC_SIDE_OLD, done, now, &shown[QC_SIDE_OLD], &old, err))
			    < 0
		    || (status = show(b, p, QC_SIDE_NEW, done, now, &shown[QC_SIDE_NEW], &new, err))
			       < 0)
			return status;
		if (memcmp(old, new, now) != 0)
			mark(b, p, p->guest + done, old, new, now);
	}
	return 0;
}

static int compare_piece(struct qc_batch *b, const struct qc_piece *p, uint8_t *buffers,
			 struct qc_err *err)
{
	struct shown shown[QC_SIDES] = {{.buffer = buffers}, {.buffer = buffers + BUFFER_BYTES}};
	int status;

	for (int i = 0; i < QC_SIDES; i++)
		if (!p->by_chain && p->file[i] && p->bytes >= MAP_BYTES_MIN)
			(void)qc_file_posix_map(p->file[i], p->at[i], (size_t)p->bytes,
						&shown[i].map);
	status = compare_shown(b, p, shown, err);
	for (int i = 0; i < QC_SIDES; i++)
		qc_file_posix_unmap(&shown[i].map);
	return status;
}

/* Chains hold caches, so only one thread may read through them: `by_chain` says which pieces to take. */
static void work(struct crew *crew, bool by_chain)
{
	struct qc_batch *b = crew->batch;
	uint8_t *buffers = malloc(2 * BUFFER_BYTES);
	struct qc_err err;
	int status = buffers ? 0 : qc_fail_memory(&err);
	size_t i = 0;

	while (status == 0 && !crew->failed) {
		size_t at = by_chain ? i++ : atomic_fetch_add(&crew->next, 1);

		if (at >= b->piece_count)
			break;
		if (b->pieces[at].by_chain == by_chain)
			status = compare_piece(b, &b->pieces[at], buffers, &err);
	}
	free(buffers);
	if (status == 0)
		return;
	pthread_mutex_lock(&crew->lock);
	if (!crew->failed)
		crew->err = err;
	crew->failed = true;
	pthread_mutex_unlock(&crew->lock);
}

static void *help(void *context)
{
	work(context, false);
	return NULL;
}

static size_t helpers_for(const struct qc_batch *b)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t most = qc_min(cores > 0 ? (uint64_t)cores : 1, THREADS_MAX);

	return (size_t)qc_max(qc_min(most, b->bytes / BYTES_PER_THREAD_MIN), 1) - 1;
}

int qc_batch_compare(struct qc_batch *b, struct qc_err *err)
{
	struct crew crew = {.batch = b, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t helpers[THREADS_MAX];
	size_t wanted = helpers_for(b), started = 0;

	if (b->piece_count == 0)
		return 0;
	/* Without helpers it only takes longer. */
	while (started < wanted && pthread_create(&helpers[started], NULL, help, &crew) == 0)
		started++;
	work(&crew, true);
	work(&crew, false);
	for (size_t i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
	if (crew.failed)
		*err = crew.err;
	return crew.failed ? -(int)err->code : 0;
}
