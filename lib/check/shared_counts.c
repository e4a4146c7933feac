// SPDX-License-Identifier: MIT
#include "check/shared_counts.h"

#include "base/checked.h"

int qc_shared_counts_init(struct qc_shared_counts *shared, struct qc_counts *counts,
			  struct qc_err *err)
{
	*shared = (struct qc_shared_counts){.counts = counts};
	pthread_mutex_init(&shared->lock, NULL);
	return qc_counts_init(&shared->again, counts->clusters, UINT64_MAX, err);
}

void qc_shared_counts_clear(struct qc_shared_counts *shared)
{
	pthread_mutex_destroy(&shared->lock);
	qc_counts_clear(&shared->again);
}

/* The chunk of that index, made if it is the first time that somebody asks for it. */
static struct qc_counts_chunk *chunk_of(struct qc_shared_counts *shared, uint64_t index,
					struct qc_err *err)
{
	struct qc_counts_chunk **place = &shared->counts->chunks[index];
	struct qc_counts_chunk *chunk = __atomic_load_n(place, __ATOMIC_ACQUIRE);

	if (chunk)
		return chunk;
	pthread_mutex_lock(&shared->lock);
	chunk = *place;
	if (!chunk) {
		chunk = qc_counts_make_chunk(shared->counts, err);
		__atomic_store_n(place, chunk, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&shared->lock);
	return chunk;
}

/* Puts one reference by to each cluster of the mask, of the 64 from `base` on. */
static int put_by(struct qc_shared_counts *shared, uint64_t base, uint64_t mask, struct qc_err *err)
{
	struct qc_counts_excess none;
	int status = 0;

	pthread_mutex_lock(&shared->lock);
	for (; mask && status == 0; mask &= mask - 1)
		status = qc_counts_add(&shared->again, base + (uint64_t)__builtin_ctzll(mask), 1, 1,
				       &none, err);
	pthread_mutex_unlock(&shared->lock);
	return status;
}

int qc_shared_counts_put_by(struct qc_shared_counts *shared, uint64_t cluster, struct qc_err *err)
{
	return put_by(shared, cluster / 64 * 64, UINT64_C(1) << cluster % 64, err);
}

/* Those of the mask whose first reference this was not. */
static uint64_t set_bits(struct qc_counts_chunk *chunk, unsigned int index, uint64_t mask)
{
	struct qc_counts_word *word = &chunk->word[index];
	uint64_t more = chunk->wide ? mask : word->high & mask;
	uint64_t first = mask & ~more;

	return more | (__atomic_fetch_or(&word->low, first, __ATOMIC_RELAXED) & first);
}

int qc_shared_counts_add(struct qc_shared_counts *shared, uint64_t first, uint64_t count,
			 struct qc_err *err)
{
	uint64_t end = first + count;
	int status = 0;

	while (first < end && status == 0) {
		uint64_t part = qc_min(end - first, 64 - first % 64);
		uint64_t mask = (part == 64 ? ~UINT64_C(0) : (UINT64_C(1) << part) - 1)
				<< first % 64;
		struct qc_counts_chunk *chunk = chunk_of(shared, first / QC_COUNTS_CHUNK, err);
		uint64_t again;

		if (!chunk)
			return -QC_E_NO_MEMORY;
		again = set_bits(chunk, (unsigned int)(first % QC_COUNTS_CHUNK / 64), mask);
		if (again)
			status = put_by(shared, first / 64 * 64, again, err);
		first += part;
	}
	return status;
}

int qc_shared_counts_set_word(struct qc_shared_counts *shared, uint64_t word,
			      struct qc_counts_word value, struct qc_err *err)
{
	struct qc_counts_chunk *chunk;

	if (value.low == 0 && value.high == 0)
		return 0;
	chunk = chunk_of(shared, word / QC_COUNTS_WORDS, err);
	if (!chunk)
		return -QC_E_NO_MEMORY;
	chunk->word[word % QC_COUNTS_WORDS] = value;
	return 0;
}

int qc_shared_counts_settle(struct qc_shared_counts *shared,
			    int (*take)(void *context, uint64_t cluster, uint64_t times,
					struct qc_err *err),
			    void *context, struct qc_err *err)
{
	const struct qc_counts *again = &shared->again;
	int status = 0;

	for (uint64_t word = 0; word * 64 < again->clusters && status == 0;) {
		struct qc_counts_word counts = qc_counts_word(again, word);
		uint64_t some = counts.low | counts.high;

		if (qc_counts_chunk_is_zero(again, word)) {
			word = qc_align_up(word + 1, QC_COUNTS_WORDS);
			continue;
		}
		for (; some && status == 0; some &= some - 1) {
			uint64_t cluster = word * 64 + (uint64_t)__builtin_ctzll(some);

			status = take(context, cluster, qc_counts_get(again, cluster), err);
		}
		word++;
	}
	return status;
}
