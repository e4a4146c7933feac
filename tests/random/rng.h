// SPDX-License-Identifier: MIT
/* A small generator of numbers (splitmix64): the same seed gives the same run on every machine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t mixed = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}

/* 0 .. limit - 1; 0 if there is no such number. */
static inline uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	uint64_t value = rng_next(rng);

	return limit ? value % limit : 0;
}

/* least .. most */
static inline uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most)
{
	return least + rng_below(rng, most - least + 1);
}

/* True so many times in a hundred. */
static inline bool rng_chance(struct rng *rng, unsigned int percent)
{
	return rng_below(rng, 100) < percent;
}

/* Contents of a kind that compresses well, half well, or not at all. */
static inline void rng_fill(struct rng *rng, uint8_t *bytes, size_t length)
{
	uint64_t kind = rng_below(rng, 3), word = rng_next(rng);

	for (size_t i = 0; i < length; i++) {
		if (kind == 0 ? i % 64 == 0 : i % 8 == 0)
			word = rng_next(rng);
		bytes[i] = (uint8_t)(word >> (kind == 1 ? i % 2 : i % 8) * 8);
	}
}
