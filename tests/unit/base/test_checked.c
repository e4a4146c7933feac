// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/checked.h"

static void sums_and_products_that_overflow_leave_the_result_alone(void **state)
{
	uint64_t result = 5;

	(void)state;
	assert_false(qc_add(UINT64_MAX, 1, &result));
	assert_false(qc_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &result));
	assert_int_equal(result, 5);
	assert_true(qc_add(UINT64_MAX - 1, 1, &result));
	assert_true(result == UINT64_MAX);
	assert_true(qc_mul(UINT32_MAX, UINT64_C(1) << 32, &result));
	assert_true(result == UINT64_MAX - UINT32_MAX);
}

static void ranges_do_not_wrap_around(void **state)
{
	(void)state;
	assert_true(qc_range_fits(0, 0, 0));
	assert_true(qc_range_fits(10, 0, 10));
	assert_true(qc_range_fits(4, 6, 10));
	assert_false(qc_range_fits(4, 7, 10));
	assert_false(qc_range_fits(11, 0, 10));
	assert_false(qc_range_fits(8, UINT64_MAX - 3, 10));
	assert_false(qc_range_fits(UINT64_MAX, 1, UINT64_MAX));
	assert_true(qc_range_fits(UINT64_MAX, 0, UINT64_MAX));
}

static void rounding_is_right_at_the_edges(void **state)
{
	(void)state;
	assert_int_equal(qc_div_up(0, 8), 0);
	assert_int_equal(qc_div_up(1, 8), 1);
	assert_int_equal(qc_div_up(8, 8), 1);
	assert_int_equal(qc_div_up(9, 8), 2);
	assert_true(qc_div_up(UINT64_MAX, 2) == UINT64_C(1) << 63);
	assert_int_equal(qc_align_up(0, 512), 0);
	assert_int_equal(qc_align_up(1, 512), 512);
	assert_int_equal(qc_align_up(512, 512), 512);
	assert_true(qc_align_up(UINT64_MAX - 512, 512) == UINT64_MAX - 511);
	assert_int_equal(qc_align_down(511, 512), 0);
	assert_int_equal(qc_align_down(512, 512), 512);
	assert_true(qc_is_aligned(1024, 512));
	assert_false(qc_is_aligned(1025, 512));
}

static void powers_of_two_have_one_bit(void **state)
{
	(void)state;
	assert_false(qc_is_power_of_two(0));
	for (unsigned int bit = 0; bit < 64; bit++)
		assert_true(qc_is_power_of_two(UINT64_C(1) << bit));
	assert_false(qc_is_power_of_two(3));
	assert_false(qc_is_power_of_two(UINT64_MAX));
}

static void the_smaller_is_the_smaller(void **state)
{
	(void)state;
	assert_int_equal(qc_min(1, 2), 1);
	assert_int_equal(qc_min(2, 1), 1);
	assert_int_equal(qc_max(1, 2), 2);
	assert_int_equal(qc_max(2, 1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_and_products_that_overflow_leave_the_result_alone),
		cmocka_unit_test(ranges_do_not_wrap_around),
		cmocka_unit_test(rounding_is_right_at_the_edges),
		cmocka_unit_test(powers_of_two_have_one_bit),
		cmocka_unit_test(the_smaller_is_the_smaller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
