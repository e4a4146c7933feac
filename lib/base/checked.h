// SPDX-License-Identifier: MIT
/* Arithmetic on offsets and lengths that a stranger's file supplies: it overflows visibly or not at all. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* *ret = a + b; false, and *ret untouched, if that does not fit 64 bits. */
static inline bool qc_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

/* *ret = a * b; false, and *ret untouched, if that does not fit 64 bits. */
static inline bool qc_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* True if [offset, offset + length) ends at or before limit, without wrapping around. */
static inline bool qc_range_fits(uint64_t offset, uint64_t length, uint64_t limit)
{
	return offset <= limit && length <= limit - offset;
}

/* value / unit, rounded up; unit is not 0. Never overflows. */
static inline uint64_t qc_div_up(uint64_t value, uint64_t unit)
{
	return value / unit + (value % unit != 0);
}

/* The next multiple of unit (a power of two) at or below value. */
static inline uint64_t qc_align_down(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1);
}

/* The next multiple of unit (a power of two) at or above value; value must be below 2^64 - unit. */
static inline uint64_t qc_align_up(uint64_t value, uint64_t unit)
{
	return qc_align_down(value + unit - 1, unit);
}

static inline bool qc_is_aligned(uint64_t value, uint64_t unit)
{
	return (value & (unit - 1)) == 0;
}

static inline bool qc_is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static inline uint64_t qc_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t qc_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}
