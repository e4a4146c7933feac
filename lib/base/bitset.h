// SPDX-License-Identifier: MIT
/*
 * A dense set of small integers with fast scans over whole words: which clusters are in use, which
 * blocks were written.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct qc_bitset {
	uint64_t *words;
	uint64_t bits; /* members are 0 .. bits-1 */
};

/* Sets up an empty set of members 0 .. bits-1; false if memory runs out. */
bool qc_bitset_init(struct qc_bitset *set, uint64_t bits);
void qc_bitset_clear(struct qc_bitset *set); /* frees; harmless on a zeroed struct and twice */

/* Makes room for members up to bits-1, keeping what is there; false if memory runs out. */
bool qc_bitset_grow(struct qc_bitset *set, uint64_t bits);

static inline bool qc_bitset_has(const struct qc_bitset *set, uint64_t member)
{
	return member < set->bits && (set->words[member / 64] >> (member % 64) & 1) != 0;
}

/* member must be below set->bits; likewise first + count at most set->bits. */
static inline void qc_bitset_add(struct qc_bitset *set, uint64_t member)
{
	set->words[member / 64] |= UINT64_C(1) << (member % 64);
}

static inline void qc_bitset_remove(struct qc_bitset *set, uint64_t member)
{
	set->words[member / 64] &= ~(UINT64_C(1) << (member % 64));
}

/*
 * The bits of [first, end) in the word that holds members word_start .. word_start + 63; the range
 * reaches into that word.
 */
static inline uint64_t qc_bitset_mask(uint64_t word_start, uint64_t first, uint64_t end)
{
	uint64_t low = first > word_start ? first - word_start : 0;
	uint64_t high = end - word_start < 64 ? end - word_start : 64;
	uint64_t below_high = high == 64 ? UINT64_MAX : (UINT64_C(1) << high) - 1;

	return below_high & ~((UINT64_C(1) << low) - 1);
}

void qc_bitset_add_range(struct qc_bitset *set, uint64_t first, uint64_t count);
void qc_bitset_remove_range(struct qc_bitset *set, uint64_t first, uint64_t count);

/* Whether all of first .. first + count - 1 are members; they may lie beyond set->bits. */
bool qc_bitset_has_range(const struct qc_bitset *set, uint64_t first, uint64_t count);

/* The first member, or non-member, at or after from; set->bits if there is none. */
uint64_t qc_bitset_next(const struct qc_bitset *set, uint64_t from);
uint64_t qc_bitset_next_absent(const struct qc_bitset *set, uint64_t from);

/* One past the highest member, 0 if the set is empty. */
uint64_t qc_bitset_end(const struct qc_bitset *set);
