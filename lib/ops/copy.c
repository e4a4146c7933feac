// SPDX-License-Identifier: MIT
/*
 * Threads take units from the left to the right, under a lock, which is where the image's tables are
 * looked at; they read them, and pass them on, without it.
 *
 * 1. All units before one that was taken have been taken, and each is finished up to its own first
 *    failure. So the lowest one is always found.
 * 2. In order, a thread that has read its unit waits for its turn, which comes: units before its own
 *    are with threads that wait for earlier turns only.
 */
#include "ops/copy.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/crew.h"
#include "base/pages.h"
#include "base/zeroes.h"
#include "image/places.h"
#include "io/write_behind.h"

#define UNIT_BYTES (UINT64_C(2) << 20) /* the largest cluster: mostly one thread inflates it */
#define MEMORY_UNIT_BYTES (UINT64_C(512) << 10) /* there is less of it, and no buffer in between */
#define CHUNK_BYTES                                                                                \
	((size_t)256 << 10)	  /* stays in a core's own cache between reading and writing */
#define HOLE_BYTES ((size_t)4096) /* the smallest stretch of zeroes that becomes a hole */

struct copying {
	const struct qc_copy *copy;
	struct qc_file *file; /* NULL: in order, to `take` */
	qc_copy_next *next;   /* NULL: all from `at` to `end` */
	qc_copy_take *take;
	void *context;
	uint64_t end;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	/* All below is under the lock. */
	struct qc_places places;
	uint64_t at;	      /* what comes before has been taken */
	uint64_t taken, turn; /* units that have been taken, and handed over */
	uint64_t done_bytes;
	uint64_t failed_at; /* UINT64_MAX: nothing has failed */
	struct qc_err err;
	/* Under a lock of its own, for these calls may take long. */
	pthread_mutex_t behind_lock;
	struct qc_write_behind behind;
};

struct worker {
	struct copying *c;
	struct qc_place_reader *reader;
	uint8_t *buffer;     /* a unit */
	uint64_t at, length; /* of the unit that was taken, */
	uint64_t number;     /* and how many were before */
	struct qc_place_list list;
};

/* --- under the lock --- */

static void note_done(struct copying *c, uint64_t bytes)
{
	c->done_bytes += bytes;
	qc_progress_step(c->copy->progress, c->done_bytes, c->copy->length);
}

static void note_failure(struct copying *c, uint64_t at, const struct qc_err *err)
{
	if (at >= c->failed_at)
		return;
	c->failed_at = at;
	c->err = *err;
}

/* Passes over zeroes, which the file has. */
static int skip_zeroes(struct copying *c, struct qc_err *err)
{
	struct qc_place place;
	int status;

	while (c->at < c->end) {
		status = qc_places_at(&c->places, qc_guest(c->at), &place, err);
		if (status < 0)
			return status;
		if (!place.extent.zero)
			break;
		place.extent.bytes = qc_min(place.extent.bytes, c->end - c->at);
		c->at += place.extent.bytes;
		note_done(c, place.extent.bytes);
	}
	return 0;
}

/* Where the next unit begins, and how long it is. Units end where it suits the side that is written. */
static int find_unit(struct copying *c, uint64_t *ret_length, struct qc_err *err)
{
	int status = 0;

	if (c->next) {
		c->next(c->context, &c->at, ret_length);
		return 0;
	}
	if (c->file)
		status = skip_zeroes(c, err);
	*ret_length = qc_min(UNIT_BYTES - (c->at - c->copy->at) % UNIT_BYTES, c->end - c->at);
	return status;
}

/* The next unit, which has a length of 0 if there is none. */
static int take_unit(struct copying *c, struct worker *w, struct qc_err *err)
{
	uint64_t length;
	int status;

	status = find_unit(c, &length, err);
	if (status == 0)
		status = qc_place_list_fill(&w->list, &c->places, c->at, c->at + length, err);
	if (status < 0)
		return status;
	w->number = c->taken++;
	w->at = c->at;
	w->length = length;
	c->at += length;
	return 0;
}

/* True if there is a unit to work on. */
static bool next_unit(struct worker *w)
{
	struct copying *c = w->c;
	struct qc_err err;

	pthread_mutex_lock(&c->lock);
	note_done(c, w->length);
	w->length = 0;
	if (c->failed_at == UINT64_MAX && take_unit(c, w, &err) < 0)
		note_failure(c, c->at, &err);
	pthread_mutex_unlock(&c->lock);
	return w->length > 0;
}

/* --- to a file --- */

static int write_chunk(struct worker *w, uint64_t offset, const uint8_t *bytes, size_t length,
		       struct qc_err *err)
{
	size_t start = 0;
	int status = 0;

	for (size_t at = 0, step; status == 0 && at < length; at += step) {
		step = (size_t)qc_min(length - at, HOLE_BYTES);
		if (!qc_is_zero(bytes + at, step))
			continue;
		if (at > start)
			status = qc_file_write(w->c->file, offset + start, bytes + start,
					       at - start, err);
		start = at + step;
	}
	if (status == 0 && start < length)
		status = qc_file_write(w->c->file, offset + start, bytes + start, length - start,
				       err);
	return status;
}

static int unit_to_file(struct worker *w, struct qc_err *err)
{
	struct copying *c = w->c;
	uint64_t offset = w->at - c->copy->at;
	size_t length;
	int status;

	for (uint64_t done = 0; done < w->length; done += length) {
		length = (size_t)qc_min(w->length - done, CHUNK_BYTES);
		status = qc_place_list_read(w->reader, &w->list, qc_guest(w->at + done), w->buffer,
					    length, err);
		if (status == 0)
			status = write_chunk(w, offset + done, w->buffer, length, err);
		if (status < 0)
			return status;
	}
	pthread_mutex_lock(&c->behind_lock);
	qc_write_behind_wrote(&c->behind, offset, w->length, 0);
	pthread_mutex_unlock(&c->behind_lock);
	return 0;
}

/* --- in order --- */

/* Waits until all before the unit has been handed over; false if that will not come to be. */
static bool wait_for_turn(struct worker *w)
{
	struct copying *c = w->c;
	bool failed;

	pthread_mutex_lock(&c->lock);
	while (c->turn != w->number && c->failed_at > w->at)
		pthread_cond_wait(&c->turned, &c->lock);
	failed = c->failed_at <= w->at;
	pthread_mutex_unlock(&c->lock);
	return !failed;
}

static void end_turn(struct worker *w)
{
	struct copying *c = w->c;

	pthread_mutex_lock(&c->lock);
	c->turn++;
	pthread_cond_broadcast(&c->turned);
	pthread_mutex_unlock(&c->lock);
}

static int unit_in_order(struct worker *w, struct qc_err *err)
{
	struct copying *c = w->c;
	int status;

	status = qc_place_list_read(w->reader, &w->list, qc_guest(w->at), w->buffer,
				    (size_t)w->length, err);
	if (status < 0 || !wait_for_turn(w))
		return status;
	status = c->take(c->context, w->buffer, (size_t)w->length, err);
	if (status == 0)
		end_turn(w);
	return status;
}

/* --- all --- */

static void fail_at(struct copying *c, uint64_t at, const struct qc_err *err)
{
	pthread_mutex_lock(&c->lock);
	note_failure(c, at, err);
	pthread_cond_broadcast(&c->turned);
	pthread_mutex_unlock(&c->lock);
}

static void work(void *context)
{
	struct worker w = {.c = context, .buffer = qc_pages_alloc((size_t)UNIT_BYTES)};
	struct qc_err err;
	int status;

	status = w.buffer ? qc_place_reader_open(&w.reader, &err) : qc_fail_memory(&err);
	if (status < 0)
		fail_at(w.c, w.c->copy->at, &err);
	while (status == 0 && next_unit(&w)) {
		status = w.c->file ? unit_to_file(&w, &err) : unit_in_order(&w, &err);
		if (status < 0)
			fail_at(w.c, w.at, &err);
	}
	qc_place_reader_close(w.reader);
	qc_place_list_clear(&w.list);
	free(w.buffer);
}

static int run(struct copying *c, const struct qc_copy *copy, struct qc_err *err)
{
	uint64_t units = c->next ? UINT64_MAX : qc_div_up(copy->length, UNIT_BYTES);

	c->copy = copy;
	c->end = copy->at + copy->length;
	c->places.view = copy->view;
	c->at = copy->at;
	c->failed_at = UINT64_MAX;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->behind_lock, NULL);
	pthread_cond_init(&c->turned, NULL);
	qc_crew_run((unsigned int)qc_min(qc_crew_size(copy->threads), units), work, c);
	pthread_cond_destroy(&c->turned);
	pthread_mutex_destroy(&c->behind_lock);
	pthread_mutex_destroy(&c->lock);
	if (c->failed_at == UINT64_MAX)
		return 0;
	*err = c->err;
	return -(int)err->code;
}

int qc_copy_to_file(const struct qc_copy *copy, struct qc_file *file, struct qc_err *err)
{
	struct copying c = {.file = file, .behind.file = file};

	return run(&c, copy, err);
}

int qc_copy_in_order(const struct qc_copy *copy, qc_copy_take *take, void *context,
		     struct qc_err *err)
{
	struct copying c = {.take = take, .context = context};

	return run(&c, copy, err);
}

int qc_copy_parts(const struct qc_copy *copy, qc_copy_next *next, qc_copy_take *take, void *context,
		  struct qc_err *err)
{
	struct copying c = {.next = next, .take = take, .context = context};

	return run(&c, copy, err);
}
