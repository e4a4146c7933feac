// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "format/limits.h"
#include "format/refcount_entry.h"

static uint8_t block[1 << 21];

static void every_width_round_trips_without_touching_its_neighbours(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
		qc_geometry_init(&g, 3, 9, order, false, false);
		for (uint64_t i = 0; i < g.refcounts_per_block; i++) {
			uint64_t next = i + 1 < g.refcounts_per_block ? i + 1 : 0;

			memset(block, 0, 512);
			qc_refcount_set(&g, block, i, g.refcount_max);
			assert_true(qc_refcount_get(&g, block, i) == g.refcount_max);
			assert_int_equal(qc_refcount_get(&g, block, next), 0);
			memset(block, 0xff, 512);
			qc_refcount_set(&g, block, i, 0);
			assert_int_equal(qc_refcount_get(&g, block, i), 0);
			assert_true(qc_refcount_get(&g, block, next) == g.refcount_max);
		}
	}
}

static void narrow_counts_start_at_the_least_significant_bit(void **state)
{
	struct qc_geometry g;

	(void)state;
	block[0] = 0x1b; /* 00 01 10 11 */
	qc_geometry_init(&g, 3, 9, 1, false, false);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(qc_refcount_get(&g, block, i), 3 - i);
	qc_geometry_init(&g, 3, 9, 2, false, false);
	assert_int_equal(qc_refcount_get(&g, block, 0), 0xb);
	assert_int_equal(qc_refcount_get(&g, block, 1), 0x1);
	qc_geometry_init(&g, 3, 9, 0, false, false);
	assert_int_equal(qc_refcount_get(&g, block, 0), 1);
	assert_int_equal(qc_refcount_get(&g, block, 2), 0);
	assert_int_equal(qc_refcount_get(&g, block, 3), 1);
}

static void wide_counts_are_big_endian(void **state)
{
	struct qc_geometry g;

	(void)state;
	memset(block, 0, 16);
	qc_geometry_init(&g, 3, 9, 5, false, false);
	qc_refcount_set(&g, block, 1, 0x01020304);
	assert_int_equal(block[4], 1);
	assert_int_equal(block[7], 4);
}

/* Against the obvious loop, from every index, with the middle of the block in all states. */
static void scans_agree_with_counting(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
		for (uint64_t seed = 0; seed < 8; seed++) {
			uint64_t n, used, free;

			qc_geometry_init(&g, 3, 9, order, false, false);
			n = g.refcounts_per_block;
			memset(block, 0, 512);
			for (uint64_t i = 0; i < n; i++)
				if (seed >= 4 ? (i * 31 + seed) % 67 != 0
					      : (i * 31 + seed) % 67 == 0)
					qc_refcount_set(&g, block, i, i % 2 ? g.refcount_max : 1);
			used = free = n;
			for (uint64_t i = n; i-- > 0;) {
				if (qc_refcount_get(&g, block, i))
					used = i;
				else
					free = i;
				assert_int_equal(qc_refcount_next_used(&g, block, i), used);
				assert_int_equal(qc_refcount_next_free(&g, block, i), free);
			}
		}
	}
}

static void a_count_with_any_single_bit_is_not_zero(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
		qc_geometry_init(&g, 3, 9, order, false, false);
		for (uint32_t bit = 0; bit < 1u << order; bit++) {
			memset(block, 0, 512);
			qc_refcount_set(&g, block, 3, UINT64_C(1) << bit);
			assert_int_equal(qc_refcount_next_used(&g, block, 0), 3);
			assert_int_equal(qc_refcount_next_free(&g, block, 3), 4);
			assert_int_equal(qc_refcount_next_free(&g, block, 2), 2);
		}
	}
}

static void scans_of_uniform_blocks_reach_the_end(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits += 4) {
		for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
			uint64_t n;

			qc_geometry_init(&g, 3, bits, order, false, false);
			n = g.refcounts_per_block;
			memset(block, 0, (size_t)g.cluster_bytes);
			assert_int_equal(qc_refcount_next_used(&g, block, 0), n);
			assert_int_equal(qc_refcount_next_free(&g, block, n - 1), n - 1);
			memset(block, 0xff, (size_t)g.cluster_bytes);
			assert_int_equal(qc_refcount_next_free(&g, block, 0), n);
			assert_int_equal(qc_refcount_next_used(&g, block, n - 1), n - 1);
			assert_int_equal(qc_refcount_next_used(&g, block, n), n);
			assert_int_equal(qc_refcount_next_free(&g, block, n + 9), n);
		}
	}
}

static void counts_above_one_are_found_in_every_width(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
		qc_geometry_init(&g, 3, 9, order, false, false);
		for (uint64_t at = 0; at < g.refcounts_per_block; at++) {
			memset(block, 0, 512);
			for (uint64_t i = 0; i < g.refcounts_per_block; i++)
				qc_refcount_set(&g, block, i, i % 2);
			assert_int_equal(qc_refcount_next_shared(&g, block, 0),
					 g.refcounts_per_block);
			if (g.refcount_max == 1)
				break;
			qc_refcount_set(&g, block, at, at % 3 ? 2 : g.refcount_max);
			assert_int_equal(qc_refcount_next_shared(&g, block, 0), at);
			assert_int_equal(qc_refcount_next_shared(&g, block, at), at);
			assert_int_equal(qc_refcount_next_shared(&g, block, at + 1),
					 g.refcounts_per_block);
		}
	}
}

static void stepping_stops_at_the_ends_of_the_width(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
		uint64_t zeroed = 0;

		qc_geometry_init(&g, 3, 9, order, false, false);
		memset(block, 0, sizeof(block));
		qc_refcount_set(&g, block, 5, g.refcount_max);
		assert_int_equal(qc_refcount_step(&g, block, 2, 8 - 2, true, &zeroed), 3);
		for (uint64_t i = 0; i < 8; i++)
			assert_int_equal(qc_refcount_get(&g, block, i), i == 5 ? g.refcount_max
									: i >= 2 && i < 5 ? 1
											  : 0);
		assert_int_equal(zeroed, 0);
		assert_int_equal(qc_refcount_step(&g, block, 3, 5, false, &zeroed), 3);
		assert_int_equal(zeroed, order == 0 ? 3 : 2); /* 1 is the most that one bit holds */
		assert_int_equal(qc_refcount_get(&g, block, 5), g.refcount_max - 1);
		assert_int_equal(qc_refcount_get(&g, block, 2), 1);
		assert_int_equal(qc_refcount_step(&g, block, 6, 1, false, &zeroed), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_width_round_trips_without_touching_its_neighbours),
		cmocka_unit_test(narrow_counts_start_at_the_least_significant_bit),
		cmocka_unit_test(wide_counts_are_big_endian),
		cmocka_unit_test(scans_agree_with_counting),
		cmocka_unit_test(a_count_with_any_single_bit_is_not_zero),
		cmocka_unit_test(scans_of_uniform_blocks_reach_the_end),
		cmocka_unit_test(counts_above_one_are_found_in_every_width),
		cmocka_unit_test(stepping_stops_at_the_ends_of_the_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
