// SPDX-License-Identifier: MIT
#include "check/refcounts.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define WIDE_LARGE UINT16_MAX
#define NO_CLUSTER UINT64_MAX

int qc_counts_init(struct qc_counts *counts, uint64_t clusters, uint64_t max, struct qc_err *err)
{
	uint64_t chunks = qc_div_up(clusters, QC_COUNTS_CHUNK);

	*counts = (struct qc_counts){.clusters = clusters, .max = max};
	if (chunks > QC_COUNTS_BYTES_MAX / sizeof(void *))
		return qc_fail(err, QC_E_NO_MEMORY, "the file has too many clusters to count");
	counts->bytes = chunks * sizeof(void *);
	counts->chunks = calloc((size_t)(chunks ? chunks : 1), sizeof(*counts->chunks));
	return counts->chunks ? 0 : qc_fail_memory(err);
}

void qc_counts_clear(struct qc_counts *counts)
{
	uint64_t chunks = qc_div_up(counts->clusters, QC_COUNTS_CHUNK);

	for (uint64_t i = 0; counts->chunks && i < chunks; i++) {
		if (counts->chunks[i])
			free(counts->chunks[i]->wide);
		free(counts->chunks[i]);
	}
	free(counts->chunks);
	free(counts->large);
	*counts = (struct qc_counts){0};
}

/* Zeroed memory that counts against the bound; NULL after raising. */
static void *take_memory(struct qc_counts *counts, size_t bytes, struct qc_err *err)
{
	void *memory;

	if (bytes > QC_COUNTS_BYTES_MAX - counts->bytes) {
		qc_fail(err, QC_E_NO_MEMORY, "counting references needs more than %llu MiB",
			(unsigned long long)(QC_COUNTS_BYTES_MAX >> 20));
		return NULL;
	}
	memory = calloc(1, bytes);
	if (!memory)
		qc_fail_memory(err);
	else
		counts->bytes += bytes;
	return memory;
}

struct qc_counts_chunk *qc_counts_make_chunk(struct qc_counts *counts, struct qc_err *err)
{
	return take_memory(counts, sizeof(struct qc_counts_chunk), err);
}

static int need_chunk(struct qc_counts *counts, uint64_t chunk, struct qc_err *err)
{
	if (counts->chunks[chunk])
		return 0;
	counts->chunks[chunk] = qc_counts_make_chunk(counts, err);
	return counts->chunks[chunk] ? 0 : -QC_E_NO_MEMORY;
}

static int need_wide(struct qc_counts *counts, struct qc_counts_chunk *chunk, struct qc_err *err)
{
	if (chunk->wide)
		return 0;
	chunk->wide = take_memory(counts, QC_COUNTS_CHUNK * sizeof(*chunk->wide), err);
	if (!chunk->wide)
		return -QC_E_NO_MEMORY;
	for (unsigned int i = 0; i < QC_COUNTS_CHUNK; i++) {
		const struct qc_counts_word *word = &chunk->word[i / 64];

		chunk->wide[i] =
			(uint16_t)((word->low >> i % 64 & 1) | (word->high >> i % 64 & 1) << 1);
	}
	return 0;
}

/* The place of a cluster in the list, or the empty place where it belongs. */
static struct qc_counts_large *find_large(struct qc_counts_large *list, size_t room,
					  uint64_t cluster)
{
	size_t at = (size_t)(cluster * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);

	while (list[at].cluster != NO_CLUSTER && list[at].cluster != cluster)
		at = (at + 1) & (room - 1);
	return &list[at];
}

static int grow_large(struct qc_counts *counts, struct qc_err *err)
{
	size_t room = counts->large_room ? counts->large_room * 2 : 64;
	struct qc_counts_large *list = take_memory(counts, room * sizeof(*list), err);

	if (!list)
		return -QC_E_NO_MEMORY;
	for (size_t i = 0; i < room; i++)
		list[i].cluster = NO_CLUSTER;
	for (size_t i = 0; i < counts->large_room; i++)
		if (counts->large[i].cluster != NO_CLUSTER)
			*find_large(list, room, counts->large[i].cluster) = counts->large[i];
	counts->bytes -= counts->large_room * sizeof(*list);
	free(counts->large);
	counts->large = list;
	counts->large_room = room;
	return 0;
}

static int set_large(struct qc_counts *counts, uint64_t cluster, uint64_t count, struct qc_err *err)
{
	struct qc_counts_large *place;

	if (counts->large_used >= counts->large_room / 2 && grow_large(counts, err) < 0)
		return -QC_E_NO_MEMORY;
	place = find_large(counts->large, counts->large_room, cluster);
	if (place->cluster == NO_CLUSTER)
		counts->large_used++;
	*place = (struct qc_counts_large){cluster, count};
	return 0;
}

uint64_t qc_counts_get(const struct qc_counts *counts, uint64_t cluster)
{
	const struct qc_counts_chunk *chunk;
	const struct qc_counts_word *word;

	if (cluster >= counts->clusters || !counts->chunks[cluster / QC_COUNTS_CHUNK])
		return 0;
	chunk = counts->chunks[cluster / QC_COUNTS_CHUNK];
	word = &chunk->word[cluster % QC_COUNTS_CHUNK / 64];
	if (!chunk->wide)
		return (word->low >> cluster % 64 & 1) | (word->high >> cluster % 64 & 1) << 1;
	if (chunk->wide[cluster % QC_COUNTS_CHUNK] != WIDE_LARGE)
		return chunk->wide[cluster % QC_COUNTS_CHUNK];
	return find_large(counts->large, counts->large_room, cluster)->count;
}

static int set_one(struct qc_counts *counts, uint64_t cluster, uint64_t count, struct qc_err *err)
{
	struct qc_counts_chunk *chunk = counts->chunks[cluster / QC_COUNTS_CHUNK];
	struct qc_counts_word *word = &chunk->word[cluster % QC_COUNTS_CHUNK / 64];
	uint64_t bit = UINT64_C(1) << cluster % 64;
	uint64_t shown = qc_min(count, 3);

	if (count >= 3 && need_wide(counts, chunk, err) < 0)
		return -QC_E_NO_MEMORY;
	if (count >= WIDE_LARGE && set_large(counts, cluster, count, err) < 0)
		return -QC_E_NO_MEMORY;
	if (chunk->wide)
		chunk->wide[cluster % QC_COUNTS_CHUNK] = (uint16_t)qc_min(count, WIDE_LARGE);
	word->low = (word->low & ~bit) | (shown & 1 ? bit : 0);
	word->high = (word->high & ~bit) | (shown & 2 ? bit : 0);
	return 0;
}

static int add_one(struct qc_counts *counts, uint64_t cluster, uint64_t weight,
		   struct qc_counts_excess *excess, struct qc_err *err)
{
	uint64_t now = qc_counts_get(counts, cluster);
	uint64_t added = qc_min(weight, counts->max - now);

	if (added < weight) {
		if (excess->references == 0)
			excess->cluster = cluster;
		excess->references += weight - added;
	}
	return added ? set_one(counts, cluster, now + added, err) : 0;
}

/* Adds one to up to 64 counts of a word without a wide stretch, if none of them gets above `max` or 2. */
static bool add_to_word(struct qc_counts_chunk *chunk, unsigned int index, uint64_t mask,
			uint64_t max)
{
	struct qc_counts_word *word = &chunk->word[index];
	uint64_t carry = word->low & mask;

	if (chunk->wide || (word->high & mask) != 0 || (carry != 0 && max < 2))
		return false;
	word->low ^= mask;
	word->high |= carry;
	return true;
}

int qc_counts_add(struct qc_counts *counts, uint64_t first, uint64_t count, uint64_t weight,
		  struct qc_counts_excess *ret, struct qc_err *err)
{
	uint64_t end = first + count;

	*ret = (struct qc_counts_excess){0};
	while (first < end && weight > 0) {
		uint64_t part = qc_min(end - first, 64 - first % 64);
		uint64_t mask = (part == 64 ? ~UINT64_C(0) : (UINT64_C(1) << part) - 1)
				<< first % 64;
		unsigned int index = (unsigned int)(first % QC_COUNTS_CHUNK / 64);

		if (need_chunk(counts, first / QC_COUNTS_CHUNK, err) < 0)
			return -QC_E_NO_MEMORY;
		if (weight == 1
		    && add_to_word(counts->chunks[first / QC_COUNTS_CHUNK], index, mask,
				   counts->max)) {
			first += part;
			continue;
		}
		for (; part > 0; part--, first++)
			if (add_one(counts, first, weight, ret, err) < 0)
				return -QC_E_NO_MEMORY;
	}
	return 0;
}

int qc_counts_set_word(struct qc_counts *counts, uint64_t word, struct qc_counts_word value,
		       struct qc_err *err)
{
	if (value.low == 0 && value.high == 0)
		return 0;
	if (need_chunk(counts, word / QC_COUNTS_WORDS, err) < 0)
		return -QC_E_NO_MEMORY;
	counts->chunks[word / QC_COUNTS_WORDS]->word[word % QC_COUNTS_WORDS] = value;
	return 0;
}
