// SPDX-License-Identifier: MIT
/*
 * Threads take units of a few blocks from the left to the right, under a lock, which is where the
 * image's tables are looked at; they read and digest them without it. Digests of blocks gather in
 * slots, each a stretch of the disk that one node of the tree covers, and slots go to the tree in order.
 *
 * 1. All units before one that was taken have been taken. So the lowest failure is always found.
 * 2. The slots are a window: a unit beyond it waits until the oldest slot is complete, which only
 *    takes threads that hold no lock. Memory does not depend on the disk.
 */
#include "ops/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/crew.h"
#include "base/pages.h"
#include "image/places.h"

#define BLOCK ((uint64_t)QC_HASH_BLOCK_BYTES)
#define UNIT_BYTES                                                                                 \
	(UINT64_C(2) << 20) /* the largest cluster: none is decompressed by two threads */
#define SLOTS 64u

/* A stretch of the disk, or any number of them that are all zeroes. */
struct slot {
	uint64_t zero_stretches;
	size_t blocks;	/* that it has */
	size_t missing; /* that have no digest yet */
	struct qc_digest digests[QC_HASH_NODE_DIGESTS];
};

struct hashing {
	const struct qc_hash *hash;
	uint64_t disk_bytes;
	pthread_mutex_t lock;
	pthread_cond_t slot_freed;
	/* All below is under the lock. */
	struct qc_hash_tree *tree;
	struct qc_places places;
	uint64_t at;	   /* what comes before has been taken */
	uint64_t zero_end; /* from `at` to here it is known to be zeroes */
	uint64_t done_bytes;
	struct slot *slots;    /* a ring of SLOTS */
	uint64_t oldest, next; /* numbers of slots */
	uint64_t failed_at;    /* UINT64_MAX: nothing has failed */
	struct qc_err err;
};

/* What a thread takes: some blocks of one slot, and where their bytes are. */
struct unit {
	uint64_t at, end;
	struct slot *slot;
	size_t first_block; /* of the slot's */
	struct qc_place_list list;
};

struct worker {
	struct hashing *h;
	struct qc_place_reader *reader;
	uint8_t *buffer; /* a block */
	struct unit unit;
};

static struct slot *slot_of(struct hashing *h, uint64_t number)
{
	return &h->slots[number % SLOTS];
}

static void note_done(struct hashing *h, uint64_t bytes)
{
	h->done_bytes += bytes;
	qc_progress_step(h->hash->progress, h->done_bytes, h->disk_bytes);
}

static void note_failure(struct hashing *h, uint64_t at, const struct qc_err *err)
{
	if (at >= h->failed_at)
		return;
	h->failed_at = at;
	h->err = *err;
}

/* Hands complete slots on to the tree. */
static void drain(struct hashing *h)
{
	for (; h->oldest < h->next && slot_of(h, h->oldest)->missing == 0; h->oldest++) {
		struct slot *slot = slot_of(h, h->oldest);

		if (slot->zero_stretches > 0)
			qc_hash_tree_add_zeroes(h->tree,
						slot->zero_stretches * QC_HASH_NODE_DIGESTS);
		else
			qc_hash_tree_add(h->tree, slot->digests, slot->blocks);
		pthread_cond_broadcast(&h->slot_freed);
	}
}

/* There must be room for one more. */
static void open_slot(struct hashing *h, uint64_t zero_stretches)
{
	struct slot *slot = slot_of(h, h->next);
	uint64_t bytes = qc_min(h->disk_bytes - h->at, QC_HASH_STRETCH_BYTES);

	slot->zero_stretches = zero_stretches;
	slot->blocks = zero_stretches > 0 ? 0 : (size_t)qc_div_up(bytes, BLOCK);
	slot->missing = slot->blocks;
	h->next++;
}

static int check_stop(const struct hashing *h, struct qc_err *err)
{
	if (h->hash->stop && *h->hash->stop)
		return qc_fail(err, QC_E_INTERRUPTED, "interrupted");
	return 0;
}

/* Looks for how long there are zeroes, in however many places. */
static int find_zeroes(struct hashing *h, struct qc_err *err)
{
	struct qc_place place;
	int status;

	h->zero_end = h->at;
	while (h->zero_end < h->disk_bytes) {
		status = check_stop(h, err);
		if (status == 0)
			status = qc_places_at(&h->places, qc_guest(h->zero_end), &place, err);
		if (status < 0)
			return status;
		if (!place.extent.zero)
			break;
		h->zero_end += qc_min(place.extent.bytes, h->disk_bytes - h->zero_end);
	}
	return 0;
}

/* Whole stretches of zeroes, at the start of one. */
static void skip_stretches(struct hashing *h, uint64_t zero_bytes)
{
	uint64_t stretches = zero_bytes / QC_HASH_STRETCH_BYTES;

	open_slot(h, stretches);
	h->at += stretches * QC_HASH_STRETCH_BYTES;
	note_done(h, stretches * QC_HASH_STRETCH_BYTES);
}

/* Whole blocks of zeroes, in the slot that was opened last. */
static void skip_blocks(struct hashing *h, uint64_t zero_bytes)
{
	struct slot *slot = slot_of(h, h->next - 1);
	size_t first = (size_t)(h->at % QC_HASH_STRETCH_BYTES / BLOCK);
	size_t count = (size_t)qc_min(zero_bytes / BLOCK, QC_HASH_NODE_DIGESTS - first);

	for (size_t i = 0; i < count; i++)
		slot->digests[first + i] = *qc_hash_tree_zero_block(h->tree);
	slot->missing -= count;
	h->at += count * BLOCK;
	note_done(h, count * BLOCK);
}

static int take_unit(struct hashing *h, struct unit *unit, struct qc_err *err)
{
	int status;

	unit->at = h->at;
	unit->end = qc_min(qc_align_down(h->at, UNIT_BYTES) + UNIT_BYTES, h->disk_bytes);
	unit->slot = slot_of(h, h->next - 1);
	unit->first_block = (size_t)(h->at % QC_HASH_STRETCH_BYTES / BLOCK);
	status = qc_place_list_fill(&unit->list, &h->places, unit->at, unit->end, err);
	if (status == 0)
		h->at = unit->end;
	return status;
}

enum step {
	STEP_END,
	STEP_AGAIN,
	STEP_WAIT, /* until a slot is free */
	STEP_UNIT, /* was taken */
};

/* One step to the right. */
static int advance(struct hashing *h, struct unit *unit, enum step *ret, struct qc_err *err)
{
	bool at_stretch = h->at % QC_HASH_STRETCH_BYTES == 0;
	uint64_t zeroes;
	int status;

	*ret = h->at == h->disk_bytes ? STEP_END : STEP_WAIT;
	if (*ret == STEP_END || (at_stretch && h->next - h->oldest == SLOTS))
		return 0;
	*ret = STEP_AGAIN;
	status = check_stop(h, err);
	if (status == 0 && h->zero_end <= h->at)
		status = find_zeroes(h, err);
	if (status < 0)
		return status;
	zeroes = h->zero_end - h->at;
	if (at_stretch && zeroes >= QC_HASH_STRETCH_BYTES) {
		skip_stretches(h, zeroes);
		return 0;
	}
	if (at_stretch)
		open_slot(h, 0);
	if (zeroes >= BLOCK) {
		skip_blocks(h, zeroes);
		return 0;
	}
	*ret = STEP_UNIT;
	return take_unit(h, unit, err);
}

/* True if there is a unit to work on. */
static bool next_unit(struct hashing *h, struct unit *unit)
{
	enum step step = STEP_AGAIN;
	struct qc_err err;

	pthread_mutex_lock(&h->lock);
	while (step != STEP_END && step != STEP_UNIT && h->failed_at == UINT64_MAX) {
		if (step == STEP_WAIT)
			pthread_cond_wait(&h->slot_freed, &h->lock);
		if (h->failed_at == UINT64_MAX && advance(h, unit, &step, &err) < 0) {
			note_failure(h, qc_max(h->at, h->zero_end), &err);
			step = STEP_END;
		}
		drain(h);
	}
	pthread_mutex_unlock(&h->lock);
	return step == STEP_UNIT;
}

/* --- without the lock --- */

static int digest_unit(struct worker *w, struct qc_err *err)
{
	struct qc_digest *digest = &w->unit.slot->digests[w->unit.first_block];
	int status;

	for (uint64_t at = w->unit.at; at < w->unit.end; at += BLOCK) {
		size_t length = (size_t)qc_min(BLOCK, w->unit.end - at);

		status = qc_place_list_read(w->reader, &w->unit.list, qc_guest(at), w->buffer,
					    length, err);
		if (status < 0)
			return status;
		*digest++ = qc_digest_of(w->buffer, length);
	}
	return 0;
}

static void finish_unit(struct worker *w, int status, const struct qc_err *err)
{
	struct hashing *h = w->h;

	pthread_mutex_lock(&h->lock);
	if (status < 0) {
		note_failure(h, w->unit.at, err);
		pthread_cond_broadcast(&h->slot_freed);
	} else {
		w->unit.slot->missing -= (size_t)qc_div_up(w->unit.end - w->unit.at, BLOCK);
		note_done(h, w->unit.end - w->unit.at);
		drain(h);
	}
	pthread_mutex_unlock(&h->lock);
}

static void work(void *context)
{
	struct worker w = {.h = context, .buffer = qc_pages_alloc(BLOCK)};
	struct qc_err err;
	int status;

	status = w.buffer ? qc_place_reader_open(&w.reader, &err) : qc_fail_memory(&err);
	if (status < 0) {
		pthread_mutex_lock(&w.h->lock);
		note_failure(w.h, 0, &err);
		pthread_mutex_unlock(&w.h->lock);
	}
	while (status == 0 && next_unit(w.h, &w.unit)) {
		status = digest_unit(&w, &err);
		finish_unit(&w, status, &err);
	}
	qc_place_reader_close(w.reader);
	qc_place_list_clear(&w.unit.list);
	free(w.buffer);
}

static void init(struct hashing *h, const struct qc_hash *hash)
{
	*h = (struct hashing){
		.hash = hash,
		.disk_bytes = hash->view->disk_bytes,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.slot_freed = PTHREAD_COND_INITIALIZER,
		.places.view = hash->view,
		.failed_at = UINT64_MAX,
	};
}

int qc_hash_view(const struct qc_hash *hash, struct qc_digest *ret, struct qc_err *err)
{
	struct hashing h;
	int status;

	init(&h, hash);
	status = qc_hash_tree_open(&h.tree, err);
	if (status < 0)
		return status;
	h.slots = calloc(SLOTS, sizeof(*h.slots));
	if (h.slots)
		qc_crew_run(qc_crew_size(hash->threads), work, &h);
	else
		note_failure(&h, 0, (qc_fail_memory(err), err));
	if (h.failed_at == UINT64_MAX) {
		*ret = qc_hash_tree_finish(h.tree, h.disk_bytes);
	} else {
		*err = h.err;
		status = -(int)err->code;
	}
	free(h.slots);
	qc_hash_tree_close(h.tree);
	return status;
}
