// SPDX-License-Identifier: MIT
#include "ops/rebase_compare.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/crew.h"
#include "base/pages.h"

#define BUFFER_BYTES ((size_t)128 << 10) /* two of them stay in a core's own cache */
#define THREADS_MAX 8

/* What a thread takes at once: enough to be worth it, neighbours so that it inflates them once. */
#define TAKE_BYTES (UINT64_C(1) << 20)
#define TAKE_PIECES 64u

struct qc_comparer {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct qc_batch *batch; /* NULL: there is none */
	bool quit, failed;
	struct qc_err err; /* of the first that failed */
	pthread_t threads[THREADS_MAX];
	size_t thread_count;
	struct hand *own; /* the caller's */
};

/* What one thread works with. */
struct hand {
	struct qc_place_reader *readers[QC_SIDES];
	uint8_t *buffers[QC_SIDES];
};

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

static int compare_piece(struct qc_batch *b, const struct qc_piece *p, struct hand *hand,
			 struct qc_err *err)
{
	for (uint64_t done = 0; done < p->bytes; done += BUFFER_BYTES) {
		size_t now = (size_t)qc_min(BUFFER_BYTES, p->bytes - done);
		uint64_t guest = p->guest + done;

		for (int i = 0; i < QC_SIDES; i++)
			if (qc_place_read(hand->readers[i], &p->places[i], qc_guest(guest),
					  hand->buffers[i], now, err)
			    < 0)
				return qc_err_context(err, "comparing guest offset 0x%llx",
						      (unsigned long long)guest);
		if (memcmp(hand->buffers[QC_SIDE_OLD], hand->buffers[QC_SIDE_NEW], now) != 0)
			mark(b, p, guest, hand->buffers[QC_SIDE_OLD], hand->buffers[QC_SIDE_NEW],
			     now);
	}
	return 0;
}

/* --- threads --- */

static void free_hand(struct hand *hand)
{
	for (int i = 0; hand && i < QC_SIDES; i++) {
		qc_place_reader_close(hand->readers[i]);
		free(hand->buffers[i]);
	}
	free(hand);
}

static struct hand *new_hand(struct qc_err *err)
{
	struct hand *hand = calloc(1, sizeof(*hand));
	int status = hand ? 0 : qc_fail_memory(err);

	for (int i = 0; status == 0 && i < QC_SIDES; i++) {
		hand->buffers[i] = qc_pages_alloc(BUFFER_BYTES);
		status = hand->buffers[i] ? qc_place_reader_open(&hand->readers[i], err)
					  : qc_fail_memory(err);
	}
	if (status == 0)
		return hand;
	free_hand(hand);
	return NULL;
}

/* Takes pieces [*ret_first, *ret_end) of the batch; false: there are none. With the lock held. */
static bool take(struct qc_batch *b, size_t *ret_first, size_t *ret_end)
{
	uint64_t bytes = 0;

	*ret_first = b->next;
	while (b->next < b->piece_count && bytes < TAKE_BYTES && b->next - *ret_first < TAKE_PIECES)
		bytes += b->pieces[b->next++].bytes;
	*ret_end = b->next;
	return *ret_end > *ret_first;
}

/* Works on the batch as long as there is something to take. With the lock held. */
static void work(struct qc_comparer *comparer, struct hand *hand)
{
	struct qc_batch *b = comparer->batch;
	size_t first, end;
	struct qc_err err;

	while (take(b, &first, &end)) {
		int status = 0;

		b->working++;
		pthread_mutex_unlock(&comparer->lock);
		for (size_t i = first; status == 0 && i < end; i++)
			status = compare_piece(b, &b->pieces[i], hand, &err);
		pthread_mutex_lock(&comparer->lock);
		b->working--;
		if (status < 0) {
			if (!comparer->failed)
				comparer->err = err;
			comparer->failed = true;
			b->next = b->piece_count;
		}
	}
	if (b->working == 0)
		pthread_cond_signal(&comparer->done);
}

static void *help(void *context)
{
	struct qc_comparer *comparer = context;
	struct qc_err ignored; /* then the others do it */
	struct hand *hand = new_hand(&ignored);

	pthread_mutex_lock(&comparer->lock);
	while (hand && !comparer->quit) {
		if (comparer->batch && comparer->batch->next < comparer->batch->piece_count)
			work(comparer, hand);
		else
			pthread_cond_wait(&comparer->work, &comparer->lock);
	}
	pthread_mutex_unlock(&comparer->lock);
	free_hand(hand);
	return NULL;
}

int qc_comparer_open(struct qc_comparer **ret, struct qc_err *err)
{
	struct qc_comparer *comparer = calloc(1, sizeof(*comparer));

	if (!comparer)
		return qc_fail_memory(err);
	comparer->own = new_hand(err);
	if (!comparer->own) {
		free(comparer);
		return -(int)err->code;
	}
	pthread_mutex_init(&comparer->lock, NULL);
	pthread_cond_init(&comparer->work, NULL);
	pthread_cond_init(&comparer->done, NULL);
	*ret = comparer;
	return 0;
}

/* Threads begin when there is work for them; without any it only takes longer. */
static void call_help(struct qc_comparer *comparer, uint64_t bytes)
{
	uint64_t most = qc_min(qc_crew_size(0) - 1, THREADS_MAX);

	most = qc_min(most, bytes / TAKE_BYTES);
	while (comparer->thread_count < most
	       && pthread_create(&comparer->threads[comparer->thread_count], NULL, help, comparer)
			  == 0)
		comparer->thread_count++;
}

void qc_comparer_start(struct qc_comparer *comparer, struct qc_batch *batch)
{
	batch->next = 0;
	batch->working = 0;
	if (batch->piece_count > 0)
		call_help(comparer, batch->bytes);
	pthread_mutex_lock(&comparer->lock);
	comparer->batch = batch;
	pthread_cond_broadcast(&comparer->work);
	pthread_mutex_unlock(&comparer->lock);
}

int qc_comparer_finish(struct qc_comparer *comparer, struct qc_err *err)
{
	bool failed;

	pthread_mutex_lock(&comparer->lock);
	if (comparer->batch) {
		work(comparer, comparer->own);
		while (comparer->batch->working > 0)
			pthread_cond_wait(&comparer->done, &comparer->lock);
		comparer->batch = NULL;
	}
	failed = comparer->failed;
	pthread_mutex_unlock(&comparer->lock);
	if (failed)
		*err = comparer->err;
	return failed ? -(int)err->code : 0;
}

void qc_comparer_close(struct qc_comparer *comparer)
{
	if (!comparer)
		return;
	pthread_mutex_lock(&comparer->lock);
	comparer->quit = true;
	if (comparer->batch)
		comparer->batch->next = comparer->batch->piece_count;
	pthread_cond_broadcast(&comparer->work);
	pthread_mutex_unlock(&comparer->lock);
	for (size_t i = 0; i < comparer->thread_count; i++)
		pthread_join(comparer->threads[i], NULL);
	pthread_cond_destroy(&comparer->done);
	pthread_cond_destroy(&comparer->work);
	pthread_mutex_destroy(&comparer->lock);
	free_hand(comparer->own);
	free(comparer);
}
