// SPDX-License-Identifier: MIT
#include "base/bitset.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

bool qc_bitset_init(struct qc_bitset *set, uint64_t bits)
{
	uint64_t words = qc_div_up(bits, 64);

	if (words > SIZE_MAX / sizeof(uint64_t))
		return false;
	set->words = calloc(words ? (size_t)words : 1, sizeof(uint64_t));
	set->bits = set->words ? bits : 0;
	return set->words;
}

void qc_bitset_clear(struct qc_bitset *set)
{
	free(set->words);
	*set = (struct qc_bitset){0};
}

bool qc_bitset_grow(struct qc_bitset *set, uint64_t bits)
{
	uint64_t old_words = qc_div_up(set->bits, 64);
	uint64_t words = qc_div_up(bits, 64);
	uint64_t *grown;

	if (bits <= set->bits)
		return true;
	if (words > SIZE_MAX / sizeof(uint64_t))
		return false;
	grown = realloc(set->words, (size_t)words * sizeof(uint64_t));
	if (!grown)
		return false;
	memset(grown + old_words, 0, (size_t)(words - old_words) * sizeof(uint64_t));
	set->words = grown;
	set->bits = bits;
	return true;
}

void qc_bitset_add_range(struct qc_bitset *set, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	for (uint64_t start = qc_align_down(first, 64); count && start < end; start += 64)
		set->words[start / 64] |= qc_bitset_mask(start, first, end);
}

void qc_bitset_remove_range(struct qc_bitset *set, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	for (uint64_t start = qc_align_down(first, 64); count && start < end; start += 64)
		set->words[start / 64] &= ~qc_bitset_mask(start, first, end);
}

bool qc_bitset_has_range(const struct qc_bitset *set, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	if (end > set->bits)
		return count == 0;
	for (uint64_t start = qc_align_down(first, 64); start < end; start += 64)
		if ((~set->words[start / 64] & qc_bitset_mask(start, first, end)) != 0)
			return false;
	return true;
}

/* Scans for the first bit that is set in (word ^ flip). */
static uint64_t scan(const struct qc_bitset *set, uint64_t from, uint64_t flip)
{
	uint64_t words = qc_div_up(set->bits, 64);
	uint64_t index = from / 64;
	uint64_t word;

	if (from >= set->bits)
		return set->bits;
	word = (set->words[index] ^ flip) & (UINT64_MAX << (from % 64));
	while (word == 0) {
		if (++index >= words)
			return set->bits;
		word = set->words[index] ^ flip;
	}
	return qc_min(index * 64 + (uint64_t)__builtin_ctzll(word), set->bits);
}

uint64_t qc_bitset_next(const struct qc_bitset *set, uint64_t from)
{
	return scan(set, from, 0);
}

uint64_t qc_bitset_next_absent(const struct qc_bitset *set, uint64_t from)
{
	return scan(set, from, UINT64_MAX);
}

uint64_t qc_bitset_end(const struct qc_bitset *set)
{
	for (uint64_t index = qc_div_up(set->bits, 64); index-- > 0;)
		if (set->words[index] != 0)
			return index * 64 + 64 - (uint64_t)__builtin_clzll(set->words[index]);
	return 0;
}
