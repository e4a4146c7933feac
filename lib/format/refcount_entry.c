// SPDX-License-Identifier: MIT
/*
 * Scans look at 64 bits at a time. In a word that is loaded as little-endian, the bits of count
 * number i of the word are bits i*width .. i*width+width-1, in every width: below 8 bits because
 * the format puts lower indices into less significant bits, from 8 bits on because bytes come in
 * the order of the file (the order of bytes inside a count does not matter for "is it zero").
 */
#include "format/refcount_entry.h"

#include <assert.h>

#include "base/byte_order.h"

uint64_t qc_refcount_get(const struct qc_geometry *g, const uint8_t *block, uint64_t index)
{
	uint32_t bits = UINT32_C(1) << g->refcount_order;

	assert(index < g->refcounts_per_block);
	switch (g->refcount_order) {
	case 3:
		return block[index];
	case 4:
		return qc_load_be16(block + index * 2);
	case 5:
		return qc_load_be32(block + index * 4);
	case 6:
		return qc_load_be64(block + index * 8);
	default:
		return (uint64_t)block[index * bits / 8] >> (index * bits % 8) & g->refcount_max;
	}
}

static void set_in_byte(const struct qc_geometry *g, uint8_t *block, uint64_t index, uint64_t value)
{
	uint32_t bits = UINT32_C(1) << g->refcount_order;
	uint32_t shift = (uint32_t)(index * bits % 8);
	uint8_t *byte = block + index * bits / 8;

	*byte = (uint8_t)((*byte & ~(g->refcount_max << shift)) | value << shift);
}

void qc_refcount_set(const struct qc_geometry *g, uint8_t *block, uint64_t index, uint64_t value)
{
	assert(index < g->refcounts_per_block && value <= g->refcount_max);
	switch (g->refcount_order) {
	case 3:
		block[index] = (uint8_t)value;
		break;
	case 4:
		qc_store_be16(block + index * 2, (uint16_t)value);
		break;
	case 5:
		qc_store_be32(block + index * 4, (uint32_t)value);
		break;
	case 6:
		qc_store_be64(block + index * 8, value);
		break;
	default:
		set_in_byte(g, block, index, value);
	}
}

static uint64_t load_word(const uint8_t *block, uint64_t word)
{
	return __builtin_bswap64(qc_load_be64(block + word * 8));
}

/* All bits of a word that belong to counts at or after from, which lies in that word. */
static uint64_t mask_from(const struct qc_geometry *g, uint64_t from)
{
	return UINT64_MAX << ((from << g->refcount_order) % 64);
}

uint64_t qc_refcount_next_used(const struct qc_geometry *g, const uint8_t *block, uint64_t from)
{
	uint32_t order = g->refcount_order;
	uint64_t words = g->cluster_bytes / 8;
	uint64_t index = from >> (6 - order);
	uint64_t word;

	if (from >= g->refcounts_per_block)
		return g->refcounts_per_block;
	word = load_word(block, index) & mask_from(g, from);
	while (word == 0) {
		if (++index == words)
			return g->refcounts_per_block;
		word = load_word(block, index);
	}
	return (index * 64 + (uint64_t)__builtin_ctzll(word)) >> order;
}

/* A one at the lowest bit of each count of a word. */
static uint64_t lowest_bits(uint32_t order)
{
	return order == 6 ? 1 : UINT64_MAX / ((UINT64_C(1) << (1u << order)) - 1);
}

/* Those of them whose count is zero. */
static uint64_t zero_counts(uint32_t order, uint64_t lowest, uint64_t word)
{
	for (uint32_t step = 0; step < order; step++)
		word |= word >> (1u << step);
	return ~word & lowest;
}

uint64_t qc_refcount_next_free(const struct qc_geometry *g, const uint8_t *block, uint64_t from)
{
	uint32_t order = g->refcount_order;
	uint64_t words = g->cluster_bytes / 8;
	uint64_t index = from >> (6 - order);
	uint64_t lowest = lowest_bits(order);
	uint64_t highest = lowest << ((1u << order) - 1);
	uint64_t word, zeroes;

	if (from >= g->refcounts_per_block)
		return g->refcounts_per_block;
	zeroes = zero_counts(order, lowest, load_word(block, index)) & mask_from(g, from);
	while (zeroes == 0) {
		/* Taking one from each count sets the highest bit of one that is zero, if any is. */
		do {
			if (++index == words)
				return g->refcounts_per_block;
			word = load_word(block, index);
		} while (((word - lowest) & ~word & highest) == 0);
		zeroes = zero_counts(order, lowest, word);
	}
	return (index * 64 + (uint64_t)__builtin_ctzll(zeroes)) >> order;
}

uint64_t qc_refcount_next_shared(const struct qc_geometry *g, const uint8_t *block, uint64_t from)
{
	uint32_t order = g->refcount_order;
	/* The bit that counts 1 is in a count's last byte, and in that the lowest. */
	uint64_t ones = lowest_bits(order) << (order > 3 ? (1u << order) - 8 : 0);
	uint64_t words = g->cluster_bytes / 8;
	uint64_t index = from >> (6 - order);
	uint64_t word;

	if (from >= g->refcounts_per_block)
		return g->refcounts_per_block;
	word = load_word(block, index) & ~ones & mask_from(g, from);
	while (word == 0) {
		if (++index == words)
			return g->refcounts_per_block;
		word = load_word(block, index) & ~ones;
	}
	return (index * 64 + (uint64_t)__builtin_ctzll(word)) >> order;
}

/* The usual width, without a look at the width for each count. */
static uint64_t step_16_bits(uint8_t *at, uint64_t count, bool add, uint64_t *ret_zeroed)
{
	const uint16_t end = add ? UINT16_MAX : 0;
	uint64_t done, zeroed = 0;

	for (done = 0; done < count; done++, at += 2) {
		uint16_t value = qc_load_be16(at);

		if (value == end)
			break;
		value = (uint16_t)(add ? value + 1 : value - 1);
		zeroed += value == 0;
		qc_store_be16(at, value);
	}
	*ret_zeroed += zeroed;
	return done;
}

uint64_t qc_refcount_step(const struct qc_geometry *g, uint8_t *block, uint64_t first,
			  uint64_t count, bool add, uint64_t *ret_zeroed)
{
	const uint64_t end = add ? g->refcount_max : 0;
	uint64_t done;

	assert(count <= g->refcounts_per_block && first <= g->refcounts_per_block - count);
	if (g->refcount_order == 4)
		return step_16_bits(block + first * 2, count, add, ret_zeroed);
	for (done = 0; done < count; done++) {
		uint64_t value = qc_refcount_get(g, block, first + done);

		if (value == end)
			break;
		value = add ? value + 1 : value - 1;
		*ret_zeroed += value == 0;
		qc_refcount_set(g, block, first + done, value);
	}
	return done;
}
